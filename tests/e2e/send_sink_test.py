"""`rockdove send` and `rockdove sink` as real processes: against each other, and against Debian's
smtplib, swaks, curl and Postfix's smtp-sink. A sink listens on a port that the system chooses and
prints, so nothing here needs a fixed one."""
import email
import email.policy
import json
import os
import shutil
import smtplib
import socket
import subprocess
import sys
import tempfile
import unittest

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "support"))
from relay import until  # noqa: E402
from sinks import SmtpSink  # noqa: E402

ROCKDOVE = sys.argv.pop(1)


class Sink:
    def __init__(self, *options):
        self.process = subprocess.Popen([ROCKDOVE, "sink", "--json", "--listen", "127.0.0.1:0", *options],
                                        stdout=subprocess.PIPE, text=True)
        self.address = json.loads(self.process.stdout.readline())["listening"]
        self.port = int(self.address.rpartition(":")[2])

    def __enter__(self):
        return self

    def __exit__(self, *_):
        if self.process.poll() is None:
            self.counts()

    def counts(self):
        """Ends it and gives what it counted."""
        self.process.terminate()
        out, _ = self.process.communicate(timeout=30)
        return json.loads(out)


def send(address, *options, to=("b@example.net",), expect=0):
    command = [ROCKDOVE, "send", "--server", address, "--from", "a@example.org"]
    for recipient in to:
        command += ["--to", recipient]
    done = subprocess.run([*command, *options], capture_output=True, text=True, timeout=60)
    assert done.returncode == expect, (done.returncode, done.stdout, done.stderr)
    return done


