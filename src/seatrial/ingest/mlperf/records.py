"""One MLPerf Training result log -> one Record, whatever became of the run.

completed                     passes the compliance check of its round, run_stop says success
failed, target_not_reached    run_stop says otherwise, or no evaluation meets the quality target
failed, cancelled             run_stop says otherwise, though an evaluation meets the target
failed, crashed               no run_start or no run_stop: the log ends before the run does. Never a slow run
failed, wrong_result          says success, but MLCommons' compliance check refuses the log

Only a completed record has a time. Everything is taken from the log and from the system description as handed over.
"""

from __future__ import annotations

import datetime as dt
import math
from dataclasses import dataclass
from importlib import metadata
from typing import Any, TypeGuard

from seatrial import __version__
from seatrial.case import Case
from seatrial.config.ingested import MlperfLogs
from seatrial.ingest.mlperf.result import MS_PER_MINUTE, Evaluation, ResultFolder, Run
from seatrial.record import Error, Measurement, Quality, Record, measurement
from seatrial.train.quality import between, crossing_fraction, meets

SOURCE = "logs handed over, not measured by Seatrial"
STATED = "stated in the system description, not measured"


@dataclass(frozen=True, slots=True)
class Factor:
    """What the times of a result folder are multiplied with to be its score; `value` None: there is none."""

    value: float | None
    basis: str
    """Where it is from, or why there is none, in words."""


def record_of(case: Case, repeat: int, folder: ResultFolder, run: Run, sha256: str, factor: Factor) -> Record:
    """The record of one log of `folder`, as repeat `repeat` (0-based) of a case of kind mlperf_logs.

    `sha256` is the digest of the log's bytes. The same arguments give the same record.
    """
    workload = case.workload
    assert isinstance(workload, MlperfLogs)
    error = _error(run, folder, workload)
    started, stopped = run.started_ms, _last_moment(run)
    return Record(
        study=case.study,
        case_id=case.case_id,
        repeat=repeat,
        seed=run.seeds[0] if run.seeds else None,
        workload=workload.kind,
        target=case.target.name,
        outcome="completed" if error is None else "failed",
        error=error,
        quality=_quality(run, workload),
        started_at=_iso(started),
        finished_at=_iso(stopped),
        measurements=_measurements(run, workload, factor if error is None else None),
        provenance=_provenance(folder, run, sha256, factor),
    )


def _error(run: Run, folder: ResultFolder, workload: MlperfLogs) -> Error | None:
    """Why the log is no completed run, or None."""
    refused = ""
    if run.problems:
        refused = f"MLCommons' compliance check of round {folder.round} refuses the log: {'; '.join(run.problems)}"
    also = f"; {refused}" if refused else ""
    if run.started_ms is None:
        return Error(kind="crashed", message=f"no run_start in the log: the run never began{also}")
    if run.stopped_ms is None:
        return Error(kind="crashed", message=f"no run_stop in the log: it ends before the run does{also}")
    reached = _reached(run, workload)
    if run.status not in (None, "success"):
        kind = "cancelled" if reached else "target_not_reached"
        met = ", though an evaluation meets the quality target" if reached else ""
        return Error(kind=kind, message=f"run_stop says {run.status}, not success{met}{also}")
    if run.benchmark is not None and run.benchmark != folder.benchmark:
        other = f"the log is of {run.benchmark}, its folder of {folder.benchmark}"
        return Error(kind="wrong_result", message=f"{other}{also}")
    if reached is False:
        goal = workload.facts.quality[0]
        words = f"run_stop says {run.status}, but no evaluation meets {goal.metric} {goal.target:g}"
        return Error(kind="target_not_reached", message=f"{words}{also}")
    if refused:
        return Error(kind="wrong_result", message=refused)
    if run.status is None:
        return Error(kind="wrong_result", message="run_stop does not say whether the run succeeded")
    if not 0 < run.stopped_ms - run.started_ms < math.inf:
        return Error(kind="wrong_result", message="run_stop does not come after run_start")
    return None


def _reached(run: Run, workload: MlperfLogs) -> bool | None:
    """Whether an evaluation meets the (first) quality target; None where the log has no evaluation."""
    goal = workload.facts.quality[0]
    values = [point.value for point in _points(run, goal.metric)]
    return any(meets(value, goal.target, goal.direction) for value in values) if values else None


def _points(run: Run, metric: str) -> list[Evaluation]:
    """The evaluations of one metric (None in the log: the benchmark's only one) that are numbers, in file order."""
    found = [e for e in run.evaluations if e.metric in (None, metric)]
    return [e for e in found if math.isfinite(e.value) and math.isfinite(e.time_ms)]


