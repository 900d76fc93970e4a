"""A burst of products of one shape: operands made, the iterations timed one by one, the results checked."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from itertools import cycle
from typing import TYPE_CHECKING

from seatrial.config.probe import Gemm
from seatrial.config.probe.gemm import Shape
from seatrial.errors import MeasurementFailed
from seatrial.measure.context import RankContext
from seatrial.measure.gemm import product
from seatrial.measure.timing import time_iterations, wait_for_all

if TYPE_CHECKING:
    import torch


class Burst:
    """Products of one shape on this rank's device. A call multiplies once, the operands whose turn it is."""

    def __init__(self, ctx: RankContext, workload: Gemm, shape: Shape, generator: torch.Generator) -> None:
        self._ctx, self._workload, self._generator = ctx, workload, generator
        self.shape, self.work = shape, product.flops(*shape)
        first = product.operands(workload, shape, ctx.device, generator)
        copies = workload.copies_of(shape)
        self.products = [first, *(product.another(first) for _ in range(copies - 1))]
        self._turns = cycle(self.products)
        self._done = 0

    def __call__(self) -> None:
        product.multiply(next(self._turns))
        self._done += 1

    def seconds(self, warmup: int, iterations: int) -> list[float]:
        """Seconds of each timed product; all ranks begin together.

        Raises MeasurementFailed (wrong_result) for a wrong product.
        """
        wait_for_all(self._ctx)
        found = time_iterations(self._ctx.device, self, warmup, iterations)
        self.check()
        return found

    def check(self) -> None:
        """Check every result that was written. Raises MeasurementFailed (wrong_result) that names the shape."""
        for written in self.products[: self._done]:
            try:
                product.check_product(written, self._workload.dtype, self._generator)
            except MeasurementFailed as wrong:
                m, n, k = self.shape
                raise MeasurementFailed(wrong.kind, f"{m} x {n} x {k}: {wrong}") from None


@contextmanager
def matmul_precision(dtype: str) -> Iterator[None]:
    """float32 products in full, or through TF32 units, for as long as it lasts."""
    import torch

    before = torch.get_float32_matmul_precision()
    torch.set_float32_matmul_precision("high" if dtype == "tf32" else "highest")
    try:
        yield
    finally:
        torch.set_float32_matmul_precision(before)
