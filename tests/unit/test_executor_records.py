"""What the executor writes down: the ledger, the attempts file, the rule's log."""

import json
import multiprocessing
import os
from pathlib import Path

import pytest
from snakemake_interface_common.exceptions import WorkflowError

from snakemake_executor_plugin_submitit.attempts import append_attempt, attempts_path, read_attempts
from snakemake_executor_plugin_submitit.batches import find_all_lost
from snakemake_executor_plugin_submitit.ledger import Entry, Ledger, job_key
from snakemake_executor_plugin_submitit.logs import fill_rule_log, stat_of
from snakemake_executor_plugin_submitit.outcomes import Outcome
from snakemake_executor_plugin_submitit.pickles import private_folder
from snakemake_executor_plugin_submitit.ranks import RankReport, output_path


def entry(key: str = "k", run: str = "one", folder: str = "/f") -> Entry:
    return Entry(
        key, run, "slurm", folder, "smk-one-1-a", 0, 1, 1, "print", "2026-01-01T00:00:00Z", "a.log", (3, 4)
    )


def append(path: Path, job_id: str | None, state: str = "FAILED", submitted_at: str = "t") -> None:
    append_attempt(
        path,
        Outcome(state, exit_code=7, failing_rank=2, nodes=("n1",)),
        cluster="slurm",
        external_jobid=job_id,
        name="smk-1-1-a",
        submitted_at=submitted_at,
        rule="a",
        wildcards={"x": "1"},
        outputs=["o"],
    )


def test_attempts_lie_beside_the_log() -> None:
    assert attempts_path("logs/a.b.log", Path("/s"), "k") == Path("logs/a.b.attempts.json")
    assert attempts_path("logs/a.txt", Path("/s"), "k") == Path("logs/a.txt.attempts.json")
    assert attempts_path(None, Path("/s"), "k") == Path("/s/attempts/k.attempts.json")


def test_attempts_are_appended_in_order_and_an_attempt_is_counted_once(tmp_path: Path) -> None:
    path = tmp_path / "logs" / "a.attempts.json"
    append(path, "1")
    append(path, "1")
    append(path, "2", state="COMPLETED")
    assert [(a["attempt"], a["external_jobid"], a["state"]) for a in read_attempts(path)] == [
        (1, "1", "FAILED"),
        (2, "2", "COMPLETED"),
    ]
    assert list(read_attempts(path)[0]) == [
        "attempt",
        "cluster",
        "external_jobid",
        "name",
        "state",
        "exit_code",
        "signal",
        "reason",
        "failing_rank",
        "failing_node",
        "nodes",
        "submitted_at",
        "started_at",
        "ended_at",
        "rule",
        "wildcards",
        "outputs",
    ]
    assert read_attempts(path)[0]["started_at"] is None
    assert [file.name for file in path.parent.iterdir()] == ["a.attempts.json"]


def test_an_attempts_file_that_is_something_else_is_kept_aside(tmp_path: Path) -> None:
    path = tmp_path / "a.attempts.json"
    path.write_text('{"not": "a list"}')
    append(path, "1")
    assert len(read_attempts(path)) == 1
    assert (tmp_path / "a.attempts.json.unreadable").read_text() == '{"not": "a list"}'


def test_a_job_is_the_same_job_by_its_outputs() -> None:
    assert job_key("a", ["x", "y"], "") == job_key("renamed", ["y", "x"], "w")
    assert job_key("a", ["x"], "") != job_key("a", ["y"], "")
    assert job_key("a", [], "i=1") != job_key("a", [], "i=2")


def test_the_folder_of_results_is_private(tmp_path: Path) -> None:
    os.umask(0o022)
    assert private_folder(tmp_path / "a" / "s").stat().st_mode & 0o777 == 0o700
    loose = tmp_path / "loose"
    loose.mkdir(mode=0o755)
    assert private_folder(loose).stat().st_mode & 0o777 == 0o700


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can give a folder away")
def test_a_folder_of_someone_else_is_refused(tmp_path: Path) -> None:
    folder = tmp_path / "theirs"
    folder.mkdir()
    os.chown(folder, 12345, -1)
    with pytest.raises(WorkflowError, match=r"belongs to another user \(uid 12345\)"):
        private_folder(folder)


