"""FLOPs counted in real models, held to torch's own flop counter; every difference is a stated term."""

from __future__ import annotations

import re
import warnings
from typing import Any

import pytest
import torch
from llama_weights import llama_weights
from torch.utils.flop_counter import FlopCounterMode

from seatrial.train.flops import (
    AttentionLayer,
    FlopCount,
    UncountableError,
    Undefined,
    causal_lm_flops,
    count_matmul_parameters,
)

transformers = pytest.importorskip("transformers")
TOKENS = 24
SMALL: dict[str, Any] = {
    "hidden_size": 32,
    "intermediate_size": 80,
    "num_hidden_layers": 3,
    "num_attention_heads": 4,
    "num_key_value_heads": 2,
    "vocab_size": 101,
    "max_position_embeddings": 64,
}
SCORES = 4 * 4 * 8 * TOKENS**2
"""One layer's attention forward, in full: 4 H dh S^2."""
DOWN = 2 * 80 * 32 * TOKENS
"""The last product of a checkpointed layer: torch stops recomputing before it, as nothing needs its result."""


def built(config: Any, **more: Any) -> Any:
    """A small model whose attention is plain matrix products, which the flop counter sees."""
    torch.manual_seed(0)
    return transformers.AutoModelForCausalLM.from_config(config, attn_implementation="eager", **more).train()


def llama(**more: Any) -> Any:
    return transformers.LlamaConfig(**SMALL | more)


def checkpointed(model: Any) -> Any:
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", message=".*gradient_checkpointing", category=FutureWarning)
        model.gradient_checkpointing_enable(gradient_checkpointing_kwargs={"use_reentrant": False})
    return model


def adapted(model: Any, targets: list[str], **more: Any) -> Any:
    from peft import LoraConfig, get_peft_model

    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", category=FutureWarning)
        return get_peft_model(model, LoraConfig(r=4, target_modules=targets, task_type="CAUSAL_LM", **more))


def counted(config: Any, model: Any, *how: Any) -> FlopCount:
    count = causal_lm_flops(config, model, TOKENS, *how)
    assert isinstance(count, FlopCount), count
    return count


def executed(model: Any, batch: int = 2) -> tuple[float, float]:
    """Forward and backward FLOPs per sample by torch's counter."""
    tokens = torch.randint(model.config.vocab_size, (batch, TOKENS))
    with FlopCounterMode(display=False) as forward:
        loss = model(input_ids=tokens, use_cache=False).logits.float().square().mean()
    with FlopCounterMode(display=False) as backward:
        loss.backward()
    return forward.get_total_flops() / batch, backward.get_total_flops() / batch


@pytest.mark.parametrize("tied", [False, True], ids=["untied", "tied"])
@pytest.mark.parametrize("kv", [1, 2, 4], ids=["mqa", "gqa", "mha"])
def test_a_dense_model_equals_the_flop_counter(tied: bool, kv: int) -> None:
    config = llama(tie_word_embeddings=tied, num_key_value_heads=kv)
    model = built(config)
    count = counted(config, model)
    assert (count.forward, count.backward) == executed(model)
    assert count.model == 3 * count.forward
    assert count_matmul_parameters(model).active == llama_weights(
        layers=3, hidden=32, heads=4, key_value_heads=kv, head_dim=8, intermediate=80, vocabulary=101
    )


@pytest.mark.parametrize("lora", [False, True], ids=["dense", "lora"])
def test_checkpointed_layers_are_recomputed_but_for_their_last_product(lora: bool) -> None:
    config = llama()
    model = checkpointed(built(config))
    model = adapted(model, ["q_proj", "v_proj"]) if lora else model
    count = counted(config, model, "full", "layers")
    forward, backward = executed(model)
    assert count.forward == forward
    assert count.backward + count.recompute == backward + 3 * DOWN
    assert counted(config, model, "full", "full").recompute == count.forward


