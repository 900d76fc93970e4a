"""Compose (Hydra) -> validate -> expand -> cases. The only package that imports hydra.

Groups are composed once for each distinct choice; value overrides and axes are applied to the plain result,
because a composition costs tens of milliseconds and a study may have thousands of cases.
"""

from __future__ import annotations

import datetime as dt
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from seatrial.case import Case
from seatrial.config import local, price_list, proposals
from seatrial.config.dates import refuse_future
from seatrial.config.loader import Origins, validate
from seatrial.config.study import Experiment, Study
from seatrial.errors import ConfigError
from seatrial.expansion import expand, refuse_twins
from seatrial.interpolations import Interpolations
from seatrial.long_lived import uncollected
from seatrial.plan.compose import apply, composed, plain, resolved, targets_of
from seatrial.plan.words import WORD_FORM, command_line_axes, parse_word, sort_words, sweep_values
from seatrial.planned import Plan
from seatrial.sweep import flatten

__all__ = ["WORD_FORM", "make_plan"]


@uncollected()
def make_plan(words: Sequence[str], conf: Path, today: dt.date | None = None) -> Plan:
    """Compose, validate and expand a study from `conf` and the user's words (`study=demo`, `target.nodes=4`).

    `today` only bounds the dates that figures may have; None takes the clock's.
    Raises ConfigError for every mistake in files or words. Writes nothing.
    """
    if not (conf / "config.yaml").is_file():
        raise ConfigError("no configuration here", file=conf / "config.yaml", allowed="a folder with config.yaml")
    sorted_words = sort_words(words, conf)
    config, origins = composed(sorted_words, conf)
    apply(config, sorted_words.values, origins)
    raw = plain(config, origins)
    raw["target"] = local.fill(raw.get("target") or {}, conf / "accelerator")
    price_list.fill(raw, conf, lambda: targets_of(conf))
    proposals.fill(raw, conf, lambda: targets_of(conf))
    extra_axes = command_line_axes(sorted_words.axes, raw)
    study: Study = validate(Study, resolved(raw, origins), origins)
    refuse_future(study, origins, today or dt.date.today())
    interpolations = Interpolations(raw, lambda changed: resolved(changed, origins))
    cases = []
    for name, experiment in study.experiments.items():
        cases += _expand(name, experiment, study, raw, extra_axes.get(name, {}), origins, interpolations)
    refuse_twins(cases)
    return Plan(study=study, cases=tuple(cases), words=tuple(words), origins=origins)


def _expand(
    name: str,
    experiment: Experiment,
    study: Study,
    raw: dict[str, Any],
    extra: Mapping[str, Any],
    origins: Origins,
    interpolations: Interpolations,
) -> list[Case]:
    """The cases of one experiment, in the order of its sweep."""
    prefix = f"experiments.{name}"
    declared = {**flatten(experiment.sweep.axes), **extra}
    axes = {key: _axis_values(key, value, prefix, origins) for key, value in declared.items()}
    return expand(name, experiment, axes, study, raw, origins, interpolations)


def _axis_values(key: str, value: Any, prefix: str, origins: Origins) -> list[Any]:
    place = f"{prefix}.sweep.axes.{key}"
    if key.split(".")[0] not in ("workload", "target") or "." not in key:
        raise ConfigError(
            "an axis is a key below workload or target",
            file=origins.of(place),
            key=place,
            value=key,
            allowed="workload.KEY or target.KEY",
        )
    if isinstance(value, list):
        return value
    if not isinstance(value, str):
        return [value]
    try:
        override = parse_word(f"{key}={value}")
        return sweep_values(override, value) if override.is_sweep_override() else [override.value()]
    except ConfigError as mistake:
        raise ConfigError(
            mistake.problem.replace("override", "axis"),
            file=origins.of(place),
            key=place,
            value=value,
            allowed="a list, or text in Hydra's sweep grammar: 1,2 or choice(a,b) or range(1,9,2)",
        ) from None
