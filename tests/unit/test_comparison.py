"""Comparison: like with like, both sides' spread in the interval, and words where nothing compares."""

from __future__ import annotations

import math

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import stats
from study_on_disk import B200, FINETUNE, GEMM

from seatrial.analysis.judgement import judge_ratio
from seatrial.analysis.ratio import Estimate, estimate, interpolated_estimate, ratio, reference_estimate
from seatrial.analysis.standing import repeats_to_settle
from seatrial.config.criterion import Criterion
from seatrial.errors import ConfigError
from seatrial.record import measurement
from seatrial.reference.equivalent import find_reference
from seatrial.reference.published import load_published
from seatrial.report.sections import comparison_table
from seatrial.report.study_tables import read_study

DESIGN_COLUMNS = [
    "benchmark",
    "round",
    "accelerator_family",
    "accelerators",
    "measured_minutes",
    "measured_n",
    "reference_minutes",
    "reference_n",
    "reference_submitters",
    "basis",
    "ratio",
    "ratio_low",
    "ratio_high",
    "threshold",
    "standing",
    "note",
]
pytestmark = pytest.mark.usefixtures("same_work")
LORA = FINETUNE | {"benchmark": "llama2_70b_lora"}
DELL = {"round": "v5.1", "submitter": "Dell", "system": "1xXE9680Lx8B200-SXM-180GB"}
MEDIAN = find_reference("llama2_70b_lora", "v5.1", "B200", 8).minutes


def table_of(paths):
    return pd.read_csv(paths.comparison, dtype={"case_id": str})


def compared(make_study, minutes, repeats=None, target=B200, workload=LORA):
    study = make_study(target=target)
    (case,) = study.experiment("finetune", workload, repeats or len(minutes))
    study.trained(case, minutes)
    return table_of(study.analyse()).iloc[0]


def test_the_table_has_the_columns_of_the_design_even_when_empty(make_study):
    study = make_study()
    study.experiment("gemm", GEMM)
    table = table_of(study.analyse())
    assert len(table) == 0
    assert list(table.columns)[: len(DESIGN_COLUMNS)] == DESIGN_COLUMNS


