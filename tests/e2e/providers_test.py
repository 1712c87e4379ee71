"""Sinks that behave as providers do, behind real DNS zones: what Yahoo, Gmail and Outlook answer above a limit
that nobody sees, connection caps, greylisting, tarpits. First what the sink itself does, driven by smtplib; then what
a relay with the shipped profiles makes of it, with rates and times made fast.
"""
import json
import os
import smtplib
import sys
import tempfile
import time
import unittest

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "support"))
from knot import Knot  # noqa: E402
from main import run_tests  # noqa: E402
from relay import Relay, until  # noqa: E402
from sinks import ProviderSink  # noqa: E402

TSS04 = ("421 4.7.0 [TSS04] Messages from {client} temporarily deferred due to unexpected volume or user complaints - "
         "4.16.55.1; see https://postmaster.yahooinc.com/error-codes")
GMAIL = ["421-4.7.28 Gmail has detected an unusual rate of unsolicited mail. To protect",
         "421-4.7.28 our users from spam, mail has been temporarily rate limited. Please",
         "421 4.7.28 review our Bulk Email Senders Guidelines. m17-20020a67f711000000b0045d8a438106si295017vso.199 - gsmtp"]
BUSY = "451 4.7.650 The mail server [{client}] has been temporarily rate limited due to IP reputation. (S775)"
BLOCKED = ("550 5.7.1 Unfortunately, messages from [{client}] weren't sent. Please contact your Internet service provider "
           "since part of their network is on our block list (%s).")


def send(client, recipient="u@x.example"):
    """The code and text of the answer that ends it, and at which command."""
    for what, answer in (("mail", lambda: client.mail("a@sender.example")), ("rcpt", lambda: client.rcpt(recipient)),
                         ("dot", lambda: client.data(b"Subject: x\r\n\r\nx\r\n"))):
        try:
            code, text = answer()
        except smtplib.SMTPDataError as refused:
            code, text = refused.smtp_code, refused.smtp_error
        if code != 250:
            if code != 421:
                client.rset()
            return what, code, text.decode()
    return what, code, text.decode()


def connected(sink, name, **how):
    client = sink.client(name, **how)
    client.ehlo()
    return client


