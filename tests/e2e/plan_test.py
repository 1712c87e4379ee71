"""`rockdove plan` with the profiles that come with the program, hosts from a real DNS and from a file, and a million
recipients."""

import json
import os
import subprocess
import sys
import tempfile
import unittest

HERE = os.path.dirname(os.path.abspath(__file__))
sys.path.insert(0, os.path.join(HERE, "support"))
from knot import Knot  # noqa: E402

ROCKDOVE = os.path.abspath(sys.argv.pop(1))
SHIPPED = os.path.join(os.path.dirname(os.path.dirname(HERE)), "contrib", "traffic")

ZONES = {
    "example": [
        "contoso MX 0 contoso-example.mail.protection.outlook.com.",
        "fabrikam MX 0 fabrikam-example.mail.protection.outlook.com.",
        "own MX 10 mx.own.example.", "plain A 192.0.2.1", "none MX 0 .",
    ],
    "broken": None,
}

PROFILES = """[default]
connections = 4
[provider.big]
mx = ["*.big.example"]
rate = "10/s"
connections_provider = 4
[domain."gentle.example"]
rate = "60/min"
"""


class Plan(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.knot = Knot(ZONES).__enter__()
        cls.addClassCleanup(cls.knot.__exit__, None, None, None)

    def file(self, text):
        handle = tempfile.NamedTemporaryFile("w", delete=False)
        self.addCleanup(os.unlink, handle.name)
        with handle:
            handle.write(text)
        return handle.name

    def run_plan(self, text, *options, expect=0, profiles=SHIPPED):
        done = subprocess.run([ROCKDOVE, "plan", "-", "--profiles", profiles, *options,
                               *(() if "--config" in options else ("--config", "/nonexistent"))],
                              input=text, capture_output=True, text=True, timeout=280)
        self.assertEqual(done.returncode, expect, done.stdout + done.stderr)
        return done.stdout + done.stderr

    def plan(self, text, *options, **more):
        lines = [json.loads(line) for line in self.run_plan(text, "--json", *options, **more).splitlines()]
        return {line["account"]: line for line in lines[:-1]}, lines[-1]

    def test_domains_of_one_provider_share_its_account_and_others_have_their_own(self):
        accounts, total = self.plan("a@contoso.example\nb@contoso.example\nfabrikam.example,3\nown.example\n"
                                    "plain.example\nnone.example,7\ngone.example\nsome.broken,5\n",
                                    "--server", self.knot.address)
        self.assertEqual({name: (found["recipients"], found["sites"]) for name, found in accounts.items()},
                         {"provider:microsoft365": (5, 2), "mx:mx.own.example": (1, 1), "mx:plain.example": (1, 1)})
        self.assertEqual((total["recipients"], total["sent"], total["no_hosts"], total["unknown"]), (7, 7, 8, 5))

    def test_rates_connections_and_paces_decide_how_long_it_takes(self):
        profiles = self.file(PROFILES)
        os.rename(profiles, profiles + ".toml")
        self.addCleanup(os.rename, profiles + ".toml", profiles)
        hosts = self.file("*  mx.big.example\nsmall.example mx.small.example\ngentle.example mx.gentle.example\n")
        text = "one.example,300\ntwo.example,300\nsmall.example,200\ngentle.example,60\n"

        def look(*options):
            return self.plan(text, "--mx-map", hosts, *options, profiles=profiles + ".toml")
        accounts, total = look()
        self.assertEqual({name: found["limited_by"] for name, found in accounts.items()},
                         {"provider:big": "rate", "mx:mx.small.example": "connections to a site",
                          "domain:gentle.example": "rate"})
        self.assertAlmostEqual(accounts["provider:big"]["seconds"], 60, delta=3)
        self.assertAlmostEqual(accounts["mx:mx.small.example"]["seconds"], 15, delta=2)
        self.assertAlmostEqual(accounts["domain:gentle.example"]["seconds"], 60, delta=3)
        self.assertEqual(total["recipients"], 860)
        self.assertAlmostEqual(look("--pace", "big=5/s")[0]["provider:big"]["seconds"], 120, delta=5)
        self.assertAlmostEqual(look("--reply-time", "600ms")[0]["mx:mx.small.example"]["seconds"], 30, delta=3)
        self.assertAlmostEqual(look("--accept-rate", "4.3")[1]["seconds"], 200, delta=5)
        shown = self.run_plan(text, "--mx-map", hosts, "--limit", "1", profiles=profiles + ".toml")
        self.assertIn("(2 others)", shown)
        self.assertIn("LIMITED BY", shown)

    def test_routes_of_the_configuration_have_limits_of_their_own(self):
        config = self.file("""hostname = "relay.example"
[[route]]
recipient = "*@keep.example"
to = "maildir:/var/mail/keep"
[[route]]
name = "upstream"
recipient = "*@*.up.example"
to = "smtp://smart.example:587"
rate = "5/s"
[[route]]
name = "known"
recipient = "*@known.example"
to = "smtp://mx.big.example"
""")
        profiles = self.file(PROFILES)
        hosts = self.file("* mx.big.example\n")
        accounts, total = self.plan("a.up.example,150\nb.up.example,150\nkeep.example,9\nknown.example,300\n"
                                    "other.example,300\n", "--mx-map", hosts, "--config", config, profiles=profiles)
        self.assertEqual({name: (found["recipients"], found["sites"], found["limited_by"])
                          for name, found in accounts.items()},
                         {"route:upstream": (300, 1, "rate"), "provider:big": (600, 2, "rate")})
        self.assertAlmostEqual(accounts["route:upstream"]["seconds"], 60, delta=3)
        self.assertAlmostEqual(accounts["provider:big"]["seconds"], 60, delta=3)
        self.assertEqual((total["recipients"], total["kept"]), (900, 9))

    def test_each_source_of_a_pool_has_a_budget_of_its_own(self):
        config = self.file("""hostname = "relay.example"
[[source]]
name = "a"
address = "192.0.2.10"
ehlo = "a.relay.example"
[[source]]
name = "b"
address = "2001:db8::10"
ehlo = "b.relay.example"
[[pool]]
name = "all"
sources = ["a:3", "b"]
""")
        profiles = self.file(PROFILES)
        hosts = self.file("* mx.big.example\n")
        text = "one.example,200\ntwo.example,200\n" + "".join("d%d.example\n" % number for number in range(200))

        def look(*options):
            accounts, total = self.plan(text, "--mx-map", hosts, "--config", config, *options, profiles=profiles)
            self.assertEqual(total["recipients"], 600)
            return {name: (found["recipients"], found["seconds"]) for name, found in accounts.items()}
        found = look()
        self.assertEqual(set(found), {"provider:big from 192.0.2.10", "provider:big from 2001:db8::10"})
        recipients, seconds = found["provider:big from 192.0.2.10"]
        self.assertTrue(400 <= recipients <= 500, found)
        self.assertAlmostEqual(seconds, recipients / 10, delta=3)
        slower = look("--pace", "big=5/s")["provider:big from 192.0.2.10"][1]
        self.assertAlmostEqual(slower, recipients / 5, delta=5)

    def test_slow_paces_are_shown_in_a_unit_that_can_be_read(self):
        hosts = self.file("* mx.x.example\n")
        shown = self.run_plan("x.example,10\n", "--mx-map", hosts, "--pace", "mx:mx.x.example=6/min")
        self.assertRegex(shown, r"mx:mx\.x\.example +10 .* \d+(\.\d)?/min")

    def test_what_cannot_be_meant_is_refused(self):
        hosts = self.file("* mx.x.example\n")
        self.assertIn("line 1", self.run_plan("x.example,many\n", expect=1))
        self.assertIn("google=4/s", self.run_plan("x.example\n", "--pace", "google", expect=2))
        self.assertIn("no account of this plan is called so, did you mean `google`?",
                      self.run_plan("x.example\n", "--pace", "gogle=4/s", "--mx-map", hosts, expect=2))
        self.assertIn("no pool of the configuration has the source 192.0.2.1",
                      self.run_plan("x.example\n", "--pace", "google from 192.0.2.1=4/s", "--mx-map", hosts, expect=2))
        for rate in "nan", "inf", "-1", "1000001", "many":
            self.assertIn("--accept-rate: write messages a second, 0 to 1000000",
                          self.run_plan("x.example\n", "--accept-rate=" + rate, expect=2))
        self.assertIn("--limit: write a whole number from 1 on", self.run_plan("x.example\n", "--limit", "0", expect=2))
        self.assertIn("--reply-time", self.run_plan("x.example\n", "--reply-time", "soon", expect=2))
        self.assertIn("cannot be opened", self.run_plan("x.example\n", "--mx-map", "/nonexistent", expect=1))

    def test_a_million_recipients_at_ten_thousand_sites_are_planned_in_minutes(self):
        big = "gmail.example,450000\nlook.example,200000\nyah.example,120000\n"
        hosts = "gmail.example gmail-smtp-in.l.google.com\nlook.example look-com.olc.protection.outlook.com\n" \
                "yah.example mta5.am0.yahoodns.net\n"
        small = "".join("d%d.example,23\n" % number for number in range(10000))
        hosts += "".join("d%d.example mx.d%d.example\n" % (number, number) for number in range(10000))
        accounts, total = self.plan(big + small, "--mx-map", self.file(hosts))
        self.assertEqual((total["recipients"], len(accounts)), (1000000, 10003))


if __name__ == "__main__":
    unittest.main()
