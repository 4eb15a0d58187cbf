#!/usr/bin/env python3
"""edge.py BIN - the real edge among callers and collectors that talk nonsense."""
import http.client
import json
import sys
import time
import unittest
import urllib.parse
import urllib.request

sys.dont_write_bytecode = True
from stage import ID, SPAN, Stage

Stage.BIN = sys.argv.pop(1)
GOOD = f"00-{ID}-{SPAN}-01"
ROUTE = "GET /api/v1/models"


class Edge(Stage):
    """Each test tells its requests by their ids, and its spans by those."""

    def send(self, *fields, method="GET", path="/api/v1/models", body=None, key=True):
        """Send these header fields as they are; returns status and the request's id."""
        url = urllib.parse.urlsplit(self.url)
        connection = http.client.HTTPConnection(url.hostname, url.port, timeout=30)
        connection.putrequest(method, path)
        if key:
            connection.putheader("Authorization", f"Bearer {self.key}")
        if body is not None:
            connection.putheader("Content-Type", "application/json")
            connection.putheader("Content-Length", str(len(body)))
        for name, value in fields:
            connection.putheader(name, value)
        try:
            connection.endheaders(body)
        except (BrokenPipeError, ConnectionResetError):
            pass  # it has heard enough, and says why
        answer = connection.getresponse()
        answer.read()
        connection.close()
        return answer.status, answer.headers["x-request-id"]

    def span(self, request):
        """The edge's span of a request."""
        def of(collector):
            return [s for s in collector.spans
                    if s["attributes"].get("omni.request.id") == request]
        return self.await_spans(of, lambda spans: True, 30)[0]

    def metric(self, name):
        """A counter of the edge, from its own admin page."""
        with open(f"{self.dir}/data/prometheus.json") as file:
            groups = json.load(file)
        port = next(group["targets"][0] for group in groups
                    if group["labels"]["process"] == "ingest")
        with urllib.request.urlopen(f"http://{port}/metrics", timeout=10) as page:
            for line in page.read().decode().splitlines():
                if line.startswith(name + " "):
                    return float(line.split()[1])
        return None


class Callers(Edge):
    def test_a_valid_context_is_gone_on_with(self):
        status, request = self.send(("traceparent", GOOD), ("tracestate", "a=1"),
                                    ("tracestate", "b=2"))
        span = self.span(request)
        self.assertEqual((status, span["trace"], span["parent"], span["state"]),
                         (200, ID, SPAN, "a=1,b=2"))

    def test_a_malformed_traceparent_fails_nothing_and_begins_a_trace(self):
        bad = ["", "0", "garbage", GOOD[:-1], GOOD + "0", GOOD + "-", GOOD + "-01",
               GOOD.upper().replace("00-", "00-", 1), GOOD.replace("-", "_"),
               f"ff-{ID}-{SPAN}-01", f"00-{'0' * 32}-{SPAN}-01", f"00-{ID}-{'0' * 16}-01",
               f"00-{ID[:-1]}g-{SPAN}-01", f"00-{ID}-{SPAN}-0g", f"0-{ID}-{SPAN}-01",
               f"00-{ID}-{SPAN}", f"{ID}-{SPAN}", "00-" + "a" * 8000,
               "00-\u00e9" + GOOD[4:], GOOD + "," + GOOD, "\x01" + GOOD[1:]]
        asked = [(value, *self.send(("traceparent", value.encode("latin-1")),
                                    ("tracestate", "a=1"))) for value in bad]
        asked.append(("twice", *self.send(("traceparent", GOOD), ("traceparent", GOOD))))
        for value, status, request in asked:
            with self.subTest(value[:60]):
                if status == 400 and "\x01" in value:
                    continue  # no header field may have that
                self.assertEqual(status, 200)
                span = self.span(request)
                self.assertNotEqual(span["trace"], ID)
                self.assertEqual((span["parent"], span["state"], span["links"]), ("", "", []))

    def test_a_tracestate_may_be_as_long_and_wrong_as_it_likes(self):
        many = ",".join(f"k{i}=1" for i in range(10000))
        for value, wanted, state in (
                (many[:12000], 200, ""), (many, 431, None), ("=", 200, ""), (",,,, ,", 200, ""),
                ("a=1," * 3000, 200, "a=1"), ("\u00ff=1", 200, ""), ("x" * 300, 200, "")):
            with self.subTest(value[:20], size=len(value)):
                status, request = self.send(("traceparent", GOOD),
                                            ("tracestate", value.encode("latin-1")))
                self.assertEqual(status, wanted)
                if status == 200:
                    span = self.span(request)
                    self.assertEqual((span["trace"], span["state"]), (ID, state))

    def test_members_that_are_too_many_for_one_field_may_come_in_many(self):
        fields = [("tracestate", f"k{i}=1") for i in range(10000)]
        self.assertEqual(self.send(("traceparent", GOOD), *fields)[0], 431)
        fields = [("tracestate", f"k{i}=1") for i in range(32)]
        status, request = self.send(("traceparent", GOOD), *fields)
        self.assertEqual(status, 200)
        self.assertEqual(self.span(request)["state"], ",".join(f"k{i}=1" for i in range(32)))

    def test_a_megabyte_of_headers_is_refused_and_the_next_caller_served(self):
        for name in ("traceparent", "tracestate", "user-agent", "x-" + "y" * 100):
            with self.subTest(name):
                status, _ = self.send((name, "a" * (1 << 20)))
                self.assertEqual(status, 431)
                self.assertEqual(self.send(("traceparent", GOOD))[0], 200)

    def test_text_that_is_not_utf8_spoils_no_span(self):
        bad = b"\xff\xfe\xc3\x28\xed\xa0\x80"
        status, request = self.send(("user-agent", bad), ("x-request-id", bad),
                                    ("traceparent", GOOD))
        self.assertEqual(status, 200)
        agent = self.span(request)["attributes"]["user_agent.original"]
        self.assertTrue(agent and set(agent) <= set("?("), agent)
        for path in ("/api/v1/tasks/%ff%fe", "/%c3%28", "/api/v1/models?a=%ff"):
            self.send(path=path)
        for body in (b'{"queue":"\xff","kind":"k","payload":{}}',
                     b'{"queue":"q","kind":"\xc3\x28","payload":{}}',
                     b'{"queue":"q","kind":"\\ud800","payload":{}}'):
            status, request = self.send(method="POST", path="/api/v1/tasks", body=body)
            self.assertEqual(status, 400, body)
            self.span(request)
        # That all could be decoded is seen at the end: the collector keeps what it cannot.
        self.assertEqual(self.collector.bad, [])


