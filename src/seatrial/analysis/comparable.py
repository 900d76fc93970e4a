"""What of a training is held against published scores.

A published score is the olympic mean of MLPerf's time to train, times the factor of its result folder. Of ingested
logs both are known, so the same is compared: a median would flatter or harm, since times come in steps of one
evaluation. Of a training that ran here it is the median time to quality.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import pandas as pd

from seatrial.analysis.measurements import medians_by_repeat
from seatrial.analysis.statistics import median
from seatrial.case import Case
from seatrial.config.ingested import MlperfLogs
from seatrial.config.study import References


@dataclass(frozen=True)
class Comparable:
    """What is compared of a case, and with what."""

    minutes: list[float]
    """Of each completed repeat; they give the spread."""
    value: float | None
    """The one figure that is compared, in minutes."""
    round: str
    """The round of the published results: that of the logs, whatever the study's is."""
    exclude_submitter: str | None = None
    """Whose results are left out: one's own are no reference for oneself."""
    note: str | None = None
    problem: str | None = None
    """Why nothing can be compared although there are times."""


def comparable(case: Case, measurements: pd.DataFrame, references: References) -> Comparable:
    """What of a training case stands against published scores."""
    workload = case.workload
    if not isinstance(workload, MlperfLogs):
        minutes = medians_by_repeat(measurements, case.case_id, "train.time_to_quality")
        return Comparable(minutes, median(minutes), references.round)
    minutes = medians_by_repeat(measurements, case.case_id, "mlperf.scaled_time_to_train")
    factors = medians_by_repeat(measurements, case.case_id, "mlperf.scaling_factor")
    problem = None
    timed = bool(medians_by_repeat(measurements, case.case_id, "mlperf.time_to_train"))
    if timed and not minutes and workload.division == "closed":
        problem = "the result folder has no scaling factor, and published scores have one; its records say why"
    olympic = trimmed_mean(minutes, case.repeats - len(minutes), workload.facts.dropped)
    what = "median" if olympic is None else "olympic mean"
    shown = f" x {factors[0]:.6g} (scaling factor)" if factors else ""
    note = f"logs handed over, not measured by Seatrial: {what} of {len(minutes)} runs{shown}"
    value = median(minutes) if olympic is None else olympic
    return Comparable(minutes, value, workload.round, workload.submitter, note, problem)


def trimmed_mean(minutes: Sequence[float], failed: int, dropped: int) -> float | None:
    """MLPerf's olympic mean: without the `dropped` fastest and slowest runs, `failed` ones being the slowest.

    None where more failed than are dropped, or nothing is left.
    """
    kept = sorted(minutes)[dropped : len(minutes) + failed - dropped]
    return sum(kept) / len(kept) if kept and failed <= dropped else None
