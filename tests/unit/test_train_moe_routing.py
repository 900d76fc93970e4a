"""How tokens are routed, kept balanced, and counted."""

from __future__ import annotations

import math
from pathlib import Path
from typing import Any

import moe_cases
import pytest
import torch
from gloo_ranks import layout, on_ranks
from hypothesis import given, settings
from hypothesis import strategies as st
from pydantic import ValidationError

from seatrial.config.training import Moe
from seatrial.record import Measurement
from seatrial.train.checkpoint import Checkpoints
from seatrial.train.history import History
from seatrial.train.learner import Learner
from seatrial.train.moe.balance import gini, imbalance
from seatrial.train.moe.model import moe_flops
from seatrial.train.moe.router import Router, auxiliary_loss, capacity


def router(hidden: int = 6, experts: int = 5, top_k: int = 2) -> Router:
    torch.manual_seed(0)
    return Router(hidden, experts, top_k)


def test_the_likeliest_experts_are_chosen_and_weighted_by_a_softmax_over_them() -> None:
    made, tokens = router(), torch.randn(11, 6)
    found = made(tokens)
    logits = tokens @ made.gate.weight.T
    best = logits.topk(2)
    assert torch.equal(found.experts, best.indices)
    torch.testing.assert_close(found.weights, best.values.softmax(-1))
    torch.testing.assert_close(found.weights.sum(-1), torch.ones(11))


def test_routing_is_computed_in_float32_whatever_the_rest_is() -> None:
    made, tokens = router(), torch.randn(11, 6)
    with torch.autocast("cpu", dtype=torch.bfloat16):
        found = made(tokens)
    assert found.probabilities.dtype == torch.float32
    assert torch.equal(found.probabilities, made(tokens).probabilities)


def test_the_bias_decides_who_is_chosen_and_not_with_what_weight() -> None:
    made, tokens = router(), torch.randn(11, 6)
    free = made(tokens).probabilities
    made.bias[3] = 10.0
    found = made(tokens)
    assert (found.experts == 3).any(1).all()
    chosen = free.gather(1, found.experts)
    torch.testing.assert_close(found.weights, chosen / chosen.sum(-1, keepdim=True))


def test_the_bias_moves_by_its_rate_towards_the_mean() -> None:
    made = router(experts=4)
    made.move_bias(torch.tensor([1, 3, 3, 5]), 0.25)
    assert made.bias.tolist() == [0.25, 0.0, 0.0, -0.25]
    assert [n for n, p in made.named_parameters()] == ["gate.weight"]


def test_the_auxiliary_loss_is_one_when_even_and_the_experts_when_all_on_one() -> None:
    even = auxiliary_loss(torch.full((4,), 6), torch.full((12, 4), 0.25))
    assert even.item() == pytest.approx(1.0)
    one = torch.eye(4)[torch.zeros(12, dtype=torch.int64)]
    assert auxiliary_loss(torch.tensor([24, 0, 0, 0]), one).item() == pytest.approx(4.0)


def test_the_auxiliary_loss_pulls_down_the_busy_experts_probability() -> None:
    logits = torch.zeros(8, 4, requires_grad=True)
    auxiliary_loss(torch.tensor([10, 2, 2, 2]), logits.softmax(-1)).backward()
    assert logits.grad is not None
    assert (logits.grad[:, 0] > 0).all() and (logits.grad[:, 1:] < 0).all()


@pytest.mark.parametrize(("factor", "expected"), [(1.0, 4), (1.25, 5), (0.5, 2), (1.01, 5)])
def test_capacity_is_the_mean_times_the_factor_rounded_up(factor: float, expected: int) -> None:
    assert capacity(factor, 8, 2, 4) == expected


counts_strategy = st.lists(st.integers(0, 50), min_size=1, max_size=12).filter(any)


@settings(deadline=None)
@given(counts_strategy)
def test_gini_is_the_mean_difference_over_twice_the_mean(counts: list[int]) -> None:
    n = len(counts)
    differences = sum(abs(a - b) for a in counts for b in counts)
    assert gini(torch.tensor(counts)).item() == pytest.approx(differences / (2 * n * sum(counts)), abs=1e-12)


