"""A mistake in a study is refused while it is planned, by the key under which its author wrote it."""

from __future__ import annotations

import shutil
from collections.abc import Callable, Sequence
from pathlib import Path

import pytest

from seatrial.checks import check_plan
from seatrial.config.base import LONGEST_MINUTES
from seatrial.errors import ConfigError
from seatrial.plan import make_plan

CONF = Path(__file__).parents[2] / "conf"
HEAD = """# @package _global_
defaults:
  - /workload@experiments.p.workload: gemm
  - /workload@experiments.memory.workload: memory
  - _self_
title: one
"""
Refused = Callable[..., ConfigError]


@pytest.fixture
def refused(tmp_path: Path) -> Refused:
    """How a study with a text of its own, and words, is refused."""
    conf = tmp_path / "conf"
    shutil.copytree(CONF, conf)

    def mistake(text: str, *words: str, head: str = HEAD, target: str = "local") -> ConfigError:
        (conf / "study" / "one.yaml").write_text(head + text)
        with pytest.raises(ConfigError) as caught:
            check_plan(make_plan(["study=one", f"target={target}", *words], conf))
        return caught.value

    return mistake


def accepted(tmp_path: Path, text: str, words: Sequence[str]) -> None:
    conf = tmp_path / "conf"
    shutil.copytree(CONF, conf)
    (conf / "study" / "one.yaml").write_text(HEAD + text)
    check_plan(make_plan(["study=one", *words], conf))


def swept(axes: str) -> str:
    return f"experiments: {{p: {{sweep: {{axes: {axes}}}}}}}\n"


@pytest.mark.parametrize(
    ("text", "words", "file", "key"),
    [
        (swept("{target: {nodes: [1, 2]}}"), [], "one.yaml", "experiments.p.sweep.axes.target.nodes"),
        ("", ["target.nodes=1,2"], "command line", "target.nodes"),
        ("", ["target.nodes=2"], "command line", "target.nodes"),
        ("target: {nodes: 2}\n", [], "one.yaml", "target.nodes"),
    ],
)
def test_more_nodes_than_this_machine_has_are_refused(
    refused: Refused, text: str, words: list[str], file: str, key: str
) -> None:
    mistake = refused(text, *words)
    assert (Path(str(mistake.file)).name, mistake.key, mistake.value) == (file, key, 2)
    assert "one node" in mistake.problem and str(mistake.allowed).startswith("1, or a target of several nodes")


def test_several_nodes_of_another_target_are_planned(tmp_path: Path) -> None:
    accepted(tmp_path, swept("{target: {nodes: [1, 2]}}"), ["target=mini_slurm"])


@pytest.mark.parametrize(
    ("axes", "key", "allowed"),
    [
        ("{workload: {q: [1, 2]}}", "workload.q", "dtype"),
        ("{workload: {m: [0, 2]}}", "workload.m", "a value >= 1"),
        ("{workload: {m: [many]}}", "workload.m", "a whole number"),
        ("{workload: {kind: [gem]}}", "workload.kind", "gemm"),
        ("{workload: {search: [{m: {start: 2, stop: 1}}]}}", "workload.search.m.stop", "a value >= 2"),
        ("{target: {nodez: [1]}}", "target.nodez", "nodes"),
        ("{target: {launcher: {slurm_extra: ['a \"']}}}", "target.launcher.slurm_extra", "quotes in pairs"),
    ],
)
def test_a_mistake_of_an_axis_is_named_by_the_axis(refused: Refused, axes: str, key: str, allowed: str) -> None:
    mistake = refused(swept(axes))
    assert mistake.key == f"experiments.p.sweep.axes.{key}"
    assert Path(str(mistake.file)).name == "one.yaml"
    assert allowed in str(mistake.allowed)


def test_what_a_probe_refuses_of_an_axis_is_named_by_the_axis(refused: Refused) -> None:
    head = HEAD.replace("experiments.p.workload: gemm", "experiments.p.workload: checkpoint")
    mistake = refused(swept("{workload: {path: [/tmp, /nowhere/at/all]}}"), head=head)
    assert mistake.key == "experiments.p.sweep.axes.workload.path"
    assert (mistake.value, Path(str(mistake.file)).name) == ("/nowhere/at/all", "one.yaml")


def criterion(where: str, metric: str = "gemm.throughput", bound: str = "at_least: 1") -> str:
    return f"criteria: [{{name: a, metric: {metric}, where: {where}, {bound}}}]\n"


@pytest.mark.parametrize(
    ("where", "name", "value", "allowed"),
    [
        ("{workload.dtype: float31}", "workload.dtype", "float31", "float32"),
        ("{dtype: float31}", "dtype", "float31", "float32"),
        ("{dtype: tf32}", "dtype", "tf32", "float32"),
        ("{m: 5}", "m", 5, "1024, 512"),
        ("{iterations: 21}", "iterations", 21, "20"),
        ("{workload.m: 5}", "workload.m", 5, "1024, 512"),
        ("{axis.workload.m: 5}", "axis.workload.m", 5, "1024, 512"),
        ("{workload.m: '512'}", "workload.m", "512", "1024, 512"),
        ("{nodes: 2}", "nodes", 2, "1"),
        ("{experiment: prodcts}", "experiment", "prodcts", "p"),
    ],
)
def test_a_criterion_that_no_case_can_be_is_refused(
    refused: Refused, where: str, name: str, value: object, allowed: str
) -> None:
    mistake = refused(swept("{workload: {m: [512, 1024]}}") + criterion(where))
    assert mistake.key == f"criteria.0.where.{name}"
    assert (mistake.value, mistake.allowed) == (value, allowed)
    assert Path(str(mistake.file)).name == "one.yaml"


