"""How fast a system gives runs to a quality: stated, measured in this or another study, or a published median.

From handing in a run to its result it takes the wait in the queue, the time to quality and what a run takes besides
(start, evaluations, checkpoints). `at_once` runs go side by side; a run that ends without a result is run again and
has taken as long as one that has one.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import get_args

import numpy as np

from seatrial.analysis.decisions.basis import Basis, read_basis
from seatrial.analysis.decisions.decision import Input, assumed
from seatrial.analysis.decisions.measured_pace import UPPER_END, Measured, Role, measured_pace, published_pace
from seatrial.analysis.decisions.propagation import Draws
from seatrial.analysis.decisions.words import SHARE
from seatrial.analysis.inputs import is_training
from seatrial.case import Case
from seatrial.config.time_to_revenue import OtherSystem, System
from seatrial.paths import StudyPaths

HOURS_PER_WEEK = 7 * 24.0
LONGER = "run time over the measured"
"""The name of the input by which the decisions' runs are longer than the measured one."""
NEEDED: tuple[Role, ...] = ("time to quality", "queue", "runs at once")
UNITS: Mapping[Role, str] = {
    "runs per week": "runs/week",
    "time to quality": "h",
    "time besides": "h",
    "queue": "h",
    "runs at once": "",
    "completed share": SHARE,
    "luck": "",
}
STATED: Mapping[str, Role] = {
    "runs_per_week": "runs per week",
    "run_hours": "time to quality",
    "queue_hours": "queue",
    "runs_at_once": "runs at once",
    "completed_share": "completed share",
}
"""Which field of the configuration states which input."""


@dataclass(frozen=True)
class Pace:
    """What is known of a system's pace: its inputs by role, what they rest on, and what is missing."""

    name: str
    roles: Mapping[Role, Input]
    measured: bool = False
    """Whether the time to quality is that of another, measured or published, run: `LONGER` applies to it."""
    evidence: tuple[str, ...] = ()
    missing: tuple[str, ...] = ()
    where: str | None = None

    @property
    def is_known(self) -> bool:
        """Whether the runs per week follow from the inputs."""
        return "runs per week" in self.roles or all(role in self.roles for role in NEEDED)

    @property
    def inputs(self) -> list[Input]:
        """The inputs of this system, each with the system's name in its own."""
        return [self.roles[role] for role in get_args(Role) if role in self.roles]

    def hours(self, of: Mapping[str, Draws]) -> Draws:
        """Hours from handing in one run to its end, wait included."""
        if "runs per week" in self.roles:
            return HOURS_PER_WEEK / self._of("runs per week", of)
        time = self._of("time to quality", of) * self._of("luck", of, 1.0)
        if self.measured and LONGER in of:
            time = time * of[LONGER]
        return self._of("queue", of) + time + self._of("time besides", of, 0.0)

    def runs_per_week(self, of: Mapping[str, Draws]) -> Draws:
        """Runs with a result per week, with as many at once as the system does."""
        return HOURS_PER_WEEK * self.at_once(of) * self.completed(of) / self.hours(of)

    def at_once(self, of: Mapping[str, Draws]) -> Draws:
        """Runs side by side."""
        return self._of("runs at once", of, 1.0)

    def completed(self, of: Mapping[str, Draws]) -> Draws:
        """The share of runs that end with a result."""
        return self._of("completed share", of, 1.0)

    def _of(self, role: Role, of: Mapping[str, Draws], otherwise: float | None = None) -> Draws:
        if role in self.roles:
            return of[self.roles[role].name]
        if otherwise is None:
            raise ValueError(f"{self.name}: the {role} is not known")
        return np.array([otherwise])


def pace_of(basis: Basis, system: System, case: Case | None, runs: float) -> Pace:
    """The pace of the system under study; `case` None where all of it is stated.

    `runs` is how many runs are to come: the more, the less chance matters for their sum.
    """
    name = system.name or (case.target.name if case is not None else "this system")
    found = Measured() if case is None or system.is_stated else measured_pace(basis, case, runs)
    return _named(name, system, found, case)


def other_pace(basis: Basis, other: OtherSystem, case: Case | None, runs: float, than: Pace) -> Pace:
    """The pace of what is compared with. Raises UnreadableFile where the other study's files are not there."""
    if other.published_median:
        assert case is not None and other.name is not None
        found = published_pace(basis, case)
        return replace(_named(other.name, other, found, case), where="published")
    if other.results is None:
        assert other.name is not None
        return _named(other.name, other, Measured(), None)
    there = read_basis(StudyPaths(Path(other.results).expanduser()))
    name = other.name or there.study.target.name
    if name == than.name:
        name = f"{name} ({there.study.name})" if there.study.name not in name else f"{name} (compared)"
    equal, why = _equal(there, other, case)
    if equal is None:
        return Pace(name, {}, missing=(f"{name}: {why}",))
    found = measured_pace(there, equal, runs)
    pace = _named(name, other, found, equal)
    return replace(pace, where=f"{equal.experiment} case {equal.case_id} of {there.study.name}")


def _equal(there: Basis, other: OtherSystem, case: Case | None) -> tuple[Case | None, str]:
    """The case of the other study that stands for this one, or why there is none."""
    experiment = other.experiment or (case.experiment if case is not None else None)
    cases = [c for c in there.cases.values() if is_training(c)]
    named = [c for c in cases if experiment is None or c.experiment == experiment]
    if len(named) > 1 and case is not None:
        named = [c for c in named if c.axes == case.axes]
    if len(named) != 1:
        what = f"experiment {experiment}" if experiment else "experiment"
        return None, f"{there.paths.root} has {len(named)} trainings of {what} with these axes, not one"
    (found,) = named
    if case is not None and _quality(case) != _quality(found):
        return None, f"it trains to {_quality(found)}, this study to {_quality(case)}"
    return found, ""


def _quality(case: Case) -> str:
    """To what a case trains, in words."""
    quality = getattr(case.workload, "quality", None)
    if quality is None:
        return getattr(case.workload, "benchmark", None) or case.workload.kind
    return f"{case.workload.kind} with {quality.metric} {quality.target:g}"


def _named(name: str, system: System, found: Measured, case: Case | None) -> Pace:
    """Stated inputs over measured ones, with the system's name in each."""
    roles = {role: replace(one, name=f"{role}, {name}") for role, one in found.inputs.items()}
    for key, role in STATED.items():
        stated = getattr(system, key)
        if stated is not None:
            roles[role] = assumed(f"{role}, {name}", stated, UNITS[role])
    measured = system.run_hours is None and "time to quality" in roles
    if not measured:
        # they belong to the measured run
        roles.pop("time besides", None)
        roles.pop("luck", None)
    if "runs per week" in roles:
        return Pace(name, {"runs per week": roles["runs per week"]})
    unstated = [what for what in found.missing if what not in roles and (measured or what != UPPER_END)]
    lacking = tuple(f"{name}: {found.missing[what]}" for what in unstated)
    rests_on = tuple(words for what, words in found.evidence.items() if getattr(system, what) is None)
    where = f"{case.experiment} case {case.case_id}" if case is not None else None
    return Pace(name, roles, measured, rests_on, lacking, where)
