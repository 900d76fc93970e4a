"""What of a planned case was not measured, in words: no such gap ever passes a criterion."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from functools import lru_cache
from typing import Any

import pandas as pd

from seatrial.analysis.fleet import OF_A_RANK, RANK, distinct_hosts, hosts_of
from seatrial.analysis.handed_over import Runs, runs_of
from seatrial.analysis.inputs import is_ingested
from seatrial.analysis.tables import canonical_json, rows_of
from seatrial.case import Case
from seatrial.config.ingested import MlperfLogs

MOST_NAMED = 5
"""Repeats or ranks that a reason names; the tables have them all."""
OF_A_MACHINE = "telemetry."
"""Sensors: what is one to a machine is read by one of its ranks."""


def runs_of_logs(case: Case, repeats: pd.DataFrame) -> Runs | None:
    """What logs handed over are by MLCommons' rules; None of a case that runs here. `repeats`: of this case."""
    return runs_of(case, repeats["outcome"].tolist()) if isinstance(case.workload, MlperfLogs) else None


def not_completed(case: Case, repeats: pd.DataFrame) -> str | None:
    """What became of the planned repeats of a case that are not completed, in words, or None.

    Failed runs that MLCommons allows a result are no gap; more of them than it allows are said to be that.
    """
    bad, planned = repeats[repeats["outcome"] != "completed"], case.repeats
    runs = runs_of_logs(case, repeats)
    if runs is not None and runs.excused:
        bad = bad[bad["outcome"] != "failed"]
    if len(repeats) < planned:
        return f"{planned - len(repeats)} of {planned} repeats are in no table"
    if bad.empty:
        return None
    words = [
        f"repeat {row['repeat']} {row['outcome']}" + (f" ({row['error_kind']})" if row["error_kind"] else "")
        for row in rows_of(bad.head(MOST_NAMED))
    ]
    more = f" and {len(bad) - MOST_NAMED} more" if len(bad) > MOST_NAMED else ""
    refusal = f"{runs.refusal}; " if runs is not None and runs.refusal else ""
    return f"{refusal}{len(bad)} of {planned} repeats not completed: {', '.join(words)}{more}"


def nodes_not_tested(case: Case, repeats: pd.DataFrame) -> str | None:
    """Which completed repeats ran on fewer nodes than the case asks for, or do not say where; None where none did.

    A single node needs no saying, and logs handed over say what they ran on in a way of their own.
    """
    if case.target.nodes < 2 or is_ingested(case):
        return None
    for row in rows_of(repeats.loc[repeats["outcome"] == "completed", ["repeat", "nodes"]]):
        names = _distinct_hosts(row["nodes"])
        if not names:
            return (
                f"repeat {row['repeat']} does not say which nodes it ran on, {case.target.nodes} are to be tested"
            )
        if len(names) < case.target.nodes:
            few = f"{len(names)} of {case.target.nodes} nodes"
            return f"repeat {row['repeat']} ran on {few} ({', '.join(names)}): the others were not tested"
    return None


@lru_cache(maxsize=1000)
def _distinct_hosts(nodes: str | None) -> list[str]:
    """The hosts in a cell of repeats.csv, which stands in many of its rows; not to be changed."""
    return distinct_hosts(hosts_of(nodes))


def asks_for_some_ranks(metric: str, where: Mapping[str, Any]) -> bool:
    """Whether `where` names some of the ranks; a sensor's device names none: every machine has one of that name."""
    return not (OF_A_RANK - {"device"} if metric.startswith(OF_A_MACHINE) else OF_A_RANK).isdisjoint(where)


def ranks_not_measured(case: Case, metric: str, labels: Sequence[str]) -> str | None:
    """Of a metric that every rank has for itself: which ranks have none under these `labels` (JSON), or None.

    Each setting of the other labels is looked at by itself.
    """
    if metric.startswith(OF_A_MACHINE) or is_ingested(case):
        return None
    for there in _ranks_by_setting(labels):
        missing = sorted(set(range(case.target.world_size)) - there)
        if missing:
            named = ", ".join(map(str, missing[:MOST_NAMED])) + (", ..." if len(missing) > MOST_NAMED else "")
            return f"{len(missing)} of {case.target.world_size} ranks have no measurement of it (rank {named})"
    return None


def nodes_not_sampled(case: Case, labels: Sequence[str], hosts: Sequence[str]) -> str | None:
    """Of a sensor that every node has: of which nodes no rank has a reading under these `labels`, or None.

    `hosts`: by rank, as a record's provenance has them. Where they are not one for each rank, ranks are taken to
    fill one node after the other, as launchers place them.
    """
    target = case.target
    if target.nodes < 2 or is_ingested(case):
        return None
    node_of = [rank // target.tasks_per_node for rank in range(target.world_size)]
    nodes: list[str] = list(dict.fromkeys(hosts))
    if len(hosts) == target.world_size:
        node_of = [nodes.index(host) for host in hosts]
    elif len(nodes) != target.nodes:
        nodes = [f"node {number}" for number in range(target.nodes)]
    for there in _ranks_by_setting(labels):
        sampled = {node_of[rank] for rank in there if rank < len(node_of)}
        missing = [name for number, name in enumerate(nodes) if number not in sampled]
        if missing:
            named = ", ".join(missing[:MOST_NAMED]) + (", ..." if len(missing) > MOST_NAMED else "")
            return f"{len(missing)} of {len(nodes)} nodes have no reading of it ({named})"
    return None


def _ranks_by_setting(labels: Sequence[str]) -> list[set[int]]:
    """The ranks of `labels` (JSON) for each setting of the other labels; none where some labels name no rank."""
    ranks: dict[str, set[int]] = {}
    for text in labels:
        found = json.loads(text)
        if RANK not in found:
            return []
        others = canonical_json({k: v for k, v in found.items() if k not in OF_A_RANK})
        ranks.setdefault(others, set()).add(found[RANK])
    return [there for _, there in sorted(ranks.items())]
