"""Whether a node died under the workload: what the batch system and the devices' own errors say of hosts."""

from __future__ import annotations

from collections import Counter

from seatrial.analysis.findings.look import Look, place_of, share_words
from seatrial.analysis.findings.observed import Estimate, Failure, Finding, Observed
from seatrial.config.findings import FindingRules

OF_A_NODE = ("node_fail", "xid")
"""Kinds of failure that are a node's by themselves; any other may be the program's."""


def look(observed: Observed, rules: FindingRules) -> Look:
    """Look for failures that are laid to a node."""
    of_nodes = [f for f in observed.failures if f.kind in OF_A_NODE]
    others = len(observed.failures) - len(of_nodes)
    if not of_nodes:
        words = f"{others} failure{'s' if others != 1 else ''} that no node is to blame for" if others else None
        return Look(seen=(words or "no repeat or attempt failed",)) if observed.runs or others else Look()
    hosts = Counter(f.host for f in of_nodes)
    return Look(tuple(_finding(observed, of_nodes, host) for host, _ in hosts.most_common()))


def _finding(observed: Observed, failures: list[Failure], host: str | None) -> Finding:
    own = [f for f in failures if f.host == host]
    cost = _cost(observed, own)
    name = host or "A node whose name is not known"
    done = f"{observed.runs} of {observed.runs_planned} repeats completed" if observed.runs_planned else ""
    return Finding(
        cause="failed_node",
        severity="major",
        title=f"{name} failed {'once' if len(own) == 1 else f'{len(own)} times'}",
        where=f"{observed.where}, {host}" if host else observed.where,
        evidence=tuple(f"{f.where}: {f.kind}: {f.message}" for f in own[:5]),
        action=f"Take {host} out of service" if host else "Find out which node failed, from the batch system's log",
        counter_evidence=tuple(filter(None, [done])),
        cost=cost,
        without_it="a repeat would not have been lost" + (f": {share_words(cost)}" if cost is not None else ""),
        next_step="read the node's own log (dmesg, the management controller's events) and test it by itself",
        remedy_cost="a spare node, or one node fewer, until it is repaired",
        place=place_of(observed, host=host),
    )


def _cost(observed: Observed, own: list[Failure]) -> Estimate | None:
    """Time lost to the failures over all time; None where it was not measured."""
    lost = [f.lost_seconds for f in own if f.lost_seconds is not None]
    if len(lost) < len(own) or observed.whole_seconds is None:
        return None
    return Estimate(sum(lost) / (sum(lost) + observed.whole_seconds), method="none (a sum)", n=len(own))
