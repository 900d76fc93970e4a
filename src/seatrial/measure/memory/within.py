"""Operations within the device's memory: copy (a = b), triad (a = b + s c) and read (the sum of b).

Bytes are counted as STREAM counts them: copy 2 and triad 3 arrays, without the write-allocate traffic that a CPU
may add.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from seatrial.config.probe import ELEMENT_BYTES, Memory
from seatrial.errors import MeasurementFailed

if TYPE_CHECKING:
    import torch

ARRAYS_MOVED = {"copy": 2, "triad": 3, "read": 1}
SCALAR = 3
"""The s of the triad. With operands of whole numbers from -8 to 7 every result is exact in every dtype."""
MEAN_SIZE = 4.0
"""The mean absolute value of whole numbers from -8 to 7."""
SUM_TOLERANCE = 1e-5
"""Of the sum of absolute values: what float32 may lose where it adds up whole numbers in many parts."""
CHECKED_AT_ONCE = 2**24
"""Elements."""


@dataclass(frozen=True)
class Arrays:
    """Flat arrays of `size_bytes` each; an operation uses those that it needs."""

    a: torch.Tensor
    """What is written, NaN before; of `read` its single sum, float32."""
    b: torch.Tensor
    c: torch.Tensor
    """The third array of the triad, else b."""


def bytes_moved(operation: str, size_bytes: int) -> int:
    """Bytes read and written in one pass over arrays of `size_bytes` each."""
    return ARRAYS_MOVED[operation] * size_bytes


def whole_numbers(workload: Memory, device: torch.device, generator: torch.Generator) -> torch.Tensor:
    """An array of `array_bytes` of random whole numbers from -8 to 7."""
    import torch

    count = workload.array_bytes // ELEMENT_BYTES[workload.dtype]
    empty = torch.empty(count, dtype=getattr(torch, workload.dtype), device=device)
    return empty.random_(-8, 8, generator=generator)


def arrays(workload: Memory, device: torch.device, generator: torch.Generator) -> Arrays:
    """What the workload's operation works on."""
    import torch

    b = whole_numbers(workload, device, generator)
    if workload.operation == "read":
        return Arrays(torch.full((1,), torch.nan, device=device), b, b)
    c = whole_numbers(workload, device, generator) if workload.operation == "triad" else b
    return Arrays(torch.full_like(b, torch.nan), b, c)


def move(operation: str, on: Arrays) -> None:
    """The timed operation: one pass over all arrays."""
    import torch

    if operation == "copy":
        on.a.copy_(on.b)
    elif operation == "triad":
        torch.add(on.b, on.c, alpha=SCALAR, out=on.a)
    else:
        torch.sum(on.b, dim=0, keepdim=True, dtype=torch.float32, out=on.a)


def check_arrays(operation: str, on: Arrays) -> None:
    """Check every element that was written, exactly; of `read` the sum. Raises MeasurementFailed (wrong_result)."""
    if operation == "read":
        _check_sum(on)
        return
    wrong = 0
    for a, b, c in zip(*(parts(whole) for whole in (on.a, on.b, on.c)), strict=True):
        wrong += int((a != (b if operation == "copy" else c * SCALAR + b)).sum())
    if wrong:
        raise MeasurementFailed("wrong_result", f"{operation}: {wrong} of {on.a.numel()} values are wrong")


def parts(whole: torch.Tensor) -> tuple[torch.Tensor, ...]:
    """An array in pieces, so that a check needs no memory of the array's size."""
    return whole.split(CHECKED_AT_ONCE)


def _check_sum(on: Arrays) -> None:
    import torch

    expected = sum(float(part.sum(dtype=torch.float64)) for part in parts(on.b))
    allowed = SUM_TOLERANCE * MEAN_SIZE * on.b.numel()
    if not abs(float(on.a) - expected) <= allowed:
        raise MeasurementFailed("wrong_result", f"read: the sum is {float(on.a):g}, not {expected:g}")
