"""`rockdove traffic lint`, `test` and `show` with the profiles that come with the program, a real DNS, and the
examples of contrib/doc/traffic.md."""
import json
import os
import re
import shlex
import subprocess
import sys
import tempfile
import unittest

HERE = os.path.dirname(os.path.abspath(__file__))
sys.path.insert(0, os.path.join(HERE, "support"))
from knot import Knot  # noqa: E402

ROCKDOVE = os.path.abspath(sys.argv.pop(1))
ROOT = os.path.dirname(os.path.dirname(HERE))
SHIPPED = os.path.join(ROOT, "contrib", "traffic")
INSTALLED = "/usr/share/rockdove/traffic"

ZONES = {
    "example": [
        "contoso MX 0 contoso-example.mail.protection.outlook.com.",
        "mixed MX 5 aspmx.l.google.com.", "mixed MX 10 backup.mixed.example.",
        "plain A 192.0.2.1",
    ],
    "broken": None,
}


def run(*arguments, expect=0):
    done = subprocess.run([ROCKDOVE, "traffic", *arguments], capture_output=True, text=True, timeout=100)
    assert done.returncode == expect, (arguments, done.returncode, done.stdout, done.stderr)
    return done.stdout + done.stderr


def test_reply(reply, *options, expect=0):
    text = run("test", reply, "--profiles", SHIPPED, "--json", *options, expect=expect)
    return [json.loads(line) for line in text.splitlines()]


