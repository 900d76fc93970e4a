"""`seatrial audit` as it is typed: what it prints and writes, and how it ends."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest
from audit_logs import BY_HAND, CAPTURED
from audit_traces import together

from seatrial.cli import main


def test_it_prints_findings_and_what_was_read_and_writes_the_document(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    together(tmp_path / "logs", [0.1, 0.1, 0.14, 0.1])
    (tmp_path / "logs" / "notes.txt").write_text("nothing\n")
    assert main(["audit", str(tmp_path / "logs"), "--output", str(tmp_path / "audit.json")]) == 0
    said = " ".join(capsys.readouterr().out.split())
    assert "straggler_node (minor): node-2 keeps the others waiting" in said
    assert "rank0.pt.trace.json Kineto trace" in said
    assert "not read: notes.txt: no log of a known form" in said
    written = json.loads((tmp_path / "audit.json").read_text())
    (workload,) = written["workloads"]
    assert workload["findings"][0]["cause"] == "straggler_node"
    assert workload["findings"][0]["place"]["host"] == "node-2"
    assert workload["productive_fraction"]["low"] < workload["productive_fraction"]["value"] < 1
    assert written["not_read"] == [
        {"file": "notes.txt", "reason": "no log of a known form (1 lines of no known form)"}
    ]


def test_rules_of_ones_own_change_what_is_found(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    together(tmp_path / "logs", [0.1, 0.1, 0.14, 0.1])
    rules = tmp_path / "rules.yaml"
    rules.write_text("straggler_slower: {value: 0.9, source: agreed}\n")
    assert main(["audit", str(tmp_path / "logs"), "--rules", str(rules)]) == 0
    said = capsys.readouterr().out
    assert "keeps the others waiting" not in said  # waiting is still seen, but no node is blamed for it
    assert "no place stands out" in said


@pytest.mark.parametrize(
    ("rules", "words"),
    [
        ("straggler_slower: 0.9\n", "straggler_slower"),
        ("stragler_slower: {value: 0.9, source: x}\n", "stragler_slower"),
        ("[1, 2\n", "cannot read"),
        ("- 1\n", "rules.yaml"),
    ],
)
def test_wrong_rules_are_wrong_usage(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], rules: str, words: str
) -> None:
    (tmp_path / "rules.yaml").write_text(rules)
    assert main(["audit", str(CAPTURED), "--rules", str(tmp_path / "rules.yaml")]) == 2
    assert words in capsys.readouterr().err


def test_a_folder_without_a_known_log_is_wrong_usage(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["audit", str(tmp_path)]) == 2
    assert "nvidia-smi dmon" in capsys.readouterr().err
    assert main(["audit", str(tmp_path / "missing")]) == 2
    assert "no such file or folder" in capsys.readouterr().err


def test_an_output_that_cannot_be_written_is_wrong_usage(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "file").write_text("no folder")
    assert main(["audit", str(CAPTURED), "--output", str(tmp_path / "file" / "a.json")]) == 2
    assert "--output" in capsys.readouterr().err


def test_text_from_logs_is_no_markup(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    name = "[red]train[bold].out"
    (tmp_path / name).write_text("srun: error: Node failure on n[/b]1 \x07\n")
    assert main(["audit", str(tmp_path)]) == 0
    said = capsys.readouterr().out
    assert "[red]train[bold].out" in said
    assert "n[/b]1" in said
    assert "\x07" not in said


def test_every_kept_log_is_read(tmp_path: Path) -> None:
    for folder in (CAPTURED, BY_HAND):
        assert main(["audit", str(folder), "--output", str(tmp_path / "audit.json")]) == 0
        written = json.loads((tmp_path / "audit.json").read_text())
        logs = {path.name for path in folder.iterdir() if path.suffix != ".py" and path.is_file()}
        assert {one["file"] for one in written["files"]} == logs
        assert {one["file"] for one in written["not_read"]} == {path.name for path in folder.glob("*.py")}


def test_nothing_is_imported_that_takes_long() -> None:
    program = (
        f"import sys; from seatrial.cli import main; main(['audit', {str(CAPTURED)!r}]); "
        "print([name for name in ('torch', 'hydra', 'matplotlib', 'snakemake') if name in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, timeout=120, check=True)
    assert done.stdout.splitlines()[-1] == "[]"
