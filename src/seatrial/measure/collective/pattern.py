"""What the ranks send each other, so that a wrong result shows: whole numbers that every dtype holds exactly.

A pattern is one period of values (int64), repeated over a buffer. Its length is a multiple of a prime: data that
lands a slot or a chunk (of 2^n elements) from its place never looks right.
"""

from __future__ import annotations

import math
import random
from collections.abc import Sequence
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import torch

PRIME = 251
LARGEST = 256
"""bfloat16 counts to 256 without rounding."""
MOST_CONTRIBUTORS = 64
"""At most 64 ranks add to one element: sums stay exact in every dtype, in any order, at any scale."""
CHECKED_AT_ONCE = {"cpu": 2**16, "cuda": 2**22}
"""Elements that are compared in one go, by kind of device: a check needs no buffer of a message's size, nor a CPU's
caches."""


def sent(sender: int, receiver: int, ranks: int, elements: int) -> torch.Tensor:
    """One period of what `sender` sends to `receiver` in a message of `elements` elements: values 0 to 250.

    Every (sender, receiver) has its own step and start; the start shifts with the size, so that data of an earlier
    size does not pass.
    """
    import torch

    which = sender * ranks + receiver
    step, start = 1 + which % (PRIME - 1), which // (PRIME - 1) + elements
    return (torch.arange(PRIME) * step + start) % PRIME


def contribution(rank: int, ranks: int, elements: int) -> torch.Tensor:
    """One period of what `rank` adds to a sum of `elements` elements over all ranks: 1 or more in turn, else 0.

    Element i hears from the ranks r with (i + r) divisible by the stride, so from MOST_CONTRIBUTORS at most.
    """
    import torch

    stride = math.ceil(ranks / MOST_CONTRIBUTORS)
    largest = LARGEST // math.ceil(ranks / stride)
    i = torch.arange(PRIME * stride)
    value = 1 + (i * (1 + rank % (PRIME - 1)) + rank // (PRIME - 1) + elements) % PRIME % largest
    return value * ((i + rank) % stride == 0)


def expected_sums(ranks: int, elements: int) -> torch.Tensor:
    """One period of the sums over all ranks."""
    total = contribution(0, ranks, elements)
    for rank in range(1, ranks):
        total += contribution(rank, ranks, elements)
    return total


def fill(buffer: torch.Tensor, period: torch.Tensor, first: int = 0) -> None:
    """Repeat `period` over the whole buffer, whose first element is number `first` of the message."""
    rows, rest, pattern = _by_period(buffer, period, first)
    rows.copy_(pattern.expand_as(rows))
    rest.copy_(pattern[: rest.numel()])


def count_wrong(buffer: torch.Tensor, period: torch.Tensor, first: int = 0) -> torch.Tensor:
    """How many elements of the buffer are not those of `fill`, as a tensor on its device.

    The host waits for nothing where `period` is of the buffer's device and dtype already.
    """
    return count_wrong_parts(buffer.unsqueeze(0), period.roll(-(first % len(period))).unsqueeze(0))


def count_wrong_parts(
    parts: torch.Tensor, periods: torch.Tensor, places: Sequence[int] | None = None
) -> torch.Tensor:
    """`count_wrong` of all rows of `parts` [parts, elements], each against its row of `periods` [parts, length].

    `places`: only these periods of each part, and what is left over at its end.
    """
    patterns = periods.to(parts)
    whole, rest = _whole_and_rest(parts, periods.shape[1])
    wrong = (rest != patterns[:, : rest.shape[1]]).count_nonzero()
    if places is not None:
        return wrong + (whole[:, places] != patterns.unsqueeze(1)).count_nonzero()
    for block in whole.split(max(1, CHECKED_AT_ONCE[parts.device.type] // periods.numel()), dim=1):
        wrong += (block != patterns.unsqueeze(1)).count_nonzero()
    return wrong


def spoil(parts: torch.Tensor, length: int, places: Sequence[int] | None = None) -> None:
    """Put what is no number into all of `parts` [parts, elements], or into what `count_wrong_parts` would read."""
    if places is None:
        parts.fill_(math.nan)
        return
    whole, rest = _whole_and_rest(parts, length)
    whole[:, places] = math.nan
    rest.fill_(math.nan)


def draw_places(elements: int, length: int, at_most: int) -> list[int] | None:
    """`at_most` of the periods in a part of so many elements, at random; None where there are no more than that."""
    periods = elements // length
    return random.sample(range(periods), at_most) if periods > at_most else None


def _whole_and_rest(parts: torch.Tensor, length: int) -> tuple[torch.Tensor, torch.Tensor]:
    """`parts` as [parts, whole periods, length], and [parts, what is left over]."""
    whole = parts.shape[1] // length * length
    return parts[:, :whole].unflatten(1, (whole // length, length)), parts[:, whole:]


def _by_period(
    buffer: torch.Tensor, period: torch.Tensor, first: int
) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
    """The buffer as [whole periods, period], what is left over, and the period as a tensor of its kind."""
    length = len(period)
    whole = buffer.numel() // length * length
    pattern = period.roll(-(first % length)).to(buffer)
    return buffer[:whole].view(-1, length), buffer[whole:], pattern
