"""Plans of many cases: what points share is validated once, and neither ids nor files change by that."""

import gc
import hashlib
import json
import shutil
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from seatrial import expansion
from seatrial.case import NOT_IDENTITY, PATIENCE, SCHEDULING, Case, case_gists, case_id, case_texts, target_facts
from seatrial.config.loader import validate
from seatrial.errors import ConfigError
from seatrial.long_lived import kept_for_good
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

    monkeypatch.setattr(expansion, "validate", counted)
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
    seen = []
    kept_for_good(lambda: seen.append(gc.isenabled()))()
    assert seen == [False]
    assert gc.isenabled()
    assert gc.get_freeze_count() > 0
    gc.unfreeze()


def test_facts_that_are_known_give_the_same_id(case):
    known = target_facts(case.target)
    assert case_id(case.experiment, case.workload, case.target, case.base_seed, known) == case.case_id


def test_what_is_written_reads_back(conf, tmp_path):
    plan = planned(conf, "[16,32]", "[1,2]")
    paths = StudyPaths(tmp_path)
    plan.write(paths)
    assert [Case.read(paths.case(case.case_id)) for case in plan.cases] == list(plan.cases)
