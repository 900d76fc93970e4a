"""What is done by two processes is what one does, and what goes wrong in the other one is said here."""

from __future__ import annotations

import os
import signal
import sys

import pytest
from study_on_disk import COLLECTIVE, FINETUNE, GEMM

from seatrial.analysis import analyse as tables
from seatrial.analysis.side_by_side import side_by_side
from seatrial.errors import UnreadableFile

pytestmark = pytest.mark.skipif(
    sys.platform != "linux" or len(os.sched_getaffinity(0)) < 2, reason="a second process needs a second processor"
)
HERE = os.getpid()


@pytest.fixture
def study(make_study):
    """A study with trainings and probes, of which everything has been collected."""
    made = make_study()
    (case,) = made.experiment("finetune", FINETUNE, 4)
    made.trained(case, [1.0, 2.0, 4.0])
    made.failed(case, 3, "target_not_reached", "budget spent")
    made.experiment("gemm", GEMM, 2)
    made.experiment("reduce", COLLECTIVE, 1)
    return made


def contents(paths):
    return {path: path.read_bytes() for path in sorted(paths.root.rglob("*")) if path.is_file() and path.suffix}


def note_process(monkeypatch, tmp_path, *names):
    """Let each of these tables note which process makes it."""
    for name in names:
        monkeypatch.setattr(tables, name, noting(getattr(tables, name), tmp_path / name))


def noting(make, file):
    def noted(paths):
        make(paths)
        file.write_text(str(os.getpid()))

    return noted


def test_two_processes_make_the_tables_that_one_makes(study, monkeypatch, tmp_path):
    paths = study.analyse()
    one = contents(paths)
    for path in paths.tables.glob("*.csv"):
        if path != paths.repeats:
            path.unlink()
    monkeypatch.setattr(tables, "WORTH_A_PROCESS", 0)
    note_process(monkeypatch, tmp_path, "noise", "findings")
    tables.analyse(paths)
    assert contents(paths) == one
    assert (tmp_path / "findings").read_text() == str(HERE) != (tmp_path / "noise").read_text()


def test_a_small_study_starts_no_process(study, monkeypatch, tmp_path):
    note_process(monkeypatch, tmp_path, "noise", "findings")
    study.analyse()
    assert (tmp_path / "findings").read_text() == (tmp_path / "noise").read_text() == str(HERE)


def test_what_goes_wrong_in_the_other_process_is_raised_here(study, monkeypatch, capfd):
    paths = study.analyse()
    before = paths.variance.read_bytes()

    def unreadable(*_):
        raise UnreadableFile("0.json", "of another study")

    monkeypatch.setattr(tables, "WORTH_A_PROCESS", 0)
    monkeypatch.setattr(tables, "variance", unreadable)
    with pytest.raises(UnreadableFile, match=r"cannot read 0\.json: of another study"):
        tables.analyse(paths)
    assert paths.variance.read_bytes() == before
    assert capfd.readouterr().err == ""


def test_what_another_process_was_killed_at_is_done_here(tmp_path):
    file = tmp_path / "file"

    def there():
        if os.getpid() != HERE:
            os.kill(os.getpid(), signal.SIGKILL)
        file.write_text("whole")

    side_by_side(lambda: None, there)
    assert file.read_text() == "whole"


def test_without_a_second_process_both_are_done_here(monkeypatch):
    def none(*_):
        raise OSError(11, "Resource temporarily unavailable")

    monkeypatch.setattr(os, "fork", none)
    done = []
    side_by_side(lambda: done.append("here"), lambda: done.append("there"))
    assert done == ["here", "there"]


def test_what_goes_wrong_here_is_raised_when_the_other_process_is_done(tmp_path):
    def here():
        raise UnreadableFile("0.json", "cut short")

    with pytest.raises(UnreadableFile, match="cut short"):
        side_by_side(here, lambda: (tmp_path / "file").write_text("whole"))
    assert (tmp_path / "file").read_text() == "whole"
