"""Cases of an experiment: the points of its sweep, each set into the composed configuration and validated."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

from seatrial.case import Case, case_id, target_facts
from seatrial.config.loader import Origins, validate
from seatrial.config.study import Experiment, Study
from seatrial.config.target import Target
from seatrial.config.workload import AnyWorkload
from seatrial.errors import ConfigError
from seatrial.sweep import SweepMistake, points

Raw = dict[str, Any]
INTERPOLATION = "${"


def expand(
    name: str,
    experiment: Experiment,
    axes: Mapping[str, Sequence[Any]],
    study: Study,
    raw: Raw,
    origins: Origins,
    resolve: Callable[[Raw], Raw],
) -> list[Case]:
    """The cases of one experiment, in the order of its sweep.

    `raw` is the composed configuration with its interpolations, which `resolve` resolves for every point.
    Raises ConfigError for a sweep that cannot be expanded or a point that the schemas refuse.
    """
    try:
        found = points(axes, experiment.sweep.zip, experiment.sweep.exclude)
    except SweepMistake as mistake:
        key = f"experiments.{name}.sweep.{mistake.key}"
        raise ConfigError(
            mistake.problem, file=origins.of(key), key=key, value=mistake.value, allowed=mistake.allowed
        ) from None
    return _Expansion(name, experiment, list(axes), study, raw, origins, resolve).cases(found)


class _Expansion:
    """One experiment's cases. Points that agree in all axes of the target share one target, and so the workload:
    it is validated once, and ten thousand cases hold it once."""

    def __init__(
        self,
        name: str,
        experiment: Experiment,
        axes: list[str],
        study: Study,
        raw: Raw,
        origins: Origins,
        resolve: Callable[[Raw], Raw],
    ) -> None:
        self.name, self.experiment, self.study, self.raw = name, experiment, study, raw
        self.origins, self.resolve = origins, resolve
        place = f"experiments.{name}"
        self.of_target = [key for key in axes if key.startswith("target.")]
        self.of_workload = [key for key in axes if not key.startswith("target.")]
        self.swept = {_absolute(key, place): f"{place}.sweep.axes.{key}" for key in axes}
        self.workloads: dict[str, AnyWorkload] = {}
        self.targets: dict[str, tuple[Target, str]] = {}
        """Each with its part of the case's id."""
        self.resolved_as_is = INTERPOLATION not in repr((raw["target"], raw["experiments"][name]))

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
        if self.resolved_as_is and INTERPOLATION not in repr(point):
            of_workload, of_target = (repr([point[key] for key in k]) for k in (self.of_workload, self.of_target))
        else:
            of_workload = of_target = repr(point)  # anything may follow from any axis
        if of_workload not in self.workloads or of_target not in self.targets:
            changed = self._changed(point)
            if of_workload not in self.workloads:
                self.workloads[of_workload] = self._workload(point, changed)
            if of_target not in self.targets:
                target = self._target(point, changed)
                self.targets[of_target] = (target, target_facts(target))
        return self.workloads[of_workload], self.targets[of_target]

    def _changed(self, point: Raw) -> Raw:
        """The configuration with a point's values in it; what no axis changes is shared with `raw`."""
        changed = self.raw
        for key, value in point.items():
            changed = _with(changed, _absolute(key, f"experiments.{self.name}").split("."), value)
        return changed if self.resolved_as_is and INTERPOLATION not in repr(point) else self.resolve(changed)

    def _workload(self, point: Raw, changed: Raw) -> AnyWorkload:
        if not point:
            return self.experiment.workload
        found: AnyWorkload = validate(
            AnyWorkload,
            changed["experiments"][self.name]["workload"],
            self.origins.swept(self.swept),
            f"experiments.{self.name}.workload",
        )
        return found

    def _target(self, point: Raw, changed: Raw) -> Target:
        if not point:
            return self.study.target
        found: Target = validate(Target, changed["target"], self.origins.swept(self.swept), "target")
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
