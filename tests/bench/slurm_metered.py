"""Snakemake with a meter on its executor: `python slurm_metered.py PLUGIN METER.json SNAKEMAKE-OPTIONS`.

The meter adds up the CPU seconds of every thread while it is within the executor (submitting jobs, looking at
them), all those of the threads that it starts there, and those of all processes that the executor started: with
jobs on a cluster, the scheduler's client commands, also those that its package starts when it is imported.
Snakemake imports every executor that is installed, and the stock one asks Slurm then: that is not counted as
another's.
"""

from __future__ import annotations

import importlib
import json
import resource
import sys
import threading
import time
from collections.abc import AsyncGenerator, Callable
from functools import partial
from pathlib import Path
from typing import Any

SUBMITTING = ("run_jobs", "run_job", "run_array_jobs")
LOOKING = "check_active_jobs"


class Meter:
    """CPU seconds by what they were spent on; what a method calls of the same executor is counted once."""

    def __init__(self) -> None:
        self.spent = {"submitting": 0.0, "looking": 0.0}
        self._guard = threading.Lock()
        self._within = threading.local()
        self._alive: dict[threading.Thread, tuple[str, int]] = {}

    def add(self, what: str, work: Callable[[], Any]) -> Any:
        """Do `work`, and add what this thread spends on it."""
        if getattr(self._within, "yes", False):
            return work()
        self._within.yes, self._within.what, began = True, what, time.thread_time()
        try:
            return work()
        finally:
            self._within.yes = False
            with self._guard:
                self.spent[what] += time.thread_time() - began

    def start(self, thread: threading.Thread, started: Callable[[threading.Thread], None]) -> None:
        """Start a thread: one that is started within a metered section is metered whole, as what that is."""
        what = getattr(self._within, "what", None)
        if what is not None and getattr(self._within, "yes", False):
            run = thread.run

            def metered() -> None:
                clock = time.pthread_getcpuclockid(threading.get_ident())
                with self._guard:
                    self._alive[thread] = (what, clock)
                self._within.yes = True  # what it calls of the executor is not counted twice
                try:
                    run()
                finally:
                    with self._guard:
                        self.spent[what] += time.thread_time()
                        del self._alive[thread]

            thread.run = metered  # type: ignore[method-assign]
        started(thread)

    def read(self) -> dict[str, float]:
        """What was spent, with what threads that still live have spent."""
        with self._guard:
            spent = dict(self.spent)
            for what, clock in self._alive.values():
                spent[what] += time.clock_gettime(clock)
        return spent

    def submitting(self, method: Callable[..., Any]) -> Callable[..., Any]:
        return lambda *words, **named: self.add("submitting", lambda: method(*words, **named))

    def looking(self, method: Callable[..., AsyncGenerator[Any, None]]) -> Callable[..., AsyncGenerator[Any, None]]:
        async def metered(*words: Any, **named: Any) -> AsyncGenerator[Any, None]:
            found = method(*words, **named)
            while True:
                step = _Stepwise(found.__anext__(), lambda work: self.add("looking", work))
                try:
                    yield await step
                except StopAsyncIteration:
                    return

        return metered


class _Stepwise:
    """An awaitable whose every step is metered, and nothing while it waits."""

    def __init__(self, awaited: Any, metered: Callable[[Callable[[], Any]], Any]) -> None:
        self._steps, self._metered = awaited.__await__(), metered

    def __await__(self) -> Any:
        value = None
        while True:
            try:
                waiting = self._metered(partial(self._steps.send, value))
            except StopIteration as end:
                return end.value
            value = yield waiting


def main() -> int:
    plugin, file, options = sys.argv[1], Path(sys.argv[2]), sys.argv[3:]
    executor, meter = importlib.import_module(plugin).Executor, Meter()
    by_import, made = _of_children(), executor.__post_init__
    before: list[float] = []

    def post_init(*words: Any, **named: Any) -> Any:
        before.append(_of_children())
        return meter.add("submitting", lambda: made(*words, **named))

    executor.__post_init__ = post_init
    start = threading.Thread.start
    threading.Thread.start = lambda thread: meter.start(thread, start)  # type: ignore[assignment, method-assign]
    for name in SUBMITTING:
        if name in vars(executor):
            setattr(executor, name, meter.submitting(vars(executor)[name]))
    setattr(executor, LOOKING, meter.looking(vars(executor)[LOOKING]))
    from snakemake.cli import main as snakemake

    try:
        snakemake(options)
    except SystemExit as end:
        code = end.code
    clients = by_import + _of_children() - before[0]
    file.write_text(json.dumps({**meter.read(), "clients": clients}))
    return int(code or 0)


def _of_children() -> float:
    spent = resource.getrusage(resource.RUSAGE_CHILDREN)
    return spent.ru_utime + spent.ru_stime


if __name__ == "__main__":
    sys.exit(main())
