"""What a message says of its sender's wishes, end to end: whose it is, its campaign, its priority, and when it is to be
sent; from real clients (smtplib, swaks, sendmail) to the next hop, the commands, a restart and the history."""

import datetime
import json
import os
import shutil
import signal
import subprocess
import tempfile
import sys
import unittest

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "support"))
import relay as relay_module  # noqa: E402
from main import run_tests  # noqa: E402
from relay import Relay, until  # noqa: E402
from sinks import Sink  # noqa: E402

FRIEND, OTHER, STRANGER = "127.0.0.1", "127.0.0.2", "127.0.0.9"
LISTENER = {"relay_from": [FRIEND, OTHER], "tenant_from": [FRIEND]}
INBOUND = '[relay]\ndomains = ["ours.example"]\nrecipients = "any"\n'


def message(**fields):
    head = "".join("X-Rockdove-%s: %s\r\n" % (name.replace("_", "-"), value) for name, value in fields.items())
    return (head + "Subject: hello\r\n\r\nhello\r\n").encode()


def in_seconds(seconds):
    return (datetime.datetime.now(datetime.timezone.utc) + datetime.timedelta(seconds=seconds)).isoformat()


class Base(unittest.TestCase):
    def start(self, thing):
        self.addCleanup(thing.__exit__, None, None, None)
        return thing.__enter__()

    def setUp(self):
        self.sink = self.start(Sink("rcpt:later*@*=450 4.2.1 mailbox busy"))
        self.relay = self.start(Relay(to=self.sink.url, listener=LISTENER, sections=INBOUND))

    def send(self, octets, recipient="bob@ours.example", source=FRIEND, parameters=()):
        """Its id."""
        with self.relay.client(source) as client:
            client.ehlo()
            self.assertEqual(client.mail("ann@shop.example", parameters)[0], 250)
            self.assertEqual(client.rcpt(recipient)[0], 250)
            code, text = client.data(octets)
            self.assertEqual(code, 250, text)
            return text.decode().rpartition(" ")[2]

    def ids(self, *filters):
        return sorted(entry["queue_id"] for entry in self.relay.queue("list", *filters))


