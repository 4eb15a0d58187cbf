"""The processes of a chaos run: started, hurt, started again."""

from __future__ import annotations

import ctypes
import os
import pathlib
import shutil
import signal
import socket
import subprocess
import sys
import time
from dataclasses import dataclass, field

_HERE = pathlib.Path(__file__).parent
_FIU = pathlib.Path("/usr/lib/fiu")
_FIU_LIBRARIES = [_FIU / "fiu_run_preload.so", _FIU / "fiu_posix_preload.so"]
_KEY = "omni_live_" + "chaos0" * 7
_PR_SET_PDEATHSIG = 1
_CONTROL_S = 10.0
_LOOK_S = 0.002
_libc = ctypes.CDLL(None)


def now_ms() -> int:
    """The clock of all logs."""
    return time.monotonic_ns() // 1_000_000


def _in_child() -> None:
    _libc.prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)


def _in_child_of_fiu() -> None:
    # libfiu has a thread before the broker blocks the signals that it reads itself.
    signal.pthread_sigmask(signal.SIG_BLOCK, [signal.SIGTERM])
    _in_child()


@dataclass
class Program:
    """A process with a name, the same at each start."""

    name: str
    command: list[str]
    environment: dict[str, str]
    folder: pathlib.Path
    log: pathlib.Path | None = None  # what it noted, for the progress and the audit
    injectable: bool = False
    process: subprocess.Popen[bytes] | None = None
    deaths: list[tuple[int, int]] = field(default_factory=list)  # pid, ms

    def start(self) -> None:
        with open(self.folder / f"{self.name}.err", "ab") as errors:
            self.process = subprocess.Popen(
                self.command, env=self.environment, stdin=subprocess.DEVNULL,
                stdout=errors, stderr=errors, start_new_session=True,
                preexec_fn=_in_child_of_fiu if self.injectable else _in_child)

    @property
    def pid(self) -> int:
        assert self.process
        return self.process.pid

    def status(self) -> int | None:
        """Its exit status, None while it runs."""
        assert self.process
        return self.process.poll()

    def wait(self, seconds: float) -> bool:
        """False: it still runs."""
        assert self.process
        try:
            self.process.wait(seconds)
        except subprocess.TimeoutExpired:
            return False
        self.deaths.append((self.pid, now_ms()))
        return True

    def kill(self) -> None:
        assert self.process
        self.process.kill()
        self.wait(10)

    def terminate(self) -> None:
        assert self.process
        self.process.terminate()

    def signal_all(self, number: int) -> None:
        """To the process and its children."""
        os.killpg(self.pid, number)

    def inject(self, *commands: str) -> None:
        """Switch failure points of libfiu. The process may end of it, and then nobody
        answers fiu-ctrl."""
        arguments = [part for command in commands for part in ("-c", command)]
        control = subprocess.Popen(["fiu-ctrl", "-f", str(self.folder / "fiu"), *arguments,
                                    str(self.pid)], stdout=subprocess.DEVNULL,
                                   stderr=subprocess.DEVNULL, start_new_session=True)
        end_s = time.monotonic() + _CONTROL_S
        while control.poll() is None and self.status() is None and (
                time.monotonic() < end_s):
            time.sleep(_LOOK_S)
        if control.poll() is None:
            os.killpg(control.pid, signal.SIGKILL)
            control.wait()


def fiu_is_there() -> bool:
    return shutil.which("fiu-ctrl") is not None and all(
        path.exists() for path in _FIU_LIBRARIES)


def _sanitizer(program: pathlib.Path) -> list[pathlib.Path]:
    """The runtime of the sanitizer it is built with, which wants to be loaded first."""
    said = subprocess.run(["ldd", str(program)], check=True, stdout=subprocess.PIPE).stdout
    return [pathlib.Path(line.split()[2]) for line in said.decode().split("\n")
            if "libasan" in line]


