"""msgpack messages over a socket pair, between the control loop and a handler.

The control loop's end never blocks, whatever happens to the process at the other end:
one that was stopped in the middle of a message holds up nobody. The handler's end blocks.
"""

from __future__ import annotations

import select
import socket
import threading
from typing import Any

import msgpack

_READ_BYTES = 256 * 1024
_MESSAGE_MAX = 4 * 1024 * 1024


class Closed(Exception):
    """The other end is gone."""


class _End:
    def __init__(self, sock: socket.socket) -> None:
        self._sock = sock
        self._unpacker = msgpack.Unpacker(raw=False, max_buffer_size=_MESSAGE_MAX)

    def _feed(self, flags: int) -> bool:
        """Read once; False when there is nothing now."""
        try:
            data = self._sock.recv(_READ_BYTES, flags)
        except (BlockingIOError, InterruptedError):
            return False
        except OSError as error:
            raise Closed from error
        if not data:
            raise Closed
        self._unpacker.feed(data)
        return True

    def close(self) -> None:
        self._sock.close()


class ControlEnd(_End):
    """The control loop's end."""

    def __init__(self, sock: socket.socket) -> None:
        super().__init__(sock)
        self._unsent = bytearray()

    def fileno(self) -> int:
        return self._sock.fileno()

    @property
    def wants_write(self) -> bool:
        """Is there something that could not be written yet?"""
        return bool(self._unsent)

    def send(self, message: Any) -> None:
        self._unsent += msgpack.packb(message, use_bin_type=True)
        self.flush()

    def flush(self) -> None:
        """Write what can be written. A closed end is noticed by receive()."""
        try:
            while self._unsent:
                sent = self._sock.send(self._unsent, socket.MSG_DONTWAIT)
                del self._unsent[:sent]
        except OSError:  # no room, or closed
            pass

    def receive(self) -> list[Any]:
        """What has come since; raises Closed once all of it was given out."""
        self._feed(socket.MSG_DONTWAIT)
        return list(self._unpacker)


class HandlerEnd(_End):
    """The handler's end; several threads of a handler may use it."""

    def __init__(self, sock: socket.socket) -> None:
        super().__init__(sock)
        self._send_lock = threading.Lock()
        self._recv_lock = threading.Lock()

    def send(self, message: Any) -> None:
        """Send and wait for room; raises Closed."""
        data = msgpack.packb(message, use_bin_type=True)
        try:
            with self._send_lock:
                self._sock.sendall(data)
        except OSError as error:
            raise Closed from error

    def next(self) -> Any:
        """Wait for the next message; raises Closed."""
        with self._recv_lock:
            while True:
                for message in self._unpacker:
                    return message
                self._feed(0)

    def wait(self, timeout_s: float) -> None:
        """Wait until something has come, or the time is over."""
        select.select([self._sock], [], [], timeout_s)

    def poll(self) -> list[Any]:
        """What has come, without waiting; raises Closed."""
        with self._recv_lock:
            self._feed(socket.MSG_DONTWAIT)
            return list(self._unpacker)
