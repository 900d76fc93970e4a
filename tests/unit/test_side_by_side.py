"""What is done by two processes is what one does, and what goes wrong in the other one is said here."""

from __future__ import annotations

import os
import signal
import sys
import time

import pytest
from study_on_disk import COLLECTIVE, FINETUNE, GEMM

from seatrial.analysis import analyse as tables
from seatrial.analysis.side_by_side import shared_out
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

    shared_out(lambda: None, [there])
    assert file.read_text() == "whole"


def test_without_a_second_process_both_are_done_here(monkeypatch):
    def none(*_):
        raise OSError(11, "Resource temporarily unavailable")

    monkeypatch.setattr(os, "fork", none)
    done = []
    shared_out(lambda: done.append("here"), [lambda: done.append("there")])
    assert done == ["here", "there"]


def test_what_goes_wrong_here_is_raised_when_the_other_process_is_done(tmp_path):
    def here():
        raise UnreadableFile("0.json", "cut short")

    with pytest.raises(UnreadableFile, match="cut short"):
        shared_out(here, [lambda: (tmp_path / "file").write_text("whole")])
    assert (tmp_path / "file").read_text() == "whole"


def done_by(folder):
    return {path.read_text() for path in folder.iterdir() if path.suffix != ".aside"}


def wait_until(condition):
    end = time.monotonic() + 20
    while not condition() and time.monotonic() < end:
        time.sleep(0.01)


def written(folder, name):
    """A part that writes by which process it was done; the other process leaves the last ones to this one."""

    def part():
        if os.getpid() != HERE and int(name) > 1:
            wait_until(lambda: str(HERE) in done_by(folder))
        (folder / f"{name}.aside").write_text(str(os.getpid()))
        (folder / f"{name}.aside").rename(folder / name)
        return int(name)

    return part


def test_parts_are_shared_out_while_the_first_is_done_here(tmp_path):
    firsts = []

    def first():
        wait_until(lambda: done_by(tmp_path))
        firsts.append(os.getpid())

    assert shared_out(first, [written(tmp_path, str(n)) for n in range(8)]) == list(range(8))
    assert firsts == [HERE]
    assert len(list(tmp_path.iterdir())) == 8
    assert len(done_by(tmp_path)) == 2 and str(HERE) in done_by(tmp_path)


def test_more_parts_than_a_pipe_holds_are_all_done(tmp_path, monkeypatch):
    monkeypatch.setattr("seatrial.analysis.side_by_side.MOST_PARTS", 3)
    assert shared_out(lambda: None, [written(tmp_path, str(n)) for n in range(5)]) == list(range(5))
    assert sorted(path.name for path in tmp_path.iterdir()) == ["0", "1", "2", "3", "4"]


def test_parts_that_the_other_process_took_with_it_are_done_here(tmp_path):
    def part(name):
        def done():
            if os.getpid() != HERE:
                os.kill(os.getpid(), signal.SIGKILL)
            (tmp_path / name).write_text("whole")

        return done

    shared_out(lambda: time.sleep(0.1), [part(str(n)) for n in range(4)])
    assert {path.name for path in tmp_path.iterdir()} == {"0", "1", "2", "3"}


def test_what_goes_wrong_here_ends_the_other_process_whatever_it_has_to_say():
    def first():
        raise UnreadableFile("0.json", "cut short")

    with pytest.raises(UnreadableFile, match="cut short"):
        shared_out(first, [lambda: "x" * 10_000_000])
