"""MLPerf result logs become records: one for each log, whatever became of its run."""

from __future__ import annotations

import math
import re
from collections.abc import Mapping
from importlib import resources
from typing import Any

import pytest
import yaml
from ingest_folders import MINUTE, START, figures, record, run
from mlperf_logging.benchmark_meta import get_result_file_counts

from seatrial.config.benchmarks import BENCHMARKS
from seatrial.ingest.mlperf.records import Factor
from seatrial.ingest.mlperf.result import Evaluation
from seatrial.record import Record
from seatrial.reference.scoring import DROPPED


def rules_of(benchmark: str) -> list[tuple[str, dict[str, Any]]]:
    """The rules of eval_accuracy of a benchmark's closed division, by ruleset from 3.1 on."""
    package = resources.files("mlperf_logging.compliance_checker")
    found = []
    for place in package.iterdir():
        version = re.fullmatch(r"training_(\d+\.\d+)\.\d+", place.name)
        rules = place.joinpath(f"closed_{benchmark}.yaml")
        if version and float(version[1]) >= 3.1 and rules.is_file():
            for entry in yaml.safe_load(rules.read_text(encoding="utf-8")):
                if entry.get("KEY", {}).get("ATLEAST_ONE_CHECK"):
                    found.append((place.name, entry["KEY"]))
    return found


@pytest.mark.parametrize("benchmark", sorted(BENCHMARKS))
def test_quality_targets_are_those_of_the_official_rules_in_every_round(benchmark):
    facts = BENCHMARKS[benchmark]
    rules = rules_of(benchmark)
    assert rules, "no rule file of this benchmark"
    step = {"lower": 1e-6, "higher": -1e-6}

    def passes(rule: Mapping[str, Any], worse: int | None) -> bool:
        values = {
            t.metric: t.target + (step[t.direction] if i == worse else 0.0) for i, t in enumerate(facts.quality)
        }
        value = values if len(values) > 1 else next(iter(values.values()))
        return bool(eval(rule["ATLEAST_ONE_CHECK"], {}, {"v": {"value": value}, "s": {}}))

    for ruleset, rule in rules:
        assert passes(rule, None), ruleset
        assert not any(passes(rule, i) for i in range(len(facts.quality))), ruleset


def test_runs_of_a_result_and_what_is_dropped_are_the_official_ones():
    counts = get_result_file_counts("training")
    assert {name: facts.runs for name, facts in BENCHMARKS.items()} == {name: counts[name] for name in BENCHMARKS}
    assert {name: f.dropped for name, f in BENCHMARKS.items()} == {n: DROPPED.get(n, 1) for n in BENCHMARKS}


NEVER = (Evaluation(START + 8 * MINUTE, 2688.0, 0.930),)
REFUSED = ("opt_name is 'sgd'",)


@pytest.mark.parametrize(
    ("changes", "kind", "words"),
    [
        ({"status": "aborted", "evaluations": NEVER}, "target_not_reached", "run_stop says aborted"),
        ({"status": "aborted"}, "cancelled", "though an evaluation meets the quality target"),
        ({"evaluations": NEVER}, "target_not_reached", "no evaluation meets evaluation_loss 0.925"),
        ({"stopped_ms": None, "status": None}, "crashed", "no run_stop in the log"),
        ({"started_ms": None}, "crashed", "no run_start in the log"),
        (
            {"problems": REFUSED},
            "wrong_result",
            "MLCommons' compliance check of round v5.1 refuses the log: opt_name is 'sgd'",
        ),
        (
            {"status": "aborted", "evaluations": NEVER, "problems": REFUSED},
            "target_not_reached",
            "opt_name is 'sgd'",
        ),
        ({"status": None}, "wrong_result", "does not say whether"),
        ({"stopped_ms": START}, "wrong_result", "does not come after"),
        ({"stopped_ms": float("inf")}, "wrong_result", "does not come after"),
        ({"benchmark": "bert"}, "wrong_result", "the log is of bert"),
    ],
)
def test_a_run_that_does_not_count_is_failed_in_words_and_has_no_time(changes, kind, words):
    made = record(run(**changes))
    assert (made.outcome, made.error and made.error.kind) == ("failed", kind)
    assert made.error is not None and words in made.error.message
    assert not {"mlperf.time_to_train", "mlperf.scaled_time_to_train"} & set(figures(made))


