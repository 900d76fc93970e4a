"""What an MLPerf log says before the training: who runs what, with which sizes and hyperparameters."""

from __future__ import annotations

from seatrial.config.training import Training
from seatrial.measure.context import RankContext
from seatrial.mllog import TrainingLog
from seatrial.train.learner import Learner

PRECISIONS = {"float32": "fp32", "bfloat16": "bfloat16"}
"""MLPerf's names."""
EVALUATED_AS = {"flux1": ("averaged_validation_loss",)}
"""Keys that the rules of a benchmark's open division want at every evaluation beside `eval_accuracy`."""


def evaluated_as(workload: Training) -> tuple[str, ...]:
    """The further keys under which a workload's log says its quality."""
    return EVALUATED_AS.get(workload.benchmark or "", ())


def declare(
    log: TrainingLog, ctx: RankContext, workload: Training, learner: Learner, started_ms: int, opened_ms: int | None
) -> None:
    """Set-up and start of the run, and everything that MLPerf wants to know of it.

    `started_ms` is when the set-up began, `opened_ms` when the data were first touched, where that has been: then
    MLPerf's clock started, although sizes that only the data tell are written down after it.
    """
    log.submission(workload.benchmark or workload.kind, ctx.case.target.name, workload.division)
    log.event("cache_clear", False)  # No run of ours empties the operating system's caches.
    opened_ms = TrainingLog.now() if opened_ms is None else opened_ms
    log.start("init_start", time_ms=started_ms)
    log.end("init_stop", time_ms=opened_ms)
    log.start("run_start", time_ms=opened_ms)
    log.parameters({"seed": ctx.seed, "config_filename": f"{ctx.case.case_id}.json"})
    log.parameters(parameters(workload, learner))
    for use, facts in ctx.facts.get("datasets", {}).items():
        log.event("dataset", facts["origin"], use=use, sha256=facts["sha256"])


def parameters(workload: Training, learner: Learner) -> dict[str, object]:
    """Sizes and hyperparameters by MLPerf's names."""
    cosine = workload.learning_rate_schedule == "cosine"
    return {
        "global_batch_size": learner.samples_per_step,
        "gradient_accumulation_steps": workload.gradient_accumulation,
        "max_steps": workload.max_steps,
        "train_samples": learner.objective.samples,
        "eval_samples": learner.objective.evaluation_samples,
        "target_accuracy": workload.quality.target,
        "opt_name": "adamw",
        "opt_base_learning_rate": workload.learning_rate,
        "opt_end_learning_rate": workload.learning_rate_end if cosine else workload.learning_rate,
        "opt_learning_rate_decay_schedule": "cosine with linear warmup" if cosine else "constant",
        # the warm-up first: the checker's rule for the decay looks back at it
        "opt_learning_rate_warmup_steps": workload.warmup_steps,
        "opt_learning_rate_decay_steps": workload.max_steps - workload.warmup_steps if cosine else 0,
        "opt_learning_rate_training_steps": workload.max_steps,
        "opt_adamw_beta_1": workload.adam_beta_1,
        "opt_adamw_beta_2": workload.adam_beta_2,
        "opt_adamw_epsilon": workload.adam_epsilon,
        "opt_adamw_weight_decay": workload.weight_decay,
        "opt_gradient_clip_norm": workload.gradient_clip_norm,
        # Products follow the workload's dtype; gradients, and so what ranks exchange, stay float32.
        "lowest_numerical_precision_in_linear": PRECISIONS[workload.dtype],
        "lowest_numerical_precision_in_attn": PRECISIONS[workload.dtype],
        "lowest_numerical_precision_in_comm": "fp32",
        "tensor_parallelism": workload.parallelism.tp,
        "pipeline_parallelism": 1,
        "context_parallelism": 1,
        "expert_parallelism": workload.parallelism.ep,
        "micro_batch_size": workload.batch_size,
        **learner.objective.log_parameters(),
    }
