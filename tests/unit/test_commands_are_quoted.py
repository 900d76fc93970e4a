"""Nothing that somebody wrote becomes more than one word of a command, or it is refused in words."""

import shlex
import subprocess
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from snakemake_interface_common.exceptions import WorkflowError
from submitit.slurm.slurm import _make_sbatch_string

from seatrial.config.loader import Origins, validate
from seatrial.config.target import Launcher
from seatrial.config.training.external import VALUES, External, filled_in
from seatrial.errors import ConfigError
from seatrial.literally import as_it_is, without_wildcards
from snakemake_executor_plugin_submitit.batches import SubmissionFailed, job_name, submit
from snakemake_executor_plugin_submitit.submission import request_from_resources, slurm_parameters

PIECES = [
    "'", '"', " ", "\n", "\r", "\t", "$(touch x)", "`touch x`", ";", "&", "|", ">", "{case}", "{{", "}", "\\", "-",
    "--", "#SBATCH --x", "*", "~", "$HOME", "!", "a", "%j", "\u2028", "é", "=", ",", ":", "\x1b[31m", "\x00",
]  # fmt: skip
NASTY = st.lists(st.sampled_from(PIECES) | st.text(max_size=3), min_size=1, max_size=5).map("".join)
EVERY = (
    "slurm_account", "slurm_partition", "qos", "constraint", "reservation", "exclude", "nodelist", "gres",
    "exclusive", "container_image", "container_mounts", "container_workdir",
)  # fmt: skip


def words_of_script(text: str) -> tuple[dict[str, str], list[str]]:
    """The options of the #SBATCH lines and the words of the command, as their readers take them; no other line."""
    lines = text.split("\n")
    options, commands = {}, []
    for line in lines:
        if line.startswith("#SBATCH "):
            (word,) = shlex.split(line.removeprefix("#SBATCH "))
            name, _, value = word.partition("=")
            options[name] = value
        elif line and not line.startswith("#"):
            commands.append(line)
    assert commands[0] == "export SUBMITIT_EXECUTOR=slurm"
    (command,) = commands[1:]
    return options, shlex.split(command)


@given(st.sampled_from(EVERY), NASTY)
def test_a_resource_is_one_word_of_the_submission_or_refused(name: str, value: str) -> None:
    resources = {"container_image": "image", name: value} if name.startswith("container") else {name: value}
    try:
        request = request_from_resources(resources, 1, "a", once=False)
        parameters = slurm_parameters(request, "name", "a", 10, 60)
    except WorkflowError as problem:
        assert "rule" in str(problem)
        return
    script = _make_sbatch_string("command", "/tmp/folder", map_count=2, **parameters)
    options, words = words_of_script(script)
    place = {"slurm_account": "--account", "slurm_partition": "--partition", "exclusive": "--exclusive"}
    if name.startswith("container") and value:
        assert f"--{name.replace('_', '-')}={value}" in words
    elif value:
        assert options[place.get(name, f"--{name}")] == value


@given(NASTY, NASTY)
def test_further_options_are_options_of_sbatch_or_refused(name: str, value: str) -> None:
    text = f"--{name}={shlex.quote(value)}"
    try:
        request = request_from_resources({"slurm_extra": text}, 1, "a", once=False)
        parameters = slurm_parameters(request, "name", "a", 10, 60)
    except WorkflowError:
        return
    options, _ = words_of_script(_make_sbatch_string("command", "/tmp/folder", **parameters))
    plain = slurm_parameters(request_from_resources({}, 1, "a", once=False), "name", "a", 10, 60)
    before, _ = words_of_script(_make_sbatch_string("command", "/tmp/folder", **plain))
    assert len(options.keys() - before.keys()) <= len(shlex.split(text))


@given(NASTY)
def test_the_name_of_a_rule_ends_no_line_of_the_script(name: str) -> None:
    request = request_from_resources({}, 1, "a", once=False)
    try:
        parameters = slurm_parameters(request, job_name(name, "run", 1, [name]), name, 10, 60)
    except WorkflowError:
        return
    options, _ = words_of_script(_make_sbatch_string("command", "/tmp/folder", **parameters))
    assert options["--comment"] == name
    assert not set(options["--job-name"]) & set(" '\"\n$`;")


