"""One name for what the rounds spell differently."""

from __future__ import annotations

from itertools import combinations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from seatrial.reference.names import benchmark_named, canonical_benchmark, canonical_submitter, participants
from seatrial.reference.published import load_published

TABLE = load_published()
SUBMITTERS = sorted(set(TABLE["submitter"]))
BENCHMARKS = sorted(set(TABLE["benchmark"]))


def test_which_published_submitters_are_one() -> None:
    same = {
        frozenset(pair)
        for pair in combinations(SUBMITTERS, 2)
        if canonical_submitter(pair[0]) == canonical_submitter(pair[1])
    }
    assert same == {
        frozenset({"QCT", "Quanta_Cloud_Technology"}),
        frozenset({"RedHat-Supermicro", "Supermicro-RedHat"}),
    }


def test_every_published_submitter_is_known_by_a_published_name() -> None:
    assert {canonical_submitter(name) for name in SUBMITTERS} <= set(SUBMITTERS)


@pytest.mark.parametrize(
    ("spelling", "submitter"),
    [
        # folders, where they are not called as the submitter is
        ("krai", "Krai"),
        ("Clemson", "Clemson University Research Computing and Data"),
        ("smc", "Sustainable Metal Cloud"),
        ("smc-ac-power", "Sustainable Metal Cloud"),
        ("smc-dc-power", "Sustainable Metal Cloud"),
        ("Netweb_Technologies_India_LTD", "Netweb Technologies India LTD"),
        ("IBM+CoreWeave+NVIDIA", "CoreWeave + IBM + NVIDIA"),
        ("NVIDIA_CoreWeave", "NVIDIA+CoreWeave"),
        ("GIGABYTE", "GigaComputing"),
        ("Datacrunch", "Verda"),
        ("Google_1", "Google"),
        # other names of the same organisation
        ("Quanta Cloud Technology", "Quanta_Cloud_Technology"),
        ("qct", "Quanta_Cloud_Technology"),
        ("Sustainable_Metal_Cloud", "Sustainable Metal Cloud"),
        ("ASUS", "ASUSTeK"),
        ("Giga Computing", "GigaComputing"),
        ("Lambda Labs", "Lambda"),
        ("Hewlett Packard Enterprise", "HPE"),
        ("Hewlett-Packard-Enterprise", "HPE"),
        ("Super Micro", "Supermicro"),
        ("Super Micro Computer", "Supermicro"),
        ("Cisco Systems", "Cisco"),
        ("Oracle Cloud Infrastructure", "Oracle"),
        ("DellTechnologies", "Dell"),
        ("Juniper Networks", "JuniperNetworks"),
        ("MangoBoost-Supermicro", "Supermicro_MangoBoost"),
        ("University of Florida", "University-of-Florida"),
    ],
)
def test_spellings_of_one_organisation(spelling: str, submitter: str) -> None:
    assert canonical_submitter(spelling) == submitter


@given(name=st.sampled_from(SUBMITTERS), data=st.data())
def test_case_blanks_hyphens_and_underscores_do_not_make_another_submitter(name: str, data: st.DataObject) -> None:
    sign = data.draw(st.sampled_from(["", " ", "-", "_", "  "]), label="sign")
    case = data.draw(st.sampled_from([str.upper, str.lower, str.swapcase, str]), label="case")
    other = case(sign.join(name.replace("-", " ").replace("_", " ").split()))
    assert canonical_submitter(other) == canonical_submitter(name)
    assert participants(other) == participants(name)


@given(name=st.text())
def test_a_canonical_name_is_its_own(name: str) -> None:
    once = canonical_submitter(name)
    assert canonical_submitter(once) == once
    assert once in participants(name)


def test_a_newcomer_is_one_submitter_in_every_spelling_and_none_of_the_known() -> None:
    assert canonical_submitter("New Cloud_Company") == canonical_submitter("new-cloud company")
    assert canonical_submitter("New Cloud Company") not in map(canonical_submitter, SUBMITTERS)
    assert canonical_submitter("Lambdas") != canonical_submitter("Lambda")
    assert canonical_submitter("Intel") != canonical_submitter("Intel-HabanaLabs")


def test_who_takes_part_in_a_joint_submission() -> None:
    assert participants("IBM + NVIDIA + CoreWeave") >= {"IBM", "NVIDIA", "CoreWeave"}
    assert participants("RedHat-Supermicro") == {"Supermicro-RedHat", "Supermicro", "RedHat"}
    assert participants("Oracle+Newcomer Ltd") >= {"Oracle", canonical_submitter("Newcomer Ltd")}
    assert participants("Newcomer Ltd+Oracle") == participants("Oracle + Newcomer-Ltd")
    assert participants("Intel-HabanaLabs") & participants("Intel") == {"Intel"}
    assert participants("Dell") == {"Dell"}


@pytest.mark.parametrize(
    ("name", "newest"),
    [("gnn", "rgat"), ("ssd", "retinanet"), ("mask", "maskrcnn"), ("dlrm", "dlrm"), ("bert", "bert")],
)
def test_the_newest_name_of_a_benchmark(name: str, newest: str) -> None:
    assert canonical_benchmark(name) == newest


@pytest.mark.parametrize(
    ("text", "benchmark"),
    [
        ("llama2-70b-lora", "llama2_70b_lora"),
        ("Llama 2 70B LoRA", "llama2_70b_lora"),
        ("Llama-3.1-405B", "llama31_405b"),
        ("llama3.1 8b", "llama31_8b"),
        ("stable diffusion", "stable_diffusion"),
        ("FLUX.1", "flux1"),
        ("flux", "flux1"),
        ("R-GAT", "rgat"),
        ("RetinaNet", "retinanet"),
        ("ssd", "ssd"),
        ("3D-UNet", "unet3d"),
        ("3D U-Net", "unet3d"),
        ("Mask R-CNN", "maskrcnn"),
        ("mask", "maskrcnn"),
        ("RNN-T", "rnnt"),
        ("ResNet-50", "resnet"),
        ("GPT-OSS", "gpt_oss_20b"),
        ("DeepSeek-V3", "deepseekv3_671b"),
        ("dlrm", "dlrm_dcnv2"),
        ("DLRM-DCNv2", "dlrm_dcnv2"),
        ("llama31", None),  # two
        ("llama", None),
        ("graph", None),
        ("", None),
    ],
)
def test_what_users_call_a_benchmark(text: str, benchmark: str | None) -> None:
    assert benchmark_named(text, BENCHMARKS) == benchmark


def test_an_old_name_finds_the_new_one_and_the_other_way_round() -> None:
    assert benchmark_named("GNN", ["rgat", "bert"]) == "rgat"
    assert benchmark_named("ssd", ["retinanet"]) == "retinanet"
    assert benchmark_named("RetinaNet", ["ssd"]) == "ssd"
    assert benchmark_named("r-gat", ["gnn"]) == "gnn"


def test_dlrm_is_what_the_rounds_at_hand_call_so() -> None:
    assert benchmark_named("DLRM", ["dlrm", "dlrm_dcnv2"]) == "dlrm"
    assert benchmark_named("dlrm", ["dlrmv4", "flux1"]) == "dlrmv4"
    assert benchmark_named("dlrm", ["dlrmv4", "dlrm_dcnv2"]) is None


@pytest.mark.parametrize("name", BENCHMARKS)
def test_every_published_name_is_itself(name: str) -> None:
    assert benchmark_named(name, BENCHMARKS) == name