def test_the_ledger_gives_back_what_was_written(tmp_path: Path) -> None:
    ledger = Ledger(tmp_path, "one")
    ledger.write(entry())
    assert ledger.read("k") == entry()
    assert ledger.read("other") is None
    ledger.close()


def _hold(folder: str, ready: "multiprocessing.connection.Connection") -> None:  # type: ignore[name-defined]
    ledger = Ledger(Path(folder), "theirs")
    ledger.write(entry(run="theirs"))
    ready.send("held")
    ready.recv()


def test_a_job_of_a_living_snakemake_is_refused_and_of_a_killed_one_is_free(tmp_path: Path) -> None:
    context = multiprocessing.get_context("spawn")
    here, there = context.Pipe()
    holder = context.Process(target=_hold, args=(str(tmp_path), there))
    holder.start()
    try:
        assert here.poll(60)
        mine = Ledger(tmp_path, "mine")
        with pytest.raises(WorkflowError, match=rf"belongs to another Snakemake.*process {holder.pid} on"):
            mine.read("k")
        assert mine.orphans() == []
        holder.kill()
        holder.join(30)
        found = mine.read("k")
        assert found is not None
        assert found.run == "theirs"
        assert [orphan.key for orphan in mine.orphans()] == ["k"]
        mine.close()
    finally:
        holder.kill()
        holder.join(30)


def test_an_intent_that_was_never_carried_out_is_no_job(tmp_path: Path) -> None:
    assert find_all_lost([entry(folder=str(tmp_path))], timeout=5) == [None]


def rank(number: int, exit_code: int) -> RankReport:
    return RankReport(
        number, f"n{number}", 1, "2026-01-01T00:00:00Z", ended_at="2026-01-01T00:00:01Z", exit_code=exit_code
    )


def test_an_unwritten_rule_log_gets_rank_0_and_the_failing_ranks(tmp_path: Path) -> None:
    for number in range(3):
        output_path(tmp_path, "9", number).write_text(f"from {number}")
    log = str(tmp_path / "logs" / "a.log")
    outcome = Outcome("FAILED", reason="why", failing_rank=2)
    fill_rule_log(log, None, [rank(0, 0), rank(1, 0), rank(2, 7)], outcome, tmp_path, "9", 3)
    assert Path(log).read_text() == (
        "==== rank 0 on n0 ended with exit code 0 ====\nfrom 0\n"
        "==== rank 2 on n2 ended with exit code 7 ====\nfrom 2\n"
        "==== job 9: FAILED: why ====\n"
    )


def test_a_rule_log_that_the_command_wrote_is_left_alone_and_an_old_one_is_not(tmp_path: Path) -> None:
    log = tmp_path / "a.log"
    output_path(tmp_path, "9", 0).write_text("from 0\n")
    log.write_text("by an earlier attempt\n")
    before = stat_of(str(log))
    fill_rule_log(str(log), before, [rank(0, 0)], Outcome("COMPLETED"), tmp_path, "9", 1)
    assert log.read_text() == "from 0\n"
    assert not output_path(tmp_path, "9", 0).exists()
    before = stat_of(str(log))
    log.write_text("by the command itself\n")
    fill_rule_log(str(log), before, [rank(0, 0)], Outcome("COMPLETED"), tmp_path, "9", 1)
    assert log.read_text() == "by the command itself\n"


def test_the_attempts_file_is_json_with_a_final_newline(tmp_path: Path) -> None:
    path = tmp_path / "a.attempts.json"
    append(path, None)
    text = path.read_text()
    assert text.endswith("\n")
    assert json.loads(text)[0]["external_jobid"] is None
