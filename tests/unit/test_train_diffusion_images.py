"""Diffusion on digits: it learns, says what it measured, and gives the same whatever interrupts or shares it."""

from __future__ import annotations

import itertools
from pathlib import Path
from typing import Any

import pytest
import torch
from diffusion_cases import DIT, MLP, UNET, context, digits, digits_spec, prepared_digits, samples, train_digits
from ranks import case
from train_cases import start_ranks

from seatrial.config.training import Diffusion, Parallelism
from seatrial.errors import MeasurementFailed
from seatrial.measure.context import RankContext
from seatrial.record import Record
from seatrial.train.diffusion import run as diffusion
from seatrial.train.diffusion.denoisers import image_denoiser
from seatrial.train.diffusion.digits import Digits, Scale
from seatrial.train.diffusion.flops import image_flops
from seatrial.train.diffusion.frechet import Moments
from seatrial.train.diffusion.images import ImageObjective, build
from seatrial.train.layout import Layout
from seatrial.train.learner import Learner
from seatrial.train.phases import Phases
from seatrial.train.ranks import Ranks

CPU = torch.device("cpu")


def objective(folder: Path, seed: int = 3, **more: Any) -> ImageObjective:
    what = case(digits(**more))
    assert isinstance(what.workload, Diffusion)
    layout = Layout(Ranks(0, 1, CPU), Parallelism(), Phases(CPU))
    torch.manual_seed(seed)
    return build(context(what, folder, seed, prepared_digits()), what.workload, layout)


def crossing(ctx: RankContext) -> tuple[float, float]:
    """The Frechet distances before and after the target was met."""
    assert ctx.quality is not None and ctx.quality.before is not None and ctx.quality.after is not None
    return ctx.quality.before["value"], ctx.quality.after["value"]


def course(ctx: RankContext | Record) -> tuple[list[float], list[float]]:
    return samples(ctx, "train.training_loss"), samples(ctx, "train.frechet_distance")


def test_it_reaches_its_target_from_far_above(tmp_path: Path) -> None:
    ctx = train_digits(tmp_path)
    (floor,), (noise,) = samples(ctx, "diffusion.frechet_floor"), samples(ctx, "diffusion.frechet_of_noise")
    before, after = crossing(ctx)
    assert floor < 5 < after <= 60 < before < 2 * noise
    assert ctx.facts["feature_network"]["accuracy"] > 0.9
    log = (tmp_path / "0.mllog").read_text()
    assert '"evaluation_frequency", "value": 160' in log


@pytest.mark.parametrize(
    ("model", "process"), [*itertools.product([MLP, DIT, UNET], ["flow_matching"]), (MLP, "ddpm"), (UNET, "ddpm")]
)
def test_every_denoiser_learns_by_either_process(model: dict[str, Any], process: str, tmp_path: Path) -> None:
    kept = objective(tmp_path, model=model, objective=process, noise_levels=50)
    learner = Learner(kept.workload, kept, kept.layout, 3)
    losses = [float(learner.train_step(step)) for step in range(40)]
    assert sum(losses[-8:]) < 0.85 * sum(losses[:8])
    assert learner.evaluate()["frechet_distance"] > kept.scale.floor


@pytest.mark.parametrize("process", ["flow_matching", "ddpm"])
def test_images_that_are_made_come_nearer_to_digits(process: str, tmp_path: Path) -> None:
    kept = objective(
        tmp_path, objective=process, model={**MLP, "hidden_size": 128}, noise_levels=50, sampling_steps=25
    )
    learner = Learner(kept.workload, kept, kept.layout, 3)
    for step in range(400):
        learner.train_step(step)
    assert learner.evaluate()["frechet_distance"] < 0.5 * kept.scale.noise


def test_same_seed_gives_the_same_bits_and_another_seed_does_not(tmp_path: Path) -> None:
    first, again, other = (train_digits(tmp_path / name, seed) for name, seed in (("a", 3), ("b", 3), ("c", 4)))
    assert course(first) == course(again)
    assert course(first) != course(other)


