"""Which hosts hang below which leaf switch and stand in which rack.

Read from `scontrol show topology`, from a file of that form (or of topology.conf's), or from a YAML file
`{switches: {s1: "node[1-2]"}, racks: {r1: [node1, node2]}}`. Forms: Slurm's topology.conf(5), tree and block.
"""

from __future__ import annotations

import re
import shutil
import subprocess
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from seatrial.errors import ConfigError, UnreadableFile, Unsupported

FROM_SLURM = "slurm"
KEY = "target.scale_out.topology"
SCONTROL = ("scontrol", "--oneliner", "show", "topology")
SCONTROL_SECONDS = 60
MOST_HOSTS = 200_000
"""No host list is longer; a range that is comes from a slip of the finger."""
FORMS = (
    "slurm; a file with lines 'SwitchName=s1 Nodes=node[1-2]' or 'BlockName=b1 Nodes=node[1-2]' as "
    "`scontrol show topology` prints them; or YAML {switches: {s1: 'node[1-2]'}, racks: {r1: [node1, node2]}}"
)
YAML_PARTS = ("switches", "racks")


@dataclass(frozen=True)
class Topology:
    """The hosts below each leaf switch and in each rack, by name; `source` says where that was read."""

    source: str
    switches: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    racks: Mapping[str, tuple[str, ...]] = field(default_factory=dict)

    def groups(self, kind: str) -> Mapping[str, tuple[str, ...]]:
        """The switches (kind `switch`) or the racks (kind `rack`)."""
        return {"switch": self.switches, "rack": self.racks}[kind]

    def group_of_hosts(self, kind: str, hosts: Iterable[str]) -> dict[str, str]:
        """The switch or rack of each host; a full host name is also found by its first part.

        Raises ConfigError where the topology has no such groups, or not this host.
        """
        groups = self.groups(kind)
        if not groups:
            has = " and ".join(name for name in YAML_PARTS if getattr(self, name)) or "neither switches nor racks"
            raise ConfigError(
                f"the topology says nothing of a {kind}: it has {has}",
                key=KEY,
                value=self.source,
                allowed=f"a topology with {'switches' if kind == 'switch' else 'racks (or blocks)'}",
            )
        where = {host: name for name, members in groups.items() for host in members}
        found = {}
        for host in hosts:
            group = where.get(host) or where.get(host.partition(".")[0])
            if group is None:
                raise ConfigError(
                    f"host {host} is below no {kind} of the topology in {self.source}",
                    key=KEY,
                    value=host,
                    allowed=_few(sorted(where)),
                )
            found[host] = group
        return found


def read_topology(source: str) -> Topology:
    """The topology that `target.scale_out.topology` names: `slurm` asks scontrol, anything else is a file.

    Raises ConfigError for a file that is absent or of another form, Unsupported where Slurm has no topology.
    """
    if source == FROM_SLURM:
        return parse_slurm(_ask_slurm(), FROM_SLURM)
    path = Path(source).expanduser()
    try:
        text = path.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as problem:
        raise ConfigError(
            f"the topology cannot be read: {problem}", key=KEY, value=source, allowed=FORMS
        ) from problem
    if re.search(r"^\s*(SwitchName|BlockName)=", text, re.IGNORECASE | re.MULTILINE):
        return parse_slurm(text, source)
    return _parse_yaml(text, source)


def parse_slurm(text: str, source: str) -> Topology:
    """Leaf switches (tree form) and blocks (block form) of `scontrol show topology` or topology.conf.

    A switch above others is no leaf: it is told by Switches= or by Level= above 0. Raises ConfigError for a line
    of another form and a host that hangs below two leaves.
    """
    switches: dict[str, tuple[str, ...]] = {}
    racks: dict[str, tuple[str, ...]] = {}
    for line in text.splitlines():
        line = line.partition("#")[0].strip()
        if not line or re.match(r"(BlockSizes|BaseBlockSize|LinkSpeed)=", line, re.IGNORECASE):
            continue
        words = {key.lower(): value for key, value in re.findall(r"(\w+)=(\S*)", line)}
        kind = next((name for name in ("switchname", "blockname") if name in words), None)
        if kind is None:
            raise ConfigError(f"not a line of a topology: {line!r}", key=KEY, value=source, allowed=FORMS)
        above = bool(words.get("switches")) or words.get("level", "0") not in ("", "0")
        if words.get("nodes") and not above:
            into = switches if kind == "switchname" else racks
            into[words[kind]] = tuple(expand_hosts(words["nodes"], source))
    return _checked(Topology(source, switches, racks))


