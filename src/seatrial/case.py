"""A case: one fully resolved point of a study, named by the hash of its resolved content."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

from pydantic import BaseModel, ValidationError

from seatrial.config.base import Closed, PositiveInt, Slug, first_mistake
from seatrial.config.launcher import Launcher
from seatrial.config.probe import Preparation
from seatrial.config.target import Target
from seatrial.config.workload import AnyWorkload
from seatrial.errors import UnreadableFile
from seatrial.paths import write_text

NOT_IDENTITY = {"prices", "notes", "description"}
"""Parts of a target that never change what is measured; they stay out of the hash."""
PATIENCE = {"rank_timeout_minutes"}
"""Parts of a workload that say when to give up, not what is measured; they stay out of the hash."""
SCHEDULING = {
    "account",
    "partition",
    "qos",
    "reservation",
    "exclude",
    "slurm_extra",
    "gpus_request",
    "retry_memory_factor",
    "retry_time_factor",
    "longest_minutes",
}
"""Launcher words that say where and for how long a job queues, not what it measures; they stay out of the hash."""


class Case(Closed):
    """One point of a study; `axes` holds the swept values of this point by axis name."""

    schema_version: int = 1
    case_id: str
    study: Slug
    experiment: Slug
    repeats: PositiveInt
    base_seed: PositiveInt
    axes: dict[str, Any] = {}
    workload: AnyWorkload
    target: Target

    def seed(self, repeat: int) -> int:
        """The seed of one repeat (0-based)."""
        return self.base_seed + repeat

    @property
    def preparations(self) -> list[Preparation]:
        """What has to be prepared, once for all cases that need it, before the case can run."""
        return self.workload.preparations()

    @property
    def prepared_ids(self) -> list[str]:
        """The ids of the preparations, in their order."""
        return [prepared_id(spec) for spec in self.preparations]

    def to_json(self) -> str:
        """Canonical text: sorted keys, two-space indent, newline at the end."""
        return next(case_texts([self]))

    def write(self, path: Path) -> None:
        write_text(path, self.to_json())

    @classmethod
    def read(cls, path: Path) -> Case:
        """Read a case file and check that its id is the hash of its content.

        Raises UnreadableFile where the file is not a case or was changed by hand.
        """
        try:
            case = cls.model_validate_json(path.read_text(encoding="utf-8"))
        except (OSError, UnicodeDecodeError) as problem:
            raise UnreadableFile(path, str(problem)) from problem
        except ValidationError as problem:
            raise UnreadableFile(path, first_mistake(problem)) from problem
        expected = case_id(case.experiment, case.workload, case.target, case.base_seed)
        if case.case_id != expected:
            raise UnreadableFile(
                path,
                f"case_id {case.case_id} is not the hash of its content ({expected}); was it edited, or written by "
                "an earlier version of Seatrial? Then plan and run it again",
            )
        return case


def case_texts(cases: Iterable[Case]) -> Iterator[str]:
    """The text of each case's file, in order. A target that several share is written out once."""
    targets: dict[int, tuple[Target, str]] = {}
    for case in cases:
        found = targets.get(id(case.target))
        if found is None:
            # the target is kept beside its text, so that no other comes to have its id
            found = targets[id(case.target)] = case.target, _indented(case.target.model_dump(mode="json"))
        parts = {key: _indented(value) for key, value in case.model_dump(mode="json", exclude={"target"}).items()}
        parts["target"] = found[1]
        yield "{\n  " + ",\n  ".join(f'"{key}": {parts[key]}' for key in sorted(parts)) + "\n}\n"


def case_gists(cases: Iterable[Case]) -> Iterator[str]:
    """A line for each case that changes whenever its file would; the texts of ten thousand files are 30 MB.

    The id stands for the workload but its PATIENCE; what else the file holds is in the line, a target where it is
    first met.
    """
    targets: dict[int, tuple[Target, int]] = {}
    for case in cases:
        new = id(case.target) not in targets
        number = targets.setdefault(id(case.target), (case.target, len(targets)))[1]
        target = case.target.model_dump(mode="json") if new else number
        patience = [getattr(case.workload, key, None) for key in sorted(PATIENCE)]
        facts = [case.schema_version, case.case_id, case.study, case.experiment, case.repeats, case.base_seed]
        yield json.dumps([*facts, case.axes, patience, target], sort_keys=True, default=str) + "\n"


def _indented(content: object) -> str:
    """The JSON of a value that stands one level deep. No text in JSON holds a bare newline."""
    if not isinstance(content, dict | list):
        return json.dumps(content)  # quicker: without an indent there is no encoder to set up
    return json.dumps(content, indent=2, sort_keys=True).replace("\n", "\n  ")


def content_hash(content: object) -> str:
    """The first 16 hex digits of SHA-256 over the canonical JSON of `content`."""
    return text_hash([canonical(content)])


def canonical(content: object) -> str:
    """JSON with sorted keys and without blanks."""
    return _CANONICAL.encode(content)


# json.dumps would set one up for every call
_CANONICAL = json.JSONEncoder(sort_keys=True, separators=(",", ":"), allow_nan=False)


def text_hash(pieces: Iterable[str]) -> str:
    """The first 16 hex digits of SHA-256 over texts one after the other."""
    digest = hashlib.sha256()
    for piece in pieces:
        digest.update(piece.encode())
    return digest.hexdigest()[:16]


def case_id(
    experiment: str, workload: AnyWorkload, target: Target, base_seed: int, facts: str | None = None
) -> str:
    """The id of a case: the hash of everything that can change what is measured.

    `facts` are the target's (`target_facts`), where they are known already.
    """
    work = canonical(workload.model_dump(mode="json", exclude=PATIENCE))
    known = target_facts(target) if facts is None else facts
    # the canonical JSON of the four, in the order of their names
    return text_hash(
        [f'{{"base_seed":{base_seed},"experiment":{canonical(experiment)},"target":{known},"workload":{work}}}']
    )


def target_facts(target: Target) -> str:
    """Canonical JSON of what of a target can change what is measured."""
    return TargetFacts().of(target)


class TargetFacts:
    """`target_facts` of many targets: a part that several share is written out once."""

    def __init__(self) -> None:
        self._known: dict[int, tuple[BaseModel, str]] = {}
        """By the part's id, with the part, so that no other comes to have its id."""

    def of(self, target: Target) -> str:
        """Those of one target."""
        return _object((name, self._of_field(target, name)) for name in _TARGET_FIELDS)

    def _of_field(self, target: Target, name: str) -> str:
        if name == "node":
            # of the bare node only its CPUs: they set the threads, while detected memory differs by a kernel update
            return canonical({"cpus": target.node.cpus})
        value = getattr(target, name)
        if isinstance(value, dict):
            return _object((key, self._text(value[key])) for key in sorted(value))
        return self._text(value)

    def _text(self, value: object) -> str:
        if not isinstance(value, BaseModel):
            return canonical(value)
        if id(value) not in self._known:
            left_out = SCHEDULING if isinstance(value, Launcher) else None
            self._known[id(value)] = value, canonical(value.model_dump(mode="json", exclude=left_out))
        return self._known[id(value)][1]


_TARGET_FIELDS = sorted(set(Target.model_fields) - NOT_IDENTITY)


def _object(parts: Iterable[tuple[str, str]]) -> str:
    """The canonical JSON of an object, from that of its parts in the order of their names."""
    return "{" + ",".join([f'"{name}":{text}' for name, text in parts]) + "}"


def prepared_id(spec: Preparation) -> str:
    """The id of a preparation: the hash of its specification."""
    return content_hash(spec.model_dump(mode="json"))
