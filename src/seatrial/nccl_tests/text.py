"""Reads the text that nccl-tests prints, alone or among other output, of one run or several, of one rank or all.

A log is split by the launcher's labels first, so that ranks that print at the same time stay apart. In each stream
a run goes from its heading to its footer. What is neither is named, not dropped.
"""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from seatrial.nccl_tests.draft import Draft
from seatrial.nccl_tests.launcher import NCCL, without_label
from seatrial.nccl_tests.operations import binary_in
from seatrial.nccl_tests.run import ProgramRun, Unread
from seatrial.nccl_tests.trouble import failure_in

ESCAPE = re.compile(r"\x1b\[[0-9;]*[A-Za-z]")
"""What colours a terminal."""
Line = tuple[int, str]
"""1-based number and text."""
LONGEST = 4096
"""Characters; a longer line is none of nccl-tests, NCCL or a launcher."""
FORGOTTEN = 200
"""A command that was printed so many lines before a run is not taken for the run's own."""


@dataclass(frozen=True)
class TextReading:
    """The runs of a log in order, and what was not read in it."""

    runs: tuple[ProgramRun, ...]
    unread: tuple[Unread, ...]


def read_text(text: str, file: str) -> TextReading:
    """The runs that a log holds; `file` is how it is named. Any text can be read: it may hold none."""
    streams: dict[str, list[Line]] = defaultdict(list)
    text = ESCAPE.sub("", text).replace("\r\n", "\n").replace("\r", "\n")
    lines = text.removesuffix("\n").split("\n") if text else []
    too_long = []
    for number, line in enumerate(lines, 1):
        if len(line) > LONGEST:
            too_long.append(Unread(file, number, f"a line of {len(line)} characters"))
            continue
        label, rest = without_label(line)
        streams[label].append((number, rest))
    cut_off = len(lines) if lines and not text.endswith("\n") else None
    read = [_Stream(file, cut_off).read(stream) for stream in streams.values()]
    drafts = sorted((draft for stream in read for draft in stream.drafts), key=lambda draft: draft.first_line)
    unread = too_long + [entry for stream in read for entry in stream.unread]
    for stream in read:
        if not stream.drafts:
            unread += _told_by_others(stream.failures, drafts, file)
    return TextReading(tuple(draft.run(file) for draft in drafts), tuple(sorted(unread, key=_by_line)))


def _by_line(entry: Unread) -> int:
    return entry.line or 0


def _told_by_others(failures: Sequence[tuple[int, str]], drafts: Sequence[Draft], file: str) -> Iterator[Unread]:
    """Failures that processes without a table of their own told belong to the run that was going on."""
    for number, line in failures:
        open_then = [draft for draft in drafts if draft.first_line <= number and not draft.ended_before(number)]
        failure = failure_in(line)
        if open_then and failure is not None:
            open_then[-1].failures.append(failure)
        else:
            yield Unread(file, number, f"a failure that belongs to no run: {line.strip()[:120]}")


class _Stream:
    """The lines of one process (or of a log without labels)."""

    def __init__(self, file: str, cut_off: int | None) -> None:
        self._file, self._cut_off = file, cut_off
        self.drafts: list[Draft] = []
        self.unread: list[Unread] = []
        self.failures: list[tuple[int, str]] = []
        """Told while no run was going on."""
        self._outside: list[int] = []
        self._command: Line | None = None

    def read(self, lines: Sequence[Line]) -> _Stream:
        for number, line in lines:
            self._take(number, line)
        self._end_outside()
        if self.drafts:
            self._finish(self.drafts[-1])
        self._spread_mixture()
        return self

    def _spread_mixture(self) -> None:
        """Headings right before a mixed run, that nothing follows, are those of the other processes."""
        later = False
        for draft in reversed(self.drafts):
            later = draft.mixed or (later and not draft.rows and not draft.concluded)
            draft.mixed = later

    @property
    def _open(self) -> Draft | None:
        return self.drafts[-1] if self.drafts and not self.drafts[-1].concluded else None

    def _take(self, number: int, line: str) -> None:
        found = NCCL.search(line) if "NCCL" in line else None
        if found is not None:
            if found["level"] == "WARN" and self.drafts:
                self.drafts[-1].warnings.append(found["rest"].strip())
            line = line[: found.start()]
        words = line.strip()
        if not words:
            return
        draft = self._open
        if draft is None or draft.begins_another(words):
            if Draft.begins(words):
                self._begin(number)
                draft = self.drafts[-1]
            elif self.drafts and self.drafts[-1].comes_late(words):
                return
        if draft is None:
            self._between(number, line)
            return
        if number == self._cut_off and words[0].isdigit():
            self.unread.append(Unread(self._file, number, "a row that is cut off"))
            return
        problem = draft.take(number, words, torn=found is not None)
        if problem is not None:
            self.unread.append(Unread(self._file, number, problem))

    def _begin(self, number: int) -> None:
        self._end_outside()
        if self.drafts:
            self._finish(self.drafts[-1])
        command = self._command if self._command and number - self._command[0] <= FORGOTTEN else None
        self.drafts.append(Draft(number, command[1] if command else None))

    def _finish(self, draft: Draft) -> None:
        self.unread += [Unread(self._file, line, "a row that does not end") for line in draft.finish()]

    def _between(self, number: int, line: str) -> None:
        """A line outside of every run: it may name the command of the next one, or why the last one failed."""
        if binary_in(line):
            self._command = (number, line)
        elif failure_in(line) is not None:
            self.failures.append((number, line))
            if self.drafts:
                self.unread.append(
                    Unread(self._file, number, f"told after the run had ended: {line.strip()[:120]}")
                )
        else:
            self._outside.append(number)

    def _end_outside(self) -> None:
        """Name what lay outside of the runs, a remark for each stretch of lines."""
        if self._outside:
            first, last = self._outside[0], self._outside[-1]
            more = f", with {len(self._outside) - 1} more up to line {last}" if last > first else ""
            self.unread.append(Unread(self._file, first, f"outside of every run{more}"))
        self._outside = []
