"""The study `diagnose` on a machine of stated speeds in which something may be broken; nothing here knows what."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Iterator
from contextlib import AbstractContextManager, ExitStack, contextmanager
from pathlib import Path
from typing import Any

import yaml
from faults import Cluster, all_links, processors_of_their_own, throttled_disk

from seatrial import cli

NAME, TARGET = "diagnosed", "mini_slurm"
LINK_MBIT = 400
DISK_BYTES_PER_SECOND = 20_000_000
STATED = "as the test set the machine up"
CASE_SECONDS = 120
"""A case takes ten seconds, slowed down by a fault half a minute; much more, and something hangs."""
RANK = """
import os, sys
import torch.distributed
from seatrial import cli
from seatrial.measure.launch import read_launch

port, pairs = read_launch(os.environ).port, sys.argv[1:]
for number, (case, record) in enumerate(zip(pairs[::2], pairs[1::2], strict=True)):
    os.environ["MASTER_PORT"] = str(port + number)  # a rank that is ahead must not meet the case before
    rank = os.fork()
    if rank == 0:
        sys.exit(cli.main(["measure", case, "--repeat", "0", "--output", record]))
    if code := os.waitstatus_to_exitcode(os.waitpid(rank, 0)[1]):
        sys.exit(f"{case}: exit code {code}")
"""
"""`seatrial measure` of one case after the other, each in a process of its own that finds torch imported: importing
it anew is a third of what so small a study computes."""
ALL = ("links", "all_reduce", "products", "memory", "checkpoints", "input")
"""The study's probes."""


@contextmanager
def steady_machine(cluster: Cluster, folder: Path) -> Iterator[None]:
    """Links and the disk below `folder` at stated speeds, and nodes that come before what else the machine does.

    Nodes that move from one processor to another would slow each other down, as no machines of their own do. A
    fault that is put in within it takes the place of what it slows down.
    """
    with ExitStack() as stack:
        stack.enter_context(all_links(cluster, LINK_MBIT))
        stack.enter_context(throttled_disk(cluster, cluster.nodes, DISK_BYTES_PER_SECOND, folder))
        stack.enter_context(processors_of_their_own(cluster))
        yield


def run_diagnosis(
    project: Path, cluster: Cluster, disk: Path, probes: tuple[str, ...], broken: AbstractContextManager[None]
) -> Path:
    """The folder of the results: `train` and these probes planned, run by one `srun` case by case, and analysed.

    The machine is steady, and something of it `broken`, while cases run; it is neither when they are analysed.
    """
    _write_study(project, cluster, disk)
    folder = project / "results" / NAME
    left_out = [f"~experiments.{name}" for name in ALL if name not in probes]
    words = [f"study={NAME}", f"target={TARGET}", *left_out]
    assert cli.main(["plan", *words, "--conf", str(project / "conf"), "--write", str(folder)]) == 0
    with steady_machine(cluster, disk), broken:
        _measure(project, cluster, folder)
    assert cli.main(["collect", str(folder)]) == 0
    assert cli.main(["analyse", str(folder)]) == 0
    return folder


def findings(folder: Path) -> list[dict[str, Any]]:
    """findings.json of a study, the main finding first."""
    found: list[dict[str, Any]] = json.loads((folder / "findings.json").read_text())
    return found


def _write_study(project: Path, cluster: Cluster, disk: Path) -> None:
    """What a user writes who knows the machine's data sheet: one rank on each node, and what is sold."""
    storage = {way: _fact(DISK_BYTES_PER_SECOND / 1e9) for way in ("write_gbps", "read_gbps")}
    study = {
        "defaults": ["diagnose", "_self_"],
        "experiments": {
            "checkpoints": {"workload": {"path": None, "storage": "shared"}},
            "input": {"workload": {"dataset": {"path": str(disk)}}},
        },
        "target": {
            "nodes": len(cluster.nodes),
            "tasks_per_node": 1,
            "scale_out": {"name": "virtual Ethernet", "gbit_per_node": _fact(LINK_MBIT / 1e3)},
            "storage": {"shared": {"name": "the shared disk", "path": str(disk), **storage}},
            "launcher": {"environment": {"GLOO_SOCKET_IFNAME": "eth0", "OMP_NUM_THREADS": "1"}},
        },
    }
    text = "# @package _global_\n" + yaml.safe_dump(study, sort_keys=False)
    (project / "conf" / "study" / f"{NAME}.yaml").write_text(text)


def _fact(value: float) -> dict[str, Any]:
    return {"value": value, "source": STATED}


def _measure(project: Path, cluster: Cluster, folder: Path) -> None:
    environment = dict(cluster.environment)
    environment["PATH"] = f"{Path(sys.executable).parent}:{environment['PATH']}"
    cases = sorted((folder / "cases").glob("*.json"))
    pairs = [word for case in cases for word in (str(case), str(folder / "records" / case.stem / "0.json"))]
    ranks = ["srun", "-N", str(len(cluster.nodes)), "--ntasks-per-node=1", "--mem=6000", "--kill-on-bad-exit"]
    with (project / "out").open("w") as log:
        done = subprocess.run(
            [*ranks, sys.executable, "-c", RANK, *pairs],
            cwd=project, env=environment, stdout=log, stderr=log, timeout=CASE_SECONDS * len(cases), check=False,
        )  # fmt: skip
    assert done.returncode == 0, (project / "out").read_text()[-4000:]
    assert len(list((folder / "records").glob("*/0.json"))) == len(cases)
