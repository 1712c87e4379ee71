"""Who may send what through a real relay, and every limit's own answer. Strangers are 127.0.0.2 and
above, for relays whose `relay_from` is 127.0.0.1 alone."""

import os
import sys
import unittest

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "support"))
from main import run_tests  # noqa: E402
from relay import Relay, give_to_daemon, until  # noqa: E402
from sinks import Sink  # noqa: E402

STRANGER = "127.0.0.2"
ONLY_ME = {"relay_from": ["127.0.0.1/32"]}


def write(relay_or_sink, name, text):
    path = os.path.join(relay_or_sink.folder, name)
    with open(path, "w") as file:
        file.write(text)
    os.chmod(path, 0o644)
    give_to_daemon(path)
    return path


class Base(unittest.TestCase):
    def start(self, thing):
        self.addCleanup(thing.__exit__, None, None, None)
        return thing.__enter__()

    def rcpt(self, relay, recipients, source=STRANGER, sender="s@elsewhere.example"):
        """The answers to these recipients of one transaction."""
        with relay.conversation(source) as client:
            client.hello()
            self.assertEqual(client.ask("MAIL FROM:<%s>" % sender)[0], 250)
            return [client.ask("RCPT TO:<%s>" % recipient) for recipient in recipients]


class Access(Base):
    def test_strangers_reach_only_our_domains(self):
        relay = self.start(Relay(to="discard:", listener=ONLY_ME, sections="""[relay]
domains = ["ours.example"]
recipients = "any"
"""))
        cases = {
            "a@ours.example": (250, "2.1.5"), "A@OURS.Example": (250, "2.1.5"), "a@elsewhere.example": (550, "5.7.1"),
            "a@sub.ours.example": (550, "5.7.1"), "a@[127.0.0.1]": (550, "5.7.1"),
            "a%elsewhere.example@ours.example": (None, ""), "elsewhere.example!a@ours.example": (None, ""),
            "@ours.example:a@elsewhere.example": (550, "5.7.1"), '"a@elsewhere.example"@ours.example': (None, ""),
            "postmaster": (250, "2.1.5"), "Postmaster@relay.example.org": (250, "2.1.5"), "nobody.here@relay.example.org": (550, "5.1.1"),
        }
        answers = dict(zip(cases, self.rcpt(relay, cases)))
        for recipient, (code, words) in cases.items():
            with self.subTest(recipient):
                if code is None:  # what looks like a way to somebody else is at least never taken there
                    self.assertGreaterEqual(answers[recipient][0], 550, answers[recipient])
                else:
                    self.assertEqual(answers[recipient][0], code, answers[recipient])
                    self.assertIn(words, answers[recipient][1])
        self.assertEqual(self.rcpt(relay, ["a@elsewhere.example"], source="127.0.0.1")[0][0], 250)
        rejected = relay.wait_for("rejected", client=STRANGER, to="a@elsewhere.example")[0]
        self.assertTrue(rejected["reply"].startswith("550 5.7.1 relaying denied"), rejected)

    def test_a_stranger_without_any_relay_domain_gets_nothing(self):
        relay = self.start(Relay(to="discard:", listener=ONLY_ME))
        self.assertEqual([answer[0] for answer in self.rcpt(relay, ["a@elsewhere.example", "b@[127.0.0.1]"])], [550, 550])

    def test_recipients_are_asked_for_and_the_answer_is_kept(self):
        sink = self.start(Sink("rcpt:bad@*=550 5.1.1 no such user, first 1", "rcpt:slow@*=451 4.7.1 later"))
        relay = self.start(Relay(to=sink.url, top={"threads": 1}, listener=ONLY_ME, sections='[relay]\ndomains = ["ours.example"]\n'))
        recipients = ["good@ours.example", "bad@ours.example", "slow@ours.example", "bad@ours.example", "postmaster@ours.example"]
        answers = self.rcpt(relay, recipients)
        self.assertEqual([code for code, _ in answers], [250, 550, 451, 550, 250], answers)
        # The sink would take bad@ by now, so this no is the one that was kept.
        self.assertEqual(self.rcpt(relay, ["bad@ours.example"])[0][0], 550)
        self.assertEqual(sink.messages(), [])
        sink.stop()
        self.assertEqual(self.rcpt(relay, ["good@ours.example", "bad@ours.example"])[0][0], 250)
        self.assertEqual(self.rcpt(relay, ["other@ours.example"])[0][0], 451)

    def test_clients_that_may_relay_are_not_asked_about(self):
        sink = self.start(Sink("rcpt:bad@*=550 5.1.1 no such user"))
        relay = self.start(Relay(to=sink.url, listener=ONLY_ME, sections='[relay]\ndomains = ["ours.example"]\n'))
        self.assertEqual(self.rcpt(relay, ["bad@ours.example"], source="127.0.0.1")[0][0], 250)

    def test_recipients_in_a_file(self):
        relay = Relay(to="discard:", listener=ONLY_ME)
        path = write(relay, "recipients", "# ours\nGood@ours.example\n@all.example\n")
        relay._sections = '[relay]\ndomains = ["ours.example", "all.example"]\nrecipients = "file:%s"\n' % path
        self.start(relay)
        answers = self.rcpt(relay, ["good@ours.example", "bad@ours.example", "x@all.example", "postmaster@ours.example"])
        self.assertEqual([code for code, _ in answers], [250, 550, 250, 250], answers)

    def test_local_addresses_go_through_aliases(self):
        sink = self.start(Sink())
        relay = Relay(to=sink.url, listener=ONLY_ME)
        path = write(relay, "aliases", "root: admin@a.example, Ops\nops: ops@b.example\ncron: root\n")
        relay._sections = '[local]\ndomains = ["here.example", "localhost"]\naliases = "%s"\n' % path
        self.start(relay)
        answers = self.rcpt(relay, ["cron@here.example", "ROOT@localhost", "root", "nobody@here.example"])
        self.assertEqual([code for code, _ in answers[:2] + answers[3:]], [250, 250, 550], answers)
        relay.submit("", ["cron@here.example", "postmaster@here.example"])
        until(lambda: sum(len(e["recipients"]) for e, _ in sink.messages()) == 3, "three recipients")
        self.assertEqual(sorted(r for e, _ in sink.messages() for r in e["recipients"]),
                         ["admin@a.example", "ops@b.example", "postmaster@admin.example"])

    def test_without_a_postmaster_the_answer_says_what_to_set(self):
        relay = Relay(to="discard:", top={"postmaster": None})
        path = write(relay, "aliases", "root: admin@a.example\n")
        relay._sections = '[local]\naliases = "%s"\n' % path
        self.start(relay)
        (code, text), = self.rcpt(relay, ["postmaster"])
        self.assertEqual(code, 550)
        self.assertIn("postmaster", text)


