"""Studies run by Snakemake on this machine, through submitit's local executor: the same code as on a cluster."""

import csv
import json
import re
import signal
import subprocess
import sys
import time
from pathlib import Path

import psutil
import pytest
from waiting import interrupt, until

BIN = Path(sys.executable).parent
ONLY_GEMM = ["~experiments.memory", "~experiments.all_reduce", "~experiments.finetune"]
INDEX = Path("results/demo/figures/index.json")
SMALL = [
    *ONLY_GEMM,
    "~experiments.gemm.sweep",
    "+experiments.gemm.sweep.axes={workload: {m: [32, 48]}}",
    "criteria=[]",
]


def command(overrides, *words):
    return [
        str(BIN / "snakemake"),
        "--profile",
        "local",
        *words,
        "--config",
        "study=demo",
        f"overrides={json.dumps(overrides)}",
    ]


def snakemake(project, overrides, *words, timeout=240, **config):
    extra = [f"{key}={value}" for key, value in config.items()]
    return subprocess.run(
        [*command(overrides, *words), *extra], cwd=project, capture_output=True, text=True, timeout=timeout
    )


def files(folder):
    return {
        str(p.relative_to(folder)): p.stat().st_mtime_ns
        for p in folder.rglob("*")
        if p.is_file() and ".snakemake" not in p.relative_to(folder).parts
    }


def repeats(project):
    with (project / "results" / "demo" / "tables" / "repeats.csv").open() as handle:
        return list(csv.DictReader(handle))


def test_a_dry_run_shows_the_plan_imports_no_torch_and_writes_nothing_outside_snakemakes_folder(project):
    before = files(project)
    done = subprocess.run(
        [
            sys.executable,
            "-X",
            "importtime",
            "-m",
            "snakemake",
            "-n",
            "--profile",
            "local",
            "--config",
            "study=demo",
        ],
        cwd=project,
        capture_output=True,
        text=True,
        timeout=60,
    )
    assert done.returncode == 0, done.stderr[-2000:]
    assert re.search(r"^measure\s+\d+$", done.stdout + done.stderr, re.MULTILINE)
    assert re.search(r"at most [\d.]+ node-hours and 0 accelerator-hours", done.stderr)
    imported = {
        line.rsplit("|", 1)[1].strip() for line in done.stderr.splitlines() if line.startswith("import time:")
    }
    assert "hydra" in imported
    assert not imported & {"torch", "transformers", "peft", "matplotlib"}
    assert files(project).items() ^ before.items() == set()


def test_a_study_runs_to_its_page_and_a_second_run_finds_nothing_to_do(project):
    first = snakemake(project, SMALL)
    assert first.returncode == 0, first.stderr[-3000:]
    study = project / "results" / "demo"
    assert "<svg" in (study / "report.html").read_text()
    assert [row["outcome"] for row in repeats(project)] == ["completed", "completed"]
    before = files(study)
    second = snakemake(project, SMALL)
    assert second.returncode == 0
    assert "Nothing to be done" in second.stdout + second.stderr
    assert {k: v for k, v in files(study).items() if k != ".lock"} == {
        k: v for k, v in before.items() if k != ".lock"
    }
    _figures_are_drawn_again_and_nothing_else(project, before)
    _snakemakes_own_report_has_captions_and_categories(project)


def _figures_are_drawn_again_and_nothing_else(project, before):
    """`snakemake figures` on the finished study: no rule but its own runs, and only figures are written anew."""
    figures = project / "results" / "demo" / "figures"
    contents = {path.name: path.read_bytes() for path in figures.iterdir()}
    for path in figures.glob("*.*g"):
        path.unlink()
    done = snakemake(project, SMALL, "figures")
    assert done.returncode == 0, done.stderr[-3000:]
    assert set(re.findall(r"^(?:local)?rule (\w+):", done.stdout + done.stderr, re.MULTILINE)) == {"figures"}
    assert {path.name: path.read_bytes() for path in figures.iterdir()} == contents
    assert {f"gemm.{suffix}" for suffix in ("svg", "pdf", "png", "csv")} <= set(contents)
    after = files(project / "results" / "demo")
    changed = {name for name in before.keys() | after.keys() if before.get(name) != after.get(name)}
    assert {name for name in changed if not name.startswith("figures/")} == {".lock", "logs/figures.log"}


def _snakemakes_own_report_has_captions_and_categories(project):
    done = snakemake(project, SMALL, "--report", "own.html")
    assert done.returncode == 0, done.stderr[-3000:]
    text = (project / "own.html").read_text()
    (drawn,) = [f for f in json.loads((project / INDEX).read_text()) if f["name"] == "gemm"]
    for words in ('"Figures"', '"Page"', drawn["title"], drawn["reading"], "verdict, time to quality, ratio to"):
        assert words in text, words


