"""tables/variance.csv: what share of the differences between runs seeds, nodes, allocations and times of day have.

Of each experiment and metric the logs of the repeats' medians are taken, so that a component's root is about a
coefficient of variation. A case (and what a label other than the rank names) has a mean of its own; the components
are taken as the same in all cases of the experiment. What the design cannot tell apart has no figure, only words:
with one allocation nothing says what another would have given, and where every repeat has its own seed and its own
allocation nobody knows which of the two made the difference.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any, NamedTuple

from seatrial.analysis.inputs import read_cases, read_plan
from seatrial.analysis.medians import Middle, Rows, completed_rows
from seatrial.analysis.noise import SERIES
from seatrial.analysis.once import once
from seatrial.analysis.tables import canonical_json, write_csv
from seatrial.analysis.variance_components import REST, Component, Design, components, inseparable, level_numbers
from seatrial.case import Case
from seatrial.paths import StudyPaths

METRICS_OF_RUNS = (
    "train.time_to_quality",
    "train.samples_to_quality",
    "train.throughput",
    "mlperf.time_to_train",
    "mlperf.samples_to_quality",
    "mlperf.throughput",
    "checkpoint.write_bandwidth",
    "checkpoint.read_bandwidth",
    *SERIES,
)
FACTORS = ("seed", "node", "allocation", "time_of_day")
RUN = "run_to_run"
WITHIN = "within_run"
WORDS = {
    "seed": "seed",
    "node": "set of nodes",
    "allocation": "allocation",
    "time_of_day": "time of day",
    RUN: "differences from run to run",
    WITHIN: "differences within a run",
}
TIME_BLOCK_HOURS = 6
"""A time of day is one of the blocks of so many hours, in UTC, in which a repeat started."""
COLUMNS = (
    "study",
    "target",
    "experiment",
    "workload",
    "metric",
    "component",
    "separable",
    "cov",
    "cov_low",
    "cov_high",
    "share",
    "levels",
    "runs",
    "cases",
    "interval_method",
    "note",
)
"""`component`: seed, node (the host of a rank, or the set of hosts of a run), allocation (Slurm's job),
time_of_day, run_to_run (what is left between equal runs) and, where ranks or labels are measured one by one,
within_run. `cov`: the root of the component's variance of the logs; `share`: of all variance that is separated.
`separable`: yes, no (one level, or it always changes together with something else: the note says which), or
not_recorded."""
METHOD = "MINQUE(0); 95 % by inverting its simulated distribution (normal effects)"
Row = dict[str, Any]


class Observed(NamedTuple):
    """The log of one median, its cell (what has a mean of its own), its run, and the levels of the factors."""

    value: float
    cell: str
    run: str
    levels: Mapping[str, str | None]


def variance(paths: StudyPaths) -> None:
    """Write tables/variance.csv: a row for each experiment, metric and component.

    Raises UnreadableFile where the study's plan or a case cannot be read.
    """
    cases = read_cases(paths, read_plan(paths))
    groups: dict[tuple[str, str], list[Observed]] = {}
    first: dict[str, Case] = {}
    for case in cases:
        first.setdefault(case.experiment, case)
        for repeat in completed_rows(paths, case, METRICS_OF_RUNS):
            of_run = _OfRun(case, repeat)
            for m in repeat.medians():
                if m.median > 0:
                    groups.setdefault((case.experiment, m.metric), []).append(of_run.observed(m))
    rows = [row for (experiment, metric), of in groups.items() for row in _rows(first[experiment], metric, of)]
    write_csv(paths.variance, COLUMNS, rows)


def separated(observed: Sequence[Observed]) -> tuple[dict[str, Component], dict[str, str]]:
    """The components that the design separates, and for each of the others, in words, why it does not.

    `run_to_run` (and `within_run` where a run has several values) stand for what is left; where a factor always
    changes with the run, its differences are among those.
    """
    counts: dict[str, int] = {}
    for o in observed:
        counts[o.cell] = counts.get(o.cell, 0) + 1
    used = [o for o in observed if counts[o.cell] > 1]
    why = {name: reason for name in FACTORS if (reason := _alone(name, used or observed)) is not None}
    if not used:
        lone = "no case has two completed repeats"
        return {}, dict.fromkeys(FACTORS, f"not separable: {lone}") | why | {RUN: lone}
    levels: dict[str, list[Any]] = {name: [o.levels[name] for o in used] for name in FACTORS if name not in why}
    left = WITHIN if len({o.run for o in used}) < len(used) else RUN
    if left == WITHIN:
        levels[RUN] = [o.run for o in used]
    else:
        why |= _as_fine_as_runs(levels)
    _merge(levels, why)
    design = Design([o.cell for o in used], levels)
    while tied := inseparable(design):
        if not levels:
            return {}, why | {left: "every value has a case of its own"}
        _drop(levels, why, tied, left)
        design = Design([o.cell for o in used], levels)
    found = components(design, [o.value for o in used])
    return {left if name == REST else name: one for name, one in found.items()}, why


class _OfRun:
    """What the measurements of a repeat share: its name and its levels, but for the node's, which is a rank's."""

    def __init__(self, case: Case, repeat: Rows) -> None:
        record, self._case = repeat.record, case
        self._hosts = repeat.hosts
        self._all_hosts = ", ".join(sorted(set(self._hosts))) or None
        self._run = f"{case.case_id} {record.repeat}"
        self._levels = {
            "seed": None if record.seed is None else str(record.seed),
            "allocation": (record.provenance.get("slurm") or {}).get("SLURM_JOB_ID"),
            "time_of_day": _block(record.started_at),
        }
        self._on: dict[str | None, Mapping[str, str | None]] = {}
        self._cells: dict[int, str] = once(("cells", case.case_id, id(repeat.columns)), dict)

    def observed(self, m: Middle) -> Observed:
        """The log of a positive median."""
        rank, node = m.labels.get("rank"), self._all_hosts
        if isinstance(rank, int):
            node = self._hosts[rank] if rank < len(self._hosts) else None
        if node not in self._on:
            self._on[node] = self._levels | {"node": node}
        return Observed(math.log(m.median), self._cell(m), self._run, self._on[node])

    def _cell(self, m: Middle) -> str:
        found = self._cells.get(m.code)
        if found is None:
            labels = {name: value for name, value in m.labels.items() if name not in ("rank", "device")}
            found = self._cells[m.code] = f"{self._case.case_id} {canonical_json(labels)}"
        return found


def _block(started_at: str) -> str | None:
    try:
        hour = datetime.fromisoformat(started_at).hour
    except ValueError:
        return None
    first = hour - hour % TIME_BLOCK_HOURS
    return f"{first:02d}-{first + TIME_BLOCK_HOURS:02d} UTC"


def _alone(name: str, used: Sequence[Observed]) -> str | None:
    """Why a factor cannot be looked at by itself: not recorded, or one level only."""
    found = {o.levels[name] for o in used}
    if None in found:
        return "not recorded"
    return f"not separable: one {WORDS[name]} only" if len(found) < 2 else None


def _as_fine_as_runs(levels: dict[str, list[Any]]) -> dict[str, str]:
    """Takes out the factors that have a level of their own in every run."""
    own = [name for name, of in levels.items() if len(set(of)) == len(of)]
    for name in own:
        del levels[name]
    return {name: _not_from(name, [other for other in own if other != name] + [RUN]) for name in own}


def _merge(levels: dict[str, list[Any]], why: dict[str, str]) -> None:
    """Factors that always change together become one, of which the run comes first."""
    same: dict[tuple[int, ...], list[str]] = {}
    for name, of in levels.items():
        same.setdefault(tuple(level_numbers(of)), []).append(name)
    for names in same.values():
        if len(names) < 2:
            continue
        why.update(
            {name: _not_from(name, [other for other in names if other != name]) for name in names if name != RUN}
        )
        kept = levels[names[0]]
        for name in names:
            del levels[name]
        levels[RUN if RUN in names else " + ".join(names)] = kept


def _drop(levels: dict[str, list[Any]], why: dict[str, str], tied: Sequence[str], left: str) -> None:
    """Takes out the factor with most levels of those that the design cannot tell apart."""
    factors = [name for name in tied if name in levels]
    most = max(factors, key=lambda name: (name != RUN, len(set(levels[name]))))
    others = [left if name == REST else name for name in tied if name != most]
    reason = _not_from(most, others) if others else "not separable: it changes only from case to case"
    for name in most.split(" + "):
        why[name] = reason
    del levels[most]


def _not_from(name: str, others: Sequence[str]) -> str:
    plain = [WORDS.get(other, " and ".join(WORDS[part] for part in other.split(" + "))) for other in others]
    return f"not separable from {' and '.join(plain)}: they change together"


def _rows(case: Case, metric: str, observed: Sequence[Observed]) -> list[Row]:
    found, why = separated(observed)
    whole = sum(one.variance for one in found.values())
    names = [*FACTORS, *(name for name in found if name not in FACTORS), *(n for n in why if n in (RUN, WITHIN))]
    head = {
        "study": case.study,
        "target": case.target.name,
        "experiment": case.experiment,
        "workload": case.workload.kind,
        "metric": metric,
        "runs": len({o.run for o in observed}),
        "cases": len({o.run.split()[0] for o in observed}),
    }
    return [{**head, "component": name, **_figures(name, found.get(name), why, whole, observed)} for name in names]


def _figures(
    name: str, one: Component | None, why: Mapping[str, str], whole: float, observed: Sequence[Observed]
) -> Row:
    levels = {o.levels[name] for o in observed if o.levels[name] is not None} if name in FACTORS else None
    row: Row = {"levels": None if levels is None else len(levels)}
    if one is None:
        reason = why[name]
        return row | {"separable": "not_recorded" if reason == "not recorded" else "no", "note": reason}
    held = [WORDS[other] for other, reason in why.items() if WORDS.get(name, name) in reason and other in FACTORS]
    notes = [f"holds what belongs to {' and '.join(held)}"] if held and name in (RUN, WITHIN) else []
    notes += ["estimated below 0 and set to 0: no such difference was seen"] if one.raw < 0 else []
    return row | {
        "separable": "yes",
        "cov": math.sqrt(one.variance),
        "cov_low": math.sqrt(one.low),
        "cov_high": None if one.high is None else math.sqrt(one.high),
        "share": one.variance / whole if whole > 0 else None,
        "interval_method": METHOD + (", upper end open" if one.high is None else ""),
        "note": "; ".join(notes) or None,
    }
