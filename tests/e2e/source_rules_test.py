"""What traffic profiles say of one source address: a rule that pauses it, knobs of its own, and a source of IPv6."""

import json
import os
import socket
import sys
import tempfile
import unittest

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "support"))
from knot import free_port  # noqa: E402
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
LISTED = """[provider.picky]
mx = ["localhost"]
[[provider.picky.on]]
reply = '^550 5\\.7\\.1 .*is listed'
pause = "1h"
pause_of = "source"
defer = true
samples = ["550 5.7.1 a.example.org is listed"]
"""
TENANT = """[provider.picky]
mx = ["localhost"]
[[provider.picky.on]]
reply = '^450 4\\.7\\.1 too many complaints'
pause = "1h"
pause_of = "tenant"
samples = ["450 4.7.1 too many complaints about this customer"]
"""
ONE_RECIPIENT = """[provider.picky]
mx = ["localhost"]
[[provider.picky.on]]
reply = '^452 4\\.5\\.3 one recipient'
set = { recipients_per_transaction = 1 }
set_for = "1h"
samples = ["452 4.5.3 one recipient is enough"]
"""
ELSEWHERE = """[provider.picky]
mx = ["localhost"]
[[provider.picky.on]]
reply = '^550 5\\.7\\.1 .*is listed'
next_source = true
samples = ["550 5.7.1 a.example.org is listed"]
"""


def has_ipv6():
    try:
        with socket.socket(socket.AF_INET6) as probe:
            probe.bind(("::1", 0))
        return True
    except OSError:
        return False


