"""Container runtimes: those that a study names, and on a machine without a study those that are there."""

from __future__ import annotations

from pathlib import Path

from seatrial.config.launcher import Container
from seatrial.doctor.check import Check, Topic
from seatrial.doctor.command import ask, there
from seatrial.doctor.needs import Needs
from seatrial.doctor.slurm import Slurm, ask_slurm

TOPIC = Topic("containers")
RUNTIMES = ("apptainer", "enroot", "docker", "podman")
VERSION = {"enroot": ["enroot", "version"]}
"""How a runtime is asked for its version, where not by --version."""


def containers_checks(needs: Needs, slurm: Slurm, seconds: float) -> list[Check]:
    """The runtime and the image of each container that a target names."""
    if not needs.targets:
        return [_there(seconds)] if needs.runs else []
    return [check for one in needs.containers for check in (_runtime(one, slurm, seconds), _image(one))]


def _there(seconds: float) -> Check:
    found = [(name, ask(VERSION.get(name, [name, "--version"]), seconds)) for name in RUNTIMES if there(name)]
    if not found:
        return TOPIC.not_checked(
            "runtimes", f"none of {', '.join(RUNTIMES)} is here", "nothing, but for targets with launcher.container"
        )
    said = "; ".join(f"{name}: {(answer.out.strip() or answer.why)}" for name, answer in found)
    return TOPIC.ok("runtimes", said)


def _runtime(container: Container, slurm: Slurm, seconds: float) -> Check:
    """apptainer is a program on the nodes; pyxis is a plugin that gives srun its options."""
    if container.runtime == "pyxis":
        do = "install pyxis and enroot, or launcher.container.runtime apptainer"
        if not slurm.answers:
            return TOPIC.not_checked("pyxis", "Slurm does not answer, and pyxis is a plugin of it", do)
        options = ask_slurm(["srun", "--help"], seconds)
        if "--container-image" in options.out:
            return TOPIC.ok("pyxis", "srun knows --container-image")
        return TOPIC.lacks("pyxis", options.problem or "srun does not know --container-image", do)
    answer = ask(["apptainer", "--version"], seconds)
    if answer.fine:
        return TOPIC.ok("apptainer", answer.out)
    return TOPIC.lacks(
        "apptainer", answer.why, "install apptainer on the nodes and here, or run without a container"
    )


def _image(container: Container) -> Check:
    image = container.image
    named = image.startswith(("/", "./", "../", "~")) or image.endswith((".sif", ".sqsh"))
    if not named:
        saw = f"{image} is fetched from a registry by each node"
        return TOPIC.not_checked("image", saw, "fetch it once to a file that all nodes see, and name that file")
    if Path(image).expanduser().exists():
        return TOPIC.ok("image", f"{image} is there")
    return TOPIC.lacks("image", f"there is no {image}", "put it there, on a file system that all nodes see")
