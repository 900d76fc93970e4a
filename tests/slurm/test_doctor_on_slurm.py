"""seatrial doctor on a real Slurm of four nodes: what it finds, and that five nodes are not there."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

pytestmark = [pytest.mark.slurm, pytest.mark.timeout(300)]
SEATRIAL = Path(sys.executable).parent / "seatrial"


def doctor(project, environment, *words):
    """Exit code, checks by (topic, name) and standard error."""
    done = subprocess.run(
        [SEATRIAL, "doctor", "--json", "--write-mb", "1", "study=demo", "target=mini_slurm", *words],
        cwd=project,
        env={**os.environ, **environment},
        capture_output=True,
        text=True,
        timeout=200,
        check=False,
    )
    assert done.stdout, done.stderr
    return done.returncode, {(c["topic"], c["name"]): c for c in json.loads(done.stdout)}


def standings(found, topic, name=""):
    return {n: c["standing"] for (t, n), c in found.items() if t == topic and n.startswith(name)}


def test_mini_slurm_fits_its_folders_are_shared_and_five_nodes_are_not_there(project, slurm_cluster):
    code, found = doctor(project, slurm_cluster)
    assert (code, [c for c in found.values() if c["standing"] == "lacks"]) == (0, [])
    assert "cluster mini" in found["slurm", "slurmctld"]["saw"]
    assert standings(found, "slurm", "sacct") == {"sacct": "ok"}
    assert found["slurm", "MaxArraySize"]["saw"].startswith("10001: ")
    for name in ("main", "high"):
        assert "4 of 4 nodes work" in found["slurm", f"partition {name}"]["saw"]
    assert set(standings(found, "slurm", "partition main for").values()) == {"ok"}
    assert set(standings(found, "slurm", "sbatch for").values()) == {"ok"}
    # srun ran on two nodes, and they see what was written here
    assert found["nodes", "srun"]["saw"].startswith("2 of 2 node(s) answered: node")
    shared = found["nodes", "results/demo"]
    assert (shared["standing"], shared["saw"].startswith("shared: node")) == ("ok", True)
    assert "MB/s" in shared["saw"]
    assert not list(project.rglob(".seatrial-doctor-*"))
    assert not (project / "results").exists()

    code, found = doctor(project, slurm_cluster, "target.nodes=5", "--nodes", "0")
    assert code == 1
    lacking = {name: c for (topic, name), c in found.items() if c["standing"] == "lacks"}
    assert set(lacking) == {n for n in lacking if n.startswith(("partition main for", "sbatch for"))}
    (partition,) = [c for name, c in lacking.items() if name.startswith("partition main for")]
    assert "4 node(s) that work and are large enough, for 5 node(s)" in partition["saw"]
    assert "target.nodes below 5" in partition["do"]
    assert [c for name, c in lacking.items() if name.startswith("sbatch for")]
    assert standings(found, "nodes") == {"srun": "not checked"}
    assert queue(slurm_cluster) == ""


def test_a_partition_that_is_not_there_and_nodes_out_of_service_are_said(project, slurm_cluster):
    code, found = doctor(project, slurm_cluster, "target.launcher.partition=gpu", "--nodes", "0")
    named = [c for (topic, name), c in found.items() if name.startswith("partition gpu")]
    assert (code, {c["standing"] for c in named}) == (1, {"lacks"})
    assert "main" in named[0]["do"] and "high" in named[0]["do"]
    try:
        scontrol(slurm_cluster, "nodename=node[2-4]", "state=drain", "reason=doctor")
        code, found = doctor(project, slurm_cluster, "--nodes", "0")
        (partition,) = [
            c for (_, n), c in found.items() if n.startswith("partition main for") and c["standing"] != "ok"
        ]
        assert (code, "out of service: node2 (drain)" in partition["saw"]) == (1, True)
    finally:
        scontrol(slurm_cluster, "nodename=node[2-4]", "state=resume")


def scontrol(environment, *words):
    subprocess.run(["scontrol", "update", *words], env=environment, timeout=60, check=True)


def queue(environment):
    done = subprocess.run(["squeue", "-h"], env=environment, capture_output=True, text=True, timeout=60, check=True)
    return done.stdout
