"""A study of probes over the whole path, on a cluster whose links or disks may be throttled.

Plan, measure on every node through Slurm, collect, analyse, report; nothing in it knows of the fault.
"""

from __future__ import annotations

import csv
import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import yaml
from faults import Cluster

NAME = "faulted"
SECONDS = 240
"""A study takes about 20 s; much more, and something hangs."""


def run_study(
    project: Path, cluster: Cluster, experiments: dict[str, tuple[str, dict[str, Any]]], *words: str
) -> Path:
    """The folder of the results of `experiments`: name -> (workload of conf/workload, what differs from its file).

    One rank on each node, over the nodes' own links. Raises AssertionError with what Snakemake said where it fails.
    """
    defaults = [{f"/workload@experiments.{name}.workload": kind} for name, (kind, _) in experiments.items()]
    study = {
        "defaults": [*defaults, "_self_"],
        "title": "The nodes as they are",
        "experiments": {name: {"workload": changes} for name, (_, changes) in experiments.items()},
        "target": {
            "nodes": len(cluster.nodes),
            "tasks_per_node": 1,
            "launcher": {"environment": {"GLOO_SOCKET_IFNAME": "eth0", "OMP_NUM_THREADS": "1"}},
        },
    }
    text = "# @package _global_\n" + yaml.safe_dump(study, sort_keys=False)
    (project / "conf" / "study" / f"{NAME}.yaml").write_text(text)
    environment = dict(cluster.environment)
    environment["PATH"] = f"{Path(sys.executable).parent}:{environment['PATH']}"
    overrides = f"overrides={json.dumps(words)}"
    command = ["snakemake", "--profile", "slurm", "--config", f"study={NAME}", "target=mini_slurm", overrides]
    with (project / "out").open("w") as log:
        done = subprocess.run(
            command, cwd=project, env=environment, stdout=log, stderr=log, timeout=SECONDS, check=False
        )
    assert done.returncode == 0, (project / "out").read_text()[-4000:]
    return project / "results" / NAME


def table(folder: Path, name: str) -> list[dict[str, str]]:
    """The rows of tables/`name`.csv of a study's results."""
    with (folder / "tables" / f"{name}.csv").open(newline="") as handle:
        return list(csv.DictReader(handle))
