"""What the probe dataload measures, under a name of its own for each place that the bytes came from.

A criterion on `dataload.throughput` can thus pass only by what storage gave.
"""

from __future__ import annotations

from seatrial.config.metrics.metric import Metric
from seatrial.config.metrics.origin import Origin

PREFIX: dict[Origin, str] = {
    "storage": "",
    "page_cache": "page_cache_",
    "memory_file_system": "memory_",
    "unknown": "unproven_",
}
"""Before a figure's name."""
WORDS: dict[Origin, str] = {
    "storage": "which storage was seen to deliver",
    "page_cache": "of which the page cache had some or all",
    "memory_file_system": "from a file system that lies in memory",
    "unknown": "from a file system for which nothing on this machine counts them",
}
FIGURES: dict[str, Metric] = {
    "throughput": Metric(
        "samples/s", "higher", "samples of all ranks over the slowest rank's time of a window of batches"
    ),
    "rank_throughput": Metric("samples/s", "higher", "samples of one rank over its own time of a window"),
    "bandwidth": Metric("GB/s", "higher", "bytes of all ranks' samples as they are stored, over the same time"),
    "first_batch_time": Metric(
        "s", "lower", "from nothing, workers to be started included, to the slowest rank's first batch"
    ),
}


def dataload_metric(origin: Origin, figure: str) -> str:
    """The metric that holds a figure (a key of FIGURES) of samples from `origin`."""
    assert figure in FIGURES
    return f"dataload.{PREFIX[origin]}{figure}"


DATALOAD: dict[str, Metric] = {
    **{
        dataload_metric(origin, figure): metric._replace(meaning=f"{metric.meaning}; bytes {words}")
        for figure, metric in FIGURES.items()
        for origin, words in WORDS.items()
    },
    "dataload.fetched_share": Metric(
        "1",
        "higher",
        "share of the samples' bytes that the kernel fetched from below the page cache while they were read",
    ),
}
