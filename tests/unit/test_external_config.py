"""What a workload of kind external may say, and the words for what it may not."""

from __future__ import annotations

from typing import Any

import pytest
from external_cases import external, goal
from pydantic import ValidationError

from seatrial.config.training import External
from seatrial.config.training.external import GIVEN, filled_in


def mistake(**more: Any) -> str:
    """The words that refuse a workload."""
    with pytest.raises(ValidationError) as refused:
        External.model_validate({**external(["true"]), **more})
    return str(refused.value)


def test_a_command_is_a_list_of_words_and_never_a_shells_line() -> None:
    assert "Input should be a valid list" in mistake(command="python train.py")
    assert "at least 1 item" in mistake(command=[])
    assert "a command needs a program" in mistake(command=[""])
    assert "string" in mistake(command=["sleep", 3])


def test_an_unknown_name_in_braces_is_refused_wherever_it_stands() -> None:
    words = "{sede} stands for nothing; write {{sede}} for that very text"
    assert words in mistake(command=["train", "--seed={sede}"])
    assert words in mistake(environment={"SEED": "{sede}"})
    assert words in mistake(working_directory="/runs/{sede}")


@pytest.mark.parametrize(
    ("text", "becomes"),
    [
        ("--seed={seed}", "--seed=5"),
        ("{{seed}}", "{seed}"),
        ("{seed}{seed}", "55"),
        ('{"lr": {"max": 1}}', '{"lr": {"max": 1}}'),
        ("${HOME} {} {0} {A}", "${HOME} {} {0} {A}"),
    ],
)
def test_only_named_values_are_filled_in(text: str, becomes: str) -> None:
    External.model_validate(external(["train", text]))
    assert filled_in(text, {"seed": "5"}) == becomes


def test_what_is_filled_in_is_not_looked_through_again() -> None:
    assert filled_in("{folder}", {"folder": "/x/{seed}"}) == "/x/{seed}"


@pytest.mark.parametrize("name", GIVEN)
def test_variables_that_seatrial_sets_cannot_be_set(name: str) -> None:
    assert f"Seatrial sets {name} itself" in mistake(environment={name: "1"})


@pytest.mark.parametrize("name", ["", "A=B", "1A", "A B"])
def test_a_variables_name_is_one(name: str) -> None:
    assert "not a variable's name" in mistake(environment={name: "1"})


@pytest.mark.parametrize("log", ["/var/log/x", "../x", "a/../../x"])
def test_log_files_lie_below_the_repeats_folder(log: str) -> None:
    assert "below the repeat's folder" in mistake(log=log)


def test_stopping_at_a_quality_needs_one() -> None:
    assert "there is no quality to stop at" in mistake(stop_at_quality=True)
    External.model_validate(external(["true"], stop_at_quality=True, quality=goal(1.0)))


def test_torchtitans_quality_is_its_validation_loss() -> None:
    assert "one quality only" in mistake(format="torchtitan", quality=goal(0.5, "accuracy", "higher"))
    External.model_validate(external(["true"], format="torchtitan", quality=goal(0.5, "evaluation_loss")))


def test_a_word_with_a_null_character_is_refused() -> None:
    assert "pattern" in mistake(command=["a\x00b"])
    assert "pattern" in mistake(environment={"A": "a\x00b"})
