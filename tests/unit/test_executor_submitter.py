"""A submission of which nobody knows whether Slurm took it is not made again before Slurm has said so."""

import errno
import subprocess
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from submitit.core.utils import FailedJobError, FailedSubmissionError

from snakemake_executor_plugin_submitit import ExecutorSettings, batches, slurm, submitter
from snakemake_executor_plugin_submitit.failed_nodes import FailedNodes
from snakemake_executor_plugin_submitit.jobs import Label, Prepared
from snakemake_executor_plugin_submitit.ledger import SUBMITTED, Ledger
from snakemake_executor_plugin_submitit.submission import Request
from snakemake_executor_plugin_submitit.submitter import Submission, Submitter

RETRYING = "sbatch: error: Slurm temporarily unable to accept job, sleeping and retrying.\nsbatch: error: "
MUNGE_AWAY = (
    'Munge encode failed: Failed to access "/run/munge/munge.socket.2": No such file or directory\n'
    "sbatch: error: Batch job submission failed: Protocol authentication error"
)


def said(words: str, code: int = 1) -> FailedJobError:
    """What submitit raises where sbatch ends with a code and words."""
    error = FailedJobError(words)
    error.__cause__ = subprocess.CalledProcessError(code, ["sbatch"], stderr=words)
    return error


def killed() -> FailedJobError:
    """What submitit raises where it cannot read what sbatch prints, and kills it."""
    error = FailedJobError("Job got killed for an unknown reason.")
    error.__cause__ = OSError(errno.EIO, "Input/output error")
    return error


@pytest.mark.parametrize(
    ("error", "refused"),
    [
        (
            said("sbatch: error: Batch job submission failed: Invalid account or account/partition combination"),
            True,
        ),
        (said("sbatch: error: AssocMaxSubmitJobLimit\nsbatch: error: Job violates accounting/QOS policy"), True),
        (said("sbatch: error: Batch job submission failed: Unable to contact slurm controller"), False),
        (said("sbatch: error: Batch job submission failed: Socket timed out on send/recv operation"), False),
        (said(f"{RETRYING}Batch job submission failed: Resource temporarily unavailable"), True),  # MaxJobCount
        (said(f"{RETRYING}Batch job submission failed: Socket timed out on send/recv operation"), False),
        (said(RETRYING, code=-15), False),  # an interrupt ended it
        (said(f"sbatch: error: {MUNGE_AWAY}"), False),
        (said("sbatch: error: Batch job submission failed: Invalid authentication credential"), False),
        (said("", code=-9), False),
        (killed(), False),
        (FailedSubmissionError('Could not make sense of sbatch output ""'), False),
        (BlockingIOError(errno.EAGAIN, "Resource temporarily unavailable"), False),  # no process more
        (OSError(errno.EIO, "Input/output error"), False),
        (FileNotFoundError(errno.ENOENT, "No such file or directory", "sbatch"), True),
    ],
)
def test_only_where_sbatch_itself_said_no_nothing_was_submitted(error: Exception, refused: bool) -> None:
    failed = batches.SubmissionFailed(str(error))
    failed.__cause__ = error
    assert failed.refused == refused


@pytest.mark.parametrize(
    ("words", "later"),
    [
        ("sbatch: error: AssocMaxSubmitJobLimit\nsbatch: error: Batch job submission failed: Job violates", True),
        ("sbatch: error: QOSMaxSubmitJobPerUserLimit", True),
        ("sbatch: error: QOSGrpSubmitJobsLimit", True),
        ("sbatch: error: MaxSubmitJobsPerAccount", True),
        (
            "sbatch: error: Slurm temporarily unable to accept job, sleeping and retrying.\n"
            "sbatch: error: Batch job submission failed: Resource temporarily unavailable",
            True,
        ),
        ("sbatch: error: Batch job submission failed: Required partition not available (inactive or drain)", True),
        ("sbatch: error: QOSMaxWallDurationPerJobLimit\nsbatch: error: Job violates accounting/QOS policy", False),
        ("[Errno 11] Resource temporarily unavailable", False),
    ],
)
def test_a_limit_of_submitted_jobs_is_told_from_a_refusal(words: str, later: bool) -> None:
    assert batches.SubmissionFailed(words).over_limit == later


