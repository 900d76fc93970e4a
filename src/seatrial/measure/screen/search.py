"""Adaptive group testing: which members are slow, from as few group runs as it takes. Arithmetic, no torch.

All members run in a chain, each beside its neighbours. Where that is slow, halving finds the shortest beginning of
the chain that is slow: its last member is slow, or its last pair of neighbours. That suspect runs with known-good
members, which run with each other as the control. Then the rest is tested, until what is left is fast. How many are
slow need not be known. Each costs ceil(log2 n) runs, five to confirm it, and one or two of the rest.

Every rank does it by itself, from the same readings to the same result; the analysis does it again from the record.
"""

from __future__ import annotations

import math
import random
from collections.abc import Generator, Iterable, Sequence
from statistics import fmean, median

from seatrial.measure.screen.chains import chain, kept_apart, number_of_chains
from seatrial.measure.screen.found import (
    Beside,
    Control,
    Ran,
    Rules,
    Screening,
    accused_by,
    noise_between,
    slowness_of,
)
from seatrial.measure.screen.reading import GroupRun, Piece, Reading, Step

OWN = 8
"""A group of so many members knows by itself what is typical; a smaller one is held against the last such
group, which was hardly larger: in a fabric that many members crowd, small groups are faster than large ones."""
NEAR = 0.02
"""A group whose slowness is this near to the threshold runs once more, and the mean of both counts."""
NOISES = 4
"""Nothing is called slow that is less than so many standard deviations above what is typical."""
WITNESSES = 4
"""Known-good members that make a control, where there are so many; else a pair."""
CONTROLS = 4
"""Groups that are tried for a control before a suspect is left unconfirmed."""
DIGS = 2
"""Searches in a row that lead to nobody before a slow pass is left unexplained."""


class _Spent(Exception):
    """No group run is left."""


def noises(members: int) -> float:
    """NOISES, and more of them where few members tell the noise: twice as many for four."""
    return NOISES * (1 + 4 / members)


Runs = Generator[GroupRun, Reading, Screening]


def screen(members: int, rules: Rules, seed: int) -> Runs:
    """Ask for group runs, take their readings, and return the Screening of `members` (0, 1, ...; two or more)."""
    return _Search(members, rules, seed).steps()


