"""System descriptions and scaling factors: the small JSON files of a submission."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

from seatrial.ingest.mlperf.result import System

MOST_BYTES = 1 << 20
"""No description is larger; a larger file is not one."""


class NotReadable(ValueError):
    """A small JSON file that is not what its name says."""


def read_json(content: bytes) -> Mapping[str, Any]:
    """The object in a JSON file. Raises NotReadable, in words."""
    if len(content) > MOST_BYTES:
        raise NotReadable("too large to be a description")
    try:
        text = content.decode("utf-8-sig")
    except UnicodeDecodeError:
        # some descriptions are latin-1, in which every byte is a letter
        text = content.decode("latin-1")
    try:
        found = json.loads(text)
    except (ValueError, RecursionError) as problem:
        raise NotReadable(f"not JSON: {problem}") from None
    if not isinstance(found, dict):
        raise NotReadable("not a JSON object")
    return found


def system_of(description: Mapping[str, Any]) -> System:
    """The fields of a system description that matter here; numbers stand in it as text."""
    return System(
        submitter=_text(description.get("submitter")),
        division=_text(description.get("division")),
        status=_text(description.get("status")),
        name=_text(description.get("system_name")),
        nodes=_count(description.get("number_of_nodes")),
        accelerators_per_node=_count(description.get("accelerators_per_node")),
        accelerator_model=_text(description.get("accelerator_model_name")),
        framework=_text(description.get("framework")),
        description=description,
    )


def scaling_factor(content: Mapping[str, Any]) -> float:
    """The factor of a scaling.json. Raises NotReadable where it is no number above 0."""
    factor = content.get("scaling_factor")
    if isinstance(factor, bool) or not isinstance(factor, (int, float)) or not (0 < factor < 1e300):
        raise NotReadable(f"scaling_factor is {factor!r}, not a number above 0")
    return float(factor)


def _text(value: object) -> str | None:
    text = "" if value is None else str(value).strip()
    return text or None


def _count(value: object) -> int | None:
    try:
        number = int(str(value).strip())
    except ValueError:
        return None
    return number if number >= 0 else None
