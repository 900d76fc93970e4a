"""A training is held against a published benchmark only where it is the same work."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pandas as pd
import pytest
import yaml

from seatrial.analysis.analyse import analyse
from seatrial.analysis.collect import collect
from seatrial.config.training import External, LlmFinetune, QualityTarget
from seatrial.plan import make_plan
from seatrial.record import measurement
from seatrial.reference.conditions import LLAMA2_70B_LORA, LLAMA31_8B, unlike

CONF = Path(__file__).parents[2] / "conf"


def demo(*words):
    plan = make_plan(["study=demo", *words, "max_accelerator_hours=null", "max_node_hours=null"], CONF)
    return next(case.workload for case in plan.cases if case.experiment == "finetune")


def stated(name: str) -> dict[str, Any]:
    return yaml.safe_load((CONF / "workload" / f"{name}.yaml").read_text())


def changed(name: str, **keys: Any) -> LlmFinetune:
    """The workload of conf with other values; `lora__rank` means lora.rank."""
    content = stated(name)
    for key, value in keys.items():
        part = content
        *outer, last = key.split("__")
        for word in outer:
            part = part[word]
        part[last] = value
    return LlmFinetune.model_validate(content)


def test_the_stated_benchmark_is_the_same_work_on_eight_ranks():
    assert unlike(changed("llama2_70b_lora"), 8) == []
    assert (
        unlike(changed("llama2_70b_lora", gradient_accumulation=2, parallelism__tp=2, parallelism__fsdp=4), 8) == []
    )


@pytest.mark.parametrize(
    ("keys", "words"),
    [
        (
            {"model__name": "meta-llama/Llama-2-70b-chat-hf"},
            "model meta-llama/Llama-2-70b-chat-hf, not Llama 2 70B",
        ),
        ({"model__name": "/scratch/Llama-2-70b-hf"}, "model /scratch/Llama-2-70b-hf, not Llama 2 70B"),
        ({"model__name": "somebody/Llama-2-70b-hf"}, "model somebody/Llama-2-70b-hf, not Llama 2 70B"),
        ({"checkpoint_interval_steps": 10}, "a checkpoint every 10 steps, not none"),
        ({"profile_steps": 5}, "5 steps are profiled, not none"),
        ({"model__gguf_file": "q4.gguf"}, "dequantised from q4.gguf"),
        ({"dataset__name": "tau/scrolls"}, "data from hub tau/scrolls"),
        ({"dataset__revision": None}, "no stated revision"),
        ({"dataset__packed": False}, "packed by Seatrial"),
        ({"dataset__train_sequences": 100}, "not shown to be GovReport packed to 8192"),
        ({"quality__target": 0.93}, "quality target 0.93, not 0.925"),
        ({"sequence_length": 4096}, "sequence length 4096, not 8192"),
        ({"lora__rank": 8}, "LoRA rank 8, not 16"),
        ({"lora__alpha": 16}, "LoRA alpha 16, not 32"),
        ({"lora__dropout": 0.0}, "LoRA dropout 0, not 0.1"),
        ({"lora__target_modules": ["q_proj", "v_proj"]}, "LoRA target modules q_proj, v_proj, not "),
        ({"lora": None}, "LoRA rank none, not 16"),
        ({"gradient_clip_norm": 1.0}, "gradient clip norm 1, not 0.3"),
        ({"weight_decay": 0.0}, "weight decay 0, not 0.0001"),
        ({"adam_beta_2": 0.95}, "adam beta 2 0.95, not 0.999"),
        ({"adam_epsilon": 1e-5}, "adam epsilon 1e-05, not 1e-08"),
        ({"learning_rate_schedule": "constant"}, "learning rate schedule constant, not cosine"),
        ({"evaluation_sequences": 100}, "evaluation sequences 100, not 173"),
        ({"evaluation_interval_steps": 96}, "an evaluation every 96 steps of 8 sequences, not every 48"),
        ({"evaluation_start_step": 0}, "evaluations from step 0 on, not from step 144"),
    ],
    ids=str,
)
def test_every_departure_from_the_benchmark_is_named_and_nothing_else(keys, words):
    found = unlike(changed("llama2_70b_lora", **keys), 8)
    assert any(words in difference for difference in found), found
    assert len(found) == (4 if keys == {"lora": None} else 1)


def test_batch_and_ranks_decide_the_cadence_and_have_a_limit():
    sixteen = {"gradient_accumulation": 2, "evaluation_interval_steps": 24, "evaluation_start_step": 96}
    assert unlike(changed("llama2_70b_lora", **sixteen), 8) == []
    assert unlike(changed("llama2_70b_lora", **sixteen), 16) == [
        "an evaluation every 24 steps of 32 sequences, not every 12 (384 sequences)",
        "evaluations from step 96 on, not from step 72",
    ]
    (too_large,) = unlike(changed("llama2_70b_lora", evaluation_interval_steps=2, evaluation_start_step=68), 256)[
        :1
    ]
    assert too_large == "global batch 256, above 128: no reference convergence points"


def test_what_may_be_chosen_freely_is_no_departure():
    free = {"learning_rate": 5e-4, "warmup_steps": 10, "max_steps": 800, "activation_checkpointing": False}
    free |= {"dtype": "float32"}
    assert unlike(changed("llama2_70b_lora", **free), 8) == []


def test_a_run_that_goes_on_for_a_further_quality_is_not_the_benchmarks():
    further = {"metric": "retrieval_accuracy", "target": 0.9, "direction": "higher"}
    both = changed("llama2_70b_lora").model_copy(update={"also": [QualityTarget.model_validate(further)]})
    assert unlike(both, 8) == ["it goes on until retrieval_accuracy is met too, not only the benchmark's quality"]


LOADED = dict(LLAMA2_70B_LORA.loaded) | {"architecture": "LlamaForCausalLM", "revision": "abc"}


@pytest.mark.parametrize(
    ("facts", "words"),
    [
        (LOADED, None),
        (None, "its record does not say which model was loaded"),
        (LOADED | {"origin": "folder"}, "the model loaded has origin folder, not hub"),
        (LOADED | {"layers": 2, "parameters": 2_235_564_032}, "the model loaded has layers 2, not 80"),
    ],
    ids=["as it is", "not recorded", "folder", "two layers"],
)
def test_what_was_really_loaded_decides_and_not_its_name_alone(make_study, facts, words):
    from study_on_disk import B200

    study = make_study(target=B200)
    (case,) = study.experiment("finetune", stated("llama2_70b_lora"), 1)
    told = {"hosts": ["n1"]} | ({} if facts is None else {"model": facts})
    study.record(case, 0, measurement("train.mlperf_minutes", [12.0]), provenance=told)
    row = pd.read_csv(study.analyse().comparison).iloc[0]
    assert (row["basis"] == "undefined") == (words is not None)
    assert words is None or f"not the same work as llama2_70b_lora: {words}" in row["note"]


def test_the_stated_sizes_are_those_of_the_shape():
    """Embedding, head and last norm; query and output, key and value, the feed-forward's three, two norms."""
    hidden, narrow, inner = 8192, 1024, 28672
    layer = 2 * hidden * hidden + 2 * hidden * narrow + 3 * hidden * inner + 2 * hidden
    assert LLAMA2_70B_LORA.loaded["parameters"] == 80 * layer + 2 * 32_000 * hidden + hidden
    hidden, narrow, inner = 4096, 1024, 14336
    layer = 2 * hidden * hidden + 2 * hidden * narrow + 3 * hidden * inner + 2 * hidden
    assert LLAMA31_8B.loaded["parameters"] == 32 * layer + 2 * 128_256 * hidden + hidden


