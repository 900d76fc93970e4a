"""One optimiser step, the same for every training: data, forward, backward, gradients, update."""

from __future__ import annotations

import contextlib
import math
from typing import TYPE_CHECKING, Any, Protocol

import torch

from seatrial.config.training import Training
from seatrial.record import Measurement
from seatrial.train.buckets import GradientMean
from seatrial.train.gradients import clip_norm
from seatrial.train.layout import Layout
from seatrial.train.order import BatchOrder

if TYPE_CHECKING:
    from seatrial.train.flops import FlopCount, Undefined


class Objective(Protocol):
    """What a workload gives: a model, its data and its losses. All ranks call every method at the same place."""

    model: torch.nn.Module
    """On its device, parallelised; its parameters that require gradients are trained."""

    @property
    def samples(self) -> int:
        """Training samples there are."""
        ...

    @property
    def evaluation_samples(self) -> int:
        """Samples of one evaluation."""
        ...

    @property
    def tokens_per_sample(self) -> int | None:
        """None: its samples are not made of tokens that are predicted."""
        ...

    def fetch(self, positions: torch.Tensor) -> Any:
        """The samples [n] at `positions` of the training data, on the device."""
        ...

    def loss(self, batch: Any) -> torch.Tensor:
        """The mean loss of a micro-batch, auxiliary losses included; a scalar to differentiate."""
        ...

    def evaluate(self) -> dict[str, float]:
        """The quality metrics on the whole evaluation set, the same on every rank."""
        ...

    def after_update(self, step: int) -> None:
        """After the optimiser's step."""
        ...

    def measurements(self) -> list[Measurement]:
        """What the workload measured of itself so far; rank 0's go into the record."""
        ...

    def state(self) -> dict[str, torch.Tensor]:
        """Tensors beside parameters and optimiser that a checkpoint needs, by name; this rank's own."""
        ...

    def restore(self, state: dict[str, torch.Tensor]) -> None:
        """Continue from what `state` returned."""
        ...

    def log_parameters(self) -> dict[str, object]:
        """What its log says by MLPerf's names beside sizes and optimiser."""
        ...

    def flops_per_sample(self) -> FlopCount | Undefined | None:
        """Model FLOPs of one sample; Undefined with the reason, or None, where no formula holds."""
        ...


class KeepsNothing:
    """An objective that is done after each update and keeps nothing beside its parameters."""

    def after_update(self, step: int) -> None:
        """Nothing is to be done."""

    def measurements(self) -> list[Measurement]:
        """Nothing beside its qualities."""
        return []

    def state(self) -> dict[str, torch.Tensor]:
        """Nothing."""
        return {}

    def restore(self, state: dict[str, torch.Tensor]) -> None:
        """Nothing was kept."""


class Learner:
    """Trains an objective, each data-parallel rank on its own share of every global batch."""

    def __init__(self, workload: Training, objective: Objective, layout: Layout, seed: int) -> None:
        self.workload, self.objective, self.layout = workload, objective, layout
        self.samples_per_step = workload.global_batch(layout.ranks.size)
        self.tokens_per_sample = objective.tokens_per_sample
        self._order = BatchOrder(objective.samples, seed)
        named = [(n, p) for n, p in objective.model.named_parameters() if p.requires_grad]
        self.names, self.parameters = [n for n, _ in named], [p for _, p in named]
        self._mean = GradientMean(self.parameters, layout)
        self.optimizer = torch.optim.AdamW(
            _kinds(self.parameters),
            lr=workload.learning_rate,
            betas=(workload.adam_beta_1, workload.adam_beta_2),
            eps=workload.adam_epsilon,
            weight_decay=workload.weight_decay,
            fused=True,  # one pass over each tensor, on CPUs too
        )

    def train_step(self, step: int) -> torch.Tensor:
        """Optimiser step `step` (0-based) over the global batch; this rank's mean loss, on the device."""
        phases, model, accumulation = self.layout.phases, self.objective.model, self.workload.gradient_accumulation
        with phases("compute"):
            if not model.training:  # after an evaluation; to tell every module again costs as much as an update
                model.train()
            for group in self.optimizer.param_groups:
                group["lr"] = learning_rate(self.workload, step)
            self.optimizer.zero_grad(set_to_none=True)
            loss = torch.zeros((), device=self.layout.device)
        for part, positions in enumerate(self._shares(step)):
            with phases("data_wait"):
                batch = self.objective.fetch(positions)
            with phases("compute"):
                with self.precision():
                    mean = self.objective.loss(batch) / accumulation
                if part == accumulation - 1:
                    self._mean.last_backward()
                mean.backward()
                loss += mean.detach()
        self._mean.finish()
        with phases("compute"):
            clip_norm(self.parameters, self.workload.gradient_clip_norm, self.layout)
            self.optimizer.step()
            self.objective.after_update(step)
        return loss

    def evaluate(self) -> dict[str, float]:
        """The quality metrics, the model in evaluation mode and without gradients."""
        self.objective.model.eval()
        with torch.no_grad(), self.precision():
            return self.objective.evaluate()

    def precision(self) -> contextlib.AbstractContextManager[Any]:
        """bfloat16 products with float32 parameters and losses, where the workload asks for it."""
        if self.workload.dtype == "float32":
            return contextlib.nullcontext()
        return torch.autocast(self.layout.device.type, dtype=torch.bfloat16)

    def _shares(self, step: int) -> tuple[torch.Tensor, ...]:
        """Positions of this rank's samples of a step, a tensor for each micro-batch."""
        positions = self._order.positions(step * self.samples_per_step, self.samples_per_step)
        return positions[self.layout.data_rank :: self.layout.data_size].split(self.workload.batch_size)


def learning_rate(workload: Training, step: int) -> float:
    """The learning rate of a step (0-based): linear warm-up, then constant or a half cosine to its end."""
    if step < workload.warmup_steps:
        return workload.learning_rate * (step + 1) / workload.warmup_steps
    if workload.learning_rate_schedule == "constant":
        return workload.learning_rate
    done = (step - workload.warmup_steps) / max(1, workload.max_steps - workload.warmup_steps)
    falling = 0.5 * (1 + math.cos(math.pi * done))
    return workload.learning_rate_end + (workload.learning_rate - workload.learning_rate_end) * falling


def _kinds(parameters: list[torch.nn.Parameter]) -> list[dict[str, Any]]:
    """A group for sharded parameters and one for whole ones: the optimiser cannot update both in one call."""
    sharded = [p for p in parameters if hasattr(p, "to_local")]
    whole = [p for p in parameters if not hasattr(p, "to_local")]
    return [{"params": group} for group in (sharded, whole) if group]
