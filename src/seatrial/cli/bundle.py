"""`seatrial bundle`: a study in one file that a third party can check, and that check."""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import TYPE_CHECKING

from seatrial.errors import EXIT_FAIL, EXIT_OK, EXIT_UNKNOWN, ConfigError

if TYPE_CHECKING:
    from seatrial.bundle import Verification

VERIFY = "verify"


def add_commands(commands: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    """Add `bundle`."""
    parser = commands.add_parser(
        "bundle",
        help="one file with all that a third party needs to check a study; `bundle verify` checks it",
        description="`seatrial bundle results/S --output S.tar.zst` makes a bundle; `seatrial bundle verify "
        "S.tar.zst` compares every file with its manifest, makes tables and verdicts again from the records, and "
        "ends with 0 where all agrees, 1 where something does not, 3 where not everything could be checked.",
    )
    parser.add_argument("what", metavar="results/STUDY | verify", help="the study's folder; or the word verify")
    parser.add_argument("archive", type=Path, nargs="?", metavar="BUNDLE.tar.zst", help="the bundle to verify")
    parser.add_argument("--output", type=Path, metavar="BUNDLE.tar.zst", help="default: STUDY.tar.zst here")
    parser.add_argument("--sign", type=Path, metavar="KEY", help="sign the manifest with this key (ssh-keygen -Y)")
    parser.add_argument("--allowed-signers", type=Path, metavar="FILE", help="public keys, as in ssh-keygen(1)")
    parser.add_argument("--signer", metavar="NAME", help="who must have signed: a name in that file")
    parser.add_argument(
        "--study",
        metavar="AGREED",
        help="verify: the agreed study.json, or the digest that `seatrial plan` printed",
    )
    parser.set_defaults(run=_bundle)


def _bundle(arguments: argparse.Namespace) -> int:
    if arguments.what == VERIFY:
        return _verify(arguments)
    from seatrial.bundle import write_bundle

    of_verify = (arguments.archive, arguments.allowed_signers, arguments.signer, arguments.study)
    if any(word is not None for word in of_verify):
        raise ConfigError(
            "these belong to `seatrial bundle verify BUNDLE.tar.zst`",
            key="BUNDLE.tar.zst, --allowed-signers, --signer, --study",
            allowed="seatrial bundle results/STUDY [--output BUNDLE.tar.zst] [--sign KEY]",
        )
    folder = Path(arguments.what)
    output = arguments.output or Path(f"{folder.resolve().name}.tar.zst")
    made = write_bundle(folder, output, arguments.sign)
    for name, places in made.masked.items():
        print(f"masked: {name}: {places} {'place' if places == 1 else 'places'} that look like secrets")
    print(f"{output}: {made.files} files{', signed' if arguments.sign else ''}")
    print(f"check it with `seatrial bundle verify {output}`")
    return EXIT_OK


def _verify(arguments: argparse.Namespace) -> int:
    from seatrial.bundle import verify_bundle
    from seatrial.bundle.agreed import read_agreed

    if arguments.archive is None or arguments.output is not None or arguments.sign is not None:
        raise ConfigError(
            "name the bundle to verify",
            key="verify",
            allowed="seatrial bundle verify BUNDLE.tar.zst [--allowed-signers FILE --signer NAME] [--study AGREED]",
        )
    agreed = None if arguments.study is None else read_agreed(arguments.study)
    found = verify_bundle(arguments.archive, arguments.allowed_signers, arguments.signer, agreed)
    for line in _lines(found):
        print(line)
    if not found.sound:
        return EXIT_FAIL
    return EXIT_UNKNOWN if found.unknown else EXIT_OK


def _lines(found: Verification) -> list[str]:
    unlike = found.differences
    lines = [f"study {found.study}, {found.files} files; {found.signature}"]
    for words, names in (
        ("changed", unlike.changed),
        ("missing", unlike.missing),
        ("not in the manifest", unlike.added),
    ):
        lines += [f"{words}: {name}" for name in names]
    if found.damage is not None:
        lines.append(found.damage)
    if unlike or found.forged or found.damage:
        return [*lines, "not as it was bundled: nothing was made again"]
    lines.append("every file is as the manifest says")
    lines += [f"criterion {words}" for words in found.criteria]
    lines += [f"not as agreed: {words}" for words in found.not_agreed]
    lines += [f"does not follow from the records: {words}" for words in found.unlike]
    lines += [f"not checked: {words}" for words in found.unknown]
    if found.recomputed and not found.unlike:
        lines.append(f"{len(found.recomputed)} tables and results made again from the records agree")
    return lines
