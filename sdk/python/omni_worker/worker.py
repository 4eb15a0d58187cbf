"""The worker a user makes: settings and handlers."""

from __future__ import annotations

import os
import platform
import signal
import threading
from typing import Callable, TypeVar

from .control import Control, Settings
from .errors import WorkerError
from .handle import Handler

_SLOTS_MAX = 256

HandlerT = TypeVar("HandlerT", bound=Handler)


class Worker:
    """Takes jobs from queues and has functions handle them.

    endpoint        the broker's worker socket, ipc:// or tcp://; else OMNI_BROKER_WORK
    api_key         of the tenant, with scope ``worker``; else OMNI_API_KEY
    slots           jobs handled at a time, 1 to 256
    processes       handle in child processes, one a slot; False: in threads, which a
                    handler can hold up, and which cannot be ended by force
    drain_s         after SIGTERM: seconds that running jobs may go on
    cancel_grace_s  seconds from a cancel until the handler's process is ended by force
    broker_key      for tcp://: the broker's public CURVE key as z85 text
    keys            or the folder of keys that has broker.pub; else OMNI_KEYS
    node            name of this worker in listings; by default host and process id
    role            ``tenant``, or the service of the platform this worker is a part of

    Raises ValueError for settings that cannot be; run() raises WorkerError.
    """

    def __init__(self, endpoint: str | None = None, *, api_key: str | None = None,
                 slots: int = 1, processes: bool = True, drain_s: float = 30.0,
                 cancel_grace_s: float = 10.0, broker_key: str | None = None,
                 keys: str | None = None, node: str | None = None,
                 role: str = "tenant") -> None:
        endpoint = endpoint or os.environ.get("OMNI_BROKER_WORK")
        if not endpoint:
            raise ValueError("no endpoint given, and OMNI_BROKER_WORK is not set")
        api_key = api_key or os.environ.get("OMNI_API_KEY") or None
        if role == "tenant" and not api_key:
            raise ValueError("no api_key given, and OMNI_API_KEY is not set")
        if not 1 <= slots <= _SLOTS_MAX:
            raise ValueError(f"slots must be 1 to {_SLOTS_MAX}")
        if drain_s < 0 or cancel_grace_s < 0:
            raise ValueError("drain_s and cancel_grace_s cannot be negative")
        self._settings = Settings(
            endpoint=endpoint,
            node=(node or f"{platform.node()}-{os.getpid()}")[:64],
            role=role,
            api_key=api_key,
            keys=keys or os.environ.get("OMNI_KEYS"),
            broker_key=broker_key,
            slots=slots,
            in_processes=processes,
            drain_s=drain_s,
            cancel_grace_s=cancel_grace_s,
        )
        self._handlers: dict[tuple[str, str], Handler] = {}
        self._control: Control | None = None
        self._lock = threading.Lock()

    def task(self, kind: str, queue: str = "default") -> Callable[[HandlerT], HandlerT]:
        """Decorate the function that handles jobs of `kind` on `queue`. It is called with
        the Job and its payload: the value of a JSON or msgpack payload, the text of
        text/plain, else bytes. It returns None, bytes, a text, a Result, or what json can
        write. In a child process it must be a module's function, so that the process can
        find it by name. Raises ValueError for a second handler of the same kind."""
        def add(handler: HandlerT) -> HandlerT:
            if (queue, kind) in self._handlers:
                raise ValueError(f"kind {kind!r} of queue {queue!r} has a handler already")
            self._handlers[queue, kind] = handler
            return handler
        return add

    def run(self) -> None:
        """Work until SIGTERM, SIGINT, stop() or the broker says to leave; then finish what
        runs within drain_s and give back the rest. A second signal does not wait. Raises
        WorkerError for an endpoint or keys that cannot be used, and when the handlers'
        processes do not start."""
        if not self._handlers:
            raise WorkerError("the worker has no task")
        with self._lock:
            if self._control:
                raise WorkerError("the worker runs already")
            self._control = Control(self._settings, self._handlers)
        before = {}
        if threading.current_thread() is threading.main_thread():
            for number in (signal.SIGTERM, signal.SIGINT):
                before[number] = signal.signal(number, lambda *_: self.stop())
        try:
            self._control.run()
        finally:
            for number, handler in before.items():
                signal.signal(number, handler)
            self._control = None

    def stop(self) -> None:
        """Have run() drain and return. From any thread; before run() it does nothing."""
        control = self._control
        if control:
            control.stop()
