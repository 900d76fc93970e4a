"""The probe's work on every rank: plan the matchings, exchange, keep every iteration.

A matching's time is the maximum over its ranks, a pair's the maximum over its own two (or all the ranks of its two
hosts). Bandwidth counts one direction, while as much goes the other way: N/2 endpoints' links are full bisection.
"""

from __future__ import annotations

import logging
import os
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from statistics import median

from seatrial.config.probe.bisection import NEEDS_TOPOLOGY, Bisection, Cut
from seatrial.errors import ConfigError, Unsupported
from seatrial.measure.bisection import matchings
from seatrial.measure.bisection.ceiling import full_bisection_of, pair_ceiling
from seatrial.measure.bisection.exchange import Mailbox, timed_exchanges
from seatrial.measure.bisection.matchings import Endpoint, Matching, Pair
from seatrial.measure.context import RankContext
from seatrial.measure.launch import host_name
from seatrial.measure.room import require_room
from seatrial.measure.timing import busy_bytes, everyones, gather_samples
from seatrial.measure.topology import Topology, read_topology
from seatrial.record import Measurement, measurement
from seatrial.units import GB

log = logging.getLogger(__name__)

Labels = dict[str, str | int | float | bool]
RANDOM = "random"
"""The cut of matchings that were drawn."""
MOST_APART = 64
"""Pairs at a time (of 128 endpoints) up to which each has a measurement of its own, with every iteration."""


@dataclass(frozen=True)
class Step:
    """One matching to measure: how it came about, and among how many hosts."""

    how: str
    """matching, rounds or alone."""
    matching: Matching
    scale: int
    """Among how many endpoints: hosts, or ranks of a single host."""
    labels: Labels = field(default_factory=dict)

    @property
    def hosts(self) -> int:
        """The hosts of this scale, also where one of them sits out."""
        ends = [end for pair in self.matching.pairs for end in (pair.first, pair.second)]
        return self.scale if len({end.host for end in ends}) > 1 else 1


def run(ctx: RankContext) -> None:
    """Measure `bisection.bandwidth` of every cut and scale, `bisection.pair_bandwidth` and `.pair_time` of pairs.

    Raises Unsupported on a single rank, on hosts with different numbers of ranks and where the declared topology
    cannot be used, MeasurementFailed (wrong_result) on a rank that received what was not sent.
    """
    workload = ctx.case.workload
    assert isinstance(workload, Bisection)
    if ctx.world_size < 2:
        raise Unsupported("bisection needs two ranks or more; raise target.nodes or target.tasks_per_node")
    if ctx.device.type != "cpu" and workload.backend == "gloo":
        raise Unsupported("gloo does not send accelerators' memory from rank to rank; take backend auto")
    hosts = everyones(ctx, host_name(os.environ))
    matchings.require_equal_hosts("the halves of a bisection need", hosts)
    left_out: dict[str, str] = {}
    steps = list(
        plan_steps(workload, hosts, ctx.seed, _topology(ctx, workload, list(dict.fromkeys(hosts))), left_out)
    )
    if left_out:
        ctx.facts["bisection"] = {"left_out": left_out}
    needed = 2 * workload.size_bytes + busy_bytes(ctx.device)
    require_room(ctx, needed, "the messages of a rank, out and in,", "workload.size_bytes")
    mailbox = Mailbox(ctx.rank, workload.size_bytes, ctx.device)
    for number, step in enumerate(steps):
        peer = step.matching.peer_of.get(ctx.rank)
        seconds = timed_exchanges(ctx, mailbox, peer, workload.warmup, workload.iterations)
        by_rank = gather_samples(ctx, seconds)
        if ctx.rank == 0:
            add_step(ctx, workload, step, by_rank)
            pairs = " ".join(pair.name for pair in step.matching.pairs[:4])
            log.info("%d of %d: %s, %s", number + 1, len(steps), step.labels.get("cut", step.how), pairs)


def plan_steps(
    workload: Bisection, host_of_rank: Sequence[str], seed: int, topology: Topology | None, left_out: dict[str, str]
) -> Iterator[Step]:
    """Every matching in the order in which it is measured, the same on all ranks.

    Cuts that these hosts cannot have go into `left_out`, with the reason. Raises Unsupported for a scale above
    what there is.
    """
    endpoints = matchings.make_endpoints(host_of_rank)
    everything = len(endpoints)
    too_large = [scale for scale in workload.scales if scale > everything]
    if too_large:
        raise Unsupported(f"scales asks for {max(too_large)}, but there are {everything} to choose from")
    for scale in sorted({*workload.scales, everything}):
        cuts: dict[Cut, Matching] = {}
        for kind in workload.cuts:
            try:
                cuts[kind] = structured(kind, endpoints[:scale], topology)
            except ValueError as problem:
                left_out[f"{kind} of {scale}"] = str(problem)
        drawn = matchings.different_matchings(endpoints, seed, workload.matchings, scale)
        every = len(drawn) == matchings.number_of_matchings(everything, scale)
        yield from _different_steps(cuts, drawn, scale, every)
    among = endpoints if workload.between == "hosts" else matchings.rank_endpoints(host_of_rank)
    for how in workload.pairwise:
        games = (
            matchings.tournament(among, workload.most_rounds) if how == "rounds" else matchings.one_by_one(among)
        )
        for game in games:
            yield Step(how, game, everything)


