"""Digits and their feature network are prepared whole or not at all, the same from the same specification."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
from diffusion_cases import digits, digits_spec, prepared_digits
from ranks import case
from safetensors.numpy import load_file

from seatrial.config.training import PreparedDigits
from seatrial.errors import MeasurementFailed
from seatrial.prepare import prepare_case
from seatrial.prepare.digits import prepare_digits


def test_every_digit_is_trained_on_or_held_out_and_none_is_both() -> None:
    from sklearn.datasets import load_digits

    arrays = load_file(prepared_digits() / "digits.safetensors")
    assert (len(arrays["train"]), len(arrays["held_out"])) == (1197, 600)
    both = np.concatenate([arrays["train"], arrays["held_out"]])
    assert both.min() == -1 and both.max() == 1
    given = load_digits().data / 8 - 1
    assert sorted(map(bytes, both.astype(np.float64))) == sorted(map(bytes, given))


def test_summary_says_how_well_the_network_recognises_held_out_digits() -> None:
    summary = json.loads((prepared_digits() / "prepared.json").read_text())
    assert summary["spec"] == {**digits_spec(), "seed": 1, "time_limit_minutes": 30.0}
    assert summary["accuracy"] > 0.9 and summary["held_out"] == 600


def test_hidden_layer_alone_recognises_digits() -> None:
    """The features that are kept are those that the classifier told digits by: a least-squares read-out of them
    recognises held-out digits, which one of the pixels does less well."""
    from sklearn.datasets import load_digits

    data = load_digits()
    label = {bytes(image): int(digit) for image, digit in zip(data.data / 8 - 1, data.target, strict=True)}
    arrays = load_file(prepared_digits() / "digits.safetensors")

    def features(images: np.ndarray) -> np.ndarray:
        hidden = np.maximum(images @ arrays["hidden.weight"].T + arrays["hidden.bias"], 0)
        return np.concatenate([hidden, np.ones((len(images), 1))], axis=1)

    def labels(images: np.ndarray) -> np.ndarray:
        return np.array([label[bytes(image)] for image in images.astype(np.float64)])

    wanted = np.eye(10)[labels(arrays["train"])]
    solved, *_ = np.linalg.lstsq(features(arrays["train"]), wanted, rcond=None)
    right = (features(arrays["held_out"]) @ solved).argmax(1) == labels(arrays["held_out"])
    assert right.mean() > 0.9


def test_same_specification_gives_the_same_bytes(tmp_path: Path) -> None:
    prepare_digits(PreparedDigits.model_validate(digits_spec()), tmp_path / "again")
    once, again = (f / "digits.safetensors" for f in (prepared_digits(), tmp_path / "again"))
    assert once.read_bytes() == again.read_bytes()


def test_network_that_recognises_nothing_is_refused_and_leaves_nothing(tmp_path: Path) -> None:
    spec = PreparedDigits.model_validate(digits_spec(features=1))
    with pytest.raises(MeasurementFailed, match=r"recognises .* of the held-out digits") as caught:
        prepare_digits(spec, tmp_path / "poor")
    assert caught.value.kind == "wrong_result"
    assert list(tmp_path.iterdir()) == []


def test_case_names_the_digits_that_it_needs(tmp_path: Path) -> None:
    what = case(digits())
    prepare_case(what, what.prepared_ids[0], tmp_path / "digits")
    assert (tmp_path / "digits" / "digits.safetensors").read_bytes() == (
        prepared_digits() / "digits.safetensors"
    ).read_bytes()
