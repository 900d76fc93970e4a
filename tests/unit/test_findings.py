"""What holds a workload back: every cause is named where it is, nothing where nothing is."""

from dataclasses import replace

import pytest
from findings_on_disk import RULES, Made
from pydantic import ValidationError

from seatrial.analysis.findings.diagnose import diagnose
from seatrial.analysis.findings.observed import (
    DeviceReading,
    DeviceTelemetry,
    Estimate,
    Fabric,
    Failure,
    Finding,
    Loading,
    Observed,
    RankTime,
    Reading,
    SlowPair,
    Storage,
)
from seatrial.config.base import Threshold
from seatrial.config.findings import FindingRules

DRAWS = 300


def known(value: float, width: float = 0.02) -> Estimate:
    return Estimate(value, value * (1 - width), value * (1 + width), "log-t 95 %", 3)


def reading(what: str, value: float, fraction: float | None = None, unit: str = "GB/s") -> Reading:
    whole = None if fraction is None else known(fraction)
    return Reading(what, known(value), unit, whole, None if fraction is None else "declared", "probe")


def causes(found: list[Finding]) -> list[tuple[str, str]]:
    return [(one.cause, one.severity) for one in found]


def first(observed: Observed, rules: FindingRules = RULES) -> Finding:
    return diagnose(observed, rules)[0]


SOUND = Fabric(
    collectives=(reading("all_reduce", 45.0, 0.9),), pairs=6, typical_pair=reading("typical", 46.0, 0.92)
)
SLOW_EVERYWHERE = Fabric(
    collectives=(reading("all_reduce", 15.0, 0.3),), pairs=6, typical_pair=reading("typical", 16.0, 0.32)
)
ONE_SLOW_PAIR = replace(SOUND, slow=(SlowPair("n1", "n3", 12.0, 0.26, 0.001),))
ONE_SLOW_END = replace(SOUND, slow=(SlowPair("n2", None, 12.0, 0.26, 0.001),))


def test_nothing_is_found_in_healthy_runs_whatever_the_noise_draws():
    found = [diagnose(Made(steps=40).observed(seed, runs=1 + seed % 2), RULES) for seed in range(DRAWS)]
    assert [causes(one) for one in found if causes(one) != [("none", "none")]] == []


def test_none_says_what_was_looked_at_and_what_was_not_measured():
    none = first(Made().observed(1))
    assert none.title.startswith("None found")
    assert any("waiting for data" in words for words in none.evidence)
    assert any("CoV of the step time" in words for words in none.evidence)
    assert "clocks and throttling were not sampled" in none.counter_evidence
    assert "probe" in none.next_step


def test_without_a_split_it_is_not_yet_known():
    unknown = first(Observed(where="case", title="a command", split_note="the log does not say"))
    assert causes([unknown]) == [("none", "not_known")]
    assert "the log does not say" in unknown.title


@pytest.mark.parametrize(
    ("shares", "words"),
    [
        ({"compute": known(0.3)}, "70 % of the time"),
        ({"compute": known(0.6), "communication": known(0.4)}, "40 % of the time"),
        ({"compute": Estimate(0.75, 0.65, 0.85), "communication": Estimate(0.25)}, "25 % of the time"),
        ({"checkpoint_stall": known(0.01)}, "99 % of the time"),
    ],
)
def test_time_that_is_lost_without_a_cause_is_never_called_fine(shares, words):
    hidden = replace(Made().observed(1), noise=None, lateness=None, transfer=known(0.01))
    found = first(replace(hidden, shares=shares, productive=shares.get("compute")))
    assert (found.cause, found.severity) == ("none", "not_known")
    assert words in found.title and found.action != "Nothing to do"
    little = {"compute": Estimate(0.95), "communication": Estimate(0.05)}
    assert first(replace(hidden, shares=little, productive=little["compute"])).severity == "none"


def test_slower_than_the_reference_without_a_cause_is_not_yet_known():
    slower = replace(Made().observed(1), over_reference=known(1.5), slower_than_reference=True)
    assert causes(diagnose(slower, RULES)) == [("none", "not_known")]
    assert causes(diagnose(replace(slower, slower_than_reference=False), RULES)) == [("none", "none")]


