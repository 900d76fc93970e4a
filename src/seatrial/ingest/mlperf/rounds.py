"""Which round a result folder belongs to: nothing in the logs says it, so names, a git remote or the user must."""

from __future__ import annotations

import re
from pathlib import Path, PurePosixPath

from seatrial.errors import ConfigError
from seatrial.ingest.mlperf.layout import in_results
from seatrial.ingest.mlperf.rules import ruleset_of, rulesets

REPOSITORY = re.compile(r"training_results_(v\d+\.\d+)(?:[-_.].*)?", re.IGNORECASE)
"""A results repository's folder or archive, also as downloaded (training_results_v5.1-main)."""
PLAIN = re.compile(r"v\d+\.\d+", re.IGNORECASE)
REMOTE = re.compile(r"url\s*=.*?([\w.-]+)[/:](training_results_(v\d+\.\d+))")


def repository_of_checkout(root: Path) -> tuple[str, str] | None:
    """Owner/name and round of the git checkout of a results repository that `root` lies in, from its remote's
    address ("mlcommons/training_results_v5.1", "v5.1"); else None."""
    for folder in (root, *root.parents):
        config = folder / ".git" / "config"
        if config.is_file():
            match = REMOTE.search(config.read_text(encoding="utf-8", errors="replace"))
            return (f"{match[1]}/{match[2]}", match[3]) if match else None
    return None


class Rounds:
    """The round of every result folder below `root`; `stated` is the user's word."""

    def __init__(self, root: Path, stated: str | None) -> None:
        """Raises ConfigError where the stated round has no rules, or a repository's own name contradicts it."""
        self._root, self._stated = root, stated
        checkout = repository_of_checkout(root)
        self._checkout = checkout[1] if checkout else None
        self._of: dict[PurePosixPath, tuple[str, str | None]] = {}
        if stated is not None:
            ruleset_of(stated)

    def of(self, folder: PurePosixPath) -> tuple[str, str | None]:
        """The round of a result folder, and a remark where a name on its path says another one.

        Raises ConfigError where nothing says it, or where the stated round contradicts a repository's own name.
        """
        if folder not in self._of:
            self._of[folder] = self._find(folder)
        return self._of[folder]

    def _find(self, folder: PurePosixPath) -> tuple[str, str | None]:
        # below results/ names are the submitter's: a system may be called v4.0-rack
        above = folder.parts[:-3] if in_results(folder) else folder.parts
        archive = () if self._root.is_dir() else (self._root.name,)
        sure = _last(REPOSITORY, (*above, *archive)) or self._checkout
        named = sure or _last(PLAIN, above)
        if self._stated is None:
            if named is None:
                raise ConfigError(
                    "neither the folder's names nor a git remote say which round these results belong to",
                    file=self._root,
                    key="--round",
                    allowed=rulesets(),
                )
            return named, None
        if sure is not None and sure != self._stated:
            raise ConfigError(
                f"these results are of another round: {sure} by the repository's own name",
                file=self._root,
                key="--round",
                value=self._stated,
                allowed=sure,
            )
        differs = named is not None and named != self._stated
        return self._stated, f"round {self._stated} as stated; the path says {named}" if differs else None


def _last(pattern: re.Pattern[str], parts: tuple[str, ...]) -> str | None:
    """The innermost of the names that `pattern` knows, as vX.Y."""
    for part in reversed(parts):
        if match := pattern.fullmatch(part):
            return str(match[match.re.groups]).lower()
    return None
