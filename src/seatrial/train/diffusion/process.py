"""From images to noise and back: what a denoiser learns to predict, and how images are made with it."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Protocol

import torch

from seatrial.config.training import Diffusion
from seatrial.train.diffusion.denoisers import TIME_SCALE

Predict = Callable[[torch.Tensor, torch.Tensor], torch.Tensor]
"""A denoiser: noisy images [n, ...] and times [n] in [0, 1] to a prediction like the images."""


class Process(Protocol):
    """One way from images to noise."""

    def noisy(
        self, images: torch.Tensor, noise: torch.Tensor, level: torch.Tensor
    ) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
        """Noisy images, the times [n] that the denoiser is told, and what it should predict, for `level` [n] in
        (0, 1): how far on the way to noise."""
        ...

    def generate(self, predict: Predict, noise: torch.Tensor, steps: int) -> torch.Tensor:
        """Images from noise [n, ...] in `steps` steps; nothing is drawn on the way."""
        ...


def process_of(workload: Diffusion) -> Process:
    """The process that the workload's objective names."""
    return Ddpm(workload.noise_levels) if workload.objective == "ddpm" else FlowMatching()


class FlowMatching:
    """x_t = (1 - t) x + t noise; predicted is the velocity noise - x (Lipman et al., arXiv 2210.02747; Liu et al.,
    arXiv 2209.03003). Images are made with Euler's method, by diffusers' scheduler."""

    def __init__(self) -> None:
        from diffusers import FlowMatchEulerDiscreteScheduler

        self._sampler: Any = FlowMatchEulerDiscreteScheduler()

    def noisy(
        self, images: torch.Tensor, noise: torch.Tensor, level: torch.Tensor
    ) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
        t = level.view(-1, *[1] * (images.ndim - 1))
        return (1 - t) * images + t * noise, level, noise - images

    def generate(self, predict: Predict, noise: torch.Tensor, steps: int) -> torch.Tensor:
        scheduler = self._sampler
        scheduler.set_timesteps(sigmas=[1 - step / steps for step in range(steps)])
        images = noise
        for timestep in scheduler.timesteps:
            velocity = predict(images, (timestep / TIME_SCALE).to(noise.device).expand(len(noise)))
            images = scheduler.step(velocity.float(), timestep, images, return_dict=False)[0]
        return images


class Ddpm:
    """Denoising diffusion (Ho et al., arXiv 2006.11239): predicted is the noise.

    Squared-cosine schedule (Nichol and Dhariwal, arXiv 2102.09672) by diffusers' DDPMScheduler; images are made by
    DDIM without noise (arXiv 2010.02502) from the same levels, clipped to [-1, 1] on the way.
    """

    def __init__(self, levels: int) -> None:
        from diffusers import DDIMScheduler, DDPMScheduler

        self.levels = levels
        scheduler: Any = DDPMScheduler(num_train_timesteps=levels, beta_schedule="squaredcos_cap_v2")
        self._scheduler = scheduler
        self._sampler: Any = DDIMScheduler.from_config(scheduler.config, timestep_spacing="trailing")

    def noisy(
        self, images: torch.Tensor, noise: torch.Tensor, level: torch.Tensor
    ) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
        index = (level * self.levels).long().clamp(max=self.levels - 1)
        return self._scheduler.add_noise(images, noise, index), index / self.levels, noise

    def generate(self, predict: Predict, noise: torch.Tensor, steps: int) -> torch.Tensor:
        scheduler = self._sampler
        scheduler.set_timesteps(steps)
        images = noise
        for index in scheduler.timesteps:
            time = (index / self.levels).to(noise.device).expand(len(noise))
            images = scheduler.step(predict(images, time).float(), int(index), images, return_dict=False)[0]
        return images
