"""Reading somebody else's log: whatever bytes come, in whatever pieces, the same is read and nothing raises."""

from __future__ import annotations

import io
import itertools
import json
import math
from pathlib import Path
from typing import Any

import pytest
from external_cases import external, goal
from hypothesis import example, given, settings
from hypothesis import strategies as st

from seatrial.config.training import External
from seatrial.mllog import scan
from seatrial.train.external import lines as reading
from seatrial.train.external.lines import GrowingFile, Lines, Source
from seatrial.train.external.mllog_lines import MllogReader
from seatrial.train.external.readings import Readings
from seatrial.train.external.torchtitan_lines import LONGEST_BYTES, TorchtitanReader

PIECES = [
    b":::MLLOG ",
    b'{"key": "eval_accuracy", "value": 0.5, "time_ms": 5, "event_type": "POINT_IN_TIME", "metadata": {"step": 1}}',
    b'{"key": "eval_accuracy", "value": NaN, "time_ms": 5}',
    b'{"key": "eval_error", "value": 1e308, "time_ms": 1e308, "metadata": {"metric": "eval_loss"}}',
    b'{"key": "eval_accuracy", "value": 5e-324, "time_ms": -1e308, "metadata": {"samples_count": 1e308}}',
    b'{"key": "run_start", "time_ms": 1}',
    b'{"key": "run_stop", "time_ms": 9, "metadata": {"status": "success"}}',
    b'{"key": "tracked_stats", "value": {"throughput": 3, "train_loss": Infinity}, "time_ms": 1}',
    b'{"key": "tracked_stats", "value": {"throughput": 1' + b"0" * 400 + b'}, "time_ms": 1}',
    b"step: 10  loss:  8.0  grad_norm:  1.4  memory:  1.2GiB(0.9%)  tps: 5,756  tflops: 0.41  mfu: 0.04%",
    b"\x1b[31mstep:  1  \x1b[32mloss: 1e999  \x1b[34mtps: 9e999\x1b[39m",
    b"validate step: 10  loss:  0.5  memory:  1.21GiB(0.86%)  tps: 12,001",
    b"validate step: 11  loss:  nan  tps: 1",
    b"[titan] 2025-06-04 08:51:48,074 - root - INFO - Training starts at step 7",
    b"\n", b"\r", b"\r\n", b"[rank1]:", b"\xff\xfe\x00", "\u2028".encode(), b"\x85", b"{", b"[" * 5000,
]  # fmt: skip
STREAMS = st.lists(st.one_of(st.sampled_from(PIECES), st.binary(max_size=30)), max_size=40).map(b"".join)


def workload(form: str) -> External:
    asked = goal(0.6) if form == "mllog" else goal(0.6, "evaluation_loss")
    return External.model_validate(external(["true"], format=form, quality=asked))


def read(form: str, pieces: list[bytes]) -> tuple[Readings, Any]:
    """What the reader makes of `pieces`: readings, and everything that goes into a record."""
    readings, lines, copy = Readings(), Lines(), io.BytesIO()
    reader: Any = MllogReader(readings, copy) if form == "mllog" else TorchtitanReader(readings, 2, 0.0)
    for piece in pieces:
        for line in lines.feed(piece):
            reader.take(line, 60.0)
    for line in lines.finish():
        reader.take(line, 60.0)
    asked = workload(form)
    record = [m.model_dump_json() for m in readings.measurements(asked)], readings.quality(asked), copy.getvalue()
    return readings, record


@pytest.mark.parametrize("form", ["mllog", "torchtitan"])
@settings(max_examples=300, deadline=None)
@given(stream=STREAMS, cuts=st.lists(st.integers(0, 2000), max_size=20))
@example(stream=b":::MLLOG " + PIECES[4] + b"\n:::MLLOG " + PIECES[3] + b"\r\n", cuts=[3, 11])
def test_any_bytes_in_any_pieces_are_read_alike_and_never_raise(form: str, stream: bytes, cuts: list[int]) -> None:
    whole = read(form, [stream])
    places = sorted({0, len(stream), *(cut for cut in cuts if cut < len(stream))})
    assert read(form, [stream[a:b] for a, b in itertools.pairwise(places)]) == whole
    assert read(form, [bytes([byte]) for byte in stream]) == whole
    assert all(math.isfinite(e.value) for e in whole[0].evaluations)


@settings(max_examples=200, deadline=None)
@given(stream=STREAMS)
def test_the_lines_taken_are_those_that_the_official_tools_find(stream: bytes) -> None:
    readings, _ = read("mllog", [stream])
    assert readings.read + readings.broken == len(list(scan(io.BytesIO(stream))))


