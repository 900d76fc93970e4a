"""Diffusion on latents with captions: MLPerf's data and evaluation, FLUX's transformer."""

from __future__ import annotations

import math
from pathlib import Path
from typing import Any

import pytest
import torch
from diffusion_cases import FLUX, LATENT, TOKENS, as_npy, captioned, context, sample, samples, write_latents
from ranks import case
from train_cases import start_ranks

from seatrial.config.training import Diffusion, Parallelism
from seatrial.config.training.diffusion import FluxTransformer
from seatrial.errors import MeasurementFailed, UnreadableFile
from seatrial.record import Record
from seatrial.train.diffusion import run as diffusion
from seatrial.train.diffusion.captioned import CaptionedObjective, build, mean_over_timesteps
from seatrial.train.diffusion.flops import TIME_EMBEDDING, flux_flops
from seatrial.train.diffusion.flux import flux_transformer, packed, place, positions
from seatrial.train.diffusion.latents import LatentFolder
from seatrial.train.flops import traced_flops
from seatrial.train.layout import Layout
from seatrial.train.learner import Learner
from seatrial.train.phases import Phases
from seatrial.train.ranks import Ranks

CPU = torch.device("cpu")
TRAIN, EVALUATION = 30, 21


@pytest.fixture(scope="module")
def folders(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path]:
    root = tmp_path_factory.mktemp("latents")
    train = write_latents(root / "train", [sample(i) for i in range(TRAIN)])
    return train, write_latents(root / "evaluation", [sample(100 + i, i % 8) for i in range(EVALUATION)])


def layout() -> Layout:
    return Layout(Ranks(0, 1, CPU), Parallelism(), Phases(CPU))


def objective(folders: tuple[Path, Path], folder: Path, **more: Any) -> CaptionedObjective:
    what = case(captioned(*folders, **more))
    assert isinstance(what.workload, Diffusion)
    return build(context(what, folder), what.workload, layout())


def test_it_reaches_its_target_and_logs_what_flux1_wants(folders: tuple[Path, Path], tmp_path: Path) -> None:
    ctx = context(case(captioned(*folders)), tmp_path)
    diffusion.run(ctx)
    losses = samples(ctx, "train.velocity_loss")
    assert losses[0] > 1.3 and losses[-1] <= 0.5
    log = (tmp_path / "0.mllog").read_text()
    for key, value in (("evaluation_frequency", 160), ("train_samples", TRAIN), ("eval_samples", 20)):
        assert f'"{key}", "value": {value}' in log
    assert "20 files" not in log and "names and sizes of its 2 files" in log


def test_caption_tells_the_image(folders: tuple[Path, Path], tmp_path: Path) -> None:
    """The made-up captions say which of two images it is; a denoiser that is trained without them does worse."""
    empty = tmp_path / "empty"
    empty.mkdir()
    (empty / "t5_empty.npy").write_bytes(as_npy(torch.zeros(1, TOKENS, FLUX["joint_attention_dim"])))
    (empty / "clip_empty.npy").write_bytes(as_npy(torch.zeros(1, FLUX["pooled_projection_dim"])))
    found = {}
    for name, share in (("told", 0.0), ("hidden", 0.99)):
        dropped = {"caption_dropout": share, "empty_encodings": str(empty)}
        kept = objective(folders, tmp_path / name, dataset=dropped)
        learner = Learner(kept.workload, kept, kept.layout, 3)
        for step in range(60):
            learner.train_step(step)
        found[name] = learner.evaluate()["velocity_loss"]
    assert found["told"] < 0.8 * found["hidden"]


def test_share_of_captions_is_dropped_whole(folders: tuple[Path, Path], tmp_path: Path) -> None:
    empty = tmp_path / "empty"
    empty.mkdir()
    (empty / "t5_empty.npy").write_bytes(as_npy(torch.full((1, TOKENS, FLUX["joint_attention_dim"]), 5.0)))
    (empty / "clip_empty.npy").write_bytes(as_npy(torch.full((1, FLUX["pooled_projection_dim"]), 5.0)))
    kept = objective(folders, tmp_path, dataset={"caption_dropout": 0.3, "empty_encodings": str(empty)})
    dropped = []
    for step in range(40):
        kept.updates = step
        batch = kept._captions_dropped(kept.fetch(torch.arange(TRAIN)))
        t5 = (batch.t5 == 5).flatten(1)
        assert torch.equal(t5.all(1), t5.any(1)) and torch.equal(t5.all(1), (batch.clip == 5).all(1))
        dropped += t5.all(1).tolist()
    assert 0.25 < sum(dropped) / len(dropped) < 0.35


