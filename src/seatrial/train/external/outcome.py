"""What became of a command: how it ended, what it said, what was read of it -> a failure in words, or none."""

from __future__ import annotations

import os
from pathlib import Path

from seatrial.config.masking import masked
from seatrial.config.training.external import External
from seatrial.errors import MeasurementFailed
from seatrial.measure.failure import LONGEST_MESSAGE, OUT_OF_MEMORY
from seatrial.train.external.process import Ended, last_lines
from seatrial.train.external.readings import Readings

SEARCHED_BYTES = 64 << 10
"""How much of the end of what it said is looked through for a lack of memory: other ranks' words may come after."""
SHOWN_CHARACTERS = 1200
MEMORY_WORDS = (*OUT_OF_MEMORY, "outofmemoryerror", "memoryerror", "std::bad_alloc", "cannot allocate memory")


def check_ended(ended: Ended, output: Path) -> None:
    """Raise MeasurementFailed unless the command ended by itself with exit code 0."""
    if ended.code == 0:
        return
    said = last_lines(output, SEARCHED_BYTES).lower()
    kind = "out_of_memory" if any(words in said for words in MEMORY_WORDS) else "crashed"
    raise MeasurementFailed(kind, with_last_lines(f"the command {ended.in_words()}", output))


def with_last_lines(words: str, output: Path) -> str:
    """`words`, then the last lines of what the command said, within what a record's message holds.

    Without secrets, for it goes into logs too; what is shown is cut off only then: half a secret looks like none.
    """
    said, _ = masked(last_lines(output, SEARCHED_BYTES), os.environ)
    if not said:
        return f"{words}; it said nothing"
    if len(said) > SHOWN_CHARACTERS:
        said = said[-SHOWN_CHARACTERS:]
        said = said.partition("\n")[2] or said
    return f"{words}; its last lines (all in {output.name}):\n{said}"[:LONGEST_MESSAGE]


def check_readings(workload: External, readings: Readings) -> None:
    """Raise MeasurementFailed where what was read is no completed run.

    diverged: the last loss or quality is not finite; target_not_reached: the quality was not met, or run_stop says
    that the run did not succeed; cancelled: run_stop says so though the quality was met; wrong_result: the log is
    of another benchmark, or nothing in it was understood or measured.
    """
    if not readings.read:
        also = f", {readings.broken} of them not whole or not well formed" if readings.broken else ""
        raise MeasurementFailed(
            "wrong_result",
            f"no line was recognised: none of {readings.unread + readings.broken} lines of {workload.log} is a "
            f"{workload.format} line{also}",
        )
    if readings.not_finite:
        raise MeasurementFailed("diverged", readings.not_finite)
    named = readings.benchmark
    if workload.benchmark is not None and named is not None and named != workload.benchmark:
        raise MeasurementFailed("wrong_result", f"the log is of {named}, the workload of {workload.benchmark}")
    reached = readings.reached(workload)
    if readings.status not in (None, "success"):
        kind = "cancelled" if reached else "target_not_reached"
        met = ", though an evaluation meets the quality target" if reached else ""
        raise MeasurementFailed(kind, f"run_stop says {readings.status}, not success{met}")
    if workload.quality is not None and not reached:
        raise MeasurementFailed("target_not_reached", _missed(workload, readings))
    if not readings.measurements(workload):
        raise MeasurementFailed(
            "wrong_result", f"{readings.read} lines were recognised, but none of them holds a figure"
        )


def _missed(workload: External, readings: Readings) -> str:
    goal = workload.quality
    assert goal is not None
    best = readings.best(workload)
    if best is None:
        others = sorted({e.metric for e in readings.evaluations if e.metric})
        also = f" (it evaluates {', '.join(others)})" if others else ""
        return f"no evaluation of {goal.metric} was read{also}: the target of {goal.target:g} was not reached"
    where = "" if best.step is None else f" at step {best.step:g}"
    return f"{goal.metric} reached {best.value:.4g}{where}, not the target of {goal.target:g}"
