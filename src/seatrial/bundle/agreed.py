"""Whether a bundle is of the study that was agreed on: a criterion may have been softened before anything ran."""

from __future__ import annotations

import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from pydantic import ValidationError

from seatrial.analysis.inputs import PlannedStudy
from seatrial.analysis.verdict_file import unit_of
from seatrial.config.base import first_mistake
from seatrial.config.criterion import Criterion
from seatrial.errors import ConfigError, UnreadableFile
from seatrial.planned import agreed_digest, agreed_parts

DIGEST = re.compile("[0-9a-f]{64}")
Agreed = str | Mapping[str, Any]
"""The SHA-256 that `seatrial plan` prints, or the content of a study.json."""


def read_agreed(words: str) -> Agreed:
    """What stands behind `--study`: a digest, or the path of a study.json.

    Raises ConfigError for what is neither, UnreadableFile for a file that is no study.json.
    """
    if DIGEST.fullmatch(words):
        return words
    if not Path(words).is_file():
        raise ConfigError(
            "neither a study nor a digest",
            key="--study",
            value=words,
            allowed="the path of a study.json, or the 64 digits that `seatrial plan` prints behind `agreed:`",
        )
    return read_content(Path(words))


def read_content(path: Path) -> dict[str, Any]:
    """The content of a study.json with its defaults. Raises UnreadableFile for what is none."""
    try:
        return PlannedStudy.model_validate_json(path.read_text(encoding="utf-8")).model_dump(mode="json")
    except ValidationError as problem:
        raise UnreadableFile(path, first_mistake(problem)) from problem
    except (OSError, UnicodeDecodeError) as problem:
        raise UnreadableFile(path, str(problem)) from problem


def unlike_agreed(bundled: Mapping[str, Any], agreed: Agreed) -> list[str]:
    """What of the bundled study is not as agreed, in words; of a digest only that something is not."""
    if isinstance(agreed, str):
        found = agreed_digest(bundled)
        return [] if found == agreed else [f"the study's digest is {found}, agreed was {agreed}"]
    return list(_unlike("", agreed_parts(bundled), agreed_parts(agreed)))


def _unlike(place: str, one: Any, agreed: Any) -> list[str]:
    """Each place where both differ, as a path of keys and numbers."""
    if isinstance(one, dict) and isinstance(agreed, dict):
        pairs = [(key, one.get(key), agreed.get(key)) for key in sorted(one.keys() | agreed.keys())]
    elif isinstance(one, list) and isinstance(agreed, list) and len(one) == len(agreed):
        pairs = [(str(number), a, b) for number, (a, b) in enumerate(zip(one, agreed, strict=True))]
    else:
        return [] if one == agreed else [f"{place} is {one!r}, agreed was {agreed!r}"]
    return [words for key, a, b in pairs for words in _unlike(f"{place}.{key}" if place else key, a, b)]


def criterion_words(criterion: Criterion) -> str:
    """'fast: collective.bus_bandwidth at least 9 GB/s (n at least 3, 95 % sure)'."""
    bound = "at least" if criterion.at_least is not None else "at most"
    where = "".join(f", {key} = {value}" for key, value in sorted(criterion.where.items()))
    return (
        f"{criterion.name}: {criterion.metric}{where} {bound} {criterion.required:g} {unit_of(criterion)} "
        f"(at least {criterion.minimum_repeats} repeats, {100 * criterion.confidence:g} % sure)"
    )
