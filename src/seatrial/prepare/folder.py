"""Prepared folders: whole or not there, with a summary that says what they were made from."""

from __future__ import annotations

import json
import shutil
import tempfile
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from seatrial.paths import PREPARED_SUMMARY


@contextmanager
def prepared_aside(folder: Path, summary: Mapping[str, Any]) -> Iterator[Path]:
    """A folder to write into; at the end the summary goes into it and it takes the place of `folder`.

    Nothing is left where the body raises, and an older folder stays as it was.
    """
    folder.parent.mkdir(parents=True, exist_ok=True)
    aside = Path(tempfile.mkdtemp(dir=folder.parent, prefix=f".{folder.name}."))
    try:
        yield aside
        text = json.dumps(summary, indent=2, sort_keys=True) + "\n"
        (aside / PREPARED_SUMMARY).write_text(text, encoding="utf-8")
        aside.chmod(0o755)
        if folder.exists():
            (folder / PREPARED_SUMMARY).unlink(missing_ok=True)
            shutil.rmtree(folder)
        aside.rename(folder)
    finally:
        shutil.rmtree(aside, ignore_errors=True)
