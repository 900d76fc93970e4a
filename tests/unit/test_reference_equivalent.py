"""The like-for-like reference: when there is one, what it rests on, and what is said where there is none."""

from __future__ import annotations

from statistics import median

import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from seatrial.errors import ConfigError
from seatrial.reference.equivalent import Reference, find_reference, subject_results
from seatrial.reference.names import canonical_benchmark, canonical_submitter, participants
from seatrial.reference.published import as_results, load_published
from seatrial.reference.selection import twins_once

TABLE = load_published()
HIPERGATOR = "HiPerGator NVIDIA DGX B200 (8x B200-SXM-180GB)"


@pytest.mark.parametrize(
    ("round_", "benchmark", "family", "accelerators", "minutes", "n", "submitters"),
    [
        ("v5.1", "llama2_70b_lora", "B200", 8, 9.81, 11, 6),
        ("v5.1", "llama2_70b_lora", "B300", 8, 9.50, 5, 4),
        ("v5.1", "llama2_70b_lora", "MI355X", 8, 10.26, 4, 4),
        ("v5.1", "llama2_70b_lora", "MI325X", 8, 21.32, 7, 7),
        ("v5.1", "llama2_70b_lora", "H200-SXM", 8, 23.50, 4, 3),
        ("v5.1", "llama2_70b_lora", "MI300X", 8, 28.51, 4, 3),
        ("v5.1", "llama2_70b_lora", "GB300", 72, 1.261, 3, 3),
        ("v5.1", "llama2_70b_lora", "B200", 16, 6.296, 3, 3),
        ("v5.1", "llama31_8b", "B200", 8, 85.25, 8, 6),
        ("v5.1", "llama31_8b", "B200", 16, 60.19, 4, 3),
        ("v5.1", "llama31_8b", "B200", 64, 18.26, 3, 3),
        ("v5.1", "llama31_8b", "MI355X", 8, 104.6, 4, 4),
        ("v5.1", "llama31_8b", "B300", 8, 85.8, 4, 4),
        ("v5.0", "llama2_70b_lora", "B200", 8, 11.32, 11, 7),
        ("v6.0", "llama2_70b_lora", "B200", 8, 7.865, 3, 3),
        ("v6.0", "llama2_70b_lora", "B300", 8, 6.765, 4, 4),
        ("v6.0", "llama2_70b_lora", "GB300", 8, 5.716, 3, 3),
        ("v6.0", "llama2_70b_lora", "MI355X", 8, 8.585, 7, 6),
        ("v6.0", "gpt_oss_20b", "B200", 8, 97.84, 3, 3),
        ("v6.0", "gpt_oss_20b", "B300", 8, 85.13, 3, 3),
        ("v6.0", "gpt_oss_20b", "GB300", 8, 74.61, 3, 3),
        ("v6.0", "llama31_8b", "B300", 8, 75.81, 3, 3),
        ("v6.0", "llama31_8b", "MI355X", 8, 91.25, 7, 7),
    ],
)
def test_medians_of_published_results(
    round_: str, benchmark: str, family: str, accelerators: int, minutes: float, n: int, submitters: int
) -> None:
    found = find_reference(benchmark, round_, family, accelerators, table=TABLE)
    assert found.basis == "exact"
    assert found.minutes == pytest.approx(minutes, rel=1e-3)
    assert (found.n, found.submitters) == (n, submitters)
    assert found.quartiles is not None and found.quartiles[0] <= found.minutes <= found.quartiles[1]
    assert found.note.startswith(f"median of {n} results by {submitters} submitters")
    assert found.partial == (round_ == "v6.0") == ("only a part of round v6.0" in found.note)


@pytest.mark.parametrize(
    ("round_", "groups"), [("v3.1", 17), ("v4.0", 14), ("v4.1", 13), ("v5.0", 16), ("v5.1", 17)]
)
def test_how_many_groups_of_a_round_have_a_reference(round_: str, groups: int) -> None:
    closed = TABLE[(TABLE["round"] == round_) & (TABLE["division"] == "closed")]
    keys = set(zip(closed["benchmark"], closed["accelerator_family"], closed["accelerators"], strict=True))
    found = [find_reference(b, round_, f, int(n), table=TABLE) for b, f, n in keys]
    assert sum(r.basis == "exact" for r in found) == groups


@pytest.mark.parametrize(("round_", "with_reference", "of"), [("v5.1", 71, 184), ("v5.0", 92, 201)])
def test_how_many_results_can_be_compared_with_other_submitters(round_: str, with_reference: int, of: int) -> None:
    rows = as_results(TABLE[(TABLE["round"] == round_) & (TABLE["division"] == "closed")])
    found = [against_others(r.benchmark, r.round, r.accelerator_family, r.accelerators, r.submitter) for r in rows]
    assert (sum(r.basis == "exact" for r in found), len(found)) == (with_reference, of)


