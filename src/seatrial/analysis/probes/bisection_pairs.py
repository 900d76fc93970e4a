"""tables/bisection_pairs.csv: bandwidth of every pair, and which of them are slow."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from seatrial.analysis.probes.slow_pairs import Ends, Judgement, judge
from seatrial.analysis.statistics import median_interval
from seatrial.case import Case
from seatrial.record import Measurement

PAIR_COLUMNS = (
    "study",
    "target",
    "experiment",
    "case_id",
    "how",
    "scope",
    "pair",
    "first",
    "second",
    "ranks",
    "n",
    "over",
    "median_gbps",
    "low_gbps",
    "high_gbps",
    "interval_method",
    "ceiling_gbps",
    "ceiling_basis",
    "fraction_of_ceiling",
    "typical_gbps",
    "ratio",
    "slow",
    "slow_end",
    "p",
    "rule",
    "note",
)
"""`ratio`: to the typical pair, the median of those not called slow; `p`: that a uniform fabric shows it."""
PAIR_METRICS = ("bisection.pair_bandwidth", "bisection.pair_medians")
HOWS = ("alone", "rounds", "matching")
"""How a pair was measured, what says most of the pair itself first."""


@dataclass(frozen=True)
class PairSamples:
    """One pair measured in one way: the samples of each completed repeat (and matching) apart."""

    how: str
    labels: Mapping[str, Any]
    samples: list[list[float]]
    ceiling: float | None
    basis: str | None

    @property
    def ends(self) -> Ends:
        return str(self.labels["first"]), str(self.labels["second"])

    @property
    def spread_over(self) -> tuple[list[float], str]:
        """What the interval is of, and its name: medians where there are several, else one repeat's iterations."""
        if len(self.samples) == 1 and len(self.samples[0]) > 1:
            return self.samples[0], "iterations"
        if all(len(samples) == 1 for samples in self.samples):
            return [samples[0] for samples in self.samples], "medians"
        medians = [float(np.median(samples)) for samples in self.samples]
        return medians, "matchings" if self.how == "matching" else "repeats"


@dataclass(frozen=True)
class PairGroup:
    """Pairs that compare: measured in one way, all across hosts or all inside one."""

    how: str
    scope: str
    pairs: list[PairSamples]
    judgement: Judgement


def pair_groups(measured: Sequence[Sequence[Measurement]]) -> list[PairGroup]:
    """The pairs of a case by how and where they were measured, judged; `measured`: of each completed repeat.

    Of matchings only those among all endpoints and with whole hosts are taken.
    """
    found: dict[tuple[str, str], dict[Ends, PairSamples]] = {}
    largest = max((m.labels["scale"] for of in measured for m in of if "scale" in m.labels), default=0)
    for of_repeat in measured:
        for m in of_repeat:
            if m.metric not in PAIR_METRICS or m.labels.get("cut") == "rail" or m.labels["scale"] != largest:
                continue
            how, scope = str(m.labels["how"]), str(m.labels["scope"])
            group = found.setdefault((how, scope), {})
            for ends, samples in each_pair(m):
                labels = {"pair": "-".join(ends), "first": ends[0], "second": ends[1], **m.labels}
                pair = group.setdefault(ends, PairSamples(how, labels, [], m.ceiling, m.ceiling_basis))
                pair.samples.append(samples)
    groups = []
    for (how, scope), pairs in sorted(found.items(), key=lambda item: (HOWS.index(item[0][0]), item[0][1])):
        middles = {ends: float(np.median(pair.spread_over[0])) for ends, pair in pairs.items()}
        groups.append(PairGroup(how, scope, [pairs[ends] for ends in sorted(pairs)], judge(middles)))
    return groups


def each_pair(m: Measurement) -> list[tuple[Ends, list[float]]]:
    """The pairs of a measurement with their samples: one with every iteration, or many with the median of each."""
    if m.metric == "bisection.pair_bandwidth":
        return [((str(m.labels["first"]), str(m.labels["second"])), m.samples)]
    firsts, seconds = str(m.labels["firsts"]).split(), str(m.labels["seconds"]).split()
    return [((a, b), [median]) for a, b, median in zip(firsts, seconds, m.samples, strict=True)]


def is_slow(groups: Sequence[PairGroup], ends: Ends) -> bool:
    """Whether a pair is slow by the best way in which it was measured; not where it was not measured."""
    for group in groups:
        if any(pair.ends == ends for pair in group.pairs):
            return group.judgement.is_slow(ends)
    return False


def pair_rows(case: Case, groups: Sequence[PairGroup]) -> list[dict[str, Any]]:
    """The rows of one case, in the order of PAIR_COLUMNS' subjects."""
    head = {
        "study": case.study,
        "target": case.target.name,
        "experiment": case.experiment,
        "case_id": case.case_id,
    }
    return [head | _row(group, pair) for group in groups for pair in group.pairs]


def _row(group: PairGroup, pair: PairSamples) -> dict[str, Any]:
    values, over = pair.spread_over
    found, judgement = float(np.median(values)), group.judgement
    interval = median_interval(values)
    slow_end = next((end for end in pair.ends if end in judgement.ends), None)
    return {
        "how": group.how,
        "scope": group.scope,
        "pair": pair.labels["pair"],
        "first": pair.ends[0],
        "second": pair.ends[1],
        "ranks": pair.labels.get("ranks"),
        "n": len(values),
        "over": over,
        "median_gbps": found,
        "low_gbps": interval.low,
        "high_gbps": interval.high,
        "interval_method": interval.method,
        "ceiling_gbps": pair.ceiling,
        "ceiling_basis": pair.basis,
        "fraction_of_ceiling": found / pair.ceiling if pair.ceiling else None,
        "typical_gbps": judgement.typical,
        "ratio": found / judgement.typical if judgement.typical else None,
        "slow": judgement.is_slow(pair.ends),
        "slow_end": slow_end,
        "p": judgement.ends[slow_end] if slow_end is not None else judgement.pairs.get(pair.ends),
        "rule": judgement.rule or None,
        "note": judgement.untold or None,
    }
