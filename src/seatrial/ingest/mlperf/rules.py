"""MLCommons' compliance rules, taken from the installed `mlperf-logging` and compiled once.

The rules are YAML files with Python expressions (mlperf_logging/compliance_checker/training_X.Y.Z). The official
checker parses and evaluates them anew for every log; here each becomes a function, and only the lines that some
rule reads are kept. What passes is the same, and compared in the tests with the official checker. Where its own
code dies on a log (a missing rule file, a comparison with null) the log does not pass here either.
"""

from __future__ import annotations

import functools
import math
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from importlib import resources
from types import CodeType
from typing import Any

import yaml

from seatrial.errors import ConfigError

PACKAGE = "mlperf_logging.compliance_checker"
FIRST_RULESET = (3, 1)
"""The oldest round that Seatrial reads; earlier ones log other keys."""
INTEGER_TOLERANCE = 1e-5

Line = Mapping[str, Any]
"""A parsed line: `value` and `metadata` at least."""


@dataclass(slots=True)
class RuleLine:
    """A log line as the rules see it: they read `ll.timestamp`, `v['value']` and `v['metadata']`."""

    timestamp: float
    key: str
    value: Line
    full_string: str = ""
    lineno: int = 0


@dataclass(frozen=True, slots=True)
class KeyRule:
    """What one rule file demands of one key."""

    least: int
    """Occurrences demanded at least."""
    alike: bool
    """Whether all occurrences must be alike (EXACTLY_ONE)."""
    or_else: tuple[str, ...]
    """Keys of which one may stand in for this one (AT_LEAST_ONE_OR); empty: none may."""
    check: Callable[[RuleLine, Line], Any] | None
    first_check: Callable[[RuleLine, Line], Any] | None
    at_least_once: Callable[[RuleLine, Line], Any] | None
    before: CodeType | None
    after: CodeType | None


@dataclass(frozen=True)
class RuleFile:
    """One compiled rule file. `state` holds its expressions' globals; `s` in it is made anew for every log."""

    state: dict[str, Any]
    begin: CodeType | None
    keys: Mapping[str, KeyRule]
    end_before: CodeType | None
    end_checks: tuple[CodeType, ...]


@dataclass
class _Findings:
    """Problems found so far: a later rule file that defines a key again speaks for it alone."""

    by_key: dict[str, str] = field(default_factory=dict)
    general: list[str] = field(default_factory=list)

    def all(self) -> tuple[str, ...]:
        return tuple(dict.fromkeys((*self.by_key.values(), *self.general)))


@functools.cache
def rulesets() -> Mapping[str, str]:
    """Rulesets of the installed package by round: {"v5.1": "5.1.0"}, from v3.1 on."""
    found = {}
    for folder in resources.files(PACKAGE).iterdir():
        match = re.fullmatch(r"training_((\d+)\.(\d+)\.\d+)", folder.name)
        if match and (int(match[2]), int(match[3])) >= FIRST_RULESET:
            found[f"v{match[2]}.{match[3]}"] = match[1]
    return dict(sorted(found.items(), key=lambda item: [int(n) for n in item[1].split(".")]))


def ruleset_of(round_: str) -> str:
    """The package's ruleset of a round ("v5.1" -> "5.1.0").

    Raises ConfigError for a round that the installed mlperf-logging has no rules for.
    """
    known = rulesets()
    if round_ not in known:
        raise ConfigError(
            "the installed mlperf-logging has no rules for this round", key="round", value=round_, allowed=known
        )
    return known[round_]


