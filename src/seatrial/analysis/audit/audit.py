"""The audit of a folder of logs: what was read, what it says, what it is that holds the workloads back."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from seatrial import __version__
from seatrial.analysis.audit.activity import Activity, activities
from seatrial.analysis.audit.observe import observe, unknown
from seatrial.analysis.audit.workloads import Workload, workloads
from seatrial.analysis.findings.diagnose import diagnose
from seatrial.analysis.findings.observed import Estimate, Finding, Observed
from seatrial.config.findings import FindingRules
from seatrial.ingest.audit.read import FolderReading, read_folder

SCHEMA_VERSION = 1


@dataclass(frozen=True)
class Audited:
    """One workload's logs, judged."""

    workload: Workload
    observed: Observed
    activity: tuple[Activity, ...]
    findings: tuple[Finding, ...]
    unknown: tuple[str, ...]


@dataclass(frozen=True)
class Audit:
    """All workloads of a folder."""

    folder: str
    reading: FolderReading
    workloads: tuple[Audited, ...]


def audit(folder: Path, rules: FindingRules) -> Audit:
    """Read and judge all logs below `folder`; the same logs give the same.

    Raises UnreadableFile where there is no log of a known form.
    """
    reading = read_folder(folder)
    name = folder.resolve().name or str(folder)
    return Audit(name, reading, tuple(_judged(workload, name, rules) for workload in workloads(reading.files)))


def _judged(workload: Workload, name: str, rules: FindingRules) -> Audited:
    observed = observe(workload, f"{name}/{workload.name}" if workload.name else name, rules)
    return Audited(
        workload,
        observed,
        activities(workload.devices),
        tuple(diagnose(observed, rules)),
        unknown(workload, observed),
    )


def document(found: Audit) -> dict[str, Any]:
    """The audit as JSON: the names of findings.json, shares from 0 to 1, seconds."""
    return {
        "schema_version": SCHEMA_VERSION,
        "seatrial_version": __version__,
        "folder": found.folder,
        "files": [
            {"file": one.file, "formats": list(one.formats), "read": one.read, "skipped": dict(one.skipped)}
            for one in found.reading.files
        ],
        "not_read": [{"file": remark.place, "reason": remark.problem} for remark in found.reading.remarks],
        "workloads": [_workload(one) for one in found.workloads],
    }


def _workload(one: Audited) -> dict[str, Any]:
    seen = one.observed
    return {
        "where": seen.where,
        "files": list(one.workload.files),
        "repeated": list(one.workload.repeated),
        "notes": [f"{file}: {note}" for file, log in one.workload.trainings for note in log.notes],
        "runs": seen.runs,
        "ranks": seen.ranks,
        "hosts": list(seen.hosts),
        "seconds": seen.whole_seconds,
        "step_seconds": _estimate(seen.step_seconds),
        "productive_fraction": _estimate(seen.productive),
        "shares": {part: _estimate(share) for part, share in seen.shares.items()},
        "split_note": seen.split_note,
        "stalls": None if seen.noise is None else asdict(seen.noise),
        "lateness": None if seen.lateness is None else asdict(seen.lateness),
        "mfu": _estimate(seen.mfu),
        "checkpoints": None if seen.storage is None else _checkpoints(seen),
        "devices": [asdict(activity) for activity in one.activity],
        "failures": [asdict(failure) for failure in seen.failures],
        "findings": [asdict(finding) for finding in one.findings],
        "unknown": list(one.unknown),
    }


def _checkpoints(seen: Observed) -> dict[str, Any]:
    assert seen.storage is not None
    return {"stall_seconds": seen.storage.stall_seconds, "interval_seconds": seen.storage.interval_seconds}


def _estimate(figure: Estimate | None) -> dict[str, Any] | None:
    return None if figure is None else asdict(figure)
