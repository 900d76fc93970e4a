"""The documents name what exists, and all of it where they say so."""

import dataclasses
import re
import shlex
from pathlib import Path

import pytest

from seatrial.cli import _parser
from seatrial.config.launcher import Launcher
from snakemake_executor_plugin_submitit import ExecutorSettings

ROOT = Path(__file__).parents[2]
DOCS = ROOT / "docs"
ALL = sorted([*DOCS.glob("*.md"), ROOT / "README.md", ROOT / "CHANGELOG.md", ROOT / "config" / "README.md"])
LINK = re.compile(r"(?<!\!)\[[^\]]*\]\((?!https?:)([^)#\s]*)(?:#([^)\s]*))?\)")


def anchors(path):
    """As GitHub makes them of the headings."""
    headings = re.findall(r"^#+ (.*)$", re.sub(r"^```.*?^```$", "", path.read_text(), flags=re.M | re.S), re.M)
    return {re.sub(r"[^\w -]", "", heading.lower()).strip().replace(" ", "-") for heading in headings}


@pytest.mark.parametrize("path", ALL, ids=lambda path: path.name)
def test_links_lead_to_files_and_headings_that_are_there(path):
    for name, anchor in LINK.findall(path.read_text()):
        there = (path.parent / name) if name else path
        assert there.exists(), f"{path.name}: {name}"
        if anchor:
            assert anchor in anchors(there), f"{path.name}: {name}#{anchor}"


@pytest.mark.parametrize("path", ALL, ids=lambda path: path.name)
def test_commands_have_the_options_that_are_there(path, capsys):
    for block in re.findall(r"^```(?:sh\b[^\n]*)?\n(.*?)^```$", path.read_text(), re.DOTALL | re.MULTILINE):
        for line in block.replace("\\\n", " ").splitlines():
            if not line.startswith("seatrial "):
                continue
            words = shlex.split(line, comments=True)[1:]
            try:
                _parser().parse_args(words)
            except SystemExit as end:
                assert end.code == 0, f"{path.name}: {line}\n{capsys.readouterr().err}"


def test_every_document_is_in_the_index():
    named = {name for name, _ in LINK.findall((DOCS / "README.md").read_text())}
    assert {path.name for path in DOCS.glob("*.md")} - {"README.md"} <= named


def test_the_page_on_slurm_names_every_option_of_the_executor_with_its_default_and_every_key_of_a_launcher():
    text = (DOCS / "slurm.md").read_text()
    told = dict(re.findall(r"^\| `--submitit-([\w-]+)` \| (.*?) \|", text, re.MULTILINE))
    options = {field.name.replace("_", "-"): field.default for field in dataclasses.fields(ExecutorSettings)}
    assert set(told) == set(options)
    for name, default in options.items():
        if isinstance(default, int | float):
            assert told[name].split()[0] == f"{default:g}", name
        elif default:
            assert told[name] == f"`{default}`", name
    keys = {
        key for line in re.findall(r"^\| (`.*?) \|", text, re.MULTILINE) for key in re.findall(r"`(\w+)`", line)
    }
    assert set(Launcher.model_fields) <= keys


def test_the_profiles_say_what_the_page_says():
    text = (DOCS / "slurm.md").read_text()
    profile = (ROOT / "workflow" / "profiles" / "slurm" / "config.yaml").read_text()
    for key in ("jobs", "seconds-between-status-checks", "latency-wait", "retries"):
        value = re.search(rf"^{key}: (\S+)", profile, re.MULTILINE)[1]
        line = re.search(rf"^\| `{key}` \|(.*)\|$", text, re.MULTILINE)[1]
        assert f"({value})" in line, key
