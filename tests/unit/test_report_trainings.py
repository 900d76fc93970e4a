"""The page on trainings: each quality, where step time goes, routing, convergence points, resumptions."""

from __future__ import annotations

import re

import pytest
from study_on_disk import FINETUNE, GEMM, LAPTOP, training_measurements
from test_figures import drawn, words_of
from test_report import Page, made
from trainings_on_disk import (
    DIFFUSION,
    EXTERNAL,
    GOAL,
    H100S,
    HYBRID,
    MOE,
    TWO_RANKS,
    energy,
    evaluations,
    in_samples,
    ranks,
    routed,
    split,
)

from seatrial.record import measurement
from seatrial.reference import own_points
from seatrial.reference.own_points import Point, key_of
from seatrial.report.page import report


def all_trainings(make_study, folder="trial", **words):
    """A study with two completed repeats of every kind of training on two ranks."""
    study = make_study(folder, target=TWO_RANKS, **words)
    (tune,) = study.experiment("finetune", FINETUNE, 2)
    (diffusion,) = study.experiment("diffusion", DIFFUSION, 2)
    (hybrid,) = study.experiment("retrieval", HYBRID | {"also": [{**GOAL, "target": 0.5}]}, 2)
    (command,) = study.experiment("command", EXTERNAL | {"quality": GOAL}, 2)
    for repeat in (0, 1):
        steps = split([0.6], [0.2], [0.1], [0.1])
        stalled = split([0.5], [0.2], [0.1], [0.1], stalls=[0.1])
        losses = evaluations("evaluation_loss", {0: 5.0, 10: 2.4})
        study.record(tune, repeat, *training_measurements(1.0), *steps, *ranks(1.0, 1.2), *losses)
        distances = evaluations("frechet_distance", {0: 120.0, 10: 9.0, 20: 2.2})
        found = [*in_samples(2.0), *stalled, *ranks(1.0, 1.0), *distances]
        study.record(diffusion, repeat, *found, resumed=2 * repeat)
        answers = evaluations("retrieval_accuracy", {0: 0.1, 20: 0.97})
        losses = evaluations("evaluation_loss", {0: 2.7, 20: 0.4})
        study.record(hybrid, repeat, *training_measurements(3.0), *steps, *answers, *losses)
        study.record(command, repeat, *training_measurements(4.0))
    layouts = [{"ep": 1}, {"ep": 1}, {"ep": 2}, {"ep": 2}]
    axes = {"workload.experts": [4, 8, 4, 8], "workload.parallelism": layouts}
    for case in study.experiment("moe", MOE, 2, axes):
        alone = case.workload.parallelism.ep == 1
        share = None if alone else 0.2 + case.workload.experts / 100
        measured = [*routed(2.0, share), *split([0.7], [0.0 if alone else 0.3])]
        for repeat in (0, 1):
            study.record(case, repeat, *training_measurements(1.0), *measured)
    return study


def cells(page: Page, table: str, study) -> list[list[str]]:
    """The rows of a table of the page, each cell's text."""
    text = study.paths.report.read_text(encoding="utf-8")
    body = re.search(rf'<table id="table-{table}".*?<tbody[^>]*>(.*?)</tbody>', text, re.DOTALL)
    assert body, table
    rows = re.findall(r"<tr[^>]*>(.*?)</tr>", body.group(1), re.DOTALL)
    return [[Page(cell).text for cell in re.findall(r"<t[hd][^>]*>(.*?)</t[hd]>", row, re.DOTALL)] for row in rows]


def test_each_quality_has_a_figure_with_its_own_targets(make_study):
    figures = drawn(all_trainings(make_study))
    names = ["loss", "frechet_distance", "retrieval_accuracy"]
    assert [name for name in figures if name in names] == names
    assert "evaluation loss, nats/token" in words_of(figures["loss"].svg)
    # of the hybrid the loss is the other quality, and its target stands here with the fine-tune's own
    assert {"target 2.5", "target 0.5"} <= set(words_of(figures["loss"].svg))
    assert not any("0.95" in word for word in words_of(figures["loss"].svg))
    assert "quality target 2.5" in words_of(figures["frechet_distance"].svg)
    assert "quality target 0.95" in words_of(figures["retrieval_accuracy"].svg)
    assert "share" in " ".join(words_of(figures["retrieval_accuracy"].svg))


def test_frechet_distances_have_a_log_scale_with_plain_numbers(make_study):
    words = words_of(drawn(all_trainings(make_study))["frechet_distance"].svg)
    assert {"5", "10", "50", "100"} <= set(words)
    assert not any("$" in word for word in words)


