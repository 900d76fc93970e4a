"""Jobs that Slurm does not take yet: they wait here, and a thread of its own tries again.

Whoever hands jobs in goes on after some seconds, and at once where others wait already, so that Snakemake's
scheduler stays free for Ctrl-C and for jobs that end. A try costs few calls of sbatch: sizes are halved until one
is taken, and grow again from there.
"""

import threading
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

from .jobs import Prepared
from .submission import Request

_FIRST_PAUSE = 5.0  # seconds between two tries, doubled while nothing is taken and no job ends
_LONGEST_PAUSE = 300.0
_LONGEST_WAIT = 10.0  # of who hands jobs in: sbatch itself tries for two minutes where MaxJobCount is reached
_REMIND_SECONDS = 3600.0
_INTERRUPT_SECONDS = 0.5

Submit = Callable[[Request, Sequence[Prepared], Sequence[str]], str | None]
"""Submits jobs as one batch and follows them; Slurm's words where it takes no more now, and nothing of it."""


@dataclass
class Held:
    """Jobs that ask for the same, with their commands, in order; `size`: how many are tried as one batch."""

    request: Request
    members: list[Prepared]
    commands: list[str]
    size: int = field(init=False)

    def __post_init__(self) -> None:
        self.size = len(self.members)

    @property
    def limited_as(self) -> tuple[object, ...]:
        """What limits of submitted jobs go by: where these jobs are refused, others of the same are too."""
        options = dict(self.request.options)
        return self.request.account, self.request.partition, options.get("qos"), options.get("reservation")


