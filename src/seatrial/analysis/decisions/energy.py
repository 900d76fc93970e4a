"""The energy of a training's repeats, as its sensors counted it while the training clock ran."""

from __future__ import annotations

from dataclasses import dataclass

from seatrial.analysis.decisions.basis import Basis
from seatrial.analysis.measurements import completed_rows
from seatrial.case import Case

JOULES_PER_KWH = 3.6e6
NOT_DEVICES = ("cpu", "dram", None)


@dataclass(frozen=True)
class Energy:
    """kWh of each completed repeat whose devices were all counted, and of what; none where `why` says why."""

    of: str
    kwh: tuple[float, ...]
    why: str


def energy(basis: Basis, case: Case) -> Energy:
    """Of all accelerators and all hosts' processors where both were counted, else of the ones that were."""
    rows = [
        row
        for row in completed_rows(basis.measurements, case.case_id, "telemetry.energy")
        if row.labels.get("scope") == "training"
    ]
    accelerators = _whole(
        [(r.repeat, r.median) for r in rows if r.labels.get("device") not in NOT_DEVICES], case.target.accelerators
    )
    processors = _whole([(r.repeat, r.median) for r in rows if r.labels.get("device") == "cpu"], case.target.nodes)
    both = sorted(accelerators.keys() & processors.keys())
    if both:
        return Energy("accelerators and processors", tuple(accelerators[n] + processors[n] for n in both), "")
    for of, found in (("accelerators", accelerators), ("processors", processors)):
        if found:
            return Energy(of, tuple(found[n] for n in sorted(found)), "")
    return Energy("", (), basis.energy_notes.get(case.case_id, "no sensor answered"))


def _whole(joules: list[tuple[int, float]], devices: int) -> dict[int, float]:
    """kWh by repeat, of those in which all `devices` were counted: part of them is not the whole."""
    by_repeat: dict[int, list[float]] = {}
    for repeat, value in joules:
        by_repeat.setdefault(repeat, []).append(value)
    return {n: sum(each) / JOULES_PER_KWH for n, each in by_repeat.items() if devices and len(each) == devices}
