"""Records that stay as they are are read once; what was kept of them is never more than a shorter way."""

from __future__ import annotations

import json
import os
import shutil
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from study_on_disk import GEMM, StudyOnDisk

from seatrial.analysis import kept, study_records
from seatrial.analysis.collect import collect, read_record
from seatrial.analysis.once import reading_once
from seatrial.analysis.study_records import read_records
from seatrial.paths import StudyPaths
from seatrial.record import measurement

MakeStudy = Callable[..., StudyOnDisk]
REPEATS = 3


@pytest.fixture(autouse=True)
def trusted_at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    """Files of just now are trusted: a test does not wait until they are old enough."""
    monkeypatch.setattr(kept, "TRUSTED_AFTER_S", -1.0)


def tables(paths: StudyPaths) -> list[bytes]:
    return [paths.measurements.read_bytes(), paths.repeats.read_bytes()]


def small(study: StudyOnDisk) -> StudyPaths:
    for number, case in enumerate(study.experiment("gemm", GEMM, REPEATS, {"workload.m": [64, 128]})):
        study.gemm(case, [1.0 + number, 2.0, 3.0], ceiling=8.0)
    return study.paths


def opened(paths: StudyPaths) -> int:
    """How many records a stage that starts now opens."""
    return read_records(paths).read


def test_a_second_collect_reads_no_record_and_gives_the_same_bytes(make_study: MakeStudy) -> None:
    paths = small(make_study())
    collect(paths)
    before, kept_before = tables(paths), paths.kept_records.read_bytes()
    assert opened(paths) == 0
    collect(paths)
    assert tables(paths) == before
    assert paths.kept_records.read_bytes() == kept_before


