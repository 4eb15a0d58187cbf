"""One session with a broker over one DEALER socket.

A link says HELLO until it is welcomed, again when it gets RESET, and PINGs when it has
nothing else to say. A broker that does not answer for three heartbeats is taken for dead:
the socket is made anew, after a wait with full jitter. Nothing here blocks.
"""

from __future__ import annotations

import logging
import pathlib
import random
import time
from typing import Any, Callable, Iterator

import zmq

from . import wire
from .errors import WorkerError
from .wire import Type

log = logging.getLogger("omni_worker")

_HELLO_AGAIN_S = 1.0
_REFUSED_MAX_S = 30.0  # wait after a refusal; shorter if it is about to pass
_UNAVAILABLE_MAX_S = 4.0
_PASSING = frozenset({"unavailable", "timeout", "storage_error"})
_REMAKE_MIN_S, _REMAKE_MAX_S = 0.25, 5.0
_SILENT_HEARTBEATS = 3
_LINGER_MS = 200
_IPC_PATH_MAX = 107

Message = tuple[dict[str, Any], bytes]


class Link:
    """`hello` gives the fields of HELLO each time; `opened` is called when a session
    opens. `keys` is a folder of CURVE keys, `broker_key` the broker's public key as z85
    text; tcp:// needs one of them. Raises WorkerError for an endpoint or keys that cannot
    be used."""

    def __init__(self, endpoint: str, role: str, keys: str | None, broker_key: str | None,
                 hello: Callable[[], dict[str, Any]], opened: Callable[[], None]) -> None:
        self._endpoint = endpoint
        self._hello, self._opened = hello, opened
        self._curve: tuple[bytes, bytes, bytes] | None = None
        if endpoint.startswith("tcp://"):
            self._curve = _load_keys(role, keys, broker_key)
        elif not endpoint.startswith("ipc://"):
            raise WorkerError("the endpoint must begin with ipc:// or tcp://")
        elif len(endpoint[6:].encode()) > _IPC_PATH_MAX:
            raise WorkerError(f"the ipc path is longer than {_IPC_PATH_MAX} bytes")
        self._context = zmq.Context()
        self._heartbeat_s = 2.0
        self._refusal: str | None = None
        self._refused_wait_s = _HELLO_AGAIN_S
        self._remake_wait_s = 0.0
        self._remake_at_s = 0.0
        self._asked_s: float | None = None  # when an answer was asked for first
        self._sent_s = 0.0
        self._hello_at_s: float = 0.0
        self.open = False
        self.socket: zmq.Socket | None = None
        self._make_socket()

    @property
    def heartbeat_s(self) -> float:
        """How often the broker wants to hear of this session."""
        return self._heartbeat_s

    def wants_write(self, now_s: float) -> bool:
        """Should the loop wake when the socket can be written to?"""
        return self.socket is not None and not self.open and now_s >= self._hello_at_s

    def send(self, kind: Type, payload: bytes | None = None, **fields: Any) -> bool:
        """Send in the open session. False: there is none, or no room; nothing was sent."""
        return self.open and self._send(kind, payload, fields)

    def receive(self) -> Iterator[Message]:
        """What has come and is not the link's own."""
        while self.socket is not None:
            try:
                frames = self.socket.recv_multipart(zmq.DONTWAIT)
            except zmq.Again:
                return
            self._asked_s = None
            yield from self._open(frames[0], frames[1] if len(frames) > 1 else b"", False)

    def _open(self, header: bytes, payload: bytes, bundled: bool) -> Iterator[Message]:
        """A message, or what a bundle holds, which is no bundle."""
        try:
            fields = wire.decode(header)
        except wire.WireError as error:
            log.debug("message ignored: %s", error)
            return
        if fields["type"] == Type.BUNDLE:
            for part, body in () if bundled else wire.unbundle(payload):
                yield from self._open(part, body, True)
        elif not self._handle_own(fields):
            yield fields, payload

    def tick(self, now_s: float) -> float:
        """Do what is due; returns when to call it next, on the monotonic clock."""
        if self.socket is None:
            if now_s < self._remake_at_s:
                return self._remake_at_s
            self._make_socket()
        silent_s = _SILENT_HEARTBEATS * self._heartbeat_s
        if self._asked_s is not None and now_s >= self._asked_s + silent_s:
            return self._drop_socket(now_s)
        if not self.open:
            if now_s >= self._hello_at_s:
                self._say_hello(now_s)
            # Not sent for want of a connection: the socket's readiness wakes the loop.
            return self._hello_at_s if self._hello_at_s > now_s else now_s + 1.0
        if now_s >= self._sent_s + self._heartbeat_s:
            self._sent_s = now_s  # a full pipe is tried a heartbeat later
            if self.send(Type.PING):
                self.ask(now_s)
        return self._sent_s + self._heartbeat_s

    def ask(self, now_s: float) -> None:
        """Something was sent that the broker has to answer."""
        if self._asked_s is None:
            self._asked_s = now_s

    def close(self) -> None:
        """Say BYE and close."""
        self.send(Type.BYE)
        self.open = False
        if self.socket is not None:
            self.socket.close()
        self.socket = None
        self._context.term()

    def _make_socket(self) -> None:
        self.socket = self._context.socket(zmq.DEALER)
        self.socket.setsockopt(zmq.LINGER, _LINGER_MS)
        self.socket.setsockopt(zmq.IMMEDIATE, 1)
        self.socket.setsockopt(zmq.RECONNECT_IVL, 10)
        self.socket.setsockopt(zmq.RECONNECT_IVL_MAX, 1000)
        self.socket.setsockopt(zmq.MAXMSGSIZE, wire.PAYLOAD_MAX + wire.HEADER_MAX)
        if self._curve:
            self.socket.curve_serverkey = self._curve[0]
            self.socket.curve_publickey = self._curve[1]
            self.socket.curve_secretkey = self._curve[2]
        self.socket.connect(self._endpoint)
        self._hello_at_s = 0.0
        self._asked_s = None

    def _drop_socket(self, now_s: float) -> float:
        log.warning("the broker does not answer; connecting anew")
        assert self.socket
        self.open = False
        self.socket.close(0)
        self.socket = None
        self._remake_wait_s = min(_REMAKE_MAX_S,
                                  max(_REMAKE_MIN_S, 2 * self._remake_wait_s))
        self._remake_at_s = now_s + random.uniform(0, self._remake_wait_s)
        return self._remake_at_s

    def _send(self, kind: Type, payload: bytes | None, fields: dict[str, Any]) -> bool:
        frames = [wire.encode(kind, fields)]
        if payload is not None:
            frames.append(payload)
        if self.socket is None:
            return False
        try:
            self.socket.send_multipart(frames, zmq.DONTWAIT)
        except zmq.Again:
            return False
        self._sent_s = time.monotonic()
        return True

    def _say_hello(self, now_s: float) -> None:
        if self._send(Type.HELLO, None, self._hello()):
            self.ask(now_s)
            self._hello_at_s = now_s + (random.uniform(0.5, 1.0) * self._refused_wait_s)

    def _handle_own(self, fields: dict[str, Any]) -> bool:
        kind = fields["type"]
        if kind == Type.WELCOME:
            self._on_welcome(fields)
        elif kind == Type.RESET:
            self.open = False
            self._hello_at_s = 0.0
            self._say_hello(time.monotonic())
        elif kind == Type.PING:
            self._send(Type.PONG, None, {"id": fields.get("id")})
        elif kind == Type.ERROR and not self.open:
            self._on_refusal(fields)
        else:
            return kind == Type.PONG
        return True

    def _on_welcome(self, fields: dict[str, Any]) -> None:
        self._heartbeat_s = min(60.0, max(0.1, fields["heartbeat_ms"] / 1000))
        self._refusal = None
        self._refused_wait_s = _HELLO_AGAIN_S
        self._remake_wait_s = 0.0
        if not self.open:
            self.open = True
            log.info("connected to %s", self._endpoint)
            self._opened()

    def _on_refusal(self, fields: dict[str, Any]) -> None:
        refusal = f"{fields['code']}: {fields.get('text', '')}"
        if refusal != self._refusal:
            log.error("the broker refuses this worker: %s", refusal)
        self._refusal = refusal
        most_s = _UNAVAILABLE_MAX_S if fields["code"] in _PASSING else _REFUSED_MAX_S
        self._refused_wait_s = min(most_s, 2 * self._refused_wait_s)


def _load_keys(role: str, keys: str | None,
               broker_key: str | None) -> tuple[bytes, bytes, bytes]:
    """The broker's public key, and this end's key pair. A tenant's worker is known by its
    API key, so any CURVE key of its own will do."""
    try:
        if broker_key is None:
            if not keys:
                raise WorkerError("a tcp:// endpoint needs keys, a folder with broker.pub, "
                                  "or broker_key, the broker's public key")
            broker_key = (pathlib.Path(keys) / "broker.pub").read_text()
        if role == "tenant":
            public, secret = zmq.curve_keypair()
        elif not keys:
            raise WorkerError(f"role {role} needs keys, a folder with its own keys")
        else:
            public = (pathlib.Path(keys) / f"{role}.pub").read_bytes()[:40]
            secret = (pathlib.Path(keys) / f"{role}.key").read_bytes()[:40]
    except OSError as error:
        raise WorkerError(f"cannot read a key: {error}") from error
    return broker_key.strip().encode(), public, secret
