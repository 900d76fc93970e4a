"""MLPerf logs: the one module that writes and reads `:::MLLOG` lines.

Two clocks meet here. MLPerf's runs from `run_start` to `run_stop` and includes evaluations (and, after a
restart, the time lost); Seatrial's training clock stops around evaluation and checkpointing. Both are
kept: the first as the two lines' `time_ms`, the second as `training_minutes` in the metadata of
`eval_accuracy` and `run_stop`.
"""

from __future__ import annotations

import json
import logging
import re
import time
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from types import TracebackType
from typing import Any, BinaryIO, Literal, Self

from pydantic_core import from_json

from seatrial.errors import UnreadableFile

TOKEN = b":::MLLOG "
EVENT_TYPES = ("POINT_IN_TIME", "INTERVAL_START", "INTERVAL_END")
BLOCK_BYTES = 1 << 20
LONGEST_LINE_BYTES = 16 << 20
"""A longer line is cut there, and so cannot be parsed: memory stays bounded whatever a file holds."""

MOST_DIGITS = 300
"""A whole number of more is none that can be reckoned with."""
_LONG_NUMBER = re.compile(rb"\d{%d}" % MOST_DIGITS)


@dataclass(frozen=True)
class LogLine:
    """One parsed line; `time_ms` is milliseconds since 1970."""

    number: int
    """1-based line number in the file."""
    time_ms: float
    event_type: str
    key: str
    value: Any
    metadata: Mapping[str, Any] = field(default_factory=dict)
    namespace: str = ""


@dataclass(frozen=True)
class BrokenLine:
    """A line that carries the token but cannot be parsed: truncated, or not what the format says."""

    number: int
    text: str
    problem: str


def scan(stream: BinaryIO) -> Iterator[tuple[int, bytes]]:
    """The JSON text of every line with the token, with its 1-based line number; one pass, bounded memory.

    As MLCommons' own parser: lines end with LF, CRLF or CR, the text begins after the line's last token.
    """
    first, rest, cut = 1, b"", False
    while block := stream.read(BLOCK_BYTES):
        if block.endswith(b"\r"):
            block += stream.read(1)
        if b"\r" in block:
            block = block.replace(b"\r\n", b"\n").replace(b"\r", b"\n")
        lines = (rest + block).split(b"\n")
        rest = lines.pop()
        if cut and lines:
            # the remainder of a line whose beginning was given already
            lines[0], cut = b"", False
        for number, line in enumerate(lines, start=first):
            start = line.rfind(TOKEN)
            if start >= 0:
                yield number, line[start + len(TOKEN) :]
        first += len(lines)
        if len(rest) > LONGEST_LINE_BYTES:
            start = rest.rfind(TOKEN)
            if start >= 0 and not cut:
                yield first, rest[start + len(TOKEN) :]
            rest, cut = b"", True
    start = -1 if cut else rest.rfind(TOKEN)
    if start >= 0:
        yield first, rest[start + len(TOKEN) :]


def parse(text: bytes) -> Any:
    """The content of one scanned text. Raises ValueError where it is not JSON.

    Published logs hold latin-1 bytes, and Python's JSON accepts more than the fast parser: what the latter refuses
    is tried again as MLCommons' parser does it.
    """
    if len(text) > MOST_DIGITS and _LONG_NUMBER.search(text):
        raise ValueError("a number that no figure is")
    try:
        return from_json(text)
    except ValueError:
        try:
            return json.loads(text.decode("latin-1").strip())
        except RecursionError:
            raise ValueError("nested too deeply") from None


def read_lines(path: Path) -> Iterator[LogLine | BrokenLine]:
    """Every line with the token, in file order; other text and prefixes before the token are skipped.

    Raises UnreadableFile where the file cannot be opened.
    """
    try:
        with path.open("rb") as stream:
            for number, text in scan(stream):
                yield _line(number, text)
    except OSError as problem:
        raise UnreadableFile(path, problem.strerror or str(problem)) from problem


def _line(number: int, raw: bytes) -> LogLine | BrokenLine:
    text = raw.decode("latin-1").strip()
    try:
        content = parse(raw)
    except ValueError as problem:
        return BrokenLine(number, text, f"not JSON: {problem}")
    if not isinstance(content, dict):
        return BrokenLine(number, text, "not a JSON object")
    missing = [name for name in ("time_ms", "event_type", "key") if name not in content]
    if missing:
        return BrokenLine(number, text, f"without {', '.join(missing)}")
    try:
        time_ms = float(content["time_ms"])
    except (TypeError, ValueError, OverflowError):
        return BrokenLine(number, text, f"time_ms is {content['time_ms']!r}")
    if content["event_type"] not in EVENT_TYPES or not isinstance(content["key"], str):
        return BrokenLine(number, text, f"event_type {content['event_type']!r} or key {content['key']!r}")
    metadata = content.get("metadata")
    return LogLine(
        number=number,
        time_ms=time_ms,
        event_type=content["event_type"],
        key=content["key"].strip(),
        value=content.get("value"),
        metadata=metadata if isinstance(metadata, dict) else {},
        namespace=str(content.get("namespace") or ""),
    )


