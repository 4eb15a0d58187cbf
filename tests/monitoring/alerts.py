#!/usr/bin/env python3
"""From a fault to its notification, with the real Prometheus and Alertmanager.

Starts an Omni, Prometheus with the rules of deploy/ and Alertmanager with the receivers of
deploy/, whose URLs alone are replaced by that of a sink. Then stops programs (SIGSTOP: they
hang, so nobody restarts them) and waits for what PagerDuty would get: less than 60 s later.

    alerts.py BIN [FAULT...]
"""
import http.server
import json
import os
import pathlib
import queue
import re
import signal
import subprocess
import sys
import tempfile
import threading
import time
import urllib.request

ROOT = pathlib.Path(__file__).resolve().parents[2]
LIMIT_S = 60
# The fault: the program that hangs, the alert that must come, and a label it must have.
FAULTS = {
    "worker": ("inference", "OmniWorkersMissing", "omni.inference"),
    "broker": ("broker", "OmniTargetDown", "broker"),
    "edge": ("ingest", "OmniTargetDown", "ingest"),
    "identity": ("identity", "OmniIdentityStale", "ingest"),
    "metering": ("billing", "OmniWorkersMissing", "omni.billing.events"),
    "audit": ("compliance", "OmniWorkersMissing", "omni.compliance.events"),
}


class Sink:
    """Takes what Alertmanager posts: to /v2/enqueue as PagerDuty does, to /slack as Slack."""

    def __init__(self):
        events = self.events = queue.Queue()

        class Handler(http.server.BaseHTTPRequestHandler):
            def do_POST(self):
                body = self.rfile.read(int(self.headers["content-length"]))
                events.put((time.monotonic(), self.path, json.loads(body)))
                answer = b'{"status":"success","dedup_key":"x"}'
                self.send_response(202 if "enqueue" in self.path else 200)
                self.send_header("content-length", str(len(answer)))
                self.end_headers()
                self.wfile.write(answer)

            def log_message(self, *_):
                pass

        self.server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.url = f"http://127.0.0.1:{self.server.server_port}"
        threading.Thread(target=self.server.serve_forever, daemon=True).start()

    def expect(self, action, alert, label, until):
        """The first PagerDuty event of the alert with the label, or None at the deadline."""
        while (left := until - time.monotonic()) > 0:
            try:
                at, path, event = self.events.get(timeout=left)
            except queue.Empty:
                break
            if path != "/v2/enqueue" or event.get("event_action") != action:
                continue
            told = json.dumps(event)
            if alert in told and label in told:
                assert event["routing_key"] and event["dedup_key"], event
                assert event["payload"]["severity"] == "critical", event
                return at
        return None


def free_port():
    import socket

    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        return taken.getsockname()[1]


def configure(folder, sink, alertmanager_port):
    for source in (ROOT / "deploy/prometheus").glob("*.yml"):
        (folder / source.name).write_text(source.read_text())
    text = (folder / "prometheus.yml").read_text()
    targets = f"    file_sd_configs: [{{ files: ['{folder}/data/prometheus.json'] }}]\n"
    text = re.sub(r"    dns_sd_configs:.*", targets, text, flags=re.S)
    text = text.replace("alertmanager:9093", f"127.0.0.1:{alertmanager_port}")
    (folder / "prometheus.yml").write_text(text)
    text = (ROOT / "deploy/alertmanager/alertmanager.yml").read_text()
    text = text.replace("https://events.pagerduty.com", sink.url)
    text = text.replace("http://127.0.0.1:9095", sink.url)
    (folder / "alertmanager.yml").write_text(text)
    (folder / "pagerduty.key").write_text("0123456789abcdef0123456789abcdef")
    (folder / "slack.url").write_text(sink.url + "/slack")
    run = {"check": True, "cwd": folder, "stdout": subprocess.DEVNULL}
    subprocess.run(["promtool", "check", "config", "prometheus.yml"], **run)
    subprocess.run(["amtool", "check-config", "alertmanager.yml"], **run)


