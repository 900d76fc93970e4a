"""Each metric of a case beside that of its equal in the earlier study: ratio, interval, test, result.

A repeat's value of a metric is the median over its rows that differ in rank and device alone. Repeats are pairs
where every repeat of the smaller side has one on the other side with the same seed on the same nodes; then the
paired test is used, but where only the unpaired one can show a difference with so few (four or five pairs).
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from itertools import pairwise
from statistics import median
from typing import Any, NamedTuple

import pandas as pd

from seatrial.analysis.against.alike import Match
from seatrial.analysis.against.earlier import Measured
from seatrial.analysis.measurements import completed_rows
from seatrial.analysis.statistics import (
    RatioTest,
    benjamini_hochberg,
    compare_paired,
    compare_unpaired,
    smallest_p_of_pairs,
    smallest_p_of_sets,
)
from seatrial.analysis.tables import canonical_json
from seatrial.case import Case
from seatrial.config.differences import Differences
from seatrial.config.metrics import METRICS, Metric

NOT_SCREENED = {
    "train.training_loss": "a curve",
    "train.tokens_trained": "how much was trained, not how well",
    "gemm.searched_throughput": "the other shapes of a search",
    "bisection.pair_bandwidth": "links are compared with each other, in bisection_pairs.csv",
    "bisection.pair_medians": "links are compared with each other, in bisection_pairs.csv",
    "bisection.pair_time": "links are compared with each other, in bisection_pairs.csv",
    "moe_alltoall.bytes": "the load, not the machine",
    "moe_alltoall.least_time": "computed, not measured",
    "moe_alltoall.rank_imbalance": "the load, not the machine",
    "moe_alltoall.expert_gini": "the load, not the machine",
    "moe_alltoall.ranks_per_token": "the load, not the machine",
    "moe_alltoall.nodes_per_token": "the load, not the machine",
    "mlperf.scaling_factor": "of a result folder",
    "diffusion.frechet_floor": "of the data, not the training",
    "diffusion.frechet_of_noise": "of the data, not the training",
}
"""Metrics that say nothing of better or worse between two studies, and why."""
POINT_OF_A_CURVE = "step"
"""Rows with this label are evaluations on the way."""
ONLY_WHERE_REACHED = ("_to_quality", "_to_evaluation", "mlperf_minutes", "time_to_train")
"""Metrics that a repeat has only where it reached its target: without those that did not, they flatter."""
MOST_SHOWN = 50
"""Beyond this many repeats nobody is told how many would do."""
Row = dict[str, Any]


class Key(NamedTuple):
    """A metric of a case and its labels but for rank and device."""

    metric: str
    labels: str


class Sides(NamedTuple):
    """Repeat -> value on both sides."""

    now: dict[int, float]
    earlier: dict[int, float]


class Where(NamedTuple):
    """What makes repeats of two studies a pair."""

    seed: int
    nodes: str


def rows_of_match(match: Match, study: Measured, other: Measured) -> Iterator[Row]:
    """A row for each metric and labels that either side has; what they show comes later (`with_results`)."""
    assert match.earlier is not None
    now, before = values_of(match.case, study.measurements), values_of(match.earlier, other.measurements)
    places = places_of(match.case, study.repeats), places_of(match.earlier, other.repeats)
    in_turn = are_interleaved(starts_of(match.case, study.repeats), starts_of(match.earlier, other.repeats))
    catalogued = catalogue_of(match.case, study.measurements), catalogue_of(match.earlier, other.measurements)
    for key in sorted({*now, *before}):
        sides = Sides(now.get(key, {}), before.get(key, {}))
        unknown = _unknown(key.metric, *(of.get(key.metric) for of in catalogued))
        yield {**_about(match, key, sides), **_tested(sides, places, unknown), "interleaved": in_turn}


def values_of(case: Case, measurements: pd.DataFrame) -> dict[Key, dict[int, float]]:
    """Repeat -> value of each metric that is compared, of a case's completed repeats."""
    found: dict[Key, dict[int, list[float]]] = {}
    of_case = measurements[measurements["case_id"] == case.case_id]
    for metric in sorted(set(of_case["metric"]) - set(NOT_SCREENED)):
        for row in completed_rows(of_case, case.case_id, metric):
            if POINT_OF_A_CURVE not in row.labels:
                key = Key(metric, canonical_json(_work(metric, row.labels)))
                found.setdefault(key, {}).setdefault(row.repeat, []).append(row.median)
    return {key: {n: median(values) for n, values in repeats.items()} for key, repeats in found.items()}


