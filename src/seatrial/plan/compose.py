"""Configuration files and value overrides -> one plain configuration, with every key's origin."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path
from typing import Any, NoReturn

import yaml
from hydra import compose, initialize_config_dir
from hydra.core.global_hydra import GlobalHydra
from hydra.core.override_parser.types import Override
from hydra.errors import HydraException, MissingConfigException
from omegaconf import DictConfig, OmegaConf
from omegaconf.errors import OmegaConfBaseException

from seatrial.config.loader import COMMAND_LINE, Origins
from seatrial.config.yaml_file import refuse_growing
from seatrial.errors import ConfigError, nearest_name
from seatrial.plan.words import Words, options_of

COMPOSING = (
    HydraException, OmegaConfBaseException, yaml.YAMLError, AssertionError, AttributeError, KeyError, TypeError,
    ValueError, OSError,
)  # fmt: skip
"""What Hydra and OmegaConf raise for files that are not of the form they expect."""


def composed(words: Words, conf: Path) -> tuple[DictConfig, Origins]:
    """The composition of the chosen groups, and where its keys come from."""
    GlobalHydra.instance().clear()
    _leave_environment_alone()
    refuse_growing(sorted(conf.rglob("*.yaml")))
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
            allowed="YAML: `key: value`, what belongs below a key indented by spaces, quotes and brackets in pairs",
        ) from None
    except RecursionError:
        raise ConfigError("nested too deeply", file=conf, value=" ".join(words.groups) or None) from None
    except COMPOSING as problem:
        text = " ".join(str(problem).split()) or type(problem).__name__
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
    if isinstance(config.get("study"), DictConfig):  # Hydra puts it below the group's name then
        raise ConfigError(
            "the study's file lacks its first line, without which nothing in it is a key of the study",
            file=files.get("study"),
            key="study",
            value=choices.get("study"),
            allowed="`# @package _global_` above everything else in the file",
        )
    overridden = {o.key_or_group for o in words.values} | {key for key, _ in words.axes}
    return config, Origins(files.get("study"), files, overridden)


def _leave_environment_alone() -> None:
    """Take away OmegaConf's way to the environment: what it held would be written into every case and record."""
    OmegaConf.register_new_resolver("oc.env", _refuse_variable, replace=True)


def _refuse_variable(name: str, *default: object) -> NoReturn:
    raise ValueError(f"${{oc.env:{name}}}: configuration reads no environment variables; write the value itself")


def targets_of(conf: Path) -> dict[str, dict[str, Any]]:
    """Every target of `conf`, composed by itself, by name."""
    targets = {}
    with initialize_config_dir(config_dir=str(conf.resolve()), version_base="1.3"):
        for name in options_of(conf, "target"):
            try:
                composed = OmegaConf.to_container(compose(f"target/{name}"), resolve=True)
            except COMPOSING as problem:
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
    options = options_of(conf, group) if group else []
    return ConfigError(
        f"there is no {group or 'config'} of this name",
        file=conf / group,
        key=group or None,
        value=option,
        allowed=", ".join(options) or "(the folder has no YAML files)",
        nearest=nearest_name(option, options),
    )


def apply(config: DictConfig, overrides: Iterable[Override], origins: Origins) -> None:
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


def plain(config: DictConfig, origins: Origins) -> dict[str, Any]:
    """The configuration as plain containers, interpolations kept. Raises ConfigError for a missing value."""
    try:
        raw = OmegaConf.to_container(config, resolve=False, throw_on_missing=True)
    except OmegaConfBaseException as problem:
        key = str(getattr(problem, "full_key", "") or "")
        raise ConfigError(
            "a value that must be given is missing (???)", file=origins.of(key), key=key or None
        ) from None
    assert isinstance(raw, dict)
    return {str(key): value for key, value in raw.items()}


def resolved(raw: dict[str, Any], origins: Origins) -> dict[str, Any]:
    """`raw` with its interpolations resolved; itself where it has none."""
    if "${" not in repr(raw):
        return raw
    _leave_environment_alone()
    try:
        resolved = OmegaConf.to_container(OmegaConf.create(raw), resolve=True)
    except OmegaConfBaseException as problem:
        key = str(getattr(problem, "full_key", "") or "")
        first = str(problem).splitlines()[0]
        raise ConfigError(f"cannot resolve: {first}", file=origins.of(key), key=key or None) from None
    assert isinstance(resolved, dict)
    return {str(key): value for key, value in resolved.items()}
