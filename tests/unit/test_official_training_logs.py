"""Logs of real small trainings under MLCommons' own tools."""

from __future__ import annotations

import contextlib
import io
import json
from pathlib import Path

import easy_finetune
import pytest
from mlperf_folders import system_description
from mlperf_logging.compliance_checker import mlp_compliance
from official_summarizer import official_scores
from train_cases import case, context

from seatrial.analysis.statistics import olympic_mean
from seatrial.ingest.mlperf.read import read_results
from seatrial.mllog import LogLine, read_lines
from seatrial.reference.scoring import score
from seatrial.train import llm_finetune

RUNS = 10


@pytest.fixture(scope="module")
def logs(tmp_path_factory: pytest.TempPathFactory) -> list[Path]:
    """The logs of as many runs as a result has, each with a seed of its own."""
    folder = tmp_path_factory.mktemp("easy")
    easy_finetune.prepare(folder / "base")
    what = case(easy_finetune.workload(folder))
    found = []
    for seed in range(1, RUNS + 1):
        ctx = context(what, folder / str(seed), folder / "base", seed=seed)
        llm_finetune.run(ctx)
        assert ctx.quality is not None and ctx.quality.after is not None
        assert 0 < ctx.quality.after["value"] <= 0.925
        found.append(folder / str(seed) / "0.mllog")
    return found


def rejections(log: Path, ruleset: str) -> list[str]:
    """What the official compliance checker has against a log, in its words."""
    mlp_compliance.enqueued_configs.clear()
    checker = mlp_compliance.make_checker(usage="training", ruleset=ruleset, quiet=False, werror=False)
    with contextlib.redirect_stdout(io.StringIO()):
        valid = mlp_compliance.main(str(log), f"training_{ruleset}/common.yaml", checker)[0]
    found = [*checker.not_overwritable, *checker.overwritable.values()]
    assert bool(valid) == (not found)
    return [str(message) for message in [*found, *checker.warnings.values()]]


@pytest.mark.parametrize("ruleset", ["5.1.0", "6.0.0", "6.1.0"])
def test_finetuning_that_reaches_the_target_passes_the_official_checks(logs: list[Path], ruleset: str) -> None:
    assert [rejections(log, ruleset) for log in logs] == [[]] * RUNS


def test_official_check_sees_a_target_that_was_not_reached(logs: list[Path], tmp_path: Path) -> None:
    """The check above can fail."""
    lines = logs[0].read_text().splitlines(keepends=True)
    worse = [line for line in lines if '"eval_accuracy"' not in line or line == first_evaluation(lines)]
    (tmp_path / "worse.mllog").write_text("".join(worse))
    assert any("0.925" in words for words in rejections(tmp_path / "worse.mllog", "5.1.0"))


def first_evaluation(lines: list[str]) -> str:
    return next(line for line in lines if '"eval_accuracy"' in line)


def submission(logs: list[Path], folder: Path) -> Path:
    """The logs as a submitter would hand them in."""
    submitter = folder / "Tester"
    (submitter / "systems").mkdir(parents=True)
    facts = system_description("Tester", "one CPU core")
    (submitter / "systems" / "core.json").write_text(json.dumps(facts))
    results = submitter / "results" / "core" / "llama2_70b_lora"
    results.mkdir(parents=True)
    for number, log in enumerate(logs):
        (results / f"result_{number}.txt").write_bytes(log.read_bytes())
    return submitter


def test_official_summarizer_and_we_compute_the_same_olympic_mean(logs: list[Path], tmp_path: Path) -> None:
    submitter = submission(logs, tmp_path)
    (official,) = official_scores(submitter, "v5.1")
    (ours,) = [score(folder) for folder in read_results(submitter, "v5.1").folders]
    minutes = []
    for log in logs:
        times = {line.key: line.time_ms for line in read_lines(log) if isinstance(line, LogLine)}
        minutes.append((times["run_stop"] - times["run_start"]) / 60_000)
    assert official.score is not None
    assert official.score == pytest.approx(olympic_mean(minutes), rel=1e-6)
    assert ours.unscaled_minutes == pytest.approx(olympic_mean(minutes), rel=1e-6)
    assert official.global_batch_size == 8
    # Far fewer samples than the reference needs: easy data is not the benchmark, and both say so.
    assert official.rcp is not None and "ail" in official.rcp
    assert ours.minutes is None or ours.factor == 1.0
