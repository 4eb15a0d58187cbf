"""The spans of handlers, on their way to a collector: OTLP over HTTP, as JSON.

It follows the standard variables (OTEL_EXPORTER_OTLP_ENDPOINT and so on; docs/tracing.md),
without any of their library. Without an endpoint nothing runs. A thread of its own sends;
a collector that is slow, gone or talks nonsense costs spans, and nothing else: what finds
no place is dropped, and both that and what no collector took is counted.
"""

from __future__ import annotations

import collections
import gzip
import http.client
import json
import logging
import os
import random
import ssl
import threading
import time
import urllib.error
import urllib.parse
import urllib.request
from typing import Any, Mapping

from . import wire
from .trace import Context

log = logging.getLogger("omni_worker")

_KIND_CONSUMER = 5
_STATUS_ERROR = 2
_REMOTE_PARENT = 0x300  # of a span's flags: it is known, and it is
_AGAIN = frozenset({429, 502, 503, 504})
_WAIT_MIN_S, _WAIT_MAX_S = 0.5, 30.0
_STOP_S = 1.0
_TELL_S = 60.0
_ANSWER_MAX = 64 * 1024
_TEXT_MAX = 256


def _env(name: str) -> str:
    """A variable of traces, else the one of all signals."""
    value = os.environ.get(f"OTEL_EXPORTER_OTLP_TRACES_{name}", "")
    return value or os.environ.get(f"OTEL_EXPORTER_OTLP_{name}", "")


def _number(name: str, text: str, fallback: int, most: int) -> int:
    if not text:
        return fallback
    if text.isascii() and text.isdigit() and 0 < int(text[:12]) <= most:
        return int(text)
    log.warning("setting %s is not understood", name)
    return fallback


def _pairs(text: str) -> dict[str, str]:
    """``key=value,...``, percent-encoded; what is no pair is left out."""
    found = (item.partition("=") for item in text.split(","))
    return {key.strip(): urllib.parse.unquote(value.strip())
            for key, equals, value in found if equals and key.strip()}


def endpoint() -> str | None:
    """Where spans are sent; None: nowhere."""
    if os.environ.get("OTEL_SDK_DISABLED", "").lower() == "true":
        return None
    wanted = os.environ.get("OTEL_TRACES_EXPORTER", "")
    if wanted not in ("", "otlp"):
        return None
    own = os.environ.get("OTEL_EXPORTER_OTLP_TRACES_ENDPOINT")
    base = os.environ.get("OTEL_EXPORTER_OTLP_ENDPOINT") or (
        "http://localhost:4318" if wanted else "")
    return own or (base.rstrip("/") + "/v1/traces" if base else None)


def _attributes(values: Mapping[str, Any]) -> list[dict[str, Any]]:
    return [{"key": key, "value": {"intValue": str(value)} if isinstance(value, int)
             else {"stringValue": wire.clip(value, _TEXT_MAX)}}
            for key, value in values.items() if value is not None]


def _span(context: Context, parent: Context, fields: Mapping[str, Any], start_ns: int,
          outcome: Mapping[str, Any], failed: bool) -> dict[str, Any]:
    """What a C worker says of a handler too."""
    span: dict[str, Any] = {
        "traceId": context.trace, "spanId": context.span, "parentSpanId": parent.span,
        "traceState": fields.get("tracestate", ""), "kind": _KIND_CONSUMER,
        "name": f"process {fields['queue']}", "flags": context.flags | _REMOTE_PARENT,
        "startTimeUnixNano": str(start_ns), "endTimeUnixNano": str(time.time_ns()),
        "status": {},
        "attributes": _attributes({
            "messaging.system": "omni", "messaging.operation.name": "process",
            "messaging.operation.type": "process",
            "messaging.destination.name": fields["queue"], "omni.kind": fields["kind"],
            "omni.tenant.id": fields.get("tenant"), "omni.task.id": fields.get("task"),
            "omni.attempt": fields.get("attempt"),
            "messaging.message.id": fields.get("id"), "error.type": outcome.get("code")}),
    }
    if failed:
        span["status"] = {"code": _STATUS_ERROR,
                          "message": wire.clip(outcome.get("text", ""), _TEXT_MAX)}
    return span


