"""Plans of many cases: what points share is validated once, and neither ids nor files change by that."""

import gc
import hashlib
import json
import shutil
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from seatrial import folder_checks, training_checks
from seatrial import plan as plan_module
from seatrial.case import NOT_IDENTITY, PATIENCE, SCHEDULING, Case, case_gists, case_id, case_texts, target_facts
from seatrial.checks import check_plan
from seatrial.config import known_parts
from seatrial.config.loader import validate
from seatrial.errors import ConfigError
from seatrial.interpolations import Interpolations
from seatrial.long_lived import OBJECTS_BETWEEN_COLLECTIONS, kept_for_good
from seatrial.paths import StudyPaths
from seatrial.plan import make_plan

CONF = Path(__file__).parents[2] / "conf"
STUDY = """
# @package _global_
defaults:
  - /workload@experiments.gemm.workload: gemm
  - _self_
title: Many
experiments:
  gemm:
    sweep:
      axes:
        workload.m: {m}
        target.nodes: {nodes}
"""

BELOW = """
# @package _global_
defaults:
  - /workload@experiments.gemm.workload: gemm
  - _self_
title: Below
experiments:
  gemm:
    sweep:
      axes:
        workload: {m: [null], n: [null], k: [null]}
        workload.search: [{m: {start: 1, stop: 2}, n: {start: 1, stop: 2}, k: {start: 1, stop: 2}}]
        workload.search.m.stop: [3, 4]
"""


@pytest.fixture(scope="module")
def conf(tmp_path_factory):
    folder = tmp_path_factory.mktemp("many") / "conf"
    shutil.copytree(CONF, folder)
    return folder


@pytest.fixture(scope="module")
def case(conf):
    return planned(conf, "[16]").cases[0]


def planned(conf, m, nodes="[1]", *words):
    (conf / "study" / "many.yaml").write_text(STUDY.format(m=m, nodes=nodes))
    return make_plan(["study=many", *words], conf)


def hash_of_everything(case):
    """The id by its definition, from the whole content at once."""
    target = case.target.model_dump(mode="json", exclude=NOT_IDENTITY)
    target["launcher"] = {k: v for k, v in target["launcher"].items() if k not in SCHEDULING}
    target["node"] = {"cpus": case.target.node.cpus}
    content = {
        "experiment": case.experiment,
        "workload": case.workload.model_dump(mode="json", exclude=PATIENCE),
        "target": target,
        "base_seed": case.base_seed,
    }
    text = json.dumps(content, sort_keys=True, separators=(",", ":"), allow_nan=False)
    return hashlib.sha256(text.encode()).hexdigest()[:16]


def whole_text(case):
    return json.dumps(case.model_dump(mode="json"), indent=2, sort_keys=True) + "\n"


@settings(deadline=None, max_examples=15)
@given(
    m=st.lists(st.integers(1, 10**6), min_size=1, max_size=5, unique=True),
    nodes=st.lists(st.integers(1, 10**4), min_size=1, max_size=3, unique=True),
    seed=st.integers(1, 10**6),
    target=st.sampled_from(["local", "dgx_h100", "mini_slurm"]),
)
def test_ids_and_files_are_those_of_each_case_by_itself(conf, m, nodes, seed, target):
    plan = planned(conf, m, nodes, f"base_seed={seed}", f"target={target}")
    assert [case.case_id for case in plan.cases] == [hash_of_everything(case) for case in plan.cases]
    assert list(case_texts(plan.cases)) == [whole_text(case) for case in plan.cases]
    assert [case.axes for case in plan.cases] == [{"workload.m": a, "target.nodes": n} for a in m for n in nodes]
    assert [(c.workload.m, c.target.nodes) for c in plan.cases] == [(a, n) for a in m for n in nodes]


@given(text=st.text(max_size=30), note=st.text(max_size=30))
def test_text_of_any_kind_is_written_as_json_writes_it(case, text, note):
    changed = case.model_copy(
        update={
            "axes": {"workload.m": [text, {"b": note, "a": {}}]},
            "target": case.target.model_copy(update={"description": text, "notes": [note, text]}),
        }
    )
    assert changed.to_json() == whole_text(changed)
    assert json.loads(changed.to_json()) == changed.model_dump(mode="json")


def test_what_points_share_is_validated_once(conf, monkeypatch):
    asked = []

    def counted(schema, *rest):
        asked.append(rest[-1])
        return validate(schema, *rest)

    monkeypatch.setattr(known_parts, "validate", counted)
    plan = planned(conf, "range(16,336,16)", "[1,2,3]")
    assert len(plan.cases) == 60
    assert sorted(asked) == ["experiments.gemm.workload"] * 20 + ["target"] * 3
    assert len({id(case.target) for case in plan.cases}) == 3


