"""The faults of a chaos run: which, in which order and for how long is decided by a seed."""

from __future__ import annotations

import random
import signal
import time
from dataclasses import dataclass
from typing import Callable, Iterator

from cluster import Cluster, Program, now_ms

_SYNC_WAIT_S = 3.0
_STOP_WAIT_S = 10.0  # a process that is asked to end does so in this time
_DOWN_MAX_S = 1.0    # what was killed is started again within
_STOP_MIN_S = 0.1
_TWICE_SHARE = 0.2   # of the rounds have two faults at a time

# What libfiu makes fail, and with which errno. Sockets and pipes use other calls.
_WRITES = ("posix/io/rw/pwrite", "posix/io/rw/pwritev", "posix/io/rw/ftruncate")
# Writes may be synced by themselves (O_DSYNC).
_SYNCS = ("posix/io/rw/pwrite", "posix/io/sync/fsync", "posix/io/sync/fdatasync")
_ENOSPC, _EIO = 28, 5

_SERVICES = ["worker-1", "worker-2", "tenant-c", "tenant-python", "subscriber", "ingest",
             "identity"]
_PLAIN = ["kill", "stop", "term"]
_DISK = ["full", "eio"]


@dataclass
class Fault:
    kind: str
    victim: str
    seconds: float  # how long it is stopped, full or down
    begin_ms: int = 0
    end_ms: int = 0  # from when on all may work again
    pid: int = 0     # of the victim
    fatal: bool = False  # the victim ended of it by itself


def plan(seed: int, rounds: int, stop_max_s: float, disk: bool) -> Iterator[list[Fault]]:
    """The faults of each round: one, two at a time, or all killed at a time. Every kind
    comes in turn, so that each is there often enough whatever the seed."""
    chance = random.Random(f"faults {seed}")
    turns: list[tuple[str, list[str]]] = []
    for _ in range(rounds):
        if not turns:
            # The broker is hurt as often as all others together.
            kinds = _PLAIN + (_DISK if disk else [])
            turns = [(kind, ["broker"]) for kind in kinds]
            others = [(kind, [name]) for name in _SERVICES for kind in _PLAIN]
            turns += chance.sample(others, len(kinds))
            turns.append(("kill", ["broker", *_SERVICES]))
            chance.shuffle(turns)
        kind, victims = turns.pop()
        faults = [_fault(kind, victim, stop_max_s, chance) for victim in victims]
        if len(faults) == 1 and chance.random() < _TWICE_SHARE:
            names = [name for name in ["broker", *_SERVICES] if name not in victims]
            faults.append(_fault(chance.choice(_PLAIN), chance.choice(names), stop_max_s,
                                 chance))
        yield faults


def _fault(kind: str, victim: str, stop_max_s: float, chance: random.Random) -> Fault:
    seconds = chance.random() * _DOWN_MAX_S
    if kind in ("stop", "full"):
        # As many short as long ones: the logarithm is even.
        seconds = _STOP_MIN_S * (stop_max_s / _STOP_MIN_S) ** chance.random()
    return Fault(kind, victim, seconds)


class Unexpected(Exception):
    """A program did not do what it must when it was hurt."""


def _kill(victim: Program) -> None:
    victim.kill()


def _start(victim: Program) -> None:
    victim.start()


def _terminate(victim: Program) -> None:
    victim.terminate()


def _await_end(victim: Program) -> None:
    stopped = victim.wait(_STOP_WAIT_S)
    status = victim.status()
    if not stopped:
        victim.kill()
    victim.start()
    if not stopped or status != 0:
        raise Unexpected(f"{victim.name} ended with {status} when it was told to stop")


def _stop(victim: Program) -> None:
    victim.signal_all(signal.SIGSTOP)


def _continue(victim: Program) -> None:
    victim.signal_all(signal.SIGCONT)


def _fill_disk(victim: Program) -> None:
    victim.inject(*(f"enable name={name},failinfo={_ENOSPC}" for name in _WRITES))


def _free_disk(victim: Program) -> None:
    status = victim.status()
    if status is None:
        victim.inject(*(f"disable name={name}" for name in _WRITES))
        return
    victim.wait(0)
    victim.start()
    raise Unexpected(f"the broker ended with {status} when the disk was full")


def _fail_sync(victim: Program) -> None:
    victim.inject(*(f"enable name={name},failinfo={_EIO},onetime" for name in _SYNCS))


def _end_fail_sync(victim: Program) -> bool:
    """A commit whose write or sync failed leaves unknown what is on disk: the broker has
    to end. Where it was no commit's, it may go on."""
    if victim.wait(_SYNC_WAIT_S):
        victim.start()
        return True
    victim.inject(*(f"disable name={name}" for name in _SYNCS))
    return False


# How a fault begins, and how it ends: True, the victim ended of it.
_DO: dict[str, tuple[Callable[[Program], None], Callable[[Program], bool | None]]] = {
    "kill": (_kill, _start),
    "term": (_terminate, _await_end),
    "stop": (_stop, _continue),
    "full": (_fill_disk, _free_disk),
    "eio": (_fail_sync, _end_fail_sync),
}


def inflict(cluster: Cluster, faults: list[Fault]) -> list[str]:
    """All at a time, in this thread: a process dies with the thread that started it.
    Returns when all victims may work again, with what they did wrong."""
    wrong = []
    for fault in faults:
        victim = cluster.programs[fault.victim]
        fault.pid, fault.begin_ms = victim.pid, now_ms()
        _DO[fault.kind][0](victim)
    for fault in sorted(faults, key=lambda fault: fault.seconds):
        time.sleep(max(0.0, fault.begin_ms / 1000 + fault.seconds - now_ms() / 1000))
        try:
            fault.fatal = bool(_DO[fault.kind][1](cluster.programs[fault.victim]))
        except Unexpected as error:
            wrong.append(f"{fault.kind}: {error}")
        fault.end_ms = now_ms()
    return wrong
