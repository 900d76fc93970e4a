"""Many records as columns: a million measurements go into memory, a file and another process, and soon."""

from __future__ import annotations

import json
from collections.abc import Collection, Iterable, Sequence
from dataclasses import dataclass, fields
from functools import cached_property
from itertools import chain
from typing import Any

import numpy as np
from numpy.typing import NDArray

from seatrial.analysis.order import row_medians
from seatrial.config.metrics import METRICS
from seatrial.record import Measurement, Record

Ints = NDArray[np.int64]
Floats = NDArray[np.float64]
ALL_FIELDS = set(Measurement.model_fields)
NONE = -1
"""Stands for None among numbers that are never negative."""


@dataclass(frozen=True)
class Columns:
    """Records, their measurements one after another, and the samples of those; codes stand for `texts`.

    Unit and direction are not here: they are the metric's, which reading has checked.
    """

    texts: list[str]
    heads: list[str]
    """[records]: JSON of all but the measurements."""
    rows: Ints
    """[records]: how many measurements each has."""
    metric: Ints
    """[measurements]: a code; so are `labels` (JSON in the record's own order), `basis` and `samples_file`."""
    labels: Ints
    basis: Ints
    samples_file: Ints
    ceiling: Floats
    """[measurements]: NaN where there is none."""
    series: Ints
    series_samples: Ints
    counts: Ints
    """[measurements]: how many samples each has."""
    samples: Floats

    @cached_property
    def row_ends(self) -> Ints:
        """[records + 1]: where the measurements of each record begin, and where the last one's end."""
        return _ends(self.rows)

    @cached_property
    def sample_ends(self) -> Ints:
        """[measurements + 1]: where the samples of each measurement begin, and where the last one's end."""
        return _ends(self.counts)

    def record(self, number: int, metrics: Collection[str] | None = None) -> Record:
        """One record as it was read, with all its measurements, or with those of `metrics` alone.

        Equal parts are shared between the records that are given: they must not be changed.
        """
        content = json.loads(self.heads[number])
        digest = content.pop("series_sha256")  # a record without its series would not be taken with it
        found = Record.model_validate(content).model_copy(update={"series_sha256": digest})
        return self.with_measurements(found, number, metrics)

    def with_measurements(self, record: Record, number: int, metrics: Collection[str] | None = None) -> Record:
        """`record`, which is the one of this number, with its measurements, or with those of `metrics` alone."""
        if metrics is not None and not metrics:
            return record
        return record.model_copy(update={"measurements": self.measurements(self.rows_of(number, metrics))})

    def rows_of(self, number: int, metrics: Collection[str] | None = None) -> Ints:
        """The rows of a record's measurements, or those that are of `metrics`."""
        first, last = int(self.row_ends[number]), int(self.row_ends[number + 1])
        if metrics is None:
            return np.arange(first, last)
        wanted = self._codes_of(frozenset(metrics))
        return first + np.flatnonzero(wanted[self.metric[first:last]])

    def finite(self, rows: Ints) -> Ints:
        """Those of `rows` whose samples are all finite."""
        return rows[~self._broken[rows]]

    def least(self, rows: Ints) -> Floats:
        """[rows]: the least sample of each, which has one at least."""
        if not len(rows):
            return np.empty(0)
        lengths = self.counts[rows]
        samples = self.samples[_ranges(self.sample_ends[rows], lengths)]
        return np.asarray(np.minimum.reduceat(samples, _ends(lengths)[:-1]))

    def values(self, rows: Ints) -> Floats:
        """[rows, samples]: the samples of rows that have equally many."""
        n = int(self.counts[rows[0]]) if len(rows) else 0
        found: Floats = self.samples[self.sample_ends[rows][:, None] + np.arange(n)]
        return found

    def medians(self, rows: Ints) -> Floats:
        """[rows]: the median of each one's samples, NaN where one is not finite; each is looked for once."""
        wanted = self.finite(rows[~self._has_median[rows]])
        for n in np.unique(self.counts[wanted]).tolist() if len(wanted) else ():
            some = wanted[self.counts[wanted] == n]
            self._medians[some] = row_medians(self.values(some))
        self._has_median[wanted] = True
        found: Floats = self._medians[rows]
        return found

    @cached_property
    def _broken(self) -> NDArray[np.bool_]:
        """[measurements]: whether a sample is not finite."""
        places = np.flatnonzero(~np.isfinite(self.samples))
        found = np.zeros(len(self.counts), dtype=bool)
        found[np.searchsorted(self.sample_ends, places, side="right") - 1] = True
        return found

    @cached_property
    def _medians(self) -> Floats:
        return np.full(len(self.counts), np.nan)

    @cached_property
    def _has_median(self) -> NDArray[np.bool_]:
        return np.zeros(len(self.counts), dtype=bool)

    def _codes_of(self, metrics: frozenset[str]) -> NDArray[np.bool_]:
        """[texts]: which are one of these metrics."""
        if metrics not in self._known_codes:
            self._known_codes[metrics] = np.array([text in metrics for text in self.texts], dtype=bool)
        return self._known_codes[metrics]

    @cached_property
    def _known_codes(self) -> dict[frozenset[str], NDArray[np.bool_]]:
        return {}

    @cached_property
    def _known_labels(self) -> dict[int, dict[str, Any]]:
        return {}

    def labels_of(self, code: int) -> dict[str, Any]:
        """The labels that a code of `labels` stands for; they are shared."""
        found = self._known_labels.get(code)
        if found is None:
            found = self._known_labels[code] = json.loads(self.texts[code])
        return found

    def measurements(self, rows: Ints) -> list[Measurement]:
        """These rows as they were read."""
        coded = [of[rows].tolist() for of in (self.metric, self.labels, self.basis, self.samples_file)]
        numbers = [of[rows].tolist() for of in (self.ceiling, self.series, self.series_samples)]
        ends = self.sample_ends[rows].tolist(), self.sample_ends[rows + 1].tolist()
        found = []
        for metric, labels, basis, file, ceiling, series, length, begin, end in zip(
            *coded, *numbers, *ends, strict=True
        ):
            name = self.texts[metric]
            known = METRICS[name]
            of = {
                "metric": name,
                "labels": self.labels_of(labels),
                "unit": known.unit,
                "direction": known.direction,
                "samples": self.samples[begin:end].tolist(),
                "samples_file": None if file == NONE else self.texts[file],
                "series": None if series == NONE else series,
                "series_samples": None if length == NONE else length,
                "ceiling": None if basis == NONE else ceiling,
                "ceiling_basis": None if basis == NONE else self.texts[basis],
            }
            found.append(_unchecked(of))
        return found


