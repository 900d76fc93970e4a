"""What must not be written down: configuration goes into every case, record, page and bundle."""

from __future__ import annotations

import re
import shlex
from collections.abc import Mapping, Sequence
from pathlib import PurePosixPath
from typing import Annotated

from pydantic import AfterValidator

from seatrial.errors import FieldMistake

SECRET_NAME = re.compile(
    r"TOKEN(?![IS])|SECRET|PASSW|PASSPHRASE|CREDENTIAL|APIKEY|API_KEY|ACCESS_KEY|PRIVATE_KEY|AUTH(?!OR)|JWT|"
    r"(?-i:(?:^|_|PG)PASS$|_KEY$)",
    re.IGNORECASE,
)
"""Names of variables whose values are secrets, but for what `names_a_secret` excepts; TOKENIZERS_PARALLELISM and
AUTHOR are none. `_PASS` and `_KEY` count in capitals only: `sort_key` is somebody's option."""
HIDDEN = "***"
_NO_SECRET = re.compile(
    r"(?:^|_)(?:eos|bos|pad|padding|unk|sep|cls|mask|image|img|video|audio|stop|start|end|begin|special|next|first|last|"
    r"max|min|num|n|per|new|text|prompt|fim|think|boi|eoi)_token(?:_ids?)?$|"
    r"(?:^|_)token_(?:ids?|types?|counts?|length|len|limit|dim|size|budget|dropout|embeddings?|mixer|dispatcher\w*)$|"
    r"(?:^|_)(?:first|second|num|n|single|multi|forward|backward|warmup|per)_pass$|"
    r"(?:^|_)(?:sort|cache|public|primary|foreign|partition|group|index|lookup|hash|search|row|column|join|shard|routing|"
    r"map|dict|metric|label|batch|data|image|text|state|name|config|object|query)_key$",
    re.IGNORECASE,
)
"""Tokens of text, passes over data and keys of tables."""
_SECRET_OPTION = re.compile(
    r"(?:^|_)(?:password|passwd|passphrase|pass|secret|credentials?|jwt|bearer|(?:auth|access|api|hf|hub)?token|api_?key|"
    r"(?:secret|access|private|signing|encryption|openai|anthropic|wandb|hf|azure)_?key)$",
    re.IGNORECASE,
)
_NO_VALUE = re.compile(
    r"(?-i:\$\{?[A-Z_][A-Z0-9_]*\}?)[;)\"'&|]*|(?:true|false|none|null|yes|no)?[;)\"'&|]*|\*+|\[masked:.*|(?:os\.)?(?:environ|getenv)\b.*",
    re.IGNORECASE | re.DOTALL,
)
"""What may stand for a secret: a variable of the environment, nothing, or yes and no."""
_NUMBER = re.compile(r"[+-]?\d{1,9}(?:\.\d+)?\W*")
ASSIGNED = re.compile(r"(?<![\w.-])-{0,2}(?P<name>[A-Za-z_][\w.-]{0,80})=(?!=)(?=(?P<value>[^\s,;]*))")
QUOTED = re.compile(
    r"(?P<q>\\*['\"])-{0,2}(?P<name>[A-Za-z_][\w.-]{0,80})(?=(?P=q)\s*[:=,]\s*b?(?P<w>\\*['\"])"
    r"(?P<value>(?:(?!(?P=w))(?:\\.|.))*)(?:(?P=w)|$))",
    re.MULTILINE,
)
_HEADER_WORD = re.compile(r"(?P<name>[A-Za-z][\w-]*):\s*(?P<value>\S.*)", re.DOTALL)
_USER_OPTION = re.compile(r"-u|--user|--proxy-user|-U")
_USER_AND_PASSWORD = re.compile(r"[^:/\s$]+:(?!\$)\S+")
_GIVEN_USER = re.compile(r"(?:-u|-U|--user=|--proxy-user=)(?P<pair>.+)")
_TAKE_A_USER = ("curl", "http", "https", "xh")
_IN_URL = re.compile(r"(?<=://)[^\s/@:]*:[^\s/@]+(?=@)|(?<=https://)[^\s/@]+(?=@)")
_TOKEN = re.compile(
    r"\b(?:hf_[A-Za-z0-9]{20,}|gh[pousr]_[A-Za-z0-9]{20,}|github_pat_\w{20,}|glpat-[\w-]{16,}|xox[abprs]-[\w-]{10,}|"
    r"(?:AKIA|ASIA)[0-9A-Z]{16}|sk-(?:proj-|ant-)?[A-Za-z0-9]{20,}|eyJ[\w-]{8,}\.eyJ[\w-]{8,}\.[\w-]*)"
)
_HEADER = re.compile(
    r"(?P<before>\bauthorization\\*['\"]?\s*[:=]\s*\\*['\"]?(?:(?:bearer|basic|token|digest|negotiate)\s+)?+)"
    r"(?!(?-i:\$\{?[A-Z_])|\[masked:)[^\s'\"\\]+",
    re.IGNORECASE,
)
_KEY = re.compile(r"-----BEGIN [A-Z ]*PRIVATE KEY-----.*?(?:-----END [A-Z ]*PRIVATE KEY-----|$)", re.DOTALL)
ELSEWHERE = "no secret: set it in the environment from which Snakemake or sbatch is started; what runs inherits it"


