"""NeMo's log: Lightning's progress, as lines (NeMo 2) or as a bar that overwrites itself (NeMo 1).

    Training epoch 0, iteration 3/99 | lr: 0.0001 | global_step: 3 | ... | train_step_timing in s: 7.123 | ...
    Epoch 0: :   3%|3 | 3/100 [00:20<10:52, v_num=, global_step=2.000, ..., train_step_timing in s=6.550]

The time is the step's own as NeMo's timer says it. Lightning says nothing of how long a checkpoint took.
"""

from __future__ import annotations

import re

from seatrial.ingest.audit.facts import Facts, StepTime, TrainingLog
from seatrial.ingest.audit.lines import READ

_TIME = re.compile(r"\btrain_step_timing in s\s?[:=]\s?(\d{1,9}(?:\.\d+)?)(?=\s|\]|,|\||$)", re.ASCII)
_STEP = re.compile(r"\bglobal_step\s?[:=]\s?(\d{1,12})(?:\.\d+)?(?=\s|\]|,|\||$)", re.ASCII)
_SAVE = re.compile(r"Saving (?:distributed )?checkpoint|Checkpoint save for step|Scheduled async checkpoint save")


class NemoReader:
    """Reads one training's log; a step that is printed again (every rank, every redraw of the bar) counts once."""

    name = "NeMo"

    def __init__(self) -> None:
        self._steps: dict[int, StepTime] = {}
        self._saves = 0

    def take(self, line: str) -> str | None:
        """READ, why a line is not read, or None for a line of something else."""
        time, step = _TIME.search(line), _STEP.search(line)
        if time is None:
            if self._steps and _SAVE.search(line):
                self._saves += 1
                return READ
            return None
        if step is None:
            return "a step's time without its number"
        if float(time[1]) > 0:
            self._steps.setdefault(int(step[1]), StepTime(int(step[1]), float(time[1])))
        return READ

    def facts(self) -> Facts:
        """The training, where there is one."""
        if not self._steps:
            return Facts()
        steps = tuple(self._steps[step] for step in sorted(self._steps))
        return Facts(
            trainings=(TrainingLog(self.name, steps, steps_done=steps[-1].step, unmeasured_saves=self._saves),)
        )
