"""One repeat of a case on this rank: set up, work, and a record whatever the outcome."""

from __future__ import annotations

import datetime as dt
import logging
import os
import sys
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from seatrial.case import Case
from seatrial.config.probe import AcrossRanks, Collective, Probe
from seatrial.config.training import External, Training
from seatrial.errors import SeatrialError
from seatrial.measure.collective.choice import settle_implementation
from seatrial.measure.context import RankContext
from seatrial.measure.device import (
    assign_threads,
    check_devices_differ,
    pick_device,
    rank_facts,
    seed_everything,
)
from seatrial.measure.failure import Failure, failure_of, in_words, is_lost_peer
from seatrial.measure.launch import Launch, check_world_size, host_name, read_launch
from seatrial.measure.peers import Peers
from seatrial.record import Error, Record
from seatrial.telemetry.provenance import provenance, version_facts

log = logging.getLogger(__name__)

DEFAULT_TIMEOUT = dt.timedelta(minutes=10)
"""How long a rank waits for its peers where the workload does not say."""

Work = Callable[[RankContext], None]


def run_repeat(
    case: Case, repeat: int, record: Path, work: Work, *, prepared: Sequence[Path] = ()
) -> Record | None:
    """Run `work` for one repeat (0-based) of `case` on this rank; rank 0 writes `record` and returns it.

    Call it on every rank that the launcher starts (see `launch.read_launch`); the other ranks return None.
    The target's environment is set for the whole process before torch is imported. A failure that a rank can
    put into words becomes the record. On several ranks it also ends the process here, on every rank: with 0
    once the record is written, with EXIT_FAULT where a rank vanished without a word (no record then).
    Raises ConfigError before anything starts where the launch does not fit the case, and Unreachable where
    the ranks cannot meet.
    """
    launch = read_launch(os.environ)
    check_world_size(launch, case.target)
    log_to_stderr(launch.rank)
    os.environ.update(case.target.environment)
    session = _Session(case, repeat, record, launch, prepared)
    log.info("case %s repeat %d: %s on %d rank(s)", case.case_id, repeat, case.workload.kind, launch.world_size)
    if launch.world_size == 1:
        return session.run_alone(work)
    return session.run_among_peers(work)


def log_to_stderr(rank: int) -> None:
    """Send seatrial's log to standard error, naming the rank: all of rank 0, warnings of the others."""
    logger = logging.getLogger("seatrial")
    if not logger.handlers:
        handler = logging.StreamHandler(sys.stderr)
        handler.setFormatter(logging.Formatter(f"%(asctime)s rank {rank} %(levelname)s %(message)s"))
        logger.addHandler(handler)
    logger.setLevel(logging.INFO if rank == 0 else logging.WARNING)


