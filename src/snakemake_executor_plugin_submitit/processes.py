"""Jobs of the local executor are processes: whether one is alive, and ending it with all its children.

A process is ours only if its command line names the folder of its submission: numbers are used again.
"""

import os
import socket
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path

import psutil

_GRACE_SECONDS = 5.0


def this_host() -> str:
    """The machine whose processes can be seen from here."""
    return socket.gethostname()


def controller(job_id: str, folder: Path) -> psutil.Process | None:
    """submitit's controller process of a local job, or None where it has gone."""
    try:
        process = psutil.Process(int(job_id))
        if process.status() != psutil.STATUS_ZOMBIE and str(folder) in process.cmdline():
            return process
    except (psutil.NoSuchProcess, psutil.AccessDenied):
        pass
    return None


def controllers_of(folder: Path) -> list[int]:
    """Process ids of the controllers that were started for a folder of submissions."""
    found = []
    for process in psutil.process_iter(["pid", "cmdline"]):
        words = process.info["cmdline"] or []
        if "submitit.local._local" in words and str(folder) in words:
            found.append(process.info["pid"])
    return sorted(found)


def members(folders: Mapping[str, Path]) -> list[psutil.Process]:
    """Every process of local jobs, given as id -> folder, but their controllers, also outside their process groups.

    They carry the job's id and folder in their environment, as submitit gave them to its tasks.
    """
    found = []
    for process in psutil.process_iter():
        try:
            environment = process.environ()
        except (psutil.NoSuchProcess, psutil.AccessDenied, psutil.ZombieProcess):
            continue
        folder = str(folders.get(environment.get("SUBMITIT_LOCAL_JOB_ID", ""), ""))
        if folder and environment.get("SUBMITIT_FOLDER", folder) == folder and process.pid != os.getpid():
            found.append(process)
    return found


def end_jobs(folders: Mapping[str, Path]) -> None:
    """End local jobs, given as id -> folder, all at once.

    SIGTERM goes to their controllers, which hand it on, and SIGKILL to whatever is left some seconds later.
    """
    for process in _controllers(folders):
        with suppress(psutil.NoSuchProcess):
            process.terminate()
    psutil.wait_procs([*_controllers(folders), *members(folders)], timeout=_GRACE_SECONDS)
    left = [*_controllers(folders), *members(folders)]
    for process in left:
        with suppress(psutil.NoSuchProcess):
            process.kill()
    psutil.wait_procs(left, timeout=_GRACE_SECONDS)


def _controllers(folders: Mapping[str, Path]) -> list[psutil.Process]:
    found = (controller(job_id, folder) for job_id, folder in folders.items())
    return [process for process in found if process is not None]


def end_calls_of_sbatch() -> None:
    """End what this process has called of sbatch, which may try for minutes; Slurm may have taken the jobs."""
    for process in _named_sbatch(psutil.Process()):
        with suppress(psutil.NoSuchProcess):
            # a site's sbatch may be a script, and the one that it calls would live on and submit
            called = _named_sbatch(process, recursive=True)
            for each in [process, *called]:
                with suppress(psutil.NoSuchProcess):
                    each.terminate()


def _named_sbatch(parent: psutil.Process, recursive: bool = False) -> list[psutil.Process]:
    found = []
    for process in parent.children(recursive=recursive):
        with suppress(psutil.NoSuchProcess):
            if process.name() == "sbatch":
                found.append(process)
    return found
