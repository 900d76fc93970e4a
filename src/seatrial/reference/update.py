"""Fetch a round's result repository with git and score it: a newer table of published results.

98 % of such a repository are the submitters' code. Only the system descriptions and the results are downloaded: the
newest commit without file contents (a blobless, shallow clone), then the contents of what is checked out.
"""

from __future__ import annotations

import datetime as dt
import os
import re
import shutil
import signal
import subprocess
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path, PurePosixPath

from seatrial.errors import ConfigError
from seatrial.ingest.mlperf.rules import ruleset_of

URL_TEMPLATE = "https://github.com/mlcommons/training_results_{round}"
ROUND_IN_URL = "{round}"
WANTED = ("/*/systems/*.json", "/*/results/")
"""What is checked out, as git's sparse-checkout patterns: of every submitter the descriptions and the results."""
GIT_TIMEOUT_SECONDS = 3600.0
BY_HAND = "a machine with a network; elsewhere bring a copy and run `seatrial reference import FOLDER`"

_OPTIONS = {
    "advice.detachedHead": "false",
    "core.autocrlf": "false",
    "core.hooksPath": os.devnull,
    # a link in what others wrote becomes a small text file, and leads nowhere
    "core.symlinks": "false",
    "credential.helper": "",
    # nothing may go on in the background when the folder is moved or removed
    "gc.auto": "0",
    "http.lowSpeedLimit": "1000",
    "http.lowSpeedTime": "60",
    "maintenance.auto": "false",
    "submodule.recurse": "false",
}
_ENVIRONMENT = {
    "GIT_ALLOW_PROTOCOL": "file:git:http:https:ssh",
    "GIT_ASKPASS": "",
    "GIT_LFS_SKIP_SMUDGE": "1",
    "GIT_SSH_COMMAND": "ssh -o BatchMode=yes",
    "GIT_TERMINAL_PROMPT": "0",
    "LC_ALL": "C",
    "SSH_ASKPASS": "",
}
"""Never ask for anything, never run what came with the data, and complain in English."""
_OTHER_REPOSITORY = (
    "GIT_ALTERNATE_OBJECT_DIRECTORIES",
    "GIT_COMMON_DIR",
    "GIT_DIR",
    "GIT_INDEX_FILE",
    "GIT_OBJECT_DIRECTORY",
    "GIT_PREFIX",
    "GIT_WORK_TREE",
)
"""Variables by which git, called from within another repository's hook, would work on that one."""
_NO_ANSWER = re.compile(
    r"could not resolve|couldn't connect|failed to connect|connection (?:refused|reset|timed out)|unreachable"
    r"|too slow|unable to look up|name or service not known|no route to host",
    re.IGNORECASE,
)
_NO_REPOSITORY = re.compile(
    r"not found|could not read username|prompts disabled|does not appear to be a git repository|does not exist"
    r"|authentication failed",
    re.IGNORECASE,
)
_COMPLAINTS = ("fatal:", "remote:", "error:")


def update(round_: str, output: Path, *, url: str = URL_TEMPLATE, keep: Path | None = None) -> list[str]:
    """Fetch `round_` (v6.1) and write its results to `output`, as `seatrial reference import` does; what was found.

    `url` is the repository's address, with {round} in it. The checkout is kept in `keep`, which must not be there
    or be empty; without it, it is removed. Raises ConfigError where the round is not known, git is missing, there
    is no such repository or no network; then `output` stays as it was.
    """
    from seatrial.reference.importing import import_results

    _check_round(round_, url)
    _check_places(output, keep)
    with _place(round_, url, keep) as folder:
        fetched = fetch(round_, folder, url)
        if keep is not None:
            folder = folder.rename(keep)
        return [fetched, *import_results(folder, output, round_, None, dt.date.today())]


def fetch(round_: str, folder: Path, url: str = URL_TEMPLATE, timeout_seconds: float = GIT_TIMEOUT_SECONDS) -> str:
    """Check the results of `round_` out into `folder`, which must not be there; what was fetched, in words.

    `timeout_seconds` is for each of git's commands. Raises ConfigError as `update` does; what is left in `folder`
    then is not a complete checkout.
    """
    _check_round(round_, url)
    address = url.replace(ROUND_IN_URL, round_)
    clone = ["clone", "--quiet", "--depth=1", "--filter=blob:none", "--no-checkout", "--no-tags", "--template="]
    said = _git([*clone, "--", address, str(folder)], round_, address, timeout_seconds)
    inside = ["-C", str(folder)]
    # as `git sparse-checkout set --no-cone` writes it, which is older than that command's option
    sparse = folder / ".git" / "info" / "sparse-checkout"
    sparse.parent.mkdir(exist_ok=True)
    sparse.write_text("".join(f"{pattern}\n" for pattern in WANTED), encoding="utf-8")
    for key, value in (("core.sparseCheckout", "true"), ("core.sparseCheckoutCone", "false")):
        _git([*inside, "config", key, value], round_, address, timeout_seconds)
    commit = _git([*inside, "rev-parse", "--verify", "HEAD"], round_, address, timeout_seconds).split()
    _git([*inside, "checkout", "--quiet"], round_, address, timeout_seconds)
    if next(folder.glob("*/results/*/*/result_*.txt"), None) is None:
        raise ConfigError(
            "the repository holds no results",
            key="--url",
            value=address,
            allowed="SUBMITTER/results/SYSTEM/BENCHMARK/result_*.txt in it",
        )
    files = [p for p in folder.rglob("*") if p.is_file() and ".git" not in p.relative_to(folder).parts[:1]]
    size = sum(p.stat().st_size for p in files) / 1e6
    unfiltered = "; the server cannot leave files out: all were downloaded" if "filtering not" in said else ""
    return f"{address} at commit {commit[-1][:12]}: {len(files)} files, {size:.1f} MB{unfiltered}"


