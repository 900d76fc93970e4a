"""What a study asks of Snakemake and the scheduler."""

from pathlib import Path
from types import SimpleNamespace

import pytest

from seatrial.errors import ConfigError, StudyBusy
from seatrial.paths import PROBE_TABLES, series_file
from seatrial.plan import make_plan
from seatrial.record import Error, Record, measurement
from seatrial.study_lock import StudyLock
from seatrial.wiring import Wiring, words_of

CONF = Path(__file__).parents[2] / "conf"


def wiring(tmp_path, *words):
    limits = ["max_accelerator_hours=null", "max_node_hours=null"]
    return Wiring(make_plan(["study=demo", *words, *limits], CONF), tmp_path, CONF)


def asked(study, experiment):
    case = next(c for c in study.plan.cases if c.experiment == experiment)
    wildcards = SimpleNamespace(case=case.case_id, repeat="0")
    return {n: v(wildcards) if callable(v) else v for n, v in study.measure_resources.items()}


def test_a_repeat_asks_for_what_its_target_states_and_for_nothing_else(tmp_path):
    study = wiring(tmp_path, "target=dgx_h100", "target.nodes=2", "target.launcher.partition=gpu")
    assert asked(study, "gemm") == {
        "nodes": 2,
        "tasks_per_node": 8,
        "runtime": 5,
        "gres": "gpu:8",
        "slurm_partition": "gpu",
    }


def test_gpus_are_the_total_of_the_job_and_a_swept_target_asks_for_its_own(tmp_path):
    study = wiring(tmp_path, "target=dgx_h100", "target.nodes=2", "target.launcher.gpus_request=gpus")
    assert asked(study, "gemm")["gpus"] == 16
    assert asked(study, "all_reduce")["tasks_per_node"] == 2
    assert "gres" not in asked(study, "gemm")


def test_the_targets_container_reaches_the_executor_without_runtime(tmp_path):
    container = "{runtime: pyxis, image: 'nvcr.io#nvidia/pytorch:26.01', mounts: ['/data:/data', '/home:/home:ro']}"
    study = wiring(tmp_path, "target=dgx_h100", f"target.launcher.container={container}")
    found = asked(study, "finetune")
    assert found["container_runtime"] == "pyxis"
    assert found["container_image"] == "nvcr.io#nvidia/pytorch:26.01"
    assert found["container_mounts"] == "/data:/data,/home:/home:ro"


def test_what_all_repeats_ask_for_is_a_value_and_only_what_differs_or_grows_a_function(tmp_path):
    alike = "target.launcher.retry_time_factor=1"
    stated = ["target=dgx_h100", "target.launcher.partition=gpu", alike]
    found = wiring(tmp_path, *stated).measure_resources
    assert (found["nodes"], found["slurm_partition"]) == (1, "gpu")
    assert callable(found["tasks_per_node"]), "the demo's all_reduce has its own"
    assert callable(found["runtime"]), "the demo's experiments have their own"
    same = wiring(tmp_path, *stated, "~experiments.all_reduce", "~experiments.finetune", "criteria=[]")
    limits = [f"experiments.{name}.workload.time_limit_minutes=7" for name in ("gemm", "memory")]
    assert same.measure_resources["tasks_per_node"] == 8
    one = wiring(tmp_path, *stated, "~experiments.all_reduce", "~experiments.finetune", "criteria=[]", *limits)
    assert one.measure_resources["runtime"] == 7
    growing = [word for word in stated if word != alike] + ["target.launcher.retry_time_factor=1.1"]
    one = wiring(tmp_path, *growing, "~experiments.all_reduce", "~experiments.finetune", "criteria=[]", *limits)
    assert callable(one.measure_resources["runtime"]), "a later attempt asks for more"


def test_case_files_that_are_gone_are_written_again_and_others_left_alone(tmp_path):
    study = wiring(tmp_path, "target=local")
    study.plan.write(study.paths)
    first, second, *_ = (study.paths.case(case.case_id) for case in study.plan.cases)
    text = first.read_text()
    first.unlink()
    second.write_text("edited")
    study.plan.restore_cases(study.paths)
    assert first.read_text() == text
    assert second.read_text() == "edited", "an edited case is refused when it is measured"


def test_a_changed_plan_has_another_mark_and_a_written_one_takes_the_others_away(tmp_path):
    study, other = wiring(tmp_path, "target=local"), wiring(tmp_path, "target=local", "experiments.gemm.repeats=2")
    assert study.planned != other.planned
    for plan in (other, study):
        plan.plan.write(plan.paths)
    assert study.paths.marks_of_plans() == [Path(study.planned)]


def test_a_limit_of_half_a_minute_is_a_whole_one_for_the_scheduler(tmp_path):
    study = wiring(tmp_path, "target=dgx_h100", "experiments.gemm.workload.time_limit_minutes=0.5")
    assert asked(study, "gemm")["runtime"] == 1


