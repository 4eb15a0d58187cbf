"""A slot handles one job at a time, in a child process or in a thread."""

from __future__ import annotations

import multiprocessing
import os
import random
import signal
import socket
import threading
import time
from typing import Any

from .channel import Closed, ControlEnd, HandlerEnd
from .errors import WorkerError
from .handle import Handlers, child_main, serve

_SPAWN = multiprocessing.get_context("spawn")
_START_FAILURES_MAX = 5
_START_WAIT_MAX_S = 5.0


class Slot:
    """The control loop's view of a slot.

    ready  its handlers can be called
    busy   number of the job it handles, or None
    """

    def __init__(self, handlers: Handlers, in_process: bool) -> None:
        self._handlers = handlers
        self._in_process = in_process
        self._failures = 0
        self._start_at_s = 0.0
        self._channel: ControlEnd | None = None
        self._process: Any = None
        self.ready = False
        self.busy: int | None = None

    @property
    def channel(self) -> ControlEnd | None:
        """What to poll; None while there is nobody to hear of."""
        return self._channel

    @property
    def start_at_s(self) -> float | None:
        """When start() is due, on the monotonic clock; None when it runs."""
        return None if self._channel else self._start_at_s

    def start(self) -> None:
        """Start the process or thread. It says when it is ready."""
        ours, theirs = socket.socketpair()
        self._channel = ControlEnd(ours)
        if self._in_process:
            self._process = _SPAWN.Process(
                target=child_main, args=(theirs, self._handlers, os.getpid()))
            try:
                self._process.start()
            except BaseException:
                self._process = None
                self.stop()
                raise
            finally:
                theirs.close()
        else:
            threading.Thread(target=serve, args=(HandlerEnd(theirs), self._handlers),
                             daemon=True).start()

    def give(self, number: int, fields: dict[str, Any], payload: bytes) -> None:
        """Have a job handled. The slot must be ready and idle."""
        assert self._channel and self.ready and self.busy is None
        self.busy = number
        self._channel.send(["job", number, fields, payload])

    def cancel(self) -> None:
        """Ask the handler to stop."""
        if self._channel and self.busy is not None:
            self._channel.send(["cancel", self.busy])

    def kill(self) -> bool:
        """End the handler by force; receive() then raises Closed. False for a thread,
        which nothing can end."""
        if not self._in_process:
            return False
        if self._process:
            _kill_group(self._process.pid)
        return True

    def receive(self) -> list[Any]:
        """Messages of the handler; raises Closed when its process has died. Then the slot
        has to be started anew, at start_at_s. Raises WorkerError when the process dies
        again and again before it is ready."""
        assert self._channel
        try:
            messages = self._channel.receive()
        except Closed:
            self._on_death()
            raise
        given = []
        for message in messages:
            if message[0] == "ready":
                self.ready, self._failures = True, 0
                continue
            if message[0] == "outcome":
                self.busy = None
            given.append(message)
        return given

    def stop(self) -> None:
        """End the handler; a thread ends after its job."""
        if self._channel:
            self._channel.close()
        if self._process:
            _kill_group(self._process.pid)
            self._process.join()
        self._channel = self._process = self.busy = None
        self.ready = False

    def _on_death(self) -> None:
        was_ready = self.ready
        self.stop()
        if was_ready:
            self._start_at_s = 0.0
            return
        self._failures += 1
        if self._failures >= _START_FAILURES_MAX:
            raise WorkerError("the handlers' process does not start: is worker.run() "
                              "under `if __name__ == \"__main__\":`?")
        wait_s = min(_START_WAIT_MAX_S, 0.25 * 2**self._failures)
        self._start_at_s = time.monotonic() + random.uniform(0, wait_s)


def _kill_group(pid: int) -> None:
    try:
        os.killpg(pid, signal.SIGKILL)
    except ProcessLookupError:
        try:
            os.kill(pid, signal.SIGKILL)  # it has not made its group yet
        except ProcessLookupError:
            pass
