"""Training on preprocessed latents with captions, to an evaluation loss: MLPerf's flux1."""

from __future__ import annotations

import contextlib
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

import torch

from seatrial.config.training import Diffusion
from seatrial.config.training.diffusion import EVALUATION_TIMESTEPS, FluxTransformer, PreprocessedLatents
from seatrial.errors import MeasurementFailed
from seatrial.measure.context import RankContext
from seatrial.record import Measurement
from seatrial.train.diffusion.average import Average, FollowsUpdates
from seatrial.train.diffusion.flops import flux_flops
from seatrial.train.diffusion.flux import POSITION_AXES, packed, place, positions
from seatrial.train.diffusion.latents import LatentFolder, Latents, no_caption
from seatrial.train.diffusion.noise import Noise, Stream
from seatrial.train.diffusion.process import FlowMatching
from seatrial.train.layout import Layout
from seatrial.train.share import share_of

if TYPE_CHECKING:
    from seatrial.train.flops import FlopCount


class Batch(NamedTuple):
    """Samples with their numbers in their set, all on the device."""

    numbers: torch.Tensor
    mean: torch.Tensor
    logvar: torch.Tensor
    t5: torch.Tensor
    clip: torch.Tensor
    timestep: torch.Tensor
    """int64 [n]: which of the evaluation's time steps the sample stands for."""


