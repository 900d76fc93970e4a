"""Line after line of a text to whoever knows it: several programs may have written into the same file."""

from __future__ import annotations

import math
import re
from typing import Protocol

from seatrial.ingest.audit.facts import Facts

READ = ""
"""What a reader answers for a line that it has taken whole."""
LONGEST = 8192
"""Characters; known lines are shorter, longer ones are not looked through."""
NO_VALUE = frozenset(
    {"", "-", "\u2013", "n/a", "na", "nan", "not supported", "unknown error", "insufficient permissions"}
)
"""What programs print in place of a figure that they have not, without brackets, in lower case."""
FACTORS: dict[str, dict[str, float]] = {
    "MHz": {"GHz": 1e3, "kHz": 1e-3, "KHz": 1e-3, "Hz": 1e-6},
    "W": {"mW": 1e-3, "kW": 1e3},
    "C": {"\u00b0C": 1.0, "degC": 1.0},
}
"""By the unit that is wanted, other units of the same with what turns them into it."""
_COLOURS = re.compile(r"\x1b\[[0-9;]*[A-Za-z]")
_FIGURE = re.compile(r"[-+]?(?:\d{1,18}(?:\.\d{0,18})?|\.\d{1,18})(?:[eE][-+]?\d{1,3})?", re.ASCII)


class LineReader(Protocol):
    """Reads one format, in order of the lines."""

    name: str
    """What the user calls the format."""

    def take(self, line: str) -> str | None:
        """READ for a line that is of the format and was understood; why not, in words, for one that is of the
        format and was not; None for a line of something else."""

    def facts(self) -> Facts:
        """What the lines so far say."""


def plain(line: str) -> str:
    """The line without colours and without what a progress bar has overwritten on it."""
    return _COLOURS.sub("", line).rstrip("\r\n").rsplit("\r", 1)[-1]


def figure(text: str, given: str = "", wanted: str | None = None) -> float | None:
    """The figure of '45 %', '1455 MHz', in the unit that is `wanted`; None for what is no figure ([N/A], -).

    `given` is the unit of a figure that has none beside it. Where no unit is wanted the figure is taken as it
    stands. Raises ValueError for anything else, a unit of something else included; a comma in a figure may be a
    point or a thousand, and is not guessed at.
    """
    bare = text.strip().strip("[]").strip()
    if bare.lower() in NO_VALUE:
        return None
    found = _FIGURE.match(bare)
    if found is None or not _is_unit(bare[found.end() :]):
        raise ValueError(f"{text.strip()[:40]!r} is no figure")
    value = float(found.group())
    if not math.isfinite(value):
        raise ValueError(f"{text.strip()[:40]!r} is not finite")
    unit = bare[found.end() :].strip() or given.strip()
    if wanted is None or not unit or unit == wanted:
        return value
    if unit not in FACTORS.get(wanted, {}):
        raise ValueError(f"{text.strip()[:40]!r} in {unit!r} is not in {wanted}")
    return value * FACTORS[wanted][unit]


def _is_unit(text: str) -> bool:
    """Whether what follows a figure can be its unit: a short word or sign, and no further digits."""
    rest = text.strip()
    return len(rest) <= 8 and not any(character.isdigit() for character in rest)
