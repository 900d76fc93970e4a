"""torchtitan's metrics lines into readings.

Their form (torchtitan/components/metrics.py, unchanged in its parts since 2024; early versions say wps for tps and
have no grad_norm or tflops), with colours or without, after the logger's and torchrun's prefixes:
`step: 10  loss:  8.02770  grad_norm:  1.4604  memory:  1.21GiB(0.86%)  tps: 5,756  tflops: 0.41  mfu: 0.04%`
`validate step: 10  loss:  7.9131  memory:  1.21GiB(0.86%)  tps: 12,001`
tps counts the tokens of one device. A pipeline stage that computes no loss prints -1 (or less). A figure that is
absent, `N/A` or not finite is not measured. tflops and mfu are torchtitan's own, by its formula and its peaks.
"""

from __future__ import annotations

import math
import re

from seatrial.train.external.lines import Line
from seatrial.train.external.readings import Evaluation, Readings
from seatrial.units import SECONDS_PER_MINUTE

SINCE_TRAINING_STARTS = "'Training starts at step' to the evaluation, evaluations included"
SINCE_THE_COMMAND = "start of the command to the evaluation, its set-up and evaluations included"
LONGEST_BYTES = 4096
"""Metrics lines are shorter; longer ones are not looked through."""
_COLOURS = re.compile(r"\x1b\[[0-9;]*m")
_RANK = re.compile(r"^\s*\[[a-z_]+(\d+)\]:", re.ASCII)
_STARTS = re.compile(r"\bTraining starts at step (\d{1,15})\b", re.ASCII)
_NUMBER = r"[-+]?(?:nan|inf|\d[\d,]*(?:\.\d+)?(?:e[-+]?\d+)?)"
_METRICS = re.compile(
    rf"\b(?P<kind>validate step|step):\s*(?P<step>\d{{1,15}})\s+loss:\s*(?P<loss>{_NUMBER})\s"
    rf"(?:.*?\s)?(?:tps|wps):\s*(?P<speed>{_NUMBER})(?=\s|$)",
    re.ASCII | re.IGNORECASE,
)

_STATED = {
    "external.grad_norm": re.compile(rf"\sgrad_norm:\s*({_NUMBER})(?=\s|$)", re.ASCII | re.IGNORECASE),
    "external.memory": re.compile(rf"\smemory:\s*({_NUMBER})GiB", re.ASCII | re.IGNORECASE),
    "external.tflops": re.compile(rf"\stflops:\s*({_NUMBER})(?=\s|$)", re.ASCII | re.IGNORECASE),
    "external.mfu": re.compile(rf"\smfu:\s*({_NUMBER})%", re.ASCII | re.IGNORECASE),
}
"""What else a training's line states, by metric."""
_PERCENT = 100


class TorchtitanReader:
    """Takes lines in the order in which they were written; every step counts once, however many ranks print it.

    `devices`: how many devices train. `started`: when the command was started, in seconds of the clock of `now`.
    """

    def __init__(self, readings: Readings, devices: int, started: float) -> None:
        self._readings, self._devices, self._started = readings, devices, started
        self._resumed = False
        self._told_start = False
        self._rank: int | None = None
        self._last = {"step": -1, "validate step": -1}
        readings.clock = SINCE_THE_COMMAND

    def take(self, line: Line, now: float) -> None:
        """One line, read at `now`. A line that was cut off is not taken: its last figure may lack digits."""
        known = line.text if len(line.text) <= LONGEST_BYTES else b""
        text = _COLOURS.sub("", known.decode("utf-8", errors="replace"))
        if not line.whole:
            self._count(broken=_METRICS.search(text) is not None)
            return
        if starts := _STARTS.search(text):
            self._readings.read += 1
            self._begin(int(starts.group(1)), now)
            return
        found = _METRICS.search(text)
        if found is None:
            self._count(broken=False)
            return
        self._readings.read += 1
        rank = _RANK.match(text)
        number = int(rank.group(1)[:9]) if rank else 0
        if self._rank is None:
            self._rank = number
        kind, step = found["kind"].lower(), int(found["step"])
        if number == self._rank and step > self._last[kind]:
            self._last[kind] = step
            self._figures(kind, step, _figure(found["loss"]), _figure(found["speed"]), now)
            if kind == "step":
                self._note_stated(text[found.start() :])

    def _count(self, broken: bool) -> None:
        if broken:
            self._readings.broken += 1
        else:
            self._readings.unread += 1

    def _begin(self, step: int, now: float) -> None:
        """The training begins, or goes on from a checkpoint: then the time before it is not known."""
        if self._told_start:
            return
        self._told_start = True
        self._started = now
        self._resumed = step > 1
        self._readings.clock = (
            f"none: the command took up a training of its own at step {step}"
            if self._resumed
            else SINCE_TRAINING_STARTS
        )

    def _figures(self, kind: str, step: int, loss: float, speed: float, now: float) -> None:
        where = f"at step {step}"
        if kind == "validate step":
            minutes = None if self._resumed else max(0.0, now - self._started) / SECONDS_PER_MINUTE
            evaluation = Evaluation(value=loss, metric="evaluation_loss", step=step, minutes=minutes)
            self._readings.evaluated(evaluation, where)
            return
        if not loss < 0:
            self._readings.loss(loss, where)
        tokens = speed * self._devices
        if math.isfinite(tokens) and tokens > 0:
            self._readings.token_speeds.append(tokens)

    def _note_stated(self, text: str) -> None:
        """Keep the command's other figures of a step, those that are there."""
        for metric, form in _STATED.items():
            if stated := form.search(text):
                value = _figure(stated[1]) / (_PERCENT if metric == "external.mfu" else 1)
                if math.isfinite(value) and value >= 0:
                    self._readings.stated[metric].append(value)


def _figure(text: str) -> float:
    return float(text.replace(",", ""))
