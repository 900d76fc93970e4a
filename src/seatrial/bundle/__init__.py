"""A study in one file that a third party can check: what was measured, what follows, and that nothing changed.

The archive is a tar under zstd with `<study>/` and, at its root, `manifest-sha256.txt` (a line for every other
file, as `sha256sum` writes it), `ro-crate-metadata.json` (RO-Crate 1.1), `environment.json` and, where it was
signed, `manifest-sha256.txt.sig`. The same folder gives the same archive, byte for byte.
"""

from __future__ import annotations

from seatrial.bundle.verify import Verification, verify_bundle
from seatrial.bundle.write import write_bundle

__all__ = ["Verification", "verify_bundle", "write_bundle"]
