"""The ledger's file: what is there after a kill, on a full disk, and with two Snakemakes in one folder."""

from __future__ import annotations

import errno
import json
import os
import threading
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from snakemake_interface_common.exceptions import WorkflowError

from snakemake_executor_plugin_submitit import journal
from snakemake_executor_plugin_submitit.journal import Journal
from snakemake_executor_plugin_submitit.ledger import ENDED, SUBMITTED, SUCCEEDED, Entry, Ledger
from snakemake_executor_plugin_submitit.ranks import now


def entry(key: str = "k", submitted_at: str = "2026-01-01T00:00:00Z", **changed: Any) -> Entry:
    given = {"run": "one", "cluster": "slurm", "folder": "/f", "name": "n", "index": 0, "size": 1, "ranks": 1}
    return Entry(**{"key": key, **given, "fingerprint": None, "submitted_at": submitted_at, **changed})


def test_whatever_is_left_of_the_last_writing_by_a_kill_every_whole_line_counts_and_writing_goes_on(
    tmp_path: Path,
) -> None:
    ledger = Ledger(tmp_path, "one")
    ledger.write(entry("a"), entry("b"))
    ledger.note(entry("a", job_id="7_0"))
    ledger.close()
    file = tmp_path / "ledger.jsonl"
    whole = file.read_bytes()
    ends = [place for place, byte in enumerate(whole) if byte == ord("\n")]
    for length in range(0, len(whole), 7):
        file.write_bytes(whole[:length])
        again = Ledger(tmp_path, "two")
        lines = sum(end < length for end in ends)
        found = {one.key: one.job_id for one in again.entries()}
        assert found == [{}, {"a": None}, {"a": None, "b": None}, {"a": "7_0", "b": None}][lines]
        again.write(entry("c", run="two"))
        assert file.read_bytes().count(b"\n") == lines + 1
        again.close()
        assert [one.key for one in Ledger(tmp_path, "three").entries()] == [*found, "c"]


