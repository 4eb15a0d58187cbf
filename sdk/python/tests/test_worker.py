import os
import pathlib
import signal
import subprocess
import tempfile
import time
import unittest

import zmq

import support
from omni_worker import Worker, WorkerError, wire
from omni_worker.link import Link


def handler(job, payload):
    return payload


class Making(unittest.TestCase):
    def test_settings_that_cannot_be_are_refused(self):
        for name in ("OMNI_BROKER_WORK", "OMNI_API_KEY"):
            os.environ.pop(name, None)
        for settings in ({"api_key": "k"}, {"endpoint": "ipc://x"},
                         {"endpoint": "ipc://x", "api_key": "k", "slots": 0},
                         {"endpoint": "ipc://x", "api_key": "k", "slots": 257},
                         {"endpoint": "ipc://x", "api_key": "k", "drain_s": -1}):
            with self.subTest(settings), self.assertRaises(ValueError):
                Worker(**settings)

    def test_endpoints_that_cannot_be_used_are_refused(self):
        for endpoint in ("http://x", "tcp://127.0.0.1:1", "ipc://" + "x" * 108):
            worker = Worker(endpoint, api_key="k")
            worker.task("k")(handler)
            with self.subTest(endpoint), self.assertRaises(WorkerError):
                worker.run()

    def test_a_kind_has_one_handler_a_queue(self):
        worker = Worker("ipc://x", api_key="k")
        worker.task("k", queue="a")(handler)
        worker.task("k", queue="b")(handler)
        with self.assertRaises(ValueError):
            worker.task("k", queue="a")(handler)

    def test_a_worker_without_tasks_does_not_run(self):
        with self.assertRaises(WorkerError):
            Worker("ipc://x", api_key="k").run()


class Processes(unittest.TestCase):
    def setUp(self):
        folder = tempfile.TemporaryDirectory(prefix="omni-")
        self.addCleanup(folder.cleanup)
        self.folder = pathlib.Path(folder.name)

    def start(self, *words):
        process = subprocess.Popen([*support.PYTHON, *words], stderr=subprocess.PIPE)
        self.addCleanup(process.stderr.close)
        self.addCleanup(process.wait)
        self.addCleanup(process.kill)
        return process

    def test_no_process_outlives_a_killed_worker(self):
        worker = self.start(support.HERE / "features_worker.py",
                            f"ipc://{self.folder}/work", "3")
        # Two more than the slots would be spawn's own; it has one.
        started = support.wait_for(
            lambda: len(support.children(worker.pid)) >= 3 and support.children(worker.pid))
        self.assertTrue(started)
        worker.send_signal(signal.SIGKILL)
        self.assertTrue(support.wait_for(
            lambda: not any(support.alive(child) for child in started)))

    def test_a_script_without_main_guard_is_told_so(self):
        script = self.folder / "script.py"
        script.write_text(
            f"import sys; sys.path.insert(0, {str(support.HERE.parent)!r})\n"
            "from omni_worker import Worker\n"
            f"worker = Worker('ipc://{self.folder}/work', api_key='k')\n"
            "@worker.task('k')\n"
            "def handler(job, payload): pass\n"
            "worker.run()\n")
        worker = self.start(script)
        _, said = worker.communicate(timeout=60)
        self.assertNotEqual(worker.returncode, 0)
        self.assertIn(b"__main__", said.splitlines()[-1])


class Curve(unittest.TestCase):
    def setUp(self):
        self.public, self.secret = zmq.curve_keypair()
        self.context = zmq.Context()
        self.router = self.context.socket(zmq.ROUTER)
        self.router.curve_server = True
        self.router.curve_secretkey = self.secret
        self.router.curve_publickey = self.public
        self.router.linger = 0
        port = self.router.bind_to_random_port("tcp://127.0.0.1")
        self.endpoint = f"tcp://127.0.0.1:{port}"
        self.addCleanup(self.context.term)
        self.addCleanup(self.router.close)

    def hear(self, wait_s, **keys):
        """The header a link sends first, or None."""
        options = {"keys": None, "broker_key": None, **keys}
        fields = {"role": "tenant", "node": "n", "incarnation": 1}
        link = Link(self.endpoint, "tenant", options["keys"], options["broker_key"],
                    lambda: fields, lambda: None)
        try:
            end_s = time.monotonic() + wait_s
            while time.monotonic() < end_s:
                link.tick(time.monotonic())
                if self.router.poll(20):
                    return wire.decode(self.router.recv_multipart()[1])
            return None
        finally:
            link.close()

    def test_a_link_with_the_brokers_key_is_heard(self):
        self.assertEqual(self.hear(10, broker_key=self.public.decode())["role"], "tenant")

    def test_the_key_may_stand_in_a_folder(self):
        with tempfile.TemporaryDirectory() as folder:
            (pathlib.Path(folder) / "broker.pub").write_bytes(self.public + b"\n")
            self.assertIsNotNone(self.hear(10, keys=folder))

    def test_a_link_with_another_key_is_not_heard(self):
        other, _ = zmq.curve_keypair()
        self.assertIsNone(self.hear(0.5, broker_key=other.decode()))


if __name__ == "__main__":
    unittest.main()
