"""What a training must be to be the same work as a published benchmark.

Source: MLCommons training_policies, training_rules.adoc (closed division), and the benchmark's reference.
"""

from __future__ import annotations

from dataclasses import dataclass

from seatrial.config.ingested import MlperfLogs
from seatrial.config.training import LlmFinetune, PretrainedModel
from seatrial.reference.names import canonical_benchmark


@dataclass(frozen=True)
class Conditions:
    """The conditions of one benchmark that its result depends on."""

    model: str
    """The model's name without its organisation, in lower case, up to where variants differ."""
    dataset: str
    sequence_length: int
    quality_metric: str
    quality_target: float
    lora_rank: int


CONDITIONS = {
    "llama2_70b_lora": Conditions(
        model="llama-2-70b",
        dataset="GovReport, packed",
        sequence_length=8192,
        quality_metric="evaluation_loss",
        quality_target=0.925,
        lora_rank=16,
    )
}
"""By benchmark; of one that is not here Seatrial cannot say that a training is the same work."""


def unlike(workload: LlmFinetune | MlperfLogs) -> list[str]:
    """In what the training differs from the benchmark that it names, in words; empty: it is the same work.

    Text from files or from Python's library cannot be shown to be the benchmark's data. Logs of the closed division
    are the same work: only those that pass its compliance check become completed records.
    """
    if isinstance(workload, MlperfLogs):
        if workload.division == "closed":
            return []
        return [f"{workload.division} division: its model, data and hyperparameters are free"]
    if workload.benchmark is None:
        return ["it names no benchmark"]
    wanted = CONDITIONS.get(canonical_benchmark(workload.benchmark))
    if wanted is None:
        return ["its conditions are not known to Seatrial"]
    model = workload.model.name.rstrip("/").rpartition("/")[2].lower()
    same_model = isinstance(workload.model, PretrainedModel) and model.startswith(wanted.model)
    compared = {
        "quality metric": (workload.quality.metric, wanted.quality_metric),
        "quality target": (workload.quality.target, wanted.quality_target),
        "sequence length": (workload.sequence_length, wanted.sequence_length),
        "LoRA rank": (workload.lora.rank if workload.lora else None, wanted.lora_rank),
    }
    differences = [f"{name} {ours}, not {theirs}" for name, (ours, theirs) in compared.items() if ours != theirs]
    if not same_model:
        differences.insert(0, f"model {workload.model.name}, not {wanted.model}")
    return [*differences, f"data from {workload.dataset.source}, not shown to be {wanted.dataset}"]
