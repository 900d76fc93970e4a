"""One matrix product C[m, n] = A[m, k] B[k, n]: its operands, the operation, and the check of its result.

It counts 2mnk floating-point operations. Inputs are normally distributed: predictable data draws less power and
reads faster than real work.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from seatrial.config.probe import Gemm
from seatrial.config.probe.gemm import Shape
from seatrial.errors import MeasurementFailed, Unsupported

if TYPE_CHECKING:
    import torch

SAMPLED = 16
"""Rows and columns, drawn at random, whose crossings are checked against a float64 product."""
TF32_EPSILON = 2.0**-10
"""TF32 keeps 10 bits of the mantissa."""
FP8_STEP, FP8_STEP_ERROR = 32, 2.0**-13
"""fp8 units add up k in steps of 32 and keep about 14 bits of the sum (DeepSeek-V3, arXiv:2412.19437, 3.3.2)."""
FP8_CAPABILITY = (8, 9)
"""NVIDIA's compute capability from which on there are fp8 units: Ada, Hopper and later."""


@dataclass(frozen=True)
class Product:
    """Operands of one product and room for its result."""

    a: torch.Tensor
    """[m, k]"""
    b: torch.Tensor
    """[k, n]"""
    c: torch.Tensor
    """[m, n]; filled with NaN, which no product leaves there."""
    scale: torch.Tensor | None = None
    """fp8 only: the factor 1 of both operands."""
    fast_accumulation: bool = False


def flops(m: int, n: int, k: int) -> int:
    """Floating-point operations of one product: a multiplication and an addition for each of m n k terms."""
    return 2 * m * n * k


def operands(workload: Gemm, shape: Shape, device: torch.device, generator: torch.Generator) -> Product:
    """A[m, k] and B[k, n] from N(0, 1), rounded to the dtype."""
    import torch

    m, n, k = shape
    kind = storage_dtype(workload.dtype, device)
    columns = workload.b_layout == "column_major"

    def normal(rows: int, width: int) -> torch.Tensor:
        # fp8 has no generator of its own
        drawn = torch.float32 if workload.dtype == "fp8" else kind
        return torch.randn(rows, width, generator=generator, device=device, dtype=drawn).to(kind)

    a = normal(m, k)
    b = normal(n, k).t() if columns else normal(k, n)
    if workload.dtype != "fp8":
        return Product(a, b, torch.full((m, n), torch.nan, device=device, dtype=kind))
    c = torch.full((m, n), torch.nan, device=device, dtype=torch.bfloat16)
    return Product(a, b, c, torch.ones((), device=device), workload.fp8_fast_accumulation)


def another(product: Product) -> Product:
    """The same operands at another place in memory."""
    import torch

    # clone() keeps the order in which B lies in memory
    c = torch.full_like(product.c, torch.nan)
    return Product(product.a.clone(), product.b.clone(), c, product.scale, product.fast_accumulation)


def storage_dtype(dtype: str, device: torch.device) -> torch.dtype:
    """The torch dtype that holds operands of `dtype`: AMD's MI300 has an e4m3 of its own (without a minus zero)."""
    import torch

    if dtype == "tf32":
        return torch.float32
    if dtype != "fp8":
        found = getattr(torch, dtype)
        assert isinstance(found, torch.dtype)
        return found
    if torch.version.hip and device.type == "cuda":
        architecture = torch.cuda.get_device_properties(device).gcnArchName
        return torch.float8_e4m3fnuz if architecture.startswith("gfx94") else torch.float8_e4m3fn
    return torch.float8_e4m3fn


def multiply(product: Product) -> None:
    """The timed operation: C = A B, into memory that is already there."""
    import torch

    if product.scale is None:
        torch.mm(product.a, product.b, out=product.c)
        return
    torch._scaled_mm(
        product.a,
        product.b,
        scale_a=product.scale,
        scale_b=product.scale,
        out_dtype=product.c.dtype,
        use_fast_accum=product.fast_accumulation,
        out=product.c,
    )


