"""`rockdove dmarc check` against a real DNS server."""
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
        '_dmarc.shop TXT "v=DMARC1; p=reject; sp=none; np=quarantine; " "rua=mailto:d@reader.example"',
        'shop.example._report._dmarc.reader TXT "v=DMARC1"',
        '_dmarc.faulty TXT "v=DMARC1; sp=none; p=quarantine; rua=mailto:d@unasked.example"',
        '_dmarc.twice TXT "v=DMARC1; p=none"', '_dmarc.twice TXT "v=DMARC1; p=reject"',
        '_dmarc.bank TXT "v=DMARC1; p=reject; psd=y"',
    ],
    "broken": None,
}


class DmarcCheck(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.knot = Knot(ZONES).__enter__()
        cls.addClassCleanup(cls.knot.__exit__, None, None, None)

    def check(self, domain, *options, expect):
        command = [ROCKDOVE, "dmarc", "check", "--server", self.knot.address, domain, *options]
        done = subprocess.run(command, capture_output=True, text=True, timeout=100)
        self.assertEqual(done.returncode, expect, (domain, done.stdout, done.stderr))
        return done.stdout

    def test_the_record_that_applies_is_found_by_walking_up(self):
        found = json.loads(self.check("a.b.c.d.e.f.g.h.shop.example", "--json", expect=0))
        self.assertEqual([step["name"].removeprefix("_dmarc.") for step in found["looked_at"]],
                         ["a.b.c.d.e.f.g.h.shop.example", "d.e.f.g.h.shop.example", "e.f.g.h.shop.example",
                          "f.g.h.shop.example", "g.h.shop.example", "h.shop.example", "shop.example", "example"])
        self.assertEqual(found["policy_domain"], "shop.example")
        self.assertEqual(found["policies"], {"domain": "reject", "subdomains": "none", "nonexistent": "quarantine"})
        self.assertEqual([report["wanted"] for report in found["reports"]], [True])
        self.assertIn("shop.example has a DMARC record", self.check("shop.example", expect=0))

    def test_a_public_suffix_is_not_its_registrants_organisation(self):
        found = json.loads(self.check("mail.giant.bank.example", "--json", expect=0))
        self.assertEqual((found["organisation"], found["policy_domain"]), ("giant.bank.example", "bank.example"))

    def test_what_is_wrong_is_said_and_mended(self):
        text = self.check("faulty.example", expect=1)
        self.assertIn("p=… does not stand directly behind v=DMARC1 (by RFC 7489", text)
        self.assertIn("d@unasked.example gets no reports: there is no DMARC record at "
                      "faulty.example._report._dmarc.unasked.example", text)
        self.assertIn("v=DMARC1; p=quarantine; sp=none; rua=mailto:d@unasked.example\n", text)
        self.assertIn("more than one DMARC record", self.check("twice.example", expect=1))
        nothing = self.check("nothing.example", expect=1)
        self.assertIn("to publish, as a TXT record at _dmarc.nothing.example\n"
                      "  v=DMARC1; p=none; rua=mailto:postmaster@nothing.example\n", nothing)

    def test_the_list_of_public_suffixes_is_the_older_way(self):
        found = json.loads(self.check("a.b.shop.example", "--psl", "--json", expect=0))
        self.assertEqual((found["edition"], found["organisation"], found["policy_domain"]),
                         ("rfc7489", "shop.example", "shop.example"))
        self.assertEqual(found["policies"]["nonexistent"], "none")
        self.check("a.example", "--psl", "--psl-file", "/nonexistent", expect=1)

    def test_a_dns_that_fails_and_a_domain_that_is_none_are_told_apart(self):
        self.assertIn("the DNS did not answer", self.check("some.broken", expect=1))
        self.check("no domain", expect=2)

    def test_names_as_people_have_them_at_hand(self):
        for name in ("Shop.example.", "_dmarc.shop.example", "jane@shop.example"):
            self.assertIn("shop.example has a DMARC record", self.check(name, expect=0))


if __name__ == "__main__":
    unittest.main()
