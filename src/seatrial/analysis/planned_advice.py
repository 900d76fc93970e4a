"""What a plan's author should set before anything runs, so that its criteria can say what they are meant to."""

from __future__ import annotations

from collections.abc import Sequence

from seatrial.analysis.gaps import OF_A_MACHINE, asks_for_some_ranks
from seatrial.analysis.planned_power import OF_EVERY_RANK, Power
from seatrial.config.study import Study

OF_RANKS = ("gemm.", "memory.", OF_A_MACHINE)
"""Metrics that begin so are of every rank or machine, as OF_EVERY_RANK is."""


def advice(study: Study, found: Sequence[Power]) -> list[str]:
    """A line where the noise of some criteria is not known, and one where no fleet says which nodes must run."""
    lines = []
    unknown = dict.fromkeys(p.criterion.metric for p in found if p.cases and p.noise is None)
    if unknown:
        lines.append(
            f"noise not known of {', '.join(unknown)}: run a few repeats and name that study as noise.earlier, or "
            "state it as noise.metrics.METRIC {value, source}; what the repeats settle is then said"
        )
    of_ranks = [p.criterion.name for p in found if p.cases and _is_of_every_rank(p)]
    if of_ranks and not study.fleet:
        lines.append(
            f"fleet is not set: {', '.join(of_ranks)} can pass although nodes that you buy never ran; "
            'name all of them, as fleet: ["gpu[01-16]"]'
        )
    return lines


def _is_of_every_rank(found: Power) -> bool:
    metric, where = found.criterion.metric, found.criterion.where
    return (metric in OF_EVERY_RANK or metric.startswith(OF_RANKS)) and not asks_for_some_ranks(metric, where)
