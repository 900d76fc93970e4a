"""The study of the published results: no hardware, no repeats, tables and a page from what the package ships."""

import csv
import subprocess
import sys
from pathlib import Path

BIN = Path(sys.executable).parent
LARGEST_PAGE = 2_500_000
"""Characters; the citations of all links are about a third of it."""


def snakemake(project, *words):
    return subprocess.run(
        [str(BIN / "snakemake"), "--profile", "local", *words, "--config", "study=published"],
        cwd=project,
        capture_output=True,
        text=True,
        timeout=240,
    )


def seatrial(project, *words):
    return subprocess.run([str(BIN / "seatrial"), *words], cwd=project, capture_output=True, text=True, timeout=60)


def test_the_published_study_runs_without_hardware_and_a_second_run_finds_nothing_to_do(project):
    done = snakemake(project)
    assert done.returncode == 0, done.stderr[-3000:]
    assert "no repeats planned" in done.stdout + done.stderr
    study = project / "results" / "published"
    assert not (study / "records").exists() and not (study / "cases").exists()
    with (study / "tables" / "survey_claims.csv").open() as handle:
        verdicts = {row["claim"]: row["verdict"] for row in csv.DictReader(handle)}
    assert verdicts["spread-raw"] == "borne_out"
    assert verdicts["nvlink-against-pcie"] == "not_borne_out"
    page = (study / "report.html").read_text()
    assert page.count("<figure") == 3 and "This machine, as detected" not in page
    assert page.count('href="#result-') == page.count('" title="') > 1000, "every number shows its citation"
    assert len(page) < LARGEST_PAGE
    verdict = seatrial(project, "verdict", "results/published")
    assert (verdict.returncode, "no criteria declared" in verdict.stdout) == (0, True)
    again = snakemake(project)
    assert again.returncode == 0
    assert "Nothing to be done" in again.stdout + again.stderr


def test_the_page_is_the_same_bytes_in_another_folder_and_again(project):
    assert snakemake(project).returncode == 0
    page = project / "results" / "published" / "report.html"
    first = page.read_bytes()
    other = project / "results" / "copied"
    (project / "results" / "published").rename(other)
    assert seatrial(project, "analyse", "results/copied").returncode == 0
    assert seatrial(project, "report", "results/copied").returncode == 0
    assert (other / "report.html").read_bytes() == first
