#!/usr/bin/env python3
"""context.py PEER - what a participant makes of traceparent and tracestate, over the wire.

The cases are those of the W3C's recommendation, as its test harness has them, written anew.
"""
import http.client
import http.server
import json
import re
import subprocess
import sys
import threading
import unittest

PEER = sys.argv.pop(1)
ID, SPAN = "0af7651916cd43dd8448eb211c80319c", "b7ad6b7169203331"
GOOD = f"00-{ID}-{SPAN}-01"
FORM = re.compile(r"00-([0-9a-f]{32})-([0-9a-f]{16})-([0-9a-f]{2})")


class Context(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.got = []

        class Handler(http.server.BaseHTTPRequestHandler):
            def do_POST(self):
                self.rfile.read(int(self.headers["Content-Length"]))
                cls.got.append(self.headers)
                self.send_response(200)
                self.send_header("Content-Length", "0")
                self.end_headers()

            def log_message(self, *_):
                pass

        cls.server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        threading.Thread(target=cls.server.serve_forever, daemon=True).start()
        cls.peer = subprocess.Popen([PEER, "127.0.0.1:0"], stdout=subprocess.PIPE)
        cls.port = int(cls.peer.stdout.readline())

    @classmethod
    def tearDownClass(cls):
        cls.peer.kill()
        cls.peer.wait()
        cls.peer.stdout.close()
        cls.server.shutdown()
        cls.server.server_close()

    def ask(self, *headers, count=1):
        """Send the headers; returns (trace id, span id, flags, tracestate) of each call made."""
        self.got.clear()
        url = f"http://127.0.0.1:{self.server.server_address[1]}/"
        body = json.dumps([{"url": url, "arguments": []}] * count)
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=10)
        connection.putrequest("POST", "/test")
        for name, value in headers:
            connection.putheader(name, value)
        connection.putheader("Content-Length", str(len(body)))
        connection.endheaders(body.encode())
        self.assertEqual(connection.getresponse().status, 200)
        connection.close()
        out = []
        for got in self.got:
            match = FORM.fullmatch(got["traceparent"])
            self.assertTrue(match, got["traceparent"])
            out.append((*match.groups(), got["tracestate"]))
        self.assertEqual(len(out), count)
        return out if count > 1 else out[0]

    def test_goes_on_with_a_good_one(self):
        for name in ("traceparent", "TraceParent", "TRACEPARENT"):
            trace, span, flags, state = self.ask((name, GOOD))
            self.assertEqual((trace, flags, state), (ID, "01", None))
            self.assertNotEqual(span, SPAN)

    def test_each_call_is_a_span_of_its_own(self):
        calls = self.ask(("traceparent", GOOD), count=3)
        self.assertEqual({call[0] for call in calls}, {ID})
        self.assertEqual(len({call[1] for call in calls}), 3)
        self.assertNotEqual(self.ask()[0], self.ask()[0])

    def test_flags_are_kept_and_unknown_ones_are_not(self):
        for sent, passed in (("00", "00"), ("01", "01"), ("02", "02"), ("03", "03"),
                             ("ff", "03"), ("fc", "00")):
            self.assertEqual(self.ask(("traceparent", f"00-{ID}-{SPAN}-{sent}"))[2], passed)

    def test_begins_anew_for_a_bad_one(self):
        zero = "0" * 32
        for bad in ("", "00", f"ff-{ID}-{SPAN}-01", f"00-{zero}-{SPAN}-01",
                    f"00-{ID}-{zero[:16]}-01", f"00-{ID.upper()}-{SPAN}-01",
                    f"00-{ID}-{SPAN.upper()}-01", f"00-{ID}-{SPAN}-1", f"00-{ID}-{SPAN}-001",
                    f"00-{ID}-{SPAN}-01-", f"00-{ID}-{SPAN}-01-more", f"00-{ID[1:]}-{SPAN}-01",
                    f"00-.{ID[1:]}-{SPAN}-01", f"00-{ID}-{SPAN[1:]}-01", f"00-{ID}-{SPAN}-.0",
                    f"0x-{ID}-{SPAN}-01", f"000-{ID}-{SPAN}-01", f"00_{ID}_{SPAN}_01",
                    f"cc-{ID}-{SPAN}-01.what", "x" * 5000):
            trace, _, _, state = self.ask(("traceparent", bad), ("tracestate", "foo=1"))
            self.assertNotEqual(trace, ID, bad)
            self.assertIsNone(state, bad)

    def test_two_of_them_are_none(self):
        other = GOOD.replace("0af", "1af")
        self.assertNotIn(self.ask(("traceparent", GOOD), ("traceparent", other))[0],
                         (ID, other[3:35]))

    def test_a_later_version_is_read_as_far_as_it_is_known(self):
        for text in (f"01-{ID}-{SPAN}-01", f"cc-{ID}-{SPAN}-01-what-comes"):
            self.assertEqual(self.ask(("traceparent", text))[0], ID)

    def test_blanks_around_it_are_none_of_it(self):
        self.assertEqual(self.ask(("traceparent", f"  {GOOD}\t "))[0], ID)

    def test_tracestate_is_passed_on(self):
        long_key = "a" * 256
        for sent, passed in (
                (["foo=1"], "foo=1"), (["foo=1,bar=2"], "foo=1,bar=2"),
                (["foo=1", "bar=2,baz=3"], "foo=1,bar=2,baz=3"),
                (["foo=1 \t , \t bar=2"], "foo=1,bar=2"), ([""], None),
                (["foo=1", ""], "foo=1"), (["foo=1,,bar=2,"], "foo=1,bar=2"),
                ([f"{long_key}=1"], f"{long_key}=1"), ([f"foo={'v' * 256}"], f"foo={'v' * 256}"),
                (["a-b_c*d/e@f=1"], "a-b_c*d/e@f=1"), (["1foo=1"], "1foo=1"),
                (["foo=1,foo=2"], "foo=1"), (["foo=1", "foo=1"], "foo=1")):
            headers = [("tracestate", value) for value in sent]
            got = self.ask(("traceparent", GOOD), *headers)
            self.assertEqual((got[0], got[3]), (ID, passed), sent)

    def test_a_bad_tracestate_spoils_no_traceparent(self):
        for bad in ("foo", "foo=", "=1", "foo =1", "FOO=1", "foo.bar=1", "foo=1=2", "@foo=1",
                    "foo=1,bar", "foo=\u00e9", f"{'a' * 257}=1", f"foo={'v' * 257}",
                    ",".join(f"k{i}=1" for i in range(33)),
                    ",".join(f"k{i}=1" for i in range(1000))):
            got = self.ask(("traceparent", GOOD), ("tracestate", bad))
            self.assertEqual((got[0], got[3]), (ID, None), bad[:40])

    def test_tracestate_alone_is_nothing(self):
        trace, _, _, state = self.ask(("tracestate", "foo=1"))
        self.assertIsNone(state)
        self.assertNotEqual(trace, "0" * 32)


if __name__ == "__main__":
    unittest.main()
