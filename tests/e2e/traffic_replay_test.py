"""`rockdove traffic replay` over what a real relay was told: deferrals and refusals of two destinations, asked of
changed profiles with the daemon running and with it stopped."""

import json
import os
import sys
import unittest

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "support"))
from main import run_tests  # noqa: E402
from relay import Relay, run  # noqa: E402
from sinks import Sink  # noqa: E402

IN_USE = """[provider.big]
domains = ["big.example"]
[[provider.big.on]]
reply = '^421 4\\.7\\.0 .*rate'
backoff = "x0.5"
samples = ["421 4.7.0 your rate is high"]
[[default.on]]
reply = '^550 5\\.7\\.1 blocked'
pause = "1h"
samples = ["550 5.7.1 blocked"]
"""

CHANGED = """[provider.big]
domains = ["big.example"]
[[provider.big.on]]
reply = '^421 4\\.7\\.0 .*rate'
pause = "10m"
samples = ["421 4.7.0 your rate is high"]
[[default.on]]
stage = "rcpt"
reply = '^451 4\\.7\\.1 greylisted'
retry_in = "5m"
samples = ["451 4.7.1 greylisted"]
"""


class Replay(unittest.TestCase):
    def start(self, thing):
        self.addCleanup(thing.__exit__, None, None, None)
        return thing.__enter__()

    def file(self, name, text):
        path = os.path.join(self.relay.folder, name)
        with open(path, "w") as file:
            file.write(text)
        return path

    def setUp(self):
        sink = self.start(Sink("rcpt:fast*@*=421 4.7.0 your rate is high", "rcpt:grey*@*=451 4.7.1 greylisted",
                               "rcpt:bad*@*=550 5.7.1 blocked", "rcpt:no*@*=550 5.1.1 no such user"))
        self.relay = self.start(Relay(to=sink.url))
        self.in_use, self.changed = self.file("in_use.toml", IN_USE), self.file("changed.toml", CHANGED)
        body = b"From: a@one.example\r\nSubject: x\r\n\r\nhello\r\n"
        self.relay.submit("a@one.example", ["ok@big.example", "ok@small.example"], body)
        self.grey = self.relay.submit("a@one.example", ["grey@small.example"], body)
        self.relay.wait_for("deferred", 1)
        for recipient in ("bad@small.example", "no@small.example"):
            self.relay.submit("", [recipient], body)  # nobody to report to
        self.relay.wait_for("bounced", 2)
        self.fast = self.relay.submit("a@one.example", ["fast@big.example"], body)
        self.relay.wait_for("deferred", 2)
        self.relay.wait_for("delivered", 2)

    def replay(self, *options, expect=0):
        done = run("traffic", "replay", "--profiles", self.changed, "--against", self.in_use, *options, expect=expect)
        return done.stdout + (done.stderr if expect else "")

    def check(self, *options):
        lines = [json.loads(line) for line in self.replay(*options, "--json").splitlines()]
        total = lines.pop()
        self.assertEqual({name: total[name] for name in ("replies", "caught", "lost", "action", "rule", "provider")},
                         {"replies": 4, "caught": 1, "lost": 1, "action": 1, "rule": 0, "provider": 0})
        self.assertEqual((total["paused"], total["slowed"], total["returned"]),
                         ({"newly": 1, "no_longer": 1}, {"newly": 0, "no_longer": 1}, {"newly": 0, "no_longer": 0}))
        caught, lost, action = lines
        self.assertEqual([line["difference"] for line in lines], ["caught", "lost", "action"])
        self.assertIsNone(caught["in_use"]["rule"])
        self.assertEqual((caught["changed"]["rule"]["file"], caught["changed"]["rule"]["line"]), (self.changed, 7))
        sample, = caught["samples"]
        self.assertEqual((sample["id"], sample["domain"], sample["reply"]),
                         (self.grey + "-1", "small.example", "451 4.7.1 greylisted"))
        self.assertEqual((lost["in_use"]["rule"]["line"], lost["changed"]["rule"]), (7, None))
        self.assertEqual(lost["samples"][0]["reply"], "550 5.7.1 blocked")
        self.assertEqual((action["in_use"]["provider"], action["in_use"]["does"][0], action["changed"]["does"][0]),
                         ("big", "rate x0.5", "pause the provider for 10m"))
        self.assertEqual(action["samples"][0]["id"], self.fast + "-1")

    def test_what_would_differ_is_told_with_the_daemon_and_without_it(self):
        config = ("--config", self.relay.configuration)
        self.check(*config)
        text = self.replay(*config)
        for words in ("1 reply caught by a rule, and by none before", self.changed + ":7  ^451 4\\.7\\.1 greylisted",
                      "3 of 4 replies would be treated differently", "1 newly, 1 no longer"):
            self.assertIn(words, text)
        same = run("traffic", "replay", "--profiles", self.in_use, "--against", self.in_use, *config)
        self.assertEqual(same.stdout, "0 of 4 replies would be treated differently\n")
        self.assertIn("0 of 0 replies", self.replay("--until", "1h", *config))
        self.check("--since", "1h", *config)
        self.relay.stop()
        self.check(*config)
        self.check("--state", self.relay.state_dir)

    def test_questions_that_cannot_be_answered_say_what_to_do(self):
        self.assertIn("2026-11-22", self.replay("--since", "yesterday", expect=2))
        self.assertIn("--profiles is required", run("traffic", "replay", expect=None).stderr)
        broken = self.file("broken.toml", "[provider.big]\nrat = 1\n")
        self.assertIn(broken + ":2:1: error", self.replay("--profiles", broken, expect=1))
        self.assertIn("nowhere", self.replay("--state", self.relay.folder + "/nowhere", expect=1))


if __name__ == "__main__":
    run_tests()
