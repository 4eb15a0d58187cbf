"""The worker that tests/conformance holds the library to.

usage: conformance_worker.py ENDPOINT SLOTS [threads]
"""

import os
import sys
import time

sys.path.insert(0, os.path.join(os.path.dirname(__file__), ".."))

from omni_worker import Cancelled, Fail, Result, Retry, Worker, wire  # noqa: E402

worker = Worker(sys.argv[1], slots=int(sys.argv[2]), role="inference", drain_s=2.0,
                cancel_grace_s=3.0, processes="threads" not in sys.argv)
QUEUE = "conformance"


@worker.task("echo", queue=QUEUE)
def echo(job, payload):
    job.usage("compute_ms", 7, "echo")
    return Result(job.payload, job.content_type or "application/octet-stream")


@worker.task("wait", queue=QUEUE)
def wait(job, payload):
    job.progress(0.5, {"epoch": 1})
    while not job.cancelled():
        time.sleep(0.01)
    raise Cancelled


@worker.task("slow", queue=QUEUE)
def slow(job, payload):
    time.sleep(int(job.payload) / 1000)
    return job.payload


@worker.task("fail", queue=QUEUE)
def fail(job, payload):
    raise Fail("invalid_request", "there is no column x")


@worker.task("retry", queue=QUEUE)
def retry(job, payload):
    raise Retry("the database is away", after_s=1.5)


@worker.task("big", queue=QUEUE)
def big(job, payload):
    return bytes(wire.PAYLOAD_MAX + 1)


@worker.task("parents", queue=QUEUE)
def parents(job, payload):
    return b"".join(b"%s %s\n" % (parent.state.encode(), parent.result)
                    for parent in job.parents())


@worker.task("stream", queue=QUEUE)
def stream(job, payload):
    for part in ("one", "two", "three"):
        time.sleep(int(job.payload) / 1000)
        job.emit(Result(part.encode(), "text/plain"))
    return b"end"


@worker.task("context", queue=QUEUE)
def context(job, payload):
    headers = job.trace_headers()
    return f"{headers.get('traceparent', 'none')} {headers.get('tracestate', '')}"


@worker.task("wide", queue=QUEUE)
def wide(job, payload):
    try:
        job.emit(bytes(wire.PART_MAX + 1))
    except ValueError as error:
        raise Fail("too_large", str(error)) from None


if __name__ == "__main__":
    worker.run()
