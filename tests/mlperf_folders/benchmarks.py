"""What the logs of each benchmark say: keys, values and units that the official rules of its rounds accept."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

Hyperparameters = Callable[[int], Mapping[str, Any]]


@dataclass(frozen=True)
class Benchmark:
    """One benchmark as its logs present it; positions are in `unit`, batch sizes have reference points."""

    runs: int
    """Runs that make a result."""
    target: float
    lower_is_better: bool
    unit: str
    """samples_count or epoch_num: the metadata key of an evaluation's position."""
    spacing: float
    """Between two evaluations."""
    batch_size: int
    position: float
    """Where the quality is reached, a little above the reference mean of `batch_size`."""
    train_samples: int
    eval_samples: int
    minutes: float
    """A plausible time to train."""
    hyperparameters: Hyperparameters

    def at(self, position: float) -> float:
        """The position as logged: samples are whole, epochs of large sets are fractions."""
        return round(position) if self.spacing >= 1 else round(position, 5)


def _adamw_llm(batch: int) -> dict[str, Any]:
    return {
        "max_sequence_length": 8192,
        "opt_name": "adamw",
        "opt_base_learning_rate": 8e-5 * batch / 1152,
        "opt_end_learning_rate": 8e-7,
        "opt_learning_rate_warmup_steps": 128,
        "opt_learning_rate_decay_steps": 1_200_000 - 128,
        "opt_learning_rate_decay_schedule": "cosine with linear warmup",
        "opt_adamw_beta_1": 0.9,
        "opt_adamw_beta_2": 0.95,
        "opt_adamw_epsilon": 1e-05,
        "opt_adamw_weight_decay": 0.1,
        "opt_gradient_clip_norm": 1.0,
        "max_steps": 1_200_000,
    }


def _llama31_405b(batch: int) -> dict[str, Any]:
    warmup = math.ceil(8000 * 1152 / batch)
    own = {
        "opt_base_learning_rate": batch * 8e-5 / 1152,
        "opt_learning_rate_warmup_steps": warmup,
        "opt_learning_rate_decay_steps": math.ceil(1_200_000 * 1152 / batch) - warmup,
        "init_checkpoint_step": 0,
    }
    return {key: value for key, value in (_adamw_llm(batch) | own).items() if key != "max_steps"}


def _deepseekv3(batch: int) -> dict[str, Any]:
    return _adamw_llm(batch) | {
        "max_sequence_length": 4096,
        "opt_base_learning_rate": 2.4e-05 * (batch / 16384) ** 0.5,
        "opt_learning_rate_warmup_steps": 4,
        "opt_learning_rate_decay_steps": 11_996,
        "opt_adamw_epsilon": 1e-08,
        "moe_aux_loss_coeff": 0.01,
        "max_steps": 12_000,
    }


def _gpt3(batch: int) -> dict[str, Any]:
    return {
        "max_sequence_length": 2048,
        "opt_name": "adam",
        "opt_base_learning_rate": 3e-5 if batch > 2048 else 2e-5,
        "opt_end_learning_rate": 3e-6,
        "opt_learning_rate_decay_steps": 166_809_600 // batch,
        "opt_learning_rate_warmup_steps": 407_040 // batch,
        "opt_learning_rate_decay_schedule": "cosine with linear warmup",
        "opt_adam_beta_1": 0.9,
        "opt_adam_beta_2": 0.95,
        "opt_adam_epsilon": 1e-08,
        "opt_gradient_clip_norm": 1.0,
        "init_checkpoint_step": 4000 * 1536 // batch,
    }


def _lora(batch: int) -> dict[str, Any]:
    return {
        "opt_base_learning_rate": 0.0004 if batch <= 8 else 0.0005,
        "opt_learning_rate_training_steps": 1024,
        "opt_gradient_clip_norm": 0.3,
        "opt_adamw_weight_decay": 0.0001,
        "lora_alpha": 32,
        "lora_rank": 16,
    }


def _stable_diffusion(batch: int) -> dict[str, Any]:
    return {
        "opt_name": "adamw",
        "opt_adamw_beta_1": 0.9,
        "opt_adamw_beta_2": 0.999,
        "opt_adamw_epsilon": 1e-08,
        "opt_adamw_weight_decay": 0.01,
        "opt_base_learning_rate": 1.25e-07 * batch,
        "opt_learning_rate_warmup_steps": 1000,
    }


def _flux1(batch: int) -> dict[str, Any]:
    return {
        "evaluation_frequency": 262_144,
        "opt_name": "adamw",
        "opt_adamw_beta_1": 0.9,
        "opt_adamw_beta_2": 0.95,
        "opt_adamw_epsilon": 1e-08,
        "opt_adamw_weight_decay": 0.1,
        "opt_base_learning_rate": 0.0002,
        "opt_learning_rate_warmup_steps": 1600 * 512 // batch,
        "opt_gradient_clip_norm": 1.0,
    }


