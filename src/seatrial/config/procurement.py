"""Procurement: what is trained today, what will be trained, and the clusters proposed for it."""

from __future__ import annotations

from typing import Annotated, Literal, Self

from pydantic import Field, model_validator

from seatrial.config.assumption import Assumption
from seatrial.config.base import Closed, PositiveFloat, PositiveInt, Slug, Threshold
from seatrial.config.model_shape import Model
from seatrial.config.target import Precision, Reliability, Target
from seatrial.errors import FieldMistake

Rate = Literal[
    "products_tflops",
    "memory_gbps",
    "network_gbps",
    "alltoall_gbps",
    "link_gbps",
    "alltoall_inside_gbps",
    "bisection_gbps",
    "checkpoint_write_gbps",
    "checkpoint_read_gbps",
]
"""TFLOPS and GB/s. `network_gbps`: what collectives carry between nodes, per accelerator and direction;
`alltoall_gbps`: what the experts' all-to-all carries there; `link_gbps`: inside the fast fabric, per accelerator;
`alltoall_inside_gbps`: what the experts' all-to-all carries there, where it is known apart from `link_gbps`;
`bisection_gbps`: between the worst halves of the whole proposal, one way; checkpoints: of the whole proposal."""
SCALE = Threshold(
    value=8.0,
    source="our choice: eight times the ranks stand below another tier of switches, which fewer do not show",
)
PER_CENT_OF_TIME = Threshold(
    value=0.05, source="checkpoints beyond 5 % of training time: the usual point at which to look at storage"
)


class Layout(Closed):
    """How a training is shared out. The accelerators that are left over hold copies or shards: data parallel."""

    tensor: PositiveInt = 1
    pipeline: PositiveInt = 1
    experts: PositiveInt = 1
    """Ranks that share the experts of a layer, out of the data-parallel ones."""
    microbatches: PositiveInt = 1
    """Of a step: what fills a pipeline, and how often weights are read from memory."""
    data_parallel: Literal["replicated", "sharded"] = "sharded"
    """replicated: gradients are reduced to all; sharded: weights gathered for each pass, gradients scattered."""
    recompute: Literal["none", "full"] = "none"
    """full: the backward pass goes through every layer forward once more, its communication too."""
    placement: Literal["contiguous", "scattered"] = "contiguous"
    """Whether the ranks that share experts stand next to each other or anywhere in the cluster."""
    send_once: Literal["choice", "node"] = "choice"
    """A token travels for every expert that it chose, or once to each node and is handed on there."""
    most_nodes: PositiveInt | None = None
    """Nodes that a token's choices may reach at most, where the router is limited to some."""
    dispatch_bytes: PositiveFloat = 2.0
    """Bytes of an element on the way to the experts: 1 is fp8."""
    combine_bytes: PositiveFloat = 2.0
    gradient_bytes: PositiveFloat = 2.0


class Training(Closed):
    """A model, the steps it is trained in, and how it is shared out."""

    description: str = Field(min_length=1)
    model: Model
    sequence_length: PositiveInt
    tokens_per_step: PositiveInt
    training_tokens: Assumption | None = None
    """Tokens of the whole training; None: nobody knows yet, and no training time is given."""
    layout: Layout = Layout()

    @model_validator(mode="after")
    def _whole(self) -> Self:
        if self.tokens_per_step % self.sequence_length:
            raise FieldMistake(
                f"a step is whole sequences of sequence_length ({self.sequence_length}) tokens",
                field="tokens_per_step",
                value=self.tokens_per_step,
                allowed=f"a multiple of {self.sequence_length}",
            )
        experts = self.model.experts
        if self.layout.experts > 1 and experts is None:
            raise FieldMistake(
                "the model has no experts to share",
                field="layout.experts",
                value=self.layout.experts,
                allowed="1",
            )
        if self.training_tokens is not None:
            self.training_tokens.within(1.0, None, "training_tokens")
        return self


class Hybrid(Closed):
    """The planned model with sliding-window layers instead of full attention in all but every n-th layer."""

    window: PositiveInt
    full_every: Annotated[int, Field(ge=2, strict=True)]
    """One layer in so many keeps full attention."""
    against: PositiveInt | Literal["full"] = "full"
    """What the planned number of steps holds for: full attention, or a window of so many tokens."""
    quality: Literal["retrieval_accuracy", "evaluation_loss"] = "retrieval_accuracy"
    """To which quality the steps are counted."""
    study: str | None = None
    """The folder of another study's results whose hybrid_attention measured how many times the steps; None: this
    study's. study=procurement_windows names results/windows."""
    steps: Assumption | None = None
    """How many times the steps, as a study measured it whose tables are not here; the source names that study.
    None: what hybrid_attention of `study` measured, and not known without one."""

    @model_validator(mode="after")
    def _positive(self) -> Self:
        if self.steps is not None and self.study is not None:
            raise FieldMistake(
                "the steps are stated, so nothing is read there",
                field="study",
                value=self.study,
                allowed="null with steps",
            )
        if self.steps is not None:
            self.steps.within(1e-3, None, "steps")
        return self

    @property
    def without(self) -> Hybrid | None:
        """The model that the planned number of steps holds for; None: with full attention in every layer."""
        return None if self.against == "full" else self.model_copy(update={"window": self.against})


