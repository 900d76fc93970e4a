"""tables/measurements.parquet -> tables/convergence.csv: trainings against their reference convergence points."""

from __future__ import annotations

from typing import Any

import pandas as pd

from seatrial.analysis.inputs import read_cases, read_plan
from seatrial.analysis.measurements import medians_by_repeat, read_measurements, read_repeats
from seatrial.analysis.tables import AXIS, axis_columns, axis_names, write_csv
from seatrial.analysis.time_to_quality import NOT_CONVERGED
from seatrial.case import Case
from seatrial.config.training import Training
from seatrial.errors import UnreadableFile
from seatrial.paths import StudyPaths
from seatrial.reference.own_points import LEAST_RUNS, check, new_point, point_of

METRIC = "train.samples_to_evaluation"
COLUMNS = (
    "study",
    "target",
    "experiment",
    "workload",
    "case_id",
    "repeats",
    "converged",
    "own_samples",
    "reference_samples",
    "reference_n",
    "least_accepted",
    "most_accepted",
    "standing",
    "note",
)


def convergence(paths: StudyPaths) -> None:
    """Write tables/convergence.csv: a row for every training whose configuration has a reference point."""
    cases = read_cases(paths, read_plan(paths))
    measurements, repeats = read_measurements(paths), read_repeats(paths)
    names = axis_names(case.axes for case in cases)
    rows = [_row(case, measurements, repeats, names) for case in cases if isinstance(case.workload, Training)]
    write_csv(paths.convergence, [*COLUMNS, *(AXIS + name for name in names)], [row for row in rows if row])


def _row(case: Case, measurements: pd.DataFrame, repeats: pd.DataFrame, names: list[str]) -> dict[str, Any] | None:
    point = point_of(case)
    if point is None:
        return None
    of_case = repeats[repeats["case_id"] == case.case_id]
    samples = medians_by_repeat(measurements, case.case_id, METRIC)
    found = check(point, samples, int(of_case["error_kind"].isin(NOT_CONVERGED).sum()))
    return {
        "study": case.study,
        "target": case.target.name,
        "experiment": case.experiment,
        "workload": case.workload.kind,
        "case_id": case.case_id,
        "repeats": case.repeats,
        "converged": len(samples),
        "own_samples": found.own_mean,
        "reference_samples": found.reference_mean,
        "reference_n": len(point.samples),
        "least_accepted": found.least_accepted,
        "most_accepted": found.most_accepted,
        "standing": found.standing,
        "note": found.words,
        **axis_columns(case.axes, names),
    }


def points_of(paths: StudyPaths, source: str) -> list[dict[str, Any]]:
    """A reference point of every training of a study, as plain values.

    Raises UnreadableFile where a repeat did not reach its target: such a configuration has no point.
    """
    measurements, points = read_measurements(paths), []
    for case in read_cases(paths, read_plan(paths)):
        if not isinstance(case.workload, Training):
            continue
        samples = medians_by_repeat(measurements, case.case_id, METRIC)
        if len(samples) < max(case.repeats, 2 * LEAST_RUNS):
            words = f"{case.experiment} has {len(samples)} of {case.repeats} runs that reached the target"
            raise UnreadableFile(paths.measurements, f"{words}; a point needs all, and {2 * LEAST_RUNS} at least")
        seeds = [case.seed(repeat) for repeat in range(case.repeats)]
        points.append(new_point(case, samples, seeds, source))
    return points
