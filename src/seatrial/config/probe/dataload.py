"""Parameters of the probe dataload."""

from __future__ import annotations

from typing import Annotated, Literal, Self

from pydantic import Field, model_validator

from seatrial.config.base import Closed, NonNegativeInt, PositiveFloat, PositiveInt, Slug
from seatrial.config.probe.base import Probe
from seatrial.errors import FieldMistake

Decode = Literal["none", "numpy", "jpeg"]
"""What is done to a sample's bytes: nothing, numpy.load (.npy, .npz), or decoding to pixels with Pillow."""
LEAST_SAMPLE = 256
"""Bytes: a .npy header takes 128 of them."""


class SyntheticFiles(Closed):
    """Files that every rank writes for itself before it reads them, and removes: of a stated size, no real data."""

    source: Literal["synthetic"]
    path: str | None = None
    """A folder that is there; None: beside the record."""
    storage: Slug | None = None
    """Instead of `path`: a name in the target's `storage`, which has the path."""
    samples: PositiveInt
    """Of each rank."""
    sample_bytes: Annotated[int, Field(ge=LEAST_SAMPLE, strict=True)] | None = None
    """As stored; not of jpeg, whose size follows from its pixels."""
    image_side: PositiveInt | None = None
    """jpeg only: pixels on each side."""
    samples_per_file: PositiveInt = 1
    """Several samples lie behind each other in a file, and are read at random all the same."""
    decode: Decode = "none"

    @model_validator(mode="after")
    def _one_place(self) -> Self:
        if self.path is not None and self.storage is not None:
            raise FieldMistake(
                "two places", field="storage", value=self.storage, allowed="path or storage, or neither"
            )
        return self

    @model_validator(mode="after")
    def _one_size(self) -> Self:
        wanted, other = ("image_side", "sample_bytes") if self.decode == "jpeg" else ("sample_bytes", "image_side")
        for name, given in ((wanted, True), (other, False)):
            if (getattr(self, name) is not None) != given:
                raise FieldMistake(
                    f"samples with decode {self.decode} " + ("need a size" if given else "have another size"),
                    field=name,
                    value=getattr(self, name),
                    allowed=f"{wanted} given, {other} not",
                )
        return self


class GivenFiles(Closed):
    """Files that are there, a sample each."""

    source: Literal["files"]
    path: str = Field(min_length=1)
    """A folder, searched with all folders in it."""
    pattern: str = Field(default="*", min_length=1)
    decode: Decode = "none"


class PreparedSequences(Closed):
    """Sequences of tokens as `seatrial prepare` leaves them for our trainings of language models."""

    source: Literal["sequences"]
    path: str = Field(min_length=1)
    """The prepared folder: results/STUDY/prepared/ID."""
    sequence_length: PositiveInt


class PreparedLatents(Closed):
    """Latents and encoded captions as MLPerf's flux1 reference leaves them, for our captioned diffusion."""

    source: Literal["latents"]
    path: str = Field(min_length=1)
    """A folder of Arrow files."""


AnySamples = Annotated[
    SyntheticFiles | GivenFiles | PreparedSequences | PreparedLatents, Field(discriminator="source")
]


class Dataload(Probe):
    """Samples per second that the input pipeline hands over, by worker processes of each rank.

    An iteration takes as many batches as there are workers (at least one), so that each worker has its part in it.
    """

    kind: Literal["dataload"]
    warmup: NonNegativeInt = 2
    iterations: PositiveInt = 10
    dataset: AnySamples
    batch_size: PositiveInt
    """Samples of one rank's batch."""
    workers: NonNegativeInt = 0
    """Processes of each rank that read; 0: the rank reads itself, and waits."""
    prefetch: PositiveInt = 2
    """Batches that each worker reads ahead."""
    pin: bool | None = None
    """Batches go to pinned memory; None: where there is an accelerator."""
    start_method: Literal["fork", "forkserver", "spawn"] = "fork"
    """How workers are started; torch's own choice on Linux under Python up to 3.13 is fork."""
    cache: Literal["drop", "keep"] = "drop"
    """drop: the files' pages leave the page cache before the first batch and after each read of a sample, as if the
    data were larger than memory; of files that are mapped a sample is fetched in one read."""
    batch_timeout_seconds: PositiveFloat = 120.0
    """A batch that takes longer fails instead of hanging."""
    needed_samples_per_second: PositiveFloat | None = None
    """What the training needs of all ranks together."""
    needed_by: Slug | None = None
    """Instead: the experiment of this study whose training takes the samples; what it took is what is needed."""

    @model_validator(mode="after")
    def _one_need(self) -> Self:
        if self.needed_samples_per_second is not None and self.needed_by is not None:
            raise FieldMistake(
                "the need is stated twice",
                field="needed_by",
                value=self.needed_by,
                allowed="needed_samples_per_second or needed_by, or neither",
            )
        return self

    @property
    def window(self) -> int:
        """Batches of one iteration."""
        return max(1, self.workers)
