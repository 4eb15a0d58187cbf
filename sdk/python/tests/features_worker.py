"""A worker with what only this library does, for the scenarios beside this file.

usage: features_worker.py ENDPOINT SLOTS
"""

import os
import re
import signal
import sys
import time

sys.path.insert(0, os.path.join(os.path.dirname(__file__), ".."))

from omni_worker import Worker  # noqa: E402

worker = Worker(sys.argv[1], slots=int(sys.argv[2]), role="inference", drain_s=2.0,
                cancel_grace_s=1.0)
QUEUE = "conformance"


@worker.task("crash", queue=QUEUE)
def crash(job, payload):
    os.kill(os.getpid(), signal.SIGSEGV)


@worker.task("exit", queue=QUEUE)
def leave(job, payload):
    sys.exit(3)


@worker.task("hold_gil", queue=QUEUE)
def hold_gil(job, payload):
    re.match(r"(a+)+$", "a" * 64 + "b")  # backtracks for years without letting go


@worker.task("freeze", queue=QUEUE)
def freeze(job, payload):
    os.kill(os.getpid(), signal.SIGSTOP)


@worker.task("soft", queue=QUEUE)
def soft(job, payload):
    while True:
        job.check()
        time.sleep(0.01)


@worker.task("soft_partial", queue=QUEUE)
def soft_partial(job, payload):
    while not job.cancelled():
        time.sleep(0.01)
    return {"partial": True}


@worker.task("raise", queue=QUEUE)
def divide(job, payload):
    return 1 / 0


@worker.task("sum", queue=QUEUE)
def add(job, payload):
    return {"sum": sum(payload["values"]), "trace": job.traceparent, "attempt": job.attempt}


@worker.task("pid", queue=QUEUE)
def pid(job, payload):
    return str(os.getpid())


@worker.task("parts", queue=QUEUE)
def parts(job, payload):
    job.emit({"loss": 0.5})
    job.emit("ünï")
    job.emit(b"\x00\xff")


if __name__ == "__main__":
    worker.run()
