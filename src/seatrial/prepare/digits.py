"""Prepares scikit-learn's digits and the network whose features their Frechet distance is taken of."""

from __future__ import annotations

import time
import warnings
from pathlib import Path
from typing import Any

import numpy as np

from seatrial.config.training.diffusion import PreparedDigits
from seatrial.errors import MeasurementFailed
from seatrial.prepare.folder import prepared_aside
from seatrial.train.diffusion.digits import DIGITS_FILE

BRIGHTEST = 16
"""Pixels are whole numbers from 0 to this."""
LEAST_ACCURACY = 0.9
"""A classifier below this on the held-out digits tells too little of what an image shows (guessing: 0.1)."""
ITERATIONS = 600


def prepare_digits(spec: PreparedDigits, folder: Path) -> None:
    """Leave in `folder` the digits of `spec`, split, with the feature network's weights, and a summary.

    `digits.safetensors` holds float32 arrays: `train` and `held_out` [n, 64], pixels from -1 to 1; `hidden.weight`
    [features, 64] and `hidden.bias` [features], whose rectified output are the features. The folder is made aside
    and renamed. Raises MeasurementFailed (wrong_result) where the network does not recognise held-out digits.
    """
    started = time.perf_counter()
    import sklearn
    from safetensors.numpy import save_file
    from sklearn.datasets import load_digits
    from threadpoolctl import threadpool_limits

    digits = load_digits()
    images = (digits.data / (BRIGHTEST / 2) - 1).astype(np.float32)
    order = np.random.default_rng(spec.seed).permutation(len(images))
    held_out, train = order[: spec.held_out], order[spec.held_out :]
    with threadpool_limits(1):  # sums of several threads depend on how many there are
        network = _classifier(spec, images[train], digits.target[train])
    accuracy = float(network.score(images[held_out], digits.target[held_out]))
    if accuracy < LEAST_ACCURACY:
        raise MeasurementFailed(
            "wrong_result",
            f"the feature network of {spec.name!r} recognises {accuracy:.1%} of the held-out digits; its features "
            f"are of use from {LEAST_ACCURACY:.0%}",
        )
    summary = {
        "spec": spec.model_dump(mode="json"),
        "origin": "scikit-learn load_digits (UCI optical recognition of handwritten digits, test set)",
        "scikit_learn": sklearn.__version__,
        "train": len(train),
        "held_out": len(held_out),
        "accuracy": accuracy,
        "iterations": int(network.n_iter_),
        "seconds": round(time.perf_counter() - started, 3),
    }
    with prepared_aside(folder, summary) as aside:
        arrays = {
            "train": images[train],
            "held_out": images[held_out],
            "hidden.weight": np.ascontiguousarray(network.coefs_[0].T.astype(np.float32)),
            "hidden.bias": network.intercepts_[0].astype(np.float32),
        }
        save_file(arrays, aside / DIGITS_FILE)


def _classifier(spec: PreparedDigits, images: np.ndarray, labels: np.ndarray) -> Any:
    """One hidden layer of rectified units, trained on the training digits alone."""
    from sklearn.exceptions import ConvergenceWarning
    from sklearn.neural_network import MLPClassifier

    network = MLPClassifier((spec.features,), alpha=1e-3, max_iter=ITERATIONS, random_state=spec.seed)
    with warnings.catch_warnings():
        # Its accuracy on held-out digits is what decides.
        warnings.simplefilter("ignore", ConvergenceWarning)
        return network.fit(images, labels)
