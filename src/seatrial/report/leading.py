"""The decision that a study is about: its answer leads the page and the summary."""

from __future__ import annotations

from collections.abc import Sequence

from seatrial.analysis.decisions.cost import KIND as COST
from seatrial.analysis.decisions.decision import Decision
from seatrial.report.study_tables import StudyTables
from seatrial.report.worst_decisions import worst_first


def leading(study: StudyTables, decisions: Sequence[Decision] | None = None) -> Decision | None:
    """The first of `decisions` (the study's own where None) that was asked for, where nothing was to pass or fail.

    Of a study that only decides it is the first of all; of others the worst of its kind, and never what a run
    costs, which is said of every training that has a price.
    """
    found = study.decisions if decisions is None else decisions
    if not study.cases and found:
        return found[0] if only_decides(study) else None
    compared = any(row["ratio"] is not None for row in study.comparison)
    judged = study.verdicts or compared or study.survey is not None or study.unbelieved is not None
    asked = [one for one in worst_first(found) if one.kind != COST]
    return asked[0] if asked and not judged else None


def only_decides(study: StudyTables) -> bool:
    """Whether a decision is all that the study has: nothing ran or is compared, no criterion is declared."""
    judged = study.verdicts or study.unbelieved is not None
    return bool(study.decisions) and not (study.cases or study.comparison or study.survey is not None or judged)
