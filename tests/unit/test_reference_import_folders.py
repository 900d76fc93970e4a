"""Every way in which results are handed to `seatrial reference import`, and everything that lies among them."""

from __future__ import annotations

import datetime as dt
import io
import os
import shutil
import subprocess
import tarfile
from pathlib import Path

import pytest
from result_tables import FIXTURES, copied, fingerprint, imported, repository, table

from seatrial.errors import ConfigError, UnreadableFile
from seatrial.reference.importing import IMPORTED, import_results, unread_path

STATED = (
    *("round", "division", "availability", "submitter", "system", "accelerator_model", "accelerator_family"),
    *("accelerators", "nodes", "benchmark", "minutes", "unscaled_minutes", "rcp_factor", "runs"),
    *("successful_runs", "min_minutes", "max_minutes", "global_batch_size", "samples_to_quality", "source", "note"),
)


def test_the_table_has_the_stated_columns_and_a_row_per_result_folder(tmp_path: Path) -> None:
    rows = imported(repository("v5.0"), tmp_path / "out.csv")
    assert tuple(name for name in IMPORTED if name in STATED) == STATED
    assert len(rows) == len(list(repository("v5.0").glob("*/results/*/*")))
    row = next(r for r in rows if r["system_id"] == "hl-gb200-n16")
    assert (row["accelerators"], row["nodes"], row["accelerator_family"]) == ("64", "16", "GB200")
    assert (row["availability"], row["division"], row["round"]) == ("Available on-premise", "closed", "v5.0")
    assert float(row["minutes"]) == pytest.approx(float(row["unscaled_minutes"]) * float(row["rcp_factor"]))


def test_the_second_table_names_everything_that_could_not_be_read(tmp_path: Path) -> None:
    import_results(repository("v5.1"), tmp_path / "out.csv")
    unread = {row["path"]: row["problem"] for row in table(unread_path(tmp_path / "out.csv"))}
    assert "no result_*.txt" in unread["Fogbank/results/fb-8xh200/llama2_70b_lora"]
    assert "there is no such system description" in unread["Fogbank/systems/fb-missing.json"]
    assert "not JSON" in unread["Mudflat_json/systems/mf-json.json"]
    assert "not where a result belongs" in unread["Fogbank/results/fb-8xh200/retinanet/raw/result_9.txt"]
    assert not any("benchmarks" in path for path in unread)


def test_the_day_of_retrieval_is_as_stated_and_never_guessed(tmp_path: Path) -> None:
    assert {row["retrieved"] for row in imported(repository("v6.0"), tmp_path / "a.csv")} == {""}
    import_results(repository("v6.0"), tmp_path / "b.csv", retrieved=dt.date(2026, 11, 22))
    assert {row["retrieved"] for row in table(tmp_path / "b.csv")} == {"2026-11-22"}


def test_the_input_is_never_written_to(tmp_path: Path) -> None:
    copy = shutil.copytree(repository("v5.1"), tmp_path / "training_results_v5.1")
    before = fingerprint(copy)
    import_results(copy, tmp_path / "out.csv", workers=2)
    assert fingerprint(copy) == before


def test_an_output_inside_the_input_is_refused(tmp_path: Path) -> None:
    copy = shutil.copytree(repository("v6.0"), tmp_path / "training_results_v6.0")
    with pytest.raises(ConfigError, match="never written to"):
        import_results(copy, copy / "out.csv")
    assert not (copy / "out.csv").exists()


def test_two_workers_find_what_one_does(tmp_path: Path) -> None:
    for workers in (1, 2):
        import_results(FIXTURES, tmp_path / f"{workers}.csv", workers=workers)
    for name in ("{}.csv", "{}.unread.csv"):
        one, two = ((tmp_path / name.format(n)).read_text(encoding="utf-8") for n in (1, 2))
        assert one == two


