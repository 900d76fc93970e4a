"""Whether a row agrees with itself: what it states as bandwidth must follow from its size and time.

Every printed figure stands for the interval that rounds to it. A row that states more or less than any time in its
interval gives is no measurement: it was edited, mixed up, or counts bytes otherwise.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Literal

from seatrial.nccl_tests.operations import bus_factor
from seatrial.nccl_tests.run import Figure, Row, Side

BYTES_PER_GB_AND_MICROSECOND = 1e3
"""Bytes over microseconds is this many times GB/s."""
SLACK = 1e-6
"""Relative: figures in JSON are rounded to six decimals each."""


Kind = Literal["empty", "unreadable", "wrong", "contradiction"]


@dataclass(frozen=True, slots=True)
class Refusal:
    """Why one side of a row yields no number. Only `empty` leaves the run sound: nothing is moved between ranks."""

    kind: Kind
    words: str


def refusal(row: Row, side: Side, operation: str, ranks: int) -> Refusal | None:
    """Why one side of a row yields no number; None where it does."""
    if ranks < 2:
        return Refusal("empty", "one rank has nobody to exchange anything with")
    if row.size == 0:
        return Refusal("empty", "0 bytes: too small for this many ranks, nothing is moved")
    if side.wrong:
        return Refusal("wrong", f"{side.wrong:g} wrong elements")
    for name, figure in (("time", side.time), ("algbw", side.algorithm), ("busbw", side.bus)):
        if not math.isfinite(figure.value) or figure.value < 0:
            return Refusal("unreadable", f"{name} is not a finite number")
    if side.time.value <= 0:
        return Refusal("unreadable", "time is 0")
    for name, stated, factor in (
        ("algbw", side.algorithm, 1.0),
        ("busbw", side.bus, bus_factor(operation, ranks)),
    ):
        if not _follows(stated, row.size * factor, side.time):
            gives = row.size * factor / side.time.value / BYTES_PER_GB_AND_MICROSECOND
            words = f"{name} {stated.value:g} does not follow from size and time, which give {gives:.4g}"
            return Refusal("contradiction", words)
    return None


def _follows(stated: Figure, moved: float, time: Figure) -> bool:
    """Whether `moved` bytes in some time that is printed as `time` are printed as `stated`."""
    longest, shortest = time.value + time.half, time.value - time.half
    least = moved / longest / BYTES_PER_GB_AND_MICROSECOND
    most = moved / shortest / BYTES_PER_GB_AND_MICROSECOND if shortest > 0 else math.inf
    slack = SLACK * max(stated.value, least)
    return stated.value + stated.half >= least - slack and stated.value - stated.half <= most + slack
