"""Scripts and programs written for Postfix, unchanged, on Rockdove: its commands under Postfix's names, and its log
with log.format = "postfix". The programs are Debian's: check_mailq, pflogsumm, fail2ban-regex."""

import json
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

NAMES = ("mailq", "postqueue", "postsuper", "postcat")
CHECK_MAILQ = "/usr/lib/nagios/plugins/check_mailq"
FILTER = "/etc/fail2ban/filter.d/postfix.conf"


class Base(unittest.TestCase):
    def start(self, thing):
        self.addCleanup(thing.__exit__, None, None, None)
        return thing.__enter__()

    def links(self, relay):
        """A folder with the commands under their names, and an environment that finds them and this relay."""
        folder = os.path.join(relay.folder, "bin")
        os.makedirs(folder, exist_ok=True)
        for name in NAMES:
            os.symlink(relay_module.ROCKDOVE, os.path.join(folder, name))
        self.environment = {**os.environ, "PATH": folder + ":" + os.environ["PATH"], "ROCKDOVE_CONFIG": relay.configuration}

    def sh(self, script, expect=0, **options):
        """A line of shell, as a script has it."""
        done = subprocess.run(["/bin/bash", "-c", script], capture_output=True, text=True, timeout=60, env=self.environment,
                              **options)
        self.assertEqual(done.returncode, expect, script + "\n" + done.stdout + done.stderr)
        return done