def test_a_criterion_of_two_things_that_no_case_is_together_is_refused(refused: Refused) -> None:
    axes = "{workload: {m: [8, 16], warmup: [1, 2]}}"
    zipped = f"experiments: {{p: {{sweep: {{axes: {axes}, zip: [[workload.m, workload.warmup]]}}}}}}\n"
    mistake = refused(zipped + criterion("{workload.m: 8, workload.warmup: 2}"))
    assert (mistake.key, "at once" in mistake.problem) == ("criteria.0.where", True)


@pytest.mark.parametrize(
    "where", ["{workload.dtype: float32}", "{workload.m: 1024}", "{dtype: float32, m: 1024}", "{rank: 0}"]
)
def test_what_a_case_is_or_a_measurement_may_say_is_taken(tmp_path: Path, where: str) -> None:
    accepted(tmp_path, criterion(where), ["target=local"])


def test_a_shape_that_only_the_search_finds_may_be_selected(tmp_path: Path) -> None:
    size = "{start: 64, stop: 128, step: 64}"
    search = f"m: null, n: null, k: null, search: {{m: {size}, n: {size}, k: {size}}}"
    study = f"experiments: {{p: {{workload: {{{search}}}}}}}\n"
    accepted(tmp_path, study + criterion("{m: 64, dtype: float32}", "gemm.best_throughput"), ["target=local"])


@pytest.mark.parametrize(
    ("bound", "key", "problem"),
    [
        ("at_least: 1, at_most: 2", "at_most", "this has two"),
        ("minimum_repeats: 1", "at_least", "this has none"),
    ],
)
def test_a_criterion_without_one_bound_says_what_is_allowed(
    refused: Refused, bound: str, key: str, problem: str
) -> None:
    mistake = refused(criterion("{}", bound=bound))
    assert (mistake.key, problem in mistake.problem) == (f"criteria.0.{key}", True)
    assert "exactly one of at_least: NUMBER and at_most: NUMBER" in str(mistake.allowed)


def test_an_unknown_metric_names_the_nearest_before_the_hundred_that_there_are(refused: Refused) -> None:
    lines = str(refused(criterion("{}", "gemm.thruput"))).splitlines()
    nearest = next(number for number, line in enumerate(lines) if "did you mean 'gemm.throughput'" in line)
    assert lines[nearest + 1].startswith("  allowed: ")


def test_a_study_without_its_first_line_is_told_which(refused: Refused) -> None:
    mistake = refused("", head=HEAD.split("\n", 1)[1])
    assert "`# @package _global_`" in str(mistake.allowed) and "first line" in mistake.problem
    assert Path(str(mistake.file)).name == "one.yaml"


@pytest.mark.parametrize("minutes", ["1e300", str(LONGEST_MINUTES + 1), "0", "-1"])
def test_a_time_limit_beyond_a_year_is_refused(refused: Refused, minutes: str) -> None:
    mistake = refused("", f"experiments.p.workload.time_limit_minutes={minutes}")
    assert mistake.key == "experiments.p.workload.time_limit_minutes"
    assert mistake.allowed in (f"a value <= {LONGEST_MINUTES}", "a value > 0")


def test_a_time_limit_of_a_year_is_taken(tmp_path: Path) -> None:
    words = ["target=local", f"experiments.p.workload.time_limit_minutes={LONGEST_MINUTES}"]
    accepted(tmp_path, "", words)


@pytest.mark.parametrize(("words", "nearest"), [(["study", "first"], "study=first"), (["first"], None)])
def test_words_without_an_equals_sign_are_told_how_they_are_written(words: list[str], nearest: str | None) -> None:
    with pytest.raises(ConfigError) as caught:
        make_plan(words, CONF)
    assert (caught.value.value, caught.value.nearest) == (words[0], nearest)
    assert "study=first" in str(caught.value.allowed) and "--config" not in str(caught.value)


@pytest.mark.parametrize(
    ("word", "problem", "allowed"),
    [
        ("experiments.p.repeats=two", "not a whole number", "a whole number"),
        ("experiments.p.workload.time_limit_minutes=soon", "not a number", "a number"),
        ("title=[a]", "not text", "text"),
        ("criteria=5", "not a list", "a list"),
        ("experiments.p.workload=5", "no keys with values", "{key: value}"),
        ("+references.round=5", "not text", "text"),
        ("+references.round='5'", "not of the form", "a round, such as v5.1"),
        ("+name=A", "not of the form", "lower-case letters"),
        ("criteria=[{name: a, metric: gemm.throughput, at_least: high}]", "not a number", "a number or null"),
        ("+references.slower_than_median={value: 1, source: ''}", "too short", "at least 1 character"),
    ],
)
def test_what_is_wrong_with_a_value_is_said_in_our_words(
    refused: Refused, word: str, problem: str, allowed: str
) -> None:
    mistake = refused("", word)
    assert problem in mistake.problem and allowed in str(mistake.allowed), str(mistake)
    assert "Input should" not in str(mistake) and "pattern" not in str(mistake)


def test_what_is_no_yaml_says_what_would_be(refused: Refused) -> None:
    mistake = refused("experiments: [\n")
    assert mistake.allowed is not None and Path(str(mistake.file)).name == "one.yaml"
