"""Jobs that a Snakemake which has gone left in the queue or running."""

from __future__ import annotations

import threading
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from snakemake_interface_common.exceptions import WorkflowError

from snakemake_executor_plugin_submitit import batches, slurm
from snakemake_executor_plugin_submitit.jobs import Label, Prepared, key_of
from snakemake_executor_plugin_submitit.ledger import Entry, Ledger
from snakemake_executor_plugin_submitit.orphans import Orphans
from snakemake_executor_plugin_submitit.status import Queued
from snakemake_executor_plugin_submitit.submission import Request

LIMITS = {"_nodes": 10, "measuring": 2}


def entry_of(rule: str, job_id: str | None, label: str = "study", run: str = "aaaaaaaaaaaa") -> Entry:
    key = key_of(Label(rule, {}, (), None))
    name = batches.job_name(label, run, 1, [rule])
    holds = {"measuring": 1} if rule.startswith("measure") else {}
    return Entry(key, run, "slurm", "/f", name, 0, 1, 1, None, "t", job_id=job_id, holds=holds)


class Job:
    """One of Snakemake's."""

    is_local = False

    def __init__(self, rule: str) -> None:
        self.name, self.log, self.output = rule, (), ()
        self.wildcards_dict: dict[str, str] = {}

    def is_group(self) -> bool:
        return False


class Dag:
    """As much of Snakemake's as is asked."""

    def __init__(self, *rules: str) -> None:
        self.jobs = [Job(rule) for rule in rules]
        self._priority: dict[Any, int] = dict.fromkeys(self.jobs, 0)

    def needrun_jobs(self) -> list[Any]:
        return self.jobs

    def get_job_group(self, job: Any) -> None:
        return None

    def priorities(self) -> dict[str, int]:
        return {job.name: priority for job, priority in self._priority.items()}


class Left:
    """What is left of a run, and what the queue shows of it."""

    def __init__(self, base: Path, monkeypatch: pytest.MonkeyPatch, *entries: Entry) -> None:
        earlier = Ledger(base, "aaaaaaaaaaaa")
        earlier.write(*entries)
        earlier.close()
        self.alive: set[str] | None = {entry.job_id for entry in entries if entry.job_id}
        self.names = {entry.job_id: entry.name for entry in entries}
        self.said: list[str] = []
        self.ledger = Ledger(base, "bbbbbbbbbbbb")
        found: Any = SimpleNamespace(lost_ids=lambda entries: [None for _ in entries])
        self.orphans = Orphans("slurm", self.ledger, found, 5, self.said.append)
        monkeypatch.setattr(slurm, "queue", self._queue)

    def _queue(self, *_: Any) -> dict[str, Queued]:
        if self.alive is None:
            raise slurm.SlurmUnavailable("no answer")
        return {job: Queued(job, "RUNNING", "None", self.names.get(job, "n")) for job in self.alive}

    def look_again(self) -> None:
        self.orphans._looked = None

    def in_the_way(self, rule: str, live: tuple[Entry, ...] = ()) -> str | None:
        holds = {"measuring": 1} if rule.startswith("measure") else {}
        label = Label(rule, {}, (), None)
        member = Prepared(None, label, key_of(label), Request(), True, "true", ("sh", "-c"), holds=holds)
        return self.orphans.in_the_way([member], live, LIMITS)


