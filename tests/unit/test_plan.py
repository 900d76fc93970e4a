"""Composing, validating and expanding studies; every mistake becomes one clear error."""

import json
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from seatrial.case import Case
from seatrial.errors import ConfigError, PlanRefused, UnreadableFile
from seatrial.paths import StudyPaths
from seatrial.plan import make_plan

ROOT = Path(__file__).parents[2]
CONF = ROOT / "conf"

STUDY = """
# @package _global_
defaults:
  - /workload@experiments.gemm.workload: gemm
  - _self_
title: A study
experiments:
  gemm:
    repeats: 2
    sweep:
      axes:
        workload: {{m: {m}}}
"""


# what a shipped workload leaves to the user
TO_BE_GIVEN = {
    "llm_finetune_pretrained": [
        "experiments.gemm.workload.model.name=some/model",
        "experiments.gemm.workload.dataset.train=[a.txt]",
        "experiments.gemm.workload.dataset.evaluation=[b.txt]",
        "experiments.gemm.workload.quality.target=1.0",
    ],
    "external": ["experiments.gemm.workload.command=[train]"],
    "flux1": [
        "experiments.gemm.workload.dataset.train=a",
        "experiments.gemm.workload.dataset.evaluation=b",
        "experiments.gemm.workload.dataset.empty_encodings=c",
    ],
    "moe_large": [
        "experiments.gemm.workload.dataset.train=[a.txt]",
        "experiments.gemm.workload.dataset.evaluation=[b.txt]",
        "experiments.gemm.workload.quality.target=1.0",
    ],
}


@pytest.fixture
def conf(tmp_path):
    """A copy of the shipped configuration that a test may change."""
    folder = tmp_path / "conf"
    shutil.copytree(CONF, folder)
    return folder


def write_study(conf, text):
    (conf / "study" / "own.yaml").write_text(text)
    return ["study=own", "target=dgx_h100"]


@pytest.mark.parametrize("study", sorted(p.stem for p in (CONF / "study").glob("*.yaml")))
def test_every_shipped_study_makes_a_plan(study):
    plan = make_plan([f"study={study}"], CONF)
    assert plan.study.name == study
    assert len({case.case_id for case in plan.cases}) == len(plan.cases)


@pytest.mark.parametrize("target", sorted(p.stem for p in (CONF / "target").glob("*.yaml")))
def test_the_demo_can_be_planned_on_every_shipped_target(target):
    plan = make_plan(["study=demo", f"target={target}", "max_accelerator_hours=null", "max_node_hours=null"], CONF)
    assert plan.study.target.name == target


@pytest.mark.parametrize("workload", sorted(p.stem for p in (CONF / "workload").glob("*.yaml")))
def test_every_shipped_workload_validates(conf, workload):
    text = STUDY.replace("gemm.workload: gemm", f"gemm.workload: {workload}").split("    sweep:")[0]
    assert make_plan([*write_study(conf, text), *TO_BE_GIVEN.get(workload, [])], conf).cases[0].workload.kind


@pytest.mark.parametrize(
    ("text", "values"),
    [
        ("[64, 128]", [64, 128]),
        ('"64,128"', [64, 128]),
        ('"choice(64,128,256)"', [64, 128, 256]),
        ('"range(1,4)"', [1, 2, 3]),
        ('"range(0,9,4)"', None),
        ("64", [64]),
    ],
)
def test_axes_take_lists_and_hydras_grammar(conf, text, values):
    words = write_study(conf, STUDY.format(m=text))
    if values is None:
        with pytest.raises(ConfigError) as caught:
            make_plan(words, conf)
        assert caught.value.key == "experiments.gemm.sweep.axes.workload.m"
        assert caught.value.value == 0
    else:
        assert [case.workload.m for case in make_plan(words, conf).cases] == values


def test_a_sweep_on_the_command_line_becomes_an_axis_of_every_experiment_or_of_one(conf):
    words = write_study(conf, STUDY.format(m="[64, 128]"))
    swept = make_plan([*words, "target.nodes=1,2", "experiments.gemm.workload.n=choice(8,16)"], conf)
    assert len(swept.cases) == 8
    assert {case.target.nodes for case in swept.cases} == {1, 2}
    assert swept.cases[0].axes == {"workload.m": 64, "target.nodes": 1, "workload.n": 8}
    replaced = make_plan([*words, "experiments.gemm.sweep.axes.workload.m=choice(7,9)"], conf)
    assert [case.workload.m for case in replaced.cases] == [7, 9]


