"""Jobs of the local executor are processes: whether one is alive, and ending it with all its children.

A process is ours only if its command line names the folder of its submission: numbers are used again.
"""

import os
import socket
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


def members(job_id: str, folder: Path) -> list[psutil.Process]:
    """Every process of a local job but its controller, also those that have left its process groups.

    They carry the job's id and folder in their environment, as submitit gave them to its tasks.
    """
    found = []
    for process in psutil.process_iter():
        try:
            environment = process.environ()
        except (psutil.NoSuchProcess, psutil.AccessDenied, psutil.ZombieProcess):
            continue
        if (
            environment.get("SUBMITIT_LOCAL_JOB_ID") == job_id
            and environment.get("SUBMITIT_FOLDER", str(folder)) == str(folder)
            and process.pid != os.getpid()
        ):
            found.append(process)
    return found


def end_job(job_id: str, folder: Path) -> None:
    """End a local job: SIGTERM to its controller, which hands it on, and SIGKILL to whatever is left."""
    process = controller(job_id, folder)
    if process is not None:
        try:
            process.terminate()
        except psutil.NoSuchProcess:
            process = None
    psutil.wait_procs([*([process] if process else []), *members(job_id, folder)], timeout=_GRACE_SECONDS)
    process = controller(job_id, folder)
    left = [*([process] if process else []), *members(job_id, folder)]
    for each in left:
        try:
            each.kill()
        except psutil.NoSuchProcess:
            continue
    psutil.wait_procs(left, timeout=_GRACE_SECONDS)


def end_calls_of_sbatch() -> None:
    """End what this process has called of sbatch, which may try for minutes; Slurm may have taken the jobs."""
    for process in psutil.Process().children():
        try:
            if process.name() == "sbatch":
                process.terminate()
        except psutil.NoSuchProcess:
            continue
