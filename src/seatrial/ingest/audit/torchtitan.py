"""torchtitan's log: a metrics line every few steps, and what it says of checkpoints.

    [rank0]:[titan] 2025-06-04 08:51:58,557 - root - INFO - step: 10  loss: 10.7069  memory: ...  mfu: 41.19%
    [rank0]:2025-04-01 00:25:59,616 - root - INFO - Finished saving the checkpoint (or staging ...)in 5.53 seconds.

Early versions write wps for tps and no [titan]. A step's time is the time between two metrics lines of one rank,
less the checkpoints between them, over the steps between them: a line's tps leaves the batch unsaid. But seconds
times tps are a step's tokens, the same in all lines: a line in which they are far from the others' has a clock that
was set in between, and is not timed. Nor is it where a validation or a restart lies between.
"""

from __future__ import annotations

import datetime as dt
import re
from dataclasses import dataclass, field
from statistics import median

from seatrial.ingest.audit.facts import Facts, Save, StepTime, TrainingLog
from seatrial.ingest.audit.lines import READ

_STAMP = re.compile(
    r"^(?:\d{1,9}: )?(?:\[[a-z_]*?(?P<rank>\d{1,6})\]:\s?)?(?:\[titan\]\s)?"
    r"(?P<time>\d{4}-\d\d-\d\d \d\d:\d\d:\d\d[,.]\d{3}) - \S{1,60} - [A-Z]{4,8} - (?P<text>.*)$",
    re.ASCII,
)
_METRICS = re.compile(
    r"^step:\s*(?P<step>\d{1,12})\b.*?\bloss:\s*\S+.*?\s(?:tps|wps):\s*(?P<tps>[\d,.]+)"
    r"(?:.*?\bmfu:\s*(?P<mfu>\d{1,3}(?:\.\d+)?)%)?",
    re.ASCII,
)
_VALIDATE = re.compile(r"^validate step:\s*\d", re.ASCII)
_SAVED = re.compile(
    r"^Finished saving the checkpoint(?: \(or staging if async is enabled\))? ?in (\d{1,9}\.\d+) seconds", re.ASCII
)
_BEGINS = re.compile(r"^Training starts at step (\d{1,12})", re.ASCII)
CONTRADICTS = 0.25
"""Of a step's tokens: how far those of a line may lie from the usual ones before its clock is not believed."""
FEWEST_TOKENS = 3
"""Lines from which on the usual tokens of a step are known."""
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
    tokens: list[tuple[float, float] | None] = field(default_factory=list)
    """Of each timed line the tokens of a step by its tps, without and with the checkpoints before it."""
    untimed: int = 0
    set_back: int = 0
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
        self._metrics(rank, int(metrics["step"]), time, metrics["mfu"], metrics["tps"])
        return READ

    def _saved(self, rank: _Rank, seconds: float) -> str:
        rank.saves.append(Save(seconds, rank.at[0] if rank.at else None, rank.stretch))
        rank.saved += seconds
        return READ

    def _metrics(self, rank: _Rank, step: int, time: dt.datetime, mfu: str | None, tps: str) -> None:
        rank.lines += 1
        if rank.at is not None:
            rank.stretch += step < rank.at[0]
            count, seconds = step - rank.at[0], (time - rank.at[1]).total_seconds() - rank.saved
            if count > 0 and seconds > 0 and not rank.interrupted:
                rank.steps.append(StepTime(step, seconds / count, count, rank.stretch))
                rank.tokens.append(_tokens(tps, seconds / count, rank.saved / count))
            elif count > 0 and not rank.interrupted:
                rank.set_back += count
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
        steps, contradicting = _believed(rank)
        notes = [f"{len(self._ranks)} ranks print; rank {number} is followed"] if len(self._ranks) > 1 else []
        if rank.untimed:
            notes.append(f"{rank.untimed} steps are not timed: a validation or a restart lies between their lines")
        if contradicting:
            notes.append(f"{contradicting} steps are not timed: the clock and the tokens per second contradict")
        return Facts(
            trainings=(
                TrainingLog(
                    self.name,
                    steps,
                    tuple(rank.saves),
                    mfu=tuple(rank.mfu),
                    steps_done=rank.at[0] if rank.at else None,
                    notes=tuple(notes),
                ),
            )
        )


def _tokens(tps: str, seconds: float, saved: float) -> tuple[float, float] | None:
    """A step's tokens by a line's tps and the clock; None where tps has too few digits to tell."""
    try:
        rate = float(tps.replace(",", ""))
    except ValueError:
        return None
    return (rate * seconds, rate * (seconds + saved)) if rate >= 1 / CONTRADICTS else None


def _believed(rank: _Rank) -> tuple[tuple[StepTime, ...], int]:
    """The steps whose clock does not contradict their tps, and how many steps are left out."""
    known = [one[0] for one in rank.tokens if one is not None]
    if len(known) < FEWEST_TOKENS:
        return tuple(rank.steps), rank.set_back
    usual = median(known)
    kept = [
        step
        for step, tokens in zip(rank.steps, rank.tokens, strict=True)
        if tokens is None or any(abs(one / usual - 1) <= CONTRADICTS for one in tokens)
    ]
    left = sum(step.count for step in rank.steps) - sum(step.count for step in kept)
    return tuple(kept), left + rank.set_back
