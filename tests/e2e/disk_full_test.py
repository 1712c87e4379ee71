"""A disk that fills up under load: clients hear 452 4.3.1, nothing that got a 250 is lost, and when
there is room again the same process goes on. The disk is a small tmpfs, which needs root."""

import os
import sys
import unittest

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "support"))
from disks import mounted_for, tmpfs  # noqa: E402
from knot import free_port  # noqa: E402
from load import BODY, SMALL, Load, name_of  # noqa: E402
from main import run_tests  # noqa: E402
from relay import Relay, give_to_daemon, until  # noqa: E402
from sinks import Sink  # noqa: E402

SIZE = 130_000_000
BALLAST = 30_000_000


class DiskFull(unittest.TestCase):
    def fill(self, min_free):
        disk = mounted_for(self, lambda: tmpfs(SIZE))
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
                return load.acknowledged - {name_of(envelope) for envelope, _ in sink.messages()}
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
