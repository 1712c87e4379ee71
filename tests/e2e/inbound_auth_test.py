"""Mail of strangers judged on its way through a real relay, with a real DNS server: what
Authentication-Results says, what goes on unchanged, what is sealed (dkimpy verifies the seal), and
for whom a reload or [[policy.for]] changes that. What forged mail meets is forged_test.py's."""

import os
import re
import sys
import tempfile

import dkim

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "support"))
from main import run_tests  # noqa: E402
from relay import give_to_daemon, until  # noqa: E402
from signing import Key  # noqa: E402
from with_dns import WithDns  # noqa: E402

OURS = "relay.example.org"


SIGNER = Key()
SEALER = Key()
ZONES = {
    "example": [
        SIGNER.zone_line("s1._domainkey.good"),
        SEALER.zone_line("arc1._domainkey.sealer"),
        '_dmarc.good TXT "v=DMARC1; p=reject"',
        'good TXT "v=spf1 ip4:127.0.0.9 -all"',
        'only-spf TXT "v=spf1 ip4:127.0.0.9 -all"', '_dmarc.only-spf TXT "v=DMARC1; p=reject"',
    ],
}


def message(sender, body="Hello,\r\n\r\n a body with  blanks \r\n\r\n"):
    return ("From: Jane <%s>\r\nTo: bob@inside.example\r\nSubject: a subject\r\nMessage-ID: <1@x.example>\r\n"
            "Date: Sun, 22 Nov 2026 12:00:00 +0000\r\nMIME-Version: 1.0\r\n\r\n%s" % (sender, body)).encode()


def signed(text):
    field = dkim.sign(text, b"s1", b"good.example", SIGNER.pem, include_headers=[b"from", b"to", b"subject", b"date"])
    return field.replace(b"\n", b"\r\n").replace(b"\r\r\n", b"\r\n") + text


def own_results(octets):
    """The values of our own fields, unfolded."""
    header = octets.split(b"\r\n\r\n")[0].decode() + "\r\n"
    header = re.sub(r"\r\n[ \t]+", " ", header)
    return [line.partition(":")[2].strip() for line in header.split("\r\n")
            if line.startswith("Authentication-Results:") and line.partition(":")[2].strip().startswith(OURS)]


