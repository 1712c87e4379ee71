"""SIGHUP and systemd's words: the whole new configuration or all of the old, and nobody who is connected is dropped."""

import os
import re
import signal
import smtplib
import socket
import ssl
import subprocess
import sys
import tempfile
import threading
import time
import unittest

HERE = os.path.dirname(os.path.abspath(__file__))
sys.path.insert(0, os.path.join(HERE, "support"))
sys.path.insert(0, os.path.join(HERE, "matrix"))
from certificates import Authority, for_the_relay  # noqa: E402
from knot import free_port  # noqa: E402
from main import run_tests  # noqa: E402
from relay import Conversation, Relay, give_to_daemon, until  # noqa: E402
from sinks import Sink  # noqa: E402


def make_certificate(folder, name, common_name, days=90):
    """A self-signed P-256 certificate: the paths of certificate and key."""
    certificate, key = os.path.join(folder, name + ".crt"), os.path.join(folder, name + ".key")
    subprocess.run(["openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes", "-days",
                    str(days), "-subj", "/CN=" + common_name, "-addext", "subjectAltName=DNS:" + common_name,
                    "-keyout", key, "-out", certificate], check=True, capture_output=True)
    os.chmod(key, 0o600)
    for path in (certificate, key):
        give_to_daemon(path)
    return certificate, key


def tls_section(pair):
    return '[tls]\ncertificate = "%s"\nkey = "%s"\n' % pair


class Base(unittest.TestCase):
    def start(self, thing):
        self.addCleanup(thing.__exit__, None, None, None)
        return thing.__enter__()

    def reload(self, relay, expect="reloaded"):
        """Until the log says so."""
        before = len(relay.log(expect))
        relay.process.send_signal(signal.SIGHUP)
        return relay.wait_for(expect, before + 1)[-1]

    def text_of(self, relay):
        with open(relay.configuration) as file:
            return file.read()

    def shown_name(self, port):
        """The common name of the certificate that `openssl s_client` sees behind STARTTLS."""
        done = subprocess.run(["openssl", "s_client", "-starttls", "smtp", "-connect", "127.0.0.1:%d" % port],
                              input="QUIT\r\n", capture_output=True, text=True, timeout=60)
        found = re.search(r"subject=.*CN ?= ?(\S+)", done.stdout)
        return found.group(1) if found else done.stdout + done.stderr


