import json
import logging
import socket
import threading
import unittest

import msgpack

import support  # noqa: F401
from omni_worker import Cancelled, Fail, Job, Result, Retry, SoftTimeout, wire
from omni_worker.channel import Closed, ControlEnd, HandlerEnd
from omni_worker.handle import run_job, write_result
from omni_worker.job import decode


class WithJob(unittest.TestCase):
    def setUp(self):
        ours, theirs = socket.socketpair()
        self.control, self.handler = ControlEnd(ours), HandlerEnd(theirs)
        self.addCleanup(self.control.close)
        self.addCleanup(self.handler.close)

    def job(self, payload=b"", **fields):
        return Job(7, {"queue": "q", "kind": "k", **fields}, payload, self.handler)


class Parents(WithJob):
    def test_a_parents_result_comes_with_its_state_and_value(self):
        job = self.job(depends_on=["task_a", "task_b"])
        asked = threading.Thread(target=self.answer_all)
        asked.start()
        parents = job.parents()
        asked.join()
        self.assertEqual([parent.id for parent in parents], ["task_a", "task_b"])
        self.assertEqual([parent.value() for parent in parents], [{"n": 1}, {"n": 1}])
        self.assertEqual(parents[0].state, "succeeded")

    def answer_all(self):
        answered = 0
        while answered < 2:
            for message in self.control.receive():
                self.assertEqual(message[:2], ["parent", 7])
                self.control.send(["parent", 7, message[2], None, "", "succeeded",
                                   "application/json", b'{"n": 1}'])
                answered += 1

    def test_only_parents_may_be_asked_for(self):
        with self.assertRaises(Fail) as raised:
            self.job(depends_on=["task_a"]).parent("task_b")
        self.assertEqual(raised.exception.code, "not_found")

    def test_a_refusal_fails_the_job(self):
        job = self.job(depends_on=["task_a"])
        answer = threading.Timer(0.05, self.control.send, [
            ["parent", 7, "task_a", "not_found", "it is gone", "unknown", None, b""]])
        answer.start()
        with self.assertRaises(Fail) as raised:
            job.parent("task_a")
        answer.join()
        self.assertFalse(raised.exception.retryable)

    def test_a_cancel_ends_the_wait(self):
        job = self.job(depends_on=["task_a"])
        self.control.send(["cancel", 7])
        with self.assertRaises(Cancelled):
            job.parent("task_a")


class Steering(WithJob):
    def test_is_cancelled_only_by_its_own_number(self):
        job = self.job()
        self.assertFalse(job.cancelled())
        self.control.send(["cancel", 6])
        self.assertFalse(job.cancelled())
        self.control.send(["cancel", 7])
        self.assertTrue(job.cancelled())
        with self.assertRaises(Cancelled) as raised:
            job.check()
        self.assertNotIsInstance(raised.exception, SoftTimeout)

    def test_is_cancelled_when_the_control_loop_is_gone(self):
        job = self.job()
        self.control.close()
        self.assertTrue(job.cancelled())

    def test_a_soft_limit_cancels(self):
        job = self.job(soft_ms=1, hard_ms=60000)
        self.assertTrue(support.wait_for(job.cancelled, 1))
        with self.assertRaises(SoftTimeout):
            job.check()
        self.assertTrue(59 < job.time_left_s() <= 60)

    def test_without_limits_it_has_no_end(self):
        job = self.job(soft_ms=0, hard_ms=0)
        self.assertIsNone(job.time_left_s())
        self.assertFalse(job.cancelled())

    def test_progress_is_told_within_bounds(self):
        self.job().progress(1.5, {"loss": 0.25})
        self.assertEqual(self.control.receive(), [["progress", 7, 1.0, '{"loss": 0.25}']])
        with self.assertRaises(ValueError):
            self.job().progress(0.5, {"text": "x" * wire.DETAIL_MAX})

    def test_usage_is_bounded(self):
        job = self.job()
        for bad in (("", 1), ("m", -1), ("m" * 65, 1)):
            with self.subTest(bad), self.assertRaises(ValueError):
                job.usage(*bad)
        for _ in range(wire.USAGE_MAX):
            job.usage("m", 1)
        with self.assertRaises(ValueError):
            job.usage("m", 1)


