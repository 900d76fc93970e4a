"""Run somebody else's training on the case's ranks, and read its log while it runs."""

from __future__ import annotations

import contextlib
import os
import shutil
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import BinaryIO

from seatrial.config.training.external import STANDARD_OUTPUT, External, filled_in
from seatrial.errors import MeasurementFailed
from seatrial.measure.context import RankContext
from seatrial.record import Measurement
from seatrial.train.external.lines import Source
from seatrial.train.external.mllog_lines import MllogReader
from seatrial.train.external.outcome import check_ended, check_readings, with_last_lines
from seatrial.train.external.process import Command, Ended
from seatrial.train.external.readings import Readings
from seatrial.train.external.tasks import Tasks, ranks_of
from seatrial.train.external.telemetry import Telemetry
from seatrial.train.external.torchtitan_lines import TorchtitanReader
from seatrial.units import SECONDS_PER_MINUTE

POLL_SECONDS = 0.2
LOCK_SECONDS = 10.0
"""How long one thread waits for another that reads the log."""
MOST_RESERVED_SECONDS = 90.0
"""Kept of the time limit for starting up, stopping the command and writing the record; at most a tenth of it."""


def run(ctx: RankContext) -> None:
    """Start the command where the workload wants it, read its lines on rank 0, and wait until all have ended.

    Measurements, quality and facts grow while it runs, so that they are kept however it ends. Raises
    MeasurementFailed: crashed or out_of_memory (a command did not end with exit code 0), timeout (it was stopped
    because the time limit is near), and what outcome.check_readings says of the readings.
    """
    workload = ctx.case.workload
    assert isinstance(workload, External)
    folder = ctx.beside("external")
    if ctx.rank == 0:
        # what an earlier attempt left is gone: no clock would count the time that it took
        shutil.rmtree(folder, ignore_errors=True)
        folder.mkdir(parents=True)
        for output in ctx.folder.glob(f"{ctx.repeat}.external.*.log"):
            output.unlink()
    tasks = Tasks(ctx, workload.launch)
    with contextlib.ExitStack() as stack:
        copy = None
        if ctx.rank == 0 and workload.format == "mllog":
            copy = stack.enter_context(ctx.beside("mllog").open("wb"))
        telemetry = Telemetry(ctx, workload.telemetry_interval_seconds, stack)
        watch = _Watch(ctx, workload, tasks, telemetry, copy)
        stack.enter_context(watch.refreshing())
        if tasks.place.starts:
            watch.command = stack.enter_context(watch.start())
        watch.until_all_have_ended()
        watch.gather_telemetry()
        watch.judge()
    tasks.leave()