@pytest.mark.parametrize("tied", [False, True], ids=["untied", "tied"])
def test_lora_equals_the_flop_counter_but_for_gradients_to_the_first_layers_input(tied: bool) -> None:
    config = llama(tie_word_embeddings=tied)
    model = adapted(built(config), ["q_proj", "v_proj"])
    count = counted(config, model)
    forward, backward = executed(model)
    assert count.forward == forward
    adapters = 3 * (4 * (32 + 32) + 4 * (32 + 16))
    parameters = count_matmul_parameters(model)
    assert (parameters.layers.trained, parameters.head.frozen) == (adapters, 101 * 32)
    # 4N goes down to the first layer's input, whose gradient nobody needs: q, k, v and both A.
    # Nor does anybody need that of its keys, which carry no adapter.
    to_the_input = 2 * TOKENS * (32 * (32 + 16 + 16) + 2 * 4 * 32)
    assert count.backward == backward + to_the_input + SCORES / 2


def test_lora_is_4n_and_6_n_lora_beside_attention() -> None:
    config = llama()
    model = adapted(built(config), ["q_proj", "o_proj", "up_proj", "down_proj"])
    parameters = count_matmul_parameters(model)
    trained = sum(p.numel() for p in model.parameters() if p.requires_grad)
    assert parameters.layers.trained == trained
    base = count_matmul_parameters(built(config)).active
    assert parameters.active == base + trained
    assert counted(config, model).model == (4 * base + 6 * trained) * TOKENS + 3 * 3 * SCORES


def test_layers_before_the_first_adapter_have_no_backward_pass() -> None:
    config = llama()
    model = adapted(built(config), ["q_proj", "k_proj", "v_proj"], layers_to_transform=[2])
    count = counted(config, model)
    forward, backward = executed(model)
    assert count.forward == forward
    assert count_matmul_parameters(model).layers.forward_only == 2 * (32 * (64 + 32) + 3 * 32 * 80)
    to_the_input = 2 * TOKENS * (32 * (32 + 16 + 16) + 3 * 4 * 32)
    assert count.backward == backward + to_the_input


def test_a_head_that_is_trained_beside_adapters_counts_once() -> None:
    config = llama()
    model = adapted(built(config), ["q_proj"], modules_to_save=["lm_head"])
    parameters = count_matmul_parameters(model)
    assert (parameters.head.trained, parameters.head.frozen) == (101 * 32, 0)
    assert counted(config, model).forward == executed(model)[0]


def test_other_layouts_of_attention_equal_the_flop_counter() -> None:
    gpt2 = transformers.GPT2Config(n_embd=32, n_layer=2, n_head=4, vocab_size=101, n_positions=64)
    latent = transformers.DeepseekV3Config(
        **SMALL | {"num_key_value_heads": 4}, first_k_dense_replace=3, q_lora_rank=12, kv_lora_rank=8,
        qk_nope_head_dim=6, qk_rope_head_dim=4, v_head_dim=5, head_dim=4,
    )  # fmt: skip
    for config in (gpt2, latent):
        model = built(config)
        count = counted(config, model)
        assert (count.forward, count.backward) == executed(model), type(model).__name__