@pytest.mark.parametrize("value", ["0", "2.5", "true", "[1]", "'16'", "x"])
def test_every_point_is_validated_also_the_last(conf, value):
    good = ",".join(str(n) for n in range(1, 50))
    with pytest.raises(ConfigError) as caught:
        planned(conf, f"[{good},{value}]")
    assert caught.value.key == "experiments.gemm.sweep.axes.workload.m"


def test_an_axis_may_set_a_key_below_what_another_sets(conf):
    low = {"start": 1, "stop": 2}
    (conf / "study" / "below.yaml").write_text(BELOW)
    first, second = make_plan(["study=below"], conf).cases
    assert (first.workload.search.m.stop, second.workload.search.m.stop) == (3, 4)
    given = {"m": low, "n": low, "k": low}
    assert first.axes["workload.search"] == given, "an axis's own value stays as it was given"
    assert second.axes["workload.search"] == given


def test_a_workload_may_follow_from_an_axis_of_the_target(conf):
    plan = planned(conf, "[16]", "[1,2]", "experiments.gemm.workload.n=${target.nodes}")
    assert [case.workload.n for case in plan.cases] == [1, 2]
    assert [case.case_id for case in plan.cases] == [hash_of_everything(case) for case in plan.cases]


def test_the_digest_changes_with_every_file(conf):
    digests = {
        planned(conf, "[16]").digest,
        planned(conf, "[16]", "[1]", "experiments.gemm.repeats=2").digest,
        planned(conf, "[16]", "[1]", "target.notes=[new]").digest,
        planned(conf, "[32]").digest,
        planned(conf, "[16,32]").digest,
    }
    assert len(digests) == 5


@pytest.mark.parametrize("name", [name for name in Case.model_fields if name != "workload"])
def test_what_stands_for_a_case_changes_with_every_part_of_its_file(case, name):
    target = case.target
    others = {"target": target.model_copy(update={"notes": [*target.notes, "new"]}), "axes": {"workload.m": 17}}
    value = getattr(case, name)
    other = case.model_copy(update={name: others.get(name, value + 1 if isinstance(value, int) else f"{value}0")})
    assert next(case_texts([other])) != next(case_texts([case]))
    assert [*case_gists([other])] != [*case_gists([case])]
    assert [*case_gists([case, other])][1] != [*case_gists([case, case])][1]


def test_what_stands_for_a_case_changes_with_its_patience(conf):
    words = ["study=demo", "max_accelerator_hours=null", "max_node_hours=null"]
    first = next(c for c in make_plan(words, conf).cases if hasattr(c.workload, *PATIENCE))
    other = first.model_copy(update={"workload": first.workload.model_copy(update=dict.fromkeys(PATIENCE, 99.0))})
    assert [*case_gists([other])] != [*case_gists([first])]


def test_a_plan_is_made_without_the_garbage_collector_and_it_works_on_afterwards():
    seen, before = [], gc.get_threshold()
    try:
        kept_for_good(lambda: seen.append(gc.isenabled()))()
        assert seen == [False]
        assert gc.isenabled()
        assert gc.get_freeze_count() > 0
        assert gc.get_threshold() == (OBJECTS_BETWEEN_COLLECTIONS, *before[1:]), "it looks more seldom"
        gc.set_threshold(0)
        kept_for_good(lambda: None)()
        assert gc.get_threshold()[0] == 0, "whoever wants no collections gets none"
    finally:
        gc.set_threshold(*before)
        gc.unfreeze()


def test_a_plan_that_is_refused_leaves_the_garbage_collector_on(conf):
    with pytest.raises(ConfigError):
        make_plan(["study=nowhere"], conf)
    assert gc.isenabled()


def test_facts_that_are_known_give_the_same_id(case):
    known = target_facts(case.target)
    assert case_id(case.experiment, case.workload, case.target, case.base_seed, known) == case.case_id


def test_what_is_written_reads_back(conf, tmp_path):
    plan = planned(conf, "[16,32]", "[1,2]")
    paths = StudyPaths(tmp_path)
    plan.write(paths)
    assert [Case.read(paths.case(case.case_id)) for case in plan.cases] == list(plan.cases)


KINDS = ("gemm", "llm_finetune", "moe", "hybrid_attention", "diffusion", "checkpoint", "llama31_8b")
OF_KIND = {"gemm": "m", "checkpoint": "parameters"}


