"""Cases of an experiment: the points of its sweep, each set into the composed configuration and validated."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from seatrial.case import Case, TargetFacts, case_id
from seatrial.config.known_parts import Known
from seatrial.config.loader import Origins
from seatrial.config.study import Experiment, Study
from seatrial.config.target import Target
from seatrial.config.workload import AnyWorkload
from seatrial.errors import ConfigError
from seatrial.interpolations import Interpolations
from seatrial.sweep import SweepMistake, points

Raw = dict[str, Any]


def expand(
    name: str,
    experiment: Experiment,
    axes: Mapping[str, Sequence[Any]],
    study: Study,
    raw: Raw,
    origins: Origins,
    interpolations: Interpolations,
) -> list[Case]:
    """The cases of one experiment, in the order of its sweep.

    `raw` is the composed configuration with its `interpolations`, which are resolved with the values of the axes
    that can change what they become.
    Raises ConfigError for a sweep that cannot be expanded or a point that the schemas refuse.
    """
    try:
        found = points(axes, experiment.sweep.zip, experiment.sweep.exclude)
    except SweepMistake as mistake:
        key = f"experiments.{name}.sweep.{mistake.key}"
        raise ConfigError(
            mistake.problem, file=origins.of(key), key=key, value=mistake.value, allowed=mistake.allowed
        ) from None
    return _Expansion(name, experiment, axes, study, raw, origins, interpolations).cases(found)


class _Expansion:
    """One experiment's cases. Points share what no axis changes: of workload and target what was validated, of the
    configuration what was resolved. Ten thousand cases hold one target once."""

    def __init__(
        self,
        name: str,
        experiment: Experiment,
        axes: Mapping[str, Sequence[Any]],
        study: Study,
        raw: Raw,
        origins: Origins,
        interpolations: Interpolations,
    ) -> None:
        self.name, self.experiment, self.study, self.raw = name, experiment, study, raw
        self.resolve = interpolations.resolve
        self.place = f"experiments.{name}"
        absolute = {_absolute(key, self.place): key for key in axes}
        self.origins = origins.swept({key: f"{self.place}.sweep.axes.{axis}" for key, axis in absolute.items()})
        fed = interpolations.feeding({key: axes[axis] for key, axis in absolute.items()})
        self.feeding = [key for key in axes if _absolute(key, self.place) in fed]
        """The axes that are set before interpolations are resolved; the others are set into what came of it."""
        self.of_target = [key for key in axes if key.startswith("target.") or key in self.feeding]
        self.of_workload = [key for key in axes if not key.startswith("target.") or key in self.feeding]
        self.resolved: dict[str, Raw] = {}
        self.workloads: dict[str, AnyWorkload] = {}
        self.targets: dict[str, tuple[Target, str]] = {}
        """Each with its part of the case's id."""
        self.known_workload, self.known_target = Known(AnyWorkload), Known(Target)
        self.facts = TargetFacts()

    def cases(self, found: Sequence[Raw]) -> list[Case]:
        return [self._case(point) for point in found]

    def _case(self, point: Raw) -> Case:
        workload, (target, facts) = self._parts(point)
        experiment, study = self.experiment, self.study
        return Case(
            case_id=case_id(self.name, workload, target, study.base_seed, facts),
            study=study.name,
            experiment=self.name,
            repeats=experiment.repeats,
            base_seed=study.base_seed,
            axes=point,
            workload=workload,
            target=target,
        )

    def _parts(self, point: Raw) -> tuple[AnyWorkload, tuple[Target, str]]:
        """Workload and target of a point, validated where none of its values were met before."""
        of_workload, of_target = (repr([point[key] for key in k]) for k in (self.of_workload, self.of_target))
        if of_workload not in self.workloads or of_target not in self.targets:
            base = self._base(point)
            if of_workload not in self.workloads:
                self.workloads[of_workload] = self._workload(point, base)
            if of_target not in self.targets:
                target = self._target(point, base)
                self.targets[of_target] = (target, self.facts.of(target))
        return self.workloads[of_workload], self.targets[of_target]

    def _base(self, point: Raw) -> Raw:
        """The configuration, resolved with the values of the axes that feed interpolations, without the others'."""
        values = {key: point[key] for key in self.feeding}
        known = repr(values)
        if known not in self.resolved:
            changed = self.raw
            for key, value in values.items():
                changed = _with(changed, _absolute(key, self.place).split("."), value)
            self.resolved[known] = self.resolve(changed)
        return self.resolved[known]

    def _set(self, point: Raw, part: str, content: Raw) -> Raw:
        """`content`, which is `workload` or `target`, with the values of the axes that feed nothing in it."""
        for key, value in point.items():
            first, *below = key.split(".")
            if first == part and key not in self.feeding:
                content = _with(content, below, value)
        return content

    def _workload(self, point: Raw, base: Raw) -> AnyWorkload:
        if not point:
            return self.experiment.workload
        content = self._set(point, "workload", base["experiments"][self.name]["workload"])
        found: AnyWorkload = self.known_workload.validate(content, self.origins, f"{self.place}.workload")
        return found

    def _target(self, point: Raw, base: Raw) -> Target:
        if not point:
            return self.study.target
        found: Target = self.known_target.validate(
            self._set(point, "target", base["target"]), self.origins, "target"
        )
        return found


def _absolute(axis: str, experiment: str) -> str:
    """The key that an axis sets: `workload.m` -> `experiments.gemm.workload.m`, `target.nodes` as it is."""
    return axis if axis.startswith("target.") else f"{experiment}.{axis}"


def _with(root: Raw, parts: Sequence[str], value: Any) -> Raw:
    """`root` with one value set: copies along the way there, all else shared; what is no mapping makes way."""
    first, rest = parts[0], parts[1:]
    if not rest:
        return {**root, first: value}
    below = root.get(first)
    return {**root, first: _with(below if isinstance(below, dict) else {}, rest, value)}


def refuse_twins(cases: Sequence[Case]) -> None:
    """Raise ConfigError where two cases are the same: one record cannot stand for two points."""
    seen: dict[str, Case] = {}
    for case in cases:
        twin = seen.setdefault(case.case_id, case)
        if twin is not case:
            raise ConfigError(
                "two points of the sweep are the same case",
                key=f"experiments.{case.experiment}.sweep",
                value=case.axes,
                allowed=f"points that differ; the other is {twin.axes}",
            )
