"""From a job's resources to what is asked of submitit. Pure: nothing is submitted or read here.

Resource names are those of snakemake-executor-plugin-slurm: slurm_account, slurm_partition, runtime (minutes),
mem_mb (of a node), mem_mb_per_cpu, cpus_per_task (else threads), nodes, tasks (of the job), tasks_per_node, gpu,
gpu_model, gres, constraint, qos, reservation, mpi, slurm_extra. Besides them: gpus (the same as gpu), exclude,
nodelist, exclusive, container_image, container_mounts, container_workdir, container_runtime.

`gpu` is the total of the job, as there; it is spread evenly over the nodes and, unlike there, never changes how
often the command starts.
"""

import re
import shlex
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from .containers import Container, container_from_resources
from .mistakes import WrongResource

# The Python that starts the command needs this much for itself; a job that asks for less would be killed by it.
LEAST_MB_PER_TASK = 100

_PASSED_ON = ("constraint", "qos", "reservation", "exclude", "nodelist")
_SHORT_OPTIONS = {"A": "account", "C": "constraint", "p": "partition", "q": "qos", "w": "nodelist", "x": "exclude"}
_RESERVED = {"array", "error", "job-name", "nodes", "ntasks", "ntasks-per-node", "open-mode", "output", "wrap"}
_GPU_COUNT = re.compile(r"(?:(?P<model>[A-Za-z0-9_.-]+):)?(?P<count>\d+)")


