"""A study against an earlier one through Snakemake, as a user types it; nothing is measured here."""

import csv
import json
import subprocess
import sys
from pathlib import Path

from seatrial.case import Case
from seatrial.record import Record, measurement

BIN = Path(sys.executable).parent
ONE_GEMM = [
    *(f"~experiments.{name}" for name in ("memory", "all_reduce", "finetune", "gemm.sweep")),
    "criteria=[]",
]
A_SUBJECT = [
    "references.survey=null",
    "+references.subjects=[{round: v5.1, submitter: Dell, system: 1xXE9680Lx8B200-SXM-180GB}]",
]


def run(project, *words, timeout=200):
    return subprocess.run(
        [str(BIN / words[0]), *words[1:]], cwd=project, capture_output=True, text=True, timeout=timeout
    )


def snakemake(project, *options, **config):
    words = [f"{name}={value}" for name, value in config.items()]
    given = ["study=published", f"overrides={json.dumps(A_SUBJECT)}", *words]
    return run(project, "snakemake", "--profile", "local", *options, "--config", *given)


def measured(project, folder):
    """A study of one matrix product, planned by the command, with a record of each repeat."""
    assert run(project, "seatrial", "plan", "study=demo", *ONE_GEMM, "--write", folder).returncode == 0
    for file in (project / folder / "cases").glob("*.json"):
        case = Case.read(file)
        for repeat in range(case.repeats):
            Record(
                study=case.study,
                case_id=case.case_id,
                repeat=repeat,
                seed=case.seed(repeat),
                workload=case.workload.kind,
                target=case.target.name,
                outcome="completed",
                started_at="2026-01-02T03:04:05+00:00",
                finished_at="2026-01-02T03:04:06+00:00",
                measurements=[measurement("gemm.throughput", [1.0 + repeat], {"rank": 0})],
                provenance={"hosts": ["n1"]},
            ).write(project / folder / "records" / case.case_id / f"{repeat}.json")
    assert run(project, "seatrial", "collect", folder).returncode == 0


def test_an_earlier_study_is_named_to_snakemake_and_forgotten_again(project):
    measured(project, "old")
    done = snakemake(project, against="old")
    assert done.returncode == 0, done.stderr[-3000:]
    study = project / "results" / "published"
    with (study / "tables" / "against.csv").open() as handle:
        rows = list(csv.DictReader(handle))
    assert [(row["result"], row["note"]) for row in rows] == [("not_compared", "this study has no such case")]
    assert "Against an earlier study" in (study / "report.html").read_text()
    again = snakemake(project, "-n", against="old")
    assert "Nothing to be done" in again.stdout + again.stderr
    assert snakemake(project).returncode == 0
    assert not (study / "tables" / "against.csv").exists()
    assert "Against an earlier study" not in (study / "report.html").read_text()


def test_a_folder_that_is_no_study_is_refused_before_anything_runs(project):
    done = snakemake(project, against="nowhere")
    assert done.returncode == 2
    assert "there is no study in this folder" in done.stderr
    assert "nowhere/study.json" in done.stderr
    assert "Traceback" not in done.stderr
    assert not (project / "results").exists()
