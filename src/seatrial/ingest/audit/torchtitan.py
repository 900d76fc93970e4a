"""torchtitan's log: a metrics line every few steps, and what it says of checkpoints.

    [rank0]:[titan] 2025-06-04 08:51:58,557 - root - INFO - step: 10  loss: 10.7069  memory: ...  mfu: 41.19%
    [rank0]:2025-04-01 00:25:59,616 - root - INFO - Finished saving the checkpoint (or staging ...)in 5.53 seconds.

Early versions write wps for tps and no [titan]. A step's time is the time between two metrics lines of one rank,
less the checkpoints between them, over the steps between them: a line's tps leaves the batch unsaid. Where a
validation or a restart lies between, that stretch is not timed.
"""

from __future__ import annotations

import datetime as dt
import re
from dataclasses import dataclass, field

from seatrial.ingest.audit.facts import Facts, Save, StepTime, TrainingLog
from seatrial.ingest.audit.lines import READ

_STAMP = re.compile(
    r"^(?:\d{1,9}: )?(?:\[[a-z_]*?(?P<rank>\d{1,6})\]:\s?)?(?:\[titan\]\s)?"
    r"(?P<time>\d{4}-\d\d-\d\d \d\d:\d\d:\d\d[,.]\d{3}) - \S{1,60} - [A-Z]{4,8} - (?P<text>.*)$",
    re.ASCII,
)
_METRICS = re.compile(
    r"^step:\s*(?P<step>\d{1,12})\b.*?\bloss:\s*\S+.*?\s(?:tps|wps):\s*[\d,.]+"
    r"(?:.*?\bmfu:\s*(?P<mfu>\d{1,3}(?:\.\d+)?)%)?",
    re.ASCII,
)
_VALIDATE = re.compile(r"^validate step:\s*\d", re.ASCII)
_SAVED = re.compile(
    r"^Finished saving the checkpoint(?: \(or staging if async is enabled\))? ?in (\d{1,9}\.\d+) seconds", re.ASCII
)
_BEGINS = re.compile(r"^Training starts at step (\d{1,12})", re.ASCII)
LONGEST_METRICS = 1000
"""Characters of a metrics line."""
_CLOCK = "%Y-%m-%d %H:%M:%S.%f"


@dataclass
class _Rank:
    """What one rank has printed so far."""

    steps: list[StepTime] = field(default_factory=list)
    saves: list[Save] = field(default_factory=list)
    mfu: list[float] = field(default_factory=list)
    lines: int = 0
    untimed: int = 0
    at: tuple[int, dt.datetime] | None = None
    saved: float = 0.0
    interrupted: bool = False
    stretch: int = 0


class TorchtitanReader:
    """Follows every rank that prints; the one that printed most stands for the training."""

    name = "torchtitan"

    def __init__(self) -> None:
        self._ranks: dict[int, _Rank] = {}

    def take(self, line: str) -> str | None:
        """READ, why a line is not read, or None for a line of something else."""
        stamped = _STAMP.match(line)
        if stamped is None:
            return None
        text = stamped["text"]
        if not (text.startswith(("step:", "validate step:")) or _SAVED.match(text) or _BEGINS.match(text)):
            return None
        try:
            time = dt.datetime.strptime(stamped["time"].replace(",", "."), _CLOCK)
        except ValueError:
            return "a time that is none"
        rank = self._ranks.setdefault(int(stamped["rank"] or 0), _Rank())
        if saved := _SAVED.match(text):
            return self._saved(rank, float(saved[1]))
        if _BEGINS.match(text) or _VALIDATE.match(text):
            rank.interrupted = True
            return READ
        metrics = _METRICS.match(text) if len(text) <= LONGEST_METRICS else None
        if metrics is None:
            return "a metrics line that is not whole"
        self._metrics(rank, int(metrics["step"]), time, metrics["mfu"])
        return READ

    def _saved(self, rank: _Rank, seconds: float) -> str:
        rank.saves.append(Save(seconds, rank.at[0] if rank.at else None, rank.stretch))
        rank.saved += seconds
        return READ

    def _metrics(self, rank: _Rank, step: int, time: dt.datetime, mfu: str | None) -> None:
        rank.lines += 1
        if rank.at is not None:
            rank.stretch += step < rank.at[0]
            count, seconds = step - rank.at[0], (time - rank.at[1]).total_seconds() - rank.saved
            if count > 0 and seconds > 0 and not rank.interrupted:
                rank.steps.append(StepTime(step, seconds / count, count, rank.stretch))
            else:
                rank.untimed += max(count, 0)
        rank.at, rank.saved, rank.interrupted = (step, time), 0.0, False
        if mfu is not None:
            rank.mfu.append(float(mfu) / 100)

    def facts(self) -> Facts:
        """The training, as the rank with most metrics lines tells it (of equals the lowest)."""
        if not self._ranks:
            return Facts()
        number, rank = max(self._ranks.items(), key=lambda item: (item[1].lines, -item[0]))
        notes = [f"{len(self._ranks)} ranks print; rank {number} is followed"] if len(self._ranks) > 1 else []
        if rank.untimed:
            notes.append(f"{rank.untimed} steps are not timed: a validation or a restart lies between their lines")
        return Facts(
            trainings=(
                TrainingLog(
                    self.name,
                    tuple(rank.steps),
                    tuple(rank.saves),
                    mfu=tuple(rank.mfu),
                    steps_done=rank.at[0] if rank.at else None,
                    notes=tuple(notes),
                ),
            )
        )
