"""How often every interval of the tables holds, in simulations under its assumptions and beyond them.

Nothing here has a bar: `make bench-judge` has those of the intervals that a verdict rests on. What is simulated
stands in each line; docs/statistics.md says what it means. At most 8 minutes on two cores.
"""

from __future__ import annotations

import logging
import math
import os
import time
from collections.abc import Callable, Iterable, Sequence
from concurrent.futures import ProcessPoolExecutor
from functools import partial
from itertools import product
from multiprocessing import get_context

import numpy as np
from judge_share import SEED, STUDIES, at_least
from measure import Result, publish
from numpy.typing import NDArray
from scipy.signal import lfilter

from seatrial.analysis.statistics import (
    block_bootstrap_interval,
    compare_paired,
    compare_unpaired,
    median_interval,
    robust_z,
)
from seatrial.analysis.survival import Reach, times_longer
from seatrial.analysis.variance_components import Design, components

SPREAD = 0.05
BURN_IN = 200
OUTLIER = 3.5
Floats = NDArray[np.float64]
Ends = tuple[float | None, float | None]
Part = Callable[[np.random.Generator], Iterable[Result]]
RESAMPLES = 250
"""Of the bootstrap here, to save time; Seatrial takes 1000."""
LEAST_GIVEN = 100
"""With fewer intervals there is no line."""


def parts() -> list[Part]:
    """What is simulated, each with random numbers of its own, so that they can run side by side."""
    return [
        medians,
        *(partial(series, n, rho) for n, rho in product((100, 400, 2000), (0.0, 0.5, 0.8, 0.95))),
        pairs,
        *(partial(two_sets, *of) for of in TWO_SETS),
        never_reached,
        *(partial(variances, *of) for of in CROSSED),
        false_alarms,
    ]


def results_of(place: int) -> list[Result]:
    """The lines of one part."""
    return list(parts()[place](np.random.default_rng([SEED, 2, place])))


def log_normal(draw: np.random.Generator, n: int, spread: float = SPREAD) -> Floats:
    """[n]: times with median 1."""
    return np.exp(spread * draw.standard_normal(n))


def skewed(draw: np.random.Generator, n: int) -> Floats:
    """[n]: times with median 1 that spread upwards only, as where something now and then stalls."""
    return np.exp(2 * SPREAD * (draw.standard_exponential(n) - math.log(2)))


def medians(draw: np.random.Generator) -> Iterable[Result]:
    """Medians of few repeats."""
    for n, (words, make) in product((3, 4, 5, 6, 10, 20), (("log-normal", log_normal), ("skewed", skewed))):
        found = [median_interval(make(draw, n).tolist()) for _ in range(STUDIES)]
        yield line(f"median of {n} repeats, {words}: {found[0].method}", [(i.low, i.high) for i in found])


def series(n: int, rho: float, draw: np.random.Generator) -> Iterable[Result]:
    """Medians of series whose neighbours depend on each other; share of series that get an interval in the note."""
    noise = draw.standard_normal((STUDIES, n + BURN_IN))
    made = np.exp(SPREAD * lfilter([math.sqrt(1 - rho * rho)], [1, -rho], noise, axis=1)[:, BURN_IN:])
    found = [block_bootstrap_interval(one.tolist(), resamples=RESAMPLES) for one in made]
    given = [(i.low, i.high) for i in found if i.low is not None]
    note = f"{100 * len(given) / len(found):.0f} % of {len(found)} series have one"
    if len(given) >= LEAST_GIVEN:
        yield line(f"moving-block bootstrap, {n} steps, correlation {rho:g}", given, note=note)


def pairs(draw: np.random.Generator) -> Iterable[Result]:
    """Ratios of pairs."""
    for n in (3, 5, 6, 10):
        found = [compare_paired(log_normal(draw, n), log_normal(draw, n)) for _ in range(STUDIES)]
        yield line(
            f"ratio of {n} pairs: {found[0].method.partition(',')[0].partition(';')[0]}",
            [(i.low, i.high) for i in found],
        )


