#!/usr/bin/env python3
"""restarts.py BIN ECHO_WORKER - a trace goes on, whoever is killed in the midst of it."""
import os
import signal
import sys
import time
import unittest

sys.dont_write_bytecode = True
from stage import ID, SPAN, Stage

Stage.BIN, Stage.WORKER = sys.argv.pop(1), sys.argv.pop(1)


class Restarts(Stage):
    def start(self, queue):
        """A worker that keeps its spans where `omni trace` looks."""
        self.env["OMNI_TRACE_DIR"] = f"{self.dir}/data/trace"
        worker = self.start_worker(queue)
        self.addCleanup(worker.wait)
        self.addCleanup(worker.kill)
        return worker

    def submit_in(self, trace, queue, kind, path="/api/v1/tasks", **body):
        status, headers, answer = self.ask(
            "POST", path, {"queue": queue, "kind": kind, "payload": {}, **body},
            traceparent=f"00-{trace}-{SPAN}-01", tracestate="vendor=1")
        self.assertEqual(status, 202, answer)
        return answer["task_id"]

    def assert_whole(self, spans):
        """Each span lies below another one, or below the caller's."""
        ids = {span["id"] for span in spans} | {SPAN}
        self.assertEqual([s["name"] for s in spans if s["parent"] not in ids], [])

    def test_a_job_that_waits_while_the_broker_is_killed_is_one_waterfall(self):
        task = self.submit_in(ID, "later", "echo")
        submitted = time.time_ns()
        self.trace(ID, lambda s: self.named(s, "commit later"))
        self.kill_program("broker")
        self.start("later")
        spans = self.trace(ID, lambda s: self.named(s, "process later")
                           and self.named(s, "attempt later"))
        edge, wait, attempt, process = (self.named(spans, name)[0] for name in (
            "POST /api/v1/tasks", "wait later", "attempt later", "process later"))
        self.assertEqual((edge["parent"], wait["parent"], attempt["parent"], process["parent"]),
                         (SPAN, edge["id"], edge["id"], attempt["id"]))
        self.assertLess(wait["start"], submitted, "it waited since before the broker was killed")
        self.assertEqual(process["state"], "vendor=1")
        self.assert_whole(spans)
        text = self.waterfall(task)
        self.assertEqual(text.count("\ntrace "), 0, text)
        roots = [line for line in text.splitlines()[1:] if line[0] not in "├└│ "]
        self.assertEqual(len(roots), 1, text)
        for name in ("commit later", "wait later", "attempt later", "process later"):
            self.assertIn(name, text)

    def test_an_attempt_is_told_of_though_its_worker_and_the_broker_died(self):
        trace = ID.replace("a", "b")
        worker = self.start("both")
        task = self.submit_in(trace, "both", "wait", max_attempts=1)
        self.await_true(lambda: self.state_of(task) == "running")
        began = time.time_ns()
        os.kill(worker.pid, signal.SIGKILL)
        self.kill_program("broker")
        spans = self.trace(trace, lambda s: self.named(s, "attempt both"), 90)
        attempt = self.named(spans, "attempt both")[0]
        self.assertTrue(attempt["error"])
        self.assertEqual(attempt["attributes"]["error.type"], "worker_lost")
        self.assertLess(attempt["start"], began, "since it was given out")
        self.assertGreater(attempt["end"], began)

    def test_a_worker_that_outlives_the_broker_ends_the_attempt_it_began(self):
        trace = ID.replace("a", "c")
        self.start("outlives")
        task = self.submit_in(trace, "outlives", "wait")
        self.await_true(lambda: self.state_of(task) == "running")
        began = time.time_ns()
        self.kill_program("broker")
        self.await_true(lambda: self.ask("POST", f"/api/v1/tasks/{task}/cancel")[0] < 300
                        or self.ask("DELETE", f"/api/v1/tasks/{task}")[0] < 300)
        spans = self.trace(trace, lambda s: self.named(s, "attempt outlives")
                           and self.named(s, "process outlives"))
        attempts = self.named(spans, "attempt outlives")
        self.assertEqual(len(attempts), 1)
        self.assertLess(attempts[0]["start"], began)
        self.assertEqual(self.named(spans, "process outlives")[0]["parent"], attempts[0]["id"])

    def test_events_reach_their_subscribers_in_the_trace_over_a_restart(self):
        trace = ID.replace("a", "d")
        def predict(period, **headers):
            return self.ask("POST", "/api/v1/predict/seasonal-naive",
                            {"time_series": [float(n % period) for n in range(30)],
                             "forecast_steps": 3}, **headers)
        self.assertEqual(predict(7)[0], 200)  # what billing says of quotas is known
        billing = self.await_true(lambda: self.pid_of("billing"))
        os.kill(billing, signal.SIGSTOP)
        try:
            status, _, answer = predict(5, traceparent=f"00-{trace}-{SPAN}-01")
            self.assertEqual(status, 200, answer)
            # What it metered is on disk with, or before, the commit of a job that follows.
            self.submit("nobody", "k")
            self.kill_program("broker")
        finally:
            os.kill(billing, signal.SIGCONT)
        spans = self.trace(trace, lambda s: self.named(s, "process omni.billing.events"))
        edge = self.named(spans, "POST /api/v1/predict/{model}")[0]
        self.assertEqual({s["parent"] for s in self.named(spans, "process omni.billing.events")},
                         {edge["id"]})
        self.assert_whole(spans)

    def test_a_workflow_that_the_broker_is_killed_in_stays_one_trace(self):
        trace = ID.replace("a", "e")
        status, _, answer = self.ask("POST", "/api/v1/workflows", {"tasks": [
            {"name": "a", "queue": "steps", "kind": "k", "payload": {}},
            {"name": "b", "queue": "steps", "kind": "parents", "payload": {}, "after": ["a"]}]},
            traceparent=f"00-{trace}-{SPAN}-01")
        self.assertIn(status, (200, 202), answer)
        self.kill_program("broker")
        self.start("steps")
        spans = self.trace(trace, lambda s: len(self.named(s, "attempt steps")) == 2
                           and len(self.named(s, "process steps")) == 2)
        edge = self.named(spans, "POST /api/v1/workflows")[0]
        self.assertEqual({s["parent"] for s in self.named(spans, "attempt steps")}, {edge["id"]})


if __name__ == "__main__":
    unittest.main()
