"""What of a training is held against published scores.

A published score is the olympic mean of MLPerf's time to train, times the factor of its result folder. Of ingested
logs both are known, so each run's time to train times its folder's factor is compared; of a training that ran here
it is the time to quality.
"""

from __future__ import annotations

from dataclasses import dataclass

import pandas as pd

from seatrial.analysis.measurements import medians_by_repeat
from seatrial.case import Case
from seatrial.config.ingested import MlperfLogs
from seatrial.config.study import References


@dataclass(frozen=True)
class Comparable:
    """The minutes of a case's completed repeats, and what they may be compared with."""

    minutes: list[float]
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
        return Comparable(minutes, references.round)
    minutes = medians_by_repeat(measurements, case.case_id, "mlperf.scaled_time_to_train")
    factors = medians_by_repeat(measurements, case.case_id, "mlperf.scaling_factor")
    problem = None
    timed = bool(medians_by_repeat(measurements, case.case_id, "mlperf.time_to_train"))
    if timed and not minutes and workload.division == "closed":
        problem = "the result folder has no scaling factor, and published scores have one; its records say why"
    shown = f" (x {factors[0]:.6g})" if factors else ""
    note = f"logs handed over, not measured by Seatrial; time to train with the folder's scaling factor{shown}"
    return Comparable(minutes, workload.round, workload.submitter, note, problem)
