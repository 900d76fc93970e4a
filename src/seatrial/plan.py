"""Compose (Hydra) -> validate -> expand -> cases. The only module that imports hydra.

Groups are composed once for each distinct choice; value overrides and axes are applied to the plain result,
because a composition costs tens of milliseconds and a study may have thousands of cases.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import yaml
from hydra import compose, initialize_config_dir
from hydra.core.global_hydra import GlobalHydra
from hydra.core.override_parser.overrides_parser import OverridesParser
from hydra.core.override_parser.types import ChoiceSweep, Override, QuotedString, RangeSweep
from hydra.errors import HydraException, MissingConfigException
from omegaconf import DictConfig, OmegaConf
from omegaconf.errors import OmegaConfBaseException

from seatrial.case import Case
from seatrial.config import local, price_list
from seatrial.config.loader import COMMAND_LINE, Origins, validate
from seatrial.config.study import Experiment, Study
from seatrial.errors import ConfigError, nearest_name
from seatrial.expansion import expand, refuse_twins
from seatrial.planned import Plan
from seatrial.sweep import flatten

WORD_FORM = (
    "an override in Hydra's grammar, key=value, quoted as one word: "
    '--config \'overrides=["base_seed=2","target.nodes=choice(1,2)"]\''
)


@dataclass
class _Words:
    """The user's words, sorted by what they do."""

    groups: list[str] = field(default_factory=list)
    values: list[Override] = field(default_factory=list)
    axes: list[tuple[str, list[Any]]] = field(default_factory=list)


def make_plan(words: Sequence[str], conf: Path) -> Plan:
    """Compose, validate and expand a study from `conf` and the user's words (`study=demo`, `target.nodes=4`).

    Raises ConfigError for every mistake in files or words. Writes nothing.
    """
    if not (conf / "config.yaml").is_file():
        raise ConfigError("no configuration here", file=conf / "config.yaml", allowed="a folder with config.yaml")
    sorted_words = _sort_words(words, conf)
    config, origins = _composed(sorted_words, conf)
    _apply(config, sorted_words.values, origins)
    raw = _plain(config, origins)
    raw["target"] = local.fill(raw.get("target") or {}, conf / "accelerator")
    price_list.fill(raw, conf, lambda: _targets(conf))
    extra_axes = _command_line_axes(sorted_words.axes, raw)
    study: Study = validate(Study, _resolved(raw, origins), origins)
    cases = []
    for name, experiment in study.experiments.items():
        cases += _expand(name, experiment, study, raw, extra_axes.get(name, {}), origins)
    refuse_twins(cases)
    return Plan(study=study, cases=tuple(cases), words=tuple(words), origins=origins)


def parse_word(word: str) -> Override:
    """One override in Hydra's grammar.

    Raises ConfigError, with the quoted form, where it does not parse.
    """
    try:
        override: Override = OverridesParser.create().parse_override(word)
    except HydraException as problem:
        first = str(problem).splitlines()[0]
        raise ConfigError(
            f"this override does not parse: {first}",
            file=COMMAND_LINE,
            key="overrides",
            value=word,
            allowed=WORD_FORM,
        ) from None
    return override


def _sort_words(words: Iterable[str], conf: Path) -> _Words:
    groups = {p.name for p in conf.iterdir() if p.is_dir()}
    out = _Words()
    for word in words:
        override = parse_word(word)
        key = override.key_or_group
        is_group = override.package is not None or key in groups
        if override.is_sweep_override():
            if is_group:
                raise ConfigError(
                    "a config group takes one choice here, not a sweep",
                    file=COMMAND_LINE,
                    key=key,
                    value=word.split("=", 1)[1],
                    allowed=_options(conf, key) or "one option",
                )
            out.axes.append((key, _sweep_values(override, word)))
        elif is_group:
            _check_choice(override, word, conf)
            out.groups.append(word)
        else:
            out.values.append(override)
    return out


def _check_choice(override: Override, word: str, conf: Path) -> None:
    """Refuse a choice that is no option's name: a number, null, a list, a path out of the folder."""
    choice = override.value()
    if override.is_delete() or (isinstance(choice, str) and re.fullmatch(r"[\w-]+(/[\w-]+)*", choice)):
        return
    raise ConfigError(
        f"this is no name of a {override.key_or_group}",
        file=COMMAND_LINE,
        key=override.key_or_group,
        value=word.partition("=")[2],
        allowed=_options(conf, override.key_or_group) or "one option",
    )


