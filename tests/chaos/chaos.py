#!/usr/bin/env python3
"""Real processes under load, hurt again and again under a seed, and audited.

usage: chaos.py BUILD_DIR [--seed N] [--rounds 200] [--rate 100] [--stop-max 15]
                [--keep]

Prints a line for each kind of fault and a verdict. Exit status 1 on any violation; the
folder with all logs is then kept.
"""

from __future__ import annotations

import argparse
import collections
import pathlib
import random
import shutil
import sys
import tempfile
import time

import faults
from audit import Harm, Pause, Verdict, audit
from cluster import Cluster, fiu_is_there, now_ms
from progress import Progress
from records import Tail

_RECOVER_S = 15.0  # what is promised
_PATIENCE_S = 60.0  # how long a run waits for it all the same
_DRAIN_S = 120
_FULL_FELT_S = 1.0  # a disk that is full for so long refuses submits
_CALM_MAX_S = 1.0
_SHOWN_MAX = 20
_TOLD_EACH = 20  # rounds
_COMPLAINTS = (b"Sanitizer", b"runtime error:", b"Assertion", b"Traceback")


class Run:
    def __init__(self, cluster: Cluster, seed: int) -> None:
        self._cluster = cluster
        self._chance = random.Random(f"calm {seed}")
        self._progress = Progress(cluster)
        self._done: list[tuple[faults.Fault, str, int]] = []  # slowest and its ms
        self.broken: list[str] = []  # violations beside those of the audit

    def start(self) -> None:
        begin_ms = now_ms()
        self._cluster.start()
        _, waiting = self._progress.await_all(begin_ms, _PATIENCE_S)
        if waiting:
            sys.exit(f"chaos: {', '.join(waiting)} did not begin to work; logs in "
                     f"{self._cluster.folder}")

    def hurt(self, together: list[faults.Fault]) -> None:
        time.sleep(self._chance.random() * _CALM_MAX_S)
        self.broken += faults.inflict(self._cluster, together)
        end_ms = max(fault.end_ms for fault in together)
        with open(self._cluster.folder / "faults.log", "a", encoding="ascii") as log:
            for fault in together:
                log.write(f"{fault.begin_ms} {fault.end_ms} {fault.kind} {fault.victim} "
                          f"{fault.pid}\n")
        took, waiting = self._progress.await_all(end_ms, _PATIENCE_S)
        slowest = max(took, key=lambda name: took[name], default="")
        self._done += [(fault, slowest, took.get(slowest, 0)) for fault in together]
        late = [f"{name} after {ms / 1000:.1f} s" for name, ms in took.items()
                if ms > _RECOVER_S * 1000] + [f"{name} not at all" for name in waiting]
        if late:
            what = " and ".join(f"{fault.kind} of {fault.victim} for {fault.seconds:.1f} s"
                                for fault in together)
            self.broken.append(f"no recovery after {what}: {', '.join(late)}")
        self._restart_dead()

    @property
    def count(self) -> int:
        return len(self._done)

    def _restart_dead(self) -> None:
        for program in self._cluster.programs.values():
            if program.status() is not None:
                program.wait(0)
                self.broken.append(f"{program.name} ended by itself with "
                                   f"{program.status()}")
                program.start()

    def finish(self) -> Verdict:
        for name in self._cluster.stop_load(_PATIENCE_S):
            self.broken.append(f"{name} did not get its last answers")
        self._progress.look()
        history = self._progress.history
        drained = self._cluster.drain(history.tasks(), _DRAIN_S)
        if drained.returncode:
            self.broken.append(f"drain: {drained.stderr.decode().strip()[-200:]}")
        for line in Tail(self._cluster.folder / "drain.log").read():
            history.add("drain", line)
        # The events of the last completions trail them.
        ended = sum(ending.state == "succeeded" for ending in history.endings.values())
        end_s = time.monotonic() + _RECOVER_S
        while len(history.events) < ended and time.monotonic() < end_s:
            time.sleep(0.1)
            self._progress.look()
        time.sleep(1)
        self._progress.look()
        verdict = audit(history, self._harm())
        self.broken += self._not_felt(verdict)
        return verdict

    def _not_felt(self, verdict: Verdict) -> list[str]:
        """Faults of the disk that the broker did not notice were not injected."""
        found = []
        syncs = [fault for fault, _, _ in self._done if fault.kind == "eio"]
        if syncs and not any(fault.fatal for fault in syncs):
            found.append(f"none of {len(syncs)} failing syncs ended the broker")
        if any(fault.kind == "full" and fault.seconds >= _FULL_FELT_S
               for fault, _, _ in self._done) and not verdict.counts["refused storage_full"]:
            found.append("the disk was full, and no submit was refused")
        return found

    def _harm(self) -> Harm:
        programs = self._cluster.programs
        harm = Harm(broker_deaths=[ms for _, ms in programs["broker"].deaths])
        for program in programs.values():
            harm.deaths.update(program.deaths)
        for fault, _, _ in self._done:
            if fault.kind == "stop":
                harm.pauses.setdefault(fault.pid, []).append(
                    Pause(fault.begin_ms, fault.end_ms))
            elif fault.kind == "full":
                harm.full.append(Pause(fault.begin_ms, fault.end_ms))
        return harm

    def complaints(self) -> list[str]:
        """Who wrote what only a defect writes."""
        found = []
        for path in sorted(self._cluster.folder.glob("*.err")):
            text = path.read_bytes()
            found += [f"{path.stem} wrote \"{mark.decode()}\""
                      for mark in _COMPLAINTS if mark in text]
        return found

    def report(self) -> None:
        kinds: dict[str, list[tuple[faults.Fault, str, int]]] = collections.defaultdict(list)
        for one in self._done:
            kinds[one[0].kind].append(one)
        for kind in sorted(kinds):
            victims = collections.Counter(fault.victim for fault, _, _ in kinds[kind])
            worst, slowest, ms = max(kinds[kind], key=lambda one: one[2])
            times = sorted(one[2] for one in kinds[kind])
            print(f"{kind:4} {len(times):4} faults, recovery: median "
                  f"{times[len(times) // 2] / 1000:.1f} s, worst {ms / 1000:.1f} s "
                  f"({slowest}, after {worst.victim} for {worst.seconds:.1f} s); "
                  + ", ".join(f"{name} {count}" for name, count in victims.most_common()))
        ended = sum(fault.fatal for fault, _, _ in self._done)
        print(f"the broker ended of {ended} failing syncs; the slowest recovery of all took "
              f"{max((ms for _, _, ms in self._done), default=0) / 1000:.1f} s of "
              f"{_RECOVER_S:.0f} s")


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description="Real processes under faults.")
    parser.add_argument("build", type=pathlib.Path, help="folder of a build with tests")
    parser.add_argument("--seed", type=int, default=random.randrange(1 << 31))
    parser.add_argument("--rounds", type=int, default=200)
    parser.add_argument("--rate", type=int, default=100, help="jobs a second")
    parser.add_argument("--stop-max", type=float, default=15, help="seconds")
    parser.add_argument("--keep", action="store_true", help="keep the folder of logs")
    return parser.parse_args()


