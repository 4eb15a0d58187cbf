"""A piece of work inside the worker, from JOB or CALL to the acknowledged outcome."""

from __future__ import annotations

import enum
import itertools
from typing import Any

from .link import Link
from .wire import Type

_numbers = itertools.count(1)


class State(enum.Enum):
    WAITING = 1  # received, no slot yet
    RUNNING = 2  # a handler has it
    FINISHED = 3  # its outcome is not acknowledged yet


class Work:
    """`number` is its name between the control loop and the slots."""

    def __init__(self, fields: dict[str, Any], payload: bytes, now_s: float) -> None:
        self.number = next(_numbers)
        self.fields = fields
        self.payload = payload
        self.queue: str = fields["queue"]
        self.is_call: bool = fields["type"] == Type.CALL
        self.token: bytes = fields.get("token", b"")
        self.state = State.WAITING
        self.received_s = now_s
        self.started_s = 0.0
        self.sent_s = 0.0
        self.progress: float | None = None
        self.detail = ""
        self.progress_new = False
        self.broker_cancels = False
        self.stale = False  # nobody waits for the outcome
        self.kill_at_s: float | None = None
        self.outcome: dict[str, Any] = {}
        self.result = b""

    def held(self) -> dict[str, Any]:
        """As an item of HELLO's and BEAT's list."""
        item: dict[str, Any] = {"token": self.token}
        if self.progress is not None:
            item["progress"] = self.progress
            if self.detail:
                item["detail"] = self.detail
        return item

    def past_hard_limit(self, now_s: float) -> bool:
        hard_ms = self.fields.get("hard_ms", 0)
        return hard_ms > 0 and now_s >= self.started_s + hard_ms / 1000

    def finish(self, outcome: dict[str, Any], result: bytes = b"") -> None:
        self.state = State.FINISHED
        self.outcome, self.result = outcome, result
        self.kill_at_s = None

    def crash(self, text: str) -> None:
        """Its process died, or was ended because it did not stop when told to."""
        if self.broker_cancels:
            self.finish({"how": "cancelled"})
        else:
            self.finish({"how": "failed", "code": "worker_crashed", "text": text,
                         "retryable": True})

    def send_outcome(self, link: Link) -> bool:
        outcome = self.outcome
        common: dict[str, Any] = {"usage": outcome.get("usage") or None}
        if self.is_call:
            common.update(call=self.fields["call"], id=self.fields.get("id"))
        else:
            common["token"] = self.token
        if outcome["how"] == "done":
            return link.send(Type.REPLY if self.is_call else Type.DONE, self.result,
                             ctype=outcome.get("ctype"), **common)
        if outcome["how"] == "cancelled" and self.broker_cancels and not self.is_call:
            return link.send(Type.CANCELLED, **common)
        common.update(code=outcome.get("code", "cancelled"),
                      text=outcome.get("text", "it was cancelled"),
                      retry_ms=outcome.get("retry_ms"))
        if self.is_call:
            return link.send(Type.ERROR, **common)
        return link.send(Type.FAIL, retryable=outcome.get("retryable", False), **common)
