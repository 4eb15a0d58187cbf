"""A piece of work inside the worker, from JOB or CALL to the acknowledged outcome."""

from __future__ import annotations

import enum
import itertools
from typing import Any

from .link import Link
from .trace import Context
from .wire import Type

_CHUNK_BYTES_MAX = 1024 * 1024

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
        self.started_ns = 0  # since 1970
        self.around: Context | None = None  # what its handler is a part of
        self.context: Context | None = None  # what its handler goes on with
        self.sent_s = 0.0
        self.progress: float | None = None
        self.detail = ""
        self.progress_new = False
        self.chunks: list[tuple[int, str | None, bytes]] = []  # not sent yet
        self.chunk_seq = 0
        self.chunk_bytes = 0  # of those not sent
        self.chunks_refused = False
        self.asked: str | None = None  # the parent its handler waits to hear of
        self.questions = 0  # asked so far
        self.broker_cancels = False
        self.stale = False  # nobody waits for the outcome
        self.late = False  # ended over its hard limit, without a word of the broker
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

    @property
    def hard_end_s(self) -> float:
        """When its hard limit is over."""
        hard_ms = self.fields.get("hard_ms", 0)
        return self.started_s + hard_ms / 1000 if hard_ms > 0 else float("inf")

    def past_hard_limit(self, now_s: float) -> bool:
        return now_s >= self.hard_end_s

    def add_chunk(self, content_type: str | None, data: bytes) -> None:
        """A partial result of the handler; of a job it is dropped when too much waits to
        be sent, of a call the handler has waited for the caller."""
        if self.chunks_refused or (not self.is_call and
                                   self.chunk_bytes + len(data) > _CHUNK_BYTES_MAX):
            return
        self.chunk_seq += 1
        self.chunk_bytes += len(data)
        self.chunks.append((self.chunk_seq, content_type, data))

    def send_chunks(self, link: Link) -> bool:
        """Send what waits; False when there is no room or no session now."""
        about: dict[str, Any] = {"call": self.fields.get("call")} if self.is_call else {
            "token": self.token, "id": self.fields.get("task")}
        while self.chunks:
            seq, content_type, data = self.chunks[0]
            if not link.send(Type.CHUNK, data, seq=seq, ctype=content_type, **about):
                return False
            self.chunk_bytes -= len(data)
            del self.chunks[0]
        return True

    def finish(self, outcome: dict[str, Any], result: bytes = b"") -> None:
        self.state = State.FINISHED
        self.outcome, self.result = outcome, result
        self.kill_at_s = None

    def crash(self, text: str) -> None:
        """Its process died, or was ended because it did not stop when told to."""
        if self.broker_cancels:
            self.finish({"how": "cancelled"})
        elif self.late:
            self.finish({"how": "failed", "code": "timeout",
                         "text": "the hard time limit is over", "retryable": True})
        else:
            self.finish({"how": "failed", "code": "worker_crashed", "text": text,
                         "retryable": True})

    def send_outcome(self, link: Link) -> bool:
        if not self.send_chunks(link):
            return False
        outcome = self.outcome
        common: dict[str, Any] = {"usage": outcome.get("usage") or None}
        if self.is_call:
            common.update(call=self.fields["call"], id=self.fields.get("id"),
                          seq=self.chunk_seq or None)
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
            del common["seq"]
            return link.send(Type.ERROR, **common)
        return link.send(Type.FAIL, retryable=outcome.get("retryable", False), **common)