@pytest.mark.parametrize(("round_", "without_equals", "with_some"), [("v5.1", 3, 18), ("v5.0", 9, 18)])
def test_how_many_results_can_only_be_held_against_an_interpolation(
    round_: str, without_equals: int, with_some: int
) -> None:
    """`without_equals`: nobody else published at the count; `with_some`: others did, but too few for a median."""
    rows = as_results(TABLE[(TABLE["round"] == round_) & (TABLE["division"] == "closed")])
    found = [against_others(r.benchmark, r.round, r.accelerator_family, r.accelerators, r.submitter) for r in rows]
    between = [r for r in found if r.basis == "interpolated"]
    assert sum(not r.nearest for r in between) == without_equals
    assert sum(bool(r.nearest) for r in between) == with_some


def against_others(benchmark: str, round_: str, family: str, accelerators: int, submitter: str) -> Reference:
    return find_reference(benchmark, round_, family, accelerators, exclude_submitter=submitter, table=TABLE)


def test_one_system_listed_three_times_counts_once() -> None:
    rows = TABLE[(TABLE["round"] == "v4.0") & (TABLE["submitter"] == "Sustainable Metal Cloud")]
    once = twins_once(as_results(rows))
    assert len(rows) == 37 and len(once) == 13
    assert all(": smc/" in r.source for r in once)
    subjects = [
        r for name in rows["system_id"].unique() for r in subject_results("v4.0", "Sustainable Metal Cloud", name)
    ]
    assert sorted(subjects, key=lambda r: r.source) == sorted(once, key=lambda r: r.source)
    lora = find_reference("llama2_70b_lora", "v4.0", "H100-SXM", 8, table=TABLE)
    assert sum(r.submitter == "Sustainable Metal Cloud" for r in lora.results) == 1


def test_two_systems_of_one_submitter_with_equal_figures_are_remarked_on() -> None:
    found = find_reference("rgat", "v5.1", "B200", 8, table=TABLE)
    assert found.n == 11 and "2 of Dell are equal to the last digit" in found.note


def test_renamed_benchmarks_are_one_and_aliases_are_one_submitter() -> None:
    by_old = find_reference("ssd", "v5.1", "B200", 8, table=TABLE)
    by_new = find_reference("retinanet", "v5.1", "B200", 8, table=TABLE)
    assert by_old.basis == "exact" and by_old.results == by_new.results
    assert find_reference("rgat", "v4.1", "H100-SXM", 8, table=TABLE).n > 0
    assert canonical_submitter("QCT") == "Quanta_Cloud_Technology"
    assert subject_results("v5.0", "QCT", "D74H-7U", table=TABLE) == subject_results(
        "v5.0", "Quanta_Cloud_Technology", "D74H-7U", table=TABLE
    )
    without = find_reference(
        "llama2_70b_lora", "v5.0", "H200-SXM", 8, exclude_submitter="Quanta_Cloud_Technology", table=TABLE
    )
    assert "QCT" not in {r.submitter for r in without.results}


def test_a_joint_submission_is_none_of_the_others() -> None:
    everyone = find_reference("llama2_70b_lora", "v5.1", "MI325X", 8, table=TABLE)
    assert {"MangoBoost", "Supermicro", "Supermicro_MangoBoost"} <= {r.submitter for r in everyone.results}
    others = against_others("llama2_70b_lora", "v5.1", "MI325X", 8, "Supermicro")
    assert {r.submitter for r in others.results}.isdisjoint({"Supermicro", "Supermicro_MangoBoost"})
    assert "MangoBoost" in {r.submitter for r in others.results}


def test_a_rounded_claim_is_never_part_of_a_median() -> None:
    claim = TABLE[(TABLE["confidence"] == "rounded") & (TABLE["accelerators"] == 8)].iloc[0]
    found = find_reference(claim["benchmark"], "v6.0", claim["accelerator_family"], 8, table=TABLE)
    assert all(r.confidence != "rounded" for r in (*found.results, *found.nearest))


def undefined(*arguments: object, **more: object) -> str:
    found = find_reference(*arguments, **more, table=TABLE)  # type: ignore[arg-type]
    assert found.basis == "undefined" and found.minutes is None and found.quartiles is None
    assert found.note.startswith("undefined: ")
    return found.note


