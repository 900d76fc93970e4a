"""The tables of plain measurements: probes, inside trainings, and what was sampled beside them."""

from __future__ import annotations

import json
from typing import Any

import pandas as pd

from seatrial.report.case_links import case_cell
from seatrial.report.study_tables import INSIDE_TRAINING, OF_TRAINING, StudyTables
from seatrial.report.table import NUMBER, TEXT, Cell, Table, span, table
from seatrial.units import format_figure

NO_UNIT = "1"
WITH_TABLES = (
    "collective.", "bisection.", "moe_alltoall.", "checkpoint.", "dataload.", "storage.", "gemm.searched_",
    "screen.",
)  # fmt: skip
"""What the metrics of probes with sections of their own begin with."""
SHOWN_LABELS = ("rank", "device", "pair", "layer", "scope", "reason")


def inside_training_table(study: StudyTables) -> Table:
    """What was measured inside trainings beside their quality: medians over completed repeats."""
    chosen = study.measurements["metric"].isin(INSIDE_TRAINING)
    return _measurements_table(study, chosen, "inside-training", "Inside the training")


def sampled_table(study: StudyTables) -> Table:
    """What telemetry sampled beside trainings: medians over completed repeats."""
    chosen = study.measurements["metric"].str.startswith("telemetry.")
    caption = "Sampled beside the training, while its clock ran: medians over completed repeats"
    return _measurements_table(study, chosen, "sampled", caption)


def probes_table(study: StudyTables) -> Table:
    """The probes without a table of their own by size, pair or load: medians over completed repeats."""
    chosen = ~study.measurements["metric"].str.startswith((*OF_TRAINING, *WITH_TABLES))
    return _measurements_table(study, chosen, "probes", "Probes")


def _measurements_table(study: StudyTables, chosen: pd.Series, name: str, caption: str) -> Table:
    """The completed repeats' measurements among `chosen`, a row for each case, metric and labels."""
    frame = study.measurements
    completed = frame[chosen & (frame["outcome"] == "completed")]
    rows = [
        _measurement_cells(study, case_id, metric, labels, group)
        for (case_id, metric, labels), group in _in_plan_order(study, completed)
    ]
    columns = [
        ("Case", TEXT),
        ("Metric", TEXT),
        ("Median", NUMBER),
        ("5th to 95th percentile", NUMBER),
        ("Repeats", NUMBER),
        ("Samples", NUMBER),
        ("Of its ceiling", TEXT),
    ]
    return table(name, caption, columns, rows, "tables/measurements.parquet")


def _in_plan_order(study: StudyTables, chosen: pd.DataFrame) -> list[tuple[Any, pd.DataFrame]]:
    order = {case_id: i for i, case_id in enumerate(study.cases)}
    groups = chosen.groupby(["case_id", "metric", "labels"], sort=True)
    return sorted(groups, key=lambda pair: (order[pair[0][0]], *pair[0][1:]))


def _measurement_cells(
    study: StudyTables, case_id: str, metric: str, labels: str, group: pd.DataFrame
) -> list[Cell]:
    extra = {k: v for k, v in json.loads(labels).items() if k in SHOWN_LABELS}
    ceiling, fraction = group["ceiling"].median(), group["fraction_of_ceiling"].median()
    basis, unit = group["ceiling_basis"].dropna(), group["unit"].iloc[0]
    return [
        case_cell(study, case_id, ", ".join(f"{k} {v}" for k, v in sorted(extra.items()))),
        Cell(metric),
        Cell(format_figure(group["median"].median(), 3), "" if unit == NO_UNIT else unit),
        Cell(span(group["p05"].median(), group["p95"].median()) or "-"),
        Cell(str(group["repeat"].nunique())),
        Cell(str(int(group["n"].sum()))),
        Cell(
            f"{100 * fraction:.3g} %" if fraction == fraction else "-",
            f"{format_figure(ceiling, 3)}: {basis.iloc[0]}" if len(basis) else "no ceiling known",
        ),
    ]
