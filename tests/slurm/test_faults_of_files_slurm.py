"""A study on a real Slurm: its status as it runs, a second Snakemake, late records, a retry, records of no use."""

import csv
import json
import os
import shlex
import subprocess
import sys
import time
from pathlib import Path

import pytest
from waiting import interrupt

pytestmark = [pytest.mark.slurm, pytest.mark.timeout(400)]
BIN = Path(sys.executable).parent
OVERRIDES = [
    "~experiments.memory",
    "~experiments.all_reduce",
    "~experiments.finetune",
    "~experiments.gemm.sweep",
    "criteria=[]",
    "experiments.gemm.workload.m=32",
    "experiments.gemm.repeats=6",
    "target.nodes=1",
    "target.tasks_per_node=1",
]
MEASURE = """#!/bin/bash
# `seatrial measure` that waits for `go`, or its own, and whose record is not seen yet; repeat 0 dies once
[ "$1" = measure ] || exec {real} "$@"
if [ "$4" = 0 ] && mkdir {died}; then kill -9 $$; fi
while [ ! -e {go} ] && [ ! -e {go}.$4 ]; do sleep 0.2; done
{real} "$@" || exit
mv "$6" "$6.unseen"
touch {unseen}/$4
"""


@pytest.fixture
def site(project, slurm_cluster):
    """The project on the test Slurm, with such a `seatrial measure`: (folder, environment)."""
    programs = project / "bin"
    (project / "unseen").mkdir(parents=True)
    programs.mkdir()
    places = {name: shlex.quote(str(project / name)) for name in ("died", "go", "unseen")}
    (programs / "seatrial").write_text(MEASURE.format(real=BIN / "seatrial", **places))
    (programs / "seatrial").chmod(0o755)
    return project, {**os.environ, **slurm_cluster, "PATH": f"{programs}:{BIN}:{slurm_cluster['PATH']}"}


def snakemake(*words):
    config = ["--config", "study=demo", "target=mini_slurm", f"overrides={json.dumps(OVERRIDES)}"]
    return ["snakemake", "--profile", "slurm", *words, *config]


def status(site):
    folder, environment = site
    done = subprocess.run(
        ["seatrial", "status", "results/demo", "--json"],
        cwd=folder, env=environment, capture_output=True, text=True, timeout=60, check=False,
    )  # fmt: skip
    return json.loads(done.stdout) if done.returncode == 0 else {"counts": {}, "repeats": []}


def show_late(folder):
    """Let the records be seen that were written seconds ago; how many that were."""
    shown = 0
    for path in folder.glob("results/demo/records/*/*.json.unseen"):
        if (folder / "unseen" / path.name.split(".")[0]).exists() and time.time() - path.stat().st_mtime > 3:
            path.rename(path.with_suffix(""))
            shown += 1
    return shown


def started(environment, since):
    """By sacct: state, memory and minutes asked for of every allocation that was started."""
    words = ["sacct", "-n", "-P", "-X", "-D", "-S", since, "-o", "State,ReqMem,TimelimitRaw,Start"]
    done = subprocess.run(words, env=environment, capture_output=True, text=True, timeout=60, check=True)
    return [row for line in done.stdout.splitlines() if (row := line.split("|"))[3] not in ("Unknown", "None", "")]


def wait_for(condition, seconds, what):
    end = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < end, f"{what}: not within {seconds} s"
        time.sleep(0.5)


def test_a_running_study_says_how_it_stands_refuses_a_second_and_takes_late_records_once(site):
    folder, environment = site
    time.sleep(1.1)  # sacct's clock has whole seconds
    since = time.strftime("%Y-%m-%dT%H:%M:%S")
    with (folder / "out").open("w") as log:
        process = subprocess.Popen(snakemake(), cwd=folder, env=environment, stdout=log, stderr=subprocess.STDOUT)
        try:
            wait_for(lambda: {"running", "pending"} <= set(status(site)["counts"]), 120, "running and pending")
            _status_names_nodes_reasons_and_the_holder(status(site), process.pid)
            _a_second_from_another_host_is_refused(site, process.pid)
            shown = _when_one_has_completed_an_end_is_estimated(site)
            (folder / "go").touch()
            shown += _shown_to_its_end(folder, process)
        finally:
            interrupt(process)
    assert shown == 6
    assert _outcomes(folder) == 6 * ["completed"]
    wait_for(lambda: len(started(environment, since)) >= 7, 30, "accounting")
    jobs = started(environment, since)
    assert len(jobs) == 7, jobs  # six repeats, one of them twice because it died
    assert sorted(job[2] for job in jobs) == ["5"] * 6 + ["7"]
    assert sorted({job[1] for job in jobs}) == ["6000M", "9000M"] or _gigabytes(jobs) == [5.86, 8.79]
    assert [job[0] for job in jobs].count("COMPLETED") == 6
    found = status(site)
    assert (found["counts"], found["worked_on_by"]) == ({"completed": 6}, None)
    _a_cut_off_and_a_foreign_record_run_again_and_nothing_else(site, since)


