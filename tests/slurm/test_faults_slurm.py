"""The faults themselves: they do what they say, to what they name alone, and are gone afterwards."""

import dataclasses
import subprocess
import sys
import time
from pathlib import Path

import psutil
import pytest
from faults import (
    Draw,
    all_links,
    background_load,
    groups,
    payload_rate,
    slow_loader,
    throttled_disk,
    throttled_link,
    throttled_pair,
    throttled_processors,
)

pytestmark = [pytest.mark.slurm, pytest.mark.timeout(120)]
CLUSTER = Path(__file__).parent / "cluster"
MIB = 1 << 20

RECEIVE = """
import socket, sys, time
listening = socket.create_server((sys.argv[1], 5555))
listening.settimeout(20)
print("listening", flush=True)
connection, _ = listening.accept()
started, received = time.perf_counter(), 0
while data := connection.recv(1 << 20):
    received += len(data)
print(received / (time.perf_counter() - started))
"""
SEND = """
import socket, sys
with socket.create_connection((sys.argv[1], 5555), 10) as connection:
    connection.sendall(bytes(int(sys.argv[2])))
"""
WRITE_AND_READ = """
import os, sys, time
path, size = sys.argv[1], int(sys.argv[2])
started = time.perf_counter()
file = os.open(path, os.O_RDWR | os.O_CREAT)
os.write(file, os.urandom(size))
os.fsync(file)
print(size / (time.perf_counter() - started))
os.posix_fadvise(file, 0, 0, os.POSIX_FADV_DONTNEED)
started = time.perf_counter()
assert len(os.pread(file, size, 0)) == size
print(size / (time.perf_counter() - started))
os.unlink(path)
"""


def tcp_rate(cluster, sender, receiver):
    """Bytes per second that one connection takes of 8 MiB."""
    inside = [
        ["ip", "netns", "exec", cluster.namespace(node), sys.executable, "-S", "-c"] for node in (sender, receiver)
    ]
    where = cluster.address(receiver)
    receive = subprocess.Popen([*inside[1], RECEIVE, where], stdout=subprocess.PIPE, text=True)
    try:
        assert receive.stdout.readline() == "listening\n"
        subprocess.run([*inside[0], SEND, where, str(8 * MIB)], timeout=30, check=True)
        told, _ = receive.communicate(timeout=30)
    finally:
        receive.kill()
        receive.wait()
    return float(told)


def queues(cluster):
    """Every token bucket on a link of a node."""
    words = [["tc", "qdisc"], *(["tc", "-n", cluster.namespace(node), "qdisc"] for node in cluster.nodes)]
    told = "".join(subprocess.run(w, capture_output=True, text=True, timeout=10, check=True).stdout for w in words)
    return [line for line in told.splitlines() if " tbf " in line or " htb " in line]


def blkio_groups(cluster):
    """The blkio group of every process of every node."""
    lines = [
        Path(f"/proc/{p.pid}/cgroup").read_text().splitlines() for n in cluster.nodes for p in cluster.processes(n)
    ]
    return {line.split(":", 2)[2] for one in lines for line in one if ":blkio:" in line}


def test_a_throttled_link_is_slow_both_ways_and_the_others_are_not(slurm_network_cluster):
    cluster, draw = slurm_network_cluster, Draw()
    node, mbit = draw.node(cluster.nodes), draw.mbit(100, 300)
    other, third = [n for n in cluster.nodes if n != node][:2]
    expected = pytest.approx(payload_rate(mbit, cluster.mtu), rel=0.1)
    with throttled_link(cluster, node, mbit):
        assert tcp_rate(cluster, node, other) == expected
        assert tcp_rate(cluster, other, node) == expected
        assert tcp_rate(cluster, other, third) > 2 * payload_rate(mbit, cluster.mtu)
    assert tcp_rate(cluster, node, other) > 2 * payload_rate(mbit, cluster.mtu)


