"""A study where things fail: a training is killed, loses its node and is preempted; repeats hit a limit."""

from __future__ import annotations

import html
import json
import subprocess
from collections.abc import Callable, Iterator
from datetime import datetime
from pathlib import Path
from typing import Any

import psutil
import pytest
from slurm_folder import CLUSTER
from test_study_slurm import BIN, now, overridden, queue, repeats, run, site, start, started_jobs
from waiting import interrupt, until

from seatrial.record import Record

pytestmark = [pytest.mark.slurm, pytest.mark.timeout(600)]
__all__ = ["site"]  # a fixture, found by its name
Site = tuple[Path, dict[str, str]]
SHORTLY = ("--latency-wait", "5", "--submitit-file-latency", "5")  # what a lost node is waited for counts it too
NODE_HOUR = 3.0  # USD
PRICED = f"+target.prices.node_hour={{low: {NODE_HOUR}, high: {NODE_HOUR}, as_of: 2026-01-01, source: test}}"
# of a base model that has learnt little, in a tenth of the time: the target is that of about 40 steps
LITTLE = ("experiments.finetune.repeats=1", "experiments.finetune.workload.model.steps=60")
ONE_TRAINING = (
    "~experiments.gemm",
    "~experiments.memory",
    "~experiments.all_reduce",
    "criteria=[]",
    "target.nodes=2",
    "target.tasks_per_node=1",
    *LITTLE,
    "experiments.finetune.workload.quality.target=4.72",
    "experiments.finetune.workload.checkpoint_interval_steps=5",
)


@pytest.fixture
def mended(site: Site) -> Iterator[Site]:
    """The site; every node is up again afterwards."""
    yield site
    _, environment = site
    for node in ("node1", "node2", "node3", "node4"):
        slurm(environment, str(CLUSTER / "slurm-node"), "on", node, "--base", environment["SLURM_BASE"])
    until(lambda: slurm(environment, "sinfo", "-hN", "-p", "main", "-o", "%T").split() == ["idle"] * 4, 90)


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


def kill_ranks(folder: Path) -> None:
    """Kill the training's processes (to `scancel --signal=KILL` Slurm would say CANCELLED)."""
    for process in psutil.process_iter(["cmdline", "cwd"]):
        if "measure" in (process.info["cmdline"] or []) and process.info["cwd"] == str(folder):
            process.kill()


def test_a_training_that_is_killed_loses_its_node_and_is_preempted_is_the_same_training(mended: Site) -> None:
    folder, environment = mended
    since, results = now(), folder / "results"
    words = overridden(*ONE_TRAINING, PRICED)
    with (folder / "out").open("w") as log:
        process = start(mended, [*SHORTLY, *words], log)

        def comes(condition: Callable[[], object], seconds: float = 120) -> None:
            until(lambda: condition() or process.poll() is not None, seconds)

        def trains_on(after: str) -> None:
            """It says `after`, and evaluates again."""
            comes(lambda: after in (folder / "out").read_text())
            before = trained(results)
            comes(lambda: trained(results) > before)

        try:
            comes(lambda: trained(results) >= 2, 200)
            kill_ranks(folder)
            trains_on("ended as FAILED")
            (nodes,) = running(environment).values()
            dead = nodes[-1]
            slurm(environment, str(CLUSTER / "slurm-node"), "off", dead, "--base", environment["SLURM_BASE"])
            trains_on("ended as NODE_FAIL")
            (nodes,) = running(environment).values()
            high = ["-p", "high", "-N2", "-w", ",".join(nodes), "--exclusive", "-o", "/dev/null"]
            slurm(environment, "sbatch", *high, "--wrap", "true")
            code = process.wait(timeout=200)
        finally:
            interrupt(process)
    out = (folder / "out").read_text()
    assert code == 0, out[-4000:]
    tried = attempts(folder)
    states = [attempt["state"] for attempt in tried]
    assert states == ["FAILED", "NODE_FAIL", "PREEMPTED", "COMPLETED"], out[-4000:]
    assert tried[1]["failing_node"] == dead
    assert all(dead not in attempt["nodes"] for attempt in tried[2:]), "the node that failed is excluded"
    assert cost(results) == pytest.approx(2 * NODE_HOUR * sum(hours(attempt) for attempt in tried)), "all of them"
    assert "ends by SIGTERM; its checkpoint is kept" in said_by_ranks(folder), "warned, it saves where it stands"
    stopped = record(results)
    assert (stopped.outcome, stopped.resumed) == ("completed", 3)
    (mllog,) = results.glob("demo/records/*/0.mllog")
    assert mllog.read_text().count('"run_stop"') == 1
    (row,) = repeats(folder)
    assert row["attempts"] == "4"
    found = json.loads((results / "demo" / "findings.json").read_text())
    assert [(f["cause"], f["place"]["host"]) for f in found if f["cause"] == "failed_node"] == [
        ("failed_node", dead)
    ]
    assert dead in (results / "demo" / "report.html").read_text()
    assert queue(environment) == []
    jobs = [row for row in started_jobs(environment, since) if "measure" in row[1]]
    assert len(jobs) == 4, jobs
    _is_the_whole_training(mended, words, stopped)


