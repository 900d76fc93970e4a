"""tables/bisection.csv: what crosses each cut at each scale, against full bisection; and bisection_pairs.csv."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from scipy import stats

from seatrial.analysis.collect import read_repeat
from seatrial.analysis.probes.bisection_pairs import PAIR_COLUMNS, PairGroup, is_slow, pair_groups, pair_rows
from seatrial.analysis.probes.slow_pairs import Ends
from seatrial.analysis.statistics import Bound, median, median_interval
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
    "slow_pairs",
    "with_slow_pair",
    "without_slow_pair_gbps",
    "note",
)
"""GB/s one way. `ratio`: to full bisection as the target's links are declared, `oversubscription` its inverse;
`ratio_to_pairs`: to as many typical pairs by themselves; `least`: the slowest of the cut's matchings, by its pairs;
`worst`: whether the scale's slowest matching is of this cut; `slow_pairs`: those among its pairs (random: among the
slowest matching's), `with_slow_pair`: in how many matchings there is one."""
TENTH = 0.1
RANDOM = "random"


@dataclass(frozen=True)
class Crossing:
    """One matching of one repeat: what crossed its cut in each iteration, and between whom."""

    measured: Measurement
    pairs: tuple[Ends, ...]

    @property
    def place(self) -> tuple[int, str]:
        """Scale and cut."""
        return int(self.measured.labels["scale"]), str(self.measured.labels["cut"])

    @property
    def median(self) -> float:
        return float(np.median(self.measured.samples))


def bisection_tables(paths: StudyPaths, cases: Sequence[Case]) -> None:
    """Write both tables: a row for each case, scale and cut, and one for each case, way of measuring and pair."""
    names = axis_names(case.axes for case in cases)
    of_cuts: list[dict[str, Any]] = []
    of_pairs: list[dict[str, Any]] = []
    for case in cases:
        found = (read_repeat(paths, case, number).record for number in range(case.repeats))
        records = [record for record in found if record is not None and record.outcome == "completed"]
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
            cuts.setdefault(crossing.place, []).append(crossing)
    head: dict[str, Any] = {
        "study": case.study,
        "target": case.target.name,
        "experiment": case.experiment,
        "case_id": case.case_id,
        "repeats": case.repeats,
        "measured": len(records),
    }
    rows = [head | _row(case, of_cut, groups) for _, of_cut in sorted(cuts.items())]
    for scale in {row["scale"] for row in rows}:
        of_scale = [row for row in rows if row["scale"] == scale]
        slowest = min(of_scale, key=_least)
        for row in of_scale:
            row["worst"] = row is slowest
    return rows + [head | row for row in _left_out(records)]


def _least(row: dict[str, Any]) -> float:
    return float(row["least_gbps"])


def crossings(measurements: Sequence[Measurement]) -> list[Crossing]:
    """The matchings of one repeat, each with the ends of its pairs."""
    pairs: dict[tuple[Any, ...], list[Ends]] = {}
    for m in measurements:
        if m.metric == "bisection.pair_bandwidth" and m.labels["how"] == "matching":
            pairs.setdefault(_which(m), []).append((str(m.labels["first"]), str(m.labels["second"])))
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
    below = stats.binom.cdf(np.arange(n), n, TENTH)
    k = int(np.searchsorted(below, 1 - confidence, side="right"))
    if k < 1:
        return Bound(None, f"none ({n} matchings are too few; 29 are enough)")
    return Bound(sorted(values)[k - 1], f"order statistics {100 * (1 - float(below[k - 1])):.3g} %")


def _row(case: Case, of_cut: Sequence[Crossing], groups: Sequence[PairGroup]) -> dict[str, Any]:
    first = of_cut[0].measured
    random = first.labels["cut"] == RANDOM
    one = len(of_cut) == 1
    values = list(first.samples) if one else [crossing.median for crossing in of_cut]
    middle, interval = float(np.median(values)), median_interval(values)
    row: dict[str, Any] = {name: first.labels[name] for name in ("scale", "hosts", "ranks", "size_bytes", "cut")}
    row |= {"n": len(values), "over": "iterations" if one else "matchings" if random else "repeats"}
    row |= {"median_gbps": middle, "low_gbps": interval.low, "high_gbps": interval.high}
    row |= {"interval_method": interval.method, "mean_gbps": float(np.mean(values))}
    if random and not one:
        tenth = tenth_percentile_bound(values)
        row |= {"p10_gbps": float(np.quantile(values, TENTH))}
        row |= {"p10_at_least_gbps": tenth.value, "p10_method": tenth.method}
    if first.ceiling is not None:
        row |= {"full_gbps": first.ceiling, "full_basis": first.ceiling_basis, "ratio": middle / first.ceiling}
        row |= {"oversubscription": first.ceiling / middle, "declared_gbps": _declared(case, first)}
        ends = (("ratio_low", interval.low), ("ratio_high", interval.high))
        row |= {name: end / first.ceiling for name, end in ends if end is not None}
    return row | _slowest(of_cut, groups) | {"ratio_to_pairs": _to_pairs(first, middle, groups)}


def _slowest(of_cut: Sequence[Crossing], groups: Sequence[PairGroup]) -> dict[str, Any]:
    """The slowest matching of a cut, and what slow pairs have to do with it: it waits for its slowest pair."""
    least = min(of_cut, key=lambda crossing: crossing.median)
    clean = [c.median for c in of_cut if not any(is_slow(groups, ends) for ends in c.pairs)]
    return {
        "least_gbps": least.median,
        "least": _words(least.pairs),
        "slow_pairs": _words([ends for ends in least.pairs if is_slow(groups, ends)]) or None,
        "with_slow_pair": len(of_cut) - len(clean),
        "without_slow_pair_gbps": median(clean) if len(clean) < len(of_cut) else None,
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
    """What crosses a cut over what its pairs reach by themselves; None where those are other ranks' pairs."""
    by_themselves = [group for group in groups if group.how != "matching" and group.judgement.typical]
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
