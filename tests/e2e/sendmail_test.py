"""`sendmail` for every user of the machine: as programs call it, over submit.sock, through the folder while
the relay is stopped, and Debian's own programs, unchanged, with ours in the place of /usr/sbin/sendmail."""

import email
import os
import pwd
import shutil
import signal
import stat
import subprocess
import sys
import tempfile
import time
import unittest

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "support"))
import relay as relay_module  # noqa: E402
from main import run_tests  # noqa: E402
from relay import Relay, until  # noqa: E402
from sinks import Sink  # noqa: E402

IS_ROOT = os.getuid() == 0
USER = "www-data" if IS_ROOT else pwd.getpwuid(os.getuid()).pw_name
UID = pwd.getpwnam(USER).pw_uid
MESSAGE = b"To: bob@x.example\nSubject: hello\n\nhello\n"
CLEAN = {"PATH": "/usr/sbin:/usr/bin:/sbin:/bin", "LANG": "C.UTF-8", "HOME": "/tmp", "ASAN_OPTIONS": "detect_leaks=0"}


class Base(unittest.TestCase):
    def start(self, thing):
        self.addCleanup(thing.__exit__, None, None, None)
        return thing.__enter__()

    def setUp(self):
        self.sink = self.start(Sink())
        self.relay = self.start(Relay(to=self.sink.url))
        # Started under that name it is that command.
        self.folder = tempfile.mkdtemp(prefix="rockdove-sendmail-")
        os.chmod(self.folder, 0o755)
        self.addCleanup(shutil.rmtree, self.folder, True)
        self.program = os.path.join(self.folder, "sendmail")
        os.symlink(relay_module.ROCKDOVE, self.program)
        self.incoming = os.path.join(self.relay.state_dir, "incoming")

    def environment(self):
        return {**CLEAN, "ROCKDOVE_CONFIG": self.relay.configuration}

    def sendmail(self, *arguments, text=MESSAGE, expect=0, user=USER):
        done = subprocess.run([self.program, *arguments], input=text, capture_output=True, timeout=60, cwd="/",
                              env=self.environment(), **({"user": user, "group": user, "extra_groups": []} if IS_ROOT else {}))
        said = (done.stdout + done.stderr).decode()
        self.assertEqual(done.returncode, expect, said)
        return said

    def left(self):
        return sorted(os.listdir(self.incoming))


