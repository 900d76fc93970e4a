"""The tables of plain measurements: probes, inside trainings, and what was sampled beside them."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import replace

import pandas as pd
import pyarrow as pa
from pyarrow import csv

from seatrial.paths import written_aside
from seatrial.report.case_links import case_cell
from seatrial.report.study_tables import INSIDE_TRAINING, OF_TRAINING, Row, StudyTables
from seatrial.report.table import MOST_ROWS, NUMBER, TEXT, Cell, Table, span, table
from seatrial.units import format_figure

NO_UNIT = "1"
WITH_TABLES = (
    "collective.", "bisection.", "moe_alltoall.", "checkpoint.", "dataload.", "storage.", "gemm.searched_",
    "screen.",
)  # fmt: skip
"""What the metrics of probes with sections of their own begin with."""
SHOWN_LABELS = ("rank", "device", "pair", "layer", "scope", "reason")
COLUMNS = (
    ("Case", TEXT),
    ("Metric", TEXT),
    ("Median", NUMBER),
    ("5th to 95th percentile", NUMBER),
    ("Repeats", NUMBER),
    ("Samples", NUMBER),
    ("Of its ceiling", TEXT),
)
CHOSEN: dict[str, Callable[[pd.Series], pd.Series]] = {
    "inside-training": lambda metric: metric.isin(INSIDE_TRAINING),
    "sampled": lambda metric: metric.str.startswith("telemetry."),
    "probes": lambda metric: ~metric.str.startswith((*OF_TRAINING, *WITH_TABLES)),
}
"""Which metrics each table has."""


def inside_training_table(study: StudyTables) -> Table:
    """What was measured inside trainings beside their quality: medians over completed repeats."""
    return _measurements_table(study, "inside-training", "Inside the training: medians over completed repeats")


def sampled_table(study: StudyTables) -> Table:
    """What telemetry sampled beside trainings: medians over completed repeats."""
    caption = "Sampled beside the training, while its clock ran: medians over completed repeats"
    return _measurements_table(study, "sampled", caption)


def probes_table(study: StudyTables) -> Table:
    """The probes without a table of their own by size, pair or load: medians over completed repeats."""
    return _measurements_table(study, "probes", "Probes: medians over completed repeats")


def write_long_tables(study: StudyTables) -> None:
    """Write every table that the page cuts as a CSV with all of its rows, and remove those that it cuts no more."""
    for name in CHOSEN:
        path, found = study.paths.measurements_of(name), _chosen(study, name)
        if len(found) <= MOST_ROWS:
            path.unlink(missing_ok=True)
            continue
        with written_aside(path) as aside:
            csv.write_csv(pa.Table.from_pandas(found, preserve_index=False), aside)


def _measurements_table(study: StudyTables, name: str, caption: str) -> Table:
    """A row for each case, metric and labels of the completed repeats; of many the worst and the swept ones."""
    found = _chosen(study, name)
    cut = len(found) > MOST_ROWS
    shown = _worst_and_swept(study, found) if cut else found
    rows = [_cells(study, {str(key): value for key, value in row.items()}) for row in shown.to_dict("records")]
    file = study.paths.measurements_of(name) if cut else study.paths.measurements
    made = table(name, caption, COLUMNS, rows, str(file.relative_to(study.paths.root)))
    return replace(made, total=len(found))


def _chosen(study: StudyTables, name: str) -> pd.DataFrame:
    return study.by_metric[CHOSEN[name](study.by_metric["metric"])]


def _worst_and_swept(study: StudyTables, found: pd.DataFrame) -> pd.DataFrame:
    """MOST_ROWS rows: half of them the furthest below their ceilings, then cases of sweeps, then the others."""
    below = found["fraction_of_ceiling"].rank(method="first").fillna(len(found) + 1)
    worst = below.where(below <= MOST_ROWS // 2, MOST_ROWS)
    swept = found["case_id"].map({case_id: bool(case.axes) for case_id, case in study.cases.items()})
    ranked = found.assign(worst=worst, alone=~swept.astype(bool)).sort_values(["worst", "alone"], kind="stable")
    return ranked.head(MOST_ROWS)


def _cells(study: StudyTables, row: Row) -> list[Cell]:
    extra = {k: v for k, v in json.loads(row["labels"]).items() if k in SHOWN_LABELS}
    fraction, basis, unit = row["fraction_of_ceiling"], row["ceiling_basis"], row["unit"]
    has_basis = isinstance(basis, str)
    return [
        case_cell(study, row["case_id"], ", ".join(f"{k} {v}" for k, v in sorted(extra.items()))),
        Cell(row["metric"]),
        Cell(format_figure(row["median"], 3), "" if unit == NO_UNIT else unit),
        Cell(span(row["p05"], row["p95"]) or "-"),
        Cell(str(row["repeats"])),
        Cell(str(row["n"])),
        Cell(
            f"{100 * fraction:.3g} %" if fraction == fraction else "-",
            f"{format_figure(row['ceiling'], 3)}: {basis}" if has_basis else "no ceiling known",
        ),
    ]
