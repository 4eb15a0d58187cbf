#!/usr/bin/env python3
"""python_workers.py BIN SDK - what a worker in Python does is a part of its jobs' traces."""
import os
import subprocess
import sys
import unittest

sys.dont_write_bytecode = True
from stage import ID, SPAN, Stage

Stage.BIN, SDK = sys.argv.pop(1), sys.argv.pop(1)
HERE = os.path.dirname(os.path.abspath(__file__))


class PythonWorkers(Stage):
    def start_python(self, **settings):
        env = {**self.env, "OMNI_BROKER_WORK": self.work, "OMNI_API_KEY": self.worker_key,
               **settings}
        worker = subprocess.Popen(["/usr/bin/python3", "-B", f"{HERE}/python_worker.py", SDK,
                                   self.url], env=env, stderr=self.log)
        self.addCleanup(worker.wait)
        self.addCleanup(worker.terminate)

    def submit_in(self, trace, kind, payload, **body):
        status, _, answer = self.ask(
            "POST", "/api/v1/tasks",
            {"queue": "python", "kind": kind, "payload": payload, **body},
            traceparent=f"00-{trace}-{SPAN}-01", tracestate="vendor=1")
        self.assertEqual(status, 202, answer)
        return answer["task_id"]

    def test_a_job_that_submits_another_is_one_waterfall_with_it(self):
        self.start_python()
        self.submit_in(ID, "submit", {"key": self.key})
        spans = self.trace(ID, lambda s: len(self.named(s, "process python")) == 2
                           and len(self.named(s, "attempt python")) == 2
                           and len(self.named(s, "POST /api/v1/tasks")) == 2)
        outer, inner = self.named(spans, "process python")
        attempts = {s["id"]: s for s in self.named(spans, "attempt python")}
        self.assertIn(outer["parent"], attempts)
        self.assertIn(inner["parent"], attempts)
        requests = self.named(spans, "POST /api/v1/tasks")
        self.assertEqual([r["parent"] for r in requests], [SPAN, outer["id"]])
        self.assertEqual(attempts[inner["parent"]]["parent"], requests[1]["id"])
        self.assertEqual({s["state"] for s in [outer, inner, *requests]}, {"vendor=1"})
        self.assertEqual((outer["kind"], outer["attributes"]["omni.kind"],
                          outer["attributes"]["messaging.destination.name"],
                          outer["resource"]["service.name"]),
                         (5, "submit", "python", "omni-worker"))
        # No clock but this machine's: a child lies within its parent.
        attempt = attempts[outer["parent"]]
        self.assertLessEqual(attempt["start"] // 1000, outer["start"] // 1000)
        ids = {span["id"] for span in spans} | {SPAN}
        self.assertEqual([s["name"] for s in spans if s["parent"] not in ids], [])

    def test_failures_are_told_of_a_trace_that_is_not_sampled_too(self):
        self.start_python()
        trace = ID.replace("a", "d")
        status, _, answer = self.ask(
            "POST", "/api/v1/tasks", {"queue": "python", "kind": "fail", "payload": {}},
            traceparent=f"00-{trace}-{SPAN}-00")
        self.assertEqual(status, 202, answer)
        spans = self.trace(trace, lambda s: self.named(s, "process python")
                           and self.named(s, "attempt python"))
        process = self.named(spans, "process python")[0]
        self.assertTrue(process["error"])
        self.assertEqual((process["message"], process["attributes"]["error.type"]),
                         ("there is no column ?x", "no_such_column"))
        self.assertEqual(process["parent"], self.named(spans, "attempt python")[0]["id"])

    def test_the_attempt_of_a_process_that_dies_is_told_by_both(self):
        self.start_python()
        trace = ID.replace("a", "e")
        self.submit_in(trace, "die", {}, max_attempts=2)
        spans = self.trace(trace, lambda s: len(self.named(s, "process python")) == 2
                           and len(self.named(s, "attempt python")) == 2)
        processes, attempts = self.named(spans, "process python"), self.named(spans, "attempt python")
        self.assertEqual([p["parent"] for p in processes], [a["id"] for a in attempts])
        self.assertEqual({s["attributes"]["error.type"] for s in processes + attempts},
                         {"worker_crashed"})
        self.assertEqual(attempts[1]["linked"], [attempts[0]["id"]])

    def test_without_a_collector_of_its_own_the_trace_goes_on_below_the_attempt(self):
        self.start_python(OTEL_SDK_DISABLED="true")
        trace = ID.replace("a", "f")
        self.submit_in(trace, "submit", {"key": self.key})
        spans = self.trace(trace, lambda s: len(self.named(s, "attempt python")) == 2
                           and len(self.named(s, "POST /api/v1/tasks")) == 2)
        outer = self.named(spans, "attempt python")[0]
        self.assertEqual(self.named(spans, "POST /api/v1/tasks")[1]["parent"], outer["id"])
        self.assertEqual(self.named(spans, "process python"), [])


if __name__ == "__main__":
    unittest.main()
