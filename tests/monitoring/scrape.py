#!/usr/bin/env python3
"""Scrapes every program of a running Omni, and an edge with TLS and a shared cache.

promtool must find nothing wrong with any page, OpenMetrics must end as it should, each
metric of docs/metrics.md must be on a page, and each on a page in docs/metrics.md.

    scrape.py BIN
"""
import json
import os
import pathlib
import re
import subprocess
import sys
import tempfile
import time
import urllib.error
import urllib.request

ROOT = pathlib.Path(__file__).resolve().parents[2]
OPENER = urllib.request.build_opener(urllib.request.ProxyHandler({}))
CSV = "month,revenue\n" + "".join(
    f"2020-{m},{1000 + 10 * m + 50 * (m % 12)}\n" for m in range(1, 61))


def fetch(url, accept="*/*", key=None, body=None, kind="application/json"):
    fields = {"accept": accept, "content-type": kind}
    if key:
        fields["authorization"] = f"Bearer {key}"
    request = urllib.request.Request(url, body, fields)
    try:
        with OPENER.open(request, timeout=30) as answer:
            return answer.headers["content-type"], answer.read().decode()
    except urllib.error.HTTPError as error:
        raise SystemExit(f"{url}: {error.code} {error.read().decode()}") from error


def work(url, key):
    """A file, a training and predictions, so that there is something to count."""
    form = (f'--b\r\ncontent-disposition: form-data; name="purpose"\r\n\r\ndataset\r\n'
            f'--b\r\ncontent-disposition: form-data; name="file"; filename="a.csv"\r\n\r\n{CSV}\r\n--b--\r\n')
    made = json.loads(fetch(f"{url}/v1/files", key=key, body=form.encode(),
                            kind="multipart/form-data; boundary=b")[1])
    train = {"model": "seasonal-naive", "training_file": made["id"], "target": "revenue"}
    task = json.loads(fetch(f"{url}/api/v1/train/custom-model", key=key,
                            body=json.dumps(train).encode())[1])
    until = time.monotonic() + 60
    while task.get("status") not in ("complete", "failed"):
        assert time.monotonic() < until, task
        time.sleep(0.1)
        name = task.get("task_id") or task.get("id")
        task = json.loads(fetch(f"{url}/api/v1/tasks/{name}", key=key)[1])
    ask = {"time_series": [float(i % 12) for i in range(48)], "forecast_steps": 3}
    fetch(f"{url}/api/v1/predict/seasonal-naive", key=key, body=json.dumps(ask).encode())


def lint(name, url, seen):
    _, text = fetch(url)
    done = subprocess.run(["promtool", "check", "metrics"], input=text, text=True, capture_output=True)
    kind, open_text = fetch(url, "application/openmetrics-text; version=1.0.0")
    good = done.returncode == 0 and not done.stderr.strip() and kind.startswith(
        "application/openmetrics-text") and open_text.endswith("\n# EOF\n")
    print(f"{name}: {len(text.splitlines())} lines: {'good' if good else 'BAD ' + done.stdout + done.stderr}")
    _, text = fetch(url)  # once more: what is known of the page before
    samples = re.findall(r"^(\w+)(?:\{| )", text, re.M)
    types = dict(re.findall(r"^# TYPE (\w+) (\w+)$", text, re.M))
    for sample in samples:
        base = re.sub(r"_(bucket|sum|count)$", "", sample)
        seen.add(base if types.get(base) == "histogram" else sample)
    return good


def certificate(folder):
    subprocess.run(["openssl", "req", "-x509", "-newkey", "ed25519", "-nodes", "-days", "90", "-subj", "/CN=x",
                    "-keyout", "key.pem", "-out", "cert.pem"], cwd=folder, check=True, capture_output=True)
    os.chmod(folder / "key.pem", 0o600)


def main():
    bin_dir = pathlib.Path(sys.argv[1]).resolve()
    seen, good, children = set(), True, []
    with tempfile.TemporaryDirectory(prefix="omni-scrape-") as name:
        folder = pathlib.Path(name)
        data = folder / "data"
        certificate(folder)
        omni = subprocess.Popen([bin_dir / "omni", "up", "--data", data, "--listen", "127.0.0.1:0"],
                                stdout=subprocess.PIPE, text=True, stderr=open(folder / "log", "w"))
        children.append(omni)
        try:
            url = omni.stdout.readline().split()[-1]
            work(url, (data / "admin.key").read_text().strip())
            with __import__("socket").socket() as taken:
                taken.bind(("127.0.0.1", 0))
                port = taken.getsockname()[1]
            children.append(subprocess.Popen(
                [bin_dir / "omni-ingest"], stderr=open(folder / "edge.log", "w"), env=dict(
                    os.environ, OMNI_LISTEN="127.0.0.1:0", OMNI_ADMIN=f"127.0.0.1:{port}",
                    OMNI_BROKER=f"ipc://{data}/run/broker", OMNI_BLOBS=f"dir:{data}/blobs",
                    OMNI_SECRET_FILE=str(data / "secret"), OMNI_NODE="tls", OMNI_CACHE="redis://127.0.0.1:1",
                    OMNI_TLS_CERT=str(folder / "cert.pem"), OMNI_TLS_KEY=str(folder / "key.pem"))))
            until = time.monotonic() + 15
            while "listening" not in (folder / "edge.log").read_text():
                assert time.monotonic() < until, (folder / "edge.log").read_text()
                time.sleep(0.05)
            targets = [(t["labels"]["process"], t["targets"][0])
                       for t in json.loads((data / "prometheus.json").read_text())]
            for process, target in targets + [("edge with TLS", f"127.0.0.1:{port}")]:
                good = lint(process, f"http://{target}/metrics", seen) and good
        finally:
            for child in children:
                child.terminate()
            for child in children:
                child.wait(timeout=20)
    known = set(re.findall(r"^\| `(\w+)`", (ROOT / "docs/metrics.md").read_text(), re.M))
    print("documented and on no page:", ", ".join(sorted(known - seen)) or "none")
    print("on a page and not documented:", ", ".join(sorted(seen - known)) or "none")
    print(f"{len(seen)} metrics of {len(targets) + 1} pages")
    return not (good and known == seen)


if __name__ == "__main__":
    sys.exit(main())
