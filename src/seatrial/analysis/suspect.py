"""What of a group was measured and cannot be taken for what was planned, in words: it never passes a criterion."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np
import pandas as pd

from seatrial.analysis.collect import read_record
from seatrial.analysis.fleet import named
from seatrial.analysis.inputs import is_ingested
from seatrial.analysis.selection import OPEN, Group
from seatrial.analysis.tables import rows_of
from seatrial.case import Case
from seatrial.config.criterion import Criterion
from seatrial.config.probe import Gemm
from seatrial.config.probe.collective import Collective
from seatrial.paths import StudyPaths
from seatrial.reruns import read_reruns
from seatrial.units import format_figure

OF_A_SHAPE = frozenset({"m", "n", "k"})
NOT_CLEARED = "screen.not_cleared"
CLEARED = ("screen.bad_nodes", "screen.slow_links")
"""Counts of what was found bad: none was found among those that were not tested."""


def suspect(criterion: Criterion, group: Group, above: float) -> str | None:
    """Labels that are not the planned ones, ceilings that differ, a reading above `above` times its ceiling."""
    if group.labels is not None and not is_ingested(group.case):
        problem = not_as_planned(group.case, json.loads(group.labels))
        if problem is not None:
            return problem
    ceilings = group.rows["ceiling"].dropna().to_numpy()
    if criterion.unit_of == "ceiling" and len(ceilings) and not np.allclose(ceilings, ceilings[0], rtol=1e-9):
        low, high = format_figure(float(ceilings.min())), format_figure(float(ceilings.max()))
        return f"its repeats state different ceilings ({low} to {high}), so they are no fractions of one"
    fractions = group.rows[["repeat", "fraction_of_ceiling"]]
    above_all = fractions["fraction_of_ceiling"].to_numpy() > above
    for row in rows_of(fractions[above_all]) if above_all.any() else ():
        share = format_figure(100 * row["fraction_of_ceiling"])
        return (
            f"repeat {row['repeat']} reads {share} % of its ceiling, above the {format_figure(100 * above)} % that "
            "are possible: a wrong unit, a wrong ceiling or a wrong result"
        )
    return None


def not_as_planned(case: Case, labels: Mapping[str, Any]) -> str | None:
    """Which label has the name of a parameter of the case and is not what was planned, in words, or None."""
    for name in sorted(labels.keys() & type(case.workload).model_fields.keys()):
        allowed = _planned(case, name, labels)
        if allowed is not None and labels[name] not in allowed:
            text = " or ".join(str(value) for value in allowed)
            return f"it was measured with {name} {labels[name]}, planned was {text}"
    return None


def _planned(case: Case, name: str, labels: Mapping[str, Any]) -> list[Any] | None:
    """The values that a label may have; None: the measurement decides."""
    workload = case.workload
    value = getattr(workload, name)
    if isinstance(workload, Gemm) and workload.search is not None and name in OF_A_SHAPE:
        return None
    if isinstance(workload, Collective) and name == "size_bytes":
        if labels.get("implementation") == "nccl_tests":
            return None  # rounded down as the program does; labels_not_measured looks for each planned size
        return [value] if value is not None else list(workload.real_sizes(case.target.world_size))
    if value in OPEN or isinstance(value, Mapping):
        return None
    if isinstance(value, list | tuple):
        return [*value]
    return [value] if isinstance(value, str | int | float | bool) else None


def suspect_records(
    paths: StudyPaths, case: Case, metric: str, repeats: pd.DataFrame, measurements: pd.DataFrame
) -> str | None:
    """Of the completed `repeats` of a case: a copy of another, or a screening that did not clear all."""
    if is_ingested(case):
        return None
    done = repeats[repeats["outcome"] == "completed"]
    if metric in CLEARED:
        of_case = measurements[(measurements["case_id"] == case.case_id) & (measurements["metric"] == NOT_CLEARED)]
        for row in rows_of(of_case[of_case["median"] > 0]):
            count = format_figure(row["median"])
            return f"repeat {row['repeat']} did not clear {count} nodes or links: nothing is known of them"
        if set(done["repeat"]) - set(of_case["repeat"]):
            return f"a repeat does not say how many it did not clear ({NOT_CLEARED})"
    return copied(paths, case, done)


def copied(paths: StudyPaths, case: Case, done: pd.DataFrame) -> str | None:
    """Which repeat has the start and all samples of another, in words, or None."""
    twins = done[done["started_at"].notna() & done["started_at"].duplicated(keep=False)]
    seen: dict[tuple[str, str], int] = {}
    for row in rows_of(twins[["repeat", "started_at"]]):
        record = read_record(paths, case, row["repeat"])
        if record is None or not record.measurements:
            continue
        content = [(m.metric, m.labels, m.samples) for m in record.measurements]
        first = seen.setdefault((row["started_at"], json.dumps(content, sort_keys=True)), row["repeat"])
        if first != row["repeat"]:
            return f"repeat {row['repeat']} is a copy of repeat {first}: the same start and the same samples"
    return None


def run_again(paths: StudyPaths, cases: Sequence[Case], repeats_of: Callable[[Case], pd.DataFrame]) -> str | None:
    """How many repeats of these cases were run more than once, in words, or None.

    Raises UnreadableFile where reruns.json is not what was written.
    """
    asked = read_reruns(paths.reruns)
    again = sum(
        (row["attempts"] or 0) > 1 or asked.get(f"{case.case_id}/{row['repeat']}", 0) > 0
        for case in cases
        for row in rows_of(repeats_of(case))
    )
    return f"{again} repeat{' was' if again == 1 else 's were'} run again" if again else None


def unplanned(paths: StudyPaths, planned: Sequence[str]) -> str | None:
    """Which cases have records in the study's folder that its plan does not list, in words, or None.

    A plan that was changed leaves them behind; one from which a case was struck out looks the same, so it is said.
    """
    known = set(planned)
    there = sorted(path.name for path in paths.records.glob("*") if path.is_dir() and path.name not in known)
    if not there:
        return None
    return f"records/ has {len(there)} cases that the plan does not list, and that do not count ({named(there)})"