@pytest.mark.parametrize(
    "part", ["", "Lighthouse", "Lighthouse/results/lh-8xb200", "Lighthouse/results/lh-8xb200/flux1"]
)
def test_a_repository_a_submitter_or_one_folder_give_the_same_row(part: str, tmp_path: Path) -> None:
    whole = imported(repository("v5.1"), tmp_path / "whole.csv")
    rows = imported(repository("v5.1") / part, tmp_path / "part.csv")
    row = next(r for r in rows if r["benchmark"] == "flux1")
    wanted = next(r for r in whole if r["benchmark"] == "flux1")
    assert {**row, "source": ""} == {**wanted, "source": ""}


def test_a_log_below_a_result_folder_is_none_of_its_runs_and_named(tmp_path: Path) -> None:
    folder = repository("v5.1") / "Fogbank" / "results" / "fb-8xh200" / "retinanet"
    (row,) = imported(folder, tmp_path / "out.csv")
    assert row["runs"] == "5"
    assert any(r["path"] == "raw/result_9.txt" for r in table(unread_path(tmp_path / "out.csv")))


def test_a_loose_folder_is_scored_by_its_logs_and_says_that_nobody_described_the_system(tmp_path: Path) -> None:
    folder = tmp_path / "handed_over"
    shutil.copytree(repository("v5.1") / "Lighthouse" / "results" / "lh-8xb200" / "flux1", folder)
    (row,) = imported(folder, tmp_path / "out.csv", "v5.1")
    assert (row["benchmark"], row["division"], row["accelerators"]) == ("flux1", "closed", "")
    assert float(row["minutes"]) > 0 and "no readable system description" in row["note"]


def test_a_folder_that_does_not_say_its_round_needs_one(tmp_path: Path) -> None:
    copy = shutil.copytree(repository("v5.1") / "Pontoon", tmp_path / "Pontoon")
    with pytest.raises(ConfigError, match="--round") as refused:
        import_results(copy, tmp_path / "out.csv")
    assert "v5.1" in str(refused.value.allowed)
    with pytest.raises(ConfigError, match="no rules for this round"):
        import_results(copy, tmp_path / "out.csv", "v9.9")
    assert not (tmp_path / "out.csv").exists()
    assert imported(copy, tmp_path / "out.csv", "v5.1")


def test_a_checkout_under_another_name_knows_its_round_and_repository_by_its_remote(tmp_path: Path) -> None:
    copy = shutil.copytree(repository("v6.0"), tmp_path / "newest")
    subprocess.run(["git", "init", "-q", copy], check=True, timeout=60)
    address = "https://github.com/mlcommons/training_results_v6.0.git"
    subprocess.run(["git", "-C", copy, "remote", "add", "origin", address], check=True, timeout=60)
    rows = imported(copy, tmp_path / "out.csv")
    assert {row["round"] for row in rows} == {"v6.0"}
    assert all(row["source"].startswith("mlcommons/training_results_v6.0: ") for row in rows)


@pytest.mark.parametrize("suffix", [".tar", ".tar.gz", ".tgz", ".tar.xz"])
def test_an_archive_gives_the_same_rows_as_its_folder(suffix: str, tmp_path: Path) -> None:
    archive = tmp_path / f"training_results_v4.0{suffix}"
    kind = {".tar": "", ".tar.xz": "xz"}.get(suffix, "gz")
    with tarfile.open(archive, f"w:{kind}") as tar:
        tar.add(repository("v4.0"), arcname=".")
    rows = imported(archive, tmp_path / "archive.csv")
    wanted = imported(repository("v4.0"), tmp_path / "folder.csv")
    assert [{**row, "source": ""} for row in rows] == [{**row, "source": ""} for row in wanted]
    assert sorted(path.name for path in tmp_path.iterdir() if path.is_dir()) == []


def test_an_archive_inside_the_folder_is_read_in_its_place(tmp_path: Path) -> None:
    copy = shutil.copytree(repository("v6.0"), tmp_path / "training_results_v6.0")
    results = copy / "Pontoon" / "results"
    with tarfile.open(copy / "Pontoon" / "results.tar.gz", "w:gz") as tar:
        tar.add(results, arcname="results")
    shutil.rmtree(results)
    rows = imported(copy, tmp_path / "out.csv")
    wanted = imported(repository("v6.0"), tmp_path / "wanted.csv")
    assert [r["minutes"] for r in rows] == [r["minutes"] for r in wanted]