def test_where_step_time_goes_stands_in_figure_and_table(make_study):
    study = all_trainings(make_study)
    page = made(study)
    rows = {row[0].split(" 2 of")[0]: row for row in cells(page, "step-time", study)}
    assert [cell.split(" %")[0] for cell in rows["diffusion"][1:6]] == ["50", "20", "10", "10", "10"]
    assert rows["finetune"][4] == "- no checkpoints"
    assert rows["finetune"][6].startswith("60 %")
    command = next(row for name, row in rows.items() if name.startswith("command"))
    assert "does not say where" in command[0] and command[1:] == ["-"] * 6
    caption = drawn(study)["step_time"].caption
    assert "finetune: compute 60 %, exposed communication 20 %, data wait 10 %, other 10 %" in caption
    assert "command" not in caption


def test_what_was_not_measured_is_a_dash_with_a_word_and_never_zero(make_study):
    study = all_trainings(make_study)
    page = made(study)
    use = {row[0].split()[0]: row for row in cells(page, "utilisation", study)}
    assert use["finetune"][1] == "- not measured"
    assert use["finetune"][4].startswith("1.09 ") and "rank 1" in use["finetune"][4]
    assert use["retrieval"][4] == "- not measured"
    assert use["finetune"][5] == "- no sensor answered"
    command = next(row for row in cells(page, "step-time", study) if row[0].startswith("command"))
    for cell in [*command[1:], *use["retrieval"][1:]]:
        assert cell.startswith("-"), cell


def test_energy_power_and_mfu_stand_where_they_were_measured(make_study):
    study = make_study(target=H100S)
    (case,) = study.experiment("finetune", FINETUNE)
    watts = [measurement("telemetry.power", [500.0], {"device": f"cuda:{r}", "rank": r}) for r in (0, 1)]
    used = [measurement("train.mfu", [0.412]), measurement("train.hfu", [0.5])]
    joules = energy({"cuda:0": 6000.0, "cpu": 100.0}) + energy({"cuda:1": 6300.0}, rank=1)
    study.record(case, 0, *training_measurements(1.0), *split([1.0]), *watts, *used, *joules)
    (row,) = cells(made(study), "utilisation", study)
    assert row[1:3] == ["41.2 %", "50 %"]
    assert row[5] == "12.3 kJ all accelerators, 100 J of processors"
    assert row[6] == "500 W each accelerator"
    assert "not profiled" in cells(made(study), "step-time", study)[0][2]


def test_routing_has_a_table_and_figures(make_study):
    study = all_trainings(make_study)
    page = made(study)
    rows = cells(page, "routing", study)
    assert len(rows) == 4
    alone, shared = rows[0], rows[-1]
    assert alone[1].startswith("4") and alone[6] == "- not shared" and alone[5] == "- dropless"
    assert shared[1].startswith("8") and shared[6].startswith("28 %") and shared[4].startswith("1.25")
    figures = drawn(study)
    assert "ep 2, tp 1, dp 1, 8 experts" in figures["routing"].caption
    assert "all-to-all, share of step time 28 %" in figures["routing"].caption
    assert "layer 1" in words_of(figures["expert_imbalance"].svg)


def test_model_flops_stand_beside_the_other_utilisation_where_they_are_known(make_study):
    study = make_study(target=TWO_RANKS)
    for case in study.experiment("finer", MOE, axes={"workload.experts": [8, 16]}):
        used = measurement("train.mfu", [0.4 if case.workload.experts == 8 else 0.3])
        study.record(case, 0, *training_measurements(1.0), *routed(2.0, share=0.2), *split([1.0]), used)
    figure = drawn(study)["routing"]
    assert "model FLOPs utilisation 30 %" in figure.caption
    assert [row["mfu"] for row in figure.data.rows] == [0.4, 0.3]
    assert "tables/step_time.csv" in figure.records.tables


def test_axes_that_change_with_the_experts_leave_one_line_for_each_layout(make_study):
    """As in the shipped study: finer experts, of which each byte meets more, on two layouts of ranks."""
    study = make_study(target=TWO_RANKS)
    sizes = {8: (2, 64), 16: (4, 32), 32: (8, 16)}
    layouts = ({"ep": 1, "tp": 2}, 4), ({"ep": 2, "tp": 1}, 2)
    points = [(n, shared, batch, rate) for n in sizes for shared, batch in layouts for rate in (0.01, 0.02)]
    axes = {
        "workload.experts": [n for n, *_ in points],
        "workload.top_k": [sizes[n][0] for n, *_ in points],
        "workload.expert_size": [sizes[n][1] for n, *_ in points],
        "workload.parallelism": [shared for _, shared, *_ in points],
        "workload.batch_size": [batch for *_, batch, _ in points],
        "workload.learning_rate": [rate for *_, rate in points],
    }
    for case in study.experiment("finer", MOE, axes=axes):
        study.record(case, 0, *training_measurements(1.0), *routed(2.0, share=0.2), *split([1.0]))
    figures = drawn(study)
    assert any(words.startswith("experts 16, parallelism") for words in words_of(figures["expert_imbalance"].svg))
    caption = figures["routing"].caption
    drawn_points = [part.strip().partition(":")[0] for part in caption.split(";")]
    assert drawn_points == [
        f"{layout}, learning_rate {rate}, {n} experts (expert_size {sizes[n][1]}, top_k {sizes[n][0]})"
        for layout in ("ep 1, tp 2", "ep 2, tp 1")
        for rate in (0.01, 0.02)
        for n in sizes
    ]


