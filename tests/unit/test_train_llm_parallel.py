"""A language model shared between ranks learns what one rank alone learns, taken up from a checkpoint or not."""

from __future__ import annotations

import tempfile
from pathlib import Path
from typing import Any

import pytest
import torch
from gloo_ranks import layout, on_ranks
from train_cases import case, finetune

from seatrial.config.training import LlmFinetune
from seatrial.errors import ConfigError, MeasurementFailed, Unsupported
from seatrial.measure.context import RankContext
from seatrial.train import causal_lm, llm_finetune
from seatrial.train.learner import Learner
from seatrial.train.llm_finetune import LlmFinetuneObjective
from seatrial.train.prediction import NOT_PREDICTED
from seatrial.train.sequences import Sequences

ARCHITECTURE = {
    "model_type": "llama",
    "vocab_size": 257,
    "hidden_size": 32,
    "intermediate_size": 64,
    "num_hidden_layers": 2,
    "num_attention_heads": 4,
    "num_key_value_heads": 2,
    "max_position_embeddings": 64,
    "tie_word_embeddings": True,
}
ADAPTERS = {"rank": 4, "alpha": 8.0, "target_modules": ["q_proj", "k_proj", "v_proj", "o_proj", "down_proj"]}
GLOBAL_BATCH = 8
SEED = 5


def small(data_ranks: int = 1, **more: Any) -> dict[str, Any]:
    """A randomly initialised model that trains for six steps of eight sequences, whatever the ranks.

    Five evaluation sequences: some ranks have a batch less than others, and none may wait for it for ever.
    """
    content: dict[str, Any] = {
        "model": {"source": "config", "architecture": ARCHITECTURE, "tokenizer": "bytes"},
        "lora": None,
        "quality": {"metric": "evaluation_loss", "target": 0.1},
        "batch_size": GLOBAL_BATCH // data_ranks // 2,
        "gradient_accumulation": 2,
        "learning_rate": 0.01,
        "weight_decay": 0.1,
        "gradient_clip_norm": 0.5,
        "max_steps": 6,
        "evaluation_interval_steps": 2,
        "evaluation_sequences": 5,
    }
    return finetune(**{**content, **more})


def trained(rank: int, size: int, folder: Path, workload: dict[str, Any], cut_at: int | None = None) -> list[float]:
    """The evaluation losses of a run on this rank; `cut_at`: killed there at first, and taken up again."""
    what = case(workload, ranks=size)
    right = Learner.train_step

    def dying(self: Learner, step: int) -> torch.Tensor:
        if step == cut_at:
            raise KeyboardInterrupt
        return right(self, step)

    for step_of in ([dying] if cut_at is not None else []) + [right]:
        ctx = RankContext(
            case=what, repeat=0, seed=SEED, rank=rank, local_rank=rank, world_size=size,
            device=torch.device("cpu"), folder=folder,
        )  # fmt: skip
        Learner.train_step = step_of  # type: ignore[method-assign]
        try:
            llm_finetune.run(ctx)
        except KeyboardInterrupt:
            assert cut_at is not None
        except MeasurementFailed as failure:
            assert failure.kind == "target_not_reached", failure
    assert ctx.resumed == (cut_at is not None)
    return [m.samples[0] for m in ctx.measurements if m.metric == "train.evaluation_loss"]


