"""Where a language model comes from, in what its weights are kept, and what of it is trained."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch
from pydantic import ValidationError
from test_train_llm_parallel import ADAPTERS, ARCHITECTURE, small
from train_cases import case, context

from seatrial.config.training import LlmFinetune
from seatrial.errors import ConfigError, MeasurementFailed
from seatrial.train import causal_lm, llm_finetune
from seatrial.train.flops import FlopCount


def trainable(**more: Any) -> torch.nn.Module:
    workload = LlmFinetune.model_validate(small(**more))
    torch.manual_seed(1)
    model = causal_lm.load(workload, None)
    return causal_lm.made_trainable(model, workload.lora, workload.activation_checkpointing)


def ran(folder: Path, **more: Any) -> Any:
    ctx = context(case(small(**more)), folder, folder, seed=5)
    with pytest.raises(MeasurementFailed, match="not the target"):
        llm_finetune.run(ctx)
    return ctx


def losses(ctx: Any) -> list[float]:
    return [m.samples[0] for m in ctx.measurements if m.metric == "train.evaluation_loss"]


def test_bytes_are_tokens_and_any_text_comes_back() -> None:
    tokenizer = causal_lm.byte_tokenizer()
    text = "naïve \x00 日本\n\ttabs"
    ids = tokenizer(text, add_special_tokens=False)["input_ids"]
    assert len(ids) == len(text.encode())
    assert tokenizer.decode(ids) == text
    assert tokenizer.eos_token_id == len(tokenizer) - 1 == 256


def test_frozen_weights_are_bfloat16_and_everything_that_is_trained_float32() -> None:
    adapted = trainable(dtype="bfloat16", lora=ADAPTERS)
    kept = {(p.requires_grad, p.dtype) for p in adapted.parameters()}
    assert kept == {(False, torch.bfloat16), (True, torch.float32)}
    assert {n.split(".")[-3] for n, p in adapted.named_parameters() if p.requires_grad} == {"lora_A", "lora_B"}
    dense = trainable(dtype="bfloat16")
    assert {(p.requires_grad, p.dtype) for p in dense.parameters()} == {(True, torch.float32)}


def test_all_weights_learn_where_there_are_no_adapters(tmp_path: Path) -> None:
    ctx = ran(tmp_path / "dense")
    first, *_, last = losses(ctx)
    assert last < first - 0.5, "a random model learns which bytes are common within six steps"
    adapters = losses(ran(tmp_path / "adapters", lora=ADAPTERS))
    assert adapters[0] == first
    assert last < adapters[-1] - 0.2, "adapters on a random model learn less than all its weights"


@pytest.mark.parametrize("lora", [None, ADAPTERS], ids=["dense", "adapters"])
def test_bfloat16_is_close_and_recomputed_activations_change_nothing(lora: Any, tmp_path: Path) -> None:
    plain = losses(ran(tmp_path / "plain", lora=lora))
    assert losses(ran(tmp_path / "again", lora=lora, activation_checkpointing=True)) == pytest.approx(
        plain, rel=1e-6
    )
    half = losses(ran(tmp_path / "half", lora=lora, dtype="bfloat16"))
    assert half != plain
    assert half == pytest.approx(plain, rel=0.02)


def test_activations_are_recomputed_also_where_all_weights_are_trained() -> None:
    calls = []
    model = trainable(activation_checkpointing=True)
    layer = causal_lm.decoder_layers(model)[0]
    layer.mlp.register_forward_pre_hook(lambda *_: calls.append("forward"))  # type: ignore[union-attr]
    windows = torch.randint(0, 256, (1, 9))
    causal_lm.prediction_losses(model.train(), windows[:, :-1], windows[:, 1:]).mean().backward()
    assert calls == ["forward"] * 2


def test_flops_count_what_is_trained_and_what_is_done_again(tmp_path: Path) -> None:
    def flops(**more: Any) -> FlopCount:
        workload = LlmFinetune.model_validate(small(**more))
        from gloo_ranks import layout

        ctx = context(case(small(**more)), tmp_path, tmp_path)
        found = llm_finetune._build(ctx, workload, layout()).flops_per_sample()
        assert isinstance(found, FlopCount)
        return found

    dense, adapted = flops(), flops(lora=ADAPTERS)
    recomputed = flops(activation_checkpointing=True)
    assert adapted.backward < 0.75 * dense.backward
    assert recomputed.model == dense.model
    assert recomputed.hardware > dense.hardware == dense.model


def test_a_folder_with_a_configuration_gives_random_weights(tmp_path: Path) -> None:
    folder = tmp_path / "model"
    trainable().save_pretrained(folder)  # type: ignore[operator]
    causal_lm.byte_tokenizer().save_pretrained(folder)
    stated = losses(ran(tmp_path / "stated"))
    named = losses(ran(tmp_path / "named", model={"source": "config", "name": str(folder)}))
    assert named == stated
    (folder / "config.json").unlink()
    gone = case(small(model={"source": "config", "name": str(folder)}))
    with pytest.raises(MeasurementFailed, match="cannot be loaded"):
        llm_finetune.run(context(gone, tmp_path / "gone", tmp_path))


@pytest.mark.parametrize(
    ("model", "problem"),
    [
        ({"source": "config"}, "either name or architecture"),
        ({"source": "config", "name": "x", "architecture": ARCHITECTURE, "tokenizer": "bytes"}, "not both"),
        ({"source": "config", "architecture": ARCHITECTURE}, "tokenizer must be stated"),
        ({"source": "config", "architecture": {"hidden_size": 3}, "tokenizer": "bytes"}, "model_type"),
        ({"source": "packaged", "package": "../x", "gguf_file": "a", "installed_by": "b"}, "package"),
    ],
    ids=str,
)
def test_a_model_that_is_not_stated_once_is_refused(model: dict[str, Any], problem: str) -> None:
    with pytest.raises(ValidationError, match=problem):
        LlmFinetune.model_validate(small(model=model))


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"hiden_size": 32}, "did you mean 'hidden_size'"),
        ({"model_type": "lama"}, "no such model"),
        ({"vocab_size": 100}, "tokens below 100"),
    ],
    ids=str,
)
def test_a_configuration_that_means_nothing_is_refused_in_words(
    change: dict[str, Any], words: str, tmp_path: Path
) -> None:
    model = {"source": "config", "architecture": {**ARCHITECTURE, **change}, "tokenizer": "bytes"}
    with pytest.raises(ConfigError, match=words):
        llm_finetune.run(context(case(small(model=model)), tmp_path, tmp_path))
