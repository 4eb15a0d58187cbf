"""The Python worker of the chaos run: the same jobs and the same log as worker.c.

usage: worker.py ENDPOINT NODE LOG SLOTS KEY QUEUE
"""

from __future__ import annotations

import os
import random
import sys
import time

sys.path.insert(0, os.path.join(os.path.dirname(__file__), "../../sdk/python"))

from omni_worker import Cancelled, Fail, Retry, Worker  # noqa: E402

ENDPOINT, NODE, LOG, SLOTS, KEY, QUEUE = sys.argv[1:7]
worker = Worker(ENDPOINT, node=NODE, api_key=KEY, slots=int(SLOTS), drain_s=1.0,
                cancel_grace_s=2.0)
# The handlers' processes read this module again; each then has its own descriptor.
log = os.open(LOG, os.O_RDWR | os.O_CREAT | os.O_APPEND | os.O_CLOEXEC, 0o600)


def note(kind, *words):
    line = " ".join(map(str, (kind, time.monotonic_ns() // 1_000_000, os.getppid(), *words)))
    os.write(log, line.encode() + b"\n")


def run(job, payload, seconds, outcome="done"):
    """Note the job's begin and end; takes its time, and notices a cancel."""
    ref = payload["ref"]
    note("B", job.id, job.tenant, job.attempt, ref)
    end = time.monotonic() + seconds
    while (left := end - time.monotonic()) > 0:
        if job.cancelled():
            note("E", job.id, job.attempt, "cancelled", 0)
            raise Cancelled
        time.sleep(min(left, 0.02))
    nonce = random.SystemRandom().getrandbits(47)
    job.usage("chaos", nonce, subject=ref)
    note("E", job.id, job.attempt, outcome, nonce)
    return {"nonce": nonce}


@worker.task("quick", queue=QUEUE)
def quick(job, payload):
    return run(job, payload, random.random() * 0.02)


@worker.task("slow", queue=QUEUE)
def slow(job, payload):
    return run(job, payload, 0.5 + random.random() * 2.5)


@worker.task("retry", queue=QUEUE)
def retry(job, payload):
    if job.attempt > 1:
        return run(job, payload, 0.01)
    run(job, payload, 0.01, "retry")
    raise Retry("asked to be tried again", after_s=0.2)


@worker.task("fail", queue=QUEUE)
def fail(job, payload):
    run(job, payload, 0.01, "failed")
    raise Fail("invalid_request", "asked to fail")


if __name__ == "__main__":
    worker.run()
