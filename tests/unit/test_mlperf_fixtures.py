"""The result folders of our own making are what their README says, to the official tool too."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import pytest
from mlperf_folders import BENCHMARKS, Fixture, RunPlan, log_text, runs_of, write_fixtures, write_round
from official_summarizer import OfficialScore, accepts, dies_on, knows, official_scores, submitters

DATA = Path(__file__).parents[1] / "data" / "mlperf"
ROUNDS = ("v3.1", "v4.0", "v4.1", "v5.0", "v5.1", "v6.0")


@pytest.fixture(scope="module")
def written(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, list[Fixture]]:
    """The fixtures written afresh, with their list."""
    root = tmp_path_factory.mktemp("mlperf")
    return root, write_fixtures(root)


@pytest.fixture(scope="module")
def fixtures(written: tuple[Path, list[Fixture]]) -> dict[str, Fixture]:
    """By path."""
    return {one.path: one for one in written[1]}


@pytest.fixture(scope="module")
def official() -> dict[str, OfficialScore]:
    """The tool's word on every committed folder, by path."""
    return {
        f"training_results_{round_}/{score.path}": score
        for round_ in ROUNDS
        for score in official_scores(DATA / f"training_results_{round_}", round_)
    }


def files_of(root: Path) -> dict[str, bytes]:
    return {path.relative_to(root).as_posix(): path.read_bytes() for path in root.rglob("*") if path.is_file()}


def test_the_writer_reproduces_the_committed_files(written):
    committed, fresh = files_of(DATA), files_of(written[0])

    assert sorted(committed) == sorted(fresh)
    assert [name for name in fresh if committed[name] != fresh[name]] == []


def test_the_committed_files_stay_small():
    assert sum(len(data) for data in files_of(DATA).values()) < 1_500_000


def test_the_readme_names_every_result_folder_on_disk(fixtures):
    on_disk = {path.relative_to(DATA).as_posix() for path in DATA.glob("*/*/results/*/*") if path.is_dir()}

    assert on_disk == set(fixtures)


def test_the_compliance_check_accepts_exactly_the_logs_meant_to_be_fine(fixtures):
    def verdict(log: Path, round_: str) -> bool | None:
        try:
            return accepts(log, round_)
        except (KeyError, TypeError, FileNotFoundError):
            return None

    wrong = [
        (one.path, name, meant)
        for one in fixtures.values()
        for name, meant in one.logs.items()
        if verdict(DATA / one.path / name, one.round) is not meant
    ]
    assert wrong == []


@pytest.mark.parametrize("round_", ROUNDS)
@pytest.mark.parametrize("terse", [False, True])
def test_a_log_of_every_benchmark_passes_the_check_of_every_round_that_has_it(tmp_path, round_, terse):
    names = [name for name in BENCHMARKS if knows(name, round_)]
    assert names
    for name in names:
        log = tmp_path / f"{name}.txt"
        log.write_text(log_text(RunPlan(7, name, round_, terse=terse)))
        assert accepts(log, round_), name


def test_the_official_tool_says_of_each_folder_what_the_readme_says(fixtures, official):
    def outcome(score: OfficialScore) -> str:
        if score.died:
            return f"dies: {score.died}"
        return "skipped" if score.skipped else "score" if score.score is not None else "no score"

    def factor(path: str, score: OfficialScore) -> str:
        if score.factor is None:
            return ""
        return "committed" if (DATA / path / "scaling.json").is_file() else "1" if score.factor == 1 else "> 1"

    assert set(official) == set(fixtures)
    said = {path: (outcome(score), factor(path, score)) for path, score in official.items()}
    assert said == {path: (one.official, one.factor) for path, one in fixtures.items()}
    checked = {path: one.rcp for path, one in fixtures.items() if one.rcp != "either"}
    assert {path: official[path].rcp or "" for path in checked} == checked


def test_a_committed_factor_is_in_the_score_although_the_tool_replaces_it(fixtures, official):
    committed = [path for path, one in fixtures.items() if one.factor == "committed"]

    assert len(committed) >= 5
    for path in committed:
        assert official[path].factor == json.loads((DATA / path / "scaling.json").read_text())["scaling_factor"]


