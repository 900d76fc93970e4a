"""A study against an earlier one: like with like, paired where it is paired, many metrics screened together."""

from __future__ import annotations

import json

import numpy as np
import pandas as pd
import pyarrow.parquet as pq
import pytest
from study_on_disk import FINETUNE, GEMM, LAPTOP

from seatrial.analysis.against.metrics import are_interleaved, with_results
from seatrial.analysis.against.table import COLUMNS, against
from seatrial.analysis.analyse import analyse
from seatrial.analysis.collect import collect
from seatrial.analysis.statistics import benjamini_hochberg, compare_unpaired
from seatrial.cli import main
from seatrial.config.differences import Differences
from seatrial.errors import ConfigError, UnreadableFile
from seatrial.record import measurement

PROVENANCE = {"hosts": ["n1", "n2"], "driver": "nvidia 570.1", "versions": {"torch": "2.12"}}


def gemm_study(make_study, folder, factor=1.0, repeats=8, seed=0, noise=0.01, workload=GEMM, facts=None, **study):
    """Throughputs with `noise`, drawn anew for each study, times `factor`; times in seconds the other way round."""
    made = make_study(folder, name=folder, **study)
    (case,) = made.experiment("gemm", workload, repeats)
    random = np.random.default_rng(seed)
    for repeat in range(repeats):
        speed = factor * np.exp(noise * random.standard_normal())
        found = [
            measurement("gemm.throughput", [10 * speed], {"rank": 0, "dtype": "float32"}),
            measurement("collective.time", [2 / speed], {"size_bytes": 8}),
        ]
        made.record(case, repeat, *found, provenance=PROVENANCE | (facts or {}))
    collect(made.paths)
    return made


def both(make_study, **now):
    """The table of a study against one of eight repeats with other draws."""
    earlier = gemm_study(make_study, "old", seed=1)
    study = gemm_study(make_study, "new", **{"seed": 2, **now})
    against(study.paths, earlier.paths.root)
    return pd.read_csv(study.paths.against), pd.read_csv(study.paths.against_changes)


@pytest.mark.parametrize(
    ("factor", "throughput", "result"),
    [(0.8, 0.8, "worse"), (1.25, 1.25, "better"), (1.0, 1.0, "no_difference_shown")],
)
def test_what_is_better_goes_by_the_metric_s_direction(make_study, factor, throughput, result):
    table, _ = both(make_study, factor=factor)
    assert list(table.columns) == list(COLUMNS)
    rows = table.set_index("metric")
    assert rows["result"].to_dict() == {"gemm.throughput": result, "collective.time": result}
    assert rows.loc["gemm.throughput", "ratio"] == pytest.approx(throughput, rel=0.02)
    assert rows.loc["collective.time", "ratio"] == pytest.approx(1 / throughput, rel=0.02)
    for _, row in rows.iterrows():
        assert row["ratio_low"] < row["ratio"] < row["ratio_high"]
        assert (row["n"], row["earlier_n"]) == (8, 8)
        assert row["value"] / row["earlier_value"] == pytest.approx(row["ratio"], rel=0.02)


def test_equal_seeds_on_equal_nodes_are_pairs_and_anything_else_is_not(make_study):
    table, _ = both(make_study, factor=0.9)
    assert table["paired"].all()
    assert table["interval_method"].str.contains("signed-rank").all()
    elsewhere, _ = both(make_study, factor=0.9, facts={"hosts": ["n3", "n4"]})
    assert not elsewhere["paired"].any()
    assert elsewhere["interval_method"].str.contains("permutation").all()
    assert set(elsewhere["result"]) == {"worse"}


def test_pairs_show_a_drift_that_sets_cannot(make_study):
    """Repeats that differ by 30 % among themselves, each 3 % slower than its partner."""
    drift = np.exp(0.3 * np.random.default_rng(3).standard_normal(8))
    studies = []
    for folder, factor in (("old", 1.0), ("new", 0.97)):
        made = make_study(folder, name=folder)
        (case,) = made.experiment("gemm", GEMM, 8)
        made.gemm(case, [10 * factor * d for d in drift])
        collect(made.paths)
        studies.append(made)
    against(studies[1].paths, studies[0].paths.root)
    row = pd.read_csv(studies[1].paths.against).iloc[0]
    assert (row["paired"], row["result"]) == (True, "worse")
    assert "less than the 5 %" in row["note"]


def test_too_few_repeats_are_inconclusive_however_large_the_difference(make_study):
    earlier = gemm_study(make_study, "old", repeats=3)
    study = gemm_study(make_study, "new", repeats=3, factor=0.5, seed=5)
    against(study.paths, earlier.paths.root)
    table = pd.read_csv(study.paths.against)
    assert set(table["result"]) == {"inconclusive"}
    assert table["note"].str.contains("too few repeats").all()
    assert table["p_value"].isna().all()
    assert (table["ratio_high"] - table["ratio_low"]).min() > 0


