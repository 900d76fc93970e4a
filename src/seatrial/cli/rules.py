"""Rules of thumb that a command takes from a YAML file in place of the usual ones."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, TypeVar

from seatrial.errors import ConfigError

if TYPE_CHECKING:
    from seatrial.config.base import Closed

Rules = TypeVar("Rules", bound="Closed")


def read_rules(path: Path | None, schema: type[Rules], option: str) -> Rules:
    """The usual rules, or those of a file: {productive_low: {value: 0.4, source: agreed with the vendor}}.

    Raises UnreadableFile for what is no YAML, ConfigError (key: the `option`) for what `schema` refuses.
    """
    from pydantic import ValidationError

    from seatrial.config.base import first_mistake
    from seatrial.config.yaml_file import read_yaml

    if path is None:
        return schema()
    said = read_yaml(path)
    try:
        return schema.model_validate({} if said is None else said)
    except ValidationError as problem:
        raise ConfigError(first_mistake(problem), file=path, key=option, allowed=schema.model_fields) from None
