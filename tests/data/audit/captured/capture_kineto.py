"""Writes kineto_gloo_rank{0,1}.json.gz: two ranks of a DDP training over gloo on CPUs, profiled by torch.profiler.

python capture_kineto.py FOLDER
"""

from __future__ import annotations

import gzip
import json
import os
import sys
from pathlib import Path

import torch
import torch.distributed as dist
import torch.multiprocessing as mp
from torch import nn
from torch.nn.parallel import DistributedDataParallel
from torch.profiler import ProfilerActivity, profile, schedule
from torch.utils.data import DataLoader, TensorDataset

RANKS, WIDTH, STEPS = 2, 384, 8
KEPT = ("cpu_op", "user_annotation", "kernel", "gpu_user_annotation")
"""Categories that stay in the file; every event of them stays as it was written."""


def main(folder: Path) -> None:
    """Run the ranks, then strip what no reader needs, so that the files stay small."""
    os.environ.update(MASTER_ADDR="127.0.0.1", MASTER_PORT="29641", OMP_NUM_THREADS="1")
    mp.start_processes(train, args=(folder,), nprocs=RANKS, start_method="spawn")
    for rank in range(RANKS):
        raw = folder / f"raw{rank}.json"
        trace = json.loads(raw.read_text())
        trace["traceEvents"] = [
            {key: value for key, value in event.items() if key != "args"} if event.get("cat") == "cpu_op" else event
            for event in trace["traceEvents"]
            if event.get("cat") in KEPT or event["ph"] == "M"
        ]
        with gzip.GzipFile(folder / f"kineto_gloo_rank{rank}.json.gz", "wb", mtime=0) as out:
            out.write(json.dumps(trace, separators=(",", ":")).encode())
        raw.unlink()


def train(rank: int, folder: Path) -> None:
    """A small perceptron; rank 1 has twice the batch, so that rank 0 waits for it."""
    torch.set_num_threads(1)
    dist.init_process_group("gloo", rank=rank, world_size=RANKS)
    torch.manual_seed(0)
    layers = [layer for _ in range(3) for layer in (nn.Linear(WIDTH, WIDTH), nn.ReLU())]
    model = DistributedDataParallel(nn.Sequential(*layers, nn.Linear(WIDTH, 1)))
    optimizer = torch.optim.SGD(model.parameters(), lr=1e-3)
    batch = 64 * (1 + rank)
    loader = DataLoader(TensorDataset(torch.randn(batch * STEPS, WIDTH)), batch_size=batch)
    with profile(
        activities=[ProfilerActivity.CPU],
        schedule=schedule(wait=1, warmup=1, active=STEPS - 2),
        on_trace_ready=lambda p: p.export_chrome_trace(str(folder / f"raw{rank}.json")),
    ) as profiler:
        for (inputs,) in loader:
            optimizer.zero_grad()
            model(inputs).square().mean().backward()
            optimizer.step()
            profiler.step()
    dist.destroy_process_group()


if __name__ == "__main__":
    main(Path(sys.argv[1]))
