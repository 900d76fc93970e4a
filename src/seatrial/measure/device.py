"""The device, threads and seeds of one rank."""

from __future__ import annotations

import fnmatch
import os
import random
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from seatrial.config.target import Target
from seatrial.errors import Unsupported
from seatrial.measure.launch import Launch, host_name

if TYPE_CHECKING:
    import torch


def pick_device(target: Target, launch: Launch) -> torch.device:
    """The device of this rank: the CPU, or the accelerator with the number of its local rank.

    A rank that sees one accelerator only (its launcher bound it) takes that one. Raises Unsupported where the
    target asks for accelerators and torch finds none, or too few.
    """
    import torch

    if target.device == "cpu":
        return torch.device("cpu")
    if not torch.cuda.is_available():
        raise Unsupported(
            f"target {target.name} has device cuda, but torch {torch.__version__} finds no accelerator "
            f"on {host_name(os.environ)}"
        )
    count = torch.cuda.device_count()
    index = launch.local_rank if count > 1 else 0
    if index >= count:
        raise Unsupported(
            f"rank {launch.rank} is task {launch.local_rank} of its node but sees only {count} accelerators"
        )
    torch.cuda.set_device(index)
    check_declared(target, torch.cuda.get_device_properties(index).name)
    return torch.device("cuda", index)


def check_declared(target: Target, found: str) -> None:
    """Raise Unsupported where the device found is not the accelerator that the target declares.

    Otherwise its figures would be held against another accelerator's ceilings and published results.
    """
    accelerator = target.accelerator
    if accelerator is None or not accelerator.device_names:
        return
    if not any(fnmatch.fnmatch(found.lower(), name.lower()) for name in accelerator.device_names):
        raise Unsupported(
            f"target {target.name} declares {accelerator.name} (device names "
            f"{', '.join(accelerator.device_names)}), but the driver calls this device {found!r}; choose the "
            "target that it is, or add the name to target.accelerator.device_names"
        )


def rank_facts(device: torch.device, launch: Launch, environ: Mapping[str, str]) -> dict[str, Any]:
    """What a rank says of itself: host, place, CPUs it may use, thread limits, device and the device's name."""
    import torch

    name, uuid = "cpu", None
    if device.type == "cuda":
        properties = torch.cuda.get_device_properties(device)
        name, uuid = properties.name, str(getattr(properties, "uuid", "")) or None
    return {
        "rank": launch.rank,
        "host": host_name(environ),
        "cpus": sorted(os.sched_getaffinity(0)),
        "cpus_per_task": _whole(environ.get("SLURM_CPUS_PER_TASK")),
        "threads_wanted": _whole(environ.get("OMP_NUM_THREADS")),
        "index": str(device),
        "device": name,
        "uuid": uuid,
    }


def assign_threads(ranks: list[dict[str, Any]]) -> list[int]:
    """Threads of every rank: its CPUs shared with the ranks of its node that may use the same ones, at least 1.

    OMP_NUM_THREADS, where somebody set it, is taken as it is; Slurm's CPUs per task are never exceeded.
    """
    sharing: dict[tuple[str, int], int] = {}
    for rank in ranks:
        for cpu in rank["cpus"]:
            sharing[rank["host"], cpu] = sharing.get((rank["host"], cpu), 0) + 1
    threads = []
    for rank in ranks:
        most = max(sharing[rank["host"], cpu] for cpu in rank["cpus"])
        fair = max(1, len(rank["cpus"]) // most)
        if rank["cpus_per_task"]:
            fair = min(fair, rank["cpus_per_task"])
        threads.append(rank["threads_wanted"] or fair)
    return threads


def check_devices_differ(ranks: list[dict[str, Any]]) -> None:
    """Raise Unsupported where two ranks hold the same accelerator: each would measure half of it."""
    holder: dict[tuple[str, str], int] = {}
    for rank in ranks:
        if rank["uuid"] is None:
            continue
        first = holder.setdefault((rank["host"], rank["uuid"]), rank["rank"])
        if first != rank["rank"]:
            raise Unsupported(
                f"ranks {first} and {rank['rank']} on {rank['host']} hold the same accelerator "
                f"({rank['device']}, {rank['uuid']}); give every task its own"
            )


def seed_everything(seed: int) -> None:
    """Seed Python's, numpy's and torch's generators; the same on every rank."""
    import numpy as np
    import torch

    random.seed(seed)
    np.random.seed(seed % 2**32)
    torch.manual_seed(seed)


def _whole(text: str | None) -> int | None:
    return int(text) if text and text.isascii() and text.isdigit() and int(text) > 0 else None
