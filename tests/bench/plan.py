"""Planning: how long it takes to compose and validate many cases, and what Snakemake takes for their jobs."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path
from statistics import median

from measure import PAIRS, ROOT, Result, at_most, publish
from watched import Watched, watched

FEW, MANY = 10_000, 100_000
FEW_S, MANY_S, RATIO, FINISHED = 2.0, 30.0, 1.3, 1.0
LINEAR = 1.2
"""Ten times as many cases may take so many times ten times as long."""
RUNS = PAIRS
STUDY = """# @package _global_
defaults:
  - /workload@experiments.products.workload: gemm
  - _self_
  - override /target: dgx_h100
title: Many
experiments:
  products:
    sweep:
      axes:
        workload.m: range(16,{end},16)
        workload.n: range(16,816,16)
        workload.dtype: [float32, bfloat16]
"""
OTHERS = {
    "a sweep of llm_finetune": (
        "llm_finetune",
        {"learning_rate": "range(0.001,0.0019995,0.000001)", "batch_size": "range(1,11)"},
    ),
    "a sweep of checkpoint": ("checkpoint", {"iterations": "range(1,1001)", "warmup": "range(1,11)"}),
    "an axis target.nodes": ("gemm", {}),
}
"""Other studies of FEW cases: workload and the axes below it; without any, the number of nodes is swept."""
OTHER = """# @package _global_
defaults:
  - /workload@experiments.only.workload: {kind}
  - _self_
  - override /target: dgx_h100
title: Many
experiments:
  only:
    sweep:
      axes:
"""
# In a process of its own: what is timed is the whole command but the interpreter's start and the writing.
PLANNED = """
import sys, time
from pathlib import Path
began = time.process_time()
from seatrial.checks import check_plan
from seatrial.plan import make_plan
plan = make_plan(["study=many"], Path(sys.argv[1]))
check_plan(plan)
seconds = time.process_time() - began
assert len(plan.cases) == len({case.case_id for case in plan.cases}) == int(sys.argv[2]), len(plan.cases)
Path(sys.argv[3]).write_text(str(seconds))
"""
# As many jobs as the study has, with as many inputs and outputs, by rules whose only Python is the list of records.
BARE = """
import json
records = json.load(open("records.json"))

rule all:
    input: "bare/report.html", records

rule plan:
    output: "bare/study.json"
    log: "bare/logs/plan.log"
    shell: "plan > {output}"

rule measure:
    input: "bare/study.json"
    output: "bare/records/{case}/{repeat}.json"
    log: "bare/logs/measure/{case}/{repeat}.log"
    shell: "measure {wildcards.case} {wildcards.repeat} {output}"

rule collect:
    input: "bare/study.json", records
    output: "bare/tables.csv"
    shell: "collect {input[0]} > {output}"

rule report:
    input: "bare/tables.csv"
    output: "bare/report.html"
    shell: "report {input} > {output}"