def test_untrained_model_predicts_nothing_so_that_the_loss_is_known(
    folders: tuple[Path, Path], tmp_path: Path
) -> None:
    """The output starts at zero: the loss is the mean square of noise - latent, 1 + the latents' own."""
    kept = objective(folders, tmp_path, dataset={"autoencoder_scale": 0.5, "autoencoder_shift": 1.0})
    with torch.no_grad():
        loss = kept.evaluate()["velocity_loss"]
    batch = LatentFolder(folders[1]).read(list(range(20)))
    square = ((batch.mean.float() - 1) * 0.5).square().mean(dim=(1, 2, 3))
    steps = torch.arange(20) % 8
    per_step = torch.stack([1 + square[steps == step].mean() for step in range(8)])
    assert loss == pytest.approx(float(per_step.mean()), rel=0.1)


def test_latents_are_drawn_anew_at_every_step_by_mean_and_variance(
    folders: tuple[Path, Path], tmp_path: Path
) -> None:
    kept = objective(folders, tmp_path, dataset={"autoencoder_scale": 0.5, "autoencoder_shift": 1.0})
    batch = kept.fetch(torch.arange(TRAIN))
    batch = batch._replace(mean=torch.full_like(batch.mean, 3.0), logvar=torch.full_like(batch.logvar, 2.0))
    drawn = torch.stack([kept._latents(batch, "training_latent", step) for step in range(20)])
    assert float(drawn.mean()) == pytest.approx((3 - 1) * 0.5, abs=0.03)
    assert float(drawn.std()) == pytest.approx(0.5 * math.exp(1), rel=0.03)
    losses = []
    for kept.updates in (0, 1, 0):
        losses.append(float(kept.loss(batch).detach()))
    assert losses[0] == losses[2] != losses[1]
    alike = batch._replace(logvar=torch.full_like(batch.logvar, 10.0))
    values = [kept._latents(alike, "training_latent", step) for step in (0, 1, 0)]
    assert torch.equal(values[0], values[2]) and not torch.equal(values[0], values[1])


