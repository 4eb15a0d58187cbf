#!/usr/bin/python3
"""Hold the HTTP interface to its own document.

    edge.py BIN TOOLS [--seed N] [--seconds N]

Starts `omni up` of BIN, takes /openapi.json from it, and has two programs of TOOLS judge:
redocly, whether the document is good, and schemathesis, whether the server answers as the
document says, whatever it is sent. A tool that is not there is named, and is no failure.
"""

import argparse
import json
import os
import pathlib
import signal
import socket
import subprocess
import sys
import tempfile
import time
import urllib.error
import urllib.request

START_S = 60
STOP_S = 20

CHECKS = [
    "not_a_server_error",
    "status_code_conformance",
    "content_type_conformance",
    "response_headers_conformance",
    "response_schema_conformance",
    "negative_data_rejection",
    "allow_header_conformance",
    "ignored_auth",
]

# What can end the caller itself, or a service: asked last, for nothing works behind it.
ENDS_THE_CALLER = [
    "post_admin_workers_node_drain",
    "delete_admin_tenants_id",
    "patch_admin_tenants_id",
    "put_tenants_me_config",
    "post_developer_keys_id_revoke",
    "put_admin_plans_code",
    "put_admin_tenants_id_quotas_policy",
]

# A wait would only wait: nothing ends the tasks of this run.
CONFIG = "parameters = { wait = 0 }\n"


def free_port():
    with socket.socket() as it:
        it.bind(("127.0.0.1", 0))
        return it.getsockname()[1]


class Omni:
    """A whole Omni in a folder of its own."""

    def __init__(self, programs, folder):
        self.data = folder / "data"
        self.log = folder / "log"
        self.url = f"http://127.0.0.1:{free_port()}"
        address = self.url.removeprefix("http://")
        with self.log.open("w") as log:
            self.process = subprocess.Popen(
                [programs / "omni", "up", "--data", self.data, "--listen", address],
                stdin=subprocess.DEVNULL, stdout=log, stderr=log,
                # Wrong keys are sent to every route, more than anybody may.
                env=os.environ | {"OMNI_FAILED_KEYS": "0"})

    def status(self, path, key=None):
        request = urllib.request.Request(self.url + path)
        if key:
            request.add_header("Authorization", f"Bearer {key}")
        try:
            with urllib.request.urlopen(request, timeout=5) as answer:
                return answer.status
        except urllib.error.HTTPError as error:
            return error.code
        except OSError:
            return 0

    def await_ready(self):
        deadline = time.monotonic() + START_S
        while self.status("/readyz") != 200:
            if self.process.poll() is not None or time.monotonic() > deadline:
                sys.exit(f"omni up is not ready:\n{self.log.read_text()}")
            time.sleep(0.05)
        return (self.data / "admin.key").read_text().strip()

    def stop(self):
        """What went wrong in its processes, or None."""
        self.process.send_signal(signal.SIGTERM)
        try:
            status = self.process.wait(STOP_S)
        except subprocess.TimeoutExpired:
            self.process.kill()
            return "it did not stop"
        text = self.log.read_text(errors="replace")
        if "Sanitizer" in text or "runtime error" in text:
            return "a sanitizer complained:\n" + text[-4000:]
        return f"it ended with {status}" if status else None


def lint(tool, document):
    """Does the document have no errors? Prints what was found."""
    if not tool.exists():
        print("document: NOT LINTED: redocly could not be had from npm")
        return True
    run = subprocess.run([tool, "lint", "--format=json", document], text=True,
                         capture_output=True, timeout=120, cwd=document.parent,
                         env=os.environ | {"REDOCLY_TELEMETRY": "off"})
    start = run.stdout.find("{")
    if start < 0:
        print(f"document: redocly failed\n{run.stdout}{run.stderr}")
        return False
    found = json.JSONDecoder().raw_decode(run.stdout[start:])[0]
    for problem in found["problems"]:
        place = problem["location"][0].get("pointer", "")
        print(f"  {problem['severity']} {problem['ruleId']} {place}: {problem['message']}")
    errors, warnings = found["totals"]["errors"], found["totals"]["warnings"]
    print(f"document: {errors} errors, {warnings} warnings (redocly)")
    return errors == 0


def judge(tool, omni, key, folder, options, selection, seconds, name):
    """Does the server answer as documented? Prints what was found."""
    report = folder / f"{name}.json"
    config = folder / "schemathesis.toml"
    config.write_text(CONFIG)
    log = folder / f"{name}.log"
    with log.open("w") as out:
        subprocess.run([tool, "--config-file", config, "run", omni.url + "/openapi.json",
                        "-H", f"Authorization: Bearer {key}",
                        "--seed", str(options.seed), "--max-time", str(seconds),
                        "--phases", "examples,coverage,fuzzing", "--max-examples", "25",
                        "--checks", ",".join(CHECKS), "--continue-on-failure",
                        "--request-timeout", "20", "--no-shrink", "--workers", "1",
                        "--report", "json", "--report-json-path", report, *selection],
                       stdout=out, stderr=out, stdin=subprocess.DEVNULL, cwd=folder,
                       timeout=seconds * 2 + 60)
    if not report.exists():
        print(f"{name}: schemathesis failed\n{log.read_text()[-3000:]}")
        return False
    result = json.loads(report.read_text())
    failures, errors = result["failures"], result["errors"]
    if failures or errors:
        print(log.read_text()[-12000:])
    asked = result["operations"]
    cases = result["test_cases"]
    print(f"{name}: {asked.get('tested')} operations, {cases.get('generated')} requests, "
          f"{len(failures)} failures, {len(errors)} errors (schemathesis, "
          f"seed {options.seed})")
    return not failures and not errors and asked.get("tested", 0) > 0


def judge_all(tool, omni, key, folder, options):
    if not tool.exists():
        print("answers: NOT JUDGED: schemathesis could not be had from PyPI")
        return True
    last = []
    for name in ENDS_THE_CALLER:
        last += ["--exclude-operation-id", name]
    only = [word.replace("exclude", "include") for word in last]
    good = judge(tool, omni, key, folder, options, last, options.seconds, "answers")
    if omni.status("/api/v1/tasks", key) != 200:
        print("answers: the run ended its own caller: what came after says nothing")
        good = False
    return judge(tool, omni, key, folder, options, only, options.seconds // 4,
                 "answers of what can end the caller") and good


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("bin", type=pathlib.Path)
    parser.add_argument("tools", type=pathlib.Path)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--seconds", type=int, default=120)
    options = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="omni-http-") as name:
        folder = pathlib.Path(name)
        omni = Omni(options.bin.resolve(), folder)
        try:
            key = omni.await_ready()
            document = folder / "openapi.json"
            with urllib.request.urlopen(omni.url + "/openapi.json") as answer:
                document.write_bytes(answer.read())
            tools = options.tools.resolve()
            good = lint(tools / "node_modules/.bin/redocly", document)
            good = judge_all(tools / "python/bin/schemathesis", omni, key, folder,
                             options) and good
        finally:
            wrong = omni.stop()
        if wrong:
            print(f"omni up: {wrong}")
    sys.exit(0 if good and not wrong else 1)


if __name__ == "__main__":
    main()
