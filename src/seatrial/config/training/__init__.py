"""Parameters of the trainings."""

from seatrial.config.training.base import BETTER, Parallelism, QualityTarget, Training
from seatrial.config.training.datasets import StdlibDataset, TextDataset
from seatrial.config.training.llm_finetune import LlmFinetune, Lora
from seatrial.config.training.models import LlamaShape, PreparedModel, PretrainedModel

__all__ = [
    "BETTER",
    "LlamaShape",
    "LlmFinetune",
    "Lora",
    "Parallelism",
    "PreparedModel",
    "PretrainedModel",
    "QualityTarget",
    "StdlibDataset",
    "TextDataset",
    "Training",
]
