"""The ranks of a repeat as one of them sees the others: who takes part, and how all of them end together.

Rank 0 keeps a small store. Its key `end` is written once, by the first rank that knows how the repeat ends:
completed, a failure in words, or a peer that vanished. Every rank listens for it in a thread of its own, so
that also a rank that is blocked in a collective learns of it, acts and ends.
"""

from __future__ import annotations

import contextlib
import json
import logging
import os
import sys
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass
from datetime import timedelta
from typing import TYPE_CHECKING, Any, NoReturn

from seatrial.errors import EXIT_FAULT, EXIT_OK, SeatrialError
from seatrial.measure.failure import Failure, MissingRanks, in_words
from seatrial.measure.launch import Launch

if TYPE_CHECKING:
    from torch.distributed import Store

log = logging.getLogger(__name__)

GRACE = timedelta(seconds=5)
"""How long a rank that lost a peer waits for that peer's own words."""
LINGER_SECONDS = 5.0
"""How long rank 0 keeps the store up for ranks that have not yet heard the end."""
LISTEN = timedelta(days=1)
ENDING_SECONDS = 120.0
"""How long one thread of a rank may take to end the process before the other does."""


class Unreachable(SeatrialError):
    """The ranks of a repeat cannot meet; no record can say so, and the executor may try again."""

    exit_code = EXIT_FAULT


@dataclass(frozen=True)
class End:
    """How the repeat ended: completed (neither is set), with a rank's own words, or by losing a rank."""

    failure: Failure | None = None
    lost: str | None = None

    def to_json(self) -> str:
        return json.dumps({"failure": self.failure and self.failure.to_json(), "lost": self.lost})

    @classmethod
    def from_json(cls, text: str) -> End:
        content = json.loads(text)
        failure = content["failure"]
        return cls(Failure.from_json(failure) if failure else None, content["lost"])


