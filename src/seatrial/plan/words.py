"""The user's words: overrides in Hydra's grammar, sorted by what they do."""

from __future__ import annotations

import math
import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from hydra.core.override_parser.overrides_parser import OverridesParser
from hydra.core.override_parser.types import ChoiceSweep, Override, QuotedString, RangeSweep
from hydra.errors import HydraException

from seatrial.config.loader import COMMAND_LINE
from seatrial.errors import ConfigError
from seatrial.sweep import MOST_POINTS

WORD = "KEY=VALUE, such as study=first or target.nodes=4, quoted as one word where the shell would read it"
WORD_FORM = (
    "an override in Hydra's grammar, key=value, quoted as one word: "
    '--config \'overrides=["base_seed=2","target.nodes=choice(1,2)"]\''
)


@dataclass
class Words:
    """The user's words, sorted by what they do."""

    groups: list[str] = field(default_factory=list)
    values: list[Override] = field(default_factory=list)
    axes: list[tuple[str, list[Any]]] = field(default_factory=list)


def parse_word(word: str) -> Override:
    """One override in Hydra's grammar.

    Raises ConfigError, with the quoted form, where it does not parse.
    """
    try:
        override: Override = OverridesParser.create().parse_override(word)
    except (HydraException, ValueError, RecursionError) as problem:  # Python's own: too many digits, too deep
        first = (str(problem).splitlines() or [type(problem).__name__])[0]
        raise ConfigError(
            f"this override does not parse: {first}",
            file=COMMAND_LINE,
            key="overrides",
            value=word,
            allowed=f"{WORD}; of Snakemake {WORD_FORM.rpartition(': ')[2]}",
        ) from None
    return override


def _refuse_bare(words: Sequence[str], groups: Iterable[str]) -> None:
    """Raise ConfigError for a word without `=`, as in `study mine`; `~KEY` takes a key away."""
    for word, following in zip(words, [*words[1:], ""], strict=False):
        if "=" not in word and not word.startswith("~"):
            raise ConfigError(
                "this word sets nothing: it has no =",
                file=COMMAND_LINE,
                key="overrides",
                value=word,
                allowed=WORD,
                nearest=f"{word}={following}" if word in groups and following and "=" not in following else None,
            )


def sort_words(words: Sequence[str], conf: Path) -> Words:
    """Choices of groups, value overrides and axes apart. Raises ConfigError for a word that is none of them."""
    groups = {p.name for p in conf.iterdir() if p.is_dir()}
    _refuse_bare(words, groups)
    out = Words()
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
                    allowed=options_of(conf, key) or "one option",
                )
            out.axes.append((key, sweep_values(override, word)))
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
        allowed=options_of(conf, override.key_or_group) or "one option",
    )


def sweep_values(override: Override, word: str) -> list[Any]:
    """The values of a list, choice or range sweep; what has no fixed order or end is refused."""
    sweep = override.value()
    if not isinstance(sweep, ChoiceSweep | RangeSweep) or sweep.shuffle:
        raise ConfigError(
            "this sweep cannot be planned",
            key=override.key_or_group,
            value=word,
            allowed="a list (1,2), choice(...) or range(...), not shuffled; no glob or interval",
        )
    if isinstance(sweep, RangeSweep) and sweep.start is not None and sweep.stop is not None:
        count = (sweep.stop - sweep.start) / sweep.step if sweep.step else math.inf
        if not abs(count) <= MOST_POINTS:
            raise ConfigError(
                "a range of too many values",
                key=override.key_or_group,
                value=word,
                allowed=f"at most {MOST_POINTS} values",
            )
    return [_bare(value) for value in override.sweep_iterator()]


def _bare(value: Any) -> Any:
    if isinstance(value, QuotedString):
        return value.text
    if isinstance(value, list):
        return [_bare(v) for v in value]
    return value


def options_of(conf: Path, group: str) -> list[str]:
    """The names that a config group offers."""
    return sorted(p.stem for p in (conf / group).glob("*.yaml"))


def command_line_axes(swept: Iterable[tuple[str, list[Any]]], raw: dict[str, Any]) -> dict[str, dict[str, Any]]:
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
