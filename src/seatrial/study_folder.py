"""The folder in which studies are run: what the package ships for it, and how a new one is laid out."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from pathlib import Path

from seatrial.errors import ConfigError

PARTS = ("snakefile", "conf", "profiles", "first_study")
"""What `seatrial init` lays out; `--only` takes one of them."""
HERE = Path(__file__).parent
TEMPLATES = HERE / "new_study"
PROFILES = ("local", "slurm")


def shipped() -> Path:
    """The folder with Snakefile, workflow/ and conf/ that came with this installation.

    In a wheel they lie inside the package; an editable installation has those of its checkout.
    """
    inside = HERE / "shipped"
    return inside if (inside / "Snakefile").is_file() else HERE.parents[1]


def snakefile() -> str:
    """The workflow that came with this installation, for `include:` or `module` in a Snakefile of one's own."""
    return str(shipped() / "Snakefile")


def conf_folder(beside: Path) -> Path:
    """The configuration that belongs to a Snakefile in the folder `beside`.

    Its own conf/; of a Snakefile in workflow/ the conf/ one folder up; else the one that came with the package.
    """
    own = [beside / "conf"] + ([beside.parent / "conf"] if beside.name == "workflow" else [])
    return next((folder for folder in own if (folder / "config.yaml").is_file()), shipped() / "conf")


def lay_out(folder: Path, only: str | None = None) -> list[Path]:
    """Lay out a study folder, or one part of it, and return the files that were written.

    With conf/ come the schemas of its files, for editors.

    Raises ConfigError where any of them is there already, or nothing can be written: then nothing is.
    """
    # the wiring needs this module at every start, and never the schemas for editors
    from seatrial.schema.editor import write_documents

    files = dict(_files(folder, only))
    with_schemas = only in (None, "conf")
    wanted = [*files, folder / "schema"] if with_schemas else list(files)
    there = sorted(str(target) for target in wanted if target.exists() or target.is_symlink())
    if there:
        rest = f" and {len(there) - 3} more" if len(there) > 3 else ""
        raise ConfigError(
            "nothing is overwritten, and these files are there already",
            file=folder,
            value=", ".join(there[:3]) + rest,
            allowed=f"an empty or new folder, or --only {'|'.join(PARTS)} for a part that is not there yet",
        )
    try:
        for target, source in files.items():
            target.parent.mkdir(parents=True, exist_ok=True)
            # contents, not modes: what is installed may be read-only
            shutil.copyfile(source, target)
    except OSError as problem:
        raise ConfigError(
            f"a study folder cannot be laid out here: {problem.strerror}",
            file=problem.filename,
            allowed="a folder that can be made and written",
        ) from None
    return [*files, *(write_documents(folder / "schema") if with_schemas else [])]


def _files(folder: Path, only: str | None) -> Iterator[tuple[Path, Path]]:
    """Every file to write with the one it is a copy of."""
    wanted = PARTS if only is None else (only,)
    if "snakefile" in wanted:
        yield folder / "Snakefile", TEMPLATES / "Snakefile"
    if "conf" in wanted:
        yield from _copies(shipped() / "conf", folder / "conf")
    if "profiles" in wanted:
        for name in PROFILES:
            yield folder / name / "config.yaml", shipped() / "workflow" / "profiles" / name / "config.yaml"
    if "first_study" in wanted:
        yield folder / "README.md", TEMPLATES / "README.md"
        yield folder / ".gitignore", TEMPLATES / "gitignore"
        yield folder / ".vscode" / "settings.json", TEMPLATES / "vscode.json"


def _copies(source: Path, target: Path) -> Iterator[tuple[Path, Path]]:
    for path in sorted(source.rglob("*")):
        if path.suffix == ".yaml":
            yield target / path.relative_to(source), path
