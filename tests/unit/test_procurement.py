"""Procurement as decisions: what is measured goes before what is stated, what is not known is not given."""

from __future__ import annotations

import copy
import math
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from procurement_cases import MIXTURE, cluster, fact, procurement, stated
from study_on_disk import LAPTOP

from seatrial.analysis import emergence
from seatrial.analysis.checkpointing import HOUR, waste, young_interval
from seatrial.analysis.decisions.basis import Basis
from seatrial.analysis.decisions.decision import Decision, Figure
from seatrial.analysis.decisions.procurement import decide, table
from seatrial.analysis.decisions.procurement.measured import TABLES, MeasuredRates
from seatrial.analysis.decisions.procurement.projection import Projection
from seatrial.analysis.decisions.procurement.questions import standing
from seatrial.analysis.decisions.procurement.rates import readings
from seatrial.analysis.tables import read_csv, rows_of, write_csv
from seatrial.config import proposals
from seatrial.config.loader import Origins, validate
from seatrial.config.procurement import Procurement
from seatrial.config.study import Study
from seatrial.errors import ConfigError
from seatrial.paths import StudyPaths


def study(plan: dict[str, Any]) -> Study:
    content = {"name": "s", "title": "t", "target": LAPTOP, "economics": {"procurement": plan}}
    return validate(Study, content, Origins(None, {}, set()))


def decided(root: Path, plan: dict[str, Any]) -> list[Decision]:
    return decide.procurement(Basis(StudyPaths(root), study(plan), {}))


def rows(root: Path) -> list[dict[str, Any]]:
    return rows_of(read_csv(StudyPaths(root).procurement, table.COLUMNS))


def row(root: Path, question: str, ranks: int | None = None) -> dict[str, Any]:
    found = [r for r in rows(root) if r["question"] == question and r["expert_ranks"] == ranks]
    assert len(found) == 1
    return found[0]


def figure(decision: Decision, start: str) -> Figure:
    return next(f for f in decision.figures if f.name.startswith(start))


def projected(plan: dict[str, Any]) -> Projection:
    checked = Procurement.model_validate(plan)
    (name, proposal), *_ = checked.proposals.items()
    return Projection(name, checked, proposal, readings(checked, proposal, {}), {}, None, 1)


def test_each_proposal_and_question_has_a_row_with_what_is_needed_over_what_is_there(tmp_path: Path) -> None:
    side_by_side, dense = decided(tmp_path, procurement(expert_groups=[128]))
    alltoall = row(tmp_path, "all_to_all", 64)
    assert alltoall["has"] == pytest.approx(50) and alltoall["basis"] == "stated, not measured"
    assert alltoall["ratio"] == pytest.approx(alltoall["needed"] / 50)
    assert alltoall["ratio_low"] < alltoall["ratio"] < alltoall["ratio_high"]
    assert alltoall["standing"] == "fails" and "Monte Carlo" in alltoall["interval_method"]
    assert row(tmp_path, "all_to_all", 128)["needed"] > alltoall["needed"]
    assert row(tmp_path, "checkpoint")["has"] == 20 and row(tmp_path, "bisection", 64)["has"] == 128 * 50
    assert {r["question"] for r in rows(tmp_path)} == {
        *("bisection", "all_to_all", "checkpoint", "node_bandwidth", "memory")
    }
    assert "fails all-to-all (needs" in side_by_side.answer and "passes bisection" in dense.answer
    assert figure(dense, "Needed over there, all-to-all over 64").value == pytest.approx(alltoall["ratio"])
    slower = decided(tmp_path, procurement(kernels=stated(0.3)))
    assert row(tmp_path, "all_to_all", 64)["standing"] == "not told apart" and "may fail" in slower[1].answer


def test_what_a_node_needs_is_all_that_leaves_it_while_products_hide_it() -> None:
    one = projected(procurement())
    found = next(a for a in one.answers if a.question == "node_bandwidth")
    products = one.planned.flops / 800e12
    assert found.needed.value == pytest.approx(8 * one.planned.traffic.across / 1e9 / (0.8 * products))
    assert found.has.value == 400


