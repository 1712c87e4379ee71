"""Forged mail, case by case, over SMTP to a real relay with a real DNS server: for each kind the verdict, as
Authentication-Results has it, and what is done with it. The same message goes to a relay that enforces DMARC and to
one that only checks, because refused mail has no such field. The table is kept in contrib/doc/policy.md; run with
`--write` behind the program to write it anew."""

import os
import re
import sys
import time
import unittest

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "support"))
from knot import Knot  # noqa: E402
from main import run_tests  # noqa: E402
from relay import Relay, until  # noqa: E402
from signing import Key, seal, sign, split  # noqa: E402
from sinks import Sink  # noqa: E402

DOCUMENT = os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "..", "contrib", "doc", "policy.md")
HEADING = "## Forged mail, case by case\n"
INTRODUCTION = """
What `[policy]` says without any key (`dmarc = "enforce"`), and `trusted_sealers = ["list.example"]`. The forger owns
evil.example, from which all this comes unless it says otherwise: so SPF passes there. bank.example asks to refuse what
fails (p=reject), shop.example for quarantine (p=quarantine), club.example for nothing (p=none); corp.example for nothing
itself, but sp=quarantine and np=reject. tests/e2e/forged_test.py sends each of these to a real relay and compares.

| what comes | verdict | is |
|---|---|---|
"""
WRITE = "--write" in sys.argv
if WRITE:
    sys.argv.remove("--write")

OURS = "relay.example.org"
RECIPIENT = "bob@inside.example"
FORGER = "127.0.0.8"
REFUSED, HELD, TAKEN = "refused, 550 5.7.1", "quarantined", "delivered"

BANK, SHORT, EVIL, STRICT, LIST, STRANGER = Key(2048), Key(512), Key(2048), Key(2048), Key(2048), Key(2048)
SPF = 'TXT "v=spf1 ip4:%s -all"'
ZONES = {
    "example": [
        '_dmarc.bank TXT "v=DMARC1; p=reject"', "bank " + SPF % "127.0.0.9",
        BANK.zone_line("s1._domainkey.bank"), SHORT.zone_line("s512._domainkey.bank"),
        '_dmarc.shop TXT "v=DMARC1; p=quarantine"', "shop " + SPF % "127.0.0.9",
        '_dmarc.club TXT "v=DMARC1; p=none"', "club " + SPF % "127.0.0.9",
        '_dmarc.corp TXT "v=DMARC1; p=none; sp=quarantine; np=reject"', "corp " + SPF % "127.0.0.9",
        "mail.corp A 127.0.0.9",
        '_dmarc.testing TXT "v=DMARC1; p=reject; t=y"',
        '_dmarc.strict TXT "v=DMARC1; p=reject; adkim=s; aspf=s"', "sub.strict " + SPF % FORGER,
        STRICT.zone_line("s1._domainkey.sub.strict"),
        '_dmarc.evil TXT "v=DMARC1; p=reject"', "evil " + SPF % FORGER, EVIL.zone_line("s1._domainkey.evil"),
        "bank.evil " + SPF % FORGER,
        LIST.zone_line("arc1._domainkey.list"), STRANGER.zone_line("arc1._domainkey.stranger"),
        "inside A 127.0.0.1",
    ],
}


def message(author, to=RECIPIENT, body="Hello,\r\n\r\nplease pay.\r\n", more=""):
    return ("%sFrom: %s\r\nTo: %s\r\nSubject: an invoice\r\nMessage-ID: <1@x.example>\r\n"
            "Date: Sun, 22 Nov 2026 12:00:00 +0000\r\nMIME-Version: 1.0\r\n\r\n%s" % (more, author, to, body)).encode()


CEO = "The CEO <ceo@bank.example>"
MALLORY = "Mallory <x@evil.example>"


def signed_by_bank(text, key=BANK, selector="s1", **options):
    return sign(text, "bank.example", selector, key, **options) + text


def with_author(text, author):
    return re.sub(rb"(?m)^From: .*\r\n", b"From: " + author.encode() + b"\r\n", text)


def sealed(text, sealer, key, dmarc="pass"):
    """By a forwarder that has found this out about mail of bank.example."""
    return seal(text, sealer, "arc1", key, "%s; dmarc=%s header.from=bank.example" % (sealer, dmarc)) + text


