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
    r"|^[-+=](?!\d)"  # a list's, a heading's or a rule's line, not a figure below 0
)
_NUMBERED = re.compile(r"^(\d{1,9})([.)])(?=\s|$)")
_HTML = {"&": "&amp;", "<": "&lt;", ">": "&gt;"}
_REFERENCES = re.compile(r"(?<=[@#!])(?=\w)|(?<=://)|(?<=www)(?=\.)|(?<=GH)(?=-\d)", re.IGNORECASE)
_BREAK = "\0"
_SENTENCE, _STATEMENT = re.compile(r"\.(?=\s+[A-Z0-9])"), re.compile(r";(?=\s)")


def escape(text: str, most: int = MOST_CHARACTERS) -> str:
    """`text` in one line of at most `most` characters that Markdown shows as it is.

    No markup, HTML, link, mention or reference comes of it.
    """
    line = " ".join(text.replace(_BREAK, "").split())
    if len(line) > most:
        line = line[: most - 1].rstrip() + "\u2026"
    marked = _REFERENCES.sub(_BREAK, line)
    plain = "".join(_HTML.get(letter, letter) for letter in marked)
    escaped = _SPECIAL.sub(lambda found: f"\\{found.group()}", plain).replace(_BREAK, INVISIBLE)
    return _NUMBERED.sub(r"\1\\\2", escaped)


def whole_sentences(text: str, most: int = MOST_CHARACTERS) -> str:
    """The first sentences of `text` that `most` characters hold, and that the page has more; never a part of one.

    Of a sentence that is longer its statements, which end in a semicolon; at least the first, however long it is.
    """
    if len(text) <= most:
        return text
    sentences, statements = (_ends(text, pattern) for pattern in (_SENTENCE, _STATEMENT))
    fitting = [end for end in sentences if end <= most] or [end for end in statements if end <= most]
    first = sorted([*sentences, *statements])[:1]
    if not fitting and not first:
        return text
    return f"{text[: fitting[-1] if fitting else first[0]]}. More in report.html."


def _ends(text: str, pattern: re.Pattern[str]) -> list[int]:
    """Where `pattern` ends a part of `text`, outside of brackets."""
    ends = [found.start() for found in pattern.finditer(text)]
    return [end for end in ends if text.count("(", 0, end) == text.count(")", 0, end)]


def table(headings: Sequence[str], rows: Iterable[Sequence[str]]) -> list[str]:
    """The lines of a table. Cells are Markdown already."""
    lines = ["| " + " | ".join(headings) + " |", "|" + " --- |" * len(headings)]
    return lines + ["| " + " | ".join(cell or " " for cell in row) + " |" for row in rows]


def section(heading: str, lines: Sequence[str]) -> list[str]:
    """A heading and what stands under it, with the empty lines that Markdown wants; nothing where nothing does."""
    return ["", f"## {heading}", "", *lines] if lines else []
