"""The page on faults names tests that are there."""

import re
from pathlib import Path

ROOT = Path(__file__).parents[2]
NAMED = re.compile(r"`(tests/[\w/]+\.py)(?:::(test_\w+))?`")


def test_every_test_that_the_pages_name_is_there():
    named = [
        found for page in ("faults", "status") for found in NAMED.findall((ROOT / f"docs/{page}.md").read_text())
    ]
    assert len(named) > 20
    for file, name in named:
        text = (ROOT / file).read_text()
        assert not name or f"def {name}(" in text, f"{file}::{name}"


def test_every_row_of_the_page_on_faults_is_shown_by_a_test():
    lines = (ROOT / "docs/faults.md").read_text().splitlines()
    rows = [line for line in lines if line.startswith("| ")]
    shown = [line.rstrip(" |").rsplit("|", 1)[1] for line in rows if not line.startswith("| fault")]
    assert len(shown) > 15
    for above, cell in zip(["", *shown], shown, strict=False):
        assert NAMED.search(cell) or (cell.strip() == "the same" and NAMED.search(above)), cell
