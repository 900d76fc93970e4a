"""What `seatrial status` says for a person: cases and repeats, what is suspended, one line for what is the same."""

from __future__ import annotations

import datetime as dt
import json
from pathlib import Path
from typing import Any

import pytest
from study_on_disk import GEMM
from test_study_status import NOW, held, slurm_says, study, submitted

from seatrial.cli import main
from seatrial.cli import status as command
from seatrial.status.estimate import estimate
from seatrial.status.jobs import WAITS, Job, read_queue
from seatrial.status.standing import standing
from seatrial.status.text import status_lines

__all__ = ["held", "study"]  # fixtures, found by their names


def test_cases_are_counted_by_the_first_state_that_one_of_their_repeats_is_in(
    make_study: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    study = make_study()
    cases = study.experiment("gemm", GEMM, repeats=2, axes={"workload.m": [16, 32, 48, 64]})
    for case in cases[:3]:
        study.record(case, 0)
    study.record(cases[0], 1)
    study.failed(cases[1], 1, "out_of_memory", "no room")
    found = standing(study.paths, NOW)
    assert found.counts == {"completed": 4, "failed": 1, "missing": 3}
    assert found.case_counts == {"completed": 1, "failed": 1, "missing": 2}
    assert status_lines(found)[2] == "1 of 4 cases completed; 1 failed, 2 missing"
    assert json.loads(json.dumps(found.to_json()))["cases"] == {"completed": 1, "failed": 1, "missing": 2}


def test_a_case_of_which_a_repeat_runs_is_under_way_whatever_became_of_the_others(
    study: Any, held: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    slurm_says(tmp_path, monkeypatch, "echo '70|0|71|RUNNING|2026-01-02T03:59:40|node1|None'")
    study.failed(study.case, 1, "out_of_memory", "no room")
    submitted(study, 0, "70_0")
    assert standing(study.paths, NOW).case_counts == {"running": 1}


@pytest.mark.parametrize("state", ["SUSPENDED", "STOPPED"])
def test_a_suspended_job_is_no_running_one_and_told_with_slurms_reason(
    study: Any, held: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, state: str
) -> None:
    begun = f"{state}|2026-01-02T03:59:40"
    queue = f"70|0|71|{begun}|node1|Preempted by ops\n70|1|72|{begun}|node2|None\n"
    slurm_says(tmp_path, monkeypatch, f"cat <<'END'\n{queue}END")
    study.record(study.case, 5)
    submitted(study, 0, "70_0")
    submitted(study, 1, "70_1")
    found = standing(study.paths, NOW)
    assert found.counts == {"completed": 1, "suspended": 2, "waiting": 3}
    name = f"gemm case {study.case.case_id} repeat"
    since = "since 2026-01-02 03:59 UTC (20 s)"
    lines = status_lines(found)
    assert (
        f"  {name} 0: suspended on node1, started {since[6:]}, job 70_0, Slurm's reason: Preempted by ops" in lines
    )
    assert f"  {name} 1: suspended on node2, started {since[6:]}, job 70_1" in lines
    assert "estimated end: not known: nothing runs now" in lines


@pytest.mark.parametrize(
    "state", ["PENDING", "CONFIGURING", "REQUEUED", "REQUEUE_HOLD", "REQUEUE_FED", "SPECIAL_EXIT", "RESV_DEL_HOLD"]
)
def test_a_job_that_has_not_begun_is_pending_in_every_state_of_slurms(state: str) -> None:
    assert state in WAITS
    assert read_queue(f"7|N/A|7|{state}|2026-01-02T03:59:40|node1|BeginTime\n") == {
        "7": Job("7", "pending", reason="BeginTime")
    }
    assert read_queue(f"7|N/A|7|{state}|N/A||None\n")["7"].reason == state


@pytest.mark.parametrize("state", ["RUNNING", "COMPLETING", "STAGE_OUT", "SIGNALING", "RESIZING"])
def test_a_job_that_holds_nodes_and_works_runs(state: str) -> None:
    assert read_queue(f"7|N/A|7|{state}|N/A|node1|None\n")["7"].state == "running"


def test_no_end_is_estimated_before_the_longest_repeat_can_have_ended(study: Any) -> None:
    case = study.case
    done = [(case, "completed", None, 30.0)] * 3
    begun = [(case, "running", NOW - dt.timedelta(minutes=begin), None) for begin in (29, 28, 0)]
    # 1 + 2 + 30 minutes are left, shared by three
    assert estimate([*done, *begun], NOW).end == NOW + dt.timedelta(minutes=30)
    waiting = [(case, "waiting", None, None)] * 3
    assert estimate([*done, *begun, *waiting], NOW).end == NOW + dt.timedelta(minutes=(1 + 2 + 30 + 3 * 30) / 3)


def test_a_suspended_repeat_counts_with_all_of_its_time_for_how_long_it_ran_nobody_says(study: Any) -> None:
    begun = NOW - dt.timedelta(minutes=29)
    repeats = [
        (study.case, "completed", None, 30.0),
        (study.case, "running", begun, None),
        (study.case, "suspended", begun, None),
    ]
    assert estimate(repeats, NOW).end == NOW + dt.timedelta(minutes=1 + 30)


def test_what_is_the_same_of_many_repeats_is_one_line(study: Any) -> None:
    study.failed(study.case, 0, "crashed", "it died")
    study.failed(study.case, 1, "crashed", "it died")
    study.failed(study.case, 2, "out_of_memory", "no room")
    name = f"gemm case {study.case.case_id} repeat"
    assert status_lines(standing(study.paths, NOW))[3:] == [
        f"  gemm: 2 failed: crashed: it died (the first: case {study.case.case_id} repeat 0)",
        f"  {name} 2: failed: out_of_memory: no room",
        f"  gemm: 3 missing: not started (the first: case {study.case.case_id} repeat 3)",
    ]


def test_the_watch_says_it_again_until_nobody_works_on_the_study(
    study: Any, held: Any, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    slept: list[float] = []

    def sleep(seconds: float) -> None:
        slept.append(seconds)
        study.record(study.case, len(slept) - 1)
        if len(slept) == 2:
            held.let_go()
        assert len(slept) < 5, "it never ends"

    monkeypatch.setattr(command.time, "sleep", sleep)
    assert main(["status", str(study.paths.root), "--watch", "7"]) == 0
    said = [line for line in capsys.readouterr().out.splitlines() if "repeats completed" in line]
    assert slept == [7.0, 7.0]
    assert [line.split()[0] for line in said] == ["0", "1", "2"]


def test_without_watch_it_is_said_once_although_somebody_is_at_work(
    study: Any, held: Any, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(command.time, "sleep", lambda seconds: pytest.fail("it waits"))
    assert main(["status", str(study.paths.root)]) == 0
    assert capsys.readouterr().out.count("repeats completed") == 1


@pytest.mark.parametrize("word", ["results/acceptance", "0", "nan", "86401", "inf"])
def test_no_number_of_seconds_is_refused_with_what_is_allowed(
    word: str, capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(SystemExit) as ended:
        main(["status", "--watch", word])
    said = capsys.readouterr().err
    assert ended.value.code == 2
    assert f"--watch: {word!r} is no number of seconds from 1 to 86400" in said
    assert "the folder stands first: seatrial status results/STUDY --watch" in said
    assert "_seconds" not in said


def test_a_folder_that_holds_no_study_is_called_that_with_those_that_do(
    study: Any, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    results = study.folder
    assert main(["status", str(results)]) == 2
    said = capsys.readouterr().err
    assert "no study lies here: there is no study.json" in said
    assert str(results) in said and f"allowed: a folder with a study.json: {study.paths.root}" in said
    assert "Errno" not in said
    assert main(["status", str(results / "nothing")]) == 2
    said = capsys.readouterr().err
    assert "there is no such folder" in said and str(results / "nothing") in said
    (study.paths.root / "study.json").write_text("{")
    assert main(["status", str(study.paths.root)]) == 2
    assert "study.json: not JSON" in capsys.readouterr().err, "a damaged one is a study"
