"""A study where things fail: its node dies, its job is preempted, a repeat hits a limit of time or memory."""

from __future__ import annotations

import json
import subprocess
from collections.abc import Iterator
from datetime import datetime
from pathlib import Path
from typing import Any

import pytest
from slurm_folder import CLUSTER
from test_study_slurm import BIN, _stop, _wait_for, now, overridden, queue, repeats, run, site, start, started_jobs
from test_training_resume_slurm import EVERY_FIVE, ONE_TRAINING, record, trained_for

pytestmark = [pytest.mark.slurm, pytest.mark.timeout(600)]
__all__ = ["site"]  # a fixture, found by its name
Site = tuple[Path, dict[str, str]]
OFTEN = ("--submitit-status-interval", "2")
NODE_HOUR = 3.0  # USD
PRICED = f"+target.prices.node_hour={{low: {NODE_HOUR}, high: {NODE_HOUR}, as_of: 2026-01-01, source: test}}"


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
        process = start(mended, [*OFTEN, *overridden(*ONE_TRAINING, EVERY_FIVE, PRICED)], log)
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
    assert cost(results) == pytest.approx(2 * NODE_HOUR * sum(hours(attempt) for attempt in tried)), "all of them"
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


def hours(attempt: dict[str, Any]) -> float:
    """From the start to the end of one attempt."""
    first, last = (datetime.fromisoformat(attempt[name]) for name in ("started_at", "ended_at"))
    return (last - first).total_seconds() / 3600


def cost(results: Path) -> float:
    """What the study says that a run to quality costs."""
    decisions = json.loads((results / "demo" / "decisions.json").read_text())
    figures = [figure for decision in decisions for figure in decision["figures"]]
    (found,) = [f["value"] for f in figures if f["name"].startswith("Cost of a run to quality")]
    return float(found)


def trained(results: Path) -> int:
    """How many evaluations the training has logged."""
    return sum(log.read_text().count("block_stop") for log in results.glob("demo/records/*/0.mllog"))


MEASURE = """#!/bin/bash
# `seatrial measure` of which repeat 0 ends only when it is warned, and repeat 1 takes more memory than it may have
[ "$1 $4" = "measure 0" ] && exec python3 -c 'from signal import *; signal(SIGUSR2, SIG_DFL); sigwait([SIGTERM])'
[ "$1 $4" = "measure 1" ] && exec python3 -c 'import time; x = bytearray(2_500_000_000); time.sleep(60)'
exec {real} "$@"
"""
ONE_GEMM = (
    "~experiments.memory",
    "~experiments.all_reduce",
    "~experiments.finetune",
    "~experiments.gemm.sweep",
    "criteria=[]",
    "target.nodes=1",
    "target.tasks_per_node=1",
    "target.launcher.memory_mb_per_node=1000",
    "experiments.gemm.workload.m=32",
    "experiments.gemm.workload.time_limit_minutes=1",
    "experiments.gemm.repeats=3",
)


def test_repeats_that_hit_their_limits_too_often_are_missing_and_say_which_limit(site: Site) -> None:
    folder, environment = site
    programs = folder / "bin"
    programs.mkdir()
    (programs / "seatrial").write_text(MEASURE.format(real=BIN / "seatrial"))
    (programs / "seatrial").chmod(0o755)
    changed = (folder, environment | {"PATH": f"{programs}:{environment['PATH']}"})
    limits = ("--submitit-max-timeouts", "0", "--submitit-signal-delay", "30", "--retries", "1")
    code, out = run(changed, *OFTEN, *limits, *overridden(*ONE_GEMM), timeout=300)
    assert code != 0, out[-4000:]
    found = {row["repeat"]: row for row in repeats(folder)}
    said = {number: (row["outcome"], row["error_kind"], row["attempts"]) for number, row in found.items()}
    assert said == {
        "0": ("missing", "timeout", "1"),
        "1": ("missing", "out_of_memory", "2"),
        "2": ("completed", "", "1"),
    }, out[-4000:]
    page = (folder / "results" / "demo" / "report.html").read_text()
    for number in "01":
        assert found[number]["error_message"].split(";")[0] in page
    assert "this has happened 1 times, 0 are allowed" in out
    assert queue(environment) == []