def test_a_node_s_bandwidth_is_given_as_ports_are_sold_and_an_all_to_all_in_seconds(tmp_path: Path) -> None:
    _, dense = decided(tmp_path, procurement(imbalance=stated(1.5)))
    needed = row(tmp_path, "node_bandwidth")["needed"]
    assert figure(dense, "Bandwidth that a node needs").value == pytest.approx(8 * needed)
    sent = projected(procurement()).planned.traffic.exchange
    assert sent is not None
    assert figure(dense, "All-to-all of a step over 64").value == pytest.approx(sent.across / 50e9 * 1.5)


def test_time_lost_to_checkpoints_is_youngs() -> None:
    """C = 60 s and 3 h between failures: every 1,138 s, 10.5 % lost."""
    plan = procurement()
    one = projected(plan)
    write = one.parameters * 14 / 1e9 / 60
    plan["proposals"]["dense"]["target"]["storage"]["scratch"]["write_gbps"] = fact(write)
    plan["proposals"]["dense"]["target"]["reliability"]["accelerator_hours_between_failures"] = fact(3 * 256)
    one = projected(plan)
    values = {name: np.array([i.value]) for name, i in one.inputs.items()}
    assert one.save_seconds(values)[0] == pytest.approx(60)
    assert one.lost(values)[0] == pytest.approx(0.1054, abs=1e-4)
    assert one.lost(values)[0] == pytest.approx(waste(60, young_interval(60, 3 * HOUR), 3 * HOUR))
    needed = next(a for a in one.answers if a.question == "checkpoint").needed.value
    assert needed == pytest.approx(one.parameters * 14 / 1e9 / (2 * 3 * HOUR * 0.05**2))


def test_a_training_that_loses_all_its_time_has_no_end(tmp_path: Path) -> None:
    plan = procurement()
    plan["planned"]["training_tokens"] = stated(1e12)
    plan["proposals"]["dense"]["target"]["storage"]["scratch"]["write_gbps"] = fact(0.001)
    plan["proposals"]["dense"]["target"]["reliability"]["accelerator_hours_between_failures"] = fact(10)
    _, dense = decided(tmp_path, plan)
    assert figure(dense, "Training time").value is None
    assert figure(dense, "Time lost").value == 1.0


def test_what_nobody_measured_or_stated_is_not_known_and_named(tmp_path: Path) -> None:
    plan = procurement()
    plan["proposals"]["dense"]["target"] = cluster(accelerator=None, storage={}, scale_out=None)
    side_by_side, dense = decided(tmp_path, plan)
    assert figure(dense, "Least step time").value is None and dense.swings == ()
    assert {r["standing"] for r in rows(tmp_path)} == {"not known"}
    assert row(tmp_path, "all_to_all", 64)["ratio"] is None
    assert "matrix products" in dense.missing and "network between nodes, per accelerator" in dense.missing
    assert "dense: matrix products" in side_by_side.missing
    assert any(words.startswith("checkpoint: not known") for words in dense.missing)
    assert "leaves open" in side_by_side.answer


def test_a_ceiling_counts_by_the_share_of_it_that_is_reached_and_says_so(tmp_path: Path) -> None:
    share = stated(0.8, 0.7, 0.9)
    decided(tmp_path, procurement(of_ceiling={"alltoall_gbps": share}))
    alltoall = row(tmp_path, "all_to_all", 64)
    assert (alltoall["has_low"], alltoall["has"], alltoall["has_high"]) == pytest.approx((35, 40, 45))
    assert "0.8, the share that is reached: a source" in alltoall["source"]


