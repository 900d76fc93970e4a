"""No file, however it came about, gets anything out of a reader but an answer or one of our errors.

About 60 s of coverage-guided fuzzing (an hour of it: tests/soak/fuzz.py), files that ask for much, and sound files
in which one value has become another.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from readers import READERS, read
from seeds import SEEDS

HERE = Path(__file__).parent
SECONDS = 60 / len(READERS)
"""Of CPU time, for each reader; at least TIMES_SEEDS times its seeds are tried however long that takes."""
TIMES_SEEDS = 10
SEED = 8
ENVIRONMENT = {**os.environ, "OMP_NUM_THREADS": "1", "OPENBLAS_NUM_THREADS": "1"}


def atheris(
    found: Path, seconds: float, *names: str, more: tuple[str, ...] = ()
) -> tuple[int, dict[str, Any], str]:
    words = [sys.executable, str(HERE / "atheris_readers.py"), "--seconds", str(seconds), "--found", str(found)]
    done = subprocess.run(
        [*words, "--seed", str(SEED), *more, *names],
        capture_output=True,
        text=True,
        timeout=800,
        env=ENVIRONMENT,
        check=False,
    )
    assert done.returncode in (0, 1), done.stderr[-2000:]
    told = "\n".join(
        f"{path}: {path.read_bytes()[:300]!r}" for path in sorted(found.iterdir()) if path.suffix != ".log"
    )
    return done.returncode, json.loads(done.stdout.splitlines()[-1]), told


@pytest.mark.timeout(900)
def test_a_minute_of_coverage_guided_fuzzing_finds_nothing(tmp_path: Path) -> None:
    code, results, told = atheris(tmp_path, SECONDS)
    assert code == 0 and told == "", told + str(results)
    assert results.keys() == READERS.keys()
    few = {name: inputs for name, (inputs, _, _) in results.items() if inputs < TIMES_SEEDS * len(SEEDS[name])}
    assert few == {}, results
    assert all(edges > 5 for _, edges, _ in results.values()), results


def test_what_a_search_has_come_upon_is_kept_and_what_an_earlier_one_found_is_not(tmp_path: Path) -> None:
    found, corpus = tmp_path / "found", tmp_path / "corpus"
    found.mkdir()
    for name in ("restarts-crash-of-before", "restarts.log"):
        (found / name).write_text("#99999999\tDONE   cov: 99999 of before\n" * 1000, encoding="utf-8")
    code, results, told = atheris(found, 0.5, "restarts", more=("--corpus", str(corpus)))
    assert (code, told) == (0, "")
    assert TIMES_SEEDS * len(SEEDS["restarts"]) <= results["restarts"][0] < 99999999
    assert "of before" not in (found / "restarts.log").read_text(encoding="utf-8", errors="replace")
    assert len(list((corpus / "restarts").iterdir())) > len(SEEDS["restarts"])


def test_the_fuzzing_finds_what_is_there(tmp_path: Path) -> None:
    code, results, told = atheris(tmp_path, 20, "planted")
    assert code == 1 and results["planted"][2] != 0
    assert "planted-crash-" in told and "b'{[" in told
    assert "KeyError" in (tmp_path / "planted.log").read_text(encoding="utf-8", errors="replace")


@pytest.mark.parametrize("name", READERS)
def test_seeds_are_read_and_the_first_is_sound(name: str) -> None:
    refused_first = {"case", "study", "bundle", "bundle_files", "executor_files", "study_files"}
    taken = [read(name, seed) for seed in SEEDS[name]]
    assert taken[0] or name in refused_first
    read(name, b"")


def test_small_files_that_ask_for_much_get_little(tmp_path: Path) -> None:
    words = [sys.executable, str(HERE / "bombs.py")]
    done = subprocess.run(words, capture_output=True, text=True, timeout=250, env=ENVIRONMENT, check=False)
    assert done.returncode == 0, done.stderr[-2000:]
    told = json.loads(done.stdout.splitlines()[-1])
    assert len(told) > 70
    faults = {name: answer for name, (answer, _) in told.items() if not isinstance(answer, bool)}
    assert faults == {}
    assert {name: seconds for name, (_, seconds) in told.items() if seconds > 10} == {}


ODD = st.one_of(
    st.none(),
    st.booleans(),
    st.integers(),
    st.sampled_from([10**400, -(10**400), 2**63, -1, 0, 1e308, float("nan"), float("inf"), -0.0]),
    st.sampled_from(["", "\ud800", "\x00", "\n", "../x", "x" * 5000, "NaN", "٣", "1e999", "-1", "[", "\x1b[31m"]),
    st.text(max_size=8),
    st.lists(st.none() | st.integers() | st.text(max_size=3), max_size=3),
    st.dictionaries(st.text(max_size=3), st.none() | st.integers(), max_size=2),
)


def places(content: Any, here: tuple[Any, ...] = ()) -> list[tuple[Any, ...]]:
    """Every place in a document, from the whole to its leaves."""
    below = (
        content.items() if isinstance(content, dict) else enumerate(content) if isinstance(content, list) else ()
    )
    return [here, *(place for key, value in below for place in places(value, (*here, key)))]


def changed(content: Any, place: tuple[Any, ...], value: Any) -> Any:
    if not place:
        return value
    copy = dict(content) if isinstance(content, dict) else list(content)
    copy[place[0]] = changed(content[place[0]], place[1:], value)
    return copy


def documents(name: str) -> list[Any]:
    found = []
    for seed in SEEDS[name]:
        try:
            found.append(json.loads(seed.partition(b"\0")[0]))
        except ValueError:
            continue
    return found


OF_JSON = [name for name in SEEDS if name not in ("planted", "routing") and documents(name)]


@pytest.mark.parametrize("name", OF_JSON)
@settings(max_examples=40, deadline=None, derandomize=True, suppress_health_check=list(HealthCheck))
@given(data=st.data())
def test_a_sound_document_with_odd_values_in_it_is_read_or_refused(name: str, data: st.DataObject) -> None:
    content = data.draw(st.sampled_from(documents(name)))
    for _ in range(data.draw(st.integers(1, 3))):
        content = changed(content, data.draw(st.sampled_from(places(content))), data.draw(ODD))
    read(name, json.dumps(content).encode())


@settings(max_examples=60, deadline=None, derandomize=True, suppress_health_check=list(HealthCheck))
@given(data=st.data())
def test_a_study_with_odd_values_in_it_is_planned_or_refused(data: st.DataObject) -> None:
    import yaml

    content = yaml.safe_load(SEEDS["study"][0])
    for _ in range(data.draw(st.integers(1, 2))):
        content = changed(content, data.draw(st.sampled_from(places(content)[1:])), data.draw(ODD))
    read(
        "study", b"# @package _global_\n" + yaml.safe_dump(content, allow_unicode=False).encode("utf-8", "replace")
    )


@settings(max_examples=150, deadline=None, derandomize=True, suppress_health_check=list(HealthCheck))
@given(
    st.lists(
        st.tuples(
            st.sampled_from(["key", "time_ms", "event_type", "value", "metadata", "namespace"]), ODD,
            st.integers(0, 9),
        ),
        max_size=4,
    )
)  # fmt: skip
def test_log_lines_with_odd_values_in_them_are_read_or_noted(changes: list[tuple[str, Any, int]]) -> None:
    lines = [json.loads(line[len(b":::MLLOG ") :]) for line in SEEDS["mllog"][0].splitlines()]
    for key, value, number in changes:
        lines[number][key] = value
    content = b"".join(b":::MLLOG " + json.dumps(line).encode() + b"\n" for line in lines)
    for name in ("mllog", "mlperf_log", "mlperf_power", "audit", "external_lines"):
        read(name, content)
