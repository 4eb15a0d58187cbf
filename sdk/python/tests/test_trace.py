import os
import sys
import time
import unittest
from unittest import mock

import support
from omni_worker import export, trace

sys.path.insert(0, str(support.HERE.parents[2] / "tests" / "tracing"))
from collector import Collector  # noqa: E402

ID, SPAN = "0af7651916cd43dd8448eb211c80319c", "b7ad6b7169203331"
CONTEXT = trace.Context(ID, SPAN, 1)
FIELDS = {"queue": "q", "kind": "k", "task": "task_1", "attempt": 2, "tracestate": "a=1"}
DONE = {"how": "done"}
FAILED = {"how": "failed", "code": "no_column", "text": "there is no column", "retryable": False}


class Contexts(unittest.TestCase):
    def test_what_is_valid_is_read(self):
        for text, flags in ((f"00-{ID}-{SPAN}-01", 1), (f"00-{ID}-{SPAN}-00", 0),
                            (f"00-{ID}-{SPAN}-ff", 3), (f"01-{ID}-{SPAN}-01", 1),
                            (f"cc-{ID}-{SPAN}-01-what-comes", 1)):
            with self.subTest(text):
                self.assertEqual(trace.parse(text), trace.Context(ID, SPAN, flags))
        self.assertEqual(str(CONTEXT), f"00-{ID}-{SPAN}-01")

    def test_what_is_malformed_is_as_good_as_none(self):
        for text in (None, "", "00", f"00-{ID}-{SPAN}", f"00-{ID}-{SPAN}-1", f"ff-{ID}-{SPAN}-01",
                     f"00-{ID}-{SPAN}-01-", f"00-{ID}-{SPAN}-01x", f"00-{ID.upper()}-{SPAN}-01",
                     f"00-{'0' * 32}-{SPAN}-01", f"00-{ID}-{'0' * 16}-01", f" 00-{ID}-{SPAN}-01",
                     f"00-{ID}-{SPAN}-01\n", f"01-{ID}-{SPAN}-01x", f"00-{ID[:-1]}٠-{SPAN}-01",
                     "00-" + "a" * 100000):
            with self.subTest(text):
                self.assertIsNone(trace.parse(text))

    def test_a_job_is_a_part_of_its_attempt_and_a_call_of_its_request(self):
        fields = {"traceparent": str(CONTEXT)}
        self.assertEqual(trace.around(fields), CONTEXT)
        token = bytes(range(16)) + (2).to_bytes(4, "big") + bytes(12)
        around = trace.around({**fields, "token": token})
        self.assertEqual((around.trace, around.span), (ID, "5f4ec1f498d531df"))
        self.assertIsNone(trace.around({"token": token}))