def test_imbalance_and_gini_at_their_ends() -> None:
    assert imbalance(torch.tensor([[3, 3, 3], [9, 0, 0]])).tolist() == [1.0, 3.0]
    torch.testing.assert_close(
        gini(torch.tensor([[3, 3, 3], [9, 0, 0]])), torch.tensor([0.0, 2 / 3], dtype=torch.float64)
    )


def values(found: dict, metric: str, **labels: object) -> list[float]:  # type: ignore[type-arg]
    return [
        value[0]
        for key, value in found["measured"].items()
        if key[0] == metric and all(dict(key[1:])[k] == v for k, v in labels.items())
    ]


def test_what_is_measured_is_what_was_routed() -> None:
    """Four steps counted by hand beside the statistics."""
    place = layout()
    workload = Moe.model_validate(moe_cases.content(capacity_factor=0.75, evaluation_interval_steps=4))
    made = moe_cases.objective(workload, place)
    seen: list[torch.Tensor] = []
    for layer in made.routed:
        layer.router.register_forward_hook(
            lambda module, _inputs, out: seen.append(out.experts.flatten()) if module.training else None
        )
    learner = Learner(workload, made, place, 3)
    learner.evaluate()
    for step in range(4):
        learner.train_step(step)
    found = {(m.metric, *sorted(m.labels.items())): m.samples for m in made.measurements()}
    tokens = workload.batch_size * workload.sequence_length
    limit = math.ceil(0.75 * tokens * 2 / 4)
    for layer in (0, 1):
        counts = torch.stack([torch.bincount(e, minlength=4) for e in seen[layer::2]]).double()
        assert counts.shape == (4, 4)
        of = {"measured": found}
        each = counts.amax(1) / counts.mean(1)
        assert values(of, "train.expert_imbalance", layer=layer, over="step") == [pytest.approx(each.mean())]
        whole = counts.sum(0)
        assert values(of, "train.expert_imbalance", layer=layer, over="stretch") == [
            pytest.approx(whole.max() / whole.mean())
        ]
        dropped = (counts - limit).clamp(min=0).sum() / counts.sum()
        assert dropped > 0
        assert values(of, "train.tokens_dropped", layer=layer, step=4) == [pytest.approx(dropped.item())]
    # One rank: there is no all-to-all and no rank to be busier than another, rather than none of it measured as 0.
    assert not {key[0] for key in found} & {
        "train.all_to_all_time",
        "train.all_to_all_share",
        "train.rank_imbalance",
    }


def test_what_is_recomputed_or_evaluated_counts_once_or_not_at_all() -> None:
    """Every layer's counts of a step are its bytes times k, whether it is computed once or twice."""
    place = layout()
    for more in ({}, {"activation_checkpointing": True}, {"gradient_accumulation": 2, "batch_size": 4}):
        workload = Moe.model_validate(moe_cases.content(**more))
        made = moe_cases.objective(workload, place)
        counted: list[torch.Tensor] = []
        end = made.statistics.step_done
        made.statistics.step_done = lambda end=end, counted=counted: counted.append(end()) or counted[-1]  # type: ignore[method-assign]
        learner = Learner(workload, made, place, 3)
        for step in range(2):
            learner.evaluate()
            learner.train_step(step)
        assert [c.sum(-1).tolist() for c in counted] == [[[8 * 12 * 2] * 2] * 2] * 2, more


def shared_out(rank: int, size: int) -> dict[str, object]:
    return moe_cases.train_moe(rank, size, {"ep": 2}, balancing=moe_cases.NONE)


def test_ranks_that_share_experts_measure_their_all_to_alls() -> None:
    first, second = on_ranks(shared_out, 2)
    assert first["measured"] == second["measured"]
    shares = first["measured"][("train.all_to_all_share",)]
    assert len(shares) == 2 and all(0 < share < 1 for share in shares)
    for direction in ("forward", "backward"):
        assert len(values(first, "train.all_to_all_time", direction=direction)) == 4
        assert min(values(first, "train.all_to_all_time", direction=direction)) > 0
    assert min(values(first, "train.rank_imbalance")) >= 1
    assert not values(first, "train.tokens_dropped")