def test_two_equal_repeats_a_side_are_not_shown_to_be_equal(make_study):
    studies = []
    for folder in ("old", "new"):
        made = make_study(folder, name=folder)
        (case,) = made.experiment("finetune", FINETUNE, 2)
        made.trained(case, [12.0, 12.0])
        collect(made.paths)
        studies.append(made.paths)
    against(studies[1], studies[0].root)
    table = pd.read_csv(studies[1].against)
    assert set(table["result"]) == {"inconclusive"}
    assert table["ratio_low"].isna().all()


@pytest.mark.parametrize(("screened", "enough"), [(1, "4 and 4 or 6 pairs"), (10, "6 and 6 or 9 pairs")])
def test_how_many_repeats_would_do_counts_all_metrics_that_are_screened(screened, enough):
    """As many do show the one that changed, and one fewer does not."""
    row = {"ratio": 1.0, "ratio_low": None, "ratio_high": None, "direction": "lower", "metric": "train.minutes"}
    row |= {"n": 2, "planned": 2, "earlier_n": 2, "earlier_planned": 2}
    rows = [dict(row) for _ in range(screened)]
    with_results(rows, Differences())
    assert {row["result"] for row in rows} == {"inconclusive"}
    assert f"{enough} can" in rows[0]["note"]
    n = int(enough.split()[0])
    base = [1.0 + 0.001 * i for i in range(n)]
    for count in (n, n - 1):
        p = compare_unpaired(base[:count], [2 * value for value in base[:count]]).p
        shown = p is not None and benjamini_hochberg([p, *[1.0] * (screened - 1)])[0] <= 0.05
        assert shown == (count == n)


def test_what_is_one_of_many_screened_metrics_needs_more(make_study):
    """Twenty metrics without a difference beside one with p just below 0.05: no discovery among so many."""
    studies = []
    for folder, seed in (("old", 11), ("new", 12)):
        made, random = make_study(folder, name=folder), np.random.default_rng(seed)
        (case,) = made.experiment("gemm", GEMM, 4)
        for repeat in range(4):
            found = [
                measurement("collective.time", [np.exp(0.2 * random.standard_normal())], {"size_bytes": s})
                for s in range(20)
            ]
            found.append(measurement("gemm.throughput", [(2.0 if folder == "old" else 1.0) + repeat / 100]))
            made.record(case, repeat, *found, provenance={"hosts": [folder]})
        collect(made.paths)
        studies.append(made)
    against(studies[1].paths, studies[0].paths.root)
    table = pd.read_csv(studies[1].paths.against).set_index("metric")
    row = table.loc["gemm.throughput"]
    assert row["p_value"] < 0.05 < row["q_value"]
    assert row["result"] == "inconclusive"
    assert "not among 21 metrics" in row["note"]


@pytest.mark.parametrize(
    ("words", "difference"),
    [
        ({"workload": GEMM | {"m": 256}}, "workload.m is 256, in the earlier study 128"),
        ({"target": LAPTOP | {"nodes": 2}}, "target.nodes is 2, in the earlier study 1"),
        ({"target": LAPTOP | {"node": {"cpus": 7}}}, "target.node.cpus is 7, in the earlier study null"),
    ],
)
def test_unlike_cases_are_refused_with_the_first_difference_named(make_study, words, difference):
    table, _ = both(make_study, **words)
    assert set(table["result"]) == {"not_compared"}
    assert table.loc[table["case_id"].notna(), "note"].tolist() == [difference]
    assert table.loc[table["case_id"].isna(), "note"].tolist() == ["this study has no such case"]
    assert table["ratio"].isna().all()


def test_another_kind_of_work_is_no_nearest_case(make_study):
    earlier = make_study("old", name="old")
    (case,) = earlier.experiment("finetune", FINETUNE, 1)
    earlier.trained(case, [1.0])
    collect(earlier.paths)
    study = gemm_study(make_study, "new")
    against(study.paths, earlier.paths.root)
    assert "the earlier study has no gemm" in pd.read_csv(study.paths.against)["note"].tolist()


def test_what_only_one_side_measured_is_not_compared(make_study):
    earlier = gemm_study(make_study, "old")
    study = gemm_study(make_study, "new")
    case = study.planned[0]
    for repeat in range(8):
        study.record(case, repeat, measurement("gemm.throughput", [10.0], {"dtype": "float32"}))
    collect(study.paths)
    against(study.paths, earlier.paths.root)
    rows = pd.read_csv(study.paths.against).set_index("metric")
    assert rows.loc["collective.time", ["result", "note"]].tolist() == [
        "not_compared",
        "this study did not measure it",
    ]


