"""What real logs hold besides clean records: each function takes a log's text and gives the bytes of a file.

Named for what they do to the log; which of them the official tool survives is in the fixtures' README.
"""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

from .log import TOKEN

Trap = Callable[[str], bytes]


def _index(lines: list[str], key: str) -> int:
    return next(i for i, line in enumerate(lines) if f'"{key}"' in line)


def _lines(text: str) -> list[str]:
    return text.splitlines()


def _joined(lines: list[str]) -> bytes:
    return ("\n".join(lines) + "\n").encode()


def rank_prefixed(text: str) -> bytes:
    """`srun --label` writes the rank before each line."""
    return _joined([f"0: {line}" for line in _lines(text)])


def stamped(text: str) -> bytes:
    """torchrun and logging write rank and date before each record."""
    return _joined(
        [f"[rank{i % 8}] 2025-10-02 11:22:{i % 60:02d},417 INFO {line}" for i, line in enumerate(_lines(text))]
    )


def chatty(text: str) -> bytes:
    """Shell traces, configuration dumps and warnings between the records, the token's look-alikes among them."""
    lines = _lines(text)
    chatter = [
        "+ srun --ntasks=8 --container-name=lora bash -c 'sync && sysctl vm.drop_caches=3'",
        ':::SYSJSON {"submitter":"UNKNOWN","division":"closed","system_name":"UNKNOWN"}',
        ":::DLPAL registry/lora:latest 4951 1 node-17 'unknown'",
        ":::MLLOG",
        ':::MLLOG{"key": "run_stop"}',
        "0: [NeMo W nemo_logging:349] UserWarning: {'loss': nan, \"global_batch_size\": 1}",
        "",
    ]
    for i, line in enumerate(chatter):
        lines.insert(1 + 3 * i, line)
    return _joined(lines)


def progress_bars(text: str) -> bytes:
    """Progress bars end with a carriage return; the next record follows on the same line of the file."""
    lines = _lines(text)
    i = _index(lines, "run_start")
    bar = "Epoch 0: {:3d}%|██▎       | {}/1024 [00:{:02d}<09:59, 1.71it/s]\r"
    return _joined(
        [*lines[:i], *("".join(bar.format(k, k * 10, k) for k in (1, 2, 3)) + line for line in lines[i:])]
    )


def bars_before_the_token(text: str) -> bytes:
    """A bar without a line end stands before the record."""
    return _joined([f"step 12/800 |=>      | {line}" if "eval_" in line else line for line in _lines(text)])


def two_records_on_a_line(text: str, first: str = "block_stop") -> bytes:
    """Two ranks write at once: the newline after the record of `first` is lost, and to the tool so is `first`."""
    lines = _lines(text)
    i = _index(lines, first)
    return _joined([*lines[:i], lines[i] + lines[i + 1] if i + 1 < len(lines) else lines[i], *lines[i + 2 :]])


def run_stop_swallowed(text: str) -> bytes:
    """The record of run_stop loses its newline to another record."""
    record = (
        TOKEN + '{"time_ms": 1, "event_type": "POINT_IN_TIME", "key": "train_loss", "value": 1.2, "metadata": {}}'
    )
    return text.rstrip("\n").encode() + f"{record}\n".encode()


def latin1(text: str) -> bytes:
    """Bytes that are no UTF-8: a platform name in latin-1, and a no-break space after a record."""
    lines = _lines(text)
    i = _index(lines, "submission_platform")
    lines[i] = lines[i].replace("8x accelerator", "8x Küstenrechner ½")
    lines[i + 1] += "\xa0"
    return ("\n".join(lines) + "\n").encode("latin-1")


def utf8(text: str) -> bytes:
    """UTF-8 beyond ASCII in a value, 0x85 and 0xa0 among its bytes, which are no line ends."""
    return text.replace("8x accelerator", "8x Fårö à la carte ✓").encode()


def crlf(text: str) -> bytes:
    """Windows line ends."""
    return text.replace("\n", "\r\n").encode()


