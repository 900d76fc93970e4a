"""decisions.json: written by `seatrial analyse`, read by the page; a list of decisions."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import asdict, replace

from pydantic import TypeAdapter, ValidationError

from seatrial.analysis.decisions.basis import Basis, read_basis
from seatrial.analysis.decisions.cost import cost
from seatrial.analysis.decisions.decision import Decision
from seatrial.analysis.decisions.finish_date import finish_date
from seatrial.analysis.decisions.own_or_cloud import own_or_cloud
from seatrial.analysis.decisions.procurement.decide import procurement
from seatrial.analysis.decisions.sensitivity import in_words
from seatrial.analysis.decisions.time_to_revenue import time_to_revenue
from seatrial.config.base import first_mistake
from seatrial.errors import UnreadableFile
from seatrial.paths import StudyPaths, write_text

REMEDY = "`seatrial analyse` makes it again"
DECIDERS: tuple[Callable[[Basis], list[Decision]], ...] = (
    cost,
    own_or_cloud,
    time_to_revenue,
    finish_date,
    procurement,
)
"""What is decided, in the order of the file: each returns nothing where the study does not ask for it."""


def decisions(paths: StudyPaths) -> list[Decision]:
    """Write decisions.json; an empty list where the study states nothing that a decision could follow from.

    Raises UnreadableFile where a stage before has not run.
    """
    found = decide(paths)
    content = [asdict(one) for one in found]
    write_text(paths.decisions, json.dumps(content, indent=1, ensure_ascii=False, allow_nan=False) + "\n")
    return found


def decide(paths: StudyPaths) -> list[Decision]:
    """All decisions of a study, from its plan and the tables that are there.

    Raises UnreadableFile where one of them is not.
    """
    basis = read_basis(paths)
    found = [decision for decider in DECIDERS for decision in decider(basis)]
    return [replace(one, moved=one.moved or in_words(one)) for one in found]


def read_decisions(paths: StudyPaths) -> list[Decision]:
    """The decisions of a study as `decisions` wrote them.

    Raises UnreadableFile where the file is absent or holds anything else.
    """
    try:
        return TypeAdapter(list[Decision]).validate_json(paths.decisions.read_bytes())
    except ValidationError as problem:
        raise UnreadableFile(paths.decisions, f"{first_mistake(problem)}; {REMEDY}") from problem
    except OSError as problem:
        raise UnreadableFile(paths.decisions, f"{problem}; {REMEDY}") from problem