def test_a_further_repeat_runs_alone_and_a_changed_criterion_measures_nothing_again(project):
    assert snakemake(project, SMALL).returncode == 0
    records = {k: v for k, v in files(project / "results" / "demo").items() if k.startswith("records/")}
    assert len(records) == 2
    more = snakemake(project, [*SMALL, "experiments.gemm.repeats=2"])
    assert more.returncode == 0, more.stderr[-3000:]
    after = {k: v for k, v in files(project / "results" / "demo").items() if k.startswith("records/")}
    assert len(after) == 4
    assert {k: after[k] for k in records} == records
    criterion = "criteria=[{name: some, metric: gemm.throughput, where: {experiment: gemm}, at_least: 1e-6}]"
    judged = snakemake(project, [*SMALL[:-1], "experiments.gemm.repeats=2", criterion])
    assert judged.returncode == 0, judged.stderr[-3000:]
    assert {k: v for k, v in files(project / "results" / "demo").items() if k.startswith("records/")} == after
    verdicts = json.loads((project / "results" / "demo" / "verdicts.json").read_text())
    assert [(v["criterion"], v["verdict"]) for v in verdicts] == [("some", "pass")]


def test_a_repeat_that_fails_in_words_is_on_the_page_and_rerun_failed_runs_it_again(project):
    # a CPU has no tf32: it cannot be run, and says so
    overrides = [*ONLY_GEMM, "criteria=[]", "~experiments.gemm.sweep", "experiments.gemm.workload.dtype=tf32"]
    first = snakemake(project, overrides)
    assert first.returncode == 0, first.stderr[-3000:]
    (row,) = repeats(project)
    assert row["outcome"] == "unsupported"
    assert row["error_message"]
    assert row["error_message"][:40] in (project / "results" / "demo" / "report.html").read_text()
    assert "Nothing to be done" in (done := snakemake(project, overrides)).stdout + done.stderr
    shown = snakemake(project, overrides, "-n", rerun="failed")
    assert re.search(r"^measure\s+1$", shown.stdout + shown.stderr, re.MULTILINE)
    (record,) = (project / "results" / "demo" / "records").glob("*/0.json")
    before = record.read_text()
    again = snakemake(project, overrides, rerun="failed")
    assert again.returncode == 0, again.stderr[-3000:]
    assert record.read_text() != before
    assert record.with_name("0.failed-1.json").read_text() == before
    assert "Nothing to be done" in (done := snakemake(project, overrides)).stdout + done.stderr


def test_a_repeat_whose_process_is_killed_leaves_a_page_that_says_so(project):
    overrides = [
        *SMALL,
        "experiments.gemm.workload.iterations=2000000000",
        "~experiments.gemm.sweep",
        "+experiments.gemm.sweep.axes={workload: {m: [2000]}}",
    ]
    log = (project / "out").open("w")
    process = subprocess.Popen(
        command(overrides, "--retries", "0"), cwd=project, stdout=log, stderr=subprocess.STDOUT
    )
    try:
        until(lambda: _measuring(project), 60)
        time.sleep(3)
        for victim in _measuring(project):
            victim.send_signal(signal.SIGKILL)
        assert process.wait(timeout=120) != 0
    finally:
        interrupt(process)
    (row,) = repeats(project)
    assert (row["outcome"], row["error_kind"]) == ("missing", "crashed")
    page = (project / "results" / "demo" / "report.html").read_text()
    assert "missing" in page
    assert "SIGKILL" in row["error_message"] or "signal 9" in row["error_message"]


def test_a_second_snakemake_on_the_same_study_is_refused_in_words(project):
    overrides = [
        *SMALL,
        "experiments.gemm.workload.iterations=2000000000",
        "~experiments.gemm.sweep",
        "+experiments.gemm.sweep.axes={workload: {m: [2000]}}",
    ]
    with (project / "out").open("w") as log:
        process = subprocess.Popen(command(overrides), cwd=project, stdout=log, stderr=subprocess.STDOUT)
        try:
            until(lambda: _measuring(project), 60)
            second = snakemake(project, overrides, timeout=60)
            assert second.returncode != 0
            assert f"process {process.pid}" in second.stderr + second.stdout
            process.send_signal(signal.SIGINT)
            process.wait(timeout=60)
            assert _measuring(project) == []
            assert [row["outcome"] for row in repeats(project)] == ["missing"]
            # the page was made all the same; the same words must still run what is missing
            again = snakemake(project, overrides, "-n")
            assert re.search(r"^measure\s+1$", again.stdout + again.stderr, re.MULTILINE)
        finally:
            interrupt(process)


@pytest.mark.parametrize(
    "words",
    [
        ["study=nonesuch"],
        ["target=3"],
        ["tarjet=local"],
        ["overrides=[a=choice(1,2)]"],
        ["rerun=all"],
        ["results=Snakefile"],
        ["results=a{b}"],
    ],
)
def test_a_mistake_ends_snakemake_with_2_one_error_and_nothing_written(words, project):
    before = files(project)
    done = subprocess.run(
        [str(BIN / "snakemake"), "--profile", "local", "--config", *words],
        cwd=project,
        capture_output=True,
        text=True,
        timeout=60,
    )
    assert done.returncode == 2
    assert "Traceback" not in done.stderr
    assert "seatrial: " in done.stderr
    assert files(project) == before


def _measuring(project):
    """The processes of `seatrial measure` that work in this project."""
    found = []
    for process in psutil.process_iter(["cmdline", "cwd"]):
        words = process.info["cmdline"] or []
        if process.info["cwd"] == str(project) and "measure" in words:
            found += [process] if any(Path(word).name == "seatrial" for word in words) else []
    return found
