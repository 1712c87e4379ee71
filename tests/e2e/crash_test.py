"""A message at which rockdove itself fails three times goes on hold, and a person can let it go. The
fault is real: a library of ours, preloaded into the daemon, touches an address that is not there
when the daemon connects to one port (support/fault_at_connect.c)."""

import contextlib
import os
import smtplib
import subprocess
import sys
import tempfile
import unittest

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "support"))
sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "../../contrib/bench"))
import power_cut  # noqa: E402
from main import run_tests  # noqa: E402
from relay import Relay, until  # noqa: E402
import relay as relay_module  # noqa: E402
from sinks import Sink  # noqa: E402

HERE = os.path.dirname(os.path.abspath(__file__))


class CrashHold(unittest.TestCase):
    def start(self, thing):
        self.addCleanup(thing.__exit__, None, None, None)
        return thing.__enter__()

    def setUp(self):
        folder = tempfile.TemporaryDirectory(prefix="rockdove-fault-")
        self.addCleanup(folder.cleanup)
        os.chmod(folder.name, 0o755)
        self.library = os.path.join(folder.name, "fault_at_connect.so")
        subprocess.run(["cc", "-O1", "-shared", "-fPIC", os.path.join(HERE, "support", "fault_at_connect.c"),
                        "-o", self.library, "-ldl"], check=True)

    def faulty(self, port):
        environment = power_cut.environment(self.library, os.devnull, relay_module.ROCKDOVE)
        environment["FAULT_AT_PORT"] = str(port)
        return environment

    def launch(self, relay, port):
        """Starts it with the fault in place."""
        relay.write_configuration()
        return relay.launch(environment=self.faulty(port))

    @staticmethod
    def counted(relay):
        """What the log says of crashes, in order."""
        return [line["crashes"] for line in relay.log() if "crashes" in line]

    def test_a_message_that_crashes_the_daemon_three_times_is_put_on_hold(self):
        sink = self.start(Sink())
        healthy = self.start(Sink())
        relay = self.start(Relay(to=sink.url, sections="[[route]]\nrecipient = \"*@good.example\"\nto = \"%s\"\n"
                                 % healthy.url))
        relay.stop()
        self.launch(relay, sink.port)
        until(lambda: len(relay.log("ready")) == 2, relay.said)
        with contextlib.suppress(smtplib.SMTPServerDisconnected):  # it may end before the 250 is on the wire
            relay.submit("a@example.org", ["b@example.net"])
        for crashes in range(3):
            if crashes > 0:
                self.launch(relay, sink.port)
            self.assertLess(relay.process.wait(60), 0, relay.said())  # by a signal, as without our handler
            self.assertEqual(self.counted(relay), list(range(1, crashes + 1)))
        # The third crash is counted at the next start, which puts the message on hold and goes on.
        before = len(relay.log("ready"))
        self.launch(relay, sink.port)
        until(lambda: len(relay.log("ready")) > before, relay.said)
        self.assertEqual(self.counted(relay), [1, 2, 3])
        entry, = relay.queue("list")
        recipient, = entry["recipients"]
        ident = entry["queue_id"]
        self.assertEqual((recipient["state"], recipient["hold_reason"]), ("held", "crash"))
        self.assertEqual(entry["queue_name"], "hold")
        text = " ".join(relay.command("queue", "list").stdout.split())
        self.assertIn("on hold", text)
        self.assertIn("rockdove itself failed 3 times while working on it", text)
        # Other mail is not touched, and a person may let it go once the daemon is mended.
        relay.submit("a@example.org", ["c@good.example"])
        healthy.wait()
        self.assertEqual(sink.messages(), [])
        relay.stop()
        relay.start()
        self.assertEqual(len(relay.queue("list")), 1)
        self.assertEqual(sink.messages(), [])
        relay.command("queue", "retry", ident + "-1")
        (envelope, _), = sink.wait()
        self.assertEqual(envelope["recipients"], ["b@example.net"])
        until(lambda: relay.queue("list") == [], "an empty queue")


if __name__ == "__main__":
    run_tests()
