"""Masking secrets in what programs print: a log is handed on without the environment that it shows."""

from __future__ import annotations

import re
from collections.abc import Mapping

from seatrial.config.secrets import (
    QUOTED,
    names_a_secret,
    states_a_secret,
    without_private_keys,
    without_secrets,
)

LEAST_LENGTH = 8
"""Of a variable's value that is looked for by itself; a shorter one is part of other words."""
KNOWN_FORM = "[masked: known form]"
_PLACE = re.compile(r"_(?:SOCK|PATH|FILE|DIR)$")
"""Variables that say where something lies: SSH_AUTH_SOCK, TOKEN_FILE."""
_MAY_NAME = re.compile(r"token|secret|pass|cred|key|auth|jwt|bearer", re.IGNORECASE)
_LINE = re.compile(
    r"(?:(?<=\0)|^)(?P<before>\s*(?:\d+:\s*)?(?:(?:export|declare -x|set|setenv)\s+)?)"
    r"(?P<name>[A-Z_][A-Z0-9_]*)=(?P<value>[^\n\r\0]*)",
    re.MULTILINE,
)
"""What `env` and `export` print, with the task's number that srun puts in front: the value ends with the line."""
_OF_YAML = re.compile(r"(?<![\w.-])(?P<name>[A-Z][A-Z0-9]*_[A-Z0-9_]+):[ \t]+(?P<value>[^\s'\"]+)")
_OPTION = re.compile(r"(?<!\S)--(?P<name>[A-Za-z_][\w.-]{0,80})[ \t]+(?P<value>[^\s'\"-][^\s'\"]*)")
_WORD = re.compile(r"(?<![\w.-])-{0,2}(?P<name>[A-Za-z_][\w.-]{0,80})=(?!=)")
_VALUE = re.compile(r"(?P<value>[\"']?[^\s'\"\\\0]+)")
"""What follows _WORD; apart from it, since a word may hold many names and each would look at all that follows."""


def masked(text: str, environ: Mapping[str, str], known: str = KNOWN_FORM) -> tuple[str, int]:
    """`text` with each secret as `[masked: NAME]` (as `known` where it has no name), and how many places that are.

    Secrets are: values of secret-named variables of `environ` wherever they stand, values beside a secret's name
    (`NAME=value`, `'NAME': 'value'`, `"NAME": "value"`, `NAME: value`, `--name value`), tokens of known forms,
    private keys, passwords in addresses.
    """
    places = 0
    for name, value in sorted(_values(environ), key=lambda pair: (-len(pair[1]), pair[0])):
        places += text.count(value)
        text = text.replace(value, _mask(name))
    known_before = text.count(known)
    lines = without_private_keys(text, known).split("\n")
    for number, line in enumerate(lines):
        if _MAY_NAME.search(line):
            lines[number], found = _beside_names(line)
            places += found
    text = without_secrets("\n".join(lines), known)
    return text, places + text.count(known) - known_before


def _values(environ: Mapping[str, str]) -> list[tuple[str, str]]:
    return [
        (name, value)
        for name, value in environ.items()
        if len(value) >= LEAST_LENGTH and names_a_secret(name) and not _PLACE.search(name)
    ]


def _beside_names(line: str) -> tuple[str, int]:
    """`line` with values beside the names of secrets masked; how many."""
    places = 0
    for pattern in (_LINE, QUOTED, _WORD, _OF_YAML, _OPTION):
        parts, end = [], 0
        for found in pattern.finditer(line):
            if found.start() < end or not states_a_secret(found["name"], "any"):
                continue
            stated = _VALUE.match(line, found.end()) if pattern is _WORD else found
            if stated is not None and states_a_secret(found["name"], stated["value"]):
                start, stop = stated.span("value")
                parts += [line[end:start], _mask(found["name"])]
                end, places = stop, places + 1
        line = "".join([*parts, line[end:]])
    return line, places


def _mask(name: str) -> str:
    return f"[masked: {name}]"