def test_training_draws_the_latent_of_its_own_step(
    folders: tuple[Path, Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    kept = objective(folders, tmp_path)
    asked = []
    right = CaptionedObjective._latents

    def noting(self: CaptionedObjective, batch: Any, stream: Any, step: int) -> torch.Tensor:
        asked.append((stream, step))
        return right(self, batch, stream, step)

    monkeypatch.setattr(CaptionedObjective, "_latents", noting)
    learner = Learner(kept.workload, kept, kept.layout, 3)
    for step in range(3):
        learner.train_step(step)
    assert asked == [("training_latent", step) for step in range(3)]


def test_every_time_step_counts_the_same_however_many_samples_it_has() -> None:
    assert mean_over_timesteps([10.0, 1.0], [10.0, 1.0]) == 1.0
    assert mean_over_timesteps([30.0, 1.0], [10.0, 1.0]) == 2.0
    with pytest.raises(MeasurementFailed, match=r"time step\(s\) 1"):
        mean_over_timesteps([30.0, 0.0], [10.0, 0.0])


def test_time_step_that_the_file_states_is_the_one_evaluated(folders: tuple[Path, Path], tmp_path: Path) -> None:
    shifted = write_latents(tmp_path / "shifted", [sample(100 + i, (i + 3) % 8) for i in range(EVALUATION)])
    unstated = write_latents(tmp_path / "unstated", [sample(100 + i) for i in range(EVALUATION)])
    numbers = torch.arange(20)
    kept = objective((folders[0], shifted), tmp_path)
    assert kept._batch(LatentFolder(shifted), numbers).timestep.tolist() == [(i + 3) % 8 for i in range(20)]
    assert kept._batch(LatentFolder(unstated), numbers).timestep.tolist() == [i % 8 for i in range(20)]


def test_same_seed_gives_the_same_bits(folders: tuple[Path, Path], tmp_path: Path) -> None:
    runs = []
    for name in ("a", "b"):
        kept = objective(folders, tmp_path / name)
        learner = Learner(kept.workload, kept, kept.layout, 3)
        runs.append([float(learner.train_step(step)) for step in range(5)])
    assert runs[0] == runs[1]


@pytest.mark.parametrize(("dtype", "close"), [("float32", 1e-4), ("bfloat16", 3e-3)])
def test_two_ranks_that_share_the_weights_train_the_model_that_one_trains(
    dtype: str, close: float, folders: tuple[Path, Path], tmp_path: Path
) -> None:
    """Sharded weights start as whole ones do; an odd number of evaluation samples is shared too."""
    more = {"max_steps": 4, "evaluation_interval_steps": 2, "evaluation_samples": EVALUATION}
    more |= {"quality": {"metric": "velocity_loss", "target": 0.01}, "dtype": dtype}
    alone = context(case(captioned(*folders, **more)), tmp_path / "alone")
    with pytest.raises(MeasurementFailed, match="not the target"):
        diffusion.run(alone)
    start_ranks(
        case(captioned(*folders, batch_size=4, parallelism={"fsdp": 2}, **more), ranks=2), tmp_path, tmp_path
    )
    record = Record.read(tmp_path / "records" / "0.json")
    assert record.error is not None and record.error.kind == "target_not_reached", record.error
    for metric in ("train.training_loss", "train.velocity_loss"):
        assert samples(record, metric) == pytest.approx(samples(alone, metric), rel=close)


def test_weights_start_as_the_reference_states(folders: tuple[Path, Path], tmp_path: Path) -> None:
    spec = FluxTransformer.model_validate(FLUX)
    model = place(spec, False, layout(), seed=1)
    hidden = spec.num_attention_heads * spec.attention_head_dim
    weights = dict(model.named_parameters())
    zero = {n for n, p in weights.items() if p.ndim == 2 and not p.any()}
    assert zero == {
        "proj_out.weight",
        "norm_out.linear.weight",
        "transformer_blocks.0.norm1.linear.weight",
        "transformer_blocks.0.norm1_context.linear.weight",
        "single_transformer_blocks.0.norm.linear.weight",
    }
    for name, bound in (
        ("transformer_blocks.0.attn.to_q.weight", (6 / (4 * hidden)) ** 0.5),
        ("single_transformer_blocks.0.proj_mlp.weight", (6 / (8 * hidden)) ** 0.5),
        ("single_transformer_blocks.0.proj_out.weight", (6 / (6 * hidden)) ** 0.5),
        ("transformer_blocks.0.ff.net.0.proj.weight", (6 / (5 * hidden)) ** 0.5),
    ):
        largest = float(weights[name].abs().max().detach())
        assert 0.9 * bound < largest <= bound, name
    assert float(weights["time_text_embed.timestep_embedder.linear_1.weight"].detach().std()) == pytest.approx(
        0.02, rel=0.1
    )
    assert all((p == name.endswith("weight")).all() for name, p in weights.items() if p.ndim == 1)


def test_latents_become_tokens_as_in_diffusers() -> None:
    from diffusers import FluxPipeline

    latents = torch.randn(2, 4, 6, 8, generator=torch.Generator().manual_seed(1))
    assert torch.equal(packed(latents), FluxPipeline._pack_latents(latents, 2, 4, 6, 8))
    theirs = FluxPipeline._prepare_latent_image_ids(2, 3, 4, CPU, torch.float32)
    assert torch.equal(positions(6, 8, CPU), theirs)


def test_flops_are_those_that_torch_counts() -> None:
    spec = FluxTransformer.model_validate(FLUX)
    with torch.device("meta"):
        model = flux_transformer(spec, recompute=False)
        image, text = 4, TOKENS

        def loss() -> torch.Tensor:
            inputs = {
                "hidden_states": torch.zeros(2, image, spec.in_channels, requires_grad=True),
                "encoder_hidden_states": torch.zeros(2, text, spec.joint_attention_dim, requires_grad=True),
                "pooled_projections": torch.zeros(2, spec.pooled_projection_dim),
                "timestep": torch.zeros(2),
                "img_ids": torch.zeros(image, 3),
                "txt_ids": torch.zeros(text, 3),
            }
            predicted: torch.Tensor = model(**inputs, return_dict=False)[0]
            return predicted.sum()

        traced = traced_flops(loss, 2)
    assert flux_flops(spec, image, text, False).forward == traced.forward
    # No gradient goes back to the time and the CLIP encoding; 2 N counts it for all layers alike.
    unneeded = (
        2 * (TIME_EMBEDDING + spec.pooled_projection_dim) * spec.num_attention_heads * spec.attention_head_dim
    )
    assert flux_flops(spec, image, text, False).backward == traced.backward + unneeded


class TestLatentFolder:
    """Reading of the Arrow files."""

    def test_reads_what_datasets_saves(self, tmp_path: Path) -> None:
        from datasets import Dataset

        rows = [sample(i, i % 8) for i in range(7)]
        Dataset.from_list(rows).save_to_disk(str(tmp_path / "saved"), num_shards=3)
        saved, own = LatentFolder(tmp_path / "saved"), LatentFolder(write_latents(tmp_path / "own", rows))
        assert len(saved) == len(own) == 7
        for one, other in zip(saved.read([6, 0, 3]), own.read([6, 0, 3]), strict=True):
            assert one is not None and other is not None and torch.equal(one, other)
        assert saved.read([2]).mean.shape == (1, *LATENT) and saved.read([2]).mean.dtype == torch.bfloat16

    def test_every_sample_is_found_across_files_and_batches(self, folders: tuple[Path, Path]) -> None:
        folder = LatentFolder(folders[0])
        assert len(folder) == TRAIN
        for number in range(TRAIN):
            expected = as_npy(folder.read([number]).mean[0])
            assert expected == sample(number)["mean"], number

    def test_folder_without_such_files_is_refused(self, tmp_path: Path) -> None:
        with pytest.raises(UnreadableFile, match="no Arrow files"):
            LatentFolder(tmp_path)

    def test_file_that_is_none_is_named(self, tmp_path: Path) -> None:
        (tmp_path / "data-00000-of-00001.arrow").write_bytes(b"nothing of the kind")
        with pytest.raises(UnreadableFile, match=r"data-00000-of-00001\.arrow: no Arrow stream"):
            LatentFolder(tmp_path)

    def test_listing_that_is_none_is_named(self, tmp_path: Path) -> None:
        (tmp_path / "state.json").write_text("{}")
        with pytest.raises(UnreadableFile, match=r"state\.json: it does not list"):
            LatentFolder(tmp_path)

    def test_missing_column_is_named(self, tmp_path: Path) -> None:
        rows = [{k: v for k, v in sample(0).items() if k != "logvar"}]
        with pytest.raises(UnreadableFile, match="columns logvar are missing; there are"):
            LatentFolder(write_latents(tmp_path / "cut", rows, files=1))

    def test_array_that_is_none_is_refused(self, tmp_path: Path) -> None:
        folder = LatentFolder(write_latents(tmp_path / "cut", [{**sample(0), "mean": b"?"}], files=1))
        with pytest.raises(UnreadableFile, match=r"mean of a sample is no \.npy array"):
            folder.read([0])


def test_fewer_evaluation_samples_than_asked_for_are_refused(folders: tuple[Path, Path], tmp_path: Path) -> None:
    with pytest.raises(MeasurementFailed, match="has 21 samples; evaluation_samples asks for 22"):
        objective(folders, tmp_path, evaluation_samples=22)


def test_data_of_another_shape_than_the_model_are_refused(folders: tuple[Path, Path], tmp_path: Path) -> None:
    with pytest.raises(MeasurementFailed, match="they need in_channels 16"):
        objective(folders, tmp_path, model={**FLUX, "in_channels": 64})
