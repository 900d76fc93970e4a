"""The record: one JSON file per repeat, with provenance, outcome and measurements. Raw samples are kept."""

from __future__ import annotations

import datetime as dt
import hashlib
import json
import math
import os
from collections.abc import Sequence
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import Field, ValidationError, model_validator

from seatrial.config.base import Closed, PositiveInt, first_mistake
from seatrial.config.masking import masked
from seatrial.config.metrics import METRICS
from seatrial.config.secrets import HIDDEN
from seatrial.errors import ERROR_KINDS, UnreadableFile
from seatrial.paths import series_file, write_text, written_aside

SCHEMA_VERSION = 1
SERIES_LIMIT = 1000
"""Longer sample lists go to the Parquet file beside the record."""
MOST_VALUES = 100_000_000
"""Of one series, where its record does not say how many it has."""

Outcome = Literal["completed", "failed", "unsupported", "aborted"]


class Error(Closed):
    """Why a repeat did not complete; `rank` is the first rank that failed by itself, None where unknown."""

    kind: str
    message: str
    rank: int | None = None

    @model_validator(mode="after")
    def _known(self) -> Error:
        if self.kind not in ERROR_KINDS:
            raise ValueError(f"unknown error kind {self.kind!r}; allowed: {', '.join(ERROR_KINDS)}")
        return self


class Quality(Closed):
    """A training's quality: the target, the evaluations on both sides of it, and where it was crossed.

    `before` and `after` are evaluations {step, samples, minutes, value}; `crossing` holds the interpolated
    {step, samples, minutes}; both None where the target was not reached.
    """

    metric: str
    target: float
    before: dict[str, float] | None = None
    after: dict[str, float] | None = None
    crossing: dict[str, float] | None = None


class Measurement(Closed):
    """One metric of one repeat: all samples, unit, direction; the ceiling and how it was found, if any.

    `samples` is empty where the series went to `samples_file` (Parquet beside the record, columns
    `series` and `value`), under `series`; `series_samples` says how many (None in records of before).
    """

    metric: str
    labels: dict[str, str | int | float | bool] = {}
    unit: str
    direction: Literal["higher", "lower"]
    samples: list[float]
    samples_file: str | None = None
    series: int | None = None
    series_samples: PositiveInt | None = None
    ceiling: float | None = Field(default=None, gt=0)
    ceiling_basis: str | None = None

    @model_validator(mode="after")
    def _as_catalogued(self) -> Measurement:
        known = METRICS.get(self.metric)
        if known is None:
            raise ValueError(f"unknown metric {self.metric!r}; allowed: {', '.join(METRICS)}")
        if (self.unit, self.direction) != (known.unit, known.direction):
            raise ValueError(f"{self.metric} is in {known.unit}, {known.direction} is better")
        if (self.ceiling is None) != (self.ceiling_basis is None):
            raise ValueError("ceiling and ceiling_basis go together")
        if (self.samples_file is None) != (self.series is None):
            raise ValueError("samples_file and series go together")
        if self.series_samples is not None and self.series is None:
            raise ValueError("series_samples is of a series in samples_file")
        if not self.samples and self.samples_file is None:
            raise ValueError("a measurement needs at least one sample; what was not measured has no measurement")
        return self


def measurement(
    metric: str,
    samples: Sequence[float],
    labels: dict[str, str | int | float | bool] | None = None,
    ceiling: float | None = None,
    ceiling_basis: str | None = None,
) -> Measurement:
    """A measurement with unit and direction from the catalogue of metrics.

    Raises ValueError (pydantic's) for an unknown metric, no samples, or samples that are not finite.
    """
    known = METRICS[metric]
    return Measurement(
        metric=metric,
        labels=labels or {},
        unit=known.unit,
        direction=known.direction,
        samples=[float(s) for s in samples],
        ceiling=ceiling,
        ceiling_basis=ceiling_basis,
    )


class Record(Closed):
    """What became of one repeat. Times are ISO 8601 in UTC."""

    schema_version: Literal[1] = 1
    study: str
    case_id: str
    repeat: int = Field(ge=0)
    seed: int | None
    """None where a log that somebody handed over does not state it."""
    workload: str
    """The workload's kind."""
    target: str
    """The target's name."""
    outcome: Outcome
    error: Error | None = None
    resumed: int = Field(default=0, ge=0)
    """How often the repeat was taken up from a checkpoint."""
    quality: Quality | None = None
    started_at: str
    finished_at: str
    measurements: list[Measurement] = []
    series_sha256: Annotated[str, Field(pattern="^[0-9a-f]{64}$")] | None = None
    """SHA-256 of the series file beside the record, which binds the two; None where there is none, and in records
    of before."""
    provenance: dict[str, Any] = {}
    """hosts, slurm, git, versions, devices, driver, environment, container."""

    @model_validator(mode="after")
    def _consistent(self) -> Record:
        if (self.outcome == "completed") == (self.error is not None):
            raise ValueError("a completed record has no error, every other one says why")
        if self.series_sha256 is not None and not any(m.samples_file for m in self.measurements):
            raise ValueError("series_sha256 is there, but no measurement has a samples_file")
        return self

    def write(self, path: Path) -> None:
        """Write the record (and its long series beside it), aside and renamed."""
        kept: list[Measurement] = []
        series: list[list[float]] = []
        file = series_file(path)
        for m in self.measurements:
            place: dict[str, Any] = {"samples_file": None, "series": None, "series_samples": None}
            if len(m.samples) > SERIES_LIMIT:
                place = {"samples_file": file.name, "series": len(series), "series_samples": len(m.samples)}
                place["samples"] = []
                series.append(m.samples)
            kept.append(m.model_copy(update=place))
        digest = _write_series(file, series) if series else None
        content = self.model_copy(update={"measurements": kept, "series_sha256": digest}).model_dump(mode="json")
        content |= {name: _masked(content[name]) for name in ("error", "provenance")}
        write_text(path, json.dumps(content, indent=1, sort_keys=True) + "\n")

    @classmethod
    def read(cls, path: Path) -> Record:
        """Read a record with all its samples.

        Raises UnreadableFile for a truncated, foreign or inconsistent file, and for a series file that is not the
        one that was written with the record. Records of before have no digest: their series go by name alone.
        """
        try:
            record = cls.model_validate_json(path.read_text(encoding="utf-8"))
        except ValidationError as problem:
            raise UnreadableFile(path, first_mistake(problem)) from problem
        except (OSError, UnicodeDecodeError) as problem:
            raise UnreadableFile(path, str(problem)) from problem
        mistake = _twice(record) or _ends_before_it_began(record)
        if mistake is not None:
            raise UnreadableFile(path, mistake)
        if any(m.samples_file for m in record.measurements):
            return record.model_copy(update={"measurements": _with_series(path, record)})
        return record


