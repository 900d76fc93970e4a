"""Diffusion: training of a denoiser to a quality."""

from __future__ import annotations

from seatrial.config.training import Diffusion
from seatrial.config.training.diffusion import PreparedDigits
from seatrial.measure.context import RankContext
from seatrial.train.diffusion import captioned, images
from seatrial.train.layout import Layout
from seatrial.train.learner import Objective
from seatrial.train.run import train


def run(ctx: RankContext) -> None:
    """Train to the quality target.

    Raises as `train` does, UnreadableFile for data that cannot be read, and MeasurementFailed (wrong_result) where
    the evaluation would measure nothing: too few samples, features that tell noise and images hardly apart, a
    target that real images do not reach.
    """
    workload = ctx.case.workload
    assert isinstance(workload, Diffusion)

    def build(ctx: RankContext, layout: Layout) -> Objective:
        if isinstance(workload.dataset, PreparedDigits):
            return images.build(ctx, workload, layout)
        return captioned.build(ctx, workload, layout)

    train(ctx, workload, build)
