"""An hour of coverage-guided fuzzing, split over the readers: `python -m pytest -s tests/soak/fuzz.py`.

SEATRIAL_FUZZ_MINUTES sets another length. Prints a table; what was found lies in results/soak/fuzz.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
MINUTES = float(os.environ.get("SEATRIAL_FUZZ_MINUTES", "60"))


@pytest.mark.timeout(int(MINUTES * 60 * 1.3) + 900)
def test_an_hour_of_fuzzing_finds_nothing() -> None:
    sys.path.insert(0, str(ROOT / "tests" / "fuzz"))
    from readers import READERS

    found = ROOT / "results" / "soak" / "fuzz"
    each = max(1, round(MINUTES * 60 / len(READERS)))
    words = [sys.executable, str(ROOT / "tests/fuzz/atheris_readers.py"), "--seconds", str(each)]
    done = subprocess.run(
        [*words, "--found", str(found)],
        capture_output=True,
        text=True,
        timeout=MINUTES * 60 * 1.3 + 800,
        check=False,
    )
    assert done.returncode in (0, 1), done.stderr[-2000:]
    results = json.loads(done.stdout.splitlines()[-1])
    print(f"\n{each} s for each reader\n{'reader':<18}{'inputs':>10}{'edges':>8}  found")
    for name, (runs, edges, code) in results.items():
        print(f"{name:<18}{runs:>10}{edges:>8}  {'nothing' if code == 0 else f'see {found}/{name}-*'}")
    assert all(code == 0 for _, _, code in results.values())
