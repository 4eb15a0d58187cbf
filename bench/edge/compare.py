#!/usr/bin/env python3
"""Omni's edge beside nginx, and beside a gateway of AI providers, in one run.

wrk loads one server after the other, in turns, because a machine's speed drifts: each
round is the peer, Omni, the peer, a ratio compares Omni with the mean of the peer's runs
around it, and the median of the rounds counts. All run on this machine, wrk beside them.

usage: compare.py BIN_DIR [--rounds 3] [--seconds 4] [--connections 64] [--gateway DIR]
"""

from __future__ import annotations

import argparse
import contextlib
import http.client
import itertools
import json
import os
import pathlib
import re
import shutil
import signal
import socket
import statistics
import subprocess
import tempfile
import time
from collections.abc import Callable, Iterator
from typing import Any

_START_S = 60
_SERIES = [112, 118, 132, 129, 121, 135, 148, 148, 136, 119, 104, 118,
           115, 126, 141, 135, 125, 149, 170, 170, 158, 133, 114, 140]
_PREDICT = "/api/v1/predict/seasonal-naive"
_STATIC = '{"status":"ok"}'
_COMPLETION = json.dumps({
    "id": "chatcmpl-1", "object": "chat.completion", "created": 1, "model": "bench",
    "choices": [{"index": 0, "finish_reason": "stop",
                 "message": {"role": "assistant", "content": "ok"}}],
    "usage": {"prompt_tokens": 1, "completion_tokens": 1, "total_tokens": 2}})

# What wrk says, as JSON, for requests of one method, path, header and body. @n@ in the
# body is a number that differs from request to request, of all runs.
_SCRIPT = """
wrk.method = "%(method)s"
%(headers)s
local body, number = %(body)s, %(first)d
if body ~= "" then
  local before, after = body:match("^(.-)@n@(.*)$")
  request = function()
    number = number + 1
    return wrk.format(nil, nil, nil, before and before .. number .. after or body)
  end
end
done = function(summary, latency, requests)
  local errors = summary.errors
  print(string.format('{"rate":%%.1f,"p50_us":%%.1f,"p99_us":%%.1f,"answers":%%d,"errors":%%d}',
    summary.requests * 1e6 / summary.duration, latency:percentile(50), latency:percentile(99),
    summary.requests, errors.connect + errors.read + errors.write + errors.status + errors.timeout))
end
"""

Result = dict[str, Any]
Cpu = dict[str, float]
_runs = itertools.count(1)


class Failed(Exception):
    pass


def _free_port() -> int:
    with socket.socket() as one:
        one.bind(("127.0.0.1", 0))
        return one.getsockname()[1]


def _get(port: int, path: str, method: str = "GET", body: str | None = None,
         headers: dict[str, str] | None = None) -> tuple[int, bytes]:
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=10)
    try:
        connection.request(method, path, body, headers or {})
        answer = connection.getresponse()
        return answer.status, answer.read()
    finally:
        connection.close()


def _await(port: int, path: str, process: subprocess.Popen[bytes], name: str) -> None:
    end = time.monotonic() + _START_S
    while time.monotonic() < end:
        if process.poll() is not None:
            raise Failed(f"{name} ended with {process.returncode}")
        with contextlib.suppress(OSError):
            if _get(port, path)[0] < 500:
                return
        time.sleep(0.1)
    raise Failed(f"{name} did not answer within {_START_S} s")


@contextlib.contextmanager
def _running(name: str, command: list[str], port: int, path: str, folder: pathlib.Path,
             **options: Any) -> Iterator[subprocess.Popen[bytes]]:
    with open(folder / f"{name}.log", "wb") as log:
        process = subprocess.Popen(command, stdout=log, stderr=log,
                                   start_new_session=True, **options)
    try:
        _await(port, path, process, name)
        yield process
    finally:
        process.terminate()
        try:
            process.wait(20)
        except subprocess.TimeoutExpired:
            os.killpg(process.pid, signal.SIGKILL)
            process.wait()


