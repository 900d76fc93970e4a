"""Bundles: what a third party gets, and that whatever was changed in one is found and named."""

from __future__ import annotations

import io
import json
import subprocess
import tarfile
import tempfile
from collections.abc import Callable
from pathlib import Path

import pytest
import zstandard
from study_on_disk import COLLECTIVE, StudyOnDisk

from seatrial.bundle import verify_bundle, write_bundle
from seatrial.bundle.archive import LEVEL, pack, unlike_packed, unpack
from seatrial.bundle.manifest import CRATE, ENVIRONMENT, MANIFEST, SIGNATURE, digest, manifest_text, read_manifest
from seatrial.cli import main
from seatrial.errors import ConfigError, UnreadableFile
from seatrial.planned import agreed_digest
from seatrial.record import Error, measurement
from seatrial.report.page import report

LABELS: dict[str, str | int | float | bool] = {
    "operation": "all_reduce",
    "dtype": "float32",
    "size_bytes": 2**20,
    "ranks": 2,
}


@pytest.fixture(scope="module")
def study(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder of an analysed study of three repeats and two criteria, one of which fails."""
    made = StudyOnDisk(tmp_path_factory.mktemp("study") / "trial")
    (case,) = made.experiment("fabric", {**COLLECTIVE, "size_bytes": 2**20}, repeats=3)
    made.criterion("fast", "collective.bus_bandwidth", at_least=1.0, minimum_repeats=3)
    made.criterion("faster", "collective.bus_bandwidth", at_least=9.0, minimum_repeats=3)
    for repeat in range(3):
        rates = [2.0 + 0.01 * repeat + 0.001 * k for k in range(5)]
        seconds = measurement("collective.time", [2**20 / 1e9 / rate for rate in rates], LABELS)
        made.record(case, repeat, seconds, measurement("collective.bus_bandwidth", rates, LABELS, 4.0, "declared"))
    root = made.analyse().root
    report(made.paths)
    (root / "logs" / "measure").mkdir(parents=True)
    (root / "logs" / "measure" / "it.log").write_text("said\n")
    (root / "prepared").mkdir()
    (root / "prepared" / "weights.bin").write_bytes(bytes(1000))
    (root / ".lock").write_text("1")
    return root


@pytest.fixture(scope="module")
def bundle(study: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    archive = tmp_path_factory.mktemp("bundle") / "trial.tar.zst"
    write_bundle(study, archive)
    return archive


def unpacked(archive: Path) -> dict[str, bytes]:
    raw = zstandard.ZstdDecompressor().stream_reader(io.BytesIO(archive.read_bytes())).read()
    with tarfile.open(fileobj=io.BytesIO(raw)) as tar:
        found = {entry.name: tar.extractfile(entry) for entry in tar}
        return {name: file.read() for name, file in found.items() if file is not None}


def packed(files: dict[str, bytes], archive: Path) -> Path:
    """The archive that a bundle of `files` would be: nothing but a file's content tells that it was changed."""
    raw = io.BytesIO()
    with tarfile.open(fileobj=raw, mode="w") as tar:
        for name in sorted(files, key=lambda name: (Path(name).name != MANIFEST, Path(name))):
            entry = tarfile.TarInfo(name)
            entry.size = len(files[name])
            tar.addfile(entry, io.BytesIO(files[name]))
    return compressed(raw.getvalue(), archive)


def compressed(content: bytes, archive: Path) -> Path:
    """As `pack` compresses: streamed, in the blocks that tarfile writes."""
    with (
        archive.open("wb") as file,
        zstandard.ZstdCompressor(level=LEVEL, write_checksum=True).stream_writer(file) as out,
    ):
        for start in range(0, len(content), tarfile.RECORDSIZE):
            out.write(content[start : start + tarfile.RECORDSIZE])
    return archive


def with_new_manifest(files: dict[str, bytes], folder: Path) -> dict[str, bytes]:
    """As somebody would make it who wants to hide a change."""
    digests = {}
    for name, content in files.items():
        if name not in (MANIFEST, SIGNATURE):
            (folder / "one").write_bytes(content)
            digests[name] = digest(folder / "one")
    return {**files, MANIFEST: manifest_text(digests).encode()}


def one(files: dict[str, bytes], part: str) -> str:
    return min(name for name in files if part in name)


def test_what_was_bundled_agrees_with_itself_made_again_from_the_records(bundle: Path) -> None:
    found = verify_bundle(bundle)
    assert found.sound and not found.unknown and found.signature == "not signed"
    assert {"tables/measurements.parquet", "tables/repeats.csv", "verdicts.json", "findings.json"} <= set(
        found.recomputed
    )
    files = unpacked(bundle)
    assert next(iter(files)) == MANIFEST, "whoever has half of it knows what should be in it"
    assert {CRATE, ENVIRONMENT, "trial/study.json", "trial/logs/measure/it.log", "trial/junit.xml"} <= files.keys()
    assert not any("prepared" in name or ".lock" in name for name in files)
    told = json.loads(files[ENVIRONMENT])
    assert told["left_out"] == {"prepared": {"files": 1, "bytes": 1000}} and "pandas" in told["packages"]


def test_weights_and_pickles_of_a_training_that_was_broken_off_stay_at_home(tmp_path: Path) -> None:
    made = StudyOnDisk(tmp_path / "trial")
    (case,) = made.experiment("fabric", {**COLLECTIVE, "size_bytes": 2**20}, repeats=2)
    made.record(case, 0, measurement("collective.bus_bandwidth", [2.0] * 5, LABELS, 4.0, "declared"))
    error = Error(kind="timeout", message="ran out of time", rank=0)
    made.record(case, 1, outcome="aborted", error=error)
    broken_off = made.paths.record(case.case_id, 1).with_suffix(".checkpoint")
    (broken_off / "step-10" / "deeper").mkdir(parents=True)
    (broken_off / "step-10" / "__0_0.distcp").write_bytes(bytes(300))
    (broken_off / "step-10" / "deeper" / "history.pt").write_bytes(b"a pickle")
    (broken_off / "last").symlink_to("step-10")
    root = made.analyse().root
    report(made.paths)
    write_bundle(root, tmp_path / "trial.tar.zst")
    files = unpacked(tmp_path / "trial.tar.zst")
    assert [name for name in files if ".checkpoint" in name or name.endswith(".pt")] == []
    assert f"trial/records/{case.case_id}/1.json" in files
    told = json.loads(files[one(files, ENVIRONMENT)])
    assert told["left_out"] == {"*.checkpoint": {"files": 2, "bytes": 308}}
    assert verify_bundle(tmp_path / "trial.tar.zst").sound


def test_its_description_is_an_ro_crate_of_every_file(bundle: Path) -> None:
    files = unpacked(bundle)
    crate = json.loads(files[CRATE])
    entries = {entry["@id"]: entry for entry in crate["@graph"]}
    assert entries[CRATE]["conformsTo"]["@id"].startswith("https://w3id.org/ro/crate/1.")
    of_study = {name for name in files if name.startswith("trial/")}
    assert {part["@id"] for part in entries["./"]["hasPart"]} == of_study
    assert "not MLPerf results" in entries["./"]["description"]
    assert entries["./"]["datePublished"] == "2026-01-02T03:02:30+00:00"
    assert entries["trial/verdicts.json"]["contentSize"] == str(len(files["trial/verdicts.json"]))


def test_the_same_study_gives_the_same_bytes(study: Path, bundle: Path, tmp_path: Path) -> None:
    write_bundle(study, tmp_path / "again.tar.zst")
    assert (tmp_path / "again.tar.zst").read_bytes() == bundle.read_bytes()


@pytest.mark.parametrize("part", ["records/", "tables/repeats.csv", "verdicts.json", "logs/", ENVIRONMENT, CRATE])
def test_a_changed_byte_is_found_and_named(bundle: Path, tmp_path: Path, part: str) -> None:
    files = unpacked(bundle)
    name = one(files, part)
    middle = len(files[name]) // 2
    changed = bytes([files[name][middle] ^ 1])
    files[name] = files[name][:middle] + changed + files[name][middle + 1 :]
    found = verify_bundle(packed(files, tmp_path / "changed.tar.zst"))
    assert found.differences.changed == (name,) and not found.sound and found.recomputed == ()


def test_what_is_missing_and_what_was_put_in_are_named(bundle: Path, tmp_path: Path) -> None:
    files = unpacked(bundle)
    gone = one(files, "records/")
    del files[gone]
    found = verify_bundle(packed({**files, "trial/more.txt": b"x"}, tmp_path / "changed.tar.zst"))
    assert found.differences.missing == (gone,) and found.differences.added == ("trial/more.txt",)


def test_a_verdict_that_does_not_follow_is_found_whatever_the_manifest_says(bundle: Path, tmp_path: Path) -> None:
    files = unpacked(bundle)
    verdicts = json.loads(files["trial/verdicts.json"])
    assert [entry["verdict"] for entry in verdicts] == ["pass", "fail"], verdicts
    verdicts[1]["verdict"] = "pass"
    files["trial/verdicts.json"] = json.dumps(verdicts).encode()
    found = verify_bundle(packed(with_new_manifest(files, tmp_path), tmp_path / "changed.tar.zst"))
    assert not found.differences and not found.sound
    assert found.unlike == ("verdicts.json, entry 2: verdict is 'pass' and the records give 'fail'",)


def test_a_table_that_does_not_follow_is_found_with_its_row(bundle: Path, tmp_path: Path) -> None:
    files = unpacked(bundle)
    files["trial/tables/repeats.csv"] = files["trial/tables/repeats.csv"].replace(b"completed", b"failed", 1)
    found = verify_bundle(packed(with_new_manifest(files, tmp_path), tmp_path / "changed.tar.zst"))
    assert found.unlike == ("tables/repeats.csv, row 1: outcome is 'failed' and the records give 'completed'",)


def test_the_last_digits_of_another_machine_are_no_change(bundle: Path, tmp_path: Path) -> None:
    files = unpacked(bundle)
    verdicts = json.loads(files["trial/verdicts.json"])
    verdicts[0]["measured"] *= 1 + 1e-12
    files["trial/verdicts.json"] = json.dumps(verdicts).encode()
    assert verify_bundle(packed(with_new_manifest(files, tmp_path), tmp_path / "rounded.tar.zst")).sound
    verdicts[0]["measured"] *= 1 + 1e-6
    files["trial/verdicts.json"] = json.dumps(verdicts).encode()
    found = verify_bundle(packed(with_new_manifest(files, tmp_path), tmp_path / "changed.tar.zst"))
    assert found.unlike[0].startswith("verdicts.json, entry 1: measured is")


def test_a_changed_sample_shows_in_what_follows_from_it(bundle: Path, tmp_path: Path) -> None:
    files = unpacked(bundle)
    name = one(files, "records/")
    record = json.loads(files[name])
    record["measurements"][1]["samples"] = [s * 10 for s in record["measurements"][1]["samples"]]
    files[name] = json.dumps(record).encode()
    found = verify_bundle(packed(with_new_manifest(files, tmp_path), tmp_path / "changed.tar.zst"))
    assert any(words.startswith("tables/measurements.parquet, row ") for words in found.unlike)


def test_a_page_that_says_something_else_is_found_whatever_the_manifest_says(bundle: Path, tmp_path: Path) -> None:
    files = unpacked(bundle)
    files["trial/report.html"] = b"<h1>verdict: PASS</h1>"
    found = verify_bundle(packed(with_new_manifest(files, tmp_path), tmp_path / "changed.tar.zst"))
    assert found.unlike == ("report.html: differs from what the records give",)
    files[ENVIRONMENT] = json.dumps({"packages": {"matplotlib": "1.0"}}).encode()
    found = verify_bundle(packed(with_new_manifest(files, tmp_path), tmp_path / "changed.tar.zst"))
    assert found.sound and "other versions" in found.unknown[0], "another version may draw it otherwise"


@pytest.mark.parametrize(
    ("name", "content", "words"),
    [
        ("trial/verdicts.json", b"[1]", "verdicts.json: differs"),
        ("trial/verdicts.json", b"{", "verdicts.json: cannot be read"),
        ("trial/tables/measurements.parquet", b"PAR1", "tables/measurements.parquet: cannot be read"),
        ("trial/tables/repeats.csv", b"", "tables/repeats.csv: cannot be read"),
        ("trial/findings.json", None, "findings.json: is not in the bundle"),
        ("trial/decisions.json", b"[1]", "decisions.json: differs"),
        ("trial/junit.xml", None, "junit.xml: is not in the bundle"),
        ("trial/tables/more.csv", b"a\n1\n", "tables/more.csv: the records give no such file"),
    ],
)
def test_what_cannot_be_read_is_absent_or_false_is_named_whatever_the_manifest_says(
    bundle: Path, tmp_path: Path, name: str, content: bytes | None, words: str
) -> None:
    files = unpacked(bundle)
    if content is None:
        del files[name]
    else:
        files[name] = content
    found = verify_bundle(packed(with_new_manifest(files, tmp_path), tmp_path / "changed.tar.zst"))
    assert not found.sound and any(of.startswith(words) for of in found.unlike), found.unlike


def test_a_damaged_archive_is_never_sound(bundle: Path, tmp_path: Path) -> None:
    """A flipped bit every few bytes, and every kind of cut."""
    whole = bundle.read_bytes()
    # the last bytes are the checksum's: of a cut there all files are whole
    for place in [*range(0, len(whole), max(1, len(whole) // 60)), *range(len(whole) - 4, len(whole))]:
        (tmp_path / "bad.tar.zst").write_bytes(
            whole[:place] + bytes([whole[place] ^ 4]) + whole[place + 1 :] if place % 2 else whole[:place]
        )
        try:
            found = verify_bundle(tmp_path / "bad.tar.zst")
        except UnreadableFile:
            continue
        assert not found.sound, f"byte {place} of {len(whole)}"


@pytest.fixture
def small(tmp_path: Path) -> bytes:
    """The archive of a folder of two files."""
    (tmp_path / "small" / "trial").mkdir(parents=True)
    (tmp_path / "small" / "trial" / "it.log").write_text("said\n" * 40)
    (tmp_path / "small" / MANIFEST).write_text(f"{digest(tmp_path / 'small' / 'trial' / 'it.log')}  trial/it.log\n")
    pack(tmp_path / "small", tmp_path / "small.tar.zst")
    return (tmp_path / "small.tar.zst").read_bytes()


def damage(content: bytes, tmp_path: Path, same_zstd: bool = True) -> str | None:
    """What is found of an archive, in words."""
    archive, folder = tmp_path / "it.tar.zst", Path(tempfile.mkdtemp(dir=tmp_path))
    archive.write_bytes(content)
    try:
        return unpack(archive, folder) or unlike_packed(archive, folder, same_zstd)
    except UnreadableFile as problem:
        return str(problem)


def test_a_flipped_bit_in_any_byte_of_both_ends_is_found(small: bytes, tmp_path: Path) -> None:
    assert damage(small, tmp_path) is None
    assert len(small) > 128
    ends = [*range(64), *range(len(small) - 64, len(small))]
    bits = [(place, bit) for place in range(8) for bit in range(8)] + [(place, place % 8) for place in ends]
    for place, bit in bits:
        changed = small[:place] + bytes([small[place] ^ (1 << bit)]) + small[place + 1 :]
        # in the frame's header and in its checksum whatever version of zstandard packed it
        assert damage(changed, tmp_path, 8 <= place < len(small) - 4) is not None, f"byte {place}, bit {bit}"


def test_what_follows_the_archive_is_found(small: bytes, tmp_path: Path) -> None:
    second = zstandard.ZstdCompressor().compress(b"more")
    skipped = b"\x50\x2a\x4d\x18" + (4).to_bytes(4, "little") + b"more"
    for more in (b"\n", b"more" * 1000, second, skipped, small):
        assert (
            damage(small + more, tmp_path, same_zstd=False) == "the archive is damaged: something follows its end"
        )


def test_a_tar_that_was_repacked_is_found_whatever_version_of_zstd_made_it(small: bytes, tmp_path: Path) -> None:
    raw = zstandard.ZstdDecompressor().stream_reader(io.BytesIO(small)).read()
    assert damage(compressed(raw, tmp_path / "a").read_bytes(), tmp_path) is None

    def repacked(**facts: object) -> str | None:
        out = io.BytesIO()
        with tarfile.open(fileobj=io.BytesIO(raw)) as tar, tarfile.open(fileobj=out, mode="w") as again:
            for entry in tar:
                for name, value in facts.items() if "log" in entry.name else ():
                    setattr(entry, name, value)
                again.addfile(entry, tar.extractfile(entry))
        return damage(compressed(out.getvalue(), tmp_path / "a").read_bytes(), tmp_path, same_zstd=False)

    assert repacked() is None
    for name, value in {"mode": 0o755, "uid": 1, "gid": 1, "uname": "root", "gname": "root", "mtime": 5}.items():
        assert repacked(**{name: value}) == f"the archive is changed: trial/it.log: {name} is {value!r}"
    for content in (raw[:-1] + b"x", raw + bytes(tarfile.RECORDSIZE), raw[: -tarfile.RECORDSIZE // 2]):
        found = damage(compressed(content, tmp_path / "a").read_bytes(), tmp_path, same_zstd=False)
        assert found is not None and "of its tar" in found


@pytest.mark.parametrize("name", ["../out.txt", "/out.txt", "trial/../../out.txt"])
def test_a_file_that_would_leave_the_bundle_is_refused(tmp_path: Path, name: str) -> None:
    archive = packed({MANIFEST: b"", name: b"x"}, tmp_path / "bad.tar.zst")
    with pytest.raises(UnreadableFile, match="not a plain file below the bundle"):
        verify_bundle(archive)


def key(folder: Path, name: str) -> Path:
    words = ["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-C", name, "-f", str(folder / name)]
    subprocess.run(words, check=True, timeout=60)
    return folder / name


def test_a_signature_is_its_signers_and_nobody_elses(study: Path, bundle: Path, tmp_path: Path) -> None:
    ours, other = key(tmp_path, "vendor"), key(tmp_path, "other")
    signers = tmp_path / "signers"
    signers.write_text(
        f"vendor@example.org {ours.with_suffix('.pub').read_text()}"
        f"other@example.org {other.with_suffix('.pub').read_text()}"
    )
    signed = tmp_path / "signed.tar.zst"
    write_bundle(study, signed, ours)
    assert verify_bundle(signed, signers, "vendor@example.org").signature == "signed by vendor@example.org"
    assert verify_bundle(signed).signature.startswith("signed, but by whom was not checked")
    assert verify_bundle(signed, signers, "other@example.org").forged
    unsigned = verify_bundle(bundle, signers, "vendor@example.org")
    assert unsigned.forged and not unsigned.sound and "not signed" in unsigned.signature
    files = unpacked(signed)
    files["trial/study.json"] += b"\n"
    changed = verify_bundle(
        packed(with_new_manifest(files, tmp_path), tmp_path / "bad.tar.zst"), signers, "vendor@example.org"
    )
    assert changed.forged and not changed.differences


def without(name: str) -> Callable[[Path], object]:
    return lambda folder: (folder / name).unlink()


@pytest.mark.parametrize(
    ("spoil", "words"),
    [
        (without("verdicts.json"), "lacks verdicts.json"),
        (lambda folder: (folder / "tables" / "link.csv").symlink_to("repeats.csv"), "a link"),
    ],
)
def test_what_is_not_an_analysed_study_of_plain_files_is_refused(
    study: Path, tmp_path: Path, spoil: Callable[[Path], object], words: str
) -> None:
    copy = tmp_path / "trial"
    subprocess.run(["cp", "-r", str(study), str(copy)], check=True, timeout=60)
    spoil(copy)
    with pytest.raises((ConfigError, UnreadableFile), match=words):
        write_bundle(copy, tmp_path / "out.tar.zst")
    assert not (tmp_path / "out.tar.zst").exists()


@pytest.mark.parametrize(
    ("name", "words"), [("a.zip", "ends in .tar.zst"), ("no/a.tar.zst", "no such folder"), ("x.tar.zst", "outside")]
)
def test_a_place_that_cannot_be_written_is_refused(study: Path, tmp_path: Path, name: str, words: str) -> None:
    with pytest.raises(ConfigError, match=words):
        write_bundle(study, (study if name[0] == "x" else tmp_path) / name)


def test_the_command_says_so_by_its_exit_code(
    study: Path, bundle: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    archive = tmp_path / "trial.tar.zst"
    assert main(["bundle", str(study), "--output", str(archive)]) == 0
    assert main(["bundle", "verify", str(archive)]) == 0
    assert "made again from the records agree" in capsys.readouterr().out
    files = unpacked(bundle)
    files["trial/study.json"] += b" "
    assert main(["bundle", "verify", str(packed(files, tmp_path / "bad.tar.zst"))]) == 1
    assert "changed: trial/study.json" in capsys.readouterr().out
    assert main(["bundle", "verify"]) == 2
    assert main(["bundle", str(study), str(archive)]) == 2
    assert main(["bundle", "verify", str(tmp_path / "none.tar.zst")]) == 2


def test_a_criterion_that_was_softened_before_the_study_ran_is_named(
    study: Path, bundle: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    agreed = tmp_path / "agreed.json"
    content = json.loads((study / "study.json").read_text())
    agreed.write_text(json.dumps(content))
    assert main(["bundle", "verify", str(bundle), "--study", str(agreed)]) == 0
    assert "criterion faster: collective.bus_bandwidth at least 9 GB/s" in capsys.readouterr().out
    digest_of_it = agreed_digest(content)
    assert main(["bundle", "verify", str(bundle), "--study", digest_of_it]) == 0
    content["study"]["criteria"][1]["at_least"] = 90.0
    agreed.write_text(json.dumps(content))
    capsys.readouterr()
    assert main(["bundle", "verify", str(bundle), "--study", str(agreed)]) == 1
    assert "not as agreed: criteria.1.at_least is 9.0, agreed was 90.0" in capsys.readouterr().out
    assert agreed_digest(content) != digest_of_it
    assert main(["bundle", "verify", str(bundle), "--study", agreed_digest(content)]) == 1
    assert main(["bundle", "verify", str(bundle), "--study", "none.json"]) == 2
    assert main(["bundle", str(study), "--study", str(agreed)]) == 2


def test_a_manifest_that_names_a_file_twice_is_none(tmp_path: Path) -> None:
    (tmp_path / MANIFEST).write_text(f"{'0' * 64}  a\n{'1' * 64}  a\n")
    with pytest.raises(UnreadableFile, match="line 2"):
        read_manifest(tmp_path / MANIFEST)
