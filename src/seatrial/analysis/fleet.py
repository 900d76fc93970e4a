"""The hosts of a study's fleet: which of them took part, and what each of them measured by itself."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import replace

import pandas as pd

from seatrial.analysis.inputs import is_ingested
from seatrial.analysis.selection import Group
from seatrial.analysis.tables import canonical_json
from seatrial.case import Case
from seatrial.errors import ConfigError
from seatrial.measure.topology import expand_hosts

MOST_NAMED = 5
RANK = "rank"
OF_A_RANK = frozenset({RANK, "device", "host"})
"""Labels that differ from rank to rank."""
NODES_AXIS = "target.nodes"
Place = tuple[str, int]
"""A host, and which of its ranks, counted from 0."""


def fleet_hosts(lists: Iterable[str]) -> list[str]:
    """The hosts of lists in Slurm's form, once each. Raises ConfigError for what is none."""
    try:
        return list(dict.fromkeys(host for text in lists for host in expand_hosts(text)))
    except ConfigError as wrong:
        raise ConfigError(wrong.problem, key="fleet", value=wrong.value, allowed=wrong.allowed) from None


def hosts_of(text: object) -> list[str]:
    """The hosts in a cell of repeats.csv: names, or what an attempt noted in Slurm's form."""
    if not isinstance(text, str) or not text:
        return []
    try:
        return list(dict.fromkeys(expand_hosts(text)))
    except ConfigError:
        return list(dict.fromkeys(name for name in text.split(",") if name))


def same_host(one: str, other: str) -> bool:
    """Whether two names are one host's: equal, or one is the other without its domain."""
    return one == other or one.startswith(f"{other}.") or other.startswith(f"{one}.")


def distinct_hosts(names: Iterable[str]) -> list[str]:
    """The hosts by name, each once: `n1` and `n1.cluster` are one."""
    found = sorted(set(names))
    return [name for name in found if not any(name.startswith(f"{other}.") for other in found)]


def took_part(repeats: Iterable[pd.DataFrame]) -> list[str]:
    """The hosts on which a completed one of these repeats ran."""
    nodes = {text for rows in repeats for text in rows[rows["outcome"] == "completed"]["nodes"].dropna()}
    return distinct_hosts(name for text in nodes for name in hosts_of(text))


def absent_hosts(fleet: Sequence[str], repeats: Iterable[pd.DataFrame]) -> list[str]:
    """The hosts of the fleet on which no completed one of these repeats ran."""
    there = took_part(repeats)
    return [host for host in fleet if not any(same_host(host, name) for name in there)]


def fleet_not_tested(
    fleet: Sequence[str], cases: Sequence[Case], repeats_of: Callable[[Case], pd.DataFrame], of_ranks: bool
) -> str | None:
    """Which hosts of the fleet the completed repeats of `cases` should have run on and did not, in words, or None.

    Every host must take part in what each rank has for itself (`of_ranks`), in what needs as many nodes as the
    fleet has, and in what runs on the study's own number of nodes. A case of fewer nodes, which its sweep names,
    makes no claim on the others.
    """
    running = [case for case in cases if not is_ingested(case)]
    absent: list[str] = []
    if any(of_ranks or NODES_AXIS not in case.axes for case in running):
        absent = absent_hosts(fleet, map(repeats_of, running))
    for case in running:
        if case.target.nodes >= len(fleet) and not absent:
            absent = absent_hosts(fleet, [repeats_of(case)])
    return f"{len(absent)} of {len(fleet)} nodes of the fleet were not tested ({named(absent)})" if absent else None


def no_claim(fleet: Sequence[str], cases: Sequence[Case], repeats_of: Callable[[Case], pd.DataFrame]) -> str | None:
    """Of which hosts of the fleet nothing that was selected says anything, in words, or None."""
    running = [case for case in cases if not is_ingested(case)]
    absent = absent_hosts(fleet, map(repeats_of, running)) if running else []
    if not absent:
        return None
    return (
        f"nothing is said of {len(absent)} of {len(fleet)} nodes of the fleet ({named(absent)}), which took no part"
    )


def named(names: Sequence[object]) -> str:
    """The first of the names."""
    return ", ".join(map(str, names[:MOST_NAMED])) + (", ..." if len(names) > MOST_NAMED else "")


def hosts_of_ranks(case: Case, hosts: Sequence[str]) -> list[str]:
    """The host of each rank, from what a record states: one for each rank, or one for each node; [] if neither.

    Ranks fill one node after the other, as launchers place them.
    """
    target = case.target
    if len(hosts) == target.world_size:
        return list(hosts)
    nodes = list(dict.fromkeys(hosts))
    return [host for host in nodes for _ in range(target.tasks_per_node)] if len(nodes) == target.nodes else []


def by_host(group: Group, ranks: Sequence[Group], hosts: Mapping[int, Sequence[str]]) -> list[Group]:
    """`group` with the readings of each place (the first rank of a host, ...) where its rank ran on several.

    `ranks`: all groups of the case, `hosts`: of each completed repeat the host of each rank. Repeats on different
    hosts are no repeats of each other. Returns [group] where its rank has one place, or where that is not known.
    """
    found = json.loads(group.labels) if group.labels else {}
    places = {number: _places(of) for number, of in hosts.items()}
    rank = found.get(RANK)
    if rank is None or any(rank >= len(of) for of in places.values()):
        return [group]
    mine = sorted({of[rank] for of in places.values()})
    if len(mine) < 2:
        return [group]
    setting = _setting(found)
    alike = [one for one in ranks if one.labels and _setting(json.loads(one.labels)) == setting]
    return [_at_place(group, alike, place, places) for place in mine]


def _at_place(group: Group, alike: Sequence[Group], place: Place, places: Mapping[int, Sequence[Place]]) -> Group:
    """The readings of one place, whatever rank ran there."""
    parts = []
    for one in alike:
        rank = json.loads(str(one.labels))[RANK]
        there = [number for number, of in places.items() if rank < len(of) and of[rank] == place]
        parts.append(one.rows[one.rows["repeat"].isin(there)])
    setting = json.loads(_setting(json.loads(str(group.labels))))
    labels = canonical_json({**setting, "host": place[0], "rank of host": place[1]})
    rows = pd.concat(parts).sort_values("repeat", kind="stable")
    return replace(group, labels=labels, rows=rows, repeats=sum(place in of for of in places.values()))


def _places(hosts: Sequence[str]) -> list[Place]:
    """By rank: its host, and how many ranks of lower number run there."""
    seen: Counter[str] = Counter()
    found = []
    for host in hosts:
        found.append((host, seen[host]))
        seen[host] += 1
    return found


def _setting(labels: Mapping[str, object]) -> str:
    return canonical_json({name: value for name, value in labels.items() if name not in OF_A_RANK})
