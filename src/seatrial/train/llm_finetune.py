"""LoRA fine-tuning of a causal language model to a target evaluation loss."""

from __future__ import annotations

import contextlib
import json
import math
from collections.abc import Mapping
from typing import Any

import torch

from seatrial.config.training import LlmFinetune, PreparedModel
from seatrial.errors import MeasurementFailed
from seatrial.measure.context import RankContext
from seatrial.mllog import TrainingLog
from seatrial.train import causal_lm, corpus, packing
from seatrial.train.checkpoint import Checkpoint
from seatrial.train.history import History
from seatrial.train.loop import Schedule, train_to_quality
from seatrial.train.prepare import SUMMARY
from seatrial.train.ranks import Ranks
from seatrial.train.threads import at_most_threads

ADAM_BETAS = (0.9, 0.999)
ADAM_EPSILON = 1e-8


class LlmFinetuneTask:
    """Data-parallel LoRA: every rank holds the whole model and sees its own share of each global batch."""

    def __init__(
        self, workload: LlmFinetune, model: torch.nn.Module, train: torch.Tensor, evaluation: torch.Tensor,
        seed: int, ranks: Ranks,
    ) -> None:  # fmt: skip
        self.workload, self.model, self.ranks = workload, model, ranks
        self.samples_per_step = workload.batch_size * workload.gradient_accumulation * ranks.size
        self.tokens_per_sample = workload.sequence_length
        self._train, self._evaluation = train, evaluation[ranks.rank :: ranks.size].to(ranks.device)
        self._order = packing.BatchOrder(len(train), seed)
        self._parameters = [p for p in model.parameters() if p.requires_grad]
        ranks.same_parameters(self._parameters)
        self._optimizer = torch.optim.AdamW(
            self._parameters,
            lr=workload.learning_rate,
            betas=ADAM_BETAS,
            eps=ADAM_EPSILON,
            weight_decay=workload.weight_decay,
        )

    def train_step(self, step: int) -> torch.Tensor:
        """One optimiser step over the global batch; the mean loss of this rank's share."""
        self.model.train()
        for group in self._optimizer.param_groups:
            group["lr"] = learning_rate(self.workload, step)
        self._optimizer.zero_grad(set_to_none=True)
        loss = torch.zeros((), device=self.ranks.device)
        for windows in self._share(step).split(self.workload.batch_size):
            with self._precision():
                part = causal_lm.token_losses(self.model, windows, "mean") / self.workload.gradient_accumulation
            part.backward()
            loss += part.detach()
        self.ranks.average_gradients(self._parameters)
        # The mean gradient is the same on every rank, so its norm is too.
        torch.nn.utils.clip_grad_norm_(self._parameters, self.workload.gradient_clip_norm)
        self._optimizer.step()
        return loss

    def evaluate(self) -> float:
        """Mean loss in nats per token over the evaluation sequences of all ranks."""
        self.model.eval()
        total = 0.0
        with torch.no_grad(), self._precision():
            for windows in self._evaluation.split(self.workload.batch_size):
                total += float(causal_lm.token_losses(self.model, windows, "sum").item())
        predicted = self._evaluation.shape[0] * self.tokens_per_sample
        loss, tokens = self.ranks.total([total, predicted])
        return loss / tokens

    def state(self) -> dict[str, Any]:
        return {"adapters": causal_lm.trained_state(self.model), "optimizer": self._optimizer.state_dict()}

    def restore(self, state: dict[str, Any]) -> None:
        causal_lm.restore_trained(self.model, state["adapters"])
        self._optimizer.load_state_dict(state["optimizer"])

    def _share(self, step: int) -> torch.Tensor:
        """This rank's sequences of a step, [accumulation x batch, length + 1], on the device."""
        positions = self._order.positions(step * self.samples_per_step, self.samples_per_step)
        return self._train[positions[self.ranks.rank :: self.ranks.size]].to(self.ranks.device)

    def _precision(self) -> contextlib.AbstractContextManager[Any]:
        """bfloat16 products with float32 adapters and losses, where the workload asks for it."""
        if self.workload.dtype == "float32":
            return contextlib.nullcontext()
        return torch.autocast(self.ranks.device.type, dtype=torch.bfloat16)


def run(ctx: RankContext) -> None:
    """Fine-tune to the quality target; measurements, quality and `<repeat>.mllog` on rank 0.

    Raises MeasurementFailed: diverged, target_not_reached, wrong_result (see train_to_quality) or crashed (the
    model cannot be loaded); ConfigError for adapters or modules that do not exist; what was measured is kept.
    """
    workload = ctx.case.workload
    assert isinstance(workload, LlmFinetune)
    with at_most_threads(workload.cpu_threads):
        _fine_tune(ctx, workload)


