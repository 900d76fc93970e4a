"""Replayed loads: matrices of how many choices each source rank's tokens made of each expert, from a file.

Anyone's trace will do: .npz (an array), .json (nested lists, or a mapping of names to them) or .csv. Shape: ranks x
experts, or steps x ranks x experts. A matrix does not say which experts a token chose together: choices are dealt
out to tokens such that none has an expert twice, and what depends on the pairing is not reported.
"""

from __future__ import annotations

import csv
import hashlib
import json
import lzma
import struct
import zipfile
import zlib
from pathlib import Path
from typing import TYPE_CHECKING, Any

from seatrial.config.probe.moe_alltoall import MoeAlltoall, ReplayLoad
from seatrial.errors import UnreadableFile

if TYPE_CHECKING:
    import numpy as np

KINDS = (".npz", ".json", ".csv")
STEP, RANK = "step", "rank"
MOST = 2**31
"""A count above this is no count."""
MOST_BYTES = 2**30
"""Unpacked: a thousand steps of 256 ranks and 512 experts."""
DAMAGED = (
    ValueError, EOFError, KeyError, OverflowError, NotImplementedError, RuntimeError, MemoryError, struct.error,
    lzma.LZMAError, zlib.error, zipfile.BadZipFile,
)  # fmt: skip
"""What zipfile and numpy raise for archives that are not sound, or claim more than there is."""


def read_trace(load: ReplayLoad) -> np.ndarray:
    """The file's counts [steps, ranks, experts], whole numbers >= 0.

    Raises UnreadableFile, which names file, place and value, for a file that is absent or of another kind, and for
    entries that are negative, fractional, not finite or not numbers, and for lines of unequal length.
    """
    import numpy as np

    path = Path(load.file).expanduser()
    if path.suffix not in KINDS:
        raise UnreadableFile(path, f"a trace ends in {', '.join(KINDS)}, not {path.suffix or 'nothing'!r}")
    try:
        if path.suffix == ".npz":
            found = _npz(path, load.array)
        elif path.suffix == ".json":
            found = _array(path, _json(path, load.array))
        else:
            found = _csv(path)
    except (OSError, UnicodeDecodeError, csv.Error) as problem:
        raise UnreadableFile(path, str(problem)) from problem
    if found.ndim not in (2, 3) or 0 in found.shape:
        shape = " x ".join(str(n) for n in found.shape) or "a single number"
        raise UnreadableFile(path, f"counts are ranks x experts or steps x ranks x experts, not {shape}")
    _check_entries(path, found)
    whole = found.astype(np.int64)
    return whole if whole.ndim == 3 else whole[None]