@pytest.mark.parametrize("seed", range(3))
@pytest.mark.parametrize(
    ("made", "cause"),
    [
        (Made(slow="n3"), "straggler_node"),
        (Made(data=0.05), "data_loading"),
        (Made(other=0.03), "framework"),
        (Made(cov=0.4), "noise"),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)
def test_each_cause_in_the_steps_is_named_first(made, cause, seed):
    found = first(made.observed(seed))
    assert found.cause == cause
    assert found.severity in ("major", "minor")
    assert found.evidence and found.action and found.next_step and found.remedy_cost and found.without_it
    assert found.counter_evidence


def test_a_straggler_is_no_slow_link_and_is_named():
    observed = replace(Made(slow="n3", times=2.0).observed(1), fabric=SOUND)
    found = diagnose(observed, RULES)
    assert causes(found) == [("straggler_node", "major")]
    assert found[0].place == {"case": "case", "host": "n3", "ranks": [2]}
    assert observed.shares["communication"].value > 0.3  # what the others wait looks like communication
    assert "it waits least of all" in found[0].counter_evidence[0]


def test_without_the_straggler_a_step_takes_what_the_others_take():
    slow, fair = Made(slow="n3", times=2.0, cov=0.001).observed(1), Made(cov=0.001).observed(1)
    assert slow.step_seconds is not None and fair.step_seconds is not None
    found = first(slow)
    assert found.cost is not None
    assert slow.step_seconds.value * (1 - found.cost.value) == pytest.approx(fair.step_seconds.value, rel=0.01)
    assert "instead of" in found.without_it


def test_of_two_hosts_the_slower_is_only_suspected_until_a_probe_confirms_it():
    observed = Made(slow="n2", hosts=("n1", "n2")).observed(1)
    assert causes(diagnose(observed, RULES))[0] == ("straggler_node", "inconclusive")
    slow = DeviceReading("n2", 1, "gpu0", "gemm.throughput", 300.0, "TFLOP/s", 0.6, -20.0, slow=True)
    assert causes(diagnose(replace(observed, devices=(slow,)), RULES))[0] == ("straggler_node", "major")


def test_a_slow_host_is_told_from_one_slow_rank_of_it():
    made = Made(hosts=("n1", "n1", "n2", "n2", "n3", "n3"))
    host, rank = replace(made, slow="n2").observed(1).lateness, replace(made, slow_rank=3).observed(1).lateness
    assert host is not None and (host.place, host.ranks, host.places) == ("n2", (2, 3), 3)
    assert rank is not None and (rank.place, rank.host, rank.ranks) == ("rank 3 of n2", "n2", (3,))


PAIRED = ("n1", "n1", "n2", "n2", "n3", "n3", "n4", "n4")


@pytest.mark.parametrize(
    ("made", "place"),
    [
        (Made(slow=("n2", "n3")), {"case": "case", "hosts": ["n2", "n3"], "ranks": [1, 2]}),
        (Made(slow=("n3", "n4"), hosts=PAIRED), {"case": "case", "hosts": ["n3", "n4"], "ranks": [4, 5, 6, 7]}),
        (
            Made(slow_rank=(0, 3, 5), hosts=PAIRED),
            {"case": "case", "hosts": ["n1", "n2", "n3"], "ranks": [0, 3, 5]},
        ),
        (Made(slow_rank=(1, 2), hosts=("n1",) * 5), {"case": "case", "host": "n1", "ranks": [1, 2]}),
    ],
    ids=["2 of 4 hosts", "2 of 4 hosts of 2 ranks", "3 of 8 ranks", "2 ranks of one host"],
)
def test_several_slow_places_do_not_hide_each_other(made, place):
    found = first(replace(made, times=2.5).observed(1))
    assert (found.cause, found.severity, found.place) == ("straggler_node", "major", place)
    assert "keep the others waiting" in found.title


def test_of_several_slow_hosts_a_probe_confirms_all_or_none():
    late = Made(slow=("n2", "n3"), times=2.5, communication=0.001).observed(1)
    n2, n3 = (DeviceReading(h, 1, "gpu0", "gemm.throughput", 3.0, "TFLOP/s", 0.6, slow=True) for h in ("n2", "n3"))
    one, both = (first(replace(late, devices=devices)).counter_evidence for devices in ((n2,), (n2, n3)))
    assert any("like their fleet" in words for words in one)
    assert not any("like their fleet" in words for words in both)


def test_waiting_beyond_chance_where_most_places_are_slow_is_suspected_and_no_place_named():
    found = first(Made(slow=("n1", "n2", "n3"), times=2.0).observed(1))
    assert (found.cause, found.severity, found.place) == ("straggler_node", "inconclusive", {"case": "case"})
    assert found.cost is not None and found.cost.value == pytest.approx(0.25 / 2.06, rel=0.1)


@pytest.mark.parametrize("cov", [0.04, 0.08])
def test_chance_on_many_hosts_makes_no_straggler(cov):
    hosts = tuple(f"n{i}" for i in range(16))
    found = [diagnose(Made(steps=40, hosts=hosts, cov=cov).observed(seed, runs=1), RULES) for seed in range(40)]
    assert [one for one in found if any(finding.cause == "straggler_node" for finding in one)] == []


def test_a_rank_that_is_late_but_waits_as_long_as_others_is_only_suspected():
    observed = Made(slow="n3").observed(1)
    waits = tuple(RankTime(r, 0.1, f"n{r + 1}", wait) for r, wait in enumerate((0.0, 0.05, 0.05, 0.05)))
    assert causes(diagnose(replace(observed, rank_times=waits), RULES))[0] == ("straggler_node", "inconclusive")


def test_exposed_communication_without_probes_is_a_suspicion_and_says_what_to_measure():
    found = first(Made(communication=0.1).observed(1))
    assert causes([found]) == [("interconnect", "inconclusive")]
    assert "collective and bisection" in found.next_step


@pytest.mark.parametrize(
    ("fabric", "cause", "words"),
    [
        (SOUND, "framework", "sound links"),
        (SLOW_EVERYWHERE, "interconnect", "slow everywhere"),
        (ONE_SLOW_PAIR, "interconnect", "between n1 and n3"),
        (ONE_SLOW_END, "interconnect", "All links of n2"),
    ],
)
def test_probes_tell_slow_links_from_too_little_overlap_and_one_link_from_all(fabric, cause, words):
    found = first(replace(Made(communication=0.1).observed(1), fabric=fabric))
    assert (found.cause, found.severity in ("major", "minor")) == (cause, True)
    assert words in found.title


@pytest.mark.parametrize(
    "fraction",
    [Estimate(0.3), Estimate(0.9), Estimate(0.64, 0.5, 0.74), Estimate(0.72, 0.6, 0.84), None],
    ids=["low without interval", "high without interval", "about the rule", "holds the rule", "no ceiling"],
)
def test_links_are_sound_only_where_a_probe_says_so_beyond_doubt(fraction):
    doubtful = Reading("all_reduce of 1 GiB", known(15.0), "GB/s", fraction, "declared")
    for fabric in (Fabric((doubtful,), pairs=6), Fabric((doubtful,))):
        found = diagnose(replace(Made(communication=0.1).observed(1), fabric=fabric), RULES)
        assert causes(found) == [("interconnect", "inconclusive")]
        assert fraction is None or any("all_reduce of 1 GiB" in words for words in found[0].evidence)


def test_transfer_beside_another_cause_is_no_fault_of_the_framework_while_the_rest_is_productive():
    observed = replace(Made(slow="n3", times=3.0, communication=0.02).observed(1), fabric=SOUND)
    assert observed.productive is not None and observed.productive.under(0.7)
    assert causes(diagnose(observed, RULES)) == [("straggler_node", "major")]
    waiting = replace(Made(data=0.15, communication=0.02).observed(1), fabric=SOUND)
    assert causes(diagnose(waiting, RULES)) == [("data_loading", "major")]


def test_what_a_slow_link_costs_is_the_transfer_that_it_lengthens():
    observed = replace(Made(communication=0.1).observed(1), fabric=ONE_SLOW_PAIR)
    found = first(observed)
    assert found.cost is not None and observed.transfer is not None
    assert found.cost.value == pytest.approx(observed.transfer.value * (1 - 0.26))


def test_a_slow_link_that_costs_little_is_seen_but_not_named():
    none = first(replace(Made(communication=0.002).observed(1), fabric=ONE_SLOW_PAIR))
    assert none.cause == "none"
    assert any("n1 to n3" in words for words in none.evidence)


def test_a_slow_pair_is_named_where_nothing_trains():
    bare = Observed(where="probes of x", title="probes of x", fabric=ONE_SLOW_PAIR)
    found = first(bare)
    assert causes([found]) == [("interconnect", "minor")]
    assert found.cost is None and "not known" in found.without_it


def loader(supply: float, gbps: float, workers_needed: int | None = None) -> Loading:
    return Loading(reading("data loader", supply, unit="samples/s"), 1000.0, True, gbps, 2, workers_needed)


def test_a_slow_disk_is_told_from_a_slow_loader_by_what_storage_gives_a_probe():
    waiting = Made(data=0.05).observed(1)
    read = Storage(bandwidth={"read": reading("checkpoint read", 1.0)})
    disk = replace(waiting, storage=read, loading=(loader(500.0, 0.95),))
    slow_loader = replace(waiting, storage=read, loading=(loader(500.0, 0.1, workers_needed=8),))
    assert first(disk).cause == "storage"
    assert [one.cause for one in diagnose(disk, RULES)].count("data_loading") == 0
    assert first(slow_loader).cause == "data_loading"
    assert "8 workers" in first(slow_loader).action
    assert "storage is not what holds it up" in " ".join(first(slow_loader).counter_evidence)


def test_a_late_place_may_be_late_for_its_loader_where_that_is_not_known_by_rank():
    long, short = (first(Made(slow="n3", data=data).observed(1)).counter_evidence for data in (0.02, 0.0001))
    assert any("may be its data loader" in words for words in long)
    assert any("too short" in words for words in short)


def test_checkpoints_that_storage_takes_much_faster_are_the_frameworks():
    stalled = Made(stalls=(0.8, 0.9, 1.0)).observed(1)
    fast = Storage({"write": reading("checkpoint write", 10.0, 0.9)}, checkpoint_gbps=0.5)
    assert first(replace(stalled, storage=fast)).cause == "framework"
    assert first(replace(stalled, storage=replace(fast, checkpoint_gbps=9.0))).cause == "storage"


def test_stalls_over_storage_at_its_ceiling_are_nobodys_until_the_trainings_own_rate_is_known():
    stalled = Made(stalls=(0.8, 0.9, 1.0)).observed(1)
    good = Storage({"write": reading("checkpoint write", 10.0, 0.9)})
    found = first(replace(stalled, storage=good))
    assert (found.cause, found.severity) == ("storage", "inconclusive")
    assert "storage or what writes them" in found.title
    for held in (
        Storage({"write": reading("checkpoint write", 10.0, 0.3)}),
        replace(good, checkpoint_gbps=9.0),
        Storage({"write": reading("checkpoint write", 10.0)}),
    ):
        found = first(replace(stalled, storage=held))
        assert (found.cause, found.severity in ("major", "minor")) == ("storage", True)


def test_stalls_without_a_probe_of_storage_are_a_suspicion():
    found = first(Made(stalls=(0.8, 0.9, 1.0)).observed(1))
    assert (found.cause, found.severity) == ("storage", "inconclusive")
    assert "not yet known" in found.title and "probe checkpoint" in found.next_step
    slow = Storage(other=(reading("fio", 1.0, 0.2),))
    assert first(replace(Made(stalls=(0.8, 0.9, 1.0)).observed(1), storage=slow)).severity in ("major", "minor")


def test_a_stall_below_the_least_possible_share_is_no_fault():
    stalled = Made(stalls=(0.15, 0.15, 0.15)).observed(1)
    assert stalled.shares["checkpoint_stall"].over(0.05)
    assert first(stalled).cause == "storage"
    assert first(replace(stalled, storage=Storage(optimum_share=0.09))).cause == "none"


def test_slow_products_on_every_device_are_compute_and_throttled_clocks_too():
    healthy = Made().observed(1)
    gemm = (reading("matrix products in bfloat16", 300.0, 0.3, "TFLOP/s"),)
    assert causes(diagnose(replace(healthy, gemm=gemm), RULES))[0][0] == "compute"
    held = tuple(
        DeviceTelemetry(f"n{i}", "gpu0", {"power_cap": 0.9 if i else 0.0}, 1200.0 if i else 1980.0)
        for i in range(4)
    )
    assert causes(diagnose(replace(healthy, telemetry=held), RULES))[0][0] == "compute"
    idle = tuple(replace(one, throttled={"idle": 0.9}) for one in held)
    assert first(replace(healthy, telemetry=idle)).cause == "none"


def _held(reason: str, clock: float | None = 1700.0) -> tuple[DeviceTelemetry, ...]:
    return tuple(DeviceTelemetry(f"n{i}", "gpu0", {reason: 1.0}, clock, 699.5, 1.0) for i in range(4))


@pytest.mark.parametrize("reason", ["power_cap", "sw_power_cap"])
def test_a_power_limit_that_is_reached_is_no_fault_without_a_clock_that_is_lost(reason):
    alone = replace(Made().observed(1), telemetry=_held(reason))
    nothing_else = Observed("logs", "logs", telemetry=_held(reason))
    assert first(alone).cause == "none"
    assert causes(diagnose(nothing_else, RULES))[0][0] == "none"
    assert any("what clock that costs is not known" in words for words in first(alone).evidence)
    free = DeviceTelemetry("n9", "gpu0", {reason: 0.0}, 1720.0, 690.0, 1.0)
    assert first(replace(alone, telemetry=(*_held(reason), free))).cause == "none", "1 % of the clock"
    found = causes(diagnose(replace(alone, telemetry=(*_held(reason), replace(free, sm_clock=1980.0))), RULES))
    assert found[0][0] == "compute"


def test_heat_without_a_known_cost_is_inconclusive_and_nothing_of_a_productive_workload():
    hot = Observed("logs", "logs", telemetry=_held("thermal_slowdown"))
    assert causes(diagnose(hot, RULES)) == [("compute", "inconclusive")]
    idle = DeviceTelemetry("n9", "gpu0", {"idle": 1.0}, 210.0, 60.0, 0.5)
    assert first(replace(hot, telemetry=(*hot.telemetry, idle))).cause == "compute", (
        "an idle clock compares with none"
    )
    assert first(replace(hot, productive=known(0.95))).cause != "compute"


def test_clocks_of_which_only_the_temperature_was_sampled_are_not_said_to_be_fine():
    cool = Observed("logs", "logs", telemetry=(DeviceTelemetry("n1", "gpu0", temperature=60.0),))
    said = first(cool)
    assert not any("held down" in words for words in (*said.evidence, *said.counter_evidence))
    assert any("clocks and throttling were not sampled" in w for w in (*said.evidence, *said.counter_evidence))


def test_a_low_mfu_on_sound_devices_is_the_frameworks():
    low = replace(Made().observed(1), mfu=known(0.08))
    assert causes(diagnose(low, RULES)) == [("framework", "inconclusive")]
    sound = replace(low, gemm=(reading("matrix products in bfloat16", 800.0, 0.8, "TFLOP/s"),))
    assert first(sound).cause == "framework" and first(sound).severity != "inconclusive"
    assert first(replace(sound, mfu=known(0.4))).cause == "none"


def test_a_dead_node_is_named_and_a_crash_of_the_program_is_not():
    dead = Failure("node_fail", "a node failed (NODE_FAIL)", "n7", "repeat 0")
    crash = Failure("crashed", "Traceback", "n7", "repeat 1")
    found = first(Observed(where="case", title="x", runs=0, runs_planned=2, failures=(dead, crash)))
    assert (found.cause, found.place["host"]) == ("failed_node", "n7")
    assert "0 of 2 repeats completed" in found.counter_evidence
    assert first(replace(Made().observed(1), failures=(crash,))).cause == "none"


def test_a_share_is_over_its_bound_only_where_its_whole_interval_is():
    data = {"data_wait": Estimate(0.08, 0.03, 0.2, "log-t 95 %", 2)}
    wide = Observed(where="case", title="x", runs=2, shares=data)
    assert causes(diagnose(wide, RULES)) == [("data_loading", "inconclusive")]
    without = replace(wide, shares={"data_wait": Estimate(0.5)})
    assert causes(diagnose(without, RULES)) == [("data_loading", "inconclusive")]
    narrow = replace(wide, shares={"data_wait": Estimate(0.08, 0.07, 0.09, "log-t 95 %", 3)})
    assert causes(diagnose(narrow, RULES)) == [("data_loading", "minor")]
    below = {"data_wait": Estimate(0.04, 0.01, 0.2, "log-t 95 %", 2), "compute": known(0.96)}
    assert causes(diagnose(replace(wide, shares=below), RULES)) == [("none", "none")]


def test_causes_are_ranked_by_what_they_cost_and_suspicions_come_last():
    made = Made(slow="n3", times=1.3, data=0.05, communication=0.3)
    found = diagnose(made.observed(1), RULES)
    assert [one.cause for one in found] == ["straggler_node", "interconnect"] or [one.cause for one in found] == [
        "data_loading",
        "straggler_node",
        "interconnect",
    ]
    assert found[-1].severity == "inconclusive"
    firm = [one.cost.value for one in found if one.severity != "inconclusive" and one.cost is not None]
    assert firm == sorted(firm, reverse=True)


def test_less_than_half_of_the_time_productive_makes_the_main_finding_major():
    observed = Made(slow="n3").observed(1)
    assert first(observed).severity == "minor"
    assert first(replace(observed, productive=known(0.45))).severity == "major"


def test_of_fully_sharded_parameters_the_profile_says_what_is_exposed():
    hidden = Observed(where="case", title="x", runs=3, profiled_exposed=known(0.4), fabric=SLOW_EVERYWHERE)
    assert first(hidden).cause == "interconnect"


def test_the_rules_are_configuration():
    lenient = FindingRules(least_share=Threshold(value=0.5, source="our site"))
    assert first(Made(data=0.05).observed(1), lenient).cause == "none"
    with pytest.raises(ValidationError, match="must lie below productive_high"):
        FindingRules(productive_low=Threshold(value=0.8, source="our site"))


def test_the_same_observation_gives_the_same_findings():
    assert diagnose(Made(slow="n3").observed(4), RULES) == diagnose(Made(slow="n3").observed(4), RULES)
