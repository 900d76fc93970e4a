"""Rules, package and nodes of different versions: one clear error instead of a strange one."""

import json
import os
import re
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest

import seatrial

ROOT = Path(__file__).parents[2]
BIN = Path(sys.executable).parent
OTHER = """#!{python}
import sys
import seatrial
if "measure" in sys.argv:
    seatrial.__version__ = "9.9.9"
from seatrial.cli import main
sys.exit(main())
"""


def snakemake(project, *words):
    environment = {**os.environ, "PATH": f"{project / 'bin'}:{BIN}:{os.environ['PATH']}"}
    gone = ["~experiments.memory", "~experiments.all_reduce", "~experiments.finetune", "~experiments.gemm.sweep"]
    overrides = json.dumps([*gone, "criteria=[]", "experiments.gemm.repeats=1"])
    config = ["--config", "study=demo", f"overrides={overrides}"]
    done = subprocess.run(
        [BIN / "snakemake", "--profile", "local", *words, *config],
        cwd=project, env=environment, capture_output=True, text=True, timeout=120, check=False,
    )  # fmt: skip
    return done.returncode, done.stdout + done.stderr


def test_the_rules_name_the_packages_version():
    text = (ROOT / "Snakefile").read_text()
    assert re.findall(r'one_version\("([^"]+)"', text) == [seatrial.__version__]
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    assert project.get("version", seatrial.__version__) == seatrial.__version__


def test_rules_of_another_version_are_refused_before_anything_is_planned(project):
    rules = project / "Snakefile"
    rules.write_text(rules.read_text().replace(f'one_version("{seatrial.__version__}"', 'one_version("9.9.9"'))
    code, out = snakemake(project, "-n")
    assert code == 2, out
    assert f"the rules in {project} are those of Seatrial 9.9.9, installed is {seatrial.__version__} in " in out
    assert out.count("seatrial:") == 1
    assert "Traceback" not in out
    assert not (project / "results").exists()


def test_a_node_with_another_version_says_so_at_its_ranks_start_and_writes_no_record(project):
    (project / "bin").mkdir()
    other = project / "bin" / "seatrial"
    other.write_text(OTHER.format(python=sys.executable))
    other.chmod(0o755)
    code, out = snakemake(project, "--retries", "0")
    assert code == 1, out[-3000:]
    there = Path(seatrial.__file__).parent
    assert f"another version of Seatrial than the Snakemake that runs the study: 9.9.9 in {there}" in out
    assert f"here {seatrial.__version__}" in out
    assert "Traceback" not in out
    assert list(project.glob("results/demo/records/*/*")) == []


@pytest.mark.parametrize("told", [None, "", f"{seatrial.__version__} in /opt on login1"])
def test_the_same_version_and_a_measurement_by_hand_are_not_asked(told, monkeypatch):
    from seatrial.versions import VARIABLE, check_version

    monkeypatch.delenv(VARIABLE, raising=False)
    if told is not None:
        monkeypatch.setenv(VARIABLE, told)
    check_version()
