"""A training on a real accelerator: phases by events on the device, checkpoints, its profile."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

import pytest
import torch
import torch.distributed as dist

sys.path.insert(0, str(Path(__file__).parents[1] / "unit"))

from ranks import case
from small_training import Points, losses, run, samples, workload

from seatrial.measure.context import RankContext
from seatrial.train.overlap import start_profile, stop_profile
from seatrial.train.phases import Phases

pytestmark = [
    pytest.mark.gpu,
    pytest.mark.skipif(not torch.cuda.is_available(), reason="no accelerator here: torch.cuda finds none"),
]
DEVICE = torch.device("cuda", 0)


def context(folder: Path, **more: Any) -> RankContext:
    return RankContext(
        case=case(workload(**more)), repeat=0, seed=3, rank=0, local_rank=0, world_size=1, device=DEVICE,
        folder=folder,
    )  # fmt: skip


def on_device(objective: Points, ctx: RankContext) -> None:
    objective.model.to(DEVICE)
    objective._rows, objective._classes = objective._rows.to(DEVICE), objective._classes.to(DEVICE)


def test_phases_are_as_long_as_the_device_worked_not_as_the_host_queued() -> None:
    timer = Phases(DEVICE)
    a = torch.randn(4096, 4096, device=DEVICE)
    for _ in range(3):
        a @ a  # what is done first takes longer
    timer.start()
    for _ in range(3):
        with timer("compute"):
            for _ in range(50):
                a @ a
        with timer("data_wait"):
            torch.cuda._sleep(10_000_000)
        timer.step_done()
    seconds, steps = timer.stop()
    assert sum(sum(step) for step in steps) == pytest.approx(seconds, rel=0.05)
    for step in steps:
        compute, communication, data, other = step
        assert compute > 0.5 * (compute + data + other)
        assert data > 1e-3 and communication == 0.0


@pytest.mark.parametrize("mode", ["synchronous", "asynchronous"])
def test_training_with_checkpoints_measures_the_same_losses(mode: str, tmp_path: Path) -> None:
    plain = context(tmp_path / "plain")
    run(plain, on_device)
    saving = context(tmp_path / "saving", checkpoint_interval_steps=5, checkpoint_mode=mode)
    run(saving, on_device)
    assert losses(saving) == losses(plain)
    assert len(samples(saving, "train.checkpoint_stall_time")) == (max(losses(saving)) - 1) // 5


def test_training_is_taken_up_where_it_was_cut(tmp_path: Path) -> None:
    def cut(objective: Points, ctx: RankContext) -> None:
        on_device(objective, ctx)
        right = objective.after_update

        def after_update(step: int) -> None:
            right(step)
            if step == 12:
                raise KeyboardInterrupt

        objective.after_update = after_update  # type: ignore[method-assign]

    more = {"checkpoint_interval_steps": 5, "checkpoint_mode": "asynchronous"}
    with pytest.raises(KeyboardInterrupt):
        run(context(tmp_path / "cut", **more), cut)
    resumed = context(tmp_path / "cut", **more)
    run(resumed, on_device)
    whole = context(tmp_path / "whole", **more)
    run(whole, on_device)
    assert resumed.resumed == 1
    assert losses(resumed) == pytest.approx(losses(whole), rel=1e-5)


def test_profile_finds_kernels_of_this_device() -> None:
    a = torch.randn(2048, 2048, device=DEVICE)
    a @ a
    torch.cuda.synchronize()
    profiler = start_profile()
    for _ in range(20):
        a @ a
    torch.cuda.synchronize()
    found = stop_profile(profiler)
    assert found.compute > 0
    assert (found.communication, found.exposed) == (0.0, 0.0)


def test_profile_tells_communication_kernels_where_there_are_two_devices() -> None:
    """With one device NCCL copies: no kernel of its own runs, and nothing can be told."""
    if torch.cuda.device_count() < 2:
        pytest.skip("one accelerator: NCCL runs no kernel of its own")
    from torch.multiprocessing import spawn

    spawn(_profiled_rank, nprocs=2)


def _profiled_rank(rank: int) -> None:
    torch.cuda.set_device(rank)
    dist.init_process_group("nccl", init_method="tcp://127.0.0.1:29517", rank=rank, world_size=2)
    tensor = torch.ones(1 << 22, device="cuda")
    dist.all_reduce(tensor)
    torch.cuda.synchronize()
    profiler = start_profile()
    dist.all_reduce(tensor)
    torch.cuda.synchronize()
    found = stop_profile(profiler)
    assert found.communication > 0
    assert found.exposed == pytest.approx(found.communication)
    dist.destroy_process_group()
