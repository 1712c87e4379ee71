"""Delivery status notifications that senders ask for (RFC 3461), through a real relay: what is kept
over a restart, what comes back, and what does not."""

import email
import email.policy
import os
import re
import sys
import unittest

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "support"))
from main import run_tests  # noqa: E402
from relay import Relay, give_to_daemon, until  # noqa: E402
from sinks import Sink  # noqa: E402

MESSAGE = (b"From: a@example.org\r\nTo: b@bad.example\r\nSubject: Quarterly figures\r\n"
           b"Message-ID: <1@example.org>\r\nDate: Sat, 21 Nov 2026 10:00:00 +0000\r\n\r\nthe figures\r\n")
NO_USER = "rcpt:*@bad.example=550 5.1.1 <unknown> there is no such user at our place"


class Dsn(unittest.TestCase):
    def start(self, thing):
        self.addCleanup(thing.__exit__, None, None, None)
        return thing.__enter__()

    def submit(self, relay, recipients, mail_options=(), sender="a@example.org", message=MESSAGE):
        """`recipients` is [(address, options)]."""
        with relay.client() as client:
            client.ehlo()
            self.assertTrue(client.has_extn("dsn"))
            code, text = client.mail(sender, list(mail_options))
            self.assertEqual(code, 250, text)
            for address, options in recipients:
                code, text = client.rcpt(address, options)
                self.assertEqual(code, 250, (address, text))
            code, text = client.data(message)
            self.assertEqual(code, 250, text)

    def reports(self, sink, count=1):
        def look():
            found = [raw for _, raw in sink.messages() if b"multipart/report" in raw]
            return found if len(found) >= count else None
        return [email.message_from_bytes(raw, policy=email.policy.default)
                for raw in until(look, lambda: "%d reports; there is %s" % (count, sink.messages()))]

    def fields(self, report):
        """[per message, recipient, ...] of the second part, as dictionaries in lower case."""
        part = list(report.iter_parts())[1]
        self.assertEqual(part.get_content_type(), "message/delivery-status")
        return [{name.lower(): value for name, value in block.items()} for block in part.get_payload()]

    def test_success_is_reported_once_for_all_and_returns_the_header_only(self):
        sink = self.start(Sink())
        relay = self.start(Relay(to=sink.url))
        self.submit(relay, [("b%d@example.net" % i, ["NOTIFY=SUCCESS"]) for i in range(3)], ["RET=FULL"])
        report, = self.reports(sink)
        self.assertEqual(report["to"], "a@example.org")
        whole, *each = self.fields(report)
        self.assertEqual(sorted(r["final-recipient"] for r in each), ["rfc822; b%d@example.net" % i for i in range(3)])
        for recipient in each:
            self.assertEqual((recipient["action"], recipient["status"][:2]), ("relayed", "2."))
        self.assertEqual(list(report.iter_parts())[2].get_content_type(), "text/rfc822-headers")
        until(lambda: relay.queue("list") == [], "an empty queue")
        self.assertEqual(len(relay.log("reported", action="relayed")), 3)
        self.assertEqual(len(self.reports(sink)), 1)

    def test_who_asks_for_nothing_hears_nothing(self):
        sink = self.start(Sink(NO_USER))
        relay = self.start(Relay(to=sink.url))
        self.submit(relay, [("b@bad.example", ["NOTIFY=NEVER"]), ("c@example.net", ["NOTIFY=NEVER"]),
                            ("d@bad.example", ["NOTIFY=SUCCESS,DELAY"])])
        relay.wait_for("unreported", 2)
        until(lambda: relay.queue("list") == [], "an empty queue")
        self.assertEqual([envelope["recipients"] for envelope, _ in sink.messages()], [["c@example.net"]])
        ident = relay.log("accepted")[0]["id"]
        history = relay.queue("show", ident)[0]["history"]
        self.assertEqual(sorted(step["what"] for step in history), ["delivered", "unreported", "unreported"])

    def test_the_null_sender_is_not_told_of_success(self):
        sink = self.start(Sink())
        relay = self.start(Relay(to=sink.url))
        self.submit(relay, [("b@example.net", ["NOTIFY=SUCCESS"])], sender="")
        relay.wait_for("delivered")
        until(lambda: relay.queue("list") == [], "an empty queue")
        self.assertEqual(len(sink.messages()), 1)

    def test_envid_orcpt_and_ret_live_through_a_restart(self):
        sink = Sink(NO_USER)
        address = "%s:%d" % (sink.host, sink.port)
        relay = self.start(Relay(to=sink.url, retry=("2s",)))
        sink.stop()
        self.submit(relay, [("b@bad.example", ["NOTIFY=FAILURE", "ORCPT=rfc822;Bob+2B1@example.com"])],
                    ["ENVID=QQ+2B314", "RET=HDRS"])
        relay.wait_for("deferred")
        relay.stop()
        relay.start()
        sink = self.start(Sink(NO_USER, address=address))
        report, = self.reports(sink)
        whole, recipient = self.fields(report)
        self.assertEqual(whole["original-envelope-id"], "QQ+314")
        self.assertEqual(recipient["original-recipient"], "rfc822; Bob+1@example.com")
        self.assertEqual((recipient["action"], recipient["status"]), ("failed", "5.1.1"))
        self.assertEqual(list(report.iter_parts())[2].get_content_type(), "text/rfc822-headers")

    def test_an_alias_with_several_addresses_is_reported_as_expanded(self):
        sink = self.start(Sink())
        relay = Relay(to=sink.url)
        path = os.path.join(relay.folder, "aliases")
        with open(path, "w") as file:
            file.write("team: one@example.net, two@example.net\n")
        os.chmod(path, 0o644)
        give_to_daemon(path)
        relay._sections = '[local]\naliases = "%s"\n' % path
        self.start(relay)
        self.submit(relay, [("team@relay.example.org", ["NOTIFY=SUCCESS", "ORCPT=rfc822;team@example.com"])])
        report, = self.reports(sink)
        _, recipient = self.fields(report)
        self.assertEqual(recipient["action"], "expanded")
        self.assertEqual(recipient["final-recipient"], "rfc822; team@relay.example.org")
        self.assertEqual(recipient["original-recipient"], "rfc822; team@example.com")
        until(lambda: relay.queue("list") == [], "an empty queue")
        self.assertEqual(len(self.reports(sink)), 1)

    def test_reports_about_utf8_recipients_are_ascii_for_ascii_senders(self):
        sink = self.start(Sink("rcpt:*@bad.example=550 5.1.1 no"))
        relay = self.start(Relay(to=sink.url))
        with relay.client() as client:
            client.ehlo()
            if not client.has_extn("smtputf8"):
                self.fail("SMTPUTF8 is not offered")
            client.command_encoding = "utf-8"
            self.assertEqual(client.mail("a@example.org", ["SMTPUTF8"])[0], 250)
            self.assertEqual(client.rcpt("bücher@bad.example")[0], 250)
            self.assertEqual(client.data("Subject: März\r\n\r\nx\r\n".encode())[0], 250)
        def look():
            return [raw for _, raw in sink.messages() if b"multipart/report" in raw]
        raw = until(look, lambda: "a report: " + relay.said())[0]
        report = email.message_from_bytes(raw, policy=email.policy.default)
        header = raw.partition(b"\r\n\r\n")[0]
        self.assertTrue(header.isascii())
        self.assertIn("bücher@bad.example", report["subject"])
        _, recipient = self.fields(report)
        self.assertEqual(recipient["final-recipient"], "utf-8; b\\x{FC}cher@bad.example")
        text = list(report.iter_parts())[0]
        self.assertIn("bücher@bad.example", text.get_content())
        self.assertIn(list(report.iter_parts())[2].get_content_type(), ("message/global", "message/global-headers"))
        self.assertFalse(re.search(rb"(?m)^Subject:.*[\x80-\xff]", header))


if __name__ == "__main__":
    run_tests()
