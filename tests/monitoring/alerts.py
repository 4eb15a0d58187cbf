#!/usr/bin/env python3
"""From a fault to its notification, with the real Prometheus and Alertmanager.

Starts an Omni with workers of a tenant in C and in Python, Prometheus with the rules of deploy/,
and Alertmanager with the receivers of deploy/, whose URLs alone are replaced by that of a sink.
Then does to the programs what the chaos run does (tests/chaos/faults.py), one after the other,
and waits for what PagerDuty or Slack would get: less than 60 s later. What omni up starts again
by itself is told of too. Prints the table of docs/monitoring.md.

    alerts.py BIN CHAOS_WORKER [KIND/VICTIM...]
"""
import http.server
import json
import os
import pathlib
import re
import shutil
import signal
import subprocess
import sys
import tempfile
import threading
import time
import urllib.request

ROOT = pathlib.Path(__file__).resolve().parents[2]
FIU = pathlib.Path("/usr/lib/fiu")
LIMIT_S = 60
RESOLVE_S = 240
HELD = 8  # jobs that a tenant's worker has at a time
PLATFORM = ["broker", "ingest", "identity", "inference", "billing", "compliance"]
TENANT = ["tenant-c", "tenant-python"]

# What is done to whom, the alert that must come, and what its notification must name. A fault
# whose alert is still on of an earlier one waits for its end, so equal ones are far apart.
FAULTS = [
    *[("kill", name, "OmniRestarted", name) for name in PLATFORM],
    *[("kill", name, "OmniLeasesLost", f"held-{name}") for name in TENANT],
    ("stop", "inference", "OmniWorkersMissing", "omni.inference"),
    ("stop", "tenant-c", "OmniWorkersSilent", ""),
    ("stop", "ingest", "OmniTargetDown", "ingest"),
    ("stop", "broker", "OmniTargetDown", "broker"),
    ("stop", "identity", "OmniIdentityStale", ""),
    ("full", "broker", "OmniCommitsFailing", ""),
    ("stop", "tenant-python", "OmniWorkersSilent", ""),
    ("stop", "billing", "OmniWorkersMissing", "omni.billing.events"),
    *[("term", name, "OmniRestarted", name) for name in PLATFORM],
    ("stop", "compliance", "OmniWorkersMissing", "omni.compliance.events"),
    ("kill", "all", "OmniRestarted", "registry"),
    ("eio", "broker", "OmniRestarted", "broker"),
]
# As in tests/chaos/faults.py.
WRITES = ("posix/io/rw/pwrite", "posix/io/rw/pwritev", "posix/io/rw/ftruncate")
SYNCS = ("posix/io/rw/pwrite", "posix/io/sync/fsync", "posix/io/sync/fdatasync")
ENOSPC, EIO = 28, 5


class Sink:
    """Takes what Alertmanager posts: to /v2/enqueue as PagerDuty does, to /slack as Slack."""

    def __init__(self):
        self.come, self.lock = [], threading.Condition()
        owner = self

        class Handler(http.server.BaseHTTPRequestHandler):
            def do_POST(self):
                body = json.loads(self.rfile.read(int(self.headers["content-length"])))
                owner.take(self.path, body)
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

    def take(self, path, event):
        resolved = event.get("event_action") == "resolve" or '"resolved: ' in json.dumps(event)
        if path == "/v2/enqueue":
            assert event["routing_key"] and event["dedup_key"], event
            if not resolved:
                assert event["payload"]["severity"] == "critical", event
        with self.lock:
            self.come.append((time.monotonic(), "PagerDuty" if "enqueue" in path else "Slack",
                              resolved, json.dumps(event)))
            self.lock.notify_all()

    def find(self, alert, label, resolved, since):
        return next(((at, whom) for at, whom, over, text in self.come
                     if at >= since and over == resolved and alert in text and label in text),
                    None)

    def expect(self, alert, label, resolved, since, until):
        """When the alert was told of, or its end, and to whom; None at the deadline."""
        with self.lock:
            self.lock.wait_for(lambda: self.find(alert, label, resolved, since),
                               max(0, until - time.monotonic()))
            return self.find(alert, label, resolved, since)


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


def active(port):
    """The alerts that are on, or about to be, as their labels in one text each."""
    alerts = ask(f"http://127.0.0.1:{port}/api/v1/alerts")["data"]["alerts"]
    return [f"{a['labels']['alertname']} {a['annotations'].get('summary', '')}" for a in alerts
            if a["labels"]["severity"] != "none"]