def test_a_study_that_lost_repeats_on_the_way_to_quality_is_not_called_better(make_study):
    def trained(folder, minutes, repeats):
        made = make_study(folder, name=folder)
        (case,) = made.experiment("finetune", FINETUNE, repeats)
        made.trained(case, minutes)
        for repeat in range(len(minutes), repeats):
            made.failed(case, repeat, "target_not_reached", "budget spent")
        collect(made.paths)
        return made

    noise = [1.0, 1.01, 0.99, 1.02, 0.98, 1.005]
    earlier = trained("old", noise, 6)
    faster = trained("new", [0.5 * m for m in noise], 8)
    against(faster.paths, earlier.paths.root)
    rows = pd.read_csv(faster.paths.against).set_index("metric")
    assert rows.loc["train.time_to_quality", "result"] == "inconclusive"
    assert "2 of 8 repeats of this study have no value" in rows.loc["train.time_to_quality", "note"]
    against(earlier.paths, faster.paths.root)
    rows = pd.read_csv(earlier.paths.against).set_index("metric")
    assert rows.loc["train.time_to_quality", "result"] == "inconclusive"


def test_changes_of_driver_version_and_settings_are_listed(make_study):
    facts = {"driver": "nvidia 580.2", "versions": {"torch": "2.12", "nccl": "2.28"}}
    target = LAPTOP | {"launcher": {"environment": {"NCCL_ALGO": "Ring"}}}
    table, changes = both(make_study, facts=facts, target=target)
    assert "not_compared" not in set(table["result"])
    found = {row["fact"]: (row["earlier_value"], row["value"]) for _, row in changes.iterrows()}
    assert found["driver"] == ("nvidia 570.1", "nvidia 580.2")
    assert found["versions.nccl"][1] == "2.28"
    assert found["target.launcher.environment.NCCL_ALGO"][1] == "Ring"
    assert "versions.torch" not in found
    assert "hosts" not in found


def test_equal_studies_have_no_changes(make_study):
    _, changes = both(make_study)
    assert changes.empty


def test_the_same_input_gives_the_same_bytes(make_study):
    earlier, study = gemm_study(make_study, "old", seed=1), gemm_study(make_study, "new", seed=2, factor=0.9)
    against(study.paths, earlier.paths.root)
    first = study.paths.against.read_bytes()
    against(study.paths, earlier.paths.root)
    assert study.paths.against.read_bytes() == first


def test_without_an_earlier_study_no_old_comparison_stays_behind(make_study):
    earlier, study = gemm_study(make_study, "old"), gemm_study(make_study, "new")
    analyse(study.paths, earlier.paths.root)
    assert study.paths.against.exists()
    analyse(study.paths)
    assert not study.paths.against.exists()
    assert not study.paths.against_changes.exists()


def spoil(paths, what):
    if what == "no folder":
        return paths.root / "nowhere"
    if what == "not collected":
        paths.measurements.unlink()
    if what == "half a table":
        paths.measurements.write_bytes(paths.measurements.read_bytes()[:200])
    if what == "a column without a name":
        paths.measurements.write_bytes(paths.measurements.read_bytes().replace(b"metric", b"m\xe9tric"))
    if what == "lost rows":
        paths.repeats.write_text("\n".join(paths.repeats.read_text().splitlines()[:4]) + "\n")
    if what == "half a plan":
        paths.study.write_text(paths.study.read_text()[:100])
    if what == "other schema":
        paths.study.write_text(json.dumps(json.loads(paths.study.read_text()) | {"schema_version": 7}))
    if what == "an edited case":
        (file,) = paths.cases.glob("*.json")
        file.write_text(file.read_text().replace('"m": 128', '"m": 129'))
    if what == "nothing completed":
        paths.repeats.write_text(paths.repeats.read_text().replace("completed", "aborted"))
    return paths.root


