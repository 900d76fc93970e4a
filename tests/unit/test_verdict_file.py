"""Reading verdicts.json: what is not a verdict on this study's criteria is an error, never a pass."""

from __future__ import annotations

import json

import pytest
from study_on_disk import GEMM

from seatrial.analysis.verdict_file import VerdictEntry, read_verdicts
from seatrial.analysis.verdicts import verdict_lines
from seatrial.errors import UnreadableFile


def judged_study(make_study):
    """An analysed study with the criteria a (pass) and b (fail)."""
    study = make_study()
    (case,) = study.experiment("gemm", GEMM, 3)
    study.gemm(case, [12.0, 12.1, 12.2])
    study.criterion("a", "gemm.throughput", at_least=10.0)
    study.criterion("b", "gemm.throughput", at_most=10.0, where={"m": 128})
    study.analyse()
    return study


def without(entries, key):
    return [{k: v for k, v in entries[0].items() if k != key}, *entries[1:]]


@pytest.mark.parametrize(
    ("change", "words"),
    [
        (lambda found: [], "verdicts on none, the study's criteria are a, b"),
        (lambda found: found[:1], "verdicts on a, the study's criteria are a, b"),
        (lambda found: found[::-1], "verdicts on b, a, the study's criteria are a, b"),
        (lambda found: [{"verdict": "pass"}], "0.criterion: Field required"),
        (lambda found: [found[0] | {"verdict": "passed"}, found[1]], "0.verdict: Input should be 'pass'"),
        (lambda found: [found[0] | {"n": "3"}, found[1]], "0.n: "),
        (lambda found: [found[0] | {"measured": None}, found[1]], "a pass without a measured value"),
        (lambda found: [found[0] | {"more": 1}, found[1]], "0.more: "),
        (lambda found: [found[0], found[1] | {"required": 99.0}], "required of b is 99.0, in study.json 10.0"),
        (lambda found: [found[0], found[1] | {"where": {}}], "where of b is {}"),
        (lambda found: {}, "Input should be a valid array"),
    ],
)
def test_verdicts_that_are_not_of_this_study_are_an_error_never_a_pass(make_study, change, words):
    study = judged_study(make_study)
    found = json.loads(study.paths.verdicts.read_text())
    study.paths.verdicts.write_text(json.dumps(change(found)))
    with pytest.raises(UnreadableFile) as raised:
        verdict_lines(study.paths)
    assert str(study.paths.verdicts) in str(raised.value)
    assert words in str(raised.value)
    assert "`seatrial analyse` makes it again" in str(raised.value)


@pytest.mark.parametrize("key", sorted(VerdictEntry.model_fields))
def test_a_verdict_without_one_of_its_keys_is_refused_by_name(make_study, key):
    study = judged_study(make_study)
    entries = without(json.loads(study.paths.verdicts.read_text()), key)
    study.paths.verdicts.write_text(json.dumps(entries))
    with pytest.raises(UnreadableFile, match=rf"0\.{key}: Field required"):
        read_verdicts(study.paths)


@pytest.mark.parametrize("content", [None, "{", "", "\x00"])
def test_verdicts_that_cannot_be_read_are_an_error(make_study, content):
    study = make_study()
    study.experiment("gemm", GEMM)
    if content is not None:
        study.paths.verdicts.write_text(content)
    with pytest.raises(UnreadableFile, match=r"verdicts\.json"):
        read_verdicts(study.paths)