@contextlib.contextmanager
def _nginx(folder: pathlib.Path, workers: int) -> Iterator[int]:
    if not shutil.which("nginx"):
        raise Failed("nginx is not installed")
    port = _free_port()
    conf = folder / "nginx.conf"
    conf.write_text(f"""
daemon off; pid {folder}/nginx.pid; error_log stderr; worker_processes {workers};
events {{ worker_connections 4096; }}
http {{
  access_log off; keepalive_requests 1000000000; default_type application/json;
  client_body_temp_path {folder}/body; proxy_temp_path {folder}/proxy;
  fastcgi_temp_path {folder}/fastcgi; uwsgi_temp_path {folder}/uwsgi;
  scgi_temp_path {folder}/scgi;
  server {{
    listen 127.0.0.1:{port} reuseport;
    location = /healthz {{ return 200 '{_STATIC}'; }}
    location / {{ return 200 '{_COMPLETION}'; }}
  }}
}}""")
    with _running("nginx", ["nginx", "-c", str(conf), "-p", str(folder)], port, "/healthz",
                  folder):
        yield port


@contextlib.contextmanager
def _omni(folder: pathlib.Path, binaries: pathlib.Path,
          threads: int) -> Iterator[tuple[int, int]]:
    port = _free_port()
    environment = {**os.environ, "OMNI_INGEST_THREADS": str(threads)}
    command = [str(binaries / "omni"), "up", "--data", str(folder / "data"), "--listen",
               f"127.0.0.1:{port}", "--workers", "1"]
    with _running("omni", command, port, "/readyz", folder, env=environment) as process:
        yield port, process.pid


@contextlib.contextmanager
def _gateway(folder: pathlib.Path, where: pathlib.Path | None) -> Iterator[int]:
    if not where or not shutil.which("node"):
        raise Failed("@portkey-ai/gateway is not there: install it with npm and give its "
                     "folder with --gateway")
    port = _free_port()
    program = where / "node_modules/@portkey-ai/gateway/build/start-server.js"
    command = ["node", str(program), f"--port={port}", "--headless"]
    with _running("gateway", command, port, "/", folder, cwd=where):
        yield port


def _wrk(folder: pathlib.Path, port: int, path: str, connections: int, seconds: float,
         method: str = "GET", headers: dict[str, str] | None = None,
         body: str = "") -> Result:
    script = folder / "request.lua"
    lines = "\n".join(f'wrk.headers["{name}"] = "{value}"'
                      for name, value in (headers or {}).items())
    script.write_text(_SCRIPT % {"method": method, "headers": lines,
                                 "body": f"[==[{body}]==]",
                                 "first": next(_runs) * 10**8})
    said = subprocess.run(["wrk", "-t1", f"-c{connections}", f"-d{seconds:g}s", "-s",
                           str(script), f"http://127.0.0.1:{port}{path}"],
                          check=True, stdout=subprocess.PIPE, timeout=seconds + 30)
    result = json.loads(re.findall(rb"^\{.*\}$", said.stdout, re.MULTILINE)[-1])
    if result["answers"] == 0 or result["errors"]:
        raise Failed(f"{path}: {result['errors']} of {result['answers']} requests failed")
    return result


def _cpu_us(root: int) -> Cpu:
    """Processor time of a process and its children so far, by program."""
    spent: Cpu = {}
    parents: dict[int, int] = {}
    names: dict[int, str] = {}
    for folder in pathlib.Path("/proc").glob("[0-9]*"):
        with contextlib.suppress(OSError, ValueError):
            head, tail = (folder / "stat").read_text().rsplit(")", 1)
            parents[int(folder.name)] = int(tail.split()[1])
            names[int(folder.name)] = head.split("(", 1)[1]
    for pid, name in names.items():
        if root not in (pid, parents[pid]):
            continue
        with contextlib.suppress(OSError):
            for task in pathlib.Path(f"/proc/{pid}/task").iterdir():
                ns = int((task / "schedstat").read_text().split()[0])
                spent[name] = spent.get(name, 0) + ns / 1000
    return spent