def test_what_has_no_equivalent_is_undefined_in_words() -> None:
    few = undefined("flux1", "v5.1", "B200", 16)
    assert "2 results by 2 submitters at exactly 16 x B200; 3 by 3 are needed" in few
    assert "no interpolation without a count on both sides within a factor of 4: none below" in few
    far = undefined("llama2_70b_lora", "v5.1", "GB300", 100)
    assert "no results at exactly 100 x GB300" in far and "the nearest above is 512" in far
    assert "llama31_8b has no results in round v5.0; it has in v5.1, v6.0" in undefined(
        "llama31_8b", "v5.0", "B200", 8
    )
    assert "no result of family Gaudi2 on flux1 in round v5.1" in undefined("flux1", "v5.1", "Gaudi2", 8)
    assert "did you mean 'B200'" in undefined("flux1", "v5.1", "B20", 8)
    assert "no family" in undefined("flux1", "v5.1", None, 8)
    assert "without accelerators" in undefined("bert", "v3.1", "none(CPU-only)", 0)


def test_without_any_of_the_family_other_forms_of_the_chip_come_first_and_are_no_reference() -> None:
    found = find_reference("bert", "v5.0", "H200-NVL", 8, table=TABLE)
    assert (found.basis, found.n, found.nearest) == ("undefined", 0, ())
    others = found.of_other_families
    assert len(others) == 3
    for r in others:
        assert (r.round, r.benchmark, r.accelerator_family, r.accelerators) == ("v5.0", "bert", "H200-SXM", 8)
    assert "; nearest of another family, not comparable: " in found.note
    assert find_reference("llama2_70b_lora", "v5.1", "B200", 256, table=TABLE).of_other_families == ()
    assert find_reference("llama31_8b", "v5.0", "B200", 8, table=TABLE).of_other_families == ()
    assert find_reference("bert", "v3.1", "none(CPU-only)", 0, table=TABLE).of_other_families == ()


def test_three_results_by_two_submitters_are_not_enough() -> None:
    found = against_others("llama31_8b", "v5.1", "B200", 16, "University-of-Florida")
    assert found.basis == "interpolated"
    assert "3 results by 2 other submitters at exactly 16 x B200" in found.note
    assert len(found.nearest) == 3 and {r.accelerators for r in found.nearest} == {16}
    assert not set(found.nearest) & set(found.results)


def test_an_undefined_reference_names_the_nearest_entries() -> None:
    found = find_reference("llama2_70b_lora", "v5.1", "B200", 256, table=TABLE)
    assert found.basis == "undefined"
    assert [r.accelerators for r in found.nearest] == [128, 64, 32]
    assert found.nearest[0].submitter in found.note and found.nearest[0].system in found.note
    assert all(r.accelerator_family == "B200" and r.round == "v5.1" for r in found.nearest)


@pytest.mark.parametrize(
    ("key", "arguments", "more", "nearest"),
    [
        ("round", ("flux1", "v5.11", "B200", 8), {}, "v5.1"),
        ("benchmark", ("llama2_70b_loar", "v5.1", "B200", 8), {}, "llama2_70b_lora"),
        ("division", ("flux1", "v5.1", "B200", 8), {"division": "close"}, "closed"),
    ],
)
def test_a_name_that_is_not_in_the_table_is_refused(
    key: str, arguments: tuple[str, str, str, int], more: dict[str, str], nearest: str
) -> None:
    with pytest.raises(ConfigError) as caught:
        find_reference(*arguments, **more, table=TABLE)  # type: ignore[arg-type]
    assert caught.value.key == key and caught.value.nearest == nearest and caught.value.allowed


def test_a_published_system_is_found_by_description_and_by_id() -> None:
    everything = subject_results("v5.1", "University-of-Florida", HIPERGATOR)
    assert len(everything) == 26
    one_node = subject_results("v5.1", "University-of-Florida", "hpg.dgxb200x8.n1")
    assert {r.accelerators for r in one_node} == {8} and set(one_node) < set(everything)
    assert [r.benchmark for r in one_node] == ["dlrm_dcnv2", "llama2_70b_lora", "llama31_8b", "retinanet", "rgat"]


def test_benchmarks_of_a_published_system_can_be_chosen_by_either_name() -> None:
    chosen = subject_results("v5.1", "University-of-Florida", "hpg.dgxb200x8.n1", ["ssd", "rgat"])
    assert [r.benchmark for r in chosen] == ["retinanet", "rgat"]
    assert subject_results("v5.1", "University-of-Florida", "hpg.dgxb200x8.n1", []) == []


