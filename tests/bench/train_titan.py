"""torchtitan on its own Llama 3 debug configuration, and Seatrial's step on the same shape, on accelerators.

Nothing of it has run here: no accelerator and no torchtitan were at hand. A test looks at what it would call.
"""

from __future__ import annotations

import importlib.util
import os
import re
import subprocess
import sys
import time
from dataclasses import dataclass
from pathlib import Path
from statistics import median

import torch
from measure import LEAST_PAIRS, Result, half_width
from train_ours import Material, laptop_task

from seatrial.train.flops import FlopCount, causal_lm_flops
from seatrial.train.layout import Layout
from seatrial.train.learner import Learner
from seatrial.train.phases import Phases
from seatrial.train.ranks import Ranks

BATCH, LENGTH, STEPS, WARMUP = 8, 2048, 60, 20
LIMIT_S = 600
ARCHITECTURE = {
    "model_type": "llama",
    "vocab_size": 2048,
    "hidden_size": 256,
    "intermediate_size": 768,
    "num_hidden_layers": 6,
    "num_attention_heads": 16,
    "num_key_value_heads": 16,
    "max_position_embeddings": LENGTH,
    "tie_word_embeddings": False,
}
"""torchtitan's `debugmodel` (torchtitan/models/llama3)."""
_LINE = re.compile(r"\bstep:\s*(\d+)\s.*?tps:\s*([\d,]+)\s+tflops:\s*([\d.,]+)\s+mfu:\s*([\d.]+)%")
_COLOURS = re.compile(r"\x1b\[[0-9;]*m")


@dataclass(frozen=True)
class Speed:
    """Of one device: tokens and model TFLOPs per second, and the MFU as a fraction, where it is told."""

    tokens: float
    tflops: float
    mfu: float | None


def left_out(checkout: Path | None) -> str | None:
    """Why there is nothing to compare with; None where there is."""
    if not torch.cuda.is_available():
        return "no accelerator is at hand"
    if importlib.util.find_spec("torchtitan") is None:
        return "torchtitan is not installed"
    if checkout is None:
        return "--torchtitan does not say where its checkout is, whose tokenizer and text its configuration reads"
    return None


def command() -> list[str]:
    """One run of torchtitan's (0.3) on one device, in its checkout."""
    return [
        sys.executable, "-m", "torch.distributed.run", "--nproc_per_node", "1", "--standalone",
        "-m", "torchtitan.train", "--module", "llama3", "--config", "llama3_debugmodel",
        "--training.steps", str(STEPS), "--metrics.log_freq", "10", "--activation_checkpoint.mode", "none",
        "--training.local_batch_size", str(BATCH), "--training.seq_len", str(LENGTH),
    ]  # fmt: skip


def speed(output: str) -> Speed:
    """The median of the metrics lines after WARMUP steps. Raises ValueError where there is none."""
    found = [line.groups() for line in _LINE.finditer(_COLOURS.sub("", output)) if int(line[1]) > WARMUP]
    if not found:
        raise ValueError("torchtitan printed no metrics line")
    tokens, tflops, mfu = (median(float(row[i].replace(",", "")) for row in found) for i in (1, 2, 3))
    return Speed(tokens, tflops, mfu / 100)


def beside_torchtitan(checkout: Path | None) -> list[Result]:
    """Tokens per second of ours over torchtitan's, in turns, and both MFUs; else nothing, and why in words."""
    reason = left_out(checkout)
    if reason is not None:
        print(f"torchtitan is left out: {reason}")
        return []
    step, tflops_per_token = _our_step()
    ours, theirs = [], []
    for pair in range(LEAST_PAIRS):
        for side in ("ours", "theirs") if pair % 2 else ("theirs", "ours"):
            if side == "ours":
                ours.append(_our_tokens_per_second(step))
            else:
                theirs.append(_their_speed(checkout))
    ratios = [mine / peer.tokens for mine, peer in zip(ours, theirs, strict=True)]
    half = half_width(ratios)
    return [
        Result("tokens/s, ours / torchtitan", median(ratios), "x", 1.0, median(ratios) >= 1.0, ratios,
               f"{len(ratios)} pairs, 95 % interval +-{100 * half:.1f} %"),
        *_mfus(theirs, median(ours) * tflops_per_token),
    ]  # fmt: skip


def _mfus(theirs: list[Speed], our_tflops: float) -> list[Result]:
    """Both by the peak that torchtitan holds its own against."""
    mfus = [speed.mfu for speed in theirs if speed.mfu]
    if not mfus:
        return []
    peak = median(speed.tflops / speed.mfu for speed in theirs if speed.mfu)
    note = f"peak {peak:.0f} TFLOP/s, torchtitan's"
    return [
        Result("MFU, torchtitan", 100 * median(mfus), "%", None, None, [100 * mfu for mfu in mfus], note),
        Result("MFU, ours", 100 * our_tflops / peak, "%", None, None, [100 * our_tflops / peak], note),
    ]


def _their_speed(checkout: Path | None) -> Speed:
    environment = {**os.environ, "LOG_RANK": "0", "NGPU": "1"}
    run = subprocess.run(
        command(), cwd=checkout, env=environment, capture_output=True, text=True, timeout=LIMIT_S, check=True
    )
    return speed(run.stdout + run.stderr)


def our_learner(device: torch.device) -> Learner:
    """Seatrial's own step on torchtitan's shape, batch, sequence length and dtype."""
    workload = laptop_task(
        10_000, lora=None, batch_size=BATCH, sequence_length=LENGTH, dtype="bfloat16", learning_rate=8e-4,
        model={"source": "config", "architecture": ARCHITECTURE, "tokenizer": "bytes"},
    )  # fmt: skip
    ranks = Ranks(0, 1, device)
    layout = Layout(ranks, workload.parallelism, Phases(device))
    return Learner(workload, Material(workload, ranks).objective(layout), layout, seed=1)


def _our_step() -> tuple[Learner, float]:
    """A learner past its first steps, and TFLOPs per token."""
    device = torch.device("cuda", 0)
    learner = our_learner(device)
    for step in range(WARMUP):
        learner.train_step(step)
    model = learner.objective.model
    flops = causal_lm_flops(model.config, model, LENGTH)
    assert isinstance(flops, FlopCount)
    return learner, flops.model / LENGTH / 1e12


def _our_tokens_per_second(learner: Learner) -> float:
    torch.cuda.synchronize()
    start = time.perf_counter()
    for step in range(WARMUP, STEPS):
        learner.train_step(step)
    torch.cuda.synchronize()
    return (STEPS - WARMUP) * BATCH * LENGTH / (time.perf_counter() - start)
