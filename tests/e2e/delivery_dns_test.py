"""Delivery by MX, asked of a real DNS server: knotd, whose mail hosts are 127.0.0.x and listen on one
port, which the relay's route names (`mx:PORT`)."""

import os
import sys
import unittest

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "support"))
from knot import Knot, free_port  # noqa: E402
from main import run_tests  # noqa: E402
from relay import Relay, until  # noqa: E402
from sinks import sinks_on_one_port  # noqa: E402

HOSTS = ("127.0.0.21", "127.0.0.22", "127.0.0.23")
ZONES = {
    "example": [
        "h1 A 127.0.0.21", "h2 A 127.0.0.22", "h3 A 127.0.0.23",
        "dead A 127.0.0.29",  # nobody listens there
        "both AAAA ::1", "both A 127.0.0.22",  # and nobody at ::1 on that port
        "prefer MX 20 h2", "prefer MX 10 h1", "prefer MX 30 h3",
        "firstdead MX 10 dead", "firstdead MX 20 h2",
        "alldead MX 10 dead",
        "shared MX 10 h1", "shared MX 10 h2",
        "null MX 0 .",
        "alias CNAME prefer",
        "hostalias MX 10 named", "named CNAME h3",
        "implicit A 127.0.0.23",
        "twofamilies MX 10 both",
        "loop MX 10 relay.example.org.",
        "loopbehind MX 10 h1", "loopbehind MX 20 relay.example.org.",
        "loopbefore MX 10 relay.example.org.", "loopbefore MX 20 h1",
        "loopaddress MX 10 ourselves", "ourselves A 127.0.0.1",
        'nomail TXT "no address either"',
        "nohosts MX 10 missing",
    ],
    "broken": None,  # knotd answers SERVFAIL
}


class Delivery(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.knot = Knot(ZONES)
        cls.knot.__enter__()
        cls.addClassCleanup(cls.knot.__exit__, None, None, None)
        cls.sinks = dict(zip(HOSTS, sinks_on_one_port(HOSTS)))
        for sink in cls.sinks.values():
            cls.addClassCleanup(sink.__exit__)
        cls.port = cls.sinks[HOSTS[0]].port
        cls.relay = Relay(to="mx:%d" % cls.port, top={"postmaster": "p@h1.example"},
                          sections="[dns]\nservers = [\"%s\"]" % cls.knot.address)
        cls.addClassCleanup(cls.relay.__exit__)
        cls.relay.start()

    def end_of(self, recipient, *events, sender="s@implicit.example"):
        """The one line that says what became of a message to this recipient."""
        ident = self.relay.submit(sender, [recipient])
        return until(lambda: next((e for e in self.relay.log(id=ident + "-1") if e["message"] in events), None),
                     lambda: "%s for %s\n%s" % (events, recipient, self.relay.said()))

    def delivered_to(self, recipient):
        host = self.end_of(recipient, "delivered", "bounced", "deferred")
        self.assertEqual(host["message"], "delivered", host)
        return host["host"]

    def test_the_lowest_preference_comes_first(self):
        for _ in range(3):
            self.assertIn("127.0.0.21", self.delivered_to("a@prefer.example"))

    def test_a_dead_host_is_passed_over(self):
        self.assertIn("127.0.0.22", self.delivered_to("a@firstdead.example"))

    def test_with_all_hosts_dead_the_message_waits(self):
        line = self.end_of("a@alldead.example", "deferred", "bounced")
        self.assertEqual((line["message"], line["stage"], line["attempts"]), ("deferred", "connect", 1))
        self.assertIn("dead.example", line["host"])

    def test_equal_preferences_share_the_mail(self):
        # Each connection takes the hosts in a new order; 40 times the same one has odds of 2^-39.
        with Relay(to="mx:%d" % self.port, sections="[dns]\nservers = [\"%s\"]\n[queue]\nmessages_per_connection = 1\n"
                   "min_free_disk = \"0\"" % self.knot.address) as relay:
            for i in range(40):
                relay.submit("s@example.org", ["a%d@shared.example" % i])
            hosts = {line["host"].partition("[")[0] for line in relay.wait_for("delivered", 40)}
        self.assertEqual(hosts, {"h1.example", "h2.example"})

    def test_a_null_mx_bounces_at_once(self):
        line = self.end_of("a@null.example", "bounced", "deferred", "delivered")
        self.assertEqual((line["message"], line["status"]), ("bounced", "5.1.10"))
        report = until(lambda: next((raw for e, raw in self.sinks[HOSTS[2]].messages() if not e["sender"] and
                                     b"a@null.example" in raw), None), "the report")
        self.assertIn(b"has declared that it takes no mail at all", b" ".join(report.split()))

    def test_a_domain_that_does_not_exist_bounces_at_once(self):
        line = self.end_of("a@nowhere.example", "bounced", "deferred")
        self.assertEqual((line["message"], line["status"]), ("bounced", "5.1.2"))

    def test_a_domain_without_mail_host_and_address_bounces_at_once(self):
        for domain in ("nomail.example", "nohosts.example"):
            with self.subTest(domain):
                self.assertEqual(self.end_of("a@" + domain, "bounced", "deferred")["message"], "bounced")

    def test_a_server_failure_is_asked_again_later(self):
        line = self.end_of("a@some.broken", "deferred", "bounced")
        self.assertEqual((line["message"], line["stage"]), ("deferred", "resolve"))

    def test_a_domain_without_mx_is_its_own_mail_host(self):
        self.assertIn("127.0.0.23", self.delivered_to("a@implicit.example"))

    def test_aliases_are_followed_for_domain_and_host(self):
        self.assertIn("127.0.0.21", self.delivered_to("a@alias.example"))
        self.assertIn("127.0.0.23", self.delivered_to("a@hostalias.example"))

    def test_of_two_families_the_one_that_answers_is_used(self):
        self.assertIn("127.0.0.22", self.delivered_to("a@twofamilies.example"))

    def test_address_literals_need_no_dns(self):
        self.assertIn("127.0.0.22", self.delivered_to("a@[127.0.0.22]"))

    def test_ourselves_as_the_best_mail_host_is_a_loop(self):
        for domain in ("loop.example", "loopbefore.example"):
            with self.subTest(domain):
                line = self.end_of("a@" + domain, "bounced", "deferred", "delivered")
                self.assertEqual((line["message"], line["status"]), ("bounced", "5.4.6"), line)

    def test_ourselves_behind_a_better_host_is_no_loop(self):
        self.assertIn("127.0.0.21", self.delivered_to("a@loopbehind.example"))

    def test_our_own_listener_by_another_name_is_a_loop(self):
        port = free_port()
        relay = Relay(to="mx:%d" % port, sections="[dns]\nservers = [\"%s\"]" % self.knot.address)
        relay.port = port
        with relay:
            ident = relay.submit("", ["a@loopaddress.example"])
            line = until(lambda: next((e for e in relay.log(id=ident + "-1")
                                       if e["message"] in ("bounced", "unreturnable", "deferred", "delivered")), None), relay.said)
            self.assertEqual((line["message"], line["status"]), ("bounced", "5.4.6"), line)

    def test_route_explains_the_same_way(self):
        for address, words in (("a@prefer.example", "127.0.0.21"), ("a@null.example", "5.1.10"),
                               ("a@nowhere.example", "5.1.2"), ("a@loop.example", "loops back to us")):
            with self.subTest(address):
                done = self.relay.command("route", address, expect=None)
                self.assertIn(words, done.stdout + done.stderr)


if __name__ == "__main__":
    run_tests()
