"""Whatever was observed or was not: a cause is named only on evidence of its own, and the order is by cost."""

from collections.abc import Callable

from findings_on_disk import RULES
from hypothesis import given, settings
from hypothesis import strategies as st

from seatrial.analysis.findings.diagnose import FIRM, diagnose
from seatrial.analysis.findings.observed import (
    PARTS,
    DeviceReading,
    DeviceTelemetry,
    Estimate,
    Fabric,
    Failure,
    Finding,
    Lateness,
    Loading,
    Noise,
    Observed,
    Reading,
    SlowPair,
    Storage,
)

fractions = st.floats(0.0, 1.0)


@st.composite
def estimates(draw: st.DrawFn, values: st.SearchStrategy[float] = fractions) -> Estimate:
    """A figure with an interval about it, or without one."""
    value = draw(values)
    if draw(st.booleans()):
        return Estimate(value)
    width = draw(st.floats(0.0, 1.0))
    return Estimate(value, value * (1 - width), value * (1 + width), "log-t 95 %", 3)


ratios = estimates(st.floats(0.2, 4.0))
readings = st.builds(
    Reading, st.just("probe"), ratios, st.just("GB/s"), st.none() | estimates(), st.just("declared"), st.just("p")
)
names = st.sampled_from(["n1", "n2", "n3"])
slow_pairs = st.builds(SlowPair, names, st.none() | names, st.floats(0.1, 50.0), st.floats(0.05, 0.95), st.none())
fabrics = st.builds(
    Fabric,
    st.lists(readings, max_size=2).map(tuple),
    st.just(()),
    st.integers(0, 8),
    st.none() | readings,
    st.lists(slow_pairs, max_size=2).map(tuple),
    st.sampled_from(["", "too few pairs"]),
)
storages = st.builds(
    Storage,
    st.dictionaries(st.sampled_from(["write", "read"]), readings),
    st.just(()),
    st.none() | st.floats(0.001, 0.5),
    checkpoint_gbps=st.none() | st.floats(0.01, 10.0),
)
loaders = st.builds(
    Loading,
    readings,
    st.none() | st.floats(0.1, 10.0),
    st.none() | st.booleans(),
    st.none() | st.floats(0.01, 10.0),
)
late = st.builds(
    Lateness,
    estimates(),
    st.none() | estimates(),
    st.none() | estimates(),
    st.none() | names,
    st.none() | names,
    st.just((1,)),
    st.integers(2, 5),
    st.none() | ratios,
    st.none() | st.floats(0.0, 20.0),
    st.none() | fractions,
)
noises = st.builds(Noise, *[st.none() | estimates() for _ in range(4)])
devices = st.builds(
    DeviceReading, names, st.just(0), st.just("gpu0"), st.just("gemm.throughput"), st.just(1.0), st.just("TFLOP/s"),
    st.floats(0.1, 1.2), st.none(), st.sampled_from([None, True, False]), st.none(),
)  # fmt: skip
telemetry = st.builds(
    DeviceTelemetry, names, st.just("gpu0"), st.dictionaries(st.sampled_from(["power_cap", "idle"]), fractions)
)
failures = st.builds(
    Failure, st.sampled_from(["node_fail", "crashed", "xid", "timeout"]), st.just("it died"), names
)
observations = st.builds(
    Observed,
    where=st.just("case"),
    title=st.just("made up"),
    runs=st.integers(0, 5),
    whole_seconds=st.none() | st.floats(1.0, 100.0),
    step_seconds=st.none() | ratios,
    minutes_to_quality=st.none() | ratios,
    shares=st.dictionaries(st.sampled_from(PARTS), estimates()),
    transfer=st.none() | estimates(),
    productive=st.none() | estimates(),
    lateness=st.none() | late,
    noise=st.none() | noises,
    mfu=st.none() | estimates(),
    slower_than_reference=st.sampled_from([None, True, False]),
    fabric=st.none() | fabrics,
    storage=st.none() | storages,
    loading=st.lists(loaders, max_size=2).map(tuple),
    devices=st.lists(devices, max_size=2).map(tuple),
    gemm=st.lists(readings, max_size=2).map(tuple),
    telemetry=st.lists(telemetry, max_size=3).map(tuple),
    failures=st.lists(failures, max_size=2).map(tuple),
)


def _interconnect(seen: Observed) -> bool:
    return bool(seen.transfer or "communication" in seen.shares or seen.fabric)


def _storage(seen: Observed) -> bool:
    return "checkpoint_stall" in seen.shares or "data_wait" in seen.shares or seen.storage is not None


EVIDENCE: dict[str, Callable[[Observed], bool]] = {
    "interconnect": _interconnect,
    "storage": _storage,
    "data_loading": lambda seen: "data_wait" in seen.shares,
    "compute": lambda seen: bool(seen.gemm or seen.telemetry),
    "framework": lambda seen: bool(seen.shares or seen.transfer),
    "straggler_node": lambda seen: seen.lateness is not None or any(d.slow for d in seen.devices),
    "failed_node": lambda seen: any(f.kind in ("node_fail", "xid") for f in seen.failures),
    "noise": lambda seen: seen.noise is not None,
}
"""What must have been observed for a cause to be named."""


def firm_cost(found: Finding) -> bool:
    return found.severity in FIRM and found.cost is not None and found.cause != "failed_node"


@settings(max_examples=150, deadline=None)
@given(observations)
def test_a_cause_is_named_only_on_evidence_of_its_own(observed):
    found = diagnose(observed, RULES)
    assert found
    for one in found:
        assert one.cause == "none" or EVIDENCE[one.cause](observed)
        assert one.evidence or one.severity in ("none", "not_known")
        assert (one.cause == "none") == (one.severity in ("none", "not_known"))
        # over a bound only with the whole interval: without an interval nothing is firm
        assert not firm_cost(one) or (one.cost.low is not None and one.cost.low > RULES.least_share.value)
    assert "none" not in [one.cause for one in found] or len(found) == 1
    assert [one.severity in FIRM for one in found] == sorted((one.severity in FIRM for one in found), reverse=True)


@settings(max_examples=40, deadline=None)
@given(observations)
def test_what_was_not_measured_is_never_called_fine(observed):
    found = diagnose(observed, RULES)[0]
    if not observed.shares and found.cause == "none":
        assert found.severity == "not_known"