def figures(text: str, form: str = "torchtitan") -> Readings:
    return read(form, [text.encode()])[0]


@pytest.mark.parametrize(
    "line",
    [
        "2024-10-03 15:01:18,520 - root - INFO - step: 117  loss:  3.9053  memory: 36.20GiB(81.50%)  wps: 1,710  "
        "mfu: 23.50%",
        "[rank0]:2025-02-13 11:33:35,026 - root - INFO - step: 117  loss: 3.9053  memory: 42.08GiB(30.10%)  "
        "tps: 1,710  mfu: 8.65%",
        "[rank0]:[titan] 2025-06-04 08:51:58,557 - root - INFO - step: 117  loss: 3.9053  memory: 30.99GiB(3.62%)  "
        "tps: 1,710  tflops: 407.35  mfu: 41.19%",
        "[titan] 2025-11-25 19:45:01,441 - root - INFO - step: 117  loss:  3.9053  grad_norm:  1.4604  "
        "memory:  1.21GiB(0.86%)  tps: 1,710  tflops: 0.41  mfu: N/A",
        "[default0]:[titan] 2025-11-25 19:45:01,441 - root - INFO - \x1b[31mstep: 117  \x1b[32mloss:  3.90530  "
        "\x1b[38;2;180;60;0mgrad_norm:  1.4604  \x1b[36mmemory:  1.21GiB(0.86%)  \x1b[34mtps: 1,710  "
        "\x1b[36mtflops: 0.41  \x1b[35mmfu: 0.04%\x1b[39m",
    ],
)
def test_every_form_of_torchtitans_line_is_understood(line: str) -> None:
    found = figures(line + "\n")
    assert (found.losses, found.token_speeds, found.read, found.unread) == ([3.9053], [2 * 1710.0], 1, 0)


def test_a_commands_own_figures_are_kept_as_its_own() -> None:
    line = "step: 10  loss:  3.5  grad_norm:  1.4604  memory:  1.21GiB(0.86%)  tps: 1,710  "
    line += "tflops: 1,041.5  mfu: 41.19%"
    found = figures(f"{line}\nvalidate {line}\n[rank1]:{line}\n")
    assert found.stated == {
        "external.grad_norm": [1.4604], "external.memory": [1.21], "external.tflops": [1041.5],
        "external.mfu": [pytest.approx(0.4119)],
    }  # fmt: skip
    measured = {m.metric: (m.unit, m.samples) for m in found.measurements(workload("torchtitan"))}
    assert measured["external.mfu"] == ("1", [pytest.approx(0.4119)])
    assert measured["external.memory"] == ("GiB", [1.21])


def test_what_a_line_does_not_state_is_not_measured() -> None:
    lines = "step: 1  loss: 3.5  tps: 1  mfu: N/A\nstep: 2  loss: 3.5  grad_norm: nan  tps: 1  tflops: 1e999\n"
    assert figures(lines).stated == {}


def test_a_step_that_several_ranks_print_counts_once() -> None:
    line = "[rank{}]:[titan] step: {}  loss:  3.5  memory: 1.00GiB(1.00%)  tps: {}  mfu: 1.00%\n"
    text = "".join(line.format(rank, step, 100 + rank) for step in (1, 2) for rank in (1, 0))
    assert figures(text).token_speeds == [2 * 101.0] * 2, "the rank that came first speaks"
    assert figures(text.replace("[rank1]:", "").replace("[rank0]:", "")).token_speeds == [2 * 101.0] * 2


def test_a_pipeline_stage_without_a_loss_gives_its_speed_only() -> None:
    found = figures("step:  1  loss: -1.00000  grad_norm:  1.0  memory: 1.00GiB(1.00%)  tps: 100  mfu: 1.00%\n")
    assert (found.losses, found.token_speeds) == ([], [200.0])


def test_a_training_that_torchtitan_takes_up_again_has_no_time() -> None:
    text = "Training starts at step {}\nvalidate step: 510  loss:  0.5  memory: 1GiB(1%)  tps: 12\n"
    assert figures(text.format(1)).evaluations[0].minutes == 0
    again = figures(text.format(501))
    assert again.evaluations[0].minutes is None
    assert again.clock == "none: the command took up a training of its own at step 501"


def test_a_torchtitan_line_that_was_cut_off_is_not_taken() -> None:
    found = figures("step:  1  loss:  3.5  memory: 1.00GiB(1.00%)  tps: 1")
    assert (found.token_speeds, found.read, found.broken) == ([], 0, 1)


