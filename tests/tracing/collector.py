"""collector.py - a collector of spans for tests: reads OTLP over HTTP without any library.

It answers as it is told: well, late, never, with nonsense, with 429, with a partial success.
What it read are plain dictionaries, made by a reader of protobuf that knows field numbers and
nothing of our encoder.
"""
import base64
import gzip
import json
import struct
import threading
import time
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer


def read_varint(data, at):
    value = shift = 0
    while True:
        byte = data[at]
        at += 1
        value |= (byte & 0x7F) << shift
        shift += 7
        if byte < 0x80:
            return value, at


def read_fields(data):
    """The fields of a protobuf message: (number, value) with bytes, ints, or fixed bytes."""
    at, fields = 0, []
    while at < len(data):
        tag, at = read_varint(data, at)
        number, kind = tag >> 3, tag & 7
        if kind == 0:
            value, at = read_varint(data, at)
        elif kind in (1, 5):
            size = 8 if kind == 1 else 4
            value, at = struct.unpack_from("<Q" if kind == 1 else "<I", data, at)[0], at + size
        elif kind == 2:
            size, at = read_varint(data, at)
            value, at = data[at:at + size], at + size
            if len(value) != size:
                raise ValueError("a field is cut")
        else:
            raise ValueError(f"wire type {kind}")
        fields.append((number, value))
    return fields


def read_attributes(values):
    out = {}
    for pair in values:
        fields = dict(read_fields(pair))
        any_value = dict(read_fields(fields[2]))
        value = any_value.get(3, any_value.get(1))
        if 3 in any_value and value >= 1 << 63:
            value -= 1 << 64
        out[fields[1].decode()] = value.decode() if isinstance(value, bytes) else value
    return out


def read_span(data):
    fields = read_fields(data)
    one = dict(fields)
    status = dict(read_fields(one.get(15, b"")))
    return {
        "trace": one[1].hex(), "id": one[2].hex(), "state": one.get(3, b"").decode(),
        "parent": one.get(4, b"").hex(), "name": one[5].decode(), "kind": one[6],
        "start": one[7], "end": one[8], "flags": one.get(16, 0),
        "attributes": read_attributes(value for number, value in fields if number == 9),
        "links": [dict(read_fields(value))[1].hex() for number, value in fields if number == 13],
        "linked": [dict(read_fields(value))[2].hex() for number, value in fields if number == 13],
        "error": status.get(3, 0) == 2, "message": status.get(2, b"").decode(),
    }


def read_protobuf(data):
    spans = []
    for number, group in read_fields(data):
        assert number == 1, number
        fields = read_fields(group)
        resource = read_attributes(value for key, value in read_fields(dict(fields)[1]) if key == 1)
        for key, scope in fields:
            for inner, value in read_fields(scope) if key == 2 else []:
                if inner == 2:
                    spans.append({**read_span(value), "resource": resource})
    return spans


def plain(value):
    return int(value["intValue"]) if "intValue" in value else value["stringValue"]


def read_json(data):
    spans = []
    for group in json.loads(data)["resourceSpans"]:
        resource = {pair["key"]: plain(pair["value"]) for pair in group["resource"]["attributes"]}
        for scope in group["scopeSpans"]:
            for span in scope["spans"]:
                spans.append({
                    "trace": span["traceId"], "id": span["spanId"],
                    "state": span.get("traceState", ""),
                    "parent": span.get("parentSpanId", ""), "name": span["name"],
                    "kind": span["kind"], "start": int(span["startTimeUnixNano"]),
                    "end": int(span["endTimeUnixNano"]), "flags": span["flags"],
                    "attributes": {pair["key"]: plain(pair["value"])
                                   for pair in span["attributes"]},
                    "links": [link["traceId"] for link in span.get("links", [])],
                    "linked": [link["spanId"] for link in span.get("links", [])],
                    "error": span["status"].get("code") == 2,
                    "message": span["status"].get("message", ""), "resource": resource,
                })
    return spans


class Collector:
    """Serves on a free port, or on `port`, until stop()."""

    def __init__(self, port=0):
        self.lock = threading.Condition()
        self.spans, self.requests, self.bad = [], [], []
        self.answers = []  # what the next requests get; then "ok"
        self.released = threading.Event()
        owner = self

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def do_POST(self):
                owner.answer(self)

            def log_message(self, *_):
                pass

        class Server(ThreadingHTTPServer):
            def handle_error(self, *_):  # a client that is gone
                pass

        self.server = Server(("127.0.0.1", port), Handler)
        self.server.daemon_threads = True
        self.port = self.server.server_address[1]
        self.url = f"http://127.0.0.1:{self.port}"
        threading.Thread(target=self.server.serve_forever, daemon=True).start()

    def stop(self):
        self.released.set()
        self.server.shutdown()
        self.server.server_close()

    def answer(self, request):
        body = request.rfile.read(int(request.headers["Content-Length"]))
        with self.lock:
            how = self.answers.pop(0) if self.answers else "ok"
            self.requests.append({"path": request.path, "headers": dict(request.headers),
                                  "how": how, "at": time.monotonic()})
            self.lock.notify_all()
        if how == "hang":
            self.released.wait()
            request.close_connection = True
            return
        if how == "drip":
            self.drip(request)
            return
        kind = request.headers["Content-Type"]
        status, headers, answer = 200, {}, b"{}" if kind == "application/json" else b""
        if isinstance(how, tuple):
            status, headers = how
            answer = b"later"
        elif how == "garbage":
            answer = b"<html>welcome to the hotel</html>"
        elif how == "flood":
            answer = b"x" * (1 << 20)
        elif how == "partial":
            answer = b"\x0a\x09\x08\x02\x12\x05no id"
        if status == 200 and how != "garbage":
            self.keep(request.headers, kind, body)
        request.send_response(status)
        for name, value in headers.items():
            request.send_header(name, value)
        request.send_header("Content-Type", kind)
        request.send_header("Content-Length", str(len(answer)))
        request.end_headers()
        try:
            request.wfile.write(answer)
        except OSError:
            pass

    def drip(self, request):
        """An answer that comes a byte at a time and has no end."""
        request.close_connection = True
        try:
            request.wfile.write(b"HTTP/1.1 200 OK\r\nContent-Length: 1000000\r\n\r\n")
            while not self.released.wait(0.1):
                request.wfile.write(b"x")
        except OSError:  # it has had enough
            pass

    def keep(self, headers, kind, body):
        try:
            if headers.get("Content-Encoding") == "gzip":
                body = gzip.decompress(body)
            spans = (read_json if kind == "application/json" else read_protobuf)(body)
        except Exception as error:  # whatever it is, the test is to see it
            spans = []
            self.bad.append(f"{error!r} in {base64.b64encode(body)[:200]}")
        with self.lock:
            self.spans += spans
            self.lock.notify_all()

    def wait(self, wanted, seconds=30):
        """Wait until wanted(self) is true of what has come."""
        with self.lock:
            if not self.lock.wait_for(lambda: wanted(self), seconds):
                raise AssertionError(f"after {seconds} s: {len(self.requests)} requests, "
                                     f"{len(self.spans)} spans, {self.bad}")
