"""All runs of nccl-tests in a file or folder."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from seatrial.ingest.files import HandedFile, Remark, handed_files
from seatrial.nccl_tests.document import read_document
from seatrial.nccl_tests.heading import DATATYPE
from seatrial.nccl_tests.operations import DTYPES, OPERATIONS, operation_in_name
from seatrial.nccl_tests.run import ProgramRun
from seatrial.nccl_tests.text import read_text


@dataclass(frozen=True)
class HandedRun:
    """One run's rows of one type: what a repeat is made from."""

    run: ProgramRun
    operation: str
    operation_basis: str
    dtype: str
    """As torch spells it; where there is no row, what the run was asked for."""
    source: Path
    sha256: str

    @property
    def place(self) -> str:
        return self.run.place


@dataclass(frozen=True)
class Reading:
    """What was handed over: runs in order of file and line, and what was not read."""

    runs: tuple[HandedRun, ...]
    remarks: tuple[Remark, ...]


def read_runs(path: Path) -> Reading:
    """Every run below `path`, a file or folder.

    Raises UnreadableFile where there is nothing at `path`.
    """
    files, remarks = handed_files(path)
    found: list[tuple[ProgramRun, HandedFile, str]] = []
    for file in files:
        try:
            content = file.content()
        except OSError as problem:
            remarks.append(Remark(file.shown, problem.strerror or str(problem)))
            continue
        runs, unread = read_content(content, file.shown)
        remarks += unread
        digest = hashlib.sha256(content).hexdigest()
        found += [(run, file, digest) for run in runs]
    kept, twice = _once(found)
    handed: list[HandedRun] = []
    for run, file, digest in kept:
        made, why = _handed(run, file, digest)
        handed += made
        remarks += why
    return Reading(tuple(handed), (*remarks, *twice))


def read_content(content: bytes, shown: str) -> tuple[list[ProgramRun], list[Remark]]:
    """The runs that a file's bytes hold, and what was not read in them. Any bytes can be read."""
    if b"\0" in content[:4096]:
        return [], [Remark(shown, "not a text")]
    text = content.decode("utf-8", errors="replace")
    if text.lstrip()[:1] in ("{", "["):
        document = read_document(text, shown)
        if document is None:
            return [], [Remark(shown, "no JSON of nccl-tests (version, config, results)")]
        run, unread = document
        return [run], [Remark(shown, entry.problem) for entry in unread]
    reading = read_text(text, shown)
    if not reading.runs:
        return [], [Remark(shown, "no output of nccl-tests in it")]
    return list(reading.runs), [Remark(f"{e.file}, line {e.line}", e.problem) for e in reading.unread]


def _once(
    found: Sequence[tuple[ProgramRun, HandedFile, str]],
) -> tuple[list[tuple[ProgramRun, HandedFile, str]], list[Remark]]:
    """Leave out the text of runs whose JSON is there too."""
    documents = {Path(run.file).name: run for run, _, _ in found if run.form == "json"}
    kept, remarks = [], []
    for run, file, digest in found:
        other = documents.get(Path(run.json_file).name) if run.form == "text" and run.json_file else None
        if other is not None and [row.size for row in run.rows] == [row.size for row in other.rows]:
            remarks.append(Remark(run.place, f"the same run as {other.file}, which is read"))
        else:
            kept.append((run, file, digest))
    return kept, remarks


def _handed(run: ProgramRun, file: HandedFile, digest: str) -> tuple[list[HandedRun], list[Remark]]:
    """A run by type, and what keeps it from being one."""
    if run.mixed:
        return [], [
            Remark(
                run.place,
                "lines of several processes without labels: srun --label or mpirun --tag-output keep them",
            )
        ]
    operation, basis = _operation(run)
    if operation is None:
        return [], [Remark(run.place, basis)]
    types = list(dict.fromkeys(row.type for row in run.rows)) or [_asked_type(run)]
    return [
        HandedRun(
            replace(run, rows=tuple(row for row in run.rows if row.type == type_)),
            operation,
            basis,
            DTYPES.get(type_, type_),
            file.path,
            digest,
        )
        for type_ in types
    ], []


def _operation(run: ProgramRun) -> tuple[str | None, str]:
    """The operation and what says so; None and why not."""
    if run.program is not None:
        operation = OPERATIONS.get(run.program)
        if operation is None:
            return None, f"{run.program} is none of the programs that are known: {', '.join(OPERATIONS)}"
        return operation, f"the output names {run.program}"
    operation = operation_in_name(Path(run.file).name)
    if operation is None:
        return None, (
            "nothing says which operation this is: neither the output nor a command before it nor the file's name "
            "(name it after the program, such as all_reduce_perf.log)"
        )
    return operation, "the file's name"


def _asked_type(run: ProgramRun) -> str:
    """The type of a run without rows: -d of its command, else nccl-tests' default."""
    asked = DATATYPE.search(run.arguments)
    return asked["type"] if asked is not None and asked["type"] in DTYPES else "float"
