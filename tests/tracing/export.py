#!/usr/bin/env python3
"""export.py MAKE_SPANS - what a process does with its spans, whatever the collector does."""
import json
import os
import subprocess
import sys
import tempfile
import threading
import time
import unittest

sys.dont_write_bytecode = True
from collector import Collector

PROGRAM = sys.argv.pop(1)


def run(collector, count=20, rate=0, text="/v1/things/1", wait=60, **settings):
    env = {key: value for key, value in os.environ.items() if not key.startswith("OTEL_")}
    env |= {"OTEL_BSP_SCHEDULE_DELAY": "50", "OMNI_LOG_FORMAT": "json"}
    if collector:
        env["OTEL_EXPORTER_OTLP_ENDPOINT"] = collector.url
    env |= settings
    done = subprocess.run([PROGRAM, str(count), str(rate), text], env=env, timeout=wait,
                          capture_output=True, check=False)
    log = done.stderr.decode(errors="replace")
    assert done.returncode == 0, log
    return json.loads(done.stdout), [json.loads(line) for line in log.splitlines()]


class Export(unittest.TestCase):
    def setUp(self):
        self.collector = Collector()

    def tearDown(self):
        self.collector.stop()
        self.assertEqual(self.collector.bad, [])

    def answers(self, *how):
        self.collector.answers = list(how)

    def test_everything_arrives_in_batches(self):
        counts, _ = run(self.collector, 2000, OTEL_BSP_MAX_EXPORT_BATCH_SIZE="100")
        self.assertEqual(counts["exported"], 2000)
        self.assertEqual(counts["dropped"] + counts["lost"], 0)
        numbers = [span["attributes"]["omni.attempt"] for span in self.collector.spans]
        self.assertEqual(sorted(numbers), list(range(2000)))
        self.assertGreaterEqual(len(self.collector.requests), 20)
        span = next(s for s in self.collector.spans if s["attributes"]["omni.attempt"] == 9)
        self.assertEqual(span["name"], "GET /v1/things/{id}")
        self.assertEqual((span["kind"], span["error"], span["message"]), (2, True, "it was to fail"))
        self.assertEqual(span["attributes"]["error.type"], "503")
        self.assertEqual(span["resource"]["service.name"], "omni-test")
        self.assertEqual(span["resource"]["service.instance.id"], "node-1")
        self.assertIn("service.version", span["resource"])
        self.assertLess(abs(span["end"] / 1e9 - time.time()), 60)
        request = self.collector.requests[0]
        self.assertEqual(request["path"], "/v1/traces")
        self.assertEqual(request["headers"]["Content-Type"], "application/x-protobuf")

    def test_json_and_gzip_say_the_same(self):
        run(self.collector, 50, OTEL_EXPORTER_OTLP_PROTOCOL="http/json",
            OTEL_EXPORTER_OTLP_COMPRESSION="gzip")
        self.assertEqual(len(self.collector.spans), 50)
        self.assertTrue(self.collector.spans[9]["error"])
        self.assertEqual(self.collector.requests[0]["headers"]["Content-Encoding"], "gzip")
        self.assertEqual(self.collector.spans[0]["attributes"]["http.response.status_code"], 200)

    def test_standard_variables_are_followed(self):
        run(self.collector, 5, OTEL_EXPORTER_OTLP_ENDPOINT=self.collector.url + "/base/",
            OTEL_EXPORTER_OTLP_HEADERS="x-key=a%20b, x-other=2",
            OTEL_SERVICE_NAME="mine", OTEL_RESOURCE_ATTRIBUTES="service.name=other,team=a%2Cb")
        request = self.collector.requests[0]
        self.assertEqual(request["path"], "/base/v1/traces")
        self.assertEqual(request["headers"]["x-key"], "a b")
        resource = self.collector.spans[0]["resource"]
        self.assertEqual((resource["service.name"], resource["team"]), ("mine", "a,b"))
        self.collector.requests.clear()
        run(self.collector, 5, OTEL_EXPORTER_OTLP_TRACES_ENDPOINT=self.collector.url + "/own",
            OTEL_EXPORTER_OTLP_ENDPOINT="http://127.0.0.1:1")
        self.assertEqual(self.collector.requests[0]["path"], "/own")

    def test_what_is_not_understood_is_told_and_replaced(self):
        counts, log = run(self.collector, 5, OTEL_EXPORTER_OTLP_PROTOCOL="grpc",
                          OTEL_TRACES_SAMPLER="sometimes", OTEL_BSP_MAX_QUEUE_SIZE="many",
                          OTEL_RESOURCE_ATTRIBUTES="no pair", OTEL_EXPORTER_OTLP_TIMEOUT="")
        self.assertEqual(counts["exported"], 5)
        told = {line["name"] for line in log if "not understood" in line["msg"]}
        self.assertEqual(told, {"OTEL_EXPORTER_OTLP_PROTOCOL", "OTEL_TRACES_SAMPLER",
                                "OTEL_BSP_MAX_QUEUE_SIZE", "OTEL_RESOURCE_ATTRIBUTES"})

    def test_off_is_off(self):
        for settings in ({"OTEL_SDK_DISABLED": "true"}, {"OTEL_TRACES_EXPORTER": "none"}):
            counts, _ = run(self.collector, 50, **settings)
            self.assertEqual(counts["written"] + counts["dropped"], 0)
        counts, _ = run(None, 50)
        self.assertEqual(counts["written"], 0)
        self.assertEqual(self.collector.requests, [])

    def test_sampling_keeps_errors(self):
        run(self.collector, 1000, OTEL_TRACES_SAMPLER="always_off")
        self.assertEqual(len(self.collector.spans), 100)
        self.assertTrue(all(span["error"] for span in self.collector.spans))
        self.collector.spans.clear()
        run(self.collector, 4000, OTEL_TRACES_SAMPLER="parentbased_traceidratio",
            OTEL_TRACES_SAMPLER_ARG="0.1")
        well = [span for span in self.collector.spans if not span["error"]]
        self.assertEqual(len(self.collector.spans) - len(well), 400)
        self.assertTrue(260 < len(well) < 460, len(well))

    def test_text_that_is_not_utf8_spoils_nothing(self):
        run(self.collector, 5, text=os.fsdecode(b"/\xff\xfe\xc3"))
        self.assertEqual(self.collector.spans[0]["attributes"]["url.path"], "/???")

    def test_retry_after_is_obeyed(self):
        self.answers((429, {"Retry-After": "2"}), (503, {}))
        counts, _ = run(self.collector, 5, rate=1, OTEL_BSP_MAX_EXPORT_BATCH_SIZE="1")
        first, second = (request["at"] for request in self.collector.requests[:2])
        self.assertGreaterEqual(second - first, 1.9)
        self.assertEqual(counts["lost"] + counts["exported"] + counts["dropped"], 5)
        self.assertEqual(counts["exported"], len(self.collector.spans))

    def test_refusals_are_not_repeated(self):
        self.answers((400, {}), "garbage", "flood")
        counts, log = run(self.collector, 40, OTEL_BSP_MAX_EXPORT_BATCH_SIZE="10")
        self.assertEqual((counts["lost"], counts["exported"]), (30, 10))
        self.assertEqual(len(self.collector.requests), 4)
        told = [line for line in log if "does not take all spans" in line["msg"]]
        self.assertEqual(len(told), 1, "once a minute")

    def test_partial_success_is_counted_and_told(self):
        self.answers("partial")
        counts, log = run(self.collector, 10)
        self.assertEqual((counts["lost"], counts["exported"]), (2, 8))
        self.assertEqual(len(self.collector.requests), 1)
        self.assertIn("no id", [line.get("why") for line in log])

    def test_a_hanging_collector_costs_dropped_and_counted_spans(self):
        self.answers(*["hang"] * 100)
        counts, _ = run(self.collector, 20000, OTEL_BSP_MAX_QUEUE_SIZE="1024")
        self.assertLess(counts["write_us"], 2_000_000)
        self.assertLess(counts["stop_us"], 1_900_000)
        self.assertEqual(counts["written"] + counts["dropped"], 20000)
        self.assertGreater(counts["dropped"], 10000)
        self.assertEqual(counts["lost"] + counts["exported"], counts["written"])
        self.assertEqual(counts["exported"], 0)

    def test_an_answer_that_comes_a_byte_at_a_time_is_given_up(self):
        self.answers(*["drip"] * 100)
        counts, _ = run(self.collector, 20, rate=20, OTEL_BSP_MAX_EXPORT_BATCH_SIZE="10",
                        OTEL_EXPORTER_OTLP_TIMEOUT="300", OTEL_BSP_EXPORT_TIMEOUT="300")
        self.assertEqual((counts["lost"], counts["exported"]), (20, 0))
        self.assertLess(counts["stop_us"], 1_900_000)

    def test_no_collector_costs_the_same(self):
        dead = Collector()
        dead.stop()
        counts, _ = run(dead, 3000)
        self.assertEqual(counts["lost"], counts["written"])
        self.assertLess(counts["stop_us"], 1_900_000)

    def test_goes_on_when_the_collector_comes_back(self):
        port = self.collector.port
        self.collector.stop()
        back = []
        starter = threading.Timer(1.5, lambda: back.append(Collector(port)))
        starter.start()
        counts, _ = run(self.collector, 60, rate=20, OTEL_BSP_MAX_EXPORT_BATCH_SIZE="50")
        starter.join()
        self.assertGreater(counts["exported"], 0)
        self.assertEqual(counts["exported"], len(back[0].spans))
        back[0].stop()
        self.collector = Collector()

    def test_the_file_keeps_the_newest_and_needs_no_collector(self):
        with tempfile.TemporaryDirectory() as folder:
            for _ in range(2):
                counts, _ = run(None, 300, OMNI_TRACE_DIR=folder, OMNI_TRACE_SPANS="128")
                self.assertEqual(counts["dropped"], 0)
            path = os.path.join(folder, "node-1.spans")
            self.assertEqual(os.listdir(folder), ["node-1.spans"])
            self.assertEqual(os.stat(path).st_mode & 0o777, 0o600)
            self.assertLess(os.stat(path).st_size, 128 * 800)


if __name__ == "__main__":
    unittest.main()