def _fine_tune(ctx: RankContext, workload: LlmFinetune) -> None:
    """Set up, train, and keep what was measured."""
    ranks = Ranks(ctx.rank, ctx.world_size, ctx.device)
    started = TrainingLog.now()
    torch.manual_seed(ctx.seed)
    base, tokenizer = causal_lm.load(workload, ctx.prepared, ctx.device)
    texts = corpus.train_and_evaluation(workload.dataset)
    if isinstance(workload.model, PreparedModel) and ctx.prepared is not None:
        ctx.facts["base_model"] = json.loads((ctx.prepared / SUMMARY).read_text(encoding="utf-8"))
    ctx.facts["datasets"] = {
        use: {"origin": text.origin, "sha256": text.sha256, "characters": text.characters}
        for use, text in zip(("train", "evaluation"), texts, strict=True)
    }
    train = packing.pack(texts[0], tokenizer, workload.sequence_length)
    evaluation = packing.spread(
        packing.pack(texts[1], tokenizer, workload.sequence_length), workload.evaluation_sequences
    )
    if len(evaluation) < ranks.size:
        raise MeasurementFailed(
            "wrong_result", f"{len(evaluation)} evaluation_sequences cannot be shared by {ranks.size} ranks"
        )
    model = causal_lm.with_adapters(base, workload.lora, workload.activation_checkpointing)
    task = LlmFinetuneTask(workload, model, train, evaluation, ctx.seed, ranks)
    torch.manual_seed(ctx.seed * ranks.size + ranks.rank)  # Dropout differs between ranks.

    history = History(workload.quality)
    owner = {"case_id": ctx.case.case_id, "repeat": ctx.repeat, "seed": ctx.seed, "ranks": ranks.size}
    checkpoint = Checkpoint(ctx.beside("checkpoint.pt"), owner, task, ranks)
    resumed = checkpoint.restore(history)
    ctx.resumed = checkpoint.resumed
    log = TrainingLog(ctx.beside("mllog"), keep=checkpoint.log_length) if ranks.first else None
    with log or contextlib.nullcontext():
        checkpoint.log = log
        if log is not None and not resumed:
            _declare(log, ctx, workload, task, texts, len(train), started)
        _train(ctx, workload, task, ranks, history, log, checkpoint)


def learning_rate(workload: LlmFinetune, step: int) -> float:
    """The learning rate of a step (0-based): linear warm-up, then constant or a half cosine to zero."""
    if step < workload.warmup_steps:
        return workload.learning_rate * (step + 1) / workload.warmup_steps
    if workload.learning_rate_schedule == "constant":
        return workload.learning_rate
    done = (step - workload.warmup_steps) / max(1, workload.max_steps - workload.warmup_steps)
    return workload.learning_rate * 0.5 * (1 + math.cos(math.pi * done))


def _train(
    ctx: RankContext, workload: LlmFinetune, task: LlmFinetuneTask, ranks: Ranks, history: History,
    log: TrainingLog | None, checkpoint: Checkpoint,
) -> None:  # fmt: skip
    """The loop, and what is kept of it however it ends."""
    schedule = Schedule(workload.max_steps, workload.evaluation_interval_steps, workload.checkpoint_interval_steps)
    saver = checkpoint if workload.checkpoint_interval_steps else None
    ended = False

    def keep() -> None:
        ctx.measurements[:] = history.measurements()
        ctx.quality = history.quality()

    try:
        train_to_quality(task, schedule, ranks, history, log, saver, keep)
        ended = True
    except MeasurementFailed:
        # It ended in words: doing it again from the checkpoint would end the same way.
        ended = True
        raise
    finally:
        keep()
        if log is not None:
            log.run_stop(
                "success" if history.reached and ended else "aborted",
                history.samples,
                history.step,
                history.minutes,
            )
        if ended:
            checkpoint.delete()


def _declare(
    log: TrainingLog, ctx: RankContext, workload: LlmFinetune, task: LlmFinetuneTask,
    texts: tuple[corpus.Corpus, corpus.Corpus], train_samples: int, started_ms: int,
) -> None:  # fmt: skip
    """Everything that MLPerf wants to know before run_start."""
    log.submission(workload.benchmark or workload.kind, ctx.case.target.name)
    log.event("cache_clear", False)  # No run of ours empties the operating system's caches.
    log.start("init_start", time_ms=started_ms)
    log.parameters(_parameters(workload, task, train_samples, ctx.seed))
    for use, text in zip(("train", "evaluation"), texts, strict=True):
        log.event("dataset", text.origin, use=use, sha256=text.sha256, characters=text.characters)
    log.end("init_stop")
    log.start("run_start")


def _parameters(
    workload: LlmFinetune, task: LlmFinetuneTask, train_samples: int, seed: int
) -> Mapping[str, object]:
    return {
        "seed": seed,
        "global_batch_size": task.samples_per_step,
        "gradient_accumulation_steps": workload.gradient_accumulation,
        "max_sequence_length": workload.sequence_length,
        "max_steps": workload.max_steps,
        "train_samples": train_samples,
        "eval_samples": workload.evaluation_sequences,
        "target_accuracy": workload.quality.target,
        "opt_name": "adamw",
        "opt_base_learning_rate": workload.learning_rate,
        "opt_end_learning_rate": 0.0 if workload.learning_rate_schedule == "cosine" else workload.learning_rate,
        "opt_learning_rate_decay_schedule": workload.learning_rate_schedule,
        "opt_learning_rate_warmup_steps": workload.warmup_steps,
        "opt_learning_rate_training_steps": workload.max_steps,
        "opt_adamw_beta_1": ADAM_BETAS[0],
        "opt_adamw_beta_2": ADAM_BETAS[1],
        "opt_adamw_epsilon": ADAM_EPSILON,
        "opt_adamw_weight_decay": workload.weight_decay,
        "opt_gradient_clip_norm": workload.gradient_clip_norm,
        "lora_rank": workload.lora.rank,
        "lora_alpha": workload.lora.alpha,
    }
