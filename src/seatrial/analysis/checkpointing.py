"""How often to save, and what saving costs: the formulas of Young and of Daly.

C: seconds that a checkpoint holds up the job; mu: seconds between failures of the whole job; tau: seconds of work
between two checkpoints; R: seconds of a restart. To first order the share of time that is lost is C / tau, to
write, plus tau / (2 mu), to do again what was not saved (J. W. Young, CACM 17(9), 1974), plus R / mu, which no
interval changes.
"""

from __future__ import annotations

import math

HOUR = 3600.0
FIRST_ORDER = 0.1
"""Of mu: a checkpoint that takes longer leaves the range in which the first-order formulas hold."""
NO_PROGRESS = 0.5
"""Of mu: from here on all time is lost even at Young's interval, where waste is sqrt(2 C / mu)."""


def checkpoint_bytes(parameters: float, bytes_per_parameter: float) -> float:
    """Bytes of a model's checkpoint."""
    return parameters * bytes_per_parameter


def seconds_between_failures(accelerator_hours: float, accelerators: int) -> float:
    """mu of a job on `accelerators` accelerators, any of which stops it."""
    return accelerator_hours * HOUR / accelerators


def young_interval(seconds: float, between_failures: float) -> float:
    """sqrt(2 C mu): the tau that loses least, to first order (Young 1974)."""
    return math.sqrt(2 * seconds * between_failures)


def daly_interval(seconds: float, between_failures: float) -> float:
    """The tau that loses least, to higher order; mu where C >= 2 mu (J. T. Daly, FGCS 22(3), 2006)."""
    half = seconds / (2 * between_failures)
    if half >= 1:
        return between_failures
    return young_interval(seconds, between_failures) * (1 + math.sqrt(half) / 3 + half / 9) - seconds


def blocking_share(seconds: float, interval: float) -> float:
    """C / tau: time that a training stands still to save, over the time that it trains."""
    return seconds / interval


def waste(seconds: float, interval: float, between_failures: float, restart: float = 0.0) -> float:
    """C / tau + tau / (2 mu) + R / mu: what saving, doing again and restarting cost of the time, to first order."""
    return blocking_share(seconds, interval) + (interval / 2 + restart) / between_failures


def required_bandwidth(
    size_bytes: float, overhead: float, between_failures: float, interval: float | None = None
) -> float:
    """Bytes per second at which blocking stays within `overhead` of the training time.

    At a given `interval`: bytes / (overhead tau). At Young's, which shrinks as storage gets faster, C / tau is
    sqrt(C / (2 mu)), so that C may be 2 mu overhead^2 at most.
    """
    allowed = overhead * interval if interval is not None else 2 * between_failures * overhead**2
    return size_bytes / allowed
