#!/usr/bin/python3
"""Tests how contrib/bench/kill judges, and that it tells a relay that syncs from one that does not."""
import importlib.machinery
import importlib.util
import os
import shutil
import subprocess
import sys
import unittest

HERE = os.path.dirname(os.path.abspath(__file__))
KILL = os.path.join(HERE, "..", "..", "..", "contrib", "bench", "kill")
sys.dont_write_bytecode = True
LOADER = importlib.machinery.SourceFileLoader("kill", KILL)
kill = importlib.util.module_from_spec(importlib.util.spec_from_loader("kill", LOADER))
LOADER.exec_module(kill)

WINDOW = 1.0
A, B = (1, "r0.1@dest.test"), (2, "r0.2@dest.test")


class FakeClient:
    def __init__(self, *expected):
        self._expected = list(expected)

    def expected(self):
        return self._expected

    def acknowledged(self):
        return len(self._expected)


class FakeCapture:
    def __init__(self, arrivals, damaged=0):
        self._arrivals, self._damaged = arrivals, damaged

    def arrivals(self):
        return self._arrivals

    def damaged(self):
        return self._damaged


class Judgement(unittest.TestCase):
    def judge(self, arrivals, stops=(), expected=(A,), damaged=0):
        return kill.judge(FakeClient(*expected), FakeCapture(arrivals, damaged), list(stops), WINDOW)

    def assert_wrong(self, about, judgement):
        self.assertTrue(any(about in line for line in judgement[1]), judgement)

    def test_what_arrived_once_is_right(self):
        self.assertEqual(self.judge({A: [(0.0, 1.0)]})[1], [])

    def test_what_was_acknowledged_and_never_arrived_is_wrong(self):
        self.assert_wrong("never arrived", self.judge({A: [(0.0, 1.0)]}, expected=(A, B)))

    def test_what_arrived_damaged_is_wrong(self):
        self.assert_wrong("damaged", self.judge({A: [(0.0, 1.0)]}, damaged=1))

    def test_a_second_copy_without_a_stop_is_wrong(self):
        self.assert_wrong("for no reason", self.judge({A: [(0.0, 1.0), (0.0, 2.0)]}))

    def test_a_second_copy_of_what_was_on_its_way_at_a_stop_is_right(self):
        many = [(n, "x") for n in range(100)]
        arrivals = {key: [(0.0, 1.0)] for key in many} | {many[0]: [(0.0, 1.0), (3.0, 4.0)]}
        for stop in (0.9, 1.0, 1.9):  # the octets may be read after the stop
            self.assertEqual(self.judge(arrivals, [(stop, "crash")], many)[1], [])

    def test_a_second_copy_of_what_was_answered_long_before_the_stop_is_wrong(self):
        self.assert_wrong("for no reason", self.judge({A: [(0.0, 1.0), (5.0, 6.0)]}, [(2.5, "crash")]))

    def test_a_second_copy_over_a_connection_made_after_the_stop_is_wrong(self):
        self.assert_wrong("for no reason", self.judge({A: [(3.0, 4.0), (5.0, 6.0)]}, [(2.5, "crash")]))

    def test_more_than_two_percent_of_second_copies_is_wrong(self):
        self.assert_wrong("at most 2 %", self.judge({A: [(0.0, 1.0), (3.0, 4.0)]}, [(1.5, "crash")]))

    def test_what_is_on_hold_is_found_in_any_shape_of_the_summary(self):
        self.assertEqual(kill.on_hold('{"waiting": 3, "held": 2}\n'), 2)
        self.assertEqual(kill.on_hold('{"state": "held", "deliveries": 4}\n{"state": "waiting", "deliveries": 9}\n'), 4)
        self.assertEqual(kill.on_hold('{"waiting": 3, "held": 0}\n'), 0)


class WholeRuns(unittest.TestCase):
    def run_kill(self, *options):
        relay = f"/usr/bin/python3 {os.path.join(HERE, 'journal_relay.py')} {{port}} {{sink}} {{state}}"
        return subprocess.run([KILL, "--relay-command", " ".join([relay, *options]), "--messages", "600", "--stops", "4",
                               "--quiet-s", "3", "--twice-max", "20"], capture_output=True, text=True, timeout=120, check=False)

    def test_a_relay_that_syncs_passes_and_its_losses_without_syncs_are_noticed(self):
        result = self.run_kill()
        self.assertEqual(result.returncode, 0, result.stdout + result.stderr)
        self.assertIn("losses were noticed", result.stdout)

    def test_a_relay_that_does_not_sync_fails(self):
        result = self.run_kill("--no-sync")
        folder = next(line.split(": ")[1] for line in result.stdout.splitlines() if line.startswith("kept: "))
        shutil.rmtree(folder)
        self.assertEqual(result.returncode, 1, result.stdout + result.stderr)
        self.assertIn("never arrived", result.stdout)


if __name__ == "__main__":
    unittest.main()
