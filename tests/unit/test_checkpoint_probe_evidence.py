"""What the counters prove, what the declared storage allows, and what a checkpoint's case may ask for."""

from __future__ import annotations

import math
import shutil
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from checkpoint_runs import checkpoint
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError
from ranks import case

from seatrial.checks import check_plan
from seatrial.config.metrics.origin import ENOUGH
from seatrial.config.probe import Checkpoint
from seatrial.errors import ConfigError
from seatrial.measure.checkpoint.ceiling import ceiling
from seatrial.measure.checkpoint.evidence import Evidence, OfRank, judged
from seatrial.plan import make_plan

CONF = Path(__file__).parents[2] / "conf"
NAN = math.nan
ALL, NONE = [1.0, 1.0], [0.0, 0.0]


@pytest.mark.parametrize(
    ("direction", "kinds", "device", "own", "synced", "reached"),
    [
        ("write", ["counted"], ALL, NONE, True, "storage"),
        ("write", ["counted"], ALL, [NAN, NAN], True, "storage"),
        ("write", ["counted"], [1.0, 0.89], ALL, True, "page_cache"),
        ("write", ["counted"], ALL, ALL, False, "page_cache"),  # others wrote meanwhile
        ("read", ["counted"], ALL, ALL, False, "storage"),
        ("read", ["counted"], ALL, [1.0, 0.5], True, "page_cache"),  # others read meanwhile
        ("read", ["counted"], ALL, [NAN, NAN], True, "storage"),
        ("read", ["counted"], [0.0, 1.0], ALL, True, "page_cache"),
        ("read", ["counted", "memory"], ALL, ALL, True, "memory_file_system"),
        ("read", ["counted", "unknown"], ALL, ALL, True, "unknown"),
        ("write", ["counted"], [1.0, NAN], ALL, True, "unknown"),
    ],
)
def test_what_was_reached_is_the_least_that_is_proven(
    direction: Any, kinds: list[str], device: list[float], own: list[float], synced: bool, reached: str
) -> None:
    found = Evidence(direction, kinds, device, own, synced, [0.0, 0.1])
    assert found.reached == reached
    assert found.words().startswith(f"{direction}: ")
    assert (found.metric == f"checkpoint.{direction}_bandwidth") == (reached == "storage")


@given(
    st.sampled_from(["write", "read"]),
    st.lists(st.sampled_from(["counted", "memory", "unknown"]), min_size=1),
    st.lists(st.floats(0, 3), min_size=1),
    st.booleans(),
)
def test_no_evidence_short_of_all_of_it_is_storage(
    direction: Any, kinds: list[str], shares: list[float], synced: bool
) -> None:
    found = Evidence(direction, kinds, shares, shares, synced, [0.0])
    enough = set(kinds) == {"counted"} and min(shares) >= ENOUGH and (synced or direction == "read")
    assert (found.reached == "storage") == enough
    assert found.words()


def of_ranks(ranks: int, per_machine: int, **of_last: list[float]) -> list[OfRank]:
    """Ranks of 100 bytes each; the first of a machine reads its counter, which sees all; the last is different."""
    found = []
    for rank in range(ranks):
        device = [100.0 * per_machine if rank % per_machine == 0 else 0.0]
        said: dict[str, Any] = {"device": device, "own": [100.0], "resident": [0.0]}
        found.append(OfRank(f"m{rank // per_machine}", 100.0, **(said | (of_last if rank == ranks - 1 else {}))))
    return found


@pytest.mark.parametrize(
    ("ranks", "words"),
    [
        # one of 16 ranks alone reads from memory: 6 % of all bytes, 100 % of its own
        (of_ranks(16, 16, own=[0.0]), "own count is 0.00"),
        (of_ranks(16, 16, resident=[1.0]), "held 1.00 of a rank's pages"),
        (of_ranks(16, 1, device=[0.0]), "by 0.00 to 1.00 of the bytes: the page cache answered"),
        (of_ranks(16, 8, own=[89.0]), "own count is 0.89"),
        (of_ranks(16, 8, resident=[0.11]), "held 0.11"),
        # a network mount, whose reads no process's own counter sees, with as much traffic of another job
        ([replace(rank, own=[NAN]) for rank in of_ranks(4, 1, resident=[1.0])], "held 1.00"),
        ([replace(rank, resident=[]) for rank in of_ranks(4, 1)], "may have answered"),
    ],
)
def test_one_rank_or_machine_that_cached_makes_all_of_a_read_none_of_storage(ranks: Any, words: str) -> None:
    found = judged("read", ["counted"], ranks, True)
    assert found.reached == "page_cache"
    assert words in found.words()


def test_a_cold_read_that_every_machine_counted_is_one_of_storage() -> None:
    for ranks in (of_ranks(16, 8), [replace(rank, own=[NAN]) for rank in of_ranks(4, 1, resident=[0.1])]):
        assert judged("read", ["counted"], ranks, True).reached == "storage"
    far = judged("write", ["counted"], of_ranks(4, 2, device=[400.0]), True)
    assert (far.reached, far.device, far.most) == ("storage", [1.0], [3.0])
    assert "others used it" in far.words()
    assert judged("write", ["counted"], of_ranks(2, 1, device=[0.0]), True).reached == "page_cache"


