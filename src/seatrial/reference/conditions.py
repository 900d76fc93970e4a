"""What a training must be to be the same work as a published benchmark.

Sources: MLCommons training_policies, training_rules.adoc (closed division: model, data, optimiser, evaluation and
the hyperparameters that it lists are the reference's; others are free), the benchmark's reference in
github.com/mlcommons/training, and mlperf-logging's compliance checker and reference convergence points.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from seatrial.config.ingested import MlperfLogs
from seatrial.config.training import (
    AnyModel,
    ConfiguredModel,
    External,
    HubDataset,
    LlmFinetune,
    PretrainedModel,
    Training,
)
from seatrial.reference.names import canonical_benchmark


@dataclass(frozen=True)
class Conditions:
    """What of a benchmark its result depends on."""

    model: str
    """In words."""
    is_model: Callable[[AnyModel], bool]
    loaded: Mapping[str, Any]
    """What a record says of the model that was really loaded (`facts` of train.causal_lm)."""
    dataset: str
    """In words."""
    is_dataset: Callable[[Any], bool]
    fixed: Mapping[str, Any]
    """The value that a key of the workload must have (`lora.rank`)."""
    evaluation_samples: int
    """An evaluation after so many training samples, rounded up to whole steps."""
    skipped: Callable[[int], int]
    """How many evaluations are left out at first, by global batch."""
    largest_batch: int
    """The largest global batch with reference convergence points: above it there is nothing to check against, and
    mlperf-logging's rcp_checker refuses a result. Below the smallest it compares with the smallest."""
    rate_at_end: float = 0.0
    """Where the learning rate ends, as a share of its highest."""


def _is_llama2_70b(model: AnyModel) -> bool:
    """The base model as Hugging Face has it, or the reference's copy; dequantised weights are others.

    By its whole name on the hub: of a folder nothing shows whose weights are in it.
    """
    # the second: submitters' download_model.py (training_results_v5.1, llama2_70b_lora, scripts)
    names = {"meta-llama/Llama-2-70b-hf", "regisss/llama2-70b-fused-qkv-mlperf"}
    return isinstance(model, PretrainedModel) and model.gguf_file is None and model.name in names


def _is_govreport(dataset: Any) -> bool:
    # The revision that submitters fetch (training_results_v5.1, llama2_70b_lora, scripts/download_dataset.py); its
    # splits have 3901 and 173 rows.
    revision = "21ff1233ee3e87bc780ab719c755170148aba1cb"
    return (
        isinstance(dataset, HubDataset)
        and (dataset.source, dataset.name) == ("hub", "regisss/scrolls_gov_report_preprocessed_mlperf_2")
        and dataset.packed
        and dataset.revision == revision
        and (dataset.split, dataset.evaluation_split, dataset.train_sequences) == ("train", "validation", None)
    )


def _is_llama31_8b(model: AnyModel) -> bool:
    names = {"meta-llama/Llama-3.1-8B", "meta-llama/Meta-Llama-3.1-8B"}
    return isinstance(model, ConfiguredModel) and model.name in names


