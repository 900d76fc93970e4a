"""Slow links: Linux's token-bucket (tbf) and hierarchical (htb) queues on the nodes' virtual Ethernet pairs.

A rate counts Ethernet frames (without preamble, gap and checksum) of data segments that fill the MTU. What TCP
delivers of it is payload_rate. The buckets are small, so that a burst after a pause stays below 1 % of a message of
8 MiB; the queues are so long that nothing is dropped and TCP is held back by its window alone. That window is short
on the cluster's nodes (slurm-up): with a long one, acknowledgements wait behind all that goes the other way, and
TCP leaves 4 to 15 % of a link unused that is full both ways.
"""

from __future__ import annotations

import shutil
import subprocess
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager

from faults.cluster import Cluster

BURST_BYTES = 81920
"""Room for one segment of 64 KiB, as the kernel hands them to a virtual device, with its headers."""
QUEUE_BYTES = 8 << 20
"""More than the windows of the few connections that two ranks have."""
IP_TCP_HEADERS, ETHERNET_HEADER = 20 + 20 + 12, 14
"""Bytes of IPv4, TCP and its timestamps within the MTU; of Ethernet around it."""

_PATH = "/usr/sbin:/sbin:/usr/bin:/bin"
_TRIAL = (
    "ip link add trial1 type veth peer name trial2 && ip link set trial1 up && ip link set trial2 up"
    " && tc qdisc add dev trial1 root tbf rate 1mbit burst 10kb limit 1mb"
    " && tc qdisc add dev trial2 root handle 1: htb"
    " && tc class add dev trial2 parent 1: classid 1:1 htb rate 1mbit quantum 1514"
    " && tc filter add dev trial2 parent 1: protocol ip u32 match ip dst 10.0.0.1/32 flowid 1:1"
)


def why_not() -> str | None:
    """Why links cannot be throttled on this machine, or None: tried in a network namespace of its own."""
    missing = [command for command in ("ip", "tc", "unshare") if shutil.which(command, path=_PATH) is None]
    if missing:
        return f"links cannot be throttled ({missing[0]} is missing): `make slurm` installs iproute2"
    trial = ["unshare", "--net", "sh", "-c", _TRIAL]
    done = subprocess.run(trial, capture_output=True, text=True, timeout=30, check=False, env={"PATH": _PATH})
    if done.returncode != 0:
        return f"links cannot be throttled (network namespaces, veth, tbf, htb and u32 are needed): {done.stderr}"
    return None


def payload_rate(mbit: float, mtu: int) -> float:
    """Bytes per second of TCP payload through a link of `mbit` Mbit/s: each MTU carries its headers and Ethernet's.

    1448/1514 of the rate at an MTU of 1500 bytes. Acknowledgements of the other direction, at most 66 bytes for
    every second segment, are not taken off: up to 2 % less where both directions are full.
    """
    return mbit * 1e6 / 8 * (mtu - IP_TCP_HEADERS) / (mtu + ETHERNET_HEADER)


@contextmanager
def throttled_link(cluster: Cluster, node: str, mbit: float) -> Iterator[None]:
    """The link of `node` carries at most `mbit` Mbit/s out of it and as much into it."""
    bucket = f"tbf rate {_bits(mbit)} burst {BURST_BYTES} limit {QUEUE_BYTES}"
    with ExitStack() as undo:
        undo.callback(_clear, cluster, node)
        _tc(f"qdisc replace dev eth0 root {bucket}", cluster.namespace(node))
        _tc(f"qdisc replace dev {cluster.host_link(node)} root {bucket}")
        yield


@contextmanager
def all_links(cluster: Cluster, mbit: float) -> Iterator[None]:
    """Every node's link carries at most `mbit` Mbit/s each way."""
    with ExitStack() as links:
        for node in cluster.nodes:
            links.enter_context(throttled_link(cluster, node, mbit))
        yield


@contextmanager
def throttled_pair(cluster: Cluster, first: str, second: str, mbit: float) -> Iterator[None]:
    """What `first` sends to `second` takes at most `mbit` Mbit/s, and as much the other way round."""
    shape = f"htb rate {_bits(mbit)} burst {BURST_BYTES} cburst {BURST_BYTES} quantum {BURST_BYTES}"
    with ExitStack() as undo:
        for sender, receiver in ((first, second), (second, first)):
            undo.callback(_clear, cluster, sender)
            where, to = cluster.namespace(sender), cluster.address(receiver)
            _tc("qdisc replace dev eth0 root handle 1: htb", where)
            _tc(f"class replace dev eth0 parent 1: classid 1:1 {shape}", where)
            _tc(f"filter replace dev eth0 parent 1: protocol ip u32 match ip dst {to}/32 flowid 1:1", where)
        yield


def _bits(mbit: float) -> str:
    return f"{round(mbit * 1e6)}bit"


def _clear(cluster: Cluster, node: str) -> None:
    """Take every queue off both ends of the node's link; none there is as good."""
    _tc("qdisc del dev eth0 root", cluster.namespace(node), check=False)
    _tc(f"qdisc del dev {cluster.host_link(node)} root", check=False)


def _tc(words: str, namespace: str | None = None, check: bool = True) -> None:
    inside = ["-n", namespace] if namespace else []
    command = ["tc", *inside, *words.split()]
    done = subprocess.run(command, capture_output=True, text=True, timeout=30, check=False, env={"PATH": _PATH})
    if check and done.returncode != 0:
        raise RuntimeError(f"{' '.join(command)}: {done.stderr.strip()}")
