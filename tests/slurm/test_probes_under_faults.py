"""Do the probes read what is there? Links and disks of the test Slurm made slow, to a rate drawn at run time."""

import tempfile
from pathlib import Path

import pytest
from faulted_study import (
    ALL_REDUCE,
    BISECTION,
    PAIRS,
    all_reduce_rate,
    bisection_rates,
    checkpoint_in,
    checkpoint_rates,
    pair_rates,
    reached,
    run_by_hand,
    run_study,
    slow_pairs,
)
from faults import Draw, all_links, payload_rate, throttled_disk, throttled_link, throttled_pair

pytestmark = [pytest.mark.slurm, pytest.mark.alone, pytest.mark.timeout(300)]


def test_a_slow_link_and_a_slow_disk_are_read_to_a_tenth(
    project, slurm_network_cluster, disk_can_be_throttled, tmp_path
):
    """The link of one node, and the disk that all of them share."""
    cluster, draw = slurm_network_cluster, Draw()
    node, mbit, disk = draw.node(cluster.nodes), draw.mbit(100, 180), draw.bytes_per_second(16e6, 24e6)
    (tmp_path / "disk").mkdir()
    experiments = ALL_REDUCE | BISECTION | checkpoint_in(tmp_path / "disk")
    with throttled_link(cluster, node, mbit), throttled_disk(cluster, cluster.nodes, disk, tmp_path):
        folder = run_study(project, cluster, experiments)
    link = payload_rate(mbit, cluster.mtu)
    assert all_reduce_rate(folder) == pytest.approx(link, rel=0.1)
    # two pairs exchange at a time, and the time of the slower one counts for both
    both = {"host_order": 2 * link, "shift": 2 * link, "random": 2 * link}
    assert bisection_rates(folder) == pytest.approx(both, rel=0.1)
    assert checkpoint_rates(folder) == pytest.approx({"write": disk, "read": disk}, rel=0.1)


def test_a_slow_pair_is_named_and_read_to_a_tenth(project, slurm_network_cluster):
    cluster, draw = slurm_network_cluster, Draw()
    (first, second), mbit = draw.pair(cluster.nodes), draw.mbit(100, 180)
    # the others are links of one rate, as a fabric has: bare virtual ones are as fast as the processors let them be
    with all_links(cluster, 500), throttled_pair(cluster, first, second, mbit):
        folder = run_by_hand(project, cluster, PAIRS)
    rate, rates = payload_rate(mbit, cluster.mtu), pair_rates(folder)
    assert len(rates) == 6
    assert slow_pairs(folder) == {f"{first}-{second}"}
    assert rates.pop(f"{first}-{second}") == pytest.approx(rate, rel=0.1)
    assert min(rates.values()) > 2 * rate


def test_checkpoints_in_memory_are_called_that_and_not_storage(project, slurm_network_cluster):
    with tempfile.TemporaryDirectory(dir="/dev/shm") as memory:
        folder = run_by_hand(project, slurm_network_cluster, checkpoint_in(Path(memory)))
    assert reached(folder) == {"write": "memory_file_system", "read": "memory_file_system"}
    assert checkpoint_rates(folder) == {}
