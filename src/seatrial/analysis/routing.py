"""tables/routing.csv: how evenly a mixture's experts are chosen, and what sharing them between ranks costs."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import pandas as pd

from seatrial.analysis.inputs import read_cases, read_plan
from seatrial.analysis.measurements import completed_rows, read_measurements
from seatrial.analysis.statistics import median, median_interval, share_interval
from seatrial.analysis.tables import AXIS, axis_columns, axis_names, write_csv
from seatrial.case import Case
from seatrial.config.training import Moe
from seatrial.paths import StudyPaths

FIGURES: dict[str, tuple[str, dict[str, Any]]] = {
    "imbalance": ("train.expert_imbalance", {"over": "step"}),
    "imbalance_of_stretches": ("train.expert_imbalance", {"over": "stretch"}),
    "gini": ("train.expert_gini", {"over": "step"}),
    "gini_of_stretches": ("train.expert_gini", {"over": "stretch"}),
    "rank_imbalance": ("train.rank_imbalance", {}),
    "dropped_share": ("train.tokens_dropped", {}),
    "all_to_all_share": ("train.all_to_all_share", {}),
    "productive_fraction": ("train.productive_fraction", {}),
}
"""Column -> the metric, and the labels of its rows: of a repeat the median over layers and stretches."""
WITH_INTERVAL = ("imbalance", "all_to_all_share", "productive_fraction")
COLUMNS = (
    "study",
    "target",
    "experiment",
    "case_id",
    "repeats",
    "measured",
    "experts",
    "top_k",
    "shared_experts",
    "dp",
    "fsdp",
    "tp",
    "ep",
    *FIGURES,
    *(f"{name}_{end}" for name in WITH_INTERVAL for end in ("low", "high")),
    "interval_method",
    "drops",
)
"""`drops`: whether experts have a capacity; without one nothing is dropped and there is no share."""


def routing(paths: StudyPaths) -> None:
    """Write tables/routing.csv, a row for every moe case; remove it where there is none."""
    cases = read_cases(paths, read_plan(paths))
    mixtures = [case for case in cases if isinstance(case.workload, Moe)]
    if not mixtures:
        paths.routing.unlink(missing_ok=True)
        return
    measurements, names = read_measurements(paths), axis_names(case.axes for case in cases)
    rows = [_row(case, measurements, names) for case in mixtures]
    write_csv(paths.routing, [*COLUMNS, *(AXIS + name for name in names)], rows)


def _row(case: Case, measurements: pd.DataFrame, names: Sequence[str]) -> dict[str, Any]:
    workload = case.workload
    assert isinstance(workload, Moe)
    shared = workload.parallelism
    figures = {name: _by_repeat(case, measurements, *where) for name, where in FIGURES.items()}
    row: dict[str, Any] = {
        "study": case.study,
        "target": case.target.name,
        "experiment": case.experiment,
        "case_id": case.case_id,
        "repeats": case.repeats,
        "measured": len(figures["imbalance"]),
        "experts": workload.experts,
        "top_k": workload.top_k,
        "shared_experts": workload.shared_experts,
        "dp": case.target.world_size // (shared.fsdp * shared.tp * shared.ep),
        "fsdp": shared.fsdp,
        "tp": shared.tp,
        "ep": shared.ep,
        "drops": workload.capacity_factor is not None,
        "interval_method": median_interval(figures["imbalance"]).method,
    }
    for name, values in figures.items():
        row[name] = median(values)
        if name in WITH_INTERVAL:
            interval = (median_interval if name == "imbalance" else share_interval)(values)
            row |= {f"{name}_low": interval.low, f"{name}_high": interval.high}
    return row | axis_columns(case.axes, names)


def _by_repeat(case: Case, measurements: pd.DataFrame, metric: str, labels: dict[str, Any]) -> list[float]:
    """Of each completed repeat the median over the rows that have these labels."""
    values: dict[int, list[float]] = {}
    for row in completed_rows(measurements, case.case_id, metric):
        if labels.items() <= row.labels.items():
            values.setdefault(row.repeat, []).append(row.median)
    return [float(pd.Series(found).median()) for found in values.values()]
