"""`rockdove spf check` over a real DNS server: what a record means, whom it lets pass, and libspf2 beside it."""

import json
import os
import subprocess
import sys
import unittest

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "support"))
from knot import Knot  # noqa: E402

ROCKDOVE = os.path.abspath(sys.argv.pop(1))

ZONES = {
    "example": [
        'good TXT "v=spf1 mx include:_spf.good.example -all exp=why.good.example"',
        'good TXT "another text"',
        "good MX 10 mx.good", "mx.good A 192.0.2.25", "mx.good AAAA 2001:db8::25",
        '_spf.good TXT "v=spf1 ip4:198.51.100.0/24 ?all"',
        'why.good TXT "%{i} is no host of %{d}"',
        'zero TXT "v=spf1 ip4:198.51.100.0/0 -all"',
        *('chain%d TXT "v=spf1 include:chain%d.example ?all"' % (i, i + 1) for i in range(12)),
        'bare A 192.0.2.1',
    ],
}


class SpfCheck(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.knot = Knot(ZONES)
        cls.knot.__enter__()
        cls.addClassCleanup(cls.knot.__exit__)

    def run_check(self, *arguments, status=0):
        done = subprocess.run([ROCKDOVE, "spf", "check", *arguments, "--server", self.knot.address],
                              capture_output=True, text=True, timeout=60)
        self.assertEqual(done.returncode, status, done.stdout + done.stderr)
        return done.stdout

    def check(self, *arguments, status=0):
        return json.loads(self.run_check(*arguments, "--json", status=status))

    def test_each_term_and_the_verdict_of_a_stranger(self):
        text = self.run_check("good.example", "--ip", "203.0.113.9")
        for part in ("good.example: v=spf1 mx include:_spf.good.example -all",
                     "mx.good.example (192.0.2.25, 2001:db8::25)", "pass: 198.51.100.0/24", "everybody else: fail",
                     "Look-ups: 2 of at most 10", "203.0.113.9 for postmaster@good.example: fail",
                     "the domain says: 203.0.113.9 is no host of good.example",
                     "libspf2, which Exim and others judge by: the same"):
            self.assertIn(part, text)
        self.assertNotIn("Wrong", text)

    def test_clients_and_senders(self):
        for ip, result in (("198.51.100.7", "pass"), ("2001:db8::25", "pass"), ("2001:db8::26", "fail")):
            found = self.check("good.example", "--ip", ip, "--from", "a@good.example")
            self.assertEqual(found["verdict"]["result"], result)
            self.assertEqual(found["libspf2"]["result"], result)

    def test_a_record_that_is_not_published_yet(self):
        found = self.check("v=spf1 ipv4:192.0.2.0/24 redirect:x.example", status=1)
        self.assertEqual(found["publish"], "v=spf1 ip4:192.0.2.0/24 redirect=x.example")
        self.assertNotIn("verdict", found)
        found = self.check("v=spf1 mx -all", "--from", "a@good.example", "--ip", "192.0.2.25")
        self.assertEqual((found["verdict"]["result"], found["libspf2"]["result"]), ("pass", "pass"))

    def test_what_is_wrong(self):
        found = self.check("bare.example", status=1)
        self.assertEqual((found["wrong"], found["publish"]), (["bare.example has no SPF record"], "v=spf1 mx -all"))
        self.assertEqual(found["verdict"]["result"], "none")
        found = self.check("gone.example", status=1)
        self.assertEqual(found["wrong"], ["gone.example does not exist"])
        found = self.check("chain0.example", status=1)
        self.assertEqual(found["verdict"]["result"], "permerror")
        self.assertIn("more than 10 terms cause look-ups", found["verdict"]["reason"])
        self.assertTrue(found["wrong"])

    def test_where_libspf2_judges_otherwise(self):
        found = self.check("zero.example", "--ip", "203.0.113.9")
        self.assertEqual((found["verdict"]["result"], found["libspf2"]["result"]), ("pass", "none"))
        self.assertIn("CIDR", found["libspf2"]["words"])

    def test_names_as_people_have_them_at_hand(self):
        for subject in ("Good.Example.", "postmaster@good.example", "<postmaster@good.example>"):
            found = self.check(subject)
            self.assertEqual((found["domain"], found["verdict"]["sender"].strip("<>")),
                             ("good.example", "postmaster@good.example"))
        self.assertEqual(self.check("_spf.good.example")["record"], "v=spf1 ip4:198.51.100.0/24 ?all")
        done = subprocess.run([ROCKDOVE, "spf", "check", "--server", self.knot.address, "good.example"],
                              capture_output=True, text=True, timeout=60)
        self.assertEqual(done.returncode, 0, done.stderr)

    def test_usage(self):
        for arguments in (["a..b"], [""], ["good.example", "--ip", "x"], ["v=spf1 -all", "--ip", "192.0.2.1"], []):
            self.run_check(*arguments, status=2)


if __name__ == "__main__":
    unittest.main()
