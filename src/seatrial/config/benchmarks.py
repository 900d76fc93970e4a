"""MLPerf Training's benchmarks as far as their logs need it: quality, unit of training, runs of a result.

Sources: MLCommons training_policies, training_rules.adoc (sections 3 and "Benchmark Results"); the rule files
(compliance_checker/training_*) and result counts (benchmark_meta) of the package mlperf-logging 4.1.68, with
which a test compares every line.
"""

from __future__ import annotations

from typing import Literal, NamedTuple

Direction = Literal["higher", "lower"]
Counted = Literal["samples", "epochs", "tokens"]


class MetricTarget(NamedTuple):
    """A quality that a run has to reach; reaching it exactly counts."""

    metric: str
    target: float
    direction: Direction


class Benchmark(NamedTuple):
    """One benchmark, by the name it has in its rounds."""

    quality: tuple[MetricTarget, ...]
    """All have to be reached at one evaluation."""
    counted_in: Counted
    """What its logs count training in."""
    runs: int
    """Runs of one result."""
    dropped: int = 1
    """Fastest and slowest runs, each, that the olympic mean leaves out."""

    @property
    def quality_name(self) -> str:
        """The first metric; the others with their targets: 'FID, with CLIP at least 0.15'."""
        first, *others = self.quality
        words = [f"{t.metric} at {'least' if t.direction == 'higher' else 'most'} {t.target:g}" for t in others]
        return ", with ".join([first.metric, *words])


def _one(
    metric: str, target: float, direction: Direction, counted_in: Counted, runs: int, dropped: int = 1
) -> Benchmark:
    return Benchmark((MetricTarget(metric, target, direction),), counted_in, runs, dropped)


BENCHMARKS: dict[str, Benchmark] = {
    "bert": _one("masked_lm_accuracy", 0.720, "higher", "samples", 10),
    "deepseekv3_671b": _one("log_perplexity", 3.6, "lower", "samples", 3),
    "dlrm_dcnv2": _one("auc", 0.80275, "higher", "epochs", 10),
    "flux1": _one("evaluation_loss", 0.586, "lower", "samples", 10),
    "gnn": _one("accuracy", 0.72, "higher", "epochs", 10),
    "gpt3": _one("log_perplexity", 2.69, "lower", "tokens", 3),
    "gpt_oss_20b": _one("log_perplexity", 3.34, "lower", "samples", 10),
    "llama2_70b_lora": _one("evaluation_loss", 0.925, "lower", "samples", 10),
    "llama31_405b": _one("log_perplexity", 5.6, "lower", "samples", 3),
    "llama31_8b": _one("log_perplexity", 3.3, "lower", "samples", 10),
    "maskrcnn": Benchmark(
        (MetricTarget("BBOX", 0.377, "higher"), MetricTarget("SEGM", 0.339, "higher")), "epochs", 5
    ),
    "resnet": _one("accuracy", 0.759, "higher", "epochs", 5),
    "retinanet": _one("mean_average_precision", 0.340, "higher", "epochs", 5),
    "rgat": _one("accuracy", 0.72, "higher", "epochs", 10),
    "rnnt": _one("word_error_rate", 0.058, "lower", "epochs", 10),
    "ssd": _one("mean_average_precision", 0.340, "higher", "epochs", 5),
    "stable_diffusion": Benchmark(
        (MetricTarget("FID", 90.0, "lower"), MetricTarget("CLIP", 0.15, "higher")), "samples", 10
    ),
    "unet3d": _one("mean_dice", 0.908, "higher", "samples", 40, 4),
}
"""By name. gnn was renamed rgat and ssd retinanet in v5.0; a log has the name of its round."""

UNEVENLY_COUNTED = frozenset({("stable_diffusion", "v3.1"), ("unet3d", "v3.1")})
"""Benchmark and round in which submitters counted differently (steps, epochs, samples): how much training a run
took is not given there."""
