"""docs/tutorial.md, with the package installed from its wheel into an environment of its own."""

import os
import re
import shlex
import site
import subprocess
import sys
import zipfile
from pathlib import Path

import pytest

from seatrial.cli import _parser

ROOT = Path(__file__).parents[2]
BLOCK = re.compile(r"^```sh ?(\w*)\n(.*?)^```$", re.DOTALL | re.MULTILINE)
TUTORIAL = BLOCK.findall((ROOT / "docs" / "tutorial.md").read_text())
COMMANDS = {"snakemake": "from snakemake.cli import main; sys.exit(main())"}


@pytest.fixture(scope="module")
def wheel(tmp_path_factory):
    """The package as it is handed over."""
    folder = tmp_path_factory.mktemp("wheel")
    # with the build backend that is pinned here, and without a network
    how = ["--quiet", "--no-deps", "--no-index", "--no-build-isolation"]
    command = [sys.executable, "-m", "pip", "wheel", *how, "--wheel-dir", folder, ROOT]
    done = subprocess.run(command, capture_output=True, text=True, timeout=250)
    assert done.returncode == 0, done.stderr
    (built,) = folder.glob("seatrial-*.whl")
    return built


@pytest.fixture(scope="module")
def installed(wheel, tmp_path_factory):
    """The bin folder of a fresh environment with the wheel; what it needs is taken from this one."""
    folder = tmp_path_factory.mktemp("installed") / "venv"
    subprocess.run([sys.executable, "-m", "venv", "--without-pip", folder], check=True, timeout=120)
    python = folder / "bin" / "python"
    install = [
        sys.executable,
        "-m",
        "pip",
        "--python",
        python,
        "install",
        "--quiet",
        "--no-deps",
        "--no-index",
        wheel,
    ]
    done = subprocess.run(install, capture_output=True, text=True, timeout=120)
    assert done.returncode == 0, done.stderr
    (packages,) = folder.glob("lib/python*/site-packages")
    # a path, so that this environment's own .pth files, with its editable seatrial, are not read
    (packages / "needs.pth").write_text("\n".join(site.getsitepackages()) + "\n")
    for name, text in COMMANDS.items():
        program = folder / "bin" / name
        program.write_text(f"#!{python}\nimport sys\n{text}\n")
        program.chmod(0o755)
    return folder / "bin"


def bash(text, folder, bin_folder, timeout=280):
    kept = {name: value for name, value in os.environ.items() if name not in ("PYTHONPATH", "VIRTUAL_ENV")}
    path = os.pathsep.join([str(bin_folder), "/usr/local/bin", "/usr/bin", "/bin"])
    return subprocess.run(
        ["bash", "-euo", "pipefail", "-c", text],
        cwd=folder,
        env={**kept, "PATH": path, "OMP_NUM_THREADS": "1"},
        capture_output=True,
        text=True,
        timeout=timeout,
    )


def test_the_wheel_holds_workflow_configuration_and_published_results_and_nothing_else_of_the_checkout(wheel):
    names = set(zipfile.ZipFile(wheel).namelist())
    shipped = {str(p.relative_to(ROOT)) for p in (ROOT / "conf").rglob("*.yaml")}
    shipped |= {str(p.relative_to(ROOT)) for p in (ROOT / "workflow").rglob("*") if p.is_file()}
    wanted = {f"seatrial/shipped/{name}" for name in shipped - {"workflow/Snakefile"}}
    wanted |= {"seatrial/shipped/Snakefile", "seatrial/new_study/Snakefile", "seatrial/reference/published.csv"}
    assert wanted <= names
    tops = {name.split("/")[0] for name in names}
    assert {top for top in tops if not top.endswith(".dist-info")} == {
        "seatrial",
        "snakemake_executor_plugin_submitit",
    }
    assert not [name for name in names if name.endswith((".pyc", "_test.py")) or "/results/" in name]


# its verdict rests on the rate of memory in five repeats, which other tests beside it would spread by tens of times
@pytest.mark.alone
def test_the_tutorials_commands_run_as_they_stand(installed, tmp_path):
    folder = tmp_path
    said = ""
    for how, text in TUTORIAL:
        if how == "cluster":
            continue
        done = bash(text, folder, installed)
        wanted = {"": {0}, "any": {0, 1}, "fails": {2}}[how]
        assert done.returncode in wanted, f"{text}\n{done.stdout}\n{done.stderr}"
        said += done.stdout + done.stderr
        if text.endswith("cd trials\n"):
            folder = tmp_path / "trials"
    assert "verdict of first: pass (1 of 1 criteria)" in said
    assert re.search(r"^median of \d+ results by \d+ submitters$", said, re.MULTILINE)
    assert "Nothing to be done" in said
    assert "did you mean 'repeats'?" in said
    # the program is the wheel's, and so are the rules
    where = bash("python -c 'import seatrial; print(seatrial.__file__)'", folder, installed).stdout
    assert Path(where.strip()).is_relative_to(installed.parent)
    assert (folder / "results" / "first" / "report.html").stat().st_size > 10_000
    assert not list((installed.parent / "lib").rglob("results"))


@pytest.mark.parametrize("line", [line for how, text in TUTORIAL if how == "cluster" for line in text.splitlines()])
def test_the_tutorials_commands_for_a_cluster_exist(line):
    """That their studies can be planned: tests/unit/test_docs_commands.py."""
    program, *words = shlex.split(line)
    if program == "seatrial":
        _parser().parse_args(words)
    elif program == "snakemake":
        assert words[:2] == ["--profile", "slurm"]
        assert (ROOT / "slurm" / "config.yaml").is_file()
    else:
        assert line == "squeue --me"
