"""`rockdove queue show` on a real relay: envelope, attempts, the header decoded, the body and the octets of small
and large messages, with the daemon running and stopped; and what strangers write to frighten a terminal."""

import os
import pty
import re
import subprocess
import sys
import unittest

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "support"))
import relay as relay_module  # noqa: E402
from main import run_tests  # noqa: E402
from relay import Relay  # noqa: E402
from sinks import Sink  # noqa: E402

MIXED = b"""From: =?utf-8?B?SsO2cmcgw4Q=?= <a@one.example>\r
To: b@x.example\r
Subject: =?iso-8859-1?Q?Gr=FC=DFe?=\r
 =?utf-8?Q?_aus_K=C3=B6ln?= \x1b]0;owned\x07\r
Date: Sun, 22 Nov 2026 07:00:00 +0000\r
Message-ID: <1@one.example>\r
MIME-Version: 1.0\r
Content-Type: multipart/mixed; boundary="cut here"\r
\r
--cut here\r
Content-Type: text/plain; charset=utf-8\r
\r
Dear \x1b[31mreader\x1b[0m,\r
gr\xc3\xbc\xc3\x9fe \xc2\x9b2J\r
--cut here\r
Content-Type: application/octet-stream; name=x.bin\r
Content-Transfer-Encoding: base64\r
\r
AAECAwQFBgcICQ==\r
--cut here--\r
"""


class Show(unittest.TestCase):
    def setUp(self):
        self.sink = Sink("rcpt:*=451 4.3.2 busy \x01 \x1b[2J")
        self.sink.__enter__()
        self.addCleanup(self.sink.__exit__)
        self.relay = Relay(to=self.sink.url)
        self.relay.__enter__()
        self.addCleanup(self.relay.__exit__)

    def submit(self, message):
        ident = self.relay.submit("a@one.example", ["b@x.example"], message)
        self.relay.wait_for("deferred", id=ident + "-1")
        return ident

    def show(self, *arguments):
        """What is printed, as octets."""
        done = subprocess.run([relay_module.ROCKDOVE, "queue", "show", *arguments, "--config", self.relay.configuration],
                              capture_output=True, timeout=60)
        self.assertEqual(done.returncode, 0, done.stderr)
        return done.stdout

    def assert_harmless(self, octets):
        text = octets.decode()  # it is UTF-8
        self.assertEqual(re.findall("[\x00-\x08\x0b-\x1f\x7f-\x9f]", text.replace("\r\n", "\n")), [])
        return text

    def look(self, ident):
        page = self.assert_harmless(self.show(ident))
        for words in ("Message   " + ident, "Sender    a@one.example", "b@x.example", "deferred", "451 4.3.2 busy",
                      "From: Jörg Ä <a@one.example>", "Subject: Grüße aus Köln ?]0;owned?", "more: --headers",
                      "Dear ?[31mreader?[0m,", "grüße ?2J", "[application/octet-stream, base64: 18 octets that are no text]"):
            self.assertIn(words, page)
        headers = self.assert_harmless(self.show(ident, "--headers"))
        self.assertIn("Received:", headers)
        self.assertIn('Content-Type: multipart/mixed; boundary="cut here"\n', headers)
        self.assertNotIn("Dear", headers)
        body = self.assert_harmless(self.show(ident, "--body"))
        self.assertIn("Dear", body)
        self.assertNotIn("Subject", body)
        raw = self.show(ident, "--raw")
        self.assertTrue(raw.endswith(MIXED), raw)
        self.assertTrue(raw.startswith(b"Received: "), raw)
        entry, = self.relay.queue("show", ident)
        self.assertIn({"name": "From", "value": "Jörg Ä <a@one.example>"}, entry["message"]["header"])

    def test_a_message_is_shown_by_the_running_daemon_and_without_it(self):
        ident = self.submit(MIXED)
        self.look(ident)
        self.relay.stop()
        self.look(ident)

    def test_the_octets_on_a_terminal_are_harmless(self):
        ident = self.submit(MIXED)
        master, slave = pty.openpty()
        process = subprocess.Popen([relay_module.ROCKDOVE, "queue", "show", "--raw", ident, "--config", self.relay.configuration],
                                   stdout=slave, stdin=slave, stderr=slave)
        os.close(slave)
        said = b""
        while True:
            try:
                octets = os.read(master, 65536)
            except OSError:  # the other end has closed
                break
            if not octets:
                break
            said += octets
        os.close(master)
        self.assertEqual(process.wait(60), 0)
        self.assertIn("Dear ?[31mreader", self.assert_harmless(said))

    def test_a_large_body_streams_and_its_page_is_short(self):
        line = b"0123456789" * 7 + b"\r\n"
        large = b"Subject: large\r\nDate: Sun, 22 Nov 2026 07:00:00 +0000\r\nMessage-ID: <2@one.example>\r\n\r\n" + line * 40_000  # 2.9 MB: a dozen chunks
        ident = self.submit(large)
        self.assertTrue(self.show("--raw", ident).endswith(large))
        self.assertEqual(self.show("--body", ident), (line * 40_000).replace(b"\r\n", b"\n"))
        page = self.show(ident).decode()
        self.assertLess(len(page), 12_000)
        self.assertIn("octets more: --body]", page)
        self.relay.stop()
        self.assertTrue(self.show("--raw", ident).endswith(large))

    def test_what_is_not_there_says_so(self):
        for option in ("--raw", "--body", "--headers"):
            done = self.relay.command("queue", "show", option, "0F19ZD8LGWh0", expect=1)
            self.assertIn("no such message", done.stderr)
        self.relay.command("queue", "show", "--raw", "--body", "0F19ZD8LGWh0", expect=2)


if __name__ == "__main__":
    run_tests()
