"""Plays one scenario against one worker process. README.md says what the steps mean."""

from __future__ import annotations

import json
import os
import pathlib
import shlex
import signal
import subprocess
import tempfile
import time
from typing import Any

from broker import Broken, Broker, Received
from wire_reference import Reference

_DEADLINE_MS = 10000
_QUEUE = "conformance"


class Scenario:
    def __init__(self, path: pathlib.Path, reference: Reference) -> None:
        self.name = path.stem
        spec = json.loads(path.read_text())
        self.about: str = spec["about"]
        self._slots: int = spec.get("slots", 1)
        self._heartbeat_ms: int = spec.get("heartbeat_ms", 2000)
        self._bundles: bool = spec.get("bundles", False)
        self._steps: list[dict[str, Any]] = spec["steps"]
        self._reference = reference
        self._tokens: dict[str, bytes] = {}
        self._ids: dict[str, Any] = {}  # of the last message of each type
        self._earlier_ids: dict[str, Any] = {}  # of the one before

    def play(self, command: str) -> None:
        """Raises Broken with the step the worker did not pass."""
        with tempfile.TemporaryDirectory(prefix="omni-") as folder:
            endpoint = f"ipc://{folder}/work"
            self._broker = Broker(self._reference, endpoint, self._heartbeat_ms,
                                  self._bundles)
            self._broker.start()
            words = shlex.split(command.format(endpoint=endpoint, slots=self._slots))
            with open(f"{folder}/log", "w+b") as log:
                self._worker = subprocess.Popen(words, stdout=log, stderr=log,
                                                start_new_session=True)
                try:
                    self._play_steps()
                except Broken as error:
                    log.seek(0)
                    said = log.read().decode(errors="replace").strip()
                    raise Broken(f"{error}\n{said}" if said else str(error)) from None
                finally:
                    self._end_worker()
                    self._broker.close()

    def _play_steps(self) -> None:
        for number, step in enumerate(self._steps, 1):
            verb = next(iter(step))
            try:
                getattr(self, f"_do_{verb}")(step)
            except Broken as error:
                raise Broken(f"step {number}, {json.dumps(step)}: {error}") from None

    def _end_worker(self) -> None:
        try:
            os.killpg(self._worker.pid, signal.SIGKILL)
        except ProcessLookupError:
            pass
        self._worker.wait()

    # -- the verbs

    def _do_expect(self, step: dict[str, Any]) -> None:
        until_s = time.monotonic() + step.get("within_ms", _DEADLINE_MS) / 1000
        last, others = None, []
        while True:
            message = self._broker.receive(until_s)
            if message is None:
                self._check_alive()
                raise Broken(last or f"it did not come, but {' '.join(others) or 'nothing'}")
            if message.name in step.get("not_before", ()) and self._is_of(message, step):
                raise Broken(f"{message.name} came first")
            if message.name != step["expect"] or not self._is_of(message, step):
                others = [*others[-9:], message.name]
                continue
            wrong = self._compare(message, step)
            if wrong is None:
                self._earlier_ids[message.name] = self._ids.get(message.name)
                self._ids[message.name] = message.fields.get("id")
                return
            last = f"the last {message.name} has {wrong}"
            if not step.get("until"):
                raise Broken(last)

    def _do_silence(self, step: dict[str, Any]) -> None:
        until_s = time.monotonic() + step["for_ms"] / 1000
        while (message := self._broker.receive(until_s)) is not None:
            if message.name in step["silence"] and self._is_of(message, step):
                raise Broken(f"{message.name} came")
        self._check_alive()

    def _do_send(self, step: dict[str, Any]) -> None:
        self._broker.send(step["send"], self._fields(step), _payload(step))

    def _do_send_bundle(self, step: dict[str, Any]) -> None:
        messages = [(item["send"], self._fields(item), _payload(item))
                    for item in step["send_bundle"]]
        self._broker.send_bundle(messages, bytes.fromhex(step.get("behind", "")))

    def _fields(self, step: dict[str, Any]) -> dict[str, Any]:
        fields = dict(step.get("fields", {}))
        for key in ("toks", "stale"):
            if key in fields:
                fields[key] = [self._token(job) for job in fields[key]]
        if "job" in step:
            fields["tok"] = self._token(step["job"])
        if "id_of" in step:
            ids = self._earlier_ids if step.get("earlier") else self._ids
            fields["id"] = ids[step["id_of"]]
        if step["send"] == "JOB":
            fields = {"q": _QUEUE, "att": 1, "ls": 30000, **fields}
        elif step["send"] == "CALL":
            fields = {"q": _QUEUE, "ttl": 10000, **fields}
        return fields

    def _do_send_raw(self, step: dict[str, Any]) -> None:
        self._broker.send_raw([bytes.fromhex(frame) for frame in step["send_raw"]])

    def _do_broker(self, step: dict[str, Any]) -> None:
        if step["broker"] == "stop":
            self._broker.stop()
        elif step["broker"] == "start":
            self._broker.start()
        else:
            self._broker.mute = {"mute": True, "unmute": False}[step["broker"]]

    def _do_signal(self, step: dict[str, Any]) -> None:
        self._worker.send_signal(getattr(signal, f"SIG{step['signal']}"))

    def _do_exit(self, step: dict[str, Any]) -> None:
        """What the worker sends meanwhile is read, so that its BYE is not held up."""
        until_s = time.monotonic() + step.get("within_ms", _DEADLINE_MS) / 1000
        while self._worker.poll() is None:
            if time.monotonic() >= until_s:
                raise Broken("the worker does not end")
            self._broker.receive(min(until_s, time.monotonic() + 0.05))
        if self._worker.returncode != step["exit"]:
            raise Broken(f"the worker ended with status {self._worker.returncode}")

    # -- helpers

    def _check_alive(self) -> None:
        status = self._worker.poll()
        if status is not None:
            raise Broken(f"the worker has ended with status {status}")

    def _token(self, job: str) -> bytes:
        return self._tokens.setdefault(job, os.urandom(32))

    def _is_of(self, message: Received, step: dict[str, Any]) -> bool:
        return "job" not in step or message.fields.get("tok") == self._token(step["job"])

    def _compare(self, message: Received, step: dict[str, Any]) -> str | None:
        """What is not as the step wants it."""
        for key, wanted in step.get("has", {}).items():
            if message.fields.get(key) != wanted:
                return f"{key} = {message.fields.get(key)!r}, not {wanted!r}"
        for key, wanted in step.get("bits", {}).items():
            if message.fields.get(key, 0) & wanted != wanted:
                return f"{key} = {message.fields.get(key)!r}, without the bits {wanted}"
        for key in step.get("lacks", ()):
            if key in message.fields:
                return f"{key} = {message.fields[key]!r}"
        if "id_of" in step:
            said, wanted = message.fields.get("id"), self._ids[step["id_of"]]
            if said is None or said != wanted:
                return f"the id {said!r}, not {wanted!r}"
        if "held" in step:
            held = message.fields.get("held", [])
            wanted_tokens = sorted(self._token(job) for job in step["held"])
            if sorted(item["token"] for item in held) != wanted_tokens:
                return f"{len(held)} leases, not those of {step['held']}"
            for key, wanted in step.get("item", {}).items():
                if any(item.get(key) != wanted for item in held):
                    return f"{key} = {[item.get(key) for item in held]!r}, not {wanted!r}"
        wanted = _payload(step)
        if wanted is not None and "job" in step:
            wanted = wanted.replace(b"{attempt}", _attempt_span(self._token(step["job"])))
        if wanted is not None and message.payload != wanted:
            return f"the payload {(message.payload or b'')[:80]!r}"
        return None


def _attempt_span(token: bytes) -> bytes:
    """FNV-1a of 64 bits over a token's task and attempt."""
    value = 14695981039346656037
    for byte in token[:20]:
        value = (value ^ byte) * 1099511628211 % 2**64
    return b"%016x" % value


def _payload(step: dict[str, Any]) -> bytes | None:
    if "hex" in step:
        return bytes.fromhex(step["hex"]) * step.get("times", 1)
    return step["payload"].encode() if "payload" in step else None
