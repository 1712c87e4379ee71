"""`rockdove top` on a real relay: snapshots where nobody watches, and live in a terminal of its own, which gets back
what it was however top ends."""

import fcntl
import json
import os
import pty
import re
import signal
import struct
import sys
import termios
import unittest

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "support"))
import relay as relay_module  # noqa: E402
from main import run_tests  # noqa: E402
from relay import Relay, until  # noqa: E402
from sinks import Sink  # noqa: E402


class Terminal:
    """A command in a terminal of its own; what it says is read until it is enough."""

    def __init__(self, *arguments, kind="xterm"):
        self.process, self.master = pty.fork()
        if self.process == 0:
            os.environ["TERM"] = kind
            os.execv(relay_module.ROCKDOVE, [relay_module.ROCKDOVE, *arguments])
        self.said = b""
        self.before = termios.tcgetattr(self.master)

    def read(self):
        """Once more; false: the other end has closed."""
        try:
            octets = os.read(self.master, 65536)
        except OSError:
            return False
        self.said += octets
        return bool(octets)

    def read_until(self, words, times=1):
        while self.said.count(words) < times:
            if not self.read():
                raise AssertionError("%r did not come: %r" % (words, self.said))

    def resize(self, rows, columns):
        fcntl.ioctl(self.master, termios.TIOCSWINSZ, struct.pack("HHHH", rows, columns, 0, 0))

    def end(self):
        """Its exit status, when all was read."""
        while self.read():
            pass
        return os.waitstatus_to_exitcode(os.waitpid(self.process, 0)[1])


