"""Mail that DMARC puts into quarantine, by the commands: listed, explained, released, deleted, brought out and in, kept
through a crash, and discarded at its time. A real relay, a real DNS server with the policy, and forged mail by SMTP."""

import json
import os
import subprocess
import sys
import tempfile
import unittest

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "support"))
import relay as relay_module  # noqa: E402
from knot import Knot  # noqa: E402
from main import run_tests  # noqa: E402
from relay import Relay, until  # noqa: E402
from sinks import Sink  # noqa: E402

ZONES = {"example": ['_dmarc.shop TXT "v=DMARC1; p=quarantine"', 'shop TXT "v=spf1 -all"']}
FORGED = (b"From: Shop <sales@shop.example>\r\nTo: bob@inside.example\r\nSubject: an invoice\r\nMessage-ID: <7@evil.example>\r\n"
          b"Date: Sun, 22 Nov 2026 12:00:00 +0000\r\n\r\nplease pay\r\n")
WHY = "DMARC policy of shop.example (p=quarantine)"


class Quarantine(unittest.TestCase):
    def start(self, thing):
        self.addCleanup(thing.__exit__, None, None, None)
        return thing.__enter__()

    def setUp(self):
        self.knot = self.start(Knot(ZONES))
        self.sink = self.start(Sink())

    def relay(self, quarantine="30d", **options):
        sections = ('[dns]\nservers = ["127.0.0.1:%d"]\n[relay]\ndomains = ["inside.example"]\nrecipients = "any"\n'
                    '[policy]\nquarantine = "%s"\nhelo = "off"\niprev = "off"\n' % (self.knot.port, quarantine))
        return self.start(Relay(to=self.sink.url, listener={"relay_from": []}, sections=sections, **options))

    def forge(self, relay, *recipients):
        ident = relay.submit("x@evil.example", recipients or ["bob@inside.example"], FORGED)
        relay.wait_for("quarantined", id=ident)
        return ident

    def held(self, relay, *filters):
        """{address: recipient} of what is listed."""
        listed = relay.queue("list", *(filters or ("--reason", "quarantine")))
        return {recipient["address"]: recipient for message in listed for recipient in message["recipients"]}

    def trace(self, relay, ident):
        """{address: [what happened]}"""
        traced, = [json.loads(line) for line in relay.command("trace", ident, "--json").stdout.splitlines()]
        return {one["address"]: [step["what"] for step in one["steps"]] for one in traced["recipients"]}

    def test_a_person_sees_it_and_why_and_releases_or_deletes_it(self):
        relay = self.relay()
        ident = self.forge(relay, "bob@inside.example", "carol@inside.example")
        line, = relay.log("quarantined")
        self.assertEqual((line["id"], line["recipients"]), (ident, 2))
        self.assertIn(WHY, line["reason"])
        held = self.held(relay)
        self.assertEqual(set(held), {"bob@inside.example", "carol@inside.example"})
        for recipient in held.values():
            self.assertEqual((recipient["state"], recipient["hold_reason"], recipient["attempts"]), ("held", "quarantine", 0))
            self.assertIn(WHY, recipient["hold_detail"])
            self.assertGreater(recipient["expires"], recipient["due"])
        self.assertEqual(self.held(relay, "--reason", "something else"), {})
        self.assertEqual(len(self.held(relay, "--state", "held", "--reason", "*shop.example*")), 2)
        lines = [entry for entry in relay.queue("summary", "--by", "reason")]
        self.assertEqual([(entry["state"], entry["deliveries"]) for entry in lines], [("held", 2)])
        self.assertIn("quarantine", json.dumps(lines))
        self.assertIn("quarantine", relay.command("queue", "summary", "--by", "reason").stdout)
        shown = relay.command("queue", "show", ident).stdout
        self.assertIn("is in quarantine since", shown)
        self.assertIn("shop.example", shown)
        why = relay.queue("why", ident)
        self.assertEqual([one["cause"] for one in why], ["quarantine", "quarantine"])
        self.assertIn(WHY, why[0]["text"])
        self.assertEqual(why[0]["ends"], held["bob@inside.example"]["expires"])
        self.assertEqual([one["command"].split()[2] for one in why[0]["advice"]], ["show", "release", "delete"])
        table = subprocess.run([relay_module.ROCKDOVE, "mailq"], env={**os.environ, "ROCKDOVE_CONFIG": relay.configuration},
                               capture_output=True, text=True, timeout=60).stdout
        self.assertIn(ident + "!", table)  # as Postfix marks what is on hold

        # What was not said to be about quarantine does not let it out, nor sends it back.
        for act in ("retry", "bounce", "expire"):
            done = relay.command("queue", act, "--recipient", "*@inside.example", "--yes", "--json", expect=None)
            totals = json.loads(done.stdout.splitlines()[-1])
            self.assertEqual((totals["done"], totals["unchanged"]), (0, 2), done.stdout)
        until(lambda: len(self.held(relay)) == 2, "both in quarantine")
        self.assertEqual(self.sink.messages(), [])

        relay.command("queue", "release", ident + "-1")
        relay.wait_for("delivered", id=ident + "-1")
        (envelope, octets), = self.sink.wait(1)
        self.assertTrue(octets.endswith(b"please pay\r\n"))
        self.assertIn(b"dmarc=fail", octets.split(b"\r\n\r\n")[0])
        self.assertEqual(set(self.held(relay)), {"carol@inside.example"})

        expires = self.held(relay)["carol@inside.example"]["expires"]
        relay.command("queue", "delete", ident + "-2")
        self.assertEqual(self.held(relay), {})
        self.assertEqual(relay.queue("why", ident)[0]["cause"], "deleted")
        relay.command("queue", "undelete", ident + "-2")
        self.assertEqual(self.held(relay)["carol@inside.example"]["expires"], expires)
        relay.command("queue", "delete", "--reason", "quarantine", "--yes")
        self.assertEqual(self.held(relay), {})
        self.assertEqual(self.trace(relay, ident),
                         {"bob@inside.example": ["quarantined", "released", "delivered"],
                          "carol@inside.example": ["quarantined", "deleted", "undeleted", "deleted"]})
        self.assertEqual(len(self.sink.messages()), 1)

    def test_it_survives_a_crash_and_is_looked_at_and_carried_over_without_a_daemon(self):
        relay = self.relay()
        ident = self.forge(relay)
        before = self.held(relay)
        relay.kill()
        self.assertEqual(relay.queue("why", ident)[0]["cause"], "quarantine")
        self.assertEqual({a: r["expires"] for a, r in self.held(relay).items()}, {a: r["expires"] for a, r in before.items()})
        with tempfile.TemporaryDirectory(prefix="rockdove-quarantine-") as folder:
            out = os.path.join(folder, "out")
            relay.command("queue", "export", out, "--reason", "quarantine")
            relay.start()
            self.assertEqual(self.held(relay), before)
            other = self.relay(quarantine="1d")
            other.command("queue", "import", out)
            for key in ("hold_reason", "hold_detail", "expires", "due"):
                self.assertEqual(self.held(other)["bob@inside.example"][key], before["bob@inside.example"][key])
            other.command("queue", "release", "--reason", "quarantine", "--yes")
            other.wait_for("delivered")
        self.assertEqual(len(self.held(relay)), 1)
        self.sink.wait(1)

    def test_at_its_time_it_is_discarded_and_nobody_is_told(self):
        relay = self.relay(quarantine="3s")
        ident = self.forge(relay, "bob@inside.example", "carol@inside.example")
        self.assertEqual(len(self.held(relay)), 2)
        lines = relay.wait_for("quarantine expired", 2)
        self.assertEqual({line["id"] for line in lines}, {ident + "-1", ident + "-2"})
        self.assertIn(WHY, lines[0]["reason"])
        until(lambda: not relay.queue("list"), "an empty queue")
        self.assertEqual(set(map(tuple, self.trace(relay, ident).values())), {("quarantined", "quarantine-expired")})
        answer, = {one["text"] for one in relay.queue("why", ident)}
        self.assertIn("nobody released it from quarantine in time", answer)
        # A message that is handed in afterwards arrives: nothing of the other did.
        relay.submit("x@evil.example", ["bob@inside.example"], FORGED.replace(b"shop.example", b"other.example"))
        (envelope, octets), = self.sink.wait(1)
        self.assertIn(b"other.example", octets)
        self.assertEqual(relay.log("report made"), [])


if __name__ == "__main__":
    run_tests()
