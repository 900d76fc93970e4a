"""A task that costs next to nothing: what is left of a step is the loop's own."""

from __future__ import annotations

import torch

from seatrial.record import Measurement
from seatrial.train.layout import Layout


class Trivial:
    """One parameter."""

    samples = evaluation_samples = 1 << 16
    tokens_per_sample = None

    def __init__(self, layout: Layout) -> None:
        self.model: torch.nn.Module = torch.nn.Linear(1, 1, bias=False)

    def fetch(self, positions: torch.Tensor) -> torch.Tensor:
        return positions

    def loss(self, batch: torch.Tensor) -> torch.Tensor:
        return next(self.model.parameters()).sum()

    def evaluate(self) -> dict[str, float]:
        return {"evaluation_loss": 1.0}

    def after_update(self, step: int) -> None:
        """Nothing is to be done."""

    def measurements(self) -> list[Measurement]:
        return []

    def state(self) -> dict[str, torch.Tensor]:
        return {}

    def restore(self, state: dict[str, torch.Tensor]) -> None:
        """Nothing was kept."""

    def log_parameters(self) -> dict[str, object]:
        return {}

    def flops_per_sample(self) -> None:
        return None