LLAMA2_70B_LORA = Conditions(
    model="Llama 2 70B (meta-llama/Llama-2-70b-hf)",
    is_model=_is_llama2_70b,
    # its config.json; parameters: 80 layers of 855 654 400, embedding and head of 32000 x 8192, the last norm
    loaded={
        "origin": "hub",
        "layers": 80,
        "hidden_size": 8192,
        "attention_heads": 64,
        "vocabulary": 32_000,
        "parameters": 68_976_648_192,
    },
    dataset="GovReport packed to 8192 (regisss/scrolls_gov_report_preprocessed_mlperf_2 at 21ff1233)",
    is_dataset=_is_govreport,
    fixed={
        # README of the reference, quality metric and target; closed_llama2_70b_lora.yaml of the checker
        "quality.metric": "evaluation_loss",
        "quality.target": 0.925,
        # run_llama_70B_scrolls_r16.sh of the reference: --max_seq_len, --lora_r, --lora_alpha, --lora_dropout
        "sequence_length": 8192,
        "lora.rank": 16,
        "lora.alpha": 32.0,
        "lora.dropout": 0.1,
        # --lora_target_modules qkv_proj,o_proj: the same layers where query, key and value are not fused
        "lora.target_modules": ({"q_proj", "k_proj", "v_proj", "o_proj"}, {"qkv_proj", "o_proj"}),
        # ibidem: --max_grad_norm, --weight_decay, --lr_scheduler_type; training_rules.adoc fixes the first two
        "gradient_clip_norm": 0.3,
        "weight_decay": 0.0001,
        "learning_rate_schedule": "cosine",
        # scripts/train.py: adamw_torch with the library's defaults
        "adam_beta_1": 0.9,
        "adam_beta_2": 0.999,
        "adam_epsilon": 1e-8,
        # submitters' README, "Evaluation thoroughness"; all rows of the validation split
        "evaluation_sequences": 173,
        # Not here, because the closed division leaves it free: the base learning rate, the steps of warm-up and
        # of the whole schedule (closed_llama2_70b_lora.yaml wants rate and steps logged and checks no value;
        # published closed results have schedules of 600, 800 and 1024 steps and warm-ups of 0 and 0.01), and the
        # dtype (training_rules.adoc, "Numerical formats": fp32 and bfloat16 are pre-approved).
    },
    # submitters' README, "Evaluation frequency": every 384 sequences, CEIL(384 / batch) steps, skipping the first
    # FLOOR(0.125 x batch + 2) evaluations; eval_steps and eval_delay of scripts/train.py
    evaluation_samples=384,
    skipped=lambda batch: math.floor(0.125 * batch + 2),
    # rcp_checker/training_5.1.0/rcps_llama2_70b_lora.json: batches 8, 16, 32, 128
    largest_batch=128,
)

LLAMA31_8B = Conditions(
    model="Llama 3.1 8B from random weights",
    is_model=_is_llama31_8b,
    # its config.json; parameters: 32 layers of 218 112 000, embedding and head of 128256 x 4096, the last norm
    loaded={
        "origin": "hub",
        "layers": 32,
        "hidden_size": 4096,
        "attention_heads": 32,
        "vocabulary": 128_256,
        "parameters": 8_030_261_248,
    },
    dataset="MLPerf's preprocessed C4",
    # Its documents follow each other without an end-of-text token; Seatrial's packing sets one.
    is_dataset=lambda dataset: False,
    fixed={
        # compliance_checker/training_5.1.0/closed_llama31_8b.yaml checks all of these but the schedule's end
        "quality.metric": "evaluation_loss",
        "quality.target": 3.3,
        "sequence_length": 8192,
        "lora": None,
        "learning_rate_schedule": "cosine",
        "max_steps": 1_200_000,
        "adam_beta_1": 0.9,
        "adam_beta_2": 0.95,
        "adam_epsilon": 1e-5,
        "weight_decay": 0.1,
        "gradient_clip_norm": 1.0,
        "evaluation_sequences": 1024,
        # Free: base learning rate and steps of warm-up (checked for nothing but being there), dtype (as above).
    },
    # small_llm_pretraining/nemo/README.md, "Evaluation frequency"
    evaluation_samples=12288,
    skipped=lambda batch: 0,
    # rcp_checker/training_5.1.0/rcps_llama31_8b.json: batches 16, 32, 64, 96, 128
    largest_batch=128,
    # pretrain_llama31.py of the reference: min_lr = max_lr * 0.1
    rate_at_end=0.1,
)

CONDITIONS = {"llama2_70b_lora": LLAMA2_70B_LORA, "llama31_8b": LLAMA31_8B}
"""By benchmark; of one that is not here Seatrial cannot say that a training is the same work."""


def unlike(workload: Training | External | MlperfLogs, ranks: int) -> list[str]:
    """In what the training on `ranks` ranks differs from the benchmark that it names, in words; empty: in nothing.

    Text from files, folders or Python's library cannot be shown to be the benchmark's data. Logs of the closed
    division are the same work: only those that pass its compliance check become completed records. Of somebody
    else's command it cannot be known.
    """
    if isinstance(workload, MlperfLogs):
        if workload.division == "closed":
            return []
        return [f"{workload.division} division: its model, data and hyperparameters are free"]
    if workload.benchmark is None:
        return ["it names no benchmark"]
    if isinstance(workload, External):
        return ["model, data, batch, optimiser and clock of somebody else's command cannot be known from its log"]
    wanted = CONDITIONS.get(canonical_benchmark(workload.benchmark))
    if wanted is None:
        return ["its conditions are not known to Seatrial"]
    if not isinstance(workload, LlmFinetune):
        return [f"a training of kind {workload.kind}, not llm_finetune"]
    return [
        *_of_model_and_data(workload, wanted),
        *_of_values(workload, wanted),
        *_of_batch(workload, wanted, ranks),
        *_of_time(workload),
    ]


