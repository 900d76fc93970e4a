"""Slow data loaders: what hands samples to the trainings and to the probe `dataload` waits before each sample.

As if each had to be fetched from a service or decoded anew. The wait is a real one, in the process that reads, and
concerns every job that is started meanwhile; slow_python/sitecustomize.py puts it there.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from faults.cluster import Cluster

FOLDER = Path(__file__).parent / "slow_python"
PATH, SECONDS = "PYTHONPATH", "FAULT_SECONDS_PER_SAMPLE"


@contextmanager
def slow_loader(cluster: Cluster, seconds_per_sample: float) -> Iterator[None]:
    """What is started with the cluster's environment waits so long before each sample that it hands over."""
    environment = cluster.environment
    before = {name: environment.get(name) for name in (PATH, SECONDS)}
    environment[PATH] = f"{FOLDER}:{before[PATH]}" if before[PATH] else str(FOLDER)
    environment[SECONDS] = str(seconds_per_sample)
    try:
        yield
    finally:
        for name, value in before.items():
            environment.pop(name)
            if value is not None:
                environment[name] = value