def _is_the_whole_training(site: Site, words: list[str], stopped: Record) -> None:
    """Run once more, without any fault, it learns the same in the same steps."""
    folder, _ = site
    (folder / "results" / "demo" / "records").rename(folder / "stopped")
    code, out = run(site, *words, timeout=300)
    assert code == 0, out[-4000:]
    whole = record(folder / "results")
    assert whole.resumed == 0
    assert stopped.quality is not None and whole.quality is not None
    assert stopped.quality.crossing is not None and whole.quality.crossing is not None
    assert stopped.quality.crossing["samples"] == whole.quality.crossing["samples"]
    assert stopped.quality.after["value"] == whole.quality.after["value"]


def said_by_ranks(folder: Path) -> str:
    """What all ranks of all jobs have printed."""
    return "".join(p.read_text() for p in sorted(folder.glob(".snakemake/submitit/batches/*/*_output.log")))


def record(results: Path) -> Record:
    """The record of the training."""
    (path,) = (p for p in results.glob("demo/records/*/0.json") if Record.read(p).workload == "llm_finetune")
    return Record.read(path)


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
# `seatrial measure` of which repeat 0 ends only when it is warned, and repeat 1 takes more memory than it may have;
# the training is as it is
[[ "$*" == *--prepared* ]] && exec {real} "$@"
[ "$1 $4" = "measure 0" ] && exec python3 -c 'from signal import *; signal(SIGUSR2, SIG_DFL); sigwait([SIGTERM])'
[ "$1 $4" = "measure 1" ] && exec python3 -c 'import time; x = bytearray(2_500_000_000); time.sleep(60)'
exec {real} "$@"
"""
LIMITED = (
    "~experiments.memory",
    "~experiments.all_reduce",
    "~experiments.gemm.sweep",
    "criteria=[]",
    "target.nodes=1",
    "target.tasks_per_node=1",
    "target.launcher.memory_mb_per_node=1000",
    "experiments.gemm.workload.m=32",
    "experiments.gemm.workload.time_limit_minutes=1",
    "experiments.gemm.repeats=3",
    *LITTLE,
    "experiments.finetune.workload.time_limit_minutes=1",
    "experiments.finetune.workload.max_steps=100000",
    "experiments.finetune.workload.quality.target=0.01",
)


def test_repeats_that_hit_their_limits_too_often_say_which_and_a_training_resumes_till_then(
    site: Site,
) -> None:
    """Of four repeats one completes: two are missing (time and memory), and the training has failed in words."""
    folder, environment = site
    since = now()
    programs = folder / "bin"
    programs.mkdir()
    (programs / "seatrial").write_text(MEASURE.format(real=BIN / "seatrial"))
    (programs / "seatrial").chmod(0o755)
    changed = (folder, environment | {"PATH": f"{programs}:{environment['PATH']}"})
    limits = ("--submitit-max-timeouts", "1", "--submitit-signal-delay", "20", "--retries", "1")
    code, out = run(changed, *SHORTLY, *limits, *overridden(*LIMITED), timeout=400)
    assert code != 0, out[-4000:]
    found = {row["workload"] + row["repeat"]: row for row in repeats(folder)}
    said = {name: (row["outcome"], row["error_kind"], row["attempts"]) for name, row in found.items()}
    assert said == {
        "gemm0": ("missing", "timeout", "2"),
        "gemm1": ("missing", "out_of_memory", "2"),
        "gemm2": ("completed", "", "1"),
        "llm_finetune0": ("failed", "timeout", "2"),
    }, out[-4000:]
    assert "this has happened 2 times, 1 are allowed" in out
    _the_training_resumed_once_and_kept_its_checkpoint(folder)
    _page_summary_and_status_say_so(site, {name: found[name]["error_message"] for name in found if name != "gemm2"})
    assert queue(environment) == []
    # twice what went over a limit, once the preparation and what completed
    until(lambda: len(started_jobs(environment, since)) >= 8, 30)
    assert len(started_jobs(environment, since)) == 8


def _the_training_resumed_once_and_kept_its_checkpoint(folder: Path) -> None:
    failed = record(folder / "results")
    assert failed.error is not None
    assert (failed.outcome, failed.error.kind, failed.resumed) == ("failed", "timeout", 1)
    assert "its checkpoint is kept, and rerun=failed goes on from there" in failed.error.message
    assert failed.quality is not None and failed.quality.crossing is None
    assert len(list(folder.glob("results/demo/records/*/0.checkpoint/step-*/history.pt"))) == 1
    (mllog,) = folder.glob("results/demo/records/*/0.mllog")
    assert mllog.read_text().count('"run_stop"') == 1
    (path,) = (
        p for p in folder.glob("results/demo/logs/measure/*/0.attempts.json") if p.parent.name == failed.case_id
    )
    assert [attempt["state"] for attempt in json.loads(path.read_text())] == ["TIMEOUT", "COMPLETED"]


def _page_summary_and_status_say_so(site: Site, reasons: dict[str, str]) -> None:
    folder, environment = site
    demo = folder / "results" / "demo"
    words = [str(BIN / "seatrial"), "status", str(demo)]
    said = subprocess.run(words, env=environment, capture_output=True, text=True, timeout=60, check=False).stdout
    assert said.startswith("1 of 4 repeats completed; 1 failed, 2 missing")
    page, summary = (html.unescape((demo / name).read_text()) for name in ("report.html", "summary.md"))
    assert "1 failed, 2 missing" in page
    _, missing = summary.split("## What is missing")
    for name, reason in reasons.items():
        for where in (page, missing, said):
            assert reason.split(";")[0] in where, name
    assert "repeat 0: failed (timeout): the job's time limit came at step" in missing