def spread(**more: object) -> float:
    """Imbalance of the worst layer over the last stretch of 48 steps."""
    found = moe_cases.train_moe(0, 1, {}, steps=48, max_steps=48, **more)
    return max(values(found, "train.expert_imbalance", over="stretch", step=48))


def test_the_auxiliary_loss_balances() -> None:
    strong = {"method": "auxiliary_loss", "coefficient": 0.5}
    assert spread(balancing=strong) < spread(balancing=moe_cases.NONE) - 0.2


def test_the_bias_balances_what_does_not_change() -> None:
    still = {"learning_rate": 1e-9}
    slow = {"method": "bias", "rate": 0.001}
    free = spread(balancing=moe_cases.NONE, **still)
    assert free > 1.05
    assert spread(balancing=slow, **still) - 1 < 0.5 * (free - 1)


@pytest.mark.parametrize("mode", ["synchronous", "asynchronous"])
def test_a_run_cut_into_more_stretches_than_planned_goes_on_with_its_biases_and_figures(
    mode: Any, tmp_path: Path
) -> None:
    """Two pauses are planned; told to end after every step, it has seven."""
    place = layout()
    workload = Moe.model_validate(moe_cases.content(balancing=moe_cases.BIAS))
    assert workload.max_steps // workload.evaluation_interval_steps == 2
    owner = {"case_id": "x", "repeat": 0}
    measured: list[Measurement] = []
    biases: list[torch.Tensor] = []
    moved = 0.0
    for cut in range(7):
        made = moe_cases.objective(workload, place, seed=3 + cut)
        learner = Learner(workload, made, place, 3)
        history = History(workload.quality, tokens_per_sample=12)
        checkpoints = Checkpoints(tmp_path, owner, learner, mode)
        assert checkpoints.restore(history) == (cut > 0)
        assert made.statistics.measurements() == measured
        if cut:
            assert all(torch.equal(a.router.bias, b) for a, b in zip(made.routed, biases, strict=True))
        learner.train_step(cut)
        measured = made.measurements()
        biases = [layer.router.bias.clone() for layer in made.routed]
        moved += sum(float(bias.abs().sum()) for bias in biases)
        history.add_stretch(1, 8, 1.0, [1.0], 0.5, torch.ones(1, 1, 4))
        checkpoints.save(history)
        checkpoints.finish()
    assert {m.labels["step"] for m in measured} == set(range(1, 8)) and moved > 0


def test_only_what_a_token_meets_is_counted_as_flops() -> None:
    some, more = (moe_flops(Moe.model_validate(moe_cases.content(experts=experts))) for experts in (4, 64))
    # The router alone grows: 16 x 60 more weights in each of 2 layers, 6 FLOPs each for 12 tokens.
    assert more.model - some.model == 6 * 12 * 2 * 16 * 60
    attention = 16 * 4 * 2 * (4 + 2)
    active = 2 * (attention + 2 * 3 * 16 * 8 + 16 * 4) + 16 * 256
    assert some.model == 6 * 12 * active + 3 * 2 * (4 * 4 * 12 * 12 * 4)


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"top_k": 5}, r"top_k \(5\) is above experts \(4\)"),
        ({"heads": 3}, r"heads \(3\) is not divisible by key_value_heads \(2\)"),
        ({"head_size": 5}, r"head_size \(5\) must be even"),
        ({"parallelism": {"ep": 3}}, r"experts \(4\) is not divisible by parallelism.ep \(3\)"),
        ({"parallelism": {"tp": 4}}, r"key_value_heads \(2\) is not divisible by parallelism.tp \(4\)"),
        ({"quality": {"metric": "frechet_distance", "target": 1.0}}, "moe measures evaluation_loss"),
    ],
)
def test_what_does_not_come_out_even_is_refused_in_words(change: dict[str, object], words: str) -> None:
    with pytest.raises(ValidationError, match=words):
        Moe.model_validate(moe_cases.content(**change))
