"""Bad-node screening on the test Slurm: a node with a slow link is excluded, and the next study runs without it."""

import csv
import json
import subprocess
import sys

import pytest
from faulted_study import NAME, TARGET, run_by_hand
from faults import Draw, all_links, throttled_link

pytestmark = [pytest.mark.slurm, pytest.mark.alone, pytest.mark.timeout(400)]

LINK_MBIT = 200
"""Of every good node: far below what four nodes on one machine can exchange, so that they are alike."""
SLOWER = {"value": 2.5, "source": "a test on one machine, which others may use too"}
SCREEN = {"nodes": ("screen", {"products": 0, "size_bytes": 1 << 20, "slower": SLOWER})}


def standings(folder):
    """The standing of every row of screen.csv by name."""
    with (folder / "tables" / "screen.csv").open(newline="") as handle:
        return {row["name"]: row["standing"] for row in csv.DictReader(handle)}


def run_next(project, cluster, excluded):
    """The folder of the same study on three nodes, run by Snakemake as a user does, with nodes to exclude."""
    environment = {**cluster.environment, "PATH": f"{sys.prefix}/bin:{cluster.environment['PATH']}"}
    words = [f"overrides=['target.launcher.exclude=\"{excluded}\"', 'target.nodes=3']", "results=next"]
    done = subprocess.run(
        ["snakemake", "--profile", "slurm", "--config", f"study={NAME}", f"target={TARGET}", *words],
        cwd=project,
        env=environment,
        capture_output=True,
        text=True,
        timeout=240,
        check=False,
    )
    assert done.returncode == 0, done.stdout[-2000:] + done.stderr[-3000:]
    return project / "next" / NAME


def test_slow_node_is_excluded_and_the_next_study_runs_without_it(project, slurm_network_cluster):
    cluster, draw = slurm_network_cluster, Draw()
    bad, mbit = draw.node(cluster.nodes), draw.mbit(25, 40)
    with all_links(cluster, LINK_MBIT), throttled_link(cluster, bad, mbit):
        folder = run_by_hand(project, cluster, SCREEN)
    assert standings(folder) == {name: "bad" if name == bad else "good" for name in cluster.nodes}
    excluded = (folder / "exclude.txt").read_text().strip()
    assert excluded == bad
    with all_links(cluster, LINK_MBIT):
        following = run_next(project, cluster, excluded)
    good = set(cluster.nodes) - {bad}
    assert standings(following) == dict.fromkeys(good, "good")
    (record,) = (following / "records").glob("*/0.json")
    assert set(json.loads(record.read_text())["provenance"]["hosts"]) == good
