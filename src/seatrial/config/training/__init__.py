"""Parameters of the trainings."""

from seatrial.config.training.base import BETTER, Parallelism, QualityTarget, Training
from seatrial.config.training.datasets import HubDataset, PreparedText, StdlibDataset, TextDataset
from seatrial.config.training.diffusion import Diffusion, PreparedDigits, PreprocessedLatents
from seatrial.config.training.external import External, ExternalQuality
from seatrial.config.training.hybrid_attention import HybridAttention, Positions, Retrieval
from seatrial.config.training.llm_finetune import LlmFinetune, Lora
from seatrial.config.training.models import (
    AnyModel,
    ConfiguredModel,
    LlamaShape,
    PackagedModel,
    PreparedModel,
    PretrainedModel,
)
from seatrial.config.training.moe import AuxiliaryLoss, BiasUpdate, Moe, Unbalanced

__all__ = [
    "AnyModel",
    "AuxiliaryLoss",
    "BETTER",
    "BiasUpdate",
    "ConfiguredModel",
    "Diffusion",
    "External",
    "ExternalQuality",
    "HubDataset",
    "HybridAttention",
    "LlamaShape",
    "LlmFinetune",
    "Lora",
    "Moe",
    "PackagedModel",
    "Parallelism",
    "Positions",
    "PreparedDigits",
    "PreparedModel",
    "PreparedText",
    "PreprocessedLatents",
    "PretrainedModel",
    "QualityTarget",
    "Retrieval",
    "StdlibDataset",
    "TextDataset",
    "Training",
    "Unbalanced",
]
