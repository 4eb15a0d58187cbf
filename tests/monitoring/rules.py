#!/usr/bin/env python3
"""Each alert has a severity, a summary, a runbook that is there and a test of its own; each
runbook has its alert; each metric in a rule is in docs/metrics.md. promtool does the rest."""
import pathlib
import re
import subprocess
import sys

ROOT = pathlib.Path(__file__).resolve().parents[2]
RULES = ROOT / "deploy/prometheus"


def main():
    wrong = []
    alerts = re.split(r"(?m)^ *- alert: ", (RULES / "alerts.yml").read_text())[1:]
    tests = "".join((RULES / name).read_text() for name in ("alerts_test.yml", "alerts_long_test.yml"))
    known = set(re.findall(r"^\| `(\w+)`", (ROOT / "docs/metrics.md").read_text(), re.M)) | {"up"}
    books = set()
    for alert in alerts:
        name = alert.split("\n")[0].strip()
        if not re.search(r"severity: (critical|warning|none)", alert) or "summary:" not in alert:
            wrong.append(f"{name}: no severity or no summary")
        book = re.search(r"runbook_url: (\S+)", alert)
        if not book or not (ROOT / book.group(1)).is_file():
            wrong.append(f"{name}: no runbook")
        else:
            books.add(book.group(1))
        for kind in ("fires", "does not fire")[:1 if name == "OmniWatchdog" else 2]:
            if f"- name: {name} {kind}\n" not in tests:
                wrong.append(f"{name}: no test in which it {kind}")
        expr = re.search(r"expr: '(.*)'", alert).group(1)
        for metric in re.findall(r"(?<![\w:])(?:omni|process)_\w+", expr):
            if re.sub(r"_bucket$", "", metric) not in known:
                wrong.append(f"{name}: {metric} is no metric")
    there = {f"docs/runbooks/{path.name}" for path in (ROOT / "docs/runbooks").glob("*.md")}
    wrong += [f"{path}: no alert names it" for path in sorted(there - books)]
    print("\n".join(wrong) or f"{len(alerts)} alerts, each with its runbook and tests")
    for command in (["check", "rules", "recording.yml", "alerts.yml"],
                    ["test", "rules", "alerts_test.yml", "alerts_long_test.yml"],
                    ["check", "config", "prometheus.yml"]):
        done = subprocess.run(["promtool", *command], cwd=RULES, capture_output=True, text=True)
        print(f"promtool {' '.join(command)}: {'passed' if done.returncode == 0 else 'FAILED'}")
        if done.returncode != 0:
            wrong.append("promtool")
            print(done.stdout, done.stderr)
    return bool(wrong)


if __name__ == "__main__":
    sys.exit(main())