class SendSink(unittest.TestCase):
    def setUp(self):
        self.directory = tempfile.mkdtemp()
        self.addCleanup(shutil.rmtree, self.directory)

    def kept(self):
        """[(envelope, message)] in the order of arrival."""
        found = []
        for name in sorted(os.listdir(self.directory)):
            if name.endswith(".eml"):
                with open(os.path.join(self.directory, name[:-4] + ".json")) as file:
                    envelope = json.load(file)
                with open(os.path.join(self.directory, name), "rb") as file:
                    found.append((envelope, file.read()))
        return found

    def test_a_message_with_attachments_arrives_octet_for_octet(self):
        content = bytes(range(256)) * 4000
        path = os.path.join(self.directory, "näme.pdf")
        with open(path, "wb") as file:
            file.write(content)
        with Sink("--into", self.directory) as sink:
            done = send(sink.address, "-v", "--subject", "Grüße an alle", "--body", "ä\n.\nfrom here\n", "--attach", path,
                        "--attach", __file__, "--header", "X-Test: 1", to=("b@example.net", "c@example.net"))
            self.assertIn("C: MAIL FROM:<a@example.org>", done.stderr)
            self.assertIn("S: 250 2.1.5 Ok", done.stderr)
            self.assertIn("C: QUIT", done.stderr)
            self.assertEqual(sink.counts()["recipients"], 2)
        (envelope, raw), = self.kept()
        self.assertEqual(envelope["sender"], "a@example.org")
        self.assertEqual(envelope["recipients"], ["b@example.net", "c@example.net"])
        self.assertEqual(envelope["size"], len(raw))
        self.assertTrue(all(len(line) <= 998 for line in raw.split(b"\r\n")))
        self.assertNotIn(b"\n", raw.replace(b"\r\n", b""))
        message = email.message_from_bytes(raw, policy=email.policy.default)
        self.assertEqual(message["subject"], "Grüße an alle")
        self.assertEqual(message["x-test"], "1")
        self.assertEqual(message.get_body().get_content().replace("\r\n", "\n"), "ä\n.\nfrom here\n")
        first, second = message.iter_attachments()
        self.assertEqual(first.get_filename(), "näme.pdf")
        self.assertEqual(first.get_content_type(), "application/pdf")
        self.assertEqual(first.get_content(), content)
        with open(__file__, "rb") as file:
            self.assertEqual(second.get_content(), file.read())

    def test_a_refused_recipient_is_exit_status_1_and_the_others_arrive(self):
        with Sink("--into", self.directory, "--rule", "rcpt:*@bad.example=550 5.1.1 no such user") as sink:
            done = send(sink.address, "--json", "--body", "x", to=("b@example.net", "c@bad.example"), expect=1)
            report = json.loads(done.stdout)
            self.assertEqual([r["accepted"] for r in report["recipients"]], [True, False])
            self.assertEqual(report["recipients"][1]["reply"], "550 5.1.1 no such user")
            self.assertEqual(sink.counts()["rules"], 1)
        self.assertEqual(self.kept()[0][0]["recipients"], ["b@example.net"])

    def test_each_stage_can_refuse(self):
        for rule, stage in (("connect=554 5.7.1 go", "banner"), ("helo=550 5.7.1 go", "EHLO"), ("mail=451 4.7.1 go", "MAIL"),
                            ("rcpt=452 4.2.2 go", "RCPT"), ("data=554 5.5.1 go", "DATA"), ("dot=554 5.6.0 go", "final dot")):
            with self.subTest(rule), Sink("--discard", "--rule", rule) as sink:
                done = send(sink.address, "--body", "x", expect=1)
                self.assertIn("go", done.stdout + done.stderr)
                counts = sink.counts()
                self.assertEqual(counts["messages"], 0)
                self.assertGreaterEqual(counts["rules"], 1)

    def test_first_and_after_count_the_matches(self):
        with Sink("--discard", "--rule", "rcpt=451 4.7.1 greylisted, first 2") as sink:
            statuses = [subprocess.run([ROCKDOVE, "send", "--server", sink.address, "--from", "", "--to", "b@example.net"],
                                       capture_output=True, timeout=60).returncode for _ in range(4)]
            self.assertEqual(statuses, [1, 1, 0, 0])
        with Sink("--discard", "--rule", "mail=421 4.3.2 enough, after 1") as sink:
            send(sink.address)
            send(sink.address, expect=1)

    def test_dropping_and_stalling_are_told_apart_by_the_client(self):
        with Sink("--into", self.directory, "--rule", "dot=drop") as sink:
            done = send(sink.address, "--body", "x", expect=1)
            self.assertIn("may or may not have the message", done.stderr)
        self.assertEqual(os.listdir(self.directory), [])
        with Sink("--discard", "--rule", "mail=stall") as sink:
            with smtplib.SMTP("127.0.0.1", sink.port) as client:
                client.ehlo("client.example")
                client.putcmd("mail", "FROM:<a@example.org>")
                client.sock.settimeout(0.3)
                with self.assertRaises(TimeoutError):
                    client.sock.recv(1)

    def test_a_delay_ends(self):
        with Sink("--discard", "--rule", "connect=delay 50ms", "--rule", "helo=delay 50ms", "--rule", "dot=delay 50ms") as sink:
            send(sink.address, "--body", "x")
            self.assertEqual(sink.counts()["rules"], 3)

    def test_smtplib_swaks_and_curl_hand_their_mail_in(self):
        with Sink("--into", self.directory) as sink:
            with smtplib.SMTP("127.0.0.1", sink.port) as client:
                client.sendmail("s@example.org", ["t@example.net"], "Subject: one\r\n\r\n.dot\r\n..dots\r\n")
                client.sendmail("", ["t@example.net"], "Subject: two\r\n\r\n")
            path = os.path.join(self.directory, "mail.txt")
            with open(path, "w") as file:
                file.write("Subject: three\r\n\r\nby curl\r\n")
            subprocess.run(["curl", "-sS", f"smtp://{sink.address}", "--mail-from", "s@example.org", "--mail-rcpt",
                            "t@example.net", "-T", path], check=True, timeout=60)
            subprocess.run(["swaks", "--server", "127.0.0.1", "--port", str(sink.port), "--from", "s@example.org", "--to",
                            "t@example.net", "--header", "Subject: four"], check=True, timeout=60, stdout=subprocess.DEVNULL)
            self.assertEqual(sink.counts()["messages"], 4)
        kept = self.kept()
        self.assertEqual(kept[0][1], b"Subject: one\r\n\r\n.dot\r\n..dots\r\n")
        self.assertEqual(kept[1][0]["sender"], "")
        self.assertEqual([email.message_from_bytes(raw)["subject"] for _, raw in kept], ["one", "two", "three", "four"])

    def test_a_sink_ends_after_so_many_messages(self):
        with Sink("--discard", "--messages", "2") as sink:
            send(sink.address)
            send(sink.address)
            out, _ = sink.process.communicate(timeout=30)
            self.assertEqual(json.loads(out)["messages"], 2)

    def test_send_speaks_to_smtp_sink(self):
        path = os.path.join(self.directory, "text")
        with open(path, "w") as file:
            file.write(".a line with a dot\n" * 20000)
        with SmtpSink() as sink:
            done = send(f"127.0.0.1:{sink.port}", "--subject", "hello", "--body-file", path)
            self.assertIn("250", done.stdout)
            until(lambda: sink.text().count(b"\n.a line with a dot") >= 20000, "what smtp-sink writes")
            text = sink.text()
        self.assertIn(b"Subject: hello", text)
        self.assertEqual(text.count(b"\n.a line with a dot"), 20000)

    def test_usage_errors_are_exit_status_2(self):
        for arguments in (["sink"], ["sink", "--discard", "--rule", "nonsense"], ["sink", "--discard", "--rule", "data=250 ok"],
                          ["send", "--from", "a@b"], ["send", "--from", "no address", "--to", "a@b.example"], ["nothing"], [],
                          ["send", "--from", "a@b.example", "--to", "a@b.example", "--header", "nocolon"]):
            done = subprocess.run([ROCKDOVE, *arguments], capture_output=True, timeout=60)
            self.assertEqual(done.returncode, 2, arguments)

    def test_nobody_listening_is_exit_status_1(self):
        with socket.socket() as taken:
            taken.bind(("127.0.0.1", 0))
            done = send("127.0.0.1:%d" % taken.getsockname()[1], expect=1)
            self.assertIn("refused", done.stderr)

    def test_check_prints_what_is_configured_and_all_errors(self):
        path = os.path.join(self.directory, "rockdove.toml")
        with open(path, "w") as file:
            file.write('hostname = "relay.example.net"\npostmaster = "p@example.org"\n[[listener]]\nname = "lan"\n'
                       'address = "127.0.0.1:2525"\n[[route]]\nto = "smtp://127.0.0.1:26"\n')
        done = subprocess.run([ROCKDOVE, "check", "--config", path], capture_output=True, text=True)
        self.assertEqual(done.returncode, 0, done.stderr)
        self.assertIn("listener lan", done.stdout)
        self.assertIn("everything → smtp://127.0.0.1:26", done.stdout)
        report = json.loads(subprocess.run([ROCKDOVE, "check", "--json"], capture_output=True, text=True,
                                           env={**os.environ, "ROCKDOVE_CONFIG": path}).stdout)
        self.assertEqual(report["configuration"]["listeners"][0]["relay_from"], ["127.0.0.0/8", "::1/128"])
        with open(path, "a") as file:
            file.write("[queue]\nretyr = 1\nlifetime = 2\n")
        done = subprocess.run([ROCKDOVE, "check", "--config", path], capture_output=True, text=True)
        self.assertEqual(done.returncode, 1)
        self.assertEqual(done.stderr.splitlines()[:2],
                         [f"{path}:9:1: error: unknown key `retyr` in [queue], did you mean `retry`?",
                          f"{path}:10:12: error: `queue.lifetime` wants a duration, as in \"5m\", this is a whole number"])


unittest.main()