class Handing(Base):
    def test_a_user_hands_in_a_message_and_is_named_everywhere(self):
        self.sendmail("-t", "-i", text=b"To: Bob <bob@x.example>, root@y.example\nBcc: hidden@x.example\nSubject: hello\n\n.\nbare\n")
        envelope, octets = self.sink.wait(1)[0]
        found = sorted(r for e, _ in self.sink.wait(3) for r in e["recipients"]) if len(envelope["recipients"]) == 1 \
            else sorted(envelope["recipients"])
        self.assertEqual(found, ["bob@x.example", "hidden@x.example", "root@y.example"])
        self.assertEqual(envelope["sender"], "%s@relay.example.org" % USER)
        mail = email.message_from_bytes(octets)
        self.assertIn("(Rockdove, from userid %d)" % UID, mail["Received"])
        self.assertIsNone(mail["Bcc"])
        self.assertIn(USER + "@relay.example.org", mail["From"])
        self.assertTrue(mail["Date"] and mail["Message-ID"])
        self.assertTrue(octets.endswith(b"\r\n\r\n.\r\nbare\r\n"), octets)
        accepted = self.relay.wait_for("accepted")[0]
        self.assertEqual((accepted["client"], accepted["user"]), ("local", "uid %d (%s)" % (UID, USER)))
        self.assertEqual(int(accepted["uid"]), UID)

    def test_options_of_the_envelope_arrive(self):
        self.sendmail("-f", "shop@z.example", "-F", "The Shop", "-i", "bob@x.example", text=b"Subject: J\xc3\xb6rg\r\n\r\nJ\xc3\xb6rg\r\n")
        envelope, octets = self.sink.wait(1)[0]
        self.assertEqual(envelope["sender"], "shop@z.example")
        self.assertIn(b"From: The Shop <shop@z.example>\r\n", octets)
        self.assertIn(b"\r\n\r\nJ\xc3\xb6rg\r\n", octets)
        self.sendmail("-f", "<>", "bob@x.example")
        self.assertEqual(self.sink.wait(2)[1][0]["sender"], "")

    def test_exit_statuses_say_what_is_wrong(self):
        self.assertIn("-z", self.sendmail("-z", expect=64))
        self.assertIn("no recipients", self.sendmail(expect=64))
        self.assertIn("names no recipients", self.sendmail("-t", text=b"Subject: x\n\n", expect=64))
        self.assertIn("is no address", self.sendmail("bob@@x.example", expect=65))
        self.assertIn("is no address", self.sendmail("-t", text=b"To: John Smith\n\n", expect=65))
        self.assertIn("-f", self.sendmail("-f", "a b", "bob@x.example", expect=65))
        self.sendmail("-bi", expect=0)
        self.assertIn("Usage", self.sendmail("--help"))
        self.assertEqual(self.sink.messages(), [])

    def test_smtp_on_standard_input(self):
        said = self.sendmail("-bs", text=b"EHLO me\r\nMAIL FROM:<>\r\nRCPT TO:<bob@x.example>\r\nDATA\r\n"
                             b"Subject: x\r\n\r\nhello\r\n.\r\nQUIT\r\n")
        self.assertIn("250 2.0.0 queued as", said)
        self.assertIn("221", said)
        self.sink.wait(1)

    @unittest.skipUnless(IS_ROOT, "the commands' socket is for the daemon's user and root")
    def test_the_queue_is_listed_and_flushed_by_the_commands_for_it(self):
        self.assertIn("empty", self.sendmail("-bp", text=b"", user="root"))
        self.sendmail("-q", text=b"", user="root")

    def test_addresses_can_be_verified_and_nothing_is_sent(self):
        self.assertIn("bob@x.example: 250", self.sendmail("-bv", "bob@x.example"))
        self.assertEqual(self.sink.messages(), [])

    def test_a_reload_keeps_the_socket_and_takes_new_limits(self):
        self.sendmail("bob@x.example")
        self.relay._sections = "[sendmail]\nusers = [\"root\"]\n"
        self.relay.write_configuration()
        self.relay.process.send_signal(signal.SIGHUP)
        self.relay.wait_for("reloaded")
        if UID != 0:
            self.assertIn("may not send", self.sendmail("bob@x.example", expect=77))
        self.assertIn("uid %d" % UID, str(self.relay.log("rejected")))

    def test_what_is_over_the_rate_waits_in_the_folder(self):
        self.relay._sections = "[sendmail]\nrate = \"2/h\"\n"
        self.relay.write_configuration()
        self.relay.process.send_signal(signal.SIGHUP)
        self.relay.wait_for("reloaded")
        for _ in range(4):
            self.sendmail("bob@x.example")
        self.sink.wait(2)
        self.assertEqual(len(self.left()), 2)


