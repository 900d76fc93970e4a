"""Parameters of the probe moe_alltoall."""

from __future__ import annotations

from typing import Annotated, Literal, Self

from pydantic import Field, model_validator

from seatrial.config.base import Closed, PositiveInt
from seatrial.config.probe.base import AcrossRanks
from seatrial.errors import FieldMistake

SCALE_BLOCK = 128
"""Elements that share a scale where tokens travel as fp8."""
LEAST_HIDDEN = 16


class UniformLoad(Closed):
    """Every expert is as likely as any other."""

    kind: Literal["uniform"]


class GiniLoad(Closed):
    """Popularity of the experts drawn anew every iteration from a Dirichlet distribution, whose concentration is
    found such that the Gini coefficient of the experts' tokens is `target` in the mean over the iterations.

    Measured: 0.05 with a balancing loss, 0.10 with multi-head attention, 0.15 Mamba-2, 0.24 latent attention or
    gated delta nets, 0.38 the worst of mock data (DODOCO, abstract).
    """

    kind: Literal["gini"]
    target: Annotated[float, Field(gt=0, lt=1)]


class ZipfLoad(Closed):
    """Popularity 1 / r^exponent, where r is the expert's place in an order that is drawn anew every iteration."""

    kind: Literal["zipf"]
    exponent: Annotated[float, Field(gt=0, le=10)]


class AdversarialLoad(Closed):
    """`share` of the tokens choose one expert, drawn anew every iteration; all other choices are uniform."""

    kind: Literal["adversarial"]
    share: Annotated[float, Field(ge=0.3, le=0.95)]


class ReplayLoad(Closed):
    """Counts from a file: ranks x experts for every iteration, or steps x ranks x experts, a step for each."""

    kind: Literal["replay"]
    file: Annotated[str, Field(min_length=1)]
    """.npz, .json, or .csv (a line for each rank; with a head line `step,rank,...` several steps)."""
    array: str | None = None
    """Which of an .npz file's arrays, or of a JSON file's keys; None: the only one."""


Load = Annotated[
    UniformLoad | GiniLoad | ZipfLoad | AdversarialLoad | ReplayLoad,
    Field(discriminator="kind"),
]


class MoeAlltoall(AcrossRanks):
    """Tokens to the ranks that hold their experts (dispatch) and back (combine), under a declared load."""

    kind: Literal["moe_alltoall"]
    dispatcher: Literal["torch", "deepep"] = "torch"
    """torch: all_to_all_single, a row for each choice. deepep: DeepEP, where it is installed."""
    tokens: PositiveInt | None
    """Tokens of each rank; None only for a replayed load, whose file says how many there are."""
    hidden_size: Annotated[int, Field(ge=LEAST_HIDDEN, strict=True)]
    top_k: PositiveInt
    """Different experts that a token chooses."""
    experts: PositiveInt
    """Of the whole layer; every rank holds equally many."""
    dispatch_dtype: Literal["bfloat16", "float32", "fp8"] = "bfloat16"
    """fp8: e4m3 with a float32 scale for every 128 elements."""
    combine_dtype: Literal["bfloat16", "float32"] = "bfloat16"
    load: Load

    @model_validator(mode="after")
    def _sizes(self) -> Self:
        if self.top_k > self.experts:
            raise FieldMistake(
                f"a token cannot choose {self.top_k} different experts of {self.experts}",
                field="top_k",
                value=self.top_k,
                allowed=f"a whole number from 1 to {self.experts}, the experts",
            )
        block = SCALE_BLOCK if self.dispatch_dtype == "fp8" else 2
        if self.hidden_size % block:
            why = "every scale of fp8 stands for 128 elements" if block > 2 else "rows are whole 4-byte words"
            raise FieldMistake(
                f"hidden_size is not divisible by {block}: {why}",
                field="hidden_size",
                value=self.hidden_size,
                allowed=f"a multiple of {block}",
            )
        if self.tokens is None and not isinstance(self.load, ReplayLoad):
            raise FieldMistake(
                "only a replayed load says itself how many tokens there are",
                field="tokens",
                allowed="a value >= 1",
            )
        return self

    @model_validator(mode="after")
    def _load_is_possible(self) -> Self:
        even = self.top_k / self.experts
        load = self.load
        if isinstance(load, GiniLoad) and load.target >= 1 - even:
            raise FieldMistake(
                f"{self.top_k} different choices of {self.experts} experts have a Gini below {1 - even:.4g}",
                field="load.target",
                value=load.target,
                allowed=f"a value above 0 and below {1 - even:.4g}",
            )
        if isinstance(load, ZipfLoad) and self.top_k == self.experts:
            raise FieldMistake(
                "every token chooses every expert: their tokens cannot differ",
                field="load.kind",
                value=load.kind,
                allowed="uniform, or a top_k below experts",
            )
        if isinstance(load, AdversarialLoad) and load.share <= even:
            raise FieldMistake(
                f"uniform choices of {self.top_k} of {self.experts} experts give each {even:.4g} of the tokens",
                field="load.share",
                value=load.share,
                allowed=f"a share above {even:.4g}, up to 0.95",
            )
        return self


def load_words(load: Load) -> str:
    """A load in few words: 'gini 0.24'."""
    if isinstance(load, GiniLoad):
        return f"gini {load.target:g}"
    if isinstance(load, ZipfLoad):
        return f"zipf {load.exponent:g}"
    if isinstance(load, AdversarialLoad):
        return f"adversarial {load.share:g}"
    if isinstance(load, ReplayLoad):
        name = load.file.rpartition("/")[2]
        return f"replay {name}" if load.array is None else f"replay {name}:{load.array}"
    return "uniform"
