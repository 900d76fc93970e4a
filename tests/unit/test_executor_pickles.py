"""submitit's pickles run code when they are read: whose are read, and what of them."""

import os
import pickle
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import submitit
from snakemake_interface_common.exceptions import WorkflowError
from submitit.core.utils import DelayedSubmission

from snakemake_executor_plugin_submitit import pickles
from snakemake_executor_plugin_submitit.batches import find_all_lost, results
from snakemake_executor_plugin_submitit.ledger import Entry
from snakemake_executor_plugin_submitit.payload import RankCommand
from snakemake_executor_plugin_submitit.pickles import NoPickle, private_folder

SOMEONE = 12345
as_root = pytest.mark.skipif(os.geteuid() != 0, reason="only root can give a file away")


class Touches:
    """Unpickled, it would make a file."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def __reduce__(self) -> tuple[Any, ...]:
        return os.mkdir, (str(self.path),)


def success(folder: Path) -> Path:
    path = folder / "1_0_result.pkl"
    path.write_bytes(pickle.dumps(("success", {"rank": 0, "returncode": 0})))
    return path


def command(index: int = 0) -> RankCommand:
    return RankCommand(
        key="k", index=index, command="true", shell=("/bin/sh", "-c"), prefix=(), folder="/f", cwd="/", threads=1,
        spmd=True, port=None, minutes=None, signal_delay=1, debug=False,
    )  # fmt: skip


@pytest.mark.parametrize("umask", ["000", "002", "022", "077"])
def test_whatever_the_umask_no_other_user_gets_into_the_folder(tmp_path: Path, umask: str) -> None:
    program = (
        "import os, sys; from pathlib import Path; os.umask(int(sys.argv[1], 8));"
        "from snakemake_executor_plugin_submitit.pickles import private_folder;"
        "print(oct(private_folder(Path(sys.argv[2])).stat().st_mode & 0o7777))"
    )
    words = [sys.executable, "-c", program, umask, str(tmp_path / "a" / "s")]
    done = subprocess.run(words, capture_output=True, text=True, timeout=60, check=True)
    assert done.stdout.strip() == "0o700"


@pytest.mark.parametrize("mode", [0o755, 0o750, 0o701, 0o744])
def test_a_folder_that_others_may_read_is_kept_with_what_it_holds_and_closed_to_them(
    tmp_path: Path, mode: int
) -> None:
    folder = tmp_path / "readable"
    folder.mkdir()
    success(folder)
    folder.chmod(mode)
    assert private_folder(folder).stat().st_mode & 0o7777 == 0o700
    assert results(folder, "1", 1) == [True]


@pytest.mark.parametrize("mode", [0o770, 0o702, 0o777])
def test_a_folder_that_others_may_have_written_to_is_refused(tmp_path: Path, mode: int) -> None:
    folder = tmp_path / "open"
    folder.mkdir()
    success(folder)
    folder.chmod(mode)
    with pytest.raises(WorkflowError, match=rf"can be written by others \(mode {mode:04o}\)"):
        private_folder(folder)
    with pytest.raises(WorkflowError, match="can be written by others"):
        results(folder, "1", 1)


def test_a_link_to_a_folder_is_refused_also_to_one_of_our_own(tmp_path: Path) -> None:
    real = private_folder(tmp_path / "real")
    success(real)
    link = tmp_path / "link"
    link.symlink_to(real)
    with pytest.raises(WorkflowError, match=rf"link is a link.*name the folder itself \({real}\)"):
        private_folder(link)
    with pytest.raises(WorkflowError, match="is a link"):
        results(link, "1", 1)
    dangling = tmp_path / "dangling"
    dangling.symlink_to(tmp_path / "nowhere")
    with pytest.raises(WorkflowError, match="is a link"):
        private_folder(dangling)
    (tmp_path / "file").touch()
    with pytest.raises(WorkflowError, match="is no folder"):
        private_folder(tmp_path / "file")


def test_a_link_to_a_pickle_is_refused(tmp_path: Path) -> None:
    folder = private_folder(tmp_path / "s")
    other = success(tmp_path)
    (folder / "1_0_result.pkl").symlink_to(other)
    with pytest.raises(WorkflowError, match="is a link"):
        results(folder, "1", 1)


@as_root
def test_a_pickle_or_a_folder_of_someone_else_is_not_read(tmp_path: Path) -> None:
    folder = private_folder(tmp_path / "s")
    path = success(folder)
    assert results(folder, "1", 1) == [True]
    os.chown(path, SOMEONE, -1)
    with pytest.raises(WorkflowError, match=rf"belongs to another user \(uid {SOMEONE}\)"):
        results(folder, "1", 1)
    os.chown(path, 0, -1)
    os.chown(folder, SOMEONE, -1)
    with pytest.raises(WorkflowError, match=rf"belongs to another user \(uid {SOMEONE}\)"):
        results(folder, "1", 1)


def test_a_pickle_that_would_run_code_does_not(tmp_path: Path) -> None:
    folder = private_folder(tmp_path / "s")
    made = tmp_path / "made"
    (folder / "1_0_result.pkl").write_bytes(pickle.dumps(("success", Touches(made))))
    (folder / "1_submitted.pkl").write_bytes(pickle.dumps(Touches(made)))
    assert results(folder, "1", 1) == []
    with pytest.raises(NoPickle, match="mkdir has no business in it"):
        pickles.load(folder / "1_submitted.pkl")
    entry = Entry("k", "one", "local", str(folder), "n", 0, 1, 1, None, "t")
    assert find_all_lost([entry], timeout=5) == [None]
    assert not made.exists()


@pytest.mark.parametrize("content", [b"", b"\x80", b"\x80\x04", b"]", b"garbage", pickle.dumps([1]), b"I1\n."])
def test_a_pickle_that_is_none_is_no_result_and_no_success(tmp_path: Path, content: bytes) -> None:
    folder = private_folder(tmp_path / "s")
    (folder / "1_0_result.pkl").write_bytes(content)
    assert True not in results(folder, "1", 1)


def test_what_submitit_writes_is_read(tmp_path: Path) -> None:
    folder = private_folder(tmp_path / "s")
    submission = DelayedSubmission(command(index=3))
    submission.set_timeout(5, 3)
    submission.dump(folder / "9_submitted.pkl")
    assert find_all_lost([Entry("k", "one", "slurm", str(folder), "n", 3, 4, 1, None, "t")], timeout=5) == ["9"]
    submitit.core.utils.cloudpickle_dump(("success", {"rank": 0, "returncode": 0}), folder / "9_0_result.pkl")
    submitit.core.utils.cloudpickle_dump(("error", "Traceback"), folder / "9_1_result.pkl")
    assert results(folder, "9", 3) == [True, False]
