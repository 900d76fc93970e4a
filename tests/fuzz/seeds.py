"""Seeds of the fuzzing, by reader: one small sound input at least, and what was found with them since."""

from __future__ import annotations

import gzip
import io
import json
import tarfile
from functools import cache
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import zstandard

ROOT = Path(__file__).resolve().parents[2]
DATA = ROOT / "tests" / "data"


def _json(content: object) -> bytes:
    return json.dumps(content).encode()


RECORD = {
    "study": "s", "case_id": "0123456789abcdef", "repeat": 0, "seed": 1, "workload": "gemm", "target": "t",
    "outcome": "completed", "started_at": "2026-01-01T00:00:00Z", "finished_at": "2026-01-01T00:01:00Z",
    "measurements": [{
        "metric": "gemm.throughput", "unit": "TFLOP/s", "direction": "higher", "samples": [1.0, 2.5],
        "labels": {"rank": 0}, "ceiling": 3.0, "ceiling_basis": "declared",
    }],
    "provenance": {"hosts": [{"name": "n1"}]},
}  # fmt: skip
MLLOG = b"".join(
    b":::MLLOG " + _json({"namespace": "", "time_ms": 1000 * k, "event_type": kind, "key": key, "value": value,
                          "metadata": {"file": "a.py", "lineno": 1, **more}}) + b"\n"
    for k, (kind, key, value, more) in enumerate([
        ("POINT_IN_TIME", "submission_benchmark", "llama2_70b_lora", {}),
        ("POINT_IN_TIME", "submission_division", "closed", {}),
        ("POINT_IN_TIME", "seed", 7, {}),
        ("POINT_IN_TIME", "global_batch_size", 8, {}),
        ("INTERVAL_START", "run_start", None, {}),
        ("POINT_IN_TIME", "tracked_stats", {"throughput": 12.5}, {"step": 4}),
        ("INTERVAL_START", "eval_start", None, {"samples_count": 384}),
        ("POINT_IN_TIME", "eval_accuracy", 0.92, {"samples_count": 384}),
        ("INTERVAL_END", "eval_stop", None, {"samples_count": 384}),
        ("INTERVAL_END", "run_stop", None, {"status": "success", "samples_count": 384}),
    ])
)  # fmt: skip
NCCL_TEXT = b"""# nThread 1 nGpus 2 minBytes 8 maxBytes 16 step: 2(factor) \
warmup iters: 5 iters: 20 agg iters: 1 validation: 1 graph: 0
#
# Using devices
#  Rank  0 Group  0 Pid  51 on   node1 device  0 [0x01] NVIDIA H100
#  Rank  1 Group  0 Pid  51 on   node1 device  1 [0x02] NVIDIA H100
#
#                                                              out-of-place                       in-place
#       size         count      type   redop    root     time   algbw   busbw #wrong     time   algbw   busbw #wrong
#        (B)    (elements)                               (us)  (GB/s)  (GB/s)            (us)  (GB/s)  (GB/s)
           8             2     float     sum      -1     10.0    0.00    0.00      0     10.0    0.00    0.00      0
          16             4     float     sum      -1     10.0    0.00    0.00      0     10.0    0.00    0.00    N/A
# Out of bounds values : 0 OK
# Avg bus bandwidth    : 0.0008
#
"""
NCCL_JSON = {
    "version": "2.17", "start_time": "2026-01-01T00:00:00", "end_time": "2026-01-01T00:01:00",
    "config": {"nthreads": 1, "ngpus": 2, "args": ["all_reduce_perf", "-J"]},
    "devices": [{"rank": 0, "hostname": "node1", "device": 0, "device_name": "NVIDIA H100"}],
    "results": [{"size": 8, "count": 2, "type": "float", "redop": "sum", "root": -1,
                 "out_of_place": {"time": 10.0, "alg_bw": 0.1, "bus_bw": 0.1, "nwrong": "0"}}],
    "out_of_bounds": {"out_of_bounds": False, "count": 0}, "average_bus_bandwidth": {"bandwidth": 0.1},
}  # fmt: skip
SUMMARY = {
    "summary_start": "2026-01-01T00:00:00", "num_hosts": 1, "num_accelerators": 8,
    "metric": {"save_checkpoint_io_mean_GB_per_second": 2.5, "load_checkpoint_io_mean_GB_per_second": 3.5,
               "save_checkpoint_duration_mean_seconds": 1.5},
}  # fmt: skip
ATTEMPT = {
    "attempt": 1, "cluster": "slurm", "external_jobid": "7_1", "state": "NODE_FAIL", "exit_code": 1, "signal": 9,
    "reason": "why", "failing_rank": 0, "failing_node": "n1", "nodes": ["n1"], "submitted_at": "t",
}  # fmt: skip
LEDGER = {
    "key": "k", "run": "one", "cluster": "slurm", "folder": "/f", "name": "n", "index": 0, "size": 1, "ranks": 1,
    "fingerprint": None, "submitted_at": "t", "log": "a.log", "log_before": [3, 4], "job_id": "7",
    "status": "submitted",
}  # fmt: skip
RANK = {"rank": 0, "node": "n1", "pid": 1, "started_at": "t", "ended_at": "u", "exit_code": 0, "signals": []}
# of a study that another host works on: its jobs are told by what their ranks have written
NOTE = {**LEDGER, "cluster": "local", "folder": "jobs", "log": "results/s/logs/measure/0123456789abcdef/0.log"}
RANKS_WORD = {**NOTE, **RANK, "started_at": "2026-01-01T00:00:00Z", "ended_at": None}
NODE = {
    "host": "n1", "python": "3.11.7", "seatrial": "0.1.0", "at": 0.5, "locked_memory": None, "open_files": 1024,
    "shared_memory": 17179869184, "clock_synchronised": True, "clock_saw": "chronyc: Normal", "driver": None,
    "infiniband": ["mlx5_0 port 1 ACTIVE"], "infiniband_gbit": 400.0, "vendor": None, "devices": ["NVIDIA H200"],
    "torch": {"version": "2.9", "cuda": "13.0", "devices": ["NVIDIA H200"]}, "programs": {"sh": "/bin/sh"},
    "folders": [{"path": "/d", "exists": True, "writable": True, "marked": True, "free": 5, "speed": 1.5},
                {"path": "/r", "exists": True, "readable": True}],
}  # fmt: skip
STUDY = """\
# @package _global_
defaults:
  - /target: local
  - _self_
name: fuzz
title: A study
experiments:
  product:
    repeats: 2
    workload: {kind: gemm, m: 64, n: 64, k: 64, dtypes: [float32]}
    sweep:
      axes: {workload.m: '32,64'}
criteria:
  - {name: fast, metric: gemm.throughput, at_least: 0.1}
"""