def study_of(conf, kind, axes, target="dgx_h100", more=""):
    """Words of a study whose only experiment `e` sweeps `axes`, given as they stand in its file."""
    lines = "".join(f"        {key}: {value}\n" for key, value in axes.items())
    (conf / "study" / "of_kind.yaml").write_text(
        f"# @package _global_\ndefaults:\n  - /workload@experiments.e.workload: {kind}\n  - _self_\n"
        f"  - override /target: {target}\ntitle: Of a kind\nexperiments:\n  e:\n{more}"
        f"    sweep:\n      axes:\n{lines}"
    )
    return ["study=of_kind"]


def asked_for(conf, words, monkeypatch):
    """How often planning and checks ask the file system, and resolve the configuration."""
    asked = dict.fromkeys(("resolved", "files", "modules", "there", "folders"), 0)

    def count(name, real):
        def counted(*given):
            asked[name] += 1
            return real(*given)

        return counted

    with monkeypatch.context() as patched:
        patched.setattr(plan_module, "resolved", count("resolved", plan_module.resolved))
        patched.setattr(training_checks, "_bytes", count("files", training_checks._bytes))
        patched.setattr(training_checks, "_module_source", count("modules", training_checks._module_source))
        patched.setattr(training_checks, "_is_there", count("there", training_checks._is_there))
        patched.setattr(folder_checks, "_is_folder", count("folders", folder_checks._is_folder))
        plan = make_plan(words, conf)
        check_plan(plan)
    return len(plan.cases), asked


@pytest.mark.parametrize(
    "kind, target", [(k, "dgx_h100") for k in KINDS] + [(k, "local") for k in KINDS if k != "llama31_8b"]
)
def test_more_points_ask_no_more_of_files_and_interpolations(conf, monkeypatch, kind, target):
    key = OF_KIND.get(kind, "max_steps")
    few, many = (
        asked_for(
            conf,
            study_of(conf, kind, {f"workload.{key}": f"range(1000000,{1000000 + points})"}, target),
            monkeypatch,
        )
        for points in (2, 60)
    )
    assert (few[0], many[0]) == (2, 60)
    assert few[1] == many[1]
    if kind in ("llm_finetune", "moe"):
        assert few[1]["files"] == 32, "the modules that it trains on"
        assert few[1]["modules"] == 32 + 9, "and those that it is evaluated on"
    if kind == "checkpoint":
        assert few[1]["folders"] == 1
        assert few[1]["resolved"] == 2


def test_files_of_datasets_that_differ_are_looked_at_once_each(conf, monkeypatch):
    names = ["argparse", "ast", "bdb", "calendar", "cmd", "codecs", "csv", "copy"]
    lists = ",".join(f"[{','.join(sorted({'argparse', 'ast', other}))}]" for other in names[2:])
    words = study_of(
        conf, "llm_finetune", {"workload.dataset.modules": f"[{lists}]", "workload.batch_size": "[1,2]"}
    )
    cases, asked = asked_for(conf, words, monkeypatch)
    assert cases == 12
    assert asked["modules"] == len(names) + 9
    assert asked["files"] == len(names)


def test_nothing_is_remembered_from_one_check_to_the_next(conf, tmp_path):
    text = tmp_path / "text"
    text.write_text("x" * 100_000)
    dataset = (
        f"    workload: {{dataset: {{source: files, train: [{text}], evaluation: [{CONF / 'config.yaml'}]}}}}\n"
    )
    (conf / "workload" / "of_files.yaml").write_text(
        (CONF / "workload" / "moe.yaml").read_text().split("dataset:")[0]
        + (CONF / "workload" / "moe.yaml").read_text()[
            (CONF / "workload" / "moe.yaml").read_text().index("layers:") :
        ]
    )
    plan = make_plan(study_of(conf, "of_files", {"workload.batch_size": "[1,2]"}, more=dataset), conf)
    check_plan(plan)
    text.unlink()
    with pytest.raises(ConfigError, match="no such file"):
        check_plan(plan)


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("bad", ["0", "'8'", "null", "2.5"])
def test_a_bad_value_in_the_middle_of_a_thousand_points_is_named(conf, kind, bad):
    key, good = OF_KIND.get(kind, "batch_size"), [str(n) for n in range(1000000, 1001000)]
    with pytest.raises(ConfigError) as many:
        make_plan(study_of(conf, kind, {f"workload.{key}": f"[{','.join([*good[:500], bad, *good[500:]])}]"}), conf)
    with pytest.raises(ConfigError) as alone:
        make_plan(study_of(conf, kind, {f"workload.{key}": f"[{bad}]"}), conf)
    assert str(many.value) == str(alone.value)
    assert many.value.key == f"experiments.e.sweep.axes.workload.{key}"


