"""Checking a bundle on another machine: its files, its signature, and that its verdicts follow from its records."""

from __future__ import annotations

import json
import shutil
import tempfile
from dataclasses import dataclass, field
from pathlib import Path

from seatrial.analysis.analyse import analyse
from seatrial.analysis.collect import collect
from seatrial.bundle.archive import unpack
from seatrial.bundle.compare import compare_tables
from seatrial.bundle.manifest import (
    CRATE,
    ENVIRONMENT,
    MANIFEST,
    SIGNATURE,
    Differences,
    differences,
    read_manifest,
)
from seatrial.bundle.signature import check
from seatrial.errors import ConfigError, SeatrialError, UnreadableFile
from seatrial.paths import StudyPaths

INPUTS = ("study.json", "cases", "records", "logs", "reruns.json")
"""What the tables are made of: all else is made again."""
DERIVED = ("verdicts.json", "junit.xml", "findings.json", "exclude.txt")
"""Made again beside the tables, and compared byte for byte."""
OF_AN_EARLIER_STUDY = ("against.csv", "against_changes.csv")


@dataclass(frozen=True)
class Verification:
    """What a check of a bundle found.

    `unlike`: tables and verdicts that do not follow from the records, in words. `unknown`: what could not be
    checked, in words. `signature`: what is known of it, in words; `forged` where it is wrong. `damage`: what is
    wrong with the archive itself.
    """

    study: str
    files: int
    differences: Differences
    signature: str
    forged: bool = False
    damage: str | None = None
    recomputed: tuple[str, ...] = ()
    unlike: tuple[str, ...] = ()
    unknown: tuple[str, ...] = field(default=())

    @property
    def sound(self) -> bool:
        """Nothing was changed, nothing is unlike."""
        return not (self.differences or self.unlike or self.forged or self.damage)


def verify_bundle(archive: Path, allowed_signers: Path | None = None, signer: str | None = None) -> Verification:
    """Unpack `archive` aside, compare every file with the manifest, and make tables and verdicts again.

    Raises UnreadableFile for what is no bundle, ConfigError where only one of `allowed_signers` and `signer` is
    given, or a signature is asked for that is not there.
    """
    if (allowed_signers is None) != (signer is None):
        raise ConfigError("--allowed-signers and --signer belong together", allowed="both, or neither")
    with tempfile.TemporaryDirectory(prefix="seatrial-verify-") as made:
        root = Path(made) / "bundle"
        root.mkdir()
        damage = unpack(archive, root)
        manifest = read_manifest(root / MANIFEST)
        found = differences(root, manifest)
        name = _study(archive, manifest)
        words, forged = _signature(root, allowed_signers, signer)
        if found or forged or damage:
            return Verification(name, len(manifest), found, words, forged, damage)
        again = Path(made) / "again" / name
        compared, unlike, unknown = _recompute(root / name, again)
        return Verification(name, len(manifest), found, words, forged, None, compared, unlike, unknown)


def _study(archive: Path, manifest: dict[str, str]) -> str:
    """The one folder that the files of a bundle lie in."""
    names = {path.partition("/")[0] for path in manifest if path not in (CRATE, ENVIRONMENT)}
    if len(names) != 1 or not all("/" in path for path in manifest if path not in (CRATE, ENVIRONMENT)):
        raise UnreadableFile(archive, "its manifest is not of one study")
    return names.pop()


def _signature(root: Path, allowed_signers: Path | None, signer: str | None) -> tuple[str, bool]:
    signed = (root / SIGNATURE).is_file()
    if allowed_signers is None or signer is None:
        words = "signed, but by whom was not checked (--allowed-signers, --signer)" if signed else "not signed"
        return words, False
    if not signed:
        return f"not signed, and {signer}'s signature was asked for", True
    problem = check(root, allowed_signers, signer)
    return (f"signed by {signer}", False) if problem is None else (f"not {signer}'s signature: {problem}", True)


def _recompute(bundled: Path, again: Path) -> tuple[tuple[str, ...], tuple[str, ...], tuple[str, ...]]:
    """What was made again and compared, what is unlike, and what could not be made here."""
    again.mkdir(parents=True)
    for name in INPUTS:
        if (bundled / name).is_dir():
            shutil.copytree(bundled / name, again / name)
        elif (bundled / name).is_file():
            shutil.copyfile(bundled / name, again / name)
    paths = StudyPaths(again)
    try:
        collect(paths)
        analyse(paths)
    except SeatrialError as problem:
        return (), (), (f"tables and verdicts could not be made again here: {problem}",)
    compared, unlike, unknown = [], [], []
    for path in sorted((bundled / "tables").iterdir()):
        if path.name in OF_AN_EARLIER_STUDY:
            unknown.append(f"tables/{path.name}: the earlier study that it compares with is not in the bundle")
            continue
        compared.append(f"tables/{path.name}")
        unlike += compare_tables(path, again / "tables" / path.name)
    made = sorted(path.name for path in (again / "tables").iterdir())
    unlike += [f"tables/{name}: is not in the bundle" for name in made if not (bundled / "tables" / name).exists()]
    for name in DERIVED:
        if (bundled / name).is_file():
            compared.append(name)
            unlike += _compare_text(bundled / name, again / name)
    return tuple(compared), tuple(unlike), tuple(unknown)


def _compare_text(bundled: Path, again: Path) -> list[str]:
    """How a file differs from what follows from the records."""
    if not again.is_file():
        return [f"{bundled.name}: the records give none"]
    old, new = bundled.read_text(encoding="utf-8"), again.read_text(encoding="utf-8")
    if old == new:
        return []
    if bundled.suffix != ".json":
        return [f"{bundled.name}: differs from what the records give"]
    entries = [json.loads(text) for text in (old, new)]
    if not all(isinstance(of, list) for of in entries) or len(entries[0]) != len(entries[1]):
        return [f"{bundled.name}: differs from what the records give"]
    return [
        f"{bundled.name}, entry {number}: {key} is {was.get(key)!r} and the records give {now.get(key)!r}"
        for number, (was, now) in enumerate(zip(*entries, strict=True), start=1)
        for key in sorted(was.keys() | now.keys())
        if was.get(key) != now.get(key)
    ] or [f"{bundled.name}: differs from what the records give"]
