"""A training from its first to its last moment, whatever it trains."""

from __future__ import annotations

import contextlib
import dataclasses
import logging
from collections.abc import Callable

import torch

from seatrial.config.training import Training
from seatrial.errors import ConfigError, MeasurementFailed
from seatrial.measure.context import RankContext
from seatrial.mllog import TrainingLog
from seatrial.train.beside import Beside, Telemetry, plan_profile
from seatrial.train.checkpoint import CheckpointFailed, Checkpoints
from seatrial.train.declared import declare, evaluated_as
from seatrial.train.history import History
from seatrial.train.layout import Layout
from seatrial.train.learner import Learner, Objective
from seatrial.train.loop import Loop, Schedule
from seatrial.train.notice import StopNotice, end_by, limit_is_final
from seatrial.train.phases import Phases
from seatrial.train.ranks import Ranks
from seatrial.train.results import Results
from seatrial.train.sharding import hidden_waits
from seatrial.train.threads import at_most_threads

logger = logging.getLogger(__name__)

Build = Callable[[RankContext, Layout], Objective]


def train(ctx: RankContext, workload: Training, build: Build) -> None:
    """Train what `build` makes to its quality; measurements, quality and `<repeat>.mllog` on rank 0.

    `build` is called on every rank with random numbers that are the same on all of them; it calls
    `layout.opens_data` before it reads any, so that MLPerf's clock starts there. Raises MeasurementFailed:
    diverged, target_not_reached, wrong_result (see Loop.run; also a global batch of more than the training
    samples); ConfigError where the ranks do not fit the parallelism; what was measured is kept. Told to end by a
    signal, it saves a checkpoint and ends the process by that signal; at a time limit after which the job is not
    submitted again it raises MeasurementFailed (timeout).
    """
    with at_most_threads(workload.cpu_threads):
        _train(ctx, workload, build)


def _train(ctx: RankContext, workload: Training, build: Build) -> None:
    ranks = Ranks(ctx.rank, ctx.world_size, ctx.device)
    started = TrainingLog.now()
    layout = _layout(ranks, workload)
    torch.manual_seed(ctx.seed)
    objective = build(ctx, layout)
    learner = Learner(workload, objective, layout, ctx.seed)
    _refuse_repetition(learner)
    # What is drawn while training (dropout) differs between ranks with different data, and only between them.
    torch.manual_seed(ctx.seed * layout.data_size + layout.data_rank)

    history = History(workload.quality, tuple(workload.also), objective.tokens_per_sample)
    if (reason := hidden_waits(layout)) is not None:
        history.waits_hidden = True
        ctx.facts["step_time"] = reason
    owner = {"case_id": ctx.case.case_id, "repeat": ctx.repeat, "seed": ctx.seed, "ranks": ranks.size}
    checkpoints = Checkpoints(ctx.beside("checkpoint"), owner, learner, workload.checkpoint_mode)
    resumed = checkpoints.restore(history)
    ctx.resumed = checkpoints.resumed
    log = TrainingLog(ctx.beside("mllog"), keep=checkpoints.log_length) if ranks.first else None
    with log or contextlib.nullcontext():
        checkpoints.log = log
        if log is not None:
            log.also_evaluated_as = evaluated_as(workload)
            if not resumed:
                declare(log, ctx, workload, learner, started, layout.data_opened_ms)
        told = _run(ctx, workload, learner, history, log, checkpoints)
    if told:
        end_by(told, ranks.first)


def _refuse_repetition(learner: Learner) -> None:
    """A step that goes over a sample twice is no step of a larger batch. All ranks know the same of it."""
    batch, samples = learner.samples_per_step, learner.objective.samples
    if batch > samples:
        raise MeasurementFailed(
            "wrong_result", f"the global batch of {batch} is more than the {samples} training samples there are"
        )


def _layout(ranks: Ranks, workload: Training) -> Layout:
    try:
        return Layout(ranks, workload.parallelism, Phases(ranks.device))
    except ValueError as problem:
        raise ConfigError(
            str(problem),
            key="workload.parallelism",
            value=workload.parallelism.model_dump(),
            allowed=f"sizes whose product is {ranks.size}",
        ) from problem


def _run(
    ctx: RankContext, workload: Training, learner: Learner, history: History, log: TrainingLog | None,
    checkpoints: Checkpoints,
) -> int:  # fmt: skip
    """The loop, and what is kept of it however it ends. The signal that told the run to end, or 0."""
    ranks, phases = learner.layout.ranks, learner.layout.phases
    schedule = _schedule(workload, ctx.device.type)
    telemetry = Telemetry(ctx, workload.telemetry_interval_seconds)
    _carry_on(telemetry, checkpoints)
    beside = Beside(learner, telemetry, schedule.profiled)
    results = Results(ctx, workload, learner.objective.flops_per_sample(), history, log, telemetry, beside)
    ctx.refresh = results.refresh
    saver = checkpoints if workload.checkpoint_interval_steps else None
    with StopNotice() as notice:
        loop = Loop(learner, schedule, ranks, phases, history, log, saver, beside, notice)
        try:
            loop.run()
        finally:
            if loop.agreed or not loop.told:
                # Where one rank failed by itself the others may be gone: they cannot be asked for anything.
                results.conclude(ranks if loop.agreed else None)
            if loop.agreed:
                # Doing it again from the checkpoint would end the same way.
                checkpoints.delete()
                # Who leaves first, ends all: nobody before everybody has brought what it has.
                ranks.barrier()
        if loop.agreed:
            return 0
        _save_last(checkpoints, history)
        if limit_is_final(loop.told):
            results.conclude(ranks)
            raise MeasurementFailed(
                "timeout",
                f"the job's time limit came at step {history.step}, before the target was met, and it is not "
                "submitted again: its checkpoint is kept, and rerun=failed goes on from there",
            )
    return loop.told


def _schedule(workload: Training, device: str) -> Schedule:
    schedule = Schedule(
        workload.max_steps,
        workload.evaluation_interval_steps,
        workload.checkpoint_interval_steps,
        workload.evaluation_start_step,
    )
    return dataclasses.replace(schedule, profiled=plan_profile(workload, device, schedule.next_pause(0)))


def _carry_on(telemetry: Telemetry, checkpoints: Checkpoints) -> None:
    """Each rank counts on from its own totals in the checkpoint, and leaves them there again."""
    ranks = checkpoints.ranks
    if (totals := checkpoints.extra.get("telemetry")) is not None:
        telemetry.restore(totals[ranks.rank])
    checkpoints.collect_extra = lambda: {"telemetry": ranks.gathered(telemetry.totals())}


def _save_last(checkpoints: Checkpoints, history: History) -> None:
    """Before the process ends because it was told to; where that fails, an earlier checkpoint has to do."""
    try:
        checkpoints.save(history)
        checkpoints.finish()
    except CheckpointFailed as problem:
        logger.warning("%s", problem)
    checkpoints.ranks.barrier()
