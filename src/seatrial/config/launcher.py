"""How jobs reach a target: the scheduler's words, the container, the environment.

All of it reaches a command or a script of sbatch: what could be more than one word there is refused here.
"""

from __future__ import annotations

import shlex
from typing import Literal

from pydantic import Field, model_validator

from seatrial.config.base import Closed, ForSbatch, OneLine, PositiveInt
from seatrial.config.secrets import Variables, refuse_secrets
from seatrial.errors import FieldMistake


class Container(Closed):
    """The container in which every rank starts."""

    runtime: Literal["pyxis", "apptainer"]
    image: OneLine = Field(min_length=1)
    mounts: list[OneLine] = []
    workdir: OneLine | None = None

    @model_validator(mode="after")
    def _taken_as_they_are(self) -> Container:
        """An image with a dash in front would be an option, a comma in a mount would make two of it."""
        if self.image.startswith("-"):
            raise FieldMistake(
                "not the name of an image",
                field="image",
                value=self.image,
                allowed="a name that does not begin with -",
            )
        for number, mount in enumerate(self.mounts):
            if "," in mount or mount.startswith("-"):
                raise FieldMistake(
                    "not one mount", field=f"mounts.{number}", value=mount, allowed="SOURCE:TARGET without a comma"
                )
        return self


class Launcher(Closed):
    """How jobs reach this target: scheduling words of Slurm, container, environment."""

    account: ForSbatch | None = None
    partition: ForSbatch | None = None
    qos: ForSbatch | None = None
    constraint: ForSbatch | None = None
    reservation: ForSbatch | None = None
    exclude: ForSbatch | None = None
    gpus_request: Literal["gres", "gpus", "none"] = "gres"
    """Whether accelerators are asked for as `--gres=gpu:N`, as `--gpus-per-node` or not at all."""
    slurm_extra: OneLine | None = None
    cpus_per_task: PositiveInt | None = None
    memory_mb_per_node: PositiveInt | None = None
    retry_memory_factor: float = Field(default=1.5, ge=1)
    """A job that died without a word is submitted again with so many times `memory_mb_per_node`, each attempt with
    more than the one before, up to `node.memory_mb` where that is stated; 1: always the same."""
    retry_time_factor: float = Field(default=1.5, ge=1)
    """The same for the time limit, up to `longest_minutes` where that is stated."""
    longest_minutes: PositiveInt | None = None
    """The longest time limit that the partition grants: no later attempt asks for more."""
    container: Container | None = None
    environment: Variables = {}
    """Variables set for every rank before torch starts (GLOO_SOCKET_IFNAME, NCCL_...)."""

    @model_validator(mode="after")
    def _words_of_options(self) -> Launcher:
        try:
            words = shlex.split(self.slurm_extra or "")
        except ValueError as problem:
            raise FieldMistake(
                f"not words: {problem}", field="slurm_extra", value=self.slurm_extra, allowed="quotes in pairs"
            ) from None
        refuse_secrets(words, "slurm_extra", numbered=False)
        return self
