"""Slurm: whether its commands answer, and whether its partitions have what a study's jobs ask for."""

from __future__ import annotations

import os
import re
import shlex
from collections.abc import Sequence
from dataclasses import dataclass, field

from seatrial.doctor.check import Check, Topic
from seatrial.doctor.command import Answer, ask, there
from seatrial.doctor.needs import Needs, Request
from seatrial.doctor.partitions import SINFO_FORMAT, Node, Partition, read_partitions

TOPIC = Topic("slurm")
COMMANDS = ("sinfo", "sbatch", "srun", "squeue", "sacct", "scancel", "scontrol")
"""What the executor and its ranks call."""
MOST_TRIED = 8
"""Requests that sbatch is asked about."""


@dataclass(frozen=True)
class Slurm:
    """What Slurm said; `answers` False: nothing of it is known."""

    answers: bool = False
    partitions: Sequence[Partition] = ()
    checks: Sequence[Check] = field(default=())

    def partition_of(self, request: Request) -> list[Partition]:
        """Those that the request names, else the default one."""
        names = str(request["slurm_partition"] or "").split(",")
        return [p for p in self.partitions if (p.name in names if names != [""] else p.is_default)]


def look(needs: Needs, seconds: float) -> Slurm:
    """Ask Slurm what it is; where its controller does not answer, nothing else is asked of it."""
    missing = [name for name in COMMANDS if there(name) is None]
    if missing:
        return Slurm(checks=[_commands_missing(missing, needs)])
    commands = TOPIC.ok("commands", f"{', '.join(COMMANDS)} are on PATH")
    config = ask_slurm(["scontrol", "show", "config"], seconds)
    if not config.fine:
        return Slurm(checks=[commands, _no_controller(config, needs)])
    checks = [commands, _cluster(config), _accounting(seconds), _arrays(config, needs)]
    shown = ask_slurm(["scontrol", "show", "partition", "--oneliner"], seconds)
    listed = ask_slurm(["sinfo", "--noheader", "--Node", f"--format={SINFO_FORMAT}"], seconds)
    wrong = next((answer for answer in (shown, listed) if not answer.fine), None)
    if wrong is not None:
        checks.append(
            TOPIC.lacks("partitions", wrong.why, f"run `{shlex.join(wrong.words)}` and mend what it says")
        )
        return Slurm(True, (), checks)
    partitions = read_partitions(shown.out, listed.out)
    checks += [partition_check(one) for one in partitions]
    return Slurm(True, partitions, checks)


def ask_slurm(words: Sequence[str], seconds: float) -> Answer:
    """Ask a command of Slurm as from outside of any allocation: a job's own variables would bend the answer."""
    hidden = ("SLURM_", "SLURMD_", "SBATCH_", "SRUN_", "SUBMITIT_", "PMI")
    kept = ("SLURM_CONF", "SLURM_CLUSTERS")
    outside = {name: value for name, value in os.environ.items() if name in kept or not name.startswith(hidden)}
    return ask(words, seconds, outside)


def requests_check(slurm: Slurm, needs: Needs, seconds: float) -> list[Check]:
    """What the study's jobs ask for, against the partitions, and by the scheduler's own word."""
    checks: list[Check] = []
    for request in needs.requests:
        found = slurm.partition_of(request)
        checks += [fits(request, one) for one in found] or [_no_partition(request, slurm)]
    for request in needs.requests[:MOST_TRIED]:
        checks.append(_tried(request, seconds))
    if len(needs.requests) > MOST_TRIED:
        left = len(needs.requests) - MOST_TRIED
        checks.append(
            TOPIC.not_checked("sbatch", f"{left} more kinds of jobs were not tried with sbatch --test-only")
        )
    return checks


