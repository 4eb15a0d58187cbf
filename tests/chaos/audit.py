"""What must be true after a chaos run, whatever happened in it.

`audit` is a function of what was noted, so that tests/chaos/test_audit.py can show that
it finds each kind of violation.
"""

from __future__ import annotations

import collections
import json
from dataclasses import dataclass, field

from records import Execution, History

_LEASE_MS = {"short": 10_000, "long": 30_000}
_BEAT_MS = 2_000       # a lease is renewed as often as this
_UNCOMMITTED_MS = 2_000  # a lease of the short class is on disk after this at the latest
_CANCEL_MS = 5_000     # a job that waits at a worker which has to connect anew first
_MAX_LOST = 3
_ENDED = {"succeeded", "failed", "cancelled"}
_SHORT_QUEUES = {"omni.inference"}
# The edge's answers that leave open whether a job was taken.
_UNKNOWN = {"no_answer", "timeout", "unavailable", "storage_error"}


@dataclass
class Pause:
    """A time in which a program was stopped, or the broker's disk full."""

    begin_ms: int
    end_ms: int


@dataclass
class Harm:
    """What was done to whom."""

    deaths: dict[int, int] = field(default_factory=dict)           # pid: ms
    pauses: dict[int, list[Pause]] = field(default_factory=dict)   # by pid
    broker_deaths: list[int] = field(default_factory=list)
    full: list[Pause] = field(default_factory=list)


@dataclass
class Verdict:
    violations: list[str] = field(default_factory=list)
    counts: collections.Counter[str] = field(default_factory=collections.Counter)

    def add(self, kind: str, text: str) -> None:
        self.counts[kind] += 1
        self.violations.append(f"{kind}: {text}")


def audit(history: History, harm: Harm) -> Verdict:
    verdict = Verdict()
    executions: dict[str, list[Execution]] = collections.defaultdict(list)
    for one in history.executions:
        executions[one.task].append(one)
    for several in executions.values():
        several.sort(key=lambda one: one.begin_ms)
    _check_submits(history, verdict)
    _check_known(history, executions, verdict)
    _check_chains(history, executions, verdict)
    for task in history.endings:
        _check_ending(history, task, executions.get(task, []), verdict)
    for task, ms in history.cancelled_ms.items():
        _check_cancel(task, ms, executions.get(task, []), harm, verdict)
    queues = {one.ref: one.queue for one in history.submits.values()}
    for several in executions.values():
        for first, second in zip(several, several[1:]):
            short = queues.get(first.ref) in _SHORT_QUEUES
            _check_again(first, second, short, harm, verdict)
    _check_events(history, executions, verdict)
    return verdict


# ---- nothing lost, nothing that nobody submitted


def _check_submits(history: History, verdict: Verdict) -> None:
    for submit in history.submits.values():
        if submit.refused:
            verdict.counts[f"refused {submit.refused}"] += 1
        if not submit.acknowledged:
            continue
        verdict.counts["acknowledged"] += 1
        ending = history.endings.get(submit.task)
        if not ending or ending.state not in _ENDED:
            state = ending.state if ending else "not asked for"
            verdict.add("lost", f"{submit.task} was acknowledged and is {state}")


def _check_known(history: History, executions: dict[str, list[Execution]],
                 verdict: Verdict) -> None:
    for one in history.executions:
        submit = history.submits.get(one.ref)
        if not submit or submit.task not in ("-", one.task):
            verdict.add("unexpected", f"{one.task} ({one.ref}) ran, and nobody submitted it")
    known = {submit.task for submit in history.submits.values()} | set(executions)
    strange = [task for task in history.listed if task not in known]
    # Over HTTP the edge makes the id: without an answer it is not known.
    unanswered = sum(submit.task == "-" and submit.refused in _UNKNOWN | {""}
                     for submit in history.submits.values())
    if len(strange) > unanswered:
        verdict.add("unexpected", f"{len(strange)} tasks are listed that nobody submitted, "
                                  f"e.g. {strange[0]}")
    for task, state in history.listed.items():
        ending = history.endings.get(task)
        if ending and ending.state != state:
            verdict.add("unexpected", f"{task} is {ending.state}, and {state} in the list")