class Reload(Base):
    def test_nothing_is_lost_or_refused_under_load(self):
        sinks = [self.start(Sink()), self.start(Sink())]
        relay = self.start(Relay(to=sinks[0].url, top={"threads": 2}))
        accepted, errors = [], []
        stop = threading.Event()

        def send(number):
            while not stop.is_set():
                try:
                    accepted.append(relay.submit("s%d@a.example" % number, ["r@b.example"]))
                except Exception as error:  # noqa: BLE001: any of them is one too many
                    errors.append(repr(error))

        threads = [threading.Thread(target=send, args=(number,)) for number in range(4)]
        for thread in threads:
            thread.start()
        for round_ in range(6):
            relay._to = sinks[(round_ + 1) % 2].url
            relay.write_configuration()
            self.reload(relay)
        stop.set()
        for thread in threads:
            thread.join()
        self.assertEqual(errors, [])
        until(lambda: sum(len(sink.messages()) for sink in sinks) >= len(accepted),
              lambda: "%d messages: %s" % (len(accepted), relay.said()))
        self.assertEqual(sum(len(sink.messages()) for sink in sinks), len(accepted))
        self.assertTrue(all(sink.messages() for sink in sinks))
        until(lambda: relay.queue("list") == [], "an empty queue")

    def test_a_bad_configuration_changes_nothing(self):
        sink = self.start(Sink())
        relay = self.start(Relay(to=sink.url))
        good = self.text_of(relay)
        for bad, words in (("hostnam = 1\n" + good, ":1:1: error: unknown key `hostnam`, did you mean `hostname`?"),
                           (good + "[tls]\ncertificate = \"/nowhere.crt\"\n", "there is no file `/nowhere.crt`"),
                           (good + "[[[", "error")):
            with open(relay.configuration, "w") as file:
                file.write(bad)
            said = self.reload(relay, "not reloaded: all stays as it was")
            self.assertEqual(said["error"], "the configuration has errors")
            details = [line["detail"] for line in relay.log("configuration", level="error")]
            self.assertTrue(any(words in detail for detail in details), details)
            relay.submit("s@a.example", ["r@b.example"])
        os.unlink(relay.configuration)
        self.reload(relay, "not reloaded: all stays as it was")
        relay.submit("s@a.example", ["r@b.example"])
        until(lambda: len(sink.messages()) == 4, "four messages")

    def test_history_begins_and_ends_with_a_reload(self):
        relay = self.start(Relay(to="discard:", sections='[history]\nkeep = "5d"\n'))

        def keep(value, expect="reloaded"):
            relay._sections = '[history]\nkeep = "%s"\n' % value
            relay.write_configuration()
            self.reload(relay, expect)

        def is_known(id_):
            until(lambda: relay.queue("list") == [], "an empty queue")
            return id_ in relay.command("trace", id_, "--json").stdout

        first = relay.submit("s@a.example", ["r@b.example"])
        self.assertTrue(is_known(first))
        keep("off")
        second = relay.submit("s@a.example", ["r@b.example"])
        self.assertFalse(is_known(second))
        keep("4d", expect="not reloaded: all stays as it was")
        details = [line["detail"] for line in relay.log("configuration", level="error")]
        self.assertTrue(any("`history.keep` is shorter than `queue.lifetime`" in detail for detail in details), details)
        self.assertFalse(is_known(relay.submit("s@a.example", ["r@b.example"])))
        keep("90d")
        third = relay.submit("s@a.example", ["r@b.example"])
        self.assertTrue(is_known(third))
        found = relay.command("trace", "--sender", "s@a.example", "--json").stdout
        self.assertEqual([id_ in found for id_ in (first, second, third)], [True, False, True])

    def test_an_address_that_is_taken_leaves_all_of_the_old(self):
        relay = self.start(Relay(to="discard:"))
        with socket.socket() as taken:
            taken.bind(("127.0.0.1", 0))
            taken.listen()
            new = free_port()
            with open(relay.configuration, "a") as file:
                file.write('[[listener]]\nname = "new"\naddress = ["127.0.0.1:%d"]\n' % new)
                file.write('[[listener]]\nname = "taken"\naddress = ["127.0.0.1:%d"]\n' % taken.getsockname()[1])
            said = self.reload(relay, "not reloaded: all stays as it was")
        self.assertIn("in use", said["error"])
        with self.assertRaises(ConnectionRefusedError):
            socket.create_connection(("127.0.0.1", new))
        relay.submit("s@a.example", ["r@b.example"])

    def test_ports_come_and_go_and_sessions_stay(self):
        relay = self.start(Relay(to="discard:", top={"threads": 2}))
        first, second = relay.port, free_port()
        with relay.conversation() as old:
            old.hello()
            self.assertEqual(old.ask("MAIL FROM:<s@a.example>")[0], 250)
            text = self.text_of(relay)
            listener = '[[listener]]\nname = "second"\naddress = ["127.0.0.1:%d"]\nmax_message_size = "1M"\n' % second
            with open(relay.configuration, "w") as file:
                file.write(text + listener)
            self.reload(relay)
            with Conversation(("127.0.0.1", second)) as new:
                self.assertIn("SIZE 1000000", new.hello())
            with open(relay.configuration, "w") as file:
                file.write(text.replace("127.0.0.1:%d" % first, "127.0.0.1:%d" % second))
            self.reload(relay)
            with self.assertRaises(ConnectionRefusedError):
                socket.create_connection(("127.0.0.1", first))
            with Conversation(("127.0.0.1", second)) as new:
                self.assertIn("SIZE 50000000", new.hello())
            # The session on the port that is gone ends in peace.
            self.assertEqual(old.ask("RCPT TO:<r@b.example>")[0], 250)
            self.assertEqual(old.ask("DATA")[0], 354)
            self.assertEqual(old.ask("Subject: x\r\n\r\nhello\r\n.")[0], 250)
            self.assertEqual(old.ask("QUIT")[0], 221)

    def test_a_new_certificate_is_shown_and_old_connections_live(self):
        folder = self.start(tempfile.TemporaryDirectory())
        os.chmod(folder, 0o755)
        first, second = make_certificate(folder, "a", "first.example"), make_certificate(folder, "b", "second.example")
        relay = self.start(Relay(to="discard:", sections=tls_section(first)))
        self.assertEqual(self.shown_name(relay.port), "first.example")
        context = ssl.create_default_context(cafile=first[0])
        old = smtplib.SMTP(timeout=30)
        old.connect("127.0.0.1", relay.port)
        old._host = "first.example"  # the name that is compared
        old.starttls(context=context)
        relay._sections = tls_section(second)
        relay.write_configuration()
        self.reload(relay)
        self.assertEqual(self.shown_name(relay.port), "second.example")
        self.assertEqual(old.sendmail("s@a.example", ["r@b.example"], b"Subject: x\r\n\r\nx\r\n"), {})
        old.quit()
        # A key that belongs to the other one: all stays, and the line names both files.
        relay._sections = tls_section((second[0], first[1]))
        relay.write_configuration()
        said = self.reload(relay, "not reloaded: all stays as it was")
        self.assertIn(second[0], said["error"])
        self.assertIn(first[1], said["error"])
        self.assertEqual(self.shown_name(relay.port), "second.example")

    def test_self_signed_certificates_are_made_once_and_an_end_is_told_of(self):
        folder = self.start(tempfile.TemporaryDirectory())
        os.chmod(folder, 0o755)
        relay = self.start(Relay(to="discard:"))
        self.assertEqual(self.shown_name(relay.port), "relay.example.org")
        path = os.path.join(relay.state_dir, "tls", "p256.pem")
        made = os.stat(path).st_ino
        self.assertEqual(os.stat(path).st_mode & 0o777, 0o600)
        self.reload(relay)
        self.assertEqual(os.stat(path).st_ino, made)
        soon = make_certificate(folder, "soon", "soon.example", days=10)
        relay._sections = tls_section(soon)
        relay.write_configuration()
        self.reload(relay)
        self.assertIn("expires on", relay.wait_for("certificate", level="warning")[0]["detail"])

    def test_a_certificate_that_has_expired_is_served_and_told_of(self):
        folder = self.start(tempfile.TemporaryDirectory())
        os.chmod(folder, 0o755)
        authority = Authority(folder)
        expired = for_the_relay(authority.issue("old", ["DNS:old.example"], days=-1))
        sink = self.start(Sink())
        relay = self.start(Relay(to=sink.url, sections=tls_section(expired)))
        said = relay.wait_for("certificate", level="error")[0]["detail"]
        self.assertRegex(said, r"^the certificate \S+/old\.pem with the key \S+ has expired on \d{4}-\d\d-\d\d; it is served all the same$")
        self.assertIn("EXPIRED on ", relay.command("check").stdout)
        # Who does not look at it is served, as before.
        with smtplib.SMTP("127.0.0.1", relay.port, "client.example", timeout=30) as client:
            client.starttls(context=ssl._create_unverified_context())
            self.assertEqual(client.sendmail("s@a.example", ["r@b.example"], b"Subject: x\r\n\r\nx\r\n"), {})
        relay.wait_for("delivered", to="r@b.example")
        # Who does goes away, and the log says why.
        with smtplib.SMTP("127.0.0.1", relay.port, "client.example", timeout=30) as client:
            client._host = "old.example"
            with self.assertRaisesRegex(ssl.SSLError, "expired"):
                client.starttls(context=ssl.create_default_context(cafile=authority.ca))
        until(lambda: [line for line in relay.log() if "our certificate has expired" in str(line)], relay.said)

    def test_what_needs_a_restart_is_named(self):
        relay = self.start(Relay(to="discard:", top={"threads": 1}))
        relay._top["threads"] = 2
        relay._listener["max_message_size"] = "2M"
        relay.write_configuration()
        self.reload(relay)
        self.assertEqual([line["key"] for line in relay.wait_for("a changed key counts from the next start")], ["threads"])
        with relay.conversation() as client:
            self.assertIn("SIZE 2000000", client.hello())

    def test_accounts_that_nobody_can_log_in_to_are_not_asked_for(self):
        relay = self.start(Relay(to="discard:", sections='[auth]\nusers = "/nowhere/first"\n'))
        self.reload(relay)
        relay._sections = '[auth]\nusers = "/nowhere/second"\n'
        relay._listener.update(auth="optional", auth_in_clear=["127.0.0.1"])
        relay.write_configuration()
        self.reload(relay)
        said = relay.wait_for("accounts not read")
        self.assertEqual(["/nowhere/second" in line["error"] for line in said], [True], said)

    def test_the_log_is_opened_again_and_may_move(self):
        relay = self.start(Relay(to="discard:"))
        os.rename(relay.log_path, relay.log_path + ".1")
        relay.process.send_signal(signal.SIGHUP)
        relay.wait_for("reloaded")
        relay.log_path += ".new"
        relay.write_configuration()
        relay.process.send_signal(signal.SIGHUP)
        relay.wait_for("reloaded")

    def test_the_service_manager_is_told(self):
        folder = self.start(tempfile.TemporaryDirectory())
        os.chmod(folder, 0o777)
        manager = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        self.addCleanup(manager.close)
        manager.settimeout(60)
        manager.bind(os.path.join(folder, "notify"))
        os.chmod(os.path.join(folder, "notify"), 0o777)
        os.environ["NOTIFY_SOCKET"] = os.path.join(folder, "notify")
        self.addCleanup(os.environ.pop, "NOTIFY_SOCKET", None)
        relay = self.start(Relay(to="discard:"))
        self.assertEqual(manager.recv(1000), b"READY=1")
        before = time.monotonic() * 1e6
        relay.process.send_signal(signal.SIGHUP)
        said = manager.recv(1000).decode().split("\n")
        self.assertEqual(said[0], "RELOADING=1")
        self.assertGreaterEqual(int(said[1].removeprefix("MONOTONIC_USEC=")), before)
        self.assertEqual(manager.recv(1000), b"READY=1")


if __name__ == "__main__":
    run_tests()
