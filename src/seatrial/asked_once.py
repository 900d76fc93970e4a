"""What is asked of the machine for many cases and is the same for all: asked once, while one plan is checked."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, TypeVar

R = TypeVar("R")


class Once:
    """Answers by what was asked. Made anew for every check of a plan: until the next, files may have changed.

    What raises is not kept.
    """

    def __init__(self) -> None:
        self._answers: dict[tuple[Any, ...], Any] = {}
        self._things: list[object] = []

    def __call__(self, ask: Callable[..., R], *words: Any) -> R:
        """`ask(*words)`, words such as names and paths."""
        key = (ask, *words)
        if key not in self._answers:
            self._answers[key] = ask(*words)
        answer: R = self._answers[key]
        return answer

    def of(self, thing: object, key: object, ask: Callable[[], R]) -> R:
        """`ask()`, once for this very `thing` and `key`; points of a sweep share what no axis sets."""
        known = (id(thing), key)
        if known not in self._answers:
            self._answers[known] = ask()
            self._things.append(thing)  # lest another comes to have its id
        answer: R = self._answers[known]
        return answer
