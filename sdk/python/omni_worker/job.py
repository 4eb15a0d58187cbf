"""The job as its handler sees it."""

from __future__ import annotations

import json
import threading
import time
from typing import Any, Mapping

import msgpack

from . import wire
from .channel import Closed, HandlerEnd
from .errors import Cancelled, Fail, SoftTimeout

_JSON = "application/json"
_MSGPACK = ("application/msgpack", "application/x-msgpack", "application/vnd.msgpack")


class Result:
    """Bytes with a content type, for a handler that answers neither JSON, text nor plain
    bytes."""

    def __init__(self, data: bytes, content_type: str) -> None:
        self.data = data
        self.content_type = content_type


def encode(value: Any) -> tuple[str | None, bytes]:
    """Content type and bytes of a value. Raises TypeError or ValueError for one that json
    cannot write."""
    if value is None:
        return None, b""
    if isinstance(value, Result):
        return value.content_type, value.data
    if isinstance(value, (bytes, bytearray, memoryview)):
        return "application/octet-stream", bytes(value)
    if isinstance(value, str):
        return "text/plain; charset=utf-8", value.encode()
    return "application/json", json.dumps(value, allow_nan=False).encode()


_PARENT_S = 10.0  # to wait for a parent's result
_STALL_S = 5.0  # for a caller that takes no more parts of its answer
_POLL_S = 0.1  # another thread may have taken the answer off the channel


class Parent:
    """A task that a job depends on.

    id            its id
    state         ``"succeeded"``, or with run_anyway another end
    content_type  of the result, or None
    result        its bytes
    """

    def __init__(self, task: str, state: str, content_type: str | None,
                 result: bytes) -> None:
        self.id = task
        self.state = state
        self.content_type = content_type
        self.result = result

    def value(self) -> Any:
        """The result as a payload of its content type is read. Raises Fail."""
        return decode(self.content_type, self.result)


def decode(content_type: str | None, data: bytes) -> Any:
    """JSON or msgpack as its value, a text as str, any other as its bytes. Raises Fail for
    what is not of its content type."""
    kind = (content_type or "").split(";")[0].strip().lower()
    try:
        if kind == _JSON:
            return json.loads(data) if data else None
        if kind in _MSGPACK:
            return msgpack.unpackb(data, raw=False) if data else None
        if kind == "text/plain":
            return data.decode()
    except Exception as error:
        raise Fail("malformed", f"the payload is not {kind}: {error}") from None
    return data


