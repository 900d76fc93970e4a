"""A training is held against a published benchmark only where it is the same work."""

from pathlib import Path

import pandas as pd

from seatrial.analysis.analyse import analyse
from seatrial.analysis.collect import collect
from seatrial.plan import make_plan
from seatrial.reference.conditions import unlike

CONF = Path(__file__).parents[2] / "conf"


def demo(*words):
    plan = make_plan(["study=demo", *words, "max_accelerator_hours=null", "max_node_hours=null"], CONF)
    return next(case.workload for case in plan.cases if case.experiment == "finetune")


def test_a_laptops_model_that_names_the_benchmark_is_told_what_differs():
    claimed = demo("experiments.finetune.workload.benchmark=llama2_70b_lora")
    told = "; ".join(unlike(claimed))
    for word in ("model pydoc_llama", "quality target 3.35, not 0.925", "sequence length 128", "data from stdlib"):
        assert word in told


def test_of_a_benchmark_whose_conditions_are_not_known_nothing_is_the_same_work():
    assert unlike(demo("experiments.finetune.workload.benchmark=flux1")) == [
        "its conditions are not known to Seatrial"
    ]
    assert unlike(demo()) == ["it names no benchmark"]


def test_a_claimed_benchmark_makes_no_reference_and_never_passes(make_study):
    study = make_study()
    claimed = demo("experiments.finetune.workload.benchmark=llama2_70b_lora")
    study.experiment("finetune", claimed.model_dump(mode="json"), 1)
    study.write()
    collect(study.paths)
    analyse(study.paths)
    row = pd.read_csv(study.paths.comparison).iloc[0]
    assert (row["basis"], row["standing"]) == ("undefined", "undefined")
    assert "not the same work as llama2_70b_lora" in row["note"]
