"""Every metric that a record can hold: its unit and which direction is better. Labels carry the dimensions."""

from __future__ import annotations

from typing import Literal, NamedTuple

Direction = Literal["higher", "lower"]


class Metric(NamedTuple):
    """Unit, better direction and meaning of a metric."""

    unit: str
    direction: Direction
    meaning: str


METRICS: dict[str, Metric] = {
    "gemm.throughput": Metric("TFLOP/s", "higher", "2mnk floating-point operations over the time of one product"),
    "memory.bandwidth": Metric("GB/s", "higher", "bytes read and written over the time of one pass"),
    "collective.time": Metric("s", "lower", "time of one collective, the maximum over ranks"),
    "collective.algorithm_bandwidth": Metric("GB/s", "higher", "size over time (algbw of nccl-tests)"),
    "collective.bus_bandwidth": Metric(
        "GB/s", "higher", "algorithm bandwidth times the operation's factor (busbw)"
    ),
    "train.time_to_quality": Metric(
        "min", "lower", "training time at the interpolated crossing of the quality target"
    ),
    "train.time_to_evaluation": Metric(
        "min", "lower", "training time at the first evaluation that meets the quality target"
    ),
    "train.mlperf_minutes": Metric(
        "min", "lower", "run_start to run_stop on MLPerf's clock, evaluations and waits between sessions included"
    ),
    "train.samples_to_quality": Metric("samples", "lower", "training sequences at the interpolated crossing"),
    "train.samples_to_evaluation": Metric(
        "samples", "lower", "training samples at the first evaluation that meets the target, as MLPerf counts them"
    ),
    "train.tokens_to_quality": Metric(
        "tokens", "lower", "training tokens at the interpolated crossing of the quality named by the label"
    ),
    "train.tokens_trained": Metric("tokens", "lower", "training tokens of the whole run, whatever was met"),
    "train.sample_throughput": Metric("samples/s", "higher", "training samples of all ranks over training time"),
    "train.throughput": Metric("tokens/s", "higher", "training tokens of all ranks over training time"),
    "train.model_flops_per_second": Metric(
        "TFLOP/s", "higher", "forward and backward FLOPs per second and accelerator (per rank on CPUs)"
    ),
    "train.mfu": Metric("1", "higher", "model FLOPs per second over the dense peak of the dtype"),
    "train.hfu": Metric("1", "higher", "model and recomputed FLOPs per second over the dense peak of the dtype"),
    "train.step_time": Metric("s", "lower", "time of one optimiser step, the maximum over ranks"),
    "train.training_loss": Metric("1", "lower", "training loss, the mean over steps and ranks of one stretch"),
    "train.compute_time": Metric("s", "lower", "of a step: forward, backward and update; the mean over ranks"),
    "train.exposed_communication_time": Metric(
        "s",
        "lower",
        "of a step: waiting for other ranks, hidden behind no computation; the mean over ranks. On accelerators "
        "it is not measured with fully sharded parameters, which wait inside forward and backward: only a profile "
        "tells it there (profiled_exposed_communication_time)",
    ),
    "train.profiled_communication_time": Metric(
        "s", "lower", "of a step: a rank's time with a communication kernel running, from a profile of its device"
    ),
    "train.profiled_exposed_communication_time": Metric(
        "s", "lower", "of a step: the same without the time in which a compute kernel ran beside it"
    ),
    "train.data_wait_time": Metric("s", "lower", "of a step: waiting for data; the mean over ranks"),
    "train.other_time": Metric("s", "lower", "of a step: what is none of the others; the mean over ranks"),
    "train.checkpoint_stall_time": Metric("s", "lower", "how long the training stood still for one checkpoint"),
    "train.productive_fraction": Metric(
        "1", "higher", "1 - (communication + data wait + checkpoint stall + other) / the whole, of each stretch"
    ),
    "train.rank_time": Metric("s", "lower", "a rank's own time of a step, without waiting for others"),
    # how experts are chosen, label layer; label over: step (mean of every step's) or stretch (of its tokens)
    "train.expert_imbalance": Metric("1", "lower", "tokens that chose the busiest expert over the mean expert's"),
    "train.expert_gini": Metric("1", "lower", "Gini coefficient of the tokens that chose each expert"),
    "train.rank_imbalance": Metric("1", "lower", "tokens of the busiest rank's experts over the mean rank's"),
    "train.tokens_dropped": Metric(
        "1", "lower", "share of (token, expert) choices dropped at the experts' capacity, over a stretch"
    ),
    "train.all_to_all_time": Metric(
        "s", "lower", "of a step, one layer's all-to-alls; label direction; mean over ranks, waiting included"
    ),
    "train.all_to_all_share": Metric("1", "lower", "all-to-all over step time, all layers, of each stretch"),
    "train.velocity_loss": Metric(
        "1", "lower", "mean squared error of the velocity that a flow-matching model predicts on the evaluation set"
    ),
    "train.frechet_distance": Metric("1", "lower", "between features of generated and of real samples"),
    "diffusion.frechet_floor": Metric(
        "1", "lower", "Frechet distance between real training images and real held-out images"
    ),
    "diffusion.frechet_of_noise": Metric("1", "lower", "Frechet distance between noise and real held-out images"),
    "train.retrieval_accuracy": Metric("1", "higher", "share of far queries that are answered right"),
    "train.evaluation_loss": Metric("nats/token", "lower", "mean loss on the evaluation set"),
    "train.evaluation_time": Metric("s", "lower", "time of one evaluation, outside the training clock"),
    "train.checkpoint_time": Metric("s", "lower", "time of one checkpoint, outside the training clock"),
    # sampled beside a run; label device: the accelerator, cpu (all processors of the host) or dram (its memory)
    "telemetry.energy": Metric(
        "J", "lower", "energy of one device by its own counter; label scope: run, or training (its clock running)"
    ),
    "telemetry.power": Metric("W", "lower", "power of one device while the training clock runs"),
    "telemetry.sm_clock": Metric("MHz", "higher", "clock of the compute units (SM; on AMD GFX)"),
    "telemetry.memory_clock": Metric("MHz", "higher", "clock of the device memory"),
    "telemetry.utilisation": Metric(
        "%", "higher", "share of time with a kernel resident (a spinning one too); of a cpu: busy time of its cores"
    ),
    "telemetry.memory_activity": Metric("%", "higher", "share of time in which device memory was read or written"),
    "telemetry.sm_utilisation": Metric("%", "higher", "share of SMs that were busy (GPM)"),
    "telemetry.tensor_utilisation": Metric("%", "higher", "share of time in which tensor cores worked (GPM)"),
    "telemetry.memory_bandwidth_utilisation": Metric(
        "%", "higher", "memory traffic over what the memory can do at most (GPM)"
    ),
    "telemetry.memory_used": Metric("GB", "lower", "device memory in use by all processes"),
    "telemetry.temperature": Metric("°C", "lower", "temperature of the device (on AMD its hottest spot)"),
    "telemetry.throttled": Metric(
        "1", "lower", "share of readings at which the clock was held down; label reason says by what"
    ),
    "telemetry.process_utilisation": Metric(
        "%", "higher", "CPU time of the rank's process over wall time (100: one core)"
    ),
    "telemetry.process_memory": Metric("GB", "lower", "resident memory of the rank's process"),
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
    # a command's own figures, by its own formulas: held against no peak and not Seatrial's
    "external.tflops": Metric("TFLOP/s", "higher", "FLOPs per second and device as the command states them"),
    "external.mfu": Metric("1", "higher", "MFU as the command states it, by its own count and its own peak"),
    "external.memory": Metric("GiB", "lower", "greatest memory of a device as the command states it"),
    "external.grad_norm": Metric("1", "lower", "norm of the gradients as the command states it"),
}
