"""The control loop: takes work, grants credit, renews leases, resends outcomes, drains.

It never stops a job because the broker is silent, only because of STALE, CANCEL_JOB or
its own drain, and keeps an outcome until it is acknowledged.
"""

from __future__ import annotations

import logging
import socket
import time
from dataclasses import dataclass
from typing import Any, Iterable

import zmq

from . import export, trace, wire
from .channel import Closed
from .handle import Handlers
from .link import Link
from .slot import Slot
from .wire import Type
from .work import State, Work

log = logging.getLogger("omni_worker")

_RESEND_S = 2.0  # of an outcome that is not acknowledged
_KEPT_MAX = 1000  # outcomes that are not acknowledged: beyond that, or beyond so many
_KEPT_BYTES_MAX = 64 << 20  # bytes of them, no more jobs are taken
_RELEASE_S = 1.0  # unstarted work goes back after this
_PROGRESS_S = 0.15  # progress is sent this soon
_STOP_BEFORE_END_S = 1.0  # handlers are asked to stop so long before the drain ends
_LATE_GRACE_S = 1.0  # for a handler past its hard limit
_HARD_GRACE_S = 5.0  # the hard limit is the broker's word, unless it is silent so long
_BEAT_BYTES = 12000  # of one BEAT's list, below the header's limit
_WAIT_MAX_S = 60.0
_PARENT_ID = "parent/"  # begins the id of a question; its number and the job's task follow


@dataclass
class Settings:
    """What Worker() was told; see there."""

    endpoint: str
    node: str
    role: str
    api_key: str | None
    keys: str | None
    broker_key: str | None
    slots: int
    in_processes: bool
    drain_s: float
    cancel_grace_s: float


@dataclass
class _Credit:
    limit: int = 0  # granted in this session
    received: int = 0  # of it


