"""LoRA fine-tuning to an evaluation loss, for real on a tiny model."""

from __future__ import annotations

import json
import math
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import torch
from pydantic import ValidationError
from train_cases import base_model, case, context, finetune, prepared_spec, reachable_target, start_ranks

from seatrial.config.training import LlmFinetune
from seatrial.errors import ConfigError, MeasurementFailed, UnreadableFile
from seatrial.mllog import BrokenLine, LogLine, read_lines
from seatrial.prepare import prepare_case
from seatrial.prepare.language_model import prepare_model
from seatrial.record import Record
from seatrial.train import causal_lm, llm_finetune
from seatrial.train.learner import Learner, learning_rate


@pytest.fixture(scope="module")
def prepared(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("prepared") / "tiny"
    prepare_model(prepared_spec(), folder)
    return folder


@pytest.fixture(autouse=True)
def one_thread() -> Iterator[None]:
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(threads)


def losses(ctx: Any) -> dict[int, float]:
    return {m.labels["step"]: m.samples[0] for m in ctx.measurements if m.metric == "train.evaluation_loss"}


def samples(ctx: Any, metric: str) -> list[float]:
    return next(m.samples for m in ctx.measurements if m.metric == metric)


def log_lines(path: Path) -> list[LogLine]:
    lines = list(read_lines(path))
    assert not [line for line in lines if isinstance(line, BrokenLine)]
    return [line for line in lines if isinstance(line, LogLine)]


def test_prepared_folder_says_what_it_was_made_from(prepared: Path) -> None:
    summary = json.loads((prepared / "prepared.json").read_text())
    assert summary["spec"] == prepared_spec().model_dump(mode="json")
    assert len(summary["corpus"]["sha256"]) == 64
    assert 0 < summary["loss"] < math.log(300)
    newest = max(p.stat().st_mtime_ns for p in prepared.iterdir())
    assert (prepared / "prepared.json").stat().st_mtime_ns == newest
    assert sorted(p.name for p in prepared.parent.iterdir()) == ["tiny"], "nothing is left aside"


def test_same_specification_prepares_the_same_model(prepared: Path, tmp_path: Path) -> None:
    again = tmp_path / "again"
    again.mkdir()
    (again / "old").write_text("a folder that was there before is replaced")
    prepare_case(case(finetune()), None, again)
    assert not (again / "old").exists()
    for name in ("model.safetensors", "tokenizer.json", "config.json"):
        assert (again / name).read_bytes() == (prepared / name).read_bytes(), name


def test_failed_preparation_leaves_nothing(tmp_path: Path) -> None:
    spec = prepared_spec().model_copy(update={"learning_rate": 1e6, "steps": 3})
    with pytest.raises(MeasurementFailed, match="guessing evenly"):
        prepare_model(spec, tmp_path / "prepared" / "bad")
    assert list(tmp_path.rglob("*.json")) == []


def test_preparation_that_breaks_while_writing_leaves_the_old_model(
    prepared: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = tmp_path / "tiny"
    shutil.copytree(prepared, folder)

    def full_disk(*arguments: object, **options: object) -> None:
        assert not list(folder.parent.glob(".tiny.*/prepared.json")), "the summary is written last"
        raise OSError("no space left on device")

    monkeypatch.setattr("transformers.PreTrainedTokenizerFast.save_pretrained", full_disk)
    with pytest.raises(OSError, match="no space"):
        prepare_model(prepared_spec().model_copy(update={"seed": 2}), folder)
    assert [p.name for p in tmp_path.iterdir()] == ["tiny"]
    assert (folder / "prepared.json").read_bytes() == (prepared / "prepared.json").read_bytes()


def test_training_reaches_its_target_and_measures_it(prepared: Path, tmp_path: Path) -> None:
    ctx = context(case(finetune()), tmp_path, prepared)
    llm_finetune.run(ctx)
    assert ctx.quality is not None
    before, after, crossing = ctx.quality.before, ctx.quality.after, ctx.quality.crossing
    assert before is not None and after is not None and crossing is not None
    assert before["value"] > reachable_target() >= after["value"]
    assert before["step"] < crossing["step"] <= after["step"]
    assert len(losses(ctx)) >= 3, "the target must not be met at once"
    steps = int(after["step"])
    assert len(samples(ctx, "train.step_time")) == steps
    assert samples(ctx, "train.time_to_evaluation") == [after["minutes"]]
    assert samples(ctx, "train.samples_to_quality") == [pytest.approx(crossing["step"] * 8)]
    tokens = steps * 8 * 32
    stretches = [5 * 8 * 32 / rate for rate in samples(ctx, "train.throughput")]
    assert sum(stretches) == pytest.approx(after["minutes"] * 60)
    assert tokens == len(stretches) * 5 * 8 * 32

    lines = log_lines(tmp_path / "0.mllog")
    keys = [line.key for line in lines]
    for key in ("init_start", "init_stop", "run_start", "run_stop", "lora_rank", "seed", "global_batch_size"):
        assert keys.count(key) == 1, key
    assert [line.value for line in lines if line.key == "eval_accuracy"] == list(losses(ctx).values())
    stop = lines[-1]
    assert (stop.key, stop.metadata["status"]) == ("run_stop", "success")
    mlperf_clock = (stop.time_ms - next(line.time_ms for line in lines if line.key == "run_start")) / 60_000
    assert stop.metadata["training_minutes"] == after["minutes"] < mlperf_clock, "evaluations are in MLPerf's only"
    hashes = {line.metadata["use"]: line.metadata["sha256"] for line in lines if line.key == "dataset"}
    assert set(hashes) == {"train", "evaluation"}
    assert set(ctx.facts["datasets"]) == {"train", "evaluation"}
    shape, loaded = base_model()["shape"], ctx.facts["model"]
    assert (loaded["origin"], loaded["layers"], loaded["hidden_size"]) == (
        "prepared",
        shape["layers"],
        shape["hidden_size"],
    )
    assert loaded["vocabulary"] <= shape["vocabulary"] and loaded["parameters"] > 0
    for text in (*ctx.facts["datasets"].values(), ctx.facts["base_model"]["corpus"]):
        assert text["origin"] and len(text["sha256"]) == 64


def test_same_seed_gives_the_same_losses_bit_for_bit(prepared: Path, tmp_path: Path) -> None:
    runs = []
    for name, seed in (("one", 3), ("two", 3), ("other", 4)):
        ctx = context(case(finetune()), tmp_path / name, prepared, seed)
        llm_finetune.run(ctx)
        runs.append(losses(ctx))
    assert runs[0] == runs[1]
    assert list(runs[0].values())[1:3] != list(runs[2].values())[1:3]


def test_stated_threads_are_what_the_training_computes_with(
    prepared: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    right, seen = Learner.train_step, set()

    def watched(self: Learner, step: int) -> torch.Tensor:
        seen.add(torch.get_num_threads())
        return right(self, step)

    monkeypatch.setattr(Learner, "train_step", watched)
    for stated, expected in ((2, 2), (8, 3), (None, 3)):
        torch.set_num_threads(3)
        what = case(finetune(cpu_threads=stated))  # may try for a target in reach first
        seen.clear()
        llm_finetune.run(context(what, tmp_path / str(stated), prepared))
        assert seen == {expected}
        assert torch.get_num_threads() == 3


def test_accumulated_micro_batches_make_the_same_step(prepared: Path, tmp_path: Path) -> None:
    runs = []
    for name, more in (("whole", {}), ("parts", {"batch_size": 2, "gradient_accumulation": 4})):
        ctx = context(case(finetune(**more)), tmp_path / name, prepared)
        llm_finetune.run(ctx)
        runs.append(losses(ctx))
    assert runs[1] == pytest.approx(runs[0], rel=1e-4)


def test_unreachable_target_fails_in_words_and_keeps_the_samples(prepared: Path, tmp_path: Path) -> None:
    hard = finetune(quality={"metric": "evaluation_loss", "target": 0.1}, max_steps=7)
    ctx = context(case(hard), tmp_path, prepared)
    with pytest.raises(MeasurementFailed, match=r"not the target of 0\.1") as failure:
        llm_finetune.run(ctx)
    assert failure.value.kind == "target_not_reached"
    assert list(losses(ctx)) == [0, 5, 7]
    assert len(samples(ctx, "train.step_time")) == 7
    assert "train.time_to_quality" not in {m.metric for m in ctx.measurements}
    assert log_lines(tmp_path / "0.mllog")[-1].metadata["status"] == "aborted"


def test_loss_that_explodes_is_divergence(prepared: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    right = causal_lm.prediction_losses

    def overflowing(model: torch.nn.Module, inputs: torch.Tensor, targets: torch.Tensor) -> torch.Tensor:
        return right(model, inputs, targets) * (math.inf if model.training else 1.0)

    monkeypatch.setattr(causal_lm, "prediction_losses", overflowing)
    ctx = context(case(finetune()), tmp_path, prepared)
    with pytest.raises(MeasurementFailed) as failure:
        llm_finetune.run(ctx)
    assert failure.value.kind == "diverged"
    assert list(losses(ctx)) == [0]
    assert "NaN" not in (tmp_path / "0.mllog").read_text()


def test_run_taken_up_from_a_checkpoint_ends_as_if_nothing_had_happened(
    prepared: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    what = case(finetune(checkpoint_interval_steps=4, lora={**finetune()["lora"], "dropout": 0.1}))
    whole = context(what, tmp_path / "whole", prepared)
    llm_finetune.run(whole)
    assert not (tmp_path / "whole" / "0.checkpoint").exists(), "an ended run leaves no checkpoint"

    right = Learner.train_step

    def dying(self: Learner, step: int) -> torch.Tensor:
        if step == 7:
            raise KeyboardInterrupt
        return right(self, step)

    with monkeypatch.context() as patch:
        patch.setattr(Learner, "train_step", dying)
        with pytest.raises(KeyboardInterrupt):
            llm_finetune.run(context(what, tmp_path / "cut", prepared))
    assert (tmp_path / "cut" / "0.checkpoint" / "step-4" / "history.pt").exists()

    again = context(what, tmp_path / "cut", prepared)
    llm_finetune.run(again)
    assert again.resumed == 1
    assert losses(again) == losses(whole)
    assert samples(again, "train.samples_to_quality") == samples(whole, "train.samples_to_quality")
    assert len(samples(again, "train.step_time")) == len(samples(whole, "train.step_time"))

    def quality_lines(folder: str) -> list[tuple[str, Any]]:
        lines = log_lines(tmp_path / folder / "0.mllog")
        return [(line.key, line.value) for line in lines if line.key in ("run_start", "eval_accuracy", "run_stop")]

    assert quality_lines("cut") == quality_lines("whole")


def test_checkpoint_of_another_run_is_refused(prepared: Path, tmp_path: Path) -> None:
    complete = tmp_path / "0.checkpoint" / "step-4" / "history.pt"
    complete.parent.mkdir(parents=True)
    complete.write_bytes(b"half a file")
    with pytest.raises(UnreadableFile, match="delete it"):
        llm_finetune.run(context(case(finetune()), tmp_path, prepared))
    what = {"run": {"case_id": "another"}}
    torch.save(what, complete)
    with pytest.raises(UnreadableFile, match="another"):
        llm_finetune.run(context(case(finetune()), tmp_path, prepared))


def test_model_by_path_is_loaded_as_any_model_by_name_is(prepared: Path, tmp_path: Path) -> None:
    by_path = case(finetune(model={"source": "pretrained", "name": str(prepared)}))
    ctx = context(by_path, tmp_path / "path", prepared=tmp_path / "not used")
    llm_finetune.run(ctx)
    given = context(case(finetune()), tmp_path / "prepared", prepared)
    llm_finetune.run(given)
    assert losses(ctx) == losses(given)


def test_model_that_is_not_there_fails_in_words(tmp_path: Path) -> None:
    absent = case(finetune(model={"source": "pretrained", "name": str(tmp_path / "absent")}))
    with pytest.raises(MeasurementFailed, match="absent"):
        llm_finetune.run(context(absent, tmp_path, prepared=tmp_path))


def test_adapters_for_layers_that_the_model_lacks_are_refused(prepared: Path, tmp_path: Path) -> None:
    wrong = case(finetune(lora={**finetune()["lora"], "target_modules": ["query_proj"]}))
    with pytest.raises(ConfigError, match="q_proj"):
        llm_finetune.run(context(wrong, tmp_path, prepared))


def test_bfloat16_and_activation_checkpointing_train_too(prepared: Path, tmp_path: Path) -> None:
    ctx = context(case(finetune(dtype="bfloat16", activation_checkpointing=True)), tmp_path, prepared)
    llm_finetune.run(ctx)
    plain = context(case(finetune()), tmp_path / "plain", prepared)
    llm_finetune.run(plain)
    assert losses(ctx)[5] == pytest.approx(losses(plain)[5], rel=0.02)


@pytest.mark.parametrize(
    ("more", "problem"),
    [
        ({"sequence_length": 64}, "context"),
        ({"evaluation_interval_steps": 61}, "max_steps"),
        ({"model": base_model(shape={**base_model()["shape"], "heads": 3})}, "divisible"),
        ({"quality": {"metric": "evaluation_loss", "target": 0.0}}, "greater than 0"),
        (
            {"also": [{"metric": "retrieval_accuracy", "target": 0.9, "direction": "higher"}]},
            "evaluation_loss, retrieval_accuracy: llm_finetune measures evaluation_loss and nothing else",
        ),
    ],
)
def test_impossible_training_is_refused_before_it_starts(more: dict[str, Any], problem: str) -> None:
    with pytest.raises(ValidationError, match=problem):
        LlmFinetune.model_validate(finetune(**more))


def test_learning_rate_warms_up_and_falls_as_a_cosine() -> None:
    workload = LlmFinetune.model_validate(
        finetune(learning_rate=1.0, warmup_steps=4, learning_rate_schedule="cosine", max_steps=24)
    )
    rates = [learning_rate(workload, step) for step in range(24)]
    assert rates[:5] == [0.25, 0.5, 0.75, 1.0, 1.0]
    assert rates[14] == pytest.approx(0.5)
    assert rates[4:] == sorted(rates[4:], reverse=True)
    ending = workload.model_copy(update={"learning_rate_end": 0.1})
    assert learning_rate(ending, 4) == 1.0
    assert learning_rate(ending, 14) == pytest.approx(0.55)
    assert learning_rate(ending, 24) == pytest.approx(0.1)
    constant = workload.model_copy(update={"learning_rate_schedule": "constant"})
    assert learning_rate(constant, 23) == 1.0


def test_two_ranks_learn_what_one_rank_with_both_shares_learns(prepared: Path, tmp_path: Path) -> None:
    """Equal global batches give equal losses; the record holds one time and one log for both ranks."""
    two = case(finetune(batch_size=4), ranks=2)
    (tmp_path / "two").mkdir()
    modules = start_ranks(two, tmp_path / "two", prepared)
    assert modules == ["peft\n"] * 2, "no rank may load what slows its start"
    record = Record.read(tmp_path / "two" / "records" / "0.json")
    assert (record.outcome, record.error) == ("completed", None)
    alone = context(case(finetune(batch_size=8)), tmp_path / "one", prepared, seed=record.seed)
    llm_finetune.run(alone)
    assert losses(record) == pytest.approx(losses(alone), rel=1e-4)
    assert len(samples(record, "train.step_time")) == len(samples(alone, "train.step_time"))
    lines = log_lines(tmp_path / "two" / "records" / "0.mllog")
    assert next(line.value for line in lines if line.key == "global_batch_size") == 8


def test_two_ranks_agree_that_the_target_was_not_reached(prepared: Path, tmp_path: Path) -> None:
    hard = finetune(batch_size=2, quality={"metric": "evaluation_loss", "target": 0.1}, max_steps=6)
    start_ranks(case(hard, ranks=2), tmp_path, prepared)
    record = Record.read(tmp_path / "records" / "0.json")
    assert record.outcome == "failed"
    assert record.error is not None and record.error.kind == "target_not_reached"
    assert list(losses(record)) == [0, 5, 6]
