"""Hugging Face Trainer: trainer_state.json, and the dicts and bars that a run prints.

    {'loss': 2.3026, 'grad_norm': 0.71, 'learning_rate': 5e-05, 'epoch': 1.0}
    {'train_runtime': 12.34, 'train_samples_per_second': 51.9, 'train_steps_per_second': 6.48, 'epoch': 3.0}
     12%|#2        | 12/100 [00:14<01:42,  1.17s/it]

From version 5 on the printed figures are text ('loss': '2.303'). Neither says how long one step took: the time of
all, evaluations and checkpoints included, is over the steps; without it, what the last bar says.
"""

from __future__ import annotations

import ast
import re
from typing import Any

from seatrial.ingest.audit.facts import Facts, TrainingLog
from seatrial.ingest.audit.lines import READ

KNOWN = frozenset({"loss", "train_runtime", "train_loss", "eval_loss", "eval_runtime", "learning_rate"})
_DICT = re.compile(r"(\{'[A-Za-z_]\w{0,60}': [^{}]{1,2000}\})\s*$")
_NOT_FINITE = re.compile(r"(?<=: )(nan|-?inf)\b")
_BAR = re.compile(
    r"^\s*\d{1,3}%\|[^|]{0,60}\|\s*(\d{1,12})/(\d{1,12}) \[(?:(\d{1,5}):)?(\d{1,2}):(\d\d)<", re.ASCII
)
_SAVE = re.compile(
    r"\b(?:Saving model checkpoint to|Model weights saved in) (\S{0,4000}checkpoint-\d{1,12})\b", re.ASCII
)
NAME = "Hugging Face Trainer"
MOST_SECONDS = 1e12


class TrainerReader:
    """Reads what one run prints."""

    name = NAME

    def __init__(self) -> None:
        self._seconds: float | None = None
        self._rate: float | None = None
        self._bar: tuple[int, int, float] | None = None
        self._saves: set[str] = set()
        self._dicts = 0

    def take(self, line: str) -> str | None:
        """READ, why a line is not read, or None for a line of something else."""
        if found := _DICT.search(line):
            return self._dict(found[1])
        if bar := _BAR.search(line):
            seconds = int(bar[3] or 0) * 3600 + int(bar[4]) * 60 + int(bar[5])
            done, total = int(bar[1]), int(bar[2])
            if self._bar is None or total > self._bar[1] or (total == self._bar[1] and done >= self._bar[0]):
                self._bar = (done, total, float(seconds))
            return READ
        if save := _SAVE.search(line):
            self._saves.add(save[1])
            return READ
        return None

    def _dict(self, text: str) -> str | None:
        try:
            said = ast.literal_eval(_NOT_FINITE.sub(r"'\1'", text))
        except (ValueError, SyntaxError, MemoryError, RecursionError):
            return None
        if not isinstance(said, dict) or not KNOWN & set(said):
            return None
        self._dicts += 1
        self._seconds = positive(said.get("train_runtime")) or self._seconds
        self._rate = positive(said.get("train_steps_per_second")) or self._rate
        return READ

    def facts(self) -> Facts:
        """The run, where it printed a dict; a bar alone may be of anything."""
        if not self._dicts:
            return Facts()
        seconds, notes = self._seconds, []
        steps = self._bar[1] if self._bar else None
        if seconds is None and self._bar and self._bar[0] and self._bar[2]:
            steps, seconds = self._bar[0], self._bar[2]
            notes.append(f"it does not say that it ended: the last bar stands at {steps} of {self._bar[1]} steps")
        elif seconds is not None and steps is None and self._rate is not None:
            steps = round(seconds * self._rate)
            notes.append("its number of steps is its steps per second, which is rounded, times its seconds")
        return Facts(
            trainings=(
                TrainingLog(
                    NAME, seconds=seconds, steps_done=steps, unmeasured_saves=len(self._saves), notes=tuple(notes)
                ),
            )
        )


def read_state(document: dict[str, Any]) -> tuple[Facts, int, int] | None:
    """The facts of a trainer_state.json, how many of its entries were read and how many not; None: it is none."""
    history = document.get("log_history")
    if not isinstance(history, list) or "global_step" not in document:
        return None
    entries = [entry for entry in history if isinstance(entry, dict) and "step" in entry]
    seconds = [found for entry in entries if (found := positive(entry.get("train_runtime"))) is not None]
    step = document["global_step"]
    training = TrainingLog(
        NAME,
        seconds=seconds[-1] if seconds else None,
        steps_done=step if isinstance(step, int) and not isinstance(step, bool) and step > 0 else None,
        notes=() if seconds else ("a state saved before the end of the training: it states no time",),
    )
    return Facts(trainings=(training,)), len(entries), len(history) - len(entries)


def positive(value: Any) -> float | None:
    """A figure that can be a time or a rate, also where it is given as text; None for anything else."""
    if isinstance(value, bool) or not isinstance(value, int | float | str):
        return None
    try:
        number = float(value)
    except (ValueError, OverflowError):
        return None
    return number if 0 < number < MOST_SECONDS else None
