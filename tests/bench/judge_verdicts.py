"""False passes and false fails of the judging code, where the truth lies on the bound."""

from __future__ import annotations

import math
from collections import Counter

import numpy as np
from judge_share import SEED, STUDIES, at_least, at_most
from judge_spread import KINDS, references, runs
from measure import Result

from seatrial.analysis.judgement import Judgement, judge_ratio, judge_reached, judge_values, worst
from seatrial.analysis.power import detectable
from seatrial.analysis.ratio import Ratio, estimate, ratio, reference_estimate
from seatrial.analysis.statistics import SMALL_N, log_spread
from seatrial.config.criterion import Criterion

BAR = 5.0
REPEATS = (2, 3, 4, 5, 10)
MANY = 8
BOUND = Criterion(name="in-time", metric="train.mlperf_minutes", at_most=1.0)
"""The true median is 1, on the bound: it meets it."""
BEYOND = Criterion(name="in-time", metric="train.mlperf_minutes", at_most=1 - 1e-9)
"""The true median is just beyond the bound. Runs in steps may lie on a bound exactly, so that this differs."""
SLOWER = Criterion(name="not-slower", metric="comparison.ratio", at_most=1.3)


def results() -> list[Result]:
    """All lines on verdicts."""
    draw = np.random.default_rng(SEED)
    found = [line for kind in KINDS for n in REPEATS for line in _of_repeats(kind, n, draw)]
    found += [line for n in (3, 5) for line in _of_many(n, draw)]
    found += [line for n in REPEATS for line in _never_reached(n, draw)]
    found += [line for kind in KINDS for n in (3, 4, 10) for line in _of_ratios(kind, n, draw)]
    return [*found, *_settled(draw)]


def _lines(name: str, beyond: list[str], on: list[str], coverage: tuple[list[bool], ...] = ()) -> list[Result]:
    """Verdicts where the true median is just beyond the bound (a pass is wrong) and on it (a fail is wrong)."""
    passed, failed = np.array(beyond) == "pass", np.array(on) == "fail"
    rest = f"inconclusive {100 * float(np.mean(~passed & ~failed)):.1f} %"
    found = [
        at_most(f"false pass, {name}", passed, BAR, rest),
        at_most(f"false fail, {name}", failed, BAR, rest),
    ]
    for side, hits in zip(("lower", "upper"), coverage, strict=False):
        found.append(at_least(f"{side} bound holds, {name}", np.array(hits), 94.0, "nominal 95 %"))
    return found


def _of_repeats(kind: str, n: int, draw: np.random.Generator) -> list[Result]:
    # log-t is exact for log-normal runs: only many studies tell 5 % from a little more
    drawn = runs(kind, 3 * STUDIES if n < SMALL_N else STUDIES, n, draw)
    found = [_judged(logs) for logs in drawn]
    # a bound that is not given says nothing wrong
    low = [j.low is None or j.low <= 1 + 1e-12 for j in found]
    high = [j.high is None or j.high >= 1 - 1e-12 for j in found]
    on = [j.verdict for j in found]
    beyond = [_judged(logs, BEYOND).verdict for logs in drawn] if kind == "in steps" else on
    return _lines(f"runs {kind}, n = {n}", list(beyond), list(on), (low, high))


def _judged(logs: np.ndarray, criterion: Criterion = BOUND, among: int = 1) -> Judgement:
    return judge_values(criterion, np.exp(logs).tolist(), [], "min", len(logs), among=among)


def _of_many(n: int, draw: np.random.Generator) -> list[Result]:
    """A criterion over MANY cases, all on the bound: it must not fail the sooner; one just beyond must not pass."""
    cases = np.stack([runs("skewed", STUDIES, n, draw) for _ in range(MANY)], axis=1)
    words = [worst(BOUND, [("case", _judged(one, among=MANY)) for one in study]).verdict for study in cases]
    return _lines(f"{MANY} cases at once, runs skewed, n = {n}", list(words), list(words))


def _never_reached(n: int, draw: np.random.Generator) -> list[Result]:
    """Runs end at a budget of 1.05 times the bound, and those above it never reach their quality."""
    words = []
    for logs in runs("skewed", 3 * STUDIES if n < SMALL_N else STUDIES, n, draw):
        times = np.exp(logs)
        reached = times[times <= 1.05].tolist()
        words.append(judge_reached(BOUND, reached, reached, "min", n, n - len(reached)).verdict)
    return _lines(f"runs skewed, some never reach it, n = {n}", list(words), list(words))


def _of_ratios(kind: str, n: int, draw: np.random.Generator) -> list[Result]:
    """Own runs over a published median, the true ratio being the threshold."""
    words, low, high = [], [], []
    for logs, results_by in zip(runs(kind, STUDIES, n, draw), references(kind, STUDIES, draw), strict=True):
        own = SLOWER.required * np.exp(logs)
        found = _ratio(own, results_by)
        words.append(judge_ratio(SLOWER, found, n, log_spread(own.tolist()), n).verdict)
        low.append((found.bound("lower", 0.95) or 0.0) <= SLOWER.required * (1 + 1e-12))
        high.append((found.bound("upper", 0.95) or math.inf) >= SLOWER.required * (1 - 1e-12))
    return _lines(f"ratio to a published median, {kind}, n = {n}", list(words), list(words), (low, high))


def _ratio(own: np.ndarray, results_by: list[list[float]]) -> Ratio:
    published = [[math.exp(x) for x in logs] for logs in results_by]
    middle = float(np.median([x for results in published for x in results]))
    measured = estimate(float(np.median(own)), log_spread(own.tolist()), len(own))
    return ratio(measured, reference_estimate(middle, published))


def _settled(draw: np.random.Generator) -> list[Result]:
    """What `seatrial plan` says can be told apart is told apart in as many studies as it says."""
    found = []
    for n in (3, 4, 10):
        far = detectable(n, 0.05, 0.95, 0.8)
        assert far is not None
        logs = 0.05 * draw.standard_normal((STUDIES, n)) - far
        words = Counter(_judged(one).verdict for one in logs)
        hits = np.arange(STUDIES) < words["pass"]
        name = f"settled at what the plan names ({100 * math.expm1(far):.1f} % at noise 5 %), n = {n}"
        found.append(at_least(name, draw.permutation(hits), 80.0, "the plan says 80 %"))
    return found