class Job:
    """One attempt at a job, or one call. Its methods may be called from any thread of the
    handler, until the handler returns.

    id            the task's id; None for a call
    queue, kind   as it was submitted
    tenant        whose job it is, if the broker says
    attempt       1 for the first
    content_type  of the payload, or None
    payload       its bytes as they came
    traceparent   W3C trace context that the handler goes on with, or None; and tracestate
    depends_on    ids of the tasks it waited for; parent() gives their results
    grant         token to read and write this job's files with, or None
    """

    def __init__(self, number: int, fields: Mapping[str, Any], payload: bytes,
                 channel: HandlerEnd) -> None:
        self.id: str | None = fields.get("task")
        self.queue: str = fields["queue"]
        self.kind: str = fields["kind"]
        self.tenant: str | None = fields.get("tenant")
        self.attempt: int = fields.get("attempt", 1)
        self.content_type: str | None = fields.get("ctype")
        self.payload = payload
        self.traceparent: str | None = fields.get("traceparent")
        self.tracestate: str | None = fields.get("tracestate")
        self.grant: str | None = fields.get("grant")
        self.depends_on: list[str] = list(fields.get("depends_on", ()))
        self._number = number
        self._channel = channel
        self._lock = threading.Lock()
        self._usage: list[dict[str, Any]] = []
        self._told = False
        self._parents: dict[str, list[Any]] = {}
        self._is_call = "call" in fields
        self._limit: int | None = fields.get("limit")  # of what the parts count
        self._emitted = 0
        started_s = time.monotonic()
        self._soft_s = _end(started_s, fields.get("soft_ms"))
        limits = (fields.get("hard_ms"), fields.get("ttl_ms"))
        self._hard_s = min((_end(started_s, limit) for limit in limits),
                           key=lambda end: float("inf") if end is None else end)

    def progress(self, share: float, detail: Mapping[str, Any] | None = None) -> None:
        """Show the user how far it is: a share from 0 to 1, and values of your own that
        make at most 1024 bytes of JSON (ValueError if more)."""
        text = json.dumps(detail) if detail is not None else ""
        if len(text.encode()) > wire.DETAIL_MAX:
            raise ValueError(f"detail is more than {wire.DETAIL_MAX} bytes of JSON")
        share = min(1.0, max(0.0, float(share)))
        self._channel.send(["progress", self._number, share, text])

    @property
    def streams(self) -> bool:
        """Does the caller take the answer of this call in parts?"""
        return self._is_call and self._limit is not None

    def emit(self, part: Any) -> None:
        """Send a partial result, in order: bytes, a text, a Result, or what json can
        write.

        Of a job it goes to who watches the task, and is kept with the task; at most 1 MiB
        (ValueError if more). Parts beyond those the broker keeps of a task (1,000, 1 MiB
        together) are dropped, and some may be lost with a crash of the broker; the result
        is not.

        Of a call it is a part of the answer, at most 64 KiB (ValueError if more), for a
        caller that takes parts; for any other nothing is sent. A caller that is slow is
        waited for up to 5 s, then this raises Fail; and Cancelled when nobody waits any
        more."""
        content_type, data = encode(part)
        limit = wire.PART_MAX if self._is_call else wire.PAYLOAD_MAX
        if len(data) > limit:
            raise ValueError(f"a part is more than {limit} bytes")
        if self._is_call and not self._take_credit(len(data) + wire.PART_COST):
            return
        self._channel.send(["chunk", self._number, content_type, data])

    def usage(self, meter: str, quantity: int, subject: str | None = None) -> None:
        """Meter something: `quantity` in the meter's base unit (``compute_ms``, bytes,
        tokens), used by `subject`, e.g. a model. It is committed with the outcome, also
        of a failure; at most 32 a job (ValueError if more)."""
        item: dict[str, Any] = {"meter": meter, "quantity": int(quantity)}
        if subject:
            item["subject"] = wire.clip(subject, 128)
        if not 1 <= len(meter.encode()) <= 64 or item["quantity"] < 0:
            raise ValueError("a meter has a name of 1 to 64 bytes and no negative quantity")
        with self._lock:
            if len(self._usage) == wire.USAGE_MAX:
                raise ValueError(f"a job has at most {wire.USAGE_MAX} usage items")
            self._usage.append(item)

    def parent(self, task: str) -> Parent:
        """A task that this job depends on, with its result. Raises Fail if the job does
        not depend on it, or its result is kept no more, and Retry-able Fail when no answer
        comes; Cancelled if the job is cancelled meanwhile."""
        if task not in self.depends_on:
            raise Fail("not_found", f"the job does not depend on {task}")
        self._parents.pop(task, None)
        self._channel.send(["parent", self._number, task])
        end_s = time.monotonic() + _PARENT_S
        while task not in self._parents:
            if self._told_to_stop():
                raise Cancelled
            if time.monotonic() >= end_s:
                raise Fail("timeout", "no answer about a parent came", retryable=True)
            self._channel.wait(_POLL_S)
        code, text, state, content_type, data = self._parents[task]
        if code:
            raise Fail(code, text, retryable=code != "not_found")
        return Parent(task, state, content_type, data)

    def parents(self) -> list[Parent]:
        """All tasks that this job depends on, in the order it names them; see parent()."""
        return [self.parent(task) for task in self.depends_on]

    def trace_headers(self) -> dict[str, str]:
        """Headers for what the handler asks of others over HTTP, as submitting a job to
        Omni, so that it becomes a part of this job's trace. Empty if there is none."""
        pairs = (("traceparent", self.traceparent), ("tracestate", self.tracestate))
        return {name: value for name, value in pairs if value}

    def _take_credit(self, cost: int) -> bool:
        """Wait until the caller takes so much more; False if it takes no parts at all."""
        end_s = time.monotonic() + _STALL_S
        while True:
            if self._told_to_stop():
                raise Cancelled
            with self._lock:
                if self._limit is None:
                    return False
                if self._emitted + cost <= self._limit:
                    self._emitted += cost
                    return True
            if time.monotonic() >= end_s or _over(self._hard_s):
                raise Fail("timeout", "the answer was read too slowly")
            self._channel.wait(_POLL_S)

    def cancelled(self) -> bool:
        """Should the handler stop? True when the job was cancelled, its soft limit is over
        or the worker is leaving. A handler that runs longer than a second asks often, and
        ends by raising Cancelled, or by calling check() in place of this."""
        return self._told_to_stop() or _over(self._soft_s)

    def check(self) -> None:
        """Raise Cancelled or SoftTimeout if the handler should stop."""
        if self._told_to_stop():
            raise Cancelled
        if _over(self._soft_s):
            raise SoftTimeout

    def time_left_s(self) -> float | None:
        """Seconds until the hard limit, when the job is ended by force; None without."""
        return None if self._hard_s is None else max(0.0, self._hard_s - time.monotonic())

    def _is_late(self) -> bool:
        """Was it the soft limit, and nobody's word, that asked the handler to stop?"""
        return not self._told_to_stop() and _over(self._soft_s)

    def _told_to_stop(self) -> bool:
        if not self._told:
            try:
                messages = self._channel.poll()
            except Closed:  # the control loop is gone, and with it whoever would answer
                messages = [["cancel", self._number]]
            for message in messages:
                if message[:2] == ["cancel", self._number]:
                    self._told = True
                elif message[:2] == ["parent", self._number]:
                    self._parents[message[2]] = message[3:]
                elif message[:2] == ["credit", self._number]:
                    self._limit = message[2]
        return self._told


def _end(started_s: float, limit_ms: int | None) -> float | None:
    return started_s + limit_ms / 1000 if limit_ms else None


def _over(end_s: float | None) -> bool:
    return end_s is not None and time.monotonic() >= end_s