def _npz() -> bytes:
    content = io.BytesIO()
    np.savez_compressed(content, counts=np.ones((2, 2, 4), dtype=np.int64))
    return content.getvalue()


def _parquet() -> bytes:
    content = io.BytesIO()
    pq.write_table(pa.table({"series": pa.array([0, 0], pa.int32()), "value": pa.array([1.0, 2.0])}), content)
    return content.getvalue()


def _tar(files: dict[str, bytes]) -> bytes:
    content = io.BytesIO()
    with tarfile.open(fileobj=content, mode="w") as tar:
        for name, data in files.items():
            entry = tarfile.TarInfo(name)
            entry.size = len(data)
            tar.addfile(entry, io.BytesIO(data))
    return content.getvalue()


def _frame(content: bytes) -> bytes:
    wanted = zstandard.ZstdCompressionParameters.from_level(3, window_log=22, write_checksum=True)
    packer = zstandard.ZstdCompressor(compression_params=wanted).compressobj()
    return packer.compress(content) + packer.flush()


def _all_of(folder: str, *patterns: str) -> list[bytes]:
    """Of the tests' own data what is small."""
    files = (path for pattern in patterns for path in sorted((DATA / folder).rglob(pattern)))
    return [content for path in files if path.is_file() and len(content := path.read_bytes()) < 20_000]


@cache
def _bundle_tar() -> bytes:
    digest = "0" * 64
    return _tar({"manifest-sha256.txt": f"{digest}  s/study.json\n".encode(), "s/study.json": b"{}"})