def test_what_the_study_gives_goes_before_the_ceiling(tmp_path: Path) -> None:
    plan = procurement()
    plan["proposals"]["dense"]["rates"] = {"alltoall_gbps": stated(30, 25, 35), "products_tflops": stated(400)}
    decided(tmp_path, plan)
    alltoall = row(tmp_path, "all_to_all", 64)
    assert alltoall["has"] == 30 and alltoall["basis"] == "given by the study"


def test_uplinks_narrow_the_all_to_all_of_ranks_below_several_switches(tmp_path: Path) -> None:
    """8 nodes below a switch with a quarter of their bandwidth upwards: 64 ranks keep 50 GB/s, 128 do not."""
    plan = procurement(expert_groups=[128])
    network = {"name": "network", "gbit_per_accelerator": fact(400), "nodes_per_switch": 8}
    plan["proposals"]["dense"]["target"] = cluster(scale_out=network | {"oversubscription": fact(4)})
    _, dense = decided(tmp_path, plan)
    assert row(tmp_path, "all_to_all", 64)["has"] == pytest.approx(50)
    assert row(tmp_path, "all_to_all", 128)["has"] == pytest.approx(12.5 * 120 / 64)
    times = [figure(dense, f"All-to-all of a step over {n} ranks").value for n in (64, 128)]
    assert times[1] == pytest.approx(times[0] * (120 / 128) / (56 / 64) * 50 / (12.5 * 120 / 64))  # type: ignore[operator]
    assert row(tmp_path, "bisection", 64)["has"] == pytest.approx(128 * 12.5)


def test_experts_within_one_domain_ask_the_links_inside(tmp_path: Path) -> None:
    plan = procurement()
    links = {"name": "rack", "unidirectional_gbps": fact(900), "bidirectional_gbps": fact(1800), "domain": 64}
    plan["proposals"]["dense"]["target"] = cluster(scale_up=links)
    decided(tmp_path, plan)
    alltoall = row(tmp_path, "all_to_all", 64)
    assert alltoall["has"] == 900 and alltoall["standing"] == "holds"


def test_months_to_spare_say_whether_what_is_ordered_now_is_in_time(tmp_path: Path) -> None:
    plan = procurement(needed_months=stated(18))
    plan["proposals"]["dense"]["lead_months"] = stated(12, 6, 18)
    _, dense = decided(tmp_path, plan)
    spare = figure(dense, "Months to spare")
    assert spare.value == 6 and spare.low is not None and spare.high is not None
    assert 0 <= spare.low < 1 and 11 < spare.high <= 12
    assert "Ordered now it arrives 6 months" in dense.answer
    plan["needed_months"] = stated(5)
    _, late = decided(tmp_path, plan)
    assert "arrives 7 months too late" in late.answer
    plan["needed_months"] = stated(10)
    assert "may arrive too late" in decided(tmp_path, plan)[1].answer


def test_the_inputs_that_move_a_training_most_come_first(tmp_path: Path) -> None:
    plan = procurement(kernels=stated(0.5, 0.4, 0.6), imbalance=stated(1.2, 1.0, 1.5))
    plan["planned"]["training_tokens"] = stated(2e12, 1e12, 4e12)
    _, dense = decided(tmp_path, plan)
    assert dense.swings[0].input == "tokens of the training"
    sizes = [abs(s.at_high - s.at_low) for s in dense.swings if s.at_low is not None and s.at_high is not None]
    assert sizes == sorted(sizes, reverse=True) and len(sizes) >= 3


def test_an_interval_is_of_the_inputs_that_a_figure_takes(tmp_path: Path) -> None:
    _, dense = decided(tmp_path, procurement())
    assert figure(dense, "Time of a checkpoint").low is None
    assert figure(dense, "Least step time").low is not None


def test_the_same_study_decides_the_same_twice(tmp_path: Path) -> None:
    plan = procurement(kernels=stated(0.5, 0.4, 0.6))
    first = decided(tmp_path, plan)
    table_then = StudyPaths(tmp_path).procurement.read_bytes()
    assert decided(tmp_path, plan) == first and StudyPaths(tmp_path).procurement.read_bytes() == table_then