def test_others_on_the_device_are_told_of() -> None:
    assert "others used it" in Evidence("write", ["counted"], [1.0, 2.8], ALL).words()
    assert "others" not in Evidence("write", ["counted"], ALL, ALL).words()


def fact(value: float | None) -> dict[str, Any]:
    return {"value": value, "source": "its data sheet"}


def bound(direction: Any, rates: dict[str, Any], **more: Any) -> tuple[float, str] | None:
    declared = {"lustre": {"name": "Lustre", "path": "/scratch", **rates}}
    what = case(checkpoint(**{"folder": "/scratch/ckpt", **more}), nodes=4, storage=declared)
    assert isinstance(what.workload, Checkpoint)
    return ceiling(what.target, what.workload, direction)


def test_the_ceiling_is_the_least_that_the_declared_storage_allows() -> None:
    both = {
        "write_gbps": fact(30),
        "write_gbps_per_node": fact(5),
        "read_gbps": fact(15),
        "read_gbps_per_node": fact(5),
    }
    write, read = bound("write", both), bound("read", both)
    assert write is not None and read is not None
    assert write == (20, "4 nodes at 5 GB/s to Lustre: its data sheet")
    assert read == (15, "read rate of Lustre: its data sheet")
    assert bound("write", {"write_gbps": fact(None)}) is None
    assert bound("write", both, folder=None, storage="lustre") == write
    assert bound("write", both, folder="/home/ckpt") is None


def test_the_storage_with_the_longest_path_is_the_one() -> None:
    declared = {
        "all": {"name": "root", "path": "/", "write_gbps": fact(1)},
        "nvme": {"name": "NVMe", "path": "/local/nvme", "write_gbps": fact(7)},
    }
    what = case(checkpoint("/local/nvme/x"), storage=declared)
    assert isinstance(what.workload, Checkpoint)
    assert ceiling(what.target, what.workload, "write") == (7, "write rate of NVMe: its data sheet")


@pytest.mark.parametrize(
    ("words", "problem"),
    [
        ({"path": None}, "exactly one of path"),
        ({"storage": "nvme"}, "exactly one of path"),
        ({"direct": True, "format": "dcp"}, "through the page cache"),
        ({"kept": 3}, "only 2 checkpoints are written"),
        ({"block_bytes": 5000}, "multiple of 4096"),
        ({"parameters": 0}, "greater than or equal to 1"),
        ({"bytes_per_parameter": 0}, "greater than 0"),
        ({"format": "safetensors"}, "'plain' or 'dcp'"),
        ({"read_from": "anyone"}, "'own' or 'next_node'"),
    ],
)
def test_a_case_that_contradicts_itself_is_refused(words: dict[str, Any], problem: str) -> None:
    with pytest.raises(ValidationError, match=problem):
        Checkpoint.model_validate(checkpoint("/scratch", **words))


def test_a_checkpoint_is_parameters_times_their_bytes() -> None:
    work = Checkpoint.model_validate(checkpoint("/scratch", parameters=8_030_000_000))
    assert work.size_bytes / 1024**3 == pytest.approx(104.7, abs=0.05)
    assert work.kept_at_once == work.iterations == 2


@pytest.fixture
def plan(tmp_path: Path) -> Any:
    """Plans a study of the shipped workload with words of the user's own; the problem's words, or none."""
    conf = tmp_path / "conf"
    shutil.copytree(CONF, conf)
    (conf / "study" / "one.yaml").write_text(
        "# @package _global_\n"
        "defaults:\n  - /workload@experiments.store.workload: checkpoint\n  - _self_\n"
        "title: one\nexperiments: {store: {repeats: 1}}\n"
    )

    def planned(*words: str) -> str:
        try:
            check_plan(make_plan(["study=one", "target=local", *words], conf))
        except ConfigError as problem:
            return str(problem)
        return ""

    return planned


def test_plans_refuse_what_no_rank_can_mend(plan: Any) -> None:
    work = "experiments.store.workload"
    assert plan() == ""
    nodes = ["target.name=two", "target.nodes=2"]
    several = plan(*nodes)
    assert "absolute path" in several and f"{work}.path" in several
    assert plan(*nodes, f"{work}.path=/scratch") == ""
    assert "no other node" in plan(f"{work}.read_from=next_node")
    assert plan(*nodes, f"{work}.path=/scratch", f"{work}.read_from=next_node") == ""
    assert "fewer bytes than ranks" in plan(
        "target.tasks_per_node=4", f"{work}.parameters=1", f"{work}.bytes_per_parameter=2"
    )


def test_plans_know_the_targets_storage_by_name(plan: Any) -> None:
    work = "experiments.store.workload"
    by_name = [f"{work}.path=null", f"{work}.storage=lustre"]
    assert "target.storage has none" in plan(*by_name)
    declared = "+target.storage={nvme: {name: NVMe, path: /tmp}, lustre: {name: Lustre}}"
    words = plan(*by_name, declared)
    assert f"{work}.storage" in words and "nvme" in words
    assert plan(f"{work}.path=null", f"{work}.storage=nvme", declared) == ""
