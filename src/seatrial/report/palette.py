"""Colours of the figures. A figure's file uses mid tones that read on white and on black; in the page each tone
becomes a variable of the style sheet, which has a value for light and one for dark."""

from __future__ import annotations

INK = "#767676"
GRID = "#a3a3a3"
REFERENCE = "#757b84"
SERIES = ("#2f86c1", "#c4702b", "#36976a", "#8f6bb8", "#b0574f", "#7d7f2e")
SLOWER = "#cf4a41"
NOT_SLOWER = "#32975b"
INCONCLUSIVE = "#b3801f"

OF_STANDING = {"slower": SLOWER, "not_slower": NOT_SLOWER, "inconclusive": INCONCLUSIVE}

VARIABLES = {
    INK: "--figure-ink",
    GRID: "--figure-grid",
    REFERENCE: "--figure-reference",
    SLOWER: "--fail",
    NOT_SLOWER: "--pass",
    INCONCLUSIVE: "--wait",
    **{tone: f"--series-{i}" for i, tone in enumerate(SERIES, start=1)},
}
"""Tone -> variable of the style sheet."""