class Case:
    def __init__(self, what, verdict, disposition, text, sender="x@evil.example", to=RECIPIENT):
        self.what, self.verdict, self.disposition = what, verdict, disposition
        self.text, self.sender, self.to = text, sender, to

    def row(self):
        return "| %s | %s | %s |\n" % (self.what, self.verdict, self.disposition)


GENUINE = signed_by_bank(message(CEO))
NOW = int(time.time())
CASES = [
    Case("From of a domain with p=reject", "spf=pass dkim=none dmarc=fail", REFUSED, message(CEO)),
    Case("From of a domain with p=quarantine", "spf=pass dkim=none dmarc=fail", HELD, message("Shop <a@shop.example>")),
    Case("From of a domain with p=none", "spf=pass dkim=none dmarc=fail", TAKEN, message("Club <a@club.example>")),
    Case("From of a domain with p=reject; t=y, which asks for one step less", "spf=pass dkim=none dmarc=fail", HELD,
         message("a@testing.example")),
    Case("MAIL FROM of that domain, too", "spf=fail dkim=none dmarc=fail", REFUSED, message(CEO), "ceo@bank.example"),
    Case("an empty MAIL FROM, as a bounce has it", "dkim=none dmarc=fail", REFUSED,
         message("Mail system <mailer-daemon@bank.example>"), ""),
    Case("a look-alike subdomain that does not exist (np=reject)", "spf=pass dkim=none dmarc=fail", REFUSED,
         message("a@secure-login.corp.example")),
    Case("a subdomain that exists (sp=quarantine)", "spf=pass dkim=none dmarc=fail", HELD, message("a@mail.corp.example")),
    Case("the domain above them (p=none)", "spf=pass dkim=none dmarc=fail", TAKEN, message("a@corp.example")),
    Case("a look-alike of the forger's own (ceo@bank.evil.example): it is what it says", "spf=pass dkim=none dmarc=pass",
         TAKEN, message("ceo@bank.evil.example"), "x@bank.evil.example"),
    Case("SPF and DKIM pass, both for evil.example: not aligned", "spf=pass dkim=pass dmarc=fail", REFUSED,
         sign(message(CEO), "evil.example", "s1", EVIL) + message(CEO)),
    Case("a subdomain's pass, where the domain wants strict alignment (adkim=s; aspf=s)", "spf=pass dkim=pass dmarc=fail",
         REFUSED, sign(message("a@strict.example"), "sub.strict.example", "s1", STRICT) + message("a@strict.example"),
         "x@sub.strict.example"),
    Case("no From field", "spf=pass dkim=none dmarc=none", REFUSED, message(CEO).replace(b"From: " + CEO.encode() + b"\r\n", b"")),
    Case("two From fields, the forger's own and one of bank.example", "spf=pass dkim=none dmarc=fail", REFUSED,
         message(CEO, more="From: %s\r\n" % MALLORY)),
    Case("a second From field above a signed message", "spf=pass dkim=permerror dmarc=fail", REFUSED,
         b"From: " + MALLORY.encode() + b"\r\n" + GENUINE),
    Case("two authors in one From field", "spf=pass dkim=none dmarc=fail", REFUSED, message(MALLORY + ", " + CEO)),
    Case("group syntax in From", "spf=pass dkim=none dmarc=fail", REFUSED, message("Board: ceo@bank.example;")),
    Case("an empty group in From", "spf=pass dkim=none dmarc=none", REFUSED, message("undisclosed-recipients:;")),
    Case("encoded From: an RFC 2047 word is all there is, and holds ceo@bank.example", "spf=pass dkim=none dmarc=fail",
         REFUSED, message("=?utf-8?q?ceo=40bank=2Eexample?=")),
    Case("encoded From: the word is the name in front of the forger's own address. DMARC is about addresses, and this one "
         "is true", "spf=pass dkim=none dmarc=pass", TAKEN, message("=?utf-8?q?ceo=40bank=2Eexample?= <x@evil.example>")),
    Case("the same, in quotes", "spf=pass dkim=none dmarc=pass", TAKEN, message('"ceo@bank.example" <x@evil.example>')),
    Case("genuine mail that somebody passes on: only DKIM still passes", "spf=pass dkim=pass dmarc=pass", TAKEN, GENUINE),
    Case("a signature replayed to another recipient: it is genuine, and DKIM does not say for whom",
         "spf=pass dkim=pass dmarc=pass", TAKEN, GENUINE, to="carol@inside.example"),
    Case("a signature replayed under another From", "spf=pass dkim=fail dmarc=fail", HELD,
         with_author(GENUINE, "Shop <a@shop.example>")),
    Case("a signature replayed with another body", "spf=pass dkim=fail dmarc=fail", REFUSED,
         GENUINE.replace(b"please pay", b"please pay Mallory")),
    Case("signed with l=, and text appended", "spf=pass dkim=policy dmarc=fail", REFUSED,
         signed_by_bank(message(CEO), l=True) + b"P.S.: to Mallory.\r\n"),
    Case("signed with l=, as it was", "spf=pass dkim=pass dmarc=pass", TAKEN, signed_by_bank(message(CEO), l=True)),
    Case("a signature that has expired (x=)", "spf=pass dkim=permerror dmarc=fail", REFUSED,
         signed_by_bank(message(CEO), t=NOW - 7200, x=NOW - 3600)),
    Case("signed with SHA-1", "spf=pass dkim=permerror dmarc=fail", REFUSED, signed_by_bank(message(CEO), algorithm="rsa-sha1")),
    Case("signed with a key of 512 bits", "spf=pass dkim=permerror dmarc=fail", REFUSED,
         signed_by_bank(message(CEO), SHORT, "s512")),
    Case("signed twice, with SHA-1 and well: each counts by itself", "spf=pass dkim=permerror dkim=pass dmarc=pass", TAKEN,
         sign(message(CEO), "bank.example", "s1", BANK, "rsa-sha1") + GENUINE),
    Case("Authentication-Results in our name: the field is removed", "spf=pass dkim=none dmarc=fail", REFUSED,
         message(CEO, more="Authentication-Results: %s; dmarc=pass header.from=bank.example\r\n" % OURS)),
    Case("the same in mail that nothing is done about", "spf=pass dkim=none dmarc=fail", TAKEN,
         message("a@club.example", more="Authentication-Results: %s;\r\n dkim=pass header.d=club.example\r\n" % OURS.upper())),
    Case("ARC: the body was changed behind the seal", "spf=pass dkim=none arc=fail dmarc=fail", REFUSED,
         sealed(message(CEO), "list.example", LIST).replace(b"please pay", b"please pay Mallory")),
    Case("ARC: a good chain, sealed by somebody", "spf=pass dkim=none arc=pass dmarc=fail", REFUSED,
         sealed(message(CEO), "stranger.example", STRANGER)),
    Case("ARC: sealed by list.example, which we trust, and where DMARC passed", "spf=pass dkim=none arc=pass dmarc=fail", TAKEN,
         sealed(message(CEO), "list.example", LIST)),
    Case("ARC: sealed by list.example, where DMARC failed", "spf=pass dkim=none arc=pass dmarc=fail", REFUSED,
         sealed(message(CEO), "list.example", LIST, "fail")),
    Case("ARC: the seal of list.example with another From", "spf=pass dkim=none arc=fail dmarc=fail", HELD,
         with_author(sealed(message(CEO), "list.example", LIST), "Shop <a@shop.example>")),
    Case("ARC: a trusted seal, and somebody else's on top", "spf=pass dkim=none arc=pass dmarc=fail", REFUSED,
         sealed(sealed(message(CEO), "list.example", LIST), "stranger.example", STRANGER)),
]