"""
OURS = ["Snakefile", "--config", "study=many"]
THEIRS = ["Bare"]


def main() -> None:
    with tempfile.TemporaryDirectory() as place:
        project = Path(place)
        for name in ("conf", "workflow"):
            shutil.copytree(ROOT / name, project / name)
        for name in ("Snakefile", "environment.yml"):
            shutil.copy(ROOT / name, project / name)
        os.chdir(project)
        publish("plan", [*_planning(project), *_snakemake(project)])


def _planning(project: Path) -> list[Result]:
    spent = {
        cases: [_planned(project, STUDY.format(end=16 + 16 * cases // 100), cases) for _ in range(RUNS)]
        for cases in (FEW, MANY)
    }
    found = []
    for cases, bar in ((FEW, FEW_S), (MANY, MANY_S)):
        name = f"compose, validate and check {cases:,} cases, CPU"
        found.append(at_most(name, spent[cases], "s", bar, "products; imports included"))
    for name, (kind, swept) in OTHERS.items():
        axes = {f"workload.{key}": values for key, values in swept.items()} or {
            "target.nodes": f"range(1,{FEW + 1})"
        }
        text = OTHER.format(kind=kind) + "".join(f"        {key}: {values}\n" for key, values in axes.items())
        samples = [_planned(project, text, FEW) for _ in range(RUNS)]
        found.append(at_most(f"the same, {FEW:,} cases of {name}, CPU", samples, "s", FEW_S, "imports included"))
    growth = [many / few / (MANY / FEW) for few, many in zip(spent[FEW], spent[MANY], strict=True)]
    note = f"{MANY:,} cases over {FEW:,} cases, a case"
    return [*found, at_most("time of a case, linear", growth, "x", LINEAR, note)]


def _planned(project: Path, study: str, cases: int) -> float:
    (project / "conf" / "study" / "many.yaml").write_text(study)
    watched(["-c", PLANNED, str(project / "conf"), str(cases), str(project / "seconds")])
    return float((project / "seconds").read_text())


def _snakemake(project: Path) -> list[Result]:
    """A study of FEW cases beside a bare workflow of as many jobs, before anything ran and when all is done."""
    (project / "conf" / "study" / "many.yaml").write_text(STUDY.format(end=16 + 16 * FEW // 100))
    outputs = _outputs(OURS)
    records = [file for file in outputs if "/records/" in file]
    (project / "records.json").write_text(json.dumps([file.replace("results/many", "bare") for file in records]))
    (project / "Bare").write_text(BARE)
    if len(records) != FEW:
        raise SystemExit(f"Snakemake sees {len(records)} records of {FEW}")
    found = [_beside(f"snakemake -n of {FEW:,} cases / bare, CPU", RATIO)]
    planned = ["-m", "seatrial.cli", "plan", "study=many", "--write", "results/many"]
    subprocess.run([sys.executable, *planned], timeout=900, check=True)
    _finish(OURS, [file for file in outputs if not Path(file).exists()])
    _finish(THEIRS, _outputs(THEIRS))
    for words in (OURS, THEIRS):
        if "Nothing to be done" not in _said([*words, "--dry-run"]):
            raise SystemExit(f"{words[0]} is not finished: there is something to do")
    return [*found, _beside(f"nothing to do in a finished study of {FEW:,} cases / bare, CPU", FINISHED)]


def _beside(name: str, bar: float) -> Result:
    """A dry run of both, alternating."""
    runs: dict[str, list[Watched]] = {OURS[0]: [], THEIRS[0]: []}
    for pair in range(PAIRS):
        for words in (OURS, THEIRS) if pair % 2 == 0 else (THEIRS, OURS):
            done = watched(["-m", "snakemake", "--dry-run", "--quiet", "all", "-s", *words])
            runs[words[0]].append(done)
            print(f"{name}, {words[0]}: {done.cpu_s:.1f} CPU s, {done.wall_s:.1f} s", flush=True)
    ours, bare = ([run.cpu_s for run in runs[words[0]]] for words in (OURS, THEIRS))
    ratios = [mine / theirs for mine, theirs in zip(ours, bare, strict=True)]
    note = f"{median(ours):.1f} against {median(bare):.1f} s; {PAIRS} alternating pairs"
    return at_most(name, ratios, "x", bar, note)


def _outputs(words: list[str]) -> list[str]:
    """Every output of the workflow."""
    lines = _said([*words, "--summary"]).splitlines()
    return [line.split("\t")[0] for line in lines if line.split("\t")[2:3] not in ([], ["rule"])]


def _finish(words: list[str], outputs: list[str]) -> None:
    """Leave the workflow as if all its jobs had run: stand-ins for outputs, and Snakemake's notes of every job."""
    # as in a finished study the table of repeats is younger than all records: Seatrial reads none of them again
    for name in sorted(outputs, key=lambda name: name.endswith("repeats.csv")):
        file = Path(name)
        file.parent.mkdir(parents=True, exist_ok=True)
        if file.suffix:
            file.write_text("case_id,repeat,outcome\n" if file.name == "repeats.csv" else "{}")
        elif file.name == "figures":
            file.mkdir(exist_ok=True)
        else:
            file.touch()
    _said([*words, "--touch", "--cores", "1", "--quiet", "all"])


def _said(words: list[str]) -> str:
    """What Snakemake prints."""
    command = [sys.executable, "-m", "snakemake", "-s", *words]
    done = subprocess.run(command, capture_output=True, text=True, timeout=900, check=False)
    if done.returncode:
        raise SystemExit(f"{' '.join(command)} ended with {done.returncode}:\n{done.stderr[-2000:]}")
    return done.stdout


if __name__ == "__main__":
    os.environ.setdefault("OMP_NUM_THREADS", "1")
    main()
