"""Probe gemm: throughput of one matrix product by shape and dtype, on every rank at the same time.

C[m, n] = A[m, k] B[k, n] counts 2mnk floating-point operations. Inputs are normally distributed: predictable
data draws less power and reads faster than real work. Every iteration reuses the same operands.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from seatrial.config.probe import Gemm
from seatrial.config.target import Target
from seatrial.errors import MeasurementFailed, Unsupported
from seatrial.measure.context import RankContext
from seatrial.measure.timing import add_per_rank, time_iterations, wait_for_all
from seatrial.units import TERA

if TYPE_CHECKING:
    import torch

SAMPLED = 16
"""Rows and columns, drawn at random, whose crossings are checked against a float64 product."""
TF32_EPSILON = 2.0**-10
"""TF32 keeps 10 bits of the mantissa."""


def ceiling(target: Target, workload: Gemm) -> tuple[float, str] | None:
    """The dense peak of one accelerator in TFLOP/s with its basis; None where the target does not state it."""
    if target.device == "cpu" or target.accelerator is None:
        return None
    peak = target.accelerator.peak_tflops.get(workload.dtype)
    if peak is None or peak.value is None:
        return None
    return peak.value, f"dense {workload.dtype} peak of {target.accelerator.name}: {peak.source}"


def flops(m: int, n: int, k: int) -> int:
    """Floating-point operations of one product: a multiplication and an addition for each of m n k terms."""
    return 2 * m * n * k


def run(ctx: RankContext) -> None:
    """Measure `gemm.throughput` on every rank.

    Raises Unsupported for a dtype that the device has not, MeasurementFailed (wrong_result) for a wrong product.
    """
    import torch

    workload = ctx.case.workload
    assert isinstance(workload, Gemm)
    bound = ceiling(ctx.case.target, workload)
    check_dtype(ctx.device, workload.dtype)
    generator = torch.Generator(ctx.device).manual_seed(ctx.seed * ctx.world_size + ctx.rank)
    a, b, c = operands(workload, ctx.device, generator)
    before = torch.get_float32_matmul_precision()
    torch.set_float32_matmul_precision("high" if workload.dtype == "tf32" else "highest")
    try:
        wait_for_all(ctx)
        seconds = time_iterations(ctx.device, lambda: multiply(a, b, c), workload.warmup, workload.iterations)
    finally:
        torch.set_float32_matmul_precision(before)
    check_product(a, b, c, workload.dtype, generator)
    work = flops(workload.m, workload.n, workload.k)
    labels: dict[str, str | int | float | bool] = {
        "dtype": workload.dtype,
        "m": workload.m,
        "n": workload.n,
        "k": workload.k,
    }
    add_per_rank(ctx, "gemm.throughput", [work / s / TERA for s in seconds], labels, bound)


def multiply(a: torch.Tensor, b: torch.Tensor, c: torch.Tensor) -> None:
    """The timed operation: c[m, n] = a[m, k] b[k, n], into memory that is already there."""
    import torch

    torch.mm(a, b, out=c)


def operands(
    workload: Gemm, device: torch.device, generator: torch.Generator
) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
    """A[m, k] and B[k, n] from N(0, 1), and room for C[m, n] filled with NaN, which no product leaves there."""
    import torch

    dtype = torch.float32 if workload.dtype == "tf32" else getattr(torch, workload.dtype)
    m, n, k = workload.m, workload.n, workload.k
    a = torch.randn(m, k, generator=generator, device=device, dtype=dtype)
    b = torch.randn(k, n, generator=generator, device=device, dtype=dtype)
    return a, b, torch.full((m, n), torch.nan, device=device, dtype=dtype)


def check_dtype(device: torch.device, dtype: str) -> None:
    """Raise Unsupported where `device` has no unit for `dtype`."""
    import torch

    if dtype == "tf32":
        if device.type == "cpu":
            raise Unsupported("tf32 exists on accelerators only; a CPU computes float32 in full")
        if torch.version.hip:
            raise Unsupported("tf32 is measured on NVIDIA accelerators only; take float32 or bfloat16 on AMD")
        if torch.cuda.get_device_capability(device) < (8, 0):
            raise Unsupported(f"tf32 needs compute capability 8.0; {torch.cuda.get_device_name(device)} is older")
    if dtype in ("float16", "bfloat16"):
        probe = torch.ones(2, 2, device=device, dtype=getattr(torch, dtype))
        try:
            torch.mm(probe, probe)
        except RuntimeError as problem:
            if "not implemented" not in str(problem):
                raise
            raise Unsupported(f"torch has no {dtype} product on {device}: {problem}") from problem


def tolerance(dtype: str, k: int) -> float:
    """How far an element of C may lie from its float64 value.

    An element is a sum of k terms of variance 1, so it is of size sqrt(k); rounding of inputs or output costs a
    few epsilons of that (8 covers the largest of 256 elements and split sums), accumulation in float32
    at most another 4 sqrt(k) of its own.
    """
    import torch

    epsilon = TF32_EPSILON if dtype == "tf32" else torch.finfo(getattr(torch, dtype)).eps
    return k**0.5 * (8 * epsilon + 4 * 2.0**-24 * k**0.5)


def check_product(
    a: torch.Tensor, b: torch.Tensor, c: torch.Tensor, dtype: str, generator: torch.Generator
) -> None:
    """Check c[m, n] = a[m, k] b[k, n]: finite everywhere, and right at random rows and columns by float64.

    Raises MeasurementFailed (wrong_result).
    """
    import torch

    if not bool(torch.isfinite(c).all()):
        raise MeasurementFailed("wrong_result", "the product has elements that are not finite")
    rows = torch.randint(c.shape[0], (SAMPLED,), generator=generator, device=c.device)
    columns = torch.randint(c.shape[1], (SAMPLED,), generator=generator, device=c.device)
    expected = a[rows].double() @ b[:, columns].double()
    error = float((c[rows][:, columns].double() - expected).abs().max())
    allowed = tolerance(dtype, a.shape[1])
    if error > allowed:
        raise MeasurementFailed(
            "wrong_result", f"the {dtype} product is off by {error:.3g}; rounding explains {allowed:.3g} at most"
        )
