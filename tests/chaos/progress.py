"""Does work go on? Measured for each program by itself: a worker that is alive and no
longer consumes is not hidden by the others."""

from __future__ import annotations

import time

from cluster import Cluster, now_ms
from records import History, Line, Tail

_LOOK_S = 0.02


class Progress:
    """Reads the logs as they grow.

    A worker makes progress when it begins a job, the subscriber when it applies an event,
    and a load when a submit is acknowledged, of a job that was submitted after a moment.
    """

    def __init__(self, cluster: Cluster) -> None:
        self._tails = {name: Tail(program.log)
                       for name, program in cluster.programs.items() if program.log}
        self._submitted_ms: dict[str, int] = {}
        self._since_ms = 0
        self._seen: list[tuple[str, str, int]] = []  # who, ref, when
        self._first_ms: dict[str, int] = {}
        self.history = History()

    def look(self) -> None:
        """Take in what is new. A job's submit is noted before its execution, so the loads'
        logs are read last, and what is said of a job is understood after."""
        held: list[tuple[str, Line]] = []
        for name in sorted(self._tails, key=lambda name: name.startswith("load")):
            for line in self._tails[name].read():
                if name.startswith("load"):
                    self.history.add(name, line)
                else:
                    held.append((name, line))
                ref = {"A": 0, "B": 4, "U": 5}.get(line.kind)
                if ref is not None:
                    self._seen.append((name, line.words[ref], line.ms))
                elif line.kind == "S":
                    self._submitted_ms[line.words[0]] = line.ms
        for name, line in held:
            self.history.add(name, line)
        for name, ref, ms in self._seen:
            if self._submitted_ms.get(ref, 0) >= self._since_ms:
                self._first_ms.setdefault(name, ms)
        self._seen.clear()

    def await_all(self, since_ms: int, seconds: float) -> tuple[dict[str, int], list[str]]:
        """Wait until everybody makes progress with jobs submitted since; returns how long
        each took in ms, and who has made none."""
        self.look()
        self._since_ms = since_ms
        self._first_ms.clear()
        while len(self._first_ms) < len(self._tails) and (
                now_ms() - since_ms < seconds * 1000):
            time.sleep(_LOOK_S)
            self.look()
        took = {name: ms - since_ms for name, ms in self._first_ms.items()}
        return took, sorted(set(self._tails) - set(took))