def test_a_folder_without_scaling_json_is_scaled_though_the_tool_needs_two_passes(tmp_path):
    logs = [
        log_text(plan) for plan in runs_of(RunPlan(3, "llama31_405b", position=276_480, terse=True), spread=False)
    ]
    at = tmp_path / "Quay" / "results" / "system" / "llama31_405b"
    at.mkdir(parents=True)
    shutil.copytree(DATA / "training_results_v5.1" / "Fogbank" / "systems", tmp_path / "Quay" / "systems")
    (tmp_path / "Quay" / "systems" / "fb-8xh200.json").rename(tmp_path / "Quay" / "systems" / "system.json")
    for k, log in enumerate(logs):
        (at / f"result_{k}.txt").write_text(log)
    (found,) = official_scores(tmp_path / "Quay", "v5.1")
    (at / "scaling.json").write_text('{"scaling_factor": 1.0}')
    (first_pass,) = official_scores(tmp_path / "Quay", "v5.1")

    assert found.factor == pytest.approx(313_344 / 276_480)
    assert found.score == pytest.approx(first_pass.score * found.factor)


def test_what_the_tool_dies_on_costs_the_submitter_every_result(fixtures, official):
    deadly = {path: one.official.removeprefix("dies: ") for path, one in fixtures.items() if one.kills}

    assert len(deadly) >= 12
    for path, exception in deadly.items():
        submitter = (DATA / path).parents[2]
        assert dies_on(submitter, fixtures[path].round) == exception, path
    beside = "training_results_v5.1/Mudflat_json/results/mf-sound/llama31_405b"
    assert official[beside].score is not None


def test_the_tool_lives_where_the_readme_does_not_say_otherwise(fixtures):
    deadly = {(DATA / path).parents[2] for path, one in fixtures.items() if one.kills}
    sound = [at for round_ in ROUNDS for at in submitters(DATA / f"training_results_{round_}") if at not in deadly]

    assert len(sound) >= 15
    assert [at for at in sound if dies_on(at, at.parent.name.removeprefix("training_results_"))] == []


def test_power_folders_give_energy_or_kill_as_the_readme_says(fixtures):
    with_power = {path: one.power for path, one in fixtures.items() if (DATA / path / "power").is_dir()}
    assert {path: one.power for path, one in fixtures.items() if one.power} == with_power

    for path, meant in with_power.items():
        submitter = (DATA / path).parents[2]
        round_ = fixtures[path].round
        scores = {
            f"{submitter.parent.name}/{score.path}": score
            for score in official_scores(submitter, round_, power=True)
        }
        if meant == "energy":
            assert scores[path].energy > 1e6, path
        else:
            assert f"dies: {scores[path].died}" == meant
            assert dies_on(submitter, round_, power=True) == scores[path].died


def test_the_oracle_leaves_the_data_alone(tmp_path):
    copy = tmp_path / "Tideline"
    shutil.copytree(DATA / "training_results_v4.0" / "Tideline", copy)
    before = files_of(copy)
    official_scores(copy, "v4.0")

    assert files_of(copy) == before


def test_ten_spellings_of_status_and_the_models_that_are_hard_to_tell_apart_are_there():
    systems = []
    for path in DATA.glob("*/*/systems/*.json"):
        try:
            systems.append(json.loads(path.read_text(encoding="latin-1")))
        except json.JSONDecodeError:
            assert path.stem == "mf-json"
    models = {system["accelerator_model_name"] for system in systems}

    assert len({system["status"] for system in systems}) >= 10
    assert {"onprem", "Available on premise", "cloud", "Cloud"} <= {system["status"] for system in systems}
    assert {
        "",
        "N/A",
        "Intel Gaudi2",
        "Intel(R) Gaudi(R) 2 AI Accelerator",
        "H100 NVL Tensor Core GPU (PCIe)",
    } <= models
    assert all(isinstance(system["accelerators_per_node"], str) for system in systems)


def test_a_whole_round_has_the_size_and_the_logs_asked_for_and_is_the_same_each_time(tmp_path):
    folders = write_round(tmp_path / "one", 6_000_000, 57)
    write_round(tmp_path / "two", 6_000_000, 57)
    logs = sorted((tmp_path / "one").rglob("result_*.txt"))

    assert len(logs) == 57
    assert sum(log.stat().st_size for log in logs) == pytest.approx(6_000_000, rel=0.05)
    assert files_of(tmp_path / "one") == files_of(tmp_path / "two")
    assert sorted({log.parent for log in logs}) == sorted(folders)


def test_a_whole_round_is_sound_to_the_official_tool(tmp_path):
    folders = write_round(tmp_path, 400_000, 43)
    scores = official_scores(tmp_path, "v5.1")

    assert len(scores) == len(folders) == 5
    assert all(score.score is not None and score.rcp == "Pass" for score in scores)