def _costs(omni: Callable[[], Result], root: int) -> Cpu:
    """What each program spends on a request."""
    omni()  # warm up
    before = _cpu_us(root)
    answers = omni()["answers"]
    after = _cpu_us(root)
    return {name: (us - before.get(name, 0)) / answers for name, us in after.items()}


def _beside(omni: Callable[[], Result], peer: Callable[[], Result], rounds: int) -> Result:
    """Ratios of Omni to a peer, in turns."""
    omni(), peer()  # warm up
    peers, ours = [peer()], []
    for _ in range(rounds):
        ours.append(omni())
        peers.append(peer())
    result: Result = {}
    for field in ("rate", "p50_us", "p99_us"):
        ratios = [one[field] * 2 / (peers[i][field] + peers[i + 1][field])
                  for i, one in enumerate(ours)]
        result[field] = statistics.median(one[field] for one in ours)
        result[f"peer_{field}"] = statistics.median(one[field] for one in peers)
        result[f"{field}_ratio"] = round(statistics.median(ratios), 3)
        result[f"{field}_ratios"] = [round(ratio, 3) for ratio in ratios]
    return result


def _added(omni: Callable[[], Result], gateway: Callable[[], Result],
           upstream: Callable[[], Result], direct_us: float, rounds: int) -> list[Result]:
    """What Omni adds to what it stands in front of, beside what the gateway adds, in turns.

    The gateway adds to a request of wrk to nginx. Omni stands in front of a function, and
    its requests come over HTTP too; so it is told twice: with the round trip of HTTP
    counted as Omni's, and without it, as it is for the gateway.
    """
    every = [[one()["p50_us"] for one in (upstream, gateway, omni)] for _ in range(rounds)]
    rows = []
    for name, base in (("the function", None), ("the function and a request to nginx", 0)):
        added = [(ours - direct_us - (bare if base == 0 else 0), theirs - bare)
                 for bare, theirs, ours in every]
        ratios = [ours / max(theirs, 1) for ours, theirs in added]
        rows.append({"beyond": name, "added_us": statistics.median(one for one, _ in added),
                     "peer_added_us": statistics.median(one for _, one in added),
                     "added_ratio": round(statistics.median(ratios), 3),
                     "added_ratios": [round(ratio, 3) for ratio in ratios]})
    return rows


def _direct_us(binaries: pathlib.Path) -> float:
    """What the forecast costs as a call of a function, without Omni around it."""
    said = subprocess.run([str(binaries / "bench-direct")], check=True,
                          stdout=subprocess.PIPE, timeout=60)
    return float(json.loads(said.stdout)["p50_us"])


def _body(distinct: bool) -> str:
    series = [str(value) for value in _SERIES]
    if distinct:
        series[0] = "1@n@"  # no answer is another's, whatever is cached
    return f'{{"time_series":[{",".join(series)}],"forecast_steps":6,"period":12}}'