class CaptionedObjective(FollowsUpdates):
    """Mean squared error of the velocity, by the reference of MLPerf's flux1 (mlcommons/training, text_to_image).

    Training: a latent is drawn from the autoencoder's distribution, a time evenly from (0, 1), and some captions
    are dropped. Evaluation: sample i stands for time step i mod 8 (or the one that its file states) of 0, 1/8, ...,
    7/8, and the loss is the mean of the time steps' means.
    """

    def __init__(
        self, workload: Diffusion, model: torch.nn.Module, train: LatentFolder, evaluation: LatentFolder,
        layout: Layout, seed: int,
    ) -> None:  # fmt: skip
        assert isinstance(workload.dataset, PreprocessedLatents)
        self.workload, self.model, self.layout, self.dataset = workload, model, layout, workload.dataset
        self.samples, self.evaluation_samples = len(train), workload.evaluation_samples
        self.tokens_per_sample = None
        self.updates = 0
        self._train, self._evaluation = train, evaluation
        self._noise, self._process = Noise(seed), FlowMatching()
        self._average = None if workload.ema_decay is None else Average(model, workload.ema_decay)
        empty = workload.dataset.empty_encodings
        self._no_caption = None if empty is None else [part.to(layout.device) for part in no_caption(Path(empty))]

    def fetch(self, positions: torch.Tensor) -> Batch:
        return self._batch(self._train, positions)

    def loss(self, batch: Batch) -> torch.Tensor:
        latents = self._latents(batch, "training_latent", self.updates)
        noise = self._noise.normal("training_noise", self.updates, batch.numbers, tuple(latents.shape[1:]))
        if self.workload.timesteps == "uniform":
            times = self._noise.uniform("training_time", self.updates, batch.numbers)[:, 0]
        else:
            times = torch.sigmoid(self._noise.normal("training_time", self.updates, batch.numbers, ()))
        return self._errors(self._captions_dropped(batch), latents, noise, times).mean()

    def evaluate(self) -> dict[str, float]:
        """The evaluation loss, the mean over time steps of the mean loss at each."""
        losses = torch.zeros(EVALUATION_TIMESTEPS, dtype=torch.float64)
        counts = torch.zeros(EVALUATION_TIMESTEPS, dtype=torch.float64)
        with self._average.applied() if self._average else contextlib.nullcontext():
            for numbers, counted in share_of(self.evaluation_samples, self.layout, self.workload.batch_size):
                batch = self._batch(self._evaluation, numbers)
                latents = self._latents(batch, "evaluation_latent", 0)
                noise = self._noise.normal("evaluation_noise", 0, batch.numbers, tuple(latents.shape[1:]))
                times = batch.timestep / EVALUATION_TIMESTEPS
                errors = self._errors(batch, latents, noise, times)[:counted].double().cpu()
                at = batch.timestep[:counted].cpu()
                losses.index_add_(0, at, errors)
                counts.index_add_(0, at, torch.ones_like(errors))
        both = self.layout.data_total([*losses.tolist(), *counts.tolist()])
        return {"velocity_loss": mean_over_timesteps(both[:EVALUATION_TIMESTEPS], both[EVALUATION_TIMESTEPS:])}

    def measurements(self) -> list[Measurement]:
        return []

    def log_parameters(self) -> dict[str, object]:
        samples = self.workload.global_batch(self.layout.ranks.size)
        return {"evaluation_frequency": self.workload.evaluation_interval_steps * samples}

    def flops_per_sample(self) -> FlopCount | None:
        assert isinstance(self.workload.model, FluxTransformer)
        one = self._train.read([0])
        _, _, height, width = one.mean.shape
        recompute = self.workload.activation_checkpointing
        return flux_flops(self.workload.model, height // 2 * (width // 2), one.t5.shape[1], recompute)

    def _batch(self, folder: LatentFolder, numbers: torch.Tensor) -> Batch:
        read: Latents = folder.read(numbers.tolist())
        timestep = numbers % EVALUATION_TIMESTEPS if read.timestep is None else read.timestep
        tensors = (numbers, read.mean, read.logvar, read.t5, read.clip, timestep)
        return Batch(*(tensor.to(self.layout.device) for tensor in tensors))

    def _latents(self, batch: Batch, stream: Stream, step: int) -> torch.Tensor:
        """Drawn from the autoencoder's distribution, shifted and scaled to about unit variance; float32."""
        drawn = self._noise.normal(stream, step, batch.numbers, tuple(batch.mean.shape[1:]))
        unscaled = batch.mean.float() + torch.exp(0.5 * batch.logvar.float()) * drawn
        return (unscaled - self.dataset.autoencoder_shift) * self.dataset.autoencoder_scale

    def _captions_dropped(self, batch: Batch) -> Batch:
        if not self.dataset.caption_dropout or self._no_caption is None:
            return batch
        dropped = self._noise.uniform("caption", self.updates, batch.numbers)[:, 0] < self.dataset.caption_dropout
        t5 = torch.where(dropped[:, None, None], self._no_caption[0], batch.t5)
        return batch._replace(t5=t5, clip=torch.where(dropped[:, None], self._no_caption[1], batch.clip))

    def _errors(
        self, batch: Batch, latents: torch.Tensor, noise: torch.Tensor, times: torch.Tensor
    ) -> torch.Tensor:
        """The mean squared error [n] of each sample."""
        noisy, told, wanted = self._process.noisy(latents, noise, times)
        height, width = latents.shape[2:]
        predicted = self.model(
            hidden_states=packed(noisy),
            encoder_hidden_states=batch.t5.float(),
            pooled_projections=batch.clip.float(),
            timestep=told,
            img_ids=positions(height, width, latents.device),
            txt_ids=torch.zeros(batch.t5.shape[1], POSITION_AXES, device=latents.device),
            return_dict=False,
        )[0]
        return (predicted.float() - packed(wanted)).square().mean(dim=(1, 2))


def mean_over_timesteps(losses: list[float], counts: list[float]) -> float:
    """The mean of each time step's mean loss, from sums and counts by time step.

    Raises MeasurementFailed (wrong_result) where a time step has no sample.
    """
    empty = [step for step, count in enumerate(counts) if not count]
    if empty:
        raise MeasurementFailed(
            "wrong_result", f"no evaluation sample stands for time step(s) {', '.join(map(str, empty))}"
        )
    return sum(loss / count for loss, count in zip(losses, counts, strict=True)) / len(counts)


def build(ctx: RankContext, workload: Diffusion, layout: Layout) -> CaptionedObjective:
    """The objective on the latents that `workload` names. Raises UnreadableFile, and MeasurementFailed
    (wrong_result) where the evaluation has fewer samples than are asked for or another shape than the model."""
    assert isinstance(workload.dataset, PreprocessedLatents) and isinstance(workload.model, FluxTransformer)
    gathered_as = torch.bfloat16 if workload.dtype == "bfloat16" else None
    model = place(workload.model, workload.activation_checkpointing, layout, ctx.seed, gathered_as)
    layout.opens_data()
    train, evaluation = LatentFolder(Path(workload.dataset.train)), LatentFolder(Path(workload.dataset.evaluation))
    if len(evaluation) < workload.evaluation_samples:
        raise MeasurementFailed(
            "wrong_result",
            f"{evaluation.folder} has {len(evaluation)} samples; evaluation_samples asks for "
            f"{workload.evaluation_samples}",
        )
    for folder in (train, evaluation):
        _check_shapes(folder, workload.model)
    ctx.facts["datasets"] = {"train": train.facts(), "evaluation": evaluation.facts()}
    return CaptionedObjective(workload, model, train, evaluation, layout, ctx.seed)


def _check_shapes(folder: LatentFolder, model: FluxTransformer) -> None:
    first = folder.read([0])
    found = {
        "in_channels": first.mean.shape[1] * 4,
        "joint_attention_dim": first.t5.shape[2],
        "pooled_projection_dim": first.clip.shape[1],
    }
    wrong = {key: value for key, value in found.items() if value != getattr(model, key)}
    if wrong or first.mean.shape[2] % 2 or first.mean.shape[3] % 2:
        raise MeasurementFailed(
            "wrong_result",
            f"the samples of {folder.folder} (latents {list(first.mean.shape[1:])}, T5 {list(first.t5.shape[1:])}, "
            f"CLIP {list(first.clip.shape[1:])}) do not fit the model: "
            + (", ".join(f"they need {key} {value}" for key, value in wrong.items()) or "odd height or width"),
        )