def test_without_a_word_the_configuration_is_planned_as_it_stands(conf):
    assert make_plan([], conf).study.name == "demo"


def test_the_study_has_the_last_word_over_the_groups_and_the_command_line_over_the_study(conf):
    # _self_ after study in the defaults list of config.yaml would silently reset the study's repeats
    words = write_study(conf, STUDY.format(m="[64]"))
    assert make_plan(words, conf).cases[0].repeats == 2
    assert make_plan([*words, "experiments.gemm.repeats=5"], conf).cases[0].repeats == 5
    assert make_plan([*words, "+experiments.gemm.workload.iterations=3"], conf).cases[0].workload.iterations == 3


def test_a_study_may_set_values_of_its_target(conf):
    words = write_study(conf, STUDY.format(m="[64]") + "target: {nodes: 3}\n")
    assert make_plan(words, conf).cases[0].target.nodes == 3
    assert make_plan([*words, "target.nodes=2"], conf).cases[0].target.nodes == 2


def test_interpolations_see_the_swept_value(conf):
    text = STUDY.format(m="[64, 128]") + "    workload:\n      n: ${experiments.gemm.workload.m}\n"
    assert [case.workload.n for case in make_plan(write_study(conf, text), conf).cases] == [64, 128]


def test_prices_and_scheduling_words_do_not_change_what_a_case_is(conf):
    words = write_study(conf, STUDY.format(m="[64]"))
    first = make_plan(words, conf).cases[0].case_id
    assert make_plan([*words, "target.launcher.partition=other"], conf).cases[0].case_id == first
    assert make_plan([*words, "target.prices=null", "~target.prices"], conf).cases[0].case_id == first
    assert make_plan([*words, "target.nodes=2"], conf).cases[0].case_id != first


MISTAKES = [
    (["target.nodez=4"], "target.nodez", "nodes", "command line"),
    (["experiments.gemm.workload.sise=4"], "experiments.gemm.workload.sise", None, "command line"),
    (["target.nodes=0"], "target.nodes", None, "command line"),
    (["target.nodes=two"], "target.nodes", None, "command line"),
    (["target.tasks_per_node=3"], "target.tasks_per_node", "1, 2, 4, 8", "command line"),
    (["target=3"], "target", "dgx_h100", "command line"),
    (["study=null"], "study", "demo", "command line"),
    (["study=../study/demo"], "study", "demo", "command line"),
    (["experiments=5"], "experiments", None, "command line"),
    (["experiments.gem.repeats=2"], "experiments.gem.repeats", "did you mean 'gemm'", "command line"),
    (
        ["experiments.gemm.sweep.axes.workload.mm=[1,2]"],
        "experiments.gemm.sweep.axes.workload.mm",
        None,
        "command line",
    ),
    (
        ["experiments.gemm.sweep.axes.workload.m=[0,2]"],
        "experiments.gemm.sweep.axes.workload.m",
        None,
        "command line",
    ),
    (
        ["+economics.accelerator_hour={low: 1, as_of: 2024-13, source: x}"],
        "economics.accelerator_hour.as_of",
        "YYYY-MM",
        None,
    ),
    (["max_node_hours=nan"], "max_node_hours", "number or null", "command line"),
    (["experiments.gemm.workload.kind=gem"], "experiments.gemm.workload.kind", "gemm", "command line"),
    (["experiments.gemm.workload.dtype=float23"], "experiments.gemm.workload.dtype", "float32", "command line"),
    (["experiments.gemm.sweep.axes.workload.m=[]"], "experiments.gemm.sweep.axes.workload.m", None, "command line"),
    (
        ["criteria=[{name: a, metric: gemm.thruput, at_least: 1}]"],
        "criteria.0.metric",
        "did you mean 'gemm.throughput'",
        None,
    ),
    (["target=dgx_h10"], "target", "dgx_h100", "target"),
    (["study=demmo"], "study", "demo", "study"),
    (["a=choice(1"], "overrides", None, "command line"),
    (["study=demo,demo"], "study", None, "command line"),
    (["base_seed=1,2"], "base_seed", None, "command line"),
    (["target.nodes=glob(*)"], "target.nodes", None, None),
]