def test_a_study_without_proposals_has_no_table(tmp_path: Path) -> None:
    decided(tmp_path, procurement())
    bare = validate(Study, {"name": "s", "title": "t", "target": LAPTOP, "experiments": {
        "g": {"workload": {"kind": "gemm", "m": 8, "n": 8, "k": 8}}}}, Origins(None, {}, set()))  # fmt: skip
    assert decide.procurement(Basis(StudyPaths(tmp_path), bare, {})) == []
    assert not StudyPaths(tmp_path).procurement.exists()


def measure(root: Path, name: str, *found: dict[str, Any]) -> None:
    of_all = {"study": "s", "target": "cluster", "experiment": "e", "case_id": "c"}
    write_csv(StudyPaths(root).probe_table(name), TABLES[name], [of_all | row for row in found])


def fit(operation: str, ranks: int, bus: float, **more: Any) -> dict[str, Any]:
    return {
        "line": f"{operation} {ranks}",
        "operation": operation,
        "ranks": ranks,
        "piece": 1,
        "pieces": 1,
        "latency_seconds": 30e-6,
        "bus_bandwidth_limit": bus,
        **more,
    }


def test_measured_rates_go_before_all_others_and_say_how_far_they_are_taken(tmp_path: Path) -> None:
    gemm = {"dtype": "bfloat16", "burst_tflops": 700, "burst_tflops_low": 690, "burst_tflops_high": 710}
    measure(tmp_path, "gemm", gemm | {"sustained_tflops": 630, "sustained_over_burst": 0.9})
    measure(
        tmp_path,
        "collective_fit",
        fit("all_reduce", 32, 382),
        fit("all_gather", 8, 360),
        fit("all_reduce", 8, 480),
        fit("all_reduce", 64, 500, flag="the line does not fit"),
    )
    line = {"line": "all_reduce 32", "size_bytes": 2**30, "operation": "all_reduce"}
    measure(tmp_path, "collective", line | {"median_seconds": 1.0, "low_seconds": 0.9, "high_seconds": 1.1})
    pair = {"ranks": 64, "tokens": 4096, "load": "uniform", "p50_s": 1.0, "p50_s_low": 0.9, "p50_s_high": 1.2}
    skewed = {"ranks": 64, "tokens": 4096, "load": "zipf 1", "direction": "dispatch", "wire_gbps": 11}
    measure(
        tmp_path,
        "moe_alltoall",
        pair | {"direction": "dispatch", "wire_gbps": 45},
        pair | {"direction": "combine", "wire_gbps": 48},
        skewed,
    )
    cut = {"ranks": 64, "low_gbps": 900, "high_gbps": 1100}
    measure(tmp_path, "bisection", cut | {"median_gbps": 1000, "cut": "leaf"}, cut | {"median_gbps": 1600})
    disk = {"direction": "write", "nodes": 8, "ranks": 64, "checkpoint_bytes": 1e9}
    measure(
        tmp_path,
        "checkpoint",
        disk | {"reached": "storage", "gbps": 12, "gbps_low": 10, "gbps_high": 14},
        disk | {"reached": "page_cache", "gbps": 90},
    )
    checked = Procurement.model_validate(procurement())
    found = MeasuredRates(StudyPaths(tmp_path)).of(checked.proposals["dense"], "bfloat16").rates
    assert found["products_tflops"].input.ends == pytest.approx((621, 639))
    assert found["products_tflops"].input.value == pytest.approx(630)
    assert found["network_gbps"].input.value == pytest.approx(382 * 3 / 31)
    assert found["network_gbps"].input.low == pytest.approx(382 * 3 / 31 / 1.1)
    assert found["network_gbps"].note == "measured on 32 ranks, taken to 256"
    assert found["link_gbps"].input.value == 360
    assert found["alltoall_gbps"].input.value == pytest.approx(45 * 56 / 63)
    assert found["bisection_gbps"].input.ends == (3600, 4400)
    assert found["checkpoint_write_gbps"].input.value == 12
    hop = MeasuredRates(StudyPaths(tmp_path)).hop(checked.proposals["dense"])
    assert hop is not None and hop.value == pytest.approx(30e-6 / 10)
    decided(tmp_path, procurement())
    assert row(tmp_path, "all_to_all", 64)["basis"] == "measured"
    assert row(tmp_path, "checkpoint")["note"] == "measured on 64 ranks, taken to 256"
    assert row(tmp_path, "bisection", 64)["standing"] == "holds"
    decided(tmp_path, procurement(scale={"value": 2, "source": "ours"}))
    too_far = row(tmp_path, "bisection", 64)
    assert too_far["standing"] == "not known" and too_far["ratio"] < 1 and "too far to judge by" in too_far["note"]
    elsewhere = procurement()
    elsewhere["proposals"]["dense"]["target"]["name"] = "another"
    decided(tmp_path, elsewhere)
    assert row(tmp_path, "all_to_all", 64)["basis"] == "stated, not measured"


