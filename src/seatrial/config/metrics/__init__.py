"""Every metric that a record can hold: its unit and which direction is better. Labels carry the dimensions."""

from __future__ import annotations

from seatrial.config.metrics.handed_over import HANDED_OVER
from seatrial.config.metrics.metric import Direction, Metric
from seatrial.config.metrics.probes import PROBES
from seatrial.config.metrics.telemetry import TELEMETRY
from seatrial.config.metrics.training import TRAININGS

__all__ = ["METRICS", "Direction", "Metric"]

METRICS: dict[str, Metric] = {**PROBES, **TRAININGS, **TELEMETRY, **HANDED_OVER}
