"""Trainings' own logs: torchtitan, Megatron-LM, NeMo, Hugging Face Trainer; failures in them."""

from __future__ import annotations

import pytest
from audit_logs import BY_HAND, CAPTURED, read, read_text, training


def test_a_captured_torchtitan_log_gives_the_time_between_its_lines() -> None:
    log = training(read(CAPTURED / "torchtitan_llama3_8b_8xh100.log").facts)
    assert [(step.step, step.count) for step in log.steps] == [(10, 9), (20, 10), (30, 10), (40, 10)]
    # tps times seconds is the tokens of a step of one device, 8,192: two figures of the log that agree
    for step, tps in zip(log.steps, (6344, 6321, 6300, 6291), strict=True):
        assert step.seconds * tps == pytest.approx(8192, rel=1e-3)
    assert log.mfu == pytest.approx((0.0349, 0.3715, 0.3701, 0.3689, 0.3684))


def test_checkpoints_are_taken_out_of_torchtitans_steps_and_validations_are_not_timed() -> None:
    found = read(BY_HAND / "torchtitan_checkpoints_by_hand.log")
    log = training(found.facts)
    assert [(step.step, step.seconds) for step in log.steps] == [(11, 2.0), (21, 2.0), (41, 2.0)]
    assert [(save.seconds, save.step) for save in log.saves] == [(6.0, 11)]
    assert log.notes == (
        "2 ranks print; rank 0 is followed",
        "10 steps are not timed: a validation or a restart lies between their lines",
    )
    assert found.skipped["torchtitan: a metrics line that is not whole"] == 1


@pytest.mark.parametrize("hours", [1, -1])
def test_a_clock_that_was_set_is_not_taken_for_a_slow_step(hours: int) -> None:
    form = (
        "[rank0]:[titan] 2026-03-01 {:02d}:00:{:02d},000 - root - INFO - step: {}  loss: 1.0  memory: 1  tps: {}\n"
    )
    seconds = [0, 2, 4, 8, 10, 12, 14]
    lines = [
        form.format(10 if n < 5 else 10 + hours, at, n, "2,000" if n == 4 else "4,000")
        for n, at in enumerate(seconds, start=1)
    ]
    log = training(read_text("".join(lines)).facts)
    # step 4 was slow by its tps as well, and stays
    assert [(step.step, step.seconds) for step in log.steps] == [(2, 2.0), (3, 2.0), (4, 4.0), (6, 2.0), (7, 2.0)]
    assert log.notes == ("1 steps are not timed: the clock and the tokens per second contradict",)


def test_a_restart_is_not_timed() -> None:
    form = "[rank0]:[titan] 2026-03-01 10:00:{:02d},000 - root - INFO - step: {}  loss: 1.0  memory: 1GiB  tps: 1\n"
    log = training(read_text("".join(form.format(s, n) for s, n in ((0, 1), (2, 2), (30, 1), (32, 2)))).facts)
    assert [step.seconds for step in log.steps] == [2.0, 2.0]


def test_the_parts_of_a_captured_megatron_log_add_up_to_its_iterations() -> None:
    found = read(CAPTURED / "megatron_gpt2_64xv100.out")
    log = training(found.facts)
    assert [step.seconds for step in log.steps] == pytest.approx([150.8917, 123.8963, 124.3622, 122.224])
    for step, parts in zip(log.steps, log.parts, strict=True):
        assert sum(parts.seconds.values()) == pytest.approx(step.seconds, rel=1e-3)
    assert log.parts[1].seconds["communication"] == pytest.approx(16.41763)
    assert found.skipped == {"lines of no known form": 5}


def test_the_time_limit_in_a_captured_log_is_one_failure_of_the_job() -> None:
    failures = read(CAPTURED / "megatron_gpt2_64xv100.out").facts.failures
    assert [(failure.kind, failure.host) for failure in failures] == [("timeout", "r6i4n5")]


def test_megatrons_timers_of_ranks_and_checkpoints() -> None:
    log = training(read(BY_HAND / "megatron_timers_of_all_ranks_by_hand.log").facts)
    first, second = log.parts
    assert first.own_seconds == pytest.approx({0: 0.800, 1: 0.807, 2: 0.797, 3: 1.150})
    assert first.seconds["communication"] == pytest.approx(0.040)
    assert second.spread == pytest.approx((0.796, 1.153))
    # computation without the batch generator, with the optimizer, whose parts do not count again
    assert second.seconds["compute"] == pytest.approx(0.451 + 0.702 + 0.021 - 0.006)
    assert second.seconds["communication"] == pytest.approx(0.039)
    assert [(save.seconds, save.step) for save in log.saves] == [(3.42, 20)]
    assert log.unmeasured_saves == 0


def test_what_others_print_into_a_block_of_timers_ends_it_not() -> None:
    text = (BY_HAND / "megatron_timers_of_all_ranks_by_hand.log").read_text()
    mixed = text.replace(
        "    all-grads-sync ..", "r7i4n4:5809:6249 [2] NCCL INFO Init COMPLETE\n    all-grads-sync .."
    )
    assert training(read_text(mixed).facts) == training(read_text(text).facts)


def test_labels_of_ranks_before_megatrons_lines() -> None:
    text = (BY_HAND / "megatron_timers_of_all_ranks_by_hand.log").read_text()
    labelled = "".join(f"[default7]:{line}\n" for line in text.split("\n")[:-1])
    assert training(read_text(labelled).facts) == training(read_text(text).facts)


def test_nemo_as_lines_and_as_a_bar_and_a_step_printed_twice() -> None:
    text = (BY_HAND / "nemo2_by_hand.log").read_text()
    log = training(read_text(text + text).facts)
    assert [(step.step, step.seconds) for step in log.steps] == [
        (0, 31.5),
        (1, 7.123),
        (2, 7.101),
        (3, 7.11),
    ]


def test_a_captured_run_of_the_trainer() -> None:
    log = training(read(CAPTURED / "huggingface_trainer.log").facts)
    assert (log.seconds, log.steps_done, log.unmeasured_saves) == (0.3209, 20, 2)
    state = training(read(CAPTURED / "huggingface_trainer_state.json").facts)
    assert (state.seconds, state.steps_done) == (0.3209, 20)


def test_a_trainer_that_was_stopped_is_as_far_as_its_last_bar() -> None:
    bar = "\r 12%|#2        | 12/100 [00:24<02:56,  2.00s/it]\n"
    log = training(read_text("{'loss': nan, 'learning_rate': 5e-05, 'epoch': 0.1}\n" + bar).facts)
    assert (log.seconds, log.steps_done) == (24.0, 12)
    assert "12 of 100" in log.notes[0]


def test_a_bar_of_something_else_is_no_training() -> None:
    assert read_text("100%|####| 12/12 [00:24<00:00,  2.00s/it]\n").facts.empty


def test_device_errors_name_the_node_and_those_of_programs_do_not_accuse_it() -> None:
    failures = read(BY_HAND / "kernel_xid_by_hand.log").facts.failures
    assert [(failure.kind, failure.host) for failure in failures] == [("xid", "node-7"), ("crashed", "node-8")]