class Leaving(Base):
    def test_without_the_relay_mail_is_left_and_taken_at_the_next_start(self):
        self.relay.stop()
        self.sendmail("-t")
        self.sendmail("nobody-knows")
        names = self.left()
        self.assertEqual(len(names), 2)
        for name in names:
            status = os.stat(os.path.join(self.incoming, name))
            self.assertEqual((len(name), stat.S_IMODE(status.st_mode), status.st_uid), (32, 0o744, UID))
        self.assertEqual(stat.S_IMODE(os.stat(self.incoming).st_mode), 0o1733)
        if IS_ROOT:
            listing = subprocess.run(["ls", self.incoming], user=USER, capture_output=True)
            self.assertNotEqual(listing.returncode, 0)
        self.relay.start()
        found = self.sink.wait(2)
        self.assertEqual(sorted(r for e, _ in found for r in e["recipients"]), ["bob@x.example", "postmaster@admin.example"])
        self.assertIn(b"from userid %d" % UID, found[0][1])
        until(lambda: self.left() == [], "the folder to be empty")

    def test_a_recipient_whom_nobody_has_comes_back_as_a_report(self):
        aliases = os.path.join(self.folder, "aliases")
        open(aliases, "w").close()
        self.relay._top["postmaster"] = None
        self.relay._sections = "[local]\naliases = \"%s\"\n" % aliases
        self.relay.stop()
        self.sendmail("-f", "me@z.example", "nobody-knows")
        self.relay.start()
        envelope, octets = self.sink.wait(1)[0]
        self.assertEqual((envelope["sender"], envelope["recipients"]), ("", ["me@z.example"]))
        self.assertIn(b"550 5.1.1", octets)
        self.assertIn("550 5.1.1", self.sendmail("nobody-knows", expect=67))

    def test_where_nothing_can_be_left_the_caller_hears_it(self):
        self.relay.stop()
        os.rmdir(self.incoming)
        self.assertIn("could not be left", self.sendmail("-t", expect=75))
        self.assertIn("421", self.sendmail("-bs", text=b"QUIT\r\n", expect=69))

    def test_kills_between_acceptance_and_removal_double_and_lose_nothing(self):
        # What is accepted stays in the queue, so that it can be counted.
        self.relay._to = "smtp://127.0.0.1:1"
        count = 60
        self.relay.stop()
        for number in range(count):
            self.sendmail("n%d@x.example" % number)
        for _ in range(8):
            before = len(self.left())
            if before == 0:
                break
            self.relay.write_configuration()
            self.relay.launch()
            until(lambda: len(self.left()) < before or self.relay.process.poll() is not None, "a file to be taken")
            self.relay.kill()
        self.relay.start()
        until(lambda: self.left() == [], "the folder to be empty")
        recipients = [r["address"] for entry in self.relay.queue("list") for r in entry["recipients"]]
        self.assertEqual(sorted(recipients), sorted("n%d@x.example" % number for number in range(count)))

    @unittest.skipUnless(IS_ROOT, "needs two users")
    def test_what_a_hostile_user_leaves_harms_nobody(self):
        self.relay.stop()
        script = """
import os
os.chdir(os.environ["FOLDER"])
name = lambda: os.urandom(16).hex()
os.symlink("/etc/passwd", name())
os.mkfifo(name(), 0o744)
os.mkdir(name(), 0o755)
first = name()
open(first, "w").write("Rockdove sendmail 1\\r\\nMAIL FROM:<a@x.example>\\r\\nRCPT TO:<b@x.example>\\r\\nDATA\\r\\nx")
os.chmod(first, 0o744)
os.link(first, name())
huge = name()
os.truncate(os.open(huge, os.O_CREAT | os.O_RDWR, 0o644), 1 << 40)
os.chmod(huge, 0o744)
for _ in range(2000):
    os.close(os.open(name(), os.O_CREAT | os.O_WRONLY, 0o744))
open("../lock2", "w") if os.access("..", os.W_OK) else None
"""
        subprocess.run(["/usr/bin/python3", "-c", script], check=True, user="daemon", env={**CLEAN, "FOLDER": self.incoming})
        self.sendmail("-t")
        self.relay.start()
        self.sink.wait(1)
        until(lambda: len(self.left()) == 2006, "only our own file to be gone")
        stays = self.relay.wait_for("a file stays in the folder of sendmail", 5)
        reasons = " ".join(line["reason"] for line in stays)
        self.assertIn("does not begin", reasons)
        self.assertLess(len(self.relay.log("a file stays in the folder of sendmail")), 100)
        self.assertEqual(len(self.sink.messages()), 1)


def can_mount():
    return IS_ROOT and os.path.exists("/usr/sbin/sendmail") and subprocess.run(
        ["unshare", "-m", "--propagation", "private", "mount", "--bind", relay_module.ROCKDOVE, "/usr/sbin/sendmail"],
        capture_output=True).returncode == 0


