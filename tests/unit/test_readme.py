"""What the README shows a user works as shown."""

import re
import shutil
from pathlib import Path

import pytest

from seatrial.plan import make_plan

ROOT = Path(__file__).parents[2]
README = (ROOT / "README.md").read_text()


@pytest.fixture
def conf(tmp_path):
    """The shipped configuration with the README's target and study in it."""
    folder = tmp_path / "conf"
    shutil.copytree(ROOT / "conf", folder)
    blocks = re.findall(r"```yaml\n(.*?)```", README, re.DOTALL)
    for block in blocks:
        path = re.search(r"^# (conf/\S+\.yaml)$", block, re.MULTILINE)
        assert path, f"a YAML block of the README does not say which file it is:\n{block}"
        (tmp_path / path[1]).write_text(block)
    return folder


def test_the_readmes_cluster_takes_ten_lines_and_makes_a_plan_with_its_price(conf):
    text = (conf / "target" / "my_cluster.yaml").read_text()
    assert len([line for line in text.splitlines() if not line.startswith("#")]) <= 10
    plan = make_plan(["study=demo", "target=my_cluster", "max_accelerator_hours=null"], conf)
    assert plan.study.target.accelerator.family == "H100-SXM"
    assert plan.cost.source == "our contract"


def test_the_readmes_study_zips_and_excludes_as_it_says(conf):
    plan = make_plan(["study=acceptance_small"], conf)
    gemm = [(c.workload.m, c.workload.n, c.target.nodes) for c in plan.cases if c.experiment == "gemm"]
    assert gemm == [(2048, 2048, 1), (2048, 2048, 2), (4096, 4096, 1)]
    assert plan.study.target.name == "my_cluster"
    plan.refuse_if_too_large()


def test_the_readmes_external_training_is_a_plan(conf):
    (case,) = make_plan(["study=vendor_training"], conf).cases
    assert case.workload.launch == "per_node"
    assert case.workload.command[0] == "torchrun"


def test_the_readmes_studies_are_there(conf):
    named = set(re.findall(r"--config study=(\w+)", README))
    assert named >= {"demo", "train", "windows", "experts", "published"}
    for name in named:
        assert make_plan([f"study={name}"], conf).study.name == name


def test_the_readme_names_only_files_that_exist():
    for name in re.findall(r"\]\((?!http)([^)#]+)\)", README):
        assert (ROOT / name).exists(), name


def test_the_command_line_has_the_last_word_over_the_studys_own_target(conf):
    plan = make_plan(["study=acceptance_small", "target=dgx_b200"], conf)
    assert plan.study.target.name == "dgx_b200"