def _different_steps(
    cuts: Mapping[Cut, Matching], drawn: Sequence[Matching], scale: int, every: bool
) -> Iterator[Step]:
    """Each set of pairs once, however many names it has: the first is its cut, `also` has the others."""
    names: dict[frozenset[tuple[int, int]], list[str]] = {}
    for kind, matching in cuts.items():
        names.setdefault(matching.rank_pairs, []).append(kind)
    numbers = {matching.rank_pairs: number for number, matching in enumerate(drawn)}
    given = {matching.rank_pairs: matching for matching in list(cuts.values())[::-1]}
    for pairs, of_pairs in names.items():
        labels: Labels = {"cut": of_pairs[0]}
        also = of_pairs[1:]
        if pairs in numbers:
            also = [*also, RANDOM]
            labels |= {"matching": numbers[pairs], "every": every}
        if also:
            labels["also"] = " ".join(also)
        yield Step("matching", given[pairs], scale, labels)
    for number, matching in enumerate(drawn):
        if matching.rank_pairs not in names:
            yield Step("matching", matching, scale, {"cut": RANDOM, "matching": number, "every": every})


def structured(kind: Cut, endpoints: Sequence[Endpoint], topology: Topology | None) -> Matching:
    """The matching of a given cut. Raises ValueError where these endpoints have no such cut."""
    if kind == "host_order":
        return matchings.mirrored(endpoints)
    if kind == "shift":
        return matchings.shifted(endpoints)
    if kind == "rail":
        return matchings.by_rail(endpoints)
    assert topology is not None  # _topology read it for these cuts
    hosts = dict.fromkeys(endpoint.host for endpoint in endpoints)
    return matchings.by_group(endpoints, topology.group_of_hosts(kind, hosts))


def add_step(ctx: RankContext, workload: Bisection, step: Step, by_rank: Sequence[Sequence[float]]) -> None:
    """Add what one matching showed to the measurements of rank 0; `by_rank` holds each rank's seconds."""
    pairs, target = step.matching.pairs, ctx.case.target
    seconds = [_slowest(pair, by_rank) for pair in pairs]
    shared: Labels = {**step.labels, "scale": step.scale, "hosts": step.hosts, "size_bytes": workload.size_bytes}
    if step.how == "matching":
        senders = sum(len(pair.ranks) for pair in pairs)
        labels: Labels = {**shared, "ranks": 2 * senders}
        if step.matching.idle:
            labels["idle"] = ", ".join(step.matching.idle)
        across = [senders * workload.size_bytes / max(times) / GB for times in zip(*seconds, strict=True)]
        bound = full_bisection_of(target, step.matching, step.hosts) or (None, None)
        ctx.measurements.append(measurement("bisection.bandwidth", across, labels, *bound))
    if len(pairs) > MOST_APART:
        ctx.measurements += medians_of_pairs(ctx, workload, step, seconds, {**shared, "how": step.how})
        return
    for pair, times in zip(pairs, seconds, strict=True):
        labels = {**shared, "how": step.how, **pair_labels(pair)}
        one_way = [len(pair.ranks) * workload.size_bytes / t / GB for t in times]
        bound = pair_ceiling(target, pair, step.hosts) or (None, None)
        ctx.measurements.append(measurement("bisection.pair_bandwidth", one_way, labels, *bound))
        if step.how != "matching":
            ctx.measurements.append(measurement("bisection.pair_time", times, labels))


def medians_of_pairs(
    ctx: RankContext, workload: Bisection, step: Step, seconds: Sequence[Sequence[float]], labels: Labels
) -> list[Measurement]:
    """One measurement for the pairs across hosts and one for those inside: a record of each would be too large."""
    found = []
    for scope in ("across hosts", "inside a host"):
        chosen = [(pair, times) for pair, times in zip(step.matching.pairs, seconds, strict=True)]
        chosen = [(pair, times) for pair, times in chosen if pair_labels(pair)["scope"] == scope]
        if not chosen:
            continue
        one_way = [len(pair.ranks) * workload.size_bytes / median(times) / GB for pair, times in chosen]
        ends: Labels = {
            "scope": scope,
            "firsts": " ".join(pair.first.name for pair, _ in chosen),
            "seconds": " ".join(pair.second.name for pair, _ in chosen),
        }
        bound = pair_ceiling(ctx.case.target, chosen[0][0], step.hosts) or (None, None)
        found.append(measurement("bisection.pair_medians", one_way, {**labels, **ends}, *bound))
    return found


def pair_labels(pair: Pair) -> Labels:
    """Who the pair is: its name, both endpoints, the ranks that exchange, and whether hosts lie between them."""
    return {
        "pair": pair.name,
        "first": pair.first.name,
        "second": pair.second.name,
        "ranks": " ".join(f"{a}-{b}" for a, b in pair.ranks),
        "scope": "across hosts" if pair.across_hosts else "inside a host",
    }


def _slowest(pair: Pair, by_rank: Sequence[Sequence[float]]) -> list[float]:
    """The pair's time in each iteration: the maximum over all of its ranks, at both ends."""
    ranks = [rank for both in pair.ranks for rank in both]
    return [max(times) for times in zip(*(by_rank[rank] for rank in ranks), strict=True)]


def _topology(ctx: RankContext, workload: Bisection, hosts: Sequence[str]) -> Topology | None:
    """What rank 0 reads of the declared topology, on every rank; None where no cut needs one.

    Raises Unsupported where none is declared, where it cannot be read, or does not have one of `hosts`.
    """
    import torch.distributed as dist

    needing = [kind for kind in workload.cuts if kind in NEEDS_TOPOLOGY]
    if not needing:
        return None
    network = ctx.case.target.scale_out
    if network is None or network.topology is None:
        raise Unsupported(f"cuts by {' and '.join(needing)} need target.scale_out.topology, which is not declared")
    said: list[Topology | None] = [None]
    if ctx.rank == 0:
        try:
            found = read_topology(network.topology)
            for kind in needing:
                found.group_of_hosts(kind, hosts)
        except ConfigError as problem:
            raise Unsupported(str(problem)) from problem
        said[0] = found
    dist.broadcast_object_list(said, src=0)
    return said[0]