def _measure(options: argparse.Namespace, folder: pathlib.Path) -> list[tuple[str, Result]]:
    rows: list[tuple[str, Result]] = []
    many, seconds = options.connections, options.seconds
    threads = options.threads
    with _nginx(folder, threads) as nginx, \
            _omni(folder, options.bin, threads) as (port, root):
        key = (folder / "data/admin.key").read_text().strip()
        headers = {"Authorization": f"Bearer {key}", "Content-Type": "application/json"}

        def static() -> Result:
            return _wrk(folder, nginx, "/healthz", many, seconds)

        def predict(connections: int, distinct: bool) -> Result:
            return _wrk(folder, port, _PREDICT, connections, seconds, "POST", headers,
                        _body(distinct))

        rows.append(("static answer, beside nginx's", _beside(
            lambda: _wrk(folder, port, "/healthz", many, seconds), static, options.rounds)))
        rows.append(("cached predict, beside nginx's static answer", _beside(
            lambda: predict(many, False), static, options.rounds)))
        rows.append((f"predict at {many} connections, beside nginx's static answer", _beside(
            lambda: predict(many, True), static, options.rounds)))
        alone = statistics.median(predict(1, True)["p50_us"] for _ in range(options.rounds))
        for connections in (many, 1):
            rows.append((f"CPU µs of a predict at {connections} connection(s)",
                         {"cpu_us": _costs(lambda: predict(connections, True), root)}))
        direct = _direct_us(options.bin)
        rows.append((f"added to a direct call of {direct:.1f} µs, at 1 connection",
                     {"p50_us": alone - direct}))
        try:
            with _gateway(folder, options.gateway) as gateway:
                target = {"x-portkey-provider": "openai", "Authorization": "Bearer none",
                          "x-portkey-custom-host": f"http://127.0.0.1:{nginx}/v1",
                          "Content-Type": "application/json"}
                chat = ('{"model":"bench","messages":[{"role":"user","content":"hello"}]}')

                def complete(at: int, connections: int) -> Result:
                    return _wrk(folder, at, "/v1/chat/completions", connections, seconds,
                                "POST", target, chat)

                rows.append(("predict, beside a pass-through of @portkey-ai/gateway", _beside(
                    lambda: predict(many, True), lambda: complete(gateway, many),
                    options.rounds)))
                rows.append(("the same at 1 connection", _beside(
                    lambda: predict(1, True), lambda: complete(gateway, 1), options.rounds)))
                for one in _added(lambda: predict(1, True), lambda: complete(gateway, 1),
                                  lambda: complete(nginx, 1), direct, options.rounds):
                    rows.append((f"p50 at 1 connection beyond {one['beyond']}, beside the "
                                 "gateway's beyond a request to nginx", one))
        except Failed as failure:
            print(f"not measured: {failure}")
    return rows


def main() -> None:
    parser = argparse.ArgumentParser(description="Omni's edge beside others.")
    parser.add_argument("bin", type=pathlib.Path, help="folder of omni")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--seconds", type=float, default=4, help="of each run")
    parser.add_argument("--connections", type=int, default=64)
    parser.add_argument("--threads", type=int, default=1,
                        help="of Omni's edge, and workers of nginx")
    parser.add_argument("--gateway", type=pathlib.Path,
                        help="a folder in which npm installed @portkey-ai/gateway")
    options = parser.parse_args()
    options.bin = options.bin.resolve()
    options.gateway = options.gateway and options.gateway.resolve()

    load = os.getloadavg()[0]
    with tempfile.TemporaryDirectory(prefix="omni-edge-", dir="/var/tmp") as name:
        rows = _measure(options, pathlib.Path(name))
    print(f"load average before: {load:.1f} on {os.cpu_count()} cores; "
          f"{options.threads} thread(s) of the edge and worker(s) of nginx")
    print("| what | requests/s | ratio (rounds) | p50 µs | p50 ratio | p99 µs |")
    print("|---|---|---|---|---|---|")
    for name, one in rows:
        if "cpu_us" in one:
            each = ", ".join(f"{program} {us:.0f}" for program, us in
                             sorted(one["cpu_us"].items(), key=lambda item: -item[1])
                             if us >= 0.5)
            print(f"| {name} | {sum(one['cpu_us'].values()):.0f}: {each} | | | | |")
            continue
        if "added_us" in one:
            ratios = " ".join(f"{ratio:.2f}" for ratio in one["added_ratios"])
            print(f"| {name} | | | {one['added_us']:.0f} of {one['peer_added_us']:.0f} "
                  f"| **{one['added_ratio']:.2f}** ({ratios}) | |")
            continue
        if "rate" not in one:
            print(f"| {name} | | | {one['p50_us']:.0f} | | |")
            continue
        ratios = " ".join(f"{ratio:.2f}" for ratio in one["rate_ratios"])
        print(f"| {name} | {one['rate']:.0f} of {one['peer_rate']:.0f} "
              f"| **{one['rate_ratio']:.2f}** ({ratios}) | {one['p50_us']:.0f} "
              f"| {one['p50_us_ratio']:.2f} | {one['p99_us']:.0f} |")
    print(json.dumps({"load": load, "rows": dict(rows)}))


if __name__ == "__main__":
    main()