def test_run_taken_up_from_a_checkpoint_ends_as_if_nothing_had_happened(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    more = {"checkpoint_interval_steps": 5, "quality": {"metric": "frechet_distance", "target": 40.0}}
    whole = train_digits(tmp_path / "whole", **more)
    right = Learner.train_step

    def dying(self: Learner, step: int) -> torch.Tensor:
        if step == 13:
            raise KeyboardInterrupt
        return right(self, step)

    with monkeypatch.context() as patch:
        patch.setattr(Learner, "train_step", dying)
        with pytest.raises(KeyboardInterrupt):
            train_digits(tmp_path / "cut", **more)
    again = train_digits(tmp_path / "cut", **more)
    assert again.resumed == 1
    assert crossing(again) == crossing(whole)
    assert samples(again, "train.training_loss") == samples(whole, "train.training_loss")


@pytest.mark.parametrize("parallelism", [{"dp": 2}, {"fsdp": 2}], ids=["dp", "fsdp"])
def test_two_ranks_see_the_noise_that_one_sees(parallelism: dict[str, int], tmp_path: Path) -> None:
    """Same global batch, same noise, same generated images: the same course but for rounding."""
    more = {
        "max_steps": 10,
        "evaluation_interval_steps": 5,
        "quality": {"metric": "frechet_distance", "target": 3.0},
    }
    with pytest.raises(MeasurementFailed, match="not the target of 3"):
        alone = context(case(digits(**more)), tmp_path / "alone", 3, prepared_digits())
        diffusion.run(alone)
    two = case(digits(batch_size=8, parallelism=parallelism, **more), ranks=2)
    start_ranks(two, tmp_path, prepared_digits())
    record = Record.read(tmp_path / "records" / "0.json")
    assert record.error is not None and record.error.kind == "target_not_reached", record.error
    found = course(record)
    assert len(found[1]) == 3 and found[0] == pytest.approx(course(alone)[0], rel=1e-4)
    assert found[1] == pytest.approx(course(alone)[1], rel=1e-3)


def test_evaluation_uses_the_average_and_gives_the_weights_back(tmp_path: Path) -> None:
    averaged, plain = (objective(tmp_path, ema_decay=decay) for decay in (0.9, None))
    for kept in (averaged, plain):
        learner = Learner(kept.workload, kept, kept.layout, 3)
        for step in range(5):
            learner.train_step(step)
    trained = [p.detach().clone() for p in averaged.model.parameters()]
    first = averaged.evaluate()
    assert averaged.evaluate() == first != plain.evaluate()
    for before, after in zip(trained, averaged.model.parameters(), strict=True):
        assert torch.equal(before, after)


def test_average_follows_its_formula(tmp_path: Path) -> None:
    kept = objective(tmp_path, ema_decay=0.5)
    learner = Learner(kept.workload, kept, kept.layout, 3)
    expected = kept.model.get_parameter("image_in.weight").detach().clone()
    for step in range(6):
        learner.train_step(step)
        decay = min(0.5, (2 + step) / (11 + step))
        expected = decay * expected + (1 - decay) * kept.model.get_parameter("image_in.weight").detach()
    torch.testing.assert_close(kept.state()["average.image_in.weight"], expected)


def test_recomputing_activations_changes_no_bit(tmp_path: Path) -> None:
    losses = []
    for recompute in (False, True):
        kept = objective(tmp_path, activation_checkpointing=recompute)
        learner = Learner(kept.workload, kept, kept.layout, 3)
        losses.append([float(learner.train_step(step)) for step in range(4)])
    assert losses[0] == losses[1]


def test_bfloat16_learns_and_its_features_stay_float32(tmp_path: Path) -> None:
    kept = objective(tmp_path, dtype="bfloat16")
    learner = Learner(kept.workload, kept, kept.layout, 3)
    losses = [float(learner.train_step(step)) for step in range(40)]
    assert sum(losses[-8:]) < 0.85 * sum(losses[:8])
    with torch.autocast("cpu", dtype=torch.bfloat16):
        inside = Digits.read(prepared_digits(), CPU).features(torch.ones(1, 1, 8, 8) / 3)
    assert torch.equal(inside, Digits.read(prepared_digits(), CPU).features(torch.ones(1, 1, 8, 8) / 3))


def test_model_that_has_diverged_is_said_to_have(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    right = ImageObjective.after_update

    def exploding(self: ImageObjective, step: int) -> None:
        right(self, step)
        with torch.no_grad():
            next(self.model.parameters()).fill_(1e38)

    monkeypatch.setattr(ImageObjective, "after_update", exploding)
    with pytest.raises(MeasurementFailed) as caught:
        train_digits(tmp_path, ema_decay=None, evaluation_interval_steps=1)
    assert caught.value.kind == "diverged"


def test_target_that_real_images_miss_is_refused(tmp_path: Path) -> None:
    with pytest.raises(MeasurementFailed, match="is not above") as caught:
        train_digits(tmp_path, quality={"metric": "frechet_distance", "target": 0.01})
    assert caught.value.kind == "wrong_result"


def test_features_that_tell_noise_and_images_hardly_apart_are_refused() -> None:
    given = Digits.read(prepared_digits(), CPU)
    blind = Digits(given.train, given.held_out, torch.zeros_like(given.weight), given.bias.abs(), {}, "")
    noise = torch.randn(100, 1, 8, 8, generator=torch.Generator().manual_seed(1))
    with pytest.raises(MeasurementFailed, match="hardly apart"):
        Scale.of(blind, Moments.of(blind.features(given.held_out)), noise)


def test_digits_that_were_not_prepared_are_missed_in_words(tmp_path: Path) -> None:
    with pytest.raises(MeasurementFailed, match="prepared 'tiny' was not given"):
        diffusion.run(context(case(digits()), tmp_path))
    other = case(digits(dataset=digits_spec(seed=2)))
    assert other.prepared_ids != case(digits()).prepared_ids


def test_fully_connected_layers_count_6n() -> None:
    weights = sum(p.numel() for p in image_denoiser(_model(MLP), 8, False).parameters() if p.ndim == 2)
    count = image_flops(Diffusion.model_validate(digits()))
    assert count is not None and count.model == pytest.approx(6 * weights, rel=0.03)


@pytest.mark.parametrize("model", [DIT, UNET], ids=["dit", "unet"])
def test_other_denoisers_are_traced_unless_activations_are_recomputed(model: dict[str, Any]) -> None:
    count = image_flops(Diffusion.model_validate(digits(model=model)))
    assert count is not None and count.backward > 1.5 * count.forward > 0
    assert image_flops(Diffusion.model_validate(digits(model=model, activation_checkpointing=True))) is None


def _model(spec: dict[str, Any]) -> Any:
    return Diffusion.model_validate(digits(model=spec)).model