HYBRID = {"window": 128, "full_every": 4, "against": 8}


def watched(root: Path, **more: Any) -> None:
    words = {"experiment": "windows", "other_axes": "{}", "quality_metric": "retrieval_accuracy"}
    words |= {"window": 128, "reference_window": 8, "multiplier_words": "3.1x (2.0x to 5.6x)"}
    ends = {"multiplier": 3.1, "multiplier_low": 2.0, "multiplier_high": 5.6, "multiplier_method": "log-rank"}
    write_csv(StudyPaths(root).emergence, emergence.COLUMNS, [words | ends | more])


def test_hybrid_attention_takes_the_steps_that_were_measured(tmp_path: Path) -> None:
    watched(tmp_path)
    *_, hybrid = decided(tmp_path, procurement(hybrid=HYBRID))
    steps = hybrid.figures[0]
    assert (steps.value, steps.low, steps.high) == (3.1, 2.0, 5.6) and "emergence.csv" in steps.method
    whole = figure(hybrid, "Training time with hybrid attention over that without")
    assert whole.value is not None and whole.low is not None and whole.high is not None
    # a window of 128 sees more than one of 8, and so each step takes longer too
    assert 3.1 < whole.value < 3.2 and whole.low < whole.value < whole.high
    assert hybrid.inputs[0].measured and hybrid.missing == ()


def test_steps_that_nobody_measured_are_not_known_and_no_rule_of_thumb_takes_their_place(tmp_path: Path) -> None:
    *_, hybrid = decided(tmp_path, procurement(hybrid=HYBRID))
    steps = hybrid.figures[0]
    assert (steps.value, steps.low, steps.high) == (None, None, None)
    assert "not known" in hybrid.answer and "study=windows" in hybrid.missing[0] and hybrid.inputs == ()
    assert not any("over that without" in f.name for f in hybrid.figures)
    even = figure(hybrid, "Times the steps where hybrid attention breaks even")
    assert even.value is not None and even.value < 1
    watched(tmp_path)
    *_, other = decided(tmp_path, procurement(hybrid=HYBRID | {"window": 64}))
    assert other.figures[0].value is None and "128 against 8" in other.missing[0]
    *_, full = decided(tmp_path, procurement(hybrid=HYBRID | {"against": "full"}))
    assert full.figures[0].value is None and "workload.pattern" in full.missing[0]


def test_steps_that_have_a_bound_alone_are_given_as_a_bound(tmp_path: Path) -> None:
    """Runs that never got there: at least so many times, and no figure for the training, nor at an open end."""
    watched(tmp_path, multiplier_high=None)
    *_, half_open = decided(tmp_path, procurement(hybrid=HYBRID))
    assert half_open.figures[0].value == 3.1 and "interval is open" in half_open.missing[0]
    assert not any("over that without" in f.name for f in half_open.figures)
    watched(tmp_path, multiplier=None, multiplier_high=None, multiplier_words="at least 2x (95 %)")
    *_, hybrid = decided(tmp_path, procurement(hybrid=HYBRID))
    steps = hybrid.figures[0]
    assert (steps.value, steps.low, steps.high) == (None, 2.0, None) and "at least 2" in hybrid.answer
    assert not any("over that without" in f.name for f in hybrid.figures)