def test_they_are_named_and_those_that_are_asked_for_come_first(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    theirs = entry_of("measure9", "9", label="another")
    left = Left(tmp_path, monkeypatch, entry_of("measure1", "1"), entry_of("measure2", "2"), theirs)
    dag = Dag("measure1", "measure3")
    left.orphans.find("study", dag)
    assert dag.priorities() == {"measure1": 1, "measure3": 0}
    asked, others = left.said
    assert "1 job(s) still wait or run, and are taken up" in asked
    assert "1 (" in asked
    assert "1 job(s) still wait or run, and this run does not ask for them" in others
    assert "`scancel 2` ends them" in others
    assert "-measure2)" in others
    left.ledger.close()


def test_they_count_until_they_end_or_are_handed_over(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    left = Left(tmp_path, monkeypatch, entry_of("measure1", "1"), entry_of("measure2", "2"))
    left.orphans.find("study", Dag("measure1", "measure3", "prepare"))
    words = left.in_the_way("measure3")
    assert words is not None
    assert "Waiting for jobs of an earlier run to end (2 measuring at a time): 1 (" in words
    assert left.in_the_way("prepare") is None, "it takes none of what is scarce"
    taken = entry_of("measure1", "1")
    left.orphans.handed_over([taken.key])
    assert left.in_the_way("measure3", (taken,)) is not None, "now it counts as one of this run"
    left.alive = None
    left.look_again()
    assert left.in_the_way("measure3", (taken,)) is not None, "no answer is no end"
    assert not left.orphans.some_ended()
    left.alive = {"1"}
    left.look_again()
    assert left.orphans.some_ended()
    assert not left.orphans.some_ended(), "said once"
    assert left.in_the_way("measure3", (taken,)) is None
    left.ledger.close()


def test_the_number_of_jobs_counts_them_too(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    left = Left(tmp_path, monkeypatch, *(entry_of(f"other{i}", str(i)) for i in range(10)))
    left.orphans.find("study", Dag("prepare"))
    assert "(10 jobs at a time)" in str(left.in_the_way("prepare"))
    left.ledger.close()


def test_an_interrupt_cancels_those_that_are_asked_for_and_names_the_others(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    ended = entry_of("measure3", "3")
    left = Left(tmp_path, monkeypatch, entry_of("measure1", "1"), entry_of("measure2", "2"), ended)
    left.orphans.find("study", Dag("measure1", "measure3"))
    left.said.clear()
    left.alive = {"1", "2"}
    assert [live.job_id for live in left.orphans.to_be_cancelled()] == ["1"]
    (words,) = left.said
    assert "`scancel 2` ends them" in words
    left.ledger.close()


def test_those_that_an_interrupt_cancels_are_this_runs_before_they_are_told(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Should Snakemake be killed meanwhile, it was nobody else who cancelled them."""
    left = Left(tmp_path, monkeypatch, entry_of("measure1", "1"), entry_of("measure2", "2"))
    left.orphans.find("study", Dag("measure1"))
    left.orphans.to_be_cancelled()
    assert {entry.job_id: entry.run for entry in left.ledger.entries()} == {"1": left.ledger.run, "2": "a" * 12}
    left.ledger.close()


def test_at_an_interrupt_those_of_which_slurm_does_not_say_the_ids_are_named(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def silent(_: Any) -> Any:
        raise WorkflowError("Slurm does not say")

    left = Left(tmp_path, monkeypatch, entry_of("measure1", "1"), entry_of("measure2", None))
    left.orphans._earlier.lost_ids = silent  # type: ignore[method-assign]
    left.orphans.find("study", Dag("measure1", "measure2"))
    left.said.clear()
    assert [live.job_id for live in left.orphans.to_be_cancelled()] == ["1"]
    (words,) = left.said
    assert "1 job(s) may be in the queue and could not be asked for" in words
    assert f"{'a' * 12}-1-measure2" in words
    left.ledger.close()


def test_what_can_be_neither_taken_up_nor_ended_still_counts_and_is_cancelled_by_an_interrupt(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    left = Left(tmp_path, monkeypatch, entry_of("measure1", "1"), entry_of("measure2", "2"))
    left.orphans.find("study", Dag("measure1", "measure2"))
    one, two = (entry_of(f"measure{number}", None).key for number in (1, 2))
    left.orphans.handed_over([one, two], unclear=[one])
    assert left.in_the_way("measure3", (entry_of("measure2", "2"),)) is not None
    assert [live.job_id for live in left.orphans.to_be_cancelled()] == ["1"]
    left.alive = {"2"}
    left.look_again()
    assert left.in_the_way("measure3") is None
    left.ledger.close()


def test_what_nobody_can_ask_for_is_not_waited_for(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Its folder is not safely ours: that may never change, and the job's failure has said so."""
    left = Left(tmp_path, monkeypatch, entry_of("measure1", None), entry_of("measure2", "2"))
    refused = WorkflowError("can be written by others")
    left.orphans._earlier.lost_ids = lambda entries: [refused for _ in entries]  # type: ignore[method-assign]
    left.orphans.find("study", Dag("measure1"))
    assert left.in_the_way("measure3") is not None
    one = entry_of("measure1", None).key
    left.orphans.handed_over([one], unclear=[one])
    assert left.in_the_way("measure3") is None
    left.ledger.close()


def test_nothing_is_said_of_what_was_never_submitted_or_has_ended(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    left = Left(tmp_path, monkeypatch, entry_of("measure1", None), entry_of("measure2", "2"))
    left.alive = set()
    left.orphans.find("study", Dag("measure1"))
    assert left.said == []
    assert left.in_the_way("measure1") is None
    left.ledger.close()


def test_they_can_be_asked_for_by_one_thread_while_another_takes_them(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    left = Left(tmp_path, monkeypatch, entry_of("measure1", "1"))
    left.orphans.find("study", Dag())
    held, asked = threading.Event(), threading.Event()

    def take() -> None:
        with left.orphans._guard:
            held.set()
            asked.wait(0.3)
            left.orphans._left.clear()

    taking = threading.Thread(target=take)
    taking.start()
    assert held.wait(10)
    assert left.orphans.not_asked_for() == []
    assert left.orphans.asked_for() == []
    taking.join(10)
    left.ledger.close()


def test_a_ledger_that_cannot_be_read_is_one_clear_error(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    left = Left(tmp_path, monkeypatch, entry_of("measure1", "1"))
    (tmp_path / "ledger.jsonl").unlink()
    (tmp_path / "ledger.jsonl").mkdir()
    with pytest.raises(WorkflowError, match=r"what earlier runs have submitted cannot be read .*Is a directory"):
        left.orphans.find("study", Dag())
    left.ledger.close()


def test_one_whose_id_is_another_jobs_by_now_has_ended(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A controller that lost it gives its id anew: neither waited for nor named as what scancel ends."""
    left = Left(tmp_path, monkeypatch, entry_of("measure1", "1"), entry_of("measure2", "2"))
    left.names["1"] = "another"
    left.orphans.find("study", Dag())
    assert [entry.job_id for entry in left.orphans.not_asked_for()] == ["2"]
    assert "`scancel 2` ends them" in left.said[-1]
    left.ledger.close()


def test_a_folder_that_cannot_be_read_ends_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def stale(_: object) -> list[Any]:
        raise OSError(116, "Stale file handle")

    left = Left(tmp_path, monkeypatch, entry_of("measure1", None), entry_of("measure2", "2"))
    left.orphans._earlier.lost_ids = stale  # type: ignore[method-assign, assignment]
    left.orphans.find("study", Dag())
    assert not left.orphans.some_ended()
    assert "being submitted (" in str(left.in_the_way("measure3"))
    left.ledger.close()


def test_of_a_batch_that_cannot_be_read_nothing_is_known_and_the_end_of_others_is_seen(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    entries = entry_of("measure1", None), entry_of("measure2", None), entry_of("measure3", "3")
    left = Left(tmp_path, monkeypatch, *entries)
    answers = {entries[0].key: WorkflowError("can be written by others"), entries[1].key: "2"}
    left.orphans._earlier.lost_ids = lambda unknown: [  # type: ignore[method-assign, assignment, misc]
        answers[entry.key] for entry in unknown
    ]
    left.alive = {"2"}
    left.names["2"] = entries[1].name
    left.orphans.find("study", Dag())
    assert left.orphans.some_ended()
    assert sorted((entry.job_id or "") for entry in left.orphans.not_asked_for()) == ["", "2"]
    assert "`scancel 2` ends them" in left.said[-1]
    left.ledger.close()
