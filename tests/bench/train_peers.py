"""The peers of bench-train: Hugging Face's Trainer, and a loop as nanoGPT has it; same model, batches, update."""

from __future__ import annotations

import math
from collections.abc import Callable
from contextlib import ExitStack, suppress
from pathlib import Path
from typing import Any, Self

import numpy as np
import torch
import torch.nn.functional as F
from train_ours import STRETCH, Material
from turns import Enough, Turns

from seatrial.config.training import LlmFinetune


class TrainerPeer:
    """transformers' Trainer: no saving, reports, workers or progress bar, and a log line as often as ours."""

    def __init__(self, material: Material, folder: Path, steps: int) -> None:
        self.material, self.folder, self.steps = material, folder, steps
        self.model = material.model()

    def __enter__(self) -> Self:
        self._stack = ExitStack()
        self._turns = self._stack.enter_context(Turns(self._run))
        return self

    def __exit__(self, *ending: object) -> None:
        self._stack.close()

    def stretch(self) -> None:
        """STRETCH steps."""
        self._turns.go()

    def _run(self, pause: Callable[[], None]) -> None:
        # Imported here: it brings datasets and accelerate with it.
        from transformers import PrinterCallback, Trainer, TrainerCallback

        class Paced(TrainerCallback):
            def on_step_begin(self, args: Any, state: Any, control: Any, **kwargs: Any) -> None:
                if state.global_step % STRETCH == 0:
                    pause()

        trainer = Trainer(
            model=self.model,
            args=self._arguments(),
            train_dataset=_InOrder(self.material, self.steps),
            data_collator=_together,
            callbacks=[Paced()],
        )
        trainer.remove_callback(PrinterCallback)
        with suppress(Enough):
            trainer.train()

    def _arguments(self) -> Any:
        from transformers import TrainingArguments

        workload, ranks = self.material.workload, self.material.ranks
        several = {"ddp_backend": "gloo", "ddp_find_unused_parameters": False} if ranks.size > 1 else {}
        return TrainingArguments(
            output_dir=str(self.folder / "trainer"),
            max_steps=self.steps,
            per_device_train_batch_size=workload.batch_size,
            gradient_accumulation_steps=workload.gradient_accumulation,
            train_sampling_strategy="sequential",  # the data set is in the order of our own
            optim="adamw_torch_fused",
            learning_rate=workload.learning_rate,
            lr_scheduler_type=workload.learning_rate_schedule,
            warmup_steps=0,
            weight_decay=workload.weight_decay,
            adam_beta1=workload.adam_beta_1,
            adam_beta2=workload.adam_beta_2,
            adam_epsilon=workload.adam_epsilon,
            max_grad_norm=workload.gradient_clip_norm,
            logging_strategy="steps",
            logging_steps=STRETCH,
            logging_nan_inf_filter=False,
            save_strategy="no",
            eval_strategy="no",
            report_to=[],
            disable_tqdm=True,
            dataloader_num_workers=0,
            dataloader_pin_memory=False,
            remove_unused_columns=False,
            use_cpu=True,
            **several,
        )


class _InOrder(torch.utils.data.Dataset[tuple[torch.Tensor, torch.Tensor]]):
    """Inputs and targets, row by row, in the order in which ours sees them."""

    def __init__(self, material: Material, steps: int) -> None:
        self._inputs, self._targets = material.learnt[:, :-1], material.learnt[:, 1:]
        self._positions = material.positions(steps).flatten().tolist()

    def __len__(self) -> int:
        return len(self._positions)

    def __getitem__(self, index: int) -> tuple[torch.Tensor, torch.Tensor]:
        position = self._positions[index]
        return self._inputs[position], self._targets[position]


def _together(rows: list[tuple[torch.Tensor, torch.Tensor]]) -> dict[str, torch.Tensor]:
    """A batch whose targets are shifted already, so that as many tokens are predicted as by ours."""
    targets = torch.stack([row[1] for row in rows])
    return {"input_ids": torch.stack([row[0] for row in rows]), "labels": targets, "shift_labels": targets}


class PlainLoop:
    """The inner loop of nanoGPT's train.py (get_batch, get_lr, forward, backward, clip, AdamW), as it stands there.

    `fused`: nanoGPT asks for the fused AdamW on CUDA only.
    """

    def __init__(self, material: Material, steps: int, fused: bool) -> None:
        workload, ranks = material.workload, material.ranks
        self.workload, self.steps = workload, steps
        self.model = material.model()
        self._network: torch.nn.Module = self.model
        if ranks.size > 1:
            self._network = torch.nn.parallel.DistributedDataParallel(self.model)
        tokens = torch.cat((material.learnt[:, :-1].flatten(), material.learnt[-1, -1:]))
        self._data = tokens.numpy().astype(np.uint16)
        self._offsets = (material.positions(steps)[:, ranks.rank :: ranks.size] * workload.sequence_length).tolist()
        self.optimizer = torch.optim.AdamW(
            [p for p in self.model.parameters() if p.requires_grad],
            lr=workload.learning_rate,
            betas=(workload.adam_beta_1, workload.adam_beta_2),
            eps=workload.adam_epsilon,
            weight_decay=workload.weight_decay,
            fused=fused,
        )
        self.iteration = 0
        self.losses: list[float] = []
        self.optimizer.zero_grad(set_to_none=True)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *ending: object) -> None:
        """Nothing runs by itself here."""

    def stretch(self) -> None:
        """STRETCH steps."""
        self._network.train()
        for _ in range(STRETCH):
            rate = _cosine(self.workload, self.iteration, self.steps)
            for group in self.optimizer.param_groups:
                group["lr"] = rate
            x, y = self._get_batch()
            logits = self._network(input_ids=x, use_cache=False).logits
            loss = F.cross_entropy(logits.view(-1, logits.size(-1)), y.view(-1), ignore_index=-1)
            loss.backward()
            torch.nn.utils.clip_grad_norm_(self.model.parameters(), self.workload.gradient_clip_norm)
            self.optimizer.step()
            self.optimizer.zero_grad(set_to_none=True)
            if self.iteration % STRETCH == 0:
                self.losses.append(loss.item())
            self.iteration += 1

    def _get_batch(self) -> tuple[torch.Tensor, torch.Tensor]:
        """nanoGPT draws its places; these are those that ours sees."""
        data, length = self._data, self.workload.sequence_length
        places = self._offsets[self.iteration]
        x = torch.stack([torch.from_numpy(data[i : i + length].astype(np.int64)) for i in places])
        y = torch.stack([torch.from_numpy(data[i + 1 : i + 1 + length].astype(np.int64)) for i in places])
        return x, y


def _cosine(workload: LlmFinetune, iteration: int, steps: int) -> float:
    return workload.learning_rate * 0.5 * (1.0 + math.cos(math.pi * iteration / steps))