def _unchecked(content: dict[str, Any]) -> Measurement:
    """A measurement of what was checked before: `model_construct` goes through all fields, and takes three times
    as long."""
    found = Measurement.__new__(Measurement)
    object.__setattr__(found, "__dict__", content)
    object.__setattr__(found, "__pydantic_fields_set__", ALL_FIELDS)
    object.__setattr__(found, "__pydantic_extra__", None)
    object.__setattr__(found, "__pydantic_private__", None)
    return found


def columns_of(records: Iterable[Record]) -> Columns:
    """Records as columns; `Columns.record` gives each back."""
    codes: dict[str, int] = {}

    def code(text: str | None) -> int:
        return NONE if text is None else codes.setdefault(text, len(codes))

    heads, rows, measured = [], [], []
    for record in records:
        heads.append(json.dumps(record.model_dump(exclude={"measurements"})))
        rows.append(len(record.measurements))
        measured += record.measurements
    return Columns(
        metric=_ints([code(m.metric) for m in measured]),
        labels=_ints([code(json.dumps(m.labels)) for m in measured]),
        basis=_ints([code(m.ceiling_basis) for m in measured]),
        samples_file=_ints([code(m.samples_file) for m in measured]),
        ceiling=np.array([np.nan if m.ceiling is None else m.ceiling for m in measured], dtype=np.float64),
        series=_ints([NONE if m.series is None else m.series for m in measured]),
        series_samples=_ints([NONE if m.series_samples is None else m.series_samples for m in measured]),
        counts=_ints([len(m.samples) for m in measured]),
        samples=np.fromiter(chain.from_iterable(m.samples for m in measured), dtype=np.float64),
        heads=heads,
        rows=_ints(rows),
        texts=list(codes),
    )


def joined(parts: Sequence[Columns]) -> Columns:
    """The records of all parts, one after another."""
    codes: dict[str, int] = {}
    moved = [np.array([codes.setdefault(text, len(codes)) for text in part.texts] + [NONE]) for part in parts]
    # NONE is the last of each: a code of -1 stays one
    columns: dict[str, Any] = {
        name: _together([getattr(part, name) for part in parts], kind)
        for name, kind in (
            ("rows", np.int64), ("ceiling", np.float64), ("series", np.int64), ("series_samples", np.int64),
            ("counts", np.int64), ("samples", np.float64),
        )
    }  # fmt: skip
    for name in ("metric", "labels", "basis", "samples_file"):
        recoded = [new[getattr(part, name)] for part, new in zip(parts, moved, strict=True)]
        columns[name] = _together(recoded, np.int64)
    return Columns(texts=list(codes), heads=[head for part in parts for head in part.heads], **columns)


def taken(columns: Columns, records: Sequence[int]) -> Columns:
    """Some of the records, in the order that is asked for."""
    if list(records) == list(range(len(columns.heads))):
        return columns
    chosen = _ints(records)
    rows = _ranges(columns.row_ends[chosen], columns.rows[chosen])
    samples = _ranges(columns.sample_ends[rows], columns.counts[rows])
    of_rows = {
        field.name: getattr(columns, field.name)[rows]
        for field in fields(Columns)
        if field.name not in ("texts", "heads", "rows", "samples")
    }
    return Columns(
        texts=columns.texts,
        heads=[columns.heads[number] for number in records],
        rows=columns.rows[chosen],
        samples=columns.samples[samples],
        **of_rows,
    )


def _ints(values: Sequence[int]) -> Ints:
    return np.array(values, dtype=np.int64)


def _ends(counts: Ints) -> Ints:
    return np.concatenate([np.zeros(1, dtype=np.int64), np.cumsum(counts)])


def _together(arrays: Sequence[NDArray[Any]], kind: type) -> NDArray[Any]:
    return np.concatenate([np.empty(0, dtype=kind), *arrays])


def _ranges(starts: Ints, counts: Ints) -> Ints:
    """start, start + 1, ... of each, `count` of them, one after another."""
    shifts = np.repeat(starts - _ends(counts)[:-1], counts)
    return shifts + np.arange(len(shifts), dtype=np.int64)
