"""Putting away what finished batches leave in the submitit folder: pickles and scripts go, logs stay."""

import os
import re
import time
from collections.abc import Callable, Collection
from pathlib import Path

from .ledger import ENDED, SUBMITTED, Ledger

_BATCH = re.compile(r"[0-9a-f]{8,12}-\d+")
_KEPT_SECONDS = 24 * 3600.0  # a success of the last hours may still have to be shown to Snakemake


def clean_up(base: Path, ledger: Ledger, wanted: Callable[[], Collection[str]] = tuple) -> None:
    """Remove all but the logs from batches of runs that have gone and whose jobs have all ended.

    What Snakemake wants (`wanted`, by key) may be a success that it has not recorded: its results stay.
    Only folders of our own making are touched: their names, their owner, and a run that nobody holds.
    """
    needed: set[str] = set()
    keys: Collection[str] | None = None
    for entry in ledger.entries():
        path = Path(entry.folder)
        if entry.status == ENDED or path.name in needed:
            continue
        if entry.status != SUBMITTED and not _is_young(path):
            if not path.exists():
                continue
            keys = wanted() if keys is None else keys
            if entry.key not in keys:
                continue
        needed.add(path.name)
    for folder in sorted((base / "batches").glob("*")):
        ours = _BATCH.fullmatch(folder.name) and not folder.is_symlink() and folder.stat().st_uid == os.geteuid()
        if ours and folder.name not in needed and ledger.is_over(folder.name.rpartition("-")[0]):
            _clean(folder)
    ledger.shorten()


def _is_young(folder: Path) -> bool:
    try:
        return time.time() - folder.stat().st_mtime < _KEPT_SECONDS
    except FileNotFoundError:
        return False


def _clean(folder: Path) -> None:
    """Remove pickles, scripts, reports and empty logs, and the folder if nothing is left."""
    left = False
    for path in folder.iterdir():
        if path.name.endswith(".log") and path.stat().st_size:
            left = True
        else:
            path.unlink(missing_ok=True)
    if not left:
        folder.rmdir()
