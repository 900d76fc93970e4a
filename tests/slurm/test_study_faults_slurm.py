"""A study whose node dies and whose job is preempted: one record that was taken up twice, and the node is named."""

from __future__ import annotations

import json
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from slurm_folder import CLUSTER
from test_study_slurm import _stop, _wait_for, now, overridden, queue, repeats, site, start, started_jobs
from test_training_resume_slurm import EVERY_FIVE, ONE_TRAINING, record, trained_for

pytestmark = [pytest.mark.slurm, pytest.mark.timeout(600)]
__all__ = ["site"]  # a fixture, found by its name
Site = tuple[Path, dict[str, str]]


@pytest.fixture
def mended(site: Site) -> Iterator[Site]:
    """The site; every node is up again afterwards."""
    yield site
    _, environment = site
    for node in ("node1", "node2", "node3", "node4"):
        slurm(environment, str(CLUSTER / "slurm-node"), "on", node, "--base", environment["SLURM_BASE"])
    _wait_for(lambda: slurm(environment, "sinfo", "-hN", "-p", "main", "-o", "%T").split() == ["idle"] * 4, 90)


def slurm(environment: dict[str, str], *words: str) -> str:
    """What a command of Slurm prints."""
    done = subprocess.run(words, env=environment, capture_output=True, text=True, timeout=60, check=True)
    return done.stdout


def running(environment: dict[str, str]) -> dict[str, list[str]]:
    """The nodes of the jobs that run, by the jobs' ids."""
    lines = slurm(environment, "squeue", "-h", "-r", "-t", "RUNNING", "-p", "main", "-o", "%i %N").splitlines()
    pairs = [line.split() for line in lines]
    return {
        job: slurm(environment, "scontrol", "show", "hostnames", nodes).split() for job, nodes in pairs
    }  # fmt: skip


def attempts(folder: Path) -> list[dict[str, Any]]:
    (path,) = folder.glob("results/demo/logs/measure/*/0.attempts.json")
    found: list[dict[str, Any]] = json.loads(path.read_text())
    return found


def test_a_training_goes_on_after_its_node_died_and_after_a_preemption_and_the_node_is_named(mended: Site) -> None:
    folder, environment = mended
    since, results = now(), folder / "results"
    with (folder / "out").open("w") as log:
        process = start(mended, overridden(*ONE_TRAINING, EVERY_FIVE), log)
        try:
            _wait_for(lambda: trained_for(results, 2) or process.poll() is not None, 200)
            (nodes,) = running(environment).values()
            dead = nodes[-1]
            slurm(environment, str(CLUSTER / "slurm-node"), "off", dead, "--base", environment["SLURM_BASE"])
            _wait_for(
                lambda: "node_fail" in (folder / "out").read_text().lower() or process.poll() is not None, 120
            )
            before = trained(results)
            _wait_for(lambda: trained(results) > before or process.poll() is not None, 120)
            (nodes,) = running(environment).values()
            high = ["-p", "high", "-N2", "-w", ",".join(nodes), "--exclusive", "-o", "/dev/null"]
            slurm(environment, "sbatch", *high, "--wrap", "true")
            code = process.wait(timeout=200)
        finally:
            _stop(process)
    out = (folder / "out").read_text()
    assert code == 0, out[-4000:]
    tried = attempts(folder)
    assert [attempt["state"] for attempt in tried] == ["NODE_FAIL", "PREEMPTED", "COMPLETED"], out[-4000:]
    assert tried[0]["failing_node"] == dead
    assert all(dead not in attempt["nodes"] for attempt in tried[1:]), "the node that failed is excluded"
    assert all(attempt["started_at"] and attempt["ended_at"] for attempt in tried), "what it cost is known"
    assert (record(results).outcome, record(results).resumed) == ("completed", 2)
    (row,) = repeats(folder)
    assert row["attempts"] == "3"
    found = json.loads((results / "demo" / "findings.json").read_text())
    assert [(f["cause"], f["place"]["host"]) for f in found if f["cause"] == "failed_node"] == [
        ("failed_node", dead)
    ]
    assert dead in (results / "demo" / "report.html").read_text()
    assert queue(environment) == []
    jobs = [row for row in started_jobs(environment, since) if "measure" in row[1]]
    assert len(jobs) == 3, jobs


def trained(results: Path) -> int:
    """How many evaluations the training has logged."""
    return sum(log.read_text().count("block_stop") for log in results.glob("demo/records/*/0.mllog"))
