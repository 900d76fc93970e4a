"""What the probes measure."""

from __future__ import annotations

from seatrial.config.metrics.dataload import DATALOAD
from seatrial.config.metrics.metric import Metric

PROBES: dict[str, Metric] = {
    "gemm.throughput": Metric("TFLOP/s", "higher", "2mnk floating-point operations over the time of one product"),
    "gemm.searched_throughput": Metric(
        "TFLOP/s", "higher", "of a shape in a search's coarse pass: each rank's median, by rank"
    ),
    "gemm.best_throughput": Metric(
        "TFLOP/s", "higher", "of the best shape of a search, measured again after it was chosen; labels m, n, k"
    ),
    "gemm.sustained_throughput": Metric(
        "TFLOP/s", "higher", "of products that follow each other without a pause; a sample per second"
    ),
    "memory.bandwidth": Metric(
        "GB/s", "higher", "bytes read and written over the time of one pass over arrays that no cache can hold"
    ),
    "memory.cached_bandwidth": Metric(
        "GB/s", "higher", "the same over arrays of less than 4 times the last-level caches, which may have answered"
    ),
    "memory.unproven_bandwidth": Metric(
        "GB/s", "higher", "the same where nothing says how large the last-level caches are"
    ),
    "memory.host_bandwidth": Metric(
        "GB/s", "higher", "bytes copied between host and device over the time of one pass, both directions together"
    ),
    # of a checkpoint, all ranks' bytes over the slowest rank's time; label direction: write or read
    "checkpoint.write_bandwidth": Metric("GB/s", "higher", "bytes written, which storage was seen to receive"),
    "checkpoint.read_bandwidth": Metric("GB/s", "higher", "bytes read, which storage was seen to deliver"),
    "checkpoint.write_time": Metric("s", "lower", "of one checkpoint to storage, the maximum over ranks"),
    "checkpoint.read_time": Metric("s", "lower", "of one checkpoint from storage, the maximum over ranks"),
    "checkpoint.rank_bandwidth": Metric(
        "GB/s", "higher", "a rank's own bytes over its own time, to or from storage"
    ),
    "checkpoint.page_cache_bandwidth": Metric(
        "GB/s", "higher", "bytes that reached no further than the page cache"
    ),
    "checkpoint.memory_bandwidth": Metric("GB/s", "higher", "bytes to or from a file system that lies in memory"),
    "checkpoint.unproven_bandwidth": Metric(
        "GB/s", "higher", "bytes to or from a file system for which nothing on this machine counts them"
    ),
    "checkpoint.device_share": Metric(
        "1", "higher", "bytes that a machine's counters moved by over those of its ranks, the least"
    ),
    # of tokens to experts' ranks and back; label direction: dispatch or combine (of the time also counts)
    "moe_alltoall.time": Metric(
        "s", "lower", "of one all-to-all of rows (or of their counts), the maximum over ranks"
    ),
    "moe_alltoall.layer_time": Metric(
        "s",
        "lower",
        "packing, counts and dispatch, or combine and weighted sum, of the slowest rank; compares dispatchers",
    ),
    "moe_alltoall.least_time": Metric("s", "lower", "what the declared links need at least for the same rows"),
    "moe_alltoall.logical_bandwidth": Metric(
        "GB/s", "higher", "rows of the busiest rank, those that stay on it included (as DeepEP counts), over time"
    ),
    "moe_alltoall.wire_bandwidth": Metric(
        "GB/s", "higher", "rows that leave their rank over time; label over: busiest_rank (out or in) or all_ranks"
    ),
    "moe_alltoall.balanced_bandwidth": Metric(
        "GB/s", "higher", "rows that leave the mean rank over time: what skew costs lowers it, a slow fabric too"
    ),
    "moe_alltoall.rank_imbalance": Metric("1", "lower", "rows that the busiest rank receives over the mean rank's"),
    "moe_alltoall.expert_gini": Metric("1", "lower", "Gini coefficient of the choices of each expert"),
    "moe_alltoall.ranks_per_token": Metric("1", "lower", "different ranks that a token's choices reach, the mean"),
    "moe_alltoall.nodes_per_token": Metric("1", "lower", "different nodes that a token's choices reach, the mean"),
    "moe_alltoall.bytes": Metric(
        "B",
        "lower",
        "of all ranks; label scope: logical, wire (own rank excluded), between_nodes, rank_deduplicated (each "
        "token once to each rank), node_deduplicated (once to each node)",
    ),
    "collective.time": Metric("s", "lower", "time of one collective, the maximum over ranks"),
    "collective.algorithm_bandwidth": Metric("GB/s", "higher", "size over time (algbw of nccl-tests)"),
    "collective.bus_bandwidth": Metric(
        "GB/s", "higher", "algorithm bandwidth times the operation's factor (busbw)"
    ),
    "collective.wire_bandwidth": Metric(
        "GB/s", "higher", "carried between nodes by each rank's NIC, one way, by the algorithm that the basis names"
    ),
    "collective.unchecked_time": Metric("s", "lower", "collective.time of a run whose results nobody checked"),
    "collective.unchecked_algorithm_bandwidth": Metric(
        "GB/s", "higher", "size over time; results were not checked"
    ),
    "collective.unchecked_bus_bandwidth": Metric("GB/s", "higher", "busbw of a run whose results nobody checked"),
    **DATALOAD,
    "bisection.bandwidth": Metric(
        "GB/s",
        "higher",
        "bytes that cross from one half to the other, in one direction while as many go back, over the time of the "
        "slowest rank",
    ),
    "bisection.pair_bandwidth": Metric(
        "GB/s", "higher", "bytes of a pair in one direction, while as many go back, over the time of its exchange"
    ),
    "bisection.pair_medians": Metric(
        "GB/s",
        "higher",
        "of many pairs that sent at the same time: the median of each, ordered as the labels firsts and seconds",
    ),
    "bisection.pair_time": Metric(
        "s", "lower", "time of one exchange of a pair in both directions, the maximum over its ranks"
    ),
    # of one group run; labels run, step and members
    "screen.compute_time": Metric(
        "s", "lower", "of the products of a group run: each member rank's median over the iterations, in order"
    ),
    "screen.exchange_time": Metric(
        "s",
        "lower",
        "of the exchanges of neighbours in a group run: each pair of ranks' median over the iterations, in order",
    ),
    "screen.bad_nodes": Metric("1", "lower", "nodes (of a single host: ranks) confirmed to be slow"),
    "screen.slow_links": Metric("1", "lower", "pairs confirmed to be slow although both are fast with others"),
    "screen.not_cleared": Metric(
        "1",
        "lower",
        "nodes that are neither bad nor in a fast group, and orders that stay slow for no known reason",
    ),
    "screen.group_runs": Metric("1", "lower", "group runs that the screening took"),
}
