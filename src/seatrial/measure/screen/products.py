"""The matrix products of a group run."""

from __future__ import annotations

import torch

from seatrial.config.probe.screen import Screen
from seatrial.measure.context import RankContext
from seatrial.measure.gemm import product
from seatrial.measure.gemm.burst import matmul_precision
from seatrial.measure.timing import start_together, time_iterations


class Products:
    """Operands on this rank's device, multiplied in every group run that the rank is in."""

    def __init__(self, ctx: RankContext, workload: Screen) -> None:
        self.ctx, self.workload = ctx, workload
        self.generator = torch.Generator(ctx.device).manual_seed(ctx.seed * ctx.world_size + ctx.rank)
        gemm = workload.product(on_cpu=ctx.device.type == "cpu")
        self.dtype = gemm.dtype
        self.operands = product.operands(gemm, gemm.shapes[0], ctx.device, self.generator)

    def seconds(self, takes_part: bool) -> list[float]:
        """Seconds of each iteration's products; about 0 on a rank that does not take part.

        Every rank must call it. Raises MeasurementFailed (wrong_result) for a wrong product.
        """
        self.operands.c.fill_(torch.nan)

        def operation() -> None:
            if takes_part:
                for _ in range(self.workload.products):
                    product.multiply(self.operands)

        before = start_together(self.ctx.device)
        with matmul_precision(self.dtype):
            found = time_iterations(
                self.ctx.device, operation, self.workload.warmup, self.workload.iterations, before
            )
        if takes_part:
            product.check_product(self.operands, self.dtype, self.generator)
        return found
