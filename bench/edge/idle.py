#!/usr/bin/env python3
"""What idle connections cost the edge: resident memory with none, and with 10,000 that
were each answered once and are kept.

usage: idle.py BIN_DIR [--connections 10000] [--tls]
Exits with 1 when a bound is passed: 15 MB idle, 120 MB with all of them.
"""

from __future__ import annotations

import argparse
import os
import pathlib
import resource
import signal
import socket
import ssl
import subprocess
import sys
import tempfile

IDLE_MB, ALL_MB, START_S = 15.0, 120.0, 20
GET = b"GET /healthz HTTP/1.1\r\nHost: a\r\n\r\n"


def resident_mb(pid: int) -> float:
    for line in pathlib.Path(f"/proc/{pid}/status").read_text().splitlines():
        if line.startswith("VmRSS:"):
            return int(line.split()[1]) / 1024
    raise RuntimeError("the edge has ended")


def start(bin_dir: pathlib.Path, folder: str, tls: bool) -> tuple[subprocess.Popen, int]:
    settings = {"OMNI_BROKER": f"ipc://{folder}/client", "OMNI_BLOBS": f"dir:{folder}/blobs",
                "OMNI_SECRET_FILE": f"{folder}/secret", "OMNI_LISTEN": "127.0.0.1:0",
                "OMNI_LOG_FORMAT": "logfmt"}
    if tls:
        subprocess.run(["openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt",
                        "ec_paramgen_curve:P-256", "-nodes", "-subj", "/CN=a", "-keyout",
                        f"{folder}/key", "-out", f"{folder}/cert"],
                       check=True, capture_output=True)
        os.chmod(f"{folder}/key", 0o600)
        settings |= {"OMNI_TLS_CERT": f"{folder}/cert", "OMNI_TLS_KEY": f"{folder}/key"}
    hard = resource.getrlimit(resource.RLIMIT_NOFILE)[1]
    edge = subprocess.Popen(  # with the usual soft limit, which it raises
        [bin_dir / "omni-ingest"], env={**os.environ, **settings}, stderr=subprocess.PIPE,
        text=True, preexec_fn=lambda: resource.setrlimit(resource.RLIMIT_NOFILE, (1024, hard)))
    assert edge.stderr
    for line in edge.stderr:
        if "127.0.0.1:" in line:
            return edge, int(line.split("127.0.0.1:")[1].split()[0].strip('"'))
    raise RuntimeError("the edge did not start")


def connect(port: int, context: ssl.SSLContext | None) -> socket.socket:
    one: socket.socket = socket.create_connection(("127.0.0.1", port), timeout=START_S)
    if context:
        one = context.wrap_socket(one)
    one.sendall(GET)
    if b"200 OK" not in one.recv(4096):
        raise RuntimeError("a connection was not answered")
    return one


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("bin_dir", type=pathlib.Path)
    parser.add_argument("--connections", type=int, default=10000)
    parser.add_argument("--tls", action="store_true")
    args = parser.parse_args()
    needed = 2 * args.connections + 1000
    hard = resource.getrlimit(resource.RLIMIT_NOFILE)[1]
    resource.setrlimit(resource.RLIMIT_NOFILE, (min(needed, hard), hard))
    context = ssl._create_unverified_context() if args.tls else None
    with tempfile.TemporaryDirectory() as folder:
        edge, port = start(args.bin_dir, folder, args.tls)
        try:
            connect(port, context).close()
            idle = resident_mb(edge.pid)
            kept = [connect(port, context) for _ in range(args.connections)]
            full = resident_mb(edge.pid)
            connect(port, context).close()  # it serves on
        finally:
            edge.send_signal(signal.SIGTERM)
            edge.wait(START_S)
        each = (full - idle) * 1024 / max(len(kept), 1)
        print(f"idle {idle:.1f} MB, with {len(kept)} connections {full:.1f} MB: "
              f"{each:.2f} KiB each")
        return 0 if args.tls or (idle <= IDLE_MB and full <= ALL_MB) else 1


if __name__ == "__main__":
    sys.exit(main())