def _measurements(run: Run, workload: MlperfLogs, factor: Factor | None) -> list[Measurement]:
    """What the log says in figures; `factor` None: the run did not complete and has no time."""
    found: list[Measurement] = []
    if factor is not None and run.minutes is not None:
        found.append(measurement("mlperf.time_to_train", [run.minutes]))
        if factor.value is not None:
            found.append(measurement("mlperf.scaling_factor", [factor.value]))
            found.append(measurement("mlperf.scaled_time_to_train", [run.minutes * factor.value]))
        if workload.counted_in is not None and _is_number(run.to_quality):
            found.append(measurement(f"mlperf.{workload.counted_in}_to_quality", [run.to_quality]))
        if _is_number(run.energy_joules):
            found.append(measurement("mlperf.energy", [run.energy_joules]))
    for goal in workload.facts.quality:
        name = "mlperf.evaluation_loss" if goal.direction == "lower" else "mlperf.evaluation_accuracy"
        values = [point.value for point in _points(run, goal.metric)]
        if values:
            found.append(measurement(name, values, {"quality": goal.metric}))
    if run.throughputs:
        found.append(measurement("mlperf.throughput", run.throughputs))
    return found


def _quality(run: Run, workload: MlperfLogs) -> Quality | None:
    """The target, and both sides of the crossing where the log has them; None where several metrics are asked for.

    Minutes are on MLPerf's clock, evaluations included: an evaluation's are those at which its value was known.
    """
    if len(workload.facts.quality) > 1:
        return None
    goal = workload.facts.quality[0]
    points = _points(run, goal.metric) if run.started_ms is not None else []
    first = next((i for i, p in enumerate(points) if meets(p.value, goal.target, goal.direction)), None)
    if first is None or run.started_ms is None:
        return Quality(metric=goal.metric, target=goal.target)
    after = _side(points[first], run.started_ms, workload)
    if not first:
        return Quality(metric=goal.metric, target=goal.target, after=after)
    before = _side(points[first - 1], run.started_ms, workload)
    fraction = crossing_fraction(before["value"], after["value"], goal.target, goal.direction)
    shared = [name for name in before if name in after and name != "value"]
    crossing = {name: between(before[name], after[name], fraction) for name in shared}
    return Quality(metric=goal.metric, target=goal.target, before=before, after=after, crossing=crossing)


def _side(evaluation: Evaluation, started_ms: float, workload: MlperfLogs) -> dict[str, float]:
    side = {"minutes": (evaluation.time_ms - started_ms) / MS_PER_MINUTE, "value": evaluation.value}
    if workload.counted_in is not None and _is_number(evaluation.position):
        side[workload.counted_in] = evaluation.position
    return side


def _provenance(folder: ResultFolder, run: Run, sha256: str, factor: Factor) -> dict[str, Any]:
    system = folder.system
    facts: dict[str, Any] = {
        "ingested": {
            "source": SOURCE,
            "log": run.path,
            "sha256": sha256,
            "folder": folder.path,
            "round": folder.round,
            "benchmark": folder.benchmark,
            "submitter": None if system is None else system.submitter,
            "division": None if system is None else system.division,
            "system_id": folder.system_id,
            "system_description": None if system is None else dict(system.description),
            "compliance": list(run.problems) or "passes",
            "seeds": list(run.seeds),
            "global_batch_size": run.global_batch_size if _is_number(run.global_batch_size) else None,
            "broken_lines": run.broken_lines,
            "evaluations_not_finite": sum(not math.isfinite(e.value) for e in run.evaluations),
            "scaling_factor": {"value": factor.value, "basis": factor.basis},
        },
        "versions": {"seatrial": __version__, "mlperf-logging": metadata.version("mlperf-logging")},
    }
    if system is None:
        return facts
    if system.nodes is not None:
        facts["hosts"] = [{STATED: f"{system.nodes} x {system.name or folder.system_id}"}]
    if system.accelerators:
        facts["devices"] = [{STATED: f"{system.accelerators} x {system.accelerator_model or 'not named'}"}]
    return facts


def _is_number(value: float | None) -> TypeGuard[float]:
    """Whether a log's figure is there and finite: logs hold NaN too."""
    return value is not None and math.isfinite(value)


def _last_moment(run: Run) -> float | None:
    """run_stop, else the last moment that the log is known to have reached."""
    if run.stopped_ms is not None:
        return run.stopped_ms
    return max([e.time_ms for e in run.evaluations], default=run.started_ms)


def _iso(time_ms: float | None) -> str:
    """ISO 8601 in UTC; empty where the log does not say."""
    if time_ms is None:
        return ""
    try:
        return dt.datetime.fromtimestamp(time_ms / 1000, dt.UTC).isoformat(timespec="milliseconds")
    except (OverflowError, OSError, ValueError):
        return ""
