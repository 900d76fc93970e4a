"""What the Snakefile asks of a study: file names, inputs and resources. No rule decides anything itself."""

from __future__ import annotations

import datetime as dt
import json
import os
import shlex
import sys
from collections.abc import Callable, Mapping
from functools import cached_property
from pathlib import Path
from typing import Any, NoReturn

from seatrial.case import Case
from seatrial.checks import check_plan
from seatrial.errors import EXIT_USAGE, ConfigError, SeatrialError, nearest_name
from seatrial.figure_index import labels_of
from seatrial.job_resources import measure_resources, prepare_resources
from seatrial.literally import as_it_is, without_wildcards
from seatrial.long_lived import kept_for_good
from seatrial.modules import keep_hooks
from seatrial.paths import SURVEY_TABLES, StudyPaths, write_text
from seatrial.plan import WORD_FORM, make_plan
from seatrial.plan_text import totals
from seatrial.planned import Plan
from seatrial.reruns import ended_badly, keep_aside, read_reruns
from seatrial.study_folder import conf_folder
from seatrial.study_lock import StudyLock, working
from seatrial.unusable import find_unusable, only_reads, put_unusable_aside
from seatrial.wanted_tables import tables_of_workloads

CONFIG_KEYS = ("study", "target", "economics", "results", "overrides", "rerun", "against")
RERUN = ("failed",)
MEASURING = "measuring"
"""Snakemake's resource of which every repeat takes one: what `max_parallel` limits."""


@kept_for_good
def load_study(config: Mapping[str, Any], workflow: Any) -> Wiring:
    """The study that `snakemake --config` names. Reads configuration only; writes nothing.

    A mistake is printed as one error and ends Snakemake with exit code 2.
    """
    # rules call `seatrial`: the one beside the running interpreter, also where no environment was activated
    own = str(Path(sys.executable).parent)
    if own not in os.environ.get("PATH", "").split(os.pathsep):
        os.environ["PATH"] = own + os.pathsep + os.environ.get("PATH", "")
    try:
        words = words_of(config)
        conf = conf_folder(Path(workflow.basedir))
        plan = make_plan(words, conf)
        check_plan(plan)
        if workflow.is_main_process:
            print("\n".join([f"study {plan.study.name}:", *totals(plan, dt.date.today())]), file=sys.stderr)
        plan.refuse_if_too_large()
        wiring = Wiring(plan, _results_folder(config, plan.study.name), conf, config.get("against"))
        if config.get("rerun") == "failed":
            wiring.ask_for_failed()
        if workflow.is_main_process:
            wiring.settle_with(workflow)
    except SeatrialError as problem:
        _give_up(problem)
    keep_hooks(wiring, workflow)
    return wiring


def words_of(config: Mapping[str, Any]) -> list[str]:
    """Snakemake's --config as override words.

    Raises ConfigError for an unknown key, an override that YAML tore apart or an unknown `rerun`.
    """
    for key, value in config.items():
        if key not in CONFIG_KEYS:
            raise ConfigError(
                "unknown key in --config",
                file="command line",
                key=key,
                value=value,
                allowed=CONFIG_KEYS,
                nearest=nearest_name(key, CONFIG_KEYS),
            )
    rerun = config.get("rerun")
    if rerun is not None and rerun not in RERUN:
        raise ConfigError("cannot rerun this", file="command line", key="rerun", value=rerun, allowed=RERUN)
    words = [f"{key}={config[key]}" for key in ("study", "target", "economics") if config.get(key) is not None]
    overrides = config.get("overrides") or []
    if isinstance(overrides, str):
        overrides = [overrides]
    if not isinstance(overrides, list) or not all(isinstance(word, str) for word in overrides):
        raise ConfigError(
            "an override is a quoted word, overrides a list of them",
            file="command line",
            key="overrides",
            value=overrides,
            allowed=WORD_FORM,
        )
    return words + overrides


def _results_folder(config: Mapping[str, Any], study: str) -> Path:
    folder = without_wildcards(str(config.get("results") or "results"), "results")
    wanted = Path(folder).absolute() / study
    there = next(p for p in (wanted, *wanted.parents) if p.exists())
    if not there.is_dir() or not os.access(there, os.W_OK | os.X_OK):
        raise ConfigError(
            "studies cannot be written here",
            file="command line",
            key="results",
            value=folder,
            allowed="a folder that can be made and written"
            + (f"; {there} cannot be written" if there.is_dir() else f"; {there} is a file"),
        )
    return Path(folder)


