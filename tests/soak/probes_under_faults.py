"""How near do the probes read a fault? Each of four, five times over, places and rates drawn anew. Run by hand:

    make slurm && pytest -s tests/soak/probes_under_faults.py

as root; about ten minutes on two cores. It prints the table of docs/measured.md. SEATRIAL_FAULT_SEED repeats a run.
"""

from __future__ import annotations

import sys
from collections.abc import Iterator
from contextlib import AbstractContextManager
from pathlib import Path
from typing import NamedTuple

import pytest

sys.path.insert(0, str(Path(__file__).parents[1] / "slurm"))
from faulted_study import (
    ALL_REDUCE,
    BISECTION,
    MIB,
    PAIRS,
    Experiments,
    all_reduce_rate,
    bisection_rates,
    checkpoint_in,
    checkpoint_rates,
    pair_rates,
    run_by_hand,
    slow_pairs,
)
from faults import Cluster, Draw, all_links, payload_rate, throttled_disk, throttled_link, throttled_pair
from private_slurm import disk_can_be_throttled, slurm_network_cluster

__all__ = ["disk_can_be_throttled", "slurm_network_cluster"]
TURNS = range(1, 6)
TENTH = 0.1


class Reading(NamedTuple):
    """What a probe should read and what it read, in bytes per second."""

    probe: str
    expected: float
    read: float

    @property
    def ratio(self) -> float:
        return self.read / self.expected


@pytest.fixture(scope="module")
def draw() -> Iterator[Draw]:
    """One generator for all turns; the table's head before them."""
    chosen = Draw()
    print("\n| fault | turn | drawn | probe | MB/s expected | MB/s read | ratio |\n|---|---|---|---|---|---|---|")
    yield chosen


def tell(fault: str, turn: int, drawn: str, readings: list[Reading]) -> None:
    """Print a row for each reading; all must be within a tenth."""
    for reading in readings:
        print(
            f"| {fault} | {turn} | {drawn} | {reading.probe} | {reading.expected / 1e6:.2f} | "
            f"{reading.read / 1e6:.2f} | {reading.ratio:.3f} |",
            flush=True,
        )
    assert [r for r in readings if abs(r.ratio - 1) > TENTH] == []


def study_under(
    fault: AbstractContextManager[None], project: Path, cluster: Cluster, experiments: Experiments
) -> Path:
    """The results of a study while there is a fault."""
    with fault:
        return run_by_hand(project, cluster, experiments)


@pytest.mark.parametrize("turn", TURNS)
def test_one_link(turn: int, project: Path, slurm_network_cluster: Cluster, draw: Draw) -> None:
    cluster = slurm_network_cluster
    node, mbit = draw.node(cluster.nodes), draw.mbit(120, 250)
    folder = study_under(throttled_link(cluster, node, mbit), project, cluster, ALL_REDUCE | BISECTION | PAIRS)
    link = payload_rate(mbit, cluster.mtu)
    readings = [Reading("all_reduce", link, all_reduce_rate(folder))]
    readings += [Reading(f"bisection, {cut}", 2 * link, read) for cut, read in bisection_rates(folder).items()]
    own = {pair: read for pair, read in pair_rates(folder).items() if node in pair.split("-")}
    readings += [Reading(f"pair {pair}", link, read) for pair, read in own.items()]
    tell("one link", turn, f"{node}, {mbit} Mbit/s", readings)
    assert slow_pairs(folder) == set(own)


@pytest.mark.parametrize("turn", TURNS)
def test_one_pair(turn: int, project: Path, slurm_network_cluster: Cluster, draw: Draw) -> None:
    cluster = slurm_network_cluster
    (first, second), mbit = draw.pair(cluster.nodes), draw.mbit(120, 250)
    folder = study_under(throttled_pair(cluster, first, second, mbit), project, cluster, PAIRS)
    name = f"{first}-{second}"
    reading = Reading("pair", payload_rate(mbit, cluster.mtu), pair_rates(folder)[name])
    tell("one pair", turn, f"{name}, {mbit} Mbit/s", [reading])
    assert slow_pairs(folder) == {name}


@pytest.mark.parametrize("turn", TURNS)
def test_all_links(turn: int, project: Path, slurm_network_cluster: Cluster, draw: Draw) -> None:
    cluster, mbit = slurm_network_cluster, draw.mbit(120, 250)
    folder = study_under(all_links(cluster, mbit), project, cluster, ALL_REDUCE | PAIRS)
    link = payload_rate(mbit, cluster.mtu)
    readings = [Reading("all_reduce", link, all_reduce_rate(folder))]
    readings += [Reading(f"pair {pair}", link, read) for pair, read in pair_rates(folder).items()]
    tell("all links", turn, f"{mbit} Mbit/s", readings)
    assert slow_pairs(folder) == set()


@pytest.mark.parametrize("turn", TURNS)
def test_shared_disk(
    turn: int,
    project: Path,
    slurm_network_cluster: Cluster,
    draw: Draw,
    disk_can_be_throttled: None,
    tmp_path: Path,
) -> None:
    cluster, rate = slurm_network_cluster, draw.bytes_per_second(16e6, 24e6)
    (tmp_path / "disk").mkdir()
    fault = throttled_disk(cluster, cluster.nodes, rate, tmp_path)
    folder = study_under(fault, project, cluster, checkpoint_in(tmp_path / "disk"))
    readings = [Reading(f"checkpoint, {way}", rate, read) for way, read in checkpoint_rates(folder).items()]
    assert len(readings) == 2
    tell("shared disk", turn, f"{rate / MIB:.2f} MiB/s", readings)
