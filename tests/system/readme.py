#!/usr/bin/python3
"""Do what README.md says under "Use it", to the letter.

    readme.py BIN SOURCE

The first block starts Omni, the others are one shell script beside it, in a folder where
build/release/bin is BIN. Only the port is another, since 8080 may be taken.
"""

import json
import pathlib
import re
import signal
import socket
import subprocess
import sys
import tempfile
import time

START_S = 60
RUN_S = 400
STOP_S = 20


def blocks(readme):
    section = re.search(r"^## Use it\n(.*?)^## ", readme, re.S | re.M).group(1)
    return re.findall(r"^```\n(.*?)^```", section, re.S | re.M)


def free_port():
    with socket.socket() as it:
        it.bind(("127.0.0.1", 0))
        return str(it.getsockname()[1])


def await_ready(omni, log):
    """Until it says so, as the README has its reader do."""
    deadline = time.monotonic() + START_S
    while "Omni is ready at" not in log.read_text():
        if omni.poll() is not None or time.monotonic() > deadline:
            sys.exit(f"the first block does not start Omni:\n{log.read_text()}")
        time.sleep(0.05)


def run(commands, folder):
    script = "set -euo pipefail\nset -x\n" + commands
    done = subprocess.run(["bash", "-c", script], cwd=folder, text=True,
                          capture_output=True, timeout=RUN_S, stdin=subprocess.DEVNULL)
    if done.returncode:
        sys.exit(f"it ended with {done.returncode}:\n{done.stdout}\n{done.stderr}")
    return done.stdout


def check(said):
    """What curl got is last; what the omni tool says is for people, and its end is checked."""
    file, end = json.JSONDecoder().raw_decode(said, said.index('{"id":"file_'))
    document = json.loads(said[end:])
    if file["object"] != "file" or not document["openapi"].startswith("3.1"):
        sys.exit(f"curl got something else:\n{said[-2000:]}")
    print(f"{len(said.splitlines())} lines said; file {file['id']}, "
          f"{len(document['paths'])} paths")


def main():
    programs, source = map(pathlib.Path, sys.argv[1:3])
    first, *others = blocks((source / "README.md").read_text())
    port = free_port()
    with tempfile.TemporaryDirectory(prefix="omni-readme-") as name:
        folder = pathlib.Path(name)
        (folder / "build/release").mkdir(parents=True)
        (folder / "build/release/bin").symlink_to(programs.resolve())
        (folder / "examples").symlink_to((source / "examples").resolve())
        log = folder / "log"
        with log.open("w") as out:
            omni = subprocess.Popen(["bash", "-c", "exec " + first.replace("8080", port)],
                                    cwd=folder, stdout=out, stderr=out,
                                    stdin=subprocess.DEVNULL)
        try:
            await_ready(omni, log)
            check(run("".join(others).replace("8080", port), folder))
        finally:
            omni.send_signal(signal.SIGTERM)
            status = omni.wait(STOP_S)
        if status:
            sys.exit(f"omni up ended with {status}:\n{log.read_text()}")


if __name__ == "__main__":
    main()
