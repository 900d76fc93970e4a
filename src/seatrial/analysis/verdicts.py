"""Tables and criteria -> verdicts.json and junit.xml; and what `seatrial verdict` says of them."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from typing import Any

from seatrial.analysis.inputs import PlannedStudy, read_plan
from seatrial.analysis.judge import Judge
from seatrial.analysis.judgement import PRECEDENCE, Judgement
from seatrial.analysis.junit import junit_xml
from seatrial.analysis.verdict_file import Verdict, criterion_columns, read_verdicts
from seatrial.config.criterion import Criterion
from seatrial.errors import EXIT_FAIL, EXIT_OK, EXIT_UNKNOWN
from seatrial.paths import StudyPaths, write_text

NO_CRITERIA = "no_criteria"
"""What `overall` says of a study that declares no criterion."""
TAKEN_AS_THEY_STAND = (
    "(from the tables as they stand; `seatrial bundle verify` makes them again from the records and compares)"
)


def verdicts(paths: StudyPaths) -> None:
    """Write verdicts.json and junit.xml, one verdict per criterion in the study's order."""
    plan = read_plan(paths)
    found = judged(plan, Judge(paths, plan))
    write_text(paths.verdicts, json.dumps(found, indent=2, sort_keys=True, allow_nan=False) + "\n")
    write_text(paths.verdicts.with_name("junit.xml"), junit_xml(plan.study.name, found))


def judged(plan: PlannedStudy, judge: Judge) -> list[Verdict]:
    """The entries of verdicts.json, from the tables that `judge` has."""
    return [_as_json(c, judge.judge(c)) for c in plan.study.criteria]


def overall(found: Sequence[Mapping[str, Any]]) -> str:
    """The study's verdict: fail where any criterion fails, pass where all pass, else what stands in the way."""
    words = {verdict["verdict"] for verdict in found}
    if not words:
        return NO_CRITERIA
    return next(word for word in PRECEDENCE if word in words)


def exit_code(found: Sequence[Mapping[str, Any]]) -> int:
    """0 where all criteria pass or there are none, 1 where any fails, else 3."""
    word = overall(found)
    if word in ("pass", NO_CRITERIA):
        return EXIT_OK
    return EXIT_FAIL if word == "fail" else EXIT_UNKNOWN


def verdict_lines(paths: StudyPaths) -> list[str]:
    """What `seatrial verdict` prints: a line per criterion, what they rest on, and one for the study.

    Raises UnreadableFile where the study has not been analysed, or verdicts.json is not of its criteria.
    """
    found = read_verdicts(paths)
    lines = [f"{_words(v['verdict']):<12}  {v['criterion']}: {v['reason']}" for v in found]
    lines += [TAKEN_AS_THEY_STAND] if found else []
    return [*lines, f"verdict of {read_plan(paths).study.name}: {overall_in_words(found)}"]


def overall_in_words(found: Sequence[Mapping[str, Any]]) -> str:
    """'pass (2 of 2 criteria)', 'incomplete (1 pass, 1 incomplete)' or that there are no criteria."""
    word = overall(found)
    if word == NO_CRITERIA:
        return "no criteria declared, so there is nothing to pass or fail"
    counts = [(sum(v["verdict"] == w for v in found), w) for w in reversed(PRECEDENCE)]
    if word == "pass":
        return f"pass ({len(found)} of {len(found)} criteria)"
    return f"{_words(word)} ({', '.join(f'{n} {_words(w)}' for n, w in counts if n)})"


def _words(verdict: str) -> str:
    return verdict.replace("_", " ")


def _as_json(criterion: Criterion, judgement: Judgement) -> Verdict:
    return {
        **criterion_columns(criterion),
        "verdict": judgement.verdict,
        "measured": judgement.measured,
        "low": judgement.low,
        "high": judgement.high,
        "n": judgement.n,
        "n_needed": judgement.n_needed,
        "needed_of": judgement.needed_of,
        "reason": judgement.reason,
    }
