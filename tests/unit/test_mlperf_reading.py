"""One pass over a log finds what MLCommons' parser, compliance and convergence checks find in it."""

from __future__ import annotations

import functools
import io
import json
import random
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from mlperf_folders import RunPlan, log_text
from mlperf_logging.compliance_checker.mlp_parser.ruleset_510 import strip_and_dedup
from mlperf_logging.rcp_checker.rcp_checker import read_submission_file
from official_summarizer import DEATHS, accepts

from seatrial.ingest.mlperf.log import read_log
from seatrial.ingest.mlperf.power import node_power
from seatrial.ingest.mlperf.rules import rule_book, ruleset_of, rulesets
from seatrial.mllog import BLOCK_BYTES, LONGEST_LINE_BYTES, parse, scan

CASES = (
    ("llama2_70b_lora", "v5.1"),
    ("llama31_8b", "v5.1"),
    ("llama31_405b", "v5.0"),
    ("flux1", "v5.1"),
    ("stable_diffusion", "v3.1"),
    ("stable_diffusion", "v5.0"),
    ("bert", "v4.1"),
    ("gnn", "v4.0"),
    ("retinanet", "v5.1"),
    ("unet3d", "v4.0"),
    ("gpt3", "v4.0"),
    ("deepseekv3_671b", "v6.0"),
)
VALUES: tuple[Any, ...] = (None, "x", 0, -1, 1e9, 0.5, [1], {"a": 1}, True, "closed", "open", "bert", float("nan"))
METADATA: tuple[Any, ...] = ({}, None, "", {"samples_count": 5}, {"epoch_num": 1.23456}, {"status": "aborted"})
TELLING = (b"submission", b"run_st", b"eval_acc", b"opt_", b"global_b", b"init_", b"seed")
STEP_KEY = {"v3.1": "step_num"}


@functools.cache
def sound_lines(benchmark: str, round_: str) -> tuple[bytes, ...]:
    text = log_text(RunPlan(seed=3, benchmark=benchmark, round=round_, evaluations=3, tracked_stats=4))
    return tuple(text.encode().splitlines())


def mutated(lines: list[bytes], dice: random.Random) -> None:
    """Do one of the things that befall logs to one line."""
    telling = [n for n, line in enumerate(lines) if any(word in line for word in TELLING)]
    at = dice.choice(telling) if telling and dice.random() < 0.6 else dice.randrange(len(lines))
    other = dice.randrange(len(lines))
    line = lines[at]
    what = dice.randrange(12)
    if what == 0:
        lines[at] = b""
    elif what == 1:
        lines.insert(at, line)
    elif what == 2:
        lines[at] = line[: dice.randrange(len(line) + 1)]
    elif what == 3:
        lines[at] = changed(line, "value", dice.choice(VALUES))
    elif what == 4:
        lines[at], lines[other] = lines[other], line
    elif what == 5:
        lines[at] = b"[rank0] \xe9\x85 " + line + b"\xa0"
    elif what == 6:
        lines[at] = line.replace(b":::MLLOG {", b":::MLLOG{")
    elif what == 7:
        lines[at] = b"50%\r" + line + b"\r"
    elif what == 8:
        lines[at] = line + lines[other]
    elif what == 9:
        lines[at] = changed(line, dice.choice(("time_ms", "key", "value", "metadata", "event_type")), "gone")
    elif what == 10:
        lines[at] = line.replace(b"metadata", b"meta\xffdata", 1)
    else:
        lines[at] = changed(line, "metadata", dice.choice(METADATA))


def changed(line: bytes, name: str, value: Any) -> bytes:
    before, token, text = line.partition(b":::MLLOG ")
    try:
        content = json.loads(text)
    except ValueError:
        return line
    if not isinstance(content, dict):
        return line
    if value == "gone":
        content.pop(name, None)
    else:
        content[name] = value
    return before + token + json.dumps(content).encode()


def official(log: Path, round_: str) -> tuple[bool, tuple[Any, ...] | None]:
    """Whether the log complies (a death is a refusal), and what the convergence check reads; None where it dies."""
    try:
        complies = accepts(log, round_)
    except DEATHS:
        complies = False
    try:
        return complies, read_submission_file(str(log), ruleset_of(round_), False)
    except DEATHS:
        return complies, None


