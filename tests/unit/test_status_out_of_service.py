"""Why repeats wait for nodes: `seatrial status` names what takes no jobs, in the words of whoever drained it."""

from __future__ import annotations

import json
import os
import stat
from pathlib import Path
from typing import Any

import pytest
from study_on_disk import GEMM, LAPTOP
from test_study_status import NOW, held, slurm_says, study, submitted

from seatrial.status.nodes import OutOfService, read_reasons
from seatrial.status.standing import standing
from seatrial.status.text import status_lines
from seatrial.study_lock import StudyLock

__all__ = ["held", "study"]  # fixtures, found by their names
WAITS = "echo '70|0|71|PENDING|N/A||ReqNodeNotAvail, UnavailableNodes:node4'"
DRAINED = "echo 'node[3-4]|drained|root|2026-01-02T03:40:00|bad DIMM | ticket 4711'"


def sinfo(tmp_path: Path, script: str) -> Path:
    """Put a sinfo of our own beside the squeue; the file that holds its words, one call a line."""
    calls, program = tmp_path / "sinfo-calls", tmp_path / "bin" / "sinfo"
    program.write_text(f'#!/bin/sh\necho "$@" >> {calls}\n{script}\n')
    program.chmod(program.stat().st_mode | stat.S_IXUSR)
    return calls


def test_nodes_are_named_with_state_time_and_reason_while_a_job_waits_and_only_then(
    study: Any, held: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    slurm_says(tmp_path, monkeypatch, WAITS)
    calls = sinfo(tmp_path, DRAINED)
    found = standing(study.paths, NOW)
    assert (found.out_of_service, calls.exists()) == ((), False), "nothing waits: Slurm is not asked"
    submitted(study, 0, "70_0")
    found = standing(study.paths, NOW)
    assert len(calls.read_text().splitlines()) == 1
    lines = status_lines(found)
    assert "  gemm: 1 pending, Slurm's reason: ReqNodeNotAvail, UnavailableNodes:node4" in lines
    assert "  node[3-4]: drained since 2026-01-02 03:40 UTC by root: bad DIMM | ticket 4711" in lines
    (told,) = json.loads(json.dumps(found.to_json()))["out_of_service"]
    assert told == {
        "nodes": "node[3-4]", "state": "drained", "reason": "bad DIMM | ticket 4711", "by": "root",
        "since": "2026-01-02T03:40:00+00:00",
    }  # fmt: skip


@pytest.mark.parametrize(("partition", "asked"), [("main", "--partition=main"), (None, "")])
def test_slurm_is_asked_for_the_nodes_of_the_partition_alone_that_the_study_names(
    make_study: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, partition: str | None, asked: str
) -> None:
    study = make_study(target={**LAPTOP, "launcher": {"partition": partition}})
    (study.case,) = study.experiment("gemm", GEMM, repeats=1)
    study.folder = study.paths.root.parent
    monkeypatch.chdir(study.folder)
    slurm_says(tmp_path, monkeypatch, WAITS)
    calls = sinfo(tmp_path, DRAINED)
    lock = StudyLock(study.paths.lock)
    lock.take("submissions")
    submitted(study, 0, "70_0")
    try:
        assert standing(study.paths, NOW).out_of_service
    finally:
        lock.let_go()
    assert [word for word in calls.read_text().split() if word.startswith("--partition")] == asked.split()


@pytest.mark.parametrize(
    ("script", "words"),
    [
        ("exec sleep 60", "sinfo did not answer within 0.5 s: which nodes are drained or down is not known"),
        ("echo no controller >&2; exit 1", "sinfo: no controller: which nodes are drained or down is not known"),
        (None, "sinfo cannot be run (No such file or directory): which nodes are drained or down is not known"),
    ],
)
def test_that_slurm_does_not_say_is_said(
    study: Any, held: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, script: str | None, words: str
) -> None:
    slurm_says(tmp_path, monkeypatch, WAITS)
    if script is None:
        monkeypatch.setenv("PATH", f"{tmp_path / 'bin'}:{_without('sinfo')}")
    else:
        sinfo(tmp_path, script)
    submitted(study, 0, "70_0")
    found = standing(study.paths, NOW, seconds=0.5)
    assert found.counts["pending"] == 1
    assert words in status_lines(found)


def _without(program: str) -> str:
    """The PATH without folders that hold a program."""
    return ":".join(p for p in os.environ["PATH"].split(":") if not Path(p, program).exists())


def test_what_sinfo_prints_is_read_and_what_it_does_not_know_stays_unknown() -> None:
    text = "node1|down*|Unknown|Unknown|Not responding\nnode1|down*|Unknown|Unknown|Not responding\nnonsense\n"
    assert read_reasons(text) == (OutOfService("node1", "down*", "Not responding"),)


def test_a_reason_that_is_no_utf_8_is_told_all_the_same(
    study: Any, held: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    slurm_says(tmp_path, monkeypatch, WAITS)
    sinfo(tmp_path, r"printf 'node3|drained|root|2026-01-02T03:40:00|L\374fter\n'")
    submitted(study, 0, "70_0")
    assert [nodes.reason for nodes in standing(study.paths, NOW).out_of_service] == ["L\ufffdfter"]
