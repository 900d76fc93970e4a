"""Every study that the documents tell to plan or to run can be planned, and nothing in it is refused."""

import re
import shlex
import shutil
from pathlib import Path

import pytest
import yaml

from seatrial.checks import check_plan
from seatrial.errors import ConfigError
from seatrial.plan import make_plan
from seatrial.wiring import words_of

ROOT = Path(__file__).parents[2]
TUTORIAL = ROOT / "docs" / "tutorial.md"
TEXTS = sorted(
    [
        *(ROOT / "docs").glob("*.md"),
        ROOT / "README.md",
        ROOT / "config" / "README.md",
        ROOT / "src" / "seatrial" / "new_study" / "README.md",
        *(ROOT / "conf" / "study").glob("*.yaml"),
    ]
)
COMMAND = re.compile(r"(?:seatrial (?:plan|doctor)|snakemake [^\n`]*--config) [^\n`]*\bstudy=[^\n`]*")
BLOCK = re.compile(r"^```yaml\n(?:# @package _global_\n)?# (conf/\S+)\n(.*?)^```$", re.DOTALL | re.MULTILINE)
# words that stand for others, and files that a text only imagines
OPEN = re.compile(r"\.\.\.|\b(?:TARGET|NAME|STUDY|study=mine|study=many|economics=my_quotes)\b")


def commands(path):
    """Each command's line, with its continuation lines, and without what the shell does with its output."""
    text = re.sub(r"\\\n#?\s*", "", path.read_text())
    for found in COMMAND.findall(text):
        line = re.split(r" 2>&1| +\| | && ", found)[0]
        if not OPEN.search(line.replace(" ...", "")):
            yield line.replace(" ...", "")


def words(line):
    """The words of the plan that a command of seatrial or Snakemake makes."""
    program, *rest = shlex.split(line, comments=True)
    if program == "seatrial":
        return [word for word in rest if "=" in word and not word.startswith("-")]
    given = [word for word in rest[rest.index("--config") + 1 :] if not word.startswith("-")]
    pairs = dict(word.split("=", 1) for word in given if "=" in word)
    if "overrides" in pairs:
        pairs["overrides"] = yaml.safe_load(pairs["overrides"])
    return words_of(pairs)


@pytest.fixture(scope="module")
def conf(tmp_path_factory):
    """The configuration with what README and extending.md add to it; my_cluster is README's."""
    folder = tmp_path_factory.mktemp("documents")
    shutil.copytree(ROOT / "conf", folder / "conf")
    texts = [(ROOT / name).read_text() for name in ("README.md", "docs/extending.md", "docs/tutorial.md")]
    for text in texts:
        for block in re.findall(r"^```yaml\n.*?^```$", text, re.DOTALL | re.MULTILINE):
            named = re.search(r"^# (conf/(?:target|study|workload)/\w+\.yaml)$", block, re.MULTILINE)
            if named:
                (folder / named[1]).write_text(block.removeprefix("```yaml\n").removesuffix("```"))
    return folder / "conf"


FOUND = sorted({(path.name, line) for path in TEXTS for line in commands(path)})
# one command of those that plan the same
PLANNED = {tuple(words(line)): f"{name}: {line}" for name, line in FOUND}


@pytest.mark.parametrize("given", PLANNED, ids=lambda given: PLANNED[given][:100])
def test_a_documents_study_is_refused_by_nothing(given, conf):
    check_plan(make_plan(list(given), conf))


def test_the_documents_commands_are_found():
    assert {"README.md", "tutorial.md", "doctor.md", "slurm.md", "extending.md"} <= {name for name, _ in FOUND}
    assert any(line.startswith("snakemake --profile slurm") for _, line in FOUND)


def test_one_study_of_the_tutorial_is_one_plan_in_all_its_commands(conf):
    """A command that leaves out an override would plan another study over the same results."""
    plans = {}
    for line in commands(TUTORIAL):
        if "study=acceptance" in line:
            plans.setdefault(make_plan(words(line), conf).study.model_dump_json(), []).append(line)
    assert len(plans) == 1, list(plans.values())
    assert sum(map(len, plans.values())) >= 4


def test_where_a_cluster_declares_no_storage_the_refusal_names_both_keys_that_set_it(conf):
    with pytest.raises(ConfigError) as refused:
        check_plan(make_plan(["study=acceptance", "target=dgx_h100", "target.nodes=2"], conf))
    assert "experiments.checkpoints.workload.path" in str(refused.value)
    assert "storage.scratch.path" in str(refused.value)