class Tried:
    """A submitter whose sbatch ends as told, one after the other, and a queue that has the batch from a try on."""

    def __init__(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        self.ends: list[Exception | str] = []
        self.folders: list[Path] = []
        self.in_queue: Callable[[], str | None] = lambda: None
        self.warned: list[str] = []
        self.stopped = self.stops = False
        self.ledger = Ledger(tmp_path, "aaaaaaaaaaaa")
        self.settings = settings = ExecutorSettings(patience=0.05, command_timeout=1)
        failed_nodes = FailedNodes(tmp_path, 1, self.warned.append)
        self.submitter = Submitter(
            "slurm",
            tmp_path,
            self.ledger,
            settings,
            "label",
            failed_nodes,
            self.warned.append,
            lambda: self.stopped,
        )
        monkeypatch.setattr(batches, "submit", self._sbatch)
        monkeypatch.setattr(batches, "find_all_lost", lambda entries, *_, **__: [self.in_queue() for _ in entries])
        monkeypatch.setattr(submitter, "_PAUSE_SECONDS", 0.01)
        monkeypatch.setattr(submitter, "_SETTLING_SECONDS", 0.02)

    def _sbatch(self, cluster: str, folder: Path, *_: Any) -> list[Any]:
        self.folders.append(folder)
        (folder / ".submission_file_1.sh").touch()
        (folder / "1.pkl").touch()
        end = self.ends.pop(0)
        if isinstance(end, Exception):
            self.stopped = self.stops
        if isinstance(end, str):
            job: Any = type("Job", (), {"job_id": end})()
            return [job]
        raise batches.SubmissionFailed(str(end)) from end

    def submit(self, *ends: Exception | str, members: int = 1) -> Submission:
        self.ends = list(ends)
        keys = ["key", *(f"key{number}" for number in range(1, members))]
        label = Label("a", {}, ("out",), None)
        made = [Prepared(None, label, key, Request(), True, "true", ("/bin/sh", "-c")) for key in keys]
        return self.submitter.submit(Request(), made, ["true"] * members)


@pytest.fixture
def tried(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Tried]:
    made = Tried(tmp_path, monkeypatch)
    yield made
    made.ledger.close()


@pytest.mark.parametrize("error", [killed(), said("", code=-9), OSError(errno.EIO, "Input/output error")])
def test_a_batch_that_slurm_took_before_something_failed_here_is_followed(tried: Tried, error: Exception) -> None:
    tried.in_queue = lambda: "7"
    ((_, live),) = tried.submit(error, "8").accepted
    assert live.job_id == "7"
    assert len(tried.folders) == 1, "sbatch was called once"


def test_a_batch_that_slurm_did_not_take_is_submitted_again_only_where_it_was_slurm_that_was_away(
    tried: Tried,
) -> None:
    away = said("sbatch: error: Batch job submission failed: Unable to contact slurm controller")
    ((_, live),) = tried.submit(away, BlockingIOError(11, "Resource temporarily unavailable"), "8").accepted
    assert live.job_id == "8"
    submission = tried.submit(OSError(errno.ENOSPC, "No space left on device"), "9")
    ((_, live, words),) = submission.refused
    assert "No space left" in words
    assert not submission.unclear


@pytest.mark.parametrize(
    "error",
    [said(f"{RETRYING}Batch job submission failed: Socket timed out on send/recv operation"), said(RETRYING, -15)],
)
def test_a_batch_that_slurm_took_after_it_had_spoken_of_a_limit_is_followed(tried: Tried, error: Exception) -> None:
    tried.in_queue = lambda: "7"
    ((_, live),) = tried.submit(error, "8").accepted
    assert live.job_id == "7"
    assert len(tried.folders) == 1, "sbatch was called once"


def test_what_slurm_may_have_had_for_a_moment_is_submitted_again_under_another_name(tried: Tried) -> None:
    submission = tried.submit(said(RETRYING, -15))
    assert submission.over_limit is not None
    tried.submit("8")
    assert [folder.name.rpartition("-")[2] for folder in tried.folders] == ["1", "2"]


def test_where_munge_is_away_the_batch_is_submitted_when_it_is_back(tried: Tried) -> None:
    ((_, live),) = tried.submit(said(f"sbatch: error: {MUNGE_AWAY}"), "8").accepted
    assert live.job_id == "8"


def test_where_slurm_never_says_whether_it_took_a_batch_its_entries_stay_open(tried: Tried) -> None:
    """The next attempt, or the next Snakemake, asks for it by its name before it submits anything."""

    def no_answer() -> str | None:
        raise slurm.SlurmUnavailable("no answer")

    tried.in_queue = no_answer
    submission = tried.submit(killed(), "8")
    assert submission.unclear
    entry = tried.ledger.read("key")
    assert entry is not None
    assert (entry.status, entry.job_id) == (SUBMITTED, None)


def test_tries_at_a_limit_share_one_folder_and_leave_nothing_in_it(tried: Tried) -> None:
    for _ in range(3):
        submission = tried.submit(said("sbatch: error: AssocMaxSubmitJobLimit"))
        assert submission.over_limit == "sbatch: error: AssocMaxSubmitJobLimit"
        assert not tried.submitter.under_way
        assert not list(tried.folders[-1].iterdir())
    tried.submit("7")
    tried.submit("8")
    assert [folder.name.rpartition("-")[2] for folder in tried.folders] == ["1", "1", "1", "1", "2"]


TOO_LARGE = "sbatch: error: Batch job submission failed: Invalid job array specification"


def test_slurm_is_asked_how_large_an_array_may_be_only_where_that_matters(
    tried: Tried, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked: list[float] = []

    def max_array_size(timeout: float) -> int:
        asked.append(timeout)
        return 11

    monkeypatch.setattr(slurm, "max_array_size", max_array_size)
    assert tried.submitter.largest_array(40) == 40
    assert not asked
    submission = tried.submit(said(TOO_LARGE), members=40)
    assert submission.over_limit == TOO_LARGE, "fewer of them are tried next"
    assert not submission.refused
    assert not list(tried.folders[-1].iterdir())
    assert tried.submitter.largest_array(40) == 11
    assert len(asked) == 1


def test_more_jobs_than_slurm_takes_unasked_are_asked_for_first(
    tried: Tried, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(slurm, "max_array_size", lambda _: 1500)
    assert tried.submitter.largest_array(1001) == 1001
    assert tried.submitter.largest_array(2000) == 1500


def test_one_job_alone_is_refused_whatever_slurm_says_of_arrays(tried: Tried) -> None:
    submission = tried.submit(said(TOO_LARGE))
    assert submission.over_limit is None
    assert [words for _, _, words in submission.refused] == [TOO_LARGE]


def test_nothing_is_submitted_once_the_run_was_interrupted(tried: Tried) -> None:
    away = said("sbatch: error: Batch job submission failed: Unable to contact slurm controller")
    tried.stops = True
    for error in (away, said("", code=-15)):
        tried.stopped = False
        submission = tried.submit(error, "8")
        assert (submission.accepted, submission.refused) == ([], [])
        assert tried.ends == ["8"], "sbatch was not called again"
    assert not tried.submitter.under_way
    tried.stopped = True
    assert tried.submit("8").accepted == []
    assert tried.ends == ["8"]


@pytest.mark.parametrize(("in_queue", "followed"), [("7", ["7"]), (None, [])])
def test_an_sbatch_that_the_interrupt_ended_with_a_code_of_its_own_has_refused_nothing(
    tried: Tried, in_queue: str | None, followed: list[str]
) -> None:
    """A site's own sbatch is a script that Ctrl-C ends too, and what it called may have submitted."""
    tried.stops, tried.in_queue = True, lambda: in_queue
    submission = tried.submit(said("KeyboardInterrupt", code=1), "8")
    assert [live.job_id for _, live in submission.accepted] == followed
    assert submission.refused == []
    assert tried.ends == ["8"], "sbatch was not called again"


def test_a_batch_of_which_slurm_never_said_whether_it_took_it_is_kept_in_mind_until_that_is_known(
    tried: Tried,
) -> None:
    def no_answer() -> str | None:
        raise slurm.SlurmUnavailable("no answer")

    tried.in_queue = no_answer
    for _ in range(2):
        tried.submit(killed(), "8", members=2)
        assert list(tried.submitter.unclear) == ["key", "key1"]
    tried.submitter.are_known(["key"])
    assert list(tried.submitter.unclear) == ["key1"]


def test_what_slurm_took_although_the_interrupt_ended_sbatch_is_known(tried: Tried) -> None:
    tried.stops = True
    tried.in_queue = lambda: "7"
    ((_, live),) = tried.submit(said("", code=-15), "8").accepted
    assert live.job_id == "7"


def test_a_slurm_that_is_away_is_waited_for_only_shortly_after_an_interrupt(tried: Tried) -> None:
    def no_answer() -> str | None:
        raise slurm.SlurmUnavailable("no answer")

    tried.settings.patience = 10
    tried.in_queue, tried.stops = no_answer, True
    began = time.monotonic()
    submission = tried.submit(said("", code=-15), "8")
    assert time.monotonic() - began < 5
    assert submission.unclear
    assert [entry.key for entry in tried.submitter.under_way] == ["key"], "who cancels asks for it once more"


def test_a_batch_of_which_slurm_shows_some_jobs_is_asked_for_until_all_are_seen(tried: Tried) -> None:
    members = [
        Prepared(None, Label("a", {}, (key,), None), key, Request(), True, "true", ("/bin/sh", "-c"))
        for key in ("one", "two")
    ]
    shown = iter(["7_0", None, "7_0", None, "7_0", "7_1"])
    tried.in_queue = lambda: next(shown)
    tried.settings.patience = 60
    tried.ends = [killed()]
    submission = tried.submitter.submit(Request(), members, ["true", "true"])
    assert [live.job_id for _, live in submission.accepted] == ["7_0", "7_1"]


def test_a_batch_of_which_the_folder_cannot_be_read_for_a_moment_is_asked_for_again(tried: Tried) -> None:
    tried.settings.patience = 20
    answers: list[Any] = [OSError(errno.ESTALE, "Stale file handle"), "55"]
    tried.in_queue = lambda: answers.pop(0)
    submission = tried.submit(said("sbatch: error: Unable to contact slurm controller (connect failure)"))
    assert [live.job_id for _, live in submission.accepted] == ["55"]
    assert len(tried.folders) == 1, "it is not submitted twice"
