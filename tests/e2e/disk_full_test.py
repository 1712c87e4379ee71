"""A disk that fills up under load: clients hear 452 4.3.1, nothing that got a 250 is lost, and when
there is room again the same process goes on. The disk is a small tmpfs, which needs root."""

import os
import subprocess
import sys
import tempfile
import threading
import unittest

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "support"))
from knot import free_port  # noqa: E402
from main import run_tests  # noqa: E402
from relay import Relay, give_to_daemon, until  # noqa: E402
from sinks import Sink  # noqa: E402

SIZE = 130_000_000
BALLAST = 30_000_000
BODY = b"x" * 76 + (b"\r\n" + b"y" * 76) * 1000 + b"\r\n"  # 78 KB
SMALL = b"z" * 60 + b"\r\n"


class Disk:
    """A mounted tmpfs; raises OSError where one may not be mounted."""

    def __init__(self):
        self.path = tempfile.mkdtemp(prefix="rockdove-disk-")
        done = subprocess.run(["mount", "-t", "tmpfs", "-o", "size=%d,mode=755" % SIZE, "none", self.path],
                              capture_output=True, text=True)
        if done.returncode != 0:
            os.rmdir(self.path)
            raise OSError(done.stderr.strip())

    def close(self):
        subprocess.run(["umount", "-l", self.path], check=True)
        os.rmdir(self.path)


def mount_or_skip(test):
    if os.getuid() != 0:
        test.skipTest("a small disk can only be mounted by root")
    try:
        disk = Disk()
    except OSError as error:
        test.skipTest("a small disk cannot be mounted here: %s" % error)
    test.addCleanup(disk.close)
    return disk


class Load:
    """Sessions that hand in messages with their own number until told to stop."""

    def __init__(self, relay, sessions=4):
        self.relay = relay
        self.acknowledged = set()
        self.refusals = []
        self.unexpected = []
        self._stop = threading.Event()
        self._threads = [threading.Thread(target=self._run, args=(i,)) for i in range(sessions)]
        for thread in self._threads:
            thread.start()

    def _run(self, session):
        count = 0
        while not self._stop.is_set():
            try:
                with self.relay.conversation() as client:
                    client.hello()
                    while not self._stop.is_set():
                        name = "m%d-%d" % (session, count)
                        count += 1
                        self._one(client, name, BODY if count % 2 else SMALL)
            except (OSError, AssertionError) as error:
                self.unexpected.append(repr(error))
                return

    def _one(self, client, name, body):
        code, text = client.ask("MAIL FROM:<%s@sender.example>" % name)
        if code == 250:
            client.ask("RCPT TO:<b@example.net>")
            code, text = client.ask("DATA")
            if code == 354:
                client.send(b"Subject: " + name.encode() + b"\r\n\r\n" + body + b".\r\n")
                code, text = client.reply()
                if code == 250:
                    self.acknowledged.add(name)
                    return
        client.ask("RSET")
        self._stop.wait(0.05)  # as a client that comes again later
        (self.refusals if code == 452 else self.unexpected).append((code, text))

    def stop(self):
        self._stop.set()
        for thread in self._threads:
            thread.join(60)


class DiskFull(unittest.TestCase):
    def fill(self, min_free):
        disk = mount_or_skip(self)
        give_to_daemon(disk.path)
        ballast = os.path.join(disk.path, "ballast")
        with open(ballast, "wb") as file:
            file.write(b"b" * BALLAST)
        port = free_port()
        relay = Relay(to="smtp://127.0.0.1:%d" % port, state_dir=os.path.join(disk.path, "state"),
                      sections='[queue]\nmin_free_disk = "%s"\nretry = ["1s"]\n' % min_free)
        self.addCleanup(relay.__exit__)
        relay.start()
        process = relay.process.pid
        load = Load(relay)
        self.addCleanup(load.stop)
        until(lambda: len(load.refusals) >= 20 or load.unexpected, lambda: "a full disk\n" + relay.said(), 120)
        self.assertEqual(load.unexpected, [], relay.said())
        self.assertTrue(all("4.3.1" in text for _, text in load.refusals), load.refusals[:3])
        self.assertGreater(len(load.acknowledged), 50)
        os.unlink(ballast)
        before = len(load.acknowledged)
        until(lambda: len(load.acknowledged) > before + 10, lambda: "mail to be taken again\n" + relay.said(), 120)
        load.stop()
        self.assertEqual(load.unexpected, [], relay.said())
        # Now somebody takes it; all that was acknowledged comes, without a restart.
        with Sink(address="127.0.0.1:%d" % port) as sink:
            def missing():
                return load.acknowledged - {e["sender"].partition("@")[0] for e, _ in sink.messages()}
            until(lambda: relay.command("queue", "retry", "--sender", "*", "--yes", expect=None) and not missing(),
                  lambda: "%d messages of %d\n%s" % (len(missing()), len(load.acknowledged), relay.said()), 120)
            for _, raw in sink.messages():
                self.assertTrue(raw.endswith((BODY, SMALL)))
        self.assertIsNone(relay.process.poll())
        self.assertEqual(relay.process.pid, process)

    def test_no_octet_left(self):
        self.fill("0")

    def test_less_than_min_free_disk_left(self):
        self.fill("40M")


if __name__ == "__main__":
    run_tests()
