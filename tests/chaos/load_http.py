"""A client over HTTP that submits jobs to a tenant's queue at a steady rate and cancels
some, and notes what the edge acknowledged, as load.c does.

usage: load_http.py URL KEY LOG SEED RATE
"""

from __future__ import annotations

import http.client
import json
import os
import random
import signal
import sys
import time
import urllib.parse
from typing import Any

_ANSWER_S = 15
_KINDS = ["slow"] * 2 + ["retry"] * 5 + ["fail"] * 3 + ["quick"] * 90
_CANCEL_SHARE = 0.1


class Load:
    def __init__(self, url: str, key: str, log: str, seed: str) -> None:
        self._address = urllib.parse.urlparse(url).netloc
        self._key = key
        self._log = os.open(log, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600)
        self._random = random.Random(f"http {seed}")
        self._connection: http.client.HTTPConnection | None = None
        self._submitted = 0
        self._cancels: list[tuple[float, str]] = []
        self.stopping = False

    def _note(self, *words: object) -> None:
        kind, *rest = words
        line = " ".join(map(str, (kind, time.monotonic_ns() // 1_000_000, *rest)))
        os.write(self._log, line.encode() + b"\n")

    def _ask(self, path: str, body: dict[str, Any], key: str) -> tuple[int, dict[str, Any]]:
        """Status and answer; 0 when there was none."""
        try:
            if not self._connection:
                self._connection = http.client.HTTPConnection(self._address,
                                                              timeout=_ANSWER_S)
            self._connection.request("POST", path, json.dumps(body), {
                "Authorization": f"Bearer {self._key}", "Content-Type": "application/json",
                "Idempotency-Key": key})
            response = self._connection.getresponse()
            return response.status, json.loads(response.read() or "{}")
        except (OSError, http.client.HTTPException, ValueError):
            if self._connection:
                self._connection.close()
            self._connection = None
            return 0, {}

    def _submit(self) -> None:
        self._submitted += 1
        ref = f"h{self._submitted}"
        self._note("S", ref, "-", "-", "chaos", "-")
        status, answer = self._ask("/api/v1/tasks", {
            "queue": "chaos", "kind": self._random.choice(_KINDS), "payload": {"ref": ref},
        }, ref)
        if status != 202:
            code = answer.get("error", {}).get("code") if status else "no_answer"
            self._note("R", ref, code)
            return
        self._note("A", ref, answer["task_id"])
        os.fdatasync(self._log)
        if self._random.random() < _CANCEL_SHARE:
            at_s = time.monotonic() + self._random.choice((0, 0.4)) * self._random.random()
            self._cancels.append((at_s, answer["task_id"]))

    def _cancel_due(self) -> None:
        due = [task for at_s, task in self._cancels if at_s <= time.monotonic()]
        self._cancels = [one for one in self._cancels if one[1] not in due]
        for task in due:
            self._note("C", task)
            status, _ = self._ask(f"/api/v1/tasks/{task}/cancel", {}, f"cancel-{task}")
            if status == 202:
                self._note("K", task)

    def run(self, rate: int) -> None:
        due_s = time.monotonic()
        while not self.stopping:
            self._submit()
            self._cancel_due()
            # What an outage has kept back is not made up for.
            due_s = max(due_s + 1 / rate, time.monotonic() - 1)
            time.sleep(max(0.0, due_s - time.monotonic()))
        os.fdatasync(self._log)


def main() -> None:
    url, key, log, seed, rate = sys.argv[1:6]
    load = Load(url, key, log, seed)
    signal.signal(signal.SIGTERM, lambda *_: setattr(load, "stopping", True))
    load.run(int(rate))


if __name__ == "__main__":
    main()
