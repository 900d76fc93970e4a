"""Small synthetic studies on disk, made of the real schemas, for the tests of the tables and the page."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from seatrial.analysis.analyse import analyse
from seatrial.analysis.collect import collect
from seatrial.case import Case, case_id
from seatrial.config.study import Study
from seatrial.config.training import Training
from seatrial.paths import StudyPaths, write_text
from seatrial.record import Error, Measurement, Quality, Record, measurement

GEMM = {"kind": "gemm", "m": 128, "n": 128, "k": 128}
COLLECTIVE = {"kind": "collective", "operation": "all_reduce", "size_bytes": 4096}
FINETUNE = {
    "kind": "llm_finetune",
    "model": {"source": "pretrained", "name": "tiny"},
    "dataset": {"source": "files", "train": ["a.txt"], "evaluation": ["b.txt"]},
    "lora": {"rank": 4, "alpha": 8.0, "target_modules": ["q_proj"]},
    "quality": {"metric": "evaluation_loss", "target": 2.5},
    "sequence_length": 64,
    "batch_size": 4,
    "learning_rate": 1e-3,
    "max_steps": 100,
    "evaluation_interval_steps": 10,
    "evaluation_sequences": 8,
}
LAPTOP = {
    "name": "laptop",
    "description": "a laptop",
    "nodes": 1,
    "accelerators_per_node": 0,
    "tasks_per_node": 1,
    "device": "cpu",
}
B200 = {
    "name": "b200x8",
    "description": "eight B200",
    "nodes": 1,
    "accelerators_per_node": 8,
    "tasks_per_node": 8,
    "device": "cuda",
    "accelerator": {"name": "B200", "vendor": "NVIDIA", "family": "B200"},
}
FLORIDA = {
    "round": "v5.1",
    "submitter": "University-of-Florida",
    "system": "HiPerGator NVIDIA DGX B200 (8x B200-SXM-180GB)",
}


class StudyOnDisk:
    """A study folder: `experiment` plans cases, `write` writes study.json and cases, the rest what repeats left."""

    def __init__(self, root: Path, **study: Any) -> None:
        self.paths = StudyPaths(root)
        self.study: dict[str, Any] = {"name": "trial", "title": "A trial", "target": LAPTOP, **study}
        self.study.setdefault("experiments", {})
        self.planned: list[Case] = []
        self.plan_words: dict[str, Any] = {}
        """What the plan says otherwise: hours, cost."""

    def experiment(
        self,
        name: str,
        workload: Mapping[str, Any],
        repeats: int = 1,
        axes: Mapping[str, Sequence[Any]] | None = None,
    ) -> list[Case]:
        """Plan one case per value of the (zipped) axes of `workload` and `target`; the cases."""
        self.study["experiments"][name] = {"workload": dict(workload), "repeats": repeats}
        axes = axes or {}
        points = [dict(zip(axes, values, strict=True)) for values in zip(*axes.values(), strict=True)] or [{}]
        made = []
        for point in points:
            resolved = dict(workload) | _of(point, "workload.")
            made.append(self._case(name, resolved, repeats, point))
        self.planned += made
        self.write()
        return made

    def _case(self, name: str, workload: Mapping[str, Any], repeats: int, point: Mapping[str, Any]) -> Case:
        content = {"study": self.study["name"], "experiment": name, "repeats": repeats, "base_seed": 7}
        target = {**self.study["target"], **_of(point, "target.")}
        draft = Case.model_validate(
            {**content, "case_id": "draft", "workload": workload, "target": target, "axes": point}
        )
        found = case_id(name, draft.workload, draft.target, draft.base_seed)
        return draft.model_copy(update={"case_id": found})

    def criterion(self, name: str, metric: str, **words: Any) -> None:
        self.study.setdefault("criteria", []).append({"name": name, "metric": metric, **words})
        self.write()

    def write(self) -> None:
        """Write study.json and the cases as the plan does."""
        study = Study.model_validate(self.study)
        repeats = sum(case.repeats for case in self.planned)
        content = {
            "schema_version": 1,
            "study": study.model_dump(mode="json"),
            "cases": [case.case_id for case in self.planned],
            "plan": {"repeats": repeats, "accelerator_hours": 0.0, "node_hours": repeats / 6, "cost": None}
            | self.plan_words,
            "command": [f"study={study.name}"],
        }
        write_text(self.paths.study, json.dumps(content))
        for case in self.planned:
            case.write(self.paths.case(case.case_id))

    def record(self, case: Case, repeat: int, *measurements: Measurement, **words: Any) -> Path:
        """Write a record, completed unless `words` say otherwise."""
        path = self.paths.record(case.case_id, repeat)
        content: dict[str, Any] = {
            "study": case.study,
            "case_id": case.case_id,
            "repeat": repeat,
            "seed": case.seed(repeat),
            "workload": case.workload.kind,
            "target": case.target.name,
            "outcome": "completed",
            "started_at": f"2026-01-02T03:0{repeat % 10}:00+00:00",
            "finished_at": f"2026-01-02T03:0{repeat % 10}:30+00:00",
            "measurements": list(measurements),
            "provenance": {"hosts": ["n1", "n2"]},
        }
        if isinstance(case.workload, Training) and words.get("outcome", "completed") == "completed":
            content["quality"] = planned_crossing(case.workload)
        if "started_at" in words:
            content["finished_at"] = words["started_at"]
        Record(**{**content, **words}).write(path)
        return path

    def failed(self, case: Case, repeat: int, kind: str = "crashed", message: str = "it died") -> Path:
        return self.record(case, repeat, outcome="failed", error=Error(kind=kind, message=message, rank=1))

    def gemm(self, case: Case, values: Sequence[float], ceiling: float | None = None) -> None:
        """A completed gemm record for each repeat, five samples about each of `values` (TFLOP/s)."""
        basis = None if ceiling is None else "dense peak"
        for repeat, value in enumerate(values):
            samples = [value * factor for factor in (0.99, 0.995, 1.0, 1.005, 1.01)]
            found = measurement("gemm.throughput", samples, {"dtype": "float32"}, ceiling, basis)
            self.record(case, repeat, found)

    def trained(self, case: Case, minutes: Sequence[float]) -> None:
        """A completed training record for each repeat that met its target after `minutes`."""
        for repeat, value in enumerate(minutes):
            self.record(case, repeat, *training_measurements(value), quality=crossing(value))

    def attempts(self, case: Case, repeat: int, *entries: Mapping[str, Any]) -> None:
        write_text(self.paths.attempts(case.case_id, repeat), json.dumps(list(entries)))

    def analyse(self) -> StudyPaths:
        """Run collect and analyse; the paths."""
        collect(self.paths)
        analyse(self.paths)
        return self.paths


def _of(point: Mapping[str, Any], prefix: str) -> dict[str, Any]:
    return {key.removeprefix(prefix): value for key, value in point.items() if key.startswith(prefix)}


def planned_crossing(workload: Training) -> Quality:
    """The quality of a training that crossed the planned target after a minute."""
    planned = workload.quality
    return Quality(
        metric=planned.metric, target=planned.target, crossing={"step": 15, "samples": 60, "minutes": 1.0}
    )


def training_measurements(minutes: float) -> list[Measurement]:
    """What a training that met its target after `minutes` leaves."""
    return [
        measurement("train.time_to_quality", [minutes]),
        measurement("train.mlperf_minutes", [minutes]),
        measurement("train.time_to_evaluation", [minutes * 1.1]),
        measurement("train.samples_to_quality", [minutes * 100]),
        measurement("train.throughput", [6400.0]),
    ]


def crossing(minutes: float) -> Quality:
    """The quality of a training that met its target after `minutes`."""
    return Quality(
        metric="evaluation_loss",
        target=2.5,
        before={"step": 10, "samples": 40, "minutes": minutes * 0.9, "value": 2.6},
        after={"step": 20, "samples": 80, "minutes": minutes * 1.1, "value": 2.4},
        crossing={"step": 15, "samples": 60, "minutes": minutes},
    )
