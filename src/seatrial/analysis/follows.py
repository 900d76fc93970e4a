"""Whether verdicts.json follows from the tables beside it: judging is deterministic, so it is done again.

A file of verdicts may be of before the repeats that the tables hold, or of somebody's hand.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from io import StringIO
from typing import Any

from seatrial.analysis.comparison import COLUMNS, compared
from seatrial.analysis.inputs import PlannedStudy, read_plan
from seatrial.analysis.judge import COMPARISON_TEXT, Judge
from seatrial.analysis.junit import junit_xml
from seatrial.analysis.tables import csv_text, parse_csv
from seatrial.analysis.verdict_file import Verdict, read_verdicts
from seatrial.analysis.verdicts import judged
from seatrial.errors import SeatrialError
from seatrial.paths import StudyPaths

ROUNDING = 1e-9
"""Relative: another machine's last digits are no other verdict."""
UNLIKE = "verdicts.json does not follow from the tables beside it: run `seatrial analyse`"
UNLIKE_JUNIT = "junit.xml does not say what verdicts.json says: run `seatrial analyse`"


def not_following(paths: StudyPaths) -> str | None:
    """Why verdicts.json cannot be believed, in a sentence, or None.

    The comparison with published results is made again too; measurements and repeats are taken as they stand.
    Raises UnreadableFile where verdicts.json itself cannot be read, or is not of the study's criteria.
    """
    stored, plan = read_verdicts(paths), read_plan(paths)
    junit = paths.verdicts.with_name("junit.xml")
    try:
        if junit.exists() and junit.read_text(encoding="utf-8") != junit_xml(plan.study.name, stored):
            return UNLIKE_JUNIT if _alike(stored, _judged_again(paths, plan)) else UNLIKE
        return None if _alike(stored, _judged_again(paths, plan)) else UNLIKE
    except (SeatrialError, OSError, UnicodeDecodeError) as problem:
        words = " ".join(str(problem).split())
        return f"whether verdicts.json follows from the tables beside it cannot be checked: {words}"


def _judged_again(paths: StudyPaths, plan: PlannedStudy) -> list[Verdict]:
    """The verdicts that the tables give now; nothing is read where there are no criteria."""
    criteria = plan.study.criteria
    if not criteria:
        return []
    table = None
    if any(criterion.is_of_published for criterion in criteria):
        table = parse_csv(StringIO(csv_text(COLUMNS, compared(paths)[0])), COMPARISON_TEXT)
    return judged(plan, Judge(paths, plan, table))


def _alike(stored: Sequence[Mapping[str, Any]], again: Sequence[Mapping[str, Any]]) -> bool:
    """Equal but for the rounding of figures; both are of the same criteria."""
    return all(_same(one[key], other[key]) for one, other in zip(stored, again, strict=True) for key in one)


def _same(one: Any, other: Any) -> bool:
    if isinstance(one, float) and isinstance(other, float):
        return math.isclose(one, other, rel_tol=ROUNDING)
    return bool(one == other)