def test_windowed_layers_count_their_window_where_plain_attention_computes_it_all() -> None:
    mistral = transformers.MistralConfig(**SMALL, sliding_window=6)
    types = ["full_attention", "sliding_attention", "full_attention"]
    qwen = transformers.Qwen2Config(**SMALL, use_sliding_window=True, sliding_window=6, layer_types=types)
    for config, windowed in ((mistral, 3), (qwen, 1)):
        model = built(config)
        saved = windowed * (SCORES - SCORES * 6 // TOKENS)
        assert counted(config, model).forward == executed(model)[0] - saved
        full, sliding = (AttentionLayer(4, 8, 8, w).forward(TOKENS, "causal") for w in (None, 6))
        weights = count_matmul_parameters(model).active
        expected = 2 * weights * TOKENS + windowed * sliding + (3 - windowed) * full
        assert counted(config, model, "causal").forward == expected
    unused = transformers.Qwen2Config(**SMALL, use_sliding_window=False, sliding_window=6)
    assert counted(unused, built(unused)).forward == executed(built(unused))[0]


def experts(kind: str) -> Any:
    if kind == "mixtral":
        return transformers.MixtralConfig(**SMALL, num_local_experts=8, num_experts_per_tok=2)
    return transformers.Qwen2MoeConfig(
        **SMALL, num_experts=8, num_experts_per_tok=3, moe_intermediate_size=16,
        shared_expert_intermediate_size=24, decoder_sparse_step=1,
    )  # fmt: skip


@pytest.mark.parametrize("kind", ["mixtral", "qwen2_moe"])
def test_routed_experts_count_what_tokens_meet(kind: str) -> None:
    config = experts(kind)
    model = built(config, experts_implementation="eager")
    count = counted(config, model)
    assert (count.forward, count.backward) == executed(model)
    parameters = count_matmul_parameters(model, config.num_experts_per_tok)
    everything = sum(p.numel() for p in model.parameters() if p.ndim > 1) - 101 * 32
    assert parameters.active + parameters.inactive == everything
    assert parameters.inactive > 0
    with pytest.raises(UncountableError, match="how many of the 8 experts a token meets is not stated"):
        count_matmul_parameters(model)


def test_published_models_have_the_published_weights() -> None:
    sizes = {"hidden_size": 4096, "num_hidden_layers": 32, "num_attention_heads": 32, "num_key_value_heads": 8}
    config = transformers.LlamaConfig(**sizes, intermediate_size=14336, vocab_size=128256)
    with torch.device("meta"):
        model = transformers.LlamaForCausalLM(config)
    assert count_matmul_parameters(model).active == 8_030_261_248 - 128256 * 4096 - 65 * 4096
    count = causal_lm_flops(config, model, 8192)
    assert isinstance(count, FlopCount)
    assert round(100 * count.model / 8192 * 5762 / 989e12, 1) == 33.7


def mamba() -> tuple[Any, Any]:
    config = transformers.MambaConfig(hidden_size=16, num_hidden_layers=2, vocab_size=50, state_size=4)
    return config, transformers.MambaForCausalLM(config)


def unknown_layers() -> tuple[Any, Any]:
    config = llama()
    config.layer_types = ["full_attention", "linear_attention", "full_attention"]
    return config, built(llama())


def nothing_trained() -> tuple[Any, Any]:
    return llama(), built(llama()).requires_grad_(False)


def two_adapters() -> tuple[Any, Any]:
    from peft import LoraConfig

    model = adapted(built(llama()), ["q_proj"])
    model.add_adapter("second", LoraConfig(r=2, target_modules=["v_proj"]))
    return llama(), model


def unknown_weights() -> tuple[Any, Any]:
    model = built(llama())
    model.model.layers[1].mixing = torch.nn.Conv1d(4, 4, 3)
    return llama(), model


def single_experts() -> tuple[Any, Any]:
    model = built(llama())
    model.model.layers[0].experts = torch.nn.ModuleList([torch.nn.Sequential(torch.nn.Linear(2, 2))])
    return llama(), model


def too_few_layers() -> tuple[Any, Any]:
    return llama(num_hidden_layers=2), built(llama())


@pytest.mark.parametrize(
    ("make", "reason"),
    [
        (mamba, "no num_attention_heads"),
        (unknown_layers, "layers of type linear_attention have no formula"),
        (nothing_trained, "no parameter of the model is trained"),
        (two_adapters, "adapters of kind LORA, LORA; only one"),
        (unknown_weights, r"model.layers.1.mixing \(Conv1d\) holds weights in weight"),
        (single_experts, "model.layers.0.experts.0.0: experts held as single modules"),
        (too_few_layers, "states 2 attention layers, the model has 3"),
    ],
)
def test_a_model_that_cannot_be_counted_is_refused_in_words(make: Any, reason: str) -> None:
    config, model = make()
    found = causal_lm_flops(config, model, TOKENS)
    assert isinstance(found, Undefined)
    assert re.search(reason, found.reason), found.reason