class Outcomes(WithJob):
    def setUp(self):
        super().setUp()
        logging.disable()
        self.addCleanup(logging.disable, logging.NOTSET)

    def outcome(self, handler, **fields):
        return run_job(self.job(**fields), handler)

    def test_a_result_carries_usage(self):
        def handler(job, payload):
            job.usage("compute_ms", 7, "model")
            return {"rows": 1}
        self.assertEqual(self.outcome(handler), (
            {"how": "done", "ctype": "application/json",
             "usage": [{"meter": "compute_ms", "quantity": 7, "subject": "model"}]},
            b'{"rows": 1}'))

    def test_errors_become_failures(self):
        table = [
            (Fail("bad", "text"), ("bad", "text", False, None)),
            (Fail("busy", retryable=True), ("busy", "", True, None)),
            (Retry("away", after_s=1.5), ("unavailable", "away", True, 1500)),
            (Retry("later", after_s=float("inf")), ("unavailable", "later", True, 86400000)),
            (Retry("now", after_s=-1), ("unavailable", "now", True, 0)),
            (Retry(), ("unavailable", "cannot be done now", True, None)),
            (SoftTimeout(), ("timeout", "the soft time limit is over", True, None)),
            (KeyError("x"), ("handler_failed", "KeyError: 'x'", True, None)),
            (SystemExit(1), ("handler_failed", "SystemExit: 1", True, None)),
            (Fail("c" * 99, "t" * 9999), ("c" * 64, "t" * 1024, False, None)),
        ]
        for error, wanted in table:
            def handler(job, payload, error=error):
                raise error
            with self.subTest(repr(error)):
                outcome, data = self.outcome(handler)
                self.assertEqual((outcome["how"], data), ("failed", b""))
                self.assertEqual((outcome["code"], outcome["text"], outcome["retryable"],
                                  outcome.get("retry_ms")), wanted)

    def test_cancelled_is_no_failure(self):
        def handler(job, payload):
            raise Cancelled
        self.assertEqual(self.outcome(handler)[0]["how"], "cancelled")

    def test_an_unknown_kind_fails_for_good(self):
        outcome, _ = self.outcome(None)
        self.assertEqual((outcome["code"], outcome["retryable"]), ("unsupported", False))


class Payloads(unittest.TestCase):
    def test_payloads_are_read_by_their_content_type(self):
        table = [
            (None, b"\x00\xff", b"\x00\xff"),
            ("application/octet-stream", b"\x00", b"\x00"),
            ("application/json", b'{"a": [1]}', {"a": [1]}),
            ("Application/JSON; charset=utf-8", b"1", 1),
            ("application/json", b"", None),
            ("application/msgpack", msgpack.packb({"a": b"\x00"}), {"a": b"\x00"}),
            ("text/plain; charset=utf-8", "é".encode(), "é"),
        ]
        for content_type, data, wanted in table:
            with self.subTest(content_type):
                self.assertEqual(decode(content_type, data), wanted)

    def test_a_payload_that_is_not_what_it_says_fails(self):
        for content_type, data in (("application/json", b"{"), ("text/plain", b"\xff"),
                                   ("application/msgpack", b"\xc1"),
                                   ("application/json", b"[" * 100000)):
            with self.subTest(content_type), self.assertRaises(Fail) as raised:
                decode(content_type, data)
            self.assertEqual(raised.exception.code, "malformed")

    def test_results_have_a_content_type(self):
        table = [
            (None, (None, b"")),
            (b"\x00", ("application/octet-stream", b"\x00")),
            (bytearray(b"x"), ("application/octet-stream", b"x")),
            ("é", ("text/plain; charset=utf-8", "é".encode())),
            ([1, None], ("application/json", b"[1, null]")),
            (0, ("application/json", b"0")),
            (Result(b"a,b", "text/csv"), ("text/csv", b"a,b")),
        ]
        for value, wanted in table:
            with self.subTest(repr(value)):
                self.assertEqual(write_result(value), wanted)

    def test_a_result_that_cannot_be_sent_fails(self):
        for value, code in ((object(), "invalid_result"), (float("nan"), "invalid_result"),
                            (bytes(wire.PAYLOAD_MAX + 1), "too_large")):
            with self.subTest(code), self.assertRaises(Fail) as raised:
                write_result(value)
            self.assertEqual(raised.exception.code, code)
        self.assertEqual(len(write_result(bytes(wire.PAYLOAD_MAX))[1]), wire.PAYLOAD_MAX)

    def test_json_written_can_be_read(self):
        value = {"predictions": [1.5, 2], "é": None}
        content_type, data = write_result(value)
        self.assertEqual(decode(content_type, data), value)
        self.assertEqual(json.loads(data), value)


class Channels(WithJob):
    def test_the_control_end_does_not_wait_for_a_reader(self):
        self.control.send(["job", 1, {}, bytes(1024 * 1024)])
        self.assertTrue(self.control.wants_write)
        seen = []
        while not seen:
            seen = self.handler.poll()
            self.control.flush()
        self.assertEqual(len(seen[0][3]), 1024 * 1024)
        self.assertFalse(self.control.wants_write)

    def test_messages_come_whole_and_in_order(self):
        for number in range(100):
            self.handler.send(["progress", number, 0.5, "x" * 10])
        seen = []
        while len(seen) < 100:
            seen += self.control.receive()
        self.assertEqual([message[1] for message in seen], list(range(100)))

    def test_a_closed_end_is_told(self):
        self.handler.close()
        with self.assertRaises(Closed):
            self.control.receive()


if __name__ == "__main__":
    unittest.main()
