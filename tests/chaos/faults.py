"""The faults of a chaos run: which, in which order and for how long is decided by a seed."""

from __future__ import annotations

import random
import signal
import time
from dataclasses import dataclass
from typing import Callable, Iterator

from cluster import Cluster, Program, now_ms

_STOP_WAIT_S = 10.0  # a process that is asked to end does so in this time
_DOWN_MAX_S = 1.0    # what was killed is started again within
_STOP_MIN_S = 0.1

# What libfiu makes fail, and with which errno. Sockets and pipes use other calls.
_WRITES = ("posix/io/rw/pwrite", "posix/io/rw/pwritev", "posix/io/rw/ftruncate")
_SYNCS = ("posix/io/sync/fsync", "posix/io/sync/fdatasync")
_ENOSPC, _EIO = 28, 5

_SERVICES = ["worker-1", "worker-2", "tenant-c", "tenant-python", "subscriber", "ingest",
             "identity"]
_PLAIN = ["kill", "stop", "term"]
_DISK = ["full", "sync"]


@dataclass
class Fault:
    kind: str
    victim: str
    seconds: float  # how long it is stopped, full or down
    begin_ms: int = 0
    end_ms: int = 0  # from when on all may work again
    pid: int = 0     # of the victim


def plan(seed: int, rounds: int, stop_max_s: float, disk: bool) -> Iterator[Fault]:
    """Every kind comes in turn, so that each is there often enough whatever the seed."""
    chance = random.Random(f"faults {seed}")
    victims: list[tuple[str, str]] = []
    for _ in range(rounds):
        if not victims:
            # The broker is hurt as often as all others together.
            kinds = _PLAIN + (_DISK if disk else [])
            victims = [("broker", kind) for kind in kinds]
            others = [(name, kind) for name in _SERVICES for kind in _PLAIN]
            victims += chance.sample(others, len(kinds))
            chance.shuffle(victims)
        victim, kind = victims.pop()
        seconds = chance.random() * _DOWN_MAX_S
        if kind in ("stop", "full"):
            # As many short as long ones: the logarithm is even.
            seconds = _STOP_MIN_S * (stop_max_s / _STOP_MIN_S) ** chance.random()
        yield Fault(kind, victim, seconds)


class Unexpected(Exception):
    """A program did not do what it must when it was hurt."""


def _kill(victim: Program, fault: Fault) -> None:
    victim.kill()
    time.sleep(fault.seconds)
    victim.start()


def _term(victim: Program, fault: Fault) -> None:
    victim.terminate()
    stopped = victim.wait(_STOP_WAIT_S)
    status = victim.status()
    if not stopped:
        victim.kill()
    time.sleep(fault.seconds)
    victim.start()
    if not stopped or status != 0:
        raise Unexpected(f"{fault.victim} ended with {status} when it was told to stop")


def _stop(victim: Program, fault: Fault) -> None:
    victim.signal_all(signal.SIGSTOP)
    time.sleep(fault.seconds)
    victim.signal_all(signal.SIGCONT)


def _full(victim: Program, fault: Fault) -> None:
    victim.inject(*(f"enable name={name},failinfo={_ENOSPC}" for name in _WRITES))
    time.sleep(fault.seconds)
    status = victim.status()
    if status is None:
        victim.inject(*(f"disable name={name}" for name in _WRITES))
        return
    victim.wait(0)
    victim.start()
    raise Unexpected(f"the broker ended with {status} when the disk was full")


def _sync(victim: Program, fault: Fault) -> None:
    """A sync that failed leaves unknown what is on disk: the broker has to end. Where it
    was no commit's, it may go on."""
    victim.inject(*(f"enable name={name},failinfo={_EIO},onetime" for name in _SYNCS))
    if not victim.wait(3):
        victim.inject(*(f"disable name={name}" for name in _SYNCS))
        return
    time.sleep(fault.seconds)
    victim.start()


_DO: dict[str, Callable[[Program, Fault], None]] = {
    "kill": _kill, "term": _term, "stop": _stop, "full": _full, "sync": _sync,
}


def inflict(cluster: Cluster, fault: Fault) -> None:
    """Returns when the victim may work again. Raises Unexpected, then too."""
    victim = cluster.programs[fault.victim]
    fault.pid = victim.pid
    fault.begin_ms = now_ms()
    try:
        _DO[fault.kind](victim, fault)
    finally:
        fault.end_ms = now_ms()