class Collectors(Edge):
    settings = {"OTEL_EXPORTER_OTLP_TIMEOUT": "400", "OTEL_BSP_EXPORT_TIMEOUT": "800",
                "OTEL_BSP_MAX_QUEUE_SIZE": "256"}

    def serve_while(self, how):
        """Every export is answered so; the edge serves, quickly, and counts its spans."""
        before = self.metric("omni_otel_spans_lost_total")
        with self.collector.lock:
            self.collector.answers = [how] * 10000
        slowest, until = 0, time.monotonic() + 20
        while self.metric("omni_otel_spans_lost_total") <= before:
            self.assertLess(time.monotonic(), until, f"{how}: no span was counted as lost")
            began = time.monotonic()
            self.assertEqual(self.send(("traceparent", GOOD))[0], 200)
            slowest = max(slowest, time.monotonic() - began)
        self.assertLess(slowest, 2)
        with self.collector.lock:
            self.collector.answers = []

        def arrives():
            _, request = self.send(("traceparent", GOOD))
            return any(s["attributes"].get("omni.request.id") == request
                       for s in self.collector.spans) or time.sleep(0.3) or any(
                s["attributes"].get("omni.request.id") == request
                for s in self.collector.spans)
        self.await_true(arrives, 60)

    def test_that_answer_garbage_cost_spans_only(self):
        self.serve_while("garbage")

    def test_that_never_answer_cost_spans_only(self):
        self.serve_while("hang")

    def test_whose_answer_comes_a_byte_at_a_time_cost_spans_only(self):
        self.serve_while("drip")

    def test_that_refuse_cost_spans_only(self):
        self.serve_while((400, {}))

    def test_that_answer_a_flood_cost_spans_only(self):
        self.serve_while("flood")


class Trust(Edge):
    """OMNI_TRACE_TRUST is what an Omni is started with, so each has a class."""

    settings = {"OMNI_TRACE_TRUST": "never"}
    KNOWN, UNKNOWN = False, False  # whose context is gone on with

    def check(self, believed, **options):
        trace = ID[:-1] + ("1" if options else "2")
        _, request = self.send(("traceparent", f"00-{trace}-{SPAN}-01"), ("tracestate", "a=1"),
                               **options)
        span = self.span(request)
        if believed:
            self.assertEqual((span["trace"], span["parent"], span["state"], span["links"]),
                             (trace, SPAN, "a=1", []))
        else:
            self.assertNotEqual(span["trace"], trace)
            self.assertEqual((span["parent"], span["state"], span["links"], span["linked"]),
                             ("", "", [trace], [SPAN]))
        return span["trace"]

    def test_of_a_known_caller(self):
        trace = self.check(self.KNOWN)
        # What the request makes others do is in the trace that was decided on.
        _, request = self.send(
            ("traceparent", f"00-{trace}-{SPAN}-01"), method="POST",
            path="/api/v1/predict/seasonal-naive",
            body=json.dumps({"time_series": [float(n % 7) for n in range(30)],
                             "forecast_steps": 3}).encode())
        of = self.span(request)["trace"]
        self.trace(of, lambda s: self.named(s, "process omni.inference")
                   and self.named(s, "process omni.billing.events"))

    def test_of_somebody_without_a_key(self):
        self.check(self.UNKNOWN, key=False)


class TrustAuthenticated(Trust):
    settings = {"OMNI_TRACE_TRUST": "authenticated"}
    KNOWN = True


class TrustAlways(Trust):
    settings = {"OMNI_TRACE_TRUST": "always"}
    KNOWN = UNKNOWN = True


if __name__ == "__main__":
    unittest.main()
