"""Collects a study and counts the files below records/ that it opens, in all its processes: a byte for each."""

from __future__ import annotations

import os
import sys
from pathlib import Path

from seatrial.analysis.collect import collect
from seatrial.paths import StudyPaths


def main(folder: Path, counted: Path) -> None:
    records = str(folder / "records")
    # forked processes write to the same file: O_APPEND puts every byte at its end
    log = os.open(counted, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_APPEND)

    def hook(event: str, arguments: tuple[object, ...]) -> None:
        if event == "open" and str(arguments[0]).startswith(records):
            os.write(log, b"1")

    sys.addaudithook(hook)
    collect(StudyPaths(folder))


if __name__ == "__main__":
    main(Path(sys.argv[1]), Path(sys.argv[2]))
