"""Tensor parallelism changes where things are computed and nothing else."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from gloo_ranks import layout, on_ranks
from torch import nn

from seatrial.errors import Unsupported
from seatrial.train.gradients import clip_norm, reduce_gradients
from seatrial.train.layout import Axis, Layout
from seatrial.train.tensor_parallel import apply_plan, parallelise

PLAN = {
    "layers.*.self_attn.q_proj": "colwise",
    "layers.*.self_attn.k_proj": "colwise",
    "layers.*.self_attn.v_proj": "colwise",
    "layers.*.self_attn.o_proj": "rowwise",
    "layers.*.mlp.gate_proj": "colwise",
    "layers.*.mlp.up_proj": "colwise",
    "layers.*.mlp.down_proj": "rowwise",
}


def llama(lora: bool, bias: bool) -> nn.Module:
    from peft import LoraConfig, get_peft_model
    from transformers import LlamaConfig, LlamaForCausalLM

    torch.manual_seed(5)
    sizes: dict[str, Any] = {"hidden_size": 16, "intermediate_size": 24, "vocab_size": 40, "num_hidden_layers": 2}
    config = LlamaConfig(**sizes, num_attention_heads=4, num_key_value_heads=2, attention_bias=bias, mlp_bias=bias)
    model = LlamaForCausalLM(config)
    for name, parameter in model.named_parameters():
        if name.endswith("bias"):
            nn.init.normal_(parameter)
    if not lora:
        return model
    targets = ["q_proj", "v_proj", "o_proj", "up_proj", "down_proj"]
    adapted = get_peft_model(model, LoraConfig(r=4, lora_alpha=8, target_modules=targets, task_type="CAUSAL_LM"))
    for name, parameter in adapted.named_parameters():
        if "lora_B" in name:  # peft's zeros would hide what A's gradient is
            nn.init.normal_(parameter, std=0.1)
    return adapted


def train_llama(rank: int, size: int, tp: int, lora: bool, bias: bool = True) -> tuple[list[float], list[float]]:
    """Losses and gradient norms of six steps over a global batch of 4."""
    place = layout(rank, size, tp=tp)
    model = llama(lora, bias)
    apply_plan(model, PLAN, place)
    trained = [p for p in model.parameters() if p.requires_grad]
    optimizer = torch.optim.AdamW(trained, lr=0.01)
    draws = torch.Generator().manual_seed(9)
    losses, norms = [], []
    for _ in range(6):
        tokens = torch.randint(0, 8, (4, 12), generator=draws)[place.data_rank :: place.data_size]
        optimizer.zero_grad()
        loss = model(input_ids=tokens, labels=tokens).loss
        loss.backward()
        reduce_gradients(trained, place)
        norms.append(float(clip_norm(trained, 0.5, place)))
        optimizer.step()
        losses.append(place.data_total([loss.item()])[0] / place.data_size)
    return losses, norms


@pytest.mark.parametrize("lora", [False, True], ids=["all weights", "LoRA"])
def test_two_ranks_that_share_layers_train_as_one_does(lora: bool) -> None:
    alone = train_llama(0, 1, 1, lora)
    together = on_ranks(train_llama, 2, 2, lora)
    assert alone[0][0] - alone[0][-1] > 1e-3
    for found in together:
        torch.testing.assert_close(found, alone, rtol=2e-5, atol=1e-6)


def test_shared_layers_and_copies_with_other_data_train_as_one_rank_does() -> None:
    alone = train_llama(0, 1, 1, True)
    for found in on_ranks(train_llama, 4, 2, True):
        torch.testing.assert_close(found, alone, rtol=2e-5, atol=1e-6)


def held_by(rank: int, size: int) -> dict[str, tuple[tuple[int, ...], str]]:
    place = layout(rank, size, tp=2)
    model = llama(True, True)
    apply_plan(model, PLAN, place)
    return {
        n.removeprefix("base_model.model.model.layers.1."): (
            tuple(p.shape), " ".join(m for m in ("tp_sharded", "tp_partial") if getattr(p, m, False)),
        )
        for n, p in model.named_parameters()
    }  # fmt: skip


def test_a_rank_holds_its_slice_and_gradients_are_marked_for_what_they_are() -> None:
    found, other = on_ranks(held_by, 2)
    assert found == other
    assert found["self_attn.q_proj.base_layer.weight"] == ((8, 16), "tp_sharded")
    assert found["self_attn.k_proj.weight"] == ((4, 16), "tp_sharded")
    assert found["self_attn.q_proj.base_layer.bias"] == ((8,), "tp_sharded")
    assert found["self_attn.q_proj.lora_A.default.weight"] == ((4, 16), "tp_partial")
    assert found["self_attn.q_proj.lora_B.default.weight"] == ((8, 4), "tp_sharded")
    assert found["self_attn.o_proj.base_layer.weight"] == ((16, 8), "tp_sharded")
    assert found["self_attn.o_proj.base_layer.bias"] == ((16,), "tp_partial")
    assert found["mlp.down_proj.lora_A.default.weight"] == ((4, 12), "tp_sharded")
    assert found["mlp.down_proj.lora_B.default.weight"] == ((16, 4), "tp_partial")
    assert found["input_layernorm.weight"] == ((16,), "")


def communication(rank: int, size: int) -> float:
    """Seconds of communication in one step of two shared layers."""
    place = layout(rank, size, tp=2)
    block = nn.Sequential(nn.Linear(8, 8), nn.Linear(8, 8))
    parallelise(block, ["0"], ["1"], place)
    place.phases.start()
    block(torch.randn(4, 8, requires_grad=True)).sum().backward()
    place.phases.step_done()
    _, ((_, seconds, _, _),) = place.phases.stop()
    return seconds


def test_its_collectives_are_communication() -> None:
    assert min(on_ranks(communication, 2)) > 0


def shared_between(size: int) -> Layout:
    """A place among `size` ranks of a tp group, for what is refused before anything is sent."""
    place = layout()
    place.tp = Axis(0, size)
    return place


@pytest.mark.parametrize(
    ("plan", "size", "words"),
    [
        ({**PLAN, "layers.*.mlp.up_proj": "sideways"}, 2, r"shares layers\.\*\.mlp\.up_proj 'sideways'"),
        ({**PLAN, "layers.*.mlp.top_proj": "colwise"}, 2, r"names layers\.\*\.mlp\.top_proj, which the model"),
        ({"layers.*.mlp.up_proj": "colwise"}, 2, "by colwise layers alone"),
        (PLAN, 4, r"parallelism\.tp \(4\) does not divide the model's num_key_value_heads \(2\)"),
        (PLAN, 3, r"parallelism\.tp \(3\) does not divide the model's num_attention_heads \(4\)"),
    ],
)
def test_what_cannot_be_shared_is_refused_in_words(plan: dict[str, str], size: int, words: str) -> None:
    with pytest.raises(Unsupported, match=words):
        apply_plan(llama(True, False), plan, shared_between(size))


def test_layers_of_other_kinds_are_refused_in_words() -> None:
    with pytest.raises(Unsupported, match="splits linear layers, not Bilinear"):
        parallelise(nn.Sequential(nn.Bilinear(2, 2, 2)), ["0"], [], shared_between(2))
    with pytest.raises(Unsupported, match=r"parallelism\.tp \(2\) does not divide 3 of a weight \[3, 4\]"):
        parallelise(nn.Sequential(nn.Linear(4, 3)), ["0"], [], shared_between(2))


def test_one_rank_changes_nothing() -> None:
    model = llama(True, True)
    before = dict(model.named_parameters())
    apply_plan(model, {"nothing.of.this": "is looked at"}, layout())
    assert all(p is before[n] for n, p in model.named_parameters())
