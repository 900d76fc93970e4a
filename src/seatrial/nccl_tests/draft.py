"""A run while its lines are being read."""

from __future__ import annotations

import math
import re
from dataclasses import dataclass, field

from seatrial.nccl_tests import heading
from seatrial.nccl_tests.operations import arguments_in, binary_in
from seatrial.nccl_tests.printed import figure, is_number
from seatrial.nccl_tests.run import STATISTICS, Device, Failure, ProgramRun, Row, Statistic
from seatrial.nccl_tests.table import Columns, can_go_on, columns_of, row_of
from seatrial.nccl_tests.trouble import failure_in

HEADINGS = (heading.VERSION, heading.STARTING, heading.SETTINGS, re.compile("Using devices"))
"""What a run can begin with, each once."""
FOOTERS = (heading.OUT_OF_BOUNDS, heading.AVERAGE, heading.CONCLUDED, heading.ERROR, heading.NOTES, heading.WRITING)


@dataclass
class Draft:
    """What is known of a run so far; `command` is the line that started it, where one was printed."""

    first_line: int
    command: str | None
    mixed: bool = False
    concluded: bool = False
    columns: Columns | None = None
    rows: list[Row] = field(default_factory=list)
    devices: list[Device] = field(default_factory=list)
    settings: dict[str, int | str] = field(default_factory=dict)
    versions: dict[str, str] = field(default_factory=dict)
    failures: list[Failure] = field(default_factory=list)
    warnings: list[str] = field(default_factory=list)
    program: str | None = None
    json_file: str | None = None
    out_of_bounds: int | None = None
    average: float | None = None
    below_minimum: bool = False
    last_line: int = 0
    _seen: set[int] = field(default_factory=set)
    _above: str = ""
    lost: list[int] = field(default_factory=list)
    """Where rows began that never ended."""
    _pending: tuple[int, str] | None = None
    """A row that NCCL's own lines tore apart: where it began, and what of it was printed so far."""

    @staticmethod
    def begins(words: str) -> bool:
        """Whether a line can be the first of a run."""
        return _which_heading(words) is not None or _is_table_header(words)

    def begins_another(self, words: str) -> bool:
        """Whether a line cannot belong to this run any more: a heading that it has had."""
        which = _which_heading(words)
        if which is not None:
            return which in self._seen or self.columns is not None
        return _is_table_header(words) and self.columns is not None

    def comes_late(self, words: str) -> bool:
        """Whether a line after the footer is the run's; a second footer or another row is of another process."""
        text = words.lstrip("# ")
        if heading.OUT_OF_BOUNDS.match(text):
            self.mixed = True
            return True
        if words[0].isdigit() and self.columns is not None:
            self.mixed = self.mixed or isinstance(row_of(words, self.columns, 0), Row)
            return self.mixed
        if not words.startswith("#"):
            return False
        return not text or self._footer(text) or heading.NOTES.match(text) is not None

    def ended_before(self, line: int) -> bool:
        return self.concluded and self.last_line < line

    def take(self, number: int, words: str, torn: bool = False) -> str | None:
        """Read a line of the run; why it could not be read, in words, or None.

        `torn`: NCCL wrote into the line, so that a row may go on further down.
        """
        self.last_line = number
        failure = failure_in(words)
        if failure is not None:
            self.failures.append(failure)
            return None
        if found := heading.LIBRARY_SAYS.match(words):
            self.versions["nccl"] = found["version"]
            return None
        if words.startswith("#") or heading.RCCL.match(words) or heading.OUT_OF_BOUNDS.match(words):
            return self._take_comment(words)
        if self.columns is None:
            return "a row without a header above it" if words[0].isdigit() else "not a line of nccl-tests"
        return self._take_row(number, words, torn)

    def finish(self) -> list[int]:
        """Where rows began that never ended, once no line is left."""
        self._lose_pending()
        return self.lost

    def run(self, file: str) -> ProgramRun:
        """The run as read."""
        processes, ranks = self._counts()
        statistic, basis = self._statistic(processes)
        return ProgramRun(
            file=file,
            form="text",
            first_line=self.first_line,
            program=self.program or (binary_in(self.command) if self.command else None),
            arguments=arguments_in(self.command) if self.command else "",
            ranks=ranks,
            processes=processes,
            settings=self.settings,
            devices=tuple(self.devices),
            versions=self.versions,
            statistic=statistic,
            statistic_basis=basis,
            cpu_time=self.columns is not None and self.columns.cpu_time,
            rows=tuple(self.rows),
            out_of_bounds=self.out_of_bounds,
            average_bus_bandwidth=self.average,
            below_minimum=self.below_minimum,
            failures=tuple(self.failures),
            mixed=self.mixed,
            warnings=tuple(self.warnings),
            json_file=self.json_file,
        )

    def _take_comment(self, words: str) -> str | None:
        text = words.lstrip("# ").rstrip()
        above, self._above = self._above, text
        if not text or heading.SIDES.match(text) or heading.UNITS.match(text):
            return None
        which = _which_heading(words)
        if which is not None:
            self._seen.add(which)
            self._take_heading(text)
            return None
        if found := heading.DEVICE.match(text):
            self.devices.append(
                Device(
                    int(found["rank"]), int(found["group"] or 0), found["host"], int(found["index"]), found["name"]
                )
            )
            return None
        if (columns := columns_of(text.split(), above)) is not None:
            self.columns = columns
            return None
        if self._footer(text) or heading.NOTES.match(text):
            return None
        return "a comment that no known version prints"

    def _take_heading(self, text: str) -> None:
        if found := heading.SETTINGS.match(text):
            self.settings = {
                name: value if name == "step" else int(value)
                for name, value in found.groupdict().items()
                if value is not None
            }
        elif found := heading.STARTING.match(text):
            self.program = found["program"]
        elif found := (heading.VERSION.match(text) or heading.RCCL.match(text)):
            self.versions["nccl-tests"] = found["tests"].strip()
            for name, code in heading.LIBRARY.findall(text):
                self.versions["nccl" if name == "library" else "nccl-headers"] = heading.nccl_version(code)

    def _footer(self, text: str) -> bool:
        """Take a line of the footer; whether it was one."""
        if found := heading.OUT_OF_BOUNDS.match(text):
            self.out_of_bounds = int(found["count"])
            if "FAILED" in found["verdict"] and self.out_of_bounds == 0:
                self.out_of_bounds = 1
            self.concluded = True
        elif found := heading.AVERAGE.match(text):
            value = figure(found["value"]).value
            self.average = value if math.isfinite(value) else None
            self.below_minimum = "FAILED" in found["verdict"]
        elif found := heading.WRITING.match(text):
            self.json_file = found["file"].strip()
        elif found := heading.ERROR.match(text):
            self.warnings.append(found["message"].strip())  # NCCL's last message: no failure of the run
        else:
            return heading.CONCLUDED.match(text) is not None
        return True

    def _take_row(self, number: int, words: str, torn: bool) -> str | None:
        assert self.columns is not None
        tokens = words.split()
        if self._pending is not None and all(is_number(token) for token in tokens):
            begun, so_far = self._pending
            whole = " ".join([so_far, words])
            if isinstance(row := row_of(whole, self.columns, begun), Row):
                self._pending = None
                self.rows.append(row)
                return None
            if torn and can_go_on(whole.split(), self.columns):
                self._pending = (begun, whole)
                return None
        if not words[0].isdigit():
            return "not a line of nccl-tests"
        self._lose_pending()
        if torn and can_go_on(tokens, self.columns):
            self._pending = (number, words)
            return None
        found = row_of(words, self.columns, number)
        if isinstance(found, Row):
            self.rows.append(found)
            return None
        return found

    def _lose_pending(self) -> None:
        if self._pending is not None:
            self.lost.append(self._pending[0])
        self._pending = None

    def _counts(self) -> tuple[int | None, int | None]:
        """Processes, and ranks of the communicator that rank 0 is in; None where no device was named."""
        each = int(self.settings.get("nthreads", 1)) * int(self.settings.get("ngpus", 1))
        if not self.devices or not each:
            return None, None
        group = self.devices[0].group
        return max(1, len(self.devices) // each), sum(device.group == group for device in self.devices)

    def _statistic(self, processes: int | None) -> tuple[Statistic | None, str]:
        threads = int(self.settings.get("nthreads", 0))
        if processes == 1 and threads == 1:
            return "max", "one process, which waits for all its devices"
        if self.command is None:
            return None, "the log does not say"
        asked = heading.ARGUMENT.search(arguments_in(self.command))
        if asked is not None:
            return STATISTICS[int(asked["number"])], "-a of the command in the log"
        return "mean", "the default of nccl-tests: the command in the log has no -a"


def _which_heading(words: str) -> int | None:
    text = words.lstrip("# ")
    if heading.RCCL.match(words):
        return 0
    if not words.startswith("#"):
        return None
    return next((n for n, pattern in enumerate(HEADINGS) if pattern.match(text)), None)


def _is_table_header(words: str) -> bool:
    return words.startswith("#") and columns_of(words.lstrip("# ").split(), "") is not None