class Limits(Base):
    def test_connections_of_one_client(self):
        relay = self.start(Relay(to="discard:", listener={"connections": 2}))
        with relay.conversation() as one, relay.conversation() as two:
            one.hello()
            two.hello()
            with relay.conversation() as three:
                code, text = three.reply()
                self.assertEqual(code, 421)
                self.assertIn("your address", text)
                self.assertTrue(three.is_closed())
            with relay.conversation("127.0.0.3") as other:
                other.hello()
            one.ask("QUIT")

        def greeted():
            with relay.conversation() as again:
                return again.reply()[0] == 220
        until(greeted, "a place for another connection")

    def test_connections_in_all(self):
        relay = self.start(Relay(to="discard:", sections="[limits]\nconnections_in = 2\n"))
        with relay.conversation("127.0.0.2") as one, relay.conversation("127.0.0.3") as two:
            one.hello()
            two.hello()
            with relay.conversation("127.0.0.4") as three:
                self.assertEqual(three.reply()[0], 421)

    def test_messages_at_a_rate(self):
        relay = self.start(Relay(to="discard:", listener={"rate": "3/min"}))
        codes = []
        with relay.conversation() as client:
            client.hello()
            for _ in range(4):
                codes.append(client.ask("MAIL FROM:<a@example.org>"))
                client.ask("RSET")
        self.assertEqual([code for code, _ in codes], [250, 250, 250, 450])
        self.assertIn("4.7.1", codes[3][1])
        with relay.conversation("127.0.0.3") as other:
            other.hello()
            self.assertEqual(other.ask("MAIL FROM:<a@example.org>")[0], 250)

    def test_size_while_the_message_comes_in(self):
        relay = self.start(Relay(to="discard:", listener={"max_message_size": "64K"}))
        with relay.conversation() as client:
            client.hello()
            self.assertEqual(client.ask("MAIL FROM:<a@example.org> SIZE=64001")[0], 552)
            for size, code in ((70000, 552), (60000, 250)):
                for line in ("MAIL FROM:<a@example.org>", "RCPT TO:<b@example.net>", "DATA"):
                    self.assertLess(client.ask(line)[0], 400)
                client.send(b"Subject: x\r\n\r\n" + (b"x" * 98 + b"\r\n") * (size // 100) + b".\r\n")
                answer = client.reply()
                self.assertEqual(answer[0], code, answer)
        self.assertEqual(relay.wait_for("rejected", what="content")[0]["reason"], "message too big")

    def test_recipients(self):
        relay = self.start(Relay(to="discard:", listener={"max_recipients": 100}))
        answers = self.rcpt(relay, ["r%d@example.net" % i for i in range(102)])
        self.assertEqual([code for code, _ in answers], [250] * 100 + [452] * 2)
        self.assertIn("4.5.3", answers[-1][1])

    def test_commands_and_errors(self):
        relay = self.start(Relay(to="discard:"))
        for command, most, words in (("NOOP", 2100, "too many commands"), ("NONSENSE", 60, "too many errors")):
            with self.subTest(command), relay.conversation() as client:
                client.hello()
                client.send((command + "\r\n") * most)
                count = 0
                while True:
                    code, text = client.reply()
                    if code in (421, None):
                        break
                    count += 1
                self.assertEqual(code, 421)
                self.assertIn(words, text)
                self.assertLess(count, most)

    def test_a_line_that_does_not_end(self):
        relay = self.start(Relay(to="discard:"))
        with relay.conversation() as client:
            client.hello()
            client.send(b"NOOP " + b"x" * 5000 + b"\r\nNOOP\r\n")
            self.assertEqual(client.reply()[0], 500)
            self.assertEqual(client.reply()[0], 250)

    def test_who_talks_before_the_greeting_is_sent_away(self):
        relay = self.start(Relay(to="discard:", listener=ONLY_ME))
        with relay.conversation(STRANGER) as client:
            client.send("EHLO eager.example\r\nMAIL FROM:<a@example.org>\r\n")
            code, text = client.reply()
            self.assertEqual((code, "before the greeting" in text), (554, True), text)
            self.assertTrue(client.is_closed())

    def test_clients_that_vanish_leave_nothing_behind(self):
        relay = self.start(Relay(to="discard:", sections="[limits]\nconnections_in = 20\n"))

        def admitted():
            client = relay.conversation()
            if client.reply()[0] == 220:
                return client
            client.__exit__()
            return None

        for _ in range(5):
            clients = [until(admitted, "a free connection") for _ in range(20)]
            for i, client in enumerate(clients):
                self.assertEqual(client.ask("EHLO client.example")[0], 250)
                if i % 2:
                    client.send(b"MAIL FROM:<a@example.org>\r\nRCPT TO:<b@example.net>\r\nDATA\r\nhalf a mess")
            for client in clients:
                client.__exit__()
        until(admitted, "a free connection").__exit__()
        relay.submit("a@example.org", ["b@example.net"])
        self.assertEqual(len(relay.wait_for("accepted")), 1)


if __name__ == "__main__":
    run_tests()