class RuleBook:
    """All rules of one ruleset."""

    def __init__(self, ruleset: str) -> None:
        self._folder = f"training_{ruleset}"
        folder = resources.files(PACKAGE).joinpath(self._folder)
        self._texts = {
            f"{self._folder}/{file.name}": file.read_text(encoding="utf-8")
            for file in folder.iterdir()
            if file.name.endswith(".yaml")
        }
        self._wanted: list[str] = []
        self._files: dict[str, RuleFile] = {}
        names = (name.strip() for text in self._texts.values() for name in re.findall(r"NAME:(.*)", text))
        self.keys = frozenset(names)
        """Every key that some rule of the ruleset reads."""

    def problems(self, lines: list[RuleLine]) -> tuple[str, ...]:
        """Why a log does not comply, in words; empty where it does. `lines` may be extended by the rules."""
        findings = _Findings()
        if not lines:
            findings.general.append("no line that the rules know")
        self._wanted = [f"{self._folder}/common.yaml"]
        while self._wanted:
            name = self._wanted.pop(0)
            # the log chooses the file (its division and benchmark): only the ruleset's own files may be named
            if name not in self._texts:
                findings.general.append(f"no rules {name.rpartition('/')[2].removesuffix('.yaml')!r} in this round")
                break
            if name not in self._files:
                self._files[name] = _compiled(self._texts[name], self._wanted_next)
            _apply(self._files[name], lines, findings)
        return findings.all()

    def _wanted_next(self, name: str) -> None:
        self._wanted.append(name)


@functools.cache
def rule_book(ruleset: str) -> RuleBook:
    """The rules of one ruleset, compiled on first use."""
    return RuleBook(ruleset)


def _compiled(text: str, enqueue: Callable[[str], None]) -> RuleFile:
    loader = getattr(yaml, "CBaseLoader", yaml.BaseLoader)
    records = yaml.load(text, Loader=loader) or []
    state: dict[str, Any] = {"enqueue_config": enqueue, "s": {}, "is_integer": _is_integer, "math": math}
    keys: dict[str, KeyRule] = {}
    begin, end = None, {}
    for record in records:
        if "BEGIN" in record:
            begin = _statements(record["BEGIN"]["CODE"])
        if "END" in record:
            end = record["END"]
        if "KEY" in record:
            keys[record["KEY"]["NAME"]] = _key_rule(record["KEY"], state)
    checks = tuple(compile(test.strip(), "rule", "eval") for test in _listed(end.get("CHECK")))
    return RuleFile(state, begin, keys, _statements(end.get("PRE")), checks)


def _key_rule(record: Mapping[str, Any], state: dict[str, Any]) -> KeyRule:
    demand = record.get("REQ", "").strip()
    counted = re.fullmatch(r"AT_LEAST\((\d+)\)", demand)
    others = re.fullmatch(r"AT_LEAST_ONE_OR\((.*)\)", demand)
    return KeyRule(
        least=int(counted[1]) if counted else int(demand in ("EXACTLY_ONE", "AT_LEAST_ONE")),
        alike=demand == "EXACTLY_ONE",
        or_else=tuple(name.strip() for name in others[1].split(",")) if others else (),
        check=_function(_listed(record.get("CHECK")), state),
        first_check=_function(_listed(record.get("FIRST_CHECK")), state),
        at_least_once=_function(_listed(record.get("ATLEAST_ONE_CHECK")), state),
        before=_statements(record.get("PRE")),
        after=_statements(record.get("POST")),
    )


def _listed(tests: str | list[str] | None) -> list[str]:
    return [tests] if isinstance(tests, str) else list(tests or ())


def _function(tests: list[str], state: dict[str, Any]) -> Callable[[RuleLine, Line], Any] | None:
    """All expressions of a rule as one function of line and value; the globals are the rule file's state."""
    if not tests:
        return None
    joined = " and ".join(f"({test.strip()}\n)" for test in tests)
    function: Callable[[RuleLine, Line], Any] = eval(f"lambda ll, v: {joined}", state)
    return function


def _statements(code: str | None) -> CodeType | None:
    return None if code is None else compile(code.strip(), "rule", "exec")


def _is_integer(value: float) -> bool:
    return abs(round(value) - value) < INTEGER_TOLERANCE


