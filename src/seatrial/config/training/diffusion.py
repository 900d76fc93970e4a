"""Parameters of diffusion: denoisers of images and of preprocessed latents."""

from __future__ import annotations

from typing import Annotated, Literal, Self

from pydantic import Field, model_validator

from seatrial.config.base import Closed, PositiveFloat, PositiveInt
from seatrial.config.probe import Preparation
from seatrial.config.training.base import Training

DIGITS_SIDE = 8
"""Pixels on a side of scikit-learn's digits."""
DIGITS = 1797
"""Images that scikit-learn's digits have."""


class PreparedDigits(Preparation):
    """scikit-learn's handwritten digits, 8 x 8 pixels, split at random, and a classifier trained on the training
    part whose hidden layer gives the features of the Frechet distance."""

    source: Literal["prepared_digits"]
    held_out: Annotated[int, Field(ge=100, le=DIGITS - 100, strict=True)] = 600
    """Images that are never trained on; the Frechet distance is to these."""
    features: PositiveInt = 32
    """Units of the classifier's hidden layer."""
    seed: PositiveInt = 1
    """Of the split and of the classifier."""


class PreprocessedLatents(Closed):
    """Images and captions that frozen encoders have been over, by path: MLPerf's preprocessed CC12M and COCO.

    A folder holds Arrow files as `datasets` saves them (`data-*.arrow`), a row for each sample: `mean` and `logvar`
    of the autoencoder, `t5_encodings` and `clip_encodings`, each the bytes of a .npy file with bfloat16 as uint16;
    the evaluation's also `timestep`.
    """

    source: Literal["preprocessed_latents"]
    train: str = Field(min_length=1)
    evaluation: str = Field(min_length=1)
    empty_encodings: str | None = None
    """Folder with t5_empty.npy and clip_empty.npy, the encodings of no caption."""
    caption_dropout: Annotated[float, Field(ge=0, lt=1)] = 0.0
    """Share of training samples that get the encodings of no caption (for classifier-free guidance)."""
    autoencoder_scale: PositiveFloat = 0.3611
    autoencoder_shift: float = 0.1159

    @model_validator(mode="after")
    def _what_dropped_captions_become(self) -> Self:
        if self.caption_dropout and self.empty_encodings is None:
            raise ValueError(f"caption_dropout ({self.caption_dropout:g}) needs empty_encodings")
        return self


class MlpDenoiser(Closed):
    """Residual blocks of fully connected layers over all pixels at once; for small images."""

    architecture: Literal["mlp"]
    hidden_size: PositiveInt
    blocks: PositiveInt


class DitDenoiser(Closed):
    """A diffusion transformer (diffusers' DiTTransformer2DModel) over patches of an image."""

    architecture: Literal["dit"]
    layers: PositiveInt
    heads: PositiveInt
    head_dim: PositiveInt
    patch_size: Literal[1, 2, 4, 8]


class UNetDenoiser(Closed):
    """A convolutional U-Net (diffusers' UNet2DModel) that halves the image between its stages."""

    architecture: Literal["unet"]
    channels: Annotated[list[PositiveInt], Field(min_length=1, max_length=4)]
    """Of each stage."""
    layers_per_block: PositiveInt = 2
    normalisation_groups: PositiveInt = 8

    @model_validator(mode="after")
    def _in_groups(self) -> Self:
        uneven = [c for c in self.channels if c % self.normalisation_groups]
        if uneven:
            raise ValueError(f"channels {uneven} are not divisible by normalisation_groups")
        return self


class FluxTransformer(Closed):
    """FLUX.1's transformer (diffusers' FluxTransformer2DModel), over 2 x 2 patches of latents and a caption."""

    architecture: Literal["flux"]
    in_channels: PositiveInt
    """Of a patch: four times those of the latents."""
    num_layers: PositiveInt
    """Blocks in which image and caption have weights of their own."""
    num_single_layers: PositiveInt
    """Blocks in which both share their weights."""
    num_attention_heads: PositiveInt
    attention_head_dim: PositiveInt
    joint_attention_dim: PositiveInt
    """Of a T5 encoding."""
    pooled_projection_dim: PositiveInt
    """Of a CLIP encoding."""
    axes_dims_rope: Annotated[list[PositiveInt], Field(min_length=3, max_length=3)]

    @model_validator(mode="after")
    def _consistent(self) -> Self:
        if sum(self.axes_dims_rope) != self.attention_head_dim or any(d % 2 for d in self.axes_dims_rope):
            raise ValueError(
                f"axes_dims_rope {self.axes_dims_rope} must be even and add up to attention_head_dim "
                f"({self.attention_head_dim})"
            )
        if self.in_channels % 4:
            raise ValueError(f"in_channels ({self.in_channels}) must be four times the latents' channels")
        return self


