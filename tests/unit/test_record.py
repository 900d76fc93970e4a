"""Records: what they refuse, long series, and that no half-written one ever exists."""

import json
import subprocess
import sys

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError

from seatrial.errors import UnreadableFile
from seatrial.paths import write_text, written_aside
from seatrial.record import Error, Measurement, Record, measurement

BASE = {
    "study": "s",
    "case_id": "c" * 16,
    "repeat": 0,
    "seed": 1,
    "workload": "gemm",
    "target": "t",
    "started_at": "2026-01-01T00:00:00+00:00",
    "finished_at": "2026-01-01T00:01:00+00:00",
}
SAMPLES = st.lists(st.floats(min_value=1e-9, max_value=1e9), min_size=1, max_size=2100)


@given(st.lists(SAMPLES, min_size=1, max_size=3))
def test_a_record_reads_back_as_it_was_written_whatever_the_length_of_its_series(tmp_path_factory, series):
    path = tmp_path_factory.mktemp("r") / "0.json"
    record = Record(
        **BASE,
        outcome="completed",
        measurements=[measurement("gemm.throughput", s, {"rank": n}) for n, s in enumerate(series)],
    )
    record.write(path)
    back = Record.read(path)
    assert [m.samples for m in back.measurements] == series
    assert path.with_name("0.series.parquet").exists() == any(len(s) > 1000 for s in series)


