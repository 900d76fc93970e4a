"""What stands in a bundle beside the study: the environment it was bundled in, and its RO-Crate description."""

from __future__ import annotations

import json
import platform
import sys
from collections.abc import Iterable, Mapping, Sequence
from importlib import metadata
from pathlib import Path
from typing import Any

from seatrial import __version__
from seatrial.bundle.manifest import CRATE, ENVIRONMENT
from seatrial.record import Record

TYPES = {
    ".json": "application/json",
    ".csv": "text/csv",
    ".parquet": "application/vnd.apache.parquet",
    ".html": "text/html",
    ".svg": "image/svg+xml",
    ".xml": "application/xml",
    ".log": "text/plain",
    ".txt": "text/plain",
    ".md": "text/markdown",
    ".mllog": "text/plain",
}
WORDS = {
    "study.json": "The study as it was planned: target, experiments, references, criteria",
    "verdicts.json": "A verdict for every acceptance criterion",
    "junit.xml": "The verdicts for a CI system",
    "findings.json": "What holds the workloads back, with evidence",
    "decisions.json": "What follows in money and time, with every input and its source",
    "report.html": "The report",
    "summary.md": "The report's answer in one screen of Markdown",
    "tables/measurements.parquet": "One row per repeat, metric and labels",
    "tables/repeats.csv": "One row per planned repeat, with its outcome",
}
NOT_MLPERF = "Unverified by MLCommons: results of this study are not MLPerf results."


def environment(
    records: Iterable[Record], left_out: Mapping[str, Any], masked: Mapping[str, int]
) -> dict[str, Any]:
    """Python and packages here, containers that the repeats ran in, what was left out and what masked."""
    containers = [record.provenance.get("container") for record in records]
    distinct = {json.dumps(facts, sort_keys=True): facts for facts in containers if facts}
    return {
        "seatrial": __version__,
        "python": sys.version.split()[0],
        "platform": platform.platform(),
        "packages": dict(sorted({(d.metadata["Name"], d.version) for d in metadata.distributions()})),
        "containers": [distinct[key] for key in sorted(distinct)],
        "left_out": dict(left_out),
        "masked": dict(masked),
    }


def write_environment(folder: Path, facts: Mapping[str, Any]) -> None:
    """environment.json."""
    text = json.dumps(facts, indent=1, sort_keys=True, ensure_ascii=False)
    (folder / ENVIRONMENT).write_text(f"{text}\n", encoding="utf-8")


def write_crate(folder: Path, study: Mapping[str, Any], files: Sequence[str], finished: str | None) -> None:
    """ro-crate-metadata.json of a dataset with `files` (paths below `folder`), published when it was `finished`."""
    from rocrate.rocrate import ROCrate

    crate = ROCrate(gen_preview=False)
    crate.name = f"Seatrial: {study['title']}"
    crate.description = " ".join(f"{study.get('description') or study['title']} {NOT_MLPERF}".split())
    if finished is not None:
        crate.root_dataset["datePublished"] = finished
    else:
        crate.root_dataset.pop("datePublished", None)
    for name in files:
        inside = name.partition("/")[2]
        properties = {
            "encodingFormat": TYPES.get(Path(name).suffix, "application/octet-stream"),
            "contentSize": str((folder / name).stat().st_size),
        }
        if inside in WORDS:
            properties["description"] = WORDS[inside]
        crate.add_file(folder / name, dest_path=name, properties=properties)
    text = json.dumps(crate.metadata.generate(), indent=1, sort_keys=True, ensure_ascii=False)
    (folder / CRATE).write_text(f"{text}\n", encoding="utf-8")
