#!/usr/bin/env python3
"""whole.py BIN ECHO_WORKER - one trace from the edge to billing, whatever happens to a job."""
import json
import os
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

BIN, WORKER = sys.argv.pop(1), sys.argv.pop(1)
ID, SPAN = "0af7651916cd43dd8448eb211c80319c", "b7ad6b7169203331"


def fnv(data):
    value = 14695981039346656037
    for byte in data:
        value = ((value ^ byte) * 1099511628211) % (1 << 64)
    return f"{value:016x}"


class Whole(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.collector = Collector()
        cls.dir = tempfile.mkdtemp(prefix="omni-trace-")
        cls.log = open(os.path.join(cls.dir, "log"), "w+b")
        cls.env = {**os.environ, "OTEL_EXPORTER_OTLP_ENDPOINT": cls.collector.url,
                   "OTEL_BSP_SCHEDULE_DELAY": "100", "OMNI_LOG_FORMAT": "json"}
        cls.up = subprocess.Popen(
            [f"{BIN}/omni", "up", "--data", f"{cls.dir}/data", "--listen", "127.0.0.1:0"],
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
        request = urllib.request.Request(
            cls.url + path, method=method, data=json.dumps(body).encode() if body else None,
            headers={"Authorization": f"Bearer {cls.key}", "Content-Type": "application/json",
                     **headers})
        try:
            with urllib.request.urlopen(request, timeout=30) as answer:
                return answer.status, answer.headers, json.loads(answer.read())
        except urllib.error.HTTPError as error:
            return error.code, error.headers, json.loads(error.read())

    def start_worker(self, queue):
        return subprocess.Popen([WORKER, self.work, self.worker_key, queue], env=self.env,
                                stderr=self.log)

    def submit(self, queue, kind, **headers):
        status, _, answer = self.ask("POST", "/api/v1/tasks",
                                     {"queue": queue, "kind": kind, "payload": {"n": 1}}, **headers)
        self.assertEqual(status, 202, answer)
        return answer["task_id"]

    def spans_of(self, task, wanted):
        """The trace that the task's SUBMIT is in, once `wanted` is true of its spans."""
        def of(collector):
            trace = next((span["trace"] for span in collector.spans
                          if span["name"].startswith("commit ")
                          and span["attributes"].get("omni.task.id") == task), None)
            return [span for span in collector.spans if span["trace"] == trace]

        def check(collector):
            spans = of(collector)
            return bool(spans) and wanted(spans)

        try:
            self.collector.wait(check, 60)
        except AssertionError as error:
            raise AssertionError([(s["name"], s["error"]) for s in of(self.collector)]) from error
        return of(self.collector)

    def named(self, spans, name):
        return sorted((span for span in spans if span["name"] == name),
                      key=lambda span: span["start"])

    def test_a_request_is_one_waterfall_from_the_edge_to_billing(self):
        status, headers, answer = self.ask(
            "POST", "/api/v1/predict/seasonal-naive",
            {"time_series": [float(n % 7) for n in range(30)], "forecast_steps": 3},
            traceparent=f"00-{ID}-{SPAN}-01", tracestate="vendor=1")
        self.assertEqual(status, 200, answer)
        names = {"POST /api/v1/predict/{model}", "wait omni.inference", "process omni.inference",
                 "infer", "process omni.billing.events", "process omni.compliance.events"}

        def of(collector):
            return [span for span in collector.spans if span["trace"] == ID]
        try:
            self.collector.wait(lambda c: {s["name"] for s in of(c)} >= names - {
                "process omni.compliance.events"}, 30)
        except AssertionError as error:
            raise AssertionError({s["name"] for s in of(self.collector)}) from error
        spans = of(self.collector)
        edge = self.named(spans, "POST /api/v1/predict/{model}")[0]
        self.assertEqual((edge["parent"], edge["state"], edge["kind"]), (SPAN, "vendor=1", 2))
        self.assertEqual(edge["attributes"]["http.response.status_code"], 200)
        process = self.named(spans, "process omni.inference")[0]
        self.assertEqual((process["parent"], process["state"]), (edge["id"], "vendor=1"))
        self.assertEqual(self.named(spans, "infer")[0]["parent"], process["id"])
        ids = {span["id"] for span in spans} | {SPAN}
        self.assertEqual([s["name"] for s in spans if s["parent"] not in ids], [])
        billed = self.named(spans, "process omni.billing.events")
        self.assertIn(edge["id"], [span["parent"] for span in billed])
        shown = subprocess.run([f"{BIN}/omni", "trace", headers["x-request-id"], "--data",
                                f"{self.dir}/data"], capture_output=True, check=True)
        text = shown.stdout.decode()
        self.assertIn("infer seasonal-naive", text)
        self.assertIn(f"trace {ID}", text)

    def test_a_job_whose_worker_is_killed_shows_every_attempt(self):
        task = self.submit("killed", "wait")
        worker = self.start_worker("killed")

        def is_running():
            return self.ask("GET", f"/api/v1/tasks/{task}")[2]["status"] == "running"
        deadline = time.monotonic() + 30
        while not is_running() and time.monotonic() < deadline:
            pass
        self.assertTrue(is_running())
        worker.send_signal(signal.SIGKILL)
        worker.wait()
        worker = self.start_worker("killed")
        try:
            spans = self.spans_of(task, lambda s: len(self.named(s, "wait killed")) >= 2)
            lost = self.named(spans, "attempt killed")[0]
            self.assertTrue(lost["error"])
            self.assertEqual(lost["attributes"]["error.type"], "worker_lost")
            self.ask("POST", f"/api/v1/tasks/{task}/cancel")
            self.ask("DELETE", f"/api/v1/tasks/{task}")
            spans = self.spans_of(task, lambda s: len(self.named(s, "attempt killed")) >= 2)
        finally:
            worker.kill()
            worker.wait()
        first, second = self.named(spans, "attempt killed")[:2]
        edge = self.named(spans, "POST /api/v1/tasks")[0]
        self.assertEqual((first["parent"], second["parent"]), (edge["id"], edge["id"]))
        self.assertEqual(second["linked"], [first["id"]])
        self.assertEqual([first["attributes"]["omni.attempt"],
                          second["attributes"]["omni.attempt"]], [1, 2])

    def test_failed_attempts_and_the_workers_spans_are_one_trace(self):
        worker = self.start_worker("fails")
        try:
            task = self.submit("fails", "fail", tracestate="vendor=2",
                               traceparent=f"00-{ID.replace('a', 'b')}-{SPAN}-01")
            spans = self.spans_of(task, lambda s: self.named(s, "attempt fails")
                                  and self.named(s, "process fails"))
        finally:
            worker.terminate()
            worker.wait()
        attempt = self.named(spans, "attempt fails")[0]
        process = self.named(spans, "process fails")[0]
        self.assertEqual(process["parent"], attempt["id"])
        self.assertTrue(attempt["error"] and process["error"])
        self.assertEqual(process["message"], "asked to fail")
        self.assertEqual((process["trace"], process["state"]), (ID.replace("a", "b"), "vendor=2"))

    def test_a_workflow_keeps_the_trace(self):
        worker = self.start_worker("flow")
        try:
            status, _, answer = self.ask("POST", "/api/v1/workflows", {"tasks": [
                {"name": "a", "queue": "flow", "kind": "k", "payload": {}},
                {"name": "b", "queue": "flow", "kind": "parents", "payload": {},
                 "after": ["a"]}]})
            self.assertIn(status, (200, 202), answer)
            tasks = [one if isinstance(one, str) else one["task_id"] for one in answer["tasks"]]
            self.assertEqual(len(tasks), 2, answer)
            spans = self.spans_of(tasks[0], lambda s: len(self.named(s, "process flow")) == 2
                                  and len(self.named(s, "attempt flow")) == 2)
        finally:
            worker.terminate()
            worker.wait()
        self.assertEqual({span["attributes"]["omni.task.id"]
                          for span in self.named(spans, "attempt flow")}, set(tasks))

    def test_a_schedules_fires_are_traces_linked_to_it(self):
        status, headers, answer = self.ask("POST", "/api/v1/schedules", {
            "cron": "* * * * *", "queue": "timed", "kind": "k", "payload": {}})
        self.assertIn(status, (200, 201), answer)
        request = headers["x-request-id"]

        def fires(collector):
            return [span for span in collector.spans if span["name"] == "fire schedule"]
        self.collector.wait(fires, 90)
        fire = fires(self.collector)[0]
        made = next(span for span in self.collector.spans
                    if span["attributes"].get("omni.request.id") == request)
        self.assertEqual((fire["links"], fire["linked"]), ([made["trace"]], [made["id"]]))
        task = fire["attributes"]["omni.task.id"]
        spans = self.spans_of(task, lambda s: True)
        self.assertEqual({span["trace"] for span in spans}, {fire["trace"]})


if __name__ == "__main__":
    unittest.main()