class _Watch:
    """One task's view of its command (if it has one) and, on rank 0, of the log."""

    def __init__(
        self, ctx: RankContext, workload: External, tasks: Tasks, telemetry: Telemetry, copy: BinaryIO | None
    ) -> None:
        self._ctx, self._workload, self._tasks, self._copy = ctx, workload, tasks, copy
        self._folder = ctx.beside("external")
        self._telemetry = telemetry
        self._of_all_ranks: list[Measurement] | None = None
        self.command: Command | None = None
        self._readings = Readings()
        self._begun = time.monotonic()
        if workload.format == "mllog":
            self._reader: MllogReader | TorchtitanReader = MllogReader(self._readings, copy, os.environ)
        else:
            devices = workload.devices or ctx.case.target.accelerators or tasks.place.count
            self._reader = TorchtitanReader(self._readings, devices, self._begun)
        self._source = self._find_source()
        limit = workload.time_limit_minutes * SECONDS_PER_MINUTE
        self._deadline = self._begun + limit - min(MOST_RESERVED_SECONDS, limit / 10)
        self._ended: Ended | None = None
        self._waits_for_own = False
        self._reading = threading.Lock()

    def start(self) -> Command:
        """Start the command, its whole output beside the record."""
        environment = {"PYTHONUNBUFFERED": "1", **os.environ}
        given = self._values()
        environment |= {name: filled_in(text, given) for name, text in self._workload.environment.items()}
        place = self._tasks.place
        environment |= {
            "RANK": given["rank"],
            "LOCAL_RANK": given["local_rank"],
            "WORLD_SIZE": given["world_size"],
            "LOCAL_WORLD_SIZE": str(self._tasks.local_count()),
            "MASTER_ADDR": given["master_addr"],
            "MASTER_PORT": given["master_port"],
            "SEATRIAL_FOLDER": given["folder"],
            "SEATRIAL_SEED": given["seed"],
            "SEATRIAL_REPEAT": given["repeat"],
        }
        words = [filled_in(word, given) for word in self._workload.command]
        self._ctx.facts["external"] = {"command": words, "started_on_ranks": list(place.first_ranks)}
        directory = Path(filled_in(self._workload.working_directory or ".", given)).expanduser()
        self._waits_for_own = True
        return Command(words, environment, directory, self._output(self._ctx.rank))

    @contextlib.contextmanager
    def refreshing(self) -> Iterator[None]:
        """Let the session ask for what was read, from another thread too, where a peer's failure ends this rank."""
        self._ctx.refresh = lambda: self._read(at_end=True)
        try:
            yield
        finally:
            self._read(at_end=True)
            self._ctx.refresh = None

    def until_all_have_ended(self) -> None:
        """Watch until every command has ended well. Raises MeasurementFailed where this task's one has not."""
        while True:
            self._read()
            ended = self._look_after_command()
            if self._tasks.due():
                if ended and self._tasks.all_done():
                    break
                if self._tasks.asked_to_stop():
                    self._stop()
            self._heed_limits()
            time.sleep(POLL_SECONDS)

    def gather_telemetry(self) -> None:
        """Take up what all ranks have sampled. Collective."""
        self._of_all_ranks = self._telemetry.of_all_ranks(
            ranks_of(self._ctx), self._ctx.beside("telemetry.parquet")
        )

    def judge(self) -> None:
        """Read what is left and, on rank 0, raise MeasurementFailed where it is no completed run."""
        self._read(at_end=True)
        if self._ctx.rank == 0:
            check_readings(self._workload, self._readings)

    def _look_after_command(self) -> bool:
        """Whether this task waits for no command of its own any more. Raises MeasurementFailed where it failed."""
        if not self._waits_for_own:
            return True
        assert self.command is not None
        self._ended = self.command.ended()
        if self._ended is None:
            return False
        stopped = self.command.stopped or self._tasks.asked_to_stop()
        if self._ended.code != 0 and not stopped:
            self._read(at_end=True)
            check_ended(self._ended, self._output(self._ctx.rank))
        self._waits_for_own = False
        self._tasks.done()
        return True

    def _heed_limits(self) -> None:
        """Rank 0 stops all commands where enough was seen or time runs out; the others follow, or do so later."""
        late = 0.0 if self._ctx.rank == 0 else MOST_RESERVED_SECONDS / 6
        if time.monotonic() > self._deadline + late:
            self._tasks.ask_to_stop()
            self._stop()
            self._read(at_end=True)
            minutes = self._workload.time_limit_minutes
            words = f"the command was stopped after {(time.monotonic() - self._begun) / 60:.1f} minutes, near the "
            words += f"time limit of {minutes:g}"
            raise MeasurementFailed("timeout", with_last_lines(words, self._output(self._reading_rank)))
        if self._workload.stop_at_quality and self._readings.reached(self._workload):
            self._tasks.ask_to_stop()
            self._stop()

    def _stop(self) -> None:
        if self.command is not None:
            self._ended = self.command.stop()

    def _read(self, at_end: bool = False) -> None:
        """Rank 0: take the new lines, and keep what they say."""
        if self._ctx.rank != 0 or not self._reading.acquire(timeout=LOCK_SECONDS):
            return
        try:
            now, lines = time.monotonic(), 0
            for line in self._source.new_lines(at_end):
                self._reader.take(line, now)
                lines += 1
            if self._copy is not None:
                self._copy.flush()
            if lines or at_end:
                self._keep()
            if at_end:
                self._ctx.measurements += (
                    self._telemetry.measurements() if self._of_all_ranks is None else self._of_all_ranks
                )
        finally:
            self._reading.release()

    def _keep(self) -> None:
        """Put what was read so far where the record is written from."""
        readings = self._readings
        self._ctx.measurements[:] = readings.measurements(self._workload)
        self._ctx.quality = readings.quality(self._workload)
        self._ctx.facts["external"] = {
            **self._ctx.facts.get("external", {}),
            "format": self._workload.format,
            "benchmark_in_log": readings.benchmark,
            "clock": readings.clock,
            "lines_read": readings.read,
            "lines_broken": readings.broken,
            "lines_unread": readings.unread,
            "exit_status": None if self._ended is None else self._ended.code,
            "stopped": self.command is not None and self.command.stopped,
            "processes_left_behind": None if self._ended is None else self._ended.left,
        }

    def _find_source(self) -> Source:
        if self._workload.log == STANDARD_OUTPUT:
            return Source(self._ctx.folder, self._output(self._reading_rank).name)
        return Source(self._folder, self._workload.log)

    @property
    def _reading_rank(self) -> int:
        """The rank whose command says the lines."""
        return self._tasks.place.first_ranks[0 if self._workload.read_from == "first" else -1]

    def _output(self, rank: int) -> Path:
        return self._ctx.beside(f"external.{rank}.log")

    def _values(self) -> dict[str, str]:
        target, place = self._ctx.case.target, self._tasks.place
        return {
            "seed": str(self._ctx.seed),
            "repeat": str(self._ctx.repeat),
            "rank": str(place.number),
            "local_rank": str(place.local_number),
            "world_size": str(place.count),
            "nodes": str(target.nodes),
            "accelerators_per_node": str(target.accelerators_per_node),
            "master_addr": self._tasks.address,
            "master_port": str(self._tasks.port),
            "folder": str(self._folder.resolve()),
        }