def fits(request: Request, partition: Partition) -> Check:
    """Whether the partition has enough nodes that are up and large enough, and enough time."""
    name = f"partition {partition.name} for {request.whose}"
    if partition.state != "UP":
        return TOPIC.lacks(name, f"its state is {partition.state}", _other_partition(partition))
    large = [node for node in partition.nodes if _holds(node, request)]
    usable = [node for node in large if node.works]
    saw = f"{len(usable)} node(s) that work and are large enough, for {request.in_words()}"
    if partition.most_nodes is not None and request.nodes > partition.most_nodes:
        return TOPIC.lacks(name, f"a job may have {partition.most_nodes} node(s): {saw}", _fewer(request))
    if len(large) < request.nodes:
        return TOPIC.lacks(name, f"{saw}; {_sizes(partition.nodes)}", _fewer(request))
    if len(usable) < request.nodes:
        down = ", ".join(f"{node.name} ({node.state})" for node in large if not node.works)
        return TOPIC.lacks(name, f"{saw}; out of service: {down}", "ask the operators to bring the nodes back")
    if partition.minutes is not None and int(request["runtime"]) > partition.minutes:
        saw = f"its time limit is {partition.minutes} min, for {request.in_words()}"
        return TOPIC.lacks(name, saw, "a lower workload.time_limit_minutes, or a partition with a longer limit")
    return TOPIC.ok(name, saw)


def partition_check(partition: Partition) -> Check:
    """What a partition is, by itself."""
    working = sum(node.works for node in partition.nodes)
    limit = "no time limit" if partition.minutes is None else f"at most {partition.minutes} min"
    default = "the default, " if partition.is_default else ""
    saw = f"{default}{partition.state}, {working} of {len(partition.nodes)} nodes work, {limit}; "
    saw += _sizes(partition.nodes)
    name = f"partition {partition.name}"
    if partition.state == "UP" and working:
        return TOPIC.ok(name, saw)
    return TOPIC.warning(name, saw, "no job starts there: ask the operators, or use another partition")


def sbatch_words(request: Request) -> list[str]:
    """The options of sbatch that the executor sets for a request, but for its files and names."""
    words = [f"--nodes={request.nodes}", f"--ntasks-per-node={request['tasks_per_node']}"]
    words += [f"--cpus-per-task={request['cpus_per_task'] or 1}", f"--time={request['runtime']}"]
    return words + place_words(request)


def place_words(request: Request) -> list[str]:
    """Where a job goes and what it gets of each node."""
    words = [f"--mem={request['mem_mb']}M"] if request["mem_mb"] else []
    words += [f"--gres={request['gres']}"] if request["gres"] else []
    words += [f"--gpus-per-node={request.gpus_per_node}"] if request["gpus"] else []
    options = {"slurm_account": "account", "slurm_partition": "partition"}
    for name in ("slurm_account", "slurm_partition", "qos", "constraint", "reservation", "exclude"):
        words += [f"--{options.get(name, name)}={request[name]}"] if request[name] else []
    return words + shlex.split(str(request["slurm_extra"] or ""))


def _tried(request: Request, seconds: float) -> Check:
    """sbatch --test-only: the scheduler's own word on accounts, QOS, constraints and sizes; submits nothing."""
    words = ["sbatch", "--test-only", *sbatch_words(request), "--wrap=true"]
    answer = ask_slurm(words, seconds)
    name = f"sbatch for {request.whose}"
    # with --test-only sbatch prints what it found to standard error
    if answer.fine:
        return TOPIC.ok(name, answer.why)
    if answer.code is None:
        return TOPIC.not_checked(name, answer.why, "run this again when Slurm is less busy, or with --seconds 60")
    return TOPIC.lacks(name, answer.why, f"try `{shlex.join(words)}` and mend target.launcher or target.nodes")


def _holds(node: Node, request: Request) -> bool:
    if node.cpus < request.cpus_per_node or node.memory_mb < request.memory_mb or node.gpus < request.gpus_per_node:
        return False
    # features joined by & | [] are Slurm's business: sbatch --test-only knows
    wanted = str(request["constraint"] or "")
    return not re.fullmatch(r"[\w.-]+", wanted) or wanted in node.features