def test_a_record_of_just_now_is_not_trusted(make_study: MakeStudy, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(kept, "TRUSTED_AFTER_S", 3600.0)
    paths = small(make_study())
    collect(paths)
    assert opened(paths) == 2 * REPEATS
    assert not paths.kept_records.exists()


def test_a_changed_an_added_and_a_removed_record_are_seen(make_study: MakeStudy) -> None:
    study = make_study()
    cases = study.experiment("gemm", GEMM, 2, {"workload.m": [64, 128]})
    for case in cases:
        study.gemm(case, [1.0])
    collect(study.paths)
    study.gemm(cases[0], [5.0, 6.0])
    study.paths.record(cases[1].case_id, 0).unlink()
    assert opened(study.paths) == 2
    collect(study.paths)
    assert tables(study.paths) == from_scratch(study.paths)
    assert opened(study.paths) == 0


def test_a_series_file_that_changed_alone_is_seen(make_study: MakeStudy) -> None:
    study = make_study()
    (case,) = study.experiment("gemm", GEMM)
    long = measurement("gemm.throughput", [float(k % 7 + 1) for k in range(1500)])
    path = study.record(case, 0, long)
    collect(study.paths)
    assert opened(study.paths) == 0
    series = path.with_name("0.series.parquet")
    series.write_bytes(series.read_bytes()[:-1])
    assert opened(study.paths) == 1
    collect(study.paths)
    assert tables(study.paths) == from_scratch(study.paths)
    assert b"missing" in study.paths.repeats.read_bytes()


@pytest.mark.parametrize("spoil", ["truncated", "empty", "foreign", "another version", "parts", "a folder"])
def test_a_file_of_kept_records_that_is_no_use_is_thrown_away(make_study: MakeStudy, spoil: str) -> None:
    paths = small(make_study())
    collect(paths)
    before, file = tables(paths), paths.kept_records
    with np.load(file) as whole:
        arrays = dict(whole)
    if spoil == "truncated":
        file.write_bytes(file.read_bytes()[:-100])
    elif spoil == "empty":
        file.write_bytes(b"")
    elif spoil == "foreign":
        file.write_bytes(b"not this at all" * 100)
    elif spoil == "another version":
        with file.open("wb") as stream:
            np.savez(stream, **{**arrays, "version": np.array("of before")})
    elif spoil == "parts":
        with file.open("wb") as stream:
            np.savez(stream, **{**arrays, "counts": arrays["counts"] + 1})
    else:
        file.unlink()
        file.mkdir()
    assert opened(paths) == 2 * REPEATS
    collect(paths)
    assert tables(paths) == before


@pytest.mark.parametrize("place", [0.2, 0.5, 0.9])
def test_a_flipped_byte_in_the_kept_records_never_reaches_a_table(make_study: MakeStudy, place: float) -> None:
    paths = small(make_study())
    collect(paths)
    before, content = tables(paths), bytearray(paths.kept_records.read_bytes())
    content[int(place * len(content))] ^= 0xFF
    paths.kept_records.write_bytes(content)
    collect(paths)
    assert tables(paths) == before


def test_without_trust_nothing_kept_is_used_and_nothing_is_kept(make_study: MakeStudy) -> None:
    paths = small(make_study())
    collect(paths)
    lie(paths)
    collect(paths)
    assert b"4242424" in paths.repeats.read_bytes()  # what is kept and looks right counts
    kept_before = paths.kept_records.read_bytes()
    collect(paths, trust=False)
    assert b"4242424" not in paths.repeats.read_bytes()
    assert paths.kept_records.read_bytes() == kept_before


def lie(paths: StudyPaths) -> None:
    """Kept records that look as the real ones do, and say something else."""
    known = kept.load(paths)
    assert known is not None
    heads = [json.dumps({**json.loads(head), "resumed": 4242424}) for head in known.columns.heads]
    columns = type(known.columns)(**{**fields_of(known.columns), "heads": heads})
    kept.save(paths, type(known)(**{**fields_of(known), "columns": columns}))


def fields_of(one: object) -> dict[str, object]:
    names = type(one).__dataclass_fields__  # type: ignore[attr-defined]
    return {name: getattr(one, name) for name in names}


def test_many_records_are_read_by_several_processes_to_the_same_tables(
    make_study: MakeStudy, monkeypatch: pytest.MonkeyPatch
) -> None:
    paths = small(make_study())
    paths.record(next(iter(paths.records.iterdir())).name, 0).write_text("{")
    collect(paths, trust=False)
    before = tables(paths)
    monkeypatch.setattr(study_records, "WORTH_PROCESSES", 2)
    monkeypatch.setattr(study_records, "PORTION", 2)
    collect(paths, trust=False)
    assert tables(paths) == before


def test_a_stage_sees_one_state_of_the_records(make_study: MakeStudy) -> None:
    study = make_study()
    (case,) = study.experiment("gemm", GEMM, 2)
    study.gemm(case, [1.0])
    with reading_once():
        assert read_record(study.paths, case, 0) is not None
        study.gemm(case, [7.0, 8.0])
        found = read_record(study.paths, case, 0)
        assert found is not None and found.measurements[0].samples[2] == 1.0
        assert read_record(study.paths, case, 1) is None
    again = read_record(study.paths, case, 0)
    assert again is not None and again.measurements[0].samples[2] == 7.0


def from_scratch(paths: StudyPaths) -> list[bytes]:
    """The tables of a copy of the study for which nothing was kept."""
    copy = paths.root.with_name(f"{paths.root.name}-copy")
    shutil.rmtree(copy, ignore_errors=True)
    shutil.copytree(paths.root, copy)
    other = StudyPaths(copy)
    other.kept_records.unlink(missing_ok=True)
    collect(other)
    return tables(other)


edits = st.lists(
    st.tuples(
        st.sampled_from(["write", "remove", "truncate", "touch", "foreign", "fail", "collect"]),
        st.integers(0, 1),
        st.integers(0, REPEATS - 1),
        st.floats(0.5, 2.0),
    ),
    min_size=1,
    max_size=6,
)


@settings(max_examples=12, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(edits)
def test_whatever_happens_to_records_the_tables_are_those_from_scratch(
    tmp_path: Path, changes: list[tuple[str, int, int, float]]
) -> None:
    shutil.rmtree(tmp_path / "trial", ignore_errors=True)
    study = StudyOnDisk(tmp_path / "trial")
    cases = study.experiment("gemm", GEMM, REPEATS, {"workload.m": [64, 128]})
    for case in cases:
        study.gemm(case, [1.0, 2.0])
    collect(study.paths)
    for what, which, repeat, value in changes:
        change(study, cases[which], what, repeat, value)
    collect(study.paths)
    assert tables(study.paths) == from_scratch(study.paths)


def change(study: StudyOnDisk, case: object, what: str, repeat: int, value: float) -> None:
    path = study.paths.record(case.case_id, repeat)  # type: ignore[attr-defined]
    if what == "collect":
        collect(study.paths)
    elif what == "write":
        study.record(case, repeat, measurement("gemm.throughput", [value, 2 * value], {"rank": repeat}))  # type: ignore[arg-type]
    elif what == "fail":
        study.failed(case, repeat)  # type: ignore[arg-type]
    elif path.exists() and what == "remove":
        path.unlink()
    elif path.exists() and what == "truncate":
        path.write_bytes(path.read_bytes()[: int(value * 100)])
    elif path.exists() and what == "touch":
        os.utime(path, (1e9, 1e9))
    elif path.exists():
        path.write_text(path.read_text().replace("trial", "other"))