@dataclass(frozen=True)
class Request:
    """Everything about a job that Slurm must know: jobs with equal requests can share an array."""

    nodes: int = 1
    tasks_per_node: int = 1
    cpus_per_task: int = 1
    minutes: int | None = None
    mem_mb: int | None = None
    mem_mb_per_cpu: int | None = None
    gpus_per_node: int = 0
    gpu_model: str | None = None
    gres: str | None = None
    account: str | None = None
    partition: str | None = None
    exclusive: bool | str | None = None
    options: tuple[tuple[str, str | bool], ...] = ()
    container: Container | None = None
    once: bool = False

    @property
    def ranks(self) -> int:
        """How often the command starts: once per task, or once where it starts its tasks by itself."""
        return 1 if self.once else self.nodes * self.tasks_per_node

    @property
    def has_gpus(self) -> bool:
        """Whether the job asks for GPUs in any form."""
        return self.gpus_per_node > 0 or "gpu" in (self.gres or "")

    def signal_delay(self, setting: int) -> int:
        """Seconds before the time limit at which the command is warned; `setting` 0 means by the limit."""
        if setting:
            return setting
        return 60 if self.minutes is None else min(60, max(2, self.minutes * 60 // 20))


def _whole(resources: Any, name: str, rule: str, least: int = 1) -> int | None:
    value = resources.get(name)
    if value is None:
        return None
    text = str(value).strip()
    if isinstance(value, bool) or not re.fullmatch(r"\d+", text) or int(text) < least:
        raise WrongResource(f"rule {rule}: resource {name}={value!r} must be a whole number of at least {least}")
    return int(text)


def _text(resources: Any, name: str) -> str | None:
    value = resources.get(name)
    return None if value is None or str(value) == "" else str(value)


def _layout(resources: Any, rule: str) -> tuple[int, int]:
    """Nodes and tasks per node; `tasks` alone is the total of the job."""
    nodes = _whole(resources, "nodes", rule) or 1
    tasks = _whole(resources, "tasks", rule)
    per_node = _whole(resources, "tasks_per_node", rule)
    if tasks is None:
        return nodes, per_node or 1
    if per_node is not None and tasks != nodes * per_node:
        raise WrongResource(
            f"rule {rule}: resources tasks={tasks}, nodes={nodes} and tasks_per_node={per_node} contradict "
            "each other; tasks is the total of the job, leave one of them out"
        )
    if tasks % nodes:
        raise WrongResource(
            f"rule {rule}: resource tasks={tasks} cannot be divided over nodes={nodes}; "
            "tasks is the total of the job and must be a multiple of nodes"
        )
    return nodes, tasks // nodes


def _gpus(resources: Any, nodes: int, rule: str) -> tuple[int, str | None]:
    """GPUs per node and their model, from `gpu` or `gpus` (2, "2" or "a100:2") and `gpu_model`."""
    asked = {name: resources.get(name) for name in ("gpu", "gpus") if resources.get(name) not in (None, "")}
    model = _text(resources, "gpu_model")
    if len({str(value) for value in asked.values()}) > 1:
        raise WrongResource(f"rule {rule}: resources gpu={asked['gpu']!r} and gpus={asked['gpus']!r} differ")
    if not asked:
        if model:
            raise WrongResource(f"rule {rule}: resource gpu_model={model!r} is given without gpu")
        return 0, None
    name, value = next(iter(asked.items()))
    match = _GPU_COUNT.fullmatch(str(value).strip())
    if match is None or isinstance(value, bool):
        raise WrongResource(f"rule {rule}: resource {name}={value!r} must be a number of GPUs, or MODEL:NUMBER")
    count = int(match["count"])
    if model and match["model"] and model != match["model"]:
        raise WrongResource(f"rule {rule}: resources {name}={value!r} and gpu_model={model!r} differ")
    if count and resources.get("gres"):
        raise WrongResource(f"rule {rule}: resources {name} and gres are both given; use one of them")
    if count % nodes:
        raise WrongResource(
            f"rule {rule}: resource {name}={value!r} is the total of the job and cannot be divided "
            f"over nodes={nodes}"
        )
    return count // nodes, model or match["model"]


def _extra_options(text: str | None, rule: str) -> tuple[tuple[str, str | bool], ...]:
    """`slurm_extra`, sbatch options in one string, as pairs of long option and value."""
    try:
        words = shlex.split(text or "")
        if len(words) == 1 and " " in words[0]:  # quoted twice, as that plugin's documentation shows it
            words = shlex.split(words[0])
    except ValueError as problem:
        raise WrongResource(f"rule {rule}: resource slurm_extra={text!r}: {problem}") from problem
    found: list[tuple[str, str | bool]] = []
    while words:
        word = words.pop(0)
        if word.startswith("--"):
            name, has_value, value = word[2:].partition("=")
        elif re.match(r"-[A-Za-z]", word) and word[1] in _SHORT_OPTIONS:
            name, value = _SHORT_OPTIONS[word[1]], word[2:]
            has_value = value
        else:
            raise WrongResource(
                f"rule {rule}: resource slurm_extra={text!r}: {word!r} is not an option that can be passed on; "
                f"write long options (--name=value), or one of -{' -'.join(_SHORT_OPTIONS)}"
            )
        if not has_value and words and not words[0].startswith("-"):
            has_value, value = "=", words.pop(0)
        if not re.fullmatch(r"[a-z][a-z0-9-]*", name):
            raise WrongResource(f"rule {rule}: resource slurm_extra={text!r}: --{name} is no option of sbatch")
        if name in _RESERVED:
            raise WrongResource(
                f"rule {rule}: resource slurm_extra={text!r}: --{name} is set by the executor itself"
            )
        found.append((name, value if has_value else True))
    return tuple(found)


def _with_one_exclude(options: Sequence[tuple[str, str | bool]], rule: str) -> tuple[tuple[str, str | bool], ...]:
    """The options, where every node that `exclude` and any --exclude of slurm_extra name is excluded."""
    asked = [str(value) for name, value in options if name == "exclude" and value is not True]
    if len(asked) < 2:
        return tuple(options)
    if files := [text for text in asked if "/" in text]:
        raise WrongResource(
            f"rule {rule}: exclude={files[0]!r} is a file, and other nodes are excluded too "
            f"({', '.join(text for text in asked if text not in files)}); name all nodes in one place"
        )
    return (*(pair for pair in options if pair[0] != "exclude"), ("exclude", ",".join(dict.fromkeys(asked))))


def request_from_resources(resources: Any, threads: int, rule: str, once: bool) -> Request:
    """What a job asks for.

    `resources` is a mapping (with `get`) of Snakemake's resource names to values. `once` says that the command
    must not be started per task (nested Snakemake); a job with `mpi` starts its own tasks and is run once too.
    Raises WrongResource, naming rule, resource and value, where resources are wrong or contradict each other.
    """
    nodes, tasks_per_node = _layout(resources, rule)
    gpus_per_node, gpu_model = _gpus(resources, nodes, rule)
    mem_mb = _whole(resources, "mem_mb", rule, least=0)
    per_cpu = _whole(resources, "mem_mb_per_cpu", rule)
    options = [(name, text) for name in _PASSED_ON if (text := _text(resources, name)) is not None]
    exclusive = resources.get("exclusive")
    return Request(
        nodes=nodes,
        tasks_per_node=tasks_per_node,
        cpus_per_task=_whole(resources, "cpus_per_task", rule) or max(1, int(threads)),
        minutes=_whole(resources, "runtime", rule),
        # --mem=0 means the whole node and is left alone
        mem_mb=max(mem_mb, LEAST_MB_PER_TASK * tasks_per_node) if mem_mb and not per_cpu else mem_mb,
        mem_mb_per_cpu=per_cpu,
        gpus_per_node=gpus_per_node,
        gpu_model=gpu_model,
        gres=_text(resources, "gres"),
        account=_text(resources, "slurm_account"),
        partition=_text(resources, "slurm_partition"),
        exclusive=exclusive if isinstance(exclusive, str | bool) else bool(exclusive),
        options=_with_one_exclude([*options, *_extra_options(_text(resources, "slurm_extra"), rule)], rule),
        container=container_from_resources(resources, rule),
        once=once or bool(resources.get("mpi")),
    )


def slurm_parameters(request: Request, name: str, comment: str, parallel: int, delay: int) -> dict[str, Any]:
    """Parameters for submitit's SlurmExecutor (its names: those of sbatch with underscores).

    `parallel` is how many jobs of an array may run at a time, `delay` the seconds before the time limit at
    which Slurm sends USR2.
    """
    additional: dict[str, str | bool] = {
        # a requeued job would run beside the one that Snakemake submits in its place
        "no-requeue": True,
        **dict(request.options),
    }
    if additional.get("requeue"):
        del additional["no-requeue"]
    gpus: str | None = None
    if request.gpus_per_node:
        prefix = f"{request.gpu_model}:" if request.gpu_model else ""
        gpus = f"{prefix}{request.gpus_per_node}"
    # since Slurm 22.05 srun no longer takes the number of CPUs per task from the job
    srun = [f"--cpus-per-task={request.cpus_per_task}", "--kill-on-bad-exit=1"]
    if request.container:
        srun += request.container.srun_arguments()
    # a job of one rank always takes srun, so that signals reach it as they reach any other rank
    single = request.once and request.nodes * request.tasks_per_node > 1
    parameters = {
        "job_name": name,
        "comment": comment,
        "time": request.minutes,
        "nodes": request.nodes,
        "ntasks_per_node": request.tasks_per_node,
        "cpus_per_task": request.cpus_per_task,
        "mem": None if request.mem_mb is None or request.mem_mb_per_cpu else f"{request.mem_mb}M",
        "mem_per_cpu": f"{request.mem_mb_per_cpu}M" if request.mem_mb_per_cpu else None,
        "gpus_per_node": gpus,
        "gres": request.gres,
        "account": request.account,
        "partition": request.partition,
        "exclusive": request.exclusive or None,
        "array_parallelism": parallel,
        "signal_delay_s": delay,
        "additional_parameters": additional,
        "srun_args": srun,
        "use_srun": not single,
    }
    _refuse_more_than_words(parameters, comment)
    return parameters


def _refuse_more_than_words(parameters: dict[str, Any], rule: str) -> None:
    """Raise WrongResource for a value that would not stay one word of the script that submitit writes.

    That is a line `#SBATCH --name='value'`: what follows a line break in it would be a command of the script.
    Slurm has rules of its own for quotes in such a line; srun's arguments go through the shell, well quoted.
    """
    options = {**parameters, **parameters["additional_parameters"]}
    for name, value in options.items():
        if isinstance(value, str) and (not value.isprintable() or set(value) & set("'\"\\")):
            raise WrongResource(
                f"rule {rule!r}: {name}={value!r} is no word for sbatch: quotes, backslashes, line breaks and "
                "control characters cannot stand in it"
            )
    for word in parameters["srun_args"]:
        if not word.isprintable():
            raise WrongResource(f"rule {rule!r}: {word!r} is no word for srun: it has more than one line")


def local_parameters(request: Request, rule: str, delay: int) -> dict[str, Any]:
    """Parameters for submitit's LocalExecutor; WrongResource where one machine cannot do what is asked."""
    if request.nodes != 1:
        raise WrongResource(
            f"rule {rule}: resource nodes={request.nodes}: the local executor has one node; "
            "ask for nodes=1 or choose --submitit-cluster slurm"
        )
    if request.container and request.container.runtime == "pyxis":
        raise WrongResource(
            f"rule {rule}: resource container_runtime='pyxis' needs Slurm; the local executor takes apptainer"
        )
    year = 366 * 24 * 60  # the local executor always has a limit; without `runtime` there shall be none
    return {
        "nodes": 1,
        "tasks_per_node": request.ranks,
        "gpus_per_node": request.gpus_per_node,
        "timeout_min": request.minutes or year,
        "signal_delay_s": delay,
    }