class SinkAlone(unittest.TestCase):
    def sink(self, **providers):
        sink = ProviderSink({name: ("127.0.%d.1" % (61 + i), keys) for i, (name, keys) in enumerate(providers.items())})
        self.addCleanup(sink.__exit__)
        return sink

    def test_yahoo_says_tss04_above_its_rate_and_closes_the_connection(self):
        sink = self.sink(yahoo='limit = "3/1h"\nover_limit = %r\nhostname = "mta5.am0.yahoodns.net"' % TSS04)
        client = sink.client("yahoo")
        self.assertTrue(client.ehlo()[1].startswith(b"mta5.am0.yahoodns.net"))
        self.assertEqual([send(client)[1] for _ in range(3)], [250, 250, 250])
        where, code, text = send(client)
        self.assertEqual((where, code), ("mail", 421))
        self.assertTrue(text.startswith("4.7.0 [TSS04] Messages from 127.0.0.1 temporarily deferred"), text)
        with self.assertRaises(smtplib.SMTPServerDisconnected):
            client.noop()
            client.noop()
        with connected(sink, "yahoo", source="127.0.0.2") as other:
            self.assertEqual(send(other)[1], 250)  # counted by address
        totals, events = sink.stop()
        self.assertEqual({key: totals["yahoo"][key] for key in ("connections", "accepted", "deferred", "rejected")},
                         {"connections": 2, "accepted": 4, "deferred": 1, "rejected": 0})
        self.assertEqual([event[1:] for event in events],
                         [("yahoo", "accepted", "dot", "u@x.example")] * 3 + [("yahoo", "deferred", "mail", "")] +
                         [("yahoo", "accepted", "dot", "u@x.example")])

    def test_gmail_answers_on_several_lines_at_rcpt(self):
        sink = self.sink(gmail='window = "tokens"\nlimit = ["2/1h", "100/10h"]\nover_limit_at = "rcpt"\nover_limit = %r' % GMAIL)
        with connected(sink, "gmail") as client:
            self.assertEqual([send(client)[1] for _ in range(2)], [250, 250])
            where, code, text = send(client)
        self.assertEqual((where, code, text.count("\n"), text.count("4.7.28 ")), ("rcpt", 421, 2, 3))

    def test_outlook_blocks_whoever_goes_on(self):
        for mark in ("S3150", "S3140"):
            sink = self.sink(outlook='limit = "1/1h"\nover_limit = "%s"\nblock_after = 2\nblock_within = "1h"\nblock_for = "1h"\n'
                             'blocked = "%s"' % (BUSY, BLOCKED % mark))
            with connected(sink, "outlook") as client:
                answers = [send(client)[1:] for _ in range(4)]
            self.assertEqual([code for code, _ in answers], [250, 451, 451, 550])
            self.assertIn("messages from [127.0.0.1] weren't sent", answers[3][1])
            self.assertIn("on our block list (%s)" % mark, answers[3][1])
            self.assertEqual(sink.stop()[0]["outlook"]["rejected"], 1)

    def test_a_limit_may_count_at_the_final_dot_and_at_the_banner(self):
        sink = self.sink(dot='limit = "1/1h"\nover_limit_at = "dot"', banner='limit = "1/1h"\nover_limit_at = "connect"')
        with connected(sink, "dot") as client:
            self.assertEqual([send(client)[:2] for _ in range(2)], [("dot", 250), ("dot", 451)])
        with connected(sink, "banner") as client:
            self.assertEqual([send(client)[:2] for _ in range(2)], [("dot", 250), ("mail", 451)])
        with self.assertRaises(smtplib.SMTPConnectError) as refused:
            sink.client("banner")
        self.assertEqual(refused.exception.smtp_code, 451)

    def test_connections_at_once_and_messages_on_each_are_bounded(self):
        sink = self.sink(says='connections = 2\nover_connections = "421 4.7.0 too many connections from {client}"\n'
                         'messages_per_connection = 2', closes='connections = 1\nover_connections = "close"')
        first, second = connected(sink, "says"), connected(sink, "says")
        with self.assertRaises(smtplib.SMTPConnectError) as refused:
            sink.client("says")
        self.assertEqual((refused.exception.smtp_code, refused.exception.smtp_error),
                         (421, b"4.7.0 too many connections from 127.0.0.1"))
        second.quit()
        give_up = time.monotonic() + 30
        while True:  # the sink may hear of the end a moment later
            try:
                sink.client("says").quit()
                break
            except smtplib.SMTPConnectError:
                self.assertLess(time.monotonic(), give_up)
        self.assertEqual([send(first)[:2] for _ in range(3)], [("dot", 250), ("dot", 250), ("mail", 421)])
        with connected(sink, "closes"), self.assertRaises(smtplib.SMTPServerDisconnected):
            sink.client("closes")

    def test_greylisting_defers_until_the_time_has_passed(self):
        sink = self.sink(grey='greylist = "200ms"')
        with connected(sink, "grey") as client:
            began = time.monotonic()
            self.assertEqual(send(client)[:2], ("rcpt", 451))
            while (code := send(client)[1]) == 451:
                time.sleep(0.01)
            self.assertEqual(code, 250)
            self.assertGreaterEqual(time.monotonic() - began, 0.2)
            self.assertEqual(send(client, "another@x.example")[:2], ("rcpt", 451))

    def test_a_tarpit_keeps_the_client_waiting_and_nobody_else(self):
        sink = self.sink(tar='tarpit = "300ms"\ntarpit_at = "mail"\nlimit = "1/1h"', free="")
        with connected(sink, "tar") as client, connected(sink, "free") as other:
            began = time.monotonic()
            client.putcmd("MAIL FROM:<a@sender.example>")
            self.assertEqual(send(other)[1], 250)
            self.assertEqual(client.getreply()[0], 250)
            client.rset()
            self.assertEqual(client.mail("a@sender.example")[0], 451)  # refusals, too
            self.assertGreaterEqual(time.monotonic() - began, 0.6)

    def test_a_limit_changes_with_time(self):
        sink = self.sink(moves='limit = "1/1h"\n[[provider.moves.change]]\nat = "300ms"\nlimit = "off"')
        with connected(sink, "moves") as client:
            self.assertEqual([send(client)[1] for _ in range(2)], [250, 451])
            while send(client)[1] == 451:
                time.sleep(0.01)
        accepted = [event[0] for event in sink.stop()[1] if event[2] == "accepted"]
        self.assertGreaterEqual(accepted[1], 0.3)


