"""The broker that a scenario plays: a ROUTER socket, and what a broker does by itself.

By itself it answers HELLO with WELCOME, PING with PONG, BEAT with BEAT_ACK, CREDIT with
CREDIT_OK, and RESETs a peer that has not said HELLO; while `mute`, nothing.

Messages travel in a BUNDLE only to a worker that has said that it understands it, and
come in one only if WELCOME has said that the broker does.
"""

from __future__ import annotations

import collections
import io
import time
from dataclasses import dataclass
from typing import Any

import msgpack
import zmq

from wire_reference import Reference


BUNDLE = 2  # of caps


class Broken(Exception):
    """The worker did what it must not."""


@dataclass
class Received:
    name: str
    fields: dict[str, Any]
    payload: bytes | None


class Broker:
    def __init__(self, reference: Reference, endpoint: str, heartbeat_ms: int,
                 bundles: bool) -> None:
        self._bundles = bundles  # does WELCOME say so?
        self._peer_bundles = False
        self._bundled: collections.deque[list[bytes]] = collections.deque()
        self._reference = reference
        self._endpoint = endpoint
        self._heartbeat_ms = heartbeat_ms
        self._context = zmq.Context()
        self._router: zmq.Socket | None = None
        self._peer = b""
        self._sessions: set[bytes] = set()
        self._epoch = 0
        self._credit: dict[str, int] = {}
        self._sent = 0
        self.mute = False

    def start(self) -> None:
        """Bind; a new epoch, with no session."""
        self._router = self._context.socket(zmq.ROUTER)
        self._router.setsockopt(zmq.LINGER, 0)
        self._router.bind(self._endpoint)
        self._sessions.clear()
        self._bundled.clear()
        self._epoch += 1

    def stop(self) -> None:
        if self._router:
            self._router.close()
        self._router = None

    def close(self) -> None:
        self.stop()
        self._context.term()

    def send(self, kind: str | int, fields: dict[str, Any],
             payload: bytes | None = None) -> None:
        """Send to the peer heard last. A type by its number need not exist."""
        header = self._header(kind, fields)
        self.send_raw([header] if payload is None else [header, payload])

    def send_bundle(self, messages: list[tuple[str | int, dict[str, Any], bytes | None]],
                    behind: bytes) -> None:
        """Send several at once, and bytes behind them; one by one, without the bytes, to a
        worker that does not understand a BUNDLE."""
        if not self._peer_bundles:
            for message in messages:
                self.send(*message)
            return
        parts = [part for kind, fields, payload in messages
                 for part in (self._header(kind, fields), payload or b"")]
        bins = b"".join(msgpack.packb(part, use_bin_type=True) for part in parts)
        self.send_raw([self._header("BUNDLE", {}), bins + behind])

    def _header(self, kind: str | int, fields: dict[str, Any]) -> bytes:
        message = self._reference.messages.get(str(kind))
        header = {"v": self._reference.version, "t": message.number if message else kind}
        header.update(fields)
        self._sent += kind == "JOB"
        return msgpack.packb(header, use_bin_type=True)

    def send_raw(self, frames: list[bytes]) -> None:
        assert self._router
        self._router.send_multipart([self._peer, *frames])

    def receive(self, until_s: float) -> Received | None:
        """The next message, checked against the reference and answered; None when none
        comes in time. Raises Broken for one that may not be."""
        if self._router is None:
            raise Broken("the scenario listens while its broker is stopped")
        if not self._bundled:
            wait_ms = max(0, int((until_s - time.monotonic()) * 1000))
            if not self._router.poll(wait_ms):
                return None
            self._peer, *frames = self._router.recv_multipart()
            if not 1 <= len(frames) <= 2:
                raise Broken(f"a message of {len(frames)} frames")
            self._bundled.append(frames)
        frames = self._bundled.popleft()
        try:
            message, fields = self._reference.check(frames[0])
        except ValueError as error:
            raise Broken(str(error)) from None
        if message.name == "BUNDLE":
            self._open_bundle(frames[1] if len(frames) > 1 else b"")
            return self.receive(until_s)
        self._check_order(message.name, fields)
        if not self.mute:
            self._answer(message.name, fields)
        return Received(message.name, fields, frames[1] if len(frames) > 1 else None)

    def _open_bundle(self, payload: bytes) -> None:
        if not self._bundles or self._peer not in self._sessions:
            raise Broken("a BUNDLE, though WELCOME did not say that the broker takes them")
        bins = list(msgpack.Unpacker(io.BytesIO(payload), raw=False))
        if len(bins) % 2 or not all(isinstance(part, bytes) for part in bins):
            raise Broken("a BUNDLE that is not one binary after the other, in pairs")
        pairs = zip(bins[::2], bins[1::2])
        self._bundled.extend([header, body] if body else [header] for header, body in pairs)

    def _check_order(self, name: str, fields: dict[str, Any]) -> None:
        """Credit is cumulative: within a session it does not fall."""
        if name == "HELLO":
            self._credit.clear()
            self._sent = 0
        elif name == "CREDIT":
            before = self._credit.get(fields["q"], 0)
            if fields["lim"] < before:
                raise Broken(f"credit fell from {before} to {fields['lim']}")
            self._credit[fields["q"]] = fields["lim"]

    def _answer(self, name: str, fields: dict[str, Any]) -> None:
        answer_id = {"id": fields["id"]} if "id" in fields else {}
        if name == "HELLO":
            self._sessions.add(self._peer)
            self._peer_bundles = bool(fields.get("caps", 0) & BUNDLE)
            caps = {"caps": BUNDLE} if self._bundles else {}
            self.send("WELCOME", {"node": "conformance", "ep": self._epoch,
                                  "hb": self._heartbeat_ms, **caps, **answer_id})
        elif self._peer not in self._sessions:
            self.send("RESET", {})
        elif name == "PING":
            self.send("PONG", answer_id)
        elif name == "BEAT":
            self.send("BEAT_ACK", answer_id)
        elif name == "CREDIT":
            self.send("CREDIT_OK", {"q": fields["q"], "lim": fields["lim"],
                                    "sent": self._sent})