def check_trace(workload: MoeAlltoall, counts: np.ndarray, ranks: int) -> None:
    """Raise UnreadableFile where `counts` [steps, ranks, experts] do not fit the case."""
    assert isinstance(workload.load, ReplayLoad)
    path = workload.load.file
    for what, has, needs in (("ranks", counts.shape[1], ranks), ("experts", counts.shape[2], workload.experts)):
        if has != needs:
            raise UnreadableFile(path, f"it has the counts of {has} {what}; the case has {needs}")
    chosen = counts.sum(axis=2)
    for step, rank in _places(chosen == 0):
        raise UnreadableFile(path, f"step {step}, rank {rank}: no choices at all")
    if workload.tokens is not None:
        each = workload.tokens * workload.top_k
        for step, rank in _places(chosen != each):
            raise UnreadableFile(
                path,
                f"step {step}, rank {rank}: {chosen[step, rank]} choices; tokens {workload.tokens} x top_k "
                f"{workload.top_k} are {each} (tokens null takes what the file says)",
            )
    tokens = -(-chosen // workload.top_k)
    for step, rank, expert in _places(counts > tokens[:, :, None]):
        raise UnreadableFile(
            path,
            f"step {step}, rank {rank}, expert {expert}: {counts[step, rank, expert]} choices of one expert by "
            f"{tokens[step, rank]} tokens ({chosen[step, rank]} choices, top_k {workload.top_k}); a token chooses "
            "an expert once",
        )


def replayed(counts: np.ndarray, top_k: int, iterations: int, rank: int) -> list[np.ndarray]:
    """The choices [tokens, top_k] of `rank` in each iteration, step after step and from the start again.

    The choices lie expert by expert; the i-th goes to token i modulo the number of tokens, so that no token has an
    expert twice, since none has more choices than there are tokens. -1 where the last choices are missing.
    """
    import numpy as np

    experts = np.arange(counts.shape[2], dtype=np.int32)
    steps = []
    for row in counts[:, rank]:
        flat = np.repeat(experts, row)
        tokens = -(-len(flat) // top_k)
        dealt = np.full(tokens * top_k, -1, dtype=np.int32)
        dealt[: len(flat)] = flat
        steps.append(dealt.reshape(top_k, tokens).T)
    return [steps[i % len(steps)] for i in range(iterations)]


def fingerprint(load: ReplayLoad) -> dict[str, str]:
    """What a record says of the file: its path and SHA-256."""
    path = Path(load.file).expanduser()
    return {"file": str(path), "sha256": hashlib.sha256(path.read_bytes()).hexdigest()}


def _npz(path: Path, name: str | None) -> np.ndarray:
    import numpy as np

    try:
        with zipfile.ZipFile(path) as members:
            unpacked = sum(member.file_size for member in members.infolist())
        if unpacked > MOST_BYTES:
            raise UnreadableFile(path, f"it unpacks to {unpacked} bytes; {MOST_BYTES} at most are read")
        with np.load(path, allow_pickle=False) as arrays:
            found: np.ndarray = arrays[_one_of(path, arrays.files, name)]
    except DAMAGED as problem:
        raise UnreadableFile(path, f"not arrays of numbers: {problem}") from problem
    if not isinstance(found, np.ndarray):
        raise UnreadableFile(path, "not an array of numbers")
    if found.dtype.kind not in "iuf":
        raise UnreadableFile(path, f"an array of {found.dtype}, not of numbers")
    return found


def _json(path: Path, name: str | None) -> Any:
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
    except (ValueError, RecursionError) as problem:
        raise UnreadableFile(path, f"not JSON: {problem}") from problem
    if isinstance(content, dict):
        return content[_one_of(path, list(content), name)]
    if name is not None:
        raise UnreadableFile(path, f"it has no key {name!r}: it is one list")
    return content


def _one_of(path: Path, names: list[str], wanted: str | None) -> str:
    """The array that is meant, by its name or as the only one."""
    if wanted is None and len(names) == 1:
        return names[0]
    if wanted is None or wanted not in names:
        lacks = "load.array does not say which is meant" if wanted is None else f"no array {wanted!r}"
        raise UnreadableFile(path, f"{lacks}; it has {', '.join(sorted(names)) or 'none'}")
    return wanted


def _array(path: Path, nested: Any) -> np.ndarray:
    """Nested lists of numbers as an array; the first thing that is none, or the first odd length, is the error."""
    import numpy as np

    shape: list[int] = []
    here = nested
    while isinstance(here, list) and here:
        shape.append(len(here))
        here = here[0]

    def flat(item: Any, place: tuple[int, ...]) -> list[float]:
        if len(place) < len(shape):
            if not isinstance(item, list) or len(item) != shape[len(place)]:
                has = len(item) if isinstance(item, list) else f"{item!r} instead"
                raise UnreadableFile(path, f"{_words(place)}: {shape[len(place)]} entries expected, found {has}")
            return [number for i, inner in enumerate(item) for number in flat(inner, (*place, i))]
        if isinstance(item, bool) or not isinstance(item, int | float):
            raise UnreadableFile(path, f"{_words(place)}: {item!r} is not a number")
        return [item]

    if len(shape) not in (2, 3):
        raise UnreadableFile(path, f"counts are two or three levels of lists, not {len(shape)}")
    try:
        return np.array(flat(nested, ()), dtype=np.float64).reshape(shape)
    except OverflowError as problem:
        raise UnreadableFile(path, f"a number in it is too large for a count: {problem}") from problem


def _csv(path: Path) -> np.ndarray:
    """A line for each rank, a column for each expert; with a head line `step,rank,...` several steps."""
    import numpy as np

    with path.open(encoding="utf-8", newline="") as file:
        lines = [(n, cells) for n, cells in enumerate(csv.reader(file), start=1) if any(c.strip() for c in cells)]
    if not lines:
        raise UnreadableFile(path, "it is empty")
    head = [cell.strip() for cell in lines[0][1]]
    width = len(head)
    stepped = head[:2] == [STEP, RANK]
    rows = lines[1:] if stepped else lines
    numbers = []
    for number, cells in rows:
        if len(cells) != width:
            raise UnreadableFile(path, f"line {number}: {width} entries expected, found {len(cells)}")
        numbers.append([_number(path, number, column, cell) for column, cell in enumerate(cells, start=1)])
    table = np.array(numbers, dtype=np.float64)
    if not stepped:
        return table
    return _stepped(path, table)


def _stepped(path: Path, table: np.ndarray) -> np.ndarray:
    """Lines [step, rank, counts ...] as steps x ranks x experts; every step must have every rank once."""
    import numpy as np

    if not len(table) or table.shape[1] < 3:
        raise UnreadableFile(path, "a head line without counts below it")
    steps, ranks = np.unique(table[:, 0]), np.unique(table[:, 1])
    ordered = table[np.lexsort((table[:, 1], table[:, 0]))]
    expected = np.array([(s, r) for s in steps for r in ranks])
    if ordered.shape[0] != len(expected) or (ordered[:, :2] != expected).any():
        raise UnreadableFile(path, f"not every one of {len(steps)} steps has each of {len(ranks)} ranks once")
    return ordered[:, 2:].reshape(len(steps), len(ranks), -1)


def _number(path: Path, line: int, column: int, cell: str) -> float:
    try:
        return float(cell)
    except ValueError as problem:
        raise UnreadableFile(path, f"line {line}, column {column}: {cell!r} is not a number") from problem


def _check_entries(path: Path, found: np.ndarray) -> None:
    import numpy as np

    values = found.astype(np.float64)
    checks = (
        (~np.isfinite(values), "is not finite"),
        (values < 0, "is negative"),
        (values != np.floor(values), "is not a whole number"),
        (values > MOST, "is too large for a count"),
    )
    for wrong, why in checks:
        for place in _places(wrong):
            raise UnreadableFile(path, f"{_words(place)}: {values[place]:g} {why}; counts are whole numbers >= 0")


def _places(wrong: np.ndarray) -> list[tuple[int, ...]]:
    """Where `wrong` is true, at most the first place."""
    import numpy as np

    return [tuple(int(i) for i in place) for place in np.argwhere(wrong)[:1]]


def _words(place: tuple[int, ...]) -> str:
    """'step 2, rank 0, expert 5' of the full index of a place, or as much of it as is known."""
    names = ("step", "rank", "expert") if len(place) == 3 else ("rank", "expert")
    return ", ".join(f"{name} {i}" for name, i in zip(names, place, strict=False)) or "the list"