def test_a_throttled_pair_is_slow_both_ways_and_its_nodes_are_not(slurm_network_cluster):
    cluster, draw = slurm_network_cluster, Draw()
    (first, second), mbit = draw.pair(cluster.nodes), draw.mbit(100, 300)
    third = next(n for n in cluster.nodes if n not in (first, second))
    expected = pytest.approx(payload_rate(mbit, cluster.mtu), rel=0.1)
    with throttled_pair(cluster, first, second, mbit):
        assert tcp_rate(cluster, first, second) == expected
        assert tcp_rate(cluster, second, first) == expected
        assert tcp_rate(cluster, first, third) > 2 * payload_rate(mbit, cluster.mtu)
        assert tcp_rate(cluster, third, second) > 2 * payload_rate(mbit, cluster.mtu)


@pytest.mark.parametrize(
    "fault",
    [
        lambda cluster: throttled_link(cluster, "node2", 100),
        lambda cluster: throttled_pair(cluster, "node1", "node4", 100),
        lambda cluster: all_links(cluster, 100),
    ],
    ids=["link", "pair", "all links"],
)
def test_a_fault_of_links_is_undone_whatever_happens(slurm_network_cluster, fault):
    with pytest.raises(KeyboardInterrupt), fault(slurm_network_cluster):
        assert queues(slurm_network_cluster)
        raise KeyboardInterrupt
    assert queues(slurm_network_cluster) == []


def test_a_throttled_disk_is_shared_by_the_jobs_of_its_nodes_and_mended_whatever_happens(
    slurm_network_cluster, tmp_path, disk_can_be_throttled
):
    cluster, draw = slurm_network_cluster, Draw()
    rate = draw.bytes_per_second(8e6, 16e6)  # limits hold in slices of 0.1 s
    before = blkio_groups(cluster)
    with pytest.raises(KeyboardInterrupt), throttled_disk(cluster, cluster.nodes[:2], rate, tmp_path):
        assert len(blkio_groups(cluster)) == 2
        alone, shared = (write_and_read(cluster, nodes, tmp_path) for nodes in (["node2"], ["node1", "node2"]))
        [healthy] = write_and_read(cluster, ["node3"], tmp_path)
        raise KeyboardInterrupt
    assert alone[0] == pytest.approx((rate, rate), rel=0.2)  # others wait for the same journal
    assert [sum(both) for both in zip(*shared, strict=True)] == pytest.approx([rate, rate], rel=0.2)
    assert min(healthy) > 2 * rate
    assert blkio_groups(cluster) == before
    assert not list(groups.HIERARCHIES.glob(f"*/{cluster.base.name}-fault*"))


def write_and_read(cluster, nodes, folder):
    """(bytes per second written, read) by a step of Slurm on each of `nodes`, 12 MiB each."""
    program = 'exec "$0" -S -c "$1" "$2.$SLURM_PROCID" "$3"'
    words = ["srun", "-w", ",".join(nodes), "-N", str(len(nodes)), "sh", "-c", program]
    done = subprocess.run(
        [*words, sys.executable, WRITE_AND_READ, str(folder / "data"), str(12 * MIB)],
        env=cluster.environment, capture_output=True, text=True, timeout=60, check=True,
    )  # fmt: skip
    rates = [float(line) for line in done.stdout.split()]
    return list(zip(rates[::2], rates[1::2], strict=True))


COMPUTE = """
import time
started = time.process_time(), time.perf_counter()
while time.perf_counter() - started[1] < 1:
    pass
print((time.process_time() - started[0]) / (time.perf_counter() - started[1]))
"""
LATE = """
import time
from seatrial.measure.dataload.loader import Reading

class Samples:
    def read(self, number): return ()
    def stored_bytes(self, number): return 0

started = time.perf_counter()
Reading(Samples())[0]
print(time.perf_counter() - started)
"""


def on_node(cluster, node, program):
    """The number that a Python program prints as a step of Slurm."""
    words = ["srun", "-w", node, "-N", "1", sys.executable, "-c", program]
    done = subprocess.run(
        words, env=cluster.environment, capture_output=True, text=True, timeout=60, check=True
    )  # fmt: skip
    return float(done.stdout)


