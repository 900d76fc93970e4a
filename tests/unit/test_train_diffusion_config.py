"""What a diffusion workload may be, and what the two that are shipped are."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import pytest
import torch
import yaml
from diffusion_cases import FLUX, UNET, captioned, digits, digits_spec
from pydantic import TypeAdapter, ValidationError

from seatrial.config.training import Diffusion
from seatrial.config.workload import AnyWorkload
from seatrial.train.diffusion.flops import flux_flops
from seatrial.train.diffusion.flux import flux_transformer

WORKLOADS = Path(__file__).parents[2] / "conf" / "workload"
NOWHERE = Path("/data")


def shipped(name: str) -> Diffusion:
    content = yaml.safe_load((WORKLOADS / f"{name}.yaml").read_text())
    for key in ("train", "evaluation", "empty_encodings"):
        if content["dataset"].get(key) == "???":
            content["dataset"][key] = str(NOWHERE / key)
    workload = TypeAdapter(AnyWorkload).validate_python(content)
    assert isinstance(workload, Diffusion)
    return workload


LATENTS = captioned(NOWHERE / "a", NOWHERE / "b")
REFUSED: dict[str, tuple[dict[str, Any], str]] = {
    "tensor parallelism": (digits(parallelism={"tp": 2}), "dp and fsdp only"),
    "expert parallelism": (digits(parallelism={"ep": 2}), "dp and fsdp only"),
    "loss of images": (digits(quality={"metric": "velocity_loss", "target": 0.5}), "measures frechet_distance"),
    "distance of latents": (
        {**LATENTS, "quality": {"metric": "frechet_distance", "target": 5.0}},
        "measures velocity_loss",
    ),
    "few generated": (digits(evaluation_samples=16), "16 features needs more"),
    "few held out": (digits(dataset=digits_spec(held_out=100, features=100)), "100 features needs more"),
    "captioned digits": (digits(model=FLUX), "allowed here: mlp, dit, unet"),
    "unconditional latents": ({**LATENTS, "model": UNET}, "are for flux with flow_matching"),
    "ddpm of latents": ({**LATENTS, "objective": "ddpm"}, "are for flux with flow_matching"),
    "no sampling steps": (digits(sampling_steps=None), "sampling_steps is missing"),
    "more steps than levels": (digits(objective="ddpm", noise_levels=3), "more than noise_levels"),
    "steps without images": ({**LATENTS, "sampling_steps": 4}, "no image is generated"),
    "time steps without samples": ({**LATENTS, "evaluation_samples": 7}, "must be at least 8"),
    "halved too often": (
        digits(model={**UNET, "channels": [8] * 4, "normalisation_groups": 16}),
        "not divisible by normalisation_groups",
    ),
    "rotary axes": ({**LATENTS, "model": {**FLUX, "axes_dims_rope": [2, 2, 2]}}, "add up to attention_head_dim"),
    "dropped captions": (
        captioned(NOWHERE / "a", NOWHERE / "b", dataset={"caption_dropout": 0.1}),
        "needs empty_encodings",
    ),
}


@pytest.mark.parametrize("what", REFUSED)
def test_what_cannot_be_is_refused_in_words(what: str) -> None:
    content, words = REFUSED[what]
    with pytest.raises(ValidationError, match=re.escape(words)):
        Diffusion.model_validate(content)


def test_only_digits_have_to_be_prepared() -> None:
    of_digits = Diffusion.model_validate(digits())
    assert of_digits.preparations() == [of_digits.dataset]
    assert Diffusion.model_validate(LATENTS).preparations() == []


def test_laptop_workload_trains_in_any_order_of_its_files() -> None:
    workload = shipped("diffusion")
    assert workload.quality.metric == "frechet_distance" and workload.benchmark is None
    assert workload.cpu_threads == 1 and len(workload.preparations()) == 1


def test_flux1_is_flux_1_schnell_with_mlperfs_conditions() -> None:
    """11.9 billion parameters (mlcommons/training, text_to_image); conditions of the rules and reference points."""
    workload = shipped("flux1")
    with torch.device("meta"):
        model = flux_transformer(workload.model, recompute=False)
    assert sum(p.numel() for p in model.parameters()) == 11_891_178_560
    assert workload.batch_size * workload.parallelism.fsdp * workload.evaluation_interval_steps == 262_144
    assert (workload.adam_beta_1, workload.adam_beta_2, workload.adam_epsilon) == (0.9, 0.95, 1e-8)
    assert (workload.weight_decay, workload.gradient_clip_norm) == (0.1, 1.0)
    assert (workload.quality.target, workload.evaluation_samples) == (0.586, 29_696)


def test_flux1_trains_on_20_teraflops_a_sample() -> None:
    """Six times the weights that a token meets, 256 tokens of each kind, and attention over all 512."""
    count = flux_flops(shipped("flux1").model, 256, 256, recompute=False)
    by_hand = 6 * 512 * (19 + 38) * 12 * 3072**2 + 3 * 57 * 4 * 512**2 * 3072
    assert count.model == pytest.approx(by_hand, rel=0.01)
    assert flux_flops(shipped("flux1").model, 256, 256, recompute=True).recompute > 0.99 * count.forward
