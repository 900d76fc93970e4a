"""Background load: processes on the nodes that burn processor time in bursts, as other people's jobs do.

A burner takes its part of what processors its node has (`processors`); where nodes have none of their own they
share those of the one machine, and a burst slows all. How many burn where is drawn anew for each burst.
"""

from __future__ import annotations

import random
import subprocess
import threading
from collections.abc import Iterator, Sequence
from contextlib import contextmanager

from faults import groups, processors
from faults.cluster import Cluster

BURN = """
echo $$ > "$0/cgroup.procs" && echo $$ > "$1/cgroup.procs" && exec timeout "$2" sh -c "while :; do :; done"
"""
LONGEST_BURST_SECONDS = 60
"""A burner ends by itself then, also where whoever started it is gone."""


@contextmanager
def background_load(
    cluster: Cluster, processes: tuple[int, int], burst: tuple[float, float], pause: tuple[float, float], seed: int
) -> Iterator[None]:
    """Bursts of so many processes on nodes chosen at random, and pauses, each so many seconds (least, most)."""
    ends = threading.Event()
    words = (cluster, random.Random(seed), ends, processes, burst, pause)
    thread = threading.Thread(target=_bursts, args=words, name="background load")
    thread.start()
    try:
        yield
    finally:
        ends.set()
        thread.join(timeout=30)


def _bursts(
    cluster: Cluster,
    draw: random.Random,
    ends: threading.Event,
    processes: tuple[int, int],
    burst: tuple[float, float],
    pause: tuple[float, float],
) -> None:
    while not ends.wait(draw.uniform(*pause)):
        burning: list[subprocess.Popen[bytes]] = []
        try:
            for node in draw.choices(cluster.nodes, k=draw.randint(*processes)):
                burning.append(_burner(cluster, node))
            ends.wait(draw.uniform(*burst))
        finally:
            _put_out(burning)


def _burner(cluster: Cluster, node: str) -> subprocess.Popen[bytes]:
    of_node = [groups.group_of(cluster, node, name) for name in (processors.CONTROLLER, processors.PLACES)]
    words = ["sh", "-c", BURN, *map(str, of_node), str(LONGEST_BURST_SECONDS)]
    return subprocess.Popen(words, env={"PATH": "/usr/bin:/bin"}, start_new_session=True)


def _put_out(burning: Sequence[subprocess.Popen[bytes]]) -> None:
    """`timeout` passes SIGTERM on to what it started."""
    for process in burning:
        process.terminate()
    for process in burning:
        process.wait(timeout=10)
