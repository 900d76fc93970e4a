"""The local target: what is detected, and what follows from what the user sets."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import yaml

from seatrial.config import devices, local
from seatrial.config.target import Target
from seatrial.errors import ConfigError, UnreadableFile

CONF = Path(__file__).resolve().parents[2] / "conf"
CATALOGUE = CONF / "accelerator"


@pytest.fixture(autouse=True)
def bare_machine(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A PATH with no driver's tool on it, and a torch that can use every accelerator."""
    tools = tmp_path / "bin"
    tools.mkdir()
    monkeypatch.setenv("PATH", str(tools))
    for name in ("CUDA_VISIBLE_DEVICES", "ROCR_VISIBLE_DEVICES", "HIP_VISIBLE_DEVICES"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setattr(devices, "KFD_NODES", tmp_path / "kfd")
    monkeypatch.setattr(devices, "_torch_can", lambda vendor: True)
    return tools


def install(tools: Path, name: str, prints: str = "", exits: int = 0, sleeps: float = 0) -> None:
    """A driver's tool that prints and exits as told."""
    script = tools / name
    body = f"import sys, time\ntime.sleep({sleeps})\nsys.stdout.write({prints!r})\nsys.exit({exits})\n"
    script.write_text(f"#!{sys.executable}\n{body}", encoding="utf-8")
    script.chmod(0o755)


def raw_local() -> dict[str, Any]:
    raw = yaml.safe_load((CONF / "target" / "local.yaml").read_text(encoding="utf-8"))
    del raw["defaults"]  # Hydra's, which composes the ablations; they are read in test_target_catalogue
    return raw


def filled(**changes: object) -> Target:
    return Target.model_validate(local.fill(raw_local() | changes, CATALOGUE))


def test_a_machine_without_accelerators_is_one_task_on_its_cpus() -> None:
    found = filled()
    assert (found.device, found.accelerators_per_node, found.tasks_per_node) == ("cpu", 0, 1)
    assert found.accelerator is None and found.scale_up is None and found.notes == []
    assert found.node.cpus == len(os.sched_getaffinity(0))
    total = os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE") // 2**20
    assert found.node.memory_mb is not None and 0 < found.node.memory_mb <= total


def test_detected_nvidia_accelerators_get_the_facts_of_the_catalogue(bare_machine: Path) -> None:
    install(bare_machine, "nvidia-smi", "NVIDIA H200\n" * 8)
    found = filled()
    assert (found.device, found.accelerators_per_node, found.tasks_per_node) == ("cuda", 8, 8)
    assert found.accelerator is not None and found.accelerator.family == "H200-SXM"
    assert found.accelerator.peak_tflops["bfloat16"].value == 989
    assert found.scale_up is not None and found.scale_up.unidirectional_gbps.value == 450
    assert found.prices.accelerator_hour is None


@pytest.mark.parametrize(
    ("name", "family"),
    [
        ("NVIDIA H100 80GB HBM3", "H100-SXM"),
        ("NVIDIA H100 PCIe", "H100-PCIe"),
        ("NVIDIA H100 NVL", "H100-NVL"),
        ("NVIDIA H200", "H200-SXM"),
        ("NVIDIA H200 NVL", "H200-NVL"),
        ("NVIDIA A100-SXM4-80GB", "A100-SXM"),
        ("NVIDIA B200", "B200"),
        ("NVIDIA GB200", "GB200"),
        ("AMD Instinct MI300X OAM", "MI300X"),
    ],
)
def test_form_factors_are_kept_apart(name: str, family: str) -> None:
    found = local.match(name, CATALOGUE)
    assert found is not None and found["accelerator"]["family"] == family


@pytest.mark.parametrize("name", ["NVIDIA GeForce RTX 4090", "NVIDIA H100 80GB HBM3 MIG", "AMD Instinct MI250X"])
def test_an_accelerator_that_is_not_listed_has_no_facts(name: str, bare_machine: Path) -> None:
    install(bare_machine, "nvidia-smi", name)
    found = filled()
    assert found.accelerator is not None and found.accelerator.name == name
    assert found.accelerator.family is None and found.accelerator.peak_tflops == {}
    assert any("not in the catalogue" in note for note in found.notes)


def test_only_visible_accelerators_count(bare_machine: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    install(bare_machine, "nvidia-smi", "NVIDIA H200\n" * 4)
    for visible, expected in (("0,2", 2), ("", 0), ("-1", 0), ("GPU-1a2b,GPU-3c4d", 2), ("1,9,2", 1)):
        monkeypatch.setenv("CUDA_VISIBLE_DEVICES", visible)
        assert local.detect()["accelerators_per_node"] == expected, visible


def test_one_accelerator_has_no_links(bare_machine: Path) -> None:
    install(bare_machine, "nvidia-smi", "NVIDIA H200\n")
    assert filled().scale_up is None


def test_accelerators_of_two_models_get_no_facts(bare_machine: Path) -> None:
    install(bare_machine, "nvidia-smi", "NVIDIA H200\nNVIDIA L40S\n")
    found = filled()
    assert found.accelerators_per_node == 2 and found.accelerator is None
    assert any("different models" in note for note in found.notes)


def test_a_tool_that_fails_leaves_a_cpu_machine_and_says_so(bare_machine: Path) -> None:
    install(bare_machine, "nvidia-smi", "NVIDIA-SMI has failed because it could not talk to the driver\n", exits=9)
    found = filled()
    assert found.device == "cpu"
    assert any("could not talk to the driver" in note for note in found.notes)


def test_a_tool_that_hangs_is_given_up(bare_machine: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(devices, "TOOL_SECONDS", 0.5)
    install(bare_machine, "nvidia-smi", "NVIDIA H200\n", sleeps=30)
    found = filled()
    assert found.device == "cpu" and any("no answer" in note for note in found.notes)


def test_accelerators_that_torch_is_not_built_for_are_named_and_not_used(
    bare_machine: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(devices, "_torch_can", lambda vendor: False)
    install(bare_machine, "nvidia-smi", "NVIDIA H200\n" * 2)
    found = filled()
    assert found.device == "cpu" and found.accelerators_per_node == 0
    assert any("built without cuda" in note for note in found.notes)


def test_what_torch_was_built_for_is_read_without_importing_it(tmp_path: Path) -> None:
    package = tmp_path / "lib" / "torch"
    package.mkdir(parents=True)
    (package / "__init__.py").write_text("raise SystemExit('imported')\n", encoding="utf-8")
    program = (
        "from seatrial.config import devices; import sys; "
        "print(devices._torch_can('nvidia'), devices._torch_can('amd'), 'torch' in sys.modules)"
    )
    for built, expected in ((("'13.0'", "None"), "True False False"), (("None", "'7.1'"), "False True False")):
        (package / "version.py").write_text(
            f"from typing import Optional\ncuda: Optional[str] = {built[0]}\nhip: Optional[str] = {built[1]}\n",
            encoding="utf-8",
        )
        done = subprocess.run(
            [sys.executable, "-c", program],
            env={"PYTHONPATH": str(package.parent)},
            capture_output=True,
            text=True,
            timeout=60,
            check=True,
        )
        assert done.stdout.strip() == expected


def test_amd_accelerators_are_found_by_either_tool(bare_machine: Path) -> None:
    cards = {f"card{i}": {"Card Series": "AMD Instinct MI300X OAM"} for i in range(2)} | {"system": {}}
    install(bare_machine, "rocm-smi", json.dumps(cards))
    assert filled().accelerators_per_node == 2
    asics = {"gpu_data": [{"gpu": 0, "asic": {"market_name": "AMD Instinct MI325X"}}]}
    install(bare_machine, "amd-smi", json.dumps(asics))
    found = filled()
    assert found.accelerators_per_node == 1
    assert found.accelerator is not None and found.accelerator.family == "MI325X"


def test_amd_accelerators_without_a_tool_are_mentioned(tmp_path: Path) -> None:
    for node, simds in enumerate((0, 304)):
        folder = tmp_path / "kfd" / str(node)
        folder.mkdir(parents=True)
        (folder / "properties").write_text(f"cpu_cores_count 0\nsimd_count {simds}\n", encoding="utf-8")
    found = filled()
    assert found.device == "cpu" and any("neither amd-smi nor rocm-smi" in note for note in found.notes)


def test_what_the_user_sets_stays_and_the_rest_follows(bare_machine: Path) -> None:
    install(bare_machine, "nvidia-smi", "NVIDIA H200\n" * 8)
    found = filled(accelerators_per_node=2)
    assert (found.accelerators_per_node, found.tasks_per_node) == (2, 2)
    on_cpus = filled(device="cpu")
    assert (on_cpus.accelerators_per_node, on_cpus.tasks_per_node, on_cpus.accelerator) == (0, 1, None)


def test_auto_where_nothing_can_be_detected_is_refused() -> None:
    with pytest.raises(ConfigError) as caught:
        local.fill(raw_local() | {"launcher": {"account": "auto"}}, CATALOGUE)
    assert caught.value.key == "target.launcher.account"
    assert "node.cpus" in str(caught.value)


def test_a_target_without_auto_is_left_alone_and_nothing_is_probed(
    bare_machine: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def never() -> dict[str, Any]:
        raise AssertionError("probed")

    monkeypatch.setattr(local, "detect", never)
    raw = {"name": "mine", "node": {"cpus": 4}}
    assert local.fill(raw, CATALOGUE) == raw


def test_filling_does_not_change_what_it_was_given() -> None:
    raw = raw_local()
    local.fill(raw, CATALOGUE)
    assert raw == raw_local()


def test_a_broken_catalogue_file_is_named(tmp_path: Path, bare_machine: Path) -> None:
    install(bare_machine, "nvidia-smi", "NVIDIA H200\n")
    (tmp_path / "bad.yaml").write_text("name: [", encoding="utf-8")
    with pytest.raises(UnreadableFile, match=r"bad\.yaml"):
        local.fill(raw_local(), tmp_path)


def test_a_device_name_in_two_files_is_refused(tmp_path: Path, bare_machine: Path) -> None:
    for name in ("one", "two"):
        entry = {"accelerator": {"name": name, "vendor": "nvidia", "device_names": ["NVIDIA H2*"]}}
        (tmp_path / f"{name}.yaml").write_text(yaml.safe_dump(entry), encoding="utf-8")
    with pytest.raises(ConfigError, match=r"one\.yaml, two\.yaml"):
        local.match("NVIDIA H200", tmp_path)


def test_the_control_groups_limits_bound_what_is_detected(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "cpu.max").write_text("100000 100000\n", encoding="utf-8")
    (tmp_path / "memory.max").write_text(f"{512 * 2**20}\n", encoding="utf-8")
    monkeypatch.setattr(local, "CGROUP", tmp_path)
    assert (local.usable_cpus(), local.usable_memory_mb()) == (1, 512)
    (tmp_path / "cpu.max").write_text("max 100000\n", encoding="utf-8")
    (tmp_path / "memory.max").write_text("max\n", encoding="utf-8")
    assert local.usable_cpus() == len(os.sched_getaffinity(0)) and local.usable_memory_mb() > 512


@pytest.mark.parametrize(
    ("tool", "answer"),
    [
        ("amd-smi", '{"gpu_data": null}'),
        ("amd-smi", "7"),
        ("amd-smi", "[" * 100_000),
        ("rocm-smi", '{"card0": [1]}'),
        ("rocm-smi", '{"card0": ' + "9" * 5000 + "}"),
        ("nvidia-smi", "x" * 200_000),
    ],
    ids=lambda value: value[:24],
)
def test_a_tool_that_answers_something_else_leaves_a_cpu_machine_and_says_so(
    bare_machine: Path, tool: str, answer: str
) -> None:
    install(bare_machine, tool, answer)
    found = filled()
    assert found.device == "cpu"
    assert any(f"{tool} is installed but failed" in note and "its answer" in note for note in found.notes)