def all_of(rank: int, size: int, layouts: list[tuple[dict[str, int], dict[str, Any] | None]], folder: str) -> list:
    """For each layout the losses of a whole run, and of one that was killed between two checkpoints."""
    found = []
    for number, (parallelism, lora) in enumerate(layouts):
        workload = small(size // parallelism.get("tp", 1), parallelism=parallelism, lora=lora)
        whole = trained(rank, size, Path(folder) / f"{number}", workload)
        resumed = trained(
            rank, size, Path(folder) / f"{number}cut", {**workload, "checkpoint_interval_steps": 2}, cut_at=3
        )
        found.append((whole, resumed))
    return found


TWO: list[tuple[dict[str, int], dict[str, Any] | None]] = [
    ({"fsdp": 2}, None),
    ({"fsdp": 2}, ADAPTERS),
    ({"tp": 2}, None),
    ({"tp": 2}, ADAPTERS),
]
FOUR: list[tuple[dict[str, int], dict[str, Any] | None]] = [
    ({"fsdp": 2, "tp": 2}, None),
    ({"fsdp": 2, "tp": 2}, ADAPTERS),
    ({"dp": 2, "tp": 2}, ADAPTERS),
    ({"dp": 2, "fsdp": 2}, None),
]


@pytest.mark.parametrize(("size", "layouts"), [(2, TWO), (4, FOUR)], ids=["two", "four"])
def test_ranks_that_share_a_model_learn_what_one_rank_learns_resumed_or_not(
    size: int, layouts: list[tuple[dict[str, int], dict[str, Any] | None]], tmp_path: Path
) -> None:
    found = on_ranks(all_of, size, layouts, str(tmp_path), within=500)[0]
    for number, ((parallelism, lora), (whole, resumed)) in enumerate(zip(layouts, found, strict=True)):
        alone = trained(0, 1, tmp_path / f"alone{number}", small(lora=lora))
        assert len(alone) == 4
        assert alone[-1] < alone[0] - 0.02, "nothing was learnt, so that nothing was compared"
        assert whole == pytest.approx(alone, rel=2e-4), (parallelism, lora)
        assert resumed == pytest.approx(whole, rel=1e-6), (parallelism, lora)


def memory(rank: int, size: int) -> tuple[int, int, list[str]]:
    """Parameters that a rank of fsdp 2 holds, those of the whole, and how often it read the model itself."""
    from gloo_ranks import layout

    from seatrial.config.training import LlmFinetune
    from seatrial.train import causal_lm
    from seatrial.train.placement import placed

    workload = LlmFinetune.model_validate(small())
    whole: list[int] = []
    read: list[str] = []

    def load() -> Any:
        read.append("read")
        return causal_lm.load(workload, None)

    model = placed(
        load, lambda base: base, torch.float32, layout(rank, size, fsdp=2),
        lambda seen: whole.append(sum(p.numel() for p in seen.parameters())),
    )  # fmt: skip
    own = sum(p.to_local().numel() for p in model.parameters())  # type: ignore[attr-defined]
    return own, whole[0], read


GPT2 = {"model_type": "gpt2", "vocab_size": 257, "n_embd": 32, "n_layer": 1, "n_head": 4}


def refused(rank: int, size: int) -> list[str]:
    """What every rank says where the first cannot build the model, and where it cannot be shared."""
    words = []
    for architecture, parallelism, error in (
        ({**ARCHITECTURE, "hidden_sizes": 32}, {}, (ConfigError, MeasurementFailed)),
        (GPT2, {"tp": 2}, (Unsupported,)),
    ):
        model = {"source": "config", "architecture": architecture, "tokenizer": "bytes"}
        what = case(small(2, model=model, parallelism=parallelism), ranks=size)
        with tempfile.TemporaryDirectory() as folder, pytest.raises(error) as problem:
            llm_finetune.run(
                RankContext(
                    case=what, repeat=0, seed=SEED, rank=rank, local_rank=rank, world_size=size,
                    device=torch.device("cpu"), folder=Path(folder),
                )
            )  # fmt: skip
        words.append(str(problem.value))
    return words


def memory_and_refusals(rank: int, size: int) -> tuple[tuple[int, int, list[str]], list[str]]:
    return memory(rank, size), refused(rank, size)


def test_only_the_first_rank_reads_a_model_and_all_hold_a_part_or_fail_together() -> None:
    (first, said), (second, also_said) = on_ranks(memory_and_refusals, 2)
    assert (first[2], second[2]) == (["read"], [])
    assert first[1] == second[1]
    assert first[0] + second[0] == first[1]
    assert abs(first[0] - second[0]) < 0.01 * first[1]
    assert said == also_said
    assert "has no such field" in said[0] and "did you mean 'hidden_size'" in said[0]
    assert "GPT2LMHeadModel has no plan for tensor parallelism" in said[1]


def masked_gradient(rank: int, size: int, accumulation: int) -> torch.Tensor:
    """Of one step over two sequences, of which 1 and 12 tokens are predicted."""
    torch.manual_seed(SEED)
    batch = 2 // size // accumulation
    workload = LlmFinetune.model_validate(
        small(batch_size=batch, gradient_accumulation=accumulation, gradient_clip_norm=1e6)
    )
    tokens = torch.randint(0, 256, (2, 17))
    targets = tokens[:, 1:].clone()
    targets[0, 1:], targets[1, 12:] = NOT_PREDICTED, NOT_PREDICTED
    data = Sequences(tokens[:, :-1], targets)
    objective = LlmFinetuneObjective(workload, causal_lm.load(workload, None), data, data, layout(rank, size))
    learner = Learner(workload, objective, objective.layout, SEED)
    learner.train_step(0)
    return torch.cat([p.grad.flatten() for p in learner.parameters if p.grad is not None])


def test_masked_sequences_weigh_alike_in_a_batch_in_micro_batches_and_on_two_ranks() -> None:
    whole = masked_gradient(0, 1, 1)
    (parts,) = on_ranks(masked_gradient, 1, 2)
    shared = on_ranks(masked_gradient, 2, 1)
    assert whole.norm() > 0.1
    for other in (parts, *shared):
        assert (other - whole).norm() < 1e-4 * whole.norm()