class Peers:
    """The connection of one rank to the others. `on_failure` records a failure told in words (on rank 0)."""

    def __init__(
        self, launch: Launch, name: str, timeout: timedelta, on_failure: Callable[[Failure], None]
    ) -> None:
        import torch.distributed as dist

        self.launch, self.timeout, self._on_failure = launch, timeout, on_failure
        try:
            store = self._connect(is_master=launch.rank == 0)
            # A client that waits blocks every other use of its connection: the listener gets its own.
            listening = self._connect(is_master=False)
        except RuntimeError as problem:
            what = "listen on" if launch.rank == 0 else "reach rank 0 at"
            raise Unreachable(
                f"rank {launch.rank} cannot {what} {launch.address} port {launch.port} "
                f"(MASTER_ADDR, MASTER_PORT): {in_words(problem)}"
            ) from problem
        # The prefix keeps apart the ranks of another repeat that were led to this port by mistake.
        self.store: Store = dist.PrefixStore(name, store)
        self._ending = threading.Lock()
        self._listener = threading.Thread(
            target=self._listen, args=(dist.PrefixStore(name, listening),), name="end-of-repeat", daemon=True
        )
        self._listener.start()

    def _connect(self, is_master: bool) -> Store:
        import torch.distributed as dist

        place = self.launch
        return dist.TCPStore(
            place.address, place.port, place.world_size, is_master, self.timeout, wait_for_workers=False
        )

    def introduce(self, facts: dict[str, Any], reply: Callable[[list[dict[str, Any]]], Any]) -> Any:
        """Wait until every rank has said its `facts`; what rank 0 makes of them all (`reply`) is returned to each.

        Raises MissingRanks on rank 0, naming the ranks that did not come in time.
        """
        from torch.distributed import DistStoreError

        rank, size = self.launch.rank, self.launch.world_size
        self.store.set(f"rank/{rank}", json.dumps(facts))
        if rank != 0:
            # Rank 0 speaks first: it can name those that are missing.
            self.store.wait(["reply"], self.timeout + 3 * GRACE)
            return json.loads(self.store.get("reply"))
        keys = [f"rank/{r}" for r in range(size)]
        try:
            self.store.wait(keys, self.timeout)
        except DistStoreError as problem:
            missing = [str(r) for r, key in enumerate(keys) if not self.store.check([key])]
            raise MissingRanks(
                f"{len(missing)} of {size} ranks did not start within {self.timeout.total_seconds():g} s: "
                f"rank {', '.join(missing[:20])}",
            ) from problem
        answer = json.dumps(reply([json.loads(self.store.get(key)) for key in keys]))
        self.store.set("reply", answer)
        return json.loads(answer)

    def leave(self, failure: Failure, lost_peer: bool) -> NoReturn:
        """End this rank, and with it all others, because of `failure`; the first rank's words count.

        A rank whose peer vanished (`lost_peer`), or that waited in vain, gives the others time to say why. Ends
        the process: code 0 where somebody said why (rank 0 then wrote the record), else EXIT_FAULT.
        """
        end, rank = End(failure=failure), self.launch.rank
        try:
            if lost_peer or failure.kind == "timeout":
                told = self._heard(GRACE)
                if not told and lost_peer:
                    end = End(lost=f"rank {rank} lost a peer, which did not say why: {failure.message}")
            end = End.from_json(self.store.compare_set("end", "", end.to_json()).decode())
        except RuntimeError as problem:
            end = End(lost=f"rank 0 is gone ({in_words(problem)}); before that, on rank {rank}: {failure.message}")
        self._end_process(end, self.store)

    def finish(self, write: Callable[[], None]) -> None:
        """All is done on this rank: rank 0 waits for the others and writes the record, which they wait for.

        A rank that fails or vanishes instead ends the process as `leave` does.
        """
        try:
            self.store.add("finished", 1)
            if self.launch.rank == 0:
                self._await_finished()
                end = End.from_json(self.store.compare_set("end", "", End().to_json()).decode())
                if end != End():
                    self._end_process(end, self.store)
                write()
            self._listener.join(self.timeout.total_seconds())
        except RuntimeError as problem:
            self._end_process(End(lost=f"rank 0 is gone: {in_words(problem)}"), self.store)
        if self._listener.is_alive():
            self._end_process(End(lost="rank 0 did not end the repeat in time"), self.store)
        self._say_goodbye(self.store)

    def _await_finished(self) -> None:
        size = self.launch.world_size
        deadline = time.monotonic() + self.timeout.total_seconds()
        while (finished := self.store.add("finished", 0)) < size:
            if time.monotonic() > deadline:
                words = f"only {finished} of {size} ranks finished within {self.timeout.total_seconds():g} s"
                self.leave(Failure("failed", "timeout", words, None), lost_peer=False)
            time.sleep(0.01)

    def _heard(self, within: timedelta) -> bool:
        deadline = time.monotonic() + within.total_seconds()
        while not self.store.check(["end"]):
            if time.monotonic() > deadline:
                return False
            time.sleep(0.05)
        return True

    def _listen(self, store: Store) -> None:
        from torch.distributed import DistStoreError

        while True:
            try:
                store.wait(["end"], LISTEN)
                end = End.from_json(store.get("end").decode())
                break
            except DistStoreError:
                continue
            except RuntimeError as problem:
                end = End(lost=f"rank 0 is gone: {in_words(problem)}")
                break
        if end != End():
            self._end_process(end, store)

    def _end_process(self, end: End, store: Store) -> NoReturn:
        """End at once, also where the main thread is blocked in a collective that will never return."""
        if not self._ending.acquire(blocking=False):
            time.sleep(ENDING_SECONDS)  # the other thread ends the process
            os._exit(EXIT_FAULT)
        code = EXIT_FAULT
        try:
            if end.failure is not None:
                self._on_failure(end.failure)
                code = EXIT_OK
            else:
                log.error("rank %d ends without a record: %s", self.launch.rank, end.lost)
        except (OSError, ValueError, TypeError):
            log.exception("the record could not be written")
        finally:
            self._say_goodbye(store)
            sys.stdout.flush()
            sys.stderr.flush()
            os._exit(code)

    def _say_goodbye(self, store: Store) -> None:
        """Rank 0 keeps its store up until the others have heard the end, or LINGER_SECONDS at most."""
        with contextlib.suppress(RuntimeError):
            if self.launch.rank != 0:
                store.add("left", 1)
                return
            deadline = time.monotonic() + LINGER_SECONDS
            while store.add("left", 0) < self.launch.world_size - 1 and time.monotonic() < deadline:
                time.sleep(0.02)