def _give_up(problem: SeatrialError) -> NoReturn:
    print(f"seatrial: {problem}", file=sys.stderr, flush=True)
    sys.exit(EXIT_USAGE)


class Wiring:
    """File names, inputs and resources of one study, as Snakemake's rules want them."""

    def __init__(self, plan: Plan, results: Path, conf: Path, against: object = None) -> None:
        self.plan, self.conf = plan, as_it_is(str(conf))
        self.paths = StudyPaths(results / plan.study.name)
        self.earlier = _earlier_study(against, self.paths) if against is not None else None
        self.words, self.digest = as_it_is(list(plan.words)), plan.digest
        self._cases = {case.case_id: case for case in plan.cases}
        self._workflow: Any = None
        self._lock, self._with_unusable = StudyLock(self.paths.lock), False
        self._reruns = read_reruns(self.paths.reruns)
        self._asked_again: list[tuple[str, int, int]] = []
        paths = self.paths
        self.root, self.study_file, self.report = str(paths.root), str(paths.study), str(paths.report)
        # named by its content: also where Snakemake's own notes got lost, a changed study is planned again
        self.planned, self.summary = str(paths.planned(self.digest)), str(paths.summary)
        self.verdicts, self.comparison = str(paths.verdicts), str(paths.comparison)
        self.findings, self.decisions = str(paths.findings), str(paths.decisions)
        self.time_to_quality, self.references = str(paths.time_to_quality), str(paths.references_used)
        self.measurements, self.repeats = str(paths.measurements), str(paths.repeats)
        tables = [str(Path(name).expanduser()) for name in plan.study.references.tables]
        self.published_tables = [without_wildcards(name, "references.tables") for name in tables]
        self.survey = [str(paths.survey(n)) for n in SURVEY_TABLES] if plan.study.references.survey else []
        self.of_workloads = tables_of_workloads(plan, paths)
        # a param and no input: Snakemake removes what a rule of it could make
        self.ingested = plan.digest_of_ingested(paths)
        # the earlier study's tables and ours beside them, where one is named
        self.earlier_tables = _collected_of(self.earlier) if self.earlier is not None else []
        self.against = [str(paths.against), str(paths.against_changes)] if self.earlier is not None else []
        self.against_option = ["--against", str(self.earlier.root)] if self.earlier is not None else []
        self.against_words = as_it_is(self.against_option)
        self.figures, self.junit = str(paths.figures), str(paths.root / "junit.xml")
        self.figure_labels, self.figures_log = labels_of(paths.figure_index), str(paths.logs / "figures.log")
        self.plan_log, self.collect_log = str(paths.logs / "plan.log"), str(paths.logs / "collect.log")
        self.analyse_log, self.report_log = str(paths.logs / "analyse.log"), str(paths.logs / "report.log")
        # patterns with wildcards
        self.case, self.record = str(paths.case("{case}")), str(paths.records / "{case}" / "{repeat}.json")
        self.measure_log = str(paths.logs / "measure" / "{case}" / "{repeat}.log")
        self.prepared = str(paths.prepared / "{prepared}" / "prepared.json")
        self.prepare_log = str(paths.logs / "prepare" / "{prepared}.log")

    @cached_property
    def records(self) -> list[str]:
        """The records that runs leave; those of ingested logs are no rule's business."""
        return [self.record.format(case=c.case_id, repeat=r) for c in self.plan.running for r in range(c.repeats)]

    @property
    def conclude(self) -> str:
        """The command that makes tables, verdicts and page of whatever is there, after a failure."""
        root, study = shlex.quote(self.root), shlex.quote(self.study_file)
        analyse = shlex.join(["seatrial", "analyse", self.root, *self.against_option])
        stages = f"seatrial collect {root} && {analyse} && seatrial report {root}"
        return f"if [ -e {study} ]; then {stages}; fi"

    @property
    def status(self) -> str:
        """The command that says what became of the repeats."""
        return f"seatrial status {shlex.quote(self.root)}"

    def _of(self, wildcards: Any) -> Case:
        return self._cases[wildcards.case]

    def prepared_of(self, wildcards: Any) -> list[str]:
        """What has to be prepared for a case, a file for each."""
        return [self.prepared.format(prepared=prepared) for prepared in self._of(wildcards).prepared_ids]

    def prepared_option(self, wildcards: Any) -> list[str]:
        """`--prepared FOLDER` for each."""
        return [word for file in self.prepared_of(wildcards) for word in ("--prepared", str(Path(file).parent))]

    @property
    def needs_prepared(self) -> Callable[[Any], list[str]] | list[str]:
        """`prepared_of`, or nothing where no case needs any: Snakemake calls a function for every job."""
        return self.prepared_of if self.plan.prepared else []

    @property
    def prepared_words(self) -> Callable[[Any], list[str]] | list[str]:
        """`prepared_option`, or nothing where no case needs any."""
        return self.prepared_option if self.plan.prepared else []

    def case_to_prepare(self, wildcards: Any) -> str:
        """A case that needs this preparation; any will do."""
        return str(self.paths.case(self._case_by_prepared[wildcards.prepared]))

    @cached_property
    def _case_by_prepared(self) -> dict[str, str]:
        return {prepared: case.case_id for case in self.plan.cases[::-1] for prepared in case.prepared_ids}

    @property
    def measure_resources(self) -> dict[str, Any]:
        """What a repeat asks the scheduler for, by the executor's resource names."""
        wanted = measure_resources(self._cases)
        return wanted if self.plan.study.max_parallel is None else {**wanted, MEASURING: 1}

    @property
    def prepare_resources(self) -> dict[str, Any]:
        """What a preparation asks the scheduler for."""
        return prepare_resources(self.plan.study.target, self.plan.prepared)

    @property
    def rerun(self) -> Callable[[Any], int] | int:
        """`rerun_of`, or 0 where nothing was ever asked for again."""
        return self.rerun_of if self._reruns else 0

    def rerun_of(self, wildcards: Any) -> int:
        """How often this repeat was asked to run again; a change makes Snakemake run it."""
        return self._reruns.get(f"{wildcards.case}/{wildcards.repeat}", 0)

    def ask_for_failed(self) -> None:
        """Ask for every repeat again whose record says failed, aborted or unsupported, or cannot be read.

        What has no record at all runs again by itself.
        """
        for case in self.plan.running:
            for repeat in range(case.repeats):
                if ended_badly(self.paths.record(case.case_id, repeat)):
                    key = f"{case.case_id}/{repeat}"
                    self._reruns[key] = self._reruns.get(key, 0) + 1
                    self._asked_again.append((case.case_id, repeat, self._reruns[key]))

    @property
    def study_of_measure(self) -> Callable[[Any], str] | str:
        """study.json; by a function where a file that is no record lies at a record's place (put aside first)."""
        return self._study_after_unusable if self._with_unusable else self.study_file

    def _study_after_unusable(self, _: Any) -> str:
        # called before Snakemake looks at any record, when it is known whether it runs anything
        if self._with_unusable:
            self._with_unusable = False
            if not (only_say := only_reads(self._workflow)):
                self._take()
            try:
                put_unusable_aside(self.paths, self.plan.running, only_say)
            except SeatrialError as problem:
                _give_up(problem)
        return self.study_file

    def settle_with(self, workflow: Any) -> None:
        """Say to Snakemake how much runs at a time, and look for what lies at the place of a record and is none."""
        self._workflow = workflow
        limit = self.plan.study.max_parallel
        if limit is not None and MEASURING not in workflow.global_resources:
            workflow.register_resource(MEASURING, limit)
        if working(self.paths.lock) is None:
            self._with_unusable = bool(find_unusable(self.paths, self.plan.running))

    def hold(self) -> None:
        """Hold the study until this process ends, however it ends; a second Snakemake is refused in words."""
        self._take()
        if self.paths.study.exists():
            self.plan.restore_cases(self.paths)
        self._keep_failed()

    def _take(self) -> None:
        settings = getattr(self._workflow, "executor_settings", None)  # none while the Snakefile is read
        try:
            self._lock.take(getattr(settings, "folder", None))
        except SeatrialError as problem:
            _give_up(problem)

    def _keep_failed(self) -> None:
        """Put the records of what is run again aside (Snakemake removes them), and note the demand."""
        for case_id, repeat, rerun in self._asked_again:
            keep_aside(self.paths.record(case_id, repeat), self.paths.failed_record(case_id, repeat, rerun))
        if self._asked_again:
            write_text(self.paths.reruns, json.dumps(self._reruns, indent=1, sort_keys=True) + "\n")


def _earlier_study(folder: object, paths: StudyPaths) -> StudyPaths:
    """The study to compare with, read once: what is wrong with it is said before anything runs."""
    # it reads tables, which takes time to import
    from seatrial.analysis.against.earlier import read_earlier

    return read_earlier(Path(without_wildcards(str(folder), "against")), than=paths.root).paths


def _collected_of(study: StudyPaths) -> list[str]:
    return [str(study.study), str(study.measurements), str(study.repeats)]
