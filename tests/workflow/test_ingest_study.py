"""A study of logs handed over: planned, ingested and judged, by Snakemake and by hand."""

import csv
import json
import subprocess
import sys
from pathlib import Path

import pytest
from mlperf_folders import RunPlan, SubmitterFolder, log_file, log_files, runs_of

BIN = Path(sys.executable).parent


def command(project, *words, timeout=240):
    return subprocess.run(
        [str(BIN / words[0]), *words[1:]], cwd=project, capture_output=True, text=True, timeout=timeout
    )


def snakemake(project, *words, **config):
    given = [f"{key}={value}" for key, value in {"study": "vendor_logs", **config}.items()]
    return command(project, "snakemake", "--profile", "local", *words, "--config", *given)


@pytest.fixture
def vendor(tmp_path):
    """Ten logs of llama2_70b_lora on 8 B200, the fourth without run_stop."""
    at = SubmitterFolder(tmp_path / "training_results_v5.1" / "Harbour_Systems", "Harbour Systems")
    plans = runs_of(RunPlan(100, "llama2_70b_lora", terse=True, minutes=9.5), spread=False)
    logs = log_files(plans)
    cut = RunPlan(103, "llama2_70b_lora", terse=True, status=None)
    at.results(at.system("hs-8xb200"), "llama2_70b_lora", [*logs[:3], log_file(cut, "result_3.txt"), *logs[4:]])
    return at.root


def records(project):
    return {p: (p.read_bytes(), p.stat().st_mtime_ns) for p in (project / "results").rglob("records/*/*")}


def outcomes(project):
    with (project / "results" / "vendor_logs" / "tables" / "repeats.csv").open() as handle:
        return [row["outcome"] for row in csv.DictReader(handle)]


def verdict(project):
    return command(project, "seatrial", "verdict", "results/vendor_logs").returncode


def test_snakemake_runs_nothing_of_it_and_takes_what_was_ingested(project, vendor):
    planned = snakemake(project, "-n")
    assert planned.returncode == 0, planned.stderr[-2000:]
    assert "0 repeats to run, 10 to ingest" in planned.stderr and "rule measure" not in planned.stdout

    done = snakemake(project)
    assert done.returncode == 0, done.stderr[-2000:]
    assert outcomes(project) == ["missing"] * 10 and not records(project)
    assert "seatrial ingest mlperf FOLDER" in (project / "results/vendor_logs/report.html").read_text()
    assert verdict(project) == 3

    ingested = command(project, "seatrial", "ingest", "mlperf", str(vendor), "--study", "vendor_logs")
    assert ingested.returncode == 0, ingested.stderr
    assert "9 of 10 logs completed, 1 failed (crashed)" in ingested.stdout
    made = records(project)
    assert len(made) == 20

    again = snakemake(project)
    assert again.returncode == 0, again.stderr[-2000:]
    assert outcomes(project) == ["completed"] * 3 + ["failed"] + ["completed"] * 6
    # MLCommons allows a result of this benchmark one failed run
    assert verdict(project) == 0, (project / "results/vendor_logs/verdicts.json").read_text()
    assert snakemake(project, rerun="failed").returncode == 0
    assert snakemake(project, "--forceall").returncode == 0
    assert records(project) == made

    # handed over again with the fourth run whole: the record of the other log has to go first
    at = SubmitterFolder(vendor, "Harbour Systems")
    plans = runs_of(RunPlan(100, "llama2_70b_lora", terse=True, minutes=9.5), spread=False)
    at.results("hs-8xb200", "llama2_70b_lora", log_files(plans))
    refused = command(project, "seatrial", "ingest", "mlperf", str(vendor), "--study", "vendor_logs")
    assert refused.returncode == 2 and "repeat 3 of experiment llama2" in refused.stderr
    next(iter(p for p in made if p.name == "3.json")).unlink()
    assert command(project, "seatrial", "ingest", "mlperf", str(vendor), "--study", "vendor_logs").returncode == 0
    assert snakemake(project).returncode == 0
    assert outcomes(project) == ["completed"] * 10
    assert verdict(project) == 0, (project / "results/vendor_logs/verdicts.json").read_text()


def test_measuring_such_a_case_by_hand_says_what_to_do_and_does_not_stand_in_the_way(project, vendor):
    folder = "results/vendor_logs"
    # one rank, so that the command finds the launch that the case asks for
    one_rank = ["target.tasks_per_node=1", "target.device=cpu"]
    planned = command(project, "seatrial", "plan", "study=vendor_logs", *one_rank, "--write", folder)
    assert planned.returncode == 0, planned.stderr
    (case,) = json.loads((project / folder / "study.json").read_text())["cases"]
    record = f"{folder}/records/{case}/3.json"
    words = ("seatrial", "measure", f"{folder}/cases/{case}.json", "--repeat", "3", "--output", record)
    command(project, *words)
    found = json.loads((project / record).read_text())
    assert found["outcome"] == "unsupported" and "seatrial ingest mlperf FOLDER" in found["error"]["message"]

    overrides = [word for override in one_rank for word in ("--override", override)]
    ingested = command(project, "seatrial", "ingest", "mlperf", str(vendor), "--study", "vendor_logs", *overrides)
    assert ingested.returncode == 0, ingested.stderr
    assert command(project, "seatrial", "collect", folder).returncode == 0
    assert outcomes(project) == ["completed"] * 3 + ["failed"] + ["completed"] * 6
