"""A new study folder, the configuration of a Snakefile, and the workflow's hooks where it is a module."""

import json
from pathlib import Path
from types import SimpleNamespace

import pytest

from seatrial.cli import main
from seatrial.errors import ConfigError
from seatrial.modules import keep_hooks
from seatrial.plan import make_plan
from seatrial.study_folder import PARTS, conf_folder, lay_out, shipped, snakefile

ROOT = Path(__file__).parents[2]


def contents(folder):
    return {str(p.relative_to(folder)): p.read_bytes() for p in folder.rglob("*") if p.is_file()}


def test_a_new_folder_has_all_that_a_study_needs_and_its_studies_are_those_of_the_package(tmp_path, capsys):
    assert main(["init", str(tmp_path / "trials")]) == 0
    found = contents(tmp_path / "trials")
    wanted = {"Snakefile", "README.md", ".gitignore", "local/config.yaml", "slurm/config.yaml", "schema/study.json"}
    assert wanted <= set(found)
    assert {n for n in found if n.startswith("conf/")} == {f"conf/{n}" for n in contents(ROOT / "conf")}
    assert "snakemake --profile local --config study=first" in capsys.readouterr().out
    assert make_plan(["study=first"], tmp_path / "trials" / "conf").study.name == "first"


def test_an_editor_finds_the_schema_of_every_file_of_the_configuration(tmp_path):
    lay_out(tmp_path)
    schemas = json.loads((tmp_path / ".vscode" / "settings.json").read_text())["yaml.schemas"]
    assert all((tmp_path / schema).is_file() for schema in schemas)
    covered = {path: schema for schema, glob in schemas.items() for path in tmp_path.glob(glob)}
    files = set((tmp_path / "conf").rglob("*.yaml")) - {tmp_path / "conf" / "config.yaml"}
    assert set(covered) == files
    assert all(Path(schema).stem == path.parent.name for path, schema in covered.items())


@pytest.mark.parametrize(
    "there",
    [".vscode/settings.json", "README.md", "conf/study/first.yaml", "slurm/config.yaml", "schema/other.json"],
)
def test_nothing_is_overwritten_and_then_nothing_is_written(tmp_path, there):
    (tmp_path / there).parent.mkdir(parents=True, exist_ok=True)
    (tmp_path / there).write_text("mine")
    before = contents(tmp_path)
    with pytest.raises(ConfigError, match="there already"):
        lay_out(tmp_path)
    assert contents(tmp_path) == before


def test_a_link_that_leads_nowhere_is_not_written_through(tmp_path):
    (tmp_path / "Snakefile").symlink_to(tmp_path / "elsewhere")
    with pytest.raises(ConfigError, match="there already"):
        lay_out(tmp_path, "snakefile")
    assert not (tmp_path / "elsewhere").exists()


def test_the_parts_are_the_whole(tmp_path):
    whole, parts = tmp_path / "whole", tmp_path / "parts"
    lay_out(whole)
    for part in PARTS:
        lay_out(parts, part)
    assert contents(whole) == contents(parts)


def test_a_folder_that_cannot_be_made_is_named(tmp_path, capsys):
    (tmp_path / "file").write_text("")
    assert main(["init", str(tmp_path / "file" / "trials")]) == 2
    assert str(tmp_path / "file") in capsys.readouterr().err


def test_a_snakefile_takes_its_own_conf_then_the_one_above_workflow_then_the_packages(tmp_path):
    assert conf_folder(tmp_path / "workflow") == shipped() / "conf"
    (tmp_path / "conf").mkdir()
    assert conf_folder(tmp_path) == shipped() / "conf", "an empty folder is no configuration"
    (tmp_path / "conf" / "config.yaml").write_text("")
    assert conf_folder(tmp_path) == tmp_path / "conf"
    assert conf_folder(tmp_path / "workflow") == tmp_path / "conf"
    assert conf_folder(tmp_path / "rules") == shipped() / "conf"
    assert Path(snakefile()).is_file()


class Study:
    """Notes what it was asked to do."""

    def __init__(self, folder):
        self.done = []
        self.status, self.conclude = (f"echo {word} >> {folder}/said" for word in ("status", "conclude"))

    def hold(self):
        self.done.append("hold")


@pytest.mark.parametrize("main_snakefile", [True, False])
def test_the_hooks_of_a_module_run_after_those_that_were_there(tmp_path, main_snakefile):
    study = Study(tmp_path)
    workflow = SimpleNamespace(
        modifier=SimpleNamespace(is_main_snakefile=lambda: main_snakefile),
        **{
            f"_{name}": lambda log, name=name: study.done.append(name)
            for name in ("onstart", "onsuccess", "onerror")
        },
    )
    keep_hooks(study, workflow)
    for hook in (workflow._onstart, workflow._onsuccess, workflow._onerror):
        hook("log")
    said = (tmp_path / "said").read_text().split() if (tmp_path / "said").exists() else []
    if main_snakefile:
        assert (study.done, said) == (["onstart", "onsuccess", "onerror"], [])
    else:
        assert (study.done, said) == (["onstart", "hold", "onsuccess", "onerror"], ["status", "conclude"])