def _sweep_values(override: Override, word: str) -> list[Any]:
    """The values of a list, choice or range sweep; what has no fixed order or end is refused."""
    sweep = override.value()
    if not isinstance(sweep, ChoiceSweep | RangeSweep) or sweep.shuffle:
        raise ConfigError(
            "this sweep cannot be planned",
            key=override.key_or_group,
            value=word,
            allowed="a list (1,2), choice(...) or range(...), not shuffled; no glob or interval",
        )
    return [_bare(value) for value in override.sweep_iterator()]


def _bare(value: Any) -> Any:
    if isinstance(value, QuotedString):
        return value.text
    if isinstance(value, list):
        return [_bare(v) for v in value]
    return value


def _options(conf: Path, group: str) -> list[str]:
    return sorted(p.stem for p in (conf / group).glob("*.yaml"))


def _composed(words: _Words, conf: Path) -> tuple[DictConfig, Origins]:
    """The composition of the chosen groups, and where its keys come from."""
    GlobalHydra.instance().clear()
    try:
        with initialize_config_dir(config_dir=str(conf.resolve()), version_base="1.3"):
            config = compose("config", overrides=words.groups, return_hydra_config=True)
    except UnicodeDecodeError as problem:
        raise ConfigError(f"not UTF-8: {problem.reason}", file=_undecodable(conf) or conf) from None
    except MissingConfigException as problem:
        raise _missing_option(problem, conf) from None
    except yaml.MarkedYAMLError as problem:
        place = problem.problem_mark
        raise ConfigError(
            f"not YAML: {problem.problem}{f' (line {place.line + 1})' if place else ''}",
            file=place.name if place else conf,
        ) from None
    except (HydraException, OmegaConfBaseException) as problem:
        text = str(problem).replace("\n", " ")
        raise ConfigError(f"cannot compose: {text}", file=conf, value=" ".join(words.groups) or None) from None
    choices: dict[str, str] = dict(config.hydra.runtime.choices)
    files = {}
    for key, option in choices.items():
        group, _, package = key.partition("@")
        if option is not None and not group.startswith("hydra"):
            files[package or group] = conf / group / f"{option}.yaml"
    OmegaConf.set_struct(config, False)
    del config["hydra"]
    if "name" not in config and choices.get("study"):
        config["name"] = str(choices["study"]).replace("/", "-")
    overridden = {o.key_or_group for o in words.values} | {key for key, _ in words.axes}
    return config, Origins(files.get("study"), files, overridden)


def _targets(conf: Path) -> dict[str, dict[str, Any]]:
    """Every target of `conf`, composed by itself, by name."""
    targets = {}
    with initialize_config_dir(config_dir=str(conf.resolve()), version_base="1.3"):
        for name in _options(conf, "target"):
            try:
                composed = OmegaConf.to_container(compose(f"target/{name}"), resolve=True)
            except (HydraException, OmegaConfBaseException, yaml.MarkedYAMLError) as problem:
                text = str(problem).replace("\n", " ")
                raise ConfigError(
                    f"cannot compose this target: {text}", file=conf / "target" / f"{name}.yaml"
                ) from None
            assert isinstance(composed, dict)
            # a group's option stands under the group's name, unless its file says otherwise
            targets[name] = dict(composed.get("target", composed))
    return targets


def _undecodable(conf: Path) -> Path | None:
    """The first configuration file that is not UTF-8."""
    for path in sorted(conf.rglob("*.yaml")):
        try:
            path.read_text(encoding="utf-8")
        except UnicodeDecodeError:
            return path
    return None


def _missing_option(problem: MissingConfigException, conf: Path) -> ConfigError:
    group, _, option = (problem.missing_cfg_file or "").rpartition("/")
    options = _options(conf, group) if group else []
    return ConfigError(
        f"there is no {group or 'config'} of this name",
        file=conf / group,
        key=group or None,
        value=option,
        allowed=", ".join(options) or "(the folder has no YAML files)",
        nearest=nearest_name(option, options),
    )


