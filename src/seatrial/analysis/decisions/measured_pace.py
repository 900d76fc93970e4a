"""What the tables and records of a study say of a case's pace: time to quality, the rest of a run, the queue."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, Literal

from seatrial.analysis.attempts import read_attempts
from seatrial.analysis.comparison import COLUMNS as COMPARISON
from seatrial.analysis.decisions.basis import Basis
from seatrial.analysis.decisions.decision import Input
from seatrial.analysis.decisions.words import SHARE
from seatrial.analysis.inputs import TIME_TO_QUALITY
from seatrial.analysis.probes.records import completed
from seatrial.analysis.statistics import log_spread, median, median_interval
from seatrial.analysis.statistics.distributions import t_quantile
from seatrial.analysis.tables import read_csv, rows_of
from seatrial.analysis.time_to_quality import NOT_CONVERGED
from seatrial.case import Case
from seatrial.config.ingested import HandedOver
from seatrial.paths import StudyPaths
from seatrial.record import Record

MINUTES_PER_HOUR = 60.0
SECONDS_PER_HOUR = 3600.0
MLPERF_MINUTES = "train.mlperf_minutes"
Role = Literal[
    "runs per week", "time to quality", "time besides", "queue", "runs at once", "completed share", "luck"
]
"""What an input says of a system's pace."""


UPPER_END = "upper end of the time to quality"


@dataclass
class Measured:
    """Inputs by role; what they rest on, by the field that would state it; by role why one is missing."""

    inputs: dict[Role, Input] = field(default_factory=dict)
    evidence: dict[str, str] = field(default_factory=dict)
    missing: dict[str, str] = field(default_factory=dict)


def measured_pace(basis: Basis, case: Case, runs: float) -> Measured:
    """All that is measured of a case's pace; `runs`: how many runs are to come, whose chances average out.

    Raises UnreadableFile where the study's tables are not there.
    """
    found = Measured()
    records = completed(basis.paths, case)
    minutes = {r.repeat: value for r in records if (value := _minutes(r, TIME_TO_QUALITY)) is not None}
    _time_to_quality(found, basis, case)
    _luck(found, list(minutes.values()), runs)
    if not isinstance(case.workload, HandedOver):
        _add(found, "time besides", _besides(records, minutes), "h", "records: start to end, less time to quality")
    _queue(found, basis.paths, case)
    _completed_share(found, basis, case)
    return found


def published_pace(basis: Basis, case: Case) -> Measured:
    """The published median beside a case; what a run takes besides is this study's, as nobody publishes it."""
    found = Measured()
    table = rows_of(read_csv(basis.paths.comparison, COMPARISON))
    row = next((row for row in table if row["case_id"] == case.case_id), None)
    minutes = row["reference_minutes"] if row is not None else None
    if row is None or minutes is None:
        why = row["note"] if row is not None else "the case is not in tables/comparison.csv"
        found.missing["time to quality"] = f"no published median: {why}"
        return found
    source = (
        f"median of {row['reference_submitters']:g} submitters, MLPerf Training {row['round']} ({row['basis']})"
    )
    low, high = row["reference_low_minutes"], row["reference_high_minutes"]
    value = float(minutes) / MINUTES_PER_HOUR
    _put(found, "time to quality", value, _hours(low), _hours(high), source, measured=False)
    records = completed(basis.paths, case)
    stood = {r.repeat: took for r in records if (took := _minutes(r, (MLPERF_MINUTES,))) is not None}
    _add(found, "time besides", _besides(records, stood), "h", "as of this study: nobody publishes it")
    found.evidence["run_hours"] = f"tables/comparison.csv, case {case.case_id}: {source}"
    return found


def queue_hours(paths: StudyPaths, case: Case) -> list[float]:
    """Hours that Slurm let each attempt at a case's repeats wait, oldest first; empty where no Slurm told."""
    waits = []
    for number in range(case.repeats):
        attempts = read_attempts(paths.attempts(case.case_id, number))
        for entry in attempts.entries if attempts is not None else ():
            submitted, started = _instant(entry.get("submitted_at")), _instant(entry.get("started_at"))
            if entry.get("cluster") == "slurm" and submitted is not None and started is not None:
                # Slurm's start has no fractions of a second
                waits.append(max(0.0, (started - submitted).total_seconds() / SECONDS_PER_HOUR))
    return waits


