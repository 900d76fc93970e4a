"""What every training declares."""

from __future__ import annotations

from typing import Annotated, Literal, Self

from pydantic import Field, model_validator

from seatrial.config.base import Closed, NonNegativeInt, PositiveFloat, PositiveInt
from seatrial.config.probe import Workload

QualityMetric = Literal["evaluation_loss", "frechet_distance", "retrieval_accuracy", "velocity_loss"]
BETTER: dict[str, Literal["higher", "lower"]] = {
    "evaluation_loss": "lower",
    "frechet_distance": "lower",
    "retrieval_accuracy": "higher",
    "velocity_loss": "lower",
}
"""Which direction of a quality metric is better."""


PROFILE_STEPS = 3
"""Few: a profile slows down the steps that it sees."""


class QualityTarget(Closed):
    """A metric's threshold; meeting it exactly counts."""

    metric: QualityMetric
    target: PositiveFloat
    direction: Literal["higher", "lower"] = "lower"

    @model_validator(mode="after")
    def _better(self) -> Self:
        if self.direction != BETTER[self.metric]:
            raise ValueError(f"direction of {self.metric} must be {BETTER[self.metric]}")
        return self


class Parallelism(Closed):
    """How the ranks share a training: their number is dp x fsdp x tp x ep.

    Ranks of one tp group see the same data; all others see different data.
    """

    dp: PositiveInt | None = None
    """Data-parallel copies; None: as many as the ranks that are left."""
    fsdp: PositiveInt = 1
    """Ranks that share parameters, gradients and optimiser state between them (FSDP2)."""
    tp: PositiveInt = 1
    """Ranks that share every attention and feed-forward layer between them."""
    ep: PositiveInt = 1
    """Ranks that share the routed experts between them."""

    def copies(self, world_size: int) -> int:
        """dp on `world_size` ranks. Raises ValueError in words where they do not come out even."""
        shared = self.fsdp * self.tp * self.ep
        dp = self.dp or max(1, world_size // shared)
        if dp * shared != world_size:
            raise ValueError(
                f"dp {dp} x fsdp {self.fsdp} x tp {self.tp} x ep {self.ep} is {dp * shared}, "
                f"but the target has {world_size} rank(s)"
            )
        return dp

    def data_ranks(self, world_size: int) -> int:
        """Ranks that see different data, on `world_size` ranks. Raises ValueError as `copies`."""
        return self.copies(world_size) * self.fsdp * self.ep


class Training(Workload):
    """A training to a stated quality."""

    kind: str

    benchmark: str | None = None
    """The MLPerf benchmark that this run is comparable with, or None."""
    division: Literal["closed", "open"] = "open"
    """The division whose rules the log is written to be checked by; no run of ours is a submission."""
    quality: QualityTarget
    also: list[QualityTarget] = []
    """Further qualities: when each is met is measured too; the run goes on until all are, or the budget is spent.
    Whether it has reached its target depends on `quality` alone."""
    batch_size: PositiveInt
    """Samples per data-parallel rank and micro-batch."""
    gradient_accumulation: PositiveInt = 1
    learning_rate: PositiveFloat
    learning_rate_schedule: Literal["constant", "cosine"] = "constant"
    """After the warm-up: constant, or a half cosine down to learning_rate_end at max_steps."""
    learning_rate_end: Annotated[float, Field(ge=0)] = 0.0
    """Where the cosine ends."""
    warmup_steps: NonNegativeInt = 0
    max_steps: PositiveInt
    """The budget: a run that has not reached its target by then fails with kind target_not_reached."""
    evaluation_interval_steps: PositiveInt
    evaluation_start_step: NonNegativeInt = 0
    """No evaluation before this step, but the one before the first step."""
    checkpoint_interval_steps: PositiveInt | None = None
    checkpoint_mode: Literal["synchronous", "asynchronous"] = "synchronous"
    """asynchronous: the training goes on while a copy of the state is written."""
    gradient_clip_norm: PositiveFloat = 1.0
    weight_decay: Annotated[float, Field(ge=0)] = 0.0
    adam_beta_1: Annotated[float, Field(ge=0, lt=1)] = 0.9
    adam_beta_2: Annotated[float, Field(ge=0, lt=1)] = 0.999
    adam_epsilon: PositiveFloat = 1e-8
    dtype: Literal["float32", "bfloat16"] = "float32"
    activation_checkpointing: bool = False
    """Recompute activations in the backward pass instead of keeping them."""
    cpu_threads: PositiveInt | None = None
    """CPU threads that a rank computes with at most; None: its whole share of the node's."""
    parallelism: Parallelism = Parallelism()
    rank_timeout_minutes: PositiveFloat = 30.0
    """How long a rank waits for another, also while the first alone reads the model; one that waits longer ends the
    run."""
    telemetry_interval_seconds: PositiveFloat | None = 1.0
    """How often power, clocks and utilisation are read beside the run; None: never."""
    profile_steps: NonNegativeInt | None = None
    """Steps of the run that are profiled for the communication that overlaps with nothing; only of use on
    accelerators (on CPUs every wait is timed). None: PROFILE_STEPS with fsdp above 1, where nothing else tells it;
    none at all in a run of a `benchmark`, which a profile would slow down."""

    def profiled_steps(self, on_accelerators: bool) -> int:
        """How many steps are profiled."""
        if not on_accelerators:
            return 0
        if self.profile_steps is None:
            return PROFILE_STEPS if self.parallelism.fsdp > 1 and self.benchmark is None else 0
        return self.profile_steps

    def global_batch(self, world_size: int) -> int:
        """Samples of one optimiser step on `world_size` ranks.

        Raises ValueError in words where the ranks do not come out even with the parallelism.
        """
        return self.batch_size * self.gradient_accumulation * self.parallelism.data_ranks(world_size)

    @model_validator(mode="after")
    def _within_budget(self) -> Self:
        for key in ("evaluation_interval_steps", "evaluation_start_step", "warmup_steps"):
            if getattr(self, key) > self.max_steps:
                raise ValueError(f"{key} ({getattr(self, key)}) is above max_steps ({self.max_steps})")
        if self.learning_rate_end > self.learning_rate:
            raise ValueError(f"learning_rate_end ({self.learning_rate_end}) is above learning_rate")
        metrics = [q.metric for q in (self.quality, *self.also)]
        if len(set(metrics)) < len(metrics):
            raise ValueError(f"also: every quality metric once; stated are {', '.join(metrics)}")
        return self
