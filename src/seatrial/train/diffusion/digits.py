"""Digits that were prepared, and the features of images."""

from __future__ import annotations

import hashlib
import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch

from seatrial.config.training.diffusion import DIGITS_SIDE
from seatrial.errors import MeasurementFailed
from seatrial.paths import PREPARED_SUMMARY
from seatrial.train.diffusion.frechet import Moments, frechet_distance

DIGITS_FILE = "digits.safetensors"
CHANNELS = 1
CLEARLY_WORSE = 10.0
"""The Frechet distance of noise must be this many times that of real images, or it measures nothing."""


@dataclass(frozen=True)
class Digits:
    """Images [n, 1, 8, 8], pixels from -1 to 1, on the device, and the network whose features they are told by."""

    train: torch.Tensor
    held_out: torch.Tensor
    weight: torch.Tensor
    """[features, 64]"""
    bias: torch.Tensor
    summary: dict[str, Any]
    sha256: str

    @classmethod
    def read(cls, folder: Path, device: torch.device) -> Digits:
        """What `seatrial prepare` left in `folder`."""
        from safetensors.torch import load

        content = (folder / DIGITS_FILE).read_bytes()
        tensors = {name: tensor.to(device) for name, tensor in load(content).items()}
        shape = (-1, CHANNELS, DIGITS_SIDE, DIGITS_SIDE)
        return cls(
            tensors["train"].reshape(shape),
            tensors["held_out"].reshape(shape),
            tensors["hidden.weight"],
            tensors["hidden.bias"],
            json.loads((folder / PREPARED_SUMMARY).read_text(encoding="utf-8")),
            hashlib.sha256(content).hexdigest(),
        )

    def features(self, images: torch.Tensor) -> torch.Tensor:
        """The feature network's hidden layer [n, features] in float32, whatever precision the model has."""
        with torch.autocast(images.device.type, enabled=False):
            return torch.relu(images.float().flatten(1) @ self.weight.T + self.bias).cpu()


@dataclass(frozen=True)
class Scale:
    """Frechet distances to the held-out images that tell what a distance is worth."""

    floor: float
    """Of the training images: real ones."""
    noise: float
    """Of noise."""

    @classmethod
    def of(cls, digits: Digits, reference: Moments, noise: torch.Tensor) -> Scale:
        """Measured with noise [n, ...].

        Raises MeasurementFailed (wrong_result) where noise is nearly as good as real images: the features tell
        nothing.
        """
        floor = frechet_distance(Moments.of(digits.features(digits.train)), reference)
        worst = frechet_distance(Moments.of(digits.features(noise)), reference)
        if not worst > CLEARLY_WORSE * floor:
            raise MeasurementFailed(
                "wrong_result",
                f"the Frechet distance of noise is {worst:.4g}, that of real images {floor:.4g}: these features "
                "tell them hardly apart",
            )
        return cls(floor, worst)