def no_newline_at_end(text: str) -> bytes:
    """The last line has no line end."""
    return text.rstrip("\n").encode()


def key_with_a_blank(text: str) -> bytes:
    """One stack logs "train_loss " with a blank; NaN is no JSON, but Python writes and reads it."""
    record = (
        f'{TOKEN}{{"namespace": "", "time_ms": 1759312800000, "event_type": "POINT_IN_TIME", "key": "train_loss ", '
        f'"value": NaN, "metadata": {{"file": "train.py", "lineno": 71, "samples_count": 80}}}}'
    )
    lines = _lines(text)
    lines.insert(_index(lines, "block_stop"), record)
    return _joined(lines)


def truncated(text: str) -> bytes:
    """The disk was full: the last record ends before its key, run_stop, is whole."""
    return text[: text.rindex('"run_stop"') + 5].encode()


def truncated_late(text: str) -> bytes:
    """The last record, run_stop, ends a little before its end."""
    return text.rstrip("\n")[:-12].encode()


def bar_inside_a_record(text: str) -> bytes:
    """A progress bar breaks a record in two with its carriage return."""
    lines = _lines(text)
    i = _index(lines, "block_stop")
    return _joined([*lines[:i], lines[i][:50] + "\r 12%|#2       | " + lines[i][50:], *lines[i + 1 :]])


def _repeated(text: str, key: str) -> bytes:
    lines = _lines(text)
    i = _index(lines, key)
    return _joined([*lines[:i], f"+ echo '{lines[i]}'", *lines[i:]])


def init_start_repeated(text: str) -> bytes:
    """A shell trace repeats a record in quotes: text follows the JSON."""
    return _repeated(text, "init_start")


def batch_size_repeated(text: str) -> bytes:
    """The same, of a record that the convergence check reads."""
    return _repeated(text, "global_batch_size")


def _edited(text: str, key: str, change: Callable[[dict[str, Any]], object], nth: int = -1) -> bytes:
    """The text with `change` made to the record of `key`, the last one or the `nth`."""
    lines = _lines(text)
    i = [k for k, line in enumerate(lines) if f'"{key}"' in line][nth]
    record = json.loads(lines[i].removeprefix(TOKEN))
    change(record)
    lines[i] = TOKEN + json.dumps(record, separators=None if '": ' in lines[i] else (",", ":"))
    return _joined(lines)


def times_as_text(text: str) -> bytes:
    """time_ms of run_start as a string with a fraction."""
    return _edited(text, "run_start", lambda record: record.update(time_ms=f"{record['time_ms']}.25"))


def logged_twice(text: str) -> bytes:
    """Two ranks log the batch size, and run_start 40 ms apart: the later one counts."""
    late = _edited(text, "run_start", lambda record: record.update(time_ms=record["time_ms"] + 40)).decode()
    lines = _lines(text)
    i, j = _index(lines, "run_start"), _index(lines, "global_batch_size")
    return _joined([*lines[: j + 1], *lines[j : i + 1], *_lines(late)[i:]])


def without_metadata(text: str) -> bytes:
    """A record without the field `metadata`."""
    return _edited(text, "block_stop", lambda record: record.pop("metadata"))


def time_is_null(text: str) -> bytes:
    """time_ms is null in one record."""
    return _edited(text, "block_stop", lambda record: record.update(time_ms=None))


def evaluation_is_text(text: str) -> bytes:
    """The value of the last evaluation is the text "nan"."""
    return _edited(text, "eval_accuracy", lambda record: record.update(value="nan"))


def record_is_a_number(text: str) -> bytes:
    """After the token stands JSON that is no object."""
    return f"{TOKEN}17\n{text}".encode()


def one_metric_missing(text: str) -> bytes:
    """stable_diffusion: the CLIP of one checkpoint was never computed."""
    lines = _lines(text)
    i = [k for k, line in enumerate(lines) if '"CLIP"' in line][1]
    return _joined([*lines[:i], *lines[i + 1 :]])
