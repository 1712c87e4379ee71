"""`rockdove trace` and `rockdove stats` over mail that a real relay delivered, deferred and returned: by every
key, with the daemon running, behind a restart, and with the daemon stopped."""

import json
import os
import socket
import sys
import threading
import unittest

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "support"))
from main import run_tests  # noqa: E402
from relay import Relay, until  # noqa: E402
from sinks import Sink  # noqa: E402

ALIASES = "team: x1@alias.example, x2@alias.example\npostmaster: pm@alias.example\n"


def message(number):
    return b"From: a@one.example\r\nMessage-ID: <%d@one.example>\r\nSubject: x\r\n\r\nhello\r\n" % number


def trace(relay, *arguments, expect=0):
    """What `trace --json` finds, as objects."""
    done = relay.command("trace", *arguments, "--json", expect=expect)
    return [json.loads(line) for line in done.stdout.splitlines()]


def ids(relay, *arguments):
    return [found["queue_id"] for found in trace(relay, *arguments) if "queue_id" in found]


class Trace(unittest.TestCase):
    def start(self, thing):
        self.addCleanup(thing.__exit__, None, None, None)
        return thing.__enter__()

    def setUp(self):
        self.sink = self.start(Sink("rcpt:later*@*=451 4.7.1 greylisted", "rcpt:no*@*=550 5.1.1 no such user"))
        aliases = os.path.join(self.sink.folder, "aliases")
        with open(aliases, "w") as file:
            file.write(ALIASES)
        os.chmod(self.sink.folder, 0o755)
        self.relay = self.start(Relay(to=self.sink.url, sections='[local]\naliases = "%s"\n' % aliases))
        self.good = self.relay.submit("a@one.example", ["ok@x.example", "ok2@y.example"], message(1))
        self.waits = self.relay.submit("a@one.example", ["later@y.example"], message(2))
        self.bad = self.relay.submit("b@two.example", ["no@z.example"], message(3))
        self.team = self.relay.submit("a@one.example", ["team@relay.example.org"], message(4))
        self.relay.wait_for("delivered", 5)  # two, the team's two, and the report
        self.relay.wait_for("deferred", 1)
        self.report = self.relay.wait_for("bounced")[0]["report"]

    def look(self):
        """The same with the daemon, behind a restart, and without it."""
        a = [self.team, self.waits, self.good]
        for question, found in (
                ([self.good], [self.good]), ([self.good + "-2"], [self.good]),
                (["--message-id", "<1@one.example>"], [self.good]), (["--message-id", "3@ONE.example"], [self.bad]),
                (["--sender", "a@one.example"], a), (["--sender", "A@ONE.EXAMPLE", "--limit", "2"], a[:2]),
                (["--sender", "<>"], [self.report]), (["--sender", "nobody@one.example"], []),
                (["--recipient", "ok2@y.example"], [self.good]), (["--recipient", "x2@alias.example"], [self.team]),
                (["--recipient", "team@relay.example.org"], [self.team]),
                (["--domain", "y.example"], [self.waits, self.good]),
                (["--domain", "y.example", "--recipient", "later@y.example"], [self.waits]),
                (["--client", "127.0.0.1", "--sender", "b@two.example"], [self.bad]),
                (["--client", "192.0.2.1"], []), (["--since", "1h", "--domain", "z.example"], [self.bad]),
                (["--until", "1h"], [])):
            with self.subTest(question):
                self.assertEqual(ids(self.relay, *question), found)
        self.assertEqual(set(ids(self.relay, "--since", "1h")),
                         {self.good, self.waits, self.bad, self.team, self.report})

    def check_steps(self):
        good, = trace(self.relay, self.good)
        self.assertEqual((good["sender"], good["client"], good["helo"], good["listener"], good["message_id"]),
                         ("a@one.example", "127.0.0.1", "client.example", "main", "<1@one.example>"))
        self.assertGreater(good["message_size"], 50)
        self.assertEqual([(r["address"], r["state"]) for r in good["recipients"]],
                         [("ok@x.example", "delivered"), ("ok2@y.example", "delivered")])
        step, = good["recipients"][0]["steps"]
        self.assertEqual(step["what"], "delivered")
        self.assertTrue(step["reply"].startswith("250"), step)
        self.assertIn("127.0.0.1", step["host"])
        waits, = trace(self.relay, self.waits)
        self.assertEqual(waits["recipients"][0]["state"], "waiting")
        self.assertEqual([(s["what"], s["attempts"]) for s in waits["recipients"][0]["steps"]], [("deferred", 1)])
        # Into the bounce and out again.
        bad, = trace(self.relay, self.bad)
        step = bad["recipients"][0]["steps"][-1]
        self.assertEqual((step["what"], step["report"], step["status"]), ("bounced", self.report, "5.1.1"))
        report, = bad["reports"]
        self.assertEqual((report["queue_id"], report["about"], report["kind"]), (self.report, self.bad, "report"))
        self.assertEqual((report["recipients"][0]["address"], report["recipients"][0]["state"]),
                         ("b@two.example", "delivered"))
        # Asked for one recipient, the other is only counted.
        one, = trace(self.relay, "--recipient", "ok2@y.example")
        self.assertEqual(([r["address"] for r in one["recipients"]], one["recipients_left_out"]), (["ok2@y.example"], 1))
        text = self.relay.command("trace", self.bad).stdout
        for words in ("from <b@two.example>", "accepted from client.example [127.0.0.1]", "bounced", "550 5.1.1 no such user",
                      "(report " + self.report, "a report about " + self.bad):
            self.assertIn(words, " ".join(text.split()))

    def check_stats(self):
        done = self.relay.command("stats", "--by", "destination", "--json")
        lines = {line["name"]: line for line in map(json.loads, done.stdout.splitlines()) if "total" not in line}
        self.assertEqual({name: (line["accepted"], line["delivered"], line["deferred"], line["bounced"], line["waiting"])
                          for name, line in lines.items()},
                         {"x.example": (1, 1, 0, 0, 0), "y.example": (2, 1, 1, 0, 1), "z.example": (1, 0, 0, 1, 0),
                          "alias.example": (1, 2, 0, 0, 0), "two.example": (1, 1, 0, 0, 0)})
        self.assertIn("delay_p99", lines["x.example"])
        text = self.relay.command("stats", "--by", "sender").stdout
        for words in ("ACCEPTED", "a@one.example", "<>", "(all)"):
            self.assertIn(words, text)

    def test_every_question_is_answered_before_and_after_a_restart_and_without_a_daemon(self):
        self.look()
        self.check_steps()
        self.check_stats()
        self.relay.stop()
        self.look()
        self.check_steps()
        self.check_stats()
        self.relay.start()
        self.look()
        self.relay.kill()
        self.relay.start()
        self.look()
        self.check_steps()

    def test_questions_that_cannot_be_answered_say_what_to_do(self):
        for question, words in ((["--sender", "*@one.example"], "domain"), ([], "say which messages"), (["nonsense"], "no id"),
                                (["--since", "yesterday"], "2026-11-22"), (["--client", "10.0.0.0/8"], "no address"),
                                (["--sender", "a@b", "--limit", "0"], "limit")):
            with self.subTest(question):
                self.assertIn(words, self.relay.command("trace", *question, expect=2).stderr)
        self.assertIn("by is hour", self.relay.command("stats", "--by", "moon", expect=2).stderr)
        self.assertIn("Nothing is known", self.relay.command("trace", "--recipient", "nobody@x.example").stdout)


