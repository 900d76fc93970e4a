"""A newer round fetched with git: from a real repository, beside which the code is never downloaded."""

from __future__ import annotations

import csv
import datetime as dt
import os
import socket
import subprocess
import threading
import time
from pathlib import Path

import pytest
from mlperf_folders import RunPlan, SubmitterFolder, log_files, runs_of

from seatrial.errors import ConfigError
from seatrial.reference.importing import import_results, unread_path
from seatrial.reference.update import _in_words, fetch, update

CODE = "Harbour/benchmarks/llama2_70b_lora/implementations/nemo/train.py"
RESULTS_OF_CODE = (
    "Harbour/benchmarks/llama2_70b_lora/implementations/nemo/results/b200/llama2_70b_lora/result_9.txt"
)


def git(folder: Path, *arguments: str) -> str:
    done = subprocess.run(
        ["git", "-c", "user.name=T", "-c", "user.email=t@example.org", "-C", str(folder), *arguments],
        capture_output=True,
        text=True,
        timeout=60,
        check=True,
        env={k: v for k, v in os.environ.items() if not k.startswith("GIT_")},
    )
    return done.stdout.strip()


def write(path: Path, text: str) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text, encoding="utf-8")


@pytest.fixture(scope="module")
def published(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A server's repositories: training_results_v5.1 with two submitters, their code, a link and two commits."""
    server = tmp_path_factory.mktemp("server")
    root = server / "training_results_v5.1"
    root.mkdir()
    git(root, "init", "--quiet")
    # what GitHub's servers do, too
    git(root, "config", "uploadpack.allowFilter", "true")
    write(root / "README.md", "old readme\n")
    git(root, "add", ".")
    git(root, "commit", "--quiet", "-m", "an older commit")
    write(root / "README.md", "readme\n")
    write(root / CODE, "print('code')\n" * 5000)
    write(root / RESULTS_OF_CODE, "an example, not a result\n")
    for number, name in enumerate(("Harbour", "Lighthouse")):
        folder = SubmitterFolder(root / name, name)
        system = folder.system("b200")
        plan = RunPlan(100 + number, "llama2_70b_lora", org=name)
        folder.results(system, "llama2_70b_lora", log_files(runs_of(plan)), {"notes/run.md": b"a note\n"})
        write(root / name / "systems" / "readme.md", f"systems of {name}\n")
    (root / "Harbour" / "results" / "b200" / "link").symlink_to("/etc/hostname")
    git(root, "add", ".")
    git(root, "commit", "--quiet", "-m", "the results")
    (server / "training_results_v5.0").mkdir()
    git(server / "training_results_v5.0", "init", "--quiet")
    return server


@pytest.fixture
def url(published: Path) -> str:
    return f"file://{published}/training_results_{{round}}"


def blobs(checkout: Path) -> set[str]:
    """The contents that are there, without asking the server for more."""
    found = git(checkout, "cat-file", "--batch-all-objects", "--batch-check").splitlines()
    return {line.split()[0] for line in found if line.split()[1] == "blob"}


def rows(path: Path) -> list[dict[str, str]]:
    with path.open(encoding="utf-8", newline="") as file:
        return list(csv.DictReader(file))


def test_the_round_is_scored_as_its_repository_is(published: Path, url: str, tmp_path: Path) -> None:
    lines = update("v5.1", tmp_path / "new.csv", url=url)
    import_results(published / "training_results_v5.1", tmp_path / "direct.csv", "v5.1", 1)
    fetched, direct = (rows(tmp_path / f"{name}.csv") for name in ("new", "direct"))
    origin = f"{published.name}/training_results_v5.1: "
    assert len(fetched) == 2 and all(row["source"].startswith(origin) for row in fetched)
    assert {row["retrieved"] for row in fetched} == {dt.date.today().isoformat()}
    apart = {"source": "", "retrieved": ""}
    assert [row | apart for row in fetched] == [row | apart for row in direct]
    assert unread_path(tmp_path / "new.csv").exists()
    head = git(published / "training_results_v5.1", "rev-parse", "HEAD")[:12]
    assert f"at commit {head}" in lines[0] and "2 results" in lines[1]
    assert {p.name for p in tmp_path.iterdir()} == {
        "new.csv",
        "new.unread.csv",
        "direct.csv",
        "direct.unread.csv",
    }


def test_only_descriptions_and_results_are_downloaded(published: Path, url: str, tmp_path: Path) -> None:
    checkout = tmp_path / "kept"
    update("v5.1", tmp_path / "new.csv", url=url, keep=checkout)
    files = {p.relative_to(checkout).as_posix() for p in checkout.rglob("*") if p.is_file()}
    files = {name for name in files if not name.startswith(".git/")}
    assert "Harbour/systems/b200.json" in files
    assert "Lighthouse/results/b200/llama2_70b_lora/result_0.txt" in files
    assert "Lighthouse/results/b200/llama2_70b_lora/notes/run.md" in files
    assert all("/results/" in name or name.endswith(".json") for name in files)
    assert not any("benchmarks" in name or name.endswith("readme.md") for name in files)
    there = blobs(checkout)
    origin = published / "training_results_v5.1"
    of = {name: git(origin, "rev-parse", f"HEAD:{name}") for name in (*sorted(files), CODE, RESULTS_OF_CODE)}
    assert there == {of[name] for name in files}
    assert of[CODE] not in there and of[RESULTS_OF_CODE] not in there
    assert git(checkout, "rev-list", "--count", "HEAD") == "1"


def test_links_in_the_repository_lead_nowhere(url: str, tmp_path: Path) -> None:
    fetch("v5.1", tmp_path / "here", url)
    link = tmp_path / "here" / "Harbour" / "results" / "b200" / "link"
    assert link.is_file() and not link.is_symlink() and link.read_text() == "/etc/hostname"


def test_it_works_from_within_another_repositorys_hook(
    published: Path, url: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("GIT_DIR", str(published / "training_results_v5.0" / ".git"))
    monkeypatch.setenv("GIT_WORK_TREE", str(tmp_path))
    update("v5.1", tmp_path / "new.csv", url=url)
    assert len((tmp_path / "new.csv").read_text().splitlines()) == 3


def test_a_server_that_cannot_filter_is_said(published: Path, url: str, tmp_path: Path) -> None:
    repository = published / "training_results_v5.1"
    git(repository, "config", "uploadpack.allowFilter", "false")
    try:
        assert "cannot leave files out" in fetch("v5.1", tmp_path / "here", url)
    finally:
        git(repository, "config", "uploadpack.allowFilter", "true")
    assert not (tmp_path / "here" / CODE).exists()


@pytest.fixture
def old(tmp_path: Path) -> Path:
    """A table of an earlier update, which no failure may change."""
    output = tmp_path / "reference" / "results.csv"
    write(output, "the old table\n")
    return output


def refused(old: Path, round_: str, url: str, keep: Path | None = None) -> ConfigError:
    """The refusal; the old table and everything beside it stay as they were."""
    before = {p: p.read_bytes() for p in old.parent.rglob("*") if p.is_file()}
    with pytest.raises(ConfigError) as refusal:
        update(round_, old, url=url, keep=keep)
    assert {p: p.read_bytes() for p in old.parent.rglob("*") if p.is_file()} == before
    assert sorted(p.name for p in old.parent.parent.iterdir() if p.name.startswith(".seatrial")) == []
    return refusal.value


def test_a_round_that_has_no_repository(url: str, old: Path) -> None:
    said = refused(old, "v6.0", url)
    assert said.key == "--round" and said.value == "v6.0" and "no repository of this round" in str(said)
    assert "fatal: '" in str(said) and "does not appear to be a git repository)" in str(said)


@pytest.mark.parametrize(
    ("lines", "told"),
    [
        (["remote: Repository not found.", "fatal: repository 'https://h/r/' not found"], "remote: Repository"),
        (
            ["ERROR: Repository not found.", "fatal: Could not read from remote repository."],
            "ERROR: Repository not",
        ),
        (["warning: redirecting", "fatal: unable to access 'u': Could not resolve host: h"], "fatal: unable to"),
        (["fatal: out of disk", "Please make room", "and the repository exists."], "fatal: out of disk"),
        (["something else"], "something else"),
        ([], "it said nothing"),
    ],
)
def test_of_gits_complaint_the_line_that_says_what_is_wrong_is_told(lines: list[str], told: str) -> None:
    assert f"({told}" in str(_in_words("\n".join([*lines, ""]), "v6.1", "https://h/r"))


def test_a_repository_without_results(published: Path, url: str, old: Path) -> None:
    empty = published / "training_results_v5.0"
    said = refused(old, "v5.0", url, keep=old.parent.parent / "kept")
    assert said.key == "--url" and "git failed" in str(said)
    write(empty / "README.md", "soon\n")
    git(empty, "add", ".")
    git(empty, "commit", "--quiet", "-m", "a readme")
    said = refused(old, "v5.0", url, keep=old.parent.parent / "kept")
    assert "holds no results" in str(said) and "training_results_v5.0" in str(said)
    assert not (old.parent.parent / "kept").exists()


def test_no_network(old: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("no_proxy", "*")
    with socket.socket() as unused:
        unused.bind(("127.0.0.1", 0))
        url = f"http://127.0.0.1:{unused.getsockname()[1]}/training_results_{{round}}"
        said = refused(old, "v5.1", url)
    assert "no network, or no answer" in str(said) and "reference import" in str(said) and said.key == "--url"


def test_a_server_that_never_answers(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("no_proxy", "*")
    with socket.create_server(("127.0.0.1", 0)) as silent:
        url = f"http://127.0.0.1:{silent.getsockname()[1]}/training_results_{{round}}"
        started = time.monotonic()
        with pytest.raises(ConfigError, match="no answer within 1 s"):
            fetch("v5.1", tmp_path / "here", url, timeout_seconds=1)
        assert time.monotonic() - started < 30
        # git's helper that held the connection has ended with it: the connection is at its end
        connection, _ = silent.accept()
        with connection:
            connection.settimeout(10)
            while connection.recv(4096):
                pass


def test_a_server_that_wants_a_password_is_not_waited_for(old: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("no_proxy", "*")
    with socket.create_server(("127.0.0.1", 0)) as server:
        threading.Thread(target=_ask_for_a_password, args=(server,), daemon=True).start()
        said = refused(old, "v5.1", f"http://127.0.0.1:{server.getsockname()[1]}/training_results_{{round}}")
    assert said.key == "--round" and "not a public one" in str(said)


def _ask_for_a_password(server: socket.socket) -> None:
    """What GitHub answers for a repository that is not there."""
    connection, _ = server.accept()
    with connection:
        connection.settimeout(20)
        connection.recv(65536)
        connection.sendall(
            b"HTTP/1.1 401 Unauthorized\r\nWWW-Authenticate: Basic realm=G\r\n"
            b"Content-Length: 0\r\nConnection: close\r\n\r\n"
        )


def test_no_git(url: str, old: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    said = refused(old, "v5.1", url)
    assert "git is not installed" in str(said) and "reference import" in str(said)


@pytest.mark.parametrize("round_", ["5.1", "v5", "v5.1/../x", "v5.1 ", "v5.1\n", "--upload-pack=x", "", "V5.1"])
def test_what_is_no_round_never_reaches_git(
    round_: str, url: str, old: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    said = refused(old, round_, url)
    assert said.key == "--round" and said.value == round_ and "v6.1" in str(said)


def test_a_round_without_rules_is_refused_before_anything_is_downloaded(
    url: str, old: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    assert "no rules for this round" in str(refused(old, "v99.0", url))


def test_one_address_for_every_round_is_refused(old: Path) -> None:
    assert "{round}" in str(refused(old, "v5.1", "https://example.org/results"))


def test_a_program_as_address_is_not_run(old: Path, tmp_path: Path) -> None:
    said = refused(old, "v5.1", f"ext::touch {tmp_path}/ran-{{round}}")
    assert "not allowed" in str(said) and not (tmp_path / "ran-v5.1").exists()


def test_a_place_that_is_taken_is_refused(url: str, old: Path, tmp_path: Path) -> None:
    write(tmp_path / "kept" / "mine.txt", "mine\n")
    assert refused(old, "v5.1", url, keep=tmp_path / "kept").key == "--keep"
    assert refused(old, "v5.1", url, keep=tmp_path / "kept" / "mine.txt").key == "--keep"
    inside = tmp_path / "new" / "results.csv"
    with pytest.raises(ConfigError, match="never written to"):
        update("v5.1", inside, url=url, keep=tmp_path / "new")
    with pytest.raises(ConfigError, match="a file"):
        update("v5.1", tmp_path / "kept", url=url)
    assert (tmp_path / "kept" / "mine.txt").read_text() == "mine\n" and not (tmp_path / "new").exists()


def test_an_empty_folder_may_be_given_to_keep_the_checkout_in(url: str, tmp_path: Path) -> None:
    (tmp_path / "kept").mkdir()
    update("v5.1", tmp_path / "new.csv", url=url, keep=tmp_path / "kept")
    assert (tmp_path / "kept" / "Harbour" / "results").is_dir()
    assert sorted(p.name for p in tmp_path.iterdir()) == ["kept", "new.csv", "new.unread.csv"]
