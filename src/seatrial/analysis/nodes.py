"""tables/nodes.csv: each host over all probes and trainings of the study, and what is known of it.

A host that no repeat ran on is `not_tested`; one whose repeats did not complete, or which measured only together
with others, is `not_measured`. Neither is ever fine.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from seatrial.analysis.collect import read_repeats
from seatrial.analysis.fleet import distinct_hosts, fleet_hosts, hosts_of, same_host
from seatrial.analysis.inputs import PlannedStudy, is_ingested, read_cases, read_plan
from seatrial.analysis.node_metrics import COLUMNS as METRIC_COLUMNS
from seatrial.analysis.node_metrics import node_metrics
from seatrial.analysis.tables import AXIS, axis_columns, axis_names, write_csv
from seatrial.paths import StudyPaths

COLUMNS = (
    "study",
    "host",
    "allocated",
    "completed",
    "metrics",
    "slow_metrics",
    "slow_in",
    "slow_devices",
    "worst_metric",
    "worst_slower_by",
    "worst_q_value",
    "standing",
    "note",
)
"""`allocated` and `completed`: repeats that ran on the host, and those of them that completed. `metrics`: in how
many it stands beside others; `slow_in` and `slow_devices`: the metrics in which it, or one of its devices (by
place), is slow. `standing`: slow, not_slow, inconclusive, too_few (hosts to tell), not_measured or not_tested."""
Row = dict[str, Any]


@dataclass(frozen=True)
class NodeUse:
    """How often a host was in a repeat's allocation, and how many of these repeats completed."""

    allocated: int = 0
    completed: int = 0

    @property
    def tested(self) -> bool:
        """Whether a repeat completed on it: what failed says nothing of the host."""
        return self.completed > 0


def nodes(paths: StudyPaths) -> None:
    """Write tables/nodes.csv and tables/node_metrics.csv; remove them where the study runs nothing itself.

    Raises UnreadableFile where `collect` has not run, ConfigError where the study's fleet is no list of hosts.
    """
    plan = read_plan(paths)
    cases = [case for case in read_cases(paths, plan) if not is_ingested(case)]
    if not cases:
        paths.nodes.unlink(missing_ok=True)
        paths.node_metrics.unlink(missing_ok=True)
        return
    names = axis_names(case.axes for case in cases)
    axes = {case.case_id: axis_columns(case.axes, names) for case in cases}
    found = node_metrics(paths, cases, plan.study.differences)
    columns = [*METRIC_COLUMNS, *(AXIS + name for name in names)]
    write_csv(paths.node_metrics, columns, [row | axes[row["case_id"]] for row in found])
    uses = node_uses(paths, plan)
    by_name: dict[str, list[Row]] = {}
    for row in found:
        by_name.setdefault(str(row["host"]), []).append(row)
    write_csv(paths.nodes, COLUMNS, [_row(plan, host, use, by_name) for host, use in uses.items()])


def node_uses(paths: StudyPaths, plan: PlannedStudy | None = None) -> dict[str, NodeUse]:
    """Host -> its use, by name: every host of tables/repeats.csv, and of the study's fleet where that is stated.

    A host that stands there with its domain and without is one, by the shorter name.

    Raises UnreadableFile where `collect` has not run, ConfigError where the fleet is no list of hosts.
    """
    plan = read_plan(paths) if plan is None else plan
    ingested = {case.case_id for case in read_cases(paths, plan) if is_ingested(case)}
    rows = [
        (hosts_of(row["nodes"]), row["outcome"]) for row in read_repeats(paths) if row["case_id"] not in ingested
    ]
    stated = fleet_hosts(plan.study.fleet)
    names = distinct_hosts([*stated, *(host for hosts, _ in rows for host in hosts)])
    uses = {name: NodeUse() for name in names}
    for hosts, outcome in rows:
        for name in {_name_of(host, uses) for host in hosts}:
            use = uses[name]
            uses[name] = NodeUse(use.allocated + 1, use.completed + (outcome == "completed"))
    return dict(sorted(uses.items()))


def _name_of(host: str, uses: Mapping[str, NodeUse]) -> str:
    """The name by which a host is known: its own, or that without its domain."""
    return host if host in uses else next(name for name in uses if same_host(host, name))


def _row(plan: PlannedStudy, host: str, use: NodeUse, found: Mapping[str, Sequence[Row]]) -> Row:
    of_host = [row for name, rows in found.items() if same_host(name, host) for row in rows]
    slow = [row for row in of_host if row["standing"] == "slow"]
    worst = max(slow, key=lambda row: row["slower_by"], default=None)
    devices = sorted({row["place"] for row in slow if row["place"] is not None})
    return {
        "study": plan.study.name,
        "host": host,
        "allocated": use.allocated,
        "completed": use.completed,
        "metrics": len({row["metric"] for row in of_host if row["p_value"] is not None}),
        "slow_metrics": len({row["metric"] for row in slow}),
        "slow_in": " ".join(sorted({row["metric"] for row in slow})) or None,
        "slow_devices": " ".join(map(str, devices)) or None,
        "worst_metric": worst["metric"] if worst else None,
        "worst_slower_by": worst["slower_by"] if worst else None,
        "worst_q_value": worst["q_value"] if worst else None,
        **_standing(use, of_host),
    }


def _standing(use: NodeUse, of_host: Sequence[Mapping[str, Any]]) -> Row:
    """What is known of a host as a whole, and why it is not more."""
    if not use.allocated:
        return {"standing": "not_tested", "note": "no repeat ran on it"}
    if not use.completed:
        return {"standing": "not_measured", "note": f"none of its {use.allocated} repeats completed"}
    if not of_host:
        words = "it was measured only together with other hosts: nothing says how it does by itself"
        return {"standing": "not_measured", "note": words}
    standings = {row["standing"] for row in of_host}
    for standing in ("slow", "inconclusive", "not_slow"):
        if standing in standings:
            return {"standing": standing, "note": _unsure(of_host) if standing == "inconclusive" else None}
    return {"standing": "too_few", "note": of_host[0]["note"]}


def _unsure(of_host: Sequence[Mapping[str, Any]]) -> str:
    unsure = sorted({row["metric"] for row in of_host if row["standing"] == "inconclusive"})
    return f"slower than the others in {', '.join(unsure)}, which may be by chance"
