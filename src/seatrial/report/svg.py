"""Matplotlib figures as SVG text: the same figure gives the same bytes, and can stand inside the page."""

from __future__ import annotations

import re
from collections.abc import Iterator
from contextlib import contextmanager
from io import StringIO
from typing import Any
from xml.sax.saxutils import escape

import matplotlib as mpl
from matplotlib.backends.backend_svg import FigureCanvasSVG
from matplotlib.figure import Figure

from seatrial.report.palette import GRID, INK, VARIABLES

SETTINGS: dict[Any, Any] = {
    "svg.hashsalt": "seatrial",
    "svg.fonttype": "none",
    "font.family": "sans-serif",
    "font.sans-serif": ["DejaVu Sans"],
    "font.size": 10.0,
    "axes.titlesize": 10.0,
    "axes.labelsize": 10.0,
    "text.color": INK,
    "axes.edgecolor": GRID,
    "axes.labelcolor": INK,
    "axes.facecolor": "none",
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.grid": False,
    "axes.axisbelow": True,
    "axes.unicode_minus": False,
    "figure.facecolor": "none",
    "grid.color": GRID,
    "grid.linewidth": 0.5,
    "grid.alpha": 0.45,
    "xtick.color": INK,
    "ytick.color": INK,
    "legend.frameon": False,
    "legend.fontsize": 9.0,
    "lines.linewidth": 1.6,
    "lines.markersize": 5.0,
    "text.parse_math": False,
    "text.hinting": "no_hinting",
    "figure.dpi": 72.0,
    "savefig.dpi": 72.0,
}
PIXELS_PER_POINT = 96 / 72
LEAST_SCALE = 0.6
"""A narrow page scrolls a figure rather than shrink it below this; half as wide as a page it fits a telephone."""
PAGE_FONT = "system-ui, -apple-system, 'Segoe UI', Roboto, 'DejaVu Sans', sans-serif"


@contextmanager
def settings() -> Iterator[None]:
    """Matplotlib's defaults plus SETTINGS, whatever this machine's matplotlibrc says."""
    with mpl.rc_context():
        mpl.rcdefaults()
        mpl.rcParams.update(SETTINGS)
        yield


def to_svg(figure: Figure, name: str, title: str, description: str) -> str:
    """The figure as an SVG document with title and description; `name` makes its ids unique in a page.

    Call within `settings()`.
    """
    text = StringIO()
    # savefig would draw twice, once to settle the layout; drawing settles it too
    FigureCanvasSVG(figure).print_svg(text, metadata={"Date": None, "Creator": None})
    svg = text.getvalue()
    svg = svg[svg.index("<svg") :]
    svg = re.sub(r"\s*<metadata>.*?</metadata>", "", svg, count=1, flags=re.DOTALL)
    svg = re.sub(r'\bid="', f'id="{name}-', svg)
    svg = re.sub(r'(xlink:href="#|url\(#)', rf"\g<1>{name}-", svg)
    svg = svg.replace("'DejaVu Sans'", PAGE_FONT).replace(f"{PAGE_FONT}, sans-serif", PAGE_FONT)
    label = f'role="img" aria-labelledby="{name}-title {name}-description"'
    words = (
        f'<title id="{name}-title">{escape(title)}</title>\n'
        f' <desc id="{name}-description">{escape(description)}</desc>'
    )
    return re.sub(r"<svg ([^>]*)>", lambda m: f"<svg {m.group(1)} {label}>\n {words}", svg, count=1)


def inline(svg: str) -> str:
    """The SVG for the page: its tones are variables of the style sheet, its width is the column's."""
    for tone, variable in VARIABLES.items():
        svg = svg.replace(tone, f"var({variable})")
    svg = re.sub(r"\s*<style.*?</style>", "", svg, count=1, flags=re.DOTALL)
    return re.sub(r'width="([\d.]+)pt" height="[\d.]+pt"', _fluid, svg, count=1)


def _fluid(found: re.Match[str]) -> str:
    width = float(found.group(1)) * PIXELS_PER_POINT
    return f'style="max-width:{width:.0f}px;min-width:{LEAST_SCALE * width:.0f}px"'
