"""Logs of real small trainings under MLCommons' own tools."""

from __future__ import annotations

import contextlib
import io
import json
import re
from pathlib import Path

import diffusion_cases
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
from seatrial.train.diffusion import run as diffusion_run

pytestmark = pytest.mark.timeout(900)  # ten trainings
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
    assert official.rcp == "Fail"
    (note,) = ours.notes
    assert note.startswith("refused by the reference convergence points: ")
    # Without a factor: refused runs are not scaled to the reference.
    assert (ours.factor, ours.factor_basis) == (1.0, "none")
    assert ours.minutes == ours.unscaled_minutes


def test_llama31_8b_shape_is_rejected_for_its_small_values_alone(tmp_path: Path) -> None:
    """All of its hyperparameters; sequences of 64 tokens instead of 8192, 32 to evaluate on instead of 1024."""
    easy_finetune.prepare(tmp_path / "base")
    benchmark = {
        "benchmark": "llama31_8b",
        "lora": None,
        "quality": {"metric": "evaluation_loss", "target": 1.5},
        "learning_rate_schedule": "cosine",
        "warmup_steps": 10,
        "max_steps": 1_200_000,
        "adam_beta_2": 0.95,
        "adam_epsilon": 1e-5,
        "weight_decay": 0.1,
        "gradient_clip_norm": 1.0,
    }
    what = case(easy_finetune.workload(tmp_path, **benchmark))
    llm_finetune.run(context(what, tmp_path, tmp_path / "base"))
    for ruleset in ("5.1.0", "6.0.0", "6.1.0"):
        assert kinds(rejections(tmp_path / "0.mllog", ruleset)) == {
            "max_sequence_length": "value",
            "eval_samples": "value",
        }


@pytest.mark.parametrize("division", ["closed", "open"])
def test_flux1_shape_is_rejected_for_its_small_values_alone(tmp_path: Path, division: str) -> None:
    """FLUX's transformer with one block of each kind, on latents of our own, evaluated every few samples."""
    folder = tmp_path / "run"
    flux = {
        "benchmark": "flux1",
        "division": division,
        "quality": {"metric": "velocity_loss", "target": 0.586},
        "evaluation_samples": 16,
        "adam_beta_2": 0.95,
        "weight_decay": 0.1,
    }
    rows = [diffusion_cases.sample(number) for number in range(64)]
    held_out = [diffusion_cases.sample(100 + number, timestep=number % 8) for number in range(16)]
    train = diffusion_cases.write_latents(tmp_path / "train", rows)
    evaluation = diffusion_cases.write_latents(tmp_path / "evaluation", held_out)
    what = case(diffusion_cases.captioned(train, evaluation, **flux))
    diffusion_run.run(diffusion_cases.context(what, folder))
    closed_only = {"evaluation_frequency": "value"}
    for ruleset in ("5.1.0", "6.0.0", "6.1.0"):
        found = kinds(rejections(folder / "0.mllog", ruleset))
        assert found == (closed_only if division == "closed" else {}), ruleset


def kinds(messages: list[str]) -> dict[str, str]:
    """What the checker has against each key: its `value`, or that it is `missing` or comes too often."""
    found = {}
    for message in messages:
        if match := re.search(r"Required (\w+) occurrence of '(\w+)'", message):
            found[match[2]] = "missing"
        elif match := re.search(r"Failed checks for (\w+)", message) or re.search(
            r"CHECK for '(\w+)' failed", message
        ):
            found[match[1]] = "value"
        else:
            found[message] = "unknown"
    return found
