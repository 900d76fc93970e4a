"""Text in Markdown that stays text, as a pull request and a mail show it."""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence

MOST_CHARACTERS = 240
"""Of one text; what is longer ends in an ellipsis, and the page has it all."""
INVISIBLE = "&#8203;"
"""A space without width: it keeps GitHub and GitLab from seeing a person, an issue or an address in a text."""
_SPECIAL = re.compile(
    r"[\\`*\[\]#|~$]"  # wherever they stand
    r"|(?<![A-Za-z0-9_])_|_(?![A-Za-z0-9_])"  # within a word an underscore is one
    r"|^[-+=]|(?<=^\d)[.)]"  # a list's or a heading's line
)
_HTML = {"&": "&amp;", "<": "&lt;", ">": "&gt;"}
_REFERENCES = re.compile(r"(?<=[@#!])(?=\w)|(?<=://)|(?<=www)(?=\.)|(?<=GH)(?=-\d)", re.IGNORECASE)
_BREAK = "\0"


def escape(text: str) -> str:
    """`text` in one line that Markdown shows as it is: no markup, HTML, link, mention or reference comes of it."""
    line = " ".join(text.replace(_BREAK, "").split())
    if len(line) > MOST_CHARACTERS:
        line = line[: MOST_CHARACTERS - 1].rstrip() + "\u2026"
    marked = _REFERENCES.sub(_BREAK, line)
    plain = "".join(_HTML.get(letter, letter) for letter in marked)
    return _SPECIAL.sub(lambda found: f"\\{found.group()}", plain).replace(_BREAK, INVISIBLE)


def table(headings: Sequence[str], rows: Iterable[Sequence[str]]) -> list[str]:
    """The lines of a table. Cells are Markdown already."""
    lines = ["| " + " | ".join(headings) + " |", "|" + " --- |" * len(headings)]
    return lines + ["| " + " | ".join(cell or " " for cell in row) + " |" for row in rows]


def section(heading: str, lines: Sequence[str]) -> list[str]:
    """A heading and what stands under it, with the empty lines that Markdown wants; nothing where nothing does."""
    return ["", f"## {heading}", "", *lines] if lines else []
