"""A round's worth of result folders, of a given size: what benchmarks read."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

from . import traps
from .benchmarks import BENCHMARKS
from .log import RunPlan, log_text, runs_of
from .submitter import SubmitterFolder, write

_MIX = (
    "llama2_70b_lora",
    "llama31_8b",
    "flux1",
    "llama2_70b_lora",
    "rgat",
    "llama31_405b",
    "retinanet",
    "dlrm_dcnv2",
    "llama2_70b_lora",
    "llama31_8b",
)
"""In about the shares of round v5.1."""
_MODELS = (
    "NVIDIA Blackwell GPU (B200-SXM-180GB)",
    "AMD Instinct MI355X 288GB HBM3e",
    "NVIDIA H200-SXM5-141GB",
    "NVIDIA Blackwell Ultra GPU (GB300)",
)
_TEXT: tuple[traps.Trap | None, ...] = (None, traps.rank_prefixed, traps.chatty)
_LARGE = {"flux1": 4.0, "llama31_8b": 3.0}
"""These stacks log every few steps: their logs are so many times larger than the others."""
_PROBE_LINES = 80


def write_round(folder: Path, size_bytes: int, logs: int, seed: int = 0) -> list[Path]:
    """Write a repository of round v5.1 with `logs` logs of together about `size_bytes`; return its result folders.

    Every log passes the official check of the round and every folder has a reference point, so that both readers
    have all their work to do. Logs grow by lines of tracked_stats, as the real ones do; without any, one takes 5 to
    50 kB. The last folder may have fewer runs than its benchmark asks for. Deterministic in `seed`.
    """
    planned: list[tuple[Path, RunPlan, traps.Trap | None]] = []
    folders: list[Path] = []
    while len(planned) < logs:
        k = len(folders)
        at = SubmitterFolder(folder / f"Submitter_{k % 20:02d}", f"Submitter {k % 20:02d}")
        name, nodes = _MIX[k % len(_MIX)], (1, 2, 8, 64)[k // 3 % 4]
        model = _MODELS[k % len(_MODELS)]
        system = at.system(f"system-{k:04d}", accelerator_model_name=model, number_of_nodes=str(nodes))
        folders.append(at.root / "results" / system / name)
        plan = RunPlan(
            seed * 100_000 + k * 100, name, org=at.submitter, evaluations=8, ranks=nodes, tracked_stats=0
        )
        runs = min(BENCHMARKS[name].runs, logs - len(planned))
        for n, one in enumerate(runs_of(plan, runs)):
            planned.append((folders[-1] / f"result_{n}.txt", one, _TEXT[(k + n) % len(_TEXT)]))
    share = size_bytes / sum(_LARGE.get(plan.benchmark, 1.0) for _, plan, _ in planned)
    for path, plan, trap in planned:
        write(path, _log_of_size(plan, share * _LARGE.get(plan.benchmark, 1.0), trap))
    return folders


def _log_of_size(plan: RunPlan, size: float, trap: traps.Trap | None) -> bytes:
    """The log of `plan` with as many lines of tracked_stats as make it `size` bytes, or none where it is larger."""

    def with_stats(lines: int) -> bytes:
        text = log_text(replace(plan, tracked_stats=lines))
        return text.encode() if trap is None else trap(text)

    bare = len(with_stats(0))
    line = (len(with_stats(_PROBE_LINES)) - bare) / _PROBE_LINES
    return with_stats(max(round((size - bare) / line), 0))
