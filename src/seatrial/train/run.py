"""A training from its first to its last moment, whatever it trains."""

from __future__ import annotations

import contextlib
import dataclasses
from collections.abc import Callable

import torch

from seatrial.config.training import Training
from seatrial.errors import ConfigError, MeasurementFailed
from seatrial.measure.context import RankContext
from seatrial.mllog import TrainingLog
from seatrial.record import Measurement
from seatrial.train.checkpoint import Checkpoints
from seatrial.train.declared import declare
from seatrial.train.history import History
from seatrial.train.layout import Layout
from seatrial.train.learner import Learner, Objective
from seatrial.train.loop import Loop, Schedule
from seatrial.train.phases import Phases
from seatrial.train.ranks import Ranks
from seatrial.train.threads import at_most_threads

Build = Callable[[RankContext, Layout], Objective]


def train(ctx: RankContext, workload: Training, build: Build) -> None:
    """Train what `build` makes to its quality; measurements, quality and `<repeat>.mllog` on rank 0.

    `build` is called on every rank with random numbers that are the same on all of them. Raises MeasurementFailed:
    diverged, target_not_reached, wrong_result (see Loop.run); ConfigError where the ranks do not fit the
    parallelism; what was measured is kept.
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
    # What is drawn while training (dropout) differs between ranks with different data, and only between them.
    torch.manual_seed(ctx.seed * layout.data_size + layout.data_rank)

    history = History(workload.quality, tuple(workload.also), objective.tokens_per_sample)
    owner = {"case_id": ctx.case.case_id, "repeat": ctx.repeat, "seed": ctx.seed, "ranks": ranks.size}
    checkpoints = Checkpoints(ctx.beside("checkpoint"), owner, learner, workload.checkpoint_mode)
    resumed = checkpoints.restore(history)
    ctx.resumed = checkpoints.resumed
    log = TrainingLog(ctx.beside("mllog"), keep=checkpoints.log_length) if ranks.first else None
    with log or contextlib.nullcontext():
        checkpoints.log = log
        if log is not None and not resumed:
            declare(log, ctx, workload, learner, started)
        _run(ctx, workload, learner, history, log, checkpoints)


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
) -> None:  # fmt: skip
    """The loop, and what is kept of it however it ends."""
    layout = learner.layout
    schedule = Schedule(
        workload.max_steps,
        workload.evaluation_interval_steps,
        workload.checkpoint_interval_steps,
        workload.evaluation_start_step,
    )
    saver = checkpoints if workload.checkpoint_interval_steps else None
    own = _Own(learner)

    def refresh() -> None:
        ctx.measurements[:] = [*history.measurements(), *own.found]
        ctx.quality = history.quality()

    ctx.refresh = refresh
    loop = Loop(learner, schedule, layout.ranks, layout.phases, history, log, saver, own)
    ended = False
    try:
        loop.run()
        ended = True
    except MeasurementFailed:
        # It ended in words: doing it again from the checkpoint would end the same way.
        ended = True
        raise
    finally:
        refresh()
        if log is not None:
            success = history.reached and ended
            log.run_stop("success" if success else "aborted", history.samples, history.step, history.minutes)
        if ended:
            checkpoints.delete()


@dataclasses.dataclass
class _Own:
    """What the workload measures of itself, brought up to date at every pause."""

    learner: Learner
    found: list[Measurement] = dataclasses.field(default_factory=list)

    def training(self, history: History) -> None:
        """Nothing is to be done."""

    def paused(self, history: History) -> None:
        """All ranks call it: what is measured may have to be added up over them."""
        self.found = self.learner.objective.measurements()
