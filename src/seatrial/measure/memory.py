"""Probe memory: bandwidth of the device's memory by copy (a = b) and triad (a = b + s c), on every rank at once.

Bytes are counted as STREAM counts them: copy 2 and triad 3 arrays, without the write-allocate traffic that a CPU
may add.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from seatrial.config.probe import ELEMENT_BYTES, Memory
from seatrial.config.target import Target
from seatrial.errors import MeasurementFailed
from seatrial.measure.context import RankContext
from seatrial.measure.timing import add_per_rank, time_iterations, wait_for_all
from seatrial.units import GB

if TYPE_CHECKING:
    import torch

ARRAYS_MOVED = {"copy": 2, "triad": 3}
SCALAR = 3
"""The s of the triad. With operands of whole numbers from -8 to 7 every result is exact in every dtype."""


def ceiling(target: Target, workload: Memory) -> tuple[float, str] | None:
    """The memory bandwidth of one accelerator in GB/s with its basis; None where the target does not state it."""
    if target.device == "cpu" or target.accelerator is None:
        return None
    bandwidth = target.accelerator.memory_bandwidth_gbps
    if bandwidth is None or bandwidth.value is None:
        return None
    return bandwidth.value, f"memory bandwidth of {target.accelerator.name}: {bandwidth.source}"


def bytes_moved(operation: str, size_bytes: int) -> int:
    """Bytes read and written in one pass over arrays of `size_bytes` each."""
    return ARRAYS_MOVED[operation] * size_bytes


def run(ctx: RankContext) -> None:
    """Measure `memory.bandwidth` on every rank. Raises MeasurementFailed (wrong_result) for a wrong value."""
    import torch

    workload = ctx.case.workload
    assert isinstance(workload, Memory)
    bound = ceiling(ctx.case.target, workload)
    generator = torch.Generator(ctx.device).manual_seed(ctx.seed * ctx.world_size + ctx.rank)
    a, b, c = arrays(workload, ctx.device, generator)
    wait_for_all(ctx)
    seconds = time_iterations(
        ctx.device, lambda: move(workload.operation, a, b, c), workload.warmup, workload.iterations
    )
    check_arrays(workload.operation, a, b, c)
    moved = bytes_moved(workload.operation, workload.size_bytes)
    labels: dict[str, str | int | float | bool] = {
        "operation": workload.operation,
        "dtype": workload.dtype,
        "size_bytes": workload.size_bytes,
    }
    add_per_rank(ctx, "memory.bandwidth", [moved / s / GB for s in seconds], labels, bound)


def arrays(
    workload: Memory, device: torch.device, generator: torch.Generator
) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
    """a (NaN), b and, for the triad, c of `size_bytes` each; b and c hold random whole numbers from -8 to 7."""
    import torch

    dtype = getattr(torch, workload.dtype)
    count = workload.size_bytes // ELEMENT_BYTES[workload.dtype]

    def whole_numbers() -> torch.Tensor:
        return torch.empty(count, dtype=dtype, device=device).random_(-8, 8, generator=generator)

    a = torch.full((count,), torch.nan, dtype=dtype, device=device)
    b = whole_numbers()
    return a, b, whole_numbers() if workload.operation == "triad" else b


def move(operation: str, a: torch.Tensor, b: torch.Tensor, c: torch.Tensor) -> None:
    """The timed operation: one pass over all arrays."""
    import torch

    if operation == "copy":
        a.copy_(b)
    else:
        torch.add(b, c, alpha=SCALAR, out=a)


def check_arrays(operation: str, a: torch.Tensor, b: torch.Tensor, c: torch.Tensor) -> None:
    """Check every element of `a`, exactly. Raises MeasurementFailed (wrong_result)."""
    expected = b if operation == "copy" else c * SCALAR + b
    wrong = int((a != expected).sum())
    if wrong:
        raise MeasurementFailed("wrong_result", f"{operation}: {wrong} of {a.numel()} values are wrong")
