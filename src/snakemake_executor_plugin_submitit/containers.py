"""How a command enters a container: srun arguments for pyxis, a prefix of the command for apptainer. Pure."""

from dataclasses import dataclass
from typing import Any

from .mistakes import WrongResource

RUNTIMES = ("pyxis", "apptainer")


@dataclass(frozen=True)
class Container:
    """The container of a job: image, comma-separated mounts (SRC:DST[:OPTIONS]), working directory, runtime."""

    image: str
    mounts: str | None
    workdir: str | None
    runtime: str

    def srun_arguments(self) -> tuple[str, ...]:
        """Arguments for srun when pyxis starts the container; empty for other runtimes.

        submitit's own Python starts inside the container then, so the mounts must hold it, the workflow's
        folder and the submitit folder.
        """
        if self.runtime != "pyxis":
            return ()
        arguments = [f"--container-image={self.image}"]
        if self.mounts:
            arguments.append(f"--container-mounts={self.mounts}")
        if self.workdir:
            arguments.append(f"--container-workdir={self.workdir}")
        return tuple(arguments)

    def command_prefix(self, with_gpus: bool) -> tuple[str, ...]:
        """Words before the shell that runs the command; empty for runtimes that start with the task."""
        if self.runtime != "apptainer":
            return ()
        words = ["apptainer", "exec"]
        if with_gpus:
            words.append("--nv")
        for mount in (self.mounts or "").split(","):
            if mount.strip():
                words += ["--bind", mount.strip()]
        if self.workdir:
            words += ["--pwd", self.workdir]
        return (*words, self.image)


def container_from_resources(resources: Any, rule: str) -> Container | None:
    """The container that a job's resources ask for, or None.

    Raises WrongResource when a part is given without an image, or the runtime is not known.
    """
    values = {part: resources.get(f"container_{part}") for part in ("image", "mounts", "workdir", "runtime")}
    if not values["image"]:
        stray = [part for part, value in values.items() if value]
        if stray:
            raise WrongResource(f"rule {rule}: resource container_{stray[0]} is given without container_image")
        return None
    runtime = str(values["runtime"] or "pyxis")
    if runtime not in RUNTIMES:
        raise WrongResource(
            f"rule {rule}: resource container_runtime={runtime!r} is not one of {', '.join(RUNTIMES)}"
        )
    given = {part: str(value) for part, value in values.items() if value}
    for part, value in given.items():
        if not value.isprintable() or value.startswith("-"):
            raise WrongResource(
                f"rule {rule}: resource container_{part}={value!r}: a dash in front would make it an option, and "
                "it must be one line"
            )
    return Container(
        image=str(values["image"]),
        mounts=str(values["mounts"]) if values["mounts"] else None,
        workdir=str(values["workdir"]) if values["workdir"] else None,
        runtime=runtime,
    )