def catalogue_of(case: Case, measurements: pd.DataFrame) -> dict[str, Metric]:
    """Unit and direction of a case's metrics, as its table has them."""
    of_case = measurements[measurements["case_id"] == case.case_id].drop_duplicates("metric")
    rows = zip(of_case["metric"], of_case["unit"], of_case["direction"], strict=True)
    return {str(metric): Metric(str(unit), direction, "") for metric, unit, direction in rows}


def _unknown(metric: str, now: Metric | None, earlier: Metric | None) -> str | None:
    """Why a metric of an earlier version of Seatrial does not compare, or None."""
    if metric not in METRICS:
        return "this version of Seatrial does not know the metric"
    if now is not None and earlier is not None and now != earlier:
        was = f"{earlier.unit}, {earlier.direction} is better"
        return f"in the earlier study its unit was {was}; now it is {now.unit}, {now.direction} is better"
    return None


def _work(metric: str, labels: Mapping[str, Any]) -> dict[str, Any]:
    """The labels without rank and device; of telemetry the kind of device stays: a CPU's joules are not a GPU's."""
    kept = {name: value for name, value in labels.items() if name not in ("rank", "device")}
    if metric.startswith("telemetry.") and "device" in labels:
        kept["device"] = str(labels["device"]).partition(":")[0]
    return kept


def places_of(case: Case, repeats: pd.DataFrame) -> dict[int, Where]:
    """Seed and nodes of each repeat of a case of which both are known."""
    of_case = repeats[repeats["case_id"] == case.case_id]
    found = {}
    for repeat, seed, nodes in zip(of_case["repeat"], of_case["seed"], of_case["nodes"], strict=True):
        if not pd.isna(seed) and isinstance(nodes, str) and nodes:
            found[int(repeat)] = Where(int(seed), ",".join(sorted(nodes.split(","))))
    return found


def starts_of(case: Case, repeats: pd.DataFrame) -> list[str]:
    """When the completed repeats of a case started, ascending; ISO 8601 in UTC."""
    of_case = repeats[(repeats["case_id"] == case.case_id) & (repeats["outcome"] == "completed")]
    return sorted(str(start) for start in of_case["started_at"].dropna())


def are_interleaved(now: Sequence[str], earlier: Sequence[str]) -> bool | None:
    """Whether repeats of both sides ran in turn, so that drift is no difference between them; None if not known.

    In turn: sides change at least half as often as in A-B-A-B; of one repeat a side nothing cancels.
    """
    if not now or not earlier:
        return None
    if min(len(now), len(earlier)) < 2:
        return False
    sides = [side for _, side in sorted([*((start, 0) for start in now), *((start, 1) for start in earlier)])]
    turns = sum(a != b for a, b in pairwise(sides))
    return 2 * turns >= 2 * min(len(now), len(earlier)) - 1


def pairs_of(sides: Sides, places: tuple[Mapping[int, Where], Mapping[int, Where]]) -> list[tuple[float, float]]:
    """(earlier, now) of the repeats that are pairs; nothing where a repeat of the smaller side has no partner."""
    partners = {places[1][n]: value for n, value in sides.earlier.items() if n in places[1]}
    pairs = [
        (partners[place], value)
        for n, value in sorted(sides.now.items())
        if (place := places[0].get(n)) is not None and place in partners
    ]
    return pairs if len(pairs) == min(len(sides.now), len(sides.earlier)) else []


def compared(sides: Sides, pairs: Sequence[tuple[float, float]]) -> tuple[RatioTest, bool]:
    """now / earlier with its test, and whether that was by pairs."""
    paired = compare_paired([a for a, _ in pairs], [b for _, b in pairs])
    if paired.can_be_shown:
        return paired, True
    unpaired = compare_unpaired(list(sides.earlier.values()), list(sides.now.values()))
    return (paired, True) if pairs and not unpaired.can_be_shown else (unpaired, False)


def _about(match: Match, key: Key, sides: Sides) -> Row:
    """What a row is about: the case, the metric and both medians."""
    case, other = match.case, match.earlier
    assert other is not None
    known = METRICS.get(key.metric)
    return {
        "experiment": case.experiment,
        "workload": case.workload.kind,
        "case_id": case.case_id,
        "earlier_case_id": other.case_id,
        "metric": key.metric,
        "unit": known.unit if known else None,
        "direction": known.direction if known else None,
        "labels": key.labels,
        "value": median(sides.now.values()) if sides.now else None,
        "n": len(sides.now),
        "planned": case.repeats,
        "earlier_value": median(sides.earlier.values()) if sides.earlier else None,
        "earlier_n": len(sides.earlier),
        "earlier_planned": other.repeats,
    }


