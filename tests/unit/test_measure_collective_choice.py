"""Implementation auto: nccl-tests where every rank finds what it needs, else torch, and the record says why."""

from __future__ import annotations

import datetime as dt
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest
import torch
from ranks import case
from test_measure_nccl_tests_fake_program import collective_case, fake
from torch.distributed import HashStore

from seatrial.case import Case
from seatrial.config.probe import Collective
from seatrial.measure.collective.choice import settle_implementation
from seatrial.measure.context import RankContext
from seatrial.measure.session import choose_backend

pytestmark = pytest.mark.timeout(60)
LAUNCHED = ("PMI_RANK", "PMIX_RANK", "OMPI_COMM_WORLD_RANK")


@pytest.fixture(autouse=True)
def no_launcher(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in LAUNCHED:
        monkeypatch.delenv(name, raising=False)


def open_case(folder: Path, nodes: int = 1, **changes: Any) -> Case:
    return collective_case(folder, nodes, implementation="auto", **changes)


def settled(*of_ranks: Case, device: str = "cuda") -> tuple[str, str]:
    """What all ranks come to, each with a view of its own on the case, and why."""
    store = HashStore()
    store.set_timeout(dt.timedelta(seconds=20))
    size = len(of_ranks)
    contexts = [RankContext(of, 0, 1, r, r, size, torch.device(device), Path()) for r, of in enumerate(of_ranks)]
    with ThreadPoolExecutor(size) as pool:
        list(pool.map(lambda ctx: settle_implementation(ctx, store), contexts))
    (facts,) = {tuple(sorted(ctx.facts["implementation"].items())) for ctx in contexts}
    said = dict(facts)
    for ctx in contexts:
        assert isinstance(ctx.case.workload, Collective) and ctx.case.workload.implementation == said["used"]
        assert ctx.case.case_id == of_ranks[ctx.rank].case_id
        plain = device == "cuda" and said["used"] == "torch" and ctx.case.workload.backend == "auto"
        assert choose_backend(ctx.case, device) == ("nccl" if plain else "gloo")
    return said["used"], said["why"]


def test_auto_is_the_default() -> None:
    workload = case({"kind": "collective", "operation": "broadcast", "size_bytes": 8}, 2).workload
    assert isinstance(workload, Collective) and workload.implementation == "auto"


def test_a_program_that_every_rank_finds_measures(tmp_path: Path) -> None:
    there = open_case(fake(tmp_path / "build"))
    used, why = settled(there, there)
    assert used == "nccl_tests" and why.endswith("all_reduce_perf is there")


def test_a_program_that_one_rank_lacks_leaves_all_to_torch(tmp_path: Path) -> None:
    used, why = settled(open_case(fake(tmp_path / "build")), open_case(tmp_path / "nowhere"))
    assert used == "torch" and why.startswith("rank 1: no program all_reduce_perf of nccl-tests in ")


def test_cpus_and_gloo_are_torchs_whatever_is_installed(tmp_path: Path) -> None:
    there = open_case(fake(tmp_path / "build"))
    assert settled(there, there, device="cpu")[0] == "torch"
    asked = open_case(fake(tmp_path / "build"), backend="gloo")
    assert settled(asked, asked) == (
        "torch",
        "backend gloo is asked for, and nccl-tests has NCCL or RCCL under it",
    )


def test_several_nodes_need_mpi_in_the_program_and_in_the_launcher(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    plain, mpi = (open_case(fake(tmp_path / name, mpi=name == "mpi"), nodes=2) for name in ("plain", "mpi"))
    assert "was built without MPI" in settled(plain, plain)[1]
    assert "no launcher left words for MPI" in settled(mpi, mpi)[1]
    monkeypatch.setenv("PMIX_RANK", "0")
    assert settled(mpi, mpi)[0] == "nccl_tests"


def test_a_limit_for_each_size_is_said_not_to_hold_for_programs(tmp_path: Path) -> None:
    limited = open_case(fake(tmp_path / "build"), most_seconds_per_size=1.0)
    used, why = settled(limited, limited)
    assert used == "nccl_tests" and "most_seconds_per_size holds for torch only" in why