@pytest.mark.parametrize("name", ["it's", "a\nb", "50%", 'a"b'])
def test_a_folder_that_a_script_cannot_name_is_refused(tmp_path: Path, name: str) -> None:
    request = request_from_resources({}, 1, "a", once=False)
    with pytest.raises(WorkflowError, match="no path for sbatch"):
        submit("slurm", tmp_path / name, request, [], "name", "a", 1, 60)
    assert issubclass(SubmissionFailed, RuntimeError)


@given(st.sampled_from(["account", "partition", "qos", "constraint", "reservation", "exclude"]), NASTY)
def test_a_launcher_says_nothing_that_is_more_than_a_word(field: str, value: str) -> None:
    try:
        launcher = validate(Launcher, {field: value}, Origins(None, {}, set()), "target.launcher")
    except ConfigError as problem:
        assert problem.key == f"target.launcher.{field}" and problem.allowed
        return
    said: str = getattr(launcher, field)
    assert said == value and said.isprintable() and not set(said) & set("'\"\\")


@pytest.mark.parametrize(
    ("given", "key"),
    [
        ({"image": "--bind=/"}, "image"),
        ({"image": "i\n"}, "image"),
        ({"image": "i", "mounts": ["/a:/b,/:/host"]}, "mounts.0"),
        ({"image": "i", "mounts": ["/ok:/ok", "/a\n:/b"]}, "mounts.1"),
    ],
)
def test_a_container_is_taken_as_it_is_or_refused(given: dict[str, Any], key: str) -> None:
    raw = {"container": {"runtime": "apptainer", **given}}
    with pytest.raises(ConfigError) as caught:
        validate(Launcher, raw, Origins(None, {}, set()), "target.launcher")
    assert caught.value.key == f"target.launcher.container.{key}"


def test_options_with_a_quote_left_open_are_refused_before_anything_runs() -> None:
    with pytest.raises(ConfigError, match="No closing quotation"):
        validate(Launcher, {"slurm_extra": "--comment='x"}, Origins(None, {}, set()), "target.launcher")
    with pytest.raises(WorkflowError, match="No closing quotation"):
        request_from_resources({"slurm_extra": "--comment='x"}, 1, "a", once=False)


@given(NASTY.filter(lambda text: "\0" not in text))
def test_a_word_of_somebodys_command_stays_one_word(text: str) -> None:
    raw = {"kind": "external", "command": ["printf", "%s", text], "format": "mllog"}
    try:
        workload = validate(External, raw, Origins(None, {}, set()), "workload")
    except ConfigError:
        return
    filled = [filled_in(word, dict.fromkeys(VALUES, "1")) for word in workload.command]
    if "{" not in text:
        assert filled == ["printf", "%s", text]
    assert len(filled) == 3


@given(st.lists(NASTY.filter(lambda text: text and "\0" not in text), min_size=1, max_size=3))
def test_words_of_the_user_reach_a_rule_as_they_are(words: list[str]) -> None:
    """As Snakemake puts params into a shell command: `{params.words:q}`, once."""
    from snakemake.iocontainers import Params
    from snakemake.utils import format as snakemake_format

    params = Params(fromdict={"words": as_it_is(words)(SimpleNamespace())})
    command = snakemake_format("printf '%s\\0' {params.words:q}", params=params)
    assert shlex.split(command)[2:] == words


@given(NASTY)
def test_a_path_of_a_rule_is_free_of_wildcards_and_line_breaks_or_refused(path: str) -> None:
    try:
        assert without_wildcards(path, "results") == path
    except ConfigError as problem:
        assert problem.key == "results"
        return
    assert not set(path) & set("{}\n\r\x00")


def test_a_real_shell_gets_the_words_too(tmp_path: Path) -> None:
    words = ["a b", "$(touch x)", "`touch y`", "; touch z", "it's", '"', "{case}", "new\nline", "*"]
    from snakemake.iocontainers import Params
    from snakemake.utils import format as snakemake_format

    command = snakemake_format("printf '%s\\0' {params.words:q}", params=Params(fromdict={"words": words}))
    done = subprocess.run(["bash", "-c", command], cwd=tmp_path, capture_output=True, timeout=30, check=True)
    assert done.stdout.decode().split("\0")[:-1] == words
    assert list(tmp_path.iterdir()) == []
