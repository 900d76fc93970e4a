"""Configuration is written into every record: what looks like a secret is refused there, and nowhere repeated."""

import subprocess
from pathlib import Path
from typing import Any

import pytest
from test_telemetry_provenance import checkout

from seatrial.config.loader import Origins, validate
from seatrial.config.secrets import HIDDEN, SECRET_NAME, without_secrets
from seatrial.config.target import Ablation, Launcher
from seatrial.config.training.external import External
from seatrial.errors import ConfigError
from seatrial.record import Error, Record
from seatrial.telemetry import provenance as telemetry

TOKEN = "hf_" + "a1B2" * 8


def refused(schema: Any, raw: dict[str, Any]) -> ConfigError:
    with pytest.raises(ConfigError) as caught:
        validate(schema, raw, Origins(None, {}, set()), "here")
    return caught.value


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("HF_TOKEN", "s3cret-value"), ("WANDB_API_KEY", "s3cret-value"), ("AWS_SECRET_ACCESS_KEY", "s3cret-value"),
        ("DB_PASSWORD", "s3cret-value"), ("PROXY", "http://me:s3cret-value@proxy:3128"), ("X", TOKEN),
        ("NCCL_AUTH", "s3cret-value"), ("DB_PASS", "s3cret-value"), ("PGPASS", "s3cret-value"),
        ("PASSPHRASE", "s3cret-value"), ("SIGNING_KEY", "s3cret-value"), ("ENCRYPTION_KEY", "s3cret-value"),
        ("OPENAI_KEY", "s3cret-value"), ("WANDB_KEY", "s3cret-value"), ("ARGUMENTS", "--fast --token s3cret-value"),
    ],
)  # fmt: skip
def test_a_secret_variable_is_refused_and_not_repeated(name: str, value: str) -> None:
    external = {"kind": "external", "command": ["true"], "format": "mllog"}
    for schema, raw in (
        (Launcher, {"environment": {name: value}}),
        (Ablation, {"description": "d", "environment": {name: value}}),
        (External, {**external, "environment": {name: value}}),
    ):
        problem = refused(schema, raw)
        assert problem.key == f"here.environment.{name}" and problem.value == HIDDEN
        assert value not in str(problem) and "s3cret-value" not in str(problem)


@pytest.mark.parametrize(
    "words",
    [
        ["train", "--password", "x"], ["train", "--hf-token=x"], ["train", "--wandb.api_key", "x"],
        ["env", "API_KEY=x", "train"], ["train", TOKEN], ["git", "clone", "https://me:x@host/repository"],
        ["train", "--auth_token", "x"], ["train", "--token", "x"], ["train", "--token=x"], ["train", "--pass", "x"],
        ["train", "--passphrase=x"], ["train", "token=x"], ["env", "SLURM_JWT=x", "train"],
        ["train", "CREDENTIAL=x"], ["train", "--password", "$ecret"],
        ["curl", "-H", "Authorization: Bearer x", "host"], ["curl", "-H", "X-Api-Key: x"], ["curl", "-u", "me:pw"],
        ["/usr/bin/curl", "--user=me:pw"], ["bash", "-c", "curl -ume:pw host"], ["bash", "-c", "export HF_TOKEN=x"],
        ["bash", "-c", "cd x&&HF_TOKEN=x train"], ["bash", "-c", "ssh host 'DB_PASS=x train'"],
        ["bash", "-c", "train --token x"], ["python", "-c", "print('it''s'); login(token=\"x\") # don't"],
        ["train", "+model.hf_token=x"], ["train", "--hfToken=x"], ["train", '{"password": "x"}'],
        ["train", "--x=1,OPENAI_KEY=x"],
    ],
)  # fmt: skip
def test_a_secret_in_a_command_is_refused(words: list[str]) -> None:
    problem = refused(External, {"kind": "external", "command": words, "format": "mllog"})
    assert str(problem.key).startswith("here.command.") and TOKEN not in str(problem)


@pytest.mark.parametrize(
    "extra", ["--export=ALL,HF_TOKEN=abc", "--exclusive '--comment=token=abc'", "--export ALL,DB_PASS=abc"]
)
def test_a_secret_among_options_of_sbatch_is_refused(extra: str) -> None:
    problem = refused(Launcher, {"slurm_extra": extra})
    assert problem.key == "here.slurm_extra" and problem.value == HIDDEN
    assert "abc" not in str(problem) and "environment from which Snakemake or sbatch is started" in str(problem)


