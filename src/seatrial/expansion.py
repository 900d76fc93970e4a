"""Cases of an experiment: the points of its sweep, each set into the composed configuration and validated."""

from __future__ import annotations

import copy
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from seatrial.case import Case, case_id
from seatrial.config.loader import Origins, validate
from seatrial.config.study import Experiment, Study
from seatrial.config.target import Target
from seatrial.config.workload import AnyWorkload
from seatrial.errors import ConfigError
from seatrial.sweep import SweepMistake, points

Raw = dict[str, Any]


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
    return [_case(name, point, study, raw, experiment, origins, resolve) for point in found]


def _case(
    name: str,
    point: Raw,
    study: Study,
    raw: Raw,
    experiment: Experiment,
    origins: Origins,
    resolve: Callable[[Raw], Raw],
) -> Case:
    workload, target = experiment.workload, study.target
    if point:
        changed = {**raw, "target": copy.deepcopy(raw["target"]), "experiments": {**raw["experiments"]}}
        changed["experiments"][name] = copy.deepcopy(raw["experiments"][name])
        for key, value in point.items():
            root = changed if key.startswith("target.") else changed["experiments"][name]
            _set(root, key.split("."), value)
        changed = resolve(changed)
        place = f"experiments.{name}"
        swept = origins.swept({_absolute(key, place): f"{place}.sweep.axes.{key}" for key in point})
        workload = validate(AnyWorkload, changed["experiments"][name]["workload"], swept, f"{place}.workload")
        target = validate(Target, changed["target"], swept, "target")
    return Case(
        case_id=case_id(name, workload, target, study.base_seed),
        study=study.name,
        experiment=name,
        repeats=experiment.repeats,
        base_seed=study.base_seed,
        axes=point,
        workload=workload,
        target=target,
    )


def _absolute(axis: str, experiment: str) -> str:
    """The key that an axis sets: `workload.m` -> `experiments.gemm.workload.m`, `target.nodes` as it is."""
    return axis if axis.startswith("target.") else f"{experiment}.{axis}"


def _set(root: dict[str, Any], parts: list[str], value: Any) -> None:
    for part in parts[:-1]:
        if not isinstance(root.get(part), dict):
            root[part] = {}
        root = root[part]
    root[parts[-1]] = value


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
