"""What the executor needs to know of a Snakemake job: how it must be run, and what it is called."""

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path, PurePath
from typing import Any

from snakemake.shell import shell
from snakemake_interface_common.exceptions import WorkflowError
from snakemake_interface_executor_plugins.settings import DeploymentMethod, SharedFSUsage

from .ledger import job_key
from .submission import Request

_NOT_YET_KNOWN = "<TBD>"  # how Snakemake prints a resource that only the compute node can evaluate


@dataclass(frozen=True)
class Label:
    """How a job is spoken of: rule (or group), wildcards, outputs, first log."""

    rule: str
    wildcards: dict[str, str]
    outputs: tuple[str, ...]
    log: str | None
    within: tuple[str, ...] = ()
    """What jobs of a group make for one another: outputs too, but none that the group is known by."""

    def makes(self) -> list[str]:
        """All that it makes, relative to the working directory where it lies in there."""
        here = f"{Path.cwd()}".rstrip("/") + "/"
        return [str(PurePath(output)).removeprefix(here) for output in (*self.outputs, *self.within)]

    def __str__(self) -> str:
        values = ", ".join(f"{name}={value}" for name, value in self.wildcards.items())
        return f"{self.rule} ({values})" if values else self.rule


@dataclass(frozen=True)
class Prepared:
    """A job that is ready to be submitted."""

    job: Any
    label: Label
    key: str
    request: Request
    native: bool
    command: str
    shell: tuple[str, ...]
    timeouts_left: int = 0
    """How often it is submitted again should it reach its time limit now."""
    holds: Mapping[str, int] = field(default_factory=dict)
    """What it takes of Snakemake's limited resources while it waits or runs."""

    @property
    def fingerprint(self) -> str | None:
        """What must be equal for a job of an earlier run to count as this one; None: not to be compared.

        The command of a nested Snakemake names temporary files of the Snakemake that made it.
        """
        if not self.native:
            return None
        words = f"{self.request.nodes} {self.request.tasks_per_node} {self.command}"
        return hashlib.sha256(words.encode()).hexdigest()


def label_of(job: Any) -> Label:
    """The label of a job or group job."""
    wildcards = {} if job.is_group() else {name: str(value) for name, value in job.wildcards_dict.items()}
    logs = [] if job.is_group() else [str(log) for log in job.log]
    outputs = tuple(sorted(str(output) for output in job.output))
    made = {str(output) for member in job.jobs for output in member.output} if job.is_group() else set()
    within = tuple(sorted(made.difference(outputs)))
    return Label(str(job.name), wildcards, outputs, logs[0] if logs else None, within)


def key_of(label: Label) -> str:
    """By what a job is found again in the ledger."""
    return job_key(label.rule, label.outputs, str(sorted(label.wildcards.items())))


def runs_natively(job: Any, workflow: Any, shellcmd: str | None = None) -> bool:
    """Whether a job's command can be started as it is, once per task, without a second Snakemake.

    True for `shell:` rules that need nothing of what Snakemake does around a command on the node. `shellcmd` is the
    job's where it is known: Snakemake puts it together anew for whoever asks.
    """
    if job.is_group() or not job.is_shell or job.is_shadow or job.benchmark is not None:
        return False
    if job.is_pipe or job.is_service or job.rule.is_handover:
        return False
    methods = workflow.deployment_settings.deployment_method
    deployed = (
        (DeploymentMethod.CONDA in methods and job.conda_env)
        or (DeploymentMethod.APPTAINER in methods and job.container_img_url)
        or (DeploymentMethod.ENV_MODULES in methods and job.env_modules)
    )
    caching = workflow.workflow_settings.cache is not None and job.rule.cache
    shared = SharedFSUsage.INPUT_OUTPUT in workflow.storage_settings.shared_fs_usage
    if deployed or caching or not shared or job.resources.get("shell_exec"):
        return False
    return _NOT_YET_KNOWN not in (job.shellcmd if shellcmd is None else shellcmd)


def native_command(job: Any, shellcmd: str) -> tuple[str, tuple[str, ...]]:
    """The command of a `shell:` rule as Snakemake would run it here, and the shell that runs it."""
    executable = shell.get_executable() or "/bin/sh"
    # what shell.prefix() and shell.suffix() in a Snakefile set has no public getter
    prefix = shell._get_process_prefix()
    words = (prefix.strip(), shellcmd, shell._process_suffix)
    command = " ".join(word for word in words if word)
    if "\0" in command:
        raise WorkflowError(f"rule {job.name}: the shell command has a zero byte in it")
    return command, (executable, "-c")
