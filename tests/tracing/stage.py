"""stage.py - an Omni whose spans come to a collector, for tests of whole traces."""
import json
import os
import pathlib
import re
import shutil
import signal
import subprocess
import sys
import tempfile
import time
import unittest
import urllib.error
import urllib.request

sys.dont_write_bytecode = True
from collector import Collector

ID, SPAN = "0af7651916cd43dd8448eb211c80319c", "b7ad6b7169203331"


class Stage(unittest.TestCase):
    """One Omni for all tests of a class. BIN, WORKER and `settings` are the class's."""

    BIN = WORKER = ""
    settings = {}

    @classmethod
    def setUpClass(cls):
        cls.collector = Collector()
        cls.dir = tempfile.mkdtemp(prefix="omni-trace-")
        cls.log = open(os.path.join(cls.dir, "log"), "w+b")
        kept = {name: value for name, value in os.environ.items() if not name.startswith("OTEL_")}
        cls.env = {**kept, "OTEL_EXPORTER_OTLP_ENDPOINT": cls.collector.url,
                   "OTEL_BSP_SCHEDULE_DELAY": "100", "OMNI_LOG_FORMAT": "json", **cls.settings}
        cls.up = subprocess.Popen(
            [f"{cls.BIN}/omni", "up", "--data", f"{cls.dir}/data", "--listen", "127.0.0.1:0"],
            env=cls.env, stdout=subprocess.PIPE, stderr=cls.log)
        cls.url = cls.up.stdout.readline().decode().split()[-1]
        with open(f"{cls.dir}/data/admin.key") as file:
            cls.key = file.read().strip()
        with open(f"{cls.dir}/data/omni.lock") as file:
            lock = dict(line.strip().split("=", 1) for line in file if "=" in line)
        cls.work = lock["OMNI_BROKER_WORK"]
        cls.worker_key = cls.ask("POST", "/developer/keys",
                                 {"name": "w", "scopes": ["worker"]})[2]["key"]

    @classmethod
    def tearDownClass(cls):
        cls.up.terminate()
        status = cls.up.wait(20)
        cls.up.stdout.close()
        cls.log.seek(0)
        log = cls.log.read().decode(errors="replace")
        cls.log.close()
        cls.collector.stop()
        shutil.rmtree(cls.dir)
        assert status == 0 and "Sanitizer" not in log, log[-4000:]
        assert not cls.collector.bad, cls.collector.bad

    @classmethod
    def ask(cls, method, path, body=None, **headers):
        """Headers named `authorization=None` and so on are left out."""
        headers = {"authorization": f"Bearer {cls.key}", "content-type": "application/json",
                   **headers}
        request = urllib.request.Request(
            cls.url + path, method=method, data=json.dumps(body).encode() if body else None,
            headers={name: value for name, value in headers.items() if value is not None})
        try:
            with urllib.request.urlopen(request, timeout=30) as answer:
                return answer.status, answer.headers, json.loads(answer.read())
        except urllib.error.HTTPError as error:
            with error:
                return error.code, error.headers, json.loads(error.read())

    def start_worker(self, queue):
        return subprocess.Popen([self.WORKER, self.work, self.worker_key, queue], env=self.env,
                                stderr=self.log)

    def submit(self, queue, kind, **headers):
        status, _, answer = self.ask("POST", "/api/v1/tasks",
                                     {"queue": queue, "kind": kind, "payload": {"n": 1}}, **headers)
        self.assertEqual(status, 202, answer)
        return answer["task_id"]

    def state_of(self, task):
        return self.ask("GET", f"/api/v1/tasks/{task}")[2].get("status")

    def trace(self, trace, wanted, seconds=60):
        """The spans of a trace, once `wanted` is true of them."""
        def of(collector):
            return [span for span in collector.spans if span["trace"] == trace]
        return self.await_spans(of, wanted, seconds)

    def spans_of(self, task, wanted, seconds=60):
        """The trace that the task's SUBMIT is in, once `wanted` is true of its spans."""
        def of(collector):
            trace = next((span["trace"] for span in collector.spans
                          if span["name"].startswith("commit ")
                          and span["attributes"].get("omni.task.id") == task), None)
            return [span for span in collector.spans if span["trace"] == trace]
        return self.await_spans(of, wanted, seconds)

    def await_spans(self, of, wanted, seconds):
        try:
            self.collector.wait(lambda c: bool(of(c)) and wanted(of(c)), seconds)
        except AssertionError as error:
            seen = [(span["name"], span["error"]) for span in of(self.collector)]
            raise AssertionError(seen) from error
        return of(self.collector)

    def named(self, spans, name):
        return sorted((span for span in spans if span["name"] == name),
                      key=lambda span: span["start"])

    def waterfall(self, of):
        """What `omni trace` prints of a task, a request or a trace."""
        shown = subprocess.run([f"{self.BIN}/omni", "trace", of, "--data", f"{self.dir}/data"],
                               capture_output=True, check=True)
        return shown.stdout.decode()

    def pid_of(self, node):
        """The program of `omni up` with this OMNI_NODE; None: it does not run now."""
        for entry in pathlib.Path("/proc").glob("[0-9]*"):
            try:
                parent = re.search(r"\) \w (\d+)", (entry / "stat").read_text())[1]
                if int(parent) == self.up.pid and \
                        f"\0OMNI_NODE={node}\0".encode() in b"\0" + (entry / "environ").read_bytes():
                    return int(entry.name)
            except (OSError, TypeError):
                continue
        return None

    def await_true(self, wanted, seconds=30):
        until = time.monotonic() + seconds
        while not (value := wanted()):
            self.assertLess(time.monotonic(), until, f"not within {seconds} s")
            time.sleep(0.02)
        return value

    def kill_program(self, node):
        """kill -9; returns once `omni up` has started it again, and the edge is ready."""
        before = self.await_true(lambda: self.pid_of(node))
        os.kill(before, signal.SIGKILL)
        self.await_true(lambda: self.pid_of(node) not in (None, before))
        self.await_true(lambda: self.ask("GET", "/readyz")[0] == 200)
