"""What logs that somebody hands over say."""

from __future__ import annotations

from seatrial.config.metrics.metric import Metric

HANDED_OVER: dict[str, Metric] = {
    # of logs that somebody else's run left behind: MLPerf's clock, which includes evaluations
    "mlperf.time_to_train": Metric("min", "lower", "run_start to run_stop of a result log"),
    "mlperf.scaled_time_to_train": Metric(
        "min", "lower", "time to train times the scaling factor; the published score is the olympic mean of these"
    ),
    "mlperf.scaling_factor": Metric(
        "1", "lower", "factor of the result folder for converging faster than the reference (1: it does not)"
    ),
    "mlperf.samples_to_quality": Metric("samples", "lower", "samples trained on when the quality was reached"),
    "mlperf.epochs_to_quality": Metric("epochs", "lower", "epochs trained when the quality was reached"),
    "mlperf.tokens_to_quality": Metric("tokens", "lower", "tokens trained on when the quality was reached"),
    "mlperf.throughput": Metric("samples/s", "higher", "training speed as the log states it (tracked_stats)"),
    "mlperf.evaluation_loss": Metric("1", "lower", "quality at an evaluation where lower is better"),
    "mlperf.evaluation_accuracy": Metric("1", "higher", "quality at an evaluation where higher is better"),
    "mlperf.energy": Metric("J", "lower", "energy of the run from its power logs"),
    # of fio and MLPerf Storage: all processes' bytes over the time of the slowest
    "storage.write_bandwidth": Metric("GB/s", "higher", "bytes written past the page cache over elapsed time"),
    "storage.read_bandwidth": Metric("GB/s", "higher", "bytes read that did not come from the page cache"),
    "storage.stated_write_bandwidth": Metric(
        "GB/s",
        "higher",
        "bytes written, not shown to be storage: past the page cache by the job's options or by counters alone",
    ),
    "storage.stated_read_bandwidth": Metric(
        "GB/s",
        "higher",
        "bytes read, not shown to be storage: by the job's options or counters alone, or nothing is said",
    ),
    "storage.write_time": Metric("s", "lower", "of one checkpoint as the benchmark states it, the slowest process"),
    "storage.read_time": Metric("s", "lower", "of one checkpoint as the benchmark states it, the slowest process"),
    "storage.page_cache_bandwidth": Metric(
        "GB/s", "higher", "bytes that may have gone no further than the page cache; label direction"
    ),
    "storage.training_throughput": Metric("samples/s", "higher", "samples that simulated accelerators were fed"),
    "storage.accelerator_utilisation": Metric(
        "1", "higher", "share of the time that simulated accelerators did not wait for data (AU)"
    ),
    # a command's own figures, by its own formulas: held against no peak and not Seatrial's
    "external.tflops": Metric("TFLOP/s", "higher", "FLOPs per second and device as the command states them"),
    "external.mfu": Metric("1", "higher", "MFU as the command states it, by its own count and its own peak"),
    "external.memory": Metric("GiB", "lower", "greatest memory of a device as the command states it"),
    "external.grad_norm": Metric("1", "lower", "norm of the gradients as the command states it"),
}
