"""Text that is always there: Python's documentation and standard-library sources; or text files."""

from __future__ import annotations

import ast
import hashlib
import platform
import sysconfig
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

from seatrial.config.training import StdlibDataset, TextDataset
from seatrial.errors import ConfigError, UnreadableFile


@dataclass(frozen=True)
class Corpus:
    """Documents in a stated order; `origin` says where they come from, with the version."""

    origin: str
    documents: tuple[str, ...]

    @property
    def sha256(self) -> str:
        """Hash over all documents, each with its length, so that moving text between them changes it."""
        digest = hashlib.sha256()
        for text in self.documents:
            content = text.encode("utf-8", "surrogatepass")
            digest.update(len(content).to_bytes(8, "big"))
            digest.update(content)
        return digest.hexdigest()

    @property
    def characters(self) -> int:
        return sum(len(text) for text in self.documents)


def documentation(library: Path | None = None) -> Corpus:
    """Python's own documentation as `pydoc_data.topics` holds it, one document per topic, sorted by name.

    `library` is another Python's standard library; None: this one's. The module is read, not imported:
    it may be another version's. Raises UnreadableFile where it is not there or not as expected.
    """
    folder = library or _own_library()
    path = folder / "pydoc_data" / "topics.py"
    try:
        tree = ast.parse(path.read_text(encoding="utf-8"))
    except (OSError, SyntaxError) as problem:
        raise UnreadableFile(path, str(problem)) from problem
    for node in tree.body:
        if isinstance(node, ast.Assign) and any(isinstance(t, ast.Name) and t.id == "topics" for t in node.targets):
            topics = ast.literal_eval(node.value)
            return Corpus(f"pydoc_data of {_version(library)}", tuple(topics[name] for name in sorted(topics)))
    raise UnreadableFile(path, "it defines no `topics`; is this Python's documentation?")


def modules(names: Sequence[str], library: Path | None = None) -> Corpus:
    """The sources of standard-library modules, in the order given (`json.decoder` -> json/decoder.py).

    Raises ConfigError for a module that this Python does not have as a source file.
    """
    folder = library or _own_library()
    documents = []
    for name in names:
        stem = folder.joinpath(*name.split("."))
        found = next((p for p in (stem.with_suffix(".py"), stem / "__init__.py") if p.is_file()), None)
        if found is None:
            raise ConfigError(
                f"{_version(library)} has no source of this module",
                file=folder,
                key="workload.dataset",
                value=name,
                allowed="modules of the standard library that are Python files",
            )
        documents.append(found.read_text(encoding="utf-8"))
    return Corpus(f"standard library of {_version(library)}", tuple(documents))


def files(paths: Iterable[str]) -> Corpus:
    """Text files, UTF-8. Raises UnreadableFile."""
    documents = []
    names = list(paths)
    for name in names:
        try:
            documents.append(Path(name).expanduser().read_text(encoding="utf-8"))
        except (OSError, UnicodeDecodeError) as problem:
            raise UnreadableFile(name, str(problem)) from problem
    return Corpus(f"files {', '.join(names)}", tuple(documents))


def train_and_evaluation(
    dataset: StdlibDataset | TextDataset, library: Path | None = None
) -> tuple[Corpus, Corpus]:
    """The two corpora of a dataset. Raises as `modules` and `files` do."""
    if isinstance(dataset, StdlibDataset):
        return modules(dataset.modules, library), modules(dataset.evaluation_modules, library)
    return files(dataset.train), files(dataset.evaluation)


def _own_library() -> Path:
    return Path(sysconfig.get_paths()["stdlib"])


def _version(library: Path | None) -> str:
    return f"Python {platform.python_version()}" if library is None else str(library)
