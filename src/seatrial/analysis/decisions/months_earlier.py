"""From the hours of a run to days of a decision, months earlier and what they are worth."""

from __future__ import annotations

import numpy as np

from seatrial.analysis.decisions.propagation import Draws

HOURS_PER_DAY = 24.0
DAYS_PER_YEAR = 365.25
DAYS_PER_MONTH = DAYS_PER_YEAR / 12


def days_per_decision(runs: Draws, at_once: Draws, completed: Draws, run_hours: Draws, people_days: Draws) -> Draws:
    """Days of one decision: its runs, `at_once` side by side, each `run_hours` from submission, then people's days.

    Of the runs a share `completed` ends with a result; the others are run again.
    """
    waves = np.maximum(1.0, runs / at_once) / completed
    return waves * run_hours / HOURS_PER_DAY + people_days


def months_earlier(decisions: Draws, days: Draws, other_days: Draws, share: Draws) -> Draws:
    """Months by which `decisions` decisions of `days` each are through before those of `other_days` each."""
    return share * decisions * (other_days - days) / DAYS_PER_MONTH


def worth(months: Draws, revenue_per_day: Draws) -> Draws:
    """Revenue per day x days: revenue, not profit, and not discounted."""
    return months * DAYS_PER_MONTH * revenue_per_day
