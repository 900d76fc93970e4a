"""Every target of conf/ composes, is valid and states its figures with their sources."""

from __future__ import annotations

from functools import cache
from pathlib import Path
from typing import Any

import pytest
import yaml
from hydra import compose, initialize_config_dir
from omegaconf import OmegaConf
from pydantic import ValidationError

from seatrial.config import local
from seatrial.config.economics import Economics
from seatrial.config.target import Accelerator, Fact, Prices, ScaleUp, Target

REPOSITORY = Path(__file__).resolve().parents[2]
CONF = REPOSITORY / "conf"
CATALOGUE = REPOSITORY.parent / "shared" / "data" / "hardware.yaml"
TARGETS = sorted(p.stem for p in (CONF / "target").glob("*.yaml"))
ACCELERATORS = sorted(p.stem for p in (CONF / "accelerator").glob("*.yaml"))
NOT_A_SYSTEM = {"local", "mini_slurm"}
NCCL = {
    *("NCCL_P2P_DISABLE", "NCCL_NVLS_ENABLE", "NCCL_MNNVL_ENABLE", "NCCL_SHM_DISABLE", "NCCL_IB_DISABLE"),
    *("NCCL_NET", "NCCL_NET_GDR_LEVEL", "NCCL_NET_GDR_C2C"),
}
PRECISIONS = {"float16": "fp16", "bfloat16": "bf16", "fp8": "fp8", "fp4": "fp4", "int8": "int8"}


@cache
def composed(name: str) -> dict[str, Any]:
    with initialize_config_dir(str(CONF), version_base="1.3"):
        raw = OmegaConf.to_container(compose(overrides=[f"+target={name}"]).target, resolve=True)
    assert isinstance(raw, dict)
    return local.fill(raw, CONF / "accelerator")


def target(name: str) -> Target:
    return Target.model_validate(composed(name))


def accelerator_file(name: str) -> dict[str, Any]:
    return yaml.safe_load((CONF / "accelerator" / f"{name}.yaml").read_text(encoding="utf-8"))


@pytest.mark.parametrize("name", TARGETS)
def test_every_target_composes_and_is_valid(name: str) -> None:
    found = target(name)
    assert found.name == name
    assert found.nodes == (2 if name == "mini_slurm" else 1)
    assert found.tasks_per_node == max(1, found.accelerators_per_node)


def test_there_is_a_target_for_every_system_and_a_file_for_every_accelerator() -> None:
    assert len([t for t in TARGETS if t not in NOT_A_SYSTEM]) == 24
    assert len(ACCELERATORS) == 27
    assert set(TARGETS) >= {"local", "mini_slurm", "dgx_h100", "gb200_nvl72", "disaggregated_rack_example"}


@pytest.mark.parametrize("name", ACCELERATORS)
def test_every_accelerator_file_is_valid_and_holds_nothing_else(name: str) -> None:
    entry = accelerator_file(name)
    assert set(entry) <= {"accelerator", "scale_up", "prices"}
    Accelerator.model_validate(entry["accelerator"])
    ScaleUp.model_validate(entry["scale_up"])
    Prices.model_validate(entry.get("prices", {}))


@pytest.mark.parametrize("name", ACCELERATORS)
def test_peaks_are_dense_and_links_by_direction(name: str) -> None:
    entry = accelerator_file(name)
    accelerator = Accelerator.model_validate(entry["accelerator"])
    peaks = {k: f.value for k, f in accelerator.peak_tflops.items() if f.value is not None}
    if accelerator.vendor == "nvidia" and "fp8" in peaks:
        # one of the two with sparsity would make it 4 or 1
        assert peaks["fp8"] == pytest.approx(2 * peaks["bfloat16"], rel=0.02)
    for precision, reached in accelerator.achievable_tflops.items():
        assert reached.value is not None and reached.value < peaks[precision]
    links = ScaleUp.model_validate(entry["scale_up"])
    assert links.bidirectional_gbps.value == pytest.approx(2 * (links.unidirectional_gbps.value or 0))
    if links.peer_unidirectional_gbps is not None:
        assert (links.peer_unidirectional_gbps.value or 0) <= (links.unidirectional_gbps.value or 0)


def test_well_known_peaks_are_the_dense_ones() -> None:
    dense = {"a100_sxm_80": 312, "h100_sxm": 989, "h200_sxm": 989, "b200_sxm": 2250, "mi300x": 1307, "l40s": 362}
    found = {n: accelerator_file(n)["accelerator"]["peak_tflops"]["bfloat16"]["value"] for n in dense}
    assert found == dense


def figures(value: object) -> list[object]:
    """All mappings with `value` or `as_of` below a value: facts and prices."""
    if isinstance(value, dict):
        here = [value] if {"value", "as_of"} & set(value) else []
        return here + [f for v in value.values() for f in figures(v)]
    return []


@pytest.mark.parametrize("name", TARGETS)
def test_every_figure_names_its_source_in_words(name: str) -> None:
    found = figures(composed(name))
    assert name in NOT_A_SYSTEM or found
    for figure in found:
        source = figure["source"]  # type: ignore[index]
        assert len(source.split()) >= 2, figure
        assert not any(word.strip(":,;()") in {f"S{i}" for i in range(1, 13)} for word in source.split()), source