class InboundAuthentication(WithDns):
    zones = ZONES

    @classmethod
    def setUpClass(cls):
        super().setUpClass()
        folder = tempfile.TemporaryDirectory(prefix="rockdove-arc-")
        cls.addClassCleanup(folder.cleanup)
        os.chmod(folder.name, 0o755)
        cls.arc_key = os.path.join(folder.name, "arc.pem")
        with open(cls.arc_key, "wb") as file:
            os.fchmod(file.fileno(), 0o600)
            file.write(SEALER.pem)
        give_to_daemon(cls.arc_key)

    def relay(self, policy, arc=False):
        sealing = '[arc]\ndomain = "sealer.example"\nselector = "arc1"\nkey = "%s"\n' % self.arc_key if arc else ""
        return self.relay_with(sealing + policy, listener={"relay_from": ["127.0.0.1"]})

    def send(self, relay, text, sender="jane@good.example", source="127.0.0.9"):
        """The id under which a message of a stranger was queued, or the refusal."""
        with relay.client(source) as client:
            client.ehlo()
            self.assertEqual(client.mail(sender)[0], 250)
            code, answer = client.rcpt("bob@inside.example")
            if code != 250:
                return code, answer.decode()
            code, answer = client.data(text)
        return (code, answer.decode()) if code != 250 else answer.decode().rpartition(" ")[2]

    def delivered(self, relay, ident):
        """What the next hop got."""
        relay.wait_for("delivered", id=ident + "-1")

        def look():
            return next((octets for _, octets in self.sink.messages() if ident.encode() in octets), None)
        return until(look, lambda: "%s at the sink\n%s" % (ident, relay.said()))

    def test_signed_mail_says_so_and_goes_on_unchanged(self):
        relay = self.relay("[policy]\n")
        text = signed(message("jane@good.example"))
        got = self.delivered(relay, self.send(relay, text))
        results, = own_results(got)
        for part in ("spf=pass", "smtp.mailfrom=jane@good.example", "dkim=pass", "header.d=good.example", "dmarc=pass",
                     "header.from=good.example"):
            self.assertIn(part, results)
        self.assertLess(results.index("spf="), results.index("dkim="))
        self.assertLess(results.index("dkim="), results.index("dmarc="))
        self.assertTrue(got.endswith(text), "the message itself was changed")
        judged, = relay.log("judged")
        self.assertEqual(judged["disposition"], "accept")
        self.assertEqual((judged["spf"], judged["dkim"], judged["dmarc"]),
                         ("pass good.example", "pass good.example", "pass good.example"))

    def test_what_fails_is_refused_and_the_answer_names_the_policy(self):
        relay = self.relay('[policy]\ncontact = "postmaster@inside.example"\n')
        code, answer = self.send(relay, message("jane@only-spf.example"), sender="x@good.example", source="127.0.0.8")
        self.assertEqual(code, 550)
        self.assertIn("5.7.1 this mail is refused by the DMARC policy of only-spf.example (p=reject)", answer)
        self.assertIn("postmaster@inside.example", answer)
        refused, = relay.log("rejected")
        self.assertEqual(refused["what"], "content")

    def test_spf_enforced_refuses_at_the_recipient(self):
        relay = self.relay('[policy]\nspf = "enforce"\ndmarc = "off"\n')
        code, answer = self.send(relay, message("jane@good.example"), source="127.0.0.8")
        self.assertEqual(code, 550)
        self.assertIn("5.7.23 SPF: 127.0.0.8 ", answer)

    def test_policy_for_some_clients_and_after_a_reload(self):
        relay = self.relay('[policy]\n[[policy.for]]\nclient = ["127.0.0.7"]\ndmarc = "check"\n')
        forged = message("jane@good.example")
        self.assertEqual(self.send(relay, forged, sender="", source="127.0.0.8")[0], 550)
        got = self.delivered(relay, self.send(relay, forged, sender="", source="127.0.0.7"))
        self.assertIn("dmarc=fail", own_results(got)[0])
        with open(relay.configuration) as file:
            text = file.read()
        with open(relay.configuration, "w") as file:
            file.write(text.replace("[policy]\n", '[policy]\ndmarc = "off"\n'))
        relay.process.send_signal(1)
        relay.wait_for("reloaded")
        got = self.delivered(relay, self.send(relay, forged, sender="", source="127.0.0.8"))
        self.assertNotIn("dmarc", own_results(got)[0])

    def test_results_in_our_name_are_removed(self):
        relay = self.relay("[policy]\n")
        forged = b"Authentication-Results: %s; dmarc=pass\r\n" % OURS.upper().encode() + message("jane@good.example")
        got = self.delivered(relay, self.send(relay, forged))
        self.assertEqual(len(own_results(got)), 1)
        self.assertNotIn(OURS.upper().encode(), got)
        # A filter that the operator knows by its address brings its own mail back.
        with relay.client("127.0.0.1") as client:
            client.sendmail("jane@good.example", ["bob@inside.example"], forged)
        relay.wait_for("delivered", count=2)
        until(lambda: any(OURS.upper().encode() in octets for _, octets in self.sink.messages()), "the filter's results")

    def test_what_goes_on_is_sealed_and_dkimpy_verifies_the_chain(self):
        relay = self.relay("[policy]\n", arc=True)
        for text in (signed(message("jane@good.example")), message("jane@good.example"),
                     message("jane@good.example", body="x" * 900 + "\r\n" * 3 + "line\r\n" * 200000)):
            got = self.delivered(relay, self.send(relay, text))
            self.assertTrue(got.startswith(b"ARC-Seal:"), got[:200])

            def txt(name, timeout=5):
                return SEALER.record.encode() if name == b"arc1._domainkey.sealer.example." else SIGNER.record.encode()
            verdict, sets, reason = dkim.arc_verify(got, dnsfunc=txt)
            self.assertEqual(verdict, dkim.CV_Pass, (reason, sets))
            self.assertTrue(got.endswith(text))
        # Through us again, as if it came back: the second set stands on the first.
        got = self.delivered(relay, self.send(relay, got))
        verdict, sets, reason = dkim.arc_verify(got, dnsfunc=txt)
        self.assertEqual((verdict, len(sets)), (dkim.CV_Pass, 2), reason)


if __name__ == "__main__":
    run_tests()