class TrainingLog:
    """The MLPerf log of one training, written line by line on rank 0.

    A training that is taken up from a checkpoint passes the log's length at that checkpoint as `keep`:
    lines after it belong to work that is done again and are cut off.
    """

    def __init__(self, path: Path, keep: int = 0) -> None:
        from mlperf_logging.mllog.mllog import MLLogger

        path.parent.mkdir(parents=True, exist_ok=True)
        with path.open("ab") as file:
            file.truncate(keep)
        self.path = path
        self.also_evaluated_as: tuple[str, ...] = ()
        """Further keys under which an evaluation's quality is said."""
        self._handler = logging.FileHandler(path, mode="a", encoding="utf-8")
        # A logger of its own, not from logging.getLogger: two logs of one process must not share handlers.
        logger = logging.Logger(f"seatrial.mllog.{path}", logging.INFO)
        logger.addHandler(self._handler)
        self._mllogger = MLLogger(logger=logger, default_stack_offset=2)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def close(self) -> None:
        self._handler.close()

    @property
    def length(self) -> int:
        """Bytes written so far."""
        return self.path.stat().st_size

    def event(self, key: str, value: object = None, **metadata: object) -> None:
        """A point in time."""
        self._mllogger.event(key, value, metadata=metadata or None)

    def start(self, key: str, value: object = None, time_ms: int | None = None, **metadata: object) -> None:
        """The start of an interval, now or at `time_ms`."""
        self._mllogger.start(key, value, metadata=metadata or None, time_ms=time_ms)

    @staticmethod
    def now() -> int:
        """The time as the log writes it: milliseconds since 1970."""
        return time.time_ns() // 1_000_000

    def end(self, key: str, value: object = None, time_ms: int | None = None, **metadata: object) -> None:
        """The end of an interval, now or at `time_ms`."""
        self._mllogger.end(key, value, metadata=metadata or None, time_ms=time_ms)

    def submission(self, benchmark: str, platform: str, division: Literal["closed", "open"] = "open") -> None:
        """Who ran what. MLPerf knows the divisions closed and open only; no run of ours is a submission."""
        self.event("submission_benchmark", benchmark)
        self.event("submission_org", "unverified")
        self.event("submission_division", division)
        self.event("submission_status", "unverified: not an MLPerf result")
        self.event("submission_platform", platform)

    def parameters(self, values: Mapping[str, object]) -> None:
        """Hyperparameters and sizes, one line each."""
        for key, value in values.items():
            self.event(key, value)

    def block_start(self, samples: int, step: int) -> None:
        """Training goes on, `samples` sequences seen."""
        self.start("block_start", samples_count=samples, step=step)

    def block_stop(self, samples: int, step: int, tracked: Mapping[str, float]) -> None:
        """Training pauses; `tracked` are the speeds of the block that ends (`tracked_stats`)."""
        self.event("tracked_stats", dict(tracked), samples_count=samples, step=step)
        self.end("block_stop", samples_count=samples, step=step)

    def evaluation_start(self, samples: int, step: int) -> None:
        self.start("eval_start", samples_count=samples, step=step)

    def evaluation_stop(self, value: float, samples: int, step: int, training_minutes: float) -> None:
        """The quality after `samples` sequences; MLPerf calls it accuracy also where it is a loss."""
        for key in ("eval_accuracy", *self.also_evaluated_as):
            self.event(key, value, samples_count=samples, step=step, training_minutes=training_minutes)
        self.end("eval_stop", samples_count=samples, step=step)

    def run_stop(
        self, status: Literal["success", "aborted"], samples: int, step: int, training_minutes: float
    ) -> None:
        """The end of MLPerf's clock, with the training clock beside it."""
        self.end("run_stop", status=status, samples_count=samples, step=step, training_minutes=training_minutes)

    def run_minutes(self) -> float:
        """From run_start to run_stop as written: MLPerf's clock, which counts evaluations, and pauses of a run that
        was taken up again."""
        times = {line.key: line.time_ms for line in read_lines(self.path) if isinstance(line, LogLine)}
        return (times["run_stop"] - times["run_start"]) / 60_000