class Proposal(Closed):
    """A cluster that could be bought or rented. `target` is written as a name of conf/target, which planning fills
    in (null: the study's own target)."""

    target: Target
    nodes: PositiveInt
    """Of the whole proposal."""
    accelerator: str | None = None
    """One of conf/accelerator, for a target that leaves it open."""
    lead_months: Assumption | None = None
    """From the order to the first training."""
    noise: Assumption | None = None
    """How much the step time of one node varies by itself: coefficient of variation, independent between nodes."""
    network_noise: Assumption | None = None
    """How much the time of a collective between nodes varies with the node, in the same way; None: as `noise`. Left
    out where the network was measured: the time of a collective is the greatest over all ranks there."""
    storage_noise: Assumption | None = None
    """How much the time in which a node writes its share of a checkpoint varies; None: all write as fast. Left out
    where writing was measured, for the same reason."""
    rates: dict[Rate, Assumption] = {}
    """What somebody measured on such a cluster elsewhere, or a vendor stands by, where this study measures nothing:
    before the target's ceilings."""

    @model_validator(mode="after")
    def _sound(self) -> Self:
        for name, rate in self.rates.items():
            rate.within(1e-9, None, f"rates.{name}")
        if self.lead_months is not None:
            self.lead_months.within(0.0, None, "lead_months")
        for field in ("noise", "network_noise", "storage_noise"):
            stated = getattr(self, field)
            if stated is not None:
                stated.within(0.0, 1.0, field)
        return self

    @property
    def whole(self) -> Target:
        """The target with all nodes of the proposal."""
        return self.target.model_copy(update={"nodes": self.nodes})

    @property
    def accelerators(self) -> int:
        """Accelerators of the whole proposal; of a target without any its ranks."""
        return self.whole.accelerators or self.whole.world_size


class Saving(Closed):
    """Checkpoints of the planned training."""

    bytes_per_parameter: Assumption
    overhead: Threshold = PER_CENT_OF_TIME
    """Share of the training time that standing still for checkpoints may take."""
    reliability: Reliability | None = None
    """How often something breaks, where the target does not say so itself."""


class Procurement(Closed):
    """From what is trained today to what will be, on each proposal."""

    today: Training | None = None
    planned: Training
    needed_months: Assumption | None = None
    """Months until the planned training is to start."""
    proposals: Annotated[dict[Slug, Proposal], Field(min_length=1)]
    dtype: Precision = "bfloat16"
    kernels: Assumption | None = None
    """Share of the rate of large matrix products that a training's own products reach; None: all of it, a bound."""
    hidden: Assumption
    """Share of the time of products behind which communication can run."""
    imbalance: Assumption | None = None
    """Tokens of the busiest rank over the mean; None: every expert gets as many."""
    of_ceiling: dict[Rate, Assumption] = {}
    """Share of a target's stated ceiling that such machines were seen to reach, where nothing else is known;
    products: of the peak, where nobody's best is stated. What has no entry counts as reached in full: a bound."""
    scale: Threshold = SCALE
    """How many times as many ranks as a fabric or storage was measured on a proposal may have, or as few, and still
    be judged by it."""
    hop_seconds: Assumption | None = None
    """Latency of one message from rank to rank, where no collective was measured."""
    saving: Saving
    probes: str | None = None
    """The folder of another study's results whose probes measured the targets of proposals; None: this study's."""
    hybrid: Hybrid | None = None
    expert_groups: list[PositiveInt] = []
    """Further numbers of ranks that could share the experts, each a row of its own."""

    @model_validator(mode="after")
    def _shares(self) -> Self:
        self.hidden.within(0.0, 1.0, "hidden")
        if self.kernels is not None:
            self.kernels.within(1e-3, 1.0, "kernels")
        if self.imbalance is not None:
            self.imbalance.within(1.0, None, "imbalance")
        if self.hop_seconds is not None:
            self.hop_seconds.within(0.0, None, "hop_seconds")
        if self.needed_months is not None:
            self.needed_months.within(0.0, None, "needed_months")
        for name, share in self.of_ceiling.items():
            share.within(1e-3, 1.0, f"of_ceiling.{name}")
        self.saving.bytes_per_parameter.within(1e-3, None, "saving.bytes_per_parameter")
        if self.expert_groups and self.planned.model.experts is None:
            raise FieldMistake(
                "the planned model has no experts to share",
                field="expert_groups",
                value=self.expert_groups,
                allowed="[], or a model with experts",
            )
        return self

    @model_validator(mode="after")
    def _fits_every_proposal(self) -> Self:
        for name, proposal in self.proposals.items():
            for when, training in (("today", self.today), ("planned", self.planned)):
                if training is not None:
                    _shared_out(training, proposal.accelerators, f"{when}.layout", f"proposal {name}")
        return self


def _shared_out(training: Training, accelerators: int, key: str, where: str) -> None:
    """Raise FieldMistake where the layout does not divide the accelerators or the sequences of a step."""
    layout = training.layout
    model_parallel = layout.tensor * layout.pipeline
    ways = (
        ("tensor x pipeline", model_parallel, accelerators, "accelerators"),
        ("experts", layout.experts, accelerators // model_parallel, "data-parallel ranks"),
    )
    for word, parts, whole, of in ways:
        if parts > whole or whole % parts:
            raise FieldMistake(
                f"{where} has {whole} {of}, which {word} ({parts}) does not divide",
                field=key,
                value=parts,
                allowed=f"a divisor of {whole}",
            )