TWO_SETS = ((3, 3, 1), (4, 4, 1), (5, 5, 1), (5, 5, 4), (5, 10, 3), (10, 5, 3), (10, 10, 1))
"""Repeats of either set, and how many times as wide the second is."""


def two_sets(n: int, m: int, wider: int, draw: np.random.Generator) -> Iterable[Result]:
    """Ratios of two sets, of equal and of different spread."""
    found = [compare_unpaired(log_normal(draw, n), log_normal(draw, m, wider * SPREAD)) for _ in range(STUDIES)]
    words = f"ratio of {n} and {m} repeats, the second set {wider} times as wide"
    method = found[0].method.partition(",")[0].partition(";")[0]
    yield line(f"{words}: {method}", [(i.low, i.high) for i in found])


def never_reached(draw: np.random.Generator) -> Iterable[Result]:
    """How many times longer, where a budget ends some of the runs."""
    found: list[Ends] = []
    for _ in range(STUDIES):
        watched = []
        for longer in (1.0, 1.5):
            times = longer * np.exp(0.3 * draw.standard_normal(5))
            watched.append([Reach(t, t) if t <= 2 else Reach(2.0, None) for t in times.tolist()])
        effect = times_longer(watched[0], watched[1], (2.0, 2.0))
        found.append((effect.low, effect.high))
    yield line("times longer, 5 and 5 runs, a budget of 2 medians: inverted exact log-rank test", found, 1.5)


CROSSED = (
    (5, 4, 3, (0.1, 0.05, 0.03)),
    (5, 4, 3, (0.0, 0.05, 0.05)),
    (3, 4, 1, (0.05, 0.05, 0.05)),
    (10, 8, 2, (0.05, 0.02, 0.05)),
)
"""Seeds, nodes, runs of each pair, and the spread from seed to seed, node to node, run to run."""


def variances(
    seeds: int, nodes: int, times: int, sizes: tuple[float, ...], draw: np.random.Generator
) -> Iterable[Result]:
    """Components of studies with crossed seeds and nodes."""
    seed = np.repeat(np.arange(seeds), nodes * times)
    node = np.tile(np.repeat(np.arange(nodes), times), seeds)
    design = Design([0] * len(seed), {"seed": seed, "node": node})
    found: dict[str, list[Ends]] = {}
    for _ in range(STUDIES):
        effects = [size * draw.standard_normal(len(seed)) for size in sizes]
        y = effects[0][seed] + effects[1][node] + effects[2]
        for name, one in components(design, y.tolist()).items():
            found.setdefault(name, []).append((one.low, one.high))
    words = f"variance components, {seeds} seeds x {nodes} nodes x {times} runs"
    for (name, ends), size in zip(found.items(), sizes, strict=True):
        yield line(f"{words}: {name} ({size:g})", ends, size**2)


def false_alarms(draw: np.random.Generator) -> Iterable[Result]:
    """Robust z: how often no member of a healthy fleet lies beyond 3.5."""
    for n in (4, 5, 8, 16, 64, 232):
        hits = [max(map(abs, robust_z(draw.standard_normal(n).tolist()))) <= OUTLIER for _ in range(STUDIES)]
        yield at_least(
            f"robust z within {OUTLIER} in all of {n} healthy members", np.array(hits), None, "no interval"
        )


def line(name: str, found: Sequence[Ends], truth: float = 1.0, note: str = "") -> Result:
    """The share of intervals that hold `truth`; an end that is None is open."""
    hits = [(low is None or low <= truth) and (high is None or truth <= high) for low, high in found]
    return at_least(name, np.array(hits), None, note)


def main() -> None:
    began = time.monotonic()
    places = range(len(parts()))
    with ProcessPoolExecutor(2, mp_context=get_context("spawn")) as both:
        publish("coverage", [result for found in both.map(results_of, places) for result in found])
    print(f"{time.monotonic() - began:.0f} s")


if __name__ == "__main__":
    os.environ.setdefault("OMP_NUM_THREADS", "1")
    logging.disable(logging.WARNING)
    main()
