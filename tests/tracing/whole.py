#!/usr/bin/env python3
"""whole.py BIN ECHO_WORKER - one trace from the edge to billing, whatever happens to a job."""
import signal
import sys
import time
import unittest

sys.dont_write_bytecode = True
from stage import ID, SPAN, Stage

Stage.BIN, Stage.WORKER = sys.argv.pop(1), sys.argv.pop(1)


class Whole(Stage):
    def test_a_request_is_one_waterfall_from_the_edge_to_billing(self):
        status, headers, answer = self.ask(
            "POST", "/api/v1/predict/seasonal-naive",
            {"time_series": [float(n % 7) for n in range(30)], "forecast_steps": 3},
            traceparent=f"00-{ID}-{SPAN}-01", tracestate="vendor=1")
        self.assertEqual(status, 200, answer)
        names = {"POST /api/v1/predict/{model}", "wait omni.inference", "process omni.inference",
                 "infer", "process omni.billing.events", "process omni.compliance.events"}
        spans = self.trace(ID, lambda spans: {s["name"] for s in spans} >= names - {
            "process omni.compliance.events"})
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
        self.assertEqual({span["state"] for span in billed}, {"vendor=1"})
        text = self.waterfall(headers["x-request-id"])
        self.assertIn("infer seasonal-naive", text)
        self.assertIn(f"trace {ID}", text)

    def test_a_job_whose_worker_is_killed_shows_every_attempt(self):
        task = self.submit("killed", "wait")
        worker = self.start_worker("killed")
        deadline = time.monotonic() + 30
        while self.state_of(task) != "running" and time.monotonic() < deadline:
            pass
        self.assertEqual(self.state_of(task), "running")
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
