"""One chromium for the tests of a file, and the pages that they open."""

import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[1] / "unit"))

from chromium import browser

__all__ = ["browser"]