SEEDS: dict[str, list[bytes]] = {
    "planted": [b"{"],
    "record": [_json(RECORD), _json({**RECORD, "outcome": "failed", "error": {"kind": "timeout", "message": "m"}})],
    "series": [_parquet()],
    "case": [b'{"case_id": "0123456789abcdef", "study": "s", "experiment": "e", "base_seed": 1, "repeats": 1, '
             b'"axes": {}, "workload": {"kind": "gemm"}, "target": {"name": "t"}}'],
    "mllog": [MLLOG, b":::MLLOG {\r\n:::MLLOG {}\r:::MLLOG " + b"[" * 200],
    "mlperf_log": [MLLOG],
    "mlperf_system": [_json({"submitter": "v", "system_name": "s", "number_of_nodes": "2",
                             "accelerators_per_node": "8", "accelerator_model_name": "NVIDIA H100"}),
                      _json({"scaling_factor": 1.02})],
    "mlperf_power": [MLLOG, b"2026-01-01 00:00:00.000, 500.0\n2026-01-01 00:00:01.000, 510.0\n"],
    "mlperf_archive": [gzip.compress(_tar({"results/sys/llama2_70b_lora/result_0.txt": MLLOG}), mtime=0),
                       _tar({"results/sys/llama2_70b_lora/result_0.txt": MLLOG, "systems/sys.json": b"{}"})],
    "nccl_tests": [NCCL_TEXT, _json(NCCL_JSON), *_all_of("nccl_tests", "*.log")],
    "fio": _all_of("fio", "*.json"),
    "mlperf_storage": [_json(SUMMARY) + b"\0" + _json({"model": "llama3-8b", "num_processes": 8})],
    "audit": [*_all_of("audit", "*.csv", "*.log", "*.txt", "*.json"), MLLOG],
    "routing": [b"\0" + _npz(), b'\1{"counts": [[1, 2], [3, 4]]}', b"\2step,rank,a,b\n0,0,1,2\n0,1,3,4\n",
                b"\2" + b"1,2\n3,4\n"],
    "bundle": [_frame(_bundle_tar())],
    "bundle_files": [_bundle_tar()],
    "overrides": [b"base_seed=3\ntitle='x y'", b"target.nodes=choice(1,2)\n+a.b=[1,{c: d}]\n~target\n"
                  b"name='x y'\nbase_seed=${oc.env:HOME}\nk=1,2"],
    "study": [STUDY.encode()],
    "rules": [b"productive_low: {value: 0.4, source: agreed with the vendor}\n"],
    "accelerators": [b"accelerator: {name: H200, vendor: NVIDIA, device_names: ['*H200*']}\n"],
    "topology": [b"SwitchName=s1 Nodes=node[1-2,7]\nSwitchName=s2 Nodes=a[01-03]b\n",
                 b"switches: {s1: 'node[1-2]'}\nracks: {r1: [node1, node2]}\n"],
    "published": [(ROOT / "src/seatrial/reference/published.csv").read_bytes()[:3000].rpartition(b"\n")[0] + b"\n"],
    "study_files": [_json([ATTEMPT]), _json({"0123456789abcdef/0": 1}),
                    _json({"process": 1, "host": "h", "since": "t", "folder": "/", "submissions": None})],
    "job_notes": [b"\0".join([_json(NOTE), _json(RANKS_WORD), b"nonsense\n"]),
                  b"\0".join([_json({**NOTE, "cluster": "slurm"}), b"{}",
                              b"7|N/A|7|RUNNING|2026-01-01T00:00:00|n1|None\n7|N/A|7|PENDING|N/A||Resources\n"]),
                  _json(RANKS_WORD), _json({**RANKS_WORD, "started_at": "2026-01-01T00:00:00"}),
                  _json({**RANKS_WORD, "log": "a\0b"}), _json({**RANKS_WORD, "node": "\ud800"})],
    "executor_files": [_json(LEDGER), _json(RANK), _json([ATTEMPT]), b'{"n1": 1.5}'],
    "slurm_answers": [b"7_[1-2,5%3]|FAILED|1:0|gpu[01-03,7]|2026-01-01T00:00:00|Unknown|Unknown|None\n",
                      b"7|1|8|PENDING|2|p|Resources|name\nn1|p*|idle|a,b\n"],
    "restarts": [_json({"asked": "0123456789abcdef", "seen": {"TIMEOUT": 1, "interrupted": 2}, "given_up": None})],
    "fence": [_json({**LEDGER, "submitted_at": "t", "requeues": True}) + b"\0" + _json({**RANK, "restart": 1}),
              _json({**LEDGER, "submitted_at": "u"}), _json({**LEDGER, "submitted_at": "t", "fenced": True})],
    "figure_index": [_json([{"name": "a", "title": "A", "reading": "r", "caption": "c", "tables": ["t.csv"],
                             "case_ids": ["0123456789abcdef"], "suffixes": [".svg"]}])],
    "driver_tools": [_json({"gpu_data": [{"gpu": 0, "asic": {"market_name": "AMD Instinct MI300X"}}]}),
                     _json({"card0": {"Card Series": "AMD Instinct MI300X"}, "system": {}}),
                     b"NVIDIA H200\nNVIDIA H200\n", b'{"gpu_data": null}', b'{"card0": [1]}'],
    "node_answers": [b"n1: seatrial-doctor:" + _json(NODE) + b"\n", b"seatrial-doctor:[1]\n",
                     b"seatrial-doctor:" + _json({**NODE, "torch": {}}) + b"\n"],
    "external_lines": [MLLOG,
                       b"[titan] step: 10  loss: 2.5  tps: 1,024  mfu: 40.1%\nvalidate step: 10  loss: 2.0\n"],
}  # fmt: skip
"""The first of each is sound, or as sound as a small one can be."""