def _sizes(nodes: Sequence[Node]) -> str:
    """'4 nodes of 4 CPUs, 2 GPUs, 16000 MB' for each size."""
    sizes: dict[tuple[int, int, int], int] = {}
    for node in nodes:
        size = (node.cpus, node.gpus, node.memory_mb)
        sizes[size] = sizes.get(size, 0) + 1
    words = [f"{n} of {cpus} CPUs, {gpus} GPUs, {mb} MB" for (cpus, gpus, mb), n in sorted(sizes.items())]
    return f"nodes: {'; '.join(words) or 'none'}"


def _commands_missing(missing: Sequence[str], needs: Needs) -> Check:
    found = f"not on PATH: {', '.join(missing)}"
    if not needs.targets:
        return TOPIC.not_checked("commands", found, "nothing, for studies on this machine alone")
    if needs.here:
        return TOPIC.not_checked("commands", f"{found}; what runs on this machine needs none")
    if needs.nodes == 1:
        do = "on the node itself run the study with `snakemake --profile local`; else run this where sbatch is"
        return TOPIC.warning("commands", found, do)
    return TOPIC.lacks(
        "commands", found, "run this on a login node of the cluster, or install Slurm's client commands"
    )


def _no_controller(answer: Answer, needs: Needs) -> Check:
    if not needs.targets or needs.here:
        return TOPIC.not_checked("slurmctld", f"{answer.why}; what runs on this machine needs none")
    do = "see that slurmctld runs and /etc/slurm/slurm.conf (or SLURM_CONF) names it; `scontrol ping` asks it"
    return TOPIC.lacks("slurmctld", answer.why, do)


def _cluster(config: Answer) -> Check:
    return TOPIC.ok(
        "slurmctld", f"cluster {_setting(config, 'ClusterName')}, Slurm {_setting(config, 'SLURM_VERSION')} answers"
    )


def _accounting(seconds: float) -> Check:
    answer = ask(
        ["sacct", "--allocations", "--noheader", "--parsable2", "--format=JobID", "--starttime=now"], seconds
    )
    if answer.fine:
        return TOPIC.ok("sacct", "accounting (slurmdbd) answers")
    do = (
        "see that slurmdbd runs and AccountingStorageType is accounting_storage/slurmdbd: without it "
        "nothing says how a job ended that died without a word"
    )
    return TOPIC.lacks("sacct", answer.why, do)


def _arrays(config: Answer, needs: Needs) -> Check:
    most = _setting(config, "MaxArraySize")
    if not most.isdigit():
        return TOPIC.not_checked("MaxArraySize", "Slurm does not say")
    jobs = f"; the study has {needs.jobs} job(s)" if needs.jobs else ""
    return TOPIC.ok("MaxArraySize", f"{most}: jobs that ask the same go in arrays of at most so many{jobs}")


def _setting(config: Answer, name: str) -> str:
    found = re.search(rf"^{name}\s*=\s*(\S+)", config.out, re.MULTILINE)
    return found.group(1) if found else "unknown"


def _no_partition(request: Request, slurm: Slurm) -> Check:
    there_are = ", ".join(one.name for one in slurm.partitions) or "none"
    named = request["slurm_partition"]
    saw = f"there is no partition {named}" if named else "no partition is the default, and the target names none"
    do = f"set target.launcher.partition to one of: {there_are}"
    return TOPIC.lacks(f"partition {named or '(default)'} for {request.whose}", saw, do)


def _other_partition(partition: Partition) -> str:
    return f"ask the operators for {partition.name}, or set target.launcher.partition to another"


def _fewer(request: Request) -> str:
    less = f"target.nodes below {request.nodes}" if request.nodes > 1 else "less of a node"
    return f"{less}, or another target.launcher.partition"
