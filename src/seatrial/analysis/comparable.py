"""What of a training is held against published scores.

A published score is the olympic mean of MLPerf's time to train, times the factor of its result folder. Of ingested
logs both are known, so the same is compared: a median would flatter or harm, since times come in steps of one
evaluation. Failed runs within MLCommons' allowance are the slowest; with more there is no score and no ratio. Of a
training that ran here it is the median time from run_start to run_stop, evaluations included, as MLPerf's clock
counts: its time to quality on Seatrial's own clock would flatter it.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import pandas as pd

from seatrial.analysis.handed_over import Runs, StatedSystem, runs_of, stated_system
from seatrial.analysis.measurements import medians_by_repeat
from seatrial.analysis.statistics import median
from seatrial.case import Case
from seatrial.config.ingested import MlperfLogs
from seatrial.config.study import References
from seatrial.paths import StudyPaths
from seatrial.reference.names import canonical_submitter


@dataclass(frozen=True)
class Comparable:
    """What is compared of a case, and with what."""

    minutes: list[float]
    """Of each completed repeat; they give the spread."""
    value: float | None
    """The one figure that is compared, in minutes."""
    round: str
    """The round of the published results: that of the logs, whatever the study's is."""
    submitters: tuple[str, ...] = ()
    """Whose results are left out: one's own are no reference for oneself."""
    note: str | None = None
    problem: str | None = None
    """Why nothing can be compared although there are times."""
    gap: str | None = None
    """What is missing, in words: the figure can then be found slower, never not slower."""
    excused: int = 0
    """Failed runs that are part of the figure, as the slowest."""
    stated: StatedSystem | None = None
    """What logs handed over ran on, in their submitter's words."""


def comparable(
    paths: StudyPaths, case: Case, measurements: pd.DataFrame, repeats: pd.DataFrame, references: References
) -> Comparable:
    """What of a training case stands against published scores."""
    if isinstance(case.workload, MlperfLogs):
        runs = runs_of(case, repeats[repeats["case_id"] == case.case_id]["outcome"].tolist())
        return _of_logs(case, case.workload, measurements, runs, stated_system(paths, case))
    minutes = medians_by_repeat(measurements, case.case_id, "train.mlperf_minutes")
    gap = problem = None
    if (resumed := _resumed(case, repeats)) is not None:
        problem = resumed
    elif not minutes and medians_by_repeat(measurements, case.case_id, "train.time_to_quality"):
        problem = "its time from run_start to run_stop, which published results are, was not recorded"
    if 0 < len(minutes) < case.repeats:
        gap = f"{len(minutes)} of {case.repeats} repeats reached the quality; the median is of these"
    return Comparable(minutes, median(minutes), references.round, gap=gap, problem=problem)


def _resumed(case: Case, repeats: pd.DataFrame) -> str | None:
    """Which completed repeats went on from a checkpoint: MLPerf's clock counted the time between as training."""
    of_case = repeats[(repeats["case_id"] == case.case_id) & (repeats["outcome"] == "completed")]
    words = [
        f"repeat {int(number)} resumed {int(times)} time{'s' if times > 1 else ''}"
        for number, times in zip(of_case["repeat"], of_case["resumed"], strict=True)
        if times > 0  # never of what is not a number
    ]
    return f"{', '.join(words)}: MLPerf's clock ran on while the training did not" if words else None


def _of_logs(
    case: Case, workload: MlperfLogs, measurements: pd.DataFrame, runs: Runs, stated: StatedSystem
) -> Comparable:
    """The score of logs handed over, held against the others' of their round."""
    minutes = medians_by_repeat(measurements, case.case_id, "mlperf.scaled_time_to_train")
    factors = medians_by_repeat(measurements, case.case_id, "mlperf.scaling_factor")
    timed = bool(medians_by_repeat(measurements, case.case_id, "mlperf.time_to_train"))
    problem = runs.refusal
    if problem is None and timed and not minutes and workload.division == "closed":
        problem = "the result folder has no scaling factor, and published scores have one; its records say why"
    olympic = trimmed_mean(minutes, runs.failed, workload.facts.dropped)
    if problem is None and olympic is None and minutes and runs.failed:
        problem = f"{runs.counted}: too few for an olympic mean"
    what = "median" if olympic is None else "olympic mean"
    note = f"logs handed over, not measured by Seatrial: {what} of {runs.counted}"
    if factors:
        note += f", x {factors[0]:.6g} (scaling factor)"
    value = median(minutes) if olympic is None else olympic
    return Comparable(
        minutes=minutes,
        value=None if problem else value,
        round=workload.round,
        submitters=_distinct((*((workload.submitter,) if workload.submitter else ()), *stated.submitters)),
        note=note,
        problem=problem,
        gap=runs.gap,
        excused=runs.excused,
        stated=stated,
    )


def _distinct(names: Sequence[str]) -> tuple[str, ...]:
    """The names without other spellings of the same submitter."""
    return tuple({canonical_submitter(name): name for name in reversed(names)}.values())[::-1]


def trimmed_mean(minutes: Sequence[float], failed: int, dropped: int) -> float | None:
    """MLPerf's olympic mean: without the `dropped` fastest and slowest runs, `failed` ones being the slowest.

    None where more failed than are dropped, or nothing is left.
    """
    kept = sorted(minutes)[dropped : len(minutes) + failed - dropped]
    return sum(kept) / len(kept) if kept and failed <= dropped else None
