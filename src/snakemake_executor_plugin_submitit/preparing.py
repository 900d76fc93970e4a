"""What is known of a Snakemake job before it is submitted, and what Snakemake does before a command starts."""

import sys
from collections.abc import Mapping, Sequence
from typing import Any

from snakemake.exceptions import RuleException
from snakemake_interface_common.exceptions import WorkflowError

from .jobs import Label, Prepared, key_of, native_command, runs_natively
from .mistakes import WrongResource
from .submission import request_from_resources

# protected outputs are a RuleException, which is no WorkflowError; what it looks up side by side comes as a group
_WRONG_WITH_A_JOB = (WorkflowError, RuleException, OSError, ExceptionGroup)


def describe(job: Any, label: Label, workflow: Any, cluster: str, limits: Mapping[str, int]) -> Prepared:
    """A job with what it asks for. Raises WrongResource where its resources are wrong, or not for this cluster."""
    shellcmd = job.shellcmd if not job.is_group() and job.is_shell else None
    native = runs_natively(job, workflow, shellcmd)
    request = request_from_resources(job.resources, job.threads, label.rule, once=not native)
    if cluster == "debug" and request.nodes * request.tasks_per_node > 1:
        raise WrongResource(f"rule {label.rule}: the debug executor runs one task; ask for tasks=1, nodes=1")
    command, shell = native_command(job, shellcmd) if native and shellcmd is not None else ("", ("/bin/sh", "-c"))
    holds = {name: int(job.scheduler_resources.get(name, 0)) for name in limits if name != "_nodes"}
    return Prepared(job, label, key_of(label), request, native, command, shell, holds=holds)


def limits_of(workflow: Any) -> dict[str, int]:
    """What may be taken at a time, by Snakemake's names of resources; `_nodes` is the number of jobs."""
    found = workflow.scheduler.global_resources.items()
    return {name: most for name, most in found if name not in ("_cores", "_job_count") and most < sys.maxsize}


def is_forced(job: Any, dag: Any) -> bool:
    """Whether the user asked for a job by name (--forcerun)."""
    return any(dag.reason(member).forced for member in (job.jobs if job.is_group() else [job]))


def make_ready(fresh: Sequence[Prepared], workflow: Any) -> dict[int, Exception]:
    """Do what Snakemake does before a command starts (a nested one does it itself); where it could not, and why."""
    refused: dict[int, Exception] = {}

    async def prepare() -> None:
        for number, prepared in enumerate(fresh):
            try:
                if prepared.native:
                    await prepared.job.prepare()
            except _WRONG_WITH_A_JOB as error:
                refused[number] = error

    if any(prepared.native for prepared in fresh):
        workflow.async_run(prepare())  # once for all: each time takes as long as the preparing
    return refused