class Wishes(Base):
    def test_check_shows_whose_mail_comes_in_at_a_listener(self):
        shown = self.relay.command("check").stdout
        self.assertRegex(shown, r"tenant +none\n +tenant_from +127\.0\.0\.1/32\n")
        listener = json.loads(self.relay.command("check", "--json").stdout)["configuration"]["listeners"][0]
        self.assertEqual((listener["tenant"], listener["tenant_from"]), ("", ["127.0.0.1/32"]))

    def test_they_are_heard_and_taken_off(self):
        ident = self.send(message(Tenant="Shop", Campaign="spring 2026", Priority="urgent"))
        octets = self.sink.wait(1)[0][1]
        self.assertNotIn(b"ockdove-", octets)
        self.assertIn(b"Subject: hello\r\n", octets)
        line = self.relay.wait_for("accepted")[0]
        self.assertEqual((line["tenant"], line["campaign"], line["priority"]), ("shop", "spring 2026", 4))
        traced = until(lambda: [json.loads(one) for one in self.relay.command(
            "trace", "--tenant", "shop", "--campaign", "SPRING 2026", "--since", "1h", "--json").stdout.splitlines()
            if json.loads(one).get("recipients", [{}])[0].get("state") == "delivered"], "the message in the history")
        self.assertEqual([(one["queue_id"], one["tenant"], one["campaign"]) for one in traced], [(ident, "shop", "spring 2026")])
        last = self.relay.queue("show", ident)[0]["history"][-1]
        self.assertEqual((last["tenant"], last["campaign"], last["priority"]), ("shop", "spring 2026", 4))
        stats = [json.loads(one) for one in self.relay.command("stats", "--by", "tenant", "--json").stdout.splitlines()]
        self.assertEqual(stats[0]["name"], "shop")

    def test_a_strangers_are_taken_off_without_effect(self):
        self.send(message(Tenant="shop", Priority="nonsense", Send_At=in_seconds(86400)), source=STRANGER)
        octets = self.sink.wait(1)[0][1]
        self.assertNotIn(b"ockdove-", octets)
        self.assertNotIn("tenant", self.relay.wait_for("accepted")[0])
        with self.relay.client(STRANGER) as client:
            client.ehlo()
            self.assertFalse(client.has_extn("mt-priority") or client.has_extn("futurerelease"))
            self.assertEqual(client.mail("ann@shop.example", ["HOLDFOR=60"])[0], 555)

    def test_what_is_wrong_is_said(self):
        with self.relay.client(FRIEND) as client:
            client.ehlo()
            client.mail("ann@shop.example")
            client.rcpt("bob@ours.example")
            code, text = client.data(message(Priority="high"))
            self.assertEqual((code, text), (550, b'5.6.0 X-Rockdove-Priority: "high" is not urgent, normal, bulk or a '
                                                 b'number from -9 to 9'))

    def test_only_who_may_names_the_tenant(self):
        self.send(message(Tenant="shop"), source=OTHER)
        self.assertNotIn("tenant", self.relay.wait_for("accepted")[0])

    @unittest.skipUnless(shutil.which("swaks"), "no swaks")
    def test_swaks(self):
        done = subprocess.run(["swaks", "--server", "%s:%d" % (self.relay.address, self.relay.port), "--from", "ann@shop.example",
                               "--to", "later@ours.example", "--header", "X-Rockdove-Campaign: winter", "--helo", "c.example"],
                              capture_output=True, text=True, timeout=60)
        self.assertEqual(done.returncode, 0, done.stdout)
        self.assertIn("MT-PRIORITY MIXER", done.stdout)
        self.relay.wait_for("deferred")
        self.assertEqual(len(self.ids("--campaign", "win*")), 1)

    def test_the_priority_goes_on_to_who_knows_it(self):
        upstream = self.start(Relay(to=self.sink.url))
        first = self.start(Relay(to="smtp://127.0.0.1:%d" % upstream.port, listener=LISTENER))
        with first.client() as client:
            client.ehlo()
            self.assertTrue(client.has_extn("mt-priority"))
            self.assertEqual(client.mail("ann@shop.example", ["MT-PRIORITY=-3"])[0], 250)
            self.assertEqual(client.rcpt("bob@x.example")[0], 250)
            self.assertEqual(client.data(message())[0], 250)
        self.assertEqual(upstream.wait_for("accepted")[0]["priority"], -3)

    def test_sendmail(self):
        if os.getuid() != 0:
            self.skipTest("needs root to be another user")
        relay = self.start(Relay(to=self.sink.url, sections='[sendmail]\ntenant = "local"\ntenant_from = ["www-data"]\n'))
        folder = relay.folder
        os.symlink(relay_module.ROCKDOVE, os.path.join(folder, "sendmail"))
        for user in ("www-data", "daemon"):
            subprocess.run([os.path.join(folder, "sendmail"), "-f", user + "@shop.example", "bob@x.example"], input=message(Tenant="web"),
                           check=True, timeout=60, cwd="/", user=user, group=user, extra_groups=[],
                           env={"PATH": "/usr/bin:/bin", "ROCKDOVE_CONFIG": relay.configuration, "ASAN_OPTIONS": "detect_leaks=0"})
        self.assertEqual({line["from"]: line["tenant"] for line in relay.wait_for("accepted", 2)},
                         {"www-data@shop.example": "web", "daemon@shop.example": "local"})
        for _, octets in self.sink.wait(2):
            self.assertNotIn(b"ockdove-", octets)