def loaded_otherwise(workload: Training | External | MlperfLogs, facts: Mapping[str, Any] | None) -> list[str]:
    """In what the model that a run really loaded differs from that of its benchmark, in words.

    `facts` is what its record says of it. A name can stand for a folder of that name, or for other weights.
    """
    wanted = CONDITIONS.get(canonical_benchmark(workload.benchmark or ""))
    if wanted is None or not isinstance(workload, LlmFinetune):
        return []
    if facts is None:
        return [f"its record does not say which model was loaded, so not that it was {wanted.model}"]
    return [
        f"the model loaded has {key.replace('_', ' ')} {_stated(facts.get(key))}, not {_stated(value)}"
        for key, value in wanted.loaded.items()
        if facts.get(key) != value
    ]


def _of_model_and_data(workload: LlmFinetune, wanted: Conditions) -> list[str]:
    found = []
    if not wanted.is_model(workload.model):
        model = workload.model
        name = model.name or "of a stated architecture"
        where = {"pretrained": "", "config": " from random weights"}.get(model.source, f" ({model.source})")
        if isinstance(model, PretrainedModel) and model.gguf_file is not None:
            where = f" dequantised from {model.gguf_file}"
        found.append(f"model {name}{where}, not {wanted.model}")
    if not wanted.is_dataset(workload.dataset):
        dataset = workload.dataset
        what: str = dataset.source
        if isinstance(dataset, HubDataset):
            revision = f"revision {dataset.revision}" if dataset.revision else "no stated revision"
            packed = "packed rows" if dataset.packed else "packed by Seatrial"
            what += f" {dataset.name} ({revision}, {dataset.split} and {dataset.evaluation_split}, {packed})"
        found.append(f"data from {what}, not shown to be {wanted.dataset}")
    return found


def _of_values(workload: LlmFinetune, wanted: Conditions) -> list[str]:
    found = []
    for key, value in wanted.fixed.items():
        ours: Any = workload
        for part in key.split("."):
            ours = getattr(ours, part, None)
        name = key.replace(".", " ").replace("_", " ").replace("lora", "LoRA")
        if isinstance(value, tuple):
            if ours is None or set(ours) not in value:
                stated = "none" if ours is None else ", ".join(ours)
                found.append(f"{name} {stated}, not {' or '.join(', '.join(sorted(v)) for v in value)}")
        elif ours != value:
            found.append(f"{name} {_stated(ours)}, not {_stated(value)}")
    if not math.isclose(workload.learning_rate_end, wanted.rate_at_end * workload.learning_rate):
        share = workload.learning_rate_end / workload.learning_rate
        found.append(f"learning rate at the end {share:g} of the highest, not {wanted.rate_at_end:g}")
    return found


def _stated(value: Any) -> str:
    if isinstance(value, float):
        return f"{value:g}"
    return "none" if value is None else str(value) if isinstance(value, str | int) else "adapters"


def _of_time(workload: LlmFinetune) -> list[str]:
    """What MLPerf's clock would count although the benchmark has none of it."""
    found = []
    if workload.also:
        further = ", ".join(quality.metric for quality in workload.also)
        found.append(f"it goes on until {further} is met too, not only the benchmark's quality")
    if workload.checkpoint_interval_steps is not None:
        # scripts/train.py of llama2_70b_lora: save_strategy "no"
        found.append(f"a checkpoint every {workload.checkpoint_interval_steps} steps, not none")
    if workload.profile_steps:
        found.append(f"{workload.profile_steps} steps are profiled, not none")
    return found


def _of_batch(workload: LlmFinetune, wanted: Conditions, ranks: int) -> list[str]:
    """Batch and evaluation cadence."""
    batch = workload.global_batch(ranks)
    found = []
    if batch > wanted.largest_batch:
        found.append(f"global batch {batch}, above {wanted.largest_batch}: no reference convergence points")
    interval = math.ceil(wanted.evaluation_samples / batch)
    if workload.evaluation_interval_steps != interval:
        found.append(
            f"an evaluation every {workload.evaluation_interval_steps} steps of {batch} sequences, "
            f"not every {interval} ({wanted.evaluation_samples} sequences)"
        )
    start = wanted.skipped(batch) * interval
    if workload.evaluation_start_step != start:
        found.append(f"evaluations from step {workload.evaluation_start_step} on, not from step {start}")
    return found
