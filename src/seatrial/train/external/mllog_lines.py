"""MLPerf's `:::MLLOG` lines, one at a time, into readings."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any, BinaryIO

from seatrial.config.masking import masked
from seatrial.mllog import TOKEN, parse
from seatrial.train.external.lines import Line
from seatrial.train.external.readings import Evaluation, Readings
from seatrial.units import SECONDS_PER_MINUTE

WITH_EVALUATIONS = "run_start to the evaluation"
WITHOUT_EVALUATIONS = "run_start to the evaluation, without what lies between eval_start and eval_stop"


class MllogReader:
    """Takes the lines of one run in the order in which they were written.

    `copy` gets every line with the token, but for secrets: it is handed on with the record, maybe
    from a shell that no longer knows the variables of `environ`.
    """

    def __init__(
        self, readings: Readings, copy: BinaryIO | None = None, environ: Mapping[str, str] | None = None
    ) -> None:
        self._readings, self._copy, self._environ = readings, copy, environ or {}
        self._paused_ms = 0.0
        self._pause_began: float | None = None

    def take(self, line: Line, now: float) -> None:
        """One line. The lines have their own times, so that `now` does not matter."""
        readings = self._readings
        start = line.text.rfind(TOKEN)
        if start < 0:
            readings.unread += 1
            return
        content = _content(line.text[start + len(TOKEN) :])
        if self._copy is not None and (line.whole or content is not None):
            self._copy.write(self._without_secrets(line.text[start:]) + b"\n")
        if content is None:
            readings.broken += 1
            return
        readings.read += 1
        self._take(content["key"], content["time_ms"], content.get("value"), content["metadata"])

    def _without_secrets(self, text: bytes) -> bytes:
        plain, places = masked(text.decode("utf-8", "surrogateescape"), self._environ)
        return plain.encode("utf-8", "surrogateescape") if places else text

    def _take(self, key: str, time_ms: float, value: Any, metadata: dict[str, Any]) -> None:
        readings = self._readings
        if key == "submission_benchmark":
            readings.benchmark = str(value)
        elif key == "run_start" and readings.started_ms is None:
            readings.started_ms = time_ms
            readings.clock = WITH_EVALUATIONS
        elif key == "run_stop" and readings.stopped_ms is None:
            readings.stopped_ms = time_ms
            status = metadata.get("status")
            readings.status = None if status is None else str(status)
        elif key == "eval_start":
            self._pause_began = time_ms
        elif key == "eval_stop" and self._pause_began is not None:
            self._paused_ms += max(0.0, time_ms - self._pause_began)
            self._pause_began = None
            if readings.started_ms is not None:
                readings.clock = WITHOUT_EVALUATIONS
        elif key in ("eval_accuracy", "eval_error"):
            self._evaluation(time_ms, value, metadata)
        elif key == "tracked_stats" and isinstance(value, dict):
            self._speeds(value, metadata)
        elif key == "train_loss":
            self._loss(value, metadata)

    def _evaluation(self, time_ms: float, value: Any, metadata: dict[str, Any]) -> None:
        number = _number(value)
        if number is None:
            return
        metric = metadata.get("metric")
        evaluation = Evaluation(
            value=number,
            metric=None if metric is None else str(metric),
            step=_finite(metadata.get("step", metadata.get("step_num"))),
            samples=_finite(metadata.get("samples_count")),
            minutes=self._minutes(time_ms),
        )
        self._readings.evaluated(evaluation, _where(metadata))

    def _minutes(self, time_ms: float) -> float | None:
        """Since run_start, without evaluations as far as the log says when they were."""
        if self._readings.started_ms is None:
            return None
        end = time_ms if self._pause_began is None else min(time_ms, self._pause_began)
        return max(0.0, end - self._readings.started_ms - self._paused_ms) / 1000 / SECONDS_PER_MINUTE

    def _speeds(self, value: dict[str, Any], metadata: dict[str, Any]) -> None:
        speed = _finite(value.get("throughput"))
        if speed is not None:
            self._readings.sample_speeds.append(speed)
        if "train_loss" in value:
            self._loss(value["train_loss"], metadata)

    def _loss(self, value: Any, metadata: dict[str, Any]) -> None:
        number = _number(value)
        if number is not None:
            self._readings.loss(number, _where(metadata))


def _content(text: bytes) -> dict[str, Any] | None:
    """A line's content with `time_ms` as a number and `metadata` as a dict, or None where it is no log line."""
    try:
        content = parse(text)
    except ValueError:
        return None
    if not isinstance(content, dict) or not isinstance(content.get("key"), str):
        return None
    time_ms = _finite(content.get("time_ms"))
    if time_ms is None:
        return None
    metadata = content.get("metadata")
    return {
        "key": content["key"].strip(),
        "time_ms": time_ms,
        "value": content.get("value"),
        "metadata": metadata if isinstance(metadata, dict) else {},
    }


def _where(metadata: dict[str, Any]) -> str:
    for name in ("step", "step_num", "samples_count", "epoch_num"):
        if name in metadata:
            return f"at {name} {str(metadata[name])[:40]}"
    return "at a place that the log does not name"


def _number(value: Any) -> float | None:
    """A figure of the log, NaN and infinities included; None for anything else."""
    if isinstance(value, bool) or not isinstance(value, int | float):
        return None
    try:
        return float(value)
    except OverflowError:
        return None


def _finite(value: Any) -> float | None:
    number = _number(value)
    return number if number is not None and math.isfinite(number) else None