class Commands(Base):
    def setUp(self):
        self.sink = self.start(Sink("rcpt:later*@*=451 4.7.1 greylisted, come back"))
        self.relay = self.start(Relay(to=self.sink.url, retry=["1h"]))
        self.links(self.relay)
        self.one = self.relay.submit("a@one.example", ["later1@x.example"])
        self.two = self.relay.submit("b@two.example", ["later2@y.example", "later3@y.example"],
                                     b"Subject: two\r\n\r\nfirst\r\n.second\r\n" + b"x" * 2000 + b"\r\n")
        self.relay.wait_for("deferred", 3)
        until(lambda: self.attempts() == [1, 1, 1], "three attempts")

    def attempts(self):
        return [r["attempts"] for e in self.relay.queue("list") for r in e["recipients"]]

    def json(self):
        return {entry["queue_id"]: entry for entry in map(json.loads, self.sh("postqueue -j").stdout.splitlines())}

    def test_mailq_is_the_table_that_scripts_parse(self):
        for command in ("mailq", "postqueue -p", "postqueue -c /etc/postfix -v -p", relay_module.ROCKDOVE + " postqueue -p"):
            lines = self.sh(command).stdout.splitlines()
            self.assertEqual(lines[0], "-Queue ID-  --Size-- ----Arrival Time---- -Sender/Recipient-------")
            self.assertRegex(lines[1], r"^%s +\d+ [A-Z][a-z]{2} [A-Z][a-z]{2} [ \d]\d \d\d:\d\d:\d\d  a@one\.example$" % self.one)
            self.assertEqual(lines[1].index("a@one"), 41)
            self.assertRegex(lines[2], r"^ *\(host .* said: 451 4\.7\.1 greylisted, come back\)$")
            self.assertEqual(lines[3], " " * 41 + "later1@x.example")
            self.assertEqual(lines[4], "")
            self.assertEqual([line.strip() for line in lines[7:9]], ["later2@y.example", "later3@y.example"])
            self.assertRegex(lines[-1], r"^-- \d+ Kbytes in 2 Requests\.$")

    def test_the_idioms_of_the_manual_page_and_of_scripts(self):
        self.assertEqual(self.sh("mailq | tail -n 1 | awk '{print $5}'").stdout, "2\n")
        self.assertEqual(self.sh("mailq | grep -c '^[0-9A-Za-z]'").stdout, "2\n")
        self.assertEqual(self.sh("postqueue -j | jq -r 'select(.recipients[0].address == \"later1@x.example\")"
                                 " | select(.recipients[1].address == null) | .queue_id'").stdout, self.one + "\n")
        self.assertEqual(self.sh("postqueue -j | jq -s 'map(.recipients | length) | add'").stdout, "3\n")
        done = self.sh("""mailq | tail -n +2 | grep -v '^ *(' | awk 'BEGIN { RS = "" }
                              { if ($7 == "b@two.example") print $1 }' | tr -d '*!' | postsuper -d -""")
        self.assertEqual(done.stderr, "postsuper: %s: removed\npostsuper: Deleted: 1 message\n" % self.two)
        self.assertEqual(list(self.json()), [self.one])
        self.sh("mailq | grep -E '^[0-9A-Za-z]{10,}[*!]? ' | cut -d' ' -f1 | postsuper -d -")
        self.assertEqual(self.sh("mailq").stdout, "Mail queue is empty\n")
        self.assertEqual(self.sh("postqueue -j").stdout, "")

    def test_postqueue_j_has_postfixs_keys_and_no_others(self):
        entry = self.json()[self.two]
        self.assertEqual(list(entry), ["queue_name", "queue_id", "arrival_time", "message_size", "forced_expire", "sender",
                                       "recipients"])
        self.assertEqual((entry["queue_name"], entry["sender"], entry["forced_expire"]), ("deferred", "b@two.example", False))
        self.assertEqual([list(r) for r in entry["recipients"]], [["address", "delay_reason"]] * 2)
        self.assertGreater(entry["message_size"], 2000)
        self.assertEqual(self.sh("postqueue -j | grep -c '\"queue_id\": \"%s\"'" % self.one).stdout, "1\n")

    def test_postqueue_tries_again(self):
        self.sh("postqueue -i " + self.one)
        until(lambda: self.attempts() == [2, 1, 1], "one more attempt")
        self.sh("postqueue -s y.example")
        until(lambda: self.attempts() == [2, 2, 2], "two more attempts")
        self.sh("postqueue -f")
        until(lambda: self.attempts() == [3, 3, 3], "three more attempts")

    def test_postsuper_holds_releases_requeues_and_deletes(self):
        done = self.sh("postsuper -h " + self.one)
        self.assertEqual(done.stderr, "postsuper: %s: placed on hold\npostsuper: Placed on hold: 1 message\n" % self.one)
        self.assertRegex(self.sh("mailq").stdout, r"(?m)^%s! " % self.one)
        self.assertEqual(self.json()[self.one]["queue_name"], "hold")
        self.assertIn("Placed on hold: 1 message\n", self.sh("postsuper -h ALL").stderr)
        self.assertEqual(self.sh("postsuper -H " + self.one).stderr,
                         "postsuper: %s: released from hold\npostsuper: Released from hold: 1 message\n" % self.one)
        until(lambda: self.attempts() == [2, 1, 1], "an attempt")
        self.assertIn("Requeued: 2 messages\n", self.sh("postsuper -r ALL").stderr)
        until(lambda: self.attempts() == [3, 2, 2], "three attempts")
        self.assertIn("Deleted: 0 messages\n", self.sh("postsuper -d ALL hold").stderr)
        self.assertIn("Deleted: 0 messages\n", self.sh("postsuper -d %s hold" % self.one).stderr)
        self.assertIn("Deleted: 0 messages\n", self.sh("postsuper -d ALL active").stderr)
        self.assertEqual(self.sh("postsuper -d ALL deferred").stderr, "postsuper: Deleted: 2 messages\n")
        self.assertEqual(self.sh("mailq").stdout, "Mail queue is empty\n")

    def test_postsuper_returns_mail_to_its_sender(self):
        self.sh("postsuper -h " + self.one)
        self.assertIn("Force-expired: 1 message\n", self.sh("postsuper -e ALL").stderr)
        self.relay.wait_for("bounced", 2)
        self.assertEqual(self.relay.log("bounced", to="later1@x.example"), [])
        self.assertIn("Force-expired: 1 message\n", self.sh("postsuper -f " + self.one).stderr)
        self.relay.wait_for("bounced", 1, to="later1@x.example")
        self.assertEqual(sorted(e["recipients"][0] for e, _ in self.sink.wait(2)), ["a@one.example", "b@two.example"])

    def test_what_is_wrong_ends_as_with_postfix(self):
        self.assertIn("usage: postqueue -f", self.sh("postqueue", expect=69).stderr)
        self.assertIn("invalid option -- 'x'", self.sh("postqueue -x", expect=69).stderr)
        self.assertIn('invalid name: "a.b"', self.sh("postqueue -i a.b", expect=69).stderr)
        self.assertIn("invalid destination", self.sh("postqueue -s 'a b'", expect=69).stderr)
        self.sh("postqueue -p -f", expect=69)
        self.assertIn("fatal: usage: postsuper", self.sh("postsuper -x", expect=1).stderr)
        self.assertIn("invalid directory name: nosuch", self.sh("postsuper -d ALL nosuch", expect=1).stderr)
        done = self.sh("postsuper -d ABC/D -d 3AAAAAAAAAAA -d all")
        self.assertEqual(done.stderr, "postsuper: warning: invalid mail queue id: ABC/D\npostsuper: Deleted: 0 messages\n")
        self.assertEqual(self.sh("postsuper; postsuper -p; postsuper -s").stderr, "")
        self.assertIn("No such file", self.sh("postcat -q 3AAAAAAAAAAA", expect=1).stderr)
        for name in NAMES:
            self.assertIn(name, self.sh(name + " --help").stdout)
        self.relay.stop()
        done = self.sh("mailq")
        self.assertIn("Mail system is down", done.stderr)
        self.assertIn("in 2 Requests", done.stdout)
        for option in ("-f", "-i " + self.one, "-s x.example"):
            self.assertIn("fatal: Cannot flush mail queue - mail system is down", self.sh("postqueue " + option, expect=69).stderr)
        self.assertIn("fatal: ", self.sh("postsuper -d ALL", expect=1).stderr)
        self.assertIn("Subject: two", self.sh("postcat -q " + self.two).stdout)

    def test_postcat_shows_envelope_header_and_body(self):
        text = self.sh("postcat -q " + self.two).stdout
        self.assertTrue(text.startswith("*** ENVELOPE RECORDS deferred/%s ***\nmessage_size: " % self.two), text)
        envelope, rest = text.split("*** MESSAGE CONTENTS deferred/%s ***\n" % self.two)
        for line in ("sender: b@two.example", "recipient: later2@y.example", "recipient: later3@y.example",
                     "named_attribute: client_address=127.0.0.1", "named_attribute: helo_name=client.example"):
            self.assertIn(line + "\n", envelope)
        self.assertRegex(envelope, r"(?m)^message_arrival_time: [A-Z]\w\w [A-Z]\w\w [ \d]\d [\d:]{8} \d{4}$")
        content, end = rest.split("*** HEADER EXTRACTED deferred/%s ***\n" % self.two)
        self.assertEqual(end, "*** MESSAGE FILE END deferred/%s ***\n" % self.two)
        self.assertTrue(content.endswith("Subject: two\n" + content.split("Subject: two\n")[1]))
        self.assertTrue(content.split("\n\n", 1)[1] == "first\n.second\n" + "x" * 2000 + "\n")
        self.assertEqual(self.sh("postcat -hq " + self.two).stdout + self.sh("postcat -bq " + self.two).stdout, content)
        self.assertEqual(self.sh("postcat -bh -q " + self.two).stdout, content)
        self.assertNotIn("\r", content)
        self.assertIn("sender: ", self.sh("postcat -eq " + self.two).stdout)
        self.assertNotIn("Subject", self.sh("postcat -eq " + self.two).stdout)

    def test_check_mailq_counts(self):
        if not os.path.exists(CHECK_MAILQ) or not os.path.exists("/usr/bin/mailq"):
            self.skipTest("check_mailq (monitoring-plugins-standard) or a /usr/bin/mailq is not installed")
        # The plugin knows no other path than /usr/bin/mailq: in a namespace of its own, that is ours.
        inside = "mount --bind %s /usr/bin/mailq && exec %s -M postfix" % (relay_module.ROCKDOVE, CHECK_MAILQ)
        done = subprocess.run(["unshare", "-m", "sh", "-c", "mount --bind %s /usr/bin/mailq" % relay_module.ROCKDOVE],
                              capture_output=True)
        if done.returncode != 0:
            self.skipTest("this machine allows no mount in a namespace")

        def check(warning, critical, expect):
            script = "unshare -m sh -c '%s -w %d -c %d'" % (inside, warning, critical)
            return self.sh(script, expect=expect).stdout
        self.assertEqual(check(10, 20, 0), "OK: postfix mailq (2) is below threshold (10/20)|unsent=2;10;20;0\n")
        self.assertIn("WARNING: postfix mailq is 2", check(2, 20, 1))
        self.assertIn("CRITICAL: postfix mailq is 2", check(1, 2, 2))
        self.sh("postsuper -d ALL")
        self.assertIn("OK: postfix mailq reports queue is empty|unsent=0", check(1, 2, 0))


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
