"""Parameters of the probe gemm."""

from __future__ import annotations

from itertools import product
from typing import Annotated, Literal, Self

from pydantic import Field, model_validator

from seatrial.config.base import Closed, PositiveInt
from seatrial.config.probe.base import ELEMENT_BYTES, Dtype, Probe
from seatrial.errors import FieldMistake

MOST_SHAPES = 4096
"""A search over more shapes is a mistake in a range rather than a search."""
FP8_MULTIPLE = 16
"""cuBLASLt takes fp8 operands whose n and k are multiples of 16 (torch._scaled_mm)."""
SECONDS_PER_MINUTE = 60
COLD_BYTES = 2**30
"""What operands rotate through where caches shall be cold: the largest last-level caches (256 MB: MI300X) four
times over."""
Shape = tuple[int, int, int]
"""m, n, k."""


class Range(Closed):
    """The whole numbers `start`, `start` + `step`, ... up to `stop`, which is among them where it is met."""

    start: PositiveInt
    stop: PositiveInt
    step: PositiveInt = 1

    @model_validator(mode="after")
    def _ordered(self) -> Self:
        if self.stop < self.start:
            raise FieldMistake(
                f"the range ends before it begins (start {self.start})",
                field="stop",
                value=self.stop,
                allowed=f"a value >= {self.start}",
            )
        return self

    @property
    def values(self) -> range:
        return range(self.start, self.stop + 1, self.step)


class ShapeSearch(Closed):
    """Which shapes are tried for the best one: every combination of m, n and k."""

    m: Range
    n: Range
    k: Range
    coarse_iterations: PositiveInt = 5
    """Timed iterations of each shape in the first pass."""
    finalists: PositiveInt = 5
    """How many of the fastest are measured again with all iterations; the best once more, for its figure."""

    @property
    def shapes(self) -> list[Shape]:
        """All (m, n, k), in order."""
        return list(product(self.m.values, self.n.values, self.k.values))

    @model_validator(mode="after")
    def _not_too_many(self) -> Self:
        count = len(self.m.values) * len(self.n.values) * len(self.k.values)
        if count > MOST_SHAPES:
            raise ValueError(f"the ranges give {count} shapes; allowed: at most {MOST_SHAPES}")
        return self


class Gemm(Probe):
    """Matrix product C[m, n] = A[m, k] B[k, n] of normally distributed inputs: one shape, or the best of many."""

    kind: Literal["gemm"]
    m: PositiveInt | None = None
    n: PositiveInt | None = None
    k: PositiveInt | None = None
    search: ShapeSearch | None = None
    """Instead of m, n and k: look for the shape with the highest throughput."""
    dtype: Dtype = "float32"
    """fp8: e4m3, multiplied into bfloat16."""
    b_layout: Literal["column_major", "row_major"] = "column_major"
    """How B lies in memory. column_major, as [n, k], is how torch.nn.Linear keeps its weights."""
    fp8_fast_accumulation: bool = False
    """Lets NVIDIA's fp8 units add up with fewer bits, as training recipes do in the forward pass."""
    cold_cache: bool = False
    """Operands take turns over more copies than any cache holds, so that no iteration finds its own there."""
    sustained_seconds: Annotated[float, Field(gt=0)] | None = None
    """Then keep multiplying for so long without a pause: what the device holds once power and heat limit it."""

    @model_validator(mode="after")
    def _one_shape_or_a_search(self) -> Self:
        given = [name for name in ("m", "n", "k") if getattr(self, name) is not None]
        if self.search is not None and given:
            raise FieldMistake(
                f"a shape ({', '.join(given)}) and a search for one",
                field="search",
                value="given",
                allowed="m, n and k, or search",
            )
        if self.search is None and len(given) < 3:
            missing = [name for name in ("m", "n", "k") if name not in given]
            raise FieldMistake(
                "the product has no shape", field=missing[0], value=None, allowed="m, n and k, or search"
            )
        return self

    @model_validator(mode="after")
    def _fp8_operands(self) -> Self:
        if self.dtype != "fp8":
            return self
        if self.b_layout != "column_major":
            raise FieldMistake("fp8 products take B by columns", field="b_layout", value=self.b_layout,
                               allowed="column_major")  # fmt: skip
        for place, name in ((1, "n"), (2, "k")):
            wrong = next((shape[place] for shape in self.shapes if shape[place] % FP8_MULTIPLE), None)
            if wrong is not None:
                raise FieldMistake(
                    f"fp8 products need n and k that are multiples of {FP8_MULTIPLE}",
                    field=name if self.search is None else f"search.{name}",
                    value=wrong,
                    allowed=f"multiples of {FP8_MULTIPLE}",
                )
        return self

    @model_validator(mode="after")
    def _within_its_time(self) -> Self:
        limit = self.time_limit_minutes * SECONDS_PER_MINUTE
        if self.sustained_seconds is not None and self.sustained_seconds >= limit:
            raise FieldMistake(
                f"the repeat's time limit ({self.time_limit_minutes:g} minutes) ends before it",
                field="sustained_seconds",
                value=self.sustained_seconds,
                allowed=f"less than {limit:g}, or a larger time_limit_minutes",
            )
        return self

    @property
    def shapes(self) -> list[Shape]:
        """All (m, n, k) that are measured."""
        if self.search is not None:
            return self.search.shapes
        assert self.m is not None and self.n is not None and self.k is not None
        return [(self.m, self.n, self.k)]

    def bytes_of(self, shape: Shape) -> int:
        """Bytes of A, B and C; fp8 products are written as bfloat16."""
        m, n, k = shape
        result = ELEMENT_BYTES["bfloat16" if self.dtype == "fp8" else self.dtype]
        return (m * k + k * n) * ELEMENT_BYTES[self.dtype] + m * n * result

    def copies_of(self, shape: Shape) -> int:
        """Sets of operands that take turns: one, or with cold caches so many that they fill COLD_BYTES."""
        return max(2, -(-COLD_BYTES // self.bytes_of(shape))) if self.cold_cache else 1

    def held_bytes(self, shape: Shape) -> int:
        """Bytes of all operands of a shape that are there at once."""
        return self.bytes_of(shape) * self.copies_of(shape)