class _Search:
    """The state of one screening."""

    def __init__(self, members: int, rules: Rules, seed: int) -> None:
        self.rules, self.seed = rules, seed
        self.found = Screening(members, rules.slower)
        self.typical: dict[Piece, float] = {}
        """Of all members, where they are fewer than OWN."""
        self.recent: dict[Piece, float] = {}
        """Of the last group of OWN or more, which was not much larger than a smaller one that follows it."""
        self.with_others: dict[int, float] = {}
        """How slow the exchanges of a cleared suspect were beside its partners, on average."""
        self.firsts: list[Ran] = []
        """The first run of each order of all members."""
        self.source = random.Random(f"partners/{seed}")

    def steps(self) -> Runs:
        try:
            yield from self._passes()
            self.found.finished = True
        except _Spent:
            pass
        self.found.good -= set(self.found.bad)
        self._doubt()
        self.found.suspects -= self.found.good | set(self.found.bad)
        return self.found

    def _doubt(self) -> None:
        """Where noise raised the threshold, a fast group clears only who is not slower than was asked for."""
        if self.found.threshold <= self.rules.slower:
            return
        slowness = slowness_of(self.firsts, self.typical if self.found.members < OWN else None)
        self.found.not_told = {m: slowness[m] for m in sorted(self.found.good) if slowness[m] > self.rules.slower}
        self.found.good -= set(self.found.not_told)

    def _passes(self) -> Generator[GroupRun, Reading, None]:
        count = min(self.rules.passes, number_of_chains(self.found.members))
        orders = [chain(self.found.members, self.seed, number) for number in range(count)]
        for order in orders:  # all first: of few members one chain may have slow neighbours only
            self.firsts.append((yield from self._run("whole", order)))
            for piece, seconds in self.firsts[-1].reading.typical.items():
                self.typical[piece] = min(seconds, self.typical.get(piece, seconds))
        self.found.noise = noise_between(self.firsts)
        self.found.threshold = max(self.rules.slower, math.exp(noises(self.found.members) * self.found.noise))
        judged = []
        for first in self.firsts:
            judged.append((yield from self._judge(first)))
        for order, slow in zip(orders, judged, strict=True):
            # what another order showed too needs no second look
            if slow and ((all(judged) and len(judged) > 1) or (yield from self._is_slow("whole", order))):
                yield from self._clear(order)

    def _clear(self, whole: Sequence[int]) -> Generator[GroupRun, Reading, None]:
        """Search `whole`, which was slow, until what is left of it is fast."""
        order = self._still_in(whole)
        known_slow = len(order) == len(whole)
        cleared, digs = 0, 0
        while len(order) > max(cleared, 1):
            if not known_slow and not (yield from self._slow_twice(self._window(order, cleared, len(order)))):
                return
            k = yield from self._first_slow(order, cleared)
            out, accused = yield from self._confirm(order, k)
            digs = 0 if accused else digs + 1
            if digs == DIGS:
                self.found.unexplained += 1
                return
            # after a search that one disturbed run misled, the slow one is still ahead, or was passed over
            passed_over = out is None and k == len(order) - 1
            known_slow = out is None and not passed_over
            cleared = 0 if passed_over else (k + 1 if out is None else min(k, out))
            if out is not None:
                order = order[:out] + order[out + 1 :]

    def _slow_twice(self, members: Sequence[int]) -> Generator[GroupRun, Reading, bool]:
        """Whether the rest is slow, and is so again: a whole search hangs on it."""
        return (yield from self._is_slow("rest", members)) and (yield from self._is_slow("rest", members))

    def _still_in(self, order: Iterable[int]) -> list[int]:
        left = [m for m in order if m not in self.found.bad and m not in self.found.suspects]
        return kept_apart(left, self.found.links)

    def _window(self, order: Sequence[int], cleared: int, end: int) -> Sequence[int]:
        """What is not cleared of `order[:end]`, behind enough cleared members to make OWN."""
        return order[max(0, min(cleared - 1, end - OWN)) : end]

    def _first_slow(self, order: Sequence[int], cleared: int) -> Generator[GroupRun, Reading, int]:
        """Where the shortest slow beginning of `order` ends; `order` is slow, `order[:cleared]` fast."""
        fast, slow = max(cleared - 1, 0), len(order) - 1
        while slow - fast > 1:
            middle = (fast + slow) // 2
            if (yield from self._is_slow("halving", self._window(order, fast + 1, middle + 1))):
                slow = middle
            else:
                fast = middle
        return slow

    def _confirm(self, order: Sequence[int], k: int) -> Generator[GroupRun, Reading, tuple[int | None, bool]]:
        """Whom `order[:k + 1]`, slow where `order[:k]` is fast, accuses.

        Returns the index of what must leave the chain, if anything, and whether somebody was accused.
        """
        left, suspect = order[k - 1], order[k]
        control = yield from self._control(left, suspect)
        if control is None:
            self.found.suspects.add(suspect)
            return k, False
        pair = yield from self._beside(control, "pair", (left, suspect))
        if not pair.slow:
            return None, False
        for index in (k, k - 1):
            if order[index] not in control.members and (yield from self._node(order[index], control)):
                return index, True
        return k, (yield from self._link(pair, control))

    def _control(self, left: int, suspect: int) -> Generator[GroupRun, Reading, Control | None]:
        """Members beside the suspects that are fast with each other: known-good ones, or a pair that is so now."""
        others = [m for m in range(self.found.members) if m not in self.found.bad and m not in (left, suspect)]
        self.source.shuffle(others)
        others.sort(key=lambda m: (m in self.found.suspects, m not in self.found.good))
        known = sum(m in self.found.good for m in others)
        size = WITNESSES if known >= WITNESSES else 2
        groups = [others[place : place + size] for place in range(0, len(others) - size + 1, size)]
        if len(others) < 4:  # of three members the third can only be tried with either suspect
            groups += [[other, member] for other in others for member in (left, suspect)]
        for group in [g for g in groups if kept_apart(g, self.found.links) == g][:CONTROLS]:
            ran = yield from self._run("control", group)
            if not (yield from self._judge(ran)):
                return Control(ran, {p: median(ran.reading.seconds(p)) for p in ran.reading.slowest})
            self.found.good -= set(group)
        return None

    def _node(self, member: int, control: Control) -> Generator[GroupRun, Reading, bool]:
        """Whether `member` is slow with most of several known-good partners, those of the control first."""
        more = sorted(self.found.good - {member, *control.members})
        self.source.shuffle(more)
        partners = [p for p in [*control.members, *more] if frozenset((member, p)) not in self.found.links]
        enough = self.rules.confirmations
        slow: list[Beside] = []
        fast: list[Beside] = []
        for partner in partners[: 2 * enough - 1]:
            ran = yield from self._beside(control, "node", (member, partner))
            (slow if ran.slow else fast).append(ran)
            if len(slow) == enough:
                if not (yield from self._holds(control)):
                    break
                self.found.bad[member] = accused_by((member,), slow, control)
                return True
            if len(fast) == enough:
                self.found.good.add(member)
                self.with_others[member] = fmean(ran.ratios["exchange"] for ran in fast)
                return False
        self.found.suspects.add(member)
        return False

    def _holds(self, control: Control) -> Generator[GroupRun, Reading, bool]:
        """Whether the control, run once more, is as fast as before: else what lies between was disturbed."""
        after = yield from self._run("control", control.members)
        again = {piece: median(after.reading.seconds(piece)) for piece in control.typical}
        return all(again[piece] < self.found.threshold * before for piece, before in control.typical.items())

    def _link(self, pair: Beside, control: Control) -> Generator[GroupRun, Reading, bool]:
        """Whether two members, each fast with others but slow with each other in the run `pair`, are so again."""
        a, b = pair.members
        slow = [pair]
        # a node a little below the threshold makes pairs a little above it: that is no link
        least = self.found.threshold * max(1.0, *(self.with_others.get(end, 1.0) for end in (a, b)))
        while {a, b} <= self.found.good and slow[-1].ratios["exchange"] > least:
            if len(slow) == self.rules.confirmations:
                self.found.links[frozenset((a, b))] = accused_by((a, b), slow, control)
                return True
            slow.append((yield from self._beside(control, "pair", (a, b))))
        return False

    def _beside(self, control: Control, step: Step, pair: tuple[int, int]) -> Generator[GroupRun, Reading, Beside]:
        """A pair held against what is typical of the control; near the threshold it runs once more."""
        ran = yield from self._run(step, pair)
        ratios, runs = ran.reading.ratios(control.typical), [ran]
        if abs(max(ratios.values()) / self.found.threshold - 1) < NEAR:
            runs.append((yield from self._run(step, pair)))
            again = runs[-1].reading.ratios(control.typical)
            ratios = {piece: (ratio + again[piece]) / 2 for piece, ratio in ratios.items()}
        slow = {piece: ratio for piece, ratio in ratios.items() if ratio > self.found.threshold}
        return Beside(pair, tuple(runs), ratios, slow)

    def _is_slow(self, step: Step, members: Sequence[int]) -> Generator[GroupRun, Reading, bool]:
        ran = yield from self._run(step, members)
        return (yield from self._judge(ran))

    def _judge(self, ran: Ran) -> Generator[GroupRun, Reading, bool]:
        """Whether a group is slow; near the threshold it runs once more. The members of a fast one are good."""
        slowness = self._slowness(ran)
        if abs(slowness / self.found.threshold - 1) < NEAR:
            again = yield from self._run(ran.run.step, ran.run.members)
            slowness = (slowness + self._slowness(again)) / 2
        if slowness > self.found.threshold:
            return True
        self.found.good |= set(ran.run.members)
        return False

    def _slowness(self, ran: Ran) -> float:
        """The slowest member over the typical one: of the group itself, or of the last that was large enough."""
        if len(ran.run.members) >= OWN:
            self.recent = ran.reading.typical
        return max(ran.reading.ratios(self.recent or self.typical).values())

    def _run(self, step: Step, members: Sequence[int]) -> Generator[GroupRun, Reading, Ran]:
        if len(self.found.runs) >= self.rules.most_runs:
            raise _Spent
        run = GroupRun(step, tuple(members))
        reading = yield run
        ran = Ran(len(self.found.runs), run, reading)
        self.found.runs.append(ran)
        return ran