class Backlog:
    """Batches that are to be submitted, in the order they came."""

    def __init__(
        self,
        submit: Submit,
        give_up: Callable[[Sequence[Prepared], str], None],
        any_live: Callable[[], bool],
        blocked_hours: float,
        tell: Callable[[str], None],
        own_thread: bool = False,
        why_none: Callable[[], str | None] = lambda: None,
        largest: Callable[[int], int] = lambda wanted: wanted,
    ) -> None:
        """`give_up` is called with jobs that Slurm refused for `blocked_hours` (0: never), and why.

        That time counts only while no job of this run is in the queue (`any_live`): they may be what fills it.
        `own_thread`: the first try too is the thread's, so that who hands jobs in waits for seconds at most.
        `why_none`: why what is held is not to be submitted any more, but given up; None where it is.
        `largest`: how many of so many jobs may be one batch.
        """
        self._submit = submit
        self._give_up = give_up
        self._any_live = any_live
        self._hours = blocked_hours
        self._tell = tell
        self._own_thread = own_thread
        self._why_none = why_none
        self._largest = largest
        self._held: list[Held] = []
        self._guard = threading.Lock()  # of what is held, and of the thread
        self._submitting = threading.Lock()
        self._thread: threading.Thread | None = None
        self._wake = threading.Event()
        self._tried = threading.Event()  # whether the thread has made its first try
        self._stopped = False
        self._failure: BaseException | None = None  # what the thread ended with
        self._refused: dict[tuple[object, ...], str] = {}  # at the last try, with Slurm's words
        self._told = float("-inf")
        self._refused_since: float | None = None

    def add(self, request: Request, members: Sequence[Prepared], commands: Sequence[str]) -> None:
        """Submit jobs in as few batches as may be, or as many of them as Slurm takes now and the rest later."""
        held = Held(request, list(members), list(commands))
        with self._guard:
            self._held.append(held)
            if self._thread is not None:
                if held.limited_as not in self._refused:
                    self._wake.set()
                return
            thread = self._start(tries_first=True) if self._own_thread else None
        if thread is not None:
            due = time.monotonic() + _LONGEST_WAIT
            while not self._tried.wait(0.2) and thread.is_alive() and time.monotonic() < due:
                pass
            return
        self._fill()
        with self._guard:
            if self._held and not self._stopped:
                self._start(tries_first=False)

    def _start(self, tries_first: bool) -> threading.Thread:
        self._tried.clear()
        self._thread = threading.Thread(target=self._run, args=(tries_first,), name="backlog", daemon=True)
        self._thread.start()
        return self._thread

    @property
    def stopped(self) -> bool:
        """Whether nothing more is to be submitted."""
        return self._stopped

    def look(self, ended: bool) -> None:
        """To be called at every look at jobs: where some `ended`, Slurm may take others."""
        if self._thread is None or self._stopped:
            return
        if self._failure is not None:  # that it is not alive says nothing: it may just start, or be done
            raise RuntimeError(f"the thread that submits jobs has failed: {self._failure!r}") from self._failure
        if ended or self._why_none() is not None:
            self._wake.set()

    def stop(self, seconds: float, interrupt: Callable[[], None] = lambda: None) -> bool:
        """Submit no more: `interrupt` a submission that is under way, and wait so long for it; whether it is over.

        It is interrupted again and again: it may not have come to its call of sbatch yet.
        """
        self._stopped = True
        self._wake.set()
        due = time.monotonic() + seconds
        while True:
            interrupt()
            if self._submitting.acquire(timeout=max(0.0, min(_INTERRUPT_SECONDS, due - time.monotonic()))):
                self._submitting.release()
                return True
            if time.monotonic() >= due:
                return False

    def _run(self, tries_first: bool) -> None:
        try:
            self._submit_until_done(tries_first)
        except BaseException as error:  # `look` tells Snakemake
            self._failure = error
            raise

    def _submit_until_done(self, tries_first: bool) -> None:
        if tries_first:
            self._fill()
            done = self._is_done()
            self._tried.set()
            if done:
                return
        pause = _FIRST_PAUSE
        while not self._stopped:
            began = time.monotonic()
            if self._wake.wait(pause):
                self._wake.clear()
                pause = _FIRST_PAUSE
                while not self._stopped and time.monotonic() - began < pause:
                    time.sleep(0.2)
            pause = _FIRST_PAUSE if self._fill() else min(2 * pause, _LONGEST_PAUSE)
            if self._is_done():
                return

    def _is_done(self) -> bool:
        with self._guard:
            if not self._held:
                self._thread = None
            return not self._held

    def _fill(self) -> bool:
        """Submit until Slurm takes no more, or nothing is to be submitted any more; whether it took anything."""
        took = False
        self._give_up_all()
        refused: dict[tuple[object, ...], str] = {}
        with self._submitting:
            with self._guard:
                waiting = list(self._held)
            for held in waiting:
                if held.limited_as not in refused:
                    before = len(held.members)
                    words = self._submit_from(held)
                    took |= len(held.members) < before
                    if words is not None:
                        refused[held.limited_as] = words
            with self._guard:
                self._held = [held for held in self._held if held.members]
                self._refused = refused
            if refused and not self._stopped:
                self._say_and_give_up(refused, took)
        return took

    def _submit_from(self, held: Held) -> str | None:
        """Submit what is held, from its front; Slurm's words where it does not take even one more."""
        grows = True
        while held.members and not self._stopped and self._why_none() is None:
            count = self._largest(min(held.size, len(held.members)))
            words = self._submit(held.request, held.members[:count], held.commands[:count])
            if words is None:
                del held.members[:count], held.commands[:count]
                held.size = 2 * count if grows else count
            elif count == 1:
                held.size = 1
                return words
            else:
                grows, held.size = False, count // 2
        return None

    def _give_up_all(self) -> None:
        """Give up what is held, where nothing is to be submitted any more."""
        if self._stopped or (why := self._why_none()) is None:
            return
        with self._guard:
            left, self._held = self._held, []
        for held in left:
            self._give_up(held.members, why)

    def _say_and_give_up(self, refused: dict[tuple[object, ...], str], took: bool) -> None:
        current = time.monotonic()
        words = "; ".join(dict.fromkeys(refused.values()))
        with self._guard:
            count = sum(len(held.members) for held in self._held)
        if current - self._told >= _REMIND_SECONDS:
            self._told = current
            self._tell(f"{count} job(s) wait here and are submitted as jobs end: {words}")
        if took or self._any_live():
            self._refused_since = None
        elif self._refused_since is None:
            self._refused_since = current
        elif 0 < self._hours * 3600 <= current - self._refused_since:
            with self._guard:
                left = [held for held in self._held if held.limited_as in refused]
                self._held = [held for held in self._held if held.limited_as not in refused]
            why = f"Slurm has taken no job for {self._hours:g} hours (--submitit-blocked-hours)"
            for held in left:
                self._give_up(held.members, f"{why}: {refused[held.limited_as]}")