@settings(max_examples=250, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(case=st.sampled_from(CASES), seed=st.integers(0, 10**9), changes=st.integers(0, 4))
def test_a_damaged_log_passes_and_converges_where_the_official_checks_say_so(
    case: tuple[str, str], seed: int, changes: int, tmp_path: Path
) -> None:
    benchmark, round_ = case
    lines, dice = list(sound_lines(benchmark, round_)), random.Random(seed)
    for _ in range(changes):
        mutated(lines, dice)
    data = b"\n".join(lines)
    log = tmp_path / "result_0.txt"
    log.write_bytes(data)
    complies, convergence = official(log, round_)
    book = rule_book(ruleset_of(round_))
    run = read_log(io.BytesIO(data), log.name, book, STEP_KEY.get(round_, "samples_count"))
    assert (not run.problems) == complies
    assert changes > 0 or complies
    if convergence is None:
        assert run.convergence_problem is not None
        return
    missed, position, batch, named = convergence
    assert run.convergence_problem is None
    assert run.converged == (missed == 0)
    assert run.to_quality == (None if missed else position)
    stated = batch if isinstance(batch, (int, float)) and batch != -1 else None
    assert run.global_batch_size == stated or (stated != stated and run.global_batch_size != run.global_batch_size)
    assert run.benchmark == (named if isinstance(named, str) else None)


def test_a_benchmarks_own_rule_speaks_for_its_key_alone(tmp_path: Path) -> None:
    """The common rules want gradient_accumulation_steps above 0, those of llama2_70b_lora only that it is there."""
    lines = list(sound_lines("llama2_70b_lora", "v5.1"))
    at = next(n for n, line in enumerate(lines) if b"gradient_accumulation_steps" in line)
    lines[at] = changed(lines[at], "value", 0)
    log = tmp_path / "result_0.txt"
    log.write_bytes(b"\n".join(lines))
    assert accepts(log, "v5.1")
    assert not read_log(io.BytesIO(log.read_bytes()), "log", rule_book("5.1.0")).problems


PIECES = st.sampled_from(
    [b":::MLLOG ", b":::MLLOG", b"{", b"}", b'"a": 1', b" ", b"\n", b"\r", b"\r\n", b"\xe9", b"\x85", b"text", b"1"]
)


@given(st.lists(PIECES | st.binary(max_size=5), max_size=40).map(b"".join))
def test_the_lines_are_those_that_the_official_parser_finds(data: bytes) -> None:
    theirs = [
        line.removeprefix(":::MLLOG ").strip()
        for line in strip_and_dedup(io.TextIOWrapper(io.BytesIO(data), encoding="latin-1"))
    ]
    ours = [text.decode("latin-1").strip() for _, text in scan(io.BytesIO(data))]
    assert ours == theirs


@given(
    st.recursive(
        st.none() | st.booleans() | st.integers() | st.floats() | st.text(),
        lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(), inner, max_size=3),
    ),
    st.integers(0, 3),
    st.binary(max_size=2),
    st.booleans(),
)
def test_a_text_is_parsed_or_refused_as_by_the_official_parser(
    value: Any, cut: int, added: bytes, ascii_only: bool
) -> None:
    text = json.dumps(value, ensure_ascii=ascii_only).encode("utf-8", errors="surrogatepass") + added
    text = text[: len(text) - cut]
    try:
        theirs = json.loads(text.decode("latin-1").strip())
    except ValueError:
        with pytest.raises(ValueError):
            parse(text)
        return
    ours = parse(text)
    assert type(ours) is type(theirs)
    if text.isascii():
        assert repr(ours) == repr(theirs)


@pytest.mark.parametrize("ends", [b"\n", b"\r\n", b"\r"])
def test_a_line_is_found_wherever_a_block_ends(ends: bytes) -> None:
    wanted = b':::MLLOG {"a": 1}'
    for shift in range(-25, 5):
        data = b"x" * (BLOCK_BYTES + shift) + ends + wanted + ends + b"y" + ends + wanted
        assert [number for number, _ in scan(io.BytesIO(data))] == [2, 4]


def test_a_line_without_end_is_cut_and_what_follows_it_is_still_read() -> None:
    data = b":::MLLOG " + b"x" * (2 * LONGEST_LINE_BYTES) + b":::MLLOG 0\n:::MLLOG 1\n"
    found = list(scan(io.BytesIO(data)))
    assert found[-1] == (2, b"1")
    assert [number for number, _ in found] == [1, 2]
    with pytest.raises(ValueError):
        parse(found[0][1])


def test_rules_are_there_for_every_round_from_v31_on() -> None:
    assert {"v3.1", "v4.0", "v4.1", "v5.0", "v5.1", "v6.0"} <= set(rulesets())
    assert min(rulesets()) == "v3.1"


def test_a_log_cannot_name_rules_outside_its_round() -> None:
    lines = list(sound_lines("llama31_8b", "v5.1"))
    at = next(n for n, line in enumerate(lines) if b"submission_benchmark" in line)
    lines[at] = changed(lines[at], "value", "../../../../evil")
    run = read_log(io.BytesIO(b"\n".join(lines)), "log", rule_book("5.1.0"))
    assert any("no rules" in problem for problem in run.problems)


@given(
    st.lists(st.tuples(st.integers(1, 1000), st.floats(1, 1e5)), min_size=1, max_size=30, unique_by=lambda r: r[0])
)
def test_mean_power_lies_between_the_least_and_the_greatest_reading(readings: list[tuple[int, float]]) -> None:
    lines = [power_line(0, "power_measurement_start", None)]
    lines += [power_line(time, "power_reading", watts) for time, watts in readings]
    lines.append(power_line(max(time for time, _ in readings), "power_measurement_stop", None))
    mean = node_power(io.BytesIO("\n".join(lines).encode()))
    watts = [w for _, w in readings]
    assert mean.watts is not None and min(watts) * (1 - 1e-9) <= mean.watts <= max(watts) * (1 + 1e-9)


def power_line(time_ms: int, key: str, value: object) -> str:
    content = {"time_ms": time_ms, "event_type": "POINT_IN_TIME", "key": key, "value": value, "metadata": ""}
    return f":::MLLOG {json.dumps(content)}"
