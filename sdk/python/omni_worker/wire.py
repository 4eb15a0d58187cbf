"""The broker's wire as a worker needs it: message numbers, header fields, their codec.

A message is two ZeroMQ frames, ``[header][payload]``; the header is one msgpack map with
short keys. ``docs/wire.md`` is the reference; a test holds the tables below to it.
Decoding is a trust boundary: sizes and types are checked, unknown keys are dropped.
"""

from __future__ import annotations

import enum
from typing import Any, Iterator, Mapping

import msgpack

VERSION = 1
HEADER_MAX = 16 * 1024
PAYLOAD_MAX = 1024 * 1024
RETRY_MAX_MS = 24 * 60 * 60 * 1000
TOKEN_BYTES = 32
TEXT_MAX = 1024
CODE_MAX = 64
DETAIL_MAX = 1024
PART_MAX = 64 * 1024  # bytes of a part of a call's answer
PART_COST = 256  # what a part counts of the caller's limit, beside its bytes
USAGE_MAX = 32


ACK_LISTS = 1  # capability: DONE_ACK may name several jobs
BUNDLE = 2  # capability: several messages may come as one
BUNDLE_MESSAGES_MAX = 1024


class Type(enum.IntEnum):
    """Message numbers."""

    HELLO = 1
    WELCOME = 2
    RESET = 3
    PING = 4
    PONG = 5
    BYE = 6
    ERROR = 7
    BUNDLE = 8
    CALL = 19
    REPLY = 20
    CALL_CANCEL = 21
    CHUNK = 36
    CALL_CREDIT = 44
    CREDIT = 48
    CREDIT_OK = 49
    JOB = 50
    CANCEL_JOB = 51
    DRAIN = 52
    START = 53
    BEAT = 54
    BEAT_ACK = 55
    DONE = 56
    FAIL = 57
    CANCELLED = 58
    RELEASE = 59
    DONE_ACK = 60
    STALE = 61
    PARENT = 62
    PARENT_IS = 63


# name -> (key, type): the header fields a worker reads or writes.
FIELDS: Mapping[str, tuple[str, type]] = {
    "version": ("v", int),
    "type": ("t", int),
    "id": ("id", str),
    "role": ("role", str),
    "node": ("node", str),
    "incarnation": ("inc", int),
    "credential": ("cred", str),
    "held": ("held", list),
    "epoch": ("ep", int),
    "heartbeat_ms": ("hb", int),
    "from": ("from", str),
    "tenant": ("ten", str),
    "task": ("task", str),
    "queue": ("q", str),
    "kind": ("k", str),
    "soft_ms": ("soft", int),
    "hard_ms": ("hard", int),
    "ttl_ms": ("ttl", int),
    "traceparent": ("tp", str),
    "tracestate": ("ts", str),
    "ctype": ("ct", str),
    "grant": ("gr", str),
    "token": ("tok", bytes),
    "attempt": ("att", int),
    "lease_ms": ("ls", int),
    "call": ("call", int),
    "limit": ("lim", int),
    "sent": ("sent", int),
    "seq": ("seq", int),
    "usage": ("use", list),
    "tokens": ("toks", list),
    "stale": ("stale", list),
    "drain": ("drain", bool),
    "retryable": ("rt", bool),
    "retry_ms": ("ra", int),
    "code": ("code", str),
    "text": ("text", str),
    "param": ("par", str),
    "depends_on": ("dep", list),
    "info": ("info", dict),
    "caps": ("caps", int),
}

_NAMES = {key: (name, kind) for name, (key, kind) in FIELDS.items()}

# What a received message is of no use without.
_REQUIRED: Mapping[int, tuple[str, ...]] = {
    Type.WELCOME: ("heartbeat_ms",),
    Type.CALL: ("queue", "kind", "call"),
    Type.JOB: ("token", "queue", "kind", "attempt", "lease_ms"),
    Type.CALL_CANCEL: ("call",),
    Type.CALL_CREDIT: ("call", "limit"),
    Type.CANCEL_JOB: ("token",),
    Type.STALE: ("token",),
    Type.ERROR: ("code",),
    Type.PARENT_IS: ("id", "task", "info"),
}


# What a task record calls the end of a task, by number.
STATES: Mapping[int, str] = {8: "succeeded", 9: "failed", 10: "cancelled", 11: "expired"}


class WireError(ValueError):
    """A header that cannot be used."""


def encode(kind: Type, fields: Mapping[str, Any]) -> bytes:
    """The header of a message; fields that are None are left out."""
    header: dict[str, Any] = {"v": VERSION, "t": int(kind)}
    for name, value in fields.items():
        if value is not None:
            header[FIELDS[name][0]] = value
    return msgpack.packb(header, use_bin_type=True)


def decode(data: bytes) -> dict[str, Any]:
    """Read a header into fields by name; raises WireError."""
    if len(data) > HEADER_MAX:
        raise WireError("the header is too large")
    try:
        header = msgpack.unpackb(data, raw=False)
    except Exception as error:  # msgpack raises a handful of unrelated types
        raise WireError(f"the header is not msgpack: {error}") from None
    if not isinstance(header, dict):
        raise WireError("the header is not a map")
    fields: dict[str, Any] = {}
    for key, value in header.items():
        name, wanted = _NAMES.get(key, (None, None))
        if name is None:
            continue
        if type(value) is not wanted:  # a bool is an int to isinstance()
            raise WireError(f"field {key} is not of type {wanted.__name__}")
        fields[name] = value
    if "type" not in fields or not 1 <= fields.get("version", 0) <= 255:
        raise WireError("version or type is missing")
    for name in _REQUIRED.get(fields["type"], ()):
        if name not in fields:
            raise WireError(f"field {name} is missing")
    if len(fields.get("token", b"")) not in (0, TOKEN_BYTES):
        raise WireError("the token has another size")
    return fields


def unbundle(payload: bytes) -> Iterator[tuple[bytes, bytes]]:
    """The header and the payload of each message of a bundle, up to what is none."""
    unpacker = msgpack.Unpacker(raw=False, max_buffer_size=2 * PAYLOAD_MAX,
                                max_bin_len=PAYLOAD_MAX)
    try:
        unpacker.feed(payload)
        for _ in range(BUNDLE_MESSAGES_MAX):
            header, body = unpacker.unpack(), unpacker.unpack()
            if not (isinstance(header, bytes) and isinstance(body, bytes)):
                return
            yield header, body
    except Exception:  # its end, or one of a handful of unrelated types
        return


def clip(text: str, size: int) -> str:
    """The longest beginning of a text of at most `size` bytes of UTF-8."""
    return text.encode("utf-8", "replace")[:size].decode("utf-8", "ignore")
