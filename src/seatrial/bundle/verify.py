"""Checking a bundle on another machine: its files, its signature, and that its verdicts follow from its records."""

from __future__ import annotations

import tempfile
from dataclasses import dataclass, field
from pathlib import Path

from seatrial.analysis.inputs import PlannedStudy
from seatrial.bundle.agreed import Agreed, criterion_words, read_content, unlike_agreed
from seatrial.bundle.archive import unlike_packed, unpack
from seatrial.bundle.manifest import (
    CRATE,
    ENVIRONMENT,
    MANIFEST,
    SIGNATURE,
    Differences,
    differences,
    read_manifest,
)
from seatrial.bundle.recompute import recompute, same_versions
from seatrial.bundle.signature import check
from seatrial.errors import ConfigError, UnreadableFile


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
    criteria: tuple[str, ...] = ()
    """The criteria that the bundle holds, in words."""
    not_agreed: tuple[str, ...] = ()
    """What of the study is not as it was agreed on, in words."""

    @property
    def sound(self) -> bool:
        """Nothing was changed, nothing is unlike."""
        return not (self.differences or self.unlike or self.forged or self.damage or self.not_agreed)


def verify_bundle(
    archive: Path, allowed_signers: Path | None = None, signer: str | None = None, agreed: Agreed | None = None
) -> Verification:
    """Unpack `archive` aside, compare every file with the manifest, and make tables, verdicts and page again.

    With `agreed` its study is compared with the one that was agreed on before it ran.

    Raises UnreadableFile for what is no bundle, ConfigError where only one of `allowed_signers` and `signer` is
    given, or a signature is asked for that is not there.
    """
    if (allowed_signers is None) != (signer is None):
        raise ConfigError("--allowed-signers and --signer belong together", allowed="both, or neither")
    with tempfile.TemporaryDirectory(prefix="seatrial-verify-") as made:
        root = Path(made) / "bundle"
        root.mkdir()
        damage = unpack(archive, root)
        if damage is None:
            damage = unlike_packed(archive, root, same_versions(root / ENVIRONMENT, ("zstandard",)))
        manifest = read_manifest(root / MANIFEST)
        found = differences(root, manifest)
        name = _study(archive, manifest)
        words, forged = _signature(root, allowed_signers, signer)
        if found or forged or damage:
            return Verification(name, len(manifest), found, words, forged, damage)
        made_again = recompute(root / name, Path(made) / "again" / name, root / ENVIRONMENT)
        study = read_content(root / name / "study.json")
        criteria = tuple(map(criterion_words, PlannedStudy.model_validate(study).study.criteria))
        not_agreed = () if agreed is None else tuple(unlike_agreed(study, agreed))
        return Verification(
            name,
            len(manifest),
            found,
            words,
            forged,
            recomputed=tuple(made_again.compared),
            unlike=tuple(made_again.unlike),
            unknown=tuple(made_again.unknown),
            criteria=criteria,
            not_agreed=not_agreed,
        )


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
