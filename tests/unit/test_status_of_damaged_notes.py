"""Whatever lies in the executor's folder, `seatrial status` tells what is known and ends with 0."""

from __future__ import annotations

import datetime as dt
import json
from pathlib import Path
from typing import Any

import pytest
from test_study_status import NOW, QUEUE, held, slurm_says, study, submitted

from seatrial.cli import main
from seatrial.status.jobs import Job, jobs_under_way, read_queue
from seatrial.status.standing import standing
from seatrial.status.text import status_lines

__all__ = ["held", "study"]  # fixtures, found by their names
NO_TIMES = [17, True, [], {}, "yesterday", "", "2026-11-23T10:00:00", "0001-01-01T00:00:00+23:59", "9" * 5000]


@pytest.mark.parametrize("started_at", NO_TIMES, ids=lambda value: str(value)[:30])
def test_a_job_whose_rank_states_no_time_runs_since_nobody_knows_when(
    study: Any, held: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, started_at: Any
) -> None:
    slurm_says(tmp_path, monkeypatch, "exit 1")
    study.record(study.case, 1)
    folder = submitted(study, 0, "70_0")
    report = {"node": "node7", "started_at": started_at, "ended_at": None}
    (folder / "70_0_0_rank.json").write_text(json.dumps(report))
    found = standing(study.paths, NOW)
    assert (found.repeats[0].state, found.repeats[0].since) == ("running", None)
    name = f"gemm case {study.case.case_id} repeat 0"
    assert f"  {name}: running on node7, job 70_0" in status_lines(found)
    assert found.estimate.end == NOW + dt.timedelta(seconds=5 * 30), "it counts with all of its typical time"
    assert json.loads(json.dumps(found.to_json()))["repeats"][0]["since"] is None


@pytest.mark.parametrize(
    "note",
    [
        {"log": "a\0b"}, {"log": "\ud800"}, {"log": 5}, {"log": None}, {"log": ""}, {"log": "x" * 5000},
        {"folder": "a\0b"}, {"folder": ["/f"]}, {"folder": "\ud800"}, {"folder": "x" * 5000},
        {"job_id": "a\0b"}, {"job_id": {}}, {"job_id": "\ud800"}, {"job_id": "9" * 5000}, {"job_id": "../x"},
        {"key": None}, {"key": [[[]]]}, {"cluster": 7}, {"host": []}, {"status": None},
    ],
    ids=lambda note: ascii(note)[:30],
)  # fmt: skip
@pytest.mark.parametrize("cluster", ["slurm", "local"])
def test_a_damaged_note_keeps_no_sound_one_from_being_told(
    study: Any, held: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, note: dict[str, Any], cluster: str,
    capsys: pytest.CaptureFixture[str],
) -> None:  # fmt: skip
    slurm_says(tmp_path, monkeypatch, f"cat <<'END'\n{QUEUE}END")
    submitted(study, 0, "70_0")
    submitted(study, 1, "9", cluster=cluster)
    ledger = study.folder / "submissions" / "ledger.jsonl"
    sound, other = map(json.loads, ledger.read_text().splitlines())
    ledger.write_text("".join(json.dumps(entry) + "\n" for entry in (sound, {**other, **note})))
    assert standing(study.paths, NOW).repeats[0].state == "running"
    assert main(["status", str(study.paths.root)]) == 0
    assert "running on node[1-2]" in capsys.readouterr().out


def test_a_link_that_leads_in_circles_is_nobodys_log(study: Any, held: Any) -> None:
    submitted(study, 0, "9", cluster="local")
    (study.folder / "circle").symlink_to("circle")
    ledger = study.folder / "submissions" / "ledger.jsonl"
    note = {**json.loads(ledger.read_text()), "log": "circle/x.log"}
    ledger.write_text(json.dumps(note) + "\n")
    assert not any(job.state == "running" for job in jobs_under_way(study.paths).by_log.values())


@pytest.mark.parametrize(
    "report",
    [{"node": 7}, {"node": "\ud800"}, {"node": "a\x1b[31m\nb"}, [], "text", {"ended_at": 5}, {"ended_at": []}],
    ids=ascii,
)
def test_a_damaged_report_of_a_rank_is_told_in_one_line_without_control_characters(
    study: Any, held: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, report: Any,
    capsys: pytest.CaptureFixture[str],
) -> None:  # fmt: skip
    slurm_says(tmp_path, monkeypatch, "exit 1")
    folder = submitted(study, 0, "70_0")
    (folder / "70_0_0_rank.json").write_text(json.dumps(report))
    assert main(["status", str(study.paths.root)]) == 0
    said = capsys.readouterr().out
    assert said.replace("\n", "").isprintable()
    assert len(said.splitlines()) == len(status_lines(standing(study.paths, NOW)))
    assert main(["status", str(study.paths.root), "--json"]) == 0


@pytest.mark.parametrize("start", ["1x", "2026-13-01T00:00:00", "2026-01-02T03:59:40+", "N/A", "", "9" * 5000])
def test_a_start_that_squeue_does_not_state_as_a_time_is_not_known(start: str) -> None:
    (job,) = read_queue(f"7|N/A|7|RUNNING|{start}|node1|None\n").values()
    assert job == Job("7", "running", nodes="node1")


def test_words_of_squeue_that_are_no_utf_8_are_told_all_the_same(
    study: Any, held: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    slurm_says(tmp_path, monkeypatch, r"printf '70|0|71|PENDING|N/A||L\374fter\n'")
    submitted(study, 0, "70_0")
    found = standing(study.paths, NOW)
    assert (found.repeats[0].state, found.repeats[0].why) == ("pending", "L\ufffdfter")


def test_a_record_that_took_ten_thousand_years_makes_no_estimate_end_the_command(
    study: Any, held: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    slurm_says(tmp_path, monkeypatch, f"cat <<'END'\n{QUEUE}END")
    study.record(study.case, 0, started_at="2026-01-02T03:00:00+00:00")
    path = study.paths.record(study.case.case_id, 0)
    record = json.loads(path.read_text())
    path.write_text(json.dumps({**record, "started_at": "0001-01-02T00:00:00+00:00",
                                "finished_at": "9999-12-30T00:00:00+00:00"}))  # fmt: skip
    submitted(study, 1, "70_0")
    found = standing(study.paths, NOW)
    assert found.counts["running"] == 1
    assert found.estimate.end is None
    assert any(line.startswith("estimated end: not known: ") for line in status_lines(found))


def test_reasons_that_an_attempt_holds_are_printed_whatever_characters_they_have(
    study: Any, capsys: pytest.CaptureFixture[str]
) -> None:
    attempts = study.paths.attempts(study.case.case_id, 2)
    attempts.parent.mkdir(parents=True)
    attempts.write_text(json.dumps([{"state": "FAILED", "reason": "\ud800\x1b[31m", "external_jobid": "9"}]))
    assert main(["status", str(study.paths.root)]) == 0
    assert capsys.readouterr().out.replace("\n", "").isprintable()


def test_an_executors_folder_that_cannot_be_read_is_said(study: Any, held: Any) -> None:
    ledger = study.folder / "submissions" / "ledger.jsonl"
    ledger.mkdir(parents=True)
    assert "Is a directory" in (jobs_under_way(study.paths).silent or "")
    ledger.rmdir()
    assert jobs_under_way(study.paths).silent is None
