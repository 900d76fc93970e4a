"""A folder of MLPerf Training results -> a table with a row per result, scored as MLCommons does.

A second table, `<output>.unread.csv`, names everything that could not be read, and why. The shipped table is never
looked at: what the importer says rests on the logs alone.
"""

from __future__ import annotations

import csv
import datetime as dt
import io
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from seatrial.errors import ConfigError, UnreadableFile
from seatrial.ingest.mlperf.read import read_results
from seatrial.ingest.mlperf.result import Reading, ResultFolder, Unread
from seatrial.ingest.mlperf.rounds import repository_of_checkout
from seatrial.ingest.mlperf.tree import printable
from seatrial.paths import write_text
from seatrial.reference.columns import COLUMNS, ENERGY, RETRIEVED
from seatrial.reference.families import accelerator_family, availability
from seatrial.reference.scoring import Score, score

OWN = ("confidence", "system_id")
IMPORTED = (*(name for name in COLUMNS if name not in OWN), *OWN, ENERGY, RETRIEVED)
"""Minutes and factors in full precision; empty: not known, and `note` says why. `samples_to_quality` is in the unit
that the benchmark counts in (samples or epochs)."""
UNREAD_COLUMNS = ("path", "problem")
NAMED_AT_MOST = 3


def import_results(
    folder: Path,
    output: Path,
    round_: str | None = None,
    workers: int | None = None,
    retrieved: dt.date | None = None,
    published: bool = False,
) -> list[str]:
    """Score every result in `folder` (see `read_results`) and write `output` and `<output>.unread.csv`.

    Results count as published where the folder is a checkout of MLCommons' own repository, or where the user says
    so (`published`: a copy without git); all others are `unverified`. `retrieved` is the day on which the folder
    was fetched, for citations; it is never guessed. Returns what was found, in words. Raises UnreadableFile where
    there is no result in it, ConfigError where the output would lie in the folder that is read or cannot be
    written, or the round is not known.
    """
    _check_output(folder, output)
    reading = read_results(folder, round_, workers, detail=False)
    if not reading.folders:
        named = "; ".join(f"{u.path}: {u.problem}" for u in reading.unread[:NAMED_AT_MOST])
        raise UnreadableFile(folder, "no result_*.txt in it" + (f" that can be read ({named})" if named else ""))
    scored = [(found, score(found)) for found in reading.folders]
    rows = _rows(scored, folder.resolve(), published)
    day = retrieved.isoformat() if retrieved else None
    unread = [{"path": u.path, "problem": u.problem} for u in reading.unread]
    try:
        write_text(unread_path(output), _csv(UNREAD_COLUMNS, unread))
        write_text(output, _csv(IMPORTED, [row | {RETRIEVED: day} for row in rows]))
    except OSError as problem:
        what = f"this cannot be written: {problem.strerror}"
        raise ConfigError(what, key="--output", value=str(output), allowed="a file that can be written") from None
    return _summary(reading, [result for _, result in scored], output)


def unread_path(output: Path) -> Path:
    """Where the table of what could not be read goes: results.csv -> results.unread.csv."""
    return output.with_name(f"{output.stem}.unread{output.suffix or '.csv'}")


def _confidence(result: Score, published: bool) -> str | None:
    """How far a row is to be trusted (see `published.CONFIDENCES`); None where it has no score."""
    if result.minutes is None:
        return None
    if not published:
        return "unverified"
    return "recomputed" if result.factor_basis == "computed" and result.factor != 1 else "official"


def _rows(scored: Sequence[tuple[ResultFolder, Score]], root: Path, published: bool) -> list[dict[str, Any]]:
    repository = repository_of_checkout(root)
    published = published or (repository is not None and repository[0].startswith("mlcommons/"))
    return [
        _row(found, result)
        | {
            "confidence": _confidence(result, published),
            "source": _source(found, root, repository, published),
        }
        for found, result in scored
    ]


def _source(found: ResultFolder, root: Path, repository: tuple[str, str] | None, published: bool) -> str:
    """Where a result was read: the repository, or the folder's own name, and the place in it."""
    origin = repository[0] if repository else root.name
    if published and repository is None:
        origin = f"mlcommons/training_results_{found.round}"
    if not found.submitter_folder:
        return f"{printable(origin)}: {found.path}"
    return f"{printable(origin)}: {found.submitter_folder}/results/{found.system_id}/{found.benchmark}"


def _check_output(folder: Path, output: Path) -> None:
    if folder.is_dir() and output.resolve().is_relative_to(folder.resolve()):
        raise ConfigError(
            "the folder that is read is never written to",
            key="--output",
            value=str(output),
            allowed=f"a file outside {folder}",
        )
    if output.is_dir():
        raise ConfigError(
            "this is a folder", key="--output", value=str(output), allowed="a file that can be written"
        )


def _row(found: ResultFolder, result: Score) -> dict[str, Any]:
    system = found.system
    accelerators = system.accelerators if system else None
    model = system.accelerator_model if system else None
    family = None
    if accelerators is not None:
        family = accelerator_family(model, accelerators, (system.name or "") if system else "")
    division = system.division if system else None
    return {
        "round": found.round,
        "division": division or next((run.division for run in found.runs if run.division), None),
        "availability": availability(system.status) if system else None,
        "submitter": (system.submitter if system else None) or found.submitter_folder or None,
        "system": (system.name if system else None) or found.system_id or None,
        "accelerator_model": model,
        "accelerator_family": family,
        "accelerators": accelerators,
        "nodes": system.nodes if system else None,
        "benchmark": found.benchmark,
        "minutes": result.minutes,
        "unscaled_minutes": result.unscaled_minutes,
        "rcp_factor": result.factor,
        "runs": result.runs,
        "successful_runs": result.successful_runs,
        "min_minutes": result.min_minutes,
        "max_minutes": result.max_minutes,
        "global_batch_size": _whole(result.global_batch_size),
        "samples_to_quality": result.samples_to_quality,
        "note": "; ".join([*result.notes, *_about_system(found, family)]),
        "system_id": found.system_id or None,
        ENERGY: result.energy_joules,
    }


def _about_system(found: ResultFolder, family: str | None) -> list[str]:
    """What the description of the system leaves open."""
    system = found.system
    if system is None:
        return ["no readable system description: submitter and accelerators are not known"]
    words = []
    if system.accelerators is None:
        words.append("the system description does not say how many accelerators")
    elif family is None:
        words.append(f"accelerator {system.accelerator_model!r} is of no known family")
    if system.status and availability(system.status) is None:
        words.append(f"status {system.status!r} is no known availability")
    if system.division not in ("closed", "open"):
        words.append(f"the system description's division is {system.division!r}")
    return words


def _whole(value: float | None) -> int | float | None:
    return int(value) if value is not None and value.is_integer() else value


def _csv(columns: Sequence[str], rows: Sequence[dict[str, Any]]) -> str:
    text = io.StringIO()
    writer = csv.DictWriter(text, columns, lineterminator="\n")
    writer.writeheader()
    writer.writerows(rows)
    return text.getvalue()


def _summary(reading: Reading, scores: Sequence[Score], output: Path) -> list[str]:
    with_score = sum(result.minutes is not None for result in scores)
    lines = [f"{len(scores)} results, {with_score} with a score: {output}"]
    unread: tuple[Unread, ...] = reading.unread
    if unread:
        lines.append(f"{len(unread)} folders or files could not be read: {unread_path(output)}")
    return lines
