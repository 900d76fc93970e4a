"""Somebody else's training: a command, and the log lines that say what it measures."""

from __future__ import annotations

import re
from pathlib import PurePosixPath
from typing import Annotated, Literal, Self

from pydantic import Field, model_validator

from seatrial.config.base import Closed, PositiveFloat, PositiveInt
from seatrial.config.probe import Workload
from seatrial.config.secrets import CheckedVariables, refuse_secrets
from seatrial.errors import FieldMistake

VALUES = {
    "seed": "the repeat's seed",
    "repeat": "the repeat's number, from 0",
    "rank": "which of the started commands this is, from 0",
    "local_rank": "which of its node's commands this is, from 0",
    "world_size": "how many commands are started",
    "nodes": "nodes of the case",
    "accelerators_per_node": "accelerators per node of the case",
    "master_addr": "the host of the first command",
    "master_port": "a port that was free there when the repeat began",
    "folder": "the repeat's own folder, empty when the command starts",
}
"""What may stand in braces in the command, its environment and its working directory, and what it becomes."""
GIVEN = (
    "RANK", "LOCAL_RANK", "WORLD_SIZE", "LOCAL_WORLD_SIZE", "MASTER_ADDR", "MASTER_PORT",
    "SEATRIAL_FOLDER", "SEATRIAL_SEED", "SEATRIAL_REPEAT",
)  # fmt: skip
"""Variables that the command finds set, beside those of the rank that starts it."""
STANDARD_OUTPUT = "standard_output"
_NAMED = re.compile(r"\{\{([a-z_]+)\}\}|\{([a-z_]+)\}")
Word = Annotated[str, Field(pattern=r"^[^\x00]*$")]


def placeholders(text: str) -> set[str]:
    """The names in braces in `text`; `{{name}}` is the text `{name}` and names nothing."""
    return {found.group(2) for found in _NAMED.finditer(text) if found.group(2)}


def filled_in(text: str, values: dict[str, str]) -> str:
    """`text` with `{name}` replaced by its value, and `{{name}}` by `{name}`; all other braces stay."""
    return _NAMED.sub(lambda found: f"{{{found.group(1)}}}" if found.group(1) else values[found.group(2)], text)


class ExternalQuality(Closed):
    """The quality that the command's evaluations have to meet; meeting it exactly counts."""

    metric: str = Field(pattern=r"^[A-Za-z][A-Za-z0-9_]*$")
    """As the log names it in an evaluation's metadata; an evaluation without a name is taken for it."""
    target: float
    direction: Literal["higher", "lower"]


class External(Workload):
    """Any command on the case's resources, whose log lines are read while it runs."""

    kind: Literal["external"]
    command: Annotated[list[Word], Field(min_length=1)]
    """The program and its words, never a shell's line. `{name}` stands for one of VALUES, `{{name}}` for itself."""
    environment: Annotated[dict[str, Word], CheckedVariables] = {}
    """Further variables of the command; values as in `command`."""
    working_directory: Annotated[str, Field(min_length=1)] | None = None
    """Where it starts, as in `command`; None: where Seatrial was started."""
    launch: Literal["per_task", "per_node", "once"] = "per_task"
    """On which tasks of the job it is started: on all, on the first of every node, or on the first of all."""
    format: Literal["mllog", "torchtitan"]
    """mllog: MLPerf's `:::MLLOG` lines; torchtitan: its `step: ... loss: ...` lines."""
    log: Annotated[str, Field(min_length=1)] = STANDARD_OUTPUT
    """Where the lines come from: `standard_output` (with standard error), or a pattern of files below {folder}."""
    read_from: Literal["first", "last"] = "first"
    """Which of the started commands says the lines on its standard output (Megatron-LM's last one does)."""
    devices: PositiveInt | None = None
    """Devices that train, by which torchtitan's tokens per second and device are multiplied; None: the case's
    accelerators, or on CPUs the commands started."""
    benchmark: str | None = None
    """The MLPerf benchmark that the command runs, or None."""
    quality: ExternalQuality | None = None
    """None: a run that ends by itself with exit code 0 is complete."""
    stop_at_quality: bool = False
    """Stop the command once an evaluation meets the quality, for commands that would go on."""
    telemetry_interval_seconds: PositiveFloat | None = 1.0
    """How often power, clocks and utilisation are read beside the command; None: never."""

    @model_validator(mode="after")
    def _said_in_words_that_exist(self) -> Self:
        refuse_secrets(self.command, "command")
        if not self.command[0]:
            raise FieldMistake("a command needs a program", field="command.0", value="", allowed="a program's name")
        texts = {f"command.{number}": word for number, word in enumerate(self.command)}
        texts |= {f"environment.{name}": value for name, value in self.environment.items()}
        texts |= {"working_directory": self.working_directory or ""}
        for field, text in texts.items():
            if unknown := sorted(placeholders(text) - VALUES.keys()):
                raise FieldMistake(
                    f"{{{unknown[0]}}} stands for nothing; write {{{{{unknown[0]}}}}} for that very text",
                    field=field,
                    value=text,
                    allowed=[f"{{{name}}}" for name in VALUES],
                )
        return self

    @model_validator(mode="after")
    def _variables(self) -> Self:
        for name in self.environment:
            if name in GIVEN:
                raise FieldMistake(
                    f"Seatrial sets {name} itself",
                    field=f"environment.{name}",
                    value=self.environment[name],
                    allowed=f"variables other than {', '.join(GIVEN)}",
                )
        return self

    @model_validator(mode="after")
    def _log_below_its_folder(self) -> Self:
        path = PurePosixPath(self.log)
        if path.is_absolute() or ".." in path.parts or "\x00" in self.log:
            raise FieldMistake(
                "log files are looked for below the repeat's folder",
                field="log",
                value=self.log,
                allowed=f"{STANDARD_OUTPUT}, or a relative pattern without ..",
            )
        return self

    @model_validator(mode="after")
    def _quality_that_is_logged(self) -> Self:
        if self.stop_at_quality and self.quality is None:
            raise FieldMistake(
                "there is no quality to stop at", field="stop_at_quality", value=True, allowed="false, or a quality"
            )
        named = self.quality
        if self.format == "torchtitan" and named is not None:
            stated = (named.metric, named.direction)
            if stated != ("evaluation_loss", "lower"):
                raise FieldMistake(
                    "torchtitan's lines hold one quality only",
                    field="quality.metric",
                    value=f"{named.metric} ({named.direction})",
                    allowed="evaluation_loss (lower)",
                )
        return self