@pytest.mark.parametrize("bad", ["0", "-1", "'2'", "null"])
def test_a_bad_target_among_a_thousand_is_named(conf, bad):
    good = ",".join(str(n) for n in range(1, 1000))
    with pytest.raises(ConfigError) as caught:
        make_plan(study_of(conf, "gemm", {"target.nodes": f"[{good},{bad}]"}), conf)
    assert caught.value.key == "experiments.e.sweep.axes.target.nodes"


AXES = {
    "workload.parameters": st.sampled_from(["4000", "5000", "0", "x", "${target.nodes}"]),
    "workload.path": st.sampled_from(["/tmp", "'${target.storage.scratch.path}'", "null", "7"]),
    "workload.schedule.overhead.value": st.sampled_from(["0.05", "0.1", "-1", "null"]),
    "workload.schedule.overhead": st.sampled_from(["{value: 0.2, source: s}", "{value: 0.3}", "null"]),
    "target.nodes": st.sampled_from(["1", "2", "3", "0", "1.5"]),
    "target.tasks_per_node": st.sampled_from(["1", "2", "3", "8"]),
    "target.storage": st.sampled_from(
        ["{}", "{scratch: {name: s, path: /tmp}}", "{scratch: {name: s}}", "{scratch: 3}"]
    ),
    "target.storage.scratch.path": st.sampled_from(["/tmp", "/var", "null", "1"]),
    "target.storage.scratch.name": st.sampled_from(["a", "b", "1"]),
    "target.prices": st.sampled_from(["{}", "null", "{node_hour: {low: 1, as_of: '2026', source: s}}"]),
    "target.launcher.environment": st.sampled_from(["{A: x}", "{A: '${name}'}", "{A: 1}", "{}"]),
}
INTERPOLATED = [
    "",
    "    workload: {iterations: '${target.nodes}'}\n",
    "    workload: {iterations: '${.parameters}'}\n",
    "    workload: {schedule: {scale: {value: '${experiments.e.workload.parameters}', source: s}}}\n",
    "    workload: {path: '/tmp/${target.name}\\\\${x}'}\n",
    "    workload: {path: '${oc.select:${name},/tmp}'}\n",
    "    workload: {storage: '${oc.select:target.storage.scratch.name}'}\n",
]


@settings(deadline=None, max_examples=60)
@given(data=st.data(), more=st.sampled_from(INTERPOLATED), target=st.sampled_from(["dgx_h100", "local"]))
def test_what_points_share_gives_the_plan_and_the_errors_of_each_point_by_itself(conf, data, more, target):
    names = data.draw(st.lists(st.sampled_from(sorted(AXES)), min_size=1, max_size=3, unique=True))
    axes = {name: data.draw(st.lists(AXES[name], min_size=1, max_size=3, unique=True)) for name in names}
    words = study_of(
        conf, "checkpoint", {name: f"[{', '.join(values)}]" for name, values in axes.items()}, target, more
    )
    if data.draw(st.booleans()):
        words += ["experiments.e.workload.parameters='${target.nodes}00',4000"]
    together = outcome(words, conf)
    with pytest.MonkeyPatch.context() as apart:
        apart.setattr(Interpolations, "feeding", lambda self, axes: set(axes))
        apart.setattr(known_parts.Known, "validate", lambda self, *given: validate(self.schema, *given))
        assert together == outcome(words, conf)


@pytest.mark.parametrize(
    "text, axis",
    [
        ("${target.nodes}", "target.nodes"),
        ("${oc.select:target.nodes,7}", "target.nodes"),
        ("${.iterations}", "workload.iterations"),
        ("${oc.select:experiments.e.workload.iterations}", "workload.iterations"),
        ("${experiments.e.workload.${oc.select:nothing,iterations}}", "workload.iterations"),
        ("${experiments.e.workload[iterations]}", "workload.iterations"),
    ],
)
def test_what_an_axis_feeds_follows_it_at_every_point(conf, text, axis):
    more = f"    workload: {{path: /tmp, parameters: '{text}'}}\n"
    plan = make_plan(study_of(conf, "checkpoint", {"workload.warmup": "[1,2,3]", axis: "[4,8]"}, more=more), conf)
    assert [case.workload.parameters for case in plan.cases] == [4, 8] * 3
    assert [case.workload.warmup for case in plan.cases] == [1, 1, 2, 2, 3, 3]


def outcome(words, conf):
    """The plan, or the words of its refusal."""
    try:
        plan = make_plan(words, conf)
    except ConfigError as refused:
        return str(refused)
    return plan.digest, list(case_texts(plan.cases))