class Scheduled(Base):
    def test_it_goes_at_its_time_and_not_before_also_after_a_restart(self):
        # Well ahead, so that a slow machine has looked at it before.
        ident = self.send(message(Send_At=in_seconds(86400 * 20)))
        soon = self.send(message(), parameters=["HOLDFOR=8"])
        self.send(message(Send_At=in_seconds(-3600)))
        self.sink.wait(1)  # what lay in the past went at once
        entry = self.relay.queue("show", ident)[0]["message"]["recipients"][0]
        self.assertIs(entry["scheduled"], True)
        self.assertIn("is scheduled for ", entry["why"])
        self.assertIn("It is scheduled", self.relay.command("queue", "why", ident).stdout)
        self.relay.stop()
        self.relay.start()
        envelope = self.sink.wait(2)[1][0]
        self.assertEqual(envelope["recipients"], ["bob@ours.example"])
        until(lambda: self.ids() == [ident], "the other to leave the queue")
        self.assertNotEqual(ident, soon)
        self.assertEqual(len(self.sink.messages()), 2)
        self.relay.command("queue", "hold", ident)
        self.relay.command("queue", "release", ident)
        self.assertIn("is scheduled for ", self.relay.queue("list")[0]["recipients"][0]["why"])
        self.relay.command("queue", "retry", ident)
        self.sink.wait(3)

    def test_too_far_ahead_is_refused(self):
        with self.relay.client() as client:
            client.ehlo()
            self.assertRegex(client.esmtp_features["futurerelease"], r"^2592000 \d{4}-\d\d-\d\dT\d\d:\d\d:\d\dZ$")
            code, text = client.mail("ann@shop.example", ["HOLDFOR=2592001"])
            self.assertEqual(code, 501, text)
            client.mail("ann@shop.example")
            client.rcpt("bob@ours.example")
            code, text = client.data(message(Send_At=in_seconds(86400 * 31)))
            self.assertEqual(code, 550)
            self.assertIn(b"within 30 days", text)


class People(Base):
    def setUp(self):
        super().setUp()
        self.blue = [self.send(message(Tenant="blue", Campaign="c%d" % n), "later%d@ours.example" % n) for n in range(2)]
        self.red = self.send(message(Tenant="red", Campaign="c0"), "later2@ours.example")
        self.relay.wait_for("deferred", 3)

    def test_filters_and_summaries_know_them(self):
        self.assertEqual(self.ids("--tenant", "blue"), sorted(self.blue))
        self.assertEqual(self.ids("--campaign", "C0"), sorted([self.blue[0], self.red]))
        self.assertEqual(self.ids("--tenant", "r*", "--campaign", "c1"), [])
        lines = self.relay.queue("summary", "--by", "tenant")
        self.assertEqual({line["tenant"]: line["deliveries"] for line in lines}, {"blue": 2, "red": 1})
        lines = self.relay.queue("summary", "--by", "campaign")
        self.assertEqual({line["campaign"]: line["deliveries"] for line in lines}, {"c0": 2, "c1": 1})
        self.relay.command("queue", "hold", "--tenant", "blue", "--yes")
        self.assertEqual(self.ids("--state", "held"), sorted(self.blue))
        self.relay.command("queue", "delete", "--campaign", "c1", "--yes")
        self.assertEqual(self.ids(), sorted([self.blue[0], self.red]))

    def test_a_paused_tenant_waits_and_others_go(self):
        self.relay.command("pause", "--tenant", "blue", "--because", "unpaid")
        waits = self.send(message(Tenant="blue"))
        self.send(message(Tenant="red"))
        self.assertEqual(len(self.sink.wait(1)), 1)
        entry = self.relay.queue("show", waits)[0]["message"]["recipients"][0]
        self.assertEqual(entry["state"], "waiting")
        self.assertIn("paused the mail of tenant blue (unpaid)", self.relay.command("queue", "why", waits).stdout)
        refused = self.relay.command("resume", "--tenant", "red", expect=1)
        self.assertIn("there is no pause of tenant red; paused is tenant blue", refused.stderr)
        self.relay.command("resume", "--tenant", "BLUE")
        self.sink.wait(2)

    def test_a_paused_campaign_goes_on_hold_and_comes_back(self):
        self.relay.command("pause", "--campaign", "summer*")
        waits = self.send(message(Campaign="summer 1"))
        self.send(message(Campaign="autumn"))
        self.assertEqual(len(self.sink.wait(1)), 1)
        until(lambda: self.ids("--state", "held") == [waits], "the hold")
        self.assertIn("campaign summer*", self.relay.command("queue", "why", waits).stdout)
        self.relay.command("resume", "--campaign", "summer*")
        self.sink.wait(2)


