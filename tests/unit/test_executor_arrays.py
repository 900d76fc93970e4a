"""One pickle for the jobs of an array: each runs its own command, and is found again after a kill at any time."""

from __future__ import annotations

import os
import threading
import time
from pathlib import Path
from typing import Any

import pytest
import submitit
from submitit.core.utils import DelayedSubmission

from snakemake_executor_plugin_submitit import arrays, batches, pickles, slurm
from snakemake_executor_plugin_submitit.arrays import ArrayExecutor
from snakemake_executor_plugin_submitit.batches import find_all_lost
from snakemake_executor_plugin_submitit.ledger import Entry
from snakemake_executor_plugin_submitit.payload import RankBatch, RankCommand
from snakemake_executor_plugin_submitit.pickles import private_folder


class Killed(BaseException):
    """As if by kill -9: nothing may handle it."""


def command(index: int, words: str = "true") -> RankCommand:
    return RankCommand(
        key=f"k{index}", index=index, command=words, shell=("/bin/sh", "-c"), prefix=(), folder="/f", cwd="/",
        threads=1, spmd=True, port=None, minutes=None, signal_delay=1, debug=False,
    )  # fmt: skip


def entry(folder: Path, index: int, size: int) -> Entry:
    return Entry(f"k{index}", "one", "slurm", str(folder), "n", index, size, 1, None, "2026-01-01T00:00:00Z")


def submit(folder: Path, count: int, monkeypatch: pytest.MonkeyPatch, sbatch: Any) -> list[submitit.Job[Any]]:
    monkeypatch.setattr(submitit.SlurmExecutor, "affinity", classmethod(lambda cls: 2))
    monkeypatch.setattr(submitit.SlurmExecutor, "_submit_command", sbatch)
    return ArrayExecutor(folder).submit_array([command(index) for index in range(count)])


def taken(executor: Any, words: str) -> submitit.Job[Any]:
    return submitit.SlurmJob(folder=executor.folder, job_id="7", tasks=[0])


def killed_before_slurm_answered(folder: Path, count: int, monkeypatch: pytest.MonkeyPatch) -> None:
    """Submit an array, and be killed in its call of sbatch: its pickles lie there, and have no job's name."""

    def killed(executor: Any, words: str) -> submitit.Job[Any]:
        raise Killed

    with monkeypatch.context() as patch, pytest.raises(Killed):
        submit(folder, count, patch, killed)


def test_the_jobs_of_an_array_share_one_file_and_each_runs_the_command_of_its_place(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = private_folder(tmp_path / "s")
    jobs = submit(folder, 3, monkeypatch, taken)
    assert [job.job_id for job in jobs] == ["7_0", "7_1", "7_2"]
    names = [folder / f"7_{index}_submitted.pkl" for index in range(3)]
    assert len({name.stat().st_ino for name in names}) == 1
    monkeypatch.setattr(RankCommand, "__call__", lambda self: self.key)
    for index, name in enumerate(names):
        monkeypatch.setenv("SLURM_ARRAY_TASK_ID", str(index))
        assert DelayedSubmission.load(name).result() == f"k{index}"


def test_one_job_alone_and_commands_too_long_for_every_rank_to_read_have_pickles_of_their_own(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = private_folder(tmp_path / "s")
    submit(folder, 1, monkeypatch, taken)
    assert isinstance(pickles.load(folder / "7_submitted.pkl").function, RankCommand)
    monkeypatch.setattr(arrays, "_LONGEST_TOGETHER", 3)
    submit(folder, 2, monkeypatch, taken)
    assert pickles.load(folder / "7_1_submitted.pkl").function.index == 1


def test_where_the_file_system_has_no_links_every_job_has_a_copy(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = private_folder(tmp_path / "s")

    def refused(*paths: object) -> None:
        raise PermissionError(1, "Operation not permitted")

    monkeypatch.setattr(os, "link", refused)
    submit(folder, 2, monkeypatch, taken)
    for index in range(2):
        assert isinstance(pickles.load(folder / f"7_{index}_submitted.pkl").function, RankBatch)


@pytest.mark.parametrize("named", [0, 1, 2, 3])
def test_a_snakemake_killed_after_slurm_took_the_array_finds_every_job(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, named: int
) -> None:
    folder = private_folder(tmp_path / "s")
    rename = Path.rename
    done: list[Path] = []

    def killed(self: Path, target: Path) -> Path:
        if len(done) == named:
            raise Killed
        done.append(target)
        return rename(self, target)

    with monkeypatch.context() as patch:
        patch.setattr(Path, "rename", killed)
        if named < 3:
            with pytest.raises(Killed):
                submit(folder, 3, patch, taken)
        else:
            submit(folder, 3, patch, taken)
    monkeypatch.setattr(slurm, "ids_by_name", lambda name, timeout, fresh: {"7"})
    assert [find_all_lost([entry(folder, index, 3)], 5)[0] for index in (2, 0, 1)] == ["7_2", "7_0", "7_1"]
    assert sorted(path.name for path in folder.glob("*.pkl")) == [f"7_{i}_submitted.pkl" for i in range(3)]


def test_a_snakemake_killed_before_slurm_took_the_array_has_submitted_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = private_folder(tmp_path / "s")

    killed_before_slurm_answered(folder, 3, monkeypatch)
    monkeypatch.setattr(slurm, "ids_by_name", lambda name, timeout, fresh: set())
    assert [find_all_lost([entry(folder, index, 3)], 5)[0] for index in range(3)] == [None, None, None]
    batches.forget_unsubmitted(folder)
    assert not list(folder.glob("*.pkl"))


def test_two_threads_that_look_for_the_same_array_both_find_all_of_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The one that watches and the one that submits, when a silent Slurm answers both at once."""
    folder = private_folder(tmp_path / "s")
    count = 40

    killed_before_slurm_answered(folder, count, monkeypatch)
    both = threading.Barrier(2)

    def answer(*_: object) -> set[str]:
        both.wait(20)
        return {"7"}

    monkeypatch.setattr(slurm, "ids_by_name", answer)
    rename = Path.rename

    named: list[Path] = []

    def slow(self: Path, target: Path) -> Path:
        time.sleep(0.001)  # the other thread goes on
        named.append(target)
        return rename(self, target)

    monkeypatch.setattr(Path, "rename", slow)
    entries = [entry(folder, index, count) for index in range(count)]
    found: list[list[Any]] = []
    threads = [threading.Thread(target=lambda: found.append(find_all_lost(entries, 5))) for _ in range(2)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(20)
    assert found == [[f"7_{index}" for index in range(count)]] * 2
    assert len(named) == count, "each is named once"


def test_a_pickle_that_submitit_has_named_meanwhile_is_no_error(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = private_folder(tmp_path / "s")

    killed_before_slurm_answered(folder, 1, monkeypatch)
    rename = Path.rename

    def late(self: Path, target: Path) -> Path:
        rename(self, target)
        return rename(self, target)

    monkeypatch.setattr(Path, "rename", late)
    monkeypatch.setattr(slurm, "ids_by_name", lambda name, timeout, fresh: {"7"})
    assert find_all_lost([entry(folder, 0, 1)], 5) == ["7"]