class Mailboxes:
    """An LMTP server for one connection, which has words of its own for each recipient."""

    def __enter__(self):
        self.listener = socket.create_server(("127.0.0.1", 0))
        self.thread = threading.Thread(target=self.serve, daemon=True)
        self.thread.start()
        return self

    def __exit__(self, *_):
        self.listener.close()
        self.thread.join(10)

    @property
    def url(self):
        return "lmtp://127.0.0.1:%d" % self.listener.getsockname()[1]

    def serve(self):
        try:
            connection, _ = self.listener.accept()
        except OSError:
            return
        with connection, connection.makefile("rwb", buffering=0) as wire:
            wire.write(b"220 boxes LMTP\r\n")
            recipients = []
            for line in wire:
                verb = line[:4].upper().strip()
                if verb == b"LHLO":
                    wire.write(b"250-boxes\r\n250 PIPELINING\r\n")
                elif verb == b"DATA":
                    wire.write(b"354 go on\r\n")
                    while next(wire) != b".\r\n":
                        pass
                    for recipient in recipients:
                        wire.write(b"250 2.1.5 %s saved\r\n" % recipient)
                    recipients = []
                else:
                    if verb == b"RCPT":
                        recipients.append(line[line.index(b"<") + 1:line.index(b">")])
                    wire.write(b"221 bye\r\n" if verb == b"QUIT" else b"250 ok\r\n")


class Words(unittest.TestCase):
    def test_each_mailbox_has_its_own_words(self):
        with Mailboxes() as boxes, Relay(to=boxes.url) as relay:
            recipients = ["one@x.example", "two@x.example", "three@x.example"]
            sent = relay.submit("a@one.example", recipients)
            relay.wait_for("delivered", 3)
            found = until(lambda: [one for one in trace(relay, sent) if all(r["state"] == "delivered" for r in one["recipients"])],
                          "the ends of " + sent)[0]
            self.assertEqual({r["address"]: [s["reply"] for s in r["steps"]] for r in found["recipients"]},
                             {one: ["250 2.1.5 %s saved" % one] for one in recipients})


class Off(unittest.TestCase):
    def test_without_history_only_what_waits_is_known(self):
        with Sink("rcpt:later*@*=451 4.7.1 greylisted") as sink, \
                Relay(to=sink.url, sections='[history]\nkeep = "off"\n') as relay:
            gone = relay.submit("a@one.example", ["ok@x.example"])
            waits = relay.submit("a@one.example", ["later@x.example"])
            relay.wait_for("delivered")
            relay.wait_for("deferred")
            until(lambda: [e["queue_id"] for e in relay.queue("list")] == [waits], "the end of " + gone)
            self.assertEqual(ids(relay, "--sender", "a@one.example"), [waits])
            self.assertEqual(ids(relay, gone), [])


if __name__ == "__main__":
    run_tests()
