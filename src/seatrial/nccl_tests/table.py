"""The table of a run: its header names the columns, which differ between versions and tests.

Every version prints size, count and type, then redop and root where the test has them, then one group of columns
for out of place and one for in place: time, algbw, busbw and #wrong (before 2022 the greatest error).
"""

from __future__ import annotations

import math
import re
from collections.abc import Sequence
from dataclasses import dataclass

from seatrial.nccl_tests.printed import BEYOND_BOUNDS, UNCHECKED, figure, is_number
from seatrial.nccl_tests.run import Row, Side

TIMES = ("time", "cputime")
LEAST = ("size", "count", "type")
MEASURED = ("algbw", "busbw")
NO_FIRST_SIDE = re.compile(r"\S {30,}\S")
"""The out-of-place half stays blank where a trace is replayed in place."""


@dataclass(frozen=True)
class Columns:
    """The columns that a header names."""

    parameters: tuple[str, ...]
    """size, count, type and, where the test has them, redop and root."""
    groups: tuple[tuple[str, ...], ...]
    """Of each side, in order: time, algbw, busbw, #wrong or error, and what -I adds."""
    in_place_alone: bool
    """The only group is the in-place one."""
    timestamp: bool

    @property
    def cpu_time(self) -> bool:
        return self.groups[0][0] == "cputime"

    @property
    def results(self) -> int:
        """Tokens of a row after its parameters, the time of day left out."""
        return sum(len(group) for group in self.groups)


def columns_of(words: Sequence[str], above: str) -> Columns | None:
    """The columns that the words of a header name, or None where they are no header; `above` is the line before."""
    first = next((i for i, word in enumerate(words) if word in TIMES), None)
    if first is None or tuple(words[:3]) != LEAST or not set(words[3:first]) <= {"redop", "root"}:
        return None
    stamped = words[-1] == "timestamp"
    rest = list(words[first : len(words) - stamped])
    starts = [i for i, word in enumerate(rest) if word in TIMES]
    groups = tuple(tuple(rest[start:end]) for start, end in zip(starts, [*starts[1:], len(rest)], strict=True))
    if len(groups) > 2 or not all(
        set(MEASURED) <= set(group) and len(set(group)) == len(group) for group in groups
    ):
        return None
    alone = len(groups) == 1 and "in-place" in above and "out-of-place" not in above
    return Columns(tuple(words[:first]), groups, alone, stamped)


def parameters_of(tokens: Sequence[str], columns: Columns) -> dict[str, str] | None:
    """The parameters that a row begins with; None where the tokens are none.

    Old versions leave redop and root blank where the test has none, though the header names them.
    """
    if not len(LEAST) <= len(tokens) <= len(columns.parameters):
        return None
    if not (_is_count(tokens[0]) and _is_count(tokens[1])) or is_number(tokens[2]):
        return None
    found = dict(zip(LEAST, tokens, strict=False))
    optional = list(columns.parameters[len(LEAST) :])
    for token in tokens[len(LEAST) :]:
        name = "root" if _is_root(token) else "redop"
        if name not in optional:
            return None
        optional = optional[optional.index(name) + 1 :]
        found[name] = token
    return found


def row_of(text: str, columns: Columns, line: int) -> Row | str:
    """A row from all its text; in words why not, where it does not fit the header."""
    tokens = text.split()
    last = len(tokens) - (2 if columns.timestamp else 0)
    blank = len(columns.groups[0]) if len(columns.groups) == 2 and NO_FIRST_SIDE.search(text) else 0
    begin = last - columns.results + blank
    found = parameters_of(tokens[:begin], columns) if begin > 0 else None
    if found is None:
        return f"{len(tokens)} columns do not fit the {len(columns.parameters)} + {columns.results} of the header"
    values = list(tokens[begin:last])
    if not all(is_number(value) for value in values):
        return "not a row of numbers"
    sides: list[Side | None] = [None] if blank else []
    for group in columns.groups[len(sides) :]:
        sides.append(_side(dict(zip(group, values, strict=False))))
        del values[: len(group)]
    out_of_place, in_place = (None, sides[0]) if columns.in_place_alone else (sides[0], (sides[1:] or [None])[0])
    redop = found.get("redop")
    return Row(
        line=line,
        size=int(found["size"]),
        count=int(found["count"]),
        type=found["type"],
        redop=None if redop == "none" else redop,
        root=int(found["root"]) if int(found.get("root", "-1")) >= 0 else None,
        out_of_place=out_of_place,
        in_place=in_place,
    )


def can_go_on(tokens: Sequence[str], columns: Columns) -> bool:
    """Whether tokens are a row that may go on: its parameters, and no, one or both sides of results."""
    return any(
        all(is_number(token) for token in tokens[begin:])
        # a host's name may stick to the last parameter, which is then not there
        and len(parameters_of(tokens[:begin], columns) or ()) == len(columns.parameters)
        for begin in (len(tokens), len(tokens) - len(columns.groups[0]))
        if begin > 0
    )


def _side(group: dict[str, str]) -> Side:
    time = group["time" if "time" in group else "cputime"]
    wrong, checked = _wrong(group)
    return Side(figure(time), figure(group["algbw"]), figure(group["busbw"]), wrong, checked)


def _wrong(group: dict[str, str]) -> tuple[float | None, bool]:
    """Wrong elements, and whether there was a check; an error tells only by its asterisk that it is too great."""
    if "#wrong" in group:
        token = group["#wrong"]
        if token == UNCHECKED:
            return None, False
        value = figure(token).value
        return (math.inf if math.isnan(value) else value), True
    token = group.get("error", UNCHECKED)
    if token == UNCHECKED:
        return None, False
    return (1.0 if token.endswith(BEYOND_BOUNDS) else None), True


def _is_count(token: str) -> bool:
    return token.isascii() and token.isdigit() and len(token) <= 18


def _is_root(token: str) -> bool:
    return _is_count(token.removeprefix("-")) and len(token) < 9