def _apply(rules: RuleFile, lines: list[RuleLine], findings: _Findings) -> None:
    """Check the lines against one rule file; its BEGIN code may add lines for the files after it too."""
    rules.state["s"] = {}
    if rules.begin is not None and not _ran(rules.begin, rules.state, {"loglines": lines, "s": rules.state["s"]}):
        findings.general.append("the rules' opening code fails on this log")
    for key in rules.keys:
        findings.by_key.pop(key, None)
    values: dict[str, list[Any]] = {key: [] for key in rules.keys}
    met = dict.fromkeys((key for key, rule in rules.keys.items() if rule.at_least_once), False)
    seen: set[str] = set()
    for line in lines:
        rule = rules.keys.get(line.key)
        if rule is None:
            continue
        values[line.key].append(line.value["value"])
        first = line.key not in seen
        seen.add(line.key)
        # of the lines that say who submits what, the official checker takes the first at its word
        if first or "submission_" not in line.key:
            _check(rule, line, rules.state, findings)
        if first and rule.first_check is not None and not _holds(rule.first_check, line):
            findings.by_key[line.key] = f"first {line.key} is {_shown(line)}"
        if rule.at_least_once is not None:
            holds = _answer(rule.at_least_once, line)
            met[line.key] = met[line.key] or bool(holds)
            if holds is None:
                findings.general.append(f"{line.key} is {_shown(line)}")
    for key, reached in met.items():
        if values[key] and not reached:
            findings.general.append(f"no {key} meets the benchmark's target")
    _count(rules.keys, values, findings)
    if rules.end_before is not None and not _ran(rules.end_before, rules.state, {}):
        findings.general.append("the rules' closing code fails on this log")
    findings.general.extend("the rules' closing check fails" for c in rules.end_checks if not _true(c, rules.state))


def _check(rule: KeyRule, line: RuleLine, state: dict[str, Any], findings: _Findings) -> None:
    fine = rule.before is None or _ran(rule.before, state, {"ll": line, "v": line.value})
    if rule.check is not None and not _holds(rule.check, line):
        fine = False
    if rule.after is not None and not _ran(rule.after, state, {"ll": line, "v": line.value}):
        fine = False
    if not fine:
        findings.by_key[line.key] = f"{line.key} is {_shown(line)}"


def _count(keys: Mapping[str, KeyRule], values: Mapping[str, list[Any]], findings: _Findings) -> None:
    """How often each key must occur."""
    for key, rule in keys.items():
        found = values[key]
        if len(found) < rule.least:
            wanted = f"{len(found)} of at least {rule.least}" if rule.least > 1 else "no"
            findings.by_key[key] = f"{wanted} {key}"
        elif rule.alike and found.count(found[0]) != len(found):
            findings.by_key[key] = f"{len(found)} different {key}, one is demanded"
        elif rule.or_else and not any(values.get(name) for name in (key, *rule.or_else)):
            words = f"none of {', '.join(sorted({key, *rule.or_else}))}"
            if words not in findings.general:
                findings.general.append(words)


def _holds(test: Callable[[RuleLine, Line], Any], line: RuleLine) -> bool:
    return bool(_answer(test, line))


def _answer(test: Callable[[RuleLine, Line], Any], line: RuleLine) -> bool | None:
    """Whether the line passes; None where the rule's expression raises on it."""
    try:
        return bool(test(line, line.value))
    except Exception:  # noqa: BLE001 - a rule's expression that raises on a line is a rule that the line breaks
        return None


def _true(test: CodeType, state: dict[str, Any]) -> bool:
    try:
        return bool(eval(test, state))
    except Exception:  # noqa: BLE001 - as in _answer
        return False


def _ran(code: CodeType, state: dict[str, Any], around: dict[str, Any]) -> bool:
    try:
        exec(code, state, around)
    except Exception:  # noqa: BLE001 - as in _answer
        return False
    return True


def _shown(line: RuleLine) -> str:
    text = repr(line.value["value"])
    if line.key in ("init_stop", "run_start", "run_stop", "init_start"):
        return "out of order, or too late"
    return text if len(text) <= 60 else text[:57] + "..."