@pytest.mark.parametrize(("words", "key", "nearest", "file"), MISTAKES, ids=[m[0][0] for m in MISTAKES])
def test_a_mistake_names_file_key_value_and_the_nearest_spelling(conf, words, key, nearest, file):
    base = write_study(conf, STUDY.format(m="[64]"))
    with pytest.raises(ConfigError) as caught:
        make_plan([*(w for w in base if not any(o.split("=")[0] == w.split("=")[0] for o in words)), *words], conf)
    mistake = caught.value
    assert mistake.key == key
    if nearest is not None:
        assert nearest in str(mistake)
    if file is not None:
        assert Path(str(mistake.file)).name == file
    assert "value:" in str(mistake)


def test_an_override_that_pythons_own_parsers_refuse_is_one_error(conf):
    for value in ("9" * 5000, "[" * 5000 + "]" * 5000):
        with pytest.raises(ConfigError, match="does not parse"):
            make_plan(["study=demo", f"base_seed={value}"], conf)


def test_a_mistake_in_a_file_names_that_file(conf):
    with pytest.raises(ConfigError) as caught:
        make_plan(write_study(conf, STUDY.format(m="[64]") + "extra: 1\n"), conf)
    assert (Path(caught.value.file).name, caught.value.key) == ("own.yaml", "extra")
    (conf / "workload" / "gemm.yaml").write_text("kind: gemm\nm: 1\nn: 1\nk: many\n")
    with pytest.raises(ConfigError) as caught:
        make_plan(write_study(conf, STUDY.format(m="[64]")), conf)
    assert (Path(caught.value.file).name, caught.value.key) == ("gemm.yaml", "experiments.gemm.workload.k")


def test_a_file_that_is_not_yaml_is_one_error(conf):
    with pytest.raises((ConfigError, UnreadableFile), match=r"own\.yaml"):
        make_plan(write_study(conf, "experiments: [\n"), conf)


def test_a_plan_over_the_limit_is_refused_unless_told_otherwise(conf):
    words = [*write_study(conf, STUDY.format(m="[64]")), "max_accelerator_hours=0.1"]
    plan = make_plan(words, conf)
    with pytest.raises(PlanRefused, match="nothing was submitted"):
        plan.refuse_if_too_large()
    make_plan([*words, "max_accelerator_hours=null"], conf).refuse_if_too_large()


def test_hours_and_cost_are_repeats_times_limit_times_price(conf):
    words = [
        *write_study(conf, STUDY.format(m="[64, 128]")),
        "experiments.gemm.workload.time_limit_minutes=30",
        "target.nodes=2",
        "+economics.accelerator_hour={low: 2, high: 3, as_of: '2020-01', source: 'a quote'}",
    ]
    plan = make_plan(words, conf)
    assert plan.repeats == 4
    assert plan.node_hours == 4 * 0.5 * 2
    assert plan.accelerator_hours == 4 * 0.5 * 16
    assert (plan.cost.low, plan.cost.high) == (64, 96)


def test_a_written_case_reads_back_and_an_edited_one_is_refused(conf, tmp_path):
    plan = make_plan(write_study(conf, STUDY.format(m="[64]")), conf)
    paths = StudyPaths(tmp_path / "own")
    plan.write(paths)
    file = paths.case(plan.cases[0].case_id)
    assert Case.read(file) == plan.cases[0]
    content = json.loads(file.read_text())
    content["workload"]["m"] = 65
    file.write_text(json.dumps(content))
    with pytest.raises(UnreadableFile, match="hash"):
        Case.read(file)


def test_planning_reaches_no_torch():
    code = (
        "import sys; from pathlib import Path; from seatrial.plan import make_plan;"
        f"make_plan(['study=demo'], Path({str(CONF)!r}));"
        "print(sorted(m for m in ('torch', 'pandas', 'transformers', 'matplotlib') if m in sys.modules))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=60, check=True)
    assert done.stdout.strip() == "[]"
