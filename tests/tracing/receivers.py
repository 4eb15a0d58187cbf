#!/usr/bin/env python3
"""receivers.py MAKE_SPANS FOLDER - our spans, as those who receive them for a living read them.

The decoders are opentelemetry-proto (PyPI, in FOLDER/python) and @opentelemetry/otlp-transformer
(npm, in FOLDER/otlp/node_modules); what is not there is named and left out.
"""
import json
import os
import subprocess
import sys
import tempfile
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

PYTHON = """
import json, sys
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest
from google.protobuf import json_format
body = open(sys.argv[2], "rb").read()
if sys.argv[1] == "json":
    # protobuf's own JSON has ids in base64, OTLP's in hexadecimal
    request = json_format.Parse(body, ExportTraceServiceRequest())
else:
    request = ExportTraceServiceRequest.FromString(body)
    assert request.SerializeToString(deterministic=True)
    assert not request.DiscardUnknownFields()
spans = [s for r in request.resource_spans for c in r.scope_spans for s in c.spans]
print(json.dumps([[s.name, s.kind, s.status.code, len(s.trace_id), len(s.attributes)]
                  for s in spans]))
"""
NODE = """
const root = require(process.argv[1] + '/otlp/node_modules/@opentelemetry/otlp-transformer/' +
                     'build/src/generated/root.js');
const type = root.opentelemetry.proto.collector.trace.v1.ExportTraceServiceRequest;
const request = type.decode(require('fs').readFileSync(process.argv[2]));
const spans = request.resourceSpans.flatMap(r => r.scopeSpans.flatMap(s => s.spans));
console.log(JSON.stringify(spans.map(
    s => [s.name, s.kind, s.status ? s.status.code : 0, s.traceId.length, s.attributes.length])));
"""


def export(program, protocol):
    bodies = []

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self):
            bodies.append(self.rfile.read(int(self.headers["Content-Length"])))
            self.send_response(200)
            self.send_header("Content-Length", "0")
            self.end_headers()

        def log_message(self, *_):
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    env = {**os.environ, "OTEL_EXPORTER_OTLP_PROTOCOL": protocol,
           "OTEL_EXPORTER_OTLP_ENDPOINT": f"http://127.0.0.1:{server.server_address[1]}"}
    subprocess.run([program, "20", "0", os.fsdecode(b"/\xc3\xa9\xff")], env=env, check=True,
                   capture_output=True)
    server.shutdown()
    assert len(bodies) == 1, len(bodies)
    return bodies[0]


def main():
    program, folder = sys.argv[1], os.path.abspath(sys.argv[2])
    wanted = [["GET /v1/things/{id}", 2, 2 if n % 10 == 9 else 0, 16,
               6 if n % 10 == 9 else 5] for n in range(20)]
    decoders = {
        "opentelemetry-proto": [f"{folder}/python/bin/python", "-c", PYTHON, "protobuf"],
        "@opentelemetry/otlp-transformer": ["node", "-e", NODE, folder],
    }
    failed = passed = 0
    with tempfile.TemporaryDirectory() as scratch:
        path = f"{scratch}/request"
        with open(path, "wb") as file:
            file.write(export(program, "http/protobuf"))
        for name, command in decoders.items():
            there = f"{folder}/otlp/node_modules/@opentelemetry/otlp-transformer"
            if name[0] == "@" and not os.path.isdir(there):
                print(f"{name}: not installed, so not asked")
                continue
            done = subprocess.run([*command, path], capture_output=True, check=False)
            if b"No module named" in done.stderr or not os.path.exists(
                    command[0] if "/" in command[0] else "/"):
                print(f"{name}: not installed, so not asked")
                continue
            good = done.returncode == 0 and json.loads(done.stdout) == wanted
            print(f"{name}: {'reads all 20 spans' if good else 'FAILED'}")
            if not good:
                print((done.stdout + done.stderr).decode()[-2000:])
            passed += good
            failed += not good
    print(f"receivers of spans: {passed} passed, {failed} failed")
    return failed > 0


if __name__ == "__main__":
    sys.exit(main())
