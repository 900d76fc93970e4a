"""Which metrics a case should hold: one that it cannot have is refused by the plan, an absent one is incomplete."""

from __future__ import annotations

import json
from typing import Any

import pytest
from study_on_disk import FINETUNE, GEMM, LAPTOP
from trainings_on_disk import ALL, DIFFUSION, EXTERNAL, GOAL, H100S, HYBRID, MOE, TWO_RANKS

from seatrial.analysis.expected import measures
from seatrial.case import Case
from seatrial.config.metrics import METRICS


def case_of(workload: dict[str, Any], target: dict[str, Any] = LAPTOP) -> Case:
    content = {"case_id": "x", "study": "s", "experiment": "e", "repeats": 1, "base_seed": 1, "axes": {}}
    return Case.model_validate({**content, "workload": workload, "target": target})


def expected(workload: dict[str, Any], target: dict[str, Any] = LAPTOP) -> set[str]:
    return {metric for metric in METRICS if measures(case_of(workload, target), metric)}


@pytest.mark.parametrize("name", [name for name in ALL if name != "command"])
def test_every_training_measures_its_quality_time_and_step_time(name):
    found = expected(ALL[name])
    assert f"train.{ALL[name]['quality']['metric']}" in found
    assert {"train.time_to_quality", "train.samples_to_evaluation", "train.productive_fraction"} <= found
    assert {"train.data_wait_time", "train.rank_time", "telemetry.utilisation"} <= found
    assert not any(metric.startswith(("gemm.", "mlperf.")) for metric in found)


def test_what_has_no_tokens_measures_samples_per_second():
    assert "train.sample_throughput" in expected(DIFFUSION)
    assert not {"train.throughput", "train.tokens_trained"} & expected(DIFFUSION)
    assert "train.throughput" in expected(FINETUNE)
    assert "train.sample_throughput" not in expected(FINETUNE)


def test_a_quality_that_is_not_asked_for_is_not_expected():
    assert "train.frechet_distance" not in expected(MOE)
    assert {"train.retrieval_accuracy", "train.evaluation_loss"} <= expected(HYBRID)
    assert "diffusion.frechet_floor" in expected(DIFFUSION)
    assert "diffusion.frechet_floor" not in expected(MOE)


def test_routing_is_a_mixtures_and_all_to_all_that_of_shared_experts():
    assert "train.expert_imbalance" in expected(MOE)
    assert "train.expert_imbalance" not in expected(FINETUNE)
    shared = expected(MOE | {"parallelism": {"ep": 2}}, TWO_RANKS)
    assert {"train.all_to_all_share", "train.rank_imbalance"} <= shared - expected(MOE)
    assert expected(MOE | {"capacity_factor": 1.0}) - expected(MOE) == {"train.tokens_dropped"}


def test_checkpoints_peaks_profiles_and_telemetry_depend_on_what_is_declared():
    assert "train.checkpoint_stall_time" in expected(DIFFUSION)
    assert "train.checkpoint_stall_time" not in expected(MOE)
    assert not {"train.mfu", "train.profiled_communication_time", "telemetry.sm_clock"} & expected(MOE)
    assert {"train.mfu", "telemetry.sm_clock"} <= expected(MOE, H100S)
    assert "train.profiled_communication_time" not in expected(MOE, H100S)
    assert "train.profiled_communication_time" in expected(MOE | {"profile_steps": 5}, H100S)
    quiet = expected(MOE | {"telemetry_interval_seconds": None}, H100S)
    assert not any(metric.startswith("telemetry.") for metric in quiet)


def test_a_command_measures_what_its_log_can_say():
    assert expected(EXTERNAL) == {
        "train.throughput", "train.training_loss", "train.evaluation_loss",
        "external.tflops", "external.mfu", "external.memory", "external.grad_norm",
        "telemetry.energy", "telemetry.power", "telemetry.utilisation",
    }  # fmt: skip
    with_quality = expected(EXTERNAL | {"quality": GOAL})
    assert with_quality - expected(EXTERNAL) == {"train.time_to_quality", "train.time_to_evaluation"}
    mllog = expected(EXTERNAL | {"format": "mllog", "quality": GOAL})
    assert {"mlperf.time_to_train", "mlperf.evaluation_loss", "train.samples_to_quality"} <= mllog
    assert "mlperf.evaluation_accuracy" not in mllog


def test_probes_keep_their_own():
    assert expected(GEMM) == {"gemm.throughput"}


def test_a_criterion_on_a_sensor_that_did_not_answer_is_incomplete(make_study):
    study = make_study()
    (case,) = study.experiment("finetune", FINETUNE, 1)
    study.trained(case, [1.0])
    study.criterion("power", "telemetry.power", at_most=500)
    study.criterion("quick", "train.time_to_quality", at_most=2)
    found = {v["criterion"]: v["verdict"] for v in json.loads(study.analyse().verdicts.read_text())}
    assert found["power"] == "incomplete"