@pytest.mark.parametrize(
    ("factors", "standing"),
    [
        ([1.99, 2.0, 2.01], "slower"),
        ([0.99, 1.0, 1.01], "not_slower"),
        ([1.1, 1.4, 1.9], "inconclusive"),
        ([0.9, 1.2, 1.5], "inconclusive"),
        ([1.5], "inconclusive"),
    ],
)
def test_own_training_against_the_median_of_its_equals(make_study, factors, standing):
    row = compared(make_study, [MEDIAN * f for f in factors])
    assert row["standing"] == standing
    assert row["basis"] == "exact"
    assert row["reference_minutes"] == MEDIAN
    assert row["reference_submitters"] >= 3
    assert row["ratio"] == pytest.approx(sorted(factors)[len(factors) // 2])
    assert row["result_status"] == "unverified"
    if len(factors) == 1:
        assert math.isnan(row["ratio_low"])
        assert "spread is not known" in row["note"]
    else:
        assert row["ratio_low"] < row["ratio"] < row["ratio_high"]


def test_a_median_of_only_the_repeats_that_converged_is_never_not_slower(make_study):
    row = compared(make_study, [MEDIAN * f for f in (0.99, 1.0, 1.01)], repeats=4)
    assert row["standing"] == "inconclusive"
    assert "3 of 4 repeats reached the quality" in row["note"]
    slow = compared(make_study, [MEDIAN * f for f in (1.99, 2.0, 2.01)], repeats=5)
    assert slow["standing"] == "slower"


@pytest.mark.parametrize(
    ("workload", "target", "words"),
    [
        (FINETUNE, B200, "not an MLPerf benchmark"),
        (LORA, None, "no accelerator of a published family"),
        (LORA, B200 | {"accelerator": {"name": "X", "vendor": "Y"}}, "no accelerator of a published family"),
        (LORA, B200 | {"accelerators_per_node": 1024}, "none above"),
        (FINETUNE | {"benchmark": "llama9"}, B200, "llama9"),
    ],
)
def test_where_nothing_compares_basis_and_standing_are_undefined_in_words(make_study, workload, target, words):
    from study_on_disk import LAPTOP

    row = compared(make_study, [1.0, 1.1, 1.2], target=target or LAPTOP, workload=workload)
    assert (row["basis"], row["standing"]) == ("undefined", "undefined")
    assert words in row["note"]
    assert math.isnan(row["ratio"])
    assert math.isnan(row["reference_minutes"])
    assert row["measured_minutes"] == 1.1


def test_a_training_that_never_converged_has_a_reference_but_no_ratio(make_study):
    study = make_study(target=B200)
    (case,) = study.experiment("finetune", LORA, 2)
    study.failed(case, 0, "target_not_reached", "budget spent")
    row = table_of(study.analyse()).iloc[0]
    assert row["standing"] == "inconclusive"
    assert row["reference_minutes"] == MEDIAN
    assert math.isnan(row["ratio"])
    assert "no repeat reached the quality" in row["note"]


def test_a_published_subject_is_compared_with_the_other_submitters(make_study):
    study = make_study(references={"subjects": [DELL]})
    study.write()
    paths = study.analyse()
    row = table_of(paths).set_index("benchmark").loc["llama2_70b_lora"]
    others = find_reference("llama2_70b_lora", "v5.1", "B200", 8, exclude_submitter="Dell")
    assert row["result_status"] == "published"
    assert row["reference_minutes"] == others.minutes
    assert row["reference_n"] == others.n
    assert row["standing"] == "not_slower"
    assert row["ratio_low"] < row["ratio"] < row["ratio_high"] < 1.3
    behind = pd.read_csv(paths.references_used)
    assert "Dell" not in set(behind["submitter"])
    assert len(behind[behind["benchmark"] == "llama2_70b_lora"]) == others.n
    assert behind["source"].notna().all()
    assert behind["citation"].str.contains("v5.1").all()


def test_a_subject_that_does_not_exist_is_a_clear_error(make_study):
    study = make_study(references={"subjects": [DELL | {"submitter": "Dall"}]})
    study.write()
    with pytest.raises(ConfigError, match="did you mean 'Dell'"):
        study.analyse()


def test_the_ratio_combines_both_sides_by_hand():
    """se^2 = (sqrt(pi/2) s / sqrt(n))^2 on either side, degrees of freedom after Welch and Satterthwaite."""
    measured = estimate(12.0, 0.1, 4)
    against = reference_estimate(10.0, [[9.0], [10.0], [11.0]])
    spread = math.sqrt(sum((math.log(x) - math.log(990) / 3) ** 2 for x in (9, 10, 11)) / 2)
    a = (math.sqrt(math.pi / 2) * 0.1 / 2) ** 2
    b = (math.sqrt(math.pi / 2) * spread / math.sqrt(3)) ** 2
    df = (a + b) ** 2 / (a**2 / 3 + b**2 / 2)
    found = ratio(measured, against)
    assert found.value == pytest.approx(1.2)
    assert found.error == pytest.approx(math.sqrt(a + b))
    expected = 1.2 * math.exp(stats.t.ppf(0.95, df) * math.sqrt(a + b))
    assert found.bound("upper", 0.95) == pytest.approx(expected)


def test_an_interpolated_references_band_enters_the_interval():
    """Without an error of its own, the band's coverage gives the band back; with one, the variances add."""
    against = interpolated_estimate(10.0, 1.2, 0.8, 7)
    exact = ratio(estimate(12.0, 0.0, 5), against)
    assert exact.bound("upper", 0.9) == pytest.approx(1.2 * 1.2)
    assert exact.bound("lower", 0.9) == pytest.approx(1.2 / 1.2)
    spread = ratio(estimate(12.0, 0.1, 2), against)
    sigma = math.log(1.2) / stats.t.ppf(0.9, 6)
    assert spread.error == pytest.approx(math.sqrt(0.1**2 / 2 + sigma**2))
    assert interpolated_estimate(10.0, 1.2, None, 2).error is None


@pytest.mark.parametrize(("factor", "standing"), [(1.0, "not_slower"), (1.4, "inconclusive"), (2.0, "slower")])
def test_a_training_between_two_counts_is_held_against_an_interpolation(make_study, factor, standing):
    found = find_reference("llama2_70b_lora", "v5.1", "B200", 24)
    target = B200 | {"accelerators_per_node": 24}
    row = compared(make_study, [factor * found.minutes * f for f in (0.99, 1.0, 1.01)], target=target)
    assert (row["basis"], row["standing"]) == ("interpolated", standing)
    assert row["reference_minutes"] == pytest.approx(found.minutes)
    assert (row["reference_n"], row["reference_submitters"]) == (5, 3)
    assert (row["reference_low_minutes"], row["reference_high_minutes"]) == pytest.approx(found.interval)
    assert row["ratio_low"] < factor < row["ratio_high"]
    assert "at 16 (median of 3 results by 3 submitters)" in row["note"]
    assert "at 32 (median of 2 results by 2 submitters)" in row["note"]
    assert "error band" in row["interval_method"]
    assert math.isnan(row["reference_low_quartile"])
    assert ("interpolation's error decides" in row["note"]) == (standing == "inconclusive")


def test_results_files_of_a_study_count_as_published(make_study, tmp_path):
    table = load_published()
    rows = table[(table["round"] == "v5.1") & (table["benchmark"] == "llama2_70b_lora")].head(1)
    added = tmp_path / "results.csv"
    new = [rows.assign(submitter=f"new{i}", accelerators=1024, accelerator_family="B200") for i in range(3)]
    pd.concat(new).to_csv(added, index=False)
    study = make_study(target=B200 | {"accelerators_per_node": 1024}, references={"tables": [str(added)]})
    (case,) = study.experiment("finetune", LORA, 3)
    study.trained(case, [1.0, 1.1, 1.2])
    row = table_of(study.analyse()).iloc[0]
    assert row["basis"] == "exact" and row["reference_minutes"] == rows.iloc[0]["minutes"]


LOGS = {"kind": "mlperf_logs", "benchmark": "llama2_70b_lora", "round": "v5.0"}


def ingested(make_study, minutes, workload=LOGS, factor=1.0):
    study = make_study(target=B200)
    (case,) = study.experiment("logs", workload, len(minutes))
    for repeat, run in enumerate(minutes):
        scaled = [measurement("mlperf.scaling_factor", [factor])] if factor else []
        scaled += [measurement("mlperf.scaled_time_to_train", [run * factor])] if factor else []
        study.record(case, repeat, measurement("mlperf.time_to_train", [run]), *scaled)
    return table_of(study.analyse()).iloc[0]


def test_logs_handed_over_are_held_against_their_own_round_without_their_submitter(make_study):
    others = find_reference("llama2_70b_lora", "v5.0", "B200", 8, exclude_submitter="Dell")
    row = ingested(make_study, [10.0, 10.2] * 5, LOGS | {"submitter": "Dell"}, factor=1.01)
    assert (row["round"], row["basis"], row["reference_n"]) == ("v5.0", "exact", others.n)
    assert others.n < find_reference("llama2_70b_lora", "v5.0", "B200", 8).n
    assert row["ratio"] == pytest.approx(10.1 * 1.01 / others.minutes)
    assert row["standing"] == "not_slower" and row["result_status"] == "unverified"
    assert "logs handed over" in row["note"] and "x 1.01" in row["note"]


def test_logs_without_a_factor_are_compared_with_nothing(make_study):
    row = ingested(make_study, [10.0, 10.1, 10.2], factor=None)
    assert row["basis"] == "undefined" and "no scaling factor" in row["note"]


def test_an_unknown_spread_on_either_side_leaves_no_interval():
    known, unknown = estimate(1.0, 0.1, 3), estimate(1.0, None, 1)
    for pair in ((known, unknown), (unknown, known)):
        assert ratio(*pair).bound("upper", 0.95) is None


@pytest.mark.parametrize("n", [2, 3, 4])
def test_a_few_equal_values_are_no_certainty_on_either_side(n):
    assert estimate(12.5, 0.0, n).error is None and estimate(12.5, 0.0, 5).error == 0.0
    assert reference_estimate(10.0, [[10.0]] * n).error is None
    against = reference_estimate(10.0, [[9.9], [10.0], [10.1]])
    criterion = Criterion(name="a", metric="comparison.ratio", at_most=1.3, minimum_repeats=2)
    equal = judge_ratio(criterion, ratio(estimate(12.5, 0.0, n), against), n, 0.0, n)
    assert (equal.verdict, equal.n_needed) == ("inconclusive", None)
    assert "no interval: none (the spread of one side is not known)" in equal.reason
    five = judge_ratio(criterion, ratio(estimate(12.5, 0.0, 5), against), 5, 0.0, 5)
    assert five.verdict == "pass"


def test_a_row_of_equal_repeats_says_what_gives_it_an_interval(make_study):
    row = compared(make_study, [9.81, 9.81])
    assert row["standing"] == "inconclusive" and math.isnan(row["ratio_low"])
    assert "the repeats are all equal and show no spread" in row["note"] and "with 5 repeats" in row["note"]


@settings(deadline=None)
@given(st.floats(0.1, 1e3), st.floats(0.001, 0.5), st.integers(2, 20), st.floats(0, 0.3))
def test_the_interval_holds_the_ratio_and_grows_with_the_references_spread(minutes, spread, n, reference_spread):
    measured = estimate(minutes, spread, n)
    narrow, wide = (ratio(measured, estimate(10.0, s, 5)) for s in (reference_spread, reference_spread + 0.2))
    low, high = narrow.bound("lower", 0.95), narrow.bound("upper", 0.95)
    assert low <= narrow.value <= high
    assert wide.error > narrow.error


@pytest.mark.parametrize("counts", [(1, 1, 1), (1, 1, 1, 1, 1), (3, 2, 2), (7, 1, 1, 1)])
def test_false_standings_stay_near_their_five_percent_however_many_results_one_submitter_has(counts):
    """Simulated at the threshold itself, submitters 10 % apart, the own repeats 2 %."""
    random = np.random.default_rng(20261122)
    wrong = {"slower": 0, "not_slower": 0}
    trials = 2000
    for _ in range(trials):
        submitters = np.exp(random.normal(0, 0.1, len(counts)))
        groups = [[float(x)] * count for x, count in zip(submitters, counts, strict=True)]
        measured = np.exp(math.log(1.3) + random.normal(0, 0.02, 5))
        spread = float(np.std(np.log(measured), ddof=1))
        centre = float(np.median([x for group in groups for x in group]))
        found = ratio(estimate(float(np.median(measured)), spread, 5), reference_estimate(centre, groups))
        wrong["slower"] += found.bound("lower", 0.95) > 1.3
        wrong["not_slower"] += found.bound("upper", 0.95) <= 1.3
    assert max(wrong.values()) / trials < 0.07, wrong


def test_where_the_references_spread_decides_no_number_of_repeats_is_named(make_study, monkeypatch):
    monkeypatch.setattr("seatrial.analysis.comparison.unlike", lambda workload, ranks: [])
    study = make_study(target=B200)
    (case,) = study.experiment("finetune", LORA, 5)
    reference = find_reference("llama2_70b_lora", "v5.1", "B200", 8)
    study.trained(case, [reference.minutes * 1.3 * f for f in (0.999, 0.9995, 1.0, 1.0005, 1.001)])
    row = table_of(study.analyse()).iloc[0]
    assert row["standing"] == "inconclusive"
    assert "no number of further repeats settles it" in row["note"]
    assert pd.isna(row["n_needed"])


def test_an_inconclusive_row_says_how_many_further_repeats_would_settle_it(make_study):
    row = compared(make_study, [MEDIAN * f for f in (0.95, 1.05, 1.3)])
    assert row["standing"] == "inconclusive"
    assert row["further_repeats"] == row["n_needed"] - 3 > 0
    assert f"about {int(row['further_repeats'])} further repeat" in row["note"]
    assert f"({int(row['n_needed'])} in all) would settle it in 4 of 5 studies" in row["note"]
    assert "30 % slower" in row["threshold_source"]


@settings(deadline=None, max_examples=60)
@given(st.floats(0.8, 2.0), st.floats(0.005, 0.5), st.integers(2, 12), st.floats(0.0, 0.2), st.floats(2.0, 20.0))
def test_the_number_of_repeats_that_settles_is_that_of_the_verdict(value, spread, n, error, freedom):
    found = ratio(estimate(value, spread, n), Estimate(1.0, error, freedom))
    criterion = Criterion(name="not_slower", metric="comparison.ratio", at_most=1.3, minimum_repeats=2)
    verdict = judge_ratio(criterion, found, n, spread, n)
    if verdict.verdict == "inconclusive":
        assert repeats_to_settle(found, spread, n, 1.3) == verdict.n_needed


@pytest.mark.parametrize(("value", "spread", "n", "error"), [(1.2, 0.067, 3, 0.02), (1.45, 0.067, 2, 0.03)])
def test_the_number_of_repeats_settles_in_4_of_5_studies(value, spread, n, error):
    """Simulated: log-normal times, a reference with an error of its own; the power is an approximation."""
    against = Estimate(1.0, error, 20.0)
    needed = repeats_to_settle(ratio(estimate(value, spread, n), against), spread, n, 1.3)
    draw, settled, studies = np.random.default_rng(1), 0, 1500
    for _ in range(studies):
        logs = math.log(value) + spread * draw.standard_normal(needed)
        measured = estimate(math.exp(np.median(logs)), np.std(logs, ddof=1), needed)
        found = ratio(measured, Estimate(math.exp(error * draw.standard_normal()), error, 20.0))
        settled += found.bound("lower", 0.95) > 1.3 or found.bound("upper", 0.95) <= 1.3
    assert 0.77 < settled / studies < 0.88


def test_one_repeat_has_no_spread_and_says_that_a_second_is_the_least(make_study):
    row = compared(make_study, [MEDIAN * 1.5])
    assert "a second is the least" in row["note"]
    assert pd.isna(row["further_repeats"])


def test_repeats_that_did_not_converge_are_not_made_up_for_by_further_ones(make_study):
    row = compared(make_study, [MEDIAN * f for f in (0.99, 1.0, 1.01)], repeats=4)
    assert pd.isna(row["n_needed"])
    assert "no number of further repeats makes up for those that are missing" in row["note"]


def test_a_published_subject_is_not_told_to_repeat_itself(make_study):
    study = make_study(references={"subjects": [DELL], "slower_than_median": {"value": 1.0, "source": "agreed"}})
    study.write()
    rows = table_of(study.analyse())
    unsure = rows[rows["standing"] == "inconclusive"]
    assert len(unsure)
    assert unsure["further_repeats"].isna().all()
    assert (unsure["threshold_source"] == "agreed").all()


def test_a_training_with_a_feature_switched_off_is_not_compared_with_whole_systems(make_study):
    ways = {"p2p_off": {"description": "no direct copies", "environment": {"NCCL_P2P_DISABLE": "1"}}}
    row = compared(make_study, [MEDIAN] * 3, target=B200 | {"ablations": ways, "ablation": "p2p_off"})
    assert (row["basis"], row["standing"]) == ("undefined", "undefined")
    assert "p2p_off" in row["note"]
    assert math.isnan(row["ratio"])


def test_the_page_says_how_many_further_repeats_would_settle_it_and_whose_the_threshold_is(make_study):
    study = make_study(target=B200)
    (case,) = study.experiment("finetune", LORA, 3)
    study.trained(case, [MEDIAN * f for f in (0.95, 1.05, 1.3)])
    paths = study.analyse()
    more = int(table_of(paths).iloc[0]["further_repeats"])
    shown = comparison_table(read_study(paths))
    standing = shown.rows[0][[name for name, _ in shown.columns].index("Standing")]
    assert standing.under == f"threshold 1.3; about {more} further repeats would settle it in 4 of 5 studies"
    assert "30 % slower than the median" in shown.caption
