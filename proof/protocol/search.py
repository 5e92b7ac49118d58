"""The search: every order of the calls of a few operations, and a crash after each.

A state is the file system, the locks that are held, and how far each thread is.  What is checked of it: that what was
answered can have happened one after the other (`proof.protocol.legal`), that a crash loses nothing that was answered,
and that nobody waits for ever.
"""

from __future__ import annotations

import itertools
from collections.abc import Callable, Generator, Iterable, Iterator, Mapping, Sequence
from functools import lru_cache
from typing import Any, NamedTuple

from proof.protocol.filesystem import Call, State, call, crashes
from proof.protocol.legal import Event, Specification, is_legal

#: An operation: yields calls, is sent their answers, returns what it answers.
Operation = Generator[Call, Any, Any]
#: Which rules are followed.
Rules = frozenset[str]


class Step(NamedTuple):
    """An operation of a scenario.

    :ivar name: as `Family.operations` knows it.
    :ivar who: its number among all of them, as text: what it writes.
    """

    name: str
    who: str


class Family(NamedTuple):
    """A part of the protocol.

    :ivar rules: what can be left out of it.
    :ivar operations: make a generator, of the rules and who it is.
    :ivar specification: what they are to do.
    :ivar look: tells of a file system at rest what its readers see, as events that come after all others.
    :ivar again: what is done after a crash: further steps, each alone.
    """

    name: str
    rules: Mapping[str, str]
    operations: Mapping[str, Callable[[Rules, str], Operation]]
    specification: Specification
    look: Callable[[State, Rules], Sequence[Event]]
    again: Sequence[str] = ()


class Scenario(NamedTuple):
    """What some threads do at once.

    :ivar start: the file system.
    :ivar value: what that is to the specification.
    """

    family: Family
    start: State
    value: Any
    threads: tuple[tuple[str, ...], ...]


def mixed(
    family: Family,
    start: State,
    value: Any,
    writes: Sequence[str],
    reads: Sequence[str],
    one_after_another: Iterable[tuple[str, ...]],
) -> Iterator[Scenario]:
    """Each with each of the writes, and a reader; and some of which one thread does one after another."""
    for write in writes:
        for read in reads:
            yield Scenario(family, start, value, ((write,), (read,)))
    for first in one_after_another:
        for other in (*writes, *reads):
            yield Scenario(family, start, value, (first, (other,)))
    for pair in itertools.combinations_with_replacement(writes, 2):
        threads = tuple((each,) for each in pair)
        yield Scenario(family, start, value, threads)
        for read in reads if pair[0] != pair[1] else ():
            yield Scenario(family, start, value, (*threads, (read,)))


class Violation(NamedTuple):
    """What went wrong, and the calls that led there."""

    kind: str
    told: Any
    trace: tuple[Any, ...]


class Outcome(NamedTuple):
    states: int
    violations: dict[str, Violation]
    cut: bool


class _Thread(NamedTuple):
    """How far a thread is.

    :ivar at: which of its steps is its next, or its present one.
    :ivar answers: of the calls of the present step.
    :ivar before: who had ended when it began; None if it has not.
    """

    at: int = 0
    answers: tuple[Any, ...] = ()
    before: tuple[str, ...] | None = None


class _Node(NamedTuple):
    files: State
    locks: tuple[tuple[str, int], ...]
    threads: tuple[_Thread, ...]
    done: tuple[Event, ...]


def run(operation: Operation, files: State) -> tuple[State, Any]:
    """Do an operation alone, to its end."""
    answer: Any = None
    try:
        while True:
            what = operation.send(answer)
            if what[0] in ("lock", "unlock"):
                answer = None
            else:
                files, answer = call(files, what, journal=True)
    except StopIteration as end:
        return files, end.value


def explore(scenario: Scenario, rules: Rules, *, journal: bool = False, most: int = 60_000) -> Outcome:
    """Look at all that can happen.

    :param journal: what the file system keeps in a crash, see `filesystem.crashes`.
    :param most: states; then the rest is left out.
    """
    return _Search(scenario, rules, journal, most).explore()


