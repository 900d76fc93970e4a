"""When a study may end, from how long its completed repeats took and how many run at a time."""

from __future__ import annotations

import datetime as dt
import statistics
from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from seatrial.case import Case

TO_RUN = ("running", "suspended", "pending", "submitted", "waiting")
"""States of repeats that are still to be worked on."""

Progress = tuple[Case, str, dt.datetime | None, float | None]
"""A repeat: its case, its state, since when it runs, and of a completed one how many minutes it took."""


@dataclass(frozen=True)
class Estimate:
    """When all will have run (None: not known), and how that was reckoned, or why it is not known."""

    end: dt.datetime | None
    how: str

    def to_json(self) -> dict[str, Any]:
        return {"end": None if self.end is None else self.end.isoformat(timespec="minutes"), "how": self.how}


def estimate(repeats: Sequence[Progress], now: dt.datetime) -> Estimate:
    """The minutes still to work, shared by as many as run now; never less than the longest repeat still needs.

    A repeat takes the median of the completed ones of its case, else of its experiment. What jobs will yet wait
    in a queue that others use is not in it.
    """
    # for how long of its time a suspended job was suspended nobody says
    left = [(case, since if state == "running" else None) for case, state, since, _ in repeats if state in TO_RUN]
    if not left:
        return Estimate(None, "not known: nothing is under way")
    by_case, by_experiment = _medians(repeats)
    unknown = {c.experiment for c, _ in left if c.case_id not in by_case and c.experiment not in by_experiment}
    if unknown:
        return Estimate(None, f"not known: no repeat of {', '.join(sorted(unknown))} has completed")
    running = sum(state == "running" for _, state, _, _ in repeats)
    if not running:
        return Estimate(None, "not known: nothing runs now")
    needed = []
    for case, since in left:
        typical = by_case.get(case.case_id, by_experiment.get(case.experiment, 0.0))
        needed.append(max(0.0, typical - _elapsed(since, now)))
    minutes = max(sum(needed) / running, *needed)
    took = sum(minutes is not None for *_, minutes in repeats)
    how = f"from {took} completed repeat(s), {running} running at a time; waiting for others' jobs is not in it"
    try:
        return Estimate(now + dt.timedelta(minutes=minutes), how)
    except OverflowError:
        return Estimate(None, f"not known: records say that {minutes:.3g} minutes are left")


def _medians(repeats: Sequence[Progress]) -> tuple[dict[str, float], dict[str, float]]:
    """Median minutes of the completed repeats, by case and by experiment."""
    by_case: dict[str, list[float]] = defaultdict(list)
    by_experiment: dict[str, list[float]] = defaultdict(list)
    for case, _, _, minutes in repeats:
        if minutes is not None:
            by_case[case.case_id].append(minutes)
            by_experiment[case.experiment].append(minutes)
    return (
        {name: statistics.median(found) for name, found in by_case.items()},
        {name: statistics.median(found) for name, found in by_experiment.items()},
    )


def _elapsed(since: dt.datetime | None, now: dt.datetime) -> float:
    """Minutes since then; 0 where it is not known."""
    return 0.0 if since is None else max(0.0, (now - since).total_seconds() / 60)
