"""`python -m mlperf_folders FOLDER`, in tests/: write the fixtures into FOLDER."""

from __future__ import annotations

import sys
from pathlib import Path

from . import write_fixtures

if len(sys.argv) != 2:
    sys.exit("usage: python -m mlperf_folders FOLDER")
write_fixtures(Path(sys.argv[1]))
