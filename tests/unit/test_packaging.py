"""environment.yml, pyproject.toml and constraints.txt say the same."""

import importlib.metadata
import tomllib
from pathlib import Path

import yaml
from packaging.requirements import Requirement
from packaging.specifiers import SpecifierSet
from packaging.utils import canonicalize_name

ROOT = Path(__file__).parents[2]
PYPROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text())
PROJECT = PYPROJECT["project"]
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


def test_an_installation_beside_a_clusters_torch_leaves_it_there():
    """Only constraints.txt says the exact version: pip would else put another in place of the site's own build."""
    (torch,) = [Requirement(text) for text in PROJECT["dependencies"] if Requirement(text).name == "torch"]
    assert {part.operator for part in torch.specifier} == {">="}
    assert torch.specifier.contains("2.13.0+cu130")


def test_every_set_up_takes_the_pinned_versions():
    installs = [line for line in (ROOT / "Makefile").read_text().splitlines() if "pip install" in line]
    assert (
        len([line for line in installs if "-c constraints.txt" in line or "--no-deps" in line]) == len(installs) > 1
    )


def test_the_package_is_built_from_what_is_pinned_and_installed_so_that_no_network_is_needed():
    dev = {canonicalize_name(Requirement(text).name) for text in PROJECT["optional-dependencies"]["dev"]}
    pinned, wanted = pins(), [Requirement(text) for text in PYPROJECT["build-system"]["requires"]]
    assert wanted and {canonicalize_name(requirement.name) for requirement in wanted} <= dev
    for requirement in wanted:
        needs = [Requirement(text) for text in importlib.metadata.requires(requirement.name) or ()]
        for need in [n for n in needs if n.marker is None or n.marker.evaluate({"extra": ""})]:
            assert canonicalize_name(need.name) in pinned, f"{need.name}, of {requirement.name}, is not pinned"


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
