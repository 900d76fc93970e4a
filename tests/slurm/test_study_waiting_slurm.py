"""A study of which some repeats wait for a drained node, are cancelled by somebody else, or can never start."""

from __future__ import annotations

import html
import json
import re
import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path

import pandas as pd
import pytest
from test_study_faults_slurm import SHORTLY, Site, slurm
from test_study_slurm import BIN, now, overridden, queue, repeats, site, start, started_jobs
from waiting import interrupt, until

pytestmark = [pytest.mark.slurm, pytest.mark.timeout(400)]
__all__ = ["site"]  # a fixture, found by its name
Place = tuple[int, int]
"""Nodes of a case, and the repeat."""
DRAINED = "Nodes required for job are DOWN, DRAINED or reserved for jobs in higher priority partitions"
TOO_MANY = "PartitionNodeLimit"
TICKET = "bad DIMM, ticket 4711"
MEASURE = """#!/bin/bash
# `seatrial measure` that on two nodes dies without a word, or runs until it is ended
[ "$1 $4 $SLURM_JOB_NUM_NODES" = "measure 1 2" ] && kill -9 $$
[ "$1 $4 $SLURM_JOB_NUM_NODES" = "measure 0 2" ] && exec sleep 300
exec {real} "$@"
"""
NEVER = (
    "it never started (CANCELLED); it can never start: it asks for more nodes than its partition gives to one job "
    f"(Slurm's reason: {TOO_MANY})"
)
WHY = {
    (2, 0): "it was cancelled (CANCELLED); it was cancelled by root (uid 0)",
    (2, 1): "the process died (FAILED); killed by signal 9 (SIGKILL)",
    (3, 0): NEVER,
    (3, 1): NEVER,
}
"""What is missing, by nodes and repeat, and how the words begin that say why."""
STUDY = (
    "~experiments.memory",
    "~experiments.all_reduce",
    "~experiments.finetune",
    "~experiments.gemm.sweep",
    "+experiments.gemm.sweep.axes={target: {nodes: [1, 2, 3]}}",  # 2: with the drained one; 3: more than allowed
    "experiments.gemm.workload.m=32",
    "experiments.gemm.repeats=2",
    "target.tasks_per_node=1",
    "target.accelerators_per_node=0",  # so that all of a case run at once
    "target.launcher.partition=trial",
    "criteria=[{name: any, metric: gemm.throughput, at_least: 1e-9},"
    "{name: slow, metric: gemm.throughput, where: {target.nodes: 1}, at_least: 1e9}]",
)


@pytest.fixture
def trial(site: Site) -> Iterator[Site]:
    """The site with a partition of two nodes, one of them drained; all is as it was afterwards."""
    folder, environment = site
    programs = folder / "bin"
    programs.mkdir()
    (programs / "seatrial").write_text(MEASURE.format(real=BIN / "seatrial"))
    (programs / "seatrial").chmod(0o755)
    slurm(environment, "scontrol", "create", "PartitionName=trial", "Nodes=node1,node4", "MaxNodes=2", "State=UP")
    slurm(environment, "scontrol", "update", "NodeName=node4", "State=DRAIN", f"Reason={TICKET}")
    yield folder, environment | {"PATH": f"{programs}:{environment['PATH']}"}
    if "drain" in slurm(environment, "sinfo", "-hN", "-n", "node4", "-p", "trial", "-o", "%T"):
        slurm(environment, "scontrol", "update", "NodeName=node4", "State=RESUME")
    until(lambda: not slurm(environment, "squeue", "-h", "-p", "trial"), what="an empty partition")
    slurm(environment, "scontrol", "delete", "PartitionName=trial")


def status(site: Site, *options: str) -> str:
    """What `seatrial status` says of the study; empty while it has not been planned."""
    folder, environment = site
    words = [str(BIN / "seatrial"), "status", "results/demo", *options]
    done = subprocess.run(words, cwd=folder, env=environment, capture_output=True, text=True, timeout=60)
    return done.stdout


def standing(site: Site, state: str) -> dict[Place, tuple[str, str]]:
    """Job and Slurm's reason of the repeats that are in a state, by nodes and repeat."""
    said = status(site, "--json")
    nodes = nodes_of_cases(site[0])
    found = [r for r in json.loads(said)["repeats"] if r["state"] == state] if said else []
    return {(nodes[r["case_id"]], r["repeat"]): (r["job_id"], r["why"]) for r in found}


def nodes_of_cases(folder: Path) -> dict[str, int]:
    cases = [json.loads(path.read_text()) for path in folder.glob("results/demo/cases/*.json")]
    return {case["case_id"]: case["target"]["nodes"] for case in cases}


