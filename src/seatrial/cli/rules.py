"""Rules of thumb that a command takes from a YAML file in place of the usual ones."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, TypeVar

from seatrial.errors import ConfigError, UnreadableFile

if TYPE_CHECKING:
    from seatrial.config.base import Closed

Rules = TypeVar("Rules", bound="Closed")


def read_rules(path: Path | None, schema: type[Rules], option: str) -> Rules:
    """The usual rules, or those of a file: {productive_low: {value: 0.4, source: agreed with the vendor}}.

    Raises UnreadableFile for what is no YAML, ConfigError (key: the `option`) for what `schema` refuses.
    """
    import yaml
    from pydantic import ValidationError

    from seatrial.config.base import first_mistake

    if path is None:
        return schema()
    try:
        said = yaml.safe_load(path.read_text(encoding="utf-8"))
    except (OSError, UnicodeDecodeError, yaml.YAMLError) as problem:
        raise UnreadableFile(path, " ".join(str(problem).split())) from None
    try:
        return schema.model_validate({} if said is None else said)
    except ValidationError as problem:
        raise ConfigError(first_mistake(problem), file=path, key=option, allowed=schema.model_fields) from None