class SourceRules(unittest.TestCase):
    def start(self, thing):
        self.addCleanup(thing.__exit__, None, None, None)
        return thing.__enter__()

    def relay(self, to, profile, sections=SOURCES, **more):
        folder = self.start(tempfile.TemporaryDirectory())
        os.chmod(folder, 0o755)
        path = os.path.join(folder, "own.toml")
        with open(path, "w") as file:
            file.write(profile)
        return self.start(Relay(to=to, sections='%s[traffic]\nprofiles = ["%s"]\n' % (sections, path), **more))

    def sources_of(self, relay, count):
        until(lambda: len(relay.log("delivered")) >= count, relay.said)
        return [line["source"] for line in relay.log("delivered")]

    def send(self, relay, count):
        with relay.client() as client:
            for number in range(count):
                client.sendmail("a@sender.example", ["r%d@x.example" % number], "Subject: x\r\n\r\nx\r\n")

    def test_a_rule_pauses_a_source_and_the_other_takes_its_mail(self):
        sink = self.start(Sink("helo:a.example.org=550 5.7.1 a.example.org is listed"))
        relay = self.relay("smtp://localhost:%d" % sink.port, LISTED, retry=("1s",))
        self.send(relay, 20)
        self.assertEqual(set(self.sources_of(relay, 20)), {"127.0.0.3"})
        self.assertEqual(relay.log("bounced"), [])
        paused = relay.log("a traffic rule pauses mail")
        self.assertEqual({line["account"] for line in paused}, {"provider:picky from 127.0.0.2"}, relay.said())

    def test_a_message_tries_another_source_at_once_but_only_one(self):
        sink = self.start(Sink("helo:a.example.org=550 5.7.1 a.example.org is listed"))
        relay = self.relay("smtp://localhost:%d" % sink.port, ELSEWHERE, retry=("1s",))
        self.send(relay, 8)
        self.assertEqual(set(self.sources_of(relay, 8)), {"127.0.0.3"})
        self.assertEqual(relay.log("bounced"), [])
        first = relay.log("deferred")
        self.assertEqual({line["source"] for line in first}, {"127.0.0.2"})
        ident = first[0]["id"]
        self.assertEqual(len([line for line in first if line["id"] == ident]), 1)  # the other one is the next
        steps = json.loads(relay.command("trace", ident.partition("-")[0], "--json").stdout)["recipients"][0]["steps"]
        self.assertEqual([(step["what"], step.get("source")) for step in steps],
                         [("deferred", "127.0.0.2"), ("delivered", "127.0.0.3")])

    def test_where_no_source_is_taken_each_attempt_leaves_from_another(self):
        sink = self.start(Sink("helo=550 5.7.1 your address is listed"))
        relay = self.relay("smtp://localhost:%d" % sink.port, ELSEWHERE, retry=("1s",))
        self.send(relay, 1)
        until(lambda: len(relay.log("deferred")) >= 4, relay.said)
        sources = [line["source"] for line in relay.log("deferred")]
        self.assertTrue(all(one != other for one, other in zip(sources, sources[1:])), sources)
        entry = relay.queue("list")[0]
        self.assertIn(entry["recipients"][0]["source"], sources)
        why = relay.command("queue", "why", entry["queue_id"]).stdout
        self.assertRegex(" ".join(why.split()), r", asked from 127\.0\.0\.[23], answered \"550 5\.7\.1 your address is listed\"")

    def test_with_all_sources_paused_mail_waits(self):
        sink = self.start(Sink("helo=550 5.7.1 your address is listed"))
        relay = self.relay("smtp://localhost:%d" % sink.port, LISTED, retry=("1s",))
        self.send(relay, 6)
        until(lambda: len(relay.log("a traffic rule pauses mail")) >= 2, relay.said)
        self.send(relay, 1)
        until(lambda: len(relay.queue("list")) == 7, relay.said)
        self.assertEqual(relay.log("bounced"), [])
        self.assertEqual(relay.log("delivered"), [])
        self.assertIn("mail to it waits: none of our source addresses may send to it now",
                      " ".join(relay.command("route", "r@x.example").stdout.split()))
        fresh = next(entry["queue_id"] for entry in relay.queue("list") if entry["recipients"][0]["attempts"] == 0)
        why = " ".join(relay.command("queue", "why", fresh).stdout.split())
        self.assertRegex(why, r'A traffic rule has paused at least one of them, because a server there answered: '
                              r'"550 5\.7\.1 your address is listed \(rule /\S+/own\.toml:3\)"')

    def test_a_rule_pauses_the_mail_of_one_tenant_and_a_person_may_end_it(self):
        sink = self.start(Sink("mail:*red*=450 4.7.1 too many complaints about this customer, first 1"))
        relay = self.relay("smtp://localhost:%d" % sink.port, TENANT, sections="", retry=("1s",),
                           listener={"tenant_from": ["127.0.0.1"]})

        def send(tenant):
            with relay.client() as client:
                client.sendmail("a@%s.example" % tenant, ["b@x.example"], "X-Rockdove-Tenant: %s\r\nSubject: x\r\n\r\nx\r\n" % tenant)

        send("red")
        relay.wait_for("a traffic rule pauses mail")
        send("red")
        send("blue")
        sink.wait(1)
        waiting = until(lambda: (ids := [entry["queue_id"] for entry in relay.queue("list")]) and len(ids) == 2 and ids, relay.said)

        def explained(ident):
            why = relay.queue("why", ident)[0]
            return why if why["cause"] == "tenant-paused" else None

        for ident in waiting:
            why = until(lambda: explained(ident), lambda: relay.command("queue", "why", ident).stdout)
            self.assertRegex(why["text"], r'^A traffic rule has paused the mail of tenant red to picky, because a server there '
                                          r'answered: "450 4\.7\.1 too many complaints about this customer '
                                          r'\(rule /\S+/own\.toml:3\)"\. Mail of others goes there meanwhile\.$')
        relay.command("queue", "retry", waiting[-1])
        sink.wait(2)

    def test_a_section_of_a_source_holds_for_it_alone(self):
        sink = self.start(Sink())
        profile = '[provider.picky]\nmx = ["localhost"]\n[source."127.0.0.2"]\nrate = "2/h"\n'
        relay = self.relay("smtp://localhost:%d" % sink.port, profile)
        self.send(relay, 24)
        # Both have their turns; what its rate does not let a send waits there.
        until(lambda: len(relay.log("delivered")) >= 13, relay.said)
        counts = [line["source"] for line in relay.log("delivered")]
        self.assertLessEqual(counts.count("127.0.0.2"), 2)

    def recipients_of(self, sink, count):
        return [len(envelope["recipients"]) for envelope, _ in sink.wait(count)]

    def test_a_transaction_has_no_more_recipients_than_its_source_may_send_to(self):
        sink = self.start(Sink())
        relay = self.relay("smtp://localhost:%d" % sink.port, '[source."127.0.0.2"]\nrecipient_rate = "2/h"\n',
                           sections=SOURCES.partition("[[source]]\nname = \"b\"")[0])
        relay.submit("a@sender.example", ["r%d@x.example" % number for number in range(5)])
        self.assertEqual(self.recipients_of(sink, 1), [2])
        relay.wait_for("a budget is used up")
        self.assertEqual(self.recipients_of(sink, 1), [2])

    def test_a_rule_sets_how_many_recipients_a_transaction_has(self):
        sink = self.start(Sink("rcpt=452 4.5.3 one recipient is enough, first 1"))
        relay = self.relay("smtp://localhost:%d" % sink.port, ONE_RECIPIENT, sections="", retry=("1s",))
        relay.submit("a@sender.example", ["r0@x.example"])
        self.assertEqual(self.recipients_of(sink, 1), [1])
        relay.submit("a@sender.example", ["r%d@x.example" % number for number in range(3)])
        self.assertEqual(self.recipients_of(sink, 4), [1] * 4)

    @unittest.skipUnless(has_ipv6(), "this machine has no IPv6 loopback")
    def test_a_server_of_ipv6_is_reached_from_the_source_of_ipv6(self):
        sink = self.start(Sink(address="[::1]:%d" % free_port()))
        six = '[[source]]\nname = "six"\naddress = "::1"\nehlo = "six.example.org"\n'
        relay = self.relay("smtp://[::1]:%d" % sink.port, "", sections=SOURCES + six)
        self.send(relay, 6)
        self.assertEqual(set(self.sources_of(relay, 6)), {"::1"})
        self.assertEqual({envelope["helo"] for envelope, _ in sink.wait(6)}, {"six.example.org"})


if __name__ == "__main__":
    run_tests()
