"""Diffusion small enough for tests: digits with little networks, and latents that are made up."""

from __future__ import annotations

import io
import tempfile
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import torch
from ranks import case

from seatrial.case import Case
from seatrial.config.training import PreparedDigits
from seatrial.measure.context import RankContext
from seatrial.prepare.digits import prepare_digits
from seatrial.record import Record
from seatrial.train.diffusion import run as diffusion

MLP = {"architecture": "mlp", "hidden_size": 32, "blocks": 2}
DIT = {"architecture": "dit", "layers": 1, "heads": 2, "head_dim": 8, "patch_size": 4}
UNET = {"architecture": "unet", "channels": [8, 16], "layers_per_block": 1}
LATENT, TOKENS = (4, 4, 4), 3
"""Shape of made-up latents, and tokens of their captions."""
FLUX = {
    "architecture": "flux",
    "in_channels": 16,
    "num_layers": 1,
    "num_single_layers": 1,
    "num_attention_heads": 2,
    "attention_head_dim": 8,
    "joint_attention_dim": 12,
    "pooled_projection_dim": 6,
    "axes_dims_rope": [4, 2, 2],
}


def digits_spec(**more: Any) -> dict[str, Any]:
    return {"source": "prepared_digits", "name": "tiny", "held_out": 600, "features": 16, **more}


@cache
def prepared_digits() -> Path:
    """The folder that `digits_spec()` prepares, made once for all tests of this process."""
    folder = Path(tempfile.mkdtemp(prefix="seatrial-digits-")) / "digits"
    prepare_digits(PreparedDigits.model_validate(digits_spec()), folder)
    return folder


def digits(**more: Any) -> dict[str, Any]:
    """A training on digits that takes a second; `more` replaces keys."""
    content: dict[str, Any] = {
        "kind": "diffusion",
        "objective": "flow_matching",
        "model": MLP,
        "dataset": digits_spec(),
        "quality": {"metric": "frechet_distance", "target": 60.0},
        "ema_decay": 0.9,
        "evaluation_samples": 64,
        "sampling_steps": 4,
        "batch_size": 16,
        "learning_rate": 0.003,
        "max_steps": 60,
        "evaluation_interval_steps": 10,
        "cpu_threads": 1,
    }
    return {**content, **more}


def captioned(train: Path, evaluation: Path, **more: Any) -> dict[str, Any]:
    """A training on latents in two folders; `more` replaces keys, `dataset` adds to the data set's."""
    dataset = {"source": "preprocessed_latents", "train": str(train), "evaluation": str(evaluation)}
    content: dict[str, Any] = {
        "kind": "diffusion",
        "objective": "flow_matching",
        "model": FLUX,
        "dataset": {**dataset, **more.pop("dataset", {})},
        "quality": {"metric": "velocity_loss", "target": 0.5},
        "evaluation_samples": 20,
        "batch_size": 8,
        "learning_rate": 0.01,
        "max_steps": 200,
        "evaluation_interval_steps": 20,
        "cpu_threads": 1,
    }
    return {**content, **more}


def as_npy(array: torch.Tensor) -> bytes:
    """A .npy file with bfloat16 as uint16, as MLPerf's reference keeps its arrays."""
    file = io.BytesIO()
    np.save(file, array.to(torch.bfloat16).view(torch.uint16).numpy())
    return file.getvalue()


def sample(number: int, timestep: int | None = None) -> dict[str, Any]:
    """A made-up sample: a latent that its caption gives away, hardly any variance."""
    generator = torch.Generator().manual_seed(number)
    kind = number % 2
    row = {
        "__key__": f"{number:06d}",
        "mean": as_npy(torch.full(LATENT, 4.0 * kind - 2) + 0.1 * torch.randn(LATENT, generator=generator)),
        "logvar": as_npy(torch.full(LATENT, -8.0)),
        "t5_encodings": as_npy(torch.full((TOKENS, FLUX["joint_attention_dim"]), 2.0 * kind - 1)),
        "clip_encodings": as_npy(torch.full((FLUX["pooled_projection_dim"],), 2.0 * kind - 1)),
    }
    return row if timestep is None else {**row, "timestep": timestep}


def write_latents(folder: Path, rows: list[dict[str, Any]], files: int = 2) -> Path:
    """Arrow streams as `datasets` writes them, without its listing."""
    folder.mkdir(parents=True)
    each = -(-len(rows) // files)
    for index in range(files):
        table = pa.Table.from_pylist(rows[index * each : (index + 1) * each])
        name = folder / f"data-{index:05d}-of-{files:05d}.arrow"
        with pa.OSFile(str(name), "wb") as sink, pa.ipc.new_stream(sink, table.schema) as stream:
            stream.write_table(table, max_chunksize=3)
    return folder


def context(what: Case, folder: Path, seed: int = 3, prepared: Path | None = None) -> RankContext:
    """A single rank on the CPU."""
    return RankContext(
        case=what, repeat=0, seed=seed, rank=0, local_rank=0, world_size=1, device=torch.device("cpu"),
        folder=folder, prepared=[prepared] if prepared else [],
    )  # fmt: skip


def train_digits(folder: Path, seed: int = 3, **more: Any) -> RankContext:
    """Train on digits on one rank; what it measured."""
    ctx = context(case(digits(**more)), folder, seed, prepared_digits())
    diffusion.run(ctx)
    return ctx


def samples(ctx: RankContext | Record, metric: str) -> list[float]:
    return [value for m in ctx.measurements if m.metric == metric for value in m.samples]
