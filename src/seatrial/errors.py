"""Every failure that a user can meet, and what it means for the exit code.

SeatrialError
 +-- ConfigError            wrong usage or configuration; exit code 2, nothing written
 |    +-- PlanRefused       a sound plan that exceeds what the study allows
 +-- UnreadableFile         a record, table or log that is not what it should be; exit code 2
 +-- CannotWrite            a full disk, a read-only folder, a quota; exit code 2, nothing half-written
 +-- StudyBusy              another process works on this study; exit code 2
 +-- MeasurementFailed      a repeat that failed and can say why; becomes the record's error
 +-- Unsupported            this machine cannot run the workload; becomes outcome `unsupported`
"""

from __future__ import annotations

import difflib
from collections.abc import Iterable
from pathlib import Path

EXIT_OK = 0
EXIT_FAIL = 1
EXIT_USAGE = 2
EXIT_UNKNOWN = 3
EXIT_FAULT = 4

ERROR_KINDS = (
    "timeout",
    "out_of_memory",
    "node_fail",
    "cancelled",
    "preempted",
    "diverged",
    "target_not_reached",
    "wrong_result",
    "crashed",
    "unsupported",
)
"""Allowed values of a record's `error.kind`."""


MOST_NAMES = 200
"""Of what is allowed, so many are named: an axis may have ten thousand values."""


class SeatrialError(Exception):
    """Base of all errors whose message is meant for the user."""

    exit_code = EXIT_USAGE


class ConfigError(SeatrialError):
    """Wrong configuration: names file, key, value, what is allowed and the nearest spelling."""

    def __init__(
        self,
        problem: str,
        *,
        file: Path | str | None = None,
        key: str | None = None,
        value: object = None,
        allowed: str | Iterable[str] | None = None,
        nearest: str | None = None,
    ) -> None:
        self.problem, self.file, self.key, self.value = problem, file, key, value
        if allowed is not None and not isinstance(allowed, str):
            names = sorted(str(a) for a in allowed)
            if nearest is None and key is not None:
                nearest = nearest_name(str(value) if value is not None else key.split(".")[-1], names)
            more = len(names) - MOST_NAMES
            allowed = ", ".join(names[:MOST_NAMES]) + (f" (and {more} more)" if more > 0 else "")
        self.allowed, self.nearest = allowed, nearest
        super().__init__(self._words())

    def at(self, key: str, file: Path | str | None) -> ConfigError:
        """The same mistake, by the key under which its author wrote it."""
        return ConfigError(
            self.problem, file=file, key=key, value=self.value, allowed=self.allowed, nearest=self.nearest
        )

    def _words(self) -> str:
        lines = [self.problem]
        if self.file is not None:
            lines.append(f"  file:    {self.file}")
        if self.key is not None:
            lines.append(f"  key:     {self.key}")
        if self.value is not None:
            lines.append(f"  value:   {self.value!r}")
        if self.nearest:  # before what is allowed, which may be long
            lines.append(f"  nearest: did you mean {self.nearest!r}?")
        if self.allowed:
            lines.append(f"  allowed: {self.allowed}")
        return "\n".join(lines)


class FieldMistake(ValueError):
    """What a schema's own check finds wrong: which field (below the checked one), its value, what is allowed."""

    def __init__(
        self,
        problem: str,
        *,
        field: str | None = None,
        value: object = None,
        allowed: str | Iterable[str] | None = None,
    ) -> None:
        self.field, self.value, self.allowed = field, value, allowed
        super().__init__(problem)


class PlanRefused(ConfigError):
    """The plan is sound but larger than the study allows."""


class UnreadableFile(SeatrialError):
    """A file that exists but is not what its name says; names the file and what is wrong with it."""

    def __init__(self, file: Path | str, problem: str) -> None:
        self.file, self.problem = file, problem
        super().__init__(f"cannot read {file}: {problem}")


class CannotWrite(SeatrialError, OSError):
    """A file that cannot be written for a reason that the user can mend; what was there before is untouched."""

    def __init__(self, file: Path | str, problem: str) -> None:
        self.file, self.problem = file, problem
        super().__init__(f"cannot write {file}: {problem}. Nothing half-written is left; mend it and start again")


class StudyBusy(SeatrialError):
    """Another process works on the same study."""


class MeasurementFailed(SeatrialError):
    """A repeat that failed in words: `kind` is one of ERROR_KINDS."""

    def __init__(self, kind: str, message: str) -> None:
        if kind not in ERROR_KINDS:
            raise ValueError(f"unknown error kind {kind!r}; allowed: {', '.join(ERROR_KINDS)}")
        self.kind = kind
        super().__init__(message)


class Unsupported(SeatrialError):
    """This machine cannot run the workload (a dtype or device that is not there)."""


def nearest_name(word: str, names: Iterable[str]) -> str | None:
    """The name spelt most like `word`, or None where nothing is near."""
    close = difflib.get_close_matches(word, list(names), n=1, cutoff=0.6)
    return close[0] if close else None
