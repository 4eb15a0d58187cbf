#!/usr/bin/env python3
"""Omni beside other durable queues in one run, in turns, because a machine's speed drifts.

Each round is the peers, Omni, the peers: a ratio compares Omni with the mean of a peer's
runs before and after it, and the median of the rounds counts. A peer that cannot be
measured is named with the reason.

usage: compare.py BIN_DIR [--windows 1,64,1000] [--rounds 3] [--seconds 3] [--ack-batch]
                  [--peers redis,rabbitmq,nats,beanstalkd]
"""

from __future__ import annotations

import argparse
import json
import os
import pathlib
import statistics
import subprocess
from typing import Any

Result = dict[str, Any]

# Jobs a second that a short first run has shown decide how many a measured run takes.
_FIRST_JOBS = {1: 500}
_FIRST_JOBS_ELSE = 5000
_JOBS_MIN = 200
_RUN_S = 180
_FIELDS = ("jobs_per_s", "p50_us", "p99_us", "cpu_us_per_job", "fsyncs", "rss_kb")


class Failed(Exception):
    pass


class Runner:
    """A program that measures a queue at a window."""

    def __init__(self, name: str, command: list[str], window: int) -> None:
        self.name = name
        self._command = [*command, "--window", str(window)]
        self._first = _FIRST_JOBS.get(window, _FIRST_JOBS_ELSE)
        self._jobs = 0
        self.results: list[Result] = []

    def _run(self, jobs: int) -> Result:
        try:
            done = subprocess.run([*self._command, "--jobs", str(jobs)], check=False,
                                  stdout=subprocess.PIPE, stderr=subprocess.PIPE,
                                  timeout=_RUN_S)
        except (OSError, subprocess.TimeoutExpired) as error:
            raise Failed(f"{self.name}: {error}") from None
        if done.returncode:
            said = done.stderr.decode(errors="replace").strip().split("\n")[-1]
            raise Failed(f"{self.name}: {said}")
        return json.loads(done.stdout)

    def prepare(self, seconds: float) -> None:
        """A first run decides how many jobs take so long."""
        first = self._run(self._first)
        self._jobs = max(_JOBS_MIN, int(first["jobs_per_s"] * seconds))

    def measure(self) -> None:
        self.results.append(self._run(self._jobs))

    def medians(self) -> Result:
        return {field: round(statistics.median(one[field] for one in self.results), 1)
                for field in _FIELDS}

    def around(self, number: int, field: str) -> float:
        """The mean of the runs before and after a round."""
        return (self.results[number][field] + self.results[number + 1][field]) / 2


def _compare(window: int, omni: Runner, peers: list[Runner], rounds: int, seconds: float,
             failures: dict[str, str]) -> Result:
    omni.prepare(seconds)
    for number in range(rounds + 1):
        if number > 0:
            omni.measure()
        for peer in list(peers):
            try:
                if number == 0:
                    peer.prepare(seconds)
                peer.measure()
            except Failed as error:
                failures[peer.name] = str(error)
                peers.remove(peer)
    result: Result = {"window": window, "omni": omni.medians(), "peers": {}}
    for peer in peers:
        ratios = {field: [one[field] / peer.around(number, field)
                          for number, one in enumerate(omni.results)]
                  for field in ("jobs_per_s", "p50_us")}
        result["peers"][peer.name] = {
            **peer.medians(),
            "durable": peer.results[0]["durable"],
            "rate_ratio": round(statistics.median(ratios["jobs_per_s"]), 2),
            "rate_ratios": [round(ratio, 2) for ratio in ratios["jobs_per_s"]],
            "p50_ratio": round(statistics.median(ratios["p50_us"]), 2),
        }
    return result


def _row(window: int, name: str, one: Result) -> str:
    ratios = " ".join(f"{ratio:.2f}" for ratio in one.get("rate_ratios", []))
    beside = (f"**{one['rate_ratio']:.2f}** ({ratios}) | {one['p50_ratio']:.2f}" if ratios
              else " | ")
    return (f"| {window} | {name} | {one['jobs_per_s']:.0f} | {beside} "
            f"| {one['p50_us']:.0f} | {one['p99_us']:.0f} | {one['cpu_us_per_job']:.0f} "
            f"| {one['rss_kb'] / 1024:.0f} | {one.get('durable', 'power cut')} |")


def _print_table(results: list[Result], failures: dict[str, str], load: float) -> None:
    print(f"load average before: {load:.1f} on {os.cpu_count()} cores")
    print("| window | queue | jobs/s | Omni's rate to its (rounds) | Omni's p50 to its "
          "| p50 µs | p99 µs | CPU µs a job | RSS MiB | outlives |")
    print("|---|---|---|---|---|---|---|---|---|---|")
    for result in results:
        print(_row(result["window"], "Omni", result["omni"]))
        for name, one in result["peers"].items():
            print(_row(result["window"], name, one))
    for reason in failures.values():
        print(f"not measured: {reason}")


def main() -> None:
    parser = argparse.ArgumentParser(description="Omni beside other durable queues.")
    parser.add_argument("bin", type=pathlib.Path, help="folder of omni-bench, bench-redis …")
    parser.add_argument("--windows", default="1,64,1000")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--seconds", type=float, default=3, help="of each run, about")
    parser.add_argument("--queue", default="omni.inference")
    parser.add_argument("--peers", default="redis,rabbitmq,nats,beanstalkd")
    parser.add_argument("--ack-batch", action="store_true",
                        help="Redis: one XACK for all jobs a consumer has read")
    options = parser.parse_args()

    load = os.getloadavg()[0]
    results: list[Result] = []
    failures: dict[str, str] = {}
    for window in map(int, options.windows.split(",")):
        peers = []
        for name in options.peers.split(","):
            command = [str(options.bin / f"bench-{name}")]
            if name == "redis" and options.ack_batch:
                command.append("--ack-batch")
            if name not in failures:
                peers.append(Runner(name, command, window))
        omni = Runner("omni", [str(options.bin / "omni-bench"), "jobs", "--queue",
                               options.queue], window)
        results.append(_compare(window, omni, peers, options.rounds, options.seconds,
                                failures))
    _print_table(results, failures, load)
    print(json.dumps({"load": load, "ack": "batch" if options.ack_batch else "each",
                      "results": results, "failures": failures}))


if __name__ == "__main__":
    main()
