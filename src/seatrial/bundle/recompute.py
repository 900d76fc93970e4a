"""What follows from a bundle's records, made again here and held against what stands in it."""

from __future__ import annotations

import json
import shutil
from collections.abc import Iterable
from dataclasses import dataclass, field
from importlib import metadata
from pathlib import Path

from seatrial.analysis.analyse import analyse
from seatrial.analysis.collect import collect
from seatrial.bundle.compare import compare_json, compare_tables
from seatrial.errors import SeatrialError
from seatrial.paths import StudyPaths
from seatrial.report.page import report

INPUTS = ("study.json", "cases", "records", "logs", "reruns.json")
"""What everything else is made of."""
OF_AN_EARLIER_STUDY = ("tables/against.csv", "tables/against_changes.csv")
PAGE = ("report.html", "summary.md", "figures")
DRAWN_BY = ("great-tables", "jinja2", "matplotlib", "numpy", "pandas", "seaborn")
"""Other versions of these may make the same tables and figures in other bytes."""


@dataclass
class Recomputed:
    """Paths that were made again and compared; what is unlike, and what could not be checked, in words."""

    compared: list[str] = field(default_factory=list)
    unlike: list[str] = field(default_factory=list)
    unknown: list[str] = field(default_factory=list)


def recompute(bundled: Path, again: Path, environment: Path) -> Recomputed:
    """Make tables, verdicts, findings and page in `again` from the inputs in `bundled`, and compare every file."""
    found = Recomputed()
    again.mkdir(parents=True)
    for name in INPUTS:
        _copy(bundled / name, again / name)
    there = _files(bundled)
    paged = any(name.startswith(PAGE) for name in there)
    try:
        paths = StudyPaths(again)
        collect(paths, trust=False)
        analyse(paths)
        for name in OF_AN_EARLIER_STUDY:
            _copy(bundled / name, again / name)
        if paged:
            report(paths)
    except SeatrialError as problem:
        found.unknown.append(f"what follows from the records could not be made again here: {problem}")
        return found
    made, drawn_alike = _files(again), same_versions(environment, DRAWN_BY)
    for name in there:
        if name in OF_AN_EARLIER_STUDY:
            found.unknown.append(f"{name}: the earlier study that it compares with is not in the bundle")
        elif name not in made:
            _put_in(found, name)
        else:
            found.compared.append(name)
            _compare(found, name, bundled, again, drawn_alike)
    found.unlike += [
        f"{name}: is not in the bundle, and follows from the records" for name in made if name not in there
    ]
    return found


def _compare(found: Recomputed, name: str, bundled: Path, again: Path, drawn_alike: bool) -> None:
    old, new = bundled / name, again / name
    if old.read_bytes() == new.read_bytes():
        return
    if old.suffix in (".csv", ".parquet"):
        found.unlike += compare_tables(name, old, new)
    elif old.suffix == ".json":
        found.unlike += compare_json(name, old, new)
    elif name.startswith(PAGE) and not drawn_alike:
        found.unknown.append(f"{name}: was drawn with other versions of {', '.join(DRAWN_BY)} than are here")
    else:
        found.unlike.append(f"{name}: differs from what the records give")


def _put_in(found: Recomputed, name: str) -> None:
    """A file that nothing here makes: a false one where it looks like a result, else somebody's own."""
    if name.startswith(("tables/", "figures/")) or "/" not in name:
        found.unlike.append(f"{name}: the records give no such file")
    else:
        found.unknown.append(f"{name}: no file of Seatrial's")


def _files(folder: Path) -> list[str]:
    """Every file below `folder` that is not one of INPUTS, sorted."""
    names = sorted(str(path.relative_to(folder)) for path in folder.rglob("*") if path.is_file())
    return [name for name in names if name.partition("/")[0] not in INPUTS]


def _copy(source: Path, target: Path) -> None:
    if source.is_dir():
        shutil.copytree(source, target)
    elif source.is_file():
        target.parent.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(source, target)


def same_versions(environment: Path, tools: Iterable[str]) -> bool:
    """Whether packages have the versions here that they had where the study was bundled."""
    try:
        packages = json.loads(environment.read_text(encoding="utf-8"))["packages"]
        told = {name.lower(): version for name, version in packages.items()}
    except (OSError, UnicodeDecodeError, json.JSONDecodeError, KeyError, AttributeError, TypeError):
        return False
    return all(told.get(name) == metadata.version(name) for name in tools)