def _dlrm(batch: int) -> dict[str, Any]:
    return {
        "opt_name": "adagrad",
        "opt_base_learning_rate": 0.0034 if batch <= 65536 else 0.005,
        "opt_adagrad_learning_rate_decay": 0,
        "opt_weight_decay": 0,
        "opt_adagrad_initial_accumulator_value": 0,
        "opt_adagrad_epsilon": 1e-08,
        "opt_learning_rate_warmup_steps": 0,
        "opt_learning_rate_decay_start_step": 0,
        "opt_learning_rate_decay_steps": 0,
    }


def _bert(batch: int) -> dict[str, Any]:
    return {
        "opt_base_learning_rate": 0.00035 * math.sqrt(batch / 448),
        "opt_lamb_epsilon": 1e-06,
        "opt_learning_rate_training_steps": 3_580_000 // batch,
        "opt_learning_rate_warmup_steps": 0,
        "num_warmup_steps": 0,
        "start_warmup_step": 0,
        "opt_lamb_beta_1": 0.9,
        "opt_lamb_beta_2": 0.999,
        "opt_lamb_weight_decay_rate": 0.01,
    }


def _detection(batch: int) -> dict[str, Any]:
    return {
        "opt_name": "adam",
        "opt_base_learning_rate": 8.5e-05 if batch <= 256 else 0.000135,
        "opt_weight_decay": 0.0,
        "opt_learning_rate_warmup_epochs": 1,
        "opt_learning_rate_warmup_factor": 0.001,
    }


def _graph(batch: int) -> dict[str, Any]:
    return {"opt_name": "adam", "opt_base_learning_rate": 0.001 if batch <= 4096 else 0.002}


def _unet3d(batch: int) -> dict[str, Any]:
    return {
        "opt_name": "sgd",
        "opt_base_learning_rate": 2.0,
        "opt_learning_rate_warmup_epochs": 1000,
        "opt_learning_rate_decay_boundary_epochs": [],
        "opt_learning_rate_decay_factor": 1.0,
        "opt_weight_decay": 0.0,
        "opt_momentum": 0.9,
        "oversampling": 0.4,
        "training_input_shape": [128, 128, 128],
        "validation_input_shape": [128, 128, 128],
        "validation_overlap": 0.5,
    }


_SSD = Benchmark(5, 0.34, False, "epoch_num", 1, 256, 4, 1_170_301, 24_781, 31.4, _detection)
_GRAPH = Benchmark(10, 0.72, False, "epoch_num", 0.05, 4096, 0.8, 157_675_969, 788_379, 8.3, _graph)
_SAMPLES = "samples_count"

BENCHMARKS: Mapping[str, Benchmark] = {
    "llama2_70b_lora": Benchmark(10, 0.925, True, _SAMPLES, 384, 8, 3456, 3901, 173, 27.9, _lora),
    "llama31_8b": Benchmark(10, 3.3, True, _SAMPLES, 12_288, 32, 184_320, 1_574_207_408, 1024, 96.2, _adamw_llm),
    "llama31_405b": Benchmark(
        3, 5.6, True, _SAMPLES, 46_080, 1152, 322_560, 1_574_207_408, 5760, 121.5, _llama31_405b
    ),
    "gpt_oss_20b": Benchmark(10, 3.34, True, _SAMPLES, 12_288, 16, 208_896, 1_574_207_408, 1024, 101.1, _adamw_llm),
    "deepseekv3_671b": Benchmark(
        3, 3.6, True, _SAMPLES, 49_152, 16_384, 786_432, 1_574_207_408, 1024, 33.1, _deepseekv3
    ),
    "flux1": Benchmark(10, 0.586, True, _SAMPLES, 262_144, 1024, 8_912_896, 1_099_776, 29_696, 55.7, _flux1),
    "stable_diffusion": Benchmark(
        10, 90.0, True, _SAMPLES, 512_000, 1024, 3_072_000, 6_513_144, 30_000, 12.8, _stable_diffusion
    ),
    "gpt3": Benchmark(
        3, 2.69, True, "epoch_num", 50_331_648, 2048, 1_207_959_552, 1_574_207_408, 24_567_656, 58.4, _gpt3
    ),
    "dlrm_dcnv2": Benchmark(
        10, 0.80275, False, "epoch_num", 0.05, 65_536, 0.8, 4_195_197_692, 89_137_319, 4.1, _dlrm
    ),
    "bert": Benchmark(10, 0.72, False, "epoch_num", 150_528, 448, 2_559_000, 156_725_653, 10_000, 5.5, _bert),
    "ssd": _SSD,
    "retinanet": _SSD,
    "gnn": _GRAPH,
    "rgat": _GRAPH,
    "unet3d": Benchmark(40, 0.908, False, "epoch_num", 3360, 56, 366_240, 168, 42, 12.3, _unet3d),
}
"""By the name that the folder and submission_benchmark have."""
