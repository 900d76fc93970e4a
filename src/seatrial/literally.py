"""What Snakemake is given and must take as it is: it reads braces in texts as wildcards."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from seatrial.errors import ConfigError


def without_wildcards(path: str, key: str) -> str:
    """A path of an input or output. Raises ConfigError for one that Snakemake would not take as it is."""
    if set(path) & set("{}") or not path.isprintable():
        raise ConfigError(
            "Snakemake reads braces in a path as wildcards, and a path in its lists has no line breaks",
            key=key,
            value=path,
            allowed="a path without { and }, line breaks and control characters",
        )
    return path


def as_it_is(value: str | list[str]) -> Callable[[Any], str | list[str]]:
    """`value` for a rule's params: in a text Snakemake reads braces as wildcards, in what a function gives it does
    not."""

    def given(wildcards: Any) -> str | list[str]:
        return value

    return given
