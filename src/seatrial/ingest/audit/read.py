"""Every known log in a folder: what was read from which file, and what was not, with how many lines and why."""

from __future__ import annotations

import hashlib
import json
import zlib
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from seatrial.errors import UnreadableFile
from seatrial.ingest.audit.dcgmi_dmon import DcgmiDmonReader
from seatrial.ingest.audit.facts import Facts
from seatrial.ingest.audit.failures import FailureReader
from seatrial.ingest.audit.huggingface import NAME as TRAINER
from seatrial.ingest.audit.huggingface import TrainerReader, read_state
from seatrial.ingest.audit.kineto import read_trace
from seatrial.ingest.audit.lines import LONGEST, LineReader, plain
from seatrial.ingest.audit.megatron import MegatronReader
from seatrial.ingest.audit.nemo import NemoReader
from seatrial.ingest.audit.nvidia_smi_dmon import SmiDmonReader
from seatrial.ingest.audit.nvidia_smi_query import QueryReader
from seatrial.ingest.audit.prometheus import ExporterReader, read_response
from seatrial.ingest.audit.torchtitan import TorchtitanReader
from seatrial.ingest.files import ARCHIVES, LARGEST, HandedFile, Remark, handed_files

READERS = (
    QueryReader,
    SmiDmonReader,
    DcgmiDmonReader,
    ExporterReader,
    TorchtitanReader,
    MegatronReader,
    NemoReader,
    TrainerReader,
    FailureReader,
)
"""Of texts; each sees every line that those in front of it did not take."""
KNOWN = (
    "nvidia-smi --query-gpu --format=csv",
    "nvidia-smi dmon",
    "dcgmi dmon",
    "dcgm-exporter (Prometheus query_range or query as JSON, or the exporter's page)",
    "Kineto / PyTorch profiler traces (.json, .json.gz)",
    "logs of torchtitan, Megatron-LM, NeMo and Hugging Face Trainer (trainer_state.json too)",
)
"""What is looked for, in words for the user."""
NOT_UNPACKED = (*(ending for ending in ARCHIVES if ending != ".gz"), ".tar.gz")
GZIP = b"\x1f\x8b"
OTHER = "lines of no known form"
CUT_OFF = "a last line without its end"


@dataclass(frozen=True)
class FileReading:
    """What was read from one file. `read` and `skipped` count lines, of a trace events, of a response samples."""

    file: str
    formats: tuple[str, ...]
    facts: Facts
    read: int
    skipped: Mapping[str, int] = field(default_factory=dict)
    digest: str = ""
    """SHA-256 of its bytes, unpacked: a copy of another file has the same."""


@dataclass(frozen=True)
class FolderReading:
    """Files with something known in them, in order of path, and what else lies there."""

    files: tuple[FileReading, ...]
    remarks: tuple[Remark, ...]


def read_folder(folder: Path) -> FolderReading:
    """Read every file below `folder`. Raises UnreadableFile where there is nothing, or no log of a known form."""
    files, remarks = handed_files(folder, archives=NOT_UNPACKED)
    found: list[FileReading] = []
    for file in files:
        try:
            reading = read_file(file)
        except UnreadableFile as problem:
            remarks.append(Remark(file.shown, problem.problem))
            continue
        if reading.facts.empty:
            why = ", ".join(f"{count} {reason}" for reason, count in reading.skipped.items())
            remarks.append(
                Remark(file.shown, f"no log of a known form ({why})" if why else "no log of a known form")
            )
        else:
            found.append(reading)
    if not found:
        seen = f"{len(files)} files looked through" if files else "no files in it"
        raise UnreadableFile(folder, f"no log of a known form ({seen}). Known: " + "; ".join(KNOWN))
    return FolderReading(tuple(found), tuple(remarks))


def read_file(file: HandedFile) -> FileReading:
    """What is known in one file. Raises UnreadableFile where it cannot be opened, unpacked or is no text."""
    content = unpacked(file)
    return replace(read_content(content, file.shown), digest=hashlib.sha256(content).hexdigest())


def unpacked(file: HandedFile) -> bytes:
    """The file's bytes, of .gz what is packed in them as far as it goes."""
    try:
        content = file.content()
    except OSError as problem:
        raise UnreadableFile(file.shown, problem.strerror or str(problem)) from None
    if not content.startswith(GZIP):
        return content
    unpack = zlib.decompressobj(wbits=zlib.MAX_WBITS | 16)
    try:
        plain_bytes = unpack.decompress(content, LARGEST)
    except zlib.error as problem:
        raise UnreadableFile(file.shown, f"no sound gzip: {problem}") from None
    if unpack.unconsumed_tail:
        raise UnreadableFile(file.shown, f"unpacked longer than {LARGEST >> 20} MiB: not read")
    return plain_bytes


def read_content(content: bytes, shown: str) -> FileReading:
    """What is known in a file's bytes. Raises UnreadableFile where they are no text."""
    if b"\0" in content[:4096]:
        raise UnreadableFile(shown, "not a text")
    text = content.decode("utf-8", errors="replace").removeprefix("\ufeff")
    if text.lstrip()[:1] == "{" and (document := _document(text)) is not None:
        return _read_document(document, shown)
    reading = _read_lines(text, shown)
    if reading.facts.empty and text.lstrip()[:1] == "{" and '"traceEvents"' in text:
        return replace(reading, skipped={"trace that is not whole: its JSON ends before it is closed": 1})
    return reading


def _document(text: str) -> dict[str, Any] | None:
    """The JSON object that the text is; None where it is none, or not whole."""
    try:
        found = json.loads(text)
    except (ValueError, RecursionError):
        return None
    return found if isinstance(found, dict) else None


def _read_document(document: dict[str, Any], shown: str) -> FileReading:
    if (trace := read_trace(document)) is not None:
        return FileReading(shown, ("Kineto trace",), trace[0], trace[1], dict(trace[2]))
    if (response := read_response(document)) is not None:
        return FileReading(shown, ("dcgm-exporter over Prometheus",), response[0], response[1], dict(response[2]))
    if (state := read_state(document)) is not None:
        skipped = {"entries of the history that are no steps": state[2]} if state[2] else {}
        return FileReading(shown, (f"{TRAINER} (state)",), state[0], state[1], skipped)
    return FileReading(shown, (), Facts(), 0, {"JSON of another form": 1})


def _read_lines(text: str, shown: str) -> FileReading:
    """Each line to the first reader that takes it."""
    readers: list[LineReader] = [reader() for reader in READERS]
    taken: Counter[str] = Counter()
    skipped: Counter[str] = Counter()
    lines = text.split("\n")
    last = lines.pop()
    for line in lines:
        answer = _take(readers, plain(line), taken) if len(line) <= LONGEST else f"longer than {LONGEST} characters"
        if answer:
            skipped[answer] += 1
    if last.strip():
        skipped[CUT_OFF] += 1
    facts = Facts()
    for reader in readers:
        facts += reader.facts()
    return FileReading(shown, tuple(taken), facts, taken.total(), dict(skipped))


def _take(readers: list[LineReader], line: str, taken: Counter[str]) -> str:
    """Empty where the line was read or is blank, else why it was not."""
    if not line.strip():
        return ""
    for reader in readers:
        answer = reader.take(line)
        if answer is not None:
            if not answer:
                taken[reader.name] += 1
            return f"{reader.name}: {answer}" if answer else ""
    return OTHER
