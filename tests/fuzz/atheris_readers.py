"""Coverage-guided fuzzing of the readers: `python atheris_readers.py --seconds 2 --found FOLDER [NAME ...]`.

What is imported is instrumented once; each reader then gets a process of its own, one after the other, in which
libFuzzer looks for inputs that raise anything but our errors, take longer than TIME_LIMIT_SECONDS or more memory
than MEMORY_MB. Such an input is written to FOLDER under the name of the reader, in place of what an earlier run
found for it. A reader is done after so many seconds of CPU time and TIMES_SEEDS times its seeds, whichever is
later, or after wall_seconds. Printed are the seed of the search and, as the last line, JSON: reader -> [inputs,
edges covered, exit code]. Exit code 1: something was found.
"""

from __future__ import annotations

import argparse
import json
import os
import random
import re
import sys
import tempfile
import time
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
TIMES_SEEDS = 10
_DONE = re.compile(r"^#(\d+)\s+\w+.*?cov: (\d+)", re.MULTILINE)
_INPUTS = re.compile(r"^inputs: (\d+)$", re.MULTILINE)


def wall_seconds(seconds: float) -> float:
    """How long a reader may take at most, by the clock on the wall: a machine may have others to serve."""
    return 40 + 3 * seconds


def warm_up(names: list[str]) -> None:
    """Give every reader its first seed, so that what it imports is imported, and instrumented, before the forks."""
    with atheris.instrument_imports(include=INSTRUMENTED):
        for name in names:
            readers.read(name, SEEDS[name][0])


def fuzz(name: str, seconds: float, found: Path, corpus: Path, seed: int) -> None:
    """Fuzz one reader; ends the process."""
    output = os.open(found / f"{name}.log", os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_APPEND)
    for descriptor in (1, 2):
        os.dup2(output, descriptor)
    for number, content in enumerate(SEEDS[name]):
        (corpus / f"seed-{number}").write_bytes(content)
    words = [
        sys.argv[0],
        f"-max_total_time={round(wall_seconds(seconds))}",
        f"-timeout={TIME_LIMIT_SECONDS}",
        f"-rss_limit_mb={MEMORY_MB}",
        f"-max_len={max(LONGEST_BYTES, *map(len, SEEDS[name]))}",
        f"-seed={seed}",
        f"-artifact_prefix={found}/{name}-",
        "-print_final_stats=1",
        str(corpus),
    ]
    until, enough, inputs = time.process_time() + seconds, TIMES_SEEDS * len(SEEDS[name]), 0

    def one(data: bytes) -> None:
        nonlocal inputs
        if inputs >= enough and time.process_time() >= until:
            os.write(output, f"\ninputs: {inputs}\n".encode())
            os._exit(0)
        readers.read(name, data)
        inputs += 1

    atheris.Setup(words, one)
    atheris.Fuzz()


def in_a_process(name: str, seconds: float, found: Path, corpus: Path, seed: int) -> tuple[int, int, int]:
    """Fuzz one reader in a process of its own: inputs, edges covered, exit code."""
    for earlier in found.glob(f"{name}-*"):
        earlier.unlink()
    corpus.mkdir(parents=True, exist_ok=True)
    child = os.fork()
    if child == 0:
        fuzz(name, seconds, found, corpus, seed)
        os._exit(0)
    _, status = os.waitpid(child, 0)
    log = (found / f"{name}.log").read_text(encoding="utf-8", errors="replace")
    shown = [(int(a), int(b)) for a, b in _DONE.findall(log)]
    inputs = max([*(int(a) for a in _INPUTS.findall(log)), *(a for a, _ in shown)], default=0)
    return inputs, max((b for _, b in shown), default=0), os.waitstatus_to_exitcode(status)


def main() -> int:
    """Fuzz one reader after the other."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--seconds", type=float, required=True, help="of CPU time, for each reader")
    parser.add_argument("--found", type=Path, required=True)
    parser.add_argument("--corpus", type=Path, help="kept for the next run; default: thrown away")
    parser.add_argument(
        "--seed", type=int, default=random.SystemRandom().randrange(1, 2**31), help="default: drawn"
    )
    parser.add_argument("names", nargs="*", default=list(readers.READERS))
    arguments = parser.parse_args()
    print(f"seed {arguments.seed}", flush=True)
    arguments.found.mkdir(parents=True, exist_ok=True)
    warm_up(arguments.names)
    with tempfile.TemporaryDirectory(prefix="seatrial-fuzz-") as scratch:
        corpus = arguments.corpus or Path(scratch)
        results = {
            name: in_a_process(name, arguments.seconds, arguments.found, corpus / name, arguments.seed)
            for name in arguments.names
        }
    print(json.dumps(results))
    return int(any(code != 0 for _, _, code in results.values()))


if __name__ == "__main__":
    sys.exit(main())
