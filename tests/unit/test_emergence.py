"""Tokens to retrieval beside tokens to loss: censored runs count, intervals hold, no number where there is none."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import pandas as pd
import pytest
from hybrid_cases import hybrid, retrieval
from study_on_disk import FINETUNE

from seatrial.analysis.emergence import effect_words, findings
from seatrial.analysis.survival import (
    Effect,
    Reach,
    exact_p,
    kaplan_meier,
    logrank_p,
    median_reach,
    reach_interval,
    times_longer,
)
from seatrial.analysis.tables import rows_of
from seatrial.record import Error, measurement
from seatrial.report.page import report

NEVER = None


def reaches(*by: float | None, budget: float = 1000.0, interval: float = 0.0) -> list[Reach]:
    """Runs that reached it by these times, each seen `interval` before; NEVER: not within the budget."""
    return [Reach(budget, None) if time is None else Reach(time - interval, time) for time in by]


def test_the_curve_is_kaplan_and_meiers_and_its_bounds_greenwoods_on_the_log_log_scale() -> None:
    # 1, 2, censored at 2.5, 4, censored at 5: at risk 5, 4, 2.
    runs = [Reach(0, 1), Reach(0, 2), Reach(2.5, None), Reach(0, 4), Reach(5, None)]
    curve = kaplan_meier(runs)
    share = dict(zip(curve.times, curve.share, strict=True))
    assert share[1] == pytest.approx(0.8) and share[2] == pytest.approx(0.6) and share[4] == pytest.approx(0.3)
    s, variance = 0.3, 1 / (5 * 4) + 1 / (4 * 3) + 1 / (2 * 1)
    half = 1.959964 * math.sqrt(variance) / abs(math.log(s))
    at = list(curve.times).index(4)
    ends = sorted(math.exp(-math.exp(math.log(-math.log(s)) + sign * half)) for sign in (1, -1))
    assert (curve.low[at], curve.high[at]) == pytest.approx(ends, rel=1e-5)


def test_a_median_that_half_of_the_runs_do_not_reach_is_none() -> None:
    assert median_reach(reaches(100, 200, 300, 400, 500)) == 300
    assert median_reach(reaches(100, 200, 300, NEVER, NEVER)) == 300
    assert median_reach(reaches(100, 200, NEVER, NEVER, NEVER)) is None
    assert median_reach([]) is None


def test_the_interval_of_a_median_is_open_where_runs_were_given_up() -> None:
    low, high, method = reach_interval(reaches(100, 200, 300, 400, 500, interval=20))
    assert (low, high, method) == (80, 500, "order statistics 93.75 %")
    low, high, _ = reach_interval(reaches(100, 200, 300, 400, NEVER))
    assert (low, high) == (100, None)
    assert reach_interval(reaches(*[NEVER] * 5))[:2] == (1000, None)
    early_end = [*reaches(100, 200, 300, 400, interval=20), Reach(150, None)]
    low, high, method = reach_interval(early_end)
    assert method == "Kaplan-Meier, log-log 95 %" and low == 80


def test_complete_separation_is_as_unlikely_as_its_one_division_among_all() -> None:
    one, other = reaches(1, 2, 3, 4, 5), reaches(*[NEVER] * 5)
    assert exact_p(one, other) == pytest.approx(2 / math.comb(10, 5))
    assert exact_p(one, one) == 1.0
    assert exact_p(reaches(NEVER), reaches(NEVER)) is None and logrank_p(reaches(NEVER), reaches(NEVER)) is None


def test_where_divisions_are_drawn_p_is_never_0_and_the_method_says_so() -> None:
    """12 and 12 separated runs: 2 of 2,704,156 divisions, of which 20,000 are tried, and the one found."""
    one, other = reaches(*range(1, 13)), reaches(*range(101, 113))
    assert exact_p(one, other) == pytest.approx(2 / 20_001)
    assert "Monte Carlo" in times_longer(one, other, (1000, 1000)).method
    assert "exact" in times_longer(one[:5], other[:5], (1000, 1000)).method


def test_the_log_rank_test_is_observed_against_expected() -> None:
    one, other = reaches(1, 3, 4, NEVER), reaches(2, 5, 6, 7)
    observed = expected = variance = 0.0
    everything = [(r.seen, r.by is not None, group) for group, runs in enumerate((one, other)) for r in runs]
    for time in sorted({t for t, reached, _ in everything if reached}):
        at_risk = [group for t, _, group in everything if t >= time]
        first = at_risk.count(0)
        observed += sum(t == time and group == 0 for t, _, group in everything)
        expected += first / len(at_risk)
        variance += first * (len(at_risk) - first) / len(at_risk) ** 2
    chi_squared = (observed - expected) ** 2 / variance
    assert logrank_p(one, other) == pytest.approx(math.erfc(math.sqrt(chi_squared / 2)), rel=1e-6)


def test_where_no_run_gets_there_the_effect_has_a_lower_bound_and_no_number() -> None:
    effect = times_longer(reaches(100, 110, 120, 130, 140), reaches(*[NEVER] * 5), (1000, 1000))
    assert effect.value is None and effect.high is None
    # At 1000 / f = 130 four of the reference have reached it and none of the others: 6 of 252 divisions do as well.
    # One step later only three have, which 21 of 252 do.
    assert effect.low == pytest.approx(1000 / 130)
    assert effect_words(effect) == "at least 7.69x (95 %)"


def test_the_interval_follows_the_factor() -> None:
    times = (100, 140, 150, 210, 260)
    one = times_longer(reaches(*times), reaches(*times), (1e9, 1e9))
    assert one.value == 1 and one.low is not None and one.high is not None
    assert one.low < 1 < one.high and one.low * one.high == pytest.approx(1)
    three = times_longer(reaches(*times), reaches(*(3 * t for t in times)), (1e9, 1e9))
    assert (three.value, three.low, three.high) == pytest.approx((3, 3 * one.low, 3 * one.high))


def test_a_coarser_look_widens_the_interval() -> None:
    times, later = (100, 140, 160, 200, 260), (300, 420, 500, 600, 800)
    exact = times_longer(reaches(*times), reaches(*later), (1000, 1000))
    coarse = times_longer(reaches(*times, interval=40), reaches(*later, interval=40), (1000, 1000))
    assert coarse.low < exact.low < exact.high < coarse.high  # type: ignore[operator]


def test_too_few_runs_have_no_interval() -> None:
    effect = times_longer(reaches(1, 2, 3), reaches(7, 8, 9), (1000, 1000))
    assert effect.value == 4 and (effect.low, effect.high) == (None, None)
    assert effect_words(effect) == "not known: 3 and 3 runs cannot show it"


@pytest.mark.parametrize(("spread", "factor", "budget"), [(0.3, 2.0, 3.0), (0.8, 3.0, 3.5), (0.3, 8.0, 6.0)])
def test_intervals_hold_as_often_as_they_say(spread: float, factor: float, budget: float) -> None:
    """Log-normal times, seen at evaluations 0.1 apart, censored at the budget: 95 % of 240, less chance."""
    random = np.random.default_rng(1)

    def watched(times: Any) -> list[Reach]:
        seen = [math.ceil(t / 0.1) * 0.1 for t in times]
        return [Reach(budget, None) if t > budget else Reach(t - 0.1, t) for t in seen]

    held = medians = 0
    for _ in range(240):
        one, other = (watched(f * np.exp(spread * random.standard_normal(5))) for f in (1, factor))
        effect, interval = times_longer(one, other, (budget, budget)), reach_interval(other)
        held += (effect.low or 0) <= factor <= (effect.high or math.inf)
        medians += (interval.low or 0) <= factor <= (interval.high or math.inf)
    assert held / 240 >= 0.95 - 0.03
    assert medians / 240 >= 0.9375 - 0.03


@pytest.mark.parametrize(
    ("effect", "words"),
    [
        (Effect(3.14159, 2.0, 5.55, ""), "3.14x (2x to 5.55x)"),
        (Effect(3.0, 2.0, None, ""), "3x (at least 2x)"),
        (Effect(None, 2.0, None, ""), "at least 2x (95 %)"),
        (Effect(None, None, 0.5, ""), "at most 0.5x (95 %)"),
        (Effect(None, 2.0, 9.0, ""), "between 2x and 9x (95 %)"),
        (Effect(None, None, None, "none (no run reached it)"), "not known: no run reached it"),
    ],
)
def test_an_effect_in_words(effect: Effect, words: str) -> None:
    assert effect_words(effect) == words


WINDOWS: dict[str, Any] = {
    **hybrid(also=[{"metric": "evaluation_loss", "target": 0.4}]),
    "retrieval": retrieval(sequence_length=300, far_distance=200),
    "batch_size": 10,
    "max_steps": 1000,
    "evaluation_interval_steps": 20,
}
TOKENS_PER_STEP = 10 * 300
QUICK = (140, 160, 160, 180, 200)


def trained(study: Any, case: Any, retrieved: tuple[int | None, ...], lost: tuple[int | None, ...]) -> None:
    """A record for each repeat, with an evaluation every 20 steps until both qualities are met or the budget is."""
    for repeat, met in enumerate(zip(retrieved, lost, strict=True)):
        last = 1000 if None in met else max(step for step in met if step is not None)
        found = []
        for step in range(0, last + 1, 20):
            accuracy, loss = (step >= (when or math.inf) for when in met)
            found.append(measurement("train.retrieval_accuracy", [0.95 if accuracy else 0.1], {"step": step}))
            found.append(measurement("train.evaluation_loss", [0.4 if loss else 2.0], {"step": step}))
        if met[0] is None:
            error = Error(kind="target_not_reached", message="budget spent")
            study.record(case, repeat, *found, outcome="failed", error=error)
        else:
            study.record(case, repeat, *found)


def windows(make_study: Any, *runs: Any, **more: Any) -> Any:
    """A study of windows 8, 32, 128 with these (retrieved, lost) steps."""
    study = make_study()
    cases = study.experiment("windows", {**WINDOWS, **more}, 5, {"workload.window": [8, 32, 128][: len(runs)]})
    for case, (retrieved, lost) in zip(cases, runs, strict=True):
        trained(study, case, retrieved, lost)
    return study, cases


def table_of(paths: Any) -> pd.DataFrame:
    return pd.read_csv(paths.emergence).set_index(["quality_metric", "window"])


def test_the_table_has_retrieval_beside_loss_with_censored_runs_at_the_budget(make_study: Any) -> None:
    study, cases = windows(
        make_study, (QUICK, QUICK), ((400, 420, 460, None, None), QUICK), ((None,) * 5, (80, 80, 100, 100, 100))
    )
    paths = study.analyse()
    table = table_of(paths)
    middle = table.loc[("retrieval_accuracy", 32)]
    assert (middle["runs"], middle["reached"], middle["left_out"]) == (5, 3, 0)
    assert middle["median_tokens"] == 460 * TOKENS_PER_STEP and middle["median_steps"] == 460
    assert middle["low_tokens"] == 380 * TOKENS_PER_STEP and math.isnan(middle["high_tokens"])
    assert middle["multiplier"] == pytest.approx(460 / 160)
    large = table.loc[("retrieval_accuracy", 128)]
    assert large["reached"] == 0 and large["budget_tokens"] == 1000 * TOKENS_PER_STEP
    assert math.isnan(large["median_tokens"]) and math.isnan(large["multiplier"])
    assert large["multiplier_low"] == pytest.approx(1000 / 180) and math.isnan(large["multiplier_high"])
    assert large["multiplier_words"] == "at least 5.56x (95 %)"
    assert large["exact_p"] == pytest.approx(2 / 252) and large["logrank_p"] < 0.01
    assert table.loc[("evaluation_loss", 128)]["multiplier_high"] < 1
    runs = pd.read_csv(paths.emergence_runs)
    censored = runs[(runs["window"] == 128) & (runs["quality_metric"] == "retrieval_accuracy")]
    assert list(censored["after_tokens"]) == [1000 * TOKENS_PER_STEP] * 5 and censored["by_tokens"].isna().all()
    assert set(runs["case_id"]) == {case.case_id for case in cases}


def standing(make_study: Any, *runs: Any) -> tuple[str, str]:
    study, _ = windows(make_study, *runs)
    (found,) = findings(rows_of(pd.read_csv(study.analyse().emergence)))
    return found.standing, found.words


SLOW = (600, 620, 700, 760, 900)
QUICKER = (40, 40, 60, 60, 60)


def test_retrieval_that_comes_later_than_the_loss_shows_the_claim(make_study: Any) -> None:
    found, words = standing(make_study, (QUICK, QUICK), (SLOW, QUICK))
    assert found == "shown"
    assert words.startswith("Retrieval takes 4.38x (") and "and loss 1x (" in words


def test_a_window_that_only_slows_training_altogether_shows_nothing(make_study: Any) -> None:
    found, words = standing(make_study, (QUICK, QUICK), (SLOW, SLOW))
    assert found == "not_known" and "slower altogether" in words


def test_retrieval_that_comes_sooner_contradicts_the_claim(make_study: Any) -> None:
    assert standing(make_study, (QUICK, QUICK), (QUICKER, QUICK))[0] == "contradicted"


def test_retrieval_that_may_come_as_soon_leaves_the_claim_open(make_study: Any) -> None:
    assert standing(make_study, (QUICK, QUICK), (QUICK, QUICK))[0] == "not_known"


def test_too_few_runs_leave_the_claim_open(make_study: Any) -> None:
    found, words = standing(make_study, (QUICK[:2], QUICK[:2]), (SLOW[:2], QUICK[:2]))
    assert found == "not_known" and "2 and 2 runs cannot show it" in words


def test_the_page_says_what_the_windows_show(make_study: Any) -> None:
    study, _ = windows(make_study, (QUICK, QUICK), (SLOW, QUICK), ((None,) * 5, QUICK))
    paths = study.analyse()
    report(paths)
    page = paths.report.read_text(encoding="utf-8")
    assert '<span class="mark standing">Shown</span>' in page
    assert "at least 5.56x (95 %)" in page and "not within 3 M" in page
    assert "<!-- " not in page.split('id="emergence"')[1].split("</section>")[0]
    first = (paths.figures / "emergence.svg").read_bytes()
    report(paths)
    assert (paths.figures / "emergence.svg").read_bytes() == first


def test_groups_of_other_axes_are_judged_apart(make_study: Any) -> None:
    study = make_study()
    axes = {"workload.window": [8, 32, 8, 32], "workload.previous_token": [True, True, False, False]}
    cases = study.experiment("windows", WINDOWS, 5, axes)
    for case, retrieved in zip(cases, (QUICK, SLOW, QUICK, QUICK), strict=True):
        trained(study, case, retrieved, QUICK)
    paths = study.analyse()
    found = findings(rows_of(pd.read_csv(paths.emergence)))
    assert {f.other_axes: f.standing for f in found} == {
        '{"workload.previous_token":true}': "shown",
        '{"workload.previous_token":false}': "not_known",
    }
    report(paths)
    assert "windows, previous_token True." in paths.report.read_text(encoding="utf-8")


def test_a_study_without_windows_has_no_such_table_and_no_such_section(make_study: Any) -> None:
    study = make_study()
    study.experiment("finetune", FINETUNE, 1)
    paths = study.analyse()
    report(paths)
    assert not paths.emergence.exists()
    assert 'id="emergence"' not in paths.report.read_text(encoding="utf-8")