class Programs(Base):
    """Unchanged, in a mount namespace of their own, where /usr/sbin/sendmail is ours."""

    def setUp(self):
        super().setUp()
        if not can_mount():
            self.skipTest("no private mount of /usr/sbin/sendmail is possible here")

    def run_with_ours(self, command, program, text="", user=USER, before=""):
        if shutil.which(program, path=CLEAN["PATH"]) is None:
            self.skipTest(program + " is not installed")
        script = "set -e; mount --bind %s /usr/sbin/sendmail; %s exec %s sh -c '%s'" % (
            relay_module.ROCKDOVE, before, "setpriv --reuid=%s --regid=%s --clear-groups" % (user, user) if user != "root" else "", command)
        done = subprocess.run(["unshare", "-m", "--propagation", "private", "sh", "-c", script], input=text.encode(),
                              capture_output=True, timeout=120, cwd="/", env=self.environment())
        self.assertEqual(done.returncode, 0, (done.stdout + done.stderr).decode())
        return done.stdout.decode()

    def arrives(self, recipient, words, user=USER):
        envelope, octets = self.sink.wait(1)[0]
        self.assertEqual(envelope["recipients"], [recipient])
        for word in words:
            self.assertIn(word, octets)
        self.assertIn(b"(Rockdove, from userid %d)" % pwd.getpwnam(user).pw_uid, octets)
        return envelope, octets

    def test_cron_s_way_of_calling(self):
        self.run_with_ours("/usr/sbin/sendmail -FCronDaemon -i -odi -oem -oi -t", "cron",
                           "From: root (Cron Daemon)\nTo: bob@x.example\nSubject: Cron <root@host> true\n"
                           "Content-Type: text/plain; charset=UTF-8\nX-Cron-Env: <SHELL=/bin/sh>\n\n.\noutput\n")
        self.arrives("bob@x.example", [b"From: root (Cron Daemon)\r\n", b"\r\n.\r\noutput\r\n"])

    def test_cron_itself(self):
        table = os.path.join(self.folder, "crontab")
        with open(table, "w") as file:
            file.write("MAILTO=bob@x.example\n* * * * * echo what the job said\n")
        before = ("mount -t tmpfs none /var/spool/cron/crontabs; install -m 600 -o %s -g crontab %s /var/spool/cron/crontabs/%s; "
                  "mount -t tmpfs none /etc/cron.d; mount --bind /dev/null /etc/crontab; mount -t tmpfs none /run;") % (USER, table, USER)
        script = "set -e; mount --bind %s /usr/sbin/sendmail; %s exec cron -f" % (relay_module.ROCKDOVE, before)
        if shutil.which("cron", path=CLEAN["PATH"]) is None:
            self.skipTest("cron is not installed")
        cron = subprocess.Popen(["unshare", "-m", "--propagation", "private", "sh", "-c", script], cwd="/",
                                env=self.environment(), stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE)
        try:
            until(lambda: self.sink.messages() or cron.poll() is not None, "cron's mail", 130)
        finally:
            cron.terminate()
            said = cron.communicate(timeout=30)[1]
        self.assertTrue(self.sink.messages(), said)
        self.arrives("bob@x.example", [b"what the job said\r\n", b"Subject: Cron <"])

    def test_bsd_mailx(self):
        self.run_with_ours("bsd-mailx -s hello bob@x.example", "bsd-mailx", "from mailx\n.\nmore\n")
        self.arrives("bob@x.example", [b"Subject: hello\r\n", b"from mailx\r\n"])

    def test_s_nail(self):
        self.run_with_ours("s-nail -n -S sendwait -s hello bob@x.example", "s-nail", "from nail\n")
        self.arrives("bob@x.example", [b"Subject: hello\r\n", b"from nail\r\n"])

    def test_php_s_mail_as_www_data(self):
        code = "exit(mail(\"bob@x.example\", \"hello\", \"from php\\n.\\nmore\\n\", \"Bcc: eve@x.example\") ? 0 : 1);"
        self.run_with_ours("php -r \"%s\"" % code.replace("\\", "\\\\").replace('"', '\\"'), "php")
        found = self.sink.wait(1)
        if len(found[0][0]["recipients"]) == 1:
            found = self.sink.wait(2)
        self.assertEqual(sorted(r for e, _ in found for r in e["recipients"]), ["bob@x.example", "eve@x.example"])
        self.assertNotIn(b"Bcc", found[0][1])
        self.assertIn(b"from php\r\n.\r\nmore\r\n", found[0][1])
        self.assertIn(b"from userid %d" % UID, found[0][1])

    def test_git_send_email(self):
        patch = os.path.join(self.folder, "0001.patch")
        with open(patch, "w") as file:
            file.write("From 0123456789012345678901234567890123456789 Mon Sep 17 00:00:00 2001\nFrom: Me <me@z.example>\n"
                       "Date: Sat, 21 Nov 2026 20:46:05 +0000\nSubject: [PATCH] one\n\n---\n a | 1 +\n")
        if not os.path.exists("/usr/lib/git-core/git-send-email"):
            self.skipTest("git-email is not installed")
        self.run_with_ours("git -c user.name=Me -c user.email=me@z.example send-email --sendmail-cmd=/usr/sbin/sendmail --envelope-sender=me@z.example --from=me@z.example --to=bob@x.example "
                           "--confirm=never --suppress-cc=all " + patch, "git")
        envelope, _ = self.arrives("bob@x.example", [b"[PATCH] one"])
        self.assertEqual(envelope["sender"], "me@z.example")


if __name__ == "__main__":
    run_tests()
