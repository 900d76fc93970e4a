"""A study of probes on a cluster whose links or disks may be throttled; nothing in it knows of the fault."""

from __future__ import annotations

import csv
import subprocess
import sys
from pathlib import Path
from typing import Any

import yaml
from faults import Cluster

from seatrial import cli

Experiments = dict[str, tuple[str, dict[str, Any]]]
"""Name -> (workload of conf/workload, what differs from its file)."""
GB = 1e9
MIB = 1 << 20
ALL_REDUCE: Experiments = {"all_reduce": ("collective", {"size_bytes": 8 * MIB, "warmup": 1, "iterations": 5})}
"""gloo's all_reduce is a ring where nobody says otherwise: 2 S (n-1)/n bytes go out of every node and as many into
it, so that its bus bandwidth is the rate of the slowest link."""
_EXCHANGES = {"size_bytes": 8 * MIB, "warmup": 1, "iterations": 9}
"""As many as leave the median alone where other tests take the processors for some of them."""
BISECTION: Experiments = {
    "bisection": ("bisection", {**_EXCHANGES, "matchings": 3, "cuts": ["host_order", "shift"], "pairwise": []})
}
PAIRS: Experiments = {"pairs": ("bisection", {**_EXCHANGES, "matchings": 0, "cuts": [], "pairwise": ["rounds"]})}
NAME, TARGET = "faulted", "mini_slurm"
SECONDS = 240
"""A study takes half a minute; much more, and something hangs."""


def checkpoint_in(folder: Path) -> Experiments:
    """48 MB from all nodes together, twice: seconds at the rates drawn, as the kernel limits in slices of 0.1 s."""
    sizes = {"parameters": 12_000_000, "bytes_per_parameter": 4, "warmup": 0, "iterations": 2}
    return {"checkpoint": ("checkpoint", {**sizes, "path": str(folder)})}


def run_study(project: Path, cluster: Cluster, experiments: Experiments) -> Path:
    """The folder of the results of `experiments`, run as a user does: by Snakemake, from plan to report.

    Raises AssertionError with what Snakemake said where it fails.
    """
    _write_study(project, cluster, experiments)
    command = ["snakemake", "--profile", "slurm", "--config", f"study={NAME}", f"target={TARGET}"]
    _run(command, project, cluster)
    return project / "results" / NAME


def run_by_hand(project: Path, cluster: Cluster, experiments: Experiments) -> Path:
    """The same without Snakemake and report: plan, `srun seatrial measure` of each case, collect, analyse."""
    _write_study(project, cluster, experiments)
    folder = project / "results" / NAME
    words = [f"study={NAME}", f"target={TARGET}", "--conf", str(project / "conf"), "--write", str(folder)]
    assert cli.main(["plan", *words]) == 0
    for case in sorted((folder / "cases").glob("*.json")):
        record = folder / "records" / case.stem / "0.json"
        ranks = ["srun", "-N", str(len(cluster.nodes)), "--ntasks-per-node=1", "--mem=6000"]
        _run([*ranks, "seatrial", "measure", str(case), "--repeat", "0", "--output", str(record)], project, cluster)
    assert cli.main(["collect", str(folder)]) == 0
    assert cli.main(["analyse", str(folder)]) == 0
    return folder


def _write_study(project: Path, cluster: Cluster, experiments: Experiments) -> None:
    """conf/study/faulted.yaml: one rank on each node, over the nodes' own links."""
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


def _run(command: list[str], project: Path, cluster: Cluster) -> None:
    environment = dict(cluster.environment)
    environment["PATH"] = f"{Path(sys.executable).parent}:{environment['PATH']}"
    with (project / "out").open("w") as log:
        done = subprocess.run(
            command, cwd=project, env=environment, stdout=log, stderr=log, timeout=SECONDS, check=False
        )
    assert done.returncode == 0, (project / "out").read_text()[-4000:]


def all_reduce_rate(folder: Path) -> float:
    """Bus bandwidth of the one all_reduce, in bytes per second."""
    [row] = _table(folder, "collective")
    return float(row["bus_bandwidth"]) * GB


def bisection_rates(folder: Path) -> dict[str, float]:
    """Bytes per second across each cut, one direction, by the cut's name."""
    return {row["cut"]: float(row["median_gbps"]) * GB for row in _table(folder, "bisection")}


def pair_rates(folder: Path) -> dict[str, float]:
    """Bytes per second of every pair by itself, one direction, by its name."""
    rows = _table(folder, "bisection_pairs")
    return {row["pair"]: float(row["median_gbps"]) * GB for row in rows if row["how"] == "rounds"}


def slow_pairs(folder: Path) -> set[str]:
    """The pairs that are called slow."""
    return {row["pair"] for row in _table(folder, "bisection_pairs") if row["slow"].lower() == "true"}


def checkpoint_rates(folder: Path) -> dict[str, float]:
    """Bytes per second of all nodes together, write and read, where they reached storage."""
    rows = _table(folder, "checkpoint")
    return {row["direction"]: float(row["gbps"]) * GB for row in rows if row["reached"] == "storage"}


def reached(folder: Path) -> dict[str, str]:
    """What the bytes of a checkpoint reached, by direction: storage, memory_file_system, ..."""
    return {row["direction"]: row["reached"] for row in _table(folder, "checkpoint")}


def _table(folder: Path, name: str) -> list[dict[str, str]]:
    with (folder / "tables" / f"{name}.csv").open(newline="") as handle:
        return list(csv.DictReader(handle))
