"""Signatures of a bundle's manifest by OpenSSH (`ssh-keygen -Y`): keys that most people have, and no key server."""

from __future__ import annotations

import subprocess
from pathlib import Path

from seatrial.bundle.manifest import MANIFEST, SIGNATURE
from seatrial.errors import ConfigError

NAMESPACE = "seatrial-bundle"
"""A signature made for something else is none of a bundle."""
TIMEOUT_SECONDS = 60


def sign(folder: Path, key: Path) -> None:
    """Write the signature of `folder`'s manifest beside it. Raises ConfigError where the key cannot sign."""
    done = _ssh_keygen(["-Y", "sign", "-q", "-n", NAMESPACE, "-f", str(key), str(folder / MANIFEST)], key)
    if done.returncode != 0 or not (folder / SIGNATURE).is_file():
        raise ConfigError(
            f"the bundle cannot be signed: {_said(done)}",
            key="--sign",
            value=str(key),
            allowed="a private key of OpenSSH, or a public one whose private part an agent holds",
        )


def check(folder: Path, allowed_signers: Path, signer: str) -> str | None:
    """Why the signature of `folder`'s manifest is not `signer`'s, or None where it is.

    `allowed_signers`: a file as ssh-keygen(1) describes it, whose entry for `signer` has the public key.
    """
    words = ["-Y", "verify", "-n", NAMESPACE, "-f", str(allowed_signers), "-I", signer, "-s"]
    manifest = (folder / MANIFEST).read_bytes()
    done = _ssh_keygen([*words, str(folder / SIGNATURE)], allowed_signers, manifest)
    return None if done.returncode == 0 else _said(done)


def _ssh_keygen(words: list[str], key: Path, text: bytes = b"") -> subprocess.CompletedProcess[bytes]:
    if not key.is_file():
        raise ConfigError("there is no such file", key="ssh-keygen", value=str(key), allowed="a file that exists")
    try:
        return subprocess.run(
            ["ssh-keygen", *words], input=text, capture_output=True, timeout=TIMEOUT_SECONDS, check=False
        )
    except FileNotFoundError:
        raise ConfigError("ssh-keygen is not installed: install OpenSSH, or leave the signature out") from None


def _said(done: subprocess.CompletedProcess[bytes]) -> str:
    words = (done.stderr or done.stdout).decode("utf-8", "replace").strip()
    return " ".join(words.split()) or f"ssh-keygen ended with {done.returncode}"
