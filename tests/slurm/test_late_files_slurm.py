"""A file system that shows the executor's own files seconds late, on a real Slurm: each job runs once."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from slurm_folder import SlurmFolder
from waiting import until

pytestmark = [pytest.mark.slurm, pytest.mark.timeout(240)]
LATE_SECONDS = 4.0
LATE = ("*_submitted.pkl", "*_result.pkl", "*_rank.json")
"""The pickles of batches, for which ranks wait; results and reports, which Snakemake reads."""
JOBS = """
rule all:
    input: expand("out/{i}", i=range(3)), "both"
rule work:
    output: "out/{i}"
    log: "logs/{i}.log"
    resources: runtime=5, mem_mb=200
    shell: "echo ran >> ran.{wildcards.i}; touch {output}"
rule both:
    output: "both"
    log: "both.log"
    resources: nodes=2, tasks_per_node=1, runtime=5, mem_mb=200
    shell: "echo ran >> ran.both.$RANK; touch {output}"
"""


class LateFiles:
    """Takes new files out of folders as soon as they are there, and puts them back seconds later."""

    def __init__(self, batches: Path, aside: Path) -> None:
        self.shown: list[str] = []
        """Names of the files that were late."""
        self._batches, self._aside = batches, aside
        self._ended = threading.Event()
        self._hidden: list[tuple[float, Path, Path]] = []
        self._known: set[tuple[Path, int]] = set()
        self._thread = threading.Thread(target=self._run)
        aside.mkdir()
        self._thread.start()

    def end(self) -> None:
        self._ended.set()
        self._thread.join(timeout=30)
        assert not self._thread.is_alive()

    def _run(self) -> None:
        while not self._ended.wait(0.02):
            self._show([each for each in self._hidden if time.monotonic() - each[0] >= LATE_SECONDS])
            for pattern in LATE:
                for path in self._batches.glob(f"*/{pattern}"):
                    self._hide(path)
        self._show(self._hidden)

    def _hide(self, path: Path) -> None:
        try:
            version = path, path.stat().st_ino
            if version in self._known:
                return
            self._known.add(version)
            aside = self._aside / f"{len(self._known)}"
            path.rename(aside)
        except FileNotFoundError:  # it was replaced between the two
            return
        self._hidden.append((time.monotonic(), path, aside))

    def _show(self, late: list[tuple[float, Path, Path]]) -> None:
        for each in late:
            _, path, aside = each
            aside.rename(path)
            self.shown.append(path.name)
        self._hidden = [each for each in self._hidden if each not in late]


@pytest.fixture
def folder(tmp_path: Path, slurm_cluster: dict[str, str]) -> Iterator[SlurmFolder]:
    made = SlurmFolder(tmp_path, slurm_cluster)
    yield made
    made.stop()


def test_each_job_runs_once_though_pickles_results_and_reports_are_seen_seconds_late(folder: SlurmFolder) -> None:
    folder.write(JOBS)
    late = LateFiles(folder.path / ".snakemake" / "submitit" / "batches", folder.path / "aside")
    try:
        assert folder.start("--retries", "1").wait(timeout=150) == 0, folder.out
    finally:
        late.end()
    for ending in ("_submitted.pkl", "_rank.json", "_result.pkl"):
        assert [name for name in late.shown if name.endswith(ending)], f"no {ending} was late: {late.shown}"
    runs = {path.name: path.read_text() for path in folder.path.glob("ran.*")}
    assert runs == {f"ran.{name}": "ran\n" for name in ("0", "1", "2", "both.0", "both.1")}
    assert [folder.states(name) for name in ("logs/0", "logs/1", "logs/2", "both")] == [["COMPLETED"]] * 4
    until(lambda: len(folder.started()) >= 4, 30, "four starts by sacct's count")
    assert len(folder.started()) == 4