@pytest.mark.parametrize(
    ("what", "kind", "words"),
    [
        ("no folder", ConfigError, "there is no study in this folder"),
        ("not collected", ConfigError, "nothing was collected"),
        ("half a table", UnreadableFile, "measurements.parquet"),
        ("a column without a name", UnreadableFile, "measurements.parquet"),
        ("lost rows", UnreadableFile, "3 of 8 planned repeats"),
        ("half a plan", UnreadableFile, "study.json: not JSON"),
        ("other schema", UnreadableFile, "schema_version"),
        ("an edited case", UnreadableFile, "was it edited"),
        ("nothing completed", ConfigError, "no repeat of the earlier study completed"),
    ],
)
def test_bad_earlier_studies_are_one_clear_error_and_nothing_is_written(make_study, capsys, what, kind, words):
    earlier, study = gemm_study(make_study, "old"), gemm_study(make_study, "new")
    folder = spoil(earlier.paths, what)
    with pytest.raises(kind, match=words):
        against(study.paths, folder)
    assert main(["analyse", str(study.paths.root), "--against", str(folder)]) == 2
    said = capsys.readouterr().err
    assert words in said
    assert "Traceback" not in said
    assert not study.paths.against.exists()
    assert not study.paths.verdicts.exists()


def test_a_study_is_no_earlier_study_of_itself(make_study):
    study = gemm_study(make_study, "new")
    with pytest.raises(ConfigError, match="itself"):
        against(study.paths, study.paths.root)


def test_a_case_of_an_earlier_version_with_fewer_keys_is_read(make_study):
    """Its id is the hash of the keys that there were; what was added since has its default."""
    from seatrial.analysis.against.earlier import read_case
    from seatrial.case import NOT_IDENTITY, PATIENCE, SCHEDULING, content_hash

    study = gemm_study(make_study, "old")
    (file,) = study.paths.cases.glob("*.json")
    content = json.loads(file.read_text())
    del content["target"]["ablations"], content["target"]["reliability"]
    facts = {k: v for k, v in content["target"].items() if k not in NOT_IDENTITY}
    facts["launcher"] = {k: v for k, v in facts["launcher"].items() if k not in SCHEDULING}
    facts["node"] = {"cpus": facts["node"]["cpus"]}
    workload = {k: v for k, v in content["workload"].items() if k not in PATIENCE}
    named = {"experiment": "gemm", "workload": workload, "target": facts, "base_seed": content["base_seed"]}
    content["case_id"] = content_hash(named)
    file.write_text(json.dumps(content))
    assert read_case(file).case_id == content["case_id"]


def test_the_command_says_what_came_of_it(make_study, capsys):
    earlier, study = gemm_study(make_study, "old", seed=1), gemm_study(make_study, "new", seed=2, factor=0.8)
    assert main(["analyse", str(study.paths.root), "--against", str(earlier.paths.root)]) == 0
    assert "against old" in (said := capsys.readouterr().out)
    assert "2 worse; 0 facts" in said


def test_the_page_shows_what_changed_and_what_was_not_compared(make_study):
    from seatrial.report.page import report

    earlier = gemm_study(make_study, "old", seed=1)
    study = gemm_study(make_study, "new", seed=2, factor=0.8, facts={"driver": "<b>580</b>"})
    study.experiment("other", GEMM | {"m": 64}, 1)
    collect(study.paths)
    analyse(study.paths, earlier.paths.root)
    report(study.paths)
    page = study.paths.report.read_text()
    assert "Against an earlier study" in page
    assert "Against old: 2 worse, 1 not compared." in page
    assert "workload.m is 64, in the earlier study 128" in page
    assert "&lt;b&gt;580&lt;/b&gt;" in page
    assert "<b>580" not in page
    analyse(study.paths)
    report(study.paths)
    assert "Against an earlier study" not in study.paths.report.read_text()


@pytest.mark.parametrize(
    ("now", "earlier", "expected"),
    [
        ("1357", "2468", True),
        ("1458", "2367", True),
        ("5678", "1234", False),
        ("1", "2", False),
        ("", "12", None),
    ],
)
def test_repeats_in_turn_are_told_from_one_study_after_the_other(now, earlier, expected):
    assert are_interleaved(list(now), list(earlier)) is expected


def test_a_metric_whose_unit_changed_or_that_is_not_known_any_more_is_not_compared(make_study):
    earlier, study = gemm_study(make_study, "old", seed=1), gemm_study(make_study, "new", seed=2)
    table = pq.read_table(earlier.paths.measurements)
    for column, was, now in (("unit", "TFLOP/s", "GFLOP/s"), ("metric", "collective.time", "collective.duration")):
        place = table.column_names.index(column)
        values = [now if value == was else value for value in table[column].to_pylist()]
        table = table.set_column(place, table.schema.field(column), [values])
    pq.write_table(table, earlier.paths.measurements)
    against(study.paths, earlier.paths.root)
    rows = pd.read_csv(study.paths.against).set_index("metric")
    assert set(rows["result"]) == {"not_compared"}
    assert "its unit was GFLOP/s" in rows.loc["gemm.throughput", "note"]
    assert "does not know" in rows.loc["collective.duration", "note"]
    assert rows.loc["collective.time", "note"] == "the earlier study did not measure it"
