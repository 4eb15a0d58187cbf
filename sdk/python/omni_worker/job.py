"""The job as its handler sees it."""

from __future__ import annotations

import json
import threading
import time
from typing import Any, Mapping

from . import wire
from .channel import Closed, HandlerEnd
from .errors import Cancelled, SoftTimeout


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


class Job:
    """One attempt at a job, or one call. Its methods may be called from any thread of the
    handler, until the handler returns.

    id            the task's id; None for a call
    queue, kind   as it was submitted
    tenant        whose job it is, if the broker says
    attempt       1 for the first
    content_type  of the payload, or None
    payload       its bytes as they came
    traceparent   W3C trace context to go on with, or None; and tracestate
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
        self._number = number
        self._channel = channel
        self._lock = threading.Lock()
        self._usage: list[dict[str, Any]] = []
        self._told = False
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

    def emit(self, part: Any) -> None:
        """Send a partial result to who watches the task, in order, and have it kept with
        the task: bytes, a text, a Result, or what json can write, at most 1 MiB
        (ValueError if more). Parts beyond those the broker keeps of a task (1,000, 1 MiB
        together) are dropped, and some may be lost with a crash of the broker; the result
        is not."""
        content_type, data = encode(part)
        if len(data) > wire.PAYLOAD_MAX:
            raise ValueError(f"a part is more than {wire.PAYLOAD_MAX} bytes")
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
            self._told = any(message[:2] == ["cancel", self._number]
                             for message in messages)
        return self._told


def _end(started_s: float, limit_ms: int | None) -> float | None:
    return started_s + limit_ms / 1000 if limit_ms else None


def _over(end_s: float | None) -> bool:
    return end_s is not None and time.monotonic() >= end_s
