"""Megatron-LM's log (and of what is built on it): iteration lines, timers, checkpoints.

     iteration        2/    1000 | consumed samples: ... | elapsed time per iteration (ms): 123896.3 | ...
    time (ms) | forward-compute: 28669.84 | forward-recv: 1499.16 | ...               (up to 2022)
    (min, max) time across ranks (ms):                                                (since then)
        forward-compute ................................: (97.12, 99.40)
    times across ranks (ms):                                                          (--timing-log-option all)
      forward-compute:
         rank  0: 12.34

Of (min, max) the longest computation and the shortest communication are taken: those of the rank that is last. The
timers wait for the device on both sides, so that they lie one after the other on the host: communication that
they show hides behind nothing. `forward-compute` holds the batch generator and the communication of tensor
parallelism; the first is taken off, the second cannot be told.
"""

from __future__ import annotations

import re
from collections.abc import Mapping

from seatrial.ingest.audit.facts import Doing, Facts, Save, StepParts, StepTime, TrainingLog
from seatrial.ingest.audit.lines import READ

_FIGURE = r"\d{1,12}\.\d{1,9}"
_RANK = r"^(?:\d{1,9}: )?(?:\[[a-z_]{0,20}\d{1,6}\]:)?"
"""What srun --label and torchrun --tee put in front."""
_PREFIX = _RANK + r"\s*(?:\[\d{4}-[^\]]{5,30}\]\s*)*(?:\[INFO\]\[[^\]]{1,60}\]\s*-?\s*)?"
_ITERATION = re.compile(_PREFIX + r"iteration[ =]\s*(\d{1,12})\s*/\s*\d{1,12} \|(.*)$", re.ASCII)
_ELAPSED = re.compile(
    r"elapsed[ _]time[ _]per[ _]iteration[ _](?:\(ms\)|ms)\s*[:=]\s*(\d{1,12}(?:\.\d+)?) \|", re.ASCII
)
_OLD = re.compile(_RANK + r"\s*time \(ms\) \|(.*)$", re.ASCII)
_TIMERS = re.compile(r"(?:^|\s|:)(\(min, max\) time|max time|times) across ranks \(ms\):\s*$")
_MIN_MAX = re.compile(
    _RANK + r"\s*([a-z][a-z0-9/-]{2,60}) \.*: ?(?:\((FIGURE), (FIGURE)\)|(FIGURE))\s*$".replace("FIGURE", _FIGURE),
    re.ASCII,
)
_ALL_NAME = re.compile(_RANK + r"\s*([a-z][a-z0-9/-]{2,60}):\s*$", re.ASCII)
_ALL_RANK = re.compile(_RANK + rf"\s*rank\s+(\d{{1,6}}): ({_FIGURE})\s*$", re.ASCII)
_PAIR = re.compile(r"^\s*([a-z][a-z0-9/-]{2,60}): (\d{1,12}(?:\.\d{1,9})?)\s*$", re.ASCII)
_SAVED = re.compile(r"successfully saved checkpoint (?:from|at) iteration\s+\d{1,12}\b", re.ASCII)
_COMMUNICATION = re.compile(r"recv|send|all-?reduce|grads-sync|all-gather|reduce-scatter|params-all")
COMPUTE = ("forward-compute", "backward-compute", "optimizer")
"""Whole timers; `optimizer-*` are parts of `optimizer`."""
DATA = "batch-generator"
NO_PART = frozenset({"save-checkpoint", "forward-backward"})
MS = 1e-3


