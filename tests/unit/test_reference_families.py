"""The family and the availability that a system description's free text means."""

from __future__ import annotations

import re

import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st

from seatrial.reference import families
from seatrial.reference.families import accelerator_family, availability
from seatrial.reference.published import as_results, load_published

PUBLISHED = as_results(load_published())
STATED = sorted(
    {
        (r.accelerator_model, r.accelerator_family)
        for r in PUBLISHED
        if r.accelerator_model and r.accelerators and not r.accelerator_model.endswith("80GB HBM3")
    }
)
"""Every pair of model and family that is published, without the one whose memory is what tells the form."""
RULES = yaml.safe_load(families.RULES.read_text(encoding="utf-8"))
GIVEN = [
    re.escape(family).replace(r"\\1", r"\d+")
    for rule in RULES["rules"]
    for family in (rule.get("family"), *rule.get("forms", {}).values(), RULES["no_accelerator"]["family"])
    if family
]
"""Patterns of every family that the rules can give; a number may be taken from the text."""


def test_every_published_row_gets_the_family_that_the_table_gives_it() -> None:
    got = [(r, accelerator_family(r.accelerator_model, r.accelerators, r.system)) for r in PUBLISHED]
    assert len(got) == 1016
    assert [(r.source, family) for r, family in got if family != r.accelerator_family] == []


def test_no_published_row_needs_the_name_of_its_system() -> None:
    assert all(accelerator_family(r.accelerator_model, r.accelerators) == r.accelerator_family for r in PUBLISHED)


@pytest.mark.parametrize(
    ("model", "family"),
    [
        ("NVIDIA Hopper GPU (GH200)", "GH200"),  # v6.0 Krai
        ("NVIDIA RTX PRO 6000 Blackwell Server Edition", "RTX-PRO-6000"),  # v6.0 TTA
        ("NVIDIA H100-PCIe", "H100-PCIe"),  # v3.0 Lenovo
        ("NVIDIA A100-PCIE-80GB", "A100-PCIe"),  # v2.1 Azure
        ("NVIDIA A40", "A40"),  # v3.0 IEI
        ("TPU-v4", "TPU-v4"),  # v2.0 Google
        ("NVIDIA H100 NVL", "H100-NVL"),
        ("NVIDIA H100 PCIe", "H100-PCIe"),
        ("H100SXM5", "H100-SXM"),
        ("8x H100-SXM5-80GB", "H100-SXM"),
        ("8xH200-SXM-141GB", "H200-SXM"),
        ("NVIDIA H100-SXM5-80GB, PCIe Gen5 x16", "H100-SXM"),
        ("A100-PCIE-40GB", "A100-PCIe"),
        ("GB200NVL72", "GB200"),
        ("NVIDIA GB200 NVL4", "GB200-NVL4"),
        ("NVIDIA GB300 NVL72", "GB300"),
        ("NVIDIA B100", "B100"),
        ("NVIDIA H20-3e 141GB HBM3e", "H20-3e"),
        ("NVIDIA H20", "H20"),
        ("NVIDIA H800 PCIe", "H800-PCIe"),
        ("NVIDIA A800-SXM4-80GB", "A800-SXM"),
        ("AMD Instinct MI300A", "MI300A"),
        ("AMD Instinct MI308X OAM", "MI308X"),
        ("Intel Gaudi 3 PCIe", "Gaudi3-PCIe"),
        ("Intel(R) Gaudi(R)3", "Gaudi3"),
        ("AWS Trainium2", "Trainium2"),
        ("trn1.32xlarge", "Trainium1"),
        ("TPU7x", "TPU-v7-Ironwood"),
        ("Ironwood", "TPU-v7-Ironwood"),
        ("TPU v6e (Trillium)", "TPU-v6e-Trillium"),
        ("NVIDIA Rubin GPU (VR200)", "VR200"),
        ("NVIDIA Vera Rubin NVL144", "VR200"),
        ("NVIDIA GeForce RTX 5090 32GB", "RTX5090"),
        ("NVIDIA RTX 6000 Ada Generation", "RTX-6000-Ada"),
    ],
)
def test_forms_that_the_shipped_table_does_not_have(model: str, family: str) -> None:
    assert accelerator_family(model, 8) == family


@pytest.mark.parametrize(
    "model",
    [
        "NVIDIA H100",  # SXM, PCIe or NVL?
        "NVIDIA H100 80GB",
        "NVIDIA H200 141GB HBM3e",
        "NVIDIA A100 80GB",
        "NVIDIA H100, PCIe Gen5 x16",  # the host's bus
        "NVIDIA H100-SXM5 and H100 NVL",
        "H100-SXM5 (PCIe)",
        "NVIDIA H200-PCIe",  # there is none
        "NVIDIA B200 PCIe",
        "NVIDIA GB200 / B200",  # two accelerators
        "AMD Instinct MI300X and MI325X",
        "AMD Instinct MI350 Series",
        "XGB200",
        "B2000",
        "NVIDIA RTX PRO 6000",  # three editions
        "NVIDIA GeForce RTX 4090 Laptop GPU",
        "NVIDIA GeForce RTX 4090 D",
        "NVIDIA GeForce RTX 4090 and RTX 5090",
        "NVIDIA H100 CNX",
        "NVIDIA Rubin Ultra",
        "AWS Trainium",
        "TPU v5",
        "Some Accelerator 9000",
        "",
        "N/A",
        None,
    ],
)
def test_what_is_not_stated_is_unknown_and_never_guessed(model: str | None) -> None:
    assert accelerator_family(model, 8) is None