@pytest.mark.parametrize(
    ("arguments", "key", "nearest"),
    [
        (("v5.2", "Dell", "x"), "round", "v5.1"),
        (("v5.1", "Del", "x"), "submitter", "Dell"),
        (("v5.1", "Dell", "1xXE9680Lx8B200"), "system", "1xXE9680Lx8B200-SXM-180GB"),
        (("v5.1", "Dell", "1xXE9680Lx8B200-SXM-180GB", ["lama31_8b"]), "benchmarks", "llama31_8b"),
    ],
)
def test_a_subject_that_is_not_published_is_refused(
    arguments: tuple[str, str, str], key: str, nearest: str
) -> None:
    with pytest.raises(ConfigError) as caught:
        subject_results(*arguments)
    assert caught.value.key == f"references.subjects.{key}"
    assert caught.value.nearest == nearest and caught.value.value in str(caught.value)


GROUPS = sorted(
    set(
        zip(
            TABLE["round"],
            TABLE["division"],
            TABLE["benchmark"],
            TABLE["accelerator_family"],
            TABLE["accelerators"].astype(int),
            strict=True,
        )
    )
)


@settings(max_examples=60, deadline=None)
@given(group=st.sampled_from(GROUPS), order=st.randoms(use_true_random=False), data=st.data())
def test_a_reference_is_like_for_like_whatever_the_order_of_rows(group, order, data) -> None:  # type: ignore[no-untyped-def]
    round_, division, benchmark, family, accelerators = group
    submitters = sorted(set(TABLE.loc[TABLE["round"] == round_, "submitter"]))
    excluded = data.draw(st.none() | st.sampled_from(submitters))
    shuffled = TABLE.sample(frac=1, random_state=order.randrange(2**32))
    arguments = (benchmark, round_, family, accelerators)
    found = find_reference(*arguments, exclude_submitter=excluded, division=division, table=TABLE)
    assert found == find_reference(*arguments, exclude_submitter=excluded, division=division, table=shuffled)
    for r in found.results:
        assert (r.round, r.division, r.accelerator_family) == (round_, division, family)
        assert found.basis == "interpolated" or r.accelerators == accelerators
        assert canonical_benchmark(r.benchmark) == canonical_benchmark(benchmark)
        assert r.confidence != "rounded"
        if excluded is not None:
            assert participants(r.submitter).isdisjoint(participants(excluded))
    for r in found.nearest:
        assert (r.round, r.division, r.accelerator_family) == (round_, division, family)
    at_count = found.nearest if found.basis == "interpolated" else found.results
    enough = len(at_count) >= 3 and len({canonical_submitter(r.submitter) for r in at_count}) >= 3
    assert (found.basis == "exact") == (enough and accelerators > 0)
    if found.basis == "exact":
        assert found.minutes == median(r.minutes for r in found.results)
    assert (found.minutes is None) == (found.basis == "undefined")


@settings(max_examples=60, deadline=None)
@given(
    rows=st.lists(
        st.tuples(
            st.sampled_from(["v5.0", "v5.1"]),
            st.sampled_from(["closed", "open"]),
            st.sampled_from(["A", "B", "C", "D"]),
            st.sampled_from(["B200", "GB200"]),
            st.sampled_from([8, 16]),
            st.sampled_from(["ssd", "retinanet", "rgat"]),
            st.floats(1, 1e4),
            st.sampled_from(["official", "rounded", "unverified"]),
        ),
        min_size=1,
        max_size=40,
    )
)
def test_a_median_never_mixes_unlike_results(rows: list[tuple[object, ...]]) -> None:
    columns = [
        "round",
        "division",
        "submitter",
        "accelerator_family",
        "accelerators",
        "benchmark",
        "minutes",
        "confidence",
    ]
    made = pd.DataFrame(rows, columns=columns)
    made["system"] = [f"s{i}" for i in range(len(made))]
    made["source"] = made["system"]
    table = made.reindex(columns=TABLE.columns)
    like = [
        row
        for row in rows
        if row[:2] == ("v5.1", "closed") and row[3:5] == ("B200", 8) and row[5] != "rgat" and row[7] == "official"
    ]
    anchor = pd.DataFrame([("v5.1", "closed", "E", "GB300", 8, "retinanet", 1.0, "official")], columns=columns)
    table = pd.concat([table, anchor.assign(system="s", source="s").reindex(columns=TABLE.columns)])
    found = find_reference("retinanet", "v5.1", "B200", 8, table=table)
    assert sorted(r.minutes for r in found.results) == sorted(row[6] for row in like)
    enough = len(like) >= 3 and len({row[2] for row in like}) >= 3  # 8 is the least count: nothing to interpolate
    assert found.minutes == (median(row[6] for row in like) if enough else None)
