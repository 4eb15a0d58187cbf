#!/usr/bin/env python3
"""Holds a worker of any language to the wire scenarios; README.md says how.

usage: run_scenarios.py --worker 'COMMAND {endpoint} {slots}' --reference FILE|PROGRAM
"""

from __future__ import annotations

import argparse
import concurrent.futures
import os
import pathlib
import subprocess
import sys
import time

from broker import Broken
from scenario import Scenario
from wire_reference import Reference

_HERE = pathlib.Path(__file__).resolve().parent


def _read_reference(path: str) -> Reference:
    """The page itself, or what the program prints."""
    if os.access(path, os.X_OK):
        page = subprocess.run([path], check=True, capture_output=True, timeout=60).stdout
        return Reference(page.decode())
    return Reference(pathlib.Path(path).read_text())


def _run(scenario: Scenario, command: str) -> bool:
    start_s = time.monotonic()
    try:
        scenario.play(command)
        wrong = None
    except Broken as error:
        wrong = str(error)
    taken_s = time.monotonic() - start_s
    print(f"{'not ok' if wrong else 'ok':6} {scenario.name} ({taken_s:.1f} s)", flush=True)
    if wrong:
        print(f"       {scenario.about}\n       {wrong}", flush=True)
    return wrong is None


def main() -> int:
    parser = argparse.ArgumentParser(description="Hold a worker to the wire scenarios.")
    parser.add_argument("--worker", required=True,
                        help="command line, with {endpoint} and {slots} in it")
    parser.add_argument("--reference", required=True,
                        help="docs/wire.md, or the omni-wiredoc that prints it")
    parser.add_argument("--scenarios", type=pathlib.Path, default=_HERE / "scenarios",
                        help="folder of scenarios")
    parser.add_argument("--jobs", type=int, default=4, help="scenarios at a time")
    parser.add_argument("name", nargs="*", help="only these scenarios")
    options = parser.parse_args()

    reference = _read_reference(options.reference)
    paths = sorted(options.scenarios.glob("*.json"))
    scenarios = [Scenario(path, reference) for path in paths
                 if not options.name or path.stem in options.name]
    with concurrent.futures.ThreadPoolExecutor(options.jobs) as pool:
        passed = sum(pool.map(lambda scenario: _run(scenario, options.worker), scenarios))
    print(f"{passed} of {len(scenarios)} scenarios passed")
    return 0 if scenarios and passed == len(scenarios) else 1


if __name__ == "__main__":
    sys.exit(main())
