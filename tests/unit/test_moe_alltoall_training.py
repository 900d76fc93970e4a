"""A trace of our own training's routing can be replayed."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import torch
from gloo_ranks import CPU, layout, on_ranks
from moe_alltoall_cases import probe
from moe_cases import content
from ranks import case

from seatrial.config.probe.moe_alltoall import ReplayLoad
from seatrial.config.training import Moe
from seatrial.measure.context import RankContext
from seatrial.measure.moe_alltoall.trace import check_trace, read_trace
from seatrial.train.learner import Learner
from seatrial.train.moe.run import MoeObjective, build
from seatrial.train.moe.trace import RoutingTrace

STEPS, KEPT = 5, 3


def trained(rank: int, size: int, path: str, parallelism: dict[str, int]) -> Any:
    """Some steps of a mixture whose ranks share the experts; this rank's own counts of the last ones."""
    place = layout(rank, size, **parallelism)
    workload = Moe.model_validate(content(parallelism=parallelism, batch_size=8 // place.data_size))
    draws = torch.Generator().manual_seed(1)
    windows = torch.randint(0, 256, (70, 13), generator=draws).to(torch.uint8)
    made = MoeObjective(workload, windows[:64], windows[64:], place, 3, RoutingTrace(KEPT, place, Path(path)))
    learner = Learner(workload, made, place, 3)
    seen = []
    note = made.statistics.step_done
    made.statistics.step_done = lambda: (counts := note(), seen.append(counts[:, 1].clone()))[0]  # type: ignore[method-assign]
    for step in range(STEPS):
        learner.train_step(step)
    made.measurements()
    return torch.stack(seen[-KEPT:])


def test_the_counts_of_every_rank_and_of_the_last_steps_are_kept_and_can_be_replayed(tmp_path: Path) -> None:
    path = tmp_path / "0.routing.npz"
    counted = on_ranks(trained, 2, str(path), {"ep": 2})
    for layer in range(2):
        load = ReplayLoad(kind="replay", file=str(path), array=f"layer_{layer}")
        counts = read_trace(load)
        assert counts.shape == (KEPT, 2, 4)
        for rank in range(2):
            assert (counts[:, rank] == counted[rank][:, layer].numpy()).all()
        # 4 sequences of 12 bytes on each rank, each byte chooses 2 experts
        assert (counts.sum(axis=2) == 4 * 12 * 2).all()
        check_trace(probe(load=load.model_dump(), tokens=48, experts=4, top_k=2), counts, 2)
    assert not (read_trace(load)[0] == read_trace(load)[1]).all()


def test_a_training_that_is_asked_for_it_leaves_a_trace_beside_its_record(tmp_path: Path) -> None:
    for steps, there in ((0, False), (2, True)):
        what = case(content(routing_trace_steps=steps, max_steps=4))
        ctx = RankContext(what, steps, 3, 0, 0, 1, CPU, tmp_path)
        workload = what.workload
        assert isinstance(workload, Moe)
        made = build(ctx, workload, layout())
        learner = Learner(workload, made, layout(), 3)
        for step in range(3):
            learner.train_step(step)
        made.measurements()
        assert (tmp_path / f"{steps}.routing.npz").exists() == there
    assert read_trace(ReplayLoad(kind="replay", file=str(tmp_path / "2.routing.npz"), array="layer_1")).shape == (
        2,
        1,
        4,
    )


def test_one_rank_writes_what_it_has_and_nothing_before_the_first_step(tmp_path: Path) -> None:
    path = tmp_path / "0.routing.npz"
    trace = RoutingTrace(2, layout(), path)
    trace.write()
    assert not path.exists()
    for step in range(3):
        trace.note(torch.full((1, 4), step))
    trace.write()
    assert (np.load(path)["layer_0"] == np.array([[[1] * 4], [[2] * 4]])).all()