def await_calm(port, alert, label, limit_s=RESOLVE_S):
    """All targets are up, and this alert is not on."""
    until = time.monotonic() + limit_s
    while time.monotonic() < until:
        try:
            targets = ask(f"http://127.0.0.1:{port}/api/v1/targets")["data"]["activeTargets"]
            if len(targets) == 9 and all(t["health"] == "up" for t in targets) \
                    and not any(alert in one and label in one for one in active(port)):
                return
        except OSError:
            pass
        time.sleep(0.5)
    raise SystemExit(f"not calm after {limit_s} s: {active(port)}")


class Victims:
    """An Omni, whose broker has libfiu, and two workers of a tenant that always have work."""

    def __init__(self, bin_dir, chaos_worker, folder):
        self.folder, self.chaos_worker = folder, chaos_worker
        (folder / "bin").mkdir()
        for program in bin_dir.glob("omni*"):
            if program.name == "omni":
                shutil.copy(program, folder / "bin")  # it looks for the others beside itself
            elif program.name != "omni-broker":
                (folder / "bin" / program.name).symlink_to(program)
        self.wrap(bin_dir / "omni-broker")
        self.omni = subprocess.Popen(
            [folder / "bin/omni", "up", "--data", folder / "data", "--listen", "127.0.0.1:0"],
            stdout=subprocess.PIPE, stderr=open(folder / "omni.log", "w"))
        self.url = self.omni.stdout.readline().decode().split()[-1]
        self.key = (folder / "data/admin.key").read_text().strip()
        self.workers = {}
        self.stopping = threading.Event()
        for name in TENANT:
            self.start_worker(name)
        self.load = threading.Thread(target=self.submit, daemon=True)
        self.load.start()

    def wrap(self, broker):
        """The broker with libfiu, which has a thread before the broker blocks its signals."""
        path = self.folder / "bin/omni-broker"
        libraries = f"{FIU}/fiu_run_preload.so:{FIU}/fiu_posix_preload.so"
        path.write_text(f"""#!/usr/bin/python3
import os, signal, sys
signal.pthread_sigmask(signal.SIG_BLOCK, [signal.SIGTERM])
os.environ.update(LD_PRELOAD="{libraries}", FIU_CTRL_FIFO="{self.folder}/fiu")
os.execv("{broker}", ["omni-broker", *sys.argv[1:]])
""")
        path.chmod(0o755)

    def ask(self, path, body):
        request = urllib.request.Request(self.url + path, json.dumps(body).encode(), {
            "authorization": f"Bearer {self.key}", "content-type": "application/json"})
        with urllib.request.urlopen(request, timeout=5) as answer:
            return json.load(answer)

    def submit(self):
        """Jobs of some seconds, more than the workers do; and commits for the broker."""
        count = 0
        while not self.stopping.wait(0.15):
            count += 1
            name = TENANT[count % len(TENANT)]
            try:
                self.ask("/api/v1/tasks", {"queue": f"held-{name}", "kind": "slow",
                                           "payload": {"ref": str(count)}})
            except OSError:
                pass  # that is what faults are for

    def start_worker(self, name):
        lock = (self.folder / "data/omni.lock").read_text()
        work = re.search(r"OMNI_BROKER_WORK=(\S+)", lock).group(1)
        key = self.ask("/developer/keys", {"name": name, "scopes": ["worker"]})["key"]
        command = [self.chaos_worker] if name == "tenant-c" else [
            "/usr/bin/python3", "-B", ROOT / "tests/chaos/worker.py"]
        self.workers[name] = subprocess.Popen(
            [*command, work, name, self.folder / f"{name}.record", str(HELD), key,
             f"held-{name}"], stderr=open(self.folder / f"{name}.log", "a"))

    def pids(self):
        """The programs of omni up by their OMNI_NODE."""
        found = {}
        for entry in pathlib.Path("/proc").glob("[0-9]*"):
            try:
                parent = re.search(r"\) \w (\d+)", (entry / "stat").read_text()).group(1)
                node = re.search(rb"(?:^|\0)OMNI_NODE=([^\0]*)", (entry / "environ").read_bytes())
                if int(parent) == self.omni.pid:
                    found[node.group(1).decode()] = int(entry.name)
            except (OSError, AttributeError):
                continue
        return found

    def signal(self, name, number):
        if name in self.workers:
            self.workers[name].send_signal(number)
            return
        for program, pid in self.pids().items():
            if name in ("all", program):
                os.kill(pid, number)

    def inject(self, *commands):
        arguments = [part for command in commands for part in ("-c", command)]
        subprocess.run(["fiu-ctrl", "-f", f"{self.folder}/fiu", *arguments,
                        str(self.pids()["broker"])], timeout=10, check=False,
                       stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)

    def begin(self, kind, name):
        if kind == "full":
            self.inject(*(f"enable name={point},failinfo={ENOSPC}" for point in WRITES))
        elif kind == "eio":
            self.inject(*(f"enable name={point},failinfo={EIO},onetime" for point in SYNCS))
        else:
            self.signal(name, {"kill": signal.SIGKILL, "term": signal.SIGTERM,
                               "stop": signal.SIGSTOP}[kind])

    def end(self, kind, name):
        if kind == "full":
            self.inject(*(f"disable name={point}" for point in WRITES))
        elif kind == "stop":
            self.signal(name, signal.SIGCONT)
        elif name in self.workers:
            self.workers[name].wait()
            self.start_worker(name)

    def close(self):
        self.stopping.set()
        self.load.join()
        for child in [*self.workers.values(), self.omni]:
            child.terminate()
        for child in [*self.workers.values(), self.omni]:
            child.wait(timeout=30)


