"""Reports about mail that cannot be delivered (RFC 3464), as a program and a person read them, from a
real relay whose next hop refuses."""

import email
import email.policy
import os
import sys
import unittest

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "support"))
from main import run_tests  # noqa: E402
from relay import Relay, give_to_daemon, until  # noqa: E402
from sinks import Sink  # noqa: E402

NO_USER = "rcpt:*@bad.example=550 5.1.1 <unknown> there is no such user at our place"
MESSAGE = (b"From: a@example.org\r\nTo: b@bad.example\r\nSubject: Quarterly figures\r\n"
           b"Message-ID: <1@example.org>\r\nDate: Sat, 21 Nov 2026 10:00:00 +0000\r\n\r\nthe figures\r\n")


def flat(text):
    return " ".join(text.split())


class Report:
    def __init__(self, envelope, raw):
        self.envelope = envelope
        self.raw = raw
        self.message = email.message_from_bytes(raw, policy=email.policy.default)
        parts = list(self.message.iter_parts())
        self.types = [part.get_content_type() for part in parts]
        self.text = parts[0].get_content()
        status = list(parts[1].iter_parts()) if parts[1].is_multipart() else parts[1].get_payload()
        self.per_message = status[0]
        self.per_recipient = status[1:]
        self.returned = parts[2]


