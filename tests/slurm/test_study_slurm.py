"""Whole studies on a real Slurm of four nodes (one machine plays them all)."""

import csv
import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import psutil
import pytest
from waiting import interrupt, until

from seatrial.record import Record

pytestmark = [pytest.mark.slurm, pytest.mark.timeout(600)]
BIN = Path(sys.executable).parent
NOT_GEMM = ["~experiments.memory", "~experiments.all_reduce", "~experiments.finetune", "criteria=[]"]
ONE_RANK = ["target.nodes=1", "target.tasks_per_node=1"]


@pytest.fixture
def site(project, slurm_cluster):
    """The project on the test Slurm: (folder, environment)."""
    environment = {**os.environ, **slurm_cluster}
    environment["PATH"] = f"{BIN}:{environment['PATH']}"
    return project, environment


def start(site, words, log):
    folder, environment = site
    return subprocess.Popen(
        ["snakemake", "--profile", "slurm", *words],
        cwd=folder,
        env=environment,
        stdout=log,
        stderr=subprocess.STDOUT,
    )


def run(site, *words, timeout=500):
    folder, _ = site
    with (folder / "out").open("w") as log:
        process = start(site, words, log)
        try:
            code = process.wait(timeout=timeout)
        finally:
            interrupt(process)
    return code, (folder / "out").read_text()


def overridden(*overrides):
    config = ["--config", "study=demo", "target=mini_slurm", f"overrides={json.dumps(list(overrides))}"]
    return ["--submitit-status-interval", "2", *config]


def repeats(folder):
    with (folder / "results" / "demo" / "tables" / "repeats.csv").open() as handle:
        return list(csv.DictReader(handle))


def started_jobs(environment, since):
    """Allocations that sacct says were started since then, every restart and array element counted."""
    done = subprocess.run(
        ["sacct", "-n", "-P", "-X", "-D", "-S", since, "-o", "JobID,JobName,Start,State"],
        env=environment,
        capture_output=True,
        text=True,
        timeout=60,
        check=True,
    )
    rows = [line.split("|") for line in done.stdout.splitlines()]
    return [row for row in rows if row[2] not in ("Unknown", "None", "")]


def queue(environment):
    done = subprocess.run(
        ["squeue", "-h", "-r", "-o", "%T"], env=environment, capture_output=True, text=True, timeout=60, check=True
    )
    return done.stdout.split()


def now():
    time.sleep(1.1)  # sacct's clock has whole seconds: jobs of an earlier test must not fall into this one
    return time.strftime("%Y-%m-%dT%H:%M:%S")


def test_the_demo_runs_on_slurm_as_typed_and_its_ranks_span_two_nodes_of_two_tasks(site):
    folder, environment = site
    # fewer and shorter repeats, of which each starts four ranks; of a base model that has learnt little, the target
    # is that of about 20 steps
    _change(folder / "conf" / "workload" / "llm_finetune.yaml", {"steps: 500": "steps: 60", "3.35": "5.0"})
    _change(folder / "conf" / "sweep" / "gemm_shapes.yaml", {"[256, 512, 1024]": "[256, 512]"})
    _change(folder / "conf" / "sweep" / "memory_operations.yaml", {"choice(copy, triad)": "choice(triad)"})
    _change(folder / "conf" / "sweep" / "message_sizes.yaml", {"[65536, 1048576, 16777216]": "[65536, 16777216]"})
    code, out = run(site, "--config", "study=demo", "target=mini_slurm")
    assert code == 0, out[-4000:]
    assert {row["outcome"] for row in repeats(folder)} == {"completed"}
    assert "<svg" in (folder / "results" / "demo" / "report.html").read_text()
    assert queue(environment) == []
    records = [Record.read(p) for p in sorted((folder / "results" / "demo" / "records").glob("*/*.json"))]
    assert {"collective", "llm_finetune"} <= {record.workload for record in records}
    for record in records:
        hosts = record.provenance["hosts"]
        assert (len(hosts), len(set(hosts))) == (4, 2), (record.workload, hosts)
        assert record.provenance["slurm"]["SLURM_JOB_ID"]


def _change(path, words):
    """Replace words of a file, each of which is there once or on every axis of one sweep."""
    text = path.read_text()
    for old, new in words.items():
        assert old in text, (path, old)
        text = text.replace(old, new)
    path.write_text(text)


def test_snakemake_killed_and_started_again_runs_every_repeat_once(site):
    folder, environment = site
    since = now()
    words = overridden(*NOT_GEMM, *ONE_RANK, "experiments.gemm.repeats=4")  # 12 repeats on 8 places
    with (folder / "first").open("w") as log:
        process = start(site, words, log)
        try:
            until(lambda: {"RUNNING", "PENDING"} <= set(queue(environment)), 120)
            process.send_signal(signal.SIGKILL)
            process.wait(timeout=30)
        finally:
            interrupt(process)
    assert "PENDING" in queue(environment) or "RUNNING" in queue(environment)
    code, out = run(site, *words)
    assert code == 0, out[-4000:]
    rows = repeats(folder)
    assert len(rows) == 12
    assert {row["outcome"] for row in rows} == {"completed"}
    until(lambda: len(started_jobs(environment, since)) >= 12, 30)
    assert len(started_jobs(environment, since)) == 12


def test_a_killed_repeat_and_one_that_fails_in_words_are_both_on_the_page(site):
    folder, environment = site
    words = overridden(
        "~experiments.memory",
        "~experiments.finetune",
        "~experiments.all_reduce",
        "criteria=[]",
        *ONE_RANK,
        # a CPU has no tf32, and says so; the product in float32 takes for ever, and is killed
        "~experiments.gemm.sweep",
        "+experiments.gemm.sweep.axes={workload: {dtype: [float32, tf32]}}",
        "experiments.gemm.workload.m=1500",
        "experiments.gemm.workload.iterations=2000000000",
    )
    with (folder / "out").open("w") as log:
        process = start(site, ["--retries", "0", *words], log)
        try:
            until(lambda: _endless(folder), 120)
            time.sleep(5)
            for victim in _endless(folder):
                victim.send_signal(signal.SIGKILL)
            assert process.wait(timeout=180) != 0
        finally:
            interrupt(process)
    rows = {json.loads(row["axes"])["workload.dtype"]: row for row in repeats(folder)}
    assert (rows["tf32"]["outcome"], rows["tf32"]["error_kind"]) == ("unsupported", "unsupported")
    assert (rows["float32"]["outcome"], rows["float32"]["error_kind"]) == ("missing", "crashed")
    page = (folder / "results" / "demo" / "report.html").read_text()
    assert rows["tf32"]["error_message"][:40] in page
    assert "missing" in page
    assert queue(environment) == []


def _endless(folder):
    """Processes of `seatrial measure` on the float32 case, whatever node they run on."""
    cases = folder / "results" / "demo" / "cases"
    found = []
    for process in psutil.process_iter(["cmdline"]):
        words = process.info["cmdline"] or []
        if "measure" in words and any(Path(w).name == "seatrial" for w in words):
            # it is planned then: before, a file may be there and not yet written
            named = [cases / Path(w).name for w in words if (cases / Path(w).name).is_file()]
            wanted = any(json.loads(case.read_text())["workload"]["dtype"] == "float32" for case in named)
            found += [process] if wanted else []
    return found
