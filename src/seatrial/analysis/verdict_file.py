"""Reading verdicts.json: nothing in it is taken for a verdict unless it is one, of this study's criteria."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Literal

from pydantic import Field, TypeAdapter, ValidationError, model_validator

from seatrial.analysis.inputs import read_plan
from seatrial.analysis.judgement import Word
from seatrial.analysis.time_to_quality import TO_QUALITY
from seatrial.config.base import Closed, NonNegativeInt, PositiveInt, first_mistake
from seatrial.config.criterion import RATIO, Criterion
from seatrial.config.metrics import METRICS
from seatrial.errors import UnreadableFile
from seatrial.paths import StudyPaths

REMEDY = "`seatrial analyse` makes it again"
Verdict = dict[str, Any]
OF_REFERENCE = "of the reference"


class VerdictEntry(Closed):
    """One entry of verdicts.json: a criterion and what was found of it; figures are None where there are none.

    A fail because runs did not converge may lack figures: they are infinite.
    """

    criterion: str
    metric: str
    where: dict[str, Any]
    verdict: Word
    measured: float | None
    low: float | None
    high: float | None
    required: float
    n: NonNegativeInt
    n_needed: NonNegativeInt | None
    needed_of: Literal["repeats", "samples"]
    """What `n_needed` counts: `samples` where a single repeat is too short."""
    reason: str = Field(min_length=1)
    bound: Literal["at_least", "at_most"]
    unit: str
    confidence: float
    minimum_repeats: PositiveInt
    source: str | None
    reference: dict[str, Any] | None
    """The agreed value and its source, where the bound is a multiple of one."""

    @model_validator(mode="after")
    def _measured(self) -> VerdictEntry:
        infinite = self.verdict == "fail" and self.bound == "at_most" and self.metric in TO_QUALITY and self.n > 0
        if self.verdict in ("pass", "fail") and not infinite and None in (self.measured, self.low, self.high):
            raise ValueError(f"a {self.verdict} without a measured value and its bounds")
        return self


def unit_of(criterion: Criterion) -> str:
    """What a criterion's bound and figures are counted in."""
    if criterion.unit_of == "value":
        return METRICS[criterion.metric].unit if criterion.metric in METRICS else "ratio"
    return "of the ceiling" if criterion.unit_of == "ceiling" else OF_REFERENCE


def is_of_published(verdict: Mapping[str, Any]) -> bool:
    """Whether a verdict rests on a row of tables/comparison.csv."""
    return verdict["metric"] == RATIO or (verdict["unit"] == OF_REFERENCE and verdict["reference"] is None)


def criterion_columns(criterion: Criterion) -> Verdict:
    """What an entry says of the criterion itself."""
    return {
        "criterion": criterion.name,
        "metric": criterion.metric,
        "where": criterion.where,
        "required": criterion.required,
        "bound": "at_least" if criterion.at_least is not None else "at_most",
        "unit": unit_of(criterion),
        "confidence": criterion.confidence,
        "minimum_repeats": criterion.minimum_repeats,
        "source": criterion.source,
        "reference": criterion.reference.model_dump() if criterion.reference is not None else None,
    }


def read_verdicts(paths: StudyPaths) -> list[Verdict]:
    """verdicts.json, one entry for each criterion of the study, in order.

    Raises UnreadableFile where it is absent, not a list of verdicts, or not of the criteria in study.json.
    """
    file = paths.verdicts
    try:
        entries = TypeAdapter(list[VerdictEntry]).validate_json(file.read_text(encoding="utf-8"))
    except FileNotFoundError:
        raise UnreadableFile(file, "it does not exist; run `seatrial analyse` first") from None
    except (OSError, UnicodeDecodeError) as problem:
        raise UnreadableFile(file, str(problem)) from problem
    except ValidationError as problem:
        raise UnreadableFile(file, f"not a list of verdicts: {first_mistake(problem)}; {REMEDY}") from problem
    found = [entry.model_dump() for entry in entries]
    if paths.study.exists():
        problem_in_words = _unlike(found, read_plan(paths).study.criteria)
        if problem_in_words:
            raise UnreadableFile(file, f"{problem_in_words}; {REMEDY}")
    return found


def _unlike(found: list[Verdict], criteria: list[Criterion]) -> str | None:
    """How the entries differ from the study's criteria, or None."""
    names, wanted = [entry["criterion"] for entry in found], [criterion.name for criterion in criteria]
    if names != wanted:
        words = [", ".join(some) or "none" for some in (names, wanted)]
        return f"it has verdicts on {words[0]}, the study's criteria are {words[1]}"
    for entry, criterion in zip(found, criteria, strict=True):
        for key, value in criterion_columns(criterion).items():
            if entry[key] != value:
                return f"{key} of {criterion.name} is {entry[key]!r}, in study.json {value!r}"
    return None
