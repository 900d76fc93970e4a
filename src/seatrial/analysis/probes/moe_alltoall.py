"""tables/moe_alltoall.csv: latency, bytes and bandwidth of dispatch and combine, a row per case and direction."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from seatrial.analysis.probes.moe_alltoall_slope import write_slopes
from seatrial.analysis.probes.records import completed
from seatrial.analysis.statistics import Interval, median
from seatrial.analysis.statistics.distributions import binomial_quantile
from seatrial.analysis.tables import AXIS, axis_columns, axis_names, write_csv
from seatrial.case import Case
from seatrial.config.probe import MoeAlltoall
from seatrial.config.probe.moe_alltoall import GiniLoad, UniformLoad, load_words
from seatrial.measure.ceilings.links import by_the_network
from seatrial.measure.moe_alltoall.volumes import DIRECTIONS, expected_distinct
from seatrial.paths import StudyPaths

CONFIDENCE = 0.95
SCOPES = ("logical", "wire", "between_nodes", "rank_deduplicated", "node_deduplicated")
COLUMNS = (
    "study",
    "target",
    "experiment",
    "case_id",
    "direction",
    "load",
    "dispatcher",
    "dtype",
    "ranks",
    "tokens",
    "hidden_size",
    "top_k",
    "experts",
    "repeats",
    "measured",
    "iterations",
    "gini_asked",
    "gini",
    "imbalance",
    "imbalance_p99",
    *(f"{quantile}_s{end}" for quantile in ("p50", "p99") for end in ("", "_low", "_high")),
    "interval_method",
    "counts_p50_s",
    "layer_p50_s",
    "layer_p50_s_low",
    "layer_p50_s_high",
    *(f"bytes_{scope}" for scope in SCOPES),
    "ranks_per_token",
    "ranks_per_token_uniform",
    "nodes_per_token",
    "nodes_per_token_uniform",
    "logical_gbps",
    "wire_gbps",
    "wire_all_ranks_gbps",
    "balanced_gbps",
    "ceiling_gbps",
    "fraction_of_ceiling",
    "ceiling_basis",
    "note",
)
"""Medians over the iterations of completed repeats, but gini: the mean, as it was asked. `bytes_` of all ranks."""


@dataclass(frozen=True)
class Measured:
    """What a case's completed repeats left: samples by metric and labels, ceilings by direction."""

    repeats: int
    samples: dict[tuple[str, ...], list[float]]
    ceilings: dict[str, tuple[float, str]]

    def of(self, metric: str, *words: str) -> list[float]:
        """All iterations of one metric, in order of repeat; empty where it was not measured."""
        return self.samples.get((metric, *words), [])


def moe_alltoall(paths: StudyPaths, cases: Sequence[Case]) -> None:
    """Write tables/moe_alltoall.csv and tables/moe_alltoall_slope.csv."""
    names = axis_names(case.axes for case in cases)
    found = {case.case_id: measured(paths, case) for case in cases}
    rows = [
        _row(case, found[case.case_id], direction) | axis_columns(case.axes, names)
        for case in cases
        for direction in DIRECTIONS
    ]
    columns = [*COLUMNS, *(AXIS + name for name in names)]
    write_csv(paths.probe_table("moe_alltoall"), columns, rows)
    iterations = {
        (case.case_id, direction): (
            found[case.case_id].of("rank_imbalance"),
            found[case.case_id].of("time", direction),
        )
        for case in cases
        for direction in DIRECTIONS
    }
    write_slopes(paths, cases, iterations)


def measured(paths: StudyPaths, case: Case) -> Measured:
    """The samples of all completed repeats, from their records: tables hold no single iterations."""
    samples: dict[tuple[str, ...], list[float]] = {}
    ceilings: dict[str, tuple[float, str]] = {}
    repeats = 0
    for record in completed(paths, case):
        repeats += 1
        for m in record.measurements:
            words = [str(m.labels[name]) for name in ("direction", "scope", "over") if name in m.labels]
            samples.setdefault((m.metric.removeprefix("moe_alltoall."), *words), []).extend(m.samples)
            if m.ceiling is not None and m.ceiling_basis is not None:
                ceilings[str(m.labels["direction"])] = (m.ceiling, m.ceiling_basis)
    return Measured(repeats, samples, ceilings)