def _time_to_quality(found: Measured, basis: Basis, case: Case) -> None:
    row = next((row for row in basis.time_to_quality if row["case_id"] == case.case_id), None)
    if row is None or row["median_minutes"] is None:
        reached = "no row" if row is None else f"{row['converged']:g} of {row['repeats']:g} repeats reached it"
        found.missing["time to quality"] = (
            f"no time to quality of {case.experiment} ({reached}); run_hours states it"
        )
        return
    words = f"tables/time_to_quality.csv, case {case.case_id}: {row['converged']:g} of {row['repeats']:g} repeats"
    words += f", {row['interval_method']}"
    low, high = _hours(row["low_minutes"]), _hours(row["high_minutes"])
    value = row["median_minutes"] / MINUTES_PER_HOUR
    _put(found, "time to quality", value, low, high, words, n=int(row["repeats"]))
    if low is not None and high is None:
        found.missing[UPPER_END] = "the upper end of its time to quality is not known, so it counts as exact"
    found.evidence["run_hours"] = words


def _luck(found: Measured, minutes: Sequence[float], runs: float) -> None:
    """How far the mean of the runs to come lies from what is expected, by the spread of the repeats.

    The spread is known from few repeats, hence Student's t.
    """
    spread = log_spread(minutes)
    if spread is None or spread == 0:
        return
    n = len(minutes)
    half = t_quantile(0.975, n - 1) * spread / math.sqrt(max(1.0, runs))
    half = min(half, math.log(10.0))
    words = f"spread of {n} repeats' times to quality ({100 * spread:.3g} %) over {runs:g} runs, t 95 %"
    _put(found, "luck", 1.0, math.exp(-half), math.exp(half), words, unit="", n=n)


def _besides(records: Sequence[Record], minutes: dict[int, float]) -> list[float]:
    """Hours from start to end of each repeat, less its minutes; of one taken up again they are not all known."""
    hours = []
    for record in records:
        started, finished = _instant(record.started_at), _instant(record.finished_at)
        if record.resumed or record.repeat not in minutes or started is None or finished is None:
            continue
        whole = (finished - started).total_seconds() / SECONDS_PER_HOUR
        hours.append(max(0.0, whole - minutes[record.repeat] / MINUTES_PER_HOUR))
    return hours


def _queue(found: Measured, paths: StudyPaths, case: Case) -> None:
    waits = queue_hours(paths, case)
    if not waits:
        found.missing["queue"] = "no queue time: Slurm noted none for its repeats; queue_hours states it"
        return
    _add(found, "queue", waits, "h", f"attempts of case {case.case_id}, submission to start")
    found.evidence["queue_hours"] = f"queue: {len(waits)} attempts of case {case.case_id}"


def _completed_share(found: Measured, basis: Basis, case: Case) -> None:
    """Runs that broke off by themselves; those that did not reach their quality are in the median, at infinity."""
    rows = [row for row in basis.repeats if row["case_id"] == case.case_id]
    ended = sum(row["outcome"] == "completed" for row in rows)
    broken = sum(row["error_kind"] not in (None, "cancelled", *NOT_CONVERGED) for row in rows)
    if not ended or not broken:
        if ended:
            words = f"{ended} of {ended} repeats that ended completed: no run is reckoned to be run again"
            found.evidence["completed_share"] = words
        return
    from scipy import stats  # rarely needed, and slow to import

    interval = stats.binomtest(ended, ended + broken).proportion_ci(method="exact")
    words = f"tables/repeats.csv: {ended} of {ended + broken} repeats did not break off, Clopper-Pearson 95 %"
    low, high = float(interval.low), float(interval.high)
    _put(found, "completed share", ended / (ended + broken), low, high, words, unit=SHARE, n=ended + broken)


def _add(found: Measured, role: Role, values: Sequence[float], unit: str, words: str) -> None:
    """The median of `values` with its interval, as an input."""
    middle = median(values)
    if middle is None:
        return
    interval = median_interval(values)
    words = f"{words}; n = {len(values)}, {interval.method}"
    _put(found, role, middle, interval.low, interval.high, words, unit=unit, n=len(values))


def _put(
    found: Measured,
    role: Role,
    value: float,
    low: float | None,
    high: float | None,
    words: str,
    *,
    unit: str = "h",
    measured: bool = True,
    n: int | None = None,
) -> None:
    if low is None or high is None:
        low = high = None
    else:
        low, high = min(low, value), max(high, value)
    found.inputs[role] = Input(role, value, low, high, unit, words, None, measured, n)


def _minutes(record: Record, metrics: Sequence[str]) -> float | None:
    values = [value for m in record.measurements if m.metric in metrics for value in m.samples]
    return median(values)


def _hours(minutes: Any) -> float | None:
    return None if minutes is None else float(minutes) / MINUTES_PER_HOUR


def _instant(text: object) -> datetime | None:
    """A moment as it was noted; None where it was not, or is no date with its zone."""
    try:
        found = datetime.fromisoformat(str(text))
    except ValueError:
        return None
    return found if found.tzinfo is not None else None
