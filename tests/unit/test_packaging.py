"""environment.yml, pyproject.toml and constraints.txt say the same."""

import importlib.metadata
import tomllib
from pathlib import Path

import yaml
from packaging.requirements import Requirement
from packaging.specifiers import SpecifierSet
from packaging.utils import canonicalize_name

ROOT = Path(__file__).parents[2]
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
ENVIRONMENT = yaml.safe_load((ROOT / "environment.yml").read_text())


def pins():
    lines = (ROOT / "constraints.txt").read_text().split()
    assert all(line.count("==") == 1 for line in lines), "every line of constraints.txt is NAME==VERSION"
    return {canonicalize_name(name): version for name, version in (line.split("==") for line in lines)}


def requirements():
    wanted = [*PROJECT["dependencies"], *PROJECT["optional-dependencies"]["dev"]]
    return [Requirement(text) for text in wanted]


def test_every_requirement_is_pinned_to_a_version_that_it_allows():
    pinned = pins()
    for requirement in requirements():
        version = pinned.get(canonicalize_name(requirement.name))
        assert version is not None, f"{requirement.name} is not in constraints.txt"
        assert requirement.specifier.contains(version), f"{requirement} does not allow {version}"


def test_torch_is_pinned_without_a_local_suffix():
    assert pins()["torch"] == "2.13.0"
    assert all("+" not in version for version in pins().values())


def test_conda_gives_python_pip_and_git_and_pip_everything_else():
    conda = [entry for entry in ENVIRONMENT["dependencies"] if isinstance(entry, str)]
    pip = next(entry["pip"] for entry in ENVIRONMENT["dependencies"] if isinstance(entry, dict))
    assert {entry.split("=")[0] for entry in conda} == {"python", "pip", "git"}
    assert pip == ["-c constraints.txt", "-e ."]
    python = next(entry.split("=", 1)[1] for entry in conda if entry.startswith("python="))
    assert SpecifierSet(PROJECT["requires-python"]).contains(python)


def test_what_is_installed_here_is_what_is_pinned():
    pinned = pins()
    for requirement in requirements():
        installed = importlib.metadata.version(requirement.name)
        assert installed.split("+")[0] == pinned[canonicalize_name(requirement.name)], requirement.name


def test_the_users_packages_are_required():
    names = {canonicalize_name(r.name) for r in requirements()}
    assert {"snakemake", "hydra-core", "omegaconf", "submitit", "pandas", "seaborn", "torch"} <= names
