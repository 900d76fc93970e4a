"""A study of somebody else's training, run by Snakemake: a record like any other, on the page like any other."""

import csv
import json
import subprocess
import sys
import textwrap
from pathlib import Path

import pytest

BIN = Path(sys.executable).parent
STUDY = """
    # @package _global_
    defaults:
      - /workload@experiments.vendor.workload: external
      - _self_
    title: A vendor's training
    description: What the vendor's own command says of itself.
    experiments:
      vendor:
        repeats: 2
        workload:
          command: [{python}, {program}, --seed, "{{seed}}", --out, "{{folder}}/out.txt"]
          quality: {{metric: eval_loss, target: 1.5, direction: lower}}
          time_limit_minutes: 2
    criteria: []
"""
TRAINING = """
    import sys, time
    from mlperf_logging import mllog
    seed = int(sys.argv[2])
    open(sys.argv[4], "w").write("seed %d" % seed)
    logger = mllog.get_mllogger()
    logger.event("seed", seed)
    logger.start("run_start")
    for number, loss in enumerate((4.0, 2.0, 1.0 if seed % 2 else 1.8)):
        time.sleep(0.2)
        logger.event("eval_accuracy", loss, metadata={"samples_count": 8 * number})
    logger.end("run_stop", metadata={"status": "success"})
"""


@pytest.fixture
def study(project):
    """A study `vendor` in a copy of the project, with the vendor's program beside it."""
    program = project / "vendor training.py"
    program.write_text(textwrap.dedent(TRAINING))
    words = textwrap.dedent(STUDY).format(python=json.dumps(sys.executable), program=json.dumps(str(program)))
    (project / "conf" / "study" / "vendor.yaml").write_text(words)
    return project


def snakemake(project, *words):
    overrides = json.dumps(["target.tasks_per_node=1", "target.device=cpu", "target.accelerators_per_node=0"])
    return subprocess.run(
        [
            str(BIN / "snakemake"),
            "--profile",
            "local",
            *words,
            "--config",
            "study=vendor",
            f"overrides={overrides}",
        ],
        cwd=project,
        capture_output=True,
        text=True,
        timeout=240,
        check=False,
    )


def test_a_vendors_command_becomes_records_and_a_page(study):
    done = snakemake(study)
    assert done.returncode == 0, done.stderr[-3000:]
    results = study / "results" / "vendor"
    with (results / "tables" / "repeats.csv").open() as handle:
        rows = list(csv.DictReader(handle))
    assert sorted(row["outcome"] for row in rows) == ["completed", "failed"]
    records = [json.loads(path.read_text()) for path in sorted(results.glob("records/*/*.json"))]
    by_seed = {record["seed"] % 2: record for record in records}
    metrics = {m["metric"]: m["samples"] for m in by_seed[1]["measurements"]}
    assert metrics["mlperf.evaluation_loss"] == [4.0, 2.0, 1.0]
    # the quality is crossed between the second evaluation and the third, each 0.2 s after the one before
    assert 0.4 < metrics["train.time_to_quality"][0] * 60 < metrics["mlperf.time_to_train"][0] * 60
    assert by_seed[0]["error"]["kind"] == "target_not_reached"
    assert "eval_loss reached 1.8, not the target of 1.5" in (results / "report.html").read_text()
    for record in records:
        folder = results / "records" / record["case_id"]
        out = folder / f"{record['repeat']}.external" / "out.txt"
        assert out.read_text() == f"seed {record['seed']}"
        assert b":::MLLOG" in (folder / f"{record['repeat']}.mllog").read_bytes()
    assert "Nothing to be done" in (again := snakemake(study)).stdout + again.stderr


def test_a_command_that_is_not_stated_is_refused_before_anything_runs(study):
    path = study / "conf" / "study" / "vendor.yaml"
    lines = [line for line in path.read_text().splitlines() if "command:" not in line]
    path.write_text("\n".join(lines))
    done = snakemake(study, "-n")
    assert done.returncode == 2 and "Traceback" not in done.stderr
    assert "command" in done.stderr and "must be given" in done.stderr
