"""What system descriptions say in free text, as one name each: accelerator family and availability.

The rules and their sources are data, `families.yaml` beside this module. What they do not know has no family: a
guess would put a result among others that it is not like.
"""

from __future__ import annotations

import functools
import re
import unicodedata
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

RULES = Path(__file__).with_name("families.yaml")

_MARKS = re.compile(r"\((?:r|tm|c)\)|[®™©]", re.IGNORECASE)
_SIGNS = re.compile(r"[^a-z0-9]+")
_GLUED = (
    # a count before the chip, as in "8xH100", "XE9680x8B200" and "R750x2xA100"
    (re.compile(r"(?:(?<![a-z0-9])\d{1,4}x|x\d{1,2}x?)(?=(?:[abhlv]|g[bh]|vr|mi)\d|rtx|tpu|gaudi)"), " "),
    # a form factor right behind the chip, as in "H100SXM5" and "GB200NVL72"
    (re.compile(r"(?<=\d)(?=(?:sxm|nvl|oam|pcie)(?![a-z]))"), " "),
    # the board's name before it, as in "dgxh100"
    (re.compile(r"(?<![a-z0-9])([dh]gx)(?=[a-z]{1,2}\d)"), r"\1 "),
)


@dataclass(frozen=True, slots=True)
class _Rule:
    says: re.Pattern[str]
    family: str | None
    forms: Mapping[str, str] | None

    def family_of(self, match: re.Match[str], form: str | None) -> str | None:
        """The family where `form` is stated; None where the rule does not know that form."""
        family = self.family if form is None or self.forms is None else self.forms.get(form)
        return None if family is None else match.expand(family)


@dataclass(frozen=True, slots=True)
class _Rules:
    rules: tuple[_Rule, ...]
    forms: Mapping[str, re.Pattern[str]]
    implied: Mapping[str, str]
    no_accelerator: str
    no_accelerator_spellings: frozenset[str]
    availabilities: Mapping[str, str]
    """By folded spelling."""


def accelerator_family(model: str | None, accelerators: int, system_name: str = "") -> str | None:
    """The family, with its form factor, of the accelerators that a system description calls `model`.

    `accelerators` is the system's count: with none, the family is that of machines without accelerators. The chip
    is taken from `model` alone; its form factor, where `model` does not state it, from `system_name`. None: no rule
    knows the text, it names several accelerators, or nothing states the form factor of one that has several.
    """
    rules = _rules()
    text = model or ""
    if _folded(text) in rules.no_accelerator_spellings:
        return rules.no_accelerator if accelerators == 0 else None
    words = _words(text)
    named = _named(words, rules.rules) if accelerators > 0 else []
    if len({(id(rule), rule.family_of(match, None)) for rule, match in named}) != 1:
        return None
    rule, match = named[0]
    forms = _forms(words, rules) or _forms_of_system(_words(system_name), rule, rules)
    if len(forms) > 1:
        return None
    return rule.family_of(match, next(iter(forms), None))


def availability(status: str | None) -> str | None:
    """Available on-premise, Available cloud, Preview or RDI, from any spelling of the field `status`; else None."""
    return None if status is None else _rules().availabilities.get(_folded(status))


def _named(words: str, rules: Iterable[_Rule]) -> list[tuple[_Rule, re.Match[str]]]:
    """The rules that match, in order; what one has matched the next ones do not see."""
    found = []
    for rule in rules:
        while match := rule.says.search(words):
            found.append((rule, match))
            words = f"{words[: match.start()]}.{words[match.end() :]}"
    return found


def _forms(words: str, rules: _Rules) -> set[str]:
    """The form factors that the words state, without those that another one implies."""
    stated = {form for form, says in rules.forms.items() if says.search(words)}
    return stated - {implied for form, implied in rules.implied.items() if form in stated}


def _forms_of_system(words: str, rule: _Rule, rules: _Rules) -> set[str]:
    """The form factors that a system's name states; nothing where it names another accelerator than `rule`."""
    others = any(other is not rule for other, _ in _named(words, rules.rules))
    return set() if others else _forms(words, rules)


def _words(text: str) -> str:
    """`text` in lower case, without marks, its words parted by single blanks."""
    plain = unicodedata.normalize("NFKC", _MARKS.sub(" ", text)).casefold()
    words = _SIGNS.sub(" ", plain).strip()
    for glued, parted in _GLUED:
        words = glued.sub(parted, words)
    return words


def _folded(text: str) -> str:
    """`text` for comparison without case, blanks and signs."""
    return _SIGNS.sub("", unicodedata.normalize("NFKC", text).casefold())


@functools.cache
def _rules() -> _Rules:
    """The rules of `families.yaml`, read once."""
    raw: dict[str, Any] = yaml.safe_load(RULES.read_text(encoding="utf-8"))
    return _Rules(
        rules=tuple(_Rule(_whole(r["says"]), r.get("family"), r.get("forms")) for r in raw["rules"]),
        forms={form: _whole(says) for form, says in raw["forms"].items()},
        implied=raw["implied"],
        no_accelerator=raw["no_accelerator"]["family"],
        no_accelerator_spellings=frozenset(_folded(s) for s in raw["no_accelerator"]["spellings"]),
        availabilities={_folded(s): name for name, spellings in raw["availability"].items() for s in spellings},
    )


def _whole(pattern: str) -> re.Pattern[str]:
    """`pattern`, matching whole words only."""
    return re.compile(f"(?<![a-z0-9])(?:{pattern})(?![a-z0-9])")
