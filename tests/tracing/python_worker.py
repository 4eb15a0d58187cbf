"""python_worker.py SDK URL - a tenant's worker in Python on the queue "python": it ends in
every way, and submits a job to the edge at URL as a part of its own."""
import json
import os
import signal
import sys
import urllib.request

sys.path.insert(0, sys.argv[1])
from omni_worker import Fail, Worker

worker = Worker(slots=2)
URL = sys.argv[2]


@worker.task("echo", queue="python")
def echo(job, payload):
    return payload


@worker.task("fail", queue="python")
def fail(job, payload):
    raise Fail("no_such_column", "there is no column \ud800x")


@worker.task("die", queue="python")
def die(job, payload):
    os.kill(os.getpid(), signal.SIGKILL)


@worker.task("submit", queue="python")
def submit(job, payload):
    body = json.dumps({"queue": "python", "kind": "echo", "payload": {}}).encode()
    request = urllib.request.Request(
        f"{URL}/api/v1/tasks", body,
        {"Authorization": f"Bearer {payload['key']}", "Content-Type": "application/json",
         **job.trace_headers()})
    with urllib.request.urlopen(request, timeout=30) as answer:
        return json.loads(answer.read())


if __name__ == "__main__":
    worker.run()