class Diffusion(Training):
    """Training of a denoiser from random weights: of small images to a Frechet distance, or of preprocessed latents
    with captions to an evaluation loss."""

    kind: Literal["diffusion"]
    objective: Literal["ddpm", "flow_matching"]
    """ddpm: predict the noise that was added at one of `noise_levels` steps; flow_matching: predict the velocity
    from image to noise on a straight line."""
    model: Annotated[
        MlpDenoiser | DitDenoiser | UNetDenoiser | FluxTransformer, Field(discriminator="architecture")
    ]
    dataset: Annotated[PreparedDigits | PreprocessedLatents, Field(discriminator="source")]
    timesteps: Literal["uniform", "logit_normal"] = "uniform"
    """How often which noise level is trained on; logit_normal (mean 0, deviation 1) prefers the middle ones."""
    noise_levels: PositiveInt = 1000
    """Of ddpm (squared-cosine schedule); flow_matching has a continuum."""
    ema_decay: Annotated[float, Field(gt=0, lt=1)] | None = None
    """Evaluations use an exponential moving average of the weights; None: the weights themselves."""
    evaluation_samples: PositiveInt
    """Images that are generated for a Frechet distance; latents that an evaluation loss is taken over."""
    sampling_steps: PositiveInt | None = None
    """Steps from noise to image, of flow_matching Euler's, of ddpm DDIM's; only where images are generated."""

    @model_validator(mode="after")
    def _consistent(self) -> Self:
        if self.parallelism.tp > 1 or self.parallelism.ep > 1:
            raise ValueError(
                f"parallelism tp {self.parallelism.tp}, ep {self.parallelism.ep}: diffusion shares its work by dp "
                "and fsdp only; allowed for tp and ep: 1"
            )
        metrics = [q.metric for q in (self.quality, *self.also)]
        if metrics != [self._measured]:
            raise ValueError(
                f"quality.metric {', '.join(metrics)}: diffusion on {self.dataset.source} measures {self._measured}"
            )
        if isinstance(self.dataset, PreparedDigits):
            self._check_images(self.dataset)
        else:
            self._check_latents()
        return self

    @property
    def _measured(self) -> str:
        return "frechet_distance" if isinstance(self.dataset, PreparedDigits) else "velocity_loss"

    def _check_images(self, dataset: PreparedDigits) -> None:
        if isinstance(self.model, FluxTransformer):
            raise ValueError("model.architecture flux denoises latents with captions; allowed here: mlp, dit, unet")
        if isinstance(self.model, UNetDenoiser) and DIGITS_SIDE % 2 ** (len(self.model.channels) - 1):
            raise ValueError(f"model.channels: {DIGITS_SIDE} pixels cannot be halved that often")
        if self.sampling_steps is None:
            raise ValueError("sampling_steps is missing: a Frechet distance is that of generated images")
        if self.objective == "ddpm" and self.sampling_steps > self.noise_levels:
            raise ValueError(
                f"sampling_steps ({self.sampling_steps}) are more than noise_levels ({self.noise_levels})"
            )
        fewest = min(self.evaluation_samples, dataset.held_out)
        if fewest <= dataset.features:
            raise ValueError(
                f"a Frechet distance of {dataset.features} features needs more than as many images; "
                f"evaluation_samples is {self.evaluation_samples}, dataset.held_out {dataset.held_out}"
            )

    def _check_latents(self) -> None:
        if not isinstance(self.model, FluxTransformer) or self.objective != "flow_matching":
            raise ValueError(
                f"model.architecture {self.model.architecture} with objective {self.objective}: "
                "preprocessed_latents are for flux with flow_matching"
            )
        if self.sampling_steps is not None:
            raise ValueError("sampling_steps: no image is generated from preprocessed_latents; allowed: null")
        if self.evaluation_samples < EVALUATION_TIMESTEPS:
            raise ValueError(
                f"evaluation_samples ({self.evaluation_samples}) must be at least {EVALUATION_TIMESTEPS}, one for "
                "each time step that the loss is averaged over"
            )

    def preparations(self) -> list[Preparation]:
        return [self.dataset] if isinstance(self.dataset, PreparedDigits) else []


EVALUATION_TIMESTEPS = 8
"""Equidistant time steps 0, 1/8, ..., 7/8 that MLPerf's flux1 averages its evaluation loss over."""
