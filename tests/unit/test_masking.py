"""What a program prints of its environment stays at home: in its logs in a bundle, and in a record's error."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
from study_on_disk import COLLECTIVE, StudyOnDisk
from test_bundle import LABELS, unpacked

from seatrial.bundle import verify_bundle
from seatrial.bundle.manifest import ENVIRONMENT
from seatrial.cli import main
from seatrial.config.masking import masked
from seatrial.record import Error, Record, measurement

SECRETS = {
    "HF_TOKEN": "planted-hf-token", "WANDB_API_KEY": "planted-wandb-key", "DB_PASS": "planted, 'with' \"quotes\"",
    "SIGNING_KEY": "-----BEGIN PRIVATE KEY-----\nplanted\n-----END PRIVATE KEY-----",
}  # fmt: skip
KNOWN = "hf_" + "a1B2" * 8
PRINTS = "import os, json; print(os.environ); print(json.dumps(dict(os.environ))); print(list(os.environ.items()))"


def printed() -> bytes:
    """What a program says that shows its environment in Python's words, in JSON and as `env` does."""
    environment = {"PATH": os.environ["PATH"], **SECRETS}
    programs = ([sys.executable, "-c", PRINTS], ["env"], ["bash", "-c", "export -p"])
    return b"".join(subprocess.run(p, env=environment, capture_output=True, timeout=60).stdout for p in programs)


@pytest.mark.parametrize("environ", [{}, SECRETS])
def test_an_environment_that_was_printed_is_masked(environ: dict[str, str]) -> None:
    text = printed().decode()
    assert text.count("planted") >= 4 * len(SECRETS)
    plain, places = masked(text, environ)
    assert "planted" not in plain and places >= 4 * len(SECRETS)
    assert "[masked: HF_TOKEN]" in plain and os.environ["PATH"] in plain
    assert json.loads(next(line for line in plain.splitlines() if line.startswith("{")))["HF_TOKEN"].startswith(
        "[m"
    )
    assert masked(plain, environ) == (plain, 0), "what is masked is not masked again"


@pytest.mark.parametrize(
    "text",
    [
        "HF_TOKEN=planted", "export HF_TOKEN='planted x'", "3: HF_TOKEN=planted x", "'hf_token': 'planted'",
        "run ALL,DB_PASS=planted next", '"SIGNING_KEY": "planted\\"planted"', '{\\"HF_TOKEN\\": \\"planted\\"}',
        "HF_TOKEN: planted", "+ train --token planted --x", "['train', '--hf-token', 'planted']",
        "Authorization: Bearer planted", "'Authorization': 'Bearer planted'", "https://me:planted@host/",
        "b'HF_TOKEN': b'planted'", "(token=planted)", "X=1\0HF_TOKEN=planted\0Y=2",
    ],
)  # fmt: skip
def test_a_value_beside_a_secret_s_name_is_masked(text: str) -> None:
    plain, places = masked(f"before\n{text}\nafter\n", {})
    assert "planted" not in plain and "[masked: " in plain and places == 1
    assert plain.startswith("before\n") and plain.endswith("\nafter\n")


@pytest.mark.parametrize(
    "text",
    [
        "eos_token='</s>' pad_token_id=0 max_tokens=5", "{'eos_token': '</s>', 'tokens': 5, 'sort_key': 'a'}",
        "TOKENIZERS_PARALLELISM=false", "step: 1 loss: 2.5 tokens/s: 100 token=5", "AUTHOR=me", "token == x",
        ':::MLLOG {"key": "eval_accuracy", "value": 0.5, "metadata": {"epoch_num": 1}}',
    ],
)  # fmt: skip
def test_what_only_sounds_like_a_secret_stays(text: str) -> None:
    assert masked(text, {"SSH_AUTH_SOCK": "eval_accuracy", "X_TOKEN": "token", "NAME": "tokens/s"}) == (text, 0)


def test_a_value_of_the_environment_is_masked_wherever_it_stands() -> None:
    environ = {"A_TOKEN": "planted-a", "B_TOKEN": "planted-a-longer", "C_TOKEN": "short"}
    assert masked("x planted-a-longer,planted-a short", environ) == (
        "x [masked: B_TOKEN],[masked: A_TOKEN] short",
        2,
    )


def test_a_bundle_carries_no_secret_that_a_program_printed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    made = StudyOnDisk(tmp_path / "trial")
    (case,) = made.experiment("fabric", {**COLLECTIVE, "size_bytes": 2**20}, repeats=1)
    made.record(case, 0, measurement("collective.bus_bandwidth", [2.0, 2.1], LABELS, 4.0, "declared"))
    root = made.analyse().root
    (record,) = root.glob("records/*/0.json")
    case = record.parent
    files = {
        case / "0.external.0.log": printed() + f"\xff\0 said {KNOWN}\n".encode("latin-1"),
        case / "0.external" / "run" / "settings.json": b'{"env": {"HF_TOKEN": "planted"}, "lr": 1}',
        case / "0.external" / "blob": b"\0HF_TOKEN=5",
        root / "logs" / "measure" / "it.log": b"curl -H planted-by-name\n",
        root / "logs" / "plain.log": b"said \xff\r\nnothing",
    }
    for path, content in files.items():
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(content)
    monkeypatch.setenv("OTHER_SECRET", "planted-by-name")
    archive = tmp_path / "trial.tar.zst"
    assert main(["bundle", str(root), "--output", str(archive)]) == 0
    said = capsys.readouterr().out
    inside = unpacked(archive)
    assert not [name for name, content in inside.items() if b"planted" in content or KNOWN.encode() in content]
    places = json.loads(inside[ENVIRONMENT])["masked"]
    log = f"{case.relative_to(root)}/0.external.0.log"
    assert places.keys() == {log, log.replace(".0.log", "/run/settings.json"), "logs/measure/it.log"}
    assert f"masked: {log}: {places[log]} places" in said and "masked: logs/measure/it.log: 1 place that" in said
    assert inside[f"trial/{log}"].count(b"[masked: ") == places[log]
    assert b"\xff\0 said [masked: known form]" in inside[f"trial/{log}"].replace(b"\xc3\xbf", b"\xff")
    assert inside["trial/logs/plain.log"] == files[root / "logs" / "plain.log"], "no byte is changed but a secret's"
    assert inside[f"trial/{case.relative_to(root)}/0.external/blob"] == b"\0HF_TOKEN=5"
    found = verify_bundle(archive)
    assert found.sound, (found.unlike, found.damage)
    assert (case / "0.external.0.log").read_bytes() == files[case / "0.external.0.log"], "the study stays as it is"


def test_a_record_s_error_holds_no_variable_that_a_program_printed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("OTHER_SECRET", "planted-by-name")
    message = f"exit code 1: {printed().decode()} planted-by-name"
    record = Record(
        study="s", case_id="0" * 16, repeat=0, seed=1, workload="external", target="t", outcome="failed",
        error=Error(kind="crashed", message=message), started_at="2026-01-01T00:00:00Z",
        finished_at="2026-01-01T00:01:00Z", provenance={},
    )  # fmt: skip
    record.write(tmp_path / "0.json")
    assert "planted" not in (tmp_path / "0.json").read_text()