def test_writing_a_long_series_reaches_no_pandas(tmp_path):
    code = (
        "import sys; from pathlib import Path; from seatrial.record import Record, measurement;"
        f"Record(**{BASE!r}, outcome='completed', measurements=[measurement('gemm.throughput', [1.0] * 2000)])"
        f".write(Path({str(tmp_path)!r}) / '0.json'); print('pandas' in sys.modules)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=60, check=True)
    assert done.stdout.strip() == "False"


@pytest.mark.parametrize("text", ["", "{", "[]", '{"study": "s"}', '{"schema_version": 99}', "\x00\x01"])
def test_a_truncated_or_foreign_file_is_refused_by_name(tmp_path, text):
    path = tmp_path / "0.json"
    path.write_text(text)
    with pytest.raises(UnreadableFile, match=str(path)):
        Record.read(path)


def test_a_lost_series_is_refused_by_name(tmp_path):
    path = tmp_path / "0.json"
    Record(**BASE, outcome="completed", measurements=[measurement("gemm.throughput", [1.0] * 1001)]).write(path)
    path.with_name("0.series.parquet").unlink()
    with pytest.raises(UnreadableFile, match=r"0\.series\.parquet"):
        Record.read(path)


def long_record(path, samples):
    return Record(**BASE, outcome="completed", measurements=[measurement("gemm.throughput", samples)]).write(path)


def test_the_series_file_of_another_record_is_refused(tmp_path):
    """Same shape, same name, other numbers: only the digest tells them apart."""
    path, other = tmp_path / "0.json", tmp_path / "other" / "0.json"
    long_record(path, [1.0] * 1001)
    long_record(other, [2.0] * 1001)
    other.with_name("0.series.parquet").replace(path.with_name("0.series.parquet"))
    with pytest.raises(UnreadableFile, match=r"0\.series\.parquet.*not the series file of its record.*SHA-256"):
        Record.read(path)


def test_a_changed_byte_of_a_series_file_is_found(tmp_path):
    path = tmp_path / "0.json"
    long_record(path, [1.0] * 1001)
    file = path.with_name("0.series.parquet")
    content = bytearray(file.read_bytes())
    content[len(content) // 2] ^= 1
    file.write_bytes(content)
    with pytest.raises(UnreadableFile, match="not the series file of its record"):
        Record.read(path)


def test_a_record_says_how_many_samples_its_series_has(tmp_path):
    path = tmp_path / "0.json"
    long_record(path, [1.0] * 1001)
    content = json.loads(path.read_text())
    assert content["measurements"][0]["series_samples"] == 1001
    assert len(content["series_sha256"]) == 64
    content["measurements"][0]["series_samples"] = 1002
    path.write_text(json.dumps(content))
    with pytest.raises(UnreadableFile, match="has 1001 samples, its record says 1002"):
        Record.read(path)


def test_a_record_of_before_without_digest_is_still_read(tmp_path):
    path = tmp_path / "0.json"
    long_record(path, [1.0] * 1001)
    content = json.loads(path.read_text())
    del content["series_sha256"], content["measurements"][0]["series_samples"]
    path.write_text(json.dumps(content))
    assert Record.read(path).measurements[0].samples == [1.0] * 1001


def test_a_series_file_whose_columns_have_no_name_in_utf8_is_refused_by_name(tmp_path):
    """What an hour of fuzzing found: such a name is no error of Arrow's own kinds."""
    path = tmp_path / "0.json"
    long_record(path, [1.0] * 1001)
    content = json.loads(path.read_text())
    del content["series_sha256"]
    path.write_text(json.dumps(content))
    file = path.with_name("0.series.parquet")
    file.write_bytes(file.read_bytes().replace(b"series", b"s\xe9ries"))
    with pytest.raises(UnreadableFile, match=r"0\.series\.parquet.*utf-8"):
        Record.read(path)


def test_a_record_written_again_is_bound_to_its_new_series_or_to_none(tmp_path):
    path = tmp_path / "0.json"
    long_record(path, [1.0] * 1001)
    back = Record.read(path)
    back.write(tmp_path / "1.json")
    assert Record.read(tmp_path / "1.json").measurements[0].samples == [1.0] * 1001
    short = back.measurements[0].model_copy(update={"samples": [1.0]})
    back.model_copy(update={"measurements": [short]}).write(path)
    again = Record.read(path)
    assert again.measurements[0].samples == [1.0]
    assert again.series_sha256 is None


def test_a_series_file_without_a_series_is_refused_by_name(tmp_path):
    path = tmp_path / "0.json"
    Record(**BASE, outcome="completed", measurements=[measurement("gemm.throughput", [1.0] * 1001)]).write(path)
    content = json.loads(path.read_text())
    content["measurements"][0]["series"] = None
    path.write_text(json.dumps(content))
    with pytest.raises(UnreadableFile, match="samples_file and series go together"):
        Record.read(path)


@pytest.mark.parametrize(
    "change",
    [
        {"outcome": "failed"},
        {"outcome": "completed", "error": Error(kind="crashed", message="m")},
        {"outcome": "missing"},
        {"outcome": "completed", "extra": 1},
        {"outcome": "completed", "repeat": -1},
    ],
)
def test_an_inconsistent_record_cannot_be_made(change):
    with pytest.raises(ValidationError):
        Record(**{**BASE, **change})


@pytest.mark.parametrize("samples", [[], [float("nan")], [float("inf")]])
def test_what_was_not_measured_has_no_measurement(samples):
    with pytest.raises(ValidationError):
        measurement("gemm.throughput", samples)


def test_a_measurement_keeps_to_the_catalogue():
    with pytest.raises(ValidationError, match="TFLOP/s"):
        Measurement(metric="gemm.throughput", unit="GFLOP/s", direction="higher", samples=[1.0])
    with pytest.raises(ValidationError, match="unknown metric"):
        Measurement(metric="gemm.thruput", unit="x", direction="higher", samples=[1.0])


def test_an_error_while_writing_leaves_the_old_file_and_nothing_beside_it(tmp_path):
    path = tmp_path / "a.json"
    write_text(path, "old")

    def fail() -> None:
        with written_aside(path) as aside:
            aside.write_text("half")
            raise OSError("disk full")

    with pytest.raises(OSError, match="disk full"):
        fail()
    assert path.read_text() == "old"
    assert [p.name for p in tmp_path.iterdir()] == ["a.json"]


def test_a_written_file_has_the_usual_permissions(tmp_path):
    path = tmp_path / "a.json"
    write_text(path, json.dumps({}))
    plain = tmp_path / "b.json"
    plain.write_text("")
    assert path.stat().st_mode == plain.stat().st_mode


@pytest.mark.parametrize(
    ("change", "words"),
    [
        (
            {
                "outcome": "completed",
                "measurements": [measurement("memory.bandwidth", [v], {"rank": 0}) for v in (1.0, 2.0)],
            },
            "is there twice",
        ),
        ({"outcome": "completed", "started_at": "2026-01-01T00:02:00+00:00"}, "is before started_at"),
    ],
)
def test_a_measurement_twice_and_an_end_before_the_begin_are_refused(tmp_path, change, words):
    path = tmp_path / "0.json"
    Record(**{**BASE, **change}).write(path)
    with pytest.raises(UnreadableFile, match=words):
        Record.read(path)