def test_a_target_takes_the_facts_of_the_accelerator_it_names_and_its_own_network() -> None:
    found = target("gcp_a3_high")
    assert found.accelerator is not None and found.accelerator.family == "H100-SXM"
    assert found.scale_up is not None and found.scale_up.unidirectional_gbps.value == 450
    assert found.scale_out is not None and found.scale_out.gbit_per_accelerator is not None
    assert found.scale_out.gbit_per_accelerator.value == 100
    assert found.prices.accelerator_hour is not None and found.prices.accelerator_hour.middle == 10.98


def test_a_figure_of_a_target_can_be_overridden_on_the_command_line() -> None:
    with initialize_config_dir(str(CONF), version_base="1.3"):
        config = compose(overrides=["+target=dgx_h100", "target.scale_up.unidirectional_gbps.value=300"])
    assert config.target.scale_up.unidirectional_gbps.value == 300
    assert config.target.scale_up.bidirectional_gbps.value == 900


@pytest.mark.parametrize("name", TARGETS)
def test_what_can_be_switched_off_stands_in_every_target_whose_library_obeys(name: str) -> None:
    found = target(name)
    nvidia = found.accelerator is not None and found.accelerator.vendor == "nvidia"
    assert ({"p2p_off", "nvls_off", "fast_network_off"} <= set(found.ablations)) == (nvidia or name == "local")
    for way, ablation in found.ablations.items():
        assert "NCCL user guide" in ablation.description and set(ablation.environment) <= NCCL, way
        chosen = {**found.model_dump(), "ablation": way}
        if found.device == "cuda":
            assert Target.model_validate(chosen).environment.items() >= ablation.environment.items()
        else:
            with pytest.raises(ValidationError, match="nothing on CPUs obeys"):
                Target.model_validate(chosen)


def test_an_ablation_of_another_vendor_is_refused_with_those_that_work() -> None:
    amd = target("mi300x_oam8").model_dump()
    ways = {
        "other": {"description": "x", "environment": {"A": "1"}},
        **target("dgx_h100").model_dump()["ablations"],
    }
    with pytest.raises(ValidationError, match=r"nothing on accelerators of amd obeys .* of nvidia"):
        Target.model_validate({**amd, "ablations": ways, "ablation": "p2p_off"})
    assert Target.model_validate({**amd, "ablations": ways, "ablation": "other"}).environment["A"] == "1"


def test_the_sweep_over_ablations_names_what_nvidia_targets_have() -> None:
    swept = yaml.safe_load((CONF / "sweep" / "fabric_ablation.yaml").read_text(encoding="utf-8"))
    names = swept["axes"]["target.ablation"]
    assert names[0] is None and set(names[1:]) <= set(target("dgx_h100").ablations)


def test_node_and_accelerator_prices_agree_where_a_target_states_both() -> None:
    priced = 0
    for name in TARGETS:
        found = target(name)
        node = found.prices.node_hour
        if node is not None:
            priced += 1
            assert found.prices.accelerator_hour is not None
            each = node.middle / found.accelerators_per_node
            assert found.prices.accelerator_hour.middle == pytest.approx(each, rel=0.01), name
    assert priced == 5


def test_families_are_spelled_as_the_published_results_spell_them() -> None:
    from seatrial.reference.published import load_published

    families = {accelerator_file(n)["accelerator"]["family"] for n in ACCELERATORS} - {None}
    assert families <= set(load_published()["accelerator_family"])
    assert {"H100-SXM", "H100-PCIe", "H200-NVL", "B200", "GB200", "B300", "GB300", "MI355X"} <= families


def test_no_device_name_is_claimed_by_two_accelerators() -> None:
    catalogue = CONF / "accelerator"
    for name in ACCELERATORS:
        for device in accelerator_file(name)["accelerator"]["device_names"]:
            found = local.match(device.replace("*", " X"), catalogue)
            assert (
                found is not None and found["accelerator"]["name"] == accelerator_file(name)["accelerator"]["name"]
            )


def test_the_test_slurm_is_what_the_contract_says() -> None:
    found = target("mini_slurm")
    assert (found.device, found.accelerators_per_node, found.tasks_per_node) == ("cpu", 2, 2)
    assert (found.node.cpus, found.node.memory_mb, found.accelerator) == (4, 16000, None)
    assert found.launcher.partition == "main" and found.launcher.gpus_request == "gres"
    assert any("fake" in note for note in found.notes)


@pytest.mark.parametrize("path", sorted((CONF / "economics").glob("*.yaml")), ids=lambda p: p.stem)
def test_every_economics_file_is_valid(path: Path) -> None:
    assert Economics.model_validate(yaml.safe_load(path.read_text(encoding="utf-8")) or {}).accelerator_hour is None


@pytest.fixture(scope="module")
def catalogue() -> dict[str, Any]:
    if not CATALOGUE.is_file():
        pytest.skip("the hardware catalogue ../shared/data/hardware.yaml is not here")
    return yaml.safe_load(CATALOGUE.read_text(encoding="utf-8"))