def _apply(config: DictConfig, overrides: Iterable[Override], origins: Origins) -> None:
    """Apply value overrides; unknown keys are left to the schema, which knows what is allowed."""
    experiments = config.get("experiments")
    for override in overrides:
        key = override.key_or_group
        named = key.split(".")[1] if key.startswith("experiments.") else None
        added = override.is_add() or override.is_force_add()
        if named and not added and isinstance(experiments, DictConfig) and named not in experiments:
            raise ConfigError(
                "the study has no experiment of this name",
                file=COMMAND_LINE,
                key=key,
                value=named,
                allowed=[str(name) for name in experiments],
            )
        try:
            if override.is_delete():
                parent, _, leaf = key.rpartition(".")
                del (OmegaConf.select(config, parent, throw_on_missing=True) if parent else config)[leaf]
            else:
                OmegaConf.update(config, key, override.value(), merge=True, force_add=True)
        except (OmegaConfBaseException, KeyError, TypeError, AttributeError, ValueError) as problem:
            raise ConfigError(
                f"cannot apply the override: {str(problem).splitlines()[0]}",
                file=COMMAND_LINE,
                key=key,
                value=override.input_line,
            ) from None


def _plain(config: DictConfig, origins: Origins) -> dict[str, Any]:
    try:
        raw = OmegaConf.to_container(config, resolve=False, throw_on_missing=True)
    except OmegaConfBaseException as problem:
        key = str(getattr(problem, "full_key", "") or "")
        raise ConfigError(
            "a value that must be given is missing (???)", file=origins.of(key), key=key or None
        ) from None
    assert isinstance(raw, dict)
    return {str(key): value for key, value in raw.items()}


def _resolved(raw: dict[str, Any], origins: Origins) -> dict[str, Any]:
    """`raw` with its interpolations resolved; itself where it has none."""
    if "${" not in repr(raw):
        return raw
    try:
        resolved = OmegaConf.to_container(OmegaConf.create(raw), resolve=True)
    except OmegaConfBaseException as problem:
        key = str(getattr(problem, "full_key", "") or "")
        first = str(problem).splitlines()[0]
        raise ConfigError(f"cannot resolve: {first}", file=origins.of(key), key=key or None) from None
    assert isinstance(resolved, dict)
    return {str(key): value for key, value in resolved.items()}


def _command_line_axes(swept: Iterable[tuple[str, list[Any]]], raw: dict[str, Any]) -> dict[str, dict[str, Any]]:
    """Axes given on the command line, by experiment: `target.nodes=1,2`, `experiments.gemm.workload.m=...`."""
    declared = raw.get("experiments")
    experiments = list(declared) if isinstance(declared, dict) else []
    axes: dict[str, dict[str, Any]] = {name: {} for name in experiments}
    for key, values in swept:
        parts = key.split(".")
        if parts[0] == "target" and len(parts) > 1:
            for name in experiments:
                axes[name][key] = values
        elif parts[0] == "experiments" and len(parts) > 3 and parts[1] in axes:
            below = parts[2:]
            if below[:2] == ["sweep", "axes"]:
                below = below[2:]
            axes[parts[1]][".".join(below)] = values
        else:
            raise ConfigError(
                "this key cannot be swept",
                file=COMMAND_LINE,
                key=key,
                value=values,
                allowed="target.KEY, "
                + (", ".join(f"experiments.{name}.workload.KEY" for name in experiments) or "nothing else"),
            )
    return axes


def _expand(
    name: str,
    experiment: Experiment,
    study: Study,
    raw: dict[str, Any],
    extra: Mapping[str, Any],
    origins: Origins,
) -> list[Case]:
    """The cases of one experiment, in the order of its sweep."""
    prefix = f"experiments.{name}"
    declared = {**flatten(experiment.sweep.axes), **extra}
    axes = {key: _axis_values(key, value, prefix, origins) for key, value in declared.items()}
    return expand(name, experiment, axes, study, raw, origins, lambda changed: _resolved(changed, origins))


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
        return _sweep_values(override, value) if override.is_sweep_override() else [override.value()]
    except ConfigError as mistake:
        raise ConfigError(
            mistake.problem.replace("override", "axis"),
            file=origins.of(place),
            key=place,
            value=value,
            allowed="a list, or text in Hydra's sweep grammar: 1,2 or choice(a,b) or range(1,9,2)",
        ) from None
