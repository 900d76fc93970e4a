"""A file that lies at the place of a record and is none: named by collect, put aside by the next start."""

from __future__ import annotations

import json
import os
import re
import time

import pytest
from study_on_disk import GEMM

from seatrial.analysis.collect import collect
from seatrial.paths import series_file
from seatrial.record import Record, measurement
from seatrial.unusable import find_unusable, put_unusable_aside


def truncated(study, case, path):
    path.write_text(path.read_text()[:200])


def empty(study, case, path):
    path.write_text("")


def binary(study, case, path):
    path.write_bytes(bytes(range(256)))


def no_object(study, case, path):
    path.write_text("[1, 2]\n")


def another_repeats(study, case, path):
    other = study.paths.record(case.case_id, 1)
    path.write_bytes(other.read_bytes())
    series_file(path).write_bytes(series_file(other).read_bytes())


def another_cases(study, case, path):
    path.write_text(path.read_text().replace(case.case_id, "0123456789abcdef"))


def another_studys(study, case, path):
    path.write_text(path.read_text().replace('"study": "trial"', '"study": "theirs"'))


def another_seeds(study, case, path):
    content = json.loads(path.read_text())
    path.write_text(json.dumps({**content, "seed": 1234}))


def without_its_series(study, case, path):
    series_file(path).unlink()


def another_series(study, case, path):
    series_file(path).write_bytes(series_file(study.paths.record(case.case_id, 1)).read_bytes())


DAMAGE = {
    truncated: "cannot read|cannot be read",
    empty: "not JSON",
    binary: "cannot read|cannot be read",
    no_object: "cannot read|cannot be read",
    another_repeats: "repeat is 1, not 0",
    another_cases: "case_id is '0123456789abcdef'",
    another_studys: "study is 'theirs', not 'trial'",
    another_seeds: "seed is 1234, not 7",
    without_its_series: "No such file",
    another_series: "not the series file of its record",
}


@pytest.fixture
def study(make_study):
    made = make_study()
    (made.case,) = made.experiment("gemm", GEMM, repeats=3)
    for repeat in range(3):
        values = [1.0 + repeat + number / 1000 for number in range(1001)]
        made.record(made.case, repeat, measurement("gemm.throughput", values, {"dtype": "float32"}))
    return made


@pytest.mark.parametrize("damage", DAMAGE, ids=lambda damage: damage.__name__)
def test_it_is_missing_for_that_reason_and_at_the_next_start_put_aside(damage, study, capsys):
    path = study.paths.record(study.case.case_id, 0)
    damage(study, study.case, path)
    rows = collect(study.paths)
    assert [row["outcome"] for row in rows] == ["missing", "completed", "completed"]
    assert re.search(DAMAGE[damage], rows[0]["error_message"])
    (found,) = find_unusable(study.paths, [study.case]).items()
    assert found[0] == (study.case.case_id, 0)
    before = path.read_bytes()
    put_unusable_aside(study.paths, [study.case], only_say=True)
    assert path.read_bytes() == before  # a dry run leaves it where it is
    put_unusable_aside(study.paths, [study.case], only_say=False)
    said = capsys.readouterr().err.splitlines()
    assert len(said) == 2
    assert "it will be put aside" in said[0]
    assert "it is now 0.unusable-1.json" in said[1]
    assert not path.exists()
    assert not series_file(path).exists()
    assert path.with_name("0.unusable-1.json").read_bytes() == before
    assert find_unusable(study.paths, [study.case]) == {}
    assert study.paths.record(study.case.case_id, 1).exists()


@pytest.fixture
def read(study, monkeypatch):
    """The names of the records that are read once the tables are made."""
    time.sleep(0.05)  # the clock of a file system is coarse
    collect(study.paths)
    names = []
    real = Record.read
    monkeypatch.setattr("seatrial.unusable.Record.read", lambda path: names.append(path.name) or real(path))
    return names


def test_what_came_after_the_tables_is_looked_at_and_what_they_call_completed_is_not(study, read):
    assert find_unusable(study.paths, [study.case]) == {}
    assert read == []
    truncated(study, study.case, study.paths.record(study.case.case_id, 2))
    assert set(find_unusable(study.paths, [study.case])) == {(study.case.case_id, 2)}
    assert read == ["2.json"]


@pytest.mark.parametrize("moved", [False, True], ids=["in place", "renamed to its place"])
def test_a_file_that_came_after_the_tables_with_an_older_time_is_looked_at(moved, study, read):
    path = study.paths.record(study.case.case_id, 1)
    written = path.with_name("copy") if moved else path
    written.write_bytes(path.read_bytes()[:100])
    old = time.time() - 1e6
    os.utime(written, (old, old))
    written.replace(path)
    assert set(find_unusable(study.paths, [study.case])) == {(study.case.case_id, 1)}
    assert read == ["1.json"]


def test_each_that_is_put_aside_has_a_name_of_its_own(study):
    path = study.paths.record(study.case.case_id, 0)
    for number in (1, 2):
        path.write_text(f"no record {number}")
        put_unusable_aside(study.paths, [study.case], only_say=False)
    assert path.with_name("0.unusable-2.json").read_text() == "no record 2"
    assert path.with_name("0.unusable-1.json").read_text() == "no record 1"
