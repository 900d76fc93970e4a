"""The hybrid_attention training: what it measures, and that it is the same however often and wherever it runs."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch
import yaml
from hybrid_cases import evaluations, hybrid, retrieval, run_alone, start_ranks
from ranks import case

from seatrial.config.training import HybridAttention, Parallelism
from seatrial.errors import MeasurementFailed
from seatrial.train.hybrid_attention.run import HybridObjective
from seatrial.train.layout import Layout
from seatrial.train.phases import Phases
from seatrial.train.ranks import Ranks

ALSO = [{"metric": "evaluation_loss", "target": 2.0}]
LEARNABLE: dict[str, Any] = {
    "hidden_size": 32,
    "intermediate_size": 32,
    "embedding_standard_deviation": 0.5,
    "retrieval": retrieval(
        sequence_length=32, far_distance=16, far_query_rate=0.2, keys=8, values=4, pairs=2, probe_far_queries=2,
        probe_sequences=250, evaluation_sequences=32,
    ),
    "batch_size": 32,
    "learning_rate": 0.01,
    "max_steps": 400,
    "evaluation_interval_steps": 25,
    "quality": {"metric": "retrieval_accuracy", "target": 0.9, "direction": "higher"},
}  # fmt: skip


def objective(**more: Any) -> HybridObjective:
    layout = Layout(Ranks(0, 1, torch.device("cpu")), Parallelism(), Phases(torch.device("cpu")))
    torch.manual_seed(1)
    return HybridObjective(HybridAttention.model_validate(hybrid(**more)), layout, seed=1)


def test_training_learns_to_retrieve_and_says_after_how_many_tokens(tmp_path: Path) -> None:
    ctx = run_alone(case(hybrid(**LEARNABLE, also=[{"metric": "evaluation_loss", "target": 0.5}])), tmp_path)
    accuracy = evaluations(ctx.measurements, "train.retrieval_accuracy")
    assert accuracy[0] < 0.5 and max(accuracy) >= 0.9
    assert ctx.quality is not None and ctx.quality.crossing is not None
    tokens = {m.labels["quality"]: m.samples[0] for m in ctx.measurements if m.metric == "train.tokens_to_quality"}
    assert set(tokens) == {"retrieval_accuracy", "evaluation_loss"}
    assert tokens["retrieval_accuracy"] == pytest.approx(ctx.quality.crossing["samples"] * 32)


def test_a_run_that_misses_its_target_keeps_all_its_evaluations(tmp_path: Path) -> None:
    record, said = start_ranks(case(hybrid(pattern=["recurrent", "full"], also=ALSO)), tmp_path)
    assert record.outcome == "failed" and record.error is not None and record.error.kind == "target_not_reached"
    for metric in ("train.retrieval_accuracy", "train.evaluation_loss"):
        assert [m.labels["step"] for m in record.measurements if m.metric == metric] == [0, 3, 6]
    trained = [m.samples for m in record.measurements if m.metric == "train.tokens_trained"]
    assert trained == [[6 * 4 * 48]]
    assert said == ["\n"]  # nothing that a rank must not load


def test_same_seed_gives_the_same_losses_bit_for_bit(tmp_path: Path) -> None:
    what = case(hybrid(pattern=["sliding_window", "recurrent", "full"]))
    one, other, third = (run_alone(what, tmp_path / str(i), seed) for i, seed in enumerate((3, 3, 4)))
    losses = [evaluations(ctx.measurements, "train.evaluation_loss") for ctx in (one, other, third)]
    assert len(losses[0]) == 3 and losses[0] == losses[1] != losses[2]


@pytest.mark.parametrize("parallelism", [{"dp": 2}, {"fsdp": 2}])
def test_two_ranks_learn_what_one_learns_from_both_shares(tmp_path: Path, parallelism: dict[str, int]) -> None:
    # 127 probe sequences and 11 evaluation sequences do not come out even between two ranks.
    data = retrieval(probe_sequences=127, evaluation_sequences=11)
    content = hybrid(retrieval=data, pattern=["sliding_window", "recurrent", "full"])
    one = run_alone(case(content), tmp_path / "one")
    shared = case({**content, "batch_size": 2, "parallelism": parallelism}, ranks=2)
    two, _ = start_ranks(shared, tmp_path / "two")
    for metric in ("train.evaluation_loss", "train.retrieval_accuracy"):
        alone = evaluations(one.measurements, metric)
        assert len(alone) == 3 and evaluations(two.measurements, metric) == pytest.approx(alone, rel=1e-4)


def test_two_sharded_ranks_give_the_same_bits_twice(tmp_path: Path) -> None:
    what = case(hybrid(parallelism={"fsdp": 2}, max_steps=3), ranks=2)
    losses = [
        evaluations(start_ranks(what, tmp_path / str(i))[0].measurements, "train.evaluation_loss") for i in range(2)
    ]
    assert len(losses[0]) == 2 and losses[0] == losses[1]


def test_accumulated_micro_batches_make_the_same_step(tmp_path: Path) -> None:
    whole = run_alone(case(hybrid()), tmp_path / "whole")
    parts = run_alone(case(hybrid(batch_size=1, gradient_accumulation=4)), tmp_path / "parts")
    found, wanted = (evaluations(ctx.measurements, "train.evaluation_loss") for ctx in (parts, whole))
    assert found == pytest.approx(wanted, rel=1e-4)


def test_accuracy_is_over_far_queries_and_loss_over_all(monkeypatch: pytest.MonkeyPatch) -> None:
    """A model that knows near values but no far ones: all but the far queries' loss is gone, the accuracy is 0."""
    asked = objective()
    known = {part.tokens.data_ptr(): part for part, _ in (*asked._evaluation, *asked._probe)}

    class NearOnly(torch.nn.Module):
        def forward(self, tokens: torch.Tensor) -> torch.Tensor:
            part = known[tokens.data_ptr()]
            logits = torch.zeros(*tokens.shape, asked.workload.vocabulary)
            right = torch.where(part.far, 0, tokens[:, 1::2])  # a key token is never a value
            logits[:, 0::2].scatter_(2, right[..., None], 100.0)
            return logits

    asked.model = NearOnly()
    qualities = asked.evaluate()
    queries = sum(float(part.queries.sum()) for part, _ in asked._evaluation)
    far = sum(float(part.far.sum()) for part, _ in asked._evaluation)
    assert qualities["retrieval_accuracy"] == 0.0
    assert qualities["evaluation_loss"] == pytest.approx(100 * far / queries, rel=1e-5)