class Cluster:
    """A broker with identity and an edge, workers, a subscriber and two loads."""

    def __init__(self, build: pathlib.Path, folder: pathlib.Path, seed: int, rate: int,
                 inject: bool) -> None:
        self.folder = folder
        self._bin, self._tests = build / "bin", build / "tests"
        with socket.socket() as free:
            free.bind(("127.0.0.1", 0))
            port = free.getsockname()[1]
        self.url = f"http://127.0.0.1:{port}"
        key_file = folder / "key"
        key_file.write_text(_KEY + "\n")
        self._environment = dict(
            os.environ, OMNI_BROKER=f"ipc://{folder}/broker",
            OMNI_BROKER_WORK=f"ipc://{folder}/work", OMNI_DATABASE=f"sqlite:{folder}",
            OMNI_BLOBS=f"dir:{folder}/blobs", OMNI_SECRET_FILE=f"{folder}/secret",
            OMNI_ADMIN_KEY_FILE=f"{folder}/admin.key", OMNI_LISTEN=f"127.0.0.1:{port}",
            OMNI_BOOTSTRAP_KEY_FILE=str(key_file),
            # The subscriber stands in for billing and answers no quota: an edge that has
            # not heard of billing for so long refuses all.
            OMNI_QUOTA_HOLD_MS=str(24 * 3600 * 1000))
        self.programs: dict[str, Program] = {}
        for name in ("broker", "identity", "ingest"):
            self._add(name, [str(self._bin / f"omni-{name}")], noted=False)
        if inject:
            broker = self.programs["broker"]
            broker.injectable = True
            libraries = _sanitizer(self._bin / "omni-broker") + _FIU_LIBRARIES
            broker.environment["LD_PRELOAD"] = ":".join(map(str, libraries))
            broker.environment["FIU_CTRL_FIFO"] = str(folder / "fiu")
        for name in ("worker-1", "worker-2"):
            self._add_worker(name, "8", "inference", "omni.inference", "omni.training")
        self._add_worker("tenant-c", "4", _KEY, "chaos")
        self._add("tenant-python", [sys.executable, "-B", str(_HERE / "worker.py"),
                                    *self._place("tenant-python"), "2", _KEY, "chaos"])
        self._add("subscriber", [str(self._tests / "chaos_subscriber"),
                                 *self._place("subscriber")])
        self._add("load", [str(self._tests / "chaos_load"), self._client,
                           str(self._log("load")), str(seed), str(rate)])
        self._add("load-http", [sys.executable, "-B", str(_HERE / "load_http.py"),
                                self.url, _KEY, str(self._log("load-http")), str(seed),
                                str(max(1, rate // 5))])

    @property
    def _client(self) -> str:
        return f"ipc://{self.folder}/broker"

    def _log(self, name: str) -> pathlib.Path:
        return self.folder / f"{name}.log"

    def _place(self, name: str) -> list[str]:
        return [f"ipc://{self.folder}/work", name, str(self._log(name))]

    def _add(self, name: str, command: list[str], noted: bool = True) -> None:
        environment = dict(self._environment, OMNI_NODE=name)
        self.programs[name] = Program(name, command, environment, self.folder,
                                      self._log(name) if noted else None)

    def _add_worker(self, name: str, slots: str, *arguments: str) -> None:
        self._add(name, [str(self._tests / "chaos_worker"), *self._place(name), slots,
                         *arguments])

    def start(self) -> None:
        for program in self.programs.values():
            program.start()

    def stop_load(self, seconds: float) -> list[str]:
        """Submit no more, and have the answers come in. Returns who did not end well."""
        loads = [self.programs[name] for name in ("load", "load-http")]
        for load in loads:
            load.terminate()
        return [load.name for load in loads if not load.wait(seconds) or load.status()]

    def drain(self, tasks: list[tuple[str, str]], seconds: int) -> subprocess.CompletedProcess:
        """Have the end of each (task, tenant) noted, and a list of all tasks."""
        lines = "".join(f"{task} {tenant}\n" for task, tenant in tasks)
        return subprocess.run([str(self._tests / "chaos_drain"), self._client,
                               str(self._log("drain")), str(seconds)],
                              input=lines.encode(), stderr=subprocess.PIPE,
                              timeout=seconds + 300, check=False)

    def kill(self) -> None:
        for program in self.programs.values():
            if program.process:
                try:
                    program.signal_all(signal.SIGKILL)
                except ProcessLookupError:
                    pass
                program.process.wait()
