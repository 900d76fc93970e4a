"""How a benchmark measures: two ways of doing the same work, in turns, until their ratio is known well enough."""

from __future__ import annotations

import json
import math
import statistics
import time
from collections.abc import Callable
from dataclasses import asdict, dataclass
from pathlib import Path

from rich.console import Console
from rich.table import Table
from scipy import stats

ROOT = Path(__file__).parents[2]
LEAST_PAIRS = 5
MOST_PAIRS = 60
HALF_WIDTH = 0.02
"""The ratio's 95 % interval may reach this far to either side, as a fraction, before the measuring ends."""


@dataclass
class Result:
    """One line of the table: `holds` is None where there is no bar."""

    name: str
    value: float
    unit: str
    bar: float | None
    holds: bool | None
    samples: list[float]
    note: str = ""


def paired_ratio(
    name: str,
    slow: Callable[[], object],
    fast: Callable[[], object],
    bar: float,
    clock: Callable[[], float],
    limit_s: float,
    fast_times: int = 1,
) -> Result:
    """`slow` over `fast` by `clock`, alternating; at least LEAST_PAIRS pairs, then until the interval is narrow or
    `limit_s` has passed. In each pair `fast` is done `fast_times`, and the mean taken: the shorter work is the
    noisier. Holds where the 95 % interval does not lie wholly below the bar and is narrow enough."""
    ratios: list[float] = []
    began = time.monotonic()
    while len(ratios) < LEAST_PAIRS or (
        half_width(ratios) > HALF_WIDTH and len(ratios) < MOST_PAIRS and time.monotonic() - began < limit_s
    ):
        order = (slow, fast) if len(ratios) % 2 == 0 else (fast, slow)
        spent = {work: timed(work, clock, fast_times if work is fast else 1) for work in order}
        ratios.append(spent[slow] / spent[fast])
    center, half = statistics.median(ratios), half_width(ratios)
    return Result(
        name=name,
        value=center,
        unit="x",
        bar=bar,
        holds=interval(ratios)[1] >= bar and half <= HALF_WIDTH,
        samples=ratios,
        note=f"{len(ratios)} pairs, 95 % interval +-{100 * half:.1f} %",
    )


def timed(work: Callable[[], object], clock: Callable[[], float], times: int) -> float:
    """What `work` takes, the mean of `times` goes."""
    start = clock()
    for _ in range(times):
        work()
    return (clock() - start) / times


def interval(ratios: list[float]) -> tuple[float, float]:
    """The 95 % interval of the median, from the ranks of the binomial distribution: nothing is assumed of the
    ratios' own, which has outliers where a machine is shared. Without end where there are too few."""
    ordered, n = sorted(ratios), len(ratios)
    rank = int(stats.binom.ppf(0.025, n, 0.5))
    if rank < 1 or n < LEAST_PAIRS:
        return 0.0, math.inf
    return ordered[rank - 1], ordered[n - rank]


PAIRS = 6
"""The fewest of which the least and the greatest bound the median at 95 %: interval()."""


def at_most(name: str, samples: list[float], unit: str, bar: float | None, note: str = "") -> Result:
    """The median of samples, with its 95 % interval. Holds where all of the interval is within the bar."""
    low, high = interval(samples)
    words = f"{note}; 95 % interval {low:.3g} to {high:.3g} of {len(samples)}".removeprefix("; ")
    if bar is not None and low <= bar < high:
        words += ", which has the bar within it: not shown"
    return Result(name, statistics.median(samples), unit, bar, None if bar is None else high <= bar, samples, words)


def half_width(ratios: list[float]) -> float:
    """Half of that interval, as a fraction of the median."""
    low, high = interval(ratios)
    return math.inf if not ratios or high == math.inf else (high - low) / 2 / statistics.median(ratios)


def publish(benchmark: str, results: list[Result]) -> None:
    """Print the table and write results/bench/<benchmark>.json."""
    table = Table(title=f"bench-{benchmark}")
    for column in ("what", "value", "bar", "holds", "how"):
        table.add_column(column)
    for result in results:
        holds = {True: "yes", False: "NO", None: "-"}[result.holds]
        bar = "-" if result.bar is None else f"{result.bar:g} {result.unit}"
        table.add_row(result.name, f"{result.value:.4g} {result.unit}", bar, holds, result.note)
    Console(width=110).print(table)
    file = ROOT / "results" / "bench" / f"{benchmark}.json"
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_text(json.dumps([asdict(result) for result in results], indent=1) + "\n", encoding="utf-8")