def test_a_run_that_counts_has_mlperfs_time_and_the_scaled_one_but_none_on_seatrials_clock():
    made = record(run(energy_joules=3.6e6), Factor(1.05, "scaling.json"))
    assert made.outcome == "completed" and made.error is None
    assert figures(made) == {
        "mlperf.time_to_train": [10.0],
        "mlperf.scaling_factor": [1.05],
        "mlperf.scaled_time_to_train": [10.5],
        "mlperf.samples_to_quality": [3072.0],
        "mlperf.energy": [3.6e6],
        "mlperf.evaluation_loss": [0.930, 0.924],
        "mlperf.throughput": [5.9, 6.0],
    }
    assert (made.started_at, made.finished_at) == ("2025-10-01T00:00:00.000+00:00", "2025-10-01T00:10:00.000+00:00")


def test_without_a_factor_there_is_no_scaled_time():
    made = record(run(), Factor(None, "no reference point"))
    assert "mlperf.time_to_train" in figures(made) and "mlperf.scaled_time_to_train" not in figures(made)
    assert made.provenance["ingested"]["scaling_factor"] == {"value": None, "basis": "no reference point"}


def test_the_crossing_lies_between_the_two_evaluations_around_the_target():
    quality = record(run()).quality
    assert quality is not None and quality.before and quality.after and quality.crossing
    assert quality.before["samples"] == 2688 and quality.after["samples"] == 3072
    assert quality.before["minutes"] == pytest.approx(8) and quality.after["minutes"] == pytest.approx(9.9)
    assert quality.before["samples"] < quality.crossing["samples"] < quality.after["samples"]
    assert quality.crossing["minutes"] == pytest.approx(8 + 1.9 * math.log(0.930 / 0.925) / math.log(0.930 / 0.924))


def test_a_target_met_at_the_first_evaluation_has_no_crossing():
    quality = record(run(evaluations=(Evaluation(START + MINUTE, 384.0, 0.9),))).quality
    assert quality is not None and quality.after and quality.before is None and quality.crossing is None


def test_what_is_no_number_in_a_log_never_becomes_one_in_a_record(tmp_path):
    nan = float("nan")
    odd = run(evaluations=(Evaluation(START, nan, nan), Evaluation(START + MINUTE, nan, 0.9)), to_quality=nan)
    made = record(odd)
    assert figures(made)["mlperf.evaluation_loss"] == [0.9] and "mlperf.samples_to_quality" not in figures(made)
    assert made.provenance["ingested"]["evaluations_not_finite"] == 1
    made.write(tmp_path / "0.json")
    assert "NaN" not in (tmp_path / "0.json").read_text()
    assert Record.read(tmp_path / "0.json") == made


def test_provenance_says_what_was_stated_and_by_what_it_was_checked():
    provenance = record(run()).provenance
    ingested = provenance["ingested"]
    assert ingested["source"] == "logs handed over, not measured by Seatrial"
    assert (ingested["log"], ingested["sha256"], ingested["round"]) == (run().path, "ab" * 32, "v5.1")
    assert provenance["devices"] == [{"stated in the system description, not measured": "8 x NVIDIA B200"}]
    assert provenance["versions"]["mlperf-logging"]
    assert record(run()).seed == 4711 and record(run(seeds=())).seed is None


def test_training_is_counted_in_the_benchmarks_own_unit():
    rgat = run(benchmark="rgat", to_quality=0.85, evaluations=(Evaluation(START, 0.85, 0.73),))
    made = record(rgat, benchmark="rgat")
    assert figures(made)["mlperf.epochs_to_quality"] == [0.85]
    assert figures(made)["mlperf.evaluation_accuracy"] == [0.73]
    diffusion = run(
        benchmark="stable_diffusion", evaluations=(Evaluation(START, None, 80.0, "FID"),), to_quality=5000.0
    )
    old = record(diffusion, benchmark="stable_diffusion", round="v3.1")
    assert not any(metric.endswith("_to_quality") for metric in figures(old))
