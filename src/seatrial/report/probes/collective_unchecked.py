"""What the page says of collectives whose results nobody checked: figures beside the results, none of them one."""

from __future__ import annotations

import json

import pandas as pd

from seatrial.nccl_tests.measured import UNCHECKED
from seatrial.report.study_tables import StudyTables, case_label
from seatrial.report.table import NUMBER, TEXT, Cell, Table, count, table
from seatrial.units import format_bytes, format_figure

WORDS = (
    "not checked (-c 0, or in place where nccl-tests never checks): no results, they stand apart as "
    f"{UNCHECKED}time, algorithm_bandwidth and bus_bandwidth"
)


def unchecked_words(study: StudyTables) -> list[str]:
    """One sentence where there are such readings, else nothing."""
    found = _bus(study).groupby(["case_id", "labels"]).ngroups
    return [f"{count(found, 'reading')} {'was' if found == 1 else 'were'} {WORDS}."] if found else []


def unchecked_details(study: StudyTables) -> list[tuple[str, Table]]:
    """A table of such readings by case and size, medians over repeats, with its heading; nothing without any."""
    order = {case_id: place for place, case_id in enumerate(study.cases)}
    found: list[tuple[tuple[int, int, str], list[Cell]]] = []
    for (case_id, text), group in _bus(study).groupby(["case_id", "labels"]):
        labels = json.loads(str(text))
        size, place = int(labels["size_bytes"]), "in place" if labels["in_place"] else "out of place"
        name = Cell(case_label(study.cases[str(case_id)]), f"{labels['operation']} {labels['dtype']}, {place}")
        bus = Cell(format_figure(float(group["median"].median()), 3))
        found.append(((order[str(case_id)], size, place), [name, Cell(format_bytes(size)), bus]))
    if not found:
        return []
    columns = [("Case", TEXT), ("Size", NUMBER), ("Bus bandwidth if the result was right, GB/s", NUMBER)]
    caption = "Readings whose results nobody checked; medians over repeats"
    rows = [cells for _, cells in sorted(found, key=lambda entry: entry[0])]
    return [("Not checked", table("collectives-unchecked", caption, columns, rows, "tables/measurements.parquet"))]


def _bus(study: StudyTables) -> pd.DataFrame:
    """The completed repeats' unchecked bus bandwidths."""
    frame = study.measurements
    return frame[(frame["metric"] == f"{UNCHECKED}bus_bandwidth") & (frame["outcome"] == "completed")]
