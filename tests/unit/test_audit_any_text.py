"""Whatever lies in a folder, a reader raises nothing but UnreadableFile, and every line is counted."""

from __future__ import annotations

import contextlib
import gzip
import json
import tempfile
from pathlib import Path
from typing import Any

import pytest
from audit_logs import BY_HAND, CAPTURED, read
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from seatrial.analysis.audit.audit import audit, document
from seatrial.config.findings import FindingRules
from seatrial.errors import UnreadableFile
from seatrial.ingest.audit.read import KNOWN, FileReading, read_content, read_folder, unpacked
from seatrial.ingest.files import HandedFile

LOGS = sorted(
    path
    for folder in (CAPTURED, BY_HAND)
    for path in folder.iterdir()
    if path.suffix in (".log", ".txt", ".csv", ".out", ".prom", ".json")
)
LINES = [line for path in LOGS for line in path.read_bytes().decode().split("\n") if len(line) < 400]
FEW = settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.too_slow])


def _read(content: bytes) -> FileReading | None:
    with contextlib.suppress(UnreadableFile):
        return read_content(content, "log")
    return None


@FEW
@given(st.binary(max_size=400))
def test_any_bytes(content: bytes) -> None:
    _read(content)


@FEW
@given(st.lists(st.one_of(st.sampled_from(LINES), st.text(max_size=60)), max_size=40))
def test_known_lines_in_any_order_between_others_are_read_or_counted(lines: list[str]) -> None:
    text = "".join(line.replace("\n", " ") + "\n" for line in lines)
    found = _read(text.encode())
    if found is not None and not text.lstrip().startswith("{"):
        assert found.read + sum(found.skipped.values()) == sum(bool(_shown(line)) for line in text.split("\n"))


def _shown(line: str) -> str:
    from seatrial.ingest.audit.lines import plain

    return plain(line).strip()


@FEW
@given(st.sampled_from(LOGS), st.data())
def test_logs_with_some_of_their_characters_changed_or_cut_off(log: Path, data: st.DataObject) -> None:
    content = bytearray(log.read_bytes()[:3000])
    for _ in range(data.draw(st.integers(0, 8))):
        content[data.draw(st.integers(0, len(content) - 1))] = data.draw(
            st.sampled_from(b"0-9.eE,:[]{}\"'\n\t \xffnaN")
        )
    _read(bytes(content[: data.draw(st.integers(0, len(content)))]))


values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=8),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=6), inner, max_size=3),
    max_leaves=8,
)
KEYS = [
    "traceEvents",
    "ph",
    "cat",
    "name",
    "ts",
    "dur",
    "args",
    "device",
    "distributedInfo",
    "rank",
    "status",
    "data",
    "resultType",
    "result",
    "metric",
    "values",
    "value",
    "__name__",
    "gpu",
    "log_history",
    "global_step",
    "step",
    "train_runtime",
]
WORDS = (
    "X",
    "kernel",
    "cpu_op",
    "user_annotation",
    "ProfilerStep#1",
    "nccl",
    "success",
    "matrix",
    "DCGM_FI_DEV_GPU_UTIL",
    "7",
)
documents = st.recursive(
    values | st.sampled_from(WORDS),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.sampled_from(KEYS), inner, max_size=6),
    max_leaves=25,
)


@FEW
@given(st.dictionaries(st.sampled_from(KEYS), documents, min_size=1, max_size=6))
def test_json_of_the_known_names_with_anything_in_it(document: dict[str, Any]) -> None:
    _read(json.dumps(document).encode())


@settings(max_examples=25, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(st.lists(st.lists(st.sampled_from(LINES), max_size=40), min_size=1, max_size=3), st.booleans())
def test_any_mixture_of_known_lines_can_be_judged(files: list[list[str]], apart: bool) -> None:
    with tempfile.TemporaryDirectory() as root:
        for number, lines in enumerate(files):
            folder = Path(root) / (str(number) if apart else ".")
            folder.mkdir(exist_ok=True)
            (folder / f"{number}.log").write_text("".join(line + "\n" for line in lines))
        with contextlib.suppress(UnreadableFile):
            json.dumps(document(audit(Path(root), FindingRules())), allow_nan=False)


def test_a_gz_that_is_cut_off_is_read_as_far_as_it_goes(tmp_path: Path) -> None:
    whole = gzip.compress((CAPTURED / "nvidia_smi_query_v100.csv").read_bytes() * 200)
    cut = tmp_path / "gpu.csv.gz"
    cut.write_bytes(whole[: len(whole) // 2])
    found = read(cut)
    assert 0 < found.read < 9 * 200


def test_a_gz_that_is_none_is_named(tmp_path: Path) -> None:
    (tmp_path / "a.csv.gz").write_bytes(b"\x1f\x8b" + b"nonsense" * 9)
    with pytest.raises(UnreadableFile, match="gzip"):
        unpacked(HandedFile(tmp_path / "a.csv.gz", "a.csv.gz"))


def test_a_folder_without_a_known_log_says_what_was_looked_for(tmp_path: Path) -> None:
    (tmp_path / "notes.txt").write_text("nothing here\n")
    with pytest.raises(UnreadableFile) as problem:
        read_folder(tmp_path)
    for known in KNOWN:
        assert known in str(problem.value)
    with pytest.raises(UnreadableFile, match="no such file or folder"):
        read_folder(tmp_path / "missing")


def test_what_is_not_read_in_a_folder_is_remarked(tmp_path: Path) -> None:
    (tmp_path / "gpu.csv").write_bytes((CAPTURED / "nvidia_smi_query_v100.csv").read_bytes())
    (tmp_path / "notes.txt").write_text("nothing here\n")
    (tmp_path / "old.tar.gz").write_bytes(b"")
    found = read_folder(tmp_path)
    assert [file.file for file in found.files] == ["gpu.csv"]
    assert {remark.place: remark.problem for remark in found.remarks} == {
        "notes.txt": "no log of a known form (1 lines of no known form)",
        "old.tar.gz": "an archive is not read: unpack it",
    }