SHIPPED = os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "..", "contrib", "traffic")
# Whose mail goes where, as in the world.
HOSTS = {"yahoo": {"yahoo.com": "mta5.am0.yahoodns.net", "aol.com": "mx-aol.mail.gm0.yahoodns.net"},
         "google": {"gmail.com": "gmail-smtp-in.l.google.com", "workspace.com": "aspmx.l.google.com"},
         "outlook": {"outlook.com": "outlook-com.olc.protection.outlook.com", "hotmail.com": "hotmail-com.olc.protection.outlook.com"},
         "small": {"small.com": "mx.small.com"}}
FAST = """
[provider.yahoo]
rate = "100/s"
connection_rate = "off"
[provider.google]
rate = "100/s"
connection_rate = "off"
[provider.outlook]
rate = "100/s"
connection_rate = "off"
[default]
connection_rate = "off"
"""


class RelayObeys(unittest.TestCase):
    def world(self, name, keys, profile=""):
        """A sink that plays this provider, behind its domains' real MX hosts, and a relay in front of it."""
        sink = ProviderSink({name: ("127.0.71.1", keys)})
        self.addCleanup(sink.__exit__)
        zones = {"com": [], "net": []}
        for domain, host in HOSTS[name].items():
            zones["com"].append("%s. MX 10 %s." % (domain, host))
            zones[host.rpartition(".")[2]].append("%s. A 127.0.71.1" % host)
        names = Knot(zones)
        names.__enter__()
        self.addCleanup(names.__exit__, None, None, None)
        own = os.path.join(sink.folder, "own.toml")
        with open(own, "w") as file:
            file.write(FAST + profile)
        os.chmod(sink.folder, 0o755)
        relay = Relay(to="mx:%d" % sink.port, retry=("1s",), sections='[dns]\nservers = ["%s"]\n[traffic]\nprofiles = ["%s", "%s"]\n'
                      % (names.address, os.path.realpath(SHIPPED), own))
        self.addCleanup(relay.__exit__)
        relay.start()
        return sink, relay

    def submit(self, relay, name, count):
        """So many messages, over the provider's domains; the recipients."""
        domains = list(HOSTS[name])
        recipients = ["u%d@%s" % (number, domains[number % len(domains)]) for number in range(count)]
        with relay.client() as client:
            for recipient in recipients:
                client.sendmail("a@sender.example", [recipient], "Subject: x\r\n\r\nx\r\n")
        return recipients

    def delivered(self, sink, relay, recipients):
        """Waits for all of them; the sink's totals. Each arrived once."""
        until(lambda: len(relay.log("delivered")) >= len(recipients), relay.said, seconds=90)
        totals, events = sink.stop()
        self.assertEqual(sorted(event[4] for event in events if event[2] == "accepted"), sorted(recipients))
        return next(iter(totals.values()))

    def test_after_tss04_the_domains_of_yahoo_slow_down_together(self):
        sink, relay = self.world("yahoo", 'limit = "5/1h"\nover_limit = "%s"\n[[provider.yahoo.change]]\nat = "3s"\nlimit = "off"' % TSS04)
        recipients = self.submit(relay, "yahoo", 60)
        until(lambda: relay.log("sending slower"), relay.said)
        shown = relay.command("traffic", "show", "aol.com").stdout
        self.assertRegex(shown, r"Account +provider:yahoo\nLimit[^$]*\nLimit +pace now [^$]*, because its servers have pushed back\n")
        self.assertRegex(" ".join(shown.split()), r"Taught .*20-yahoo\.toml:\d+: .*acted \d+ times on \d+ replies, last .*\[TSS04\]")
        totals = self.delivered(sink, relay, recipients)
        # Without a lesson each of the other 55 would have been tried, and again each second.
        self.assertTrue(1 <= totals["deferred"] <= 25, totals)

    def test_a_provider_is_paused_and_asked_about_as_a_whole(self):
        sink, relay = self.world("yahoo", "")
        relay.command("pause", "--provider", "yahoo", "--because", "the contract ends")
        recipients = self.submit(relay, "yahoo", 6)
        until(lambda: len(relay.queue("list", "--provider", "yahoo")) == 6, relay.said)
        self.assertEqual(relay.queue("list", "--provider", "google"), [])
        why = relay.command("queue", "why", relay.queue("list")[0]["queue_id"]).stdout
        self.assertIn("has paused provider yahoo (the contract ends)", " ".join(why.split()))
        relay.command("queue", "hold", "--provider", "yahoo", "--yes")
        relay.command("resume", "--provider", "yahoo")
        self.assertEqual(len(relay.queue("list", "--provider", "yahoo", "--state", "held")), 6)
        relay.command("queue", "release", "--provider", "y*", "--yes")
        self.delivered(sink, relay, recipients)

    def test_after_4_7_28_the_domains_of_google_slow_down_together(self):
        sink, relay = self.world("google", 'limit = "5/1h"\nover_limit_at = "rcpt"\nover_limit = %r\n'
                                 '[[provider.google.change]]\nat = "3s"\nlimit = "off"' % GMAIL)
        totals = self.delivered(sink, relay, self.submit(relay, "google", 60))
        self.assertTrue(1 <= totals["deferred"] <= 25, totals)

    def test_after_s3150_nothing_goes_to_outlook_and_nothing_comes_back(self):
        for mark in ("S3150", "S3140"):
            sink, relay = self.world("outlook", 'limit = "3/1h"\nover_limit = "%s"' % (BLOCKED % mark))
            recipients = self.submit(relay, "outlook", 40)
            until(lambda: len(relay.log("delivered")) == 3 and relay.log("deferred"), relay.said)
            until(lambda: len(relay.queue("list")) == 37, relay.said)
            refused = len(relay.log("deferred"))
            # The rule's pause outlives the process, and is still told of.
            relay.kill()
            relay.start()
            self.submit(relay, "outlook", 2)
            until(lambda: len(relay.queue("list")) == 39, relay.said)
            waiting = relay.queue("list")[-1]["queue_id"]
            why = until(lambda: [each for each in relay.queue("why", waiting) if each["cause"] == "site-paused"], relay.said)[0]
            self.assertRegex(json.dumps(why), r"\(%s\).*20-microsoft\.toml:\d+" % mark)
            self.assertEqual(len(relay.log("deferred")), refused)
            relay.stop()
            totals, events = sink.stop()
            # What was under way when the first reply came: no more than there are connections to a provider.
            self.assertTrue(1 <= totals["outlook"]["rejected"] <= 10, totals)
            self.assertEqual(relay.log("bounced"), [])
            self.assertTrue({event[4] for event in events if event[2] == "accepted"} < set(recipients))

    def test_a_cap_of_connections_is_kept_once_it_is_known(self):
        sink, relay = self.world("small", 'connections = 2\nover_connections = "421 4.7.0 Too many connections from {client}"\n'
                                 'tarpit = "20ms"')
        totals = self.delivered(sink, relay, self.submit(relay, "small", 100))
        self.assertTrue(1 <= totals["deferred"] <= 20, totals)

    def test_greylisted_mail_comes_again_in_its_time_and_slows_nobody_down(self):
        rule = """
[[domain."small.com".on]]
reply = '^4\\d\\d .*gr[ea]ylist'
defer = true
retry_in = "2s"
samples = ["451 4.7.1 Greylisting in action, please come back later"]
"""
        sink, relay = self.world("small", 'greylist = "1s"', rule)
        recipients = self.submit(relay, "small", 40)
        self.assertEqual(self.delivered(sink, relay, recipients)["deferred"], len(recipients))


if __name__ == "__main__":
    run_tests()
