"""The one place where jobs are submitted, through submitit, and where submissions are found again.

Each batch has a folder of its own, made before anything is submitted: Slurm opens a job's log when it starts
the job, which may be before `sbatch` has told us the id.
"""

import os
import pwd
import re
import signal
import socket
import subprocess
import threading
from collections.abc import Collection, Iterator, Sequence
from contextlib import contextmanager, nullcontext, suppress
from pathlib import Path
from typing import Any

import submitit
from snakemake_interface_common.exceptions import WorkflowError

from . import pickles, processes, slurm
from .arrays import ArrayExecutor
from .ledger import Entry
from .payload import RankBatch, RankCommand
from .submission import Request, local_parameters, slurm_parameters

_NAME_BYTES = 100
_naming = threading.Lock()  # of pickles: threads that look for the same batch would name them twice


# What sbatch prints where the controller is away, restarting or too busy, or where munge is: nothing is wrong
# with the job. EAGAIN is sbatch's last word at MaxJobCount, which is an answer, and fork's where it is nobody's.
_NO_ANSWER = re.compile(
    r"unable to contact slurm controller|socket timed out|zero bytes were transmitted|connection refused|"
    r"communication (connection|shutdown) failure|message (send|receive) failure|"
    r"transport endpoint is not connected|controller not responding|unable to connect to|standby mode|"
    r"(?<!submission failed: )resource temporarily unavailable|"
    r"munge (encode|decode) failed|authentication (error|credential)",
    re.IGNORECASE,
)


# For limits of accounts and QOS the reason that sbatch names before its general sentence, which it prints for
# limits of size and time too; then MaxJobCount, for which it tries for two minutes; then a closed partition.
_OVER_LIMIT = re.compile(
    r"(Assoc|QOS)(Grp|Max)SubmitJob|MaxSubmitJobsPerAccount|"
    r"temporarily unable to accept job|job queue full|required partition not available",
    re.IGNORECASE,
)


class SubmissionFailed(RuntimeError):
    """submitit could not submit; the message is the cluster's."""

    @property
    def over_limit(self) -> bool:
        """Whether Slurm spoke of a limit of jobs of the user, account, QOS or partition; it may take them later."""
        return _OVER_LIMIT.search(str(self)) is not None

    @property
    def array_too_large(self) -> bool:
        """Whether Slurm takes no array with so many jobs (MaxArraySize)."""
        return self.refused and "invalid job array specification" in str(self).lower()

    @property
    def refused(self) -> bool:
        """Whether it was sbatch itself that said no, so that nothing was submitted.

        Anything else may have happened after Slurm took the batch: no answer, a signal, an output not read; also
        where sbatch spoke of a limit before, and tried again.
        """
        if isinstance(self.__cause__, OSError) and self.__cause__.filename == "sbatch":
            return True  # it could not even be started
        call = self.__cause__.__cause__ if self.__cause__ is not None else None
        ended = isinstance(call, subprocess.CalledProcessError) and call.returncode > 0
        return ended and not self.no_answer

    @property
    def no_answer(self) -> bool:
        """Whether it is the cluster that did not answer; the submission may have been taken all the same."""
        return _NO_ANSWER.search(str(self)) is not None


def which_cluster(setting: str) -> str:
    """`setting`, with auto resolved: slurm where srun is found, else local."""
    return submitit.AutoExecutor.which() if setting == "auto" else setting


def job_name(label: str, run: str, number: int, rules: Sequence[str]) -> str:
    """A name that no other user's or run's job has: it finds a batch whose id got lost.

    USER-LABEL-RUN-NUMBER-RULE, where `run` is random; `label` names the study.
    """
    rule = rules[0] if len(set(rules)) == 1 else "mixed"
    return f"{_plain(_user(), 16)}-{_plain(label, 30)}-{run}-{number}-{_plain(rule, _NAME_BYTES)}"[:_NAME_BYTES]


def named_alike(name: str, label: str) -> bool:
    """Whether a job's name says that the same user submitted it for the same workflow, in whatever run."""
    prefix = f"{_plain(_user(), 16)}-{_plain(label, 30)}-"
    return re.match(re.escape(prefix) + r"[0-9a-f]{8,}-\d+-", name) is not None


def _user() -> str:
    uid = os.geteuid()
    try:
        return pwd.getpwuid(uid).pw_name
    except KeyError:  # a container without the site's users
        return f"uid{uid}"


def _plain(text: str, length: int) -> str:
    """`text` cut short, with _ for what squeue and file names do not show as it is."""
    return re.sub(r"[^A-Za-z0-9_.]", "_", text)[:length]