def test_what_waits_for_a_drained_node_is_cancelled_or_never_starts_is_told_with_slurms_reason(trial: Site) -> None:
    """While it runs by `seatrial status`, afterwards by that, tables, summary, page and verdicts."""
    folder, environment = trial
    since = now()
    with (folder / "out").open("w") as log:
        process = start(trial, ["--retries", "0", *SHORTLY, *overridden(*STUDY)], log)

        def comes(condition: Callable[[], object], what: str) -> None:
            until(lambda: condition() or process.poll() is not None, 90, what)

        try:
            comes(lambda: {why for _, why in standing(trial, "pending").values()} == {DRAINED, TOO_MANY}, "reasons")
            _status_says_why_repeats_wait(trial)
            comes(lambda: (folder / "out").read_text().count("it can never start") == 2, "two given up")
            slurm(environment, "scontrol", "update", "NodeName=node4", "State=RESUME")
            comes(lambda: (2, 0) in standing(trial, "running"), "a repeat on both nodes")
            slurm(environment, "scancel", standing(trial, "running")[2, 0][0])
            code = process.wait(timeout=120)
        finally:
            interrupt(process)
    assert code == 1
    assert queue(environment) == []
    rows = {(json.loads(row["axes"])["target.nodes"], int(row["repeat"])): row for row in repeats(folder)}
    assert {place: (row["outcome"], row["error_kind"]) for place, row in rows.items()} == {
        (1, 0): ("completed", ""),
        (1, 1): ("completed", ""),
        (2, 0): ("missing", "cancelled"),
        (2, 1): ("missing", "crashed"),
        (3, 0): ("missing", "cancelled"),
        (3, 1): ("missing", "cancelled"),
    }
    for place, why in WHY.items():
        assert rows[place]["error_message"].startswith(why), rows[place]
    _status_summary_and_page_have_each_that_is_missing_and_why(trial)
    _no_figure_rests_on_what_is_missing_and_slow_is_something_else(folder)
    until(lambda: len(started_jobs(environment, since)) >= 4, 30)
    assert len(started_jobs(environment, since)) == 4, "what is cancelled, or can never start, is not tried again"


def _status_says_why_repeats_wait(trial: Site) -> None:
    lines = status(trial).splitlines()
    assert f"  gemm: 2 pending, Slurm's reason: {DRAINED}" in lines
    assert f"  gemm: 2 pending, Slurm's reason: {TOO_MANY}" in lines
    (drained,) = [line for line in lines if line.startswith("  node4: ")]
    assert re.fullmatch(rf"  node4: drained since [-0-9]+ [0-9:]+ UTC by root: {TICKET}", drained), drained


def _status_summary_and_page_have_each_that_is_missing_and_why(trial: Site) -> None:
    folder, _ = trial
    lines = status(trial).splitlines()
    assert lines[0] == "2 of 6 repeats completed; 4 missing"
    demo = folder / "results" / "demo"
    page, summary = (html.unescape((demo / name).read_text()) for name in ("report.html", "summary.md"))
    _, _, rest = page.partition('<section id="outcomes">')
    section, _, _ = rest.partition("</section>")
    assert "2 of 6 repeats completed, 4 missing" in section
    told = section.split("<tr")[2:]
    _, listed = summary.split("## What is missing\n")
    ids = {nodes: case for case, nodes in nodes_of_cases(folder).items()}
    assert len(told) == len(WHY)
    for (nodes, repeat), why in WHY.items():
        kind = "crashed" if (nodes, repeat) == (2, 1) else "cancelled"
        (row,) = [row for row in told if f"repeat {repeat}<" in row and f"nodes {nodes}<" in row]
        assert ">missing<" in row and f">{kind}<" in row and why in row
        (line,) = [line for line in listed.splitlines() if f"nodes {nodes}, repeat {repeat}: " in line]
        assert f"missing ({kind}): {why}" in line
        (line,) = [line for line in lines if line.startswith(f"  gemm case {ids[nodes]} repeat {repeat}: ")]
        assert f": missing: {kind}: {why}" in line


def _no_figure_rests_on_what_is_missing_and_slow_is_something_else(folder: Path) -> None:
    demo = folder / "results" / "demo"
    measured = pd.read_parquet(demo / "tables" / "measurements.parquet")
    assert set(zip(measured["axis.target.nodes"].astype(int), measured["repeat"], strict=True)) == {(1, 0), (1, 1)}
    verdicts = {v["criterion"]: v for v in json.loads((demo / "verdicts.json").read_text())}
    assert {name: v["verdict"] for name, v in verdicts.items()} == {"any": "incomplete", "slow": "fail"}
    assert "repeats not completed" in verdicts["any"]["reason"] and verdicts["any"]["measured"] is None
    assert "not completed" not in verdicts["slow"]["reason"] and verdicts["slow"]["measured"] > 0
    causes = {finding["cause"] for finding in json.loads((demo / "findings.json").read_text())}
    assert not causes & {"straggler_node", "failed_node"}, "no node is to blame for any of it"
