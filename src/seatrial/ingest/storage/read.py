"""All results of fio or MLPerf Storage in a file or folder."""

from __future__ import annotations

import hashlib
from collections import defaultdict
from pathlib import Path

from seatrial.ingest.files import HandedFile, Remark, handed_files
from seatrial.ingest.storage.fio import read_fio
from seatrial.ingest.storage.mlperf_storage import METADATA, OF_A_PROCESS, SUMMARY, read_summary
from seatrial.ingest.storage.result import Results, StorageResult


def read_fio_results(path: Path) -> Results:
    """Every result of fio below `path`, a file or folder. Raises UnreadableFile where there is nothing."""
    files, remarks = handed_files(path)
    results: list[StorageResult] = []
    for file in files:
        content = _content(file, remarks)
        if content is not None:
            result, more = read_fio(content, file, _digest(content))
            results += [result] if result is not None else []
            remarks += more
    return Results(tuple(results), tuple(remarks))


def read_mlperf_storage_results(path: Path) -> Results:
    """Every run of MLPerf Storage below `path`: each `summary.json` with what lies beside it.

    `path` is a folder, or one summary. Raises UnreadableFile where there is nothing.
    """
    files, remarks = handed_files(path)
    folders: dict[str, dict[str, HandedFile]] = defaultdict(dict)
    for file in files:
        folders[file.shown.rpartition("/")[0]][file.path.name] = file
    results: list[StorageResult] = []
    for folder, found in folders.items():
        summary = found.get(SUMMARY) or (files[0] if path.is_file() else None)
        if summary is None:
            remarks.append(
                Remark(folder or ".", f"no {SUMMARY} among its {len(found)} files: no run, or none that ended")
            )
            continue
        content = _content(summary, remarks)
        if content is None:
            continue
        kept = {name: file for name, file in found.items() if OF_A_PROCESS.match(name) or METADATA.match(name)}
        beside = {name: data for name, file in kept.items() if (data := _content(file, remarks)) is not None}
        result, more = read_summary(content, summary, _digest(content), beside)
        results += [result] if result is not None else []
        remarks += more
    return Results(tuple(results), tuple(remarks))


def _content(file: HandedFile, remarks: list[Remark]) -> bytes | None:
    try:
        return file.content()
    except OSError as problem:
        remarks.append(Remark(file.shown, problem.strerror or str(problem)))
        return None


def _digest(content: bytes) -> str:
    return hashlib.sha256(content).hexdigest()
