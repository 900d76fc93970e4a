"""What the ranks send each other, so that a wrong result shows: whole numbers that every dtype holds exactly.

A pattern is one period of values (int64), repeated over a buffer. Its length is a multiple of a prime: data that
lands a slot or a chunk (of 2^n elements) from its place never looks right.
"""

from __future__ import annotations

import math
import random
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


def count_wrong(
    buffer: torch.Tensor, period: torch.Tensor, first: int = 0, rows: int | None = None
) -> torch.Tensor:
    """How many elements of the buffer are not those of `fill`, as a tensor on its device.

    The host waits for nothing where `period` is of the buffer's device and dtype already. `rows`: of a buffer with
    more periods only so many, drawn at random by Python's own generator, and what is left over at its end.
    """
    return count_wrong_parts(buffer.unsqueeze(0), period.roll(-(first % len(period))).unsqueeze(0), rows)


def count_wrong_parts(parts: torch.Tensor, periods: torch.Tensor, rows: int | None = None) -> torch.Tensor:
    """`count_wrong` of all rows of `parts` [parts, elements], each against its row of `periods` [parts, length]."""
    length = periods.shape[1]
    whole = parts.shape[1] // length * length
    patterns = periods.to(parts)
    rest = parts[:, whole:]
    wrong = (rest != patterns[:, : rest.shape[1]]).count_nonzero()
    all_rows = parts[:, :whole].unflatten(1, (whole // length, length))
    if rows is not None and rows < whole // length:
        some = random.sample(range(whole // length), rows)
        return wrong + (all_rows[:, some] != patterns.unsqueeze(1)).count_nonzero()
    for block in all_rows.split(max(1, CHECKED_AT_ONCE[parts.device.type] // periods.numel()), dim=1):
        wrong += (block != patterns.unsqueeze(1)).count_nonzero()
    return wrong


def _by_period(
    buffer: torch.Tensor, period: torch.Tensor, first: int
) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
    """The buffer as [whole periods, period], what is left over, and the period as a tensor of its kind."""
    length = len(period)
    whole = buffer.numel() // length * length
    pattern = period.roll(-(first % length)).to(buffer)
    return buffer[:whole].view(-1, length), buffer[whole:], pattern
