"""What trainings measure."""

from __future__ import annotations

from seatrial.config.metrics.metric import Metric

TRAININGS: dict[str, Metric] = {
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
    "train.checkpoint_size": Metric("B", "lower", "bytes of tensors in one checkpoint, of all ranks"),
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
}