def free_port() -> int:
    """A port of this machine that nobody listens on now."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port


@contextmanager
def _interrupts_left_to_us() -> Iterator[None]:
    """Let processes that are started meanwhile ignore Ctrl-C: submitit's local controller would print a traceback.

    Its ranks do take SIGINT, and Snakemake's interrupt ends the controller.
    """
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    before = signal.signal(signal.SIGINT, signal.SIG_IGN)
    try:
        yield
    finally:
        signal.signal(signal.SIGINT, before)


def submit(
    cluster: str,
    folder: Path,
    request: Request,
    commands: Sequence[RankCommand],
    name: str,
    rule: str,
    parallel: int,
    delay: int,
) -> list[submitit.Job[Any]]:
    """Submit commands with equal requests: one array on Slurm. submitit's jobs, in the same order.

    Raises SubmissionFailed with the cluster's own words; WorkflowError for what the cluster cannot do.
    """
    executor: submitit.Executor
    if cluster == "debug":
        executor = submitit.DebugExecutor(folder)
    elif cluster == "local":
        executor = submitit.LocalExecutor(folder)
        executor.update_parameters(**local_parameters(request, rule, delay))
    else:
        # a line of the script names it, and Slurm reads % in it as a pattern
        if not str(folder).isprintable() or set(str(folder)) & set("'\"\\%"):
            raise WorkflowError(
                f"--submitit-folder: {str(folder)!r} is no path for sbatch: quotes, backslashes, %, line breaks "
                "and control characters cannot stand in it"
            )
        executor = ArrayExecutor(folder)
        executor.update_parameters(**slurm_parameters(request, name, rule, parallel, delay))
    try:
        with _interrupts_left_to_us() if cluster == "local" else nullcontext():
            return executor.submit_array(list(commands))
    except (submitit.core.utils.FailedJobError, submitit.core.utils.FailedSubmissionError, OSError) as error:
        raise SubmissionFailed(str(error)) from error


def _submitted(folder: Path) -> dict[int, str]:
    """Job ids by place in the batch, from the pickles that submitit has named after their jobs."""
    found = {}
    for path in folder.glob("*_submitted.pkl"):
        job_id = path.name.removesuffix("_submitted.pkl")
        of_array = re.fullmatch(r"\d+_(\d+)", job_id, re.ASCII)
        if of_array is not None:
            found[int(of_array[1])] = job_id
        elif isinstance(command := _command(path), RankCommand):
            found[command.index] = job_id
    return found


def _unnamed(folder: Path, named: Collection[int]) -> dict[int, Path]:
    """Pickles without a job's name, by place in the batch; where all jobs share one, its names in any order."""
    paths = [path for path in folder.glob("*.pkl") if not path.name.endswith(("_submitted.pkl", "_result.pkl"))]
    found = {}
    for number, path in enumerate(paths):
        command = _command(path)
        if isinstance(command, RankBatch):
            free = [index for index in range(len(command.commands)) if index not in named]
            return dict(zip(free, paths[number:], strict=False))
        if command is not None:
            found[command.index] = path
    return found


def _command(path: Path) -> RankCommand | RankBatch | None:
    try:
        submission = pickles.load(path)
    except (OSError, pickles.NoPickle):
        return None
    command = getattr(submission, "function", None)
    return command if isinstance(command, RankCommand | RankBatch) else None


def find_all_lost(
    entries: Sequence[Entry], timeout: float, fresh: bool = False
) -> list[str | WorkflowError | OSError | None]:
    """The job ids of submissions of which only the intent was written down, in order; Slurm is asked once a batch.

    Snakemake may have been killed after the cluster took the batch and before submitit had given every pickle
    its job's name: then this is done here, in time for jobs that wait for their pickle (they do for a minute).
    `fresh` says that it was submitted just now, which the queue alone can tell.
    The answer for a batch whose folder is not safely ours or cannot be read is why; the others are found.
    Raises SlurmUnavailable where Slurm has to be asked and does not answer.
    """
    batches: dict[tuple[str, str], list[Entry]] = {}
    for entry in entries:
        batches.setdefault((entry.folder, entry.name), []).append(entry)
    found: dict[tuple[str, int], str | WorkflowError | OSError] = {}
    for members in batches.values():
        try:
            ids = _lost_of(members, timeout, fresh)
            found |= {(entry.folder, entry.index): ids[entry.index] for entry in members if entry.index in ids}
        except (WorkflowError, OSError) as error:
            found |= {(entry.folder, entry.index): error for entry in members}
    return [found.get((entry.folder, entry.index)) for entry in entries]


def _lost_of(members: Sequence[Entry], timeout: float, fresh: bool) -> dict[int, str]:
    """Job ids by place of the members of one batch."""
    entry = members[0]
    folder = Path(entry.folder)
    found = _submitted(folder)
    missing = {member.index for member in members} - found.keys()
    if not missing:
        return found
    unnamed = _unnamed(folder, found)
    if not missing & unnamed.keys():
        return found
    ids = []
    if entry.cluster != "local":
        ids = sorted(slurm.ids_by_name(entry.name, timeout, fresh), key=int)
    with _naming:
        found = _submitted(folder)
        if entry.cluster == "local":
            taken = set(found.values())
            ids = [str(pid) for pid in processes.controllers_of(folder) if str(pid) not in taken]
        for index, path in _unnamed(folder, found).items() if ids else ():
            job_id = ids[0] if entry.cluster == "local" or entry.size == 1 else f"{ids[0]}_{index}"
            with suppress(FileNotFoundError):  # submitit itself may do it now
                path.rename(folder / f"{job_id}_submitted.pkl")
            if entry.cluster == "local":
                break
        return _submitted(folder)


def forget_unsubmitted(folder: Path) -> None:
    """Remove the pickles of submissions that the cluster did not take, before they are submitted anew."""
    for path in folder.glob("*.pkl"):
        if not path.name.endswith(("_submitted.pkl", "_result.pkl")):
            path.unlink(missing_ok=True)


def run_in_process(job: submitit.Job[Any]) -> int:
    """Run a debug job here and now; the return code of its command."""
    returncode: int = job.results()[0]["returncode"]
    return returncode


def results(folder: Path, job_id: str, ranks: int) -> list[bool]:
    """For every rank that has left a result, whether it was a success."""
    found = []
    for rank in range(ranks):
        path = folder / f"{job_id}_{rank}_result.pkl"
        try:
            result = pickles.load(path)
        except (FileNotFoundError, pickles.NoPickle):
            continue
        match result:
            case ("success", {"returncode": 0}):
                found.append(True)
            case _:
                found.append(False)
    return found
