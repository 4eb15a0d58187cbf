"""Does the audit of a chaos run find what it is there to find?"""

from __future__ import annotations

import unittest

from audit import Harm, Pause, audit
from records import History, parse

_TASK = "task_1"
_GOOD = """
S 1000 l1 task_1 ten_1 omni.training -
A 1010 l1 task_1
B 1020 77 task_1 ten_1 1 l1
E 1030 77 task_1 1 done 5555
D 1040 77 task_1 1
U 1050 1 1 task_1/1/chaos chaos 5555 l1
F 9000 task_1 succeeded 1 0 - {"nonce":5555}
L 9001 task_1 succeeded
"""


def _history(text: str) -> History:
    history = History()
    for line in map(parse, text.strip().split("\n")):
        if line:
            history.add("worker", line)
    return history


def _found(text: str, harm: Harm | None = None) -> set[str]:
    """The kinds of violations in a history."""
    verdict = audit(_history(text), harm or Harm())
    return {violation.split(":")[0] for violation in verdict.violations}


def _twice(queue: str = "omni.training", second_ms: int = 20_000) -> str:
    """The good history, with an execution at another worker before, that has no end."""
    return _GOOD.replace("omni.training", queue).replace(
        "B 1020 77 task_1 ten_1 1 l1",
        f"B 1015 66 task_1 ten_1 1 l1\nB {second_ms} 77 task_1 ten_1 2 l1").replace(
        "task_1 1 done", "task_1 2 done").replace("task_1/1/", "task_1/2/").replace(
        "D 1040 77 task_1 1", "D 1040 77 task_1 2")


class AuditTest(unittest.TestCase):
    def test_a_run_in_which_all_went_well_is_held(self) -> None:
        self.assertEqual(_found(_GOOD), set())

    def test_an_acknowledged_job_that_is_not_there_is_lost(self) -> None:
        for state in ("not_found", "ready", "running"):
            text = _GOOD.replace("F 9000 task_1 succeeded", f"F 9000 task_1 {state}")
            self.assertIn("lost", _found(text), state)
        self.assertIn("lost", _found("\n".join(_GOOD.split("\n")[:3])))

    def test_an_acknowledged_result_that_is_another_one_is_lost(self) -> None:
        self.assertIn("lost", _found(_GOOD.replace('F 9000 task_1 succeeded 1 0 - {"nonce":5555}',
                                                   "F 9000 task_1 cancelled 1 0 - -")))

    def test_a_result_that_nobody_gave_is_unexpected(self) -> None:
        self.assertIn("unexpected", _found(_GOOD.replace('{"nonce":5555}', '{"nonce":1}')))

    def test_a_failure_that_nobody_asked_for_is_unexpected(self) -> None:
        self.assertIn("unexpected", _found(_GOOD.replace(
            "succeeded 1 0 - ", "failed 3 0 timeout ")))

    def test_a_cancel_that_nobody_asked_for_is_unexpected(self) -> None:
        self.assertIn("unexpected", _found("""
S 1000 l1 task_1 ten_1 omni.training -
A 1010 l1 task_1
F 9000 task_1 cancelled 0 0 - -"""))

    def test_a_job_that_nobody_submitted_is_unexpected(self) -> None:
        self.assertIn("unexpected", _found(_GOOD + "B 1100 77 task_2 ten_1 1 l2\n"))
        self.assertIn("unexpected", _found(_GOOD + "L 9001 task_2 succeeded\n"))

    def test_a_job_that_begins_long_after_its_cancel_ran_though_cancelled(self) -> None:
        cancelled = _GOOD + "C 1011 task_1\nK 1012 task_1\n"
        late = cancelled + "B 9000 77 task_1 ten_1 1 l1\n"
        self.assertEqual(_found(cancelled), set())
        self.assertIn("cancelled ran", _found(late))
        harm = Harm(pauses={77: [Pause(1_015, 8_900)]})
        self.assertNotIn("cancelled ran", _found(late, harm))

    def test_a_second_execution_needs_a_reason(self) -> None:
        self.assertEqual(_found(_twice()), {"duplicate"})
        self.assertEqual(_found(_twice(), Harm(deaths={66: 1_100})), set())
        self.assertEqual(_found(_twice(), Harm(deaths={66: 30_000})), {"duplicate"})

    def test_a_pause_is_a_reason_when_it_is_as_long_as_a_lease(self) -> None:
        harm = Harm(pauses={66: [Pause(1_016, 13_000)]})
        self.assertEqual(_found(_twice("omni.inference"), harm), set())
        self.assertEqual(_found(_twice("omni.training"), harm), {"duplicate"})

    def test_a_broker_that_died_is_a_reason_for_a_lease_that_is_young_and_short(self) -> None:
        for queue, death_ms, found in (("omni.inference", 1_500, set()),
                                       ("omni.inference", 9_000, {"duplicate"}),
                                       ("omni.training", 1_500, {"duplicate"})):
            harm = Harm(broker_deaths=[death_ms])
            self.assertEqual(_found(_twice(queue), harm), found, (queue, death_ms))

    def test_usage_is_that_of_the_committed_completion_once(self) -> None:
        event = "U 1050 1 1 task_1/1/chaos chaos 5555 l1\n"
        for other in ("", event.replace("5555", "4444"),
                      event + event.replace("U 1050 1 1", "U 1051 1 2"),
                      event + event.replace("U 1050 1 1 task_1/1", "U 1051 1 2 task_1/2")):
            self.assertIn("events", _found(_GOOD.replace(event, other)), other)

    def test_a_chain_is_taken_whole_and_runs_in_order(self) -> None:
        child = ("S 1000 l2 task_2 ten_1 omni.training task_1\nB {} 77 task_2 ten_1 1 l2\n"
                 "E 1100 77 task_2 1 failed 6666\nF 9000 task_2 failed 1 0 invalid_request -\n"
                 "U 1101 1 2 task_2/1/chaos chaos 6666 l2\n")
        self.assertEqual(_found(_GOOD + child.format(1_031)), set())
        self.assertIn("unexpected", _found(_GOOD + child.format(1_025)))
        half = "S 1000 l2 task_2 ten_1 omni.training task_1\nF 9000 task_2 not_found 0 0 - -\n"
        self.assertIn("unexpected", _found(_GOOD + half))
        cancelled = half.replace("not_found", "cancelled")
        self.assertIn("unexpected", _found(_GOOD + cancelled))
        failed = (_GOOD.replace("1 done", "1 failed").replace(
            'succeeded 1 0 - {"nonce":5555}', "failed 1 0 invalid_request -")).replace(
            "task_1 succeeded", "task_1 failed")
        self.assertEqual(_found(failed + cancelled), set())

    def test_a_line_that_was_cut_short_is_no_line(self) -> None:
        for text in ("", "B", "B 12", "B 1020 77 task_1", "B 1020 77 task_1 ten_1 1 ", "Z 1 2"):
            self.assertIsNone(parse(text), text)


if __name__ == "__main__":
    unittest.main()