def quantile_interval(values: Sequence[float], quantile: float, confidence: float = CONFIDENCE) -> Interval:
    """Interval of a quantile by order statistics: the number of values below it is binomial(n, quantile).

    An end that no value reaches at this confidence is None: the upper end of a p99 needs 368 values.
    """
    ordered, n = sorted(values), len(values)
    if n < 2:
        return Interval(None, None, "none (n < 2)")
    tail = (1 - confidence) / 2
    low = binomial_quantile(tail, n, quantile)
    high = binomial_quantile(1 - tail, n, quantile) + 1
    return Interval(
        ordered[low - 1] if low >= 1 else None,
        ordered[high - 1] if high <= n else None,
        f"order statistics {100 * confidence:g} %",
    )


def quantile_of(values: Sequence[float], quantile: float) -> float | None:
    """The least value that a share `quantile` of the values does not exceed; None of nothing."""
    return float(np.quantile(values, quantile, method="inverted_cdf")) if len(values) else None


def _row(case: Case, found: Measured, direction: str) -> dict[str, Any]:
    workload = case.workload
    assert isinstance(workload, MoeAlltoall)
    seconds = found.of("time", direction)
    row: dict[str, Any] = {
        "study": case.study,
        "target": case.target.name,
        "experiment": case.experiment,
        "case_id": case.case_id,
        "direction": direction,
        "load": load_words(workload.load),
        "dispatcher": workload.dispatcher,
        "dtype": getattr(workload, f"{direction}_dtype"),
        "ranks": case.target.world_size,
        "tokens": workload.tokens,
        "hidden_size": workload.hidden_size,
        "top_k": workload.top_k,
        "experts": workload.experts,
        "repeats": case.repeats,
        "measured": found.repeats,
        "iterations": len(seconds),
        "gini_asked": _asked(workload),
        "gini": float(np.mean(found.of("expert_gini"))) if found.of("expert_gini") else None,
        "imbalance": median(found.of("rank_imbalance")),
        "imbalance_p99": quantile_of(found.of("rank_imbalance"), 0.99),
        "counts_p50_s": median(found.of("time", "counts")),
        "interval_method": quantile_interval(seconds, 0.5).method if seconds else None,
    }
    for name, quantile in (("p50", 0.5), ("p99", 0.99)):
        row[f"{name}_s"] = quantile_of(seconds, quantile)
        interval = quantile_interval(seconds, quantile)
        row[f"{name}_s_low"], row[f"{name}_s_high"] = interval.low, interval.high
    layer = found.of("layer_time", direction)
    ends = quantile_interval(layer, 0.5)
    row |= {"layer_p50_s": quantile_of(layer, 0.5), "layer_p50_s_low": ends.low, "layer_p50_s_high": ends.high}
    row |= {f"bytes_{scope}": median(found.of("bytes", direction, scope)) for scope in SCOPES}
    return row | _reach(case, workload, found) | _rates(found, direction)


def _asked(workload: MoeAlltoall) -> float | None:
    if isinstance(workload.load, GiniLoad):
        return workload.load.target
    return 0.0 if isinstance(workload.load, UniformLoad) else None


def _reach(case: Case, workload: MoeAlltoall, found: Measured) -> dict[str, Any]:
    """Ranks and nodes that a token reaches, and how many uniform choices would reach in expectation."""
    ranks = case.target.world_size
    domains = ranks / min(by_the_network(case.target), ranks)
    row: dict[str, Any] = {}
    for name, groups in (("ranks", ranks), ("nodes", domains)):
        row[f"{name}_per_token"] = median(found.of(f"{name}_per_token"))
        divides = groups == int(groups) and workload.experts % int(groups) == 0
        uniform = expected_distinct(int(groups), workload.experts, workload.top_k) if divides else None
        row[f"{name}_per_token_uniform"] = uniform
    return row


def _rates(found: Measured, direction: str) -> dict[str, Any]:
    """Bandwidths, the ceiling and the share of it that was reached."""
    wire = median(found.of("wire_bandwidth", direction, "busiest_rank"))
    ceiling, basis = found.ceilings.get(direction, (None, None))
    share = wire / ceiling if wire is not None and ceiling is not None else None
    return {
        "logical_gbps": median(found.of("logical_bandwidth", direction)),
        "wire_gbps": wire,
        "wire_all_ranks_gbps": median(found.of("wire_bandwidth", direction, "all_ranks")),
        "balanced_gbps": median(found.of("balanced_bandwidth", direction)),
        "ceiling_gbps": ceiling,
        "ceiling_basis": basis,
        "fraction_of_ceiling": share,
        "note": _note(share),
    }


def _note(share: float | None) -> str | None:
    """What a reading above the bound means: nothing is clipped."""
    if share is None or share <= 1 or not math.isfinite(share):
        return None
    return (
        f"{100 * share:.3g} % of the bound: links carry more than is declared, or the ranks of a node are not "
        "numbered one after another, which the bound takes for granted"
    )