# ---- one end, with its result


def _nonce(result: str) -> int:
    try:
        return int(json.loads(result)["nonce"])
    except (ValueError, KeyError, TypeError):
        return -1


def _check_ending(history: History, task: str, executions: list[Execution],
                  verdict: Verdict) -> None:
    ending = history.endings[task]
    if ending.state in _ENDED:
        verdict.counts[ending.state] += 1
    if ending.state == "succeeded":
        nonce = _nonce(ending.result)
        if not any(one.nonce == nonce and one.outcome == "done" for one in executions):
            verdict.add("unexpected", f"{task} has a result that no execution gave: "
                                      f"{ending.result[:60]}")
    elif ending.state == "failed":
        asked = ending.code == "invalid_request" and any(
            one.outcome == "failed" for one in executions)
        poison = ending.code == "worker_lost" and ending.lost >= _MAX_LOST
        if not asked and not poison:
            verdict.add("unexpected", f"{task} failed: {ending.code}, lost {ending.lost}")
    elif ending.state == "cancelled":
        if task not in history.cancels and not _parent_failed(history, task):
            verdict.add("unexpected", f"{task} was cancelled by nobody")
    elif executions:
        verdict.add("lost", f"{task} ran and is {ending.state}")
    for one in executions:
        if one.acknowledged and not _agrees(one, ending.state, ending.result):
            verdict.add("lost", f"{task}: attempt {one.attempt} was acknowledged as "
                                f"{one.outcome}, and the task is {ending.state} "
                                f"{ending.result[:60]}")


def _parent_failed(history: History, task: str) -> bool:
    ending = history.endings.get(history.parents.get(task, ""))
    return ending is not None and ending.state in ("failed", "cancelled")


def _check_chains(history: History, executions: dict[str, list[Execution]],
                  verdict: Verdict) -> None:
    """A job runs after the one it depends on; a chain is taken whole or not at all."""
    for task, parent in history.parents.items():
        verdict.counts["after another"] += bool(executions.get(task))
        first, before = history.endings.get(task), history.endings.get(parent)
        if first and before and (first.state in _ENDED) != (before.state in _ENDED):
            verdict.add("unexpected", f"{task} is {first.state}, and {parent}, of the same "
                                      f"batch, {before.state}")
        ends_ms = [one.end_ms for one in executions.get(parent, ()) if one.outcome == "done"]
        for one in executions.get(task, ()):
            if not any(ms <= one.begin_ms for ms in ends_ms):
                verdict.add("unexpected", f"{task} ran before {parent} had succeeded")


def _agrees(one: Execution, state: str, result: str) -> bool:
    """Is this the end of a task of which this execution was acknowledged?"""
    if one.outcome == "done":
        return state == "succeeded" and _nonce(result) == one.nonce
    if one.outcome == "failed":
        return state in ("failed", "cancelled")
    return one.outcome == "retry" or state == "cancelled"


# ---- a cancel holds


def _paused_ms(harm: Harm, pid: int, begin_ms: int, end_ms: int) -> int:
    """The longest pause of the process that reaches into the time."""
    return max((pause.end_ms - pause.begin_ms for pause in harm.pauses.get(pid, ())
                if pause.begin_ms <= end_ms and pause.end_ms >= begin_ms), default=0)


def _check_cancel(task: str, ms: int, executions: list[Execution], harm: Harm,
                  verdict: Verdict) -> None:
    verdict.counts["cancels acknowledged"] += 1
    after = [one for one in executions if one.begin_ms > ms]
    # A lease that was out before the cancel may reach its handler after it.
    if len({one.attempt for one in after}) > 1:
        verdict.add("cancelled ran", f"{task} began {len(after)} times after its cancel")
    for one in after:
        allowed_ms = _CANCEL_MS + _paused_ms(harm, one.pid, ms, one.begin_ms)
        if one.begin_ms - ms > allowed_ms:
            verdict.add("cancelled ran", f"{task} began {one.begin_ms - ms} ms after its "
                                         "cancel was acknowledged")


