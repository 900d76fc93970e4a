"""One result of a storage benchmark -> one Record, whatever became of the run."""

from __future__ import annotations

from typing import Any

from seatrial import __version__
from seatrial.case import Case
from seatrial.config.ingested import FioResults, MlperfStorageResults
from seatrial.config.target import Storage, Target
from seatrial.errors import ConfigError
from seatrial.ingest.storage.result import Direction, Reading, StorageResult
from seatrial.record import Measurement, Record, measurement

SOURCE = "results handed over, not measured by Seatrial"


def record_of(case: Case, repeat: int, result: StorageResult) -> Record:
    """The record of a result as repeat `repeat` (0-based) of its case. The same arguments give the same record.

    Raises ConfigError where the workload names a storage that the target has not.
    """
    workload = case.workload
    assert isinstance(workload, FioResults | MlperfStorageResults)
    storage = storage_of(case)
    hosts = result.host_count or case.target.nodes
    return Record(
        study=case.study,
        case_id=case.case_id,
        repeat=repeat,
        seed=None,
        workload=workload.kind,
        target=case.target.name,
        outcome=result.outcome,
        error=result.error,
        started_at=result.started,
        finished_at=result.ended,
        measurements=[_measurement(reading, storage, hosts) for reading in result.readings],
        provenance=_provenance(result),
    )


def storage_of(case: Case) -> Storage | None:
    """The storage that the results are of, where the workload names one.

    Raises ConfigError where the target has none of that name.
    """
    workload, target = case.workload, case.target
    assert isinstance(workload, FioResults | MlperfStorageResults)
    if workload.storage is None:
        return None
    if workload.storage not in target.storage:
        raise ConfigError(
            f"target {target.name} has no storage of this name",
            key=f"experiments.{case.experiment}.workload.storage",
            value=workload.storage,
            allowed=_names(target),
        )
    return target.storage[workload.storage]


def _names(target: Target) -> str:
    return ", ".join(["null", *sorted(target.storage)])


def ceiling_of(storage: Storage, direction: Direction, hosts: int) -> tuple[float, str] | None:
    """GB/s that the storage allows so many hosts together: its own rate, or theirs where that is less."""
    bounds = []
    whole = getattr(storage, f"{direction}_gbps")
    each = getattr(storage, f"{direction}_gbps_per_node")
    if whole is not None and whole.value is not None:
        bounds.append((float(whole.value), f"{direction} rate of {storage.name}: {whole.source}"))
    if each is not None and each.value is not None:
        basis = f"{direction} rate of {storage.name} for each of {hosts} nodes: {each.source}"
        bounds.append((float(each.value) * hosts, basis))
    return min(bounds, default=None)


def _measurement(reading: Reading, storage: Storage | None, hosts: int) -> Measurement:
    bound = ceiling_of(storage, reading.bounded, hosts) if storage is not None and reading.bounded else None
    value, basis = bound if bound else (None, None)
    return measurement(reading.metric, reading.samples, dict(reading.labels), value, basis)


def _provenance(result: StorageResult) -> dict[str, Any]:
    facts: dict[str, Any] = {
        "ingested": {
            "source": SOURCE,
            "log": result.place,
            "place": result.place,
            "sha256": result.sha256,
            "suite": result.suite,
            "model": result.model,
            "processes": result.processes,
            "host_count": result.host_count,
            **result.facts,
        },
        "versions": {"seatrial": __version__, **result.versions},
    }
    if result.hosts:
        facts["hosts"] = [{"name": host} for host in result.hosts]
    return facts
