"""Programs that read Postfix's log, unchanged, on the log of a relay with log.format = "postfix": Debian's pflogsumm and
fail2ban-regex."""

import os
import re
import shutil
import smtplib
import subprocess
import sys
import unittest

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "support"))
import relay as relay_module  # noqa: E402
from main import run_tests  # noqa: E402
from relay import Relay, until  # noqa: E402
from sinks import Sink  # noqa: E402

FILTER = "/etc/fail2ban/filter.d/postfix.conf"


class Base(unittest.TestCase):
    def start(self, thing):
        self.addCleanup(thing.__exit__, None, None, None)
        return thing.__enter__()


class PostfixLog(Base):
    def text(self):
        with open(self.relay.log_path) as file:
            return file.read()

    def wait_for(self, pattern, count=1):
        until(lambda: len(re.findall(pattern, self.text())) >= count, lambda: "%d × %s in\n%s" % (count, pattern, self.text()))

    def serve(self, *rules):
        self.sink = self.start(Sink(*rules))
        self.relay = self.start(Relay(to=self.sink.url, log_format="postfix"))

    def walk(self):
        """5 messages with 7 recipients: 4 delivered, 2 bounced, 1 deferred; 2 reports, both delivered; 3 rejected."""
        relay = self.relay
        relay.submit("a@one.example", ["ok1@x.example"])
        relay.submit("a@one.example", ["ok2@x.example", "ok3@y.example"], b"Subject: x\r\nMessage-ID: <m2@one>\r\n\r\nhello\r\n")
        relay.submit("b@two.example", ["bad1@x.example"])
        relay.submit("c@three.example", ["bad2@y.example", "ok4@y.example"])
        relay.submit("c@three.example", ["later@z.example"])
        with relay.client() as client:
            client.ehlo()
            client.mail("a@one.example")
            for name in ("nobody1", "nobody2", "nobody3"):
                self.assertEqual(client.rcpt(name + "@relay.example.org")[0], 550)
        self.wait_for("status=sent", 6)
        self.wait_for("status=bounced", 2)
        self.wait_for("status=deferred", 1)
        self.wait_for("disconnect from", 6)

    RULES = ("rcpt:bad*@*=550 5.1.1 no such user", "rcpt:later@*=451 4.7.1 greylisted, come back")

    def test_lines_are_postfixs(self):
        self.serve(*self.RULES)
        self.walk()
        text = self.text()
        begin = r"(?m)^[A-Z][a-z]{2} [ \d]\d \d\d:\d\d:\d\d [\w-]+ postfix/"
        for line in text.splitlines():
            self.assertRegex(line, begin + r"[a-z-]+\[\d+\]: ")
        ident = re.search(begin + r"cleanup\[\d+\]: (\w{12}): message-id=<m2@one>$", text).group(1)
        for line in (r"smtpd\[\d+\]: %s: client=localhost\[127\.0\.0\.1\]$",
                     r"qmgr\[\d+\]: %s: from=<a@one\.example>, size=\d+, nrcpt=2 \(queue active\)$",
                     r"smtp\[\d+\]: %s: to=<ok3@y\.example>, relay=\S*\[127\.0\.0\.1\]:\d+, delay=[\d.]+, "
                     r"delays=0/[\d.]+/[\d.]+/[\d.]+, dsn=2\.\d\.\d, status=sent \(250 .*\)$",
                     r"qmgr\[\d+\]: %s: removed$"):
            self.wait_for(begin + line % ident)
        self.assertEqual(len(re.findall(ident + ": removed", self.text())), 1)
        for line in (r"smtpd\[\d+\]: connect from localhost\[127\.0\.0\.1\]$",
                     r"smtpd\[\d+\]: disconnect from localhost\[127\.0\.0\.1\] ehlo=1 mail=1 rcpt=2 data=1 quit=1 commands=6$",
                     r"smtpd\[\d+\]: NOQUEUE: reject: RCPT from localhost\[127\.0\.0\.1\]: 550 5\.1\.1 <nobody1@relay\.example\.org>: "
                     r"Recipient address rejected: User unknown; from=<a@one\.example> to=<nobody1@relay\.example\.org> "
                     r"proto=ESMTP helo=<client\.example>$",
                     r"smtp\[\d+\]: \w{12}: to=<later@z\.example>, .*, dsn=4\.7\.1, status=deferred \(host \S+ said: "
                     r"451 4\.7\.1 greylisted, come back \(in reply to RCPT TO command\)\)$",
                     r"bounce\[\d+\]: \w{12}: sender non-delivery notification: \w{12}$"):
            self.assertRegex(text, begin + line)

    def test_pflogsumm_counts_what_was_sent(self):
        if shutil.which("pflogsumm") is None:
            self.skipTest("pflogsumm is not installed")
        self.serve(*self.RULES)
        self.walk()
        self.relay.stop()
        done = subprocess.run(["pflogsumm", "--smtpd-stats", "--problems-first", self.relay.log_path], capture_output=True, text=True,
                              timeout=60, check=True, env={**os.environ, "LC_ALL": "C"})
        self.assertEqual(done.stderr, "")
        found = {what: int(count) for count, what in
                 re.findall(r"(?m)^ +(\d+) +(received|delivered|deferred|bounced|rejected|discarded|senders|recipients|connections)\b",
                            done.stdout)}
        self.assertEqual(found, {"received": 5, "delivered": 6, "deferred": 1, "bounced": 2, "rejected": 3, "discarded": 0,
                                 "senders": 3, "recipients": 6, "connections": 6}, done.stdout)
        report = re.sub(r"\s+", " ", done.stdout)
        for words in ("Recipient address rejected: User unknown (total: 3)", "4.7.1 greylisted, come back", "no such user"):
            self.assertIn(words, report)

    def fail2ban(self, mode, path):
        """How many lines the filter takes in this mode."""
        done = subprocess.run(["fail2ban-regex", path, "%s[mode=%s]" % (FILTER, mode)], capture_output=True, text=True,
                              timeout=60)
        self.assertEqual(done.returncode, 0, done.stdout + done.stderr)
        return int(re.search(r"Lines: \d+ lines, \d+ ignored, (\d+) matched", done.stdout).group(1))

    def test_fail2bans_filter_finds_the_offenders(self):
        if shutil.which("fail2ban-regex") is None or not os.path.exists(FILTER):
            self.skipTest("fail2ban is not installed")
        self.sink = self.start(Sink())
        self.relay = Relay(to=self.sink.url, log_format="postfix", listener={
            "relay_from": ["127.0.0.200"], "auth": "optional", "auth_in_clear": ["127.0.0.0/8"], "tls": "off"})
        users = os.path.join(self.relay.folder, "users")
        self.relay._sections = '[auth]\nusers = "%s"\n' % users
        relay_module.run("user", "add", "joe", "--password-stdin", "--users", users, input="secret word")
        relay_module.give_to_daemon(users)
        self.start(self.relay)
        for _ in range(2):  # relay attempts
            with self.relay.client("127.0.0.2") as client:
                client.ehlo()
                client.mail("a@one.example")
                self.assertEqual(client.rcpt("b@other.example")[0], 550)
        for mechanism in ("PLAIN", "LOGIN"):  # wrong passwords, then gone without QUIT
            client = self.relay.client("127.0.0.3")
            client.ehlo()
            client.user, client.password = "joe", "guess"
            with self.assertRaises(smtplib.SMTPAuthenticationError):
                client.auth(mechanism, getattr(client, "auth_" + mechanism.lower()))
            client.close()
        with self.relay.client("127.0.0.4") as client:  # nothing wrong
            client.login("joe", "secret word")
            client.sendmail("a@one.example", ["b@x.example"], b"Subject: x\r\n\r\nx\r\n")
        self.wait_for("disconnect from", 5)
        self.wait_for("status=sent")
        text = self.text()
        self.assertRegex(text, r"client=unknown\[127\.0\.0\.4\], sasl_method=\w+, sasl_username=joe\n")
        self.assertEqual({mode: self.fail2ban(mode, self.relay.log_path) for mode in ("normal", "auth", "ddos", "extra", "aggressive")},
                         {"normal": 2, "auth": 2, "ddos": 4, "extra": 4, "aggressive": 8}, text)


if __name__ == "__main__":
    run_tests()
