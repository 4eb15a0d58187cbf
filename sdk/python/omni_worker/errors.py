"""What a handler raises to end its job in another way than with a result."""

from __future__ import annotations


class Fail(Exception):
    """The job failed.

    code       short and stable, for programs: ``"invalid_request"``; at most 64 bytes
    text       for people; at most 1024 bytes are sent
    retryable  may the same job succeed if it is tried again?
    """

    def __init__(self, code: str, text: str = "", *, retryable: bool = False) -> None:
        super().__init__(f"{code}: {text}" if text else code)
        self.code = code
        self.text = text
        self.retryable = retryable
        self.retry_after_s: float | None = None


class Retry(Fail):
    """The job cannot be done now. It costs an attempt, and is tried again.

    after_s  not before so many seconds, a day at most; None leaves the pause to the broker
    """

    def __init__(self, text: str = "", *, after_s: float | None = None,
                 code: str = "unavailable") -> None:
        super().__init__(code, text or "cannot be done now", retryable=True)
        self.retry_after_s = after_s


class Cancelled(Exception):
    """Nobody wants the job's result any more, or the worker has to leave."""


class SoftTimeout(Cancelled):
    """The job's soft time limit is over. A handler that does not catch it fails as
    ``timeout``, which is retried."""


class WorkerError(Exception):
    """The worker cannot work: its settings are wrong, or its processes do not start."""