def check_dtype(device: torch.device, dtype: str) -> None:
    """Raise Unsupported where `device` has no unit for `dtype`."""
    if dtype == "tf32":
        _check_tf32(device)
    elif dtype == "fp8":
        _check_fp8(device)
    elif dtype != "float32":
        _check_half(device, dtype)


def _check_tf32(device: torch.device) -> None:
    import torch

    if device.type == "cpu":
        raise Unsupported("tf32 exists on accelerators only; a CPU computes float32 in full")
    if torch.version.hip:
        raise Unsupported("tf32 is measured on NVIDIA accelerators only; take float32 or bfloat16 on AMD")
    if torch.cuda.get_device_capability(device) < (8, 0):
        raise Unsupported(f"tf32 needs compute capability 8.0; {torch.cuda.get_device_name(device)} is older")


def _check_fp8(device: torch.device) -> None:
    import torch

    if device.type == "cpu":
        raise Unsupported("fp8 products are measured on accelerators only; a CPU has no unit for them")
    name = torch.cuda.get_device_name(device)
    if not torch.version.hip and torch.cuda.get_device_capability(device) < FP8_CAPABILITY:
        raise Unsupported(f"fp8 needs compute capability 8.9; {name} is older")
    kind = storage_dtype("fp8", device)
    side, one = 64, torch.ones((), device=device)
    probe = torch.ones(side, side, device=device).to(kind)
    try:
        torch._scaled_mm(probe, probe.t(), scale_a=one, scale_b=one, out_dtype=torch.bfloat16)
    except (RuntimeError, ValueError, NotImplementedError) as problem:
        if "out of memory" in str(problem).lower():
            raise
        words = str(problem).partition("\n")[0]
        raise Unsupported(f"torch {torch.__version__} has no fp8 product on {name}: {words}") from problem


def _check_half(device: torch.device, dtype: str) -> None:
    import torch

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
    at most another 4 sqrt(k) of its own. Inputs of fp8 are rounded before they are compared, so that only its
    output (bfloat16) and the few bits of its sums count: k / 32 steps, each off by 2^-13 of up to 4 sqrt(k).
    """
    import torch

    if dtype == "tf32":
        epsilon = TF32_EPSILON
    else:
        epsilon = torch.finfo(torch.bfloat16 if dtype == "fp8" else getattr(torch, dtype)).eps
    allowed = 8 * epsilon + 4 * 2.0**-24 * k**0.5
    if dtype == "fp8":
        allowed += 4 * FP8_STEP_ERROR * k / FP8_STEP
    return float(k**0.5 * allowed)


def check_product(product: Product, dtype: str, generator: torch.Generator) -> None:
    """Check C = A B: finite everywhere, and right at random rows and columns by float64.

    Raises MeasurementFailed (wrong_result).
    """
    import torch

    a, b, c = product.a, product.b, product.c
    if not bool(torch.isfinite(c).all()):
        raise MeasurementFailed("wrong_result", "the product has elements that are not finite")
    rows = torch.randint(c.shape[0], (SAMPLED,), generator=generator, device=c.device)
    columns = torch.randint(c.shape[1], (SAMPLED,), generator=generator, device=c.device)
    expected = _rows(a, rows).double() @ _rows(b.t(), columns).double().t()
    error = float((c[rows][:, columns].double() - expected).abs().max())
    allowed = tolerance(dtype, a.shape[1])
    if error > allowed:
        raise MeasurementFailed(
            "wrong_result", f"the {dtype} product is off by {error:.3g}; rounding explains {allowed:.3g} at most"
        )


def _rows(matrix: torch.Tensor, rows: torch.Tensor) -> torch.Tensor:
    """The rows with these numbers; of fp8 by way of its bytes, since not every device can index it."""
    import torch

    if matrix.element_size() > 1:
        return matrix[rows]
    return matrix.view(torch.uint8)[rows].view(matrix.dtype)
