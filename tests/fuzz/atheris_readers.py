"""Coverage-guided fuzzing of the readers: `python atheris_readers.py --seconds 2 --found FOLDER [NAME ...]`.

What is imported is instrumented once; each reader then gets a process of its own, one after the other, in which
libFuzzer looks for inputs that raise anything but our errors, take longer than TIME_LIMIT_SECONDS or more memory
than MEMORY_MB. Such an input is written to FOLDER under the name of the reader. The last line printed is JSON:
reader -> [runs, edges covered, exit code]. Exit code 1: something was found.
"""

from __future__ import annotations

import argparse
import json
import os
import re
import sys
import tempfile
from pathlib import Path

import atheris

INSTRUMENTED = ["seatrial", "snakemake_executor_plugin_submitit", "readers"]
sys.path.insert(0, str(Path(__file__).parent))
with atheris.instrument_imports(include=INSTRUMENTED):
    import readers
    from seeds import SEEDS

TIME_LIMIT_SECONDS = 30
MEMORY_MB = 2048
LONGEST_BYTES = 4096
SEED = 8
_DONE = re.compile(r"^#(\d+)\s+\w+.*?cov: (\d+)", re.MULTILINE)


def warm_up(names: list[str]) -> None:
    """Give every reader its first seed, so that what it imports is imported, and instrumented, before the forks."""
    with atheris.instrument_imports(include=INSTRUMENTED):
        for name in names:
            readers.read(name, SEEDS[name][0])


def fuzz(name: str, seconds: float, found: Path, log: Path) -> None:
    """Fuzz one reader; ends the process."""
    output = os.open(log, os.O_WRONLY | os.O_CREAT)
    for descriptor in (1, 2):
        os.dup2(output, descriptor)
    scratch = tempfile.TemporaryDirectory(prefix=f"seatrial-fuzz-{name}-")
    corpus = Path(scratch.name) / "corpus"
    corpus.mkdir()
    for number, seed in enumerate(SEEDS[name]):
        (corpus / str(number)).write_bytes(seed)
    words = [
        sys.argv[0],
        f"-max_total_time={max(1, round(seconds))}",
        f"-timeout={TIME_LIMIT_SECONDS}",
        f"-rss_limit_mb={MEMORY_MB}",
        f"-max_len={max(LONGEST_BYTES, *map(len, SEEDS[name]))}",
        f"-seed={SEED}",
        f"-artifact_prefix={found}/{name}-",
        "-print_final_stats=1",
        str(corpus),
    ]
    atheris.Setup(words, lambda data: _one(name, data))
    atheris.Fuzz()


def _one(name: str, data: bytes) -> None:
    readers.read(name, data)


def main() -> int:
    """Fuzz one reader after the other."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--seconds", type=float, required=True, help="for each reader")
    parser.add_argument("--found", type=Path, required=True)
    parser.add_argument("names", nargs="*", default=list(readers.READERS))
    arguments = parser.parse_args()
    arguments.found.mkdir(parents=True, exist_ok=True)
    warm_up(arguments.names)
    results = {}
    for name in arguments.names:
        log = arguments.found / f"{name}.log"
        child = os.fork()
        if child == 0:
            fuzz(name, arguments.seconds, arguments.found, log)
            os._exit(0)
        _, status = os.waitpid(child, 0)
        text = log.read_text(encoding="utf-8", errors="replace")
        runs, edges = max(((int(a), int(b)) for a, b in _DONE.findall(text)), default=(0, 0))
        results[name] = runs, edges, os.waitstatus_to_exitcode(status)
    print(json.dumps(results))
    return int(any(code != 0 for _, _, code in results.values()))


if __name__ == "__main__":
    sys.exit(main())
