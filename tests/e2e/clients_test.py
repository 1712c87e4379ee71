"""Mail through a real relay: swaks, curl and smtplib hand it in; `rockdove sink`, Postfix's smtp-sink
and a real Postfix take it. What arrives is what was sent, octet for octet, behind our Received line."""

import os
import subprocess
import sys
import tempfile
import unittest

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "support"))
from main import run_tests  # noqa: E402
from relay import Relay, until  # noqa: E402
from sinks import Postfix, Sink, SmtpSink  # noqa: E402

HEADER = b"From: a@example.org\r\nDate: Sat, 21 Nov 2026 10:00:00 +0000\r\nMessage-ID: <1@example.org>\r\n"


def without_received(message):
    """The message behind the Received field that the relay put on top."""
    lines = message.split(b"\r\n")
    assert lines[0].startswith(b"Received: from client.example"), message[:200]
    end = 1
    while lines[end].startswith((b"\t", b" ")):
        end += 1
    return b"\r\n".join(lines[end:])


def as_data(message):
    """As it goes over the wire: dots doubled, CRLF "." CRLF behind it."""
    stuffed = message.replace(b"\r\n.", b"\r\n..")
    if stuffed.startswith(b"."):
        stuffed = b"." + stuffed
    if stuffed and not stuffed.endswith(b"\r\n"):
        stuffed += b"\r\n"
    return stuffed + b".\r\n"


