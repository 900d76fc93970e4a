"""The probe's work on every rank: the group runs that the search asks for, one after the other."""

from __future__ import annotations

import logging
import os
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise
from statistics import median

from seatrial.config.probe.screen import LEAST_MEMBERS, Screen
from seatrial.errors import Unsupported
from seatrial.measure.bisection.exchange import Mailbox, timed_exchanges
from seatrial.measure.bisection.matchings import Endpoint, make_endpoints, require_equal_hosts
from seatrial.measure.context import RankContext
from seatrial.measure.gemm.product import check_dtype
from seatrial.measure.launch import host_name
from seatrial.measure.room import require_room
from seatrial.measure.screen.found import Rules, Screening
from seatrial.measure.screen.products import Products
from seatrial.measure.screen.reading import GroupRun
from seatrial.measure.screen.recorded import RankSeconds, measurements_of
from seatrial.measure.screen.search import screen
from seatrial.measure.timing import busy_bytes, everyones
from seatrial.record import measurement

log = logging.getLogger(__name__)


def run(ctx: RankContext) -> None:
    """Screen the hosts, or the ranks of a single host: every group run, and how many were found to be bad.

    Raises Unsupported for fewer than three of them, for hosts with different numbers of ranks and for a dtype that
    the device has not, MeasurementFailed (wrong_result) for a wrong product and where a rank received what was not
    sent.
    """
    workload = ctx.case.workload
    assert isinstance(workload, Screen)
    if ctx.device.type != "cpu" and workload.backend == "gloo":
        raise Unsupported("gloo does not send accelerators' memory from rank to rank; take backend auto")
    hosts = everyones(ctx, host_name(os.environ))
    endpoints = make_endpoints(hosts)
    require_screenable(endpoints)
    ctx.facts["screen"] = {"hosts": hosts, "devices": everyones(ctx, str(ctx.device))}
    on_cpu = ctx.device.type == "cpu"
    gemm, message = workload.product(on_cpu), workload.message_bytes(on_cpu)
    check_dtype(ctx.device, gemm.dtype)
    needed = 2 * message + busy_bytes(ctx.device) + gemm.held_bytes(gemm.shapes[0])
    require_room(ctx, needed, "the messages and operands of a rank", "workload.size_bytes or side")
    group = _Group(ctx, workload, endpoints, Mailbox(ctx.rank, message, ctx.device))
    found = _search(ctx, workload, group)
    if ctx.rank == 0:
        add_counts(ctx, found)


def require_screenable(endpoints: Sequence[Endpoint]) -> None:
    """Raise Unsupported where there are too few to compare, or hosts have different numbers of ranks."""
    if len(endpoints) < LEAST_MEMBERS:
        unit = "host(s)" if len({end.host for end in endpoints}) > 1 else "rank(s) of a single host"
        raise Unsupported(
            f"{LEAST_MEMBERS} or more are needed to tell which one is slow; there are {len(endpoints)} {unit}"
        )
    require_equal_hosts("a screening needs", [end.host for end in endpoints for _ in end.ranks])


def add_counts(ctx: RankContext, found: Screening) -> None:
    """Add how many were found, and from how many group runs, to the measurements."""
    not_cleared = set(range(found.members)) - found.good - set(found.bad)
    counts = {
        "screen.bad_nodes": len(found.bad),
        "screen.slow_links": len(found.links),
        "screen.not_cleared": len(not_cleared) + found.unexplained,
        "screen.group_runs": len(found.runs),
    }
    labels: dict[str, str | int | float | bool] = {
        "members": found.members,
        "finished": found.finished,
        "threshold": found.threshold,
    }
    ctx.measurements += [measurement(name, [value], labels) for name, value in counts.items()]


def _search(ctx: RankContext, workload: Screen, group: _Group) -> Screening:
    steps = screen(len(group.endpoints), Rules.of(workload), ctx.seed)
    asked, number = next(steps), 0
    while True:
        seconds = group.run(asked)
        if ctx.rank == 0:
            ctx.measurements += measurements_of(number, asked, seconds, [end.name for end in group.endpoints])
            log.info("group run %d (%s) of %d members", number, asked.step, len(asked.members))
        number += 1
        try:
            asked = steps.send(seconds.reading)
        except StopIteration as ended:
            result: Screening = ended.value
            return result


@dataclass
class _Group:
    """What group runs are made of on this rank. Every rank takes part in each, whether it is a member or waits."""

    ctx: RankContext
    workload: Screen
    endpoints: Sequence[Endpoint]
    mailbox: Mailbox

    def __post_init__(self) -> None:
        self.products = Products(self.ctx, self.workload) if self.workload.products else None

    def run(self, asked: GroupRun) -> RankSeconds:
        """Products on every member, then exchanges with the neighbour on one side, then with the other."""
        members = [self.endpoints[m] for m in asked.members]
        mine = [median(self.products.seconds(self._is_in(members)))] if self.products else []
        pairs = list(pairwise(members))
        peers = [self._peers(pairs[first::2]) for first in (0, 1)]
        mine += [self._exchange(peer_of) for peer_of in peers]
        said = everyones(self.ctx, mine)
        compute = [[said[rank][0] for rank in end.ranks] for end in members] if self.products else []
        # pair i is of the first matching where i is even, of the second where it is odd
        exchange = [
            [max(said[a][i % 2 - 2], said[b][i % 2 - 2]) for a, b in zip(one.ranks, other.ranks, strict=True)]
            for i, (one, other) in enumerate(pairs)
        ]
        return RankSeconds(compute, exchange)

    def _is_in(self, members: Sequence[Endpoint]) -> bool:
        return any(self.ctx.rank in end.ranks for end in members)

    def _peers(self, pairs: Sequence[tuple[Endpoint, Endpoint]]) -> dict[int, int]:
        both = [ranks for one, other in pairs for ranks in zip(one.ranks, other.ranks, strict=True)]
        return {rank: peer for a, b in both for rank, peer in ((a, b), (b, a))}

    def _exchange(self, peer_of: dict[int, int]) -> float:
        if not peer_of:
            return 0.0  # nobody's: no pair reads it
        warmup, iterations = self.workload.warmup, self.workload.iterations
        return median(timed_exchanges(self.ctx, self.mailbox, peer_of.get(self.ctx.rank), warmup, iterations))
