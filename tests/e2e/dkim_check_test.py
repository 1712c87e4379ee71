"""`rockdove dkim new` and `rockdove dkim check`, with a real DNS server, and what the configuration takes."""
import json
import os
import re
import stat
import subprocess
import sys
import tempfile
import unittest

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "support"))
from knot import Knot  # noqa: E402

ROCKDOVE = os.path.abspath(sys.argv.pop(1))
TOP = 'hostname = "relay.example"\npostmaster = "p@example"\nuser = "nobody"\n'


class Dkim(unittest.TestCase):
    def setUp(self):
        folder = tempfile.TemporaryDirectory(prefix="rockdove-dkim-")
        self.addCleanup(folder.cleanup)
        self.folder = folder.name
        os.chmod(self.folder, 0o755)
        self.configuration = os.path.join(self.folder, "rockdove.toml")
        self.configure("")

    def configure(self, sections):
        with open(self.configuration, "w") as file:
            file.write(TOP + sections)

    @staticmethod
    def text_of(path):
        with open(path) as file:
            return file.read()

    def run_dkim(self, *arguments, expect=0):
        done = subprocess.run([ROCKDOVE, "dkim", *arguments, "--config", self.configuration], capture_output=True,
                              text=True, timeout=100)
        self.assertEqual(done.returncode, expect, (arguments, done.stdout, done.stderr))
        return done.stdout if expect == 0 or done.stdout else done.stderr

    def run_check(self, *options):
        done = subprocess.run([ROCKDOVE, "check", *options, "--config", self.configuration], capture_output=True, text=True, timeout=100)
        self.assertEqual(done.returncode, 0, done.stderr)
        return done.stdout

    def make(self, selector, *options):
        """What it prints: the record as a line of a zone file, and the section."""
        text = self.run_dkim("new", "shop.example", selector, *options)
        record = re.search(r"^\S+\._domainkey\.shop\.example\. IN TXT .*$", text, re.M).group(0)
        return record, text[text.index("[[dkim]]"):]

    def check(self, *arguments, lines, expect):
        with Knot({"shop.example": lines}) as knot:
            return self.run_dkim("check", *arguments, "--server", knot.address, expect=expect)

    def test_a_new_key_is_for_its_owner_alone_and_is_never_written_over(self):
        self.make("s1")
        path = os.path.join(self.folder, "dkim", "shop.example.s1.pem")
        self.assertEqual(stat.S_IMODE(os.stat(path).st_mode), 0o600)
        before = self.text_of(path)
        self.assertIn("BEGIN PRIVATE KEY", before)
        self.assertIn("is there already", self.run_dkim("new", "shop.example", "s1", expect=1))
        self.assertEqual(self.text_of(path), before)
        self.run_dkim("new", "shop.example", "a b", expect=2)
        self.run_dkim("new", "shop.example", "s2", "--bits", "512", expect=2)

    def test_what_it_prints_can_be_published_and_pasted(self):
        rsa, rsa_section = self.make("s1", "--bits", "4096")
        self.assertTrue(all(len(part) <= 255 for part in re.findall(r'"([^"]*)"', rsa)), rsa)
        ed, ed_section = self.make("ed", "--type", "ed25519")
        self.configure(rsa_section + ed_section)
        text = self.check(lines=[rsa, ed], expect=0)
        self.assertIn("shop.example, selector s1 (RSA, 4096 bits): in order", text)
        self.assertIn("shop.example, selector ed (Ed25519): in order", text)
        found = json.loads(self.check("shop.example", "ed", "--json", lines=[rsa, ed], expect=0))
        self.assertEqual([key["selector"] for key in found["keys"]], ["ed"])

    def test_a_path_from_here_is_written_as_the_configuration_wants_it(self):
        place = os.getcwd()
        self.addCleanup(os.chdir, place)
        os.chdir(self.folder)
        record, section = self.make("S1", "--out", "here.pem")
        self.assertIn('key = "%s"' % os.path.join(os.path.realpath(self.folder), "here.pem"), section)
        self.configure(section)
        self.assertIn("in order", self.check("shop.example", "S1", lines=[record], expect=0))

    def test_rockdove_check_shows_what_signs(self):
        _, section = self.make("s1")
        _, sealing = self.make("seal")
        _, later = self.make("s2")
        self.configure(section + 'from = ["shop.example", "*.shop.example"]\nuser = "jane*"\n' + later + "active_from = 2099-01-01\n" +
                       sealing.replace("[[dkim]]", "[arc]") + '[policy]\ntrusted_sealers = ["list.example"]\nquarantine = "7d"\n')
        shown = self.run_check()
        for line in ("dkim shop.example  selector s1, rsa-sha256, of From *.shop.example, From shop.example, user jane*",
                     "dkim shop.example  selector s2, rsa-sha256, of From shop.example, from 2099-01-01T00:00:00.000Z on",
                     "arc                shop.example, selector seal, rsa-sha256", "trusted_sealers    list.example",
                     "quarantine         7d", "dmarc_organisation tree-walk"):
            self.assertIn("  " + line + "\n", shown)
        found = json.loads(self.run_check("--json"))["configuration"]
        self.assertEqual([rule["selector"] for rule in found["dkim"]], ["s1", "s2"])
        self.assertEqual(found["arc"]["selector"], "seal")

    def test_a_tenant_is_a_condition(self):
        _, section = self.make("s1")
        self.configure(section + 'tenant = "shop*"\n')
        self.assertIn("of From shop.example, tenant shop*\n", self.run_check())
        self.assertEqual(json.loads(self.run_check("--json"))["configuration"]["dkim"][0]["tenant"], "shop*")

    def test_what_is_missing_or_differs_is_said(self):
        first, section = self.make("s1")
        second, _ = self.make("s2")
        self.configure(section)
        self.assertIn("the key is not published", self.check(lines=[second], expect=1))
        wrong = self.check("shop.example", "s1", lines=[second.replace("s2.", "s1.", 1)], expect=1)
        self.assertIn("another key is published there", wrong)
        self.assertIn(first, wrong)
        self.assertIn("has no [[dkim]] for other.example", self.check("other.example", lines=[first], expect=1))
        key = os.path.join(self.folder, "dkim", "shop.example.s2.pem")
        self.assertIn("in order", self.check("shop.example", "s2", "--key", key, lines=[second], expect=0))

    def test_a_key_that_others_can_read_is_refused(self):
        record, section = self.make("s1")
        self.configure(section)
        os.chmod(os.path.join(self.folder, "dkim", "shop.example.s1.pem"), 0o644)
        done = subprocess.run([ROCKDOVE, "check", "--config", self.configuration], capture_output=True, text=True, timeout=100)
        self.assertEqual(done.returncode, 1)
        self.assertIn("every user of this machine may read", done.stderr)
        self.assertIn("chmod o-rwx", done.stderr)
        self.check(lines=[record], expect=1)


if __name__ == "__main__":
    unittest.main(verbosity=2)
