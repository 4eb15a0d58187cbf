import types
import unittest

import support  # noqa: F401 - finds the library
from omni_worker import control
from omni_worker.work import State


def granted(results, state=State.FINISHED):
    """The credit of a worker with two idle slots that keeps these results."""
    sent = []
    link = types.SimpleNamespace(open=True, send=lambda _, **fields: sent.append(fields) or True)
    worker = control.Control.__new__(control.Control)
    worker._drain_end_s, worker._link = None, link
    worker._slots = [types.SimpleNamespace(ready=True, busy=None)] * 2
    worker._credits = {"q": control._Credit()}
    worker._works = {number: types.SimpleNamespace(result=result, state=state, queue="q")
                     for number, result in enumerate(results)}
    worker._grant_credit()
    return sent


class Full(unittest.TestCase):
    def test_no_job_is_taken_beyond_the_results_that_are_kept(self):
        most, mega = control._KEPT_MAX, b"x" * (1 << 20)
        for results, credit in (([], [{"queue": "q", "limit": 2}]),
                                ([b""] * (most - 1), [{"queue": "q", "limit": 2}]),
                                ([b""] * most, []),
                                ([mega] * 63, [{"queue": "q", "limit": 2}]),
                                ([mega] * 64, [])):
            with self.subTest(len(results)):
                self.assertEqual(granted(results), credit)


if __name__ == "__main__":
    unittest.main()