def own_results(octets):
    """The values of the fields in our name."""
    values = []
    for field in split(octets)[0]:
        name, _, value = field.decode().partition(":")
        value = re.sub(r"\s+", " ", value).strip()
        if name.lower() == "authentication-results" and value.lower().startswith(OURS):
            values.append(value)
    return values


def verdict_of(octets):
    """"spf=pass dkim=none dmarc=fail" of the one field in our name; SPF of MAIL FROM only."""
    value, = own_results(octets)
    value = re.sub(r'"(?:[^"\\]|\\.)*"', '""', value)
    while "(" in value:
        value = re.sub(r"\([^()]*\)", "", value)
    found = [part.strip() for part in value.split(";")[1:]]
    return " ".join(part.split()[0] for part in found
                    if not (part.startswith("spf=") and "smtp.mailfrom=" not in part))


class Forged(unittest.TestCase):
    maxDiff = None

    @classmethod
    def setUpClass(cls):
        cls.knot = cls.start(Knot(ZONES))
        cls.sink = cls.start(Sink())
        cls.enforcing = cls.relay("enforce")
        cls.checking = cls.relay("check")

    @classmethod
    def start(cls, thing):
        cls.addClassCleanup(thing.__exit__, None, None, None)
        return thing.__enter__()

    @classmethod
    def relay(cls, dmarc):
        sections = ('[dns]\nservers = ["127.0.0.1:%d"]\n[relay]\ndomains = ["inside.example"]\nrecipients = "any"\n'
                    '[policy]\nhelo = "off"\niprev = "off"\ndmarc = "%s"\ntrusted_sealers = ["list.example"]\n'
                    % (cls.knot.port, dmarc))
        return cls.start(Relay(to=cls.sink.url, listener={"relay_from": []}, sections=sections))

    def hand_in(self, relay, case):
        """The code and text of the last answer."""
        with relay.client(FORGER) as client:
            client.ehlo()
            self.assertEqual(client.mail(case.sender)[0], 250)
            code, answer = client.rcpt(case.to)
            if code == 250:
                code, answer = client.data(case.text)
        return code, answer.decode()

    def delivered(self, relay, ident):
        relay.wait_for("delivered", id=ident + "-1")

        def look():
            return next((octets for _, octets in self.sink.messages() if (" id " + ident).encode() in octets), None)
        return until(look, lambda: "%s at the sink\n%s" % (ident, relay.said()))

    def judged(self, relay, case):
        """What is done with it, and its octets as they were stored; none of what is refused."""
        before = len(relay.log("judged"))
        code, answer = self.hand_in(relay, case)
        line = relay.wait_for("judged", before + 1)[-1]
        if code == 550:
            self.assertEqual(line["disposition"], "refuse")
            return REFUSED if answer.startswith("5.7.1 ") else answer, None
        self.assertEqual(code, 250, answer)
        ident = answer.rpartition(" ")[2]
        if line["disposition"] == "quarantine":
            held = relay.queue("list", "--reason", "quarantine")
            mine, = [r for m in held if m["queue_id"] == ident for r in m["recipients"]]
            self.assertEqual((mine["state"], mine["hold_reason"]), ("held", "quarantine"))
            self.assertIn("DMARC", mine["hold_detail"])
            return HELD, relay.command("queue", "show", "--raw", ident).stdout.encode().replace(b"\n", b"\r\n")
        self.assertEqual(line["disposition"], "accept")
        return TAKEN, self.delivered(relay, ident)

    def test_each_gets_the_verdict_and_the_end_that_the_table_says(self):
        rows = []
        for case in CASES:
            with self.subTest(case.what):
                disposition, octets = self.judged(self.enforcing, case)
                checked, stored = self.judged(self.checking, case)
                verdict = verdict_of(stored)
                rows.append(Case(case.what, verdict, disposition, b"").row())
                self.assertEqual((verdict, disposition), (case.verdict, case.disposition), own_results(stored))
                self.assertEqual(checked, TAKEN)
                if octets is not None:
                    self.assertEqual(verdict_of(octets), case.verdict)
        table = HEADING + INTRODUCTION + "".join(rows)
        if WRITE:
            self.write(table)
        self.assertEqual(self.documented(), table)

    @staticmethod
    def text():
        if not os.path.exists(DOCUMENT):
            return ""
        with open(DOCUMENT) as file:
            return file.read()

    def documented(self):
        text = self.text()
        begin = text.find(HEADING)
        self.assertGreaterEqual(begin, 0, "contrib/doc/policy.md has no table")
        end = text.find("\n## ", begin)
        return text[begin:end if end >= 0 else None].rstrip("\n") + "\n"

    def write(self, table):
        text = self.text()
        begin = text.find(HEADING)
        if begin < 0:
            text = text.rstrip("\n") + "\n\n" + table
        else:
            end = text.find("\n## ", begin)
            text = text[:begin] + table + (text[end:] if end >= 0 else "")
        with open(DOCUMENT, "w") as file:
            file.write(text)


if __name__ == "__main__":
    run_tests()