def test_llama31_8b_says_what_keeps_it_from_being_the_same_work():
    found = unlike(changed("llama31_8b"), 8)
    assert len(found) == 1
    assert "not shown to be MLPerf's preprocessed C4" in found[0]
    to_zero = unlike(changed("llama31_8b", learning_rate_end=0.0), 8)
    assert to_zero[1:] == ["learning rate at the end 0 of the highest, not 0.1"]
    assert "adam beta 2 0.9, not 0.95" in unlike(changed("llama31_8b", adam_beta_2=0.9), 8)


def test_of_somebody_elses_command_and_of_other_kinds_it_cannot_be_said():
    command = External.model_validate(
        {"kind": "external", "command": ["train"], "format": "mllog", "benchmark": "llama2_70b_lora"}
    )
    assert "cannot be known" in unlike(command, 8)[0]
    workload = demo().model_copy(update={"benchmark": "llama2_70b_lora"})
    assert unlike(workload, 1) != []


def test_a_laptops_model_that_names_the_benchmark_is_told_what_differs():
    claimed = demo("experiments.finetune.workload.benchmark=llama2_70b_lora")
    told = "; ".join(unlike(claimed, 1))
    for word in ("model pydoc_llama", "quality target 3.35, not 0.925", "sequence length 128", "data from stdlib"):
        assert word in told


