"""Records as columns: each comes back as it was, and the statistics of many are those of each."""

from __future__ import annotations

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from seatrial.analysis.columns import columns_of, joined, taken
from seatrial.analysis.measurement_table import STATISTICS, summaries, summary
from seatrial.record import Error, Measurement, Quality, Record, measurement

labels = st.dictionaries(
    st.text(max_size=4),
    st.one_of(st.text(max_size=4), st.integers(-(2**40), 2**40), st.booleans(), st.floats(-1e6, 1e6)),
    max_size=4,
)
measurements = st.builds(
    lambda samples, labels, ceiling: measurement(
        "gemm.throughput", samples, labels, ceiling, None if ceiling is None else "stated"
    ),
    st.lists(st.floats(-1e300, 1e300), min_size=1, max_size=5),
    labels,
    st.none() | st.floats(1e-300, 1e300),
)
records = st.builds(
    lambda found, provenance, error: Record(
        study="trial",
        case_id="0" * 16,
        repeat=0,
        seed=None if error else 7,
        workload="gemm",
        target="laptop",
        outcome="failed" if error else "completed",
        error=Error(kind="crashed", message="it died", rank=2) if error else None,
        quality=Quality(metric="loss", target=1.5, crossing={"step": 3.0}),
        started_at="2026-01-02T03:04:05+00:00",
        finished_at="2026-01-02T03:04:06+00:00",
        measurements=found,
        provenance=provenance,
    ),
    st.lists(measurements, max_size=4),
    st.dictionaries(st.text(max_size=4), st.none() | st.integers() | st.lists(st.text(max_size=3), max_size=2)),
    st.booleans(),
)


@settings(max_examples=60, deadline=None)
@given(st.lists(records, min_size=1, max_size=4), st.randoms(use_true_random=False))
def test_columns_give_back_every_record_as_it_was(found: list[Record], chance: object) -> None:
    half = len(found) // 2
    columns = joined([columns_of(found[:half]), columns_of([]), columns_of(found[half:])])
    order = list(range(len(found)))
    chance.shuffle(order)  # type: ignore[attr-defined]
    mixed = taken(columns, order)
    for place, number in enumerate(order):
        given_back = mixed.record(place)
        assert given_back == found[number]
        assert given_back.model_dump_json() == found[number].model_dump_json()
        kinds = [[type(v) for v in m.labels.values()] for m in given_back.measurements]
        assert kinds == [[type(v) for v in m.labels.values()] for m in found[number].measurements]
        assert mixed.record(place, ()).measurements == []
        assert mixed.record(place, ("gemm.throughput",)) == found[number]


def test_columns_hold_every_field_of_a_measurement() -> None:
    """A field that somebody adds to a measurement must come back out of the kept records too."""
    whole = Measurement(
        metric="gemm.throughput", labels={"rank": 1}, unit="TFLOP/s", direction="higher", samples=[1.0, 2.0],
        samples_file="0.series.parquet", series=3, series_samples=2, ceiling=4.0, ceiling_basis="stated",
    )  # fmt: skip
    assert whole.model_fields_set == set(Measurement.model_fields)
    head = Record(
        study="s", case_id="c", repeat=0, seed=1, workload="gemm", target="t", outcome="completed", started_at="",
        finished_at="", measurements=[whole], series_sha256="0" * 64,
    )  # fmt: skip
    assert columns_of([head]).record(0) == head


def test_statistics_of_many_are_those_of_each() -> None:
    draw = np.random.default_rng(1)
    found = []
    for n in (1, 2, 3, 5, 5, 20, 21):
        for metric, ceiling in (("gemm.throughput", 3.0), ("collective.time", 2.0), ("collective.time", None)):
            values = (draw.standard_normal(n) * 10.0 ** draw.integers(-3, 4)).tolist()
            basis = None if ceiling is None else "stated"
            found.append(measurement(metric, values, {"n": n}, ceiling, basis))
    broken = found[5].model_copy(update={"samples": [1.0, float("nan")]})
    head = Record(
        study="s", case_id="c", repeat=0, seed=1, workload="gemm", target="t", outcome="completed", started_at="",
        finished_at="", measurements=[*found, broken],
    )  # fmt: skip
    together = summaries(columns_of([head]))
    for place, one in enumerate(found):
        alone = summary(one)
        assert [together.statistics[name][place] for name in STATISTICS] == [alone[name] for name in STATISTICS]
        fraction = together.fraction[place] if together.has_fraction[place] else None
        assert fraction == alone["fraction_of_ceiling"]
    assert all(np.isnan(together.statistics[name][-1]) for name in STATISTICS)
    assert together.has_fraction[-1] and np.isnan(together.fraction[-1])
