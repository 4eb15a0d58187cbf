import subprocess
import unittest

import msgpack

import support
from omni_worker import wire
from wire_reference import Reference

_KINDS = {"integer": int, "string": str, "binary": bytes, "boolean": bool, "map": dict}


class Tables(unittest.TestCase):
    def setUp(self):
        page = subprocess.run([support.wiredoc()], check=True, capture_output=True).stdout
        self.reference = Reference(page.decode())

    def test_message_numbers_are_those_of_the_reference(self):
        for kind in wire.Type:
            with self.subTest(kind.name):
                self.assertEqual(self.reference.messages[kind.name].number, kind)

    def test_every_message_of_a_worker_is_known(self):
        for message in self.reference.messages.values():
            if "worker" in message.direction:
                self.assertIn(message.name, wire.Type.__members__)

    def test_keys_and_types_are_those_of_the_reference(self):
        by_name = {field.name: field for field in self.reference.fields.values()}
        for name, (key, kind) in wire.FIELDS.items():
            with self.subTest(name):
                self.assertEqual(by_name[name].key, key)
                wanted = by_name[name].kind
                self.assertEqual(_KINDS.get(wanted, list), kind)

    def test_limits_are_those_of_the_reference(self):
        self.assertEqual(self.reference.version, wire.VERSION)
        self.assertEqual(self.reference.header_max, wire.HEADER_MAX)
        self.assertEqual(self.reference.fields["tok"].high, wire.TOKEN_BYTES)
        self.assertEqual(self.reference.fields["text"].high, wire.TEXT_MAX)
        self.assertEqual(self.reference.fields["code"].high, wire.CODE_MAX)
        self.assertEqual(self.reference.fields["use"].high, wire.USAGE_MAX)
        self.assertEqual(self.reference.records["wire_held"]["detail"].high,
                         wire.DETAIL_MAX)


class Codec(unittest.TestCase):
    def test_what_is_encoded_can_be_decoded(self):
        fields = {"token": bytes(32), "usage": [{"meter": "m", "quantity": 1}]}
        decoded = wire.decode(wire.encode(wire.Type.DONE, {**fields, "ctype": None}))
        self.assertEqual(decoded, {"version": 1, "type": 56, **fields})

    def test_unknown_keys_are_dropped(self):
        data = msgpack.packb({"v": 1, "t": 4, "zz": [1], "id": "x"})
        self.assertEqual(wire.decode(data), {"version": 1, "type": 4, "id": "x"})

    def test_bad_headers_are_refused(self):
        job = {"v": 1, "t": 50, "tok": bytes(32), "q": "q", "k": "k", "att": 1, "ls": 1}
        wire.decode(msgpack.packb(job))
        bad = {
            "nothing": b"",
            "not a map": msgpack.packb([1]),
            "cut": msgpack.packb(job)[:-1],
            "more behind it": msgpack.packb(job) + b"\0",
            "a map of 4 billion": b"\xdf\xff\xff\xff\xff",
            "a string of 4 GiB": b"\x81\xa1q\xdb\xff\xff\xff\xff",
            "deep": b"\x81\xa1q" + b"\x91" * 5000 + b"\x01",
            "no type": msgpack.packb({"v": 1}),
            "no version": msgpack.packb({"t": 4}),
            "version 0": msgpack.packb({"v": 0, "t": 4}),
            "a text for a number": msgpack.packb({"v": 1, "t": "4"}),
            "a boolean for a number": msgpack.packb({**job, "att": True}),
            "a text for a token": msgpack.packb({**job, "tok": "x" * 32}),
            "a short token": msgpack.packb({**job, "tok": bytes(31)}),
            "no kind": msgpack.packb({k: v for k, v in job.items() if k != "k"}),
            "a list as key": b"\x81\x91\x01\x01",
            "bad UTF-8": b"\x83\xa1v\x01\xa1t\x04\xa2id\xa1\xff",
            "too large": msgpack.packb({**job, "zz": bytes(wire.HEADER_MAX)}),
        }
        for name, data in bad.items():
            with self.subTest(name), self.assertRaises(wire.WireError):
                wire.decode(data)

    def test_clip_does_not_cut_a_character(self):
        self.assertEqual(wire.clip("aé", 2), "a")
        self.assertEqual(wire.clip("aé", 3), "aé")


if __name__ == "__main__":
    unittest.main()