@dataclass
class _Session:
    """What a rank needs to know to run a repeat and to write its record at any moment."""

    case: Case
    repeat: int
    path: Path
    launch: Launch
    prepared: Sequence[Path]
    started_at: str = field(default_factory=lambda: _now())
    ctx: RankContext | None = None
    provenance: dict[str, Any] | None = None
    devices: list[str] = field(default_factory=list)

    def run_alone(self, work: Work) -> Record:
        def step() -> None:
            self._perform(work, self._set_up(lambda facts, reply: reply([facts])))

        problem = _attempt(step)
        return self._write(None if problem is None else failure_of(problem, 0))

    def run_among_peers(self, work: Work) -> Record | None:
        import torch.distributed as dist

        name = f"{self.case.case_id}/{self.repeat}"
        peers = Peers(self.launch, name, self._meeting_timeout(), self._tell)
        written: list[Record] = []

        def step() -> None:
            ctx = self._set_up(peers.introduce)
            self._join_process_group(ctx, peers)
            self._perform(work, ctx)
            dist.barrier()

        problem = _attempt(step)
        if problem is not None:
            peers.leave(failure_of(problem, self.launch.rank), is_lost_peer(problem))
        peers.finish(lambda: written.append(self._write(None)))
        dist.destroy_process_group()
        return written[0] if written else None

    def _set_up(self, introduce: Callable[..., Any]) -> RankContext:
        import torch

        device = pick_device(self.case.target, self.launch)
        threads: list[int] = introduce(rank_facts(device, self.launch, os.environ), self._receive)
        torch.set_num_threads(threads[self.launch.rank])
        seed = self.case.seed(self.repeat)
        seed_everything(seed)
        self.path.parent.mkdir(parents=True, exist_ok=True)
        self.ctx = RankContext(
            case=self.case,
            repeat=self.repeat,
            seed=seed,
            rank=self.launch.rank,
            local_rank=self.launch.local_rank,
            world_size=self.launch.world_size,
            device=device,
            folder=self.path.parent,
            prepared=self.prepared,
            devices=self.devices,
        )
        log.info("device %s, %d thread(s), seed %d", device, threads[self.launch.rank], seed)
        return self.ctx

    def _receive(self, ranks: list[dict[str, Any]]) -> list[int]:
        """Rank 0: keep what all ranks said of themselves, and share out the CPUs."""
        check_devices_differ(ranks)
        threads = assign_threads(ranks)
        for rank, count in zip(ranks, threads, strict=True):
            rank["threads"] = count
        self.devices = [rank["index"] for rank in ranks]
        self.provenance = self._provenance(ranks)
        return threads

    def _provenance(self, ranks: list[dict[str, Any]]) -> dict[str, Any]:
        return provenance(self.case.target, self.case.case_id, ranks, sys.modules.get("torch"))

    def _join_process_group(self, ctx: RankContext, peers: Peers) -> None:
        import torch.distributed as dist

        case = self.case
        if isinstance(case.workload, Collective) and case.workload.implementation == "auto":
            settle_implementation(ctx, peers.store)
            case = ctx.case
        backend = choose_backend(case, ctx.device.type)
        dist.init_process_group(
            backend,
            store=dist.PrefixStore("process_group", peers.store),
            rank=ctx.rank,
            world_size=ctx.world_size,
            timeout=self._timeout(),
            device_id=ctx.device if backend == "nccl" else None,
        )
        log.info("process group of %d ranks over %s", ctx.world_size, backend)

    def _perform(self, work: Work, ctx: RankContext) -> None:
        begin = time.perf_counter()
        log.info("work begins")
        work(ctx)
        log.info("work ends after %.1f s", time.perf_counter() - begin)

    def _meeting_timeout(self) -> dt.timedelta:
        """How long the ranks wait for each other to start, and at the end for all to be there."""
        # Whatever a training's first rank reads while the others wait, it does so in between.
        return DEFAULT_TIMEOUT if isinstance(self.case.workload, Training) else self._timeout()

    def _timeout(self) -> dt.timedelta:
        """How long a rank waits for another within a collective."""
        workload = self.case.workload
        if isinstance(workload, AcrossRanks):
            return dt.timedelta(seconds=workload.timeout_seconds)
        if isinstance(workload, Training):
            return dt.timedelta(minutes=workload.rank_timeout_minutes)
        if isinstance(workload, Probe):  # one node's slow storage is a result, as long as the repeat may take
            return max(DEFAULT_TIMEOUT, dt.timedelta(minutes=workload.time_limit_minutes))
        return DEFAULT_TIMEOUT

    def _tell(self, failure: Failure) -> None:
        """Record a failure that some rank told: rank 0 writes, the others say so in their logs."""
        if self.launch.rank == 0:
            self._write(failure)
        else:
            log.warning("ends because of what was told: %s", _in_words(failure))

    def _write(self, failure: Failure | None) -> Record:
        """Write the record with all that was measured so far."""
        if self.ctx is not None and self.ctx.refresh is not None:
            self.ctx.refresh()
        # A repeat that fails before the ranks meet knows its own host only.
        content = self.provenance or self._provenance([{"host": host_name(os.environ)}])
        content["versions"] = version_facts(sys.modules.get("torch"))  # the work may have imported more
        content |= self.ctx.facts if self.ctx else {}
        record = Record(
            study=self.case.study,
            case_id=self.case.case_id,
            repeat=self.repeat,
            seed=self.case.seed(self.repeat),
            workload=self.case.workload.kind,
            target=self.case.target.name,
            outcome=failure.outcome if failure else "completed",
            error=Error(kind=failure.kind, message=failure.message, rank=failure.rank) if failure else None,
            resumed=self.ctx.resumed if self.ctx else 0,
            quality=self.ctx.quality if self.ctx else None,
            started_at=self.started_at,
            finished_at=_now(),
            measurements=list(self.ctx.measurements) if self.ctx else [],
            provenance=content,
        )
        record.write(self.path)
        log.info("%s; record written to %s", _in_words(failure), self.path)
        return record


def choose_backend(case: Case, device_type: str) -> str:
    """nccl (RCCL on AMD goes by that name in torch) on accelerators, gloo on CPUs, or what the workload wants."""
    if isinstance(case.workload, AcrossRanks) and case.workload.backend != "auto":
        return case.workload.backend
    programs = isinstance(case.workload, Collective) and case.workload.implementation == "nccl_tests"
    if programs or isinstance(case.workload, External):
        return "gloo"  # nccl would hold device memory that is the program's
    return "nccl" if device_type == "cuda" else "gloo"


def _attempt(step: Callable[[], None]) -> Exception | None:
    """Run `step`; the exception that ended it, logged, or None."""
    try:
        step()
    except SeatrialError as problem:
        log.error("%s", problem)
        return problem
    # The one boundary of a repeat: a workload may fail in any way, and its record must be written all the same.
    except Exception as problem:
        if is_lost_peer(problem):
            log.warning("lost a peer: %s", in_words(problem))
        else:
            log.exception("the repeat failed")
        return problem
    return None


def _in_words(failure: Failure | None) -> str:
    if failure is None:
        return "completed"
    where = "" if failure.rank is None else f" on rank {failure.rank}"
    return f"{failure.outcome}{where} ({failure.kind}): {failure.message}"


def _now() -> str:
    return dt.datetime.now(dt.UTC).isoformat(timespec="milliseconds")