def _masked(content: Any) -> Any:
    """The same without what looks like a secret: an error has the last words of somebody's program in it."""
    if isinstance(content, str):
        return masked(content, os.environ, HIDDEN)[0]
    if isinstance(content, dict):
        return {key: _masked(value) for key, value in content.items()}
    return [_masked(value) for value in content] if isinstance(content, list) else content


def _twice(record: Record) -> str | None:
    """Which measurement is there twice: nothing says which of them counts."""
    seen: set[tuple[str, frozenset[tuple[str, object]]]] = set()
    for m in record.measurements:
        key = m.metric, frozenset(m.labels.items())
        if key in seen:
            return f"{m.metric} is there twice with the labels {m.labels}"
        seen.add(key)
    return None


def _ends_before_it_began(record: Record) -> str | None:
    began, ended = _time(record.started_at), _time(record.finished_at)
    if began is None or ended is None or ended >= began:
        return None
    return f"finished_at {record.finished_at} is before started_at {record.started_at}"


def _time(text: str) -> dt.datetime | None:
    """The time that a text states, in UTC where it names no zone; None where it states none."""
    try:
        found = dt.datetime.fromisoformat(text)
    except ValueError:
        return None
    return found if found.tzinfo is not None else found.replace(tzinfo=dt.UTC)


def _write_series(path: Path, series: list[list[float]]) -> str:
    """The SHA-256 of what was written."""
    import numpy as np
    import pyarrow as pa
    import pyarrow.parquet as pq

    index = np.repeat(np.arange(len(series), dtype=np.int32), [len(values) for values in series])
    value = np.array([v for values in series for v in values], dtype=np.float64)
    # from buffers: pa.array() of a list or an array imports pandas, which a rank must not pay for
    columns = [
        pa.Array.from_buffers(pa.int32(), len(index), [None, pa.py_buffer(index)]),
        pa.Array.from_buffers(pa.float64(), len(value), [None, pa.py_buffer(value)]),
    ]
    content = pa.BufferOutputStream()
    pq.write_table(pa.Table.from_arrays(columns, names=["series", "value"]), content)
    written = content.getvalue().to_pybytes()
    with written_aside(path) as aside:
        aside.write_bytes(written)
    return hashlib.sha256(written).hexdigest()


def _with_series(path: Path, record: Record) -> list[Measurement]:
    import pyarrow as pa
    import pyarrow.parquet as pq

    file = series_file(path)
    try:
        # read once: what is parsed is what the digest is of
        content = file.read_bytes()
        _check_digest(file, content, record.series_sha256)
        parquet = pq.ParquetFile(pa.BufferReader(content))
        # before anything is unpacked: a few bytes can stand for any number of equal values
        if parquet.metadata.num_rows > _most_values(record):
            raise UnreadableFile(file, f"it has {parquet.metadata.num_rows} values, more than its record says")
        table = parquet.read(columns=["series", "value"])
        index = table["series"].cast(pa.int32()).to_pylist()
        values = table["value"].cast(pa.float64()).to_pylist()
    except (OSError, pa.ArrowException, KeyError, UnicodeDecodeError) as problem:
        raise UnreadableFile(file, str(problem)) from problem
    if not all(value is not None and math.isfinite(value) for value in values):
        raise UnreadableFile(file, "a value in it is not a finite number")
    found: dict[int, list[float]] = {}
    for i, value in zip(index, values, strict=True):
        found.setdefault(i, []).append(value)
    out = []
    for m in record.measurements:
        if m.series is None:
            out.append(m)
            continue
        if m.series not in found:
            raise UnreadableFile(file, f"series {m.series} of {m.metric} is not in it")
        samples = found[m.series]
        if m.series_samples is not None and len(samples) != m.series_samples:
            raise UnreadableFile(
                file,
                f"series {m.series} of {m.metric} has {len(samples)} samples, its record says {m.series_samples}",
            )
        out.append(m.model_copy(update={"samples": samples}))
    return out


def _most_values(record: Record) -> int:
    """How many values the series of a record can have: as many as it says, in records of before MOST_VALUES."""
    stated = [m.series_samples for m in record.measurements if m.series is not None]
    return sum(n or MOST_VALUES for n in stated)


def _check_digest(file: Path, content: bytes, expected: str | None) -> None:
    found = hashlib.sha256(content).hexdigest()
    if expected is not None and found != expected:
        raise UnreadableFile(
            file,
            f"it is not the series file of its record: SHA-256 {found[:16]}..., the record says {expected[:16]}...",
        )
