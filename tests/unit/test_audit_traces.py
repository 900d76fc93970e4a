"""Kineto's traces: what a step goes to, from genuine profiles of CPUs and from ones of GPUs made by hand."""

from __future__ import annotations

import gzip
import json
from typing import Any

import numpy as np
import pytest
from audit_logs import BY_HAND, CAPTURED, read, read_text
from hypothesis import given
from hypothesis import strategies as st

from seatrial.ingest.audit.facts import Trace
from seatrial.ingest.audit.intervals import overlap, union, within, without


def _trace(name: str) -> Trace:
    (trace,) = read(name_path(name)).facts.traces
    return trace


def name_path(name: str) -> Any:
    return (CAPTURED if (CAPTURED / name).exists() else BY_HAND) / name


def test_captured_profiles_of_two_ranks_over_gloo_show_who_waits() -> None:
    quick, slow = (_trace(f"kineto_gloo_rank{rank}.json.gz") for rank in range(2))
    assert [(trace.rank, trace.world_size, trace.backend) for trace in (quick, slow)] == [
        (0, 2, "gloo"),
        (1, 2, "gloo"),
    ]
    assert [step.step for step in quick.steps] == [2, 3, 4, 5, 6, 7]
    computing, waiting = (
        [sum(step.parts[part] for step in trace.steps[1:]) for trace in (quick, slow)]
        for part in ("compute", "communication")
    )
    # rank 1 has twice the batch
    assert computing[1] > 1.3 * computing[0]
    assert waiting[0] > waiting[1]


def test_the_parts_of_a_captured_step_are_its_whole() -> None:
    for rank in range(2):
        for step in _trace(f"kineto_gloo_rank{rank}.json.gz").steps:
            assert sum(step.parts.values()) == pytest.approx(step.seconds)
            assert min(step.parts.values()) >= 0


def test_the_exposed_communication_of_a_captured_step_is_that_of_its_own_spans() -> None:
    """Reckoned again in another way: millisecond by millisecond, from the spans of the file."""
    trace = json.loads(gzip.decompress(name_path("kineto_gloo_rank0.json.gz").read_bytes()))
    spans = [event for event in trace["traceEvents"] if event["ph"] == "X"]
    begins = sorted(event["ts"] for event in spans if event["name"].startswith("ProfilerStep"))
    main = next(event["tid"] for event in spans if event["name"].startswith("ProfilerStep"))
    ticks = np.arange(begins[2], begins[3])
    communicating, computing, inside = (np.zeros(len(ticks), dtype=bool) for _ in range(3))
    for event in spans:
        during = (ticks >= event["ts"]) & (ticks < event["ts"] + event["dur"])
        called = event["name"].startswith(("gloo:", "c10d::"))
        communicating |= during & called
        if event["cat"] == "cpu_op" and event["tid"] == main:
            computing |= during & (not called)
            inside |= during & called
    exposed = (communicating & ~(computing & ~inside)).sum() * 1e-6
    step = _trace("kineto_gloo_rank0.json.gz").steps[2]
    assert step.parts["communication"] == pytest.approx(exposed, abs=5e-5)


def test_kernels_of_a_device_hide_communication() -> None:
    late, early = (_trace(f"kineto_nccl_rank{rank}_by_hand.json.gz") for rank in (1, 0))
    assert late.basis == "the kernels of device 0"
    parts = {"compute": 0.075, "communication": 0.016, "data_wait": 0.005, "other": 0.004}
    assert late.steps[3].parts == pytest.approx(parts, abs=1e-9)
    # the all-gather of 10 ms runs behind a product, and only the reduce-scatter shows
    assert early.steps[3].parts["communication"] == pytest.approx(0.031)


def test_times_as_text_and_capital_categories_of_early_versions() -> None:
    events = [
        {"ph": "X", "cat": "Operator", "name": "ProfilerStep#0", "pid": 1, "tid": "1", "ts": "0", "dur": "1000"},
        {
            "ph": "X",
            "cat": "Kernel",
            "name": "gemm",
            "pid": 0,
            "tid": 7,
            "ts": "100",
            "dur": "400",
            "args": {"device": 0},
        },
        {
            "ph": "X",
            "cat": "Kernel",
            "name": "ncclKernel_AllReduce_RING",
            "pid": 0,
            "tid": 8,
            "ts": "400",
            "dur": "300",
        },
    ]
    (trace,) = read_text(json.dumps({"traceEvents": events})).facts.traces
    assert trace.steps[0].parts["compute"] == pytest.approx(4e-4)
    assert trace.steps[0].parts["communication"] == pytest.approx(2e-4)


def test_a_profile_without_steps_says_so() -> None:
    events = [{"ph": "X", "cat": "kernel", "name": "gemm", "pid": 0, "tid": 7, "ts": 1, "dur": 4}]
    found = read_text(json.dumps({"traceEvents": events}))
    assert found.facts.empty
    assert dict(found.skipped) == {"spans of a trace without ProfilerStep: profiler.step() was not called": 1}


def test_a_trace_that_was_cut_off_says_so() -> None:
    text = gzip.decompress(name_path("kineto_gloo_rank0.json.gz").read_bytes()).decode()
    found = read_text(text[: len(text) // 2])
    assert found.facts.empty
    assert "its JSON ends before it is closed" in next(iter(found.skipped))


spans = st.lists(st.tuples(st.integers(0, 60), st.integers(0, 12)).map(lambda s: (float(s[0]), float(s[0] + s[1]))))


@given(spans, spans)
def test_sets_of_intervals_are_those_of_their_points(
    one: list[tuple[float, float]], other: list[tuple[float, float]]
) -> None:
    def points(rows: Any) -> set[int]:
        return {point for begin, end in rows for point in range(int(begin), int(end))}

    first, second = (union(np.array(rows, dtype=float).reshape(-1, 2)) for rows in (one, other))
    assert points(first) == points(one)
    assert points(without(first, second)) == points(one) - points(other)
    assert points(overlap(first, second)) == points(one) & points(other)
    assert within(first, 10.0, 40.0) == len(points(one) & set(range(10, 40)))
    assert (first[1:, 0] > first[:-1, 1]).all()