def test_only_the_training_waits_for_the_prepared_model(tmp_path):
    study = wiring(tmp_path, "target=local")
    for case in study.plan.cases:
        wildcards = SimpleNamespace(case=case.case_id, repeat="0")
        needed = study.prepared_of(wildcards)
        assert len(needed) == (case.experiment == "finetune")
        expected = ["--prepared", str(Path(needed[0]).parent)] if needed else []
        assert study.prepared_option(wildcards) == expected


def test_a_repeat_run_again_keeps_its_old_record_with_its_series(tmp_path):
    """A completed record whose series file is another's can be asked for again, as one that cannot be read."""
    study = wiring(tmp_path, "target=local", "experiments.gemm.repeats=3")
    case = next(c for c in study.plan.cases if c.experiment == "gemm")
    words = {"study": "demo", "case_id": case.case_id, "seed": 1, "workload": "gemm", "target": "local"}
    times = {"started_at": "2026-01-01T00:00:00+00:00", "finished_at": "2026-01-01T00:01:00+00:00"}
    samples = [measurement("gemm.throughput", [1.0] * 1001)]
    paths = study.paths
    for repeat, end in ((0, "completed"), (1, "completed"), (2, "failed")):
        error = Error(kind="crashed", message="it died") if end == "failed" else None
        record = Record(**words, **times, repeat=repeat, outcome=end, error=error, measurements=samples)
        record.write(paths.record(case.case_id, repeat))
    series_file(paths.record(case.case_id, 1)).write_bytes(b"another's")
    study.ask_for_failed()
    study.hold()
    assert study._reruns == {f"{case.case_id}/1": 1, f"{case.case_id}/2": 1}
    assert Record.read(paths.failed_record(case.case_id, 2, 1)).measurements[0].samples == [1.0] * 1001


@pytest.mark.parametrize("reads", ["summary", "dryrun", "touch", None])
def test_only_what_runs_puts_aside_what_is_no_record_and_holds_the_study_then(tmp_path, reads, capsys):
    study = wiring(tmp_path, "target=local")
    record = study.paths.record(study.plan.cases[0].case_id, 0)
    record.parent.mkdir(parents=True)
    record.write_text("cut off")
    settings = None if reads == "summary" else SimpleNamespace()
    workflow = SimpleNamespace(
        execution_settings=settings, dryrun=reads == "dryrun", touch=reads == "touch", global_resources={}
    )
    assert study.study_of_measure == study.study_file
    study.settle_with(workflow)
    assert (record.exists(), study.paths.lock.exists()) == (True, False)
    assert capsys.readouterr().err == ""
    for _ in range(2):
        assert study._study_after_unusable(None) == study.study_file
    assert study.paths.lock.exists() == (reads is None)
    assert record.exists() == (reads is not None)
    (said,) = capsys.readouterr().err.splitlines()
    assert ("it is now" if reads is None else "it will be put aside") in said
    study.hold()
    with pytest.raises(StudyBusy):
        StudyLock(study.paths.lock).take()


def test_configuration_words_keep_their_order_and_are_never_split_on_commas():
    config = {"study": "demo", "target": "local", "overrides": ["a.b=[1,2]", "c=choice(1,2)"], "results": "x"}
    assert words_of(config) == ["study=demo", "target=local", "a.b=[1,2]", "c=choice(1,2)"]
    assert words_of({"overrides": "target.nodes=choice(1,2)"}) == ["target.nodes=choice(1,2)"]


@pytest.mark.parametrize(
    ("config", "words"),
    [
        ({"tarjet": "local"}, "did you mean 'target'"),
        ({"rerun": "al"}, "failed"),
        ({"overrides": {"a": 1}}, "overrides=["),
        ({"overrides": [1]}, "override"),
    ],
)
def test_what_snakemake_hands_over_wrongly_is_refused_in_words(config, words):
    with pytest.raises(ConfigError) as caught:
        words_of(config)
    assert words in str(caught.value)


def test_tables_of_workloads_are_asked_for_only_where_analyse_writes_them(tmp_path):
    def tables(study, *words):
        plan = make_plan([f"study={study}", *words], CONF)
        found = {Path(name).name for name in Wiring(plan, tmp_path, CONF).of_workloads}
        assert (found & of_all_that_runs == of_all_that_runs) == bool(plan.running)
        return found - of_all_that_runs

    of_all_that_runs = {"nodes.csv", "node_metrics.csv"}
    of_probes = {f"{name}.csv" for kind in ("gemm", "memory", "collective") for name in PROBE_TABLES.get(kind, ())}
    assert {"collective.csv", "collective_fit.csv"} <= of_probes
    assert tables("demo") == {"convergence.csv", "step_time.csv"} | of_probes
    without = tables("demo", "target=dgx_h100", "target.ablation=null,p2p_off")
    assert without == {"convergence.csv", "step_time.csv", "ablation.csv"} | of_probes
    assert tables("train") == {"convergence.csv", "step_time.csv", "routing.csv"}
    assert tables("published") == {"convergence.csv"}