class Bounces(unittest.TestCase):
    def start(self, thing):
        self.addCleanup(thing.__exit__, None, None, None)
        return thing.__enter__()

    def reports(self, sink, count=1):
        """The first reports at the sink, as soon as they are there."""
        def look():
            found = [Report(*one) for one in sink.messages() if b"multipart/report" in one[1]]
            return found if len(found) >= count else None
        return until(look, lambda: "%d reports; there is %s" % (count, sink.messages()))

    def test_a_refused_recipient_gives_a_report_that_programs_and_people_understand(self):
        sink = self.start(Sink(NO_USER))
        relay = self.start(Relay(to=sink.url))
        ident = relay.submit("a@example.org", ["b@bad.example"], MESSAGE)
        report, = self.reports(sink)
        self.assertEqual((report.envelope["sender"], report.envelope["recipients"]), ("", ["a@example.org"]))
        self.assertEqual(report.message.get_content_type(), "multipart/report")
        self.assertEqual(report.message.get_param("report-type"), "delivery-status")
        self.assertEqual(report.message["to"], "a@example.org")
        self.assertIn("relay.example.org", report.message["from"])
        self.assertEqual(report.message["auto-submitted"], "auto-replied")
        for field in ("date", "message-id", "subject", "mime-version"):
            self.assertTrue(report.message[field], field)
        self.assertEqual(report.types[:2], ["text/plain", "message/delivery-status"])
        # For people: whom, what, what to do, the other server's own words.
        text = flat(report.text)
        for words in ("b@bad.example", "could not be delivered", "The server [127.0.0.1] said: 550 5.1.1",
                      "there is no such user at our place", "Quarterly figures", ident):
            self.assertIn(words, text)
        self.assertIn("check", text.lower())
        # For programs: RFC 3464 §2.2 and §2.3.
        self.assertEqual(report.per_message["reporting-mta"], "dns; relay.example.org")
        recipient, = report.per_recipient
        self.assertEqual(recipient["final-recipient"].lower(), "rfc822; b@bad.example")
        self.assertEqual((recipient["action"], recipient["status"]), ("failed", "5.1.1"))
        self.assertTrue(recipient["diagnostic-code"].startswith("smtp; 550 5.1.1"), recipient["diagnostic-code"])
        self.assertEqual(recipient["remote-mta"], "dns; [127.0.0.1]")
        # And the message itself.
        self.assertEqual(report.types[2], "message/rfc822")
        returned = report.returned.get_payload()[0]
        self.assertEqual(returned["subject"], "Quarterly figures")
        self.assertEqual(returned.get_content().strip(), "the figures")
        line, = relay.wait_for("bounced")
        self.assertEqual((line["to"], line["status"]), ("b@bad.example", "5.1.1"))
        self.assertEqual(relay.wait_for("delivered", to="a@example.org")[0]["id"], line["report"] + "-1")
        self.assertEqual(relay.queue("list"), [])

    def test_of_a_large_message_only_the_header_comes_back(self):
        sink = self.start(Sink(NO_USER))
        relay = self.start(Relay(to=sink.url))
        relay.submit("a@example.org", ["b@bad.example"], MESSAGE + b"x" * 70 + (b"\r\n" + b"y" * 70) * 3000 + b"\r\n")
        report, = self.reports(sink)
        self.assertEqual(report.types[2], "text/rfc822-headers")
        self.assertIn("Quarterly figures", report.returned.as_string())
        self.assertLess(len(report.raw), 20000)

    def check_comes_back_whole(self, octets):
        sink = self.start(Sink("rcpt:*@dest.test=550 5.1.1 no"))
        relay = self.start(Relay(to=sink.url, sections='[bounce]\nreturned = "2M"\n'))
        line = b"z" * 78 + b"\r\n"
        body = line * (octets // 80 - 1)
        body += b"y" * (octets - len(body) - 2) + b"\r\n"
        self.assertEqual(len(body), octets)
        relay.submit("a@example.org", ["b@dest.test"], MESSAGE.split(b"\r\n\r\n")[0] + b"\r\n\r\n" + body)
        report, = self.reports(sink)
        self.assertGreater(len(report.raw), 256 * 1024)  # more than one chunk of the queue's
        self.assertEqual(report.types, ["text/plain", "message/delivery-status", "message/rfc822"])
        self.assertEqual([part.defects for part in report.message.walk()], [[] for _ in report.message.walk()])
        returned = report.returned.get_payload()[0]
        self.assertEqual(returned.get_payload().replace("\r\n", "\n"), body.decode().replace("\r\n", "\n"))
        self.assertTrue(report.raw.endswith(b"--\r\n"))
        relay.wait_for("delivered", to="a@example.org")
        self.assertIsNone(relay.process.poll())
        self.assertEqual(relay.queue("list"), [])

    def test_a_report_larger_than_a_chunk_arrives_whole(self):
        self.check_comes_back_whole(262080)

    def test_a_body_of_several_chunks_comes_back_whole(self):
        self.check_comes_back_whole(700001)

    def test_recipients_that_fail_in_one_transaction_share_a_report(self):
        sink = self.start(Sink(NO_USER))
        relay = self.start(Relay(to=sink.url))
        bad = ["b%d@bad.example" % i for i in range(14)]
        relay.submit("a@example.org", bad + ["good@example.net"], MESSAGE)
        report, = self.reports(sink)
        self.assertEqual(sorted(r["final-recipient"].split("; ")[1] for r in report.per_recipient), sorted(bad))
        self.assertEqual({r["action"] for r in report.per_recipient}, {"failed"})
        self.assertEqual(relay.wait_for("delivered", to="good@example.net")[0]["reply"][:3], "250")
        until(lambda: relay.queue("list") == [], "an empty queue")
        self.assertEqual(len(self.reports(sink)), 1)

    def test_a_message_refused_at_its_end_bounces_for_all(self):
        sink = self.start(Sink("dot:x@example.org=554 5.7.1 looks like spam", "dot=554 5.7.1 looks like spam, first 1"))
        relay = self.start(Relay(to=sink.url))
        relay.submit("a@example.org", ["b@example.net", "c@example.net"], MESSAGE)
        report, = self.reports(sink)
        self.assertEqual([r["status"] for r in report.per_recipient], ["5.7.1", "5.7.1"])
        self.assertIn("looks like spam", flat(report.text))

    def test_what_has_no_sender_goes_to_the_postmaster_once(self):
        sink = self.start(Sink(NO_USER))
        relay = self.start(Relay(to=sink.url))
        relay.submit("", ["b@bad.example"], MESSAGE)
        report, = self.reports(sink)
        self.assertEqual(report.envelope["recipients"], ["postmaster@admin.example"])
        self.assertEqual(report.envelope["sender"], "")

    def test_and_ends_there_when_the_postmaster_cannot_be_reached(self):
        sink = self.start(Sink(NO_USER))
        relay = self.start(Relay(to=sink.url, top={"postmaster": "p@bad.example"}))
        relay.submit("s@bad.example", ["b@bad.example"], MESSAGE)
        first, second = relay.wait_for("bounced", 2)  # the message, then the report about it
        self.assertEqual((first["to"], second["to"]), ("b@bad.example", "s@bad.example"))
        self.assertEqual(relay.wait_for("unreturnable")[0]["to"], "p@bad.example")
        until(lambda: relay.queue("list") == [], "an empty queue")
        self.assertEqual(sink.messages(), [])

    def test_what_a_sender_of_ours_who_does_not_exist_sent_goes_to_the_postmaster(self):
        sink = self.start(Sink(NO_USER))
        relay = self.start(Relay(to=sink.url))
        relay.submit("nobody-knows@relay.example.org", ["b@bad.example"], MESSAGE)
        report, = self.reports(sink)
        self.assertEqual(report.envelope["recipients"], ["postmaster@admin.example"])
        self.assertEqual([r["final-recipient"] for r in report.per_recipient], ["rfc822; b@bad.example"])

    def test_a_local_sender_gets_his_report_through_aliases(self):
        sink = self.start(Sink(NO_USER))
        relay = Relay(to=sink.url)
        path = os.path.join(relay.folder, "aliases")
        with open(path, "w") as file:
            file.write("root: admin@example.net\n")
        os.chmod(path, 0o644)
        give_to_daemon(path)
        relay._sections = '[local]\naliases = "%s"\n' % path
        self.start(relay)
        relay.submit("root@relay.example.org", ["b@bad.example"], MESSAGE)
        report, = self.reports(sink)
        self.assertEqual(report.envelope["recipients"], ["admin@example.net"])

    def test_remote_words_cannot_break_the_report(self):
        sink = self.start(Sink("rcpt:*@bad.example=550 5.1.1 " + "x" * 300 + " --=_boundary <script> : ; end"))
        relay = self.start(Relay(to=sink.url))
        relay.submit('"a b"@example.org', ['"we ird@"@bad.example'], MESSAGE)
        report, = self.reports(sink)
        self.assertEqual(report.envelope["recipients"], ['"a b"@example.org'])
        self.assertIn('"we ird@"@bad.example', report.per_recipient[0]["final-recipient"])
        self.assertTrue(all(len(line) <= 998 for line in report.raw.split(b"\r\n")))
        self.assertEqual(len(report.types), 3)

    def test_two_relays_that_point_at_each_other_end_with_a_bounce_that_names_the_hops(self):
        sink = self.start(Sink())
        to_sender = '[[route]]\nrecipient = "*@sender.example"\nto = "%s"\n' % sink.url
        one = Relay(hostname="one.example.org", sections=to_sender)
        two = Relay(hostname="two.example.org", sections=to_sender)
        from knot import free_port
        one.port, two.port = free_port(), free_port()
        one._to, two._to = "smtp://127.0.0.1:%d" % two.port, "smtp://127.0.0.1:%d" % one.port
        self.start(one)
        self.start(two)
        one.submit("a@sender.example", ["b@example.net"], MESSAGE)
        report, = self.reports(sink)
        self.assertEqual(report.per_recipient[0]["status"], "5.4.6")
        text = flat(report.text)
        self.assertIn("circles", text)
        for hop in ("one.example.org", "two.example.org"):
            self.assertIn(hop, text)
        self.assertEqual((one.queue("list"), two.queue("list")), ([], []))


if __name__ == "__main__":
    run_tests()
