"""What must not be written down: configuration goes into every case, record, page and bundle."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from typing import Annotated

from pydantic import AfterValidator

from seatrial.errors import FieldMistake

SECRET_NAME = re.compile(
    r"TOKEN(?![IS])|SECRET|PASSW|CREDENTIAL|APIKEY|API_KEY|ACCESS_KEY|PRIVATE_KEY|AUTH(?!OR)|JWT", re.IGNORECASE
)
"""Names of variables whose values are secrets; TOKENIZERS_PARALLELISM and AUTHOR are none."""
HIDDEN = "***"
_OPTION = re.compile(
    r"(?:--?|^)(?:[\w.]+[-_.])?(?:password|passwd|secret|api[-_]?key|secret[-_]?key|access[-_]?key|private[-_]?key|"
    r"(?:hf|hub|auth|access|bearer|api|wandb|github|gitlab|session)[-_]token)(?P<value>=.*)?",
    re.IGNORECASE | re.DOTALL,
)
_IN_URL = re.compile(r"(?<=://)[^\s/@:]*:[^\s/@]+(?=@)|(?<=https://)[^\s/@]+(?=@)")
_TOKEN = re.compile(
    r"\b(?:hf_[A-Za-z0-9]{20,}|gh[pousr]_[A-Za-z0-9]{20,}|github_pat_\w{20,}|glpat-[\w-]{16,}|xox[abprs]-[\w-]{10,}|"
    r"(?:AKIA|ASIA)[0-9A-Z]{16}|sk-(?:proj-|ant-)?[A-Za-z0-9]{20,}|eyJ[\w-]{8,}\.eyJ[\w-]{8,}\.[\w-]*)"
)
_KEY = re.compile(r"-----BEGIN [A-Z ]*PRIVATE KEY-----.*?(?:-----END [A-Z ]*PRIVATE KEY-----|$)", re.DOTALL)
ELSEWHERE = "no secret: set it in the environment from which Snakemake or sbatch is started; what runs inherits it"


def without_secrets(text: str) -> str:
    """`text` with user and password of addresses, tokens of known forms and private keys as HIDDEN."""
    return _KEY.sub(HIDDEN, _TOKEN.sub(HIDDEN, _IN_URL.sub(HIDDEN, text)))


def _variables(variables: Mapping[str, str]) -> Mapping[str, str]:
    for name, value in variables.items():
        if not re.fullmatch(r"[A-Za-z_][A-Za-z0-9_]*", name):
            raise FieldMistake("not a variable's name", value=name, allowed="letters, digits and _")
        if "\0" in value:
            raise FieldMistake("no variable holds this", field=name, value=value, allowed="text without zero bytes")
        if SECRET_NAME.search(name) or without_secrets(value) != value:
            raise FieldMistake(
                "this looks like a secret, and configuration is written into every record",
                field=name, value=HIDDEN, allowed=ELSEWHERE,
            )  # fmt: skip
    return variables


CheckedVariables = AfterValidator(_variables)
Variables = Annotated[dict[str, str], CheckedVariables]
"""Environment variables that configuration sets: names that a shell would take, no secrets."""


def refuse_secrets(words: Sequence[str], field: str) -> None:
    """Raise FieldMistake for the first word of a command that is a secret, or an option that states one."""
    for number, word in enumerate(words):
        option = _OPTION.fullmatch(word)
        stated = option is not None and (option["value"] or (word.startswith("-") and number + 1 < len(words)))
        if stated or without_secrets(word) != word:
            raise FieldMistake(
                "this looks like a secret, and a command is written into every record",
                field=f"{field}.{number}", value=HIDDEN, allowed=ELSEWHERE,
            )  # fmt: skip