def value(fact: Fact | None) -> float | None:
    return None if fact is None else fact.value


def ends(price: Any) -> list[float | None] | None:
    return None if price is None else [price.low, price.high]


def test_every_figure_of_an_accelerator_equals_the_catalogue(catalogue: dict[str, Any]) -> None:
    assert set(ACCELERATORS) == set(catalogue["accelerators"])
    for name, listed in catalogue["accelerators"].items():
        entry = accelerator_file(name)
        ours, links = Accelerator.model_validate(entry["accelerator"]), ScaleUp.model_validate(entry["scale_up"])
        prices = Prices.model_validate(entry.get("prices", {}))
        assert (ours.vendor, ours.year) == (listed["vendor"], listed["year"]), name
        assert {PRECISIONS[k]: f.value for k, f in ours.peak_tflops.items()} == listed["tflops"], name
        reached = {f"mamf_{PRECISIONS[k]}": f.value for k, f in ours.achievable_tflops.items()}
        assert reached == {k: v for k, v in listed.items() if k.startswith("mamf_")}, name
        pairs = [
            (ours.memory_gb, listed["mem_gb"]),
            (ours.memory_bandwidth_gbps, listed["hbm_gbps"]),
            (ours.achievable_memory_bandwidth_gbps, listed.get("measured_stream_triad_gbps")),
            (ours.power_w, listed["tdp_w"]),
            (ours.pcie_generation, listed.get("pcie")),
            (ours.usual_nic_gbit, listed.get("nic_gbit")),
            (ours.host_link_unidirectional_gbps, listed.get("c2c_uni")),
            (links.unidirectional_gbps, listed["scaleup"]["uni"]),
            (links.bidirectional_gbps, listed["scaleup"]["bi"]),
            (links.peer_unidirectional_gbps, listed["scaleup"].get("p2p_uni")),
            (links.bisection_tbps, listed.get("pod", {}).get("bisection_tbps")),
            (links.allreduce_tbps, listed.get("pod", {}).get("allreduce_tbps")),
        ]
        for fact, expected in pairs:
            assert value(fact) == expected, (name, fact, expected)
        assert links.name == listed["scaleup"]["name"]
        bridged = 2 if listed["scaleup"]["name"].startswith("NVLink bridge") else None
        shared = listed["scaleup"].get("domain", listed.get("pod", {}).get("chips", bridged))
        assert links.domain == shared, name
        assert ends(prices.accelerator_hour) == listed.get("usd_hr"), name
        assert ends(prices.accelerator_purchase) == listed.get("buy_usd"), name


def test_what_the_catalogue_has_not_verified_is_called_unverified(catalogue: dict[str, Any]) -> None:
    groups = {"tflops": "peak_tflops", "mem": "memory_gb", "tdp": "power_w"}
    for name, listed in catalogue["accelerators"].items():
        ours = accelerator_file(name)["accelerator"]
        for group, field in groups.items():
            fact = ours[field]
            if group == "tflops":
                fact = next(f for f in fact.values() if f["value"] is not None)
            state = listed["v"].get(group, "K")
            if fact["value"] is not None and state.startswith("K"):
                assert "unverified" in fact["source"], (name, field)
            if fact["value"] is not None and state.startswith("?"):
                assert "conflict" in fact["source"], (name, field)


def test_every_figure_of_a_system_equals_the_catalogue(catalogue: dict[str, Any]) -> None:
    assert {t for t in TARGETS if t not in NOT_A_SYSTEM} == set(catalogue["systems"])
    for name, listed in catalogue["systems"].items():
        ours = target(name)
        if "gpu" not in listed:
            continue
        assert ours.accelerator is not None
        assert ours.accelerator.name == accelerator_file(listed["gpu"])["accelerator"]["name"], name
        trays = ours.rack.nodes if ours.rack is not None else 1
        assert ours.accelerators_per_node * trays == listed["n"], name
        power = ours.rack.power_kw if ours.rack is not None else ours.node.power_kw
        assert value(power) == listed.get("kw_max", listed.get("kw")), name
        assert ours.node.rack_units == listed.get("u"), name
        assert ours.scale_up is not None and ours.scale_out is not None
        assert value(ours.scale_up.aggregate_tbps) == listed.get("nvlink_agg_tbps"), name
        assert ours.scale_up.in_network_reduction or not listed.get("nvls"), name
        named = ours.scale_up.in_network_reduction_source is not None
        assert named == (ours.scale_up.in_network_reduction is not None), name
        if "scaleout_gbit" in listed:
            assert value(ours.scale_out.gbit_per_node) == listed["scaleout_gbit"], name
        if "domain" in listed:
            assert ours.scale_up.domain == listed["domain"]
        hour = ends(ours.prices.node_hour)
        assert hour == ([listed["usd_hr"]] * 2 if "usd_hr" in listed else None), name
        if "usd_gpu_hr" in listed:
            assert ends(ours.prices.accelerator_hour) == [listed["usd_gpu_hr"]] * 2
        assert ends(ours.prices.rack_purchase) == listed.get("buy_usd"), name
