"""tables/procurement.csv: a row for each proposal and question, what is needed beside what is there."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from seatrial.analysis.decisions.decision import Figure
from seatrial.analysis.decisions.procurement.projection import Projection
from seatrial.analysis.decisions.procurement.questions import Answer
from seatrial.analysis.tables import write_csv
from seatrial.paths import StudyPaths

COLUMNS = (
    "study",
    "proposal",
    "target",
    "nodes",
    "accelerators",
    "model",
    "question",
    "expert_ranks",
    "unit",
    *(f"{name}{end}" for name in ("needed", "has", "ratio") for end in ("", "_low", "_high")),
    "interval_method",
    "standing",
    "basis",
    "source",
    "note",
)
"""`ratio`: needed over has, above 1 it is too little; `basis`: whether `has` was measured here, given by the study
or is the target's stated ceiling; `expert_ranks`: of all-to-all and
bisection, how many ranks share a layer's experts."""
TEXT = (
    "study",
    "proposal",
    "target",
    "model",
    "question",
    "unit",
    "interval_method",
    "standing",
    "basis",
    "source",
    "note",
)
"""The columns that hold words."""


def write_table(paths: StudyPaths, study: str, projections: Sequence[Projection]) -> None:
    """Write the table, proposals in their order, questions in theirs."""
    rows = [_row(study, one, found) for one in projections for found in one.answers]
    write_csv(paths.procurement, COLUMNS, rows)


def _row(study: str, one: Projection, found: Answer) -> dict[str, Any]:
    return {
        "study": study,
        "proposal": one.name,
        "target": one.proposal.target.name,
        "nodes": one.proposal.nodes,
        "accelerators": one.accelerators,
        "model": one.procurement.planned.description,
        "question": found.question,
        "expert_ranks": found.group,
        "unit": found.unit,
        **_ends("needed", found.needed),
        **_ends("has", found.has),
        **_ends("ratio", found.ratio),
        "interval_method": found.ratio.method or None,
        "standing": found.standing,
        "basis": found.basis,
        "source": found.source or None,
        "note": found.note or None,
    }


def _ends(name: str, figure: Figure) -> dict[str, float | None]:
    return {name: figure.value, f"{name}_low": figure.low, f"{name}_high": figure.high}
