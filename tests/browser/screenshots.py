"""Pictures of a study's page for the docs: `python tests/browser/screenshots.py results/demo docs/images`."""

from __future__ import annotations

import shutil
import sys
from pathlib import Path

from chromium import HOW, LAPTOP, PHONE, opened, started

USAGE = "usage: screenshots.py STUDY_FOLDER IMAGE_FOLDER"
PICTURES = {
    "page_laptop": (LAPTOP, "light"),
    "page_dark": (LAPTOP, "dark"),
    "page_phone": (PHONE, "light"),
}
"""File's name -> window and scheme."""


def main(study: Path, images: Path) -> None:
    """Write the first screen of the study's page in every window of PICTURES."""
    program = shutil.which("chromium")
    if program is None:
        raise SystemExit(f"there is no chromium: {HOW}")
    with started(program) as browser:
        for name, (viewport, scheme) in PICTURES.items():
            with opened(browser, (study / "report.html").resolve(), viewport, scheme) as found:
                found.page.screenshot(path=images / f"{name}.png")
                print(images / f"{name}.png")


if __name__ == "__main__":
    if len(sys.argv) != 3:
        raise SystemExit(USAGE)
    main(Path(sys.argv[1]), Path(sys.argv[2]))
