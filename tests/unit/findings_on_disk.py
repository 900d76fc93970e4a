"""Made-up runs for the tests of findings: steps of ranks on hosts, with a fault put in and noise drawn by seed."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass

import numpy as np

from seatrial.analysis.findings.observed import Observed
from seatrial.analysis.findings.series import RunSeries, with_series
from seatrial.config.findings import FindingRules
from seatrial.record import Measurement, measurement

RULES = FindingRules()
COMPUTE = 0.1
"""Seconds of a step that every rank computes."""


@dataclass(frozen=True)
class Made:
    """Seconds of a step by part, and the faults; `cov` is each rank's and each part's own noise."""

    steps: int = 60
    hosts: tuple[str, ...] = ("n1", "n2", "n3", "n4")
    cov: float = 0.03
    communication: float = 0.01
    data: float = 0.002
    other: float = 0.001
    slow: str | Collection[str] | None = None
    slow_rank: int | Collection[int] | None = None
    times: float = 1.5
    stalls: tuple[float, ...] | None = None

    def run(self, draw: np.random.Generator) -> RunSeries:
        """One run: ranks compute, wait for the slowest of them, and transfer."""
        n, ranks = self.steps, len(self.hosts)
        compute = COMPUTE * draw.lognormal(0, self.cov, (n, ranks))
        slow_hosts = (self.slow,) if isinstance(self.slow, str) else self.slow or ()
        slow_ranks = (self.slow_rank,) if isinstance(self.slow_rank, int) else self.slow_rank or ()
        for rank, host in enumerate(self.hosts):
            compute[:, rank] *= self.times if host in slow_hosts or rank in slow_ranks else 1.0
        data, other, transfer = (
            seconds * draw.lognormal(0, self.cov, n) for seconds in (self.data, self.other, self.communication)
        )
        own = compute + (data + other)[:, None]
        step = own.max(axis=1) + transfer
        parts = {
            "compute": compute.mean(axis=1),
            "communication": step - own.mean(axis=1),
            "data_wait": data,
            "other": other,
        }
        return RunSeries(step, parts, own, self.hosts, self.stalls)  # type: ignore[arg-type]

    def observed(self, seed: int, runs: int = 3) -> Observed:
        """What `runs` such runs show."""
        draw = np.random.default_rng(seed)
        bare = Observed(where="case", title="made up", runs=runs, runs_planned=runs)
        return with_series(bare, [self.run(draw) for _ in range(runs)], RULES)

    def measurements(self, draw: np.random.Generator) -> list[Measurement]:
        """What a record has of such a run."""
        return as_measurements(self.run(draw))


def as_measurements(run: RunSeries) -> list[Measurement]:
    """The series of a run as a record keeps them."""
    names = {
        "compute": "compute",
        "communication": "exposed_communication",
        "data_wait": "data_wait",
        "other": "other",
    }
    found = [measurement("train.step_time", run.step.tolist())]
    found += [measurement(f"train.{names[part]}_time", values.tolist()) for part, values in run.parts.items()]
    if run.stalls:
        found.append(measurement("train.checkpoint_stall_time", list(run.stalls)))
    whole = sum(float(values.sum()) for values in run.parts.values()) + sum(run.stalls or ())
    found.append(measurement("train.productive_fraction", [float(run.parts["compute"].sum()) / whole]))
    return found + by_rank(run.own)


def by_rank(own: np.ndarray | None) -> list[Measurement]:
    """Each rank's own time of every step."""
    if own is None:
        return []
    return [measurement("train.rank_time", own[:, r].tolist(), {"rank": r}) for r in range(own.shape[1])]


def pairs(rates: Sequence[tuple[str, str, float]], ceiling: float | None = None) -> list[Measurement]:
    """Every pair of hosts alone, GB/s."""
    basis = None if ceiling is None else "the slower NIC of the two"
    return [
        measurement(
            "bisection.pair_bandwidth",
            [rate * f for f in (0.99, 1.0, 1.01)],
            {"how": "rounds", "scope": "between_hosts", "scale": 4, "first": a, "second": b},
            ceiling,
            basis,
        )
        for a, b, rate in rates
    ]
