"""Small files that ask for much: `python bombs.py` gives each to its reader and prints what became of it as JSON.

The process may have MEMORY_GB of address space; whoever starts it gives it a time limit.
"""

from __future__ import annotations

import gzip
import io
import json
import resource
import sys
import tarfile
import time
import zipfile
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import zstandard

sys.path.insert(0, str(Path(__file__).parent))
from readers import read
from seeds import RECORD

MEMORY_GB = 6
DEEP = 200_000
LAUGHS = "a: &a [x,x,x,x,x,x,x,x,x]\n" + "".join(
    f"{c}: &{c} [{','.join(9 * ['*' + b])}]\n" for b, c in zip("abcdefghi", "bcdefghij", strict=True)
)
JSON_READERS = (
    "record", "case", "mlperf_system", "nccl_tests", "fio", "mlperf_storage", "audit", "study_files", "job_notes",
    "executor_files", "external_lines", "restarts", "fence", "figure_index", "driver_tools",
)  # fmt: skip
YAML_READERS = ("study", "rules", "accelerators", "topology")


def _npz(header: bytes, size: int, stated: int | None = None) -> bytes:
    """An array whose header says more than is there; `stated`: what the archive says of its size."""
    content = io.BytesIO()
    with zipfile.ZipFile(content, "w", zipfile.ZIP_DEFLATED) as archive:
        text = header + b" " * (117 - len(header)) + b"\n"
        with archive.open("counts.npy", "w", force_zip64=True) as member:
            member.write(b"\x93NUMPY\x01\x00" + len(text).to_bytes(2, "little") + text)
            for _ in range(size >> 20):
                member.write(bytes(1 << 20))
    packed = bytearray(content.getvalue())
    if stated is not None:
        place = packed.rfind(b"PK\x01\x02") + 24  # of the directory's entry: uncompressed size
        packed[place : place + 4] = stated.to_bytes(4, "little")
    return bytes(packed)


def _parquet(values: int) -> bytes:
    content = io.BytesIO()
    zeros = pa.array(np.zeros(values))
    pq.write_table(pa.table({"series": zeros.cast(pa.int32()), "value": zeros}), content, compression="zstd")
    return content.getvalue()


def _tar_of_zeros(size: int, name: str) -> bytes:
    entry = tarfile.TarInfo(name)
    entry.size = size
    return entry.tobuf(tarfile.PAX_FORMAT)


def _bundle(size: int) -> bytes:
    wanted = zstandard.ZstdCompressionParameters.from_level(3, window_log=22, write_checksum=True)
    packer = zstandard.ZstdCompressor(compression_params=wanted).compressobj()
    head = packer.compress(_tar_of_zeros(size, "manifest-sha256.txt"))
    return head + b"".join(packer.compress(bytes(1 << 20)) for _ in range(64)) + packer.flush()


def bombs() -> dict[str, tuple[str, bytes]]:
    """Name -> reader and bytes."""
    found: dict[str, tuple[str, bytes]] = {}
    for name in JSON_READERS:
        found[f"{name}: nested lists"] = name, b"[" * DEEP
        found[f"{name}: nested objects"] = name, b'{"a":' * DEEP + b"1" + b"}" * DEEP
        found[f"{name}: a number of many digits"] = name, b'{"a": ' + b"9" * 100_000 + b"}"
        found[f"{name}: half a character"] = name, b'{"a": "\\ud800", "\\udfff": NaN, "b": -Infinity}'
    for name in YAML_READERS:
        found[f"{name}: aliases of aliases"] = name, LAUGHS.encode()
        found[f"{name}: an alias of itself"] = name, b"a: &a [*a]\n"
        found[f"{name}: nested lists"] = name, b"[" * 20_000
        found[f"{name}: a 13th month"] = name, b"a: 2026-13-45\n"
        found[f"{name}: a Python object"] = name, b"a: !!python/object/apply:os.system ['true']\n"
    found["node_answers: nested lists"] = "node_answers", b"seatrial-doctor:" + b"[" * DEEP
    found["driver_tools: a long name"] = "driver_tools", b"x" * 200_000
    deep = b'\1{"counts": ' + b"[" * DEEP + b"}"
    found["routing: nested lists"] = "routing", deep
    found["routing: a number of many digits"] = "routing", b"\1[[1e999, " + b"9" * 400 + b"]]"
    shape = b"{'descr': '<i8', 'fortran_order': False, 'shape': (1000000, 1000000, 100), }"
    found["routing: an array that claims more than is there"] = "routing", b"\0" + _npz(shape, 1 << 20)
    shape = b"{'descr': '<i8', 'fortran_order': False, 'shape': (1, 50331648, 8), }"
    found["routing: an array that says it unpacks to 3 GiB"] = "routing", b"\0" + _npz(shape, 1 << 20, 3 << 30)
    found["series: 2e7 equal values"] = "series", _parquet(20_000_000)
    found["bundle: a file of 900 GB"] = "bundle", _bundle(900 << 30)
    found["audit: gzip of 1.1 GiB"] = "audit", _gzip(1152 << 20)
    found["topology: a range without end"] = "topology", b"SwitchName=s Nodes=n[0-99999999999]"
    found["topology: ranges times ranges"] = "topology", b"SwitchName=s Nodes=" + b"n[1-999]" * 8
    found["slurm_answers: a range without end"] = (
        "slurm_answers",
        b"1_[0-99999999999]|FAILED|0:0|n[0-99999999]|||a|b",
    )
    found["overrides: a range without end"] = "overrides", b"target.nodes=range(1,100000000000)"
    digits = b"9" * 5000
    found["overrides: a number of many digits"] = "overrides", b"base_seed=" + digits
    found["overrides: a sweep of numbers of many digits"] = "overrides", b"target.nodes=1," + digits
    found["overrides: nested lists"] = "overrides", b"base_seed=" + b"[" * 2000 + b"]" * 2000
    found["record: samples that are no numbers"] = "record", json.dumps({**RECORD, "repeat": 10**400}).encode()
    return found


def _gzip(size: int) -> bytes:
    content = io.BytesIO()
    with gzip.GzipFile(fileobj=content, mode="wb", compresslevel=1) as packed:
        for _ in range(size >> 24):
            packed.write(b" " * (1 << 24))
    return content.getvalue()


def main() -> None:
    """Give every bomb to its reader: name -> taken or refused, seconds."""
    prepared = bombs()
    resource.setrlimit(resource.RLIMIT_AS, (MEMORY_GB << 30, MEMORY_GB << 30))
    told = {}
    for name, (reader, content) in prepared.items():
        began = time.process_time()
        try:
            taken: object = read(reader, content)
        except (Exception, RecursionError) as fault:  # noqa: BLE001 - whatever it is, it is what the test is about
            taken = f"{type(fault).__name__}: {str(fault)[:200]}"
        told[name] = taken, round(time.process_time() - began, 2)
    print(json.dumps(told))


if __name__ == "__main__":
    main()