def _check_round(round_: str, url: str) -> None:
    if not re.fullmatch(r"v\d+\.\d+", round_):
        raise ConfigError("no round of MLPerf Training", key="--round", value=round_, allowed="vX.Y, such as v6.1")
    if ROUND_IN_URL not in url:
        raise ConfigError(
            "one address for every round", key="--url", value=url, allowed=f"one with {ROUND_IN_URL} in it"
        )
    # before anything is downloaded: what could not be scored need not be fetched
    ruleset_of(round_)


def _check_places(output: Path, keep: Path | None) -> None:
    if output.is_dir():
        raise ConfigError("the table is a file", key="--output", value=str(output), allowed="the name of a file")
    if keep is None:
        return
    if keep.is_symlink() or (keep.exists() and (not keep.is_dir() or any(keep.iterdir()))):
        raise ConfigError(
            "something is there already", key="--keep", value=str(keep), allowed="a folder that is new or empty"
        )
    if output.resolve().is_relative_to(keep.resolve()):
        raise ConfigError(
            "the folder that is read is never written to",
            key="--output",
            value=str(output),
            allowed=f"a file outside {keep}",
        )


@contextmanager
def _place(round_: str, url: str, keep: Path | None) -> Iterator[Path]:
    """Where to check out: a folder that is removed at the end, with all that is left in it; beside `keep`."""
    if keep is not None:
        keep.parent.mkdir(parents=True, exist_ok=True)
    name = PurePosixPath(url.replace(ROUND_IN_URL, round_).rstrip("/")).name.removesuffix(".git") or round_
    beside = keep.parent if keep is not None else None
    with tempfile.TemporaryDirectory(prefix=".seatrial-update-", dir=beside) as folder:
        yield Path(folder) / name


def _git(arguments: list[str], round_: str, address: str, timeout_seconds: float) -> str:
    """Run git; what it says on both its streams. Raises ConfigError, in words, where it fails or takes too long."""
    git = shutil.which("git")
    if git is None:
        raise ConfigError("git is not installed", key="PATH", value=os.environ.get("PATH", ""), allowed=BY_HAND)
    options = [word for key, value in _OPTIONS.items() for word in ("-c", f"{key}={value}")]
    kept = {name: value for name, value in os.environ.items() if name not in _OTHER_REPOSITORY}
    # a session of its own, so that git's helpers can be ended with it
    process = subprocess.Popen(
        [git, *options, *arguments],
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        env=kept | _ENVIRONMENT,
        text=True,
        encoding="utf-8",
        errors="replace",
        start_new_session=True,
    )
    try:
        said, _ = process.communicate(timeout=timeout_seconds)
    except subprocess.TimeoutExpired:
        raise ConfigError(
            f"no answer within {timeout_seconds:g} s", key="--url", value=address, allowed=BY_HAND
        ) from None
    finally:
        if process.poll() is None:
            with suppress(ProcessLookupError):
                os.killpg(process.pid, signal.SIGKILL)
            process.communicate()
    if process.returncode:
        raise _in_words(said, round_, address)
    return said


def _in_words(said: str, round_: str, address: str) -> ConfigError:
    """What git's complaint means."""
    if _NO_ANSWER.search(said):
        why = _telling(said, _NO_ANSWER)
        return ConfigError(f"no network, or no answer ({why})", key="--url", value=address, allowed=BY_HAND)
    if _NO_REPOSITORY.search(said):
        return ConfigError(
            f"no repository of this round at {address}, or not a public one ({_telling(said, _NO_REPOSITORY)})",
            key="--round",
            value=round_,
            allowed="a round that has been published",
        )
    return ConfigError(f"git failed ({_telling(said)})", key="--url", value=address, allowed=BY_HAND)


def _telling(said: str, about: re.Pattern[str] | None = None) -> str:
    """The line of git's complaint that says what is wrong: the first about the matter; advice comes after it."""
    lines = [line.strip() for line in said.splitlines() if line.strip()]
    complaints = [line for line in lines if line.casefold().startswith(_COMPLAINTS)]
    matching = [line for line in complaints if about is not None and about.search(line)]
    return next(iter([*matching, *complaints, *reversed(lines)]), "it said nothing")
