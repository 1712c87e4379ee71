"""What `queue summary --by provider` and `plan --learned` say of when mail will have gone, beside what happens."""

import datetime
import json
import os
import sys
import time
import unittest

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "support"))
import relay as relay_module  # noqa: E402
from knot import Knot  # noqa: E402
from main import run_tests  # noqa: E402
from relay import Relay, until  # noqa: E402
from sinks import ProviderSink, Sink  # noqa: E402

MESSAGES = 120
LEARNED = 500
PROFILE = """[provider.big]
mx = ["mx.big.example"]
rate = "300/s"
connections = 10
[[provider.big.on]]
reply = '^421 4\\.7\\.0 too fast'
backoff = "x0.5"
samples = ["421 4.7.0 too fast"]
"""


def two_sources():
    return "".join('[[source]]\nname = "s%d"\naddress = "127.0.0.%d"\nehlo = "s%d.example.org"\n' % (n, n, n) for n in (2, 3))


class Estimates(unittest.TestCase):
    def start(self, thing):
        self.addCleanup(thing.__exit__, None, None, None)
        return thing.__enter__()

    def send(self, relay, recipient, count, octets=0):
        with relay.client() as client:
            client.ehlo()
            for _ in range(count):
                client.sendmail("ann@shop.example", [recipient], b"Subject: hello\r\n\r\nhello\r\n" + octets // 100 * (b"x" * 98 + b"\r\n"))

    def providers(self, relay):
        return {(line["state"], line["provider"]): line for line in relay.queue("summary", "--by", "provider")}

    def test_a_rate_decides_when_all_has_gone(self):
        sink = self.start(Sink())
        route = '[[route]]\nname = "slow"\nrecipient = "*@slow.example"\nto = "%s"\nrate = "8/s"\n' % sink.url
        relay = self.start(Relay(sections=route))
        self.send(relay, "bob@slow.example", MESSAGES)
        until(lambda: len(sink.wait(1)) >= 1 and "done_about" in self.providers(relay).get(("waiting", "route:slow"), {}),
              "an estimate")
        line = self.providers(relay)["waiting", "route:slow"]
        asked = time.time()
        self.one_of_them_goes_in_its_turn(relay)
        said = datetime.datetime.fromisoformat(line["done_about"].replace("Z", "+00:00")).timestamp() - asked
        self.assertGreater(line["deliveries"], 20)
        self.assertGreater(said, line["deliveries"] / 8 * 0.8)
        until(lambda: not relay.queue("summary"), "the end of the mail")
        took = time.time() - asked
        self.assertGreater(took / said, 0.7, (said, took))
        self.assertLess(took / said, 1.5, (said, took))
        self.assertEqual(len(sink.wait(MESSAGES)), MESSAGES)

    def test_sources_share_the_mail_and_each_has_the_providers_rate(self):
        """mx.big.example takes 4/s from each address: two addresses need half the time of one."""
        relay = self.with_provider(PROFILE.replace("300/s", "4/s"), 'limit = "1000/1s"', two_sources())
        line, said, took = self.estimate_and_time(relay, "bob@big.example", "provider:big")
        self.assertLess(said, line["deliveries"] / 4 * 0.7)
        self.assertTrue(0.7 < took / said < 1.5, (said, took))

    def test_the_rate_of_a_route_is_one_for_all_sources(self):
        sink = self.start(Sink())
        route = '[[route]]\nname = "slow"\nrecipient = "*@slow.example"\nto = "%s"\nrate = "8/s"\n' % sink.url
        relay = self.start(Relay(sections=two_sources() + route))
        line, said, took = self.estimate_and_time(relay, "bob@slow.example", "route:slow")
        self.assertGreater(said, line["deliveries"] / 8 * 0.8)
        self.assertTrue(0.7 < took / said < 1.5, (said, took))

    def test_octets_in_a_time_decide_as_well(self):
        sink = self.start(Sink())
        route = '[[route]]\nname = "slow"\nrecipient = "*@slow.example"\nto = "%s"\nbytes = "48K/s"\n' % sink.url
        relay = self.start(Relay(sections=route))
        line, said, took = self.estimate_and_time(relay, "bob@slow.example", "route:slow", octets=5500)  # 8 a second
        self.assertGreater(said, line["deliveries"] / 8 * 0.8)
        self.assertTrue(0.7 < took / said < 1.5, (said, took))

    def estimate_and_time(self, relay, recipient, provider, octets=0):
        """The summary's line once some have gone, the seconds that it says until all will have, and those that it took."""
        self.send(relay, recipient, MESSAGES, octets)
        until(lambda: len(relay.log("delivered")) >= 8 and "done_about" in self.providers(relay).get(("waiting", provider), {}),
              "an estimate")
        line = self.providers(relay)["waiting", provider]
        asked = time.time()
        said = datetime.datetime.fromisoformat(line["done_about"].replace("Z", "+00:00")).timestamp() - asked
        until(lambda: not relay.queue("summary"), "the end of the mail", seconds=60)
        return line, said, time.time() - asked

    def with_provider(self, profile, behaviour, sections=""):
        """A relay with `profile`; a sink plays its provider "big" as the keys `behaviour` say."""
        sink = self.start(ProviderSink({"big": ("127.0.73.1", behaviour)}))
        names = self.start(Knot({"example": ["big MX 10 mx.big.example.", "mx.big A 127.0.73.1"]}))
        path = os.path.join(sink.folder, "own.toml")
        with open(path, "w") as file:
            file.write(profile)
        os.chmod(sink.folder, 0o755)
        sections += '[dns]\nservers = ["%s"]\n[traffic]\nprofiles = ["%s"]\n' % (names.address, path)
        return self.start(Relay(to="mx:%d" % sink.port, retry=("1s",), sections=sections))

    def one_of_them_goes_in_its_turn(self, relay):
        """queue why: an estimate for the last that waits, the page says so, and it holds."""
        last = relay.queue("list")[-1]["queue_id"]
        why = relay.queue("why", last)[0]
        asked = time.time()
        self.assertEqual(why["cause"], "rate", why)
        self.assertRegex(why["estimate"], r"about \d+ others of route slow go before it")
        said = datetime.datetime.fromisoformat(why["about"].replace("Z", "+00:00")).timestamp() - asked
        self.assertRegex(relay.command("queue", "why", last).stdout, r"Goes +about 20\d\d-")
        until(lambda: relay.queue("why", last)[0]["cause"] == "gone", "its end")
        took = time.time() - asked
        self.assertTrue(0.7 < took / said < 1.5, (said, took))

    def test_it_says_what_is_not_known(self):
        dead = relay_module.free_port()
        relay = self.start(Relay(to="smtp://127.0.0.1:%d" % dead))
        self.send(relay, "bob@any.example", 3)
        relay.wait_for("deferred")
        line = until(lambda: self.providers(relay).get(("waiting", "route:next")) or
                     next(iter(self.providers(relay).values()), None), "the account")
        self.assertNotIn("done_about", line)
        self.assertEqual((line["deliveries"], line["not_known"]), (3, 3))
        self.assertEqual(line["why_not_known"], "its hosts take no mail at the moment")
        shown = relay.command("queue", "summary", "--by", "provider").stdout
        self.assertIn("GONE ABOUT", shown)
        self.assertIn("not known", shown)
        relay.stop()
        stopped = relay.command("queue", "summary", "--by", "provider", expect=1)
        self.assertIn("needs a running rockdove", stopped.stderr)

    def test_a_mailing_is_planned_with_what_the_provider_took_of_the_one_before(self):
        relay = self.with_provider(PROFILE, 'limit = "40/1s"\nover_limit = "421 4.7.0 too fast"')
        relay.command("pause", "--all", "--because", "it is being handed in")
        self.send(relay, "bob@big.example", LEARNED)
        relay.command("resume", "--all")
        began = time.time()
        until(lambda: len(relay.log("delivered")) == LEARNED, relay.said, seconds=90)
        took = time.time() - began

        def plan(*options):
            done = relay.command("plan", "-", "--json", "--connecting", "1ms", "--reply-time", "1ms", *options,
                                 input="big.example,%d\n" % LEARNED)
            return json.loads(done.stdout.splitlines()[0])["seconds"]
        learned = plan("--learned")
        self.assertGreater(learned, 3 * plan())
        self.assertTrue(0.6 < learned / took < 1.4, (learned, took))
        self.assertLess(plan("--learned", "--pace", "big=250/s"), learned / 2)
        self.assertIn("taken while mail waited", relay.command("route", "bob@big.example").stdout)
        relay.stop()
        stopped = plan("--learned")
        self.assertTrue(0.9 < stopped / learned < 1.1, (stopped, learned))
        self.assertEqual(plan("--state", relay.state_dir), stopped)


if __name__ == "__main__":
    run_tests()
