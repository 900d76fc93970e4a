"""Slurm's client commands, each with a time-out. Jobs are submitted elsewhere, by submitit alone."""

import os
import re
import subprocess
from collections.abc import Iterable, Sequence

from .status import (
    SACCT_FIELDS,
    SQUEUE_FORMAT,
    Accounting,
    Node,
    Queued,
    node_limit,
    partition_name,
    read_sacct,
    read_sinfo,
    read_squeue,
)

_IDS_PER_CALL = 500
_IDS_PER_QUESTION = 10_000  # Linux takes 128 KiB as one argument (MAX_ARG_STRLEN); an id has at most ten digits
_KEPT = ("SLURM_CONF", "SLURM_CLUSTERS")

# ESLURM_REQUESTED_NODE_CONFIG_UNAVAILABLE, ESLURM_NODE_NOT_AVAIL and ESLURM_NODES_BUSY (slurm_errno.c)
_NO_SUCH_NODES = re.compile(
    "requested node configuration is not available|required node not available|requested nodes are busy",
    re.IGNORECASE,
)


class SlurmUnavailable(RuntimeError):
    """A client command failed or did not answer in time; says nothing about any job."""


class TimedOut(SlurmUnavailable):
    """A client command did not answer in time."""


class NoAccounting(SlurmUnavailable):
    """This Slurm keeps no accounts: sacct never answers here."""


class NotCancelled(SlurmUnavailable):
    """Calls of scancel failed, or were not made: those of `ids`; `timed_out`: one did not answer in time."""

    def __init__(self, words: str, ids: Sequence[str], timed_out: bool = False) -> None:
        super().__init__(words)
        self.ids = ids
        self.timed_out = timed_out


def _run(words: Sequence[str], timeout: float, hidden: tuple[str, ...] = ()) -> str:
    """What a command prints; it does not see variables that begin with one of `hidden`."""
    env = {name: value for name, value in os.environ.items() if name in _KEPT or not name.startswith(hidden)}
    try:
        done = subprocess.run(
            words,
            capture_output=True,
            # names of other jobs may be in any encoding
            encoding="utf-8",
            errors="replace",
            timeout=timeout,
            # times without a zone are this zone's
            env={**env, "TZ": "UTC", "SLURM_TIME_FORMAT": "standard"},
            check=False,
        )
    except subprocess.TimeoutExpired as error:
        raise TimedOut(f"{words[0]} did not answer within {timeout:g} s") from error
    except OSError as error:
        raise SlurmUnavailable(f"{words[0]} could not be run: {error}") from error
    if done.returncode and "accounting storage is disabled" in done.stderr:
        raise NoAccounting(f"{words[0]}: {done.stderr.strip()}")
    if done.returncode:
        raise SlurmUnavailable(f"{words[0]}: {done.stderr.strip() or done.returncode}")
    return done.stdout


def accounting(job_ids: Iterable[str], timeout: float) -> dict[str, Accounting]:
    """One sacct call for 10,000 jobs or arrays; jobs that accounting does not know (yet) are left out.

    Each call has `timeout` seconds. Raises SlurmUnavailable where one does not answer.
    """
    roots = sorted({job_id.split("_")[0] for job_id in job_ids}, key=int)
    words = ["sacct", "--noheader", "--parsable2", f"--format={','.join(SACCT_FIELDS)}"]
    known: dict[str, Accounting] = {}
    for first in range(0, len(roots), _IDS_PER_QUESTION):
        ids = ",".join(roots[first : first + _IDS_PER_QUESTION])
        known |= read_sacct(_run([*words, f"--jobs={ids}"], timeout))
    return known


def queue(timeout: float, name: str | None = None) -> dict[str, Queued]:
    """The user's jobs, also those that ended a short while ago; with `name`, only jobs of that name.

    Raises SlurmUnavailable.
    """
    words = ["squeue", "--me", "--noheader", "--array", "--states=all", f"--format={SQUEUE_FORMAT}"]
    return read_squeue(_run([*words, *([f"--name={name}"] if name else [])], timeout))


def ids_by_name(name: str, timeout: float, queued: bool = False) -> set[str]:
    """Ids (of whole arrays, without index) of the user's jobs of a name, queued or accounted for.

    With `queued`, the queue alone is asked.

    Raises SlurmUnavailable.
    """
    found = {job_id.split("_")[0] for job_id in queue(timeout, name)}
    if queued:
        return found
    words = ["sacct", "--noheader", "--parsable2", "--allocations", "--format=JobID", "--starttime=now-30days"]
    words.append(f"--uid={os.geteuid()}")
    listed = _run([*words, f"--name={name}"], timeout)
    return found | {line.split("_")[0] for line in listed.split() if line.split("_")[0].isdigit()}


def cancel(job_ids: Iterable[str], timeout: float) -> None:
    """Cancel jobs in one call of 500 (whole arrays where all of ours are meant: pass the id without index).

    Raises NotCancelled, once all calls were made, or one was not answered in time: the others would not be either.
    A job that has ended already is no error.
    """
    ids = sorted(set(job_ids))
    left: list[str] = []
    failed: SlurmUnavailable | None = None
    for first in range(0, len(ids), _IDS_PER_CALL):
        some = ids[first : first + _IDS_PER_CALL]
        try:
            _run(["scancel", "--quiet", *some], timeout)
        except TimedOut as error:
            raise NotCancelled(str(error), [*left, *ids[first:]], timed_out=True) from error
        except SlurmUnavailable as error:
            left += some
            failed = error
    if failed is not None:
        raise NotCancelled(str(failed), left) from failed


def nodes(timeout: float) -> list[Node]:
    """Every node, once for each partition that it is in.

    Raises SlurmUnavailable.
    """
    return read_sinfo(_run(["sinfo", "--noheader", "--Node", "--format=%N|%P|%T|%f"], timeout))


def most_nodes(partitions: str, timeout: float) -> int | None:
    """The most nodes that one job can have in the widest of some partitions (NAME,NAME); None where not known.

    That is a partition's MaxNodes, and never more than all its nodes, also those that are down or not yet powered
    up. sinfo leaves those of a cloud out while they are off.

    Raises SlurmUnavailable.
    """
    names = partitions.split(",")
    words = ["scontrol", "--all", "--oneliner", "show", "partition", *(names if len(names) == 1 else [])]
    found = [node_limit(line) for line in _run(words, timeout).splitlines() if partition_name(line) in names]
    known = [limit for limit in found if limit is not None]
    return max(known) if known and len(known) == len(names) else None


def could_start(options: Iterable[str], timeout: float) -> str | None:
    """Why a job with these options of sbatch could start nowhere, in Slurm's words; None where it could.

    Asked is `sbatch --test-only`, which looks at nodes that are up, busy ones included; nothing is submitted.
    Raises SlurmUnavailable where it does not say: also where something else than nodes is in the way.
    """
    try:
        _run(["sbatch", "--test-only", *options, "--wrap=true"], timeout, hidden=("SLURM_", "SLURMD_", "SRUN_"))
    except SlurmUnavailable as error:
        if _NO_SUCH_NODES.search(str(error)) is None:
            raise
        return str(error).rpartition("allocation failure: ")[2]
    return None


def max_array_size(timeout: float) -> int | None:
    """The number of jobs that one array may have, None where Slurm does not say.

    Raises SlurmUnavailable.
    """
    for line in _run(["scontrol", "show", "config"], timeout).splitlines():
        name, _, value = line.partition("=")
        if name.strip() == "MaxArraySize" and value.strip().isdigit():
            # the highest index allowed is one less, and ours start at 0
            return max(1, int(value))
    return None
