"""Fine-tuning of a causal language model to a target evaluation loss."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch

from seatrial.config.training import HubDataset, LlmFinetune, PreparedModel
from seatrial.errors import ConfigError, MeasurementFailed
from seatrial.measure.context import RankContext
from seatrial.paths import PREPARED_SUMMARY
from seatrial.train import causal_lm, corpus, packing, sequences
from seatrial.train.flops import Checkpointing, causal_lm_flops
from seatrial.train.layout import Layout
from seatrial.train.learner import KeepsNothing
from seatrial.train.placement import placed
from seatrial.train.prediction import NOT_PREDICTED, sequence_losses
from seatrial.train.run import train
from seatrial.train.sequences import Sequences
from seatrial.train.share import share_of

if TYPE_CHECKING:
    from transformers import PreTrainedModel

    from seatrial.train.flops import FlopCount, Undefined

Batch = tuple[torch.Tensor, torch.Tensor]
"""Inputs and targets [n, L]."""


class LlmFinetuneObjective(KeepsNothing):
    """The loss in nats per predicted token of packed text."""

    def __init__(
        self, workload: LlmFinetune, model: torch.nn.Module, train: Sequences, evaluation: Sequences,
        layout: Layout, flops: FlopCount | Undefined | None = None,
    ) -> None:  # fmt: skip
        """`evaluation` is the whole of it, of which every rank evaluates its share."""
        self.workload, self.model, self.layout = workload, model, layout
        self.samples, self.evaluation_samples = len(train), len(evaluation)
        self.tokens_per_sample = workload.sequence_length
        self._train, self._evaluation, self._flops = train, evaluation, flops

    def fetch(self, positions: torch.Tensor) -> Batch:
        """Inputs and targets [n, L] on the device."""
        return self._train.at(positions, self.layout.device)

    def loss(self, batch: Batch) -> torch.Tensor:
        """The mean over sequences of the mean over each one's predicted tokens, as in the evaluation: so that
        sequences weigh alike, however ranks and micro-batches share them."""
        return sequence_losses(causal_lm.prediction_losses(self.model, *batch), batch[1]).mean()

    def evaluate(self) -> dict[str, float]:
        """Mean over the evaluation sequences, of all ranks, of each one's mean loss in nats per predicted token.

        As MLPerf's reference has it, whose evaluation batch is one sequence; without labels that leave tokens out
        it is the mean over all tokens.
        """
        total, count = 0.0, 0
        for positions, counted in share_of(self.evaluation_samples, self.layout, self.workload.batch_size):
            inputs, targets = self._evaluation.at(positions, self.layout.device)
            losses = sequence_losses(causal_lm.prediction_losses(self.model, inputs, targets), targets)
            total += float(losses[:counted].double().sum().item())
            count += int((targets[:counted] != NOT_PREDICTED).any(dim=1).sum().item())
        total, sequences = self.layout.data_total([total, count])
        return {"evaluation_loss": total / sequences}

    def log_parameters(self) -> dict[str, object]:
        lora = self.workload.lora
        adapters = {} if lora is None else {"lora_rank": lora.rank, "lora_alpha": lora.alpha}
        return {"max_sequence_length": self.workload.sequence_length, **adapters}

    def flops_per_sample(self) -> FlopCount | Undefined | None:
        return self._flops


def run(ctx: RankContext) -> None:
    """Fine-tune to the quality target.

    Raises as `train` does, and MeasurementFailed (crashed) where the model cannot be loaded, (wrong_result) where
    the evaluation text is too short; ConfigError for adapters or modules that do not exist; Unsupported where the
    model cannot be shared between ranks as asked.
    """
    workload = ctx.case.workload
    assert isinstance(workload, LlmFinetune)

    def build(ctx: RankContext, layout: Layout) -> LlmFinetuneObjective:
        return _build(ctx, workload, layout)

    train(ctx, workload, build)


def _build(ctx: RankContext, workload: LlmFinetune, layout: Layout) -> LlmFinetuneObjective:
    prepared = ctx.prepared_for(workload.model) if isinstance(workload.model, PreparedModel) else None
    if prepared is not None:
        ctx.facts["base_model"] = json.loads((prepared / PREPARED_SUMMARY).read_text(encoding="utf-8"))
    flops: list[FlopCount | Undefined] = []
    vocabulary: list[int] = []

    def inspect(model: torch.nn.Module) -> None:
        recomputed: Checkpointing = "layers" if workload.activation_checkpointing else "none"
        flops.append(causal_lm_flops(model.config, model, workload.sequence_length, checkpointing=recomputed))

    def trainable(model: PreTrainedModel) -> torch.nn.Module:
        ctx.facts["model"] = causal_lm.facts(workload.model, model)
        vocabulary.append(len(model.get_input_embeddings().weight))  # type: ignore[arg-type]  # it is a tensor
        return causal_lm.made_trainable(model, workload.lora, workload.activation_checkpointing)

    model = placed(
        lambda: causal_lm.load(workload, prepared), trainable, causal_lm.weights_dtype(workload), layout, inspect,
        torch.bfloat16 if workload.dtype == "bfloat16" else None,
    )  # fmt: skip
    learnt, shown = _data(ctx, workload, layout, prepared)
    _check_vocabulary(vocabulary[0], learnt, shown)
    return LlmFinetuneObjective(workload, model, learnt, shown, layout, flops[0])


def _data(
    ctx: RankContext, workload: LlmFinetune, layout: Layout, prepared: Path | None
) -> tuple[Sequences, Sequences]:
    """What to train and to evaluate on; nothing touches it before."""
    text = workload.prepared_text()
    tokenizer = causal_lm.tokenizer(workload.model, prepared) if text is None else None
    layout.opens_data()
    if text is None:
        learnt, shown, ctx.facts["datasets"] = _texts(workload, tokenizer)
    else:
        learnt, shown, summary = sequences.prepared(ctx.prepared_for(text), workload.sequence_length)
        ctx.facts["datasets"] = summary["datasets"]
    if len(shown) < layout.data_size:
        raise MeasurementFailed(
            "wrong_result", f"{len(shown)} evaluation_sequences cannot be shared by {layout.data_size} ranks"
        )
    return learnt, shown


def _texts(workload: LlmFinetune, tokenizer: Any) -> tuple[Sequences, Sequences, dict[str, dict[str, object]]]:
    """Packed texts to train and to evaluate on, and where they come from."""
    assert not isinstance(workload.dataset, HubDataset)
    texts = corpus.train_and_evaluation(workload.dataset)
    learnt, shown = (packing.pack(text, tokenizer, workload.sequence_length) for text in texts)
    evaluation = packing.spread(shown, workload.evaluation_sequences)
    return Sequences.of_windows(learnt), Sequences.of_windows(evaluation), _facts(texts)


def _facts(texts: Sequence[corpus.Corpus]) -> dict[str, dict[str, object]]:
    """Where the texts come from, for record and log."""
    return {
        use: {"origin": text.origin, "sha256": text.sha256, "characters": text.characters}
        for use, text in zip(("train", "evaluation"), texts, strict=True)
    }


def _check_vocabulary(known: int, *texts: Sequences) -> None:
    """Refuse tokens that the model does not have: a tokenizer of another model. Raises ConfigError."""
    # The evaluation's tokens and the first to be learnt: to look at all would read a whole mapped file.
    greatest = max(int(text.inputs[:64].max()) for text in texts)
    if greatest >= known:
        raise ConfigError(
            "the text has tokens that the model does not know: is the tokenizer another model's?",
            key="workload.model.tokenizer",
            value=greatest,
            allowed=f"tokens below {known}, the model's vocabulary",
        )
