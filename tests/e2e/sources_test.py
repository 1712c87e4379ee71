"""Source addresses: a relay that sends from several addresses of the loopback, and sinks that see from where."""

import collections
import os
import signal
import sys
import unittest

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "support"))
from main import run_tests  # noqa: E402
from relay import Relay, until  # noqa: E402
from sinks import Sink  # noqa: E402

SOURCES = """[[source]]
name = "a"
address = "127.0.0.2"
ehlo = "a.example.org"
[[source]]
name = "b"
address = "127.0.0.3"
ehlo = "b.example.org"
"""
MISSING = """[[source]]
name = "gone"
address = "192.0.2.77"
"""


def pool(name, sources, tenant=None):
    text = '[[pool]]\nname = "%s"\nsources = [%s]\n' % (name, ", ".join('"%s"' % one for one in sources))
    return text + ('tenant = ["%s"]\n' % tenant if tenant else "")


def seen(sink, skip=None):
    """How often each (address, EHLO name) has sent a message."""
    return collections.Counter((envelope["client"].rpartition(":")[0], envelope["helo"])
                               for envelope, _ in sink.messages(skip))


A = ("127.0.0.2", "a.example.org")
B = ("127.0.0.3", "b.example.org")


class Sources(unittest.TestCase):
    def start(self, thing):
        self.addCleanup(thing.__exit__, None, None, None)
        return thing.__enter__()

    def send(self, relay, sink, count):
        """So many more messages, until the sink has them."""
        before = len(sink.messages())
        for number in range(count):
            relay.submit("s%d@a.example" % number, ["r@b.example"])
        sink.wait(before + count)

    def reload(self, relay, sections):
        relay._sections = sections
        relay.write_configuration()
        count = len(relay.log("reloaded"))
        os.kill(relay.process.pid, signal.SIGHUP)
        relay.wait_for("reloaded", count=count + 1)

    def test_mail_is_shared_out_by_weight_and_each_source_has_its_name(self):
        sink = self.start(Sink())
        relay = self.start(Relay(to=sink.url, top={"threads": 2}, sections=SOURCES + pool("all", ["a", "b:3"])))
        self.send(relay, sink, 40)
        counts = seen(sink)
        self.assertEqual(set(counts), {A, B})
        # Both loops of the machine are homes: one destination has one of them, and turns of its own.
        self.assertTrue(28 <= counts[B] <= 32, counts)
        logged = collections.Counter(line["source"] for line in relay.log("delivered"))
        self.assertEqual(logged, {"127.0.0.2": counts[A], "127.0.0.3": counts[B]})
        traced = relay.command("trace", "--sender", "s1@a.example").stdout
        self.assertRegex(traced, r"delivered by \S+ from 127\.0\.0\.[23][,:] ")

    def test_what_is_not_on_this_machine_is_set_aside(self):
        sink = self.start(Sink())
        relay = self.start(Relay(to=sink.url, sections=SOURCES + MISSING + pool("all", ["a", "gone:9"]) +
                                 pool("rest", ["b"], tenant="nobody")))
        self.send(relay, sink, 10)
        self.assertEqual(seen(sink), {A: 10})
        warnings = relay.log(level="warning", source="gone")
        self.assertEqual([(one["address"], "it is set aside" in one["message"]) for one in warnings], [("192.0.2.77", True)])

        self.reload(relay, SOURCES + MISSING + pool("all", ["gone"]) + pool("rest", ["a", "b"], tenant="nobody"))
        ident = relay.submit("s@a.example", ["r@b.example"])
        line = relay.wait_for("deferred", id=ident + "-1")[0]
        self.assertEqual(line["reply"], "451 4.4.1 no source address of the pool all can be used: they are not on this machine")
        self.assertEqual(line["attempts"], 0)
        why, = relay.queue("why", ident)
        self.assertEqual(why["cause"], "source", why)
        self.assertEqual(len(sink.messages()), 10)

        self.reload(relay, SOURCES + pool("all", ["b"]) + pool("rest", ["a"], tenant="nobody"))
        relay.command("queue", "retry", ident)
        sink.wait(11)
        self.assertEqual(seen(sink), {A: 10, B: 1})

    def test_one_source_can_be_paused_alone(self):
        sink = self.start(Sink())
        relay = self.start(Relay(to=sink.url, sections=SOURCES))
        relay.command("pause", "--source", "127.0.0.3")
        self.send(relay, sink, 8)
        self.assertEqual(seen(sink), {A: 8})
        relay.command("pause", "--source", "127.0.0.2")
        relay.submit("s@a.example", ["late@b.example"])
        until(lambda: [e for e in relay.queue("list") if e["recipients"][0]["address"] == "late@b.example"], "what waits")
        self.assertEqual(len(sink.messages()), 8)
        relay.command("resume", "--source", "127.0.0.3")
        sink.wait(9)
        self.assertEqual(seen(sink), {A: 8, B: 1})

    def test_a_reload_brings_other_sources(self):
        sink = self.start(Sink())
        relay = self.start(Relay(to=sink.url))
        self.send(relay, sink, 2)
        self.assertEqual(seen(sink), {("127.0.0.1", "relay.example.org"): 2})
        self.assertFalse([line for line in relay.log("delivered") if "source" in line])
        self.reload(relay, SOURCES + pool("all", ["b"]) + pool("rest", ["a"], tenant="nobody"))
        self.send(relay, sink, 4)
        self.assertEqual(seen(sink), {("127.0.0.1", "relay.example.org"): 2, B: 4})
        self.reload(relay, "")
        self.send(relay, sink, 1)
        self.assertEqual(seen(sink), {("127.0.0.1", "relay.example.org"): 3, B: 4})


if __name__ == "__main__":
    run_tests()