LIMITS = '[[tenant]]\nname = "blue*"\nweight = 3\nrate = "%d/h"\n[[campaign]]\nname = "spring*"\nrate = "2/h"\n'


class Limits(Base):
    def setUp(self):
        self.sink = self.start(Sink())
        self.relay = self.start(Relay(to=self.sink.url, listener=LISTENER, sections=INBOUND + LIMITS % 3))

    def why(self, ident):
        return " ".join(self.relay.command("queue", "why", ident).stdout.split())

    def waiting_after(self, count):
        """What still waits, once the sink has had `count`."""
        self.assertEqual(len(self.sink.wait(count)), count)
        self.relay.wait_for("delivered", count)
        return self.ids()

    def test_a_tenant_at_its_limit_waits_also_after_a_restart_and_others_go(self):
        blue = [self.send(message(Tenant="blue.example")) for _ in range(5)]
        waiting = self.waiting_after(3)
        self.assertEqual(len(waiting), 2)
        self.assertTrue(set(waiting) < set(blue))
        text = until(lambda: (said := self.why(waiting[0])).count("lets nothing more go for now") and said, lambda: self.why(waiting[0]))
        self.assertIn("The rate of tenant blue.example (3/h) lets nothing more go for now", text)
        answer, = self.relay.queue("why", waiting[0])
        self.assertEqual(answer["cause"], "sender-rate")
        self.send(message(Tenant="red"))
        self.send(message(Tenant="blue2.example"))  # has the rate for itself
        self.assertEqual(self.waiting_after(5), waiting)
        self.relay.stop()
        self.relay.start()
        self.relay.command("queue", "retry", "--tenant", "blue.example", "--yes")
        self.send(message(Tenant="red"))
        self.assertEqual(self.waiting_after(6), waiting)
        self.relay._sections = INBOUND + LIMITS % 8
        self.relay.write_configuration()
        os.kill(self.relay.process.pid, signal.SIGHUP)
        self.relay.wait_for("reloaded")
        self.relay.command("queue", "retry", "--tenant", "blue.example", "--yes")
        self.assertEqual(self.waiting_after(8), [])

    def test_a_limit_holds_for_a_mailbox_on_this_machine_and_leaves_no_session_behind(self):
        folder = self.start(tempfile.TemporaryDirectory())
        os.chmod(folder, 0o777)  # the relay is another user
        box = os.path.join(folder, "box")
        self.relay = self.start(Relay(to="maildir:" + box, listener=LISTENER, sections=INBOUND + LIMITS % 2))
        for _ in range(4):
            self.send(message(Tenant="blue"))
        self.relay.wait_for("delivered", 2)

        def connections():
            return json.loads(self.relay.command("top", "--once", "--json").stdout)["standing"]["connections_out"]

        until(lambda: connections() == 0, "the end of the session")
        self.assertEqual((len(os.listdir(os.path.join(box, "new"))), len(self.ids())), (2, 2))
        self.send(message(Tenant="red"))
        self.relay.wait_for("delivered", 3)

    def test_a_campaign_at_its_limit_waits_and_its_tenants_other_mail_goes(self):
        spring = [self.send(message(Tenant="red", Campaign="Spring 1")) for _ in range(4)]
        waiting = self.waiting_after(2)
        self.assertTrue(set(waiting) < set(spring))
        self.send(message(Tenant="red", Campaign="autumn"))
        self.assertEqual(self.waiting_after(3), waiting)
        self.assertIn("The rate of campaign Spring 1 (2/h) lets nothing more go for now", self.why(waiting[0]))
        self.send(message(Tenant="green", Campaign="spring 1"))  # another campaign
        self.assertEqual(self.waiting_after(4), waiting)


if __name__ == "__main__":
    run_tests()
