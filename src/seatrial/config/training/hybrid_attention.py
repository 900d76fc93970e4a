"""Hybrid attention: layers of several kinds, trained to find what was said long ago."""

from __future__ import annotations

import math
from typing import Annotated, Literal, Self

from pydantic import Field, model_validator

from seatrial.config.base import Closed, PositiveFloat, PositiveInt
from seatrial.config.training.base import Training

Mixer = Literal["full", "sliding_window", "recurrent"]
MEASURED = ("evaluation_loss", "retrieval_accuracy")
LEAST_FAR_QUERIES = 500
"""Fewer far queries than this leave the accuracy too coarse: at 0.95 its standard error is then 0.01."""


class Retrieval(Closed):
    """Synthetic associative recall: slots of (key, value), every key with one value for the whole sequence.

    A slot whose key was mentioned before is a query: its value can be known. A query is far where its key's last
    mention is more than `far_distance` tokens back, near otherwise.
    """

    sequence_length: Annotated[int, Field(ge=4, multiple_of=2, strict=True)]
    """Tokens; two make a slot."""
    pairs: PositiveInt
    """Keys of a sequence that are mentioned over and over; each far query adds a key of its own."""
    keys: PositiveInt
    values: Annotated[int, Field(ge=2, strict=True)]
    """Key and value tokens that there are; chance is 1 / values."""
    far_distance: PositiveInt
    """Beyond what sliding-window layers carry by themselves, also at the largest window of a study, so that all
    windows are probed on the same queries."""
    far_query_rate: Annotated[float, Field(gt=0, lt=1)]
    """Far queries over all queries of the training and evaluation sequences. The rarer they are, the less of the
    loss is to be gained from looking back further than the window."""
    training_sequences: PositiveInt = 1_000_000
    evaluation_sequences: PositiveInt
    probe_sequences: PositiveInt
    """Sequences on which the retrieval accuracy is measured."""
    probe_far_queries: PositiveInt
    """Far queries of each probe sequence."""
    evaluation_seed: PositiveInt = 1
    """Of the evaluation and probe sequences: the same for every repeat, and none of them is ever trained on."""

    @property
    def slots(self) -> int:
        return self.sequence_length // 2

    @property
    def far_slots(self) -> int:
        """A far query is at least this many slots after its key's last mention."""
        return self.far_distance // 2 + 1

    @property
    def far_tokens(self) -> int:
        """The value that a far query asks for stands at least this many tokens back: it follows its key."""
        return 2 * self.far_slots - 1

    @property
    def far_places(self) -> int:
        """Slots at either end of a sequence between which every distance is far."""
        return min(self.slots - self.far_slots, self.slots // 2)

    @property
    def far_queries(self) -> float:
        """Far queries of a training sequence, on average.

        Of s slots p + n are first mentions and n far queries: n = r (s - p - n) at rate r.
        """
        return self.far_query_rate * (self.slots - self.pairs) / (1 + self.far_query_rate)

    @model_validator(mode="after")
    def _possible(self) -> Self:
        if self.far_places < 1:
            raise ValueError(
                f"far_distance ({self.far_distance}) leaves no room for a far query in sequence_length "
                f"({self.sequence_length}); allowed: at most {2 * (self.slots - 1) - 1}"
            )
        if self.pairs >= self.slots:
            raise ValueError(f"pairs ({self.pairs}) must be below the {self.slots} slots of a sequence")
        self._room_for("far_query_rate", math.ceil(self.far_queries))
        self._room_for("probe_far_queries", self.probe_far_queries)
        if (probed := self.probe_sequences * self.probe_far_queries) < LEAST_FAR_QUERIES:
            raise ValueError(
                f"probe_sequences ({self.probe_sequences}) x probe_far_queries ({self.probe_far_queries}) is "
                f"{probed}; allowed: at least {LEAST_FAR_QUERIES} far queries"
            )
        return self

    def _room_for(self, key: str, far_queries: int) -> None:
        """Raises ValueError where a sequence has no slots or keys for so many far queries."""
        asked = f"{key} ({getattr(self, key)}) asks for {far_queries} far queries in a sequence"
        if far_queries > self.far_places:
            raise ValueError(
                f"{asked}; allowed: at most {self.far_places} with sequence_length {self.sequence_length} and "
                f"far_distance {self.far_distance}"
            )
        if self.pairs + far_queries > self.keys:
            raise ValueError(
                f"{asked}, each with a key of its own beside the {self.pairs} pairs: keys ({self.keys}) are too few"
            )


class Positions(Closed):
    """Where attention layers have rotary positions; none is NoPE. Recurrent layers know order by themselves."""

    full: Literal["rotary", "none"] = "rotary"
    sliding_window: Literal["rotary", "none"] = "rotary"


class HybridAttention(Training):
    """A decoder of full, sliding-window and recurrent layers, trained on retrieval."""

    kind: Literal["hybrid_attention"]
    pattern: Annotated[list[Mixer], Field(min_length=1)]
    """The mixers of successive layers, from the first on."""
    cycles: PositiveInt = 1
    """How often the pattern is gone through: layers = length of the pattern x cycles."""
    window: PositiveInt
    """Positions that a sliding-window layer sees, its own among them."""
    positions: Positions = Positions()
    hidden_size: PositiveInt
    heads: PositiveInt
    intermediate_size: PositiveInt
    recurrent_chunk: Annotated[int, Field(ge=1, le=16, strict=True)] = 16
    """Positions that a recurrent layer takes at once: changes its speed, not its result."""
    embedding_standard_deviation: PositiveFloat = 0.02
    """Of the initial embedding."""
    previous_token: bool = True
    """Every position is given the token before its own beside its own. Without it, small windows also make it
    easier to learn to look one token back, and the effect of a window has two causes."""
    retrieval: Retrieval

    @property
    def mixers(self) -> list[Mixer]:
        """The mixer of every layer."""
        return self.pattern * self.cycles

    @property
    def vocabulary(self) -> int:
        return self.retrieval.keys + self.retrieval.values

    @property
    def local_reach(self) -> int:
        """The farthest token back that reaches a position through its sliding-window layers alone.

        Each of L of them, whatever stands between, hands on from window - 1 positions back; the first position
        also has the token before it where `previous_token` is on: L (window - 1) + 1, else L (window - 1).
        """
        return self.mixers.count("sliding_window") * (self.window - 1) + int(self.previous_token)

    def _far_is_out_of_reach(self) -> None:
        """Raises ValueError where sliding-window layers answer far queries by themselves, or no layer can."""
        if set(self.pattern) == {"sliding_window"}:
            raise ValueError(
                f"pattern {self.pattern}: no layer looks beyond its window, so far queries have no answer; "
                "allowed: at least one full or recurrent layer"
            )
        if self.local_reach < self.retrieval.far_tokens:
            return
        before = " + 1 (previous_token)" if self.previous_token else ""
        raise ValueError(
            f"retrieval.far_distance ({self.retrieval.far_distance}): {self.mixers.count('sliding_window')} "
            f"sliding_window layer(s) x (window {self.window} - 1){before} carry {self.local_reach} tokens back, "
            "so that they answer far queries by themselves; "
            f"allowed: at least {self.local_reach + self.local_reach % 2}"
        )

    @model_validator(mode="after")
    def _consistent(self) -> Self:
        if self.hidden_size % (2 * self.heads):
            raise ValueError(
                f"hidden_size ({self.hidden_size}) must be a multiple of twice the heads ({self.heads}): "
                "positions turn pairs, and a recurrent layer's keys are half as wide as its values"
            )
        self._far_is_out_of_reach()
        for quality in (self.quality, *self.also):
            if quality.metric not in MEASURED:
                raise ValueError(
                    f"quality.metric {quality.metric}: hybrid_attention measures {' and '.join(MEASURED)}"
                )
        for axis, why in (("tp", "has no tensor parallelism"), ("ep", "has no routed experts to share")):
            if (size := getattr(self.parallelism, axis)) > 1:
                raise ValueError(f"parallelism.{axis} ({size}): hybrid_attention {why}; allowed: 1")
        return self