def hurt(fault, victims, sink, port, earlier):
    """When the alert was told of, and to whom; None if it was not in time."""
    kind, name, alert, label = fault
    await_calm(port, alert, label)
    for past_alert, past_label, at in earlier:
        if (past_alert, past_label) == (alert, label):  # what is not over is no news
            sink.expect(alert, label, True, at, time.monotonic() + RESOLVE_S)
    began = time.monotonic()
    victims.begin(kind, name)
    try:
        told = sink.expect(alert, label, False, began, began + LIMIT_S)
    finally:
        victims.end(kind, name)
    after = f"{told[0] - began:.0f} s" if told else f"not in {LIMIT_S} s: {active(port)}"
    print(f"| `{kind}` | {name} | {alert} | {told[1] if told else '-'} | {after} |", flush=True)
    return told


def await_ends(told, sink):
    """Each notification is followed by one that it is over."""
    until = time.monotonic() + RESOLVE_S
    open_still = [alert for alert, label, at in told
                  if alert != "OmniLeasesLost"  # which looks at the last ten minutes
                  and not sink.expect(alert, label, True, at, until)]
    print(f"not told to be over: {open_still}" if open_still else "all told to be over too")
    return not open_still


def main():
    bin_dir, chaos_worker = pathlib.Path(sys.argv[1]).resolve(), pathlib.Path(sys.argv[2]).resolve()
    faults = [fault for fault in FAULTS
              if len(sys.argv) < 4 or f"{fault[0]}/{fault[1]}" in sys.argv[3:]]
    children, told = [], []
    with tempfile.TemporaryDirectory(prefix="omni-alerts-") as name:
        folder = pathlib.Path(name)
        sink = Sink()
        prometheus_port, alertmanager_port = free_port(), free_port()
        configure(folder, sink, alertmanager_port)

        def start(*command):
            log = open(folder / (pathlib.Path(command[0]).name + ".log"), "w")
            children.append(subprocess.Popen(command, cwd=folder, stdout=log, stderr=log))

        victims = Victims(bin_dir, chaos_worker, folder)
        try:
            start("prometheus-alertmanager", "--config.file=alertmanager.yml",
                  f"--web.listen-address=127.0.0.1:{alertmanager_port}",
                  "--cluster.listen-address=", f"--storage.path={folder}/alertmanager")
            start("prometheus", "--config.file=prometheus.yml",
                  f"--web.listen-address=127.0.0.1:{prometheus_port}",
                  f"--storage.tsdb.path={folder}/tsdb")
            print("| fault | whom | alert | by | after |\n|---|---|---|---|---|", flush=True)
            for fault in faults:
                if row := hurt(fault, victims, sink, prometheus_port, told):
                    told.append((fault[2], fault[3], row[0]))
            over = await_ends(told, sink)
        finally:
            victims.close()
            for child in reversed(children):
                child.terminate()
            for child in children:
                child.wait(timeout=20)
    print(f"{len(told)} of {len(faults)} faults told in under {LIMIT_S} s")
    return len(told) < len(faults) or not over


if __name__ == "__main__":
    sys.exit(main())