class Exporting(unittest.TestCase):
    def setUp(self):
        self.collector = Collector()
        self.addCleanup(self.collector.stop)

    def start(self, **settings):
        settings = {"OTEL_EXPORTER_OTLP_ENDPOINT": self.collector.url,
                    "OTEL_BSP_SCHEDULE_DELAY": "20", **settings}
        with mock.patch.dict(os.environ, settings):
            exporter = export.start("node-1")
        self.addCleanup(exporter.stop)
        return exporter

    def end(self, exporter, outcome=DONE, context=CONTEXT, **fields):
        exporter.end(context.below(), context, {**FIELDS, **fields}, time.time_ns(), outcome)

    def test_a_span_says_what_a_worker_in_c_says(self):
        exporter = self.start(OTEL_EXPORTER_OTLP_COMPRESSION="gzip", OTEL_SERVICE_NAME="mine",
                              OTEL_EXPORTER_OTLP_HEADERS="x-key=a%20b, no pair",
                              OTEL_RESOURCE_ATTRIBUTES="team=a%2Cb")
        self.end(exporter, FAILED)
        self.collector.wait(lambda c: c.spans)
        span = self.collector.spans[0]
        self.assertEqual((span["trace"], span["parent"], span["state"], span["name"], span["kind"]),
                         (ID, SPAN, "a=1", "process q", 5))
        self.assertTrue(span["error"])
        self.assertEqual(span["message"], "there is no column")
        self.assertEqual((span["attributes"]["error.type"], span["attributes"]["omni.attempt"]),
                         ("no_column", 2))
        self.assertEqual(span["resource"], {"service.name": "mine", "team": "a,b",
                                            "service.instance.id": "node-1"})
        request = self.collector.requests[0]
        self.assertEqual((request["path"], request["headers"]["X-Key"]), ("/v1/traces", "a b"))

    def test_what_is_not_sampled_is_told_only_if_it_failed(self):
        exporter = self.start()
        quiet = trace.Context(ID, SPAN, 0)
        self.end(exporter, DONE, quiet)
        self.end(exporter, FAILED, quiet, call=1)  # its caller's fault
        self.end(exporter, FAILED, quiet, kind="this")
        exporter.stop()
        self.assertEqual([s["attributes"]["omni.kind"] for s in self.collector.spans], ["this"])

    def test_off_is_off(self):
        for settings in ({"OTEL_SDK_DISABLED": "true"}, {"OTEL_TRACES_EXPORTER": "none"},
                         {"OTEL_EXPORTER_OTLP_ENDPOINT": ""},
                         {"OTEL_EXPORTER_OTLP_ENDPOINT": "unix:///x"}):
            settings = {"OTEL_EXPORTER_OTLP_ENDPOINT": self.collector.url, **settings}
            with mock.patch.dict(os.environ, settings), self.subTest(settings):
                self.assertIsNone(export.start("n"))

    def test_refusals_and_nonsense_cost_spans_and_are_not_repeated(self):
        self.collector.answers = [(400, {}), "garbage", "flood"]
        exporter = self.start(OTEL_BSP_MAX_EXPORT_BATCH_SIZE="1")
        for _ in range(4):
            self.end(exporter)
        self.collector.wait(lambda c: len(c.requests) == 4)
        exporter.stop()
        self.assertEqual((exporter.lost, exporter.exported, len(self.collector.requests)),
                         (3, 1, 4))

    def test_what_is_to_be_tried_again_is(self):
        self.collector.answers = [(503, {}), (429, {"Retry-After": "1"})]
        exporter = self.start()
        self.end(exporter)
        self.collector.wait(lambda c: c.spans)
        exporter.stop()
        self.assertEqual((exporter.lost, exporter.exported), (0, 1))
        before, after = (request["at"] for request in self.collector.requests[1:])
        self.assertGreaterEqual(after - before, 0.95)

    def test_a_collector_that_hangs_costs_dropped_and_counted_spans(self):
        self.collector.answers = ["hang"] * 10
        exporter = self.start(OTEL_BSP_MAX_QUEUE_SIZE="16", OTEL_BSP_MAX_EXPORT_BATCH_SIZE="8")
        began = time.monotonic()
        for _ in range(1000):
            self.end(exporter)
        exporter.stop()
        self.assertLess(time.monotonic() - began, 5)
        self.assertGreaterEqual(exporter.dropped, 1000 - 16 - 8)

    def test_an_answer_that_has_no_end_is_given_up(self):
        self.collector.answers = ["drip"]
        exporter = self.start(OTEL_EXPORTER_OTLP_TIMEOUT="300", OTEL_BSP_EXPORT_TIMEOUT="400",
                              OTEL_BSP_MAX_EXPORT_BATCH_SIZE="1")
        self.end(exporter)
        self.end(exporter)
        self.collector.wait(lambda c: c.spans)
        exporter.stop()
        self.assertEqual(exporter.exported + exporter.lost, 2)

    def test_a_worker_ends_without_its_collector(self):
        self.collector.stop()
        exporter = self.start()
        self.end(exporter)
        began = time.monotonic()
        exporter.stop()
        self.assertLess(time.monotonic() - began, 3)


if __name__ == "__main__":
    unittest.main()