class _Search:
    def __init__(self, scenario: Scenario, rules: Rules, journal: bool, most: int) -> None:
        self.scenario = scenario
        self.family = scenario.family
        self.rules = rules
        self.journal = journal
        self.most = most
        self.violations: dict[str, Violation] = {}
        self.checked: set[Any] = set()
        self.next = lru_cache(100_000)(self._next)

    def explore(self) -> Outcome:
        start = _Node(self.scenario.start, (), tuple(_Thread() for _ in self.scenario.threads), ())
        self.parents: dict[_Node, tuple[_Node, Any] | None] = {start: None}
        waiting = [start]
        while waiting:
            node = waiting.pop()
            if len(self.parents) > self.most:
                return Outcome(len(self.parents), self.violations, True)
            following = list(self._following(node))
            if not following and any(
                thread.at < len(steps) for thread, steps in zip(node.threads, self.scenario.threads, strict=True)
            ):
                self._report("deadlock", node, "")
            for after, what in following:
                if after not in self.parents:
                    self.parents[after] = (node, what)
                    self._check(node, after)
                    waiting.append(after)
        return Outcome(len(self.parents), self.violations, False)

    def _following(self, node: _Node) -> Iterable[tuple[_Node, Any]]:
        for number, thread in enumerate(node.threads):
            steps = self.scenario.threads[number]
            if thread.at >= len(steps):
                continue
            before = thread.before if thread.before is not None else tuple(sorted(each.who for each in node.done))
            name, who = steps[thread.at], _who(number, thread.at)
            what = self.next(name, who, thread.answers)
            files, locks, answer = node.files, node.locks, None
            if what[0] == "lock":
                if _is_excluded(what[1], locks):
                    continue
                locks = tuple(sorted((*locks, (what[1], number))))
            elif what[0] == "unlock":
                locks = tuple(each for each in locks if each != (what[1], number))
            elif what[0] != "return":
                files, answer = call(files, what, self.journal)
            moved = _Thread(thread.at, (*thread.answers, answer), before)
            done = node.done
            ended = what if what[0] == "return" else self.next(name, who, moved.answers)
            if ended[0] == "return":
                # At once: nothing that others do can change it.
                done = tuple(sorted((*done, Event(name, who, ended[1], before))))
                moved = _Thread(thread.at + 1)
            threads = (*node.threads[:number], moved, *node.threads[number + 1 :])
            yield _Node(files, locks, threads, done), (name, who, what, answer)

    def _next(self, name: str, who: str, answers: tuple[Any, ...]) -> Call:
        """The next call of an operation that got these answers, or what it returns."""
        operation = self.family.operations[name](self.rules, who)
        try:
            what = next(operation)
            for answer in answers:
                what = operation.send(answer)
            return what
        except StopIteration as end:
            return ("return", end.value)

    def _check(self, before: _Node, node: _Node) -> None:
        running = tuple(
            Event(steps[thread.at], _who(number, thread.at), None, thread.before)
            for number, (thread, steps) in enumerate(zip(node.threads, self.scenario.threads, strict=True))
            if thread.before is not None
        )
        if node.done != before.done and not self._legal((*node.done, *running), ()):
            self._report("not linearizable", node, node.done)
        if node.files == before.files and node.done == before.done:
            return
        writes = tuple(each for each in (*node.done, *running) if self.family.specification.counts(each))
        for files in crashes(node.files, self.journal):
            # Whether a file that is torn is seen is for the specification to tell.
            if (files, writes) not in self.checked:
                self.checked.add((files, writes))
                self._check_crash(node, files, writes)

    def _check_crash(self, node: _Node, files: State, writes: tuple[Event, ...]) -> None:
        seen = tuple(self.family.look(files, self.rules))
        if not self._legal(writes, seen):
            self._report("lost in a crash", node, (writes, seen))
            return
        for name in self.family.again:
            after, answer = run(self.family.operations[name](self.rules, "again"), files)
            # What was seen right after the crash stays.
            later = (*seen, Event(name, "again", answer, None), *self.family.look(after, self.rules))
            if not self._legal(writes, later):
                self._report(f"wrong when {name} follows a crash", node, (writes, later))

    def _legal(self, events: tuple[Event, ...], seen: tuple[Event, ...]) -> bool:
        return is_legal(self.family.specification, self.scenario.value, events, seen)

    def _report(self, kind: str, node: _Node, told: Any) -> None:
        trace: list[Any] = []
        at = self.parents.get(node)
        while at is not None:
            trace.append(at[1])
            at = self.parents[at[0]]
        if kind not in self.violations or len(trace) < len(self.violations[kind].trace):
            self.violations[kind] = Violation(kind, told, tuple(reversed(trace)))


def _who(thread: int, at: int) -> str:
    return f"{thread}.{at}"


def _is_excluded(name: str, locks: Iterable[tuple[str, int]]) -> bool:
    """Whether a lock must be waited for: one that ends with * is that of all that begin like it."""
    return any(
        held == name
        or (held.endswith("*") and name.startswith(held[:-1]))
        or (name.endswith("*") and held.startswith(name[:-1]))
        for held, _ in locks
    )
