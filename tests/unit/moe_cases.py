"""A mixture of experts small enough for tests, and some steps of it on any layout of ranks."""

from __future__ import annotations

from typing import Any

import torch
from gloo_ranks import layout

from seatrial.config.training import Moe
from seatrial.record import Measurement
from seatrial.train.learner import Learner
from seatrial.train.moe.run import MoeObjective
from seatrial.train.moe.statistics import over_data_ranks

GLOBAL_BATCH = 8
AUXILIARY = {"method": "auxiliary_loss", "coefficient": 0.05}
BIAS = {"method": "bias", "rate": 0.01}
NONE = {"method": "none"}


def content(**more: Any) -> dict[str, Any]:
    """The workload's configuration; `more` replaces keys."""
    found: dict[str, Any] = {
        "kind": "moe",
        "dataset": {"source": "stdlib", "modules": ["copy", "heapq"], "evaluation_modules": ["bisect", "queue"]},
        "layers": 2,
        "hidden_size": 16,
        "heads": 4,
        "key_value_heads": 2,
        "head_size": 4,
        "experts": 4,
        "top_k": 2,
        "expert_size": 8,
        "balancing": AUXILIARY,
        "quality": {"metric": "evaluation_loss", "target": 1.0},
        "sequence_length": 12,
        "evaluation_sequences": 6,
        "batch_size": GLOBAL_BATCH,
        "learning_rate": 0.01,
        "max_steps": 8,
        "evaluation_interval_steps": 4,
    }
    return {**found, **more}


def objective(workload: Moe, place: Any, seed: int = 3) -> MoeObjective:
    """It, over bytes that are far from evenly distributed."""
    torch.manual_seed(seed)
    draws = torch.Generator().manual_seed(1)
    windows = torch.randint(0, 256, (70, 13), generator=draws).square() // 700
    return MoeObjective(workload, windows[:64].to(torch.uint8), windows[64:].to(torch.uint8), place, seed)


def train_moe(rank: int, size: int, parallelism: dict[str, int], steps: int = 8, **more: Any) -> dict[str, Any]:
    """Some steps over the same global batch on whatever ranks there are; what each rank found."""
    place = layout(rank, size, **parallelism)
    parts = {**more, "batch_size": GLOBAL_BATCH // place.data_size // more.get("gradient_accumulation", 1)}
    workload = Moe.model_validate(content(**parts, parallelism=parallelism))
    made = objective(workload, place)
    learner = Learner(workload, made, place, 3)
    losses, evaluations = [], [learner.evaluate()["evaluation_loss"]]
    found: list[Measurement] = []
    for step in range(steps):
        loss = learner.train_step(step)
        losses.append(place.data_total([loss.item()])[0] / place.data_size)
        if (step + 1) % 4 == 0:
            found = made.measurements()
            evaluations.append(learner.evaluate()["evaluation_loss"])
    return {
        "losses": losses,
        "samples": int(over_data_ranks(torch.tensor([GLOBAL_BATCH // place.data_size]), place)),
        "evaluations": evaluations,
        "measured": {(m.metric, *sorted(m.labels.items())): m.samples for m in found},
        "biases": [layer.router.bias.clone() for layer in made.routed],
    }
