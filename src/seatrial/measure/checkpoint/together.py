"""Steps that all ranks take together: a rank that fails says so, and no other goes on without it."""

from __future__ import annotations

import errno
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from seatrial.errors import MeasurementFailed, SeatrialError
from seatrial.measure.checkpoint.folder import FORBIDDEN
from seatrial.measure.context import RankContext
from seatrial.measure.timing import wait_for_all

FULL = (errno.ENOSPC, errno.EDQUOT)


class Stopped(Exception):
    """Some rank failed and all of them know it; `problem` is this rank's own, if it has one."""

    def __init__(self, problem: SeatrialError | None) -> None:
        self.problem = problem
        super().__init__(str(problem))


def all_together(ctx: RankContext, folder: Path, step: Callable[..., Any], *given: Any) -> float:
    """Run `step` with what is `given` on every rank from a common start; the seconds it took on this one.

    Returns once all ranks are done. Raises Stopped on every rank where one of them met an error.
    """
    problem: SeatrialError | None = None
    wait_for_all(ctx)
    begin = time.perf_counter_ns()
    try:
        step(*given)
    except SeatrialError as met:
        problem = met
    except OSError as met:
        problem = in_words(folder, met)
    seconds = (time.perf_counter_ns() - begin) / 1e9
    if _any_rank(ctx, problem is not None):
        raise Stopped(problem)
    return seconds


def in_words(folder: Path, problem: OSError) -> MeasurementFailed:
    """What the system says of a file, as one clear error."""
    place = folder.parent
    if problem.errno in FULL:
        return MeasurementFailed("crashed", f"{place} is full: {problem.strerror}, in the middle of a checkpoint")
    if problem.errno in FORBIDDEN:
        return MeasurementFailed("crashed", f"{place} is not writable: {problem.strerror}")
    if problem.errno == errno.ENOENT:
        return MeasurementFailed(
            "crashed",
            f"{problem.filename or folder} is not there: the nodes do not share {place}, or somebody removed it",
        )
    return MeasurementFailed("crashed", f"{place}: {problem}")


def _any_rank(ctx: RankContext, failed: bool) -> bool:
    if ctx.world_size == 1:
        return failed
    import torch
    import torch.distributed as dist

    count = torch.tensor([float(failed)], device=ctx.device)
    dist.all_reduce(count)
    return bool(count.item())
