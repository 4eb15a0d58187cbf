"""The handlers' side of a slot: takes a job, calls its handler, tells the outcome.

The same loop runs as a child process's main function or as a thread.
"""

from __future__ import annotations

import ctypes
import logging
import os
import signal
import socket
from typing import Any, Callable, Mapping

from . import wire
from .channel import Closed, HandlerEnd
from .errors import Cancelled, Fail, SoftTimeout
from .job import Job, decode, encode

Handler = Callable[[Job, Any], Any]
Handlers = Mapping[tuple[str, str], Handler]

log = logging.getLogger("omni_worker")

_PR_SET_PDEATHSIG = 1


def write_result(value: Any) -> tuple[str | None, bytes]:
    """Content type and bytes of what a handler returned."""
    try:
        content_type, data = encode(value)
    except (TypeError, ValueError) as error:
        raise Fail("invalid_result", f"the result is not JSON: {error}") from None
    if len(data) > wire.PAYLOAD_MAX:
        raise Fail("too_large", f"the result is larger than {wire.PAYLOAD_MAX} bytes: store "
                   "it as a file and answer with its id")
    return content_type, data


def _failure(error: Fail) -> dict[str, Any]:
    outcome: dict[str, Any] = {
        "how": "failed",
        "code": wire.clip(error.code, wire.CODE_MAX) or "handler_failed",
        "text": wire.clip(error.text, wire.TEXT_MAX),
        "retryable": error.retryable,
    }
    if error.retry_after_s is not None:
        outcome["retry_ms"] = int(min(max(0, error.retry_after_s * 1000), wire.RETRY_MAX_MS))
    return outcome


def run_job(job: Job, handler: Handler | None) -> tuple[dict[str, Any], bytes]:
    """Call the handler. Whatever it does becomes an outcome."""
    try:
        if handler is None:
            raise Fail("unsupported", f"this worker has no task {job.kind!r}")
        value = handler(job, decode(job.content_type, job.payload))
        content_type, data = write_result(value)
        outcome: dict[str, Any] = {"how": "done", "ctype": content_type}
    except Cancelled as error:
        if isinstance(error, SoftTimeout) or job._is_late():
            late = Fail("timeout", "the soft time limit is over", retryable=True)
            outcome, data = _failure(late), b""
        else:
            outcome, data = {"how": "cancelled"}, b""
    except Fail as error:
        outcome, data = _failure(error), b""
    except BaseException as error:  # SystemExit too: a handler does not end the worker
        log.exception("task %s failed", job.kind)
        text = f"{type(error).__name__}: {error}"
        outcome, data = _failure(Fail("handler_failed", text, retryable=True)), b""
    outcome["usage"] = list(job._usage)
    return outcome, data


def serve(channel: HandlerEnd, handlers: Handlers) -> None:
    """Handle one job after another until the control loop closes its end."""
    try:
        channel.send(["ready"])
        while True:
            message = channel.next()
            if message[0] != "job":
                continue  # a cancel that came too late
            _, number, fields, payload = message
            job = Job(number, fields, payload, channel)
            handler = handlers.get((job.queue, job.kind))
            outcome, data = run_job(job, handler)
            channel.send(["outcome", number, outcome, data])
    except Closed:
        pass
    finally:
        channel.close()


def child_main(sock: socket.socket, handlers: Handlers, parent: int) -> None:
    """A child process. It leads a process group, so that what its handlers start ends with
    it, and so that the terminal's Ctrl-C is the control loop's alone."""
    os.setsid()
    ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)
    if os.getppid() != parent:
        return  # it died before the line above
    # A function in place of SIG_IGN, which programs started by a handler would inherit.
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: None)
    serve(HandlerEnd(sock), handlers)
