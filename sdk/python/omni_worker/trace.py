"""W3C trace contexts: what a job is a part of, and what its handler goes on with.

A job's handler is a part of the attempt, whose span the broker writes even if the worker
dies; a call's is a part of the request. With an exporter (export.py) the handler has a span
of its own below that, as a worker in C has.
"""

from __future__ import annotations

import os
import re
from dataclasses import dataclass
from typing import Any, Mapping

_FORM = re.compile(r"(?!ff)([0-9a-f]{2})-([0-9a-f]{32})-([0-9a-f]{16})-([0-9a-f]{2})(-.*)?")
_ATTEMPT_BYTES = 20  # of a token: the task's 16 and the attempt's number
_FNV_BASIS, _FNV_PRIME = 14695981039346656037, 1099511628211


@dataclass(frozen=True)
class Context:
    """A span of a trace; its ids are hexadecimal."""

    trace: str
    span: str
    flags: int

    @property
    def sampled(self) -> bool:
        return bool(self.flags & 1)

    def below(self) -> Context:
        """A new span of the same trace."""
        return Context(self.trace, os.urandom(8).hex(), self.flags)

    def __str__(self) -> str:
        return f"00-{self.trace}-{self.span}-{self.flags:02x}"


def parse(text: str | None) -> Context | None:
    """Read a traceparent; None for none, and for one that is malformed."""
    match = _FORM.fullmatch(text or "")
    if not match or (match[1] == "00" and match[5]):
        return None
    if not match[2].strip("0") or not match[3].strip("0"):
        return None
    return Context(match[2], match[3], int(match[4], 16) & 3)


def attempt_span(token: bytes) -> str:
    """The id of the span of the attempt that a token is of; the broker comes to the same.
    FNV-1a of 64 bits."""
    value = _FNV_BASIS
    for byte in token[:_ATTEMPT_BYTES]:
        value = ((value ^ byte) * _FNV_PRIME) & (2**64 - 1)
    return f"{value or 1:016x}"


def around(fields: Mapping[str, Any]) -> Context | None:
    """What the handler of this JOB or CALL is a part of; None if nobody said."""
    made_in = parse(fields.get("traceparent"))
    token = fields.get("token")
    if made_in is None or not token:
        return made_in
    return Context(made_in.trace, attempt_span(token), made_in.flags)
