"""The grid of ranks: who shares what with whom."""

from __future__ import annotations

import itertools
from typing import Any

import pytest
import torch
import torch.distributed as dist
from gloo_ranks import layout, on_ranks
from hypothesis import given
from hypothesis import strategies as st
from study_on_disk import FINETUNE

from seatrial.config.training import LlmFinetune, Parallelism
from seatrial.train.layout import AXES, Layout, _groups, _unravel
from seatrial.train.phases import Phases
from seatrial.train.ranks import Ranks

SIZES = st.tuples(*[st.integers(1, 3)] * 4)


@given(SIZES)
def test_places_count_through_the_grid_tp_fastest(sizes: tuple[int, ...]) -> None:
    grid = list(itertools.product(*(range(size) for size in sizes)))
    assert [tuple(_unravel(rank, sizes)) for rank in range(len(grid))] == grid


@given(SIZES, st.sets(st.integers(0, 3), min_size=1))
def test_groups_are_the_ranks_that_differ_along_their_axes_alone(sizes: tuple[int, ...], along: set[int]) -> None:
    groups = _groups(sizes, sorted(along))
    count = 1
    for size in sizes:
        count *= size
    assert sorted(rank for group in groups for rank in group) == list(range(count))
    for group in groups:
        places = [_unravel(rank, sizes) for rank in group]
        assert group == sorted(group)
        for axis in range(4):
            seen = {place[axis] for place in places}
            assert len(seen) == (sizes[axis] if axis in along else 1)


def test_alone_there_are_no_groups_and_all_data_is_ones_own() -> None:
    place = layout()
    assert (place.data_rank, place.data_size, place.part) == (0, 1, "tp0")
    for axis in AXES:
        assert getattr(place, axis).group is None
    assert place.data_total([2.5, 1.0]) == [2.5, 1.0]


def test_ranks_that_do_not_come_out_even_are_refused_in_words() -> None:
    with pytest.raises(ValueError, match=r"tp 3.*is 3, but the target has 4 rank"):
        Layout(Ranks(0, 4, torch.device("cpu")), Parallelism(tp=3), Phases(torch.device("cpu")))


def _found(rank: int, size: int, parallelism: dict[str, int]) -> dict[str, Any]:
    place = layout(rank, size, **parallelism)
    members = {}
    for name in (*AXES, "replicas"):
        axis = getattr(place, name)
        members[name] = [rank] if axis.group is None else dist.get_process_group_ranks(axis.group)
        assert members[name][axis.rank] == rank and len(members[name]) == axis.size
    total = place.data_total([float(place.data_rank), 1.0])
    return {
        **members,
        "data_rank": place.data_rank,
        "data_size": place.data_size,
        "part": place.part,
        "total": total,
    }


def test_four_ranks_share_data_experts_and_layers() -> None:
    found = on_ranks(_found, 4, {"ep": 2, "tp": 2})
    assert [f["tp"] for f in found] == [[0, 1], [0, 1], [2, 3], [2, 3]]
    assert [f["ep"] for f in found] == [[0, 2], [1, 3], [0, 2], [1, 3]]
    assert [f["replicas"] for f in found] == [f["ep"] for f in found]
    assert [f["data_rank"] for f in found] == [0, 0, 1, 1], "ranks of one tp group see the same data"
    assert {f["data_size"] for f in found} == {2}
    assert [f["part"] for f in found] == ["tp0.ep0", "tp1.ep0", "tp0.ep1", "tp1.ep1"]
    assert [f["total"] for f in found] == [[1.0, 2.0]] * 4, "each share counts once"


@pytest.mark.parametrize(
    ("parallelism", "world_size", "batch"),
    [({}, 4, 24), ({"tp": 2}, 4, 12), ({"fsdp": 2, "tp": 2}, 8, 24), ({"dp": 2, "fsdp": 2}, 4, 24)],
    ids=str,
)
def test_the_global_batch_counts_the_ranks_with_different_data(
    parallelism: dict[str, int], world_size: int, batch: int
) -> None:
    workload = LlmFinetune.model_validate(
        FINETUNE | {"batch_size": 2, "gradient_accumulation": 3, "parallelism": parallelism}
    )
    assert workload.global_batch(world_size) == batch


def test_a_global_batch_on_ranks_that_do_not_come_out_even_is_refused() -> None:
    workload = LlmFinetune.model_validate(FINETUNE | {"parallelism": {"tp": 2}})
    with pytest.raises(ValueError, match="but the target has 3"):
        workload.global_batch(3)
