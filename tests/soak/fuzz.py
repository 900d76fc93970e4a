"""An hour of coverage-guided fuzzing, split over the readers: `python -m pytest -s tests/soak/fuzz.py`.

SEATRIAL_FUZZ_MINUTES sets another length, SEATRIAL_FUZZ_SEED the seed of the search, which is drawn otherwise.
Prints the seed and a table; what was found lies in results/soak/fuzz. The inputs that covered something new are
kept in results/soak/fuzz/corpus, and the next run goes on from them.
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


SEED = os.environ.get("SEATRIAL_FUZZ_SEED")
LIMIT_SECONDS = MINUTES * 60 * 3 + 1800
"""By the clock on the wall; MINUTES are of CPU time."""


@pytest.mark.timeout(int(LIMIT_SECONDS) + 100)
def test_an_hour_of_fuzzing_finds_nothing() -> None:
    sys.path.insert(0, str(ROOT / "tests" / "fuzz"))
    from readers import READERS

    found = ROOT / "results" / "soak" / "fuzz"
    each = max(1, round(MINUTES * 60 / len(READERS)))
    seed = [] if SEED is None else ["--seed", SEED]
    words = [sys.executable, str(ROOT / "tests/fuzz/atheris_readers.py"), "--seconds", str(each)]
    done = subprocess.run(
        [*words, "--found", str(found), "--corpus", str(found / "corpus"), *seed],
        capture_output=True,
        text=True,
        timeout=LIMIT_SECONDS,
        check=False,
    )
    assert done.returncode in (0, 1), done.stderr[-2000:]
    results = json.loads(done.stdout.splitlines()[-1])
    print(f"\n{done.stdout.splitlines()[0]}, {each} s of CPU time for each reader")
    print(f"{'reader':<18}{'inputs':>10}{'edges':>8}  found")
    for name, (runs, edges, code) in results.items():
        print(f"{name:<18}{runs:>10}{edges:>8}  {'nothing' if code == 0 else f'see {found}/{name}-*'}")
    assert all(code == 0 for _, _, code in results.values())
