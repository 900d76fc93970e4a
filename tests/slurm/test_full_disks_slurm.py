"""File systems that turn read-only or run full while jobs run on a real Slurm: nothing is lost or half-written."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from private_slurm import NODES
from test_study_slurm import BIN, NOT_GEMM, ONE_RANK, now, queue, started_jobs
from waiting import interrupt, until

from seatrial.record import Record

pytestmark = [pytest.mark.slurm, pytest.mark.timeout(400)]
REPEATS = 6
MEASURE = """#!/bin/bash
# `seatrial measure` that says that it is there and waits until it may write
[ "$1" = measure ] || exec {real} "$@"
touch {signs}/begun.$4
until [ -e {signs}/go.$4 ]; do sleep 0.1; done
exec {real} "$@"
"""


class Site:
    """A project on one disk, its results on another; both are seen by all nodes."""

    def __init__(self, project: Path, slurm: dict[str, str], disks: tuple[Path, Path]) -> None:
        self.results, work = disks
        self.signs = project / "signs"
        self.folder = Path(shutil.copytree(project, work / "project", symlinks=True))
        programs = project / "bin"
        for made in (self.signs, programs):
            made.mkdir()
        (programs / "seatrial").write_text(MEASURE.format(real=BIN / "seatrial", signs=self.signs))
        (programs / "seatrial").chmod(0o755)
        self.environment = {**os.environ, **slurm, "PATH": f"{programs}:{BIN}:{slurm['PATH']}"}
        self.out = project / "out"

    def start(self, *words: str) -> subprocess.Popen[str]:
        """Snakemake on the study; its words go to a file, which grows."""
        changes = [*NOT_GEMM, *ONE_RANK, "~experiments.gemm.sweep", "experiments.gemm.workload.m=32"]
        together = ["target.accelerators_per_node=1", f"experiments.gemm.repeats={REPEATS}"]
        overrides = json.dumps([*changes, *together])
        config = ["study=demo", "target=mini_slurm", f"results={self.results}", f"overrides={overrides}"]
        often = ("--submitit-status-interval", "2", "--latency-wait", "3", "--submitit-file-latency", "3")
        with self.out.open("a") as log:
            return subprocess.Popen(
                ["snakemake", "--profile", "slurm", *often, *words, "--config", *config],
                cwd=self.folder, env=self.environment, stdout=log, stderr=log, text=True,
            )  # fmt: skip

    def said(self) -> str:
        """What all Snakemakes have said."""
        return self.out.read_text()

    def go(self, repeat: int) -> None:
        """Let a repeat measure and write."""
        (self.signs / f"go.{repeat}").touch()

    def record(self, repeat: int) -> Path:
        """Where the record of a repeat is, once the study is planned."""
        (case,) = (self.results / "demo" / "cases").glob("*.json")
        return self.results / "demo" / "records" / case.stem / f"{repeat}.json"

    def on_nodes(self, *words: str) -> None:
        """Run a command in the mount namespace of every node."""
        for number in range(1, NODES + 1):
            pid = Path(self.environment["SLURM_BASE"], "run", f"init.node{number}.pid").read_text().strip()
            subprocess.run(["nsenter", "-t", pid, "-m", *words], timeout=30, check=True)


@contextmanager
def read_only(site: Site) -> Iterator[None]:
    """On the nodes, the results can only be read."""
    site.on_nodes("mount", "-o", "remount,bind,ro", str(site.results))
    try:
        yield
    finally:
        site.on_nodes("mount", "-o", "remount,bind,rw", str(site.results))


@contextmanager
def full(disk: Path) -> Iterator[None]:
    """Nothing more fits on a disk."""
    filler = disk / "filler"
    try:
        with filler.open("wb", buffering=0) as file, pytest.raises(OSError, match="No space"):
            while file.write(bytes(4096)):
                pass
        yield
    finally:
        filler.unlink()


@pytest.fixture
def site(project: Path, slurm_cluster: dict[str, str], disks_to_fill: tuple[Path, Path]) -> Site:
    return Site(project, slurm_cluster, disks_to_fill)


def test_what_a_read_only_folder_and_full_disks_spoil_is_said_and_runs_again_and_nothing_else(site: Site) -> None:
    """Repeats 0 and 1 complete; 2, 3 and 4 meet a fault each, and 5 is stopped by the last of them."""
    since = now()
    process = site.start("--retries", "0")
    try:
        until(lambda: len(list(site.signs.glob("begun.*"))) == REPEATS or process.poll() is not None, 90)
        for repeat in (0, 1):
            site.go(repeat)
        until(lambda: all(site.record(repeat).exists() for repeat in (0, 1)), 60)
        kept = [site.record(repeat).read_bytes() for repeat in (0, 1)]
        with read_only(site):
            _fails(site, 2, f"cannot write {site.record(2)}: Read-only file system")
        with full(site.results):
            _fails(site, 3, f"cannot write {site.record(3)}: No space left on device")
        with full(site.folder.parent):  # Snakemake itself cannot go on
            _fails(site, 4, "no space is left there")
            assert process.wait(timeout=60) != 0
    finally:
        interrupt(process)
        print(site.said())
    assert "3.log cannot be written: No space left on device" in site.said()
    assert "Error recording metadata for finished job ([Errno 28] No space left on device)" in site.said()
    assert "Traceback" not in site.said()
    _nothing_is_half_written(site)
    until(lambda: not queue(site.environment), 60)
    for repeat in range(REPEATS):
        site.go(repeat)
    again = site.start("--retries", "0")
    try:
        assert again.wait(timeout=120) == 0, site.said()[-4000:]
    finally:
        interrupt(again)
    assert {Record.read(site.record(repeat)).outcome for repeat in range(REPEATS)} == {"completed"}
    assert [site.record(repeat).read_bytes() for repeat in (0, 1)] == kept
    _nothing_is_half_written(site)
    twice = 2 * (REPEATS - len(kept))
    until(lambda: len(started_jobs(site.environment, since)) >= len(kept) + twice, 30)
    assert len(started_jobs(site.environment, since)) == len(kept) + twice
    assert "6 of 6 repeats completed" in site.said()


def _fails(site: Site, repeat: int, words: str) -> None:
    """Let a repeat go on; Snakemake says that it failed, with these words."""
    failed = site.said().count("ended as FAILED")
    site.go(repeat)
    until(lambda: site.said().count("ended as FAILED") > failed, 60)
    assert words in site.said()


def _nothing_is_half_written(site: Site) -> None:
    for path in (site.results / "demo").rglob("*.json"):
        assert not path.name.startswith("."), path
        json.loads(path.read_text())
