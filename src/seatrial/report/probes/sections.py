"""The sections of the probes: figures, tables and words, one section for a kind."""

from __future__ import annotations

from collections.abc import Callable

from seatrial.report import ablation, against, nodes, noise
from seatrial.report.probes import (
    bisection,
    checkpoint,
    collective,
    dataload,
    devices,
    moe_alltoall,
    screen,
    storage_results,
)
from seatrial.report.probes.section import ProbeSection
from seatrial.report.study_tables import StudyTables

__all__ = ["SECTIONS", "ProbeSection"]

SECTIONS: tuple[Callable[[StudyTables], ProbeSection | None], ...] = (
    devices.section,
    collective.section,
    bisection.section,
    screen.section,
    moe_alltoall.section,
    checkpoint.section,
    dataload.section,
    storage_results.section,
    ablation.section,
    nodes.section,
    against.section,
    noise.section,
)
"""In the order of the page; None where the study has no such probe."""