def test_a_probe_with_too_few_far_queries_gives_no_accuracy(monkeypatch: pytest.MonkeyPatch) -> None:
    assert objective().far_queries >= 504
    monkeypatch.setattr("seatrial.train.hybrid_attention.run.LEAST_FAR_QUERIES", 10**6)
    with pytest.raises(MeasurementFailed, match="fewer than 1000000") as refused:
        objective()
    assert refused.value.kind == "wrong_result"


def test_bfloat16_and_activation_checkpointing_train_too(tmp_path: Path) -> None:
    layers = ["sliding_window", "recurrent", "full"]
    plain = run_alone(case(hybrid(pattern=layers)), tmp_path / "plain")
    again = run_alone(case(hybrid(pattern=layers, activation_checkpointing=True)), tmp_path / "again")
    half = run_alone(case(hybrid(pattern=layers, dtype="bfloat16")), tmp_path / "half")
    losses = [evaluations(ctx.measurements, "train.evaluation_loss") for ctx in (plain, again, half)]
    assert losses[0] == losses[1]
    assert losses[2] == pytest.approx(losses[0], rel=0.05) and losses[2] != losses[0]


def test_the_window_study_asks_all_its_windows_the_same_far_queries() -> None:
    conf = Path(__file__).parents[2] / "conf"
    workload = yaml.safe_load((conf / "workload" / "hybrid_attention.yaml").read_text(encoding="utf-8"))
    study = yaml.safe_load((conf / "study" / "windows.yaml").read_text(encoding="utf-8"))
    experiment = study["experiments"]["windows"]
    windows = experiment["sweep"]["axes"]["workload"]["window"]
    cases = [HybridAttention.model_validate({**workload, **experiment["workload"], "window": w}) for w in windows]
    assert len(windows) >= 3 and experiment["repeats"] >= 5
    assert max(case.local_reach for case in cases) < cases[0].retrieval.far_tokens
    rest = [case.model_dump(exclude={"window"}) for case in cases]
    assert all(other == rest[0] for other in rest)  # the same data, budget and targets
    assert HybridAttention.model_validate(workload).window == min(windows)