class Exporter:
    """Takes spans from one thread, and sends them from another."""

    def __init__(self, url: str, node: str) -> None:
        self._url = url
        self._resource = _attributes(self._describe(node))
        self._headers = {"Content-Type": "application/json",
                         "User-Agent": "OTel-OTLP-Exporter-Python-omni/0.1",
                         **_pairs(_env("HEADERS"))}
        self._gzip = _env("COMPRESSION") == "gzip"
        self._timeout_s = _number("OTEL_EXPORTER_OTLP_TIMEOUT", _env("TIMEOUT"), 10000,
                                  600000) / 1000
        self._delay_s = self._setting("OTEL_BSP_SCHEDULE_DELAY", 5000, 600000) / 1000
        self._give_up_s = self._setting("OTEL_BSP_EXPORT_TIMEOUT", 30000, 600000) / 1000
        self._places = self._setting("OTEL_BSP_MAX_QUEUE_SIZE", 2048, 1 << 20)
        self._batch = self._setting("OTEL_BSP_MAX_EXPORT_BATCH_SIZE", 512, 4096)
        self._tls = ssl.create_default_context(cafile=_env("CERTIFICATE") or None)
        self._lock = threading.Condition()
        self._spans: collections.deque[dict[str, Any]] = collections.deque()
        self._stopping = False
        self._told_s = -_TELL_S
        self.dropped = self.exported = self.lost = 0
        self._thread = threading.Thread(target=self._run, daemon=True)
        self._thread.start()

    @staticmethod
    def _setting(name: str, fallback: int, most: int) -> int:
        return _number(name, os.environ.get(name, ""), fallback, most)

    @staticmethod
    def _describe(node: str) -> dict[str, str]:
        own = {"service.name": "omni-worker", "service.instance.id": node,
               **_pairs(os.environ.get("OTEL_RESOURCE_ATTRIBUTES", ""))}
        service = os.environ.get("OTEL_SERVICE_NAME")
        return {**own, "service.name": service} if service else own

    def end(self, context: Context, parent: Context, fields: Mapping[str, Any],
            start_ns: int, outcome: Mapping[str, Any]) -> None:
        """A handler has ended. What failed is told of also in a trace that is not sampled;
        a call that was asked for what cannot be has not failed, its caller has."""
        failed = outcome["how"] == "failed" and ("call" not in fields
                                                 or outcome.get("retryable", False))
        if not (context.sampled or failed):
            return
        span = _span(context, parent, fields, start_ns, outcome, failed)
        with self._lock:
            if len(self._spans) >= self._places:
                self.dropped += 1
                return
            self._spans.append(span)
            if len(self._spans) >= self._batch:
                self._lock.notify()

    def stop(self) -> None:
        """Send what waits, for a second at most."""
        with self._lock:
            self._stopping = True
            self._lock.notify()
        self._thread.join(_STOP_S)

    # -- the thread that sends

    def _run(self) -> None:
        while True:
            with self._lock:
                if not self._stopping and len(self._spans) < self._batch:
                    self._lock.wait(self._delay_s)
                batch = [self._spans.popleft()
                         for _ in range(min(self._batch, len(self._spans)))]
                if not batch and self._stopping:
                    return
            if batch:
                self._send(batch)

    def _send(self, spans: list[dict[str, Any]]) -> None:
        group = {"resource": {"attributes": self._resource},
                 "scopeSpans": [{"scope": {"name": "omni_worker"}, "spans": spans}]}
        body = json.dumps({"resourceSpans": [group]}).encode()
        headers = dict(self._headers)
        if self._gzip:
            body, headers["Content-Encoding"] = gzip.compress(body), "gzip"
        rejected, why = len(spans), ""
        end_s, wait_s = time.monotonic() + self._give_up_s, _WAIT_MIN_S
        while True:
            again_s, why = None, ""
            try:
                rejected = self._post(body, headers)
                break
            except urllib.error.HTTPError as error:
                error.close()
                why = f"status {error.code}"
                if error.code in _AGAIN:
                    again_s = _seconds(error.headers.get("Retry-After"))
                    again_s = random.uniform(0, wait_s) if again_s is None else again_s
            except OSError as error:
                why, again_s = str(error), random.uniform(0, wait_s)
            except (ValueError, TypeError, http.client.HTTPException) as error:
                why = f"its answer is nonsense: {error}"
            if again_s is None or time.monotonic() + again_s > end_s or self._pause(again_s):
                break
            wait_s = min(_WAIT_MAX_S, 2 * wait_s)
        rejected = min(max(0, rejected), len(spans))
        self.lost += rejected
        self.exported += len(spans) - rejected
        if rejected and time.monotonic() - self._told_s >= _TELL_S:
            self._told_s = time.monotonic()
            log.warning("the collector does not take all spans (%s); lost so far: %d, "
                        "without a place: %d", why or "refused", self.lost, self.dropped)

    def _pause(self, seconds: float) -> bool:
        """Wait; True if there is no time for it, as the worker ends."""
        with self._lock:
            return self._lock.wait_for(lambda: self._stopping, seconds)

    def _post(self, body: bytes, headers: dict[str, str]) -> int:
        """How many spans were refused. Raises OSError, or what nonsense leads to. The
        deadline is for the whole answer: one that comes a byte at a time ends too."""
        request = urllib.request.Request(self._url, body, headers)
        end_s = time.monotonic() + self._timeout_s
        with urllib.request.urlopen(request, timeout=self._timeout_s,
                                    context=self._tls) as answer:
            text = b""
            while part := answer.read1(4096):
                text += part
                if time.monotonic() > end_s:
                    raise TimeoutError("the answer does not end")
                if len(text) > _ANSWER_MAX:
                    raise ValueError("the answer is too large")
        told = json.loads(text or b"{}")
        partial = told.get("partialSuccess") if isinstance(told, dict) else None
        return int(partial.get("rejectedSpans", 0)) if isinstance(partial, dict) else 0


def _seconds(text: str | None) -> float | None:
    return float(text) if text and text.isascii() and text.isdigit() else None


def start(node: str) -> Exporter | None:
    """An exporter, if there is a collector to send to."""
    url = endpoint()
    if not url:
        return None
    if not url.startswith(("http://", "https://")):
        log.warning("setting OTEL_EXPORTER_OTLP_ENDPOINT is not understood")
        return None
    return Exporter(url, node)
