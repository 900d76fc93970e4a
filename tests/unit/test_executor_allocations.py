"""Snakemake that itself runs in a job of Slurm's: what it submits knows nothing of that job."""

from __future__ import annotations

import json
import os
import stat
from pathlib import Path
from typing import Any

import pytest

from snakemake_executor_plugin_submitit import batches
from snakemake_executor_plugin_submitit.payload import RankCommand
from snakemake_executor_plugin_submitit.submission import request_from_resources

SBATCH = """#!/bin/sh
env > {folder}/seen
echo Submitted batch job 7
"""


def command(folder: Path, index: int, text: str) -> RankCommand:
    return RankCommand(
        key="k", index=index, command=text, shell=("/bin/sh", "-c"), prefix=(), folder=str(folder), cwd=str(folder),
        threads=1, spmd=True, port=20001, minutes=None, signal_delay=0, debug=False,
    )  # fmt: skip


@pytest.fixture
def inside(monkeypatch: pytest.MonkeyPatch) -> None:
    """In an allocation, whose variables nobody removes: another thread may be reading them."""
    for name in (
        "SLURM_JOB_ID",
        "SLURM_NTASKS",
        "SLURM_CPUS_PER_TASK",
        "SRUN_DEBUG",
        "PMI_RANK",
        "SUBMITIT_JOB_ID",
    ):
        monkeypatch.setenv(name, "99")
    monkeypatch.setenv("SLURM_CONF", "/etc/slurm/slurm.conf")

    def refuse(self: Any, name: str) -> None:
        raise AssertionError(f"{name} is removed")

    monkeypatch.setattr(type(os.environ), "__delitem__", refuse)


@pytest.mark.parametrize("jobs", [1, 3])
def test_sbatch_sees_nothing_of_the_job_around_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, inside: None, jobs: int
) -> None:
    (tmp_path / "sbatch").write_text(SBATCH.format(folder=tmp_path))
    (tmp_path / "sbatch").chmod(stat.S_IRWXU)
    (tmp_path / "srun").symlink_to("sbatch")
    monkeypatch.setenv("PATH", f"{tmp_path}:{os.environ['PATH']}")
    folder = tmp_path / "batch"
    folder.mkdir(mode=0o700)
    commands = [command(folder, index, "true") for index in range(jobs)]
    submitted = batches.submit(
        "slurm", folder, request_from_resources({}, 1, "a", once=False), commands, "n", "a", 4, 5
    )
    assert [job.job_id for job in submitted] == (["7"] if jobs == 1 else ["7_0", "7_1", "7_2"])
    assert len(list(folder.glob("*_submitted.pkl"))) == jobs
    script = next(folder.glob("*submission.sh")).read_text()
    assert ("--array=0-2%" in script) == (jobs > 1)
    seen = dict(line.partition("=")[::2] for line in (tmp_path / "seen").read_text().splitlines())
    assert "99" not in seen.values()
    assert seen["SLURM_CONF"] == "/etc/slurm/slurm.conf"


def test_a_rank_of_the_local_executor_is_no_task_of_the_job_around_it(tmp_path: Path, inside: None) -> None:
    folder = tmp_path / "batch"
    folder.mkdir(mode=0o700)
    request = request_from_resources({"runtime": 1}, 1, "a", once=False)
    (job,) = batches.submit("local", folder, request, [command(folder, 0, "env > seen")], "n", "a", 4, 5)
    assert job.results()[0]["returncode"] == 0
    seen = dict(line.partition("=")[::2] for line in (folder / "seen").read_text().splitlines())
    assert [name for name in seen if name.startswith(("SLURM_", "SRUN_", "PMI_"))] == ["SLURM_CONF"]
    assert seen["RANK"] == "0"
    assert json.loads((folder / f"{job.job_id}_0_rank.json").read_text())["exit_code"] == 0