class Control:
    """One run of a worker."""

    def __init__(self, settings: Settings, handlers: Handlers) -> None:
        self._settings = settings
        self._link = Link(settings.endpoint, settings.role, settings.keys,
                          settings.broker_key, self._hello, self._on_opened)
        self._incarnation = time.time_ns() // 1_000_000
        self._spans = export.start(settings.node)
        self._credits = {queue: _Credit() for queue, _ in handlers}
        self._works: dict[int, Work] = {}
        self._slots = [Slot(handlers, settings.in_processes)
                       for _ in range(settings.slots)]
        self._beat_s = 0.0
        self._drain_end_s: float | None = None
        self._wake_in, self._wake_out = socket.socketpair()
        for end in (self._wake_in, self._wake_out):
            end.setblocking(False)
        self._stops = 0

    def stop(self) -> None:
        """Drain and return from run(); a second time, do not wait for running jobs. From
        any thread or a signal handler."""
        self._stops += 1
        try:
            self._wake_out.send(b"x")
        except OSError:  # full: it was told already
            pass

    def run(self) -> None:
        """Work until stop()."""
        try:
            while True:
                due_s = self._round()
                if self._is_drained(time.monotonic()):
                    break
                self._wait(due_s)
            self._release_rest()
        finally:
            for slot in self._slots:
                slot.stop()
            self._link.close()
            if self._spans:
                self._spans.stop()
            self._wake_in.close()
            self._wake_out.close()

    # -- the loop

    def _round(self) -> float:
        """Everything that has come and is due; returns when the next is due."""
        self._check_stop(time.monotonic())
        for fields, payload in self._link.receive():
            self._on_message(fields, payload)
        for slot in self._slots:
            self._tend_slot(slot)
        now_s = time.monotonic()
        if self._drain_end_s is not None:
            self._drain(now_s)
        self._start_waiting(now_s)
        self._grant_credit()
        due = [now_s + _WAIT_MAX_S, self._beat(now_s), self._tend_works(now_s)]
        due += [at_s for slot in self._slots if (at_s := slot.start_at_s) is not None]
        if self._drain_end_s is not None:
            due += [end_s for end_s in (self._drain_end_s - _STOP_BEFORE_END_S,
                                        self._drain_end_s) if end_s > now_s]
        due.append(self._link.tick(now_s))
        return min(due)

    def _wait(self, due_s: float) -> None:
        now_s = time.monotonic()
        poller = zmq.Poller()
        poller.register(self._wake_in, zmq.POLLIN)
        if self._link.socket is not None:
            write = zmq.POLLOUT if self._link.wants_write(now_s) else 0
            poller.register(self._link.socket, zmq.POLLIN | write)
        for slot in self._slots:
            if slot.channel is not None:
                write = zmq.POLLOUT if slot.channel.wants_write else 0
                poller.register(slot.channel.fileno(), zmq.POLLIN | write)
        poller.poll(max(0, int((due_s - now_s) * 1000 + 1)))

    def _check_stop(self, now_s: float) -> None:
        try:
            while self._wake_in.recv(64):
                pass
        except BlockingIOError:
            pass
        if self._stops and self._drain_end_s is None:
            log.info("draining")
            self._drain_end_s = now_s + self._settings.drain_s
        if self._stops > 1:
            self._drain_end_s = now_s

    # -- messages of the broker

    def _hello(self) -> dict[str, Any]:
        held = [{"token": work.token} for work in self._jobs()]
        return {
            "id": "hello",  # said again it is the same, and not another session
            "role": self._settings.role,
            "node": self._settings.node,
            "incarnation": self._incarnation,
            "credential": self._settings.api_key,
            "held": held or None,
            "caps": wire.ACK_LISTS | wire.BUNDLE,
        }

    def _on_opened(self) -> None:
        """A new session starts with no credit, and may have lost what was sent before."""
        for credit in self._credits.values():
            credit.limit = credit.received = 0
        for work in self._works.values():
            work.sent_s = 0.0
            self._ask_parent(work)
            work.send_chunks(self._link)
        self._beat_s = 0.0

    def _on_message(self, fields: dict[str, Any], payload: bytes) -> None:
        kind = fields["type"]
        if kind in (Type.JOB, Type.CALL):
            self._on_work(fields, payload)
        elif kind == Type.CANCEL_JOB:
            self._cancel(self._find(fields["token"]))
        elif kind == Type.CALL_CANCEL:
            for work in list(self._works.values()):
                if work.is_call and work.fields["call"] == fields["call"]:
                    self._cancel(work)
        elif kind == Type.CALL_CREDIT:
            for work in self._works.values():
                if work.is_call and work.fields["call"] == fields["call"]:
                    self._allow_parts(work, fields["limit"])
        elif kind == Type.BEAT_ACK:
            for token in fields.get("tokens", ()):
                self._cancel(self._find(token))
            for token in fields.get("stale", ()):
                self._on_stale(self._find(token))
            if fields.get("drain"):
                self._drain_once()
        elif kind == Type.DONE_ACK:
            for token in fields.get("tokens", [fields.get("token", b"")]):
                work = self._find(token)
                if work and work.state is State.FINISHED:
                    del self._works[work.number]
        elif kind == Type.STALE:
            self._on_stale(self._find(fields["token"]))
        elif kind == Type.PARENT_IS:
            self._on_parent(fields, payload)
        elif kind == Type.ERROR:
            self._on_error(fields)
        elif kind == Type.DRAIN:
            self._drain_once()
        # CREDIT_OK, and what newer brokers say, needs nothing.

    def _allow_parts(self, work: Work, limit: int) -> None:
        """The caller takes more parts of its answer."""
        if limit <= work.fields.get("limit", 0):
            return
        work.fields["limit"] = limit
        for slot in self._slots:
            if slot.busy == work.number and slot.channel is not None:
                slot.channel.send(["credit", work.number, limit])

    def _ask_parent(self, work: Work) -> None:
        """Ask for what the handler waits for; again when a session opens."""
        if work.asked is not None and work.state is State.RUNNING:
            self._link.send(Type.PARENT, id=self._parent_id(work), token=work.token,
                            task=work.asked)

    @staticmethod
    def _parent_id(work: Work) -> str:
        return f"{_PARENT_ID}{work.questions}/{work.fields.get('task', '')}"

    def _on_parent(self, fields: dict[str, Any], payload: bytes) -> bool:
        """Give the answer to the handler that asked; False if it is none."""
        if not fields.get("id", "").startswith(_PARENT_ID):
            return False
        for work in self._works.values():
            if work.is_call or work.asked is None or fields["id"] != self._parent_id(work):
                continue  # an answer to an earlier question may come late
            if fields["type"] == Type.PARENT_IS and fields["task"] != work.asked:
                continue
            state = wire.STATES.get(fields.get("info", {}).get("state"), "unknown")
            answer = [fields.get("code"), fields.get("text", ""), state,
                      fields.get("ctype"), payload]
            for slot in self._slots:
                if slot.busy == work.number and slot.channel is not None:
                    slot.channel.send(["parent", work.number, work.asked, *answer])
            work.asked = None
        return True

    def _on_work(self, fields: dict[str, Any], payload: bytes) -> None:
        credit = self._credits.get(fields["queue"])
        if credit is None or (fields["type"] == Type.JOB and self._find(fields["token"])):
            return
        credit.received += 1
        work = Work(fields, payload, time.monotonic())
        self._works[work.number] = work

    def _cancel(self, work: Work | None) -> None:
        if work is None or work.state is State.FINISHED or work.broker_cancels:
            return
        work.broker_cancels = True
        if work.state is State.RUNNING:
            self._ask_to_stop(work)
        elif work.is_call:
            del self._works[work.number]
        else:
            work.finish({"how": "cancelled"})

    def _on_stale(self, work: Work | None) -> None:
        if work is None or work.stale:
            return
        if work.state is State.RUNNING:
            work.stale = True
            self._ask_to_stop(work)
        else:
            del self._works[work.number]

    def _on_error(self, fields: dict[str, Any]) -> None:
        """Messages given an id are questions about parents, and chunks: the id of their
        task."""
        if self._on_parent(fields, b"") or fields["code"] != "too_large":
            return
        for work in self._jobs():
            if work.fields.get("task") and work.fields["task"] == fields.get("id"):
                work.chunks_refused = True
                log.warning("task %s has as many parts as are kept", fields["id"])

    def _ask_to_stop(self, work: Work) -> None:
        now_s = time.monotonic()
        grace_s = self._settings.cancel_grace_s
        if work.past_hard_limit(now_s):
            grace_s = min(grace_s, _LATE_GRACE_S)
        end_s = now_s + grace_s
        work.kill_at_s = min(end_s, work.kill_at_s or end_s)
        for slot in self._slots:
            if slot.busy == work.number:
                slot.cancel()

    def _drain_once(self) -> None:
        if not self._stops:
            self.stop()

    # -- the handlers

    def _tend_slot(self, slot: Slot) -> None:
        start_at_s = slot.start_at_s
        if start_at_s is not None:
            if self._drain_end_s is None and time.monotonic() >= start_at_s:
                slot.start()
            return
        assert slot.channel
        slot.channel.flush()
        number = slot.busy
        try:
            messages = slot.receive()
        except Closed:
            work = self._works.get(number) if number is not None else None
            if work:
                log.error("the process of a job of kind %s died", work.fields["kind"])
                work.crash("the handler's process died")
                self._end_span(work)
                self._send_outcome(work)
            return
        for message in messages:
            self._on_handler(message)

    def _on_handler(self, message: list[Any]) -> None:
        work = self._works.get(message[1])
        if work is None:
            return
        if message[0] == "progress":
            work.progress, work.detail, work.progress_new = message[2], message[3], True
        elif message[0] == "parent":
            work.asked = message[2]
            work.questions += 1
            self._ask_parent(work)
        elif message[0] == "chunk":
            work.add_chunk(message[2], message[3])
            work.send_chunks(self._link)
        elif message[0] == "outcome":
            work.finish(message[2], message[3])
            self._end_span(work)
            self._send_outcome(work)

    def _start_waiting(self, now_s: float) -> None:
        idle = [slot for slot in self._slots if slot.ready and slot.busy is None]
        for work in [w for w in self._works.values() if w.state is State.WAITING]:
            if not idle:
                return
            ttl_ms = work.fields.get("ttl_ms")
            if work.is_call and ttl_ms and now_s >= work.received_s + ttl_ms / 1000:
                del self._works[work.number]  # its caller is gone
                continue
            work.state, work.started_s = State.RUNNING, now_s
            work.started_ns = time.time_ns()
            if not work.is_call:
                self._link.send(Type.START, token=work.token)
            idle.pop().give(work.number, self._begin_span(work), work.payload)

    def _begin_span(self, work: Work) -> dict[str, Any]:
        """What the handler is told: the fields, with the trace context to go on with."""
        fields = {name: value for name, value in work.fields.items()
                  if name not in ("token", "traceparent", "tracestate")}
        work.around = trace.around(work.fields)
        if work.around:
            work.context = work.around.below() if self._spans else work.around
            fields["traceparent"] = str(work.context)
            if "tracestate" in work.fields:
                fields["tracestate"] = work.fields["tracestate"]
        return fields

    def _end_span(self, work: Work) -> None:
        if self._spans and work.around and work.context:
            self._spans.end(work.context, work.around, work.fields, work.started_ns,
                            work.outcome)

    # -- what is due

    def _grant_credit(self) -> None:
        """Allow as many more jobs as there are slots free, and room for their outcomes."""
        if self._drain_end_s is not None or not self._link.open:
            return
        kept = [len(work.result) for work in self._works.values()
                if work.state is State.FINISHED]
        full = len(kept) >= _KEPT_MAX or sum(kept) >= _KEPT_BYTES_MAX
        free = 0 if full else sum(slot.ready and slot.busy is None for slot in self._slots)
        for queue, credit in self._credits.items():
            waiting = sum(work.state is State.WAITING and work.queue == queue
                          for work in self._works.values())
            limit = credit.received + max(0, free - waiting)
            if limit > credit.limit and self._link.send(Type.CREDIT, queue=queue,
                                                        limit=limit):
                credit.limit = limit

    def _beat(self, now_s: float) -> float:
        """Renew every lease when it is due; returns when it is due next."""
        jobs = list(self._jobs())
        if not jobs or not self._link.open:
            return now_s + _WAIT_MAX_S
        news = any(work.progress_new for work in jobs)
        due_s = self._beat_s + (_PROGRESS_S if news else self._link.heartbeat_s)
        if now_s < due_s:
            return due_s
        for held in _runs(work.held() for work in jobs):
            if self._link.send(Type.BEAT, held=held):
                self._link.ask(now_s)
        for work in jobs:
            work.progress_new = False
        self._beat_s = now_s
        return now_s + self._link.heartbeat_s

    def _tend_works(self, now_s: float) -> float:
        """Resend outcomes, give back what waits too long, end what does not stop."""
        due_s = now_s + _WAIT_MAX_S
        for work in list(self._works.values()):
            if work.state is State.FINISHED:
                if now_s >= work.sent_s + _RESEND_S and self._link.open:
                    self._send_outcome(work)
                due_s = min(due_s, max(work.sent_s, now_s) + _RESEND_S)
            elif work.state is State.WAITING and not work.is_call:
                if now_s >= work.received_s + _RELEASE_S:
                    self._release(work)
                else:
                    due_s = min(due_s, work.received_s + _RELEASE_S)
            elif work.kill_at_s is not None:
                if now_s >= work.kill_at_s:
                    self._kill(work)
                else:
                    due_s = min(due_s, work.kill_at_s)
            elif work.state is State.RUNNING:
                end_s = work.hard_end_s + _HARD_GRACE_S
                if now_s >= end_s:
                    work.late = True
                    self._kill(work)
                else:
                    due_s = min(due_s, end_s)
        return due_s

    def _kill(self, work: Work) -> None:
        work.kill_at_s = None
        for slot in self._slots:
            if slot.busy == work.number:
                log.warning("ending a job of kind %s by force", work.fields["kind"])
                slot.kill()

    def _send_outcome(self, work: Work) -> None:
        """Send it, and forget what nobody will acknowledge. A call's is not resent: its
        caller asks again."""
        gives_back = (self._drain_end_s is not None and not work.broker_cancels
                      and not work.is_call and _ended_unfinished(work))
        if work.stale:
            del self._works[work.number]
        elif gives_back:
            self._release(work)
        else:
            work.sent_s = time.monotonic()
            work.send_outcome(self._link)
            if work.is_call:
                del self._works[work.number]

    def _release(self, work: Work) -> None:
        """Give a job back; it costs no attempt."""
        self._link.send(Type.RELEASE, token=work.token)
        del self._works[work.number]

    # -- the end

    def _drain(self, now_s: float) -> None:
        """Take no more work; late in the drain ask what still runs to stop."""
        assert self._drain_end_s is not None
        for work in list(self._works.values()):
            if work.state is State.WAITING and not work.is_call:
                self._release(work)
            elif (work.state is State.RUNNING and work.kill_at_s is None
                  and now_s >= self._drain_end_s - _STOP_BEFORE_END_S):
                self._ask_to_stop(work)

    def _is_drained(self, now_s: float) -> bool:
        if self._drain_end_s is None:
            return False
        return not self._works or now_s >= self._drain_end_s

    def _release_rest(self) -> None:
        """What still runs at the end of the drain is given back, and ended."""
        for work in list(self._works.values()):
            if work.state is State.RUNNING and not work.is_call and not work.stale:
                self._release(work)

    # -- helpers

    def _jobs(self) -> Iterable[Work]:
        return (work for work in self._works.values() if not work.is_call)

    def _find(self, token: bytes) -> Work | None:
        for work in self._jobs():
            if work.token == token:
                return work
        return None


def _ended_unfinished(work: Work) -> bool:
    return work.outcome["how"] == "cancelled" or work.outcome.get("code") == "worker_crashed"


def _runs(items: Iterable[dict[str, Any]]) -> Iterable[list[dict[str, Any]]]:
    """Split so that each list fits a header."""
    run: list[dict[str, Any]] = []
    size = 0
    for item in items:
        run.append(item)
        size += 64 + len(item.get("detail", "").encode())
        if size > _BEAT_BYTES:
            yield run
            run, size = [], 0
    if run:
        yield run
