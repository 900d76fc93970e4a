"""Run a function on several ranks, each a process of its own, joined over gloo."""

from __future__ import annotations

import tempfile
import time
import traceback
from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch
import torch.distributed as dist
import torch.multiprocessing as mp

from seatrial.config.training import Parallelism
from seatrial.train.layout import Layout
from seatrial.train.phases import Phases
from seatrial.train.ranks import Ranks

CPU = torch.device("cpu")


def layout(rank: int = 0, size: int = 1, **parallelism: int) -> Layout:
    """A rank's place; the process group must be there where size > 1."""
    return Layout(Ranks(rank, size, CPU), Parallelism(**parallelism), Phases(CPU))


def on_ranks(work: Callable[..., Any], size: int, *arguments: Any, within: float = 120) -> list[Any]:
    """What `work(rank, size, *arguments)`, a function of a module, returns on each rank."""
    if size == 1:
        return [work(0, 1, *arguments)]
    with tempfile.TemporaryDirectory() as folder:
        context = mp.get_context("spawn")
        ranks = [
            context.Process(target=_rank, args=(work, rank, size, folder, arguments), daemon=True)
            for rank in range(size)
        ]
        for process in ranks:
            process.start()
        try:
            deadline = time.monotonic() + within
            for process in ranks:
                process.join(max(0.1, deadline - time.monotonic()))
        finally:
            for process in ranks:
                process.kill()
        wrong = [path.read_text() for path in sorted(Path(folder).glob("*.error"))]
        assert not wrong, "\n".join(wrong)
        assert [p.exitcode for p in ranks] == [0] * size, "a rank did not end"
        return [torch.load(Path(folder) / f"{rank}.pt", weights_only=False) for rank in range(size)]


def _rank(work: Callable[..., Any], rank: int, size: int, folder: str, arguments: tuple[Any, ...]) -> None:
    torch.set_num_threads(1)
    store = dist.FileStore(f"{folder}/store", size)
    dist.init_process_group("gloo", store=store, rank=rank, world_size=size)
    try:
        torch.save(work(rank, size, *arguments), f"{folder}/{rank}.pt")
        dist.barrier()
    except Exception:  # the test shows it
        Path(f"{folder}/{rank}.error").write_text(f"rank {rank}\n{traceback.format_exc()}")
        raise
    finally:
        dist.destroy_process_group()
