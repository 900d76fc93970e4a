"""What was sampled beside a run: series of readings, energy between two moments, measurements, and their file."""

from __future__ import annotations

import logging
from collections.abc import Sequence
from pathlib import Path
from typing import Any, NamedTuple

from seatrial.paths import written_aside
from seatrial.record import Measurement, measurement

log = logging.getLogger(__name__)

Span = tuple[float, float]
"""From when to when, in seconds since the sampler's start."""


class Series(NamedTuple):
    """All readings of one sensor: plain lists of equal length, which other ranks can be sent."""

    device: str
    sensor: str
    """The metric without `telemetry.`; `throttled.<reason>` for a reason that holds (1.0) or not (0.0)."""
    unit: str
    time_s: list[float]
    """Seconds since the sampler's start."""
    value: list[float]
    training: list[bool]
    """Whether the training clock ran from the reading before to this one."""


def energy_within(time_s: Sequence[float], joules: Sequence[float], spans: Sequence[Span]) -> float:
    """Joules spent in `spans`, of a counter read at `time_s`; between two readings power is taken as constant.

    A span's end beyond the first or last reading counts from or up to that reading.
    """
    import numpy as np

    ends = np.array(spans, dtype=np.float64).reshape(-1, 2)
    at = np.interp(ends.ravel(), time_s, joules).reshape(-1, 2)
    return float((at[:, 1] - at[:, 0]).sum())


def measurements_of(series: Sequence[Series], labels: dict[str, str | int | float | bool]) -> list[Measurement]:
    """One measurement for each series but energy's: all readings marked as training.

    `telemetry.throttled` has one sample: the share of those readings at which the reason held.
    """
    found = []
    for one in series:
        values = [v for v, training in zip(one.value, one.training, strict=True) if training]
        name, _, reason = one.sensor.partition(".")
        if not values or name == "energy":
            continue
        named = {**labels, "device": one.device}
        if reason:
            named["reason"] = reason
            values = [sum(values) / len(values)]
        found.append(measurement(f"telemetry.{name}", values, named))
    return found


def write_series(path: Path, ranks: Sequence[Sequence[Series]]) -> bool:
    """Write all ranks' series (by rank) as one Parquet file, aside and renamed; whether there was any reading.

    Columns: rank (int32), device, sensor, unit (strings), time_s, value (float64), training (bool). Where no
    rank read anything there is no file.
    """
    import numpy as np
    import pyarrow as pa
    import pyarrow.parquet as pq

    rows = [(rank, one) for rank, series in enumerate(ranks) for one in series if one.value]
    if not rows:
        log.info("no sensor gave a value: no %s", path.name)
        return False
    lengths = [len(one.value) for _, one in rows]
    columns = {
        "rank": _numbers(np.repeat(np.array([rank for rank, _ in rows], dtype=np.int32), lengths)),
        "device": _words([one.device for _, one in rows], lengths),
        "sensor": _words([one.sensor for _, one in rows], lengths),
        "unit": _words([one.unit for _, one in rows], lengths),
        "time_s": _numbers(np.concatenate([np.array(one.time_s, dtype=np.float64) for _, one in rows])),
        "value": _numbers(np.concatenate([np.array(one.value, dtype=np.float64) for _, one in rows])),
        "training": _booleans(np.concatenate([np.array(one.training, dtype=np.bool_) for _, one in rows])),
    }
    with written_aside(path) as aside:
        pq.write_table(pa.Table.from_arrays(list(columns.values()), names=list(columns)), aside)
    return True


# Columns are made from buffers: pa.array() of a list or an array imports pandas, which a rank must not pay for.
def _numbers(values: Any) -> Any:
    import pyarrow as pa

    kind = pa.int32() if values.dtype.kind == "i" else pa.float64()
    return pa.Array.from_buffers(kind, len(values), [None, pa.py_buffer(values)])


def _booleans(values: Any) -> Any:
    import numpy as np
    import pyarrow as pa

    packed = np.packbits(values, bitorder="little")
    return pa.Array.from_buffers(pa.bool_(), len(values), [None, pa.py_buffer(packed)])


def _words(values: Sequence[str], lengths: Sequence[int]) -> Any:
    """Each of `values` as often as `lengths` says, as one column of strings."""
    import numpy as np
    import pyarrow as pa

    known = sorted(set(values))
    encoded = [word.encode() for word in known]
    offsets = np.concatenate([[0], np.cumsum([len(word) for word in encoded])]).astype(np.int32)
    buffers = [None, pa.py_buffer(offsets), pa.py_buffer(b"".join(encoded))]
    words = pa.Array.from_buffers(pa.string(), len(known), buffers)
    index = np.repeat(np.array([known.index(value) for value in values], dtype=np.int32), lengths)
    return pa.DictionaryArray.from_arrays(_numbers(index), words).dictionary_decode()