def test_a_single_number_of_experts_makes_no_figure_over_experts(make_study):
    study = make_study()
    (case,) = study.experiment("moe", MOE)
    study.record(case, 0, *training_measurements(1.0), *routed(2.0), *split([1.0]))
    assert "routing" not in drawn(study)
    assert "expert_imbalance" in drawn(study)


def test_the_page_says_how_often_a_repeat_was_resumed(make_study):
    page = made(all_trainings(make_study))
    assert "1 of 16 repeats was taken up from a checkpoint" in page.text
    assert "diffusion, repeat 1, twice" in page.text


def test_the_page_says_that_no_repeat_was_resumed(make_study):
    study = make_study()
    (case,) = study.experiment("finetune", FINETUNE, 2)
    study.trained(case, [1.0])
    assert "No repeat was taken up from a checkpoint" in made(study).text


@pytest.mark.parametrize(
    ("samples", "words"),
    [(500.0, "faster: not the same work"), (1000.0, "as the reference"), (2000.0, "slower")],
)
def test_convergence_points_stand_under_time_to_quality(make_study, monkeypatch, samples, words):
    study = make_study()
    (case,) = study.experiment("finetune", FINETUNE, 3)
    key, batch = key_of(case)
    seeds = [990.0, 1000.0, 1010.0] * 3
    point = Point(
        name="f", key=key, global_batch_size=batch, samples=seeds, seeds=list(range(9)), data={}, source="a test"
    )
    monkeypatch.setattr(own_points, "shipped_points", lambda: (point,))
    for repeat in range(3):
        found = measurement("train.samples_to_evaluation", [samples])
        study.record(case, repeat, *training_measurements(1.0), found)
    page = made(study)
    (row,) = cells(page, "convergence", study)
    assert row[4] == words
    assert row[2].startswith("1000")
    assert page.ids.index("time-to-quality") < page.ids.index("table-convergence") < page.ids.index("step-time")


def test_telemetry_and_trainings_figures_are_no_probes(make_study):
    study = make_study()
    (case,) = study.experiment("finetune", FINETUNE)
    busy = measurement("telemetry.utilisation", [50.0], {"device": "cpu", "rank": 0})
    study.record(case, 0, *training_measurements(1.0), busy)
    page = made(study)
    assert "table-probes" not in page.ids
    assert "table-sampled" in page.ids


def test_a_bound_on_a_share_has_no_unit(make_study):
    study = make_study()
    (case,) = study.experiment("finetune", FINETUNE)
    study.record(case, 0, *training_measurements(1.0), *split([1.0]))
    study.criterion("productive", "train.productive_fraction", at_least=0.5)
    assert cells(made(study), "criteria", study)[0][3] == "at least 0.5 95 % sure"


def test_a_study_without_trainings_has_none_of_these_sections(make_study):
    study = make_study()
    study.experiment("gemm", GEMM)
    assert not {"step-time", "routing", "table-convergence"} & set(made(study).ids)


def test_planted_markup_in_reasons_stays_text(make_study):
    script = "<script>alert('x')</script>"
    study = make_study(target=LAPTOP)
    (case,) = study.experiment("finetune", FINETUNE)
    study.record(case, 0, *training_measurements(1.0), *split([1.0]), provenance={"utilisation": script})
    page = made(study)
    assert page.tags.count("script") == len(page.scripts) == 1
    assert script in page.text


def test_the_same_trainings_give_the_same_bytes(make_study):
    one, two = all_trainings(make_study, "one"), all_trainings(make_study, "two")
    for study in (one, two):
        report(study.analyse())
    assert one.paths.report.read_bytes() == two.paths.report.read_bytes()
    names = sorted(file.name for file in one.paths.figures.iterdir())
    assert {"step_time.svg", "routing.svg", "expert_imbalance.svg", "frechet_distance.svg"} <= set(names)
    for name in names:
        assert (one.paths.figures / name).read_bytes() == (two.paths.figures / name).read_bytes()


def test_tables_and_figures_of_trainings_can_be_read_aloud(make_study):
    page = made(all_trainings(make_study))
    assert page.tags.count("caption") == page.tags.count("table")
    assert len(page.ids) == len(set(page.ids))
    titled = [found for tag, found in page.attributes if tag == "svg"]
    assert all(set(found["aria-labelledby"].split()) <= set(page.ids) for found in titled)
