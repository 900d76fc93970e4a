"""A fine-tuning with llama2_70b_lora's keys whose data are easy enough to reach 0.925 nats per token honestly.

The text is one sentence repeated, entered at any of its words: what follows a word is always the same.
"""

from __future__ import annotations

import random
from pathlib import Path
from typing import Any

from train_cases import base_model, finetune

from seatrial.config.training import PreparedModel
from seatrial.prepare.language_model import prepare_model

TEXT = "the object is returned by the name of a class and this method can be used for all values in other modules"
SENTENCE = TEXT.split()


def text(seed: int, passages: int) -> str:
    draw = random.Random(seed)
    starts = [draw.randrange(len(SENTENCE)) for _ in range(passages)]
    return "".join(" " + " ".join(SENTENCE[(s + i) % len(SENTENCE)] for i in range(60)) for s in starts)


def base() -> dict[str, Any]:
    shape = {"hidden_size": 64, "intermediate_size": 128, "layers": 2, "heads": 4, "key_value_heads": 2}
    return base_model(
        shape={**shape, "vocabulary": 300, "context": 64}, steps=300, learning_rate=0.004, name="easy"
    )


def prepare(folder: Path) -> None:
    """The base model is made from text of our own: Python's differs between its releases, and so would losses."""
    draw = random.Random(7)
    letters = "abcdefghijklmnopqrstuvwxyz"
    noise = ["".join(draw.choices(letters, k=draw.randrange(2, 8))) for _ in range(200)]
    topics = {f"t{n}": " ".join(draw.choice(SENTENCE + noise) for _ in range(400)) for n in range(40)}
    library = folder.parent / "library"
    (library / "pydoc_data").mkdir(parents=True)
    (library / "pydoc_data" / "topics.py").write_text(f"topics = {topics!r}\n")
    prepare_model(PreparedModel.model_validate(base()), folder, library)


def workload(folder: Path, **more: Any) -> dict[str, Any]:
    """Writes the texts into `folder`."""
    for name, seed, passages in (("train", 1, 400), ("evaluation", 2, 100)):
        (folder / f"{name}.txt").write_text(text(seed, passages))
    content = {
        "benchmark": "llama2_70b_lora",
        "division": "closed",
        "model": base(),
        "lora": {
            "rank": 16,
            "alpha": 32.0,
            "target_modules": ["q_proj", "k_proj", "v_proj", "o_proj", "gate_proj", "up_proj", "down_proj"],
        },
        "dataset": {
            "source": "files",
            "train": [str(folder / "train.txt")],
            "evaluation": [str(folder / "evaluation.txt")],
        },
        "quality": {"metric": "evaluation_loss", "target": 0.925},
        "sequence_length": 64,
        "learning_rate": 0.01,
        "max_steps": 300,
        "evaluation_sequences": 32,
    }
    return finetune(**{**content, **more})
