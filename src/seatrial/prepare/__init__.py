"""What trainings need and ranks must not pay for: made once, by a rule of its own.

Here alone scikit-learn and datasets may be imported.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

from seatrial.case import Case, prepared_id
from seatrial.errors import ConfigError


def prepare_case(case: Case, which: str | None, folder: Path) -> None:
    """Prepare in `folder` what `case` needs; `which` is the id of one of its preparations, None: its only one.

    Raises ConfigError where the case needs no such thing, and as the preparation does.
    """
    specs = {prepared_id(spec): spec for spec in case.preparations}
    if which is None and len(specs) == 1:
        (which,) = specs
    if which not in specs:
        raise ConfigError(
            f"case {case.case_id} needs " + ("no preparation" if not specs else "other preparations"),
            key="--id",
            value=which,
            allowed=specs or "a case whose workload needs one",
        )
    PREPARATIONS[specs[which].source](specs[which], folder)


def _language_model(spec: Any, folder: Path) -> None:
    from seatrial.prepare.language_model import prepare_model

    prepare_model(spec, folder)


def _digits(spec: Any, folder: Path) -> None:
    from seatrial.prepare.digits import prepare_digits

    prepare_digits(spec, folder)


def _text(spec: Any, folder: Path) -> None:
    from seatrial.prepare.text import prepare_text

    prepare_text(spec, folder)


PREPARATIONS: dict[str, Callable[[Any, Path], None]] = {
    "prepared": _language_model,
    "prepared_digits": _digits,
    "text": _text,
}
"""What prepares, by the specification's `source`."""