@pytest.mark.alone
def test_throttled_processors_are_one_nodes_and_mended_whatever_happens(
    slurm_network_cluster, processors_can_be_throttled
):
    cluster, draw = slurm_network_cluster, Draw()
    node, share = draw.node(cluster.nodes), draw.share(0.15, 0.3)
    other = next(n for n in cluster.nodes if n != node)
    before = groups.group_of(cluster, node, "cpu")
    with pytest.raises(KeyboardInterrupt), throttled_processors(cluster, [node], share):
        assert on_node(cluster, node, COMPUTE) == pytest.approx(share, rel=0.15)
        assert on_node(cluster, other, COMPUTE) > 1.5 * share
        raise KeyboardInterrupt
    assert groups.group_of(cluster, node, "cpu") == before
    assert on_node(cluster, node, COMPUTE) > 1.5 * share


@pytest.mark.alone
def test_a_background_load_takes_its_part_of_its_node_and_ends_whatever_happens(
    slurm_network_cluster, processors_can_be_throttled
):
    cluster = slurm_network_cluster
    always = {"burst": (20.0, 20.0), "pause": (0.0, 0.0)}
    with throttled_processors(cluster, cluster.nodes[:1], 0.4):
        alone = dataclasses.replace(cluster, nodes=cluster.nodes[:1])
        with pytest.raises(KeyboardInterrupt), background_load(alone, (3, 3), **always, seed=1):
            deadline = time.monotonic() + 20
            while len(burners(cluster)) < 3:
                assert time.monotonic() < deadline
                time.sleep(0.1)
            assert on_node(cluster, cluster.nodes[0], COMPUTE) < 0.25
            raise KeyboardInterrupt
        assert burners(cluster) == []


def burners(cluster):
    """Processes in the first node's group that none of the node's own started."""
    inside = (groups.group_of(cluster, cluster.nodes[0], "cpu") / "cgroup.procs").read_text().split()
    own = {str(process.pid) for process in cluster.processes(cluster.nodes[0])}
    return [pid for pid in inside if pid not in own and psutil.pid_exists(int(pid)) and name(pid) == "sh"]


def name(pid):
    """A process's name, empty where it has ended meanwhile."""
    try:
        return psutil.Process(int(pid)).name()
    except psutil.NoSuchProcess:
        return ""


@pytest.mark.alone
def test_a_slow_loader_waits_before_each_sample_and_is_mended_whatever_happens(slurm_network_cluster):
    cluster, seconds = slurm_network_cluster, Draw().seconds(0.2, 0.4)
    before = dict(cluster.environment)
    with pytest.raises(KeyboardInterrupt), slow_loader(cluster, seconds):
        assert on_node(cluster, cluster.nodes[0], LATE) == pytest.approx(seconds, rel=0.2)
        raise KeyboardInterrupt
    assert cluster.environment == before
    assert on_node(cluster, cluster.nodes[0], LATE) < seconds / 4


def test_two_clusters_have_networks_of_their_own_and_those_of_vanished_ones_are_removed(
    slurm_network_cluster, tmp_path
):
    """As slurm-up claims them, without the daemons."""
    bases = [tmp_path / "one", tmp_path / "other"]
    claimed = []
    try:
        for base in bases:
            (base / "etc").mkdir(parents=True)
            claimed.append(in_library(f"BASE={base}; claim_network; echo $NETWORK").strip())
        assert len({*claimed, slurm_network_cluster.network}) == 3
        (bases[0] / "etc").rmdir()
        bases[0].rmdir()
        in_library("remove_networks_without_base")
        left = [number for number in claimed if f"mslbr{number}" in psutil.net_if_addrs()]
        assert left == claimed[1:]
        assert f"mslbr{slurm_network_cluster.network}" in psutil.net_if_addrs()
    finally:
        for number in claimed:
            in_library(f"NETWORK={number}; remove_network")


def in_library(words):
    """What slurm-lib.sh's functions print."""
    script = f". {CLUSTER}/slurm-lib.sh; {words}"
    return subprocess.run(["bash", "-c", script], capture_output=True, text=True, timeout=30, check=True).stdout
