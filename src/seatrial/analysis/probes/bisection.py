"""tables/bisection.csv: what crosses each cut at each scale, against full bisection; and bisection_pairs.csv."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from seatrial.analysis.probes.bisection_pairs import (
    PAIR_COLUMNS,
    PAIR_METRICS,
    PairGroup,
    each_pair,
    is_slow,
    pair_groups,
    pair_rows,
)
from seatrial.analysis.probes.records import completed
from seatrial.analysis.probes.slow_pairs import FEWEST_PAIRS, Ends
from seatrial.analysis.statistics import Bound, Interval, median, median_interval
from seatrial.analysis.statistics.distributions import binomials_at_most
from seatrial.analysis.tables import AXIS, axis_columns, axis_names, write_csv
from seatrial.case import Case
from seatrial.measure.ceilings import bisection_ceiling
from seatrial.paths import StudyPaths
from seatrial.record import Measurement, Record

COLUMNS = (
    "study",
    "target",
    "experiment",
    "case_id",
    "repeats",
    "measured",
    "scale",
    "hosts",
    "ranks",
    "size_bytes",
    "cut",
    "n",
    "over",
    "median_gbps",
    "low_gbps",
    "high_gbps",
    "interval_method",
    "mean_gbps",
    "p10_gbps",
    "p10_at_least_gbps",
    "p10_method",
    "full_gbps",
    "full_basis",
    "ratio",
    "ratio_low",
    "ratio_high",
    "oversubscription",
    "declared_gbps",
    "ratio_to_pairs",
    "least_gbps",
    "least",
    "worst",
    "also",
    "every",
    "slow_pairs",
    "with_slow_pair",
    "without_slow_pair_gbps",
    "note",
)
"""GB/s one way. `ratio`: to full bisection as the target's links are declared, `oversubscription` its inverse;
`ratio_to_pairs`: to as many typical pairs by themselves (six or more); `least`: the slowest of the cut's matchings,
by its pairs; `worst`: whether less crosses this cut than any other of the scale, by more than their intervals;
`also`: other cuts that are the same pairs; `every`: these are all matchings that there are; `slow_pairs`: those
among its pairs (random: among the slowest matching's), `with_slow_pair`: in how many matchings there is one."""
TENTH = 0.1
RANDOM = "random"


@dataclass(frozen=True)
class Crossing:
    """One matching of one repeat: what crossed its cut in each iteration, and between whom."""

    measured: Measurement
    pairs: tuple[Ends, ...]

    @property
    def names(self) -> list[str]:
        """Its cut, and the others that are the same pairs."""
        return [str(self.measured.labels["cut"]), *str(self.measured.labels.get("also", "")).split()]

    @property
    def scale(self) -> int:
        """Hosts, or ranks of a single host, among which it was."""
        return int(self.measured.labels["scale"])

    @property
    def median(self) -> float:
        return float(np.median(self.measured.samples))


def bisection_tables(paths: StudyPaths, cases: Sequence[Case]) -> None:
    """Write both tables: a row for each case, scale and cut, and one for each case, way of measuring and pair."""
    names = axis_names(case.axes for case in cases)
    of_cuts: list[dict[str, Any]] = []
    of_pairs: list[dict[str, Any]] = []
    for case in cases:
        records = completed(paths, case)
        groups = pair_groups([record.measurements for record in records])
        axes = axis_columns(case.axes, names)
        of_cuts += [row | axes for row in cut_rows(case, records, groups)]
        of_pairs += [row | axes for row in pair_rows(case, groups)]
    columns = [AXIS + name for name in names]
    write_csv(paths.probe_table("bisection"), [*COLUMNS, *columns], of_cuts)
    write_csv(paths.probe_table("bisection_pairs"), [*PAIR_COLUMNS, *columns], of_pairs)


def cut_rows(case: Case, records: Sequence[Record], groups: Sequence[PairGroup]) -> list[dict[str, Any]]:
    """The rows of one case: a row for each scale and cut, and one for each cut that its hosts cannot have."""
    cuts: dict[tuple[int, str], list[Crossing]] = {}
    for record in records:
        for crossing in crossings(record.measurements):
            cuts.setdefault((crossing.scale, crossing.names[0]), []).append(crossing)
            if RANDOM in crossing.names[1:]:
                cuts.setdefault((crossing.scale, RANDOM), []).append(crossing)
    head: dict[str, Any] = {
        "study": case.study,
        "target": case.target.name,
        "experiment": case.experiment,
        "case_id": case.case_id,
        "repeats": case.repeats,
        "measured": len(records),
    }
    for place in [place for place, of_cut in cuts.items() if place[1] == RANDOM and _different(of_cut) == 1]:
        if all(crossing.names[0] != RANDOM for crossing in cuts[place]):
            del cuts[place]  # the one that was drawn is a row already, by the name of its cut
    rows = [head | _row(case, cut, of_cut, groups) for (_, cut), of_cut in sorted(cuts.items())]
    for row in rows:
        names = [name for name in row["also"] if name != RANDOM or (row["scale"], RANDOM) not in cuts]
        row["also"] = " ".join(names) or None
    for scale in {row["scale"] for row in rows}:
        mark_worst([row for row in rows if row["scale"] == scale])
    return rows + [head | row for row in _left_out(records)]


def mark_worst(of_scale: Sequence[dict[str, Any]]) -> None:
    """Set `worst` on the row whose interval lies below all others', False on the rest.

    A row of every matching there is has no interval; its median stands for it, and it is no cut of its own.
    """
    for row in of_scale:
        row["worst"] = False
    by_median = sorted(of_scale, key=lambda row: float(row["median_gbps"]))
    slowest, others = by_median[0], by_median[1:]
    lows = [row["median_gbps"] if row["every"] else row["low_gbps"] for row in others]
    high = slowest["high_gbps"]
    slowest["worst"] = bool(lows) and high is not None and all(low is not None and high < low for low in lows)


def _different(of_cut: Sequence[Crossing]) -> int:
    return len({frozenset(crossing.pairs) for crossing in of_cut})


def crossings(measurements: Sequence[Measurement]) -> list[Crossing]:
    """The matchings of one repeat, each with the ends of its pairs."""
    pairs: dict[tuple[Any, ...], list[Ends]] = {}
    for m in measurements:
        if m.metric in PAIR_METRICS and m.labels["how"] == "matching":
            pairs.setdefault(_which(m), []).extend(ends for ends, _ in each_pair(m))
    found = [m for m in measurements if m.metric == "bisection.bandwidth"]
    return [Crossing(m, tuple(pairs.get(_which(m), ()))) for m in found]


def _which(m: Measurement) -> tuple[Any, ...]:
    return tuple(m.labels.get(name) for name in ("scale", "cut", "matching"))


def tenth_percentile_bound(values: Sequence[float], confidence: float = 0.95) -> Bound:
    """A value that the 10th percentile of what `values` were drawn from is at least, with `confidence`.

    Distribution-free: x_k with the largest k of which P(binomial(n, 0.1) < k) <= 1 - confidence; from n = 29 on
    the least value is one (0.9^29 < 0.05).
    """
    n = len(values)
    below = binomials_at_most(np.arange(n), n, TENTH)
    k = int(np.searchsorted(below, 1 - confidence, side="right"))
    if k < 1:
        return Bound(None, f"none ({n} matchings are too few; 29 are enough)")
    return Bound(sorted(values)[k - 1], f"order statistics {100 * (1 - float(below[k - 1])):.3g} %")


def _row(case: Case, cut: str, of_cut: Sequence[Crossing], groups: Sequence[PairGroup]) -> dict[str, Any]:
    first = of_cut[0].measured
    values, over = _values(of_cut)
    every = over == "matchings" and bool(first.labels.get("every"))
    middle, interval = float(np.median(values)), median_interval(values)
    if every:
        interval = Interval(None, None, f"none (these are all {len(values)} matchings)")
    row: dict[str, Any] = {name: first.labels[name] for name in ("scale", "hosts", "ranks", "size_bytes")}
    row |= {"cut": cut, "also": of_cut[0].names[1:] if cut != RANDOM else [], "every": every}
    row |= {"n": len(values), "over": over}
    row |= {"median_gbps": middle, "low_gbps": interval.low, "high_gbps": interval.high}
    row |= {"interval_method": interval.method, "mean_gbps": float(np.mean(values))}
    if every:
        row["p10_method"] = f"none: these are all {len(values)} matchings, of which the slowest is known"
    elif over == "matchings":
        tenth = tenth_percentile_bound(values)
        row |= {"p10_gbps": float(np.quantile(values, TENTH))}
        row |= {"p10_at_least_gbps": tenth.value, "p10_method": tenth.method}
    if first.ceiling is not None:
        row |= {"full_gbps": first.ceiling, "full_basis": first.ceiling_basis, "ratio": middle / first.ceiling}
        row |= {"oversubscription": first.ceiling / middle, "declared_gbps": _declared(case, first)}
        ends = (("ratio_low", interval.low), ("ratio_high", interval.high))
        row |= {name: end / first.ceiling for name, end in ends if end is not None}
    return row | _slowest(of_cut, groups) | {"ratio_to_pairs": _to_pairs(first, middle, groups)}


def _values(of_cut: Sequence[Crossing]) -> tuple[list[float], str]:
    """What a cut's interval is over: different matchings, or of one the repeats, or of one repeat its iterations.

    A matching that several repeats drew counts once, with the median of their medians.
    """
    by_pairs: dict[frozenset[Ends], list[float]] = {}
    for crossing in of_cut:
        by_pairs.setdefault(frozenset(crossing.pairs), []).append(crossing.median)
    if len(by_pairs) > 1:
        return [float(np.median(medians)) for medians in by_pairs.values()], "matchings"
    if len(of_cut) > 1:
        return [crossing.median for crossing in of_cut], "repeats"
    return list(of_cut[0].measured.samples), "iterations"


def _slowest(of_cut: Sequence[Crossing], groups: Sequence[PairGroup]) -> dict[str, Any]:
    """The slowest matching of a cut, and what slow pairs have to do with it: it waits for its slowest pair."""
    least = min(of_cut, key=lambda crossing: crossing.median)
    clean = [c for c in of_cut if not any(is_slow(groups, ends) for ends in c.pairs)]
    return {
        "least_gbps": least.median,
        "least": _words(least.pairs),
        "slow_pairs": _words([ends for ends in least.pairs if is_slow(groups, ends)]) or None,
        "with_slow_pair": _different(of_cut) - _different(clean),
        "without_slow_pair_gbps": median([c.median for c in clean]) if len(clean) < len(of_cut) else None,
        "note": f"{least.measured.labels['idle']} sat out" if "idle" in least.measured.labels else None,
    }


def _words(pairs: Sequence[Ends]) -> str:
    return " ".join("-".join(ends) for ends in pairs)


def _declared(case: Case, measured: Measurement) -> float | None:
    """GB/s that the fabric as declared, with its oversubscription, leaves between the worst halves of this size."""
    hosts = int(measured.labels["hosts"])
    if hosts < 2:
        return None
    found = bisection_ceiling(case.target.model_copy(update={"nodes": hosts}))
    return None if found is None else found[0]


def _to_pairs(measured: Measurement, gbps: float, groups: Sequence[PairGroup]) -> float | None:
    """What crosses a cut over what its pairs reach by themselves; None where those are others, or too few."""
    by_themselves = [g for g in groups if g.how != "matching" and len(g.pairs) >= FEWEST_PAIRS]
    senders = int(measured.labels["ranks"]) // 2
    if not by_themselves or senders != int(measured.labels["scale"]) // 2:
        return None
    typical = by_themselves[0].judgement.typical
    return None if typical is None else gbps / (senders * typical)


def _left_out(records: Sequence[Record]) -> list[dict[str, Any]]:
    """The cuts that the hosts cannot have, with the reason."""
    found: dict[str, str] = {}
    for record in records:
        facts = record.provenance.get("bisection")
        if isinstance(facts, dict) and isinstance(facts.get("left_out"), dict):
            found |= {str(name): str(why) for name, why in facts["left_out"].items()}
    rows = []
    for name, why in sorted(found.items()):
        cut, _, scale = name.partition(" of ")
        rows.append({"scale": int(scale), "cut": cut, "n": 0, "note": why} if scale.isdigit() else {"note": why})
    return rows
