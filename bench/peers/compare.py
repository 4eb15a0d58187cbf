#!/usr/bin/env python3
"""Omni beside Redis Streams in one run, in turns, because a machine's speed drifts.

Each round is Redis, Omni, Redis: a ratio compares Omni with the mean of the Redis runs
before and after it, and the median of the rounds counts.

usage: compare.py BIN_DIR [--windows 1,64,1000] [--rounds 3] [--seconds 3] [--ack-batch]
"""

from __future__ import annotations

import argparse
import json
import os
import pathlib
import statistics
import subprocess
import sys
from typing import Any

Result = dict[str, Any]

# Jobs a second that a short first run has shown decide how many a measured run takes.
_FIRST_JOBS = {1: 500}
_FIRST_JOBS_ELSE = 10000


def _run(command: list[str]) -> Result:
    done = subprocess.run(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE,
                          timeout=600, check=False)
    if done.returncode:
        sys.exit(f"{' '.join(command)} failed:\n{done.stderr.decode()[-2000:]}")
    return json.loads(done.stdout)


class Peer:
    def __init__(self, name: str, command: list[str], window: int, seconds: float) -> None:
        self.name = name
        self._command = [*command, "--window", str(window)]
        first = self.run(_FIRST_JOBS.get(window, _FIRST_JOBS_ELSE))
        self._jobs = max(200, int(first["jobs_per_s"] * seconds))
        self.results: list[Result] = []

    def run(self, jobs: int) -> Result:
        return _run([*self._command, "--jobs", str(jobs)])

    def measure(self) -> Result:
        self.results.append(self.run(self._jobs))
        return self.results[-1]

    def median(self, field: str) -> float:
        return statistics.median(result[field] for result in self.results)


def _compare(window: int, redis: Peer, omni: Peer, rounds: int) -> Result:
    rates, latencies = [], []
    before = redis.measure()
    for _ in range(rounds):
        own, after = omni.measure(), redis.measure()
        rates.append(2 * own["jobs_per_s"] / (before["jobs_per_s"] + after["jobs_per_s"]))
        latencies.append(2 * own["p50_us"] / (before["p50_us"] + after["p50_us"]))
        before = after
    fields = ("jobs_per_s", "p50_us", "p99_us", "cpu_us_per_job", "fsyncs")
    return {
        "window": window,
        "rate_ratio": round(statistics.median(rates), 2),
        "rate_ratios": [round(rate, 2) for rate in rates],
        "p50_ratio": round(statistics.median(latencies), 2),
        "omni": {field: round(omni.median(field), 1) for field in fields},
        "redis": {field: round(redis.median(field), 1) for field in fields},
    }


def _print_table(results: list[Result], load: float) -> None:
    print(f"load average before: {load:.1f} on {os.cpu_count()} cores")
    print("| window | Omni jobs/s | Redis jobs/s | ratio (rounds) | p50 µs | Redis p50 "
          "| p50 ratio | p99 µs | CPU µs a job | Redis CPU |")
    print("|---|---|---|---|---|---|---|---|---|---|")
    for result in results:
        omni, redis = result["omni"], result["redis"]
        rounds = " ".join(f"{ratio:.2f}" for ratio in result["rate_ratios"])
        print(f"| {result['window']} | {omni['jobs_per_s']:.0f} "
              f"| {redis['jobs_per_s']:.0f} | **{result['rate_ratio']:.2f}** ({rounds}) "
              f"| {omni['p50_us']:.0f} | {redis['p50_us']:.0f} "
              f"| {result['p50_ratio']:.2f} | {omni['p99_us']:.0f} "
              f"| {omni['cpu_us_per_job']:.1f} | {redis['cpu_us_per_job']:.1f} |")


def main() -> None:
    parser = argparse.ArgumentParser(description="Omni beside Redis Streams.")
    parser.add_argument("bin", type=pathlib.Path, help="folder of omni-bench, bench-redis")
    parser.add_argument("--windows", default="1,64,1000")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--seconds", type=float, default=3, help="of each run, about")
    parser.add_argument("--queue", default="omni.inference")
    parser.add_argument("--ack-batch", action="store_true",
                        help="one XACK for all jobs a consumer has read")
    options = parser.parse_args()
    redis_command = [str(options.bin / "bench-redis")]
    if options.ack_batch:
        redis_command.append("--ack-batch")
    omni_command = [str(options.bin / "omni-bench"), "jobs", "--queue", options.queue]

    load = os.getloadavg()[0]
    results = []
    for window in map(int, options.windows.split(",")):
        redis = Peer("redis", redis_command, window, options.seconds)
        omni = Peer("omni", omni_command, window, options.seconds)
        results.append(_compare(window, redis, omni, options.rounds))
    _print_table(results, load)
    print(json.dumps({"load": load, "ack": "batch" if options.ack_batch else "each",
                      "results": results}))


if __name__ == "__main__":
    main()
