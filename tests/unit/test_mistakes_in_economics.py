"""What is wrong with the figures of a decision is said with its key, its value and where it was given."""

from __future__ import annotations

from pathlib import Path

import pytest

from seatrial.errors import ConfigError
from seatrial.plan import make_plan

CONF = Path(__file__).parents[2] / "conf"


@pytest.mark.parametrize(
    ("word", "value", "words"),
    [
        ("economics.own.residual.value=2", "2.0", ("not between low and high", "allowed: 0")),
        ("economics.own.purchase.currency=EUR", "'EUR'", ("one currency", "allowed: USD")),
        ("economics.own.residual.source=null", "null", ("source is required", "allowed: text")),
    ],
)
def test_a_mistake_on_the_command_line_names_its_key_its_value_and_what_is_allowed(word, value, words):
    with pytest.raises(ConfigError) as caught:
        make_plan(["study=own_or_cloud", word], CONF)
    said = str(caught.value)
    for part in ("file:    command line\n", f"key:     {word.partition('=')[0]}\n", f"value:   {value}\n", *words):
        assert part in said, said
