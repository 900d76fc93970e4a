"""Reading many logs, in this process or in several."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from concurrent.futures import Future, ProcessPoolExecutor
from dataclasses import dataclass
from multiprocessing import get_context
from pathlib import Path, PurePosixPath
from types import TracebackType
from typing import BinaryIO, Self

from seatrial.ingest.mlperf.log import read_log
from seatrial.ingest.mlperf.result import Run, Unread
from seatrial.ingest.mlperf.rules import rule_book, ruleset_of

PORTION_BYTES = 1 << 20
"""Logs go to the processes in portions of about this size."""
STEP_KEYS = {"v3.1": "step_num"}
"""Where the place of an evaluation of stable_diffusion is not called samples_count (rcp_checker)."""


@dataclass(frozen=True, slots=True)
class Task:
    """A log on disk that is to be read."""

    folder: PurePosixPath
    name: str
    file: str
    shown: str
    size: int
    round: str
    detail: bool


Outcome = tuple[PurePosixPath, str, Run | Unread]
"""Folder and name of a log, and what became of it."""


def read_run(stream: BinaryIO, shown: str, round_: str, detail: bool) -> Run:
    """Read one log by the rules of its round."""
    return read_log(
        stream, shown, rule_book(ruleset_of(round_)), STEP_KEYS.get(round_, "samples_count"), detail=detail
    )


class LogReaders:
    """Reads logs while more are being found: in portions, by `workers` processes, or here where that is one."""

    def __init__(self, workers: int) -> None:
        self._workers = workers
        self._portion: list[Task] = []
        self._size = 0
        self._done: list[Outcome] = []
        self._pool: ProcessPoolExecutor | None = None
        self._futures: list[Future[list[Outcome]]] = []

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._pool is not None:
            self._pool.shutdown(cancel_futures=True)

    def add(self, task: Task) -> None:
        """Read this log, now or soon."""
        self._portion.append(task)
        self._size += task.size
        if self._size >= PORTION_BYTES:
            self._send(last=False)

    def outcomes(self) -> Iterator[Outcome]:
        """What became of every log; waits for them."""
        self._send(last=True)
        yield from self._done
        for future in self._futures:
            yield from future.result()

    def _send(self, last: bool) -> None:
        portion, self._portion, self._size = self._portion, [], 0
        if self._workers <= 1 or (last and self._pool is None):
            self._done += _read_portion(portion)
            return
        if self._pool is None:
            # a fork shares what is imported and compiled already; elsewhere than on Linux it is not safe
            rule_book(ruleset_of(portion[0].round))
            context = get_context("fork" if sys.platform == "linux" else "spawn")
            self._pool = ProcessPoolExecutor(self._workers, mp_context=context)
        self._futures.append(self._pool.submit(_read_portion, portion))


def _read_portion(portion: list[Task]) -> list[Outcome]:
    return [(task.folder, task.name, _read(task)) for task in portion]


def _read(task: Task) -> Run | Unread:
    try:
        with Path(task.file).open("rb", buffering=0) as stream:
            return read_run(stream, task.shown, task.round, task.detail)
    except OSError as problem:
        return Unread(task.shown, problem.strerror or str(problem))