@pytest.mark.parametrize(
    ("ends", "expected"),
    [
        ((0.5, 0.4, 0.9), "holds"),
        ((1.5, 1.1, 2.0), "fails"),
        ((1.5, 0.9, 2.0), "not told apart"),
        ((1.5, None, None), "fails"),
        ((None, None, None), "not known"),
    ],
)
def test_a_question_is_failed_beyond_doubt_or_not_told_apart(ends: tuple[float | None, ...], expected: str) -> None:
    assert standing(Figure("ratio", *ends, "", "")) == expected  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("change", "words"),
    [
        (lambda p: p["planned"].update(tokens_per_step=1000), "a multiple of 4096"),
        (lambda p: p["planned"]["layout"].update(experts=48), "does not divide"),
        (lambda p: p["planned"]["layout"].update(tensor=3), "does not divide"),
        (lambda p: p["planned"].update(model={**MIXTURE, "experts": None}), "intermediate_size"),
        (lambda p: p["hidden"].update(high=1.5), "0 to 1"),
        (lambda p: p["proposals"].update(dense={"target": cluster(), "nodes": 3}), "proposal dense"),
        (lambda p: p["planned"]["model"]["experts"].update(top_k=65), "1 to 64"),
    ],
)
def test_a_mistake_is_named_with_its_key_value_and_what_is_allowed(change: Any, words: str) -> None:
    plan = copy.deepcopy(procurement())
    change(plan)
    with pytest.raises(ConfigError) as caught:
        study(plan)
    assert words in str(caught.value) and "key:" in str(caught.value)


def test_planning_fills_in_the_targets_by_name(tmp_path: Path) -> None:
    (tmp_path / "accelerator").mkdir()
    (tmp_path / "accelerator" / "a.yaml").write_text("accelerator: {name: Card, vendor: v}\n")
    asked = {"one": {"target": "rack", "accelerator": "a", "nodes": 2}, "two": {"target": None, "nodes": 1}}
    raw = {"target": {"name": "own"}, "economics": {"procurement": {"proposals": asked}}}
    known = {"rack": {"name": "rack", "accelerator": None}}
    proposals.fill(raw, tmp_path, lambda: known)
    filled = raw["economics"]["procurement"]["proposals"]  # type: ignore[index]
    assert filled["one"]["target"] == {"name": "rack", "accelerator": {"name": "Card", "vendor": "v"}}
    assert filled["two"]["target"] == {"name": "own"} and known["rack"]["accelerator"] is None
    filled["one"].update(target="rock")
    with pytest.raises(ConfigError, match="did you mean 'rack'"):
        proposals.fill(raw, tmp_path, lambda: known)
    filled["one"].update(target="rack", accelerator="b")
    with pytest.raises(ConfigError, match=r"proposals\.one\.accelerator"):
        proposals.fill(raw, tmp_path, lambda: known)


def test_a_study_without_proposals_asks_for_no_target() -> None:
    def never() -> dict[str, dict[str, Any]]:
        raise AssertionError("asked")

    for raw in ({}, {"economics": {}}, {"economics": None}, {"economics": {"procurement": None}}):
        proposals.fill(raw, Path(), never)  # type: ignore[arg-type]


def test_draws_leave_every_figure_finite_or_open(tmp_path: Path) -> None:
    plan = procurement(kernels=stated(0.5, 0.4, 0.6), hop_seconds=stated(1e-5, 5e-6, 2e-5))
    for decision in decided(tmp_path, plan):
        for one in decision.figures:
            assert all(end is None or math.isfinite(end) for end in (one.value, one.low, one.high))