def test_members_that_would_leave_the_archive_and_links_are_named_and_not_read(tmp_path: Path) -> None:
    secret = tmp_path / "result_0.txt"
    secret.write_text("private", encoding="utf-8")
    archive = tmp_path / "training_results_v5.1.tar"
    with tarfile.open(archive, "w") as tar:
        tar.add(repository("v5.1") / "Pontoon", arcname="Pontoon")
        for name in ("../result_1.txt", "/result_2.txt", "Pontoon/results/../../x/result_3.txt"):
            member = tarfile.TarInfo(name)
            member.size = 7
            tar.addfile(member, io.BytesIO(b"private"))
        link = tarfile.TarInfo("Pontoon/results/pt-8xmi355x/rgat/result_0.txt")
        link.type, link.linkname = tarfile.SYMTYPE, str(secret)
        tar.addfile(link)
    rows = imported(archive, tmp_path / "out.csv")
    unread = {row["path"]: row["problem"] for row in table(unread_path(tmp_path / "out.csv"))}
    assert len(rows) == 2
    assert sum("leads out of the archive" in problem for problem in unread.values()) == 3
    assert "not a file" in unread["Pontoon/results/pt-8xmi355x/rgat/result_0.txt"]


def test_a_truncated_archive_is_named_and_what_came_before_is_kept(tmp_path: Path) -> None:
    whole = tmp_path / "whole.tar"
    with tarfile.open(whole, "w") as tar:
        tar.add(repository("v5.1") / "Pontoon", arcname="Pontoon")
        tar.add(repository("v5.1") / "Lighthouse", arcname="Lighthouse")
    archive = tmp_path / "training_results_v5.1.tar"
    archive.write_bytes(whole.read_bytes()[: whole.stat().st_size // 2])
    rows = imported(archive, tmp_path / "out.csv")
    unread = table(unread_path(tmp_path / "out.csv"))
    assert rows and any("damaged" in row["problem"] or "end of" in row["problem"] for row in unread)


def test_links_that_lead_out_of_the_folder_are_named_and_not_followed(tmp_path: Path) -> None:
    copy = shutil.copytree(repository("v6.0"), tmp_path / "training_results_v6.0")
    elsewhere = shutil.copytree(copy / "Pontoon", tmp_path / "Elsewhere")
    (copy / "Elsewhere").symlink_to(elsewhere)
    (copy / "Pontoon" / "loop").symlink_to(copy)
    rows = imported(copy, tmp_path / "out.csv")
    unread = {row["path"]: row["problem"] for row in table(unread_path(tmp_path / "out.csv"))}
    assert len(rows) == 2
    assert "leads out of the folder" in unread["Elsewhere"]
    assert "read in its own place" in unread["Pontoon/loop"]


def test_a_log_that_is_a_folder_or_cannot_be_opened_leaves_no_score(tmp_path: Path) -> None:
    copy = shutil.copytree(repository("v6.0"), tmp_path / "training_results_v6.0")
    log = copy / "Lighthouse" / "results" / "lh-gb300-n128" / "deepseekv3_671b" / "result_1.txt"
    log.unlink()
    log.symlink_to(tmp_path / "nowhere")
    rows = imported(copy, tmp_path / "out.csv")
    row = next(r for r in rows if r["benchmark"] == "deepseekv3_671b")
    assert row["minutes"] == "" and "2 runs found, 3 are demanded" in row["note"]


@pytest.mark.parametrize("kind", ["absent", "empty", "file"])
def test_what_holds_no_results_is_one_clear_error_and_leaves_the_old_table(kind: str, tmp_path: Path) -> None:
    place = tmp_path / "training_results_v5.1"
    if kind == "empty":
        place.mkdir()
    if kind == "file":
        place.write_text("no archive", encoding="utf-8")
    output = tmp_path / "out.csv"
    output.write_text("old", encoding="utf-8")
    with pytest.raises(UnreadableFile):
        import_results(place, output)
    assert output.read_text(encoding="utf-8") == "old"


def test_the_shipped_table_is_never_looked_at(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("seatrial.reference.published.SHIPPED", tmp_path / "gone.csv")
    assert imported(repository("v6.0"), tmp_path / "out.csv")


def test_a_systems_name_is_never_taken_for_the_round(tmp_path: Path) -> None:
    submitter = copied("training_results_v6.0/Lighthouse", tmp_path)
    (submitter / "results" / "lh-gb300-n128").rename(submitter / "results" / "v4.0-rack")
    (submitter / "systems" / "lh-gb300-n128.json").rename(submitter / "systems" / "v4.0-rack.json")
    rows = imported(tmp_path / "training_results_v6.0", tmp_path / "out.csv")
    assert [(row["round"], row["minutes"] != "") for row in rows] == [("v6.0", True)]


def test_a_stated_round_that_the_repositorys_name_contradicts_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"v6\.0 by the repository's own name"):
        import_results(repository("v6.0"), tmp_path / "out.csv", "v5.1")
    plain = shutil.copytree(repository("v6.0"), tmp_path / "v4.0" / "newer")
    rows = imported(plain, tmp_path / "out.csv", "v6.0")
    assert all("the path says v4.0" in row["note"] and row["minutes"] for row in rows)


def test_a_round_without_rules_is_named_and_the_others_are_read(tmp_path: Path) -> None:
    copied("training_results_v6.0", tmp_path / "both")
    shutil.copytree(repository("v6.0"), tmp_path / "both" / "training_results_v2.1")
    rows = imported(tmp_path / "both", tmp_path / "out.csv")
    assert {row["round"] for row in rows} == {"v6.0"}
    unread = [r for r in table(unread_path(tmp_path / "out.csv")) if "round v2.1 has no rules" in r["problem"]]
    assert {r["path"].split("/")[0] for r in unread} == {"training_results_v2.1"}


def test_odd_names_deep_folders_and_pipes_are_named_and_cost_nothing_else(tmp_path: Path) -> None:
    copy = copied("training_results_v6.0", tmp_path)
    folder = copy / "Pontoon" / "results" / "pt-8xmi355x" / "gpt_oss_20b"
    os.mkfifo(folder / "result_99.txt")
    (copy / os.fsdecode(b"caf\xe9.tar.zst")).write_bytes(b"")
    (folder / os.fsdecode(b"result_\xe9.dat")).write_bytes(b"")
    deep = copy
    for _ in range(60):
        deep = deep / "d"
        deep.mkdir()
    rows = imported(copy, tmp_path / "out.csv")
    assert len(rows) == 2 and all(row["minutes"] for row in rows)
    unread = {row["path"]: row["problem"] for row in table(unread_path(tmp_path / "out.csv"))}
    inside = "Pontoon/results/pt-8xmi355x/gpt_oss_20b"
    assert "neither a file nor a folder" in unread[f"{inside}/result_99.txt"]
    assert "result_*.txt" in unread[f"{inside}/result_\\xe9.dat"]
    assert "of a kind that is not read" in unread["caf\\xe9.tar.zst"]
    assert any("folders deep" in problem for problem in unread.values())


def test_folders_linked_many_times_over_are_read_once(tmp_path: Path) -> None:
    copy = copied("training_results_v6.0", tmp_path)
    for number in range(18):
        place = copy / f"n{number}"
        place.mkdir()
        for name in ("a", "b"):
            (place / name).symlink_to(copy / f"n{number + 1}" if number < 17 else copy / "Pontoon")
    assert len(imported(copy, tmp_path / "out.csv")) == 2


@pytest.mark.parametrize(
    ("name", "why"),
    [
        ("Pontoon/results/pt-8xmi355x/gpt_oss_20b/RESULT_0.TXT", "is called result_"),
        ("Pontoon/results/pt-8xmi355x/gpt_oss_20b/out", "is called result_"),
        ("Pontoon/results/pt-8xmi355x/gpt_oss_20b/result_dir.txt/", "a folder among the runs"),
        ("Pontoon/results/pt-8xmi355x/bert/", "no result_*.txt in it"),
        ("Empty/results/", "no results in it"),
        ("Pontoon/results/lost.log", "not where a result belongs"),
        ("Pontoon/systems/lonely.json", "without results"),
        ("results.zip", "of a kind that is not read"),
    ],
)
def test_nothing_beside_the_results_is_dropped_in_silence(name: str, why: str, tmp_path: Path) -> None:
    copy = copied("training_results_v6.0", tmp_path)
    path = copy / name
    path.parent.mkdir(parents=True, exist_ok=True)
    if name.endswith("/"):
        path.mkdir(parents=True)
    else:
        path.write_text("{}", encoding="utf-8")
    assert len(imported(copy, tmp_path / "out.csv")) == 2
    unread = {row["path"]: row["problem"] for row in table(unread_path(tmp_path / "out.csv"))}
    assert why in unread[name.rstrip("/")]


def test_in_an_archive_an_inner_archive_and_the_first_of_two_like_members_are_named(tmp_path: Path) -> None:
    archive = tmp_path / "training_results_v6.0.tar"
    log = "Pontoon/results/pt-8xmi355x/gpt_oss_20b/result_0.txt"
    with tarfile.open(archive, "w") as tar:
        tar.add(repository("v6.0"), arcname=".")
        tar.add(repository("v6.0") / log, arcname=log)
        inner = tarfile.TarInfo("inner.tar.gz")
        tar.addfile(inner, io.BytesIO(b""))
    rows = imported(archive, tmp_path / "out.csv")
    assert {row["runs"] for row in rows} == {"3", "10"}
    unread = {row["path"]: row["problem"] for row in table(unread_path(tmp_path / "out.csv"))}
    assert "inside an archive" in unread["inner.tar.gz"] and "twice in the archive" in unread[log]


def test_only_mlcommons_own_repository_or_the_users_word_makes_a_result_published(tmp_path: Path) -> None:
    copy = copied("training_results_v5.1/Lighthouse", tmp_path).parent
    rows = imported(copy, tmp_path / "out.csv")
    assert {row["confidence"] for row in rows} == {"unverified"}
    import_results(copy, tmp_path / "out.csv", published=True)
    rows = table(tmp_path / "out.csv")
    assert {row["confidence"] for row in rows} == {"official", "recomputed"}
    prefix = "mlcommons/training_results_v5.1: Lighthouse/results/lh-8xb200/"
    assert all(row["source"].startswith(prefix) for row in rows)
    for owner, confidence in (("elsewhere", "unverified"), ("mlcommons", "official")):
        shutil.rmtree(copy / ".git", ignore_errors=True)
        subprocess.run(["git", "init", "-q", copy], check=True, timeout=60)
        address = f"https://github.com/{owner}/training_results_v5.1"
        subprocess.run(["git", "-C", copy, "remote", "add", "origin", address], check=True, timeout=60)
        assert confidence in {row["confidence"] for row in imported(copy, tmp_path / "out.csv")}


def test_the_source_of_one_result_folder_tells_submitter_and_system(tmp_path: Path) -> None:
    folder = repository("v5.1") / "Lighthouse" / "results" / "lh-8xb200" / "flux1"
    (row,) = imported(folder, tmp_path / "out.csv")
    assert row["source"].endswith("Lighthouse/results/lh-8xb200/flux1")


@pytest.mark.parametrize("output", [".", "nowhere/file/out.csv"])
def test_an_output_that_cannot_be_written_is_one_clear_error(output: str, tmp_path: Path) -> None:
    (tmp_path / "nowhere").mkdir()
    (tmp_path / "nowhere" / "file").write_text("", encoding="utf-8")
    with pytest.raises(ConfigError, match="--output"):
        import_results(repository("v6.0"), tmp_path / output)
