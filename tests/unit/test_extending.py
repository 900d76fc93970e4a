"""docs/extending.md: every file and every change in it makes a program that measures, judges and draws."""

import json
import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from seatrial.record import Record

ROOT = Path(__file__).parents[2]
BLOCK = re.compile(r"^```(\w+)\n(.*?)^```$", re.DOTALL | re.MULTILINE)
PLACE = re.compile(r"^# ((?:conf|src)/\S+|\w+\.py)$", re.MULTILINE)
STAGES = """
import sys
from pathlib import Path
from seatrial.case import Case
from seatrial.cli import main

study, root, *stages = sys.argv[1], Path("results") / sys.argv[1], *sys.argv[2:]
def run(*words):
    assert main([str(word) for word in words]) == 0, words
run("plan", f"study={study}", "--write", root)
for path in sorted((root / "cases").glob("*.json")):
    case = Case.read(path)
    for repeat in range(case.repeats):
        run("measure", path, "--repeat", repeat, "--output", root / "records" / case.case_id / f"{repeat}.json")
for stage in stages:
    run(stage, root)
"""


@pytest.fixture(scope="module")
def extended(tmp_path_factory):
    """A copy of program and configuration with everything that the document adds."""
    folder = tmp_path_factory.mktemp("extended")
    unwanted = shutil.ignore_patterns("__pycache__")
    for name in ("src", "conf"):
        shutil.copytree(ROOT / name, folder / name, ignore=unwanted)
    for language, text in BLOCK.findall((ROOT / "docs" / "extending.md").read_text()):
        if language == "diff":
            apply = ["git", "apply", "--unidiff-zero", "-"]
            done = subprocess.run(apply, cwd=folder, input=text, capture_output=True, text=True, timeout=30)
            assert done.returncode == 0, f"{done.stderr}\n{text}"
        else:
            place = PLACE.search(text)
            assert place, f"a block does not say which file it is:\n{text}"
            (folder / place[1]).write_text(text)
    return folder


def seatrial(extended, *words, timeout=240):
    path = {"PATH": f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"}
    environment = {**os.environ, **path, "PYTHONPATH": str(extended / "src"), "OMP_NUM_THREADS": "1"}
    return subprocess.run(
        [sys.executable, *words], cwd=extended, env=environment, capture_output=True, text=True, timeout=timeout
    )


def test_the_new_target_makes_a_plan_with_its_facts(extended):
    done = seatrial(
        extended,
        "-m",
        "seatrial.cli",
        "plan",
        "study=ours",
        "target=hall_two",
        "target.nodes=2",
        "--write",
        "planned",
    )
    assert done.returncode == 0, done.stderr
    target = json.loads((extended / "planned" / "study.json").read_text())["study"]["target"]
    assert target["accelerator"]["family"] == "H200-SXM"
    assert (target["nodes"], target["scale_out"]["gbit_per_accelerator"]["value"]) == (2, 400)


def test_the_new_probe_measures_is_judged_and_drawn(extended):
    done = seatrial(extended, "-c", STAGES, "timers", "collect", "analyse", "report", "verdict")
    assert done.returncode == 0, done.stdout + done.stderr
    root = extended / "results" / "timers"
    # this program does not know the metric, the extended one does
    records = [json.loads(path.read_text()) for path in sorted(root.glob("records/*/*.json"))]
    assert [record["outcome"] for record in records] == ["completed"] * 4
    (measured,) = records[0]["measurements"]
    assert (measured["metric"], measured["unit"], len(measured["samples"])) == ("timer.lateness", "s", 100)
    assert min(measured["samples"]) >= 0
    assert {path.suffix for path in (root / "figures").glob("timer.*")} == {".svg", ".pdf", ".png", ".csv"}
    assert "How late ranks wake" in (root / "report.html").read_text()
    assert "pass" in done.stdout


def test_the_new_training_reaches_its_quality_in_every_repeat(extended):
    done = seatrial(extended, "-c", STAGES, "ours")
    assert done.returncode == 0, done.stdout + done.stderr
    records = [Record.read(path) for path in sorted((extended / "results" / "ours").glob("records/*/*.json"))]
    assert [record.outcome for record in records] == ["completed"] * 3
    assert all(record.quality.crossing for record in records)


def test_the_new_workload_of_a_kind_that_is_there_fulfils_its_schema(extended):
    check = "import sys; from seatrial.config.probe import Gemm; import yaml; Gemm(**yaml.safe_load(sys.stdin))"
    text = (extended / "conf" / "workload" / "gemm_our_model.yaml").read_text()
    done = subprocess.run([sys.executable, "-c", check], input=text, capture_output=True, text=True, timeout=60)
    assert done.returncode == 0, done.stderr
