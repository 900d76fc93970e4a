"""What somebody else's training says of its environment gets into nothing that Seatrial writes."""

from __future__ import annotations

import io
import json
from pathlib import Path

import pytest

from seatrial.train.external.lines import Line
from seatrial.train.external.mllog_lines import MllogReader
from seatrial.train.external.outcome import SHOWN_CHARACTERS, with_last_lines
from seatrial.train.external.readings import Readings

SECRET = "planted" * 40


@pytest.mark.parametrize("printed", range(SHOWN_CHARACTERS - 300, SHOWN_CHARACTERS + 301, 50))
def test_what_is_quoted_of_its_last_words_holds_no_part_of_a_secret_wherever_it_is_cut(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, printed: int
) -> None:
    monkeypatch.setenv("VENDOR_TOKEN", SECRET)
    output = tmp_path / "0.external.0.log"
    output.write_text(
        f"{{'VENDOR_TOKEN': '{SECRET}', 'REST': '{'x' * printed}'}}"
    )  # one line, as of print(os.environ)
    message = with_last_lines("the command ended with exit code 3", output)
    assert "planted" not in message
    assert message.endswith("xxx'}") and len(message) >= SHOWN_CHARACTERS - 300


def test_of_more_than_is_shown_the_last_whole_lines_are(tmp_path: Path) -> None:
    output = tmp_path / "0.external.0.log"
    output.write_text("".join(f"line {number}\n" for number in range(1000)))
    _, *lines = with_last_lines("it failed", output).split("\n")
    assert lines[-1] == "line 999" and len("\n".join(lines)) <= SHOWN_CHARACTERS
    assert lines == [f"line {number}" for number in range(1000 - len(lines), 1000)]


def test_the_copy_of_its_log_lines_holds_no_secret_and_is_read_as_before() -> None:
    environ = {"VENDOR_TOKEN": SECRET}
    metadata = {"step": 3, "url": "https://me:planted@host/", "HF_TOKEN": "planted-by-name"}
    said = {"time_ms": 5, "key": "eval_accuracy", "value": 0.5, "metadata": metadata}
    settings = {"time_ms": 4, "key": "settings", "value": SECRET, "metadata": {}}
    readings, copy = Readings(), io.BytesIO()
    reader = MllogReader(readings, copy, environ)
    for content in (settings, said):
        reader.take(Line(f":::MLLOG {json.dumps(content)}".encode(), True), 0.0)
    reader.take(Line(b":::MLLOG \xff not read", True), 0.0)
    first, second, third = copy.getvalue().splitlines()
    assert json.loads(first.removeprefix(b":::MLLOG "))["value"] == "[masked: VENDOR_TOKEN]"
    assert json.loads(second.removeprefix(b":::MLLOG ")) | {"metadata": {}} == said | {"metadata": {}}
    assert b"planted" not in second and third == b":::MLLOG \xff not read"
    assert [evaluation.value for evaluation in readings.evaluations] == [0.5]