# ---- run again only within the rule


def _check_again(first: Execution, second: Execution, short: bool, harm: Harm,
                 verdict: Verdict) -> None:
    lease_ms = _LEASE_MS["short" if short else "long"] - _BEAT_MS
    death_ms = harm.deaths.get(first.pid)
    span = first.begin_ms, second.begin_ms
    if first.outcome == "retry":
        reason = "again as asked"
    elif death_ms and death_ms <= second.begin_ms + _BEAT_MS:
        reason = "again, its worker died"
    elif first.outcome == "cancelled":
        reason = "again, its worker left"
    elif max(_paused_ms(harm, first.pid, *span),
             _paused_ms(harm, second.pid, *span)) >= lease_ms:
        reason = "again, its worker was silent for a lease"
    elif short and _broker_died_early(first, harm):
        reason = "again, its lease was not on disk"
    else:
        verdict.add("duplicate", f"{first.task} ran at {first.worker} (attempt "
                                 f"{first.attempt}, {first.outcome or 'no end'}) and "
                                 f"{second.begin_ms - first.begin_ms} ms later at "
                                 f"{second.worker} (attempt {second.attempt})")
        return
    verdict.counts[reason] += 1


def _broker_died_early(first: Execution, harm: Harm) -> bool:
    """Did it die before it can be relied on that the lease was on disk?"""
    for death_ms in harm.broker_deaths:
        late_ms = first.begin_ms + _UNCOMMITTED_MS
        for full in harm.full:  # nothing is committed while the disk is full
            if full.begin_ms <= late_ms and full.end_ms >= first.begin_ms:
                late_ms = max(late_ms, full.end_ms + _UNCOMMITTED_MS)
        if first.begin_ms - _UNCOMMITTED_MS <= death_ms <= late_ms:
            return True
    return False


# ---- usage events are those of the committed completions, once


def _check_events(history: History, executions: dict[str, list[Execution]],
                  verdict: Verdict) -> None:
    last: dict[int, int] = {}
    metered: dict[str, list[int]] = collections.defaultdict(list)
    ids: set[str] = set()
    for event in history.events:
        if event.seq <= last.get(event.shard, 0):
            verdict.add("events", f"shard {event.shard} has {event.seq} after "
                                  f"{last[event.shard]}")
        last[event.shard] = event.seq
        if event.id in ids:
            verdict.add("events", f"{event.id} came twice")
        ids.add(event.id)
        if event.meter in ("chaos", "own.chaos"):
            verdict.counts["usage events"] += 1
            metered[event.id.split("/")[0]].append(event.nonce)
    for task, nonces in metered.items():
        given = {one.nonce: one for one in executions.get(task, ())}
        for nonce in nonces:
            if nonce not in given:
                verdict.add("events", f"{task} has usage that no execution metered")
    for task, ending in history.endings.items():
        _check_metered(task, ending.state, ending.result, executions.get(task, []),
                       metered.get(task, []), verdict)


def _check_metered(task: str, state: str, result: str, executions: list[Execution],
                   nonces: list[int], verdict: Verdict) -> None:
    committed = {_nonce(result)} if state == "succeeded" else set()
    for one in executions:
        if one.outcome == "retry" and one.nonce in nonces:
            committed.add(one.nonce)  # a failed attempt that was committed is metered
        elif one.outcome in ("retry", "failed") and one.acknowledged:
            committed.add(one.nonce)
        elif one.outcome == "failed" and state in ("failed", "cancelled") and (
                one.nonce in nonces):
            committed.add(one.nonce)
    if sorted(nonces) != sorted(committed):
        verdict.add("events", f"{task} ({state}) was metered {len(nonces)} times, not "
                              f"{len(committed)}")
