"""The reference of configuration and the editors' schemas say what the schemas of the program say."""

import re
import subprocess
import sys
from pathlib import Path

import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st
from jsonschema import Draft202012Validator
from pydantic import ValidationError

from seatrial.cli import main
from seatrial.config.probe import Gemm
from seatrial.plan import make_plan
from seatrial.schema.definitions import definitions
from seatrial.schema.editor import documents
from seatrial.schema.reference import markdown
from seatrial.schema.words import WORDS

ROOT = Path(__file__).parents[2]
CONF = ROOT / "conf"
BIN = Path(sys.executable).parent
FOLDERS = sorted(folder.name for folder in CONF.iterdir() if folder.is_dir())


@pytest.fixture(scope="module")
def schemas():
    return {name: Draft202012Validator(schema) for name, schema in documents().items()}


def mistakes(validator, text):
    return list(validator.iter_errors(yaml.safe_load(text)))


def test_the_committed_reference_is_what_the_command_prints(capsys):
    assert main(["schema", "--markdown"]) == 0
    printed = capsys.readouterr().out
    committed = (ROOT / "docs" / "configuration.md").read_text()
    assert printed == committed, "run `seatrial schema --markdown > docs/configuration.md`"


def test_the_reference_has_every_key_with_its_unit_and_its_links_lead_somewhere():
    text = markdown()
    for name, schema in definitions().items():
        section = text.split(f"\n### {name}\n")[1].split("\n##")[0]
        for key in schema["properties"]:
            told_by_the_heading = key == "kind" and f"kind: {schema['properties']['kind'].get('const')}" in section
            assert f"| `{key}` |" in section or told_by_the_heading, f"{name}.{key}"
    assert "| `time_limit_minutes` | number > 0, ≤ 527040 | min | `10` | A repeat may take no longer" in text
    anchors = {re.sub(r"[^\w -]", "", line.lstrip("# ")).lower() for line in text.splitlines() if line[:1] == "#"}
    assert set(re.findall(r"\]\(#([^)]+)\)", text)) <= anchors


def test_every_key_says_what_it_is_and_no_words_are_left_over():
    untold, asked_for = [], set()
    for name, schema in definitions().items():
        for key, field in schema["properties"].items():
            asked_for |= {key, f"{name}.{key}"}
            if "description" not in field and "const" not in field:
                untold.append(f"{name}.{key}")
    assert not untold, "write a string below the field, or its words in schema/words.py"
    assert WORDS.keys() <= asked_for


def test_check_jsonschema_takes_every_shipped_file(tmp_path, capsys):
    assert main(["schema", str(tmp_path)]) == 0
    assert sorted({"ablation", "accelerator", "economics", "study", "sweep", "target", "workload"}) == FOLDERS
    check = [str(BIN / "check-jsonschema"), "--schemafile"]
    for folder in FOLDERS:
        files = sorted(map(str, (CONF / folder).glob("*.yaml")))
        files += [str(CONF / "config.yaml")] if folder == "study" else []
        done = subprocess.run(
            [*check, str(tmp_path / f"{folder}.json"), *files], capture_output=True, text=True, timeout=120
        )
        assert done.returncode == 0, done.stdout + done.stderr
    wrong = tmp_path / "wrong.yaml"
    wrong.write_text((CONF / "workload" / "gemm.yaml").read_text().replace("dtype:", "dtpye:"))
    done = subprocess.run(
        [*check, str(tmp_path / "workload.json"), str(wrong)], capture_output=True, text=True, timeout=60
    )
    assert done.returncode == 1
    assert "dtpye" in done.stdout + done.stderr


@pytest.mark.parametrize("path", sorted((CONF / "workload").glob("*.yaml")), ids=lambda path: path.stem)
def test_a_workloads_file_fulfils_the_schema_of_its_kind(schemas, path):
    text = path.read_text()
    assert not mistakes(schemas[f"workload_{yaml.safe_load(text)['kind']}"], text)


@pytest.mark.parametrize(
    ("kind", "text"),
    [
        ("study", "titel: a word misspelt"),
        ("study", "experiments: {a: {repeats: 0}}"),
        ("study", "experiments: {a: {workload: {kind: gem}}}"),
        ("study", "experiments: {a: {workload: {kind: gemm, operation: copy}}}"),
        ("study", "experiments: {a: {workload: {no_kind_has_this: 1}}}"),
        ("study", "criteria: [{name: a, metric: memory.bandwith, at_least: 1}]"),
        ("study", "criteria: [{name: Not A Slug, metric: memory.bandwidth, at_least: 1}]"),
        ("target", "nodes: two"),
        ("target", "nodes: auto"),
        ("target", "storage: {scratch: {name: x, write_gbps: 3}}"),
        ("target", "defaults: h100_sxm"),
        ("workload", "kind: gemm\niterations: -1"),
        ("workload_gemm", "kind: memory"),
        ("workload_moe_alltoall", "kind: moe_alltoall\nload: {kind: zipf, gini: 0.3}"),
        ("sweep", "axis: {workload.m: [1, 2]}"),
        ("economics", "own: {purchase: {low: -1}}"),
        ("ablation", "off: {environment: {A: '1'}, withuot: []}"),
    ],
)
def test_a_mistake_is_seen(schemas, kind, text):
    assert mistakes(schemas[kind], text)


@pytest.mark.parametrize(
    ("kind", "text"),
    [
        ("study", "defaults: [{/workload@experiments.a.workload: gemm}, _self_]\nexperiments: {a: {repeats: 3}}"),
        ("study", "experiments: {a: {repeats: '${target.nodes}', workload: {m: '???'}}}"),
        ("study", "experiments: {a: {sweep: {axes: {workload: {m: '1,2'}, target.nodes: 'range(1,4)'}}}}"),
        ("target", "accelerators_per_node: auto\naccelerator: auto\nnode: {cpus: auto}"),
        ("target", "prices: {node_hour: {low: 1, as_of: 2026, source: a}}"),
        ("workload", "defaults: [gemm, _self_]\nkind: gemm"),
        ("workload", "m: 5"),
    ],
)
def test_what_hydra_allows_is_allowed(schemas, kind, text):
    assert not mistakes(schemas[kind], text)


@pytest.mark.parametrize("name", ["demo", "procurement", "acceptance"])
def test_a_composed_study_fulfils_the_schema_of_its_file(schemas, name):
    study = make_plan([f"study={name}", "target=dgx_h100"], CONF).study
    assert not list(schemas["study"].iter_errors(study.model_dump(mode="json")))


@given(
    st.fixed_dictionaries(
        {"kind": st.just("gemm")},
        optional={
            **dict.fromkeys(("m", "n", "k", "iterations"), st.none() | st.integers(-1, 9)),
            "dtype": st.sampled_from(["float32", "fp8", "float"]),
            "time_limit_minutes": st.floats(-1, 5),
            "sustained_seconds": st.none() | st.floats(-1, 5),
            "search": st.fixed_dictionaries({}, optional={key: st.just({"start": 1, "stop": 2}) for key in "mnk"}),
            "cold": st.booleans(),
        },
    )
)
def test_what_the_program_takes_an_editor_takes(schemas, workload):
    try:
        Gemm(**workload)
    except ValidationError:
        return
    assert not list(schemas["workload"].iter_errors(workload))


def test_a_folder_that_cannot_be_written_is_named(tmp_path, capsys):
    (tmp_path / "file").write_text("")
    assert main(["schema", str(tmp_path / "file")]) == 2
    assert str(tmp_path / "file") in capsys.readouterr().err