class Top(unittest.TestCase):
    def setUp(self):
        self.sink = Sink("rcpt:later@*=450 4.7.1 Greylisted", "rcpt:full@*=452 4.2.2 full", "rcpt:bad@*=550 5.1.1 nobody",
                         "rcpt:hang@*=stall")
        self.sink.__enter__()
        self.addCleanup(self.sink.__exit__)
        self.relay = Relay(sections='[[route]]\nname = "hop"\nto = "%s"\n' % self.sink.url)
        self.relay.__enter__()
        self.addCleanup(self.relay.__exit__)

    def work(self):
        for user in ("good", "fine", "later", "full", "bad"):
            self.relay.submit("a@example.org", [user + "@example.net"])
        self.relay.wait_for("delivered", 2)
        self.relay.wait_for("deferred", 2)
        self.relay.wait_for("bounced", 1)

    def look(self):
        done = self.relay.command("top", "--json", "--interval", "100ms", "--once")
        line, = done.stdout.splitlines()
        return json.loads(line)

    def test_a_snapshot_counts_what_happened(self):
        self.work()
        seen = self.look()
        self.assertGreaterEqual(seen["counters"]["accepted"], 5)
        self.assertEqual(seen["counters"]["deferred"], 2)
        self.assertEqual(set(seen["rates"]), set(seen["counters"]))
        self.assertEqual(seen["deferrals"], {"greylisted": 1, "mailbox-full": 1})
        route, = [one for one in seen["destinations"] if one["name"] == "route:hop"]
        self.assertGreaterEqual(route["delivered"], 2)
        self.assertEqual((route["deferred"], route["bounced"]), (2, 1))
        self.assertEqual(seen["standing"]["readiness"], "ready")
        self.assertGreaterEqual(seen["queue"]["waiting"], 0)
        page = self.relay.command("top", "--once", "--interval", "100ms").stdout
        for words in ("Per second   in 0.0", "greylisted 1", "route:hop", "THE LAST MINUTE", "Queue        "):
            self.assertIn(words, page)
        self.assertNotIn("\x1b", page)
        self.assertNotIn("Paused", page)
        self.relay.command("pause", "--destination", "*.example", "--for", "1h")
        self.assertIn("Paused       destination *.example\n", self.relay.command("top", "--once", "--interval", "100ms").stdout)

    def test_what_hangs_is_told_while_it_does(self):
        self.relay.submit("a@example.org", ["hang@example.net"])
        slow, = until(lambda: self.look()["slowest"], "an attempt of over a second")
        self.assertEqual((slow["name"], slow["stage"]), ("route:hop", "RCPT"))
        self.assertIn("127.0.0.1", slow["host"])
        self.assertGreaterEqual(slow["ms"], 1000)
        self.assertRegex(self.relay.command("top", "--once", "--interval", "100ms").stdout,
                         r"THE SLOWEST +NOW AT +TIME\nroute:hop +RCPT +[0-9.]+s\n")
        self.relay.kill()

    def test_what_keeps_mail_out_is_told_in_sentences(self):
        self.assertEqual(self.look()["standing"]["trouble"], [])
        self.assertIn("  ready\n", self.relay.command("top", "--once", "--interval", "100ms").stdout)
        ident = self.relay.submit("a@example.org", ["hang@example.net"])
        until(lambda: self.relay.queue("why", ident)[0]["cause"] == "being-sent", "the attempt")
        self.relay.process.send_signal(signal.SIGTERM)  # it waits for what is being sent
        until(lambda: self.look()["standing"]["trouble"] == ["the relay is stopping"], "the word of it")
        self.assertIn("  NOT WELL\nTrouble      the relay is stopping\n",
                      self.relay.command("top", "--once", "--interval", "100ms").stdout)
        self.relay.kill()

    def live(self):
        terminal = Terminal("top", "--interval", "100ms", "--config", self.relay.configuration)
        terminal.read_until(b"Deferred", 2)
        self.assertIn(b"\x1b[?1049h", terminal.said)
        self.assertIn(b"route:hop", terminal.said)
        return terminal

    def check_restored(self, terminal):
        self.assertTrue(terminal.said.endswith(b"\x1b[?25h\x1b[?1049l"), terminal.said[-80:])
        self.assertEqual(termios.tcgetattr(terminal.master), terminal.before)
        os.close(terminal.master)

    def test_in_a_terminal_it_is_live_until_q_or_an_end_from_outside(self):
        self.work()
        for end in ("q", "ctrl-c", "ctrl-\\", "term"):
            with self.subTest(end):
                terminal = self.live()
                if end == "term":
                    os.kill(terminal.process, signal.SIGTERM)
                else:
                    os.write(terminal.master, {"q": b"q", "ctrl-c": b"\x03", "ctrl-\\": b"\x1c"}[end])
                self.assertEqual(terminal.end(), 0)
                self.check_restored(terminal)

    def test_a_page_fits_a_terminal_that_changes_its_size(self):
        self.work()
        terminal = Terminal("top", "--interval", "1h", "--config", self.relay.configuration)
        terminal.read_until(b"\x1b[J", 2)  # the first two pages; the next is an hour away
        for rows, columns in ((24, 80), (5, 30), (1, 1)):
            terminal.said = b""
            terminal.resize(rows, columns)
            terminal.read_until(b"\x1b[J")
            page = re.sub(rb"\x1b\[[HJK]", b"", terminal.said).replace(b"\r", b"").split(b"\n")
            self.assertLessEqual(len(page), rows)
            self.assertLess(max(len(line) for line in page), max(columns, 2))
        os.write(terminal.master, b"q")
        self.assertEqual(terminal.end(), 0)
        os.close(terminal.master)

    def test_a_daemon_that_hangs_is_told_and_left_at_once(self):
        self.work()
        terminal = self.live()
        self.relay.process.send_signal(signal.SIGSTOP)
        self.addCleanup(self.relay.process.send_signal, signal.SIGCONT)
        terminal.read_until(b"no answer within 5s")
        os.write(terminal.master, b"\x03")
        self.assertEqual(terminal.end(), 0)
        self.check_restored(terminal)

    def test_a_terminal_that_shows_no_pages_gets_snapshots(self):
        terminal = Terminal("top", "--once", "--config", self.relay.configuration, kind="dumb")
        self.assertEqual(terminal.end(), 0)
        self.assertNotIn(b"\x1b", terminal.said)
        self.assertIn(b"Per second", terminal.said)
        os.close(terminal.master)

    def test_a_daemon_that_goes_is_waited_for(self):
        self.work()
        terminal = self.live()
        self.relay.stop()
        terminal.read_until(b"no rockdove runs")
        pages = terminal.said.count(b"Deferred")
        self.relay.start()
        terminal.read_until(b"Deferred", pages + 1)
        os.write(terminal.master, b"q")
        self.assertEqual(terminal.end(), 0)
        os.close(terminal.master)

    def test_without_a_daemon_and_with_absurd_intervals_it_says_so(self):
        for interval in ("1ms", "2d", "often"):
            self.assertIn("--interval", self.relay.command("top", "--once", "--interval", interval, expect=2).stderr)
        self.relay.stop()
        self.assertIn("no rockdove runs", self.relay.command("top", "--once", expect=1).stderr)


if __name__ == "__main__":
    run_tests()
