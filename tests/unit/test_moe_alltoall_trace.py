"""Replayed loads: any trace of counts can be read; what is wrong with one is said with file, place and value."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from moe_alltoall_cases import probe

from seatrial.config.probe.moe_alltoall import ReplayLoad
from seatrial.errors import UnreadableFile
from seatrial.measure.moe_alltoall.trace import check_trace, fingerprint, read_trace, replayed

COUNTS = np.array([[[3, 1, 0, 4], [2, 2, 2, 2]], [[8, 0, 0, 0], [0, 4, 4, 0]]])
"""Steps x ranks x experts."""
STEPPED = "step,rank,e0,e1,e2,e3\n20,0,8,0,0,0\n10,1,2,2,2,2\n10,0,3,1,0,4\n20,1,0,4,4,0\n"


def load(path: Path, **more: Any) -> ReplayLoad:
    return ReplayLoad(kind="replay", file=str(path), **more)


def save(path: Path, **arrays: np.ndarray) -> None:
    np.savez(path, **arrays)  # type: ignore[arg-type]


def test_every_kind_of_file_gives_the_same_counts(tmp_path: Path) -> None:
    save(tmp_path / "a.npz", counts=COUNTS.astype(np.uint16))
    (tmp_path / "a.json").write_text(json.dumps(COUNTS.tolist()))
    (tmp_path / "b.json").write_text(json.dumps({"layer_0": COUNTS.tolist(), "layer_1": [[1, 2]]}))
    (tmp_path / "a.csv").write_text(STEPPED)
    (tmp_path / "b.csv").write_text("3,1,0,4\n2,2,2,2\n\n")
    for of in (load(tmp_path / "a.npz"), load(tmp_path / "a.json"), load(tmp_path / "b.json", array="layer_0")):
        assert (read_trace(of) == COUNTS).all()
    assert (read_trace(load(tmp_path / "a.csv")) == COUNTS).all()
    assert (read_trace(load(tmp_path / "b.csv")) == COUNTS[:1]).all()
    assert len(fingerprint(load(tmp_path / "b.csv"))["sha256"]) == 64


@pytest.mark.parametrize(
    ("name", "content", "words"),
    [
        ("a.json", "[[1, 2], [3, -4]]", "rank 1, expert 1: -4 is negative"),
        ("a.json", "[[[1, 2], [3, 2.5]]]", "step 0, rank 1, expert 1: 2.5 is not a whole number"),
        ("a.json", "[[1, NaN]]", "rank 0, expert 1: nan is not finite"),
        ("a.json", "[[1, 1e12]]", "too large for a count"),
        ("a.json", "[[1, 2], [3]]", "rank 1: 2 entries expected, found 1"),
        ("a.json", '[[1, "2"]]', "rank 0, expert 1: '2' is not a number"),
        ("a.json", "[[1, true]]", "rank 0, expert 1: True is not a number"),
        ("a.json", "[1, 2]", "two or three levels of lists, not 1"),
        ("a.json", "[[]]", "two or three levels of lists, not 1"),
        ("a.json", "7", "two or three levels of lists, not 0"),
        ("a.json", '{"a": [[1]], "b": [[1]]}', "does not say which is meant; it has a, b"),
        ("a.json", "{", "not JSON"),
        ("a.csv", "1,2\n3,x\n", "line 2, column 2: 'x' is not a number"),
        ("a.csv", "1,2\n3\n", "line 2: 2 entries expected, found 1"),
        ("a.csv", "1,2\n3,-1\n", "rank 1, expert 1: -1 is negative"),
        ("a.csv", "", "it is empty"),
        ("a.csv", "step,rank,e0\n0,0,1\n0,0,2\n", "each of 1 ranks once"),
        ("a.csv", "step,rank,e0\n0,0,1\n0,1,2\n1,0,3\n", "not every one of 2 steps has each of 2 ranks once"),
        ("a.csv", "step,rank,e0\n", "a head line without counts"),
        ("a.npz", "no archive", "a.npz"),
        ("a.txt", "1,2", "a trace ends in .npz, .json, .csv, not '.txt'"),
    ],
)
def test_what_is_no_trace_is_one_error_with_file_place_and_value(
    tmp_path: Path, name: str, content: str, words: str
) -> None:
    (tmp_path / name).write_text(content)
    with pytest.raises(UnreadableFile) as problem:
        read_trace(load(tmp_path / name))
    assert words in str(problem.value) and name in str(problem.value)


@pytest.mark.parametrize(
    ("arrays", "name", "words"),
    [
        ({"a": COUNTS, "b": COUNTS}, None, "does not say which is meant; it has a, b"),
        ({"a": COUNTS}, "c", "no array 'c'; it has a"),
        ({"a": np.array([["x"]])}, None, "an array of <U1, not of numbers"),
        ({"a": np.array([[object()]])}, None, "not arrays of numbers"),
        ({"a": np.zeros((2, 2, 2, 2))}, None, "not 2 x 2 x 2 x 2"),
        ({"a": np.zeros((0, 4))}, None, "not 0 x 4"),
        ({"a": np.array([[1, np.inf]])}, None, "rank 0, expert 1: inf is not finite"),
    ],
)
def test_arrays_that_are_no_counts_are_refused(
    tmp_path: Path, arrays: dict[str, np.ndarray], name: str | None, words: str
) -> None:
    save(tmp_path / "a.npz", **arrays)
    with pytest.raises(UnreadableFile, match=words):
        read_trace(load(tmp_path / "a.npz", array=name))


def test_a_file_that_is_not_there_is_named(tmp_path: Path) -> None:
    with pytest.raises(UnreadableFile, match=r"nowhere\.csv"):
        read_trace(load(tmp_path / "nowhere.csv"))


@pytest.mark.parametrize(
    ("change", "ranks", "more", "words"),
    [
        (lambda c: c, 3, {}, "counts of 2 ranks; the case has 3"),
        (lambda c: c, 2, {"experts": 8}, "counts of 4 experts; the case has 8"),
        (lambda c: c * [[[1], [0]]], 2, {}, "step 0, rank 1: no choices at all"),
        (lambda c: c, 2, {"top_k": 2}, "step 1, rank 0, expert 0: 8 choices of one expert by 4 tokens"),
        (lambda c: c, 2, {"tokens": 9}, "step 0, rank 0: 8 choices; tokens 9 x top_k 1 are 9"),
    ],
)
def test_a_trace_that_does_not_fit_the_case_is_refused(
    change: Callable[[np.ndarray], np.ndarray], ranks: int, more: dict[str, Any], words: str
) -> None:
    asked = probe(**{"load": {"kind": "replay", "file": "t.npz"}, "tokens": None, "experts": 4, "top_k": 1, **more})
    check_trace(probe(load=asked.load.model_dump(), tokens=8, experts=4, top_k=1), COUNTS, 2)
    with pytest.raises(UnreadableFile) as problem:
        check_trace(asked, change(COUNTS), ranks)
    assert words in str(problem.value) and "t.npz" in str(problem.value)


@given(st.integers(1, 9), st.integers(1, 40), st.integers(0, 999))
def test_replayed_choices_have_the_counts_and_no_token_has_an_expert_twice(
    top_k: int, tokens: int, seed: int
) -> None:
    generator = np.random.default_rng(seed)
    experts = top_k + int(generator.integers(0, 5))
    chosen = np.stack([generator.permutation(experts)[:top_k] for _ in range(tokens)])
    counts = np.bincount(chosen.ravel(), minlength=experts)[None, None]
    (dealt,) = replayed(counts, top_k, 1, 0)
    assert dealt.shape == (tokens, top_k)
    assert (np.bincount(dealt[dealt >= 0], minlength=experts) == counts[0, 0]).all()
    assert all(len(set(row)) == top_k for row in dealt.tolist())


def test_dropped_choices_leave_tokens_with_fewer_and_steps_come_round_again() -> None:
    counts = np.array([[[2, 2, 1]], [[1, 0, 1]]])
    first, second, third = replayed(counts, 2, 3, 0)
    assert first.shape == (3, 2) and (first < 0).sum() == 1
    assert np.bincount(first[first >= 0], minlength=3).tolist() == [2, 2, 1]
    assert second.shape == (1, 2)
    assert (third == first).all()
