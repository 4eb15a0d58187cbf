"""What the tests share."""

import os
import pathlib
import sys
import time

HERE = pathlib.Path(__file__).resolve().parent
sys.path.insert(0, str(HERE.parent))
sys.path.insert(0, str(HERE.parents[2] / "tests" / "conformance"))

PYTHON = [sys.executable, "-B"]


def wait_for(condition, deadline_s=10.0):
    """The condition's value once it is true; None at the deadline."""
    end_s = time.monotonic() + deadline_s
    while time.monotonic() < end_s:
        value = condition()
        if value:
            return value
        time.sleep(0.02)
    return None


def children(pid):
    """Process ids of a process's children that are alive."""
    try:
        listed = pathlib.Path(f"/proc/{pid}/task/{pid}/children").read_text().split()
    except FileNotFoundError:
        return []
    return [int(child) for child in listed if alive(int(child))]


def alive(pid):
    try:
        state = pathlib.Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()[0]
    except (FileNotFoundError, ProcessLookupError):
        return False
    return state not in "ZX"


def wiredoc():
    """The program that prints the wire reference."""
    return os.environ["OMNI_WIREDOC"]
