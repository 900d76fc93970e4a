"""Limits of a real Slurm: arrays of at most eleven jobs, and five submitted jobs of one user at a time."""

import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from private_slurm import slurm_of_nodes
from slurm_folder import CLUSTER, SlurmFolder, until

pytestmark = [pytest.mark.slurm, pytest.mark.timeout(420)]
JOBS = """
rule all:
    input: expand("out/{{i}}", i=range({jobs}))
rule work:
    output: "out/{{i}}"
    log: "logs/{{i}}.log"
    resources: runtime=5, mem_mb=200
    shell: "sleep {seconds}; echo {{wildcards.i}} > {{output}}"
"""


@pytest.fixture(scope="module")
def limited() -> Iterator[dict[str, str]]:
    """A cluster of its own with a small MaxArraySize, that enforces the limits of its accounting."""
    with contextmanager(slurm_of_nodes)("uts") as env:
        conf = Path(env["SLURM_CONF"])
        changed = conf.read_text().replace("MaxArraySize=10001", "MaxArraySize=11")
        assert "MaxArraySize=11\n" in changed
        conf.write_text(changed + "AccountingStorageEnforce=limits\n")
        for act in ("off", "on"):
            daemon = [str(CLUSTER / "slurm-daemon"), act, "slurmctld", "--base", env["SLURM_BASE"]]
            subprocess.run(daemon, env=env, timeout=60, check=True)
        until(lambda: "MaxArraySize            = 11" in answer(env, "scontrol", "show", "config"))
        until(lambda: answer(env, "sinfo", "-h", "-t", "idle", "-o", "%D").strip().startswith("4"))
        yield env


def answer(env: dict[str, str], *words: str) -> str:
    """What one of Slurm's commands prints; nothing where it fails."""
    return subprocess.run(words, env=env, capture_output=True, text=True, timeout=60, check=False).stdout


@pytest.fixture
def folder(tmp_path: Path, limited: dict[str, str]) -> Iterator[SlurmFolder]:
    made = SlurmFolder(tmp_path, limited)
    yield made
    made.stop()


def outputs(folder: SlurmFolder, jobs: int) -> list[str]:
    return [(folder.path / "out" / str(i)).read_text().strip() for i in range(jobs)]


def test_more_jobs_than_an_array_may_have_are_several_arrays(folder: SlurmFolder) -> None:
    folder.write(JOBS.format(jobs=25, seconds=0))
    assert folder.start().wait(timeout=200) == 0, folder.out
    assert outputs(folder, 25) == [str(i) for i in range(25)]
    ids = [folder.attempts(f"logs/{i}")[0]["external_jobid"] for i in range(25)]
    arrays = [job.split("_")[0] for job in ids]
    assert sorted(arrays.count(array) for array in set(arrays)) == [3, 11, 11]
    assert len(folder.started()) == 25


def test_what_a_limit_of_submitted_jobs_refuses_is_submitted_later(folder: SlurmFolder) -> None:
    set_limit = ["sacctmgr", "-i", "modify", "user", "where", "name=root", "set", "MaxSubmitJobs=5"]
    done = subprocess.run(set_limit, env=folder.env, capture_output=True, text=True, timeout=60, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    folder.write(JOBS.format(jobs=13, seconds=2))
    assert folder.start().wait(timeout=300) == 0, folder.out
    assert outputs(folder, 13) == [str(i) for i in range(13)]
    assert "Slurm takes no more jobs now" in folder.out
    assert "MaxSubmitJob" in folder.out
    assert all(folder.states(f"logs/{i}") == ["COMPLETED"] for i in range(13)), "nothing failed, nothing ran twice"
    assert len(folder.started()) == 13
