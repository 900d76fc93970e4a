"""A real Slurm whose controller comes back without what it had not saved, and gives the id of a lost job again."""

from __future__ import annotations

import shutil
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from private_slurm import slurm_of_nodes
from slurm_folder import SlurmFolder, until

pytestmark = [pytest.mark.slurm, pytest.mark.timeout(200)]
SAVED_S = 6.0  # the controller saves its jobs every few seconds

LOST = """
rule lost:  # its second start is a short one
    output: "lost"
    log: "lost.log"
    resources: runtime=5, mem_mb=500, nodelist="node1"
    shell: "echo >> begun; [ $(wc -l < begun) -gt 1 ] || sleep 300; touch {output}"
"""


@pytest.fixture
def folder(tmp_path: Path) -> Iterator[SlurmFolder]:
    """On a Slurm of its own: a controller that has lost jobs also drains nodes that still know of them."""
    for environment in slurm_of_nodes("uts"):
        made = SlurmFolder(tmp_path, environment)
        yield made
        made.stop()


def test_the_job_that_got_the_id_of_a_lost_one_is_neither_taken_for_it_nor_cancelled(
    folder: SlurmFolder, tmp_path: Path
) -> None:
    """It completes at once: taken for the lost one, that would be a success of which nothing was run to its end."""
    state, before = Path(folder.env["SLURM_BASE"], "state"), tmp_path / "state"
    folder.slurm("sbatch", "-o/dev/null", "--wrap", "true")
    until((state / "job_state").exists, 60, "a saved state")
    time.sleep(SAVED_S)
    shutil.copytree(state, before)
    folder.write(LOST)
    snakemake = folder.start("--retries", "1")
    until((folder.path / "begun").exists, 60, "the job's command")
    lost = folder.job_of("lost")
    folder.daemon("off", "slurmctld")
    try:
        shutil.rmtree(state)
        shutil.copytree(before, state)
    finally:
        folder.daemon("on", "slurmctld")
    elsewhere = ("-w", "node4", "-o", "/dev/null")
    given = folder.slurm("sbatch", "--parsable", *elsewhere, "-J", "another", "--wrap", "true").strip()
    stays = folder.slurm("sbatch", "--parsable", *elsewhere, "--wrap", "sleep 300").strip()
    try:
        assert given == lost
        assert snakemake.wait(timeout=120) == 0, folder.out
        assert folder.slurm("squeue", "-h", "-j", stays, "-o", "%T").strip() == "RUNNING"
    finally:
        folder.slurm("scancel", stays)
    assert folder.states("lost") == ["FAILED", "COMPLETED"]
    assert "in which ranks that are left stop by themselves" in folder.out
    assert "Slurm has lost it, and given its id to another" in folder.out
    assert (folder.path / "begun").read_text() == "\n\n"