@pytest.mark.parametrize(
    "words",
    [
        ["--max_tokens", "5"], ["--max-token=5"], ["--eos_token", "</s>"], ["--pad-token", "[PAD]"], ["--token=5"],
        ["--eos_token_id", "2"], ["pad_token_id=0"], ["--tokenizer=x"], ["tokenizer.path=/x"],
        ["--token-dropout=0.1"],
        ["sort_key=a"], ["cache_key=abcdefghijk"], ["SORT_KEY=a"], ["PUBLIC_KEY=a"], ["--key=a"], ["--passes=2"],
        ["--num-pass=2"], ["--bypass", "x"], ["--compass=x"], ["AUTHOR=me"],
        ["--use_auth_token=True"], ["--token="],
        ["bash", "-c", 'train --token "$HF_TOKEN"'], ["bash", "-c", "export X_TOKEN=${HF_TOKEN}; train"],
        ["bash", "-c", 'curl -H "Authorization: Bearer $HF_TOKEN" host'], ["bash", "-c", 'curl -u "me:$PW" host'],
        ["python", "-c", "import os; login(token=os.environ['HF_TOKEN'])"], ["python", "-c", "f(token=None)"],
        ["docker", "run", "-u", "me:users", "x"], ["--pwd", "/x"], ["MOE_TOKEN_DISPATCHER_TYPE=alltoall"],
    ],
)  # fmt: skip
def test_options_of_text_tokens_keys_and_passes_are_no_secrets(words: list[str]) -> None:
    raw = {"kind": "external", "command": ["train", *words], "format": "mllog"}
    assert validate(External, raw, Origins(None, {}, set())).command == ["train", *words]
    extra = {"slurm_extra": "--export=ALL,NCCL_DEBUG=INFO --exclusive"}
    assert validate(Launcher, extra, Origins(None, {}, set())).slurm_extra == extra["slurm_extra"]


def test_what_only_sounds_like_a_secret_is_taken() -> None:
    words = [
        "train",
        "--tokenizer.path",
        "x",
        "--max-tokens=5",
        "--eos_token",
        "</s>",
        "--author",
        "me",
        "git@host:x",
    ]
    raw = {"kind": "external", "command": words, "format": "mllog", "environment": {"TOKENIZERS_PARALLELISM": "0"}}
    assert validate(External, raw, Origins(None, {}, set())).command == words
    assert SECRET_NAME.search("TOKENIZERS_PARALLELISM") is None
    assert without_secrets("docker://$oauthtoken@nvcr.io and /disk-01234567890123456789/x") != HIDDEN
    assert without_secrets("/disk-01234567890123456789/x") == "/disk-01234567890123456789/x"


@pytest.mark.parametrize("name", ["A B", "A=B", "", "1A", "A\n", "A;B"])
def test_a_name_that_is_no_variables_is_refused(name: str) -> None:
    assert "not a variable's name" in str(refused(Launcher, {"environment": {name: "x"}}))


def test_configuration_reads_no_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    from seatrial.plan import make_plan

    monkeypatch.setenv("HF_TOKEN", "s3cret-value")
    with pytest.raises(ConfigError, match="reads no environment variables") as caught:
        make_plan(["study=demo", "title=${oc.env:HF_TOKEN}"], Path(__file__).resolve().parents[2] / "conf")
    assert "s3cret-value" not in str(caught.value)


def test_a_record_keeps_no_secret_that_a_program_printed(tmp_path: Path) -> None:
    record = Record(
        study="s", case_id="0" * 16, repeat=0, seed=1, workload="external", target="t", outcome="failed",
        error=Error(kind="crashed", message=f"it ended: 401 for https://me:s3cret@host with {TOKEN}"),
        started_at="2026-01-01T00:00:00Z", finished_at="2026-01-01T00:01:00Z",
        provenance={"external": {"command": ["x", TOKEN]}, "cpu": "a CPU"},
    )  # fmt: skip
    record.write(tmp_path / "0.json")
    text = (tmp_path / "0.json").read_text()
    assert TOKEN not in text and "s3cret" not in text and "401 for https://***@host with ***" in text
    assert Record.read(tmp_path / "0.json").provenance["cpu"] == "a CPU"


def test_the_commit_is_kept_and_the_remote_is_not(tmp_path: Path) -> None:
    package = checkout(tmp_path)
    words = ["git", "-C", str(tmp_path), "remote", "add", "origin", "https://me:s3cret@host/x"]
    subprocess.run(words, check=True, timeout=30)
    assert "s3cret" not in str(telemetry.git_facts(package))


def test_a_private_key_does_not_stay() -> None:
    key = "-----BEGIN OPENSSH PRIVATE KEY-----\nabc\n-----END OPENSSH PRIVATE KEY-----"
    assert without_secrets(f"before {key} after") == "before *** after"