def _shown_to_its_end(folder, process):
    """How many records were shown until Snakemake ended; raises AssertionError where it failed."""
    shown = 0
    while process.poll() is None:
        shown += show_late(folder)
        time.sleep(0.3)
    assert process.returncode == 0, (folder / "out").read_text()[-4000:]
    return shown


def _outcomes(folder):
    with (folder / "results" / "demo" / "tables" / "repeats.csv").open() as handle:
        return [row["outcome"] for row in csv.DictReader(handle)]


def _a_cut_off_and_a_foreign_record_run_again_and_nothing_else(site, since):
    folder, environment = site
    cut, foreign = sorted(folder.glob("results/demo/records/*/[01].json"))
    cut.write_text(cut.read_text()[:100])
    foreign.write_text(json.dumps(json.loads(foreign.read_text()) | {"study": "theirs"}))
    useless = [cut.read_bytes(), foreign.read_bytes()]
    with (folder / "out").open("w") as log:
        process = subprocess.Popen(snakemake(), cwd=folder, env=environment, stdout=log, stderr=subprocess.STDOUT)
        try:
            assert _shown_to_its_end(folder, process) == 2
        finally:
            interrupt(process)
    said = (folder / "out").read_text()
    assert said.count("it is now") == 2 and "study is 'theirs', not 'demo'" in said
    assert [path.with_suffix(".unusable-1.json").read_bytes() for path in (cut, foreign)] == useless
    assert _outcomes(folder) == 6 * ["completed"]
    wait_for(lambda: len(started(environment, since)) >= 9, 30, "accounting")
    assert len(started(environment, since)) == 9, "two more, and no other repeat again"


def _gigabytes(jobs):
    return sorted({float(job[1].rstrip("G")) for job in jobs})


def _status_names_nodes_reasons_and_the_holder(found, process):
    assert found["worked_on_by"]["process"] == process
    running = [r for r in found["repeats"] if r["state"] == "running"]
    assert {r["nodes"] for r in running} <= {"node1", "node2", "node3", "node4"}
    assert all(r["since"] and r["job_id"] for r in running)
    assert {r["why"] for r in found["repeats"] if r["state"] == "pending"} <= {"Resources", "Priority"}
    assert found["not_known"] is None
    assert "no repeat of gemm has completed" in found["estimate"]["how"]


def _when_one_has_completed_an_end_is_estimated(site):
    """How many records were shown for it."""
    folder, _ = site
    first = max(r["repeat"] for r in status(site)["repeats"] if r["state"] == "running")
    (folder / f"go.{first}").touch()
    wait_for(lambda: show_late(folder), 60, "a record")
    wait_for(lambda: status(site)["counts"].get("completed") == 1, 60, "a completed repeat")
    found = status(site)
    assert found["estimate"]["how"].startswith("from 1 completed repeat(s), ")
    assert found["estimate"]["end"][:16] >= found["at"][:16], "not in the past"
    return 1


def _a_second_from_another_host_is_refused(site, process):
    folder, environment = site
    words = f"hostname elsewhere && exec {shlex.join(snakemake())}"
    second = subprocess.run(
        ["unshare", "--uts", "sh", "-c", words],
        cwd=folder, env=environment, capture_output=True, text=True, timeout=120, check=False,
    )  # fmt: skip
    assert second.returncode == 2, second.stderr[-2000:]
    assert f"results/demo is being worked on by process {process} on {os.uname().nodename}" in second.stderr