def _print_verdict(run: Run, verdict: Verdict, seed: int) -> bool:
    broken = run.broken + run.complaints() + verdict.violations
    run.report()
    print(", ".join(f"{name} {count}" for name, count in sorted(verdict.counts.items())))
    for text in broken[:_SHOWN_MAX]:
        print(f"VIOLATION {text}")
    if len(broken) > _SHOWN_MAX:
        print(f"… and {len(broken) - _SHOWN_MAX} more")
    print(f"seed {seed}: {run.count} faults, lost {verdict.counts['lost']}, unexpected "
          f"{verdict.counts['unexpected']}, duplicates outside the rule "
          f"{verdict.counts['duplicate']}: {'VIOLATED' if broken else 'held'}")
    return not broken


def main() -> int:
    options = _options()
    disk = fiu_is_there()
    if not disk:
        print("libfiu (Debian: fiu-utils) is not installed: no faults of the disk")
    folder = pathlib.Path(tempfile.mkdtemp(prefix="omni-chaos-", dir="/var/tmp"))
    cluster = Cluster(options.build.resolve(), folder, options.seed, options.rate, disk)
    run = Run(cluster, options.seed)
    held = False
    try:
        run.start()
        plan = faults.plan(options.seed, options.rounds, options.stop_max, disk)
        for number, together in enumerate(plan, 1):
            run.hurt(together)
            if number % _TOLD_EACH == 0:
                print(f"{number} of {options.rounds} rounds", file=sys.stderr)
        held = _print_verdict(run, run.finish(), options.seed)
    finally:
        cluster.kill()
        if held and not options.keep:
            shutil.rmtree(folder)
        else:
            print(f"logs: {folder}")
    return 0 if held else 1


if __name__ == "__main__":
    sys.exit(main())