def _tested(sides: Sides, places: tuple[Mapping[int, Where], Mapping[int, Where]], unknown: str | None) -> Row:
    """Ratio, interval and test of one metric, or why it is not compared."""
    if unknown is not None:
        return {"result": "not_compared", "note": unknown}
    if not sides.now or not sides.earlier:
        where = "this study" if not sides.now else "the earlier study"
        return {"result": "not_compared", "note": f"{where} did not measure it"}
    if min(*sides.now.values(), *sides.earlier.values()) <= 0:
        return {"result": "not_compared", "note": "a value is not above 0, so there is no ratio"}
    test, paired = compared(sides, pairs_of(sides, places))
    return {
        "ratio": test.ratio,
        "ratio_low": test.low,
        "ratio_high": test.high,
        "interval_method": test.method,
        "paired": paired,
        "p_value": test.p,
    }


def with_results(rows: Sequence[Row], thresholds: Differences) -> None:
    """Adjust p over all rows that have one, and say of every compared row what it shows."""
    tested = [row for row in rows if row.get("p_value") is not None]
    for row, q in zip(tested, benjamini_hochberg([row["p_value"] for row in tested]), strict=True):
        row["q_value"] = q
    compared_rows = [row for row in rows if "result" not in row]
    few = _too_few(len(compared_rows), thresholds.false_discovery_rate.value)
    for row in compared_rows:
        result, note = _result(row, len(tested), thresholds, few)
        row["result"], row["note"] = _with_gaps(row, result, note)


def _too_few(screened: int, rate: float) -> str:
    """How many repeats can show that one metric alone changed, were all `screened` tested and adjusted together."""
    allowed = min(0.05, rate / max(screened, 1))
    numbers = range(2, MOST_SHOWN + 1)
    each = next((n for n in numbers if smallest_p_of_sets(n, n) <= allowed), None)
    pairs = next((n for n in numbers if smallest_p_of_pairs(n) <= allowed), None)
    enough = " or ".join([f"{each} and {each}"] * (each is not None) + [f"{pairs} pairs"] * (pairs is not None))
    where = f" where one of {screened} metrics changed" if screened > 1 else ""
    return "too few repeats to show a difference" + (f": {enough} can{where}" if enough else "")


def _result(row: Row, screened: int, thresholds: Differences, few: str) -> tuple[str, str | None]:
    """better, worse, no_difference_shown or inconclusive, and why; `few`: the words where there is no test."""
    low, high, least = row["ratio_low"], row["ratio_high"], thresholds.least.value
    q = row.get("q_value")
    near = low is not None and high is not None and 1 / (1 + least) <= low and high <= 1 + least
    if q is not None and q <= thresholds.false_discovery_rate.value and row["ratio"] != 1:
        better = (row["ratio"] > 1) == (row["direction"] == "higher")
        return "better" if better else "worse", f"less than the {100 * least:g} % that matter" if near else None
    if near:
        return "no_difference_shown", f"a difference of {100 * least:g} % would lie outside the interval"
    if q is None:
        return "inconclusive", few
    alone = row["p_value"] <= thresholds.false_discovery_rate.value
    words = f"p = {row['p_value']:.2g} would be a difference alone, but not among {screened} metrics"
    return "inconclusive", words if alone else f"a difference of {100 * least:g} % may hide in the interval"


def _with_gaps(row: Row, result: str, note: str | None) -> tuple[str, str | None]:
    """A side that lost repeats is not called the better one, nor equal, by the repeats that reached the target."""
    lost = row["planned"] - row["n"], row["earlier_planned"] - row["earlier_n"]
    words = [
        f"{count} of {planned} repeats of {side} have no value"
        for count, planned, side in (
            (lost[0], row["planned"], "this study"),
            (lost[1], row["earlier_planned"], "the earlier study"),
        )
        if count > 0
    ]
    if not words:
        return result, note
    flatters = row["metric"].endswith(ONLY_WHERE_REACHED)
    spoilt = (lost[0] > 0 and result != "worse") or (lost[1] > 0 and result != "better")
    said = "; ".join([note, *words] if note else words)
    if flatters and spoilt and result != "inconclusive":
        return "inconclusive", f"{said}: those that did not reach the target are not in the medians"
    return result, said
