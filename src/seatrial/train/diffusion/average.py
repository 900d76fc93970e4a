"""An exponential moving average of a model's weights, which its evaluations may use instead."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

import torch
from torch.distributed.fsdp import FSDPModule


class Average:
    """Of the parameters that are trained, this rank's part of each.

    After update k (from 1) the decay is min(decay, (1 + k) / (10 + k)), so that the random weights of the start are
    soon forgotten.
    """

    def __init__(self, model: torch.nn.Module, decay: float) -> None:
        self.decay = decay
        self._model = model
        self._named = [(n, p) for n, p in model.named_parameters() if p.requires_grad]
        self._values = [own.clone() for own in self._own()]

    def update(self, updates: int) -> None:
        """Take in the weights after `updates` updates."""
        decay = min(self.decay, (1 + updates) / (10 + updates))
        torch._foreach_lerp_(self._values, self._own(), 1 - decay)

    @contextmanager
    def applied(self) -> Iterator[None]:
        """The model has the averaged weights inside, and its own again after."""
        trained = [own.clone() for own in self._own()]
        self._put(self._values)
        try:
            yield
        finally:
            self._put(trained)

    def state(self) -> dict[str, torch.Tensor]:
        return {f"average.{name}": value for (name, _), value in zip(self._named, self._values, strict=True)}

    def restore(self, state: dict[str, torch.Tensor]) -> None:
        for (name, _), value in zip(self._named, self._values, strict=True):
            value.copy_(state[f"average.{name}"])

    def _own(self) -> list[torch.Tensor]:
        with torch.no_grad():
            return [_local(p.detach()) for _, p in self._named]

    def _put(self, values: list[torch.Tensor]) -> None:
        for module in self._model.modules():
            if isinstance(module, FSDPModule):
                module.reshard()  # else whole weights, gathered before, would stay in use
        torch._foreach_copy_(self._own(), values)


class FollowsUpdates:
    """What objectives of diffusion keep beside their parameters: how many updates there were, and the average.

    Noise is drawn anew for every update, so that a run that is taken up has to know their number.
    """

    updates: int
    _average: Average | None

    def after_update(self, step: int) -> None:
        self.updates = step + 1
        if self._average:
            self._average.update(self.updates)

    def state(self) -> dict[str, torch.Tensor]:
        return {"updates": torch.tensor(self.updates), **(self._average.state() if self._average else {})}

    def restore(self, state: dict[str, torch.Tensor]) -> None:
        self.updates = int(state["updates"])
        if self._average:
            self._average.restore(state)


def _local(tensor: torch.Tensor) -> torch.Tensor:
    whole: torch.Tensor = tensor.to_local() if hasattr(tensor, "to_local") else tensor
    return whole
