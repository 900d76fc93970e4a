"""MLPerf log lines: what is written can be read, by us and by the official parser."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from seatrial.errors import UnreadableFile
from seatrial.mllog import BrokenLine, LogLine, TrainingLog, read_lines


def test_written_lines_are_read_back(tmp_path: Path) -> None:
    path = tmp_path / "deep" / "0.mllog"
    before = TrainingLog.now()
    with TrainingLog(path) as log:
        log.submission("llm_finetune", "local")
        log.start("run_start")
        log.evaluation_stop(1.25, samples=64, step=8, training_minutes=0.5)
        log.run_stop("success", samples=64, step=8, training_minutes=0.5)
    lines = [line for line in read_lines(path) if isinstance(line, LogLine)]
    assert [line.number for line in lines] == list(range(1, len(lines) + 1))
    by_key = {line.key: line for line in lines}
    assert by_key["submission_benchmark"].value == "llm_finetune"
    assert by_key["eval_accuracy"].value == 1.25
    assert by_key["eval_accuracy"].metadata["samples_count"] == 64
    assert by_key["run_start"].event_type == "INTERVAL_START"
    assert by_key["run_stop"].metadata["status"] == "success"
    assert by_key["run_stop"].metadata["training_minutes"] == 0.5
    assert before <= by_key["run_start"].time_ms <= TrainingLog.now()
    assert Path(by_key["run_start"].metadata["file"]).name == Path(__file__).name, "the caller, not the logger"


def test_official_parser_reads_the_same_lines(tmp_path: Path) -> None:
    from mlperf_logging.compliance_checker.mlp_parser import parse_file

    path = tmp_path / "0.mllog"
    with TrainingLog(path) as log:
        log.parameters({"seed": 7, "lora_alpha": 16.0, "opt_name": "adamw"})
        log.evaluation_start(0, 0)
    official, errors = parse_file(str(path), ruleset="5.1.0")
    assert errors == []
    ours = [line for line in read_lines(path) if isinstance(line, LogLine)]
    assert [(o.key, o.value["value"], o.timestamp) for o in official] == [
        (line.key, line.value, line.time_ms) for line in ours
    ]


def test_prefixes_foreign_text_and_latin_1_bytes_do_not_stop_the_reading(tmp_path: Path) -> None:
    path = tmp_path / "result_0.txt"
    path.write_bytes(
        b"plain text of a job \xe9\xff\n"
        b'0: worker7 :::MLLOG {"namespace": "", "time_ms": 1000, "event_type": "POINT_IN_TIME", '
        b'"key": "train_loss ", "value": 2.5, "metadata": {"file": "caf\xe9.py", "lineno": 1}}\r\n'
        b':::MLLOG {"namespace": "", "time_ms": "1001.5", "event_type": "INTERVAL_END", "key": "run_stop", '
        b'"value": null, "metadata": null}\n'
    )
    first, second = read_lines(path)
    assert isinstance(first, LogLine)
    assert isinstance(second, LogLine)
    assert (first.number, first.key, first.value, first.metadata["file"]) == (2, "train_loss", 2.5, "caf\xe9.py")
    assert (second.time_ms, second.metadata) == (1001.5, {})


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        (':::MLLOG {"namespace": "", "time_ms": 1, "event_type": "POINT_IN', "not JSON"),
        (":::MLLOG [1, 2]", "not a JSON object"),
        (':::MLLOG {"time_ms": 1, "key": "seed"}', "without event_type"),
        (':::MLLOG {"time_ms": "1.2.3", "event_type": "POINT_IN_TIME", "key": "seed"}', "time_ms"),
        (':::MLLOG {"time_ms": 1, "event_type": "SOMETIME", "key": "seed"}', "SOMETIME"),
    ],
)
def test_broken_lines_are_reported_not_dropped(tmp_path: Path, text: str, problem: str) -> None:
    path = tmp_path / "result_0.txt"
    path.write_text(f"before\n{text}\n")
    (line,) = read_lines(path)
    assert isinstance(line, BrokenLine)
    assert line.number == 2
    assert problem in line.problem


def test_missing_file_is_one_clear_error(tmp_path: Path) -> None:
    with pytest.raises(UnreadableFile, match=r"nowhere\.txt"):
        list(read_lines(tmp_path / "nowhere.txt"))


def test_two_logs_of_one_process_stay_apart_and_print_nothing(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    with TrainingLog(tmp_path / "0.mllog") as one, TrainingLog(tmp_path / "1.mllog") as other:
        one.event("seed", 1)
        other.event("seed", 2)
    for number in (0, 1):
        (line,) = read_lines(tmp_path / f"{number}.mllog")
        assert isinstance(line, LogLine)
        assert line.value == number + 1
    assert capsys.readouterr().out == ""


def test_resumed_log_drops_what_will_be_done_again(tmp_path: Path) -> None:
    path = tmp_path / "0.mllog"
    with TrainingLog(path) as log:
        log.event("seed", 1)
        kept = log.length
        log.event("eval_accuracy", 9.0)
    with TrainingLog(path, keep=kept) as log:
        log.event("eval_accuracy", 8.0)
    assert [line.value for line in read_lines(path) if isinstance(line, LogLine)] == [1, 8.0]
    with TrainingLog(path):
        pass
    assert path.read_bytes() == b""


def test_writing_a_log_needs_neither_pandas_nor_torch(tmp_path: Path) -> None:
    program = (
        "import sys; from pathlib import Path; from seatrial.mllog import TrainingLog\n"
        f"TrainingLog(Path({str(tmp_path / '0.mllog')!r})).event('seed', 1)\n"
        "print(sorted({'pandas', 'scipy', 'torch', 'yaml'} & set(sys.modules)))"
    )
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, timeout=60, check=True)
    assert done.stdout == "[]\n"
