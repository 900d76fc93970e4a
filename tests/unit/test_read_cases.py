"""Reading the cases of a study: what they share is validated once, and what is wrong with one is said as ever."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from study_on_disk import GEMM

from seatrial.analysis.inputs import read_cases, read_plan
from seatrial.case import Case
from seatrial.errors import UnreadableFile


@pytest.fixture
def study(make_study: Any) -> Any:
    made = make_study()
    made.experiment("gemm", GEMM, axes={"workload.m": list(range(16, 16 + 12)), "target.nodes": [1, 2, 4, 8] * 3})
    return made


def test_cases_are_what_each_file_by_itself_says(study: Any) -> None:
    cases = read_cases(study.paths, read_plan(study.paths))
    alone = [Case.read(study.paths.case(case.case_id)) for case in study.planned]
    assert cases == alone == study.planned
    assert [case.model_dump_json() for case in cases] == [case.model_dump_json() for case in alone]


def test_a_target_that_cases_share_is_validated_once(study: Any) -> None:
    cases = read_cases(study.paths, read_plan(study.paths))
    assert len({id(case.target) for case in cases}) == 4
    by_nodes = {case.target.nodes: case.target for case in cases}
    assert all(case.target is by_nodes[case.target.nodes] for case in cases)


def test_a_workload_that_cases_share_is_validated_once(make_study: Any) -> None:
    made = make_study()
    made.experiment("gemm", GEMM, axes={"target.nodes": [1, 2, 4, 8]})
    cases = read_cases(made.paths, read_plan(made.paths))
    assert len({id(case.workload) for case in cases}) == 1


def test_a_file_is_validated_as_a_whole_where_its_target_is_met_first_and_nowhere_else(
    study: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    read, whole = Case.read, []

    def counted(path: Path) -> Case:
        whole.append(path.stem)
        return read(path)

    monkeypatch.setattr(Case, "read", counted)
    read_cases(study.paths, read_plan(study.paths))
    assert whole == [case.case_id for case in study.planned[:4]]


def _edited(content: Any, *place: str, value: Any) -> str:
    inner = content
    for key in place[:-1]:
        inner = inner[key]
    inner[place[-1]] = value
    return json.dumps(content)


@pytest.mark.parametrize("which", [0, 1, 11])
@pytest.mark.parametrize(
    "place",
    [
        ("target", "nodes", 3), ("target", "nodes", True), ("target", "nodes", "x"), ("target", "colour", "red"),
        ("target", None), ("target", []), ("target", "tasks_per_node", 0), ("target", "nodes", 1.5),
        ("workload", "m", 17.5), ("workload", "m", 99), ("workload", "kind", "nothing"), ("workload", {}),
        ("workload", "m", False), ("case_id", "0123456789abcdef"), ("case_id", 5), ("repeats", 0), ("repeats", "1"),
        ("base_seed", 8), ("study", "A B"), ("colour", "red"), ("experiment", "other"), ("axes", []),
    ],
    ids=str,
)  # fmt: skip
def test_an_edited_case_is_refused_as_it_is_by_itself(study: Any, which: int, place: tuple[Any, ...]) -> None:
    path = study.paths.case(study.planned[which].case_id)
    *keys, value = place
    path.write_text(_edited(json.loads(path.read_text()), *keys, value=value))
    with pytest.raises(UnreadableFile) as alone:
        Case.read(path)
    with pytest.raises(UnreadableFile) as among_others:
        read_cases(study.paths, read_plan(study.paths))
    assert str(among_others.value) == str(alone.value)


@pytest.mark.parametrize("content", [b"", b"{", b"[]", b"5", b"\xff", b"[" * 100_000, b'{"target": {}}', None])
def test_a_file_that_is_no_case_is_refused_as_it_is_by_itself(study: Any, content: bytes | None) -> None:
    path = study.paths.case(study.planned[7].case_id)
    path.unlink() if content is None else path.write_bytes(content)
    with pytest.raises(UnreadableFile) as alone:
        Case.read(path)
    with pytest.raises(UnreadableFile) as among_others:
        read_cases(study.paths, read_plan(study.paths))
    assert str(among_others.value) == str(alone.value)


@pytest.mark.parametrize(
    ("before", "after"),
    [
        ('"axes": {', '"axes": {"x": NaN, '), ('"axes": {', '"axes": {"x": 1e999, '),
        ('"axes": {', '"axes": {"x": "\\ud800", '), ('"axes": {', '"axes": {"x": 1, "x": 2, '),
        ('"description": "', '"description": "\\ud800'), ('"description": "', '"description": "\u00fc\\u00fc'),
        ("{\n", "\ufeff{\n"), ("{\n", "{\n\n"),
    ],
    ids=ascii,
)  # fmt: skip
def test_what_readers_of_json_take_differently_is_taken_as_by_itself(study: Any, before: str, after: str) -> None:
    path = study.paths.case(study.planned[9].case_id)
    text = path.read_text()
    assert before in text
    for content in (text.replace(before, after, 1).encode(), text.encode("utf-16")):
        path.write_bytes(content)
        assert _told(lambda: read_cases(study.paths, read_plan(study.paths))[9]) == _told(lambda: Case.read(path))


def _told(read: Any) -> str:
    try:
        return f"{read()!r}"
    except UnreadableFile as problem:
        return str(problem)


def test_what_is_no_part_of_a_cases_identity_is_kept_as_its_own_file_says(study: Any) -> None:
    path = study.paths.case(study.planned[4].case_id)
    path.write_text(_edited(json.loads(path.read_text()), "target", "description", value="another one"))
    cases = read_cases(study.paths, read_plan(study.paths))
    described = [case.target.description for case in cases]
    assert described == ["a laptop"] * 4 + ["another one"] + ["a laptop"] * 7