def test_a_lone_nan_that_passes_is_no_divergence_but_the_last_one_is() -> None:
    line = "step: {}  loss:  {}  memory: 1.00GiB(1.00%)  tps: 1\n"
    assert figures(line.format(1, "nan") + line.format(2, "3.5")).not_finite is None
    assert figures(line.format(1, "3.5") + line.format(2, "nan")).not_finite == "the training loss is nan at step 2"


def test_very_long_lines_are_passed_over_quickly() -> None:
    long = "step: 1  loss: 1 " * 60_000
    assert len(long) > LONGEST_BYTES
    found = figures(long + "\n")
    assert (found.read, found.unread) == (0, 1)


def event(key: str, time_ms: float, value: Any = None, **metadata: Any) -> str:
    return ":::MLLOG " + json.dumps({"key": key, "time_ms": time_ms, "value": value, "metadata": metadata}) + "\n"


def test_the_training_clock_stands_still_between_eval_start_and_eval_stop() -> None:
    text = (
        event("run_start", 60_000) + event("eval_start", 120_000) + event("eval_accuracy", 150_000, 0.9)
        + event("eval_stop", 180_000) + event("eval_start", 240_000) + event("eval_stop", 300_000)
        + event("eval_accuracy", 301_000, 0.5)
    )  # fmt: skip
    found = figures(text, "mllog")
    assert [e.minutes for e in found.evaluations] == pytest.approx([1.0, 2.0 + 1 / 60])
    assert found.clock is not None and "without what lies between" in found.clock
    plain = figures(event("run_start", 0) + event("eval_accuracy", 60_000, 0.9), "mllog")
    assert plain.evaluations[0].minutes == 1.0 and plain.clock == "run_start to the evaluation"


def test_without_run_start_there_is_no_time() -> None:
    found = figures(event("eval_accuracy", 1, 0.9) + event("eval_accuracy", 2, 0.5), "mllog")
    asked = workload("mllog")
    assert found.reached(asked)
    assert [m.metric for m in found.measurements(asked)] == ["mlperf.evaluation_loss"]


def test_only_evaluations_of_the_quality_asked_for_count() -> None:
    text = event("eval_accuracy", 1, 0.1, metric="CLIP") + event("eval_accuracy", 1, 0.7, metric="eval_loss")
    found = figures(text, "mllog")
    asked = workload("mllog")
    assert not found.reached(asked)
    named = {m.labels["quality"]: m.metric for m in found.measurements(asked)}
    assert named == {"CLIP": "mlperf.evaluation_accuracy", "eval_loss": "mlperf.evaluation_loss"}


def test_a_quality_met_at_once_has_no_crossing() -> None:
    found = figures(event("run_start", 0) + event("eval_accuracy", 60_000, 0.5), "mllog")
    quality = found.quality(workload("mllog"))
    assert quality is not None and quality.before is None and quality.crossing is None
    assert quality.after == {"value": 0.5, "minutes": 1.0}


def test_a_growing_file_is_read_from_where_it_was_left(tmp_path: Path) -> None:
    path = tmp_path / "log"
    file = GrowingFile(path)
    assert list(file.new_lines()) == []
    path.write_bytes(b"one\ntw")
    assert [line.text for line in file.new_lines()] == [b"one"]
    path.write_bytes(b"one\ntwo\nthree")
    assert [line.text for line in file.new_lines()] == [b"two"]
    assert [(line.text, line.whole) for line in file.new_lines(at_end=True)] == [(b"three", False)]
    path.write_bytes(b"new\n")
    assert [line.text for line in file.new_lines()] == [b"new"], "a file begun again is read again"


def test_files_that_match_are_found_also_when_they_come_later(tmp_path: Path) -> None:
    source = Source(tmp_path, "**/*.log")
    assert list(source.new_lines()) == []
    (tmp_path / "a").mkdir()
    (tmp_path / "a" / "1.log").write_bytes(b"one\n")
    (tmp_path / "a" / "1.txt").write_bytes(b"other\n")
    assert [line.text for line in source.new_lines()] == [b"one"]


def test_memory_stays_bounded_by_a_line_without_end(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(reading, "LONGEST_LINE_BYTES", 10)
    lines = Lines()
    assert [list(lines.feed(b"x" * 8)) for _ in range(5)] == [[]] * 5
    (line,) = lines.feed(b"\n")
    assert line.text == b"x" * 10 and not line.whole
