"""The command line: what it prints, and its exit codes."""

import json
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]


def seatrial(*words, cwd=ROOT):
    return subprocess.run(
        [sys.executable, "-m", "seatrial.cli", *map(str, words)],
        cwd=cwd,
        capture_output=True,
        text=True,
        timeout=60,
    )


def test_plan_prints_cases_repeats_hours_and_cost_and_writes_nothing(tmp_path):
    done = seatrial("plan", "study=demo", "target=dgx_h100", "--conf", ROOT / "conf", cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    assert "accelerator-hours" in done.stdout
    assert "cost: at most" in done.stdout
    assert "USD" in done.stdout
    assert list(tmp_path.iterdir()) == []


def test_a_price_older_than_a_year_prints_its_age():
    price = "+economics.accelerator_hour={low: 2, as_of: '2020-01', source: quote}"
    done = seatrial("plan", "study=demo", "target=dgx_h100", price)
    assert "price of 2020-01, 6." in done.stdout
    assert "years old" in done.stdout


@pytest.mark.parametrize(
    "words",
    [["study=nonesuch"], ["target.nodes=0"], ["a=choice(1"], ["max_accelerator_hours=0.001", "target=dgx_h100"]],
)
def test_a_mistake_is_one_error_without_traceback_exit_code_2_nothing_written(words, tmp_path):
    done = seatrial("plan", *words, "--conf", ROOT / "conf", "--write", tmp_path / "out")
    assert done.returncode == 2
    assert "Traceback" not in done.stderr
    assert done.stderr.startswith("seatrial plan: ")
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize(
    ("word", "key", "near"),
    [
        ("references.subjects.0.system=hpg.dgxb200x8.n11", "references.subjects.0.system", "hpg.dgxb200x8.n1"),
        ("references.subjects.0.submitter=Universty-of-Florida", "references.subjects.0.submitter", "University"),
        ("experiments.finetune.workload.benchmark=llama2_70b_lorra", "workload.benchmark", "llama2_70b_lora"),
    ],
)
def test_a_reference_that_the_published_results_do_not_have_is_found_before_anything_runs(word, key, near):
    done = seatrial("plan", "study=demo", word)
    assert done.returncode == 2
    assert "command line" in done.stderr
    assert key in done.stderr
    assert near in done.stderr


@pytest.mark.parametrize(
    ("words", "key"),
    [
        (["criteria.0.where.experiment=finetun"], "criteria.0.where.experiment"),
        (["+criteria.0.where.expriment=finetune"], "criteria.0.where.expriment"),
        (["~experiments.finetune"], "criteria.0.metric"),
        (["references.round=v9.9"], "references.round"),
        (["~experiments.all_reduce.sweep"], "target.tasks_per_node"),
        (
            ["experiments.finetune.workload.dataset.modules=[aaaa,bbbb]"],
            "experiments.finetune.workload.dataset.modules",
        ),
        (
            ["experiments.finetune.workload.evaluation_sequences=1", "target.tasks_per_node=2"],
            "evaluation_sequences",
        ),
        (
            [
                "workload@experiments.finetune.workload=llm_finetune_pretrained",
                "experiments.finetune.workload.model.name=/no/such/model",
                "experiments.finetune.workload.quality.target=1",
                "experiments.finetune.workload.dataset.train=[/no/such.txt]",
                "experiments.finetune.workload.dataset.evaluation=[/no/other.txt]",
            ],
            "experiments.finetune.workload.model.name",
        ),
    ],
)
def test_what_no_run_can_mend_is_refused_while_planning(words, key):
    done = seatrial("plan", "study=demo", "target=local", *words)
    assert done.returncode == 2, done.stdout
    assert key in done.stderr
    assert "allowed" in done.stderr


def test_a_repeat_below_zero_and_a_training_without_its_model_are_refused_before_they_run(tmp_path):
    assert seatrial("plan", "study=demo", "--write", tmp_path).returncode == 0
    cases = {json.loads(p.read_text())["experiment"]: p for p in (tmp_path / "cases").glob("*.json")}
    record = tmp_path / "0.json"
    negative = seatrial("measure", cases["gemm"], "--repeat", "-1", "--output", record)
    lacking = seatrial("measure", cases["finetune"], "--output", record)
    nowhere = seatrial("measure", cases["gemm"], "--output", "/dev/null/x.json")
    for done in (negative, lacking, nowhere):
        assert done.returncode == 2, done.stderr
        assert "Traceback" not in done.stderr
    assert not record.exists()


def test_a_missing_folder_is_a_mistake_not_a_fault(tmp_path):
    for command in ("collect", "analyse", "report", "status", "verdict"):
        done = seatrial(command, tmp_path / "nothing")
        assert done.returncode == 2, (command, done.stderr)
        assert "Traceback" not in done.stderr
    assert list(tmp_path.iterdir()) == []


def test_usage_mistakes_end_with_2():
    assert seatrial("no-such-command").returncode == 2
    assert seatrial().returncode == 2
