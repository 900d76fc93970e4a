"""The workflow as others use it: deployed by snakedeploy, as a module of a Snakefile of their own."""

import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
import yaml

ROOT = Path(__file__).parents[2]
BIN = Path(sys.executable).parent
OWNER = "example"
PARTS = ("Snakefile", "workflow", "config", "profiles", "environment.yml", "LICENSE", "README.md")
CATALOGUE = ".snakemake-workflow-catalog.yml"
SMALL = 'overrides=["~experiments.memory","criteria=[]"]'


def git(*words, cwd):
    identity = ["-c", "user.name=test", "-c", "user.email=test@example.org", "-c", "init.defaultBranch=main"]
    done = subprocess.run(["git", *identity, *words], cwd=cwd, capture_output=True, text=True, timeout=60)
    assert done.returncode == 0, done.stderr
    return done.stdout.strip()


@pytest.fixture(scope="module")
def hosted(tmp_path_factory):
    """A folder that stands for github.com, with a repository of the workflow as it is, and its commit."""
    host = tmp_path_factory.mktemp("host") / "github.com"
    repository = host / OWNER / "seatrial"
    repository.mkdir(parents=True)
    for name in (*PARTS, CATALOGUE):
        subprocess.run(["cp", "-a", ROOT / name, repository / name], check=True, timeout=60)
    git("init", "--quiet", cwd=repository)
    git("add", "-A", cwd=repository)
    git("commit", "--quiet", "-m", "as it is", cwd=repository)
    return host, git("rev-parse", "HEAD", cwd=repository)


@pytest.fixture(scope="module")
def deployed(hosted, tmp_path_factory):
    """What `snakedeploy deploy-workflow` makes of it."""
    host, commit = hosted
    folder = tmp_path_factory.mktemp("deployed") / "study"
    command = [
        BIN / "snakedeploy",
        "deploy-workflow",
        f"file://{host}/{OWNER}/seatrial",
        folder,
        "--commit",
        commit,
    ]
    done = subprocess.run(command, capture_output=True, text=True, timeout=120)
    assert done.returncode == 0, done.stderr
    assert "No config directory" not in done.stderr
    assert "No profile directory" not in done.stderr
    return folder


def run(program, *words, folder, host, timeout=250):
    """A command in a folder, where what git looks for on github.com is `host`."""
    environment = {
        **os.environ,
        "PATH": f"{BIN}{os.pathsep}{os.environ['PATH']}",
        "XDG_CACHE_HOME": str(folder.parent / "cache"),
        "GIT_CONFIG_COUNT": "1",
        "GIT_CONFIG_KEY_0": f"url.file://{host}/.insteadOf",
        "GIT_CONFIG_VALUE_0": "https://github.com/",
        "OMP_NUM_THREADS": "1",
    }
    return subprocess.run(
        [BIN / program, *words], cwd=folder, env=environment, capture_output=True, text=True, timeout=timeout
    )


def test_the_catalogue_finds_what_it_asks_of_a_standardised_workflow():
    settings = yaml.safe_load((ROOT / CATALOGUE).read_text())
    assert set(settings) == {"usage"}
    usage = settings["usage"]
    assert set(usage) == {"mandatory-flags", "software-stack-deployment", "report"}
    assert set(usage["mandatory-flags"]) == {"desc", "flags"}
    assert set(usage["software-stack-deployment"]) == {"conda", "apptainer", "apptainer+conda"}
    assert all(isinstance(value, bool) for value in (*usage["software-stack-deployment"].values(), usage["report"]))
    assert (ROOT / "workflow" / "Snakefile").is_file()
    assert list((ROOT / "workflow" / "rules").glob("*.smk"))
    readme = (ROOT / "README.md").read_text().lower()
    assert "snakemake" in readme
    assert "workflow" in readme
    option, profile = usage["mandatory-flags"]["flags"].split()
    assert option == "--profile"
    assert (ROOT / profile / "config.yaml").is_file()


def test_the_instructions_name_every_key_of_the_configuration():
    from seatrial.wiring import CONFIG_KEYS

    told = (ROOT / "config" / "README.md").read_text()
    assert set(re.findall(r"^\| `(\w+)` \|", told, re.MULTILINE)) == set(CONFIG_KEYS)
    assert set(yaml.safe_load((ROOT / "config" / "config.yaml").read_text())) <= set(CONFIG_KEYS)


def test_a_deployed_workflow_runs_a_study_to_its_page_holds_it_and_says_how_it_ended(deployed, hosted):
    host, commit = hosted
    assert f'commit="{commit}"' in (deployed / "workflow" / "Snakefile").read_text()
    done = run("snakemake", "--profile", "profiles/local", "--config", SMALL, folder=deployed, host=host)
    assert done.returncode == 0, done.stderr
    root = deployed / "results" / "first"
    assert (root / "report.html").is_file()
    # the hooks of the workflow, which Snakemake leaves out of a module
    assert (root / ".lock").is_file()
    assert "1 of 1 repeats completed" in done.stdout + done.stderr


def test_the_module_that_the_documents_show_plans_its_study(hosted, tmp_path):
    (block,) = re.findall(r"^```python\n(.*?)^```$", (ROOT / "docs" / "slurm.md").read_text(), re.DOTALL | re.M)
    (tmp_path / "Snakefile").write_text(block)
    done = run("snakemake", "--profile", ROOT / "local", "--dry-run", "--quiet", folder=tmp_path, host=hosted[0])
    assert done.returncode == 0, done.stderr
    assert "2 cases, 6 repeats" in done.stderr


def test_a_deployed_workflow_takes_the_conf_beside_it_before_that_of_the_package(deployed, hosted, tmp_path):
    folder = tmp_path / "study"
    shutil.copytree(deployed, folder, ignore=shutil.ignore_patterns(".snakemake", "results"))
    done = run("seatrial", "init", ".", "--only", "conf", folder=folder, host=hosted[0])
    assert done.returncode == 0, done.stderr
    study = folder / "conf" / "study" / "first.yaml"
    study.write_text(study.read_text().replace("repeats: 5 ", "repeats: 7 "))
    done = run("snakemake", "--profile", "profiles/local", "--dry-run", "--quiet", folder=folder, host=hosted[0])
    assert done.returncode == 0, done.stderr
    assert "2 cases, 8 repeats" in done.stderr
