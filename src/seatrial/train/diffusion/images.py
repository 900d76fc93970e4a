"""Training on images: digits, to a Frechet distance."""

from __future__ import annotations

import contextlib
from typing import TYPE_CHECKING, NamedTuple

import torch

from seatrial.config.training import Diffusion
from seatrial.config.training.diffusion import DIGITS_SIDE, PreparedDigits
from seatrial.errors import MeasurementFailed
from seatrial.measure.context import RankContext
from seatrial.record import Measurement, measurement
from seatrial.train.diffusion.average import Average, FollowsUpdates
from seatrial.train.diffusion.denoisers import image_denoiser
from seatrial.train.diffusion.digits import CHANNELS, Digits, Scale
from seatrial.train.diffusion.flops import image_flops
from seatrial.train.diffusion.frechet import Moments, frechet_distance, moments_over_ranks
from seatrial.train.diffusion.noise import Noise
from seatrial.train.diffusion.process import process_of
from seatrial.train.layout import Layout
from seatrial.train.sharding import shard
from seatrial.train.share import share_of

if TYPE_CHECKING:
    from seatrial.train.flops import FlopCount

SHAPE = (CHANNELS, DIGITS_SIDE, DIGITS_SIDE)
GENERATED_AT_ONCE = 512


class Batch(NamedTuple):
    """Images [n, ...] and their numbers [n] in the training set, by which their noise is drawn."""

    numbers: torch.Tensor
    images: torch.Tensor


class ImageObjective(FollowsUpdates):
    """Mean squared error of a denoiser's prediction; evaluated by the images that it makes.

    `updates` counts the optimiser's steps: with a sample's number it names the sample's noise.
    """

    tokens_per_sample = None

    def __init__(
        self, workload: Diffusion, model: torch.nn.Module, digits: Digits, layout: Layout, seed: int
    ) -> None:
        """Raises MeasurementFailed (wrong_result) for too few samples, for features that tell nothing, and for a
        target that real images do not reach."""
        self.workload, self.model, self.layout = workload, model, layout
        self.samples, self.evaluation_samples = len(digits.train), workload.evaluation_samples
        self.updates = 0
        self._digits, self._noise, self._process = digits, Noise(seed), process_of(workload)
        self._average = None if workload.ema_decay is None else Average(model, workload.ema_decay)
        self._reference = Moments.of(digits.features(digits.held_out))
        everything = torch.arange(workload.evaluation_samples, device=layout.device)
        self.scale = Scale.of(digits, self._reference, self._noise.normal("generated", 0, everything, SHAPE))
        if workload.quality.target <= self.scale.floor:
            raise MeasurementFailed(
                "wrong_result",
                f"the target of {workload.quality.target:g} is not above {self.scale.floor:.4g}, the Frechet "
                "distance of real images to other real images: below it a run learns the sample, not the digits",
            )

    def fetch(self, positions: torch.Tensor) -> Batch:
        numbers = positions.to(self.layout.device)
        return Batch(numbers, self._digits.train[numbers])

    def loss(self, batch: Batch) -> torch.Tensor:
        noise = self._noise.normal("training_noise", self.updates, batch.numbers, SHAPE)
        noisy, time, wanted = self._process.noisy(batch.images, noise, self._levels(batch.numbers))
        return torch.nn.functional.mse_loss(self.model(noisy, time).float(), wanted)

    def evaluate(self) -> dict[str, float]:
        """The Frechet distance of generated to held-out images; with averaged weights, where there are such."""
        with self._average.applied() if self._average else contextlib.nullcontext():
            features = self._digits.features(self.generate())
        return {"frechet_distance": frechet_distance(moments_over_ranks(features, self.layout), self._reference)}

    def generate(self) -> torch.Tensor:
        """This rank's share of the generated images [n, ...]; image i is made from the same noise every time."""
        assert self.workload.sampling_steps is not None
        images = []
        for numbers, counted in share_of(self.evaluation_samples, self.layout, GENERATED_AT_ONCE):
            noise = self._noise.normal("generated", 0, numbers.to(self.layout.device), SHAPE)
            images.append(self._process.generate(self.model, noise, self.workload.sampling_steps)[:counted])
        return torch.cat(images)

    def measurements(self) -> list[Measurement]:
        """What the Frechet distances are to be held against."""
        return [
            measurement("diffusion.frechet_floor", [self.scale.floor]),
            measurement("diffusion.frechet_of_noise", [self.scale.noise]),
        ]

    def log_parameters(self) -> dict[str, object]:
        samples = self.workload.global_batch(self.layout.ranks.size)
        return {"evaluation_frequency": self.workload.evaluation_interval_steps * samples}

    def flops_per_sample(self) -> FlopCount | None:
        return image_flops(self.workload)

    def _levels(self, numbers: torch.Tensor) -> torch.Tensor:
        """How noisy each sample is made, in (0, 1)."""
        if self.workload.timesteps == "uniform":
            return self._noise.uniform("training_time", self.updates, numbers)[:, 0]
        return torch.sigmoid(self._noise.normal("training_time", self.updates, numbers, ()))


def build(ctx: RankContext, workload: Diffusion, layout: Layout) -> ImageObjective:
    """The objective on the digits that were prepared for `workload`; also says in `ctx.facts` what they are."""
    assert isinstance(workload.dataset, PreparedDigits)
    layout.opens_data()
    digits = Digits.read(ctx.prepared_for(workload.dataset), layout.device)
    ctx.facts["datasets"] = {
        use: {"origin": digits.summary["origin"], "sha256": digits.sha256, "images": len(images)}
        for use, images in (("train", digits.train), ("evaluation", digits.held_out))
    }
    ctx.facts["feature_network"] = {key: digits.summary[key] for key in ("accuracy", "scikit_learn")}
    model = image_denoiser(workload.model, DIGITS_SIDE, workload.activation_checkpointing).to(layout.device)
    shard(model, model.blocks(), layout)
    return ImageObjective(workload, model, digits, layout, ctx.seed)
