"""Test cases that share one DNS server and one next hop."""

import unittest

from knot import Knot
from relay import Relay
from sinks import Sink

TAKES_ALL = '[dns]\nservers = ["%s"]\n[relay]\ndomains = ["inside.example"]\nrecipients = "any"\n'


class WithDns(unittest.TestCase):
    """`zones` are those of Knot."""

    zones = {}

    @classmethod
    def setUpClass(cls):
        cls.knot = Knot(cls.zones)
        cls.knot.__enter__()
        cls.addClassCleanup(cls.knot.__exit__, None, None, None)
        cls.sink = Sink()
        cls.addClassCleanup(cls.sink.__exit__)

    def relay_with(self, sections, **options):
        """One that asks this server, takes strangers' mail for inside.example, and passes all on to the sink."""
        relay = Relay(to=self.sink.url, sections=TAKES_ALL % self.knot.address + sections, **options)
        self.addCleanup(relay.__exit__)
        relay.start()
        return relay