def test_on_a_full_disk_nothing_is_written_and_what_was_there_stays(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    ledger = Ledger(tmp_path, "one")
    ledger.write(entry("a"))
    before = (tmp_path / "ledger.jsonl").read_bytes()
    pwrite = os.pwrite

    def full(descriptor: int, content: bytes, place: int) -> int:
        if place > len(before):
            raise OSError(errno.ENOSPC, "No space left on device")
        return pwrite(descriptor, content[:30], place)

    with monkeypatch.context() as patch:
        patch.setattr(journal.os, "pwrite", full)
        with pytest.raises(OSError, match="No space left"):
            ledger.write(entry("b"))
    assert (tmp_path / "ledger.jsonl").read_bytes() == before
    assert ledger.read("b") is None
    ledger.write(entry("c"))
    assert [one.key for one in ledger.entries()] == ["a", "c"]
    ledger.close()


def test_a_line_that_nobody_of_us_wrote_is_no_job_that_has_ended(tmp_path: Path) -> None:
    ledger = Ledger(tmp_path, "one")
    ledger.write(entry("a"))
    with (tmp_path / "ledger.jsonl").open("a") as file:
        file.write("[]\n")
    with pytest.raises(WorkflowError, match=r"ledger\.jsonl has a line that is no note of a submitted job"):
        ledger.read("a")
    ledger.close()


def test_two_in_one_folder_see_what_the_other_writes_also_when_one_shortens_the_file(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(journal, "_FEW_BYTES", 0)
    one, two = Ledger(tmp_path, "one"), Ledger(tmp_path, "two")
    for number in range(5):
        one.write(entry("a", job_id=str(number), status=ENDED))
        two.write(entry("b", job_id=str(number), run="two", status=SUCCEEDED))
    one.shorten()
    assert (tmp_path / "ledger.jsonl").read_bytes().count(b"\n") == 2
    two.write(entry("c", run="two", status=ENDED))
    assert [(e.key, e.job_id) for e in one.entries()] == [("a", "4"), ("b", "4"), ("c", None)]
    assert [(e.key, e.job_id) for e in two.entries()] == [("a", "4"), ("b", "4"), ("c", None)]
    one.close()
    two.close()


def test_ranks_of_an_earlier_submission_find_the_one_in_its_place_and_nothing_else_is_put_there(
    tmp_path: Path,
) -> None:
    ledger = Ledger(tmp_path, "one")
    ledger.write(entry("a"), entry("b"))
    ledger.note(entry("a", job_id="7", status=ENDED), entry("b", job_id="8"))
    assert not (tmp_path / "ledger").exists()
    ledger.write(entry("a", "2026-01-01T00:00:09Z"))
    assert [path.name for path in (tmp_path / "ledger").iterdir()] == ["a.json"]
    assert json.loads((tmp_path / "ledger" / "a.json").read_text())["submitted_at"] == "2026-01-01T00:00:09Z"
    ledger.close()


def test_an_end_that_could_not_be_written_never_comes_after_a_newer_submission(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    ledger = Ledger(tmp_path, "one")
    ledger.write(old := entry("a", job_id="7"))
    append = Journal.append

    def full(*_: Any, **__: Any) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    with monkeypatch.context() as patch:
        patch.setattr(Journal, "append", full)
        ledger.note_end(old, ENDED)
    newer = threading.Thread(target=ledger.write, args=(entry("a", "2026-01-01T00:00:09Z"),))

    def slowly(self: Journal, *args: Any, **known: Any) -> Any:
        if newer.ident is None:
            newer.start()
            newer.join(0.3)
        return append(self, *args, **known)

    monkeypatch.setattr(Journal, "append", slowly)
    ledger.note(entry("b"))
    newer.join(10)
    found = ledger.read("a")
    assert found is not None
    assert (found.submitted_at, found.status) == ("2026-01-01T00:00:09Z", SUBMITTED)
    ledger.close()


def test_an_end_that_could_not_be_written_is_known_all_the_same_to_who_noted_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A retry would take up the job that has failed, and count its failure once more."""
    ledger = Ledger(tmp_path, "one")
    ledger.write(job := entry("a", job_id="7"))

    def full(*_: Any, **__: Any) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    with monkeypatch.context() as patch:
        patch.setattr(Journal, "append", full)
        ledger.note_end(job, ENDED)
    found = ledger.read("a")
    assert found is not None
    assert (found.status, found.job_id) == (ENDED, "7")
    assert not ledger.is_written
    ledger.note(entry("b"))
    assert ledger.is_written
    ledger.close()


def test_a_submission_is_later_than_the_one_it_replaces_whatever_the_clocks_say(tmp_path: Path) -> None:
    ledger = Ledger(tmp_path, "one")
    ahead = "2199-12-31T23:59:59.999Z"
    ledger.write(entry("a", ahead), entry("b", "2026-01-01T00:00:00.000Z"))
    before = now()
    after, *others = ledger.submission_times(["a", "b", "c"])
    assert after == "2200-01-01T00:00:00.000Z" > ahead
    assert all(before <= other <= now() for other in others)
    ledger.close()


@given(st.lists(st.tuples(st.sampled_from("abc"), st.text(max_size=9), st.integers(0, 2)), max_size=12))
def test_the_last_object_of_each_key_counts_whoever_wrote_it(
    tmp_path_factory: pytest.TempPathFactory, written: list[tuple[str, str, int]]
) -> None:
    path = tmp_path_factory.mktemp("journal") / "file"
    journals = [Journal(path) for _ in range(3)]
    for key, text, who in written:
        journals[who].append([{"key": key, "text": text}], durable=False)
    expected = {key: {"key": key, "text": text} for key, text, _ in written}
    assert all(one.read() == expected for one in (*journals, Journal(path)))
