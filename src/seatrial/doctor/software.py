"""Python and its packages against what Seatrial declares that it needs."""

from __future__ import annotations

import importlib.util
import platform
from importlib import metadata

from packaging.requirements import Requirement
from packaging.specifiers import SpecifierSet
from packaging.version import InvalidVersion

from seatrial import __version__
from seatrial.doctor.check import Check, Topic
from seatrial.doctor.needs import Needs

TOPIC = Topic("software")
NAME = "seatrial"
SHOWN = ("torch", "snakemake", "submitit", "transformers", "hydra-core")
"""Packages whose versions are said where nothing is wrong."""


def software_checks(needs: Needs) -> list[Check]:
    """Python, the packages that Seatrial declares, and those that only some workloads need."""
    try:
        facts = metadata.metadata(NAME)
        wanted = metadata.requires(NAME) or []
    except metadata.PackageNotFoundError:
        do = "`pip install -e .` in the checkout, or `make demo`, which makes .venv"
        return [
            TOPIC.lacks("seatrial", "it runs from a folder and is not installed: nothing says what it needs", do)
        ]
    checks = [_python(facts["Requires-Python"] or ""), *_packages(wanted)]
    return checks + [_extra(name, whose) for name, whose in needs.packages]


def _python(wanted: str) -> Check:
    found = platform.python_version()
    saw = f"Python {found}, Seatrial {__version__}; wanted {wanted or 'any'}"
    if SpecifierSet(wanted).contains(found, prereleases=True):
        return TOPIC.ok("Python", saw)
    return TOPIC.lacks("Python", saw, f"a Python {wanted}, and the environment made again with it")


def _packages(wanted: list[str]) -> list[Check]:
    """One check for all that are right, and one for each that is not."""
    wrong, right = [], {}
    for text in wanted:
        need = Requirement(text)
        if need.marker is not None and not need.marker.evaluate({"extra": ""}):
            continue
        try:
            found = metadata.version(need.name)
            fits = need.specifier.contains(found, prereleases=True)
        except metadata.PackageNotFoundError:
            wrong.append(TOPIC.lacks(need.name, f"not installed; wanted {need}", f"pip install '{need}'"))
            continue
        except InvalidVersion:
            fits = False
        if fits:
            right[need.name] = found
        else:
            wrong.append(TOPIC.lacks(need.name, f"{found}; wanted {need.specifier}", f"pip install '{need}'"))
    named = ", ".join(f"{name} {right[name]}" for name in SHOWN if name in right)
    fine = (
        [TOPIC.ok("packages", f"{len(right)} of {len(right) + len(wrong)} as declared: {named}")] if right else []
    )
    return fine + wrong


def _extra(name: str, whose: str) -> Check:
    if importlib.util.find_spec(name) is None:
        return TOPIC.lacks(
            name, f"not installed; {whose} needs it", f"install {name}, or choose the workload without it"
        )
    return TOPIC.ok(name, f"installed, for {whose}")