class MegatronReader:
    """Reads one training's log."""

    name = "Megatron-LM"

    def __init__(self) -> None:
        self._steps: list[StepTime] = []
        self._saves: list[Save] = []
        self._parts: list[StepParts] = []
        self._saved_lines = 0
        self._stretch = 0
        self._timers: dict[str, tuple[float, float]] = {}
        self._by_rank: dict[str, dict[int, float]] = {}
        self._open: str | None = None
        """How the block of timers that is being read looks; it ends with the next iteration or block, since other
        ranks and programs print into it."""
        self._name = ""

    def take(self, line: str) -> str | None:
        """READ, why a line is not read, or None for a line of something else."""
        if self._open is not None and (answer := self._timer(line)) is not None:
            return answer
        if iteration := _ITERATION.match(line):
            self._close()
            return self._iteration(int(iteration[1]), iteration[2] + " ")
        if old := _OLD.match(line):
            self._close()
            return self._old_timers(old[1])
        if timers := _TIMERS.search(line):
            self._close()
            self._open = timers[1]
            return READ
        if _SAVED.search(line):
            self._saved_lines += 1
            return READ
        return None

    def _iteration(self, step: int, text: str) -> str:
        elapsed = _ELAPSED.search(text)
        if elapsed is None or float(elapsed[1]) <= 0:
            return "an iteration line without its time"
        last = self._steps[-1].step if self._steps else 0
        self._stretch += step < last
        # the mean of all iterations since the last line; after a restart that is not known, and it counts as one
        self._steps.append(
            StepTime(step, float(elapsed[1]) * MS, step - last if 0 <= last < step and last else 1, self._stretch)
        )
        return READ

    def _old_timers(self, text: str) -> str:
        found: dict[str, tuple[float, float]] = {}
        for cell in text.split("|"):
            pair = _PAIR.match(cell)
            if pair is None:
                return "a line of timers that is not whole"
            found[pair[1]] = (float(pair[2]) * MS, float(pair[2]) * MS)
        self._note(found, {})
        return READ

    def _timer(self, line: str) -> str | None:
        if self._open == "times":
            if name := _ALL_NAME.match(line):
                self._name = name[1]
                return READ
            if (rank := _ALL_RANK.match(line)) and self._name:
                self._by_rank.setdefault(self._name, {})[int(rank[1])] = float(rank[2]) * MS
                return READ
            return None
        found = _MIN_MAX.match(line)
        if found is None:
            return None
        low, high = (found[2], found[3]) if found[2] else (found[4], found[4])
        if float(low) > float(high):
            return "a timer whose least is above its most"
        self._timers[found[1]] = (float(low) * MS, float(high) * MS)
        return READ

    def _close(self) -> None:
        if self._open is not None:
            self._note(self._timers, self._by_rank)
        self._open, self._timers, self._by_rank, self._name = None, {}, {}, ""

    def _note(self, timers: Mapping[str, tuple[float, float]], by_rank: Mapping[str, Mapping[int, float]]) -> None:
        saving = timers.get("save-checkpoint") or _range(by_rank.get("save-checkpoint", {}))
        if saving:
            self._saves.append(Save(saving[1], self._steps[-1].step if self._steps else None, self._stretch))
        # of the rank that computes longest, which waits least: the two together are no longer than the iteration
        whole = {name: least if _communicates(name) else most for name, (least, most) in timers.items()}
        whole |= {name: sum(ranks.values()) / len(ranks) for name, ranks in by_rank.items() if ranks}
        parts = _parts(whole)
        if not parts:
            return
        own = _own_seconds(by_rank)
        spread = _range(own) or _spread(timers)
        data = by_rank.get(DATA, {})
        loading = {rank: min(data[rank], own[rank]) for rank in own} if own and own.keys() <= data.keys() else {}
        step = self._steps[-1].step if self._steps else None
        self._parts.append(StepParts(step, parts, own, loading, spread, self._stretch))

    def facts(self) -> Facts:
        """The training, where there is one."""
        self._close()
        if not (self._steps or self._saves or self._parts or self._saved_lines):
            return Facts()
        return Facts(
            trainings=(
                TrainingLog(
                    self.name,
                    tuple(self._steps),
                    tuple(self._saves),
                    tuple(self._parts),
                    steps_done=self._steps[-1].step if self._steps else None,
                    unmeasured_saves=max(0, self._saved_lines - len(self._saves)),
                ),
            )
        )


def _parts(seconds: Mapping[str, float]) -> dict[Doing, float]:
    """Seconds by what they were spent on; empty where computation was not timed by itself."""
    if not {"forward-compute", "backward-compute"} <= set(seconds):
        return {}
    data = seconds.get(DATA, 0.0)
    compute = sum(seconds[name] for name in COMPUTE if name in seconds) - data
    if compute <= 0:
        return {}
    found: dict[Doing, float] = {"compute": compute}
    communication = [value for name, value in seconds.items() if _communicates(name)]
    if communication:
        found["communication"] = sum(communication)
    if DATA in seconds:
        found["data_wait"] = data
    return found


def _communicates(name: str) -> bool:
    return bool(_COMMUNICATION.search(name)) and name not in NO_PART


def _own_seconds(by_rank: Mapping[str, Mapping[int, float]]) -> dict[int, float]:
    """Each rank's forward and backward computation."""
    forward, backward = by_rank.get("forward-compute", {}), by_rank.get("backward-compute", {})
    return {rank: forward[rank] + backward[rank] for rank in forward if rank in backward}


def _range(ranks: Mapping[int, float]) -> tuple[float, float] | None:
    return (min(ranks.values()), max(ranks.values())) if ranks else None


def _spread(timers: Mapping[str, tuple[float, float]]) -> tuple[float, float] | None:
    """Fastest and slowest rank's computation; None where only one figure is there."""
    found = [timers[name] for name in ("forward-compute", "backward-compute") if name in timers]
    if len(found) < 2 or all(low == high for low, high in found):
        return None
    return sum(low for low, _ in found), sum(high for _, high in found)
