"""What a number of repeats can settle, and what `seatrial plan` says of it before anything runs."""

from __future__ import annotations

import math
from pathlib import Path

import numpy as np
import pytest
from study_on_disk import GEMM, LAPTOP

from seatrial.analysis.expected_noise import published_noise
from seatrial.analysis.planned_power import planned_power
from seatrial.analysis.power import (
    detectable,
    ratio_detectable,
    ratio_repeats_for,
    ratio_settles,
    repeats_for,
    settles,
)
from seatrial.analysis.statistics import median_bound
from seatrial.config.study import Study
from seatrial.errors import UnreadableFile
from seatrial.plan import make_plan
from seatrial.plan_text import power_lines

SWEEP = {
    "kind": "collective",
    "operation": "all_reduce",
    "sizes": {"smallest": 8, "largest": 2**30, "factor": 2},
}
CONF = Path(__file__).parents[2] / "conf"


@pytest.mark.parametrize("n", [2, 3, 4, 5, 7, 12])
def test_the_chance_is_that_of_the_bound_a_verdict_rests_on(n):
    draw = np.random.default_rng(7)
    noise, difference, studies = 0.06, 0.08, 1200
    runs = np.exp(noise * draw.standard_normal((studies, n)) - difference)
    settled = np.mean([median_bound(one.tolist(), "upper", 0.95).value <= 1 for one in runs])
    expected = settles(n, noise, difference, 0.95)
    assert abs(settled - expected) < 4 * math.sqrt(expected * (1 - expected) / studies)


@pytest.mark.parametrize("noise", [0.002, 0.05, 0.3])
def test_what_can_be_told_apart_needs_no_more_repeats_than_it_was_told_with(noise):
    for n in (2, 3, 4, 5, 8, 20):
        far = detectable(n, noise, 0.95, 0.8)
        needed = repeats_for(far * 1.0001, noise, 0.95, 0.8)
        assert needed is not None and needed <= n
        assert settles(needed, noise, far * 1.0001, 0.95) >= 0.8
        assert all(settles(fewer, noise, far * 1.0001, 0.95) < 0.8 for fewer in range(2, needed))


def test_the_published_limit_of_five_repeats_holds():
    # 1.35 times the median at a threshold of 1.30 needs little noise (CoV 2 %: mostly settled with 5 repeats)
    assert settles(5, 0.02, math.log(1.35 / 1.30), 0.95) > 0.85
    assert settles(3, 0.10, math.log(1.5 / 1.3), 0.95) == pytest.approx(0.48, abs=0.05)


def test_one_repeat_settles_nothing_and_no_distance_is_never_settled():
    assert settles(1, 0.01, 1.0, 0.95) == 0.0
    assert detectable(1, 0.01, 0.95, 0.8) is None
    assert repeats_for(0.0, 0.05, 0.95, 0.8) is None
    assert repeats_for(1e-6, 0.3, 0.95, 0.8) is None


def test_a_ratio_is_known_no_better_than_its_reference():
    exact = detectable(10, 0.05, 0.95, 0.8)
    rough = ratio_detectable(10, 0.05, 0.95, 0.8, error=0.04, degrees=5)
    assert rough > exact
    assert ratio_repeats_for(0.05, 0.05, 0.95, 0.8, error=0.04, degrees=5) is None
    needed = ratio_repeats_for(0.2, 0.1, 0.95, 0.8, error=0.04, degrees=5)
    assert ratio_settles(needed, 0.1, 0.2, 0.95, 0.04, 5) >= 0.8
    assert ratio_settles(needed - 1, 0.1, 0.2, 0.95, 0.04, 5) < 0.8


def test_the_noise_of_a_benchmark_is_that_within_published_results():
    found = published_noise("llama2_70b_lora", "v5.1")
    assert 0.04 < found.value < 0.08
    assert "62 published results" in found.source
    assert published_noise("no_such_benchmark", "v5.1") is None


def lines(*words):
    return power_lines(make_plan(["study=demo", *words], CONF))


def test_a_noise_that_nobody_states_is_said_to_be_unknown():
    found = {line.split(":")[0].strip(): line for line in lines()}
    assert "noise not known" in found["fine-tune-within-ten-minutes"]
    (advice,) = [line for line in lines() if line.startswith("noise not known of")]
    assert "train.time_to_quality" in advice and "noise.earlier" in advice
    assert "settles" not in found["fine-tune-within-ten-minutes"]
    assert "rests on published results alone" in found["published-llama2-not-slower"]


def test_a_stated_noise_gives_what_the_repeats_settle_and_how_many_are_needed():
    stated = "+noise.metrics={train.time_to_quality: {value: 0.05, source: a guess}}"
    line = next(found for found in lines(stated) if "fine-tune" in found)
    assert "3 repeats, noise 5 % (a guess): settles 12.2 %; 5 % needs 13 repeats" in line
    more = next(found for found in lines(stated, "criteria.0.minimum_repeats=4") if "fine-tune" in found)
    assert "it asks for 4: never passes as planned" in more


def test_an_earlier_study_of_ones_own_tells_the_noise(make_study):
    study = make_study()
    (case,) = study.experiment("gemm", GEMM, 3)
    study.gemm(case, [9.0, 10.0, 11.1])
    paths = study.analyse()
    earlier = f"+noise.earlier={paths.root}"
    criterion = "criteria=[{name: fast, metric: gemm.throughput, at_least: 1}]"
    (line,) = lines(earlier, criterion, "experiments.gemm.repeats=3")[1:2]
    assert f"noise 10.5 % (1 case of {paths.root}, 2 degrees of freedom)" in line
    with pytest.raises(UnreadableFile):
        lines("+noise.earlier=/no/such/study", criterion)


@pytest.mark.parametrize(
    ("workload", "tasks", "metric", "where", "groups"),
    [
        (GEMM, 8, "gemm.throughput", {}, 8),
        (GEMM, 8, "gemm.throughput", {"rank": 0}, 1),
        (GEMM, 1, "gemm.throughput", {}, 1),
        (SWEEP, 8, "collective.bus_bandwidth", {}, 28),
        (SWEEP, 8, "collective.bus_bandwidth", {"size_bytes": 8}, 1),
    ],
)
def test_the_more_groups_must_pass_the_more_repeats_are_needed(make_study, workload, tasks, metric, where, groups):
    study = make_study(target={**LAPTOP, "tasks_per_node": tasks})
    cases = study.experiment("it", workload, 8)
    noise = {"value": 0.03, "source": "a guess"}
    study.criterion("fast", metric, at_least=1.0, where=where, noise=noise)
    (found,) = planned_power(Study.model_validate(study.study), cases)
    assert found.groups == groups
    # the chance that all of them pass, were they independent, is what the study asks for
    assert settles(found.needed, 0.03, math.log1p(0.05), 0.95) ** groups >= 0.8
    assert settles(8, 0.03, math.log1p(found.settles), 0.95) ** groups == pytest.approx(0.8, abs=0.001)
