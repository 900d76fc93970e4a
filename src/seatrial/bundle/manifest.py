"""The manifest of a bundle: the SHA-256 of every file in it, and what differs from it."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from seatrial.errors import UnreadableFile

MANIFEST = "manifest-sha256.txt"
SIGNATURE = f"{MANIFEST}.sig"
CRATE = "ro-crate-metadata.json"
ENVIRONMENT = "environment.json"
_LINE = re.compile(r"([0-9a-f]{64})  (\S.*)")


@dataclass(frozen=True)
class Differences:
    """Paths that are not as the manifest says, each list sorted."""

    changed: tuple[str, ...]
    missing: tuple[str, ...]
    added: tuple[str, ...]

    def __bool__(self) -> bool:
        return bool(self.changed or self.missing or self.added)


def digest(path: Path) -> str:
    """The SHA-256 of a file, in hexadecimal."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def manifest_text(digests: Mapping[str, str]) -> str:
    """One line for each file, by path, as `sha256sum --check` reads it."""
    return "".join(f"{digests[name]}  {name}\n" for name in sorted(digests))


def read_manifest(path: Path) -> dict[str, str]:
    """Path -> SHA-256. Raises UnreadableFile for what is no manifest, or names a file twice."""
    try:
        text = path.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as problem:
        raise UnreadableFile(path, f"the bundle has no manifest that can be read: {problem}") from problem
    found: dict[str, str] = {}
    for number, line in enumerate(text.splitlines(), start=1):
        match = _LINE.fullmatch(line)
        if match is None or match[2] in found:
            raise UnreadableFile(path, f"line {number} is not `<sha256>  <path>`, or names a file again")
        found[match[2]] = match[1]
    return found


def differences(root: Path, manifest: Mapping[str, str]) -> Differences:
    """What of the files below `root` is not as `manifest` says; the manifest and its signature apart."""
    there = {
        str(path.relative_to(root)): path
        for path in root.rglob("*")
        if path.is_file() and str(path.relative_to(root)) not in (MANIFEST, SIGNATURE)
    }
    return Differences(
        changed=tuple(sorted(n for n in there.keys() & manifest.keys() if digest(there[n]) != manifest[n])),
        missing=tuple(sorted(manifest.keys() - there.keys())),
        added=tuple(sorted(there.keys() - manifest.keys())),
    )
