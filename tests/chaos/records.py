"""What the processes of a chaos run noted: record.h says what the lines mean."""

from __future__ import annotations

import pathlib
from dataclasses import dataclass, field
from typing import Iterator

# Words behind kind and time.
_WORDS = {"S": 5, "A": 2, "R": 2, "C": 1, "K": 1, "B": 5, "E": 5, "D": 3, "U": 6, "F": 6,
          "L": 2}


@dataclass
class Line:
    kind: str
    ms: int
    words: list[str]


def parse(text: str) -> Line | None:
    """None for a line that was cut short when its writer was killed."""
    kind, _, rest = text.partition(" ")
    count = _WORDS.get(kind)
    words = rest.split(" ", count) if count else []
    if count is None or len(words) != count + 1 or not words[0].isdigit() or not words[-1]:
        return None
    return Line(kind, int(words[0]), words[1:])


class Tail:
    """The lines of a log that is being written."""

    def __init__(self, path: pathlib.Path) -> None:
        self._path = path
        self._offset = 0

    def read(self) -> Iterator[Line]:
        if not self._path.exists():
            return
        with open(self._path, "rb") as log:
            log.seek(self._offset)
            whole = log.read().rpartition(b"\n")[0]
        self._offset += len(whole) + 1 if whole else 0
        for text in whole.decode().split("\n"):
            line = parse(text)
            if line:
                yield line


@dataclass
class Submit:
    ref: str
    task: str  # "-" until it is known
    tenant: str
    queue: str
    acknowledged: bool = False
    refused: str = ""  # the code


@dataclass
class Execution:
    task: str
    attempt: int
    worker: str
    pid: int
    begin_ms: int
    tenant: str
    ref: str
    outcome: str = ""  # "": its process died before
    nonce: int = 0
    end_ms: int = 0
    acknowledged: bool = False


@dataclass
class Ending:
    state: str
    lost: int
    code: str
    result: str


@dataclass
class Event:
    shard: int
    seq: int
    id: str
    meter: str
    nonce: int


@dataclass
class History:
    """Everything that was noted."""

    submits: dict[str, Submit] = field(default_factory=dict)  # by ref
    parents: dict[str, str] = field(default_factory=dict)     # what a task runs after
    cancels: set[str] = field(default_factory=set)            # tasks asked to cancel
    cancelled_ms: dict[str, int] = field(default_factory=dict)
    executions: list[Execution] = field(default_factory=list)
    events: list[Event] = field(default_factory=list)
    endings: dict[str, Ending] = field(default_factory=dict)  # by task
    listed: dict[str, str] = field(default_factory=dict)
    _running: dict[tuple[int, str, int], Execution] = field(default_factory=dict)

    def add(self, writer: str, line: Line) -> None:
        getattr(self, f"_add_{line.kind}")(writer, line.ms, *line.words)

    def _add_S(self, _: str, ms: int, ref: str, task: str, tenant: str, queue: str,
               parent: str) -> None:
        self.submits[ref] = Submit(ref, task, tenant, queue)
        if parent != "-":
            self.parents[task] = parent

    def _add_A(self, _: str, ms: int, ref: str, task: str) -> None:
        self.submits[ref].task = task
        self.submits[ref].acknowledged = True

    def _add_R(self, _: str, ms: int, ref: str, code: str) -> None:
        self.submits[ref].refused = code

    def _add_C(self, _: str, ms: int, task: str) -> None:
        self.cancels.add(task)

    def _add_K(self, _: str, ms: int, task: str) -> None:
        self.cancelled_ms.setdefault(task, ms)

    def _add_B(self, writer: str, ms: int, pid: str, task: str, tenant: str, attempt: str,
               ref: str) -> None:
        one = Execution(task, int(attempt), writer, int(pid), ms, tenant, ref)
        self.executions.append(one)
        self._running[one.pid, task, one.attempt] = one

    def _add_E(self, _: str, ms: int, pid: str, task: str, attempt: str, outcome: str,
               nonce: str) -> None:
        one = self._running[int(pid), task, int(attempt)]
        one.outcome, one.nonce, one.end_ms = outcome, int(nonce), ms

    def _add_D(self, _: str, ms: int, pid: str, task: str, attempt: str) -> None:
        one = self._running.get((int(pid), task, int(attempt)))
        if one:  # a job that was cancelled before it began is acknowledged too
            one.acknowledged = True

    def _add_U(self, _: str, ms: int, shard: str, seq: str, name: str, meter: str,
               nonce: str, ref: str) -> None:
        self.events.append(Event(int(shard), int(seq), name, meter, int(nonce)))

    def _add_F(self, _: str, ms: int, task: str, state: str, attempts: str, lost: str,
               code: str, result: str) -> None:
        self.endings[task] = Ending(state, int(lost), code, result)

    def _add_L(self, _: str, ms: int, task: str, state: str) -> None:
        self.listed[task] = state

    def tasks(self) -> list[tuple[str, str]]:
        """Each task that is known, with its tenant."""
        found = {one.task: one.tenant for one in self.executions}
        tenants = {one.ref[0]: one.tenant for one in self.executions}
        for submit in self.submits.values():
            if submit.task != "-":
                tenant = submit.tenant if submit.tenant != "-" else tenants.get("h")
                if tenant:
                    found.setdefault(submit.task, tenant)
        return sorted(found.items())
