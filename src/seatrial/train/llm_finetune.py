"""Fine-tuning of a causal language model to a target evaluation loss."""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import TYPE_CHECKING

import torch

from seatrial.config.training import LlmFinetune, PreparedModel
from seatrial.errors import MeasurementFailed
from seatrial.measure.context import RankContext
from seatrial.paths import PREPARED_SUMMARY
from seatrial.record import Measurement
from seatrial.train import causal_lm, corpus, packing
from seatrial.train.layout import Layout
from seatrial.train.run import train

if TYPE_CHECKING:
    from seatrial.train.flops import FlopCount


class LlmFinetuneObjective:
    """The loss in nats per token on packed text."""

    def __init__(
        self, workload: LlmFinetune, model: torch.nn.Module, train: torch.Tensor, evaluation: torch.Tensor,
        layout: Layout,
    ) -> None:  # fmt: skip
        """`train` and `evaluation` are windows [n, sequence_length + 1] of tokens."""
        self.workload, self.model, self.layout = workload, model, layout
        self.samples, self.evaluation_samples = len(train), len(evaluation)
        self.tokens_per_sample = workload.sequence_length
        self._train = train
        self._evaluation = evaluation[layout.data_rank :: layout.data_size].to(layout.device)
        layout.ranks.same_parameters(p for p in model.parameters() if p.requires_grad)

    def fetch(self, positions: torch.Tensor) -> torch.Tensor:
        """Windows [n, sequence_length + 1] on the device."""
        return self._train[positions].to(self.layout.device)

    def loss(self, batch: torch.Tensor) -> torch.Tensor:
        return causal_lm.token_losses(self.model, batch, "mean")

    def evaluate(self) -> dict[str, float]:
        """Mean loss in nats per token over the evaluation sequences of all ranks."""
        total = 0.0
        for windows in self._evaluation.split(self.workload.batch_size):
            total += float(causal_lm.token_losses(self.model, windows, "sum").item())
        loss, tokens = self.layout.data_total([total, self._evaluation.shape[0] * self.tokens_per_sample])
        return {"evaluation_loss": loss / tokens}

    def after_update(self, step: int) -> None:
        """Nothing is to be done."""

    def measurements(self) -> list[Measurement]:
        return []

    def state(self) -> dict[str, torch.Tensor]:
        return {}

    def restore(self, state: dict[str, torch.Tensor]) -> None:
        """Nothing was kept."""

    def log_parameters(self) -> dict[str, object]:
        lora = self.workload.lora
        adapters = {} if lora is None else {"lora_rank": lora.rank, "lora_alpha": lora.alpha}
        return {"max_sequence_length": self.workload.sequence_length, **adapters}

    def flops_per_sample(self) -> FlopCount | None:
        return None


def run(ctx: RankContext) -> None:
    """Fine-tune to the quality target.

    Raises as `train` does, and MeasurementFailed (crashed) where the model cannot be loaded, (wrong_result) where
    the evaluation text is too short; ConfigError for adapters or modules that do not exist.
    """
    workload = ctx.case.workload
    assert isinstance(workload, LlmFinetune)

    def build(ctx: RankContext, layout: Layout) -> LlmFinetuneObjective:
        return _build(ctx, workload, layout)

    train(ctx, workload, build)


def _build(ctx: RankContext, workload: LlmFinetune, layout: Layout) -> LlmFinetuneObjective:
    prepared = ctx.prepared_for(workload.model) if isinstance(workload.model, PreparedModel) else None
    base, tokenizer = causal_lm.load(workload, prepared, ctx.device)
    texts = corpus.train_and_evaluation(workload.dataset)
    if prepared is not None:
        ctx.facts["base_model"] = json.loads((prepared / PREPARED_SUMMARY).read_text(encoding="utf-8"))
    ctx.facts["datasets"] = _facts(texts)
    windows = packing.pack(texts[0], tokenizer, workload.sequence_length)
    evaluation = packing.spread(
        packing.pack(texts[1], tokenizer, workload.sequence_length), workload.evaluation_sequences
    )
    if len(evaluation) < layout.data_size:
        raise MeasurementFailed(
            "wrong_result", f"{len(evaluation)} evaluation_sequences cannot be shared by {layout.data_size} ranks"
        )
    model: torch.nn.Module = base
    if workload.lora is not None:
        model = causal_lm.with_adapters(base, workload.lora, workload.activation_checkpointing)
    return LlmFinetuneObjective(workload, model, windows, evaluation, layout)


def _facts(texts: Sequence[corpus.Corpus]) -> dict[str, dict[str, object]]:
    """Where the texts come from, for record and log."""
    return {
        use: {"origin": text.origin, "sha256": text.sha256, "characters": text.characters}
        for use, text in zip(("train", "evaluation"), texts, strict=True)
    }
