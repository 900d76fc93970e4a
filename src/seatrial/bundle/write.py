"""Making a bundle of a study's folder."""

from __future__ import annotations

import fnmatch
import json
import os
import shutil
import tempfile
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from seatrial.analysis.inputs import read_plan
from seatrial.bundle.archive import pack
from seatrial.bundle.describe import environment, write_crate, write_environment
from seatrial.bundle.manifest import MANIFEST, digest, manifest_text
from seatrial.bundle.signature import sign
from seatrial.config.masking import masked
from seatrial.errors import ConfigError, UnreadableFile
from seatrial.paths import StudyPaths
from seatrial.record import Record

ENDING = ".tar.zst"
NEEDED = ("study.json", "verdicts.json", "tables/measurements.parquet", "tables/repeats.csv")
"""Without these there is nothing to check."""
LEFT_OUT = ("prepared", "checkpoints", "*.checkpoint")
"""Folders of weights, data and pickles that preparations and trainings leave (`records/CASE/N.checkpoint` is of one
that was broken off): large, and no record of what was measured."""


PRINTED = (".log", ".out", ".err", ".txt", ".mllog")
"""Files of what programs print."""
PIECE_BYTES = 2**25
"""Lines that are masked at a time, so that a log of any size fits into memory."""
LOOKED_AT_BYTES = 8192
"""A file with a zero byte in its first bytes is no text."""


@dataclass(frozen=True)
class Bundled:
    """How many files a bundle holds, and where (path below the study) in how many places secrets were masked."""

    files: int
    masked: Mapping[str, int]


def write_bundle(folder: Path, output: Path, key: Path | None = None) -> Bundled:
    """Write `output` (NAME.tar.zst) of the study in `folder`.

    What programs printed goes into it without secrets (seatrial.config.masking, with the environment of now); the
    study's own files stay as they are. With `key`, a private key of OpenSSH, its manifest is signed. Nothing is
    left where it fails. Raises ConfigError for a folder that is not an analysed study, an output that cannot be
    written, or a key that cannot sign; UnreadableFile for a study that cannot be read.
    """
    _check(folder, output)
    paths = StudyPaths(folder)
    plan = read_plan(paths)
    files = sorted(_files(folder))
    places: dict[str, int] = {}
    with tempfile.TemporaryDirectory(prefix="seatrial-bundle-") as made:
        root = Path(made)
        named = [f"{plan.study.name}/{file}" for file in files]
        for file, name in zip(files, named, strict=True):
            (root / name).parent.mkdir(parents=True, exist_ok=True)
            if not _printed(file):
                shutil.copyfile(folder / file, root / name)
            elif count := _mask(folder / file, root / name):
                places[file] = count
        records = list(_records(root / plan.study.name))
        write_environment(root, environment(records, _left_out(folder), places))
        study = json.loads((folder / "study.json").read_text(encoding="utf-8"))
        write_crate(root, study.get("study", study), named, max((r.finished_at for r in records), default=None))
        every = sorted(str(p.relative_to(root)) for p in root.rglob("*") if p.is_file())
        (root / MANIFEST).write_text(manifest_text({n: digest(root / n) for n in every}), encoding="utf-8")
        if key is not None:
            sign(root, key)
        pack(root, output)
        return Bundled(len(every), places)


def _check(folder: Path, output: Path) -> None:
    missing = [name for name in NEEDED if not (folder / name).is_file()]
    if missing:
        raise ConfigError(
            f"not an analysed study: it lacks {', '.join(missing)}",
            key="results/STUDY",
            value=str(folder),
            allowed="the folder of a study after `seatrial analyse`",
        )
    if not output.name.endswith(ENDING):
        raise ConfigError(
            "a bundle is a tar under zstd",
            key="--output",
            value=str(output),
            allowed=f"a name that ends in {ENDING}",
        )
    if not output.parent.is_dir():
        raise ConfigError(
            "there is no such folder", key="--output", value=str(output.parent), allowed="a folder that exists"
        )
    if output.resolve().is_relative_to(folder.resolve()):
        raise ConfigError(
            "the bundle would lie in what it holds", key="--output", value=str(output), allowed="a place outside"
        )


def _files(folder: Path) -> Iterable[str]:
    """Every file of the study but hidden ones (locks, halves of files) and what is LEFT_OUT."""
    for path in folder.rglob("*"):
        inside = path.relative_to(folder)
        if _kind_left_out(inside) is not None:
            continue
        if path.is_symlink():
            raise UnreadableFile(path, "a link: what it stands for may change, and a bundle holds files only")
        hidden = any(part.startswith(".") for part in inside.parts)
        if path.is_file() and not hidden:
            yield str(inside)


def _printed(file: str) -> bool:
    """Whether a program wrote it: a log, or a file in the folder that an external command was given."""
    inside = Path(file)
    of_logs = inside.parts[0] == "logs" and inside.suffix != ".json"
    of_command = inside.parts[0] == "records" and len(inside.parts) > len(("records", "CASE", "0.json"))
    return of_logs or of_command or inside.suffix in PRINTED


def _mask(source: Path, target: Path) -> int:
    """Write `source` without secrets to `target`; in how many places. What is neither text nor a log stays."""
    places = 0
    with source.open("rb") as old, target.open("wb") as new:
        text = source.suffix in PRINTED or b"\0" not in old.read(LOOKED_AT_BYTES)
        old.seek(0)
        while lines := old.readlines(PIECE_BYTES) if text else []:
            # bytes that are no UTF-8 come out as they went in
            plain, found = masked(b"".join(lines).decode("utf-8", "surrogateescape"), os.environ)
            new.write(plain.encode("utf-8", "surrogateescape"))
            places += found
        if not text:
            shutil.copyfileobj(old, new)
    return places


def _kind_left_out(inside: Path) -> str | None:
    """Which of LEFT_OUT a folder is that the file lies in, however deep; None: the file is bundled."""
    folders = inside.parts[:-1]
    return next((kind for part in folders for kind in LEFT_OUT if fnmatch.fnmatchcase(part, kind)), None)


def _left_out(folder: Path) -> dict[str, Any]:
    """How much was left out, by kind of folder."""
    found: dict[str, dict[str, int]] = {}
    for path in folder.rglob("*"):
        kind = _kind_left_out(path.relative_to(folder))
        if kind is not None and path.is_file():
            files, size = found.get(kind, {"files": 0, "bytes": 0}).values()
            found[kind] = {"files": files + 1, "bytes": size + path.stat().st_size}
    return {kind: found[kind] for kind in LEFT_OUT if kind in found}


def _records(folder: Path) -> Iterable[Record]:
    """The records that can be read; what cannot stays in the bundle as it is, and `collect` says why."""
    for path in sorted((folder / "records").glob("*/*.json")):
        try:
            yield Record.read(path)
        except UnreadableFile:
            continue
