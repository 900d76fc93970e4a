"""One run of nccl-tests -> one Record, whatever became of the run.

completed               the run printed its footer, no result was wrong, bandwidths follow from sizes and times;
                        what was not checked has metrics of its own, unless the workload allows it
failed, wrong_result    results were wrong, or the output contradicts itself
failed, crashed, ...    the output says so, or ends before the run does
unsupported             nothing in it is a measurement of the operation (host time alone, sizes of 0 bytes)

The rows of a failed run that are sound stay in its record, where no analysis takes them for a result.
"""

from __future__ import annotations

from typing import Any

from seatrial import __version__
from seatrial.case import Case
from seatrial.config.ingested import NcclTestsLogs
from seatrial.config.probe.collective import Operation
from seatrial.ingest.nccl_tests.read import HandedRun
from seatrial.measure.ceilings.collective import collective_ceiling
from seatrial.nccl_tests.measured import NOT_STATED, Measured, measured
from seatrial.nccl_tests.run import ProgramRun, Statistic
from seatrial.record import Error, Outcome, Record

SOURCE = "output of nccl-tests handed over, not measured by Seatrial"
STATED = "stated in the output, not measured"
MOST = 20
"""Warnings and refused rows that a record keeps in words."""
WITH_CEILINGS = frozenset(Operation.__args__)  # type: ignore[attr-defined]


def record_of(case: Case, repeat: int, handed: HandedRun) -> Record:
    """The record of a run as repeat `repeat` (0-based) of a case of kind nccl_tests_logs.

    The same arguments give the same record.
    """
    workload = case.workload
    assert isinstance(workload, NcclTestsLogs)
    run = handed.run
    ranks = run.ranks or case.target.accelerators or case.target.world_size
    statistic, basis = _statistic(run, workload)
    bound = collective_ceiling(case.target, handed.operation, "nccl") if handed.operation in WITH_CEILINGS else None
    read = measured(run, handed.operation, ranks, statistic, bound, allow_unchecked=workload.allow_unchecked)
    outcome, error = _judged(run, read)
    return Record(
        study=case.study,
        case_id=case.case_id,
        repeat=repeat,
        seed=None,
        workload=workload.kind,
        target=case.target.name,
        outcome=outcome,
        error=error,
        started_at="",
        finished_at="",
        measurements=list(read.measurements),
        provenance=_provenance(handed, read, statistic, basis),
    )


def _statistic(run: ProgramRun, workload: NcclTestsLogs) -> tuple[Statistic | None, str]:
    if run.statistic is not None:
        return run.statistic, run.statistic_basis
    if workload.over_ranks is not None:
        return workload.over_ranks, "declared in the study (over_ranks)"
    return None, run.statistic_basis


def _judged(run: ProgramRun, read: Measured) -> tuple[Outcome, Error | None]:
    """What became of the run. A failure that the output tells comes before what is wrong in its rows."""
    if run.failures:
        return "failed", Error(kind=run.failures[0].kind, message=run.failures[0].message)
    bad = [entry for kind, entry in read.refused if kind.kind in ("wrong", "contradiction")]
    more = f" (and {len(bad) - 1} more)" if len(bad) > 1 else ""
    if bad:
        return "failed", Error(kind="wrong_result", message=bad[0].in_words() + more)
    if run.out_of_bounds:
        return "failed", Error(kind="wrong_result", message=f"out of bounds values: {run.out_of_bounds}")
    if not run.concluded:
        return "failed", Error(kind="crashed", message=f"{run.place}: the output ends before the run does")
    if not read.measurements:
        words = read.refused[0][1].in_words() if read.refused else f"{run.place}: the run has no rows"
        return "unsupported", Error(kind="unsupported", message=words)
    return "completed", None


def _provenance(handed: HandedRun, read: Measured, statistic: Statistic | None, basis: str) -> dict[str, Any]:
    run = handed.run
    facts: dict[str, Any] = {
        "ingested": {
            "source": SOURCE,
            "log": run.file,
            "place": run.place,
            "sha256": handed.sha256,
            "form": run.form,
            "program": run.program,
            "operation_basis": handed.operation_basis,
            "arguments": run.arguments,
            "settings": dict(run.settings),
            "ranks": run.ranks,
            "processes": run.processes,
            "over_ranks": {"value": statistic or NOT_STATED, "basis": basis},
            "out_of_bounds": run.out_of_bounds,
            "average_bus_bandwidth": run.average_bus_bandwidth,
            "below_minimum_bandwidth": run.below_minimum,
            "results_checked": all(side.checked for row in run.rows for _, side in row.sides),
            "started": run.started,
            "ended": run.ended,
            "rows": len(run.rows),
            "refused": [entry.in_words() for _, entry in read.refused[:MOST]],
            "refused_count": len(read.refused),
            "warnings": list(run.warnings[:MOST]),
        },
        "versions": {"seatrial": __version__, **run.versions},
    }
    if run.devices:
        facts["hosts"] = [{"name": host} for host in run.hosts]
        names = list(dict.fromkeys(device.name for device in run.devices))
        facts["devices"] = [{STATED: name} for name in names]
    return facts