@pytest.mark.parametrize(
    ("system_name", "family"),
    [
        ("Eos-dfw (64x NVIDIA HGX H100)", "H100-SXM"),
        ("coreweave_hgxh100_n448_ngc23.04_mxnet", "H100-SXM"),
        ("DGX H100", "H100-SXM"),
        ("PRIMERGY_CDI_H100_NVL_94GBx16", "H100-NVL"),
        ("ESC8000A-E12-8xH100-PCIE-80GB", "H100-PCIe"),
        ("16xR750x2xH100-PCIe-80GB", "H100-PCIe"),
        ("ND_H100_v5", None),
        ("XE9680 with PCIe Gen5 x16", None),
        ("1xXE9680x8H200-SXM-141GB", None),  # another accelerator's form
        ("GB200 NVL72", None),
    ],
)
def test_a_form_that_the_model_does_not_state_is_taken_from_the_name_of_the_system(
    system_name: str, family: str | None
) -> None:
    assert accelerator_family("NVIDIA H100 80GB", 8, system_name) == family


def test_the_model_goes_before_the_name_of_the_system() -> None:
    assert accelerator_family("NVIDIA H100-PCIe-80GB", 8, "8x H100 SXM") == "H100-PCIe"
    assert accelerator_family("", 8, "1xXE9680x8H100-SXM-80GB") is None
    assert accelerator_family("accelerator", 8, "1xXE9680x8H100-SXM-80GB") is None


@pytest.mark.parametrize("model", ["N/A", "n/a", "", "-", "None", "CPU only", None])
def test_a_machine_without_accelerators_has_a_family_of_its_own(model: str | None) -> None:
    assert accelerator_family(model, 0, "16-nodes-SPR-pytorch") == "none(CPU-only)"


def test_no_accelerators_of_a_named_model_is_a_contradiction() -> None:
    assert accelerator_family("NVIDIA H100-SXM5-80GB", 0) is None


@given(pair=st.sampled_from(STATED), data=st.data())
def test_case_blanks_marks_and_memory_do_not_change_the_family(pair: tuple[str, str], data: st.DataObject) -> None:
    model, family = pair
    blank = data.draw(st.sampled_from([" ", "  ", "\t", "\u00a0", "_", " - "]), label="blank")
    mark = data.draw(st.sampled_from(["", "(R)", "(TM)", "(r)", "®", "™"]), label="mark")
    memory = data.draw(
        st.sampled_from(["", " 80GB", " 192 GB", "-288GB HBM3e", " (141GB HBM3E)", " 81559 MiB", " 24G"]),
        label="memory",
    )
    first, *rest = re.split(r"[ -]", model + memory)
    text = blank + blank.join([first + mark, *rest]) + blank
    case = data.draw(st.sampled_from([str.upper, str.lower, str.swapcase, str.title, str]), label="case")
    assert accelerator_family(case(text), 8) == family


@given(
    model=st.text()
    | st.lists(st.sampled_from(["h100", "b200", "gb200", "sxm", "nvl", "pcie", "mi300x", "rtx", "4090", "x8"])).map(
        "-".join
    ),
    system=st.text(),
    accelerators=st.integers(0, 10_000),
)
def test_any_text_has_a_family_of_the_rules_or_none(model: str, system: str, accelerators: int) -> None:
    family = accelerator_family(model, accelerators, system)
    assert family is None or any(re.fullmatch(pattern, family) for pattern in GIVEN)
    assert (family == "none(CPU-only)") <= (accelerators == 0)


@given(before=st.sampled_from("abcdfijkoqwz0123456789"), pair=st.sampled_from(STATED))
def test_a_name_inside_another_word_is_not_that_name(before: str, pair: tuple[str, str]) -> None:
    """ "GB200" is no B200: glued to a letter or digit before it, the chip is not that chip."""
    chip = pair[1].split("-")[0].lower()
    assert accelerator_family(f"{before}{chip}", 8) != pair[1] or pair[1] == f"{before}{chip}".upper()


def test_the_rules_can_give_every_published_family() -> None:
    assert all(any(re.fullmatch(pattern, r.accelerator_family) for pattern in GIVEN) for r in PUBLISHED)


def test_no_rule_is_hidden_by_an_earlier_one_of_the_same_pattern() -> None:
    says = [rule["says"] for rule in RULES["rules"]]
    assert len(says) == len(set(says))


@pytest.mark.parametrize(
    ("status", "meaning"),
    [
        ("Available on-premise", "Available on-premise"),
        ("Available on premise", "Available on-premise"),
        ("Available on-premises", "Available on-premise"),
        ("available onprem", "Available on-premise"),
        ("onprem", "Available on-premise"),
        ("On-Prem ", "Available on-premise"),
        ("available", "Available on-premise"),  # as MLCommons' tool takes it
        ("Available cloud", "Available cloud"),
        ("Cloud", "Available cloud"),
        ("cloud", "Available cloud"),
        ("preview", "Preview"),
        ("Preview", "Preview"),
        ("research", "RDI"),
        ("RDI", "RDI"),
        ("Research, Development, or Internal (RDI)", "RDI"),
        ("internal", "RDI"),
        ("", None),
        ("soon", None),
        ("unavailable", None),
        (None, None),
    ],
)
def test_every_spelling_of_a_status_means_one_of_four(status: str | None, meaning: str | None) -> None:
    assert availability(status) == meaning
