"""Writes huggingface_trainer.log and huggingface_trainer_state.json: a tiny Llama trained by transformers' Trainer.

python capture_trainer.py FOLDER    (run by itself, it starts the training and keeps what that prints)
"""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

STEPS = 20


def main(folder: Path) -> None:
    """Run the training as a process of its own, so that its bars and logs are as a user's."""
    with tempfile.TemporaryDirectory() as work:
        printed = subprocess.run(
            [sys.executable, __file__, "--train", work],
            check=True,
            capture_output=True,
            env={**os.environ, "OMP_NUM_THREADS": "1", "CUDA_VISIBLE_DEVICES": ""},
        )
        text = (printed.stderr + printed.stdout).decode().replace(work, "/tmp/out")
        (folder / "huggingface_trainer.log").write_text(text, newline="")
        shutil.copy(Path(work) / "trainer_state.json", folder / "huggingface_trainer_state.json")


def train(work: str) -> None:
    """Twenty steps of a Llama of 25,000 parameters, with checkpoints, and what example scripts print at the end."""
    import torch
    from transformers import LlamaConfig, LlamaForCausalLM, Trainer, TrainingArguments
    from transformers.utils import logging

    logging.set_verbosity_info()
    torch.set_num_threads(1)
    torch.manual_seed(0)
    model = LlamaForCausalLM(
        LlamaConfig(vocab_size=64, hidden_size=32, intermediate_size=64, num_hidden_layers=2, num_attention_heads=2)
    )
    rows = [{"input_ids": row, "labels": row} for row in torch.randint(0, 64, (80, 16))]
    arguments = TrainingArguments(
        work, max_steps=STEPS, logging_steps=5, save_steps=10, per_device_train_batch_size=4, report_to="none",
        use_cpu=True, dataloader_pin_memory=False,
    )  # fmt: skip
    trainer = Trainer(model, arguments, train_dataset=rows)
    result = trainer.train()
    trainer.log_metrics("train", result.metrics)
    trainer.save_state()


if __name__ == "__main__":
    if sys.argv[1] == "--train":
        train(sys.argv[2])
    else:
        main(Path(sys.argv[1]))
