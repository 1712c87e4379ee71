"""Warm-up plans: a new source sends a few messages a day, and the warm one takes the rest; and the bound of connections
from one source."""

import collections
import os
import sys
import tempfile
import unittest

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "support"))
from main import run_tests  # noqa: E402
from relay import Relay, until  # noqa: E402
from sinks import ProviderSink, Sink  # noqa: E402

SOURCES = """[[source]]
name = "cold"
address = "127.0.0.2"
[[source]]
name = "warm"
address = "127.0.0.3"
"""
PROFILE = '[provider.picky]\nmx = ["localhost"]\n'


class WarmUp(unittest.TestCase):
    def start(self, thing):
        self.addCleanup(thing.__exit__, None, None, None)
        return thing.__enter__()

    def relay(self, to, sections, profile=PROFILE, **more):
        folder = self.start(tempfile.TemporaryDirectory())
        os.chmod(folder, 0o755)
        path = os.path.join(folder, "own.toml")
        with open(path, "w") as file:
            file.write(profile)
        return self.start(Relay(to=to, sections='%s[traffic]\nprofiles = ["%s"]\n' % (sections, path), **more))

    def send(self, relay, count):
        with relay.client() as client:
            for number in range(count):
                client.sendmail("a@sender.example", ["r%d@x.example" % number], "Subject: x\r\n\r\nx\r\n")

    def test_a_cold_source_sends_its_number_and_the_warm_one_the_rest(self):
        sink = self.start(Sink())
        relay = self.relay("smtp://localhost:%d" % sink.port, SOURCES + '[[warm_up]]\nsources = ["cold"]\ndaily = [5, 10]\n',
                           top={"threads": 2})
        self.send(relay, 30)
        until(lambda: len(relay.log("delivered")) == 30, relay.said)
        counts = collections.Counter(line["source"] for line in relay.log("delivered"))
        self.assertEqual(counts, {"127.0.0.2": 5, "127.0.0.3": 25}, relay.said())
        shown = " ".join(relay.command("route", "r@x.example").stdout.split())
        self.assertIn("from 127.0.0.2 warm-up day 1 of 2: 5 messages; today 5 accepted, 0 pushed back", shown)
        # The number is used up over a restart, too.
        relay.stop()
        relay.start()
        self.send(relay, 10)
        until(lambda: len(relay.log("delivered")) >= 40, relay.said)
        counts = collections.Counter(line["source"] for line in relay.log("delivered"))
        self.assertEqual(counts, {"127.0.0.2": 5, "127.0.0.3": 35}, relay.said())

    def test_with_cold_sources_only_mail_waits_and_says_why(self):
        sink = self.start(Sink())
        plan = '[[warm_up]]\nsources = ["cold", "warm"]\nprovider = "picky"\ndaily = [3]\n'
        relay = self.relay("smtp://localhost:%d" % sink.port, SOURCES + plan)
        self.send(relay, 10)
        until(lambda: len(relay.log("delivered")) == 6 and len(relay.log("a budget is used up")) == 2, relay.said)
        self.send(relay, 1)
        until(lambda: len(relay.queue("list")) == 5, relay.said)
        ident = relay.queue("list")[-1]["queue_id"]
        why = until(lambda: [text for text in [" ".join(relay.command("queue", "why", ident).stdout.split())]
                             if "No source address that it could leave from takes mail for picky now" in text],
                    lambda: relay.command("queue", "why", ident).stdout)[0]
        self.assertIn("Their budgets there are used up", why)
        self.assertEqual(len(relay.log("delivered")), 6)

    def test_a_warm_up_stops_for_the_day_while_much_is_pushed_back(self):
        sink = self.start(Sink("helo:cold.example.org=421 4.7.0 we do not know you yet"))
        sources = SOURCES.replace('address = "127.0.0.2"', 'address = "127.0.0.2"\nehlo = "cold.example.org"')
        rule = ("[[provider.picky.on]]\nreply = '^421 4\\.7\\.0 .*do not know you'\nbackoff = \"x0.9\"\n"
                "samples = [\"421 4.7.0 we do not know you yet\"]\n")
        relay = self.relay("smtp://localhost:%d" % sink.port,
                           sources + '[[warm_up]]\nsources = ["cold"]\ndaily = [1000]\nstop_above = "50%"\n',
                           profile=PROFILE + rule, retry=("1s",))
        self.send(relay, 60)
        relay.wait_for("a warm-up stops for today: too much is pushed back")
        until(lambda: len(relay.log("delivered")) == 60, relay.said)
        self.assertEqual({line["source"] for line in relay.log("delivered")}, {"127.0.0.3"})

    def test_connections_from_one_source_are_bounded(self):
        providers = {"p%d" % number: ("127.0.%d.1" % (90 + number),
                                      'connections = 2\nover_connections = "421 4.7.0 too many"\ntarpit = "10ms"') for number in range(2)}
        sink = ProviderSink(providers)
        self.addCleanup(sink.__exit__)
        hosts = " ".join('"smtp://%s:%d"' % (host, sink.port) for host in sink.hosts.values())
        routes = "".join('[[route]]\nrecipient = "*@%s.example"\nto = %s\n' % (name, url)
                         for name, url in zip(sink.hosts, hosts.split()))
        relay = self.relay(None, routes + SOURCES, profile="[default]\nconnections_source = 2\n", top={"threads": 2})
        with relay.client() as client:
            for number in range(60):
                client.sendmail("a@sender.example", ["r%d@p%d.example" % (number, number % 2)], "Subject: x\r\n\r\nx\r\n")
        until(lambda: len(relay.log("delivered")) == 60, relay.said)
        # Each sink allows two from one address; ours are two from an address to both together.
        self.assertEqual(relay.log("deferred"), [])


if __name__ == "__main__":
    run_tests()