def _parse_yaml(text: str, source: str) -> Topology:
    from seatrial.config.yaml_file import parse_yaml

    def odd(problem: str) -> ConfigError:
        return ConfigError(f"the topology is of no known form: {problem}", key=KEY, value=source, allowed=FORMS)

    try:
        content = parse_yaml(text, source)
    except UnreadableFile as problem:
        raise odd(problem.problem) from problem
    if not isinstance(content, dict) or not content or set(content) - set(YAML_PARTS):
        raise odd(f"neither Slurm's lines nor a mapping of {' and '.join(YAML_PARTS)} alone")
    parts: dict[str, dict[str, tuple[str, ...]]] = {}
    for part, groups in content.items():
        if not isinstance(groups, dict) or not groups:
            raise odd(f"{part} is no mapping of names to hosts")
        parts[part] = {str(name): tuple(_hosts(f"{part}.{name}", of, source)) for name, of in groups.items()}
    return _checked(Topology(source, **parts))


def _hosts(place: str, hosts: object, source: str) -> list[str]:
    """The hosts of one group of the YAML form: a list of host names (or ranges) or one text."""
    found = []
    for text in hosts if isinstance(hosts, list) and hosts else [hosts]:
        if not isinstance(text, str):
            words = f"{place} is neither a text nor a list of host names"
            raise ConfigError(words, key=KEY, value=source, allowed=FORMS)
        found += expand_hosts(text, source)
    return found


def expand_hosts(text: str, source: str = "") -> list[str]:
    """The hosts of Slurm's list form: 'gpu[08-10,12],cpu1' -> gpu08, gpu09, gpu10, gpu12, cpu1.

    Raises ConfigError for what is none.
    """
    hosts: list[str] = []
    wrong = ConfigError(
        "not a list of hosts", key=KEY, value=f"{text} in {source}" if source else text, allowed="node[01-04],node7"
    )
    for part in re.findall(r"(?:[^,\[\]]|\[[^\[\]]*\])+|.", text.strip()):
        if part == ",":
            continue
        grown = [""]
        for plain, inside in re.findall(r"([^\[\]]+)|\[([^\[\]]*)\]", part):
            numbers = [plain] if plain else _numbers(inside, wrong)
            if len(hosts) + len(grown) * len(numbers) > MOST_HOSTS:
                raise wrong
            grown = [head + number for head in grown for number in numbers]
        if grown == [""] or not all(re.fullmatch(r"[\w.\-]+", host) for host in grown):
            raise wrong
        hosts += grown
    if not hosts or text.count("[") != text.count("]"):
        raise wrong
    return hosts


def _numbers(inside: str, wrong: ConfigError) -> list[str]:
    found: list[str] = []
    for piece in inside.split(","):
        match = re.fullmatch(r"(\d+)(?:-(\d+))?", piece.strip(), flags=re.ASCII)
        if match is None:
            raise wrong
        low, high = match[1], match[2] or match[1]
        if int(high) < int(low) or int(high) - int(low) > MOST_HOSTS:
            raise wrong
        found += [str(number).zfill(len(low)) for number in range(int(low), int(high) + 1)]
    return found


def _checked(topology: Topology) -> Topology:
    """Raises ConfigError where nothing was found, or a host is in two groups of a kind."""
    if not topology.switches and not topology.racks:
        raise ConfigError(
            "the topology names no leaf switch and no block with hosts",
            key=KEY,
            value=topology.source,
            allowed=FORMS,
        )
    for kind in ("switch", "rack"):
        seen: dict[str, str] = {}
        for name, hosts in topology.groups(kind).items():
            for host in hosts:
                if seen.setdefault(host, name) != name:
                    raise ConfigError(
                        f"host {host} is in {kind} {seen[host]} and in {kind} {name}",
                        key=KEY,
                        value=topology.source,
                        allowed=f"each host in one {kind}",
                    )
    return topology


def _ask_slurm() -> str:
    """What scontrol says. Raises Unsupported where it is not there, fails, or Slurm keeps no topology."""
    if shutil.which(SCONTROL[0]) is None:
        raise Unsupported(f"{KEY} is slurm, but scontrol is not on this node's PATH; name a file instead")
    try:
        said = subprocess.run(
            SCONTROL,
            capture_output=True,
            text=True,
            timeout=SCONTROL_SECONDS,
            check=False,
            stdin=subprocess.DEVNULL,
        )
    except (OSError, subprocess.TimeoutExpired) as problem:
        raise Unsupported(f"{' '.join(SCONTROL)} does not answer: {problem}") from problem
    lines = [line for line in said.stdout.splitlines() if re.match(r"(SwitchName|BlockName)=", line)]
    if said.returncode or not lines:
        words = " ".join((said.stderr or said.stdout).split()) or "no topology"
        raise Unsupported(
            f"Slurm keeps no tree or block topology ({words}): set its TopologyPlugin, or name a file in {KEY}"
        )
    return "\n".join(lines)


def _few(names: Sequence[str], most: int = 12) -> str:
    more = f", ... ({len(names)} hosts)" if len(names) > most else ""
    return ", ".join(names[:most]) + more