def names_a_secret(name: str) -> bool:
    """Whether a variable of that name holds a secret."""
    return SECRET_NAME.search(name) is not None and _NO_SECRET.search(name) is None


def states_a_secret(name: str, value: str) -> bool:
    """Whether `name=value` is a secret: a variable's name in capitals, an option's (hf-token, db.password) else."""
    plain = re.sub(r"[-.]", "_", re.sub(r"(?<=[a-z0-9])(?=[A-Z])", "_", name))
    of_option = _SECRET_OPTION.search(plain) is not None and _NO_SECRET.search(plain) is None
    if not (of_option or (plain.isupper() and names_a_secret(plain))):
        return False
    if "token" in plain.lower() and _NUMBER.fullmatch(value):
        return False
    return _NO_VALUE.fullmatch(value.strip("'\"")) is None


def without_secrets(text: str, hidden: str = HIDDEN) -> str:
    """`text` with user and password of addresses, headers that authorize, tokens of known forms and private keys as
    `hidden`."""
    plain = _TOKEN.sub(hidden, _IN_URL.sub(hidden, _KEY.sub(hidden, text)))
    return _HEADER.sub(lambda found: f"{found['before']}{hidden}", plain)


def without_private_keys(text: str, hidden: str = HIDDEN) -> str:
    """`text` with private keys, which are of many lines, as `hidden`."""
    return _KEY.sub(hidden, text)


def _variables(variables: Mapping[str, str]) -> Mapping[str, str]:
    for name, value in variables.items():
        if not re.fullmatch(r"[A-Za-z_][A-Za-z0-9_]*", name):
            raise FieldMistake("not a variable's name", value=name, allowed="letters, digits and _")
        if "\0" in value:
            raise FieldMistake("no variable holds this", field=name, value=value, allowed="text without zero bytes")
        if names_a_secret(name) or _secret_in([value], 0):
            raise FieldMistake(
                "this looks like a secret, and configuration is written into every record",
                field=name, value=HIDDEN, allowed=ELSEWHERE,
            )  # fmt: skip
    return variables


CheckedVariables = AfterValidator(_variables)
Variables = Annotated[dict[str, str], CheckedVariables]
"""Environment variables that configuration sets: names that a shell would take, no secrets."""


def refuse_secrets(words: Sequence[str], field: str, numbered: bool = True) -> None:
    """Raise FieldMistake for the first word of a command that is a secret, or an option that states one.

    The mistake's field is `field`, with the word's number where they are `numbered`.
    """
    for number in range(len(words)):
        if _secret_in(words, number):
            raise FieldMistake(
                "this looks like a secret, and a command is written into every record",
                field=f"{field}.{number}" if numbered else field, value=HIDDEN, allowed=ELSEWHERE,
            )  # fmt: skip


def _secret_in(words: Sequence[str], number: int) -> bool:
    """Whether word `number` is a secret, states one or is an option whose value, the next word, is one."""
    word = words[number]
    if without_secrets(word) != word or _option_with_secret(words, number):
        return True
    header = _HEADER_WORD.fullmatch(word)
    stated = [*ASSIGNED.finditer(word), *QUOTED.finditer(word), *([header] if header else [])]
    if any(states_a_secret(found["name"], found["value"]) for found in stated):
        return True
    inner = _words_within(word)
    return any(_secret_in(inner, k) for k in range(len(inner)))


def _option_with_secret(words: Sequence[str], number: int) -> bool:
    word, following = words[number], words[number + 1] if number + 1 < len(words) else ""
    if word.startswith("-") and "=" not in word and states_a_secret(word.lstrip("-"), following):
        return True
    if not any(PurePosixPath(before).name in _TAKE_A_USER for before in words[:number]):
        return False  # to others, -u is a user and a group
    given = _GIVEN_USER.fullmatch(word)
    pair = following if _USER_OPTION.fullmatch(word) else given["pair"] if given else ""
    return _USER_AND_PASSWORD.fullmatch(pair) is not None


def _words_within(word: str) -> list[str]:
    """The words of a word that a shell would read again (`bash -c "..."`); none where it is one."""
    if not re.search(r"\s", word):
        return []
    try:
        inner = shlex.split(word)
    except ValueError:  # no shell's line: a program's text, with an apostrophe
        inner = word.split()
    return [] if inner == [word] else inner
