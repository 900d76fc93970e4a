"""Faults put in for real into the nodes of a private Slurm, and mended on leaving.

Links, disks, processors and data loaders made slow, and a background load. Each fault is a context manager over a
Cluster, in a module for its kind (`links`, `disks`, `processors`) whose `why_not`, where a machine may lack what it
takes, says in words why this one cannot have it. What is broken, where and how badly is drawn at run time (Draw),
so that nothing that reads the results can know it.
"""

from faults.background import background_load
from faults.cluster import Cluster
from faults.disks import throttled_disk
from faults.draw import Draw
from faults.links import all_links, payload_rate, throttled_link, throttled_pair
from faults.loaders import slow_loader
from faults.processors import processors_of_their_own, throttled_processors

__all__ = [
    "Cluster",
    "Draw",
    "all_links",
    "background_load",
    "payload_rate",
    "processors_of_their_own",
    "slow_loader",
    "throttled_disk",
    "throttled_link",
    "throttled_pair",
    "throttled_processors",
]