def ask(url):
    opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))
    with opener.open(url, timeout=5) as answer:
        return json.load(answer)


def firing(port):
    alerts = ask(f"http://127.0.0.1:{port}/api/v1/alerts")["data"]["alerts"]
    return [a["labels"]["alertname"] for a in alerts
            if a["state"] in ("firing", "pending") and a["labels"]["severity"] != "none"]


def await_calm(port, limit_s=90):
    """All targets are up and nothing fires."""
    until = time.monotonic() + limit_s
    while time.monotonic() < until:
        try:
            targets = ask(f"http://127.0.0.1:{port}/api/v1/targets")["data"]["activeTargets"]
            if len(targets) == 9 and all(t["health"] == "up" for t in targets) \
                    and not firing(port):
                return
        except OSError:
            pass
        time.sleep(0.5)
    raise SystemExit(f"not calm after {limit_s} s: {firing(port)}")


def pids_of(parent):
    """The programs of omni up by their OMNI_NODE."""
    found = {}
    for entry in pathlib.Path("/proc").glob("[0-9]*"):
        try:
            if int(re.search(r"\) \w (\d+)", (entry / "stat").read_text()).group(1)) != parent:
                continue
            node = re.search(rb"(?:^|\0)OMNI_NODE=([^\0]*)", (entry / "environ").read_bytes())
            found[node.group(1).decode()] = int(entry.name)
        except (OSError, AttributeError):
            continue
    return found


def hurt(name, omni, sink, port):
    program, alert, label = FAULTS[name]
    await_calm(port)
    pid = pids_of(omni.pid)[program]
    began = time.monotonic()
    os.kill(pid, signal.SIGSTOP)
    try:
        at = sink.expect("trigger", alert, label, began + LIMIT_S)
    finally:
        os.kill(pid, signal.SIGCONT)
    told = f"{at - began:.1f} s" if at else f"not within {LIMIT_S} s: {firing(port)}"
    resolved = at and sink.expect("resolve", alert, label, time.monotonic() + 2 * LIMIT_S)
    print(f"{name}: omni-{program} hangs: {alert} {told}"
          f"{', resolved' if resolved else ''}", flush=True)
    return bool(at and resolved)


def main():
    bin_dir = pathlib.Path(sys.argv[1]).resolve()
    faults = sys.argv[2:] or list(FAULTS)
    children = []
    with tempfile.TemporaryDirectory(prefix="omni-alerts-") as name:
        folder = pathlib.Path(name)
        sink = Sink()
        prometheus_port, alertmanager_port = free_port(), free_port()
        configure(folder, sink, alertmanager_port)

        def start(*command):
            log = open(folder / (pathlib.Path(command[0]).name + ".log"), "w")
            children.append(subprocess.Popen(command, cwd=folder, stdout=log, stderr=log))
            return children[-1]

        try:
            omni = start(str(bin_dir / "omni"), "up", "--data", str(folder / "data"),
                         "--listen", "127.0.0.1:0")
            start("prometheus-alertmanager", "--config.file=alertmanager.yml",
                  f"--web.listen-address=127.0.0.1:{alertmanager_port}",
                  "--cluster.listen-address=", f"--storage.path={folder}/alertmanager")
            start("prometheus", "--config.file=prometheus.yml",
                  f"--web.listen-address=127.0.0.1:{prometheus_port}",
                  f"--storage.tsdb.path={folder}/tsdb")
            failed = [fault for fault in faults
                      if not hurt(fault, omni, sink, prometheus_port)]
        finally:
            for child in reversed(children):
                child.terminate()
            for child in children:
                child.wait(timeout=20)
    print(f"{len(faults) - len(failed)} of {len(faults)} faults told in under {LIMIT_S} s")
    return bool(failed)


if __name__ == "__main__":
    sys.exit(main())