def test_of_a_benchmark_whose_conditions_are_not_known_nothing_is_the_same_work():
    assert unlike(demo("experiments.finetune.workload.benchmark=flux1"), 1) == [
        "its conditions are not known to Seatrial"
    ]
    assert unlike(demo(), 1) == ["it names no benchmark"]


def test_a_claimed_benchmark_makes_no_reference_and_never_passes(make_study):
    study = make_study()
    claimed = demo("experiments.finetune.workload.benchmark=llama2_70b_lora")
    study.experiment("finetune", claimed.model_dump(mode="json"), 1)
    study.write()
    collect(study.paths)
    analyse(study.paths)
    row = pd.read_csv(study.paths.comparison).iloc[0]
    assert (row["basis"], row["standing"]) == ("undefined", "undefined")
    assert "not the same work as llama2_70b_lora" in row["note"]


@pytest.mark.usefixtures("same_work")
@pytest.mark.parametrize("on_mlperfs_clock", [True, False])
def test_it_is_mlperfs_clock_that_is_compared(make_study, on_mlperfs_clock):
    """Ten minutes of training and twelve with evaluations: the published minutes have evaluations in them."""
    from study_on_disk import B200, FINETUNE

    study = make_study(target=B200)
    (case,) = study.experiment("finetune", FINETUNE | {"benchmark": "llama2_70b_lora"}, 1)
    clock = [measurement("train.mlperf_minutes", [12.0])] if on_mlperfs_clock else []
    study.record(case, 0, measurement("train.time_to_quality", [10.0]), *clock)
    row = pd.read_csv(study.analyse().comparison).iloc[0]
    if on_mlperfs_clock:
        assert row["measured_minutes"] == 12.0
    else:
        assert row["basis"] == "undefined"
        assert "from run_start to run_stop, which published results are, was not recorded" in row["note"]


@pytest.mark.usefixtures("same_work")
def test_a_resumed_repeat_leaves_nothing_to_compare(make_study):
    """The minutes between run_start and run_stop then hold the wait for a node too."""
    from study_on_disk import B200, FINETUNE

    study = make_study(target=B200)
    (case,) = study.experiment("finetune", FINETUNE | {"benchmark": "llama2_70b_lora"}, 2)
    for repeat, resumed in ((0, 0), (1, 2)):
        study.record(case, repeat, measurement("train.mlperf_minutes", [12.0]), resumed=resumed)
    row = pd.read_csv(study.analyse().comparison).iloc[0]
    assert (row["basis"], row["standing"]) == ("undefined", "undefined")
    assert "repeat 1 resumed 2 times: MLPerf's clock ran on while the training did not" in row["note"]
