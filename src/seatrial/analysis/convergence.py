"""tables/measurements.parquet -> tables/convergence.csv: trainings against their reference convergence points.

Those of their own configuration, and where they name an MLPerf benchmark, MLCommons' at their global batch size.
"""

from __future__ import annotations

import dataclasses
from typing import Any

from seatrial.analysis.collect import read_record
from seatrial.analysis.inputs import read_cases, read_plan
from seatrial.analysis.measurements import medians_by_repeat, read_measurements, read_repeats
from seatrial.analysis.tables import AXIS, axis_columns, axis_names, write_csv
from seatrial.analysis.time_to_quality import NOT_CONVERGED
from seatrial.case import Case
from seatrial.config.training import Training
from seatrial.errors import ConfigError, UnreadableFile
from seatrial.ingest.mlperf.rules import ruleset_of
from seatrial.paths import StudyPaths
from seatrial.reference.conditions import unlike
from seatrial.reference.convergence_points import published_point
from seatrial.reference.names import canonical_benchmark
from seatrial.reference.own_points import LEAST_RUNS, Check, check, data_of, held_against, new_point, point_of

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
    """Write tables/convergence.csv: a row for every reference point that a training has."""
    plan = read_plan(paths)
    cases = read_cases(paths, plan)
    measurements, repeats = read_measurements(paths), read_repeats(paths)
    names = axis_names(case.axes for case in cases)
    rows: list[dict[str, Any]] = []
    for case in cases:
        if not isinstance(case.workload, Training):
            continue
        samples = medians_by_repeat(measurements, case.case_id, METRIC)
        of_case = repeats[repeats["case_id"] == case.case_id]
        missed = int(of_case["error_kind"].isin(NOT_CONVERGED).sum())
        if (point := point_of(case)) is not None:
            found = check(point, samples, _data(paths, case), missed)
            rows.append(_row(case, len(samples), len(point.samples), found, names))
        if (published := _of_benchmark(case, plan.study.references.round, samples, missed)) is not None:
            rows.append(_row(case, len(samples), *published, names))
    write_csv(paths.convergence, [*COLUMNS, *(AXIS + name for name in names)], rows)


def _data(paths: StudyPaths, case: Case) -> dict[str, str]:
    """What the repeats of a case were trained on, from the first record that says so; nothing where none does."""
    for repeat in range(case.repeats):
        record = read_record(paths, case, repeat, ())
        if record is not None and (found := data_of(record.provenance)):
            return found
    return {}


def _of_benchmark(case: Case, round_: str, samples: list[float], missed: int) -> tuple[int, Check] | None:
    """The reference runs of the benchmark that a training names, and how it stands to them; None without points.

    A training that is not the benchmark's work is held against them too, and told so: the check would say nothing
    of it by itself.
    """
    workload = case.workload
    assert isinstance(workload, Training)
    if workload.benchmark is None:
        return None
    benchmark, ranks = canonical_benchmark(workload.benchmark), case.target.world_size
    try:
        found = published_point(ruleset_of(round_), benchmark, workload.global_batch(ranks))
    except ConfigError as unknown:
        return 0, Check("not_known", f"{unknown.problem}: {unknown.value}")
    if found is None:
        return None
    if isinstance(found, str):
        return 0, Check("not_known", found)
    checked = held_against(found.spread, samples, missed)
    words = checked.words
    if found.spread.words not in words:
        words += f"; reference {found.spread.mean:.6g} {found.spread.words}"
    if differences := unlike(workload, ranks):
        words += f"; not the same work as {benchmark}: {'; '.join(differences)}"
    return found.runs, dataclasses.replace(checked, words=words)


def _row(case: Case, converged: int, reference_runs: int, found: Check, names: list[str]) -> dict[str, Any]:
    return {
        "study": case.study,
        "target": case.target.name,
        "experiment": case.experiment,
        "workload": case.workload.kind,
        "case_id": case.case_id,
        "repeats": case.repeats,
        "converged": converged,
        "own_samples": found.own_mean,
        "reference_samples": found.reference_mean,
        "reference_n": reference_runs,
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
        points.append(new_point(case, samples, seeds, _data(paths, case), source))
    return points