class Traffic(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.knot = Knot(ZONES).__enter__()
        cls.addClassCleanup(cls.knot.__exit__, None, None, None)

    def file(self, text):
        handle = tempfile.NamedTemporaryFile("w", suffix=".toml", delete=False)
        self.addCleanup(os.unlink, handle.name)
        with handle:
            handle.write(text)
        return handle.name

    def test_the_shipped_profiles_pass(self):
        self.assertRegex(run("lint", SHIPPED), r"nothing is wrong with \d+ files, 19 providers and \d+ rules")
        self.assertEqual(run("lint", SHIPPED, "--json"), "")

    def test_a_fault_in_an_operators_file_is_told_with_file_and_line(self):
        own = self.file("[provider.gogle]\nrate = \"1/s\"\n")
        text = run("lint", SHIPPED, own, expect=1)
        self.assertTrue(text.startswith(f"{own}:1:"), text)
        self.assertIn("did you mean `google`?", text)
        found = json.loads(run("lint", SHIPPED, own, "--json", expect=1))
        self.assertEqual((found["file"], found["line"], found["fault"]), (own, 1, "unknown-provider"))
        wrong = self.file("[default]\nconections = 1\n")
        self.assertIn(f"{wrong}:2:1: error: unknown key `conections`", run("lint", wrong, expect=1))
        self.assertIn("there is no such file", run("lint", "/nonexistent", expect=1))

    def test_a_reply_fires_the_rule_of_the_provider_whose_host_said_it(self):
        tss = "421 4.7.0 [TSS04] Messages from 192.0.2.1 temporarily deferred"
        (fired,) = test_reply(tss, "--mx", "mta5.am0.yahoodns.net")
        self.assertEqual(fired["provider"]["name"], "yahoo")
        self.assertTrue(fired["rule"]["file"].endswith("20-yahoo.toml"))
        self.assertEqual(fired["does"][0], "rate x0.5, not below 5/min")
        (fired,) = test_reply(tss, "--mx", "mx.plain.example", expect=1)
        self.assertIsNone(fired["rule"])
        self.assertEqual(fired["does"], ["the mail waits for its next attempt"])

    def test_without_a_host_all_providers_that_know_the_reply_are_named(self):
        fired = test_reply("451 4.7.650 The mail server [192.0.2.1] has been temporarily rate limited")
        self.assertEqual([each["provider"] and each["provider"]["name"] for each in fired],
                         ["microsoft365", "outlook", None])

    def test_pause_back_off_bounce_and_plain_deferral_are_told_apart(self):
        for host, reply, does in [
                ("hotmail-com.olc.protection.outlook.com",
                 "550 5.7.1 Unfortunately, messages from [192.0.2.1] weren't sent. Please contact your Internet service "
                 "provider since part of their network is on our block list (S3150).", ["pause the source for 2h", "defer"]),
                ("hotmail-com.olc.protection.outlook.com",
                 "451 4.7.650 The mail server [192.0.2.1] has been temporarily rate limited due to IP reputation.",
                 ["rate x0.25, not below 1/min", "the mail waits for its next attempt"]),
                ("gmail-smtp-in.l.google.com",
                 "452-4.2.2 The email account that you tried to reach is over quota. 452 4.2.2 x - gsmtp", ["defer"]),
                ("mfsmax.docomo.ne.jp", "552 Too much mail data u@docomo.ne.jp", ["bounce"]),
                ("mx1.qq.com", "550 Ip frequency limited.", ["rate x0.5, not below 1/min", "try again in 1h"])]:
            (fired,) = test_reply(reply, "--mx", host)
            self.assertEqual(fired["does"], does, reply)

    def test_what_cannot_be_meant_is_refused(self):
        run("test", "Try again later", "--profiles", SHIPPED, expect=2)
        run("test", "421 x", "--stage", "eol", "--profiles", SHIPPED, expect=2)
        run("test", "421 x", "--mx", "no host", "--profiles", SHIPPED, expect=2)
        run("show", "no domain", "--profiles", SHIPPED, expect=2)
        run(expect=2)

    def show(self, domain, *options, expect=0):
        return run("show", domain, "--profiles", SHIPPED, "--server", self.knot.address, *options, expect=expect)

    def test_what_applies_to_a_domain_follows_its_mx(self):
        found = json.loads(self.show("contoso.example", "--json"))
        self.assertEqual(found["provider"]["name"], "microsoft365")
        self.assertEqual(found["mx"], [{"host": "contoso-example.mail.protection.outlook.com", "preference": 0}])
        self.assertTrue(found["settings"]["connections"]["file"].endswith("20-microsoft.toml"))
        found = json.loads(self.show("u@mixed.example", "--json"))
        self.assertEqual(found["provider"]["name"], "google")
        found = json.loads(self.show("plain.example", "--json"))
        self.assertIsNone(found["provider"])
        self.assertTrue(found["settings"]["connections"]["file"].endswith("10-default.toml"))
        self.assertIn("name its hosts with --mx", self.show("some.broken", expect=1))

    def test_a_file_of_ones_own_wins_key_by_key(self):
        own = self.file('[provider.google]\nrate = "3/min burst 2"\n[domain."mixed.example"]\nconnections = 1\n'
                        '[source."192.0.2.7"]\nmessages_per_connection = 2\n')
        found = json.loads(self.show("mixed.example", "--profiles", own, "--source", "192.0.2.7", "--json"))
        settings = {name: (each["value"], each["file"] == own) for name, each in found["settings"].items()}
        self.assertEqual(settings["rate"], ("3/min burst 2", True))
        self.assertEqual(settings["connections"], ("1", True))
        self.assertEqual(settings["messages_per_connection"], ("2", True))
        self.assertEqual(settings["connections_provider"][1], False)
        self.assertIn("3/min burst 2 (at most 4 in any 1m)", self.show("mixed.example", "--profiles", own))

    def test_the_examples_of_the_documentation_are_as_they_are_shown(self):
        with open(os.path.join(ROOT, "contrib", "doc", "traffic.md"), encoding="utf-8") as file:
            text = file.read()
        examples = re.findall(r"^```console\n(.*?)^```", text, re.MULTILINE | re.DOTALL)
        self.assertGreaterEqual(len(examples), 3)

        def without_lines(output):
            return re.sub(r"(\.toml):\d+", r"\1:N", output.replace(SHIPPED, INSTALLED))
        for example in examples:
            command, _, expected = example.partition("\n")
            words = shlex.split(command)
            self.assertEqual(words[:3], ["$", "rockdove", "traffic"], example)
            words = words[3:]
            words += [SHIPPED] if words[0] == "lint" else ["--profiles", SHIPPED]
            shown = subprocess.run([ROCKDOVE, "traffic", *words], capture_output=True, text=True, timeout=100).stdout
            # "…" stands for lines that are left out.
            pieces = [without_lines(piece) for piece in re.split(r"^ *…\n", expected, flags=re.MULTILINE)]
            at, got = 0, without_lines(shown)
            for piece in pieces:
                found = got.find(piece, at)
                self.assertGreaterEqual(found, 0, f"{command}\nshows\n{got}\nnot\n{piece}")
                at = found + len(piece)

    def test_each_file_in_the_documentation_can_be_read(self):
        with open(os.path.join(ROOT, "contrib", "doc", "traffic.md"), encoding="utf-8") as file:
            blocks = re.findall(r"^```toml\n(.*?)^```", file.read(), re.MULTILINE | re.DOTALL)
        self.assertGreaterEqual(len(blocks), 1)
        for block in blocks:
            self.assertIn("nothing is wrong", run("lint", SHIPPED, self.file(block)))


if __name__ == "__main__":
    unittest.main()