class Bodies(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.sink = Sink()
        cls.addClassCleanup(cls.sink.__exit__)
        cls.relay = Relay(to=cls.sink.url)
        cls.addClassCleanup(cls.relay.__exit__)
        cls.relay.start()

    def send_raw(self, message, recipient="b@example.net", mail="MAIL FROM:<a@example.org>"):
        """(code, text) of the answer to this content."""
        with self.relay.conversation() as client:
            client.hello()
            self.assertEqual(client.ask(mail)[0], 250)
            self.assertEqual(client.ask("RCPT TO:<%s>" % recipient)[0], 250)
            self.assertEqual(client.ask("DATA")[0], 354)
            client.send(as_data(message))
            return client.reply()

    def arrived(self, answer):
        """What the sink got of the message that was answered with this."""
        self.assertEqual(answer[0], 250, answer)
        ident = answer[1].rpartition(" ")[2].encode()
        return until(lambda: next((raw for _, raw in self.sink.messages() if b"with ESMTP id " + ident in raw[:1000]), None),
                     lambda: "the message %s\n%s" % (ident, self.relay.said()))

    def test_bodies_arrive_octet_for_octet(self):
        bodies = {
            "dots": b".\r\n..\r\n.a\r\na.\r\n\r\n.\r\n",
            "a long line": b"x" * 990 + b"\r\n",
            "a very long line": b"y" * 60000 + b"\r\n",
            "eight bits": bytes(range(128, 256)) * 3 + b"\r\n\xff\xfe\r\n",
            "control characters": bytes(c for c in range(1, 32) if c not in (10, 13)) + b"\x7f\r\n",
            "empty lines": b"\r\n" * 50,
            "nothing": b"",
            "300 KiB": b"".join(b"%06d " % i + b"z" * 60 + b"\r\n" for i in range(4444)),
            "just a chunk": (b"c" * 62 + b"\r\n") * 4096,
            "5 MB": b"".join(b"%07d.%s\r\n" % (i, b"." * (i % 70)) for i in range(115000)),
        }
        for name, body in bodies.items():
            with self.subTest(name):
                message = HEADER + b"Subject: " + name.encode() + b"\r\n\r\n" + body
                self.assertEqual(without_received(self.arrived(self.send_raw(message))), message)

    def test_what_only_has_a_header_arrives(self):
        message = HEADER + b"Subject: only a header\r\n"
        self.assertIn(without_received(self.arrived(self.send_raw(message))), (message, message + b"\r\n"))

    def test_a_body_without_a_header_gets_an_empty_line_before_it(self):
        raw = without_received(self.arrived(self.send_raw(b"hello there\r\nno header here\r\n")))
        header, _, body = raw.partition(b"\r\n\r\n")
        self.assertEqual(body, b"hello there\r\nno header here\r\n")
        self.assertIn(b"Date: ", header)
        self.assertIn(b"Message-ID: <", header)

    def test_a_message_of_no_octets_gets_date_and_message_id(self):
        raw = without_received(self.arrived(self.send_raw(b"")))
        self.assertIn(b"Date: ", raw)
        self.assertIn(b"@relay.example.org>\r\n", raw)

    def test_nul_and_bare_line_ends_are_refused_and_the_session_goes_on(self):
        for what, body in (("NUL octet", b"a\0b\r\n"), ("line feed", b"a\nb\r\n"), ("carriage return", b"a\rb\r\n")):
            with self.subTest(what), self.relay.conversation() as client:
                client.hello()
                for content, code in ((HEADER + b"\r\n" + body, 554), (HEADER + b"\r\nfine\r\n", 250)):
                    self.assertEqual(client.ask("MAIL FROM:<a@example.org>")[0], 250)
                    self.assertEqual(client.ask("RCPT TO:<b@example.net>")[0], 250)
                    self.assertEqual(client.ask("DATA")[0], 354)
                    client.send(as_data(content))
                    answer = client.reply()
                    self.assertEqual(answer[0], code, answer)
                    if code == 554:
                        self.assertIn(what, answer[1])

    def test_only_crlf_dot_crlf_ends_a_message(self):
        for end in (b"\n.\n", b"\r\n.\n", b"\n.\r\n", b"\r.\r"):
            with self.subTest(end), self.relay.conversation() as client:
                client.hello()
                for line in ("MAIL FROM:<a@example.org>", "RCPT TO:<b@example.net>", "DATA"):
                    self.assertLess(client.ask(line)[0], 400)
                client.send(HEADER + b"\r\nfirst" + end + b"MAIL FROM:<smuggled@example.org>\r\nRCPT TO:<b@example.net>\r\n"
                            b"DATA\r\n\r\nsmuggled\r\n.\r\nQUIT\r\n")
                self.assertEqual(client.reply()[0], 554)
                self.assertEqual(client.reply()[0], 221)
        self.assertEqual([e for e, _ in self.sink.messages() if e["sender"] == "smuggled@example.org"], [])

    def test_a_burst_of_pipelined_commands_is_answered_in_order(self):
        with self.relay.conversation() as client:
            self.assertIn("PIPELINING", client.hello())
            client.send(b"".join(b"MAIL FROM:<p%d@example.org>\r\nRCPT TO:<b@example.net>\r\nRCPT TO:<nonsense\r\nDATA\r\n" % i +
                                 b"" for i in range(1)))
            self.assertEqual([client.reply()[0] for _ in range(4)], [250, 250, 501, 354])
            client.send(HEADER + b"\r\none\r\n.\r\nRSET\r\nNOOP\r\nMAIL FROM:<q@example.org>\r\nRSET\r\nVRFY b\r\nHELP\r\n"
                        b"DATA\r\nNONSENSE\r\nQUIT\r\n")
            self.assertEqual([client.reply()[0] for _ in range(10)],
                             [250, 250, 250, 250, 250, 252, 214, 503, 500, 221])
            self.assertTrue(client.is_closed())

    def test_size_is_told_and_kept(self):
        with self.relay.conversation() as client:
            self.assertIn("SIZE 50000000", client.hello())
            self.assertEqual(client.ask("MAIL FROM:<a@example.org> SIZE=50000001")[0], 552)
            self.assertEqual(client.ask("MAIL FROM:<a@example.org> SIZE=50000000")[0], 250)


class LineEndings(unittest.TestCase):
    def test_fix_makes_crlf_of_bare_line_ends_and_counts_them(self):
        with Sink() as sink, Relay(to=sink.url, listener={"line_endings": "fix"}) as relay, relay.conversation() as client:
            client.hello()
            for line in ("MAIL FROM:<a@example.org>", "RCPT TO:<b@example.net>", "DATA"):
                self.assertLess(client.ask(line)[0], 400)
            client.send(HEADER.replace(b"\r\n", b"\n") + b"\none\rtwo\n.\nthree\r\n.\r\n")
            self.assertEqual(client.reply()[0], 250)
            (_, raw), = sink.wait()
            self.assertEqual(without_received(raw), HEADER + b"\r\none\r\ntwo\r\n.\r\nthree\r\n")
            fixed, = relay.wait_for("line endings fixed")
            self.assertEqual(fixed["count"], 7)


class Clients(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.sink = Sink()
        cls.addClassCleanup(cls.sink.__exit__)
        cls.relay = Relay(to=cls.sink.url)
        cls.addClassCleanup(cls.relay.__exit__)
        cls.relay.start()

    def arrived(self, subject):
        text = b"Subject: " + subject.encode() + b"\r\n"
        return until(lambda: next(((e, raw) for e, raw in self.sink.messages() if text in raw), None), subject)

    def test_smtplib_sends_eight_bits_to_many_recipients(self):
        recipients = ["r%d@d%d.example" % (i, i % 10) for i in range(300)]
        with self.relay.client() as client:
            refused = client.sendmail("a@example.org", recipients,
                                      "Subject: many\r\n\r\näöü\r\n".encode(), mail_options=["BODY=8BITMIME"])
        self.assertEqual(refused, {})
        self.relay.wait_for("accepted", recipients=300)
        self.relay.wait_for("delivered", 300)
        envelopes = [e for e, raw in self.sink.messages() if b"Subject: many\r\n" in raw]
        self.assertEqual(sorted(r for e in envelopes for r in e["recipients"]), sorted(recipients))
        self.assertIn("äöü".encode(), self.arrived("many")[1])

    def test_null_sender_and_quoted_local_parts_stay_as_they_are(self):
        for sender, recipient in (("", "b@example.net"), ('"a b"@example.org', '"x y@z"@example.net'),
                                  ("a+b=c@example.org", '"q\\"uote"@example.net')):
            with self.subTest(recipient), self.relay.conversation() as client:
                client.hello()
                self.assertEqual(client.ask("MAIL FROM:<%s>" % sender)[0], 250)
                self.assertEqual(client.ask("RCPT TO:<%s>" % recipient)[0], 250)
                self.assertEqual(client.ask("DATA")[0], 354)
                subject = "quoted %d" % len(sender + recipient)
                client.send("Subject: %s\r\n\r\nx\r\n.\r\n" % subject)
                self.assertEqual(client.reply()[0], 250)
                envelope, _ = self.arrived(subject)
                self.assertEqual((envelope["sender"], envelope["recipients"]), (sender, [recipient]))

    def test_helo_without_extensions_works(self):
        with self.relay.conversation() as client:
            client.reply()
            self.assertEqual(client.ask("HELO old.example"), (250, "relay.example.org"))
            for line in ("MAIL FROM:<a@example.org>", "RCPT TO:<b@example.net>", "DATA"):
                self.assertLess(client.ask(line)[0], 400)
            client.send(b"Subject: by helo\r\n\r\nx\r\n.\r\n")
            self.assertEqual(client.reply()[0], 250)
        self.assertIn(b" with SMTP id ", self.arrived("by helo")[1])

    def test_swaks_and_curl(self):
        with tempfile.NamedTemporaryFile("w", suffix=".eml") as file:
            file.write("Subject: by curl\r\n\r\n.hidden\r\n")
            file.flush()
            subprocess.run(["curl", "-sS", "smtp://127.0.0.1:%d/client.example" % self.relay.port, "--mail-from",
                            "s@example.org", "--mail-rcpt", "t@example.net", "--mail-rcpt", "u@example.net", "-T", file.name],
                           check=True, timeout=60)
        envelope, raw = self.arrived("by curl")
        self.assertEqual(sorted(envelope["recipients"]), ["t@example.net", "u@example.net"])
        self.assertTrue(raw.endswith(b"\r\n\r\n.hidden\r\n"), raw)
        for options in ((), ("--pipeline",), ("--body", "a\n.\nb", "--attach", "@" + os.path.abspath(__file__))):
            subject = "by swaks %d" % len(options)
            done = subprocess.run(["swaks", "--server", "127.0.0.1", "--port", str(self.relay.port), "--from", "s@example.org",
                                   "--to", "t@example.net,u@example.net", "--header", "Subject: " + subject, *options],
                                  timeout=60, capture_output=True, text=True)
            self.assertEqual(done.returncode, 0, done.stdout + done.stderr)
            self.assertEqual(self.arrived(subject)[0]["sender"], "s@example.org")

    def test_rockdove_send_shows_the_id(self):
        from relay import run
        done = run("send", "--server", "127.0.0.1:%d" % self.relay.port, "--from", "a@example.org", "--to", "b@example.net",
                   "--subject", "by ourselves", "--body", "hello", "-v")
        self.assertRegex(done.stdout + done.stderr, "queued as [0-9A-Za-z]{12}")
        self.arrived("by ourselves")


class NextHops(unittest.TestCase):
    MESSAGE = HEADER + b"Subject: onward\r\n\r\n.dot\r\n\xe4\r\n" + b"l" * 900 + b"\r\n..\r\n"

    def test_smtp_sink_takes_it(self):
        with SmtpSink() as sink, Relay(to=sink.url) as relay:
            for i in range(5):
                relay.submit("a@example.org", ["b%d@example.net" % i, "c@example.net"], self.MESSAGE)
            relay.wait_for("delivered", 10)
            text = sink.text()
            self.assertEqual(text.count(b"Subject: onward"), 5)
            self.assertEqual(text.count(b"\n.dot\n\xe4\n" + b"l" * 900 + b"\n..\n"), 5)

    def test_smtp_sink_without_esmtp_and_pipelining_takes_it(self):
        for options in (["-e"], ["-p"], ["-8"], ["-E"]):
            with self.subTest(options), SmtpSink(*options) as sink, Relay(to=sink.url) as relay:
                relay.submit("a@example.org", ["b@example.net"], HEADER + b"\r\nplain\r\n")
                relay.wait_for("delivered")
                self.assertIn(b"\nplain\n", sink.text())

    def test_smtp_sink_that_defers_is_asked_again(self):
        with SmtpSink("-r", "RCPT") as sink, Relay(to=sink.url, retry=["1s"]) as relay:
            relay.submit("a@example.org", ["b@example.net"])
            first, second = relay.wait_for("deferred", 2)[:2]
            self.assertEqual((first["attempts"], second["attempts"]), (1, 2))
            self.assertEqual(first["stage"], "RCPT")

    @unittest.skipUnless(Postfix.is_possible(), "needs root and Debian's package postfix")
    def test_postfix_takes_it(self):
        with Postfix() as postfix, Relay(to=postfix.url) as relay:
            sent = {}
            for subject, body in ((b"small", b".dot\r\n\xe4\r\n\r\n..\r\n"), (b"large", b"0123456789" * 90 + b"\r\n" + b"k" * 70 + b"\r\n"),
                                  (b"huge", (b"m" * 76 + b"\r\n") * 30000)):
                message = HEADER + b"Subject: " + subject + b"\r\n\r\n" + body
                relay.submit("a@example.org", ["b@example.net", '"c d"@example.net'], message)
                sent[subject] = message
            relay.wait_for("delivered", 6)
            kept = until(lambda: postfix.messages() if len(postfix.messages()) == 3 else None, postfix.log)
            for envelope, raw in kept:
                self.assertIn("sender: a@example.org\n", envelope)
                self.assertIn("recipient: b@example.net\n", envelope)
                subject = raw.split(b"Subject: ", 1)[1].split(b"\n", 1)[0]
                end = raw.index(b"From: a@example.org")
                self.assertEqual(raw[end:], sent.pop(subject).replace(b"\r\n", b"\n"))
            self.assertEqual(sent, {})


if __name__ == "__main__":
    run_tests()
