"""`rockdove queue why` for each cause that it tells apart: a real relay and next hops that behave as they must. What
people see is kept in contrib/doc/why.md, with ids, ports and times made equal, and compared word by word; run with
`--write` behind the program to write it anew."""

import os
import re
import signal
import socketserver
import sys
import tempfile
import threading
import unittest

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "support"))
from knot import Knot, free_port  # noqa: E402
from main import run_tests  # noqa: E402
from relay import Relay, give_to_daemon, run, until  # noqa: E402
from sinks import Sink  # noqa: E402

DOCUMENT = os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "..", "contrib", "doc", "why.md")
WRITE = "--write" in sys.argv
if WRITE:
    sys.argv.remove("--write")

TITLE = """# Why does it wait?

`rockdove queue why ID` answers for a message or a delivery: the cause in plain words, since when and until when, the
settings that decide it, and what a person can do. `--json` gives the same as an object a delivery; its `cause` is the
word behind each heading. tests/e2e/why_test.py brings each of these about on a real relay and compares the text; ids,
ports and times are made equal.

Seldom seen, and so without an example: `due` (its turn comes in a moment), `not-tried`, `resolving` (the DNS is being
asked), `memory` (the memory for mail is full), `store` (the queue's disk takes no writes), `crash` (rockdove itself failed
three times on it), `report` (it has come to its end and waits for the report that it shares), `maildir`, `unreadable`
(a row of the queue), `silent` (a part of rockdove does not answer).
"""


def normalised(text):
    text = re.sub(r"\b[0-9B-DF-HJ-NP-TV-Zb-df-hj-np-tv-z]{12}(?=\b)", "0F1BBF3LDPTX", text)
    text = re.sub(r"127\.0\.0\.1\]:\d{4,5}\b", "127.0.0.1]:25025", text)
    for label, moment in (("Accepted|So since", "2026-11-22 21:15:04 (9s ago)"), ("Goes", "2026-11-22 21:20:04 (in 4m59s)"),
                          ("Until", "2026-11-27 21:15:04 (in 4d23h)")):
        text = re.sub(r"^(  (?:%s) +)\d{4}-\d\d-\d\d \d\d:\d\d:\d\d \(.*?\)" % label, r"\g<1>" + moment, text, flags=re.MULTILINE)
    return re.sub(r"uid \d+( \(\S+\))?", "uid 0 (root)", text)


def document():
    """{cause: (title, transcript)} as the document has them."""
    with open(DOCUMENT) as file:
        found = re.findall(r"^## ([^\n]*): `([a-z-]+)`\n\n```\n(.*?)```\n", file.read(), re.MULTILINE | re.DOTALL)
    return {cause: (title, text) for title, cause, text in found}


class LoginRefuser(socketserver.StreamRequestHandler):
    """A next hop that knows no password."""

    def handle(self):
        self.wfile.write(b"220 hop.example ESMTP\r\n")
        for line in self.rfile:
            verb = line.split()[0].upper() if line.split() else b""
            if verb == b"EHLO":
                self.wfile.write(b"250-hop.example\r\n250 AUTH PLAIN LOGIN\r\n")
            elif verb == b"AUTH":
                self.wfile.write(b"535 5.7.8 Authentication credentials invalid\r\n")
            else:
                self.wfile.write(b"221 2.0.0 bye\r\n")
                return


def route(to, more=""):
    return '[[route]]\nname = "smarthost"\nto = "%s"\n%s' % (to, more)


class Why(unittest.TestCase):
    seen = {}

    @classmethod
    def tearDownClass(cls):
        if WRITE:
            text = TITLE
            for cause, (title, transcript) in sorted(cls.seen.items(), key=lambda item: item[1][0]):
                text += "\n## %s: `%s`\n\n```\n%s```\n" % (title, cause, transcript)
            with open(DOCUMENT, "w") as file:
                file.write(text)

    def start(self, thing):
        self.addCleanup(thing.__exit__, None, None, None)
        return thing.__enter__()

    def relay(self, sections, queue="", **options):
        queue = '[queue]\nmin_free_disk = "0"\nretry = ["5m", "15m", "1h"]\n' + queue
        return self.start(Relay(sections=queue + sections, **options))

    def sink(self, *rules):
        return self.start(Sink(*rules))

    def deferred(self, relay, recipient="bob@example.net"):
        """A message that was tried once, and whose result is in the queue."""
        ident = relay.submit("alice@example.org", [recipient])
        relay.wait_for("deferred", id=ident + "-1")
        until(lambda: [r["attempts"] for e in relay.queue("list") for r in e["recipients"] if e["queue_id"] == ident] == [1],
              "the attempt in the queue")
        return ident

    def waits_for(self, relay, ident, cause):
        """Until why says so, which may take a moment."""
        return until(lambda: [one for one in relay.queue("why", ident) if one["cause"] == cause],
                     lambda: "%s, but: %s" % (cause, relay.queue("why", ident)))

    def check_text(self, relay, ident, cause, title):
        answer, = self.waits_for(relay, ident, cause)
        text = normalised("$ rockdove queue why %s\n" % ident + relay.command("queue", "why", ident).stdout)
        self.assertLessEqual(max(len(line) for line in text.splitlines()), 100)
        if WRITE:
            self.seen[cause] = (title, text)
        else:
            self.assertEqual(document().get(cause), (title, text))
        return answer

    def refusal(self, rule, cause, title):
        relay = self.relay(route(self.sink("rcpt:*=" + rule).url))
        answer = self.check_text(relay, self.deferred(relay), cause, title)
        self.assertEqual(answer["reply"], rule)
        self.assertIn("next", answer)
        return relay

    def test_a_refusal_for_now(self):
        self.refusal("451 4.3.2 Please try again in an hour", "refused", "The receiver asks to come again")

    def test_greylisting(self):
        self.refusal("450 4.7.1 Greylisted, please come back in 300 seconds", "greylisted", "Greylisting")

    def test_a_full_mailbox(self):
        self.refusal("452 4.2.2 Mailbox full", "mailbox-full", "The mailbox is full")

    def test_too_much_for_the_receiver(self):
        self.refusal("450 4.7.0 Rate limit exceeded for your address", "rate-limited", "Too much for the receiver")

    def test_a_receiver_that_says_nothing(self):
        relay = self.relay(route(self.sink("mail:*=drop").url))
        self.check_text(relay, self.deferred(relay), "no-answer", "The conversation breaks off")

    def test_what_a_person_has_rerouted_says_so(self):
        relay = self.refusal("450 4.7.1 Greylisted, please come back in 300 seconds", "greylisted", "Greylisting")
        ident = relay.queue("list")[0]["queue_id"]
        relay.command("queue", "reroute", ident, "--to", self.sink("rcpt:*=451 4.3.0 busy").url)
        answer, = self.waits_for(relay, ident, "refused")
        self.assertRegex(answer["text"], r"It goes to smtp://127\.0\.0\.1:\d+ instead of by the routes, because uid \d+")
        self.assertIn("rockdove queue reroute %s-1 --to routes" % ident, [one.get("command") for one in answer["advice"]])

    def test_nobody_listens(self):
        relay = self.relay(route("smtp://127.0.0.1:%d" % free_port()))
        self.check_text(relay, self.deferred(relay), "unreachable", "No connection to any host")

    def test_a_site_is_paused_behind_a_failure(self):
        relay = self.relay(route("smtp://127.0.0.1:%d" % free_port()))
        self.deferred(relay)
        second = relay.submit("alice@example.org", ["carol@example.com"])
        answer = self.check_text(relay, second, "site-paused", "The site failed, and all its mail waits")
        self.assertEqual(answer["attempts"], 0)

    def test_the_dns_fails(self):
        knot = self.start(Knot({"broken": None}))
        relay = self.relay('[dns]\nservers = ["%s"]\n' % knot.address)
        self.check_text(relay, self.deferred(relay, "bob@some.broken"), "dns", "The DNS does not answer")

    def test_tls_is_required_and_not_offered(self):
        relay = self.relay(route(self.sink().url, 'tls = "verify"\n'))
        self.check_text(relay, self.deferred(relay), "tls", "TLS is required and cannot be had")

    def test_the_smarthost_knows_no_such_password(self):
        server = socketserver.ThreadingTCPServer(("127.0.0.1", 0), LoginRefuser)
        server.daemon_threads = True
        threading.Thread(target=server.serve_forever, daemon=True).start()
        self.addCleanup(server.server_close)
        self.addCleanup(server.shutdown)
        secret = self.start(tempfile.NamedTemporaryFile("w"))
        secret.write("wrong\n")
        secret.flush()
        give_to_daemon(secret.name)
        relay = self.relay(route("smtp://127.0.0.1:%d" % server.server_address[1],
                                 'user = "relay@office.example"\npassword_file = "%s"\ntls = "off"\n' % secret.name))
        self.check_text(relay, self.deferred(relay), "login", "The smarthost refuses the login")

    def test_being_sent_and_waiting_behind_it(self):
        relay = self.relay(route(self.sink("dot=stall").url))
        first = relay.submit("alice@example.org", ["bob@example.net"])
        self.waits_for(relay, first, "being-sent")
        until(lambda: "final dot" in str(relay.queue("why", first)) or "has all of it" in str(relay.queue("why", first)), "the dot")
        self.check_text(relay, first, "being-sent", "It is being sent right now")
        second = relay.submit("alice@example.org", ["carol@example.com"])
        self.check_text(relay, second, "site-busy", "The site's connections are at work")
        relay.process.send_signal(signal.SIGTERM)
        self.check_text(relay, second, "stopping", "Rockdove is stopping")
        relay.kill()

    def test_all_connections_are_at_work(self):
        stalling, other = self.sink("dot=stall"), self.sink()
        sections = '[limits]\nconnections_out = 1\n[[route]]\nrecipient = "*@slow.example"\nto = "%s"\n' % stalling.url
        relay = self.relay(sections + route(other.url))
        first = relay.submit("alice@example.org", ["bob@slow.example"])
        until(lambda: "has all of it" in str(relay.queue("why", first)), "the dot")
        second = relay.submit("alice@example.org", ["carol@example.com"])
        self.check_text(relay, second, "no-connection-left", "All connections are at work")
        relay.kill()

    def test_a_policy_has_put_it_into_quarantine(self):
        knot = self.start(Knot({"example": ['_dmarc.shop TXT "v=DMARC1; p=quarantine"', 'shop TXT "v=spf1 -all"']}))
        relay = self.relay('[dns]\nservers = ["%s"]\n[relay]\ndomains = ["inside.example"]\nrecipients = "any"\n'
                           '[policy]\nhelo = "off"\niprev = "off"\n' % knot.address, listener={"relay_from": []})
        ident = relay.submit("x@evil.example", ["bob@inside.example"], b"From: sales@shop.example\r\n\r\nplease pay\r\n")
        answer = self.check_text(relay, ident, "quarantine", "A policy has put it into quarantine")
        self.assertNotIn("next", answer)

    def test_what_persons_did_is_told_with_who_and_why(self):
        relay = self.relay(route(self.sink("rcpt:*=450 4.7.1 Greylisted, please come back in 300 seconds").url))
        ident = self.deferred(relay)
        relay.command("queue", "hold", ident, "--because", "looks like spam")
        self.check_text(relay, ident, "held", "A person has put it on hold")
        relay.command("queue", "delete", ident)
        self.check_text(relay, ident, "deleted", "A person has deleted it")
        relay.command("pause", "--destination", "route:smarthost", "--for", "2h", "--because", "the smarthost is being moved")
        second = relay.submit("alice@example.org", ["carol@example.com"])
        self.check_text(relay, second, "paused", "A person has paused its destination")

    def test_each_kind_of_pause_is_named_by_why_and_by_route(self):
        relay = self.relay(route(self.sink("rcpt:*=450 4.2.1 not now").url))
        ident = self.deferred(relay)
        for number, what in enumerate((["--all"], ["--destination", "route:*"], ["--site", "route:smarthost"]), 1):
            relay.command("pause", *what)
            answer, = relay.queue("why", ident)
            self.assertEqual(answer["cause"], "paused")
            self.assertEqual(len([one for one in answer["advice"] if one["text"].startswith(("end this", "let it"))]), number)
            self.assertNotIn("next", answer)
        page = relay.command("route", "bob@example.net").stdout
        self.assertEqual(len(re.findall(r"^Paused       (?:everything|destination route:\*|site route:smarthost), since",
                                        page, re.MULTILINE)), 3, page)
        self.assertIn("nothing is sent to it: ", page)
        for what in (["--all"], ["--destination", "route:*"], ["--site", "route:smarthost"]):
            relay.command("resume", *what)
        self.waits_for(relay, ident, "refused")
        relay.command("pause", "--user", "bulk@*", "--for", "1h")
        self.assertIn("Paused       user bulk@*", relay.command("route", "bob@example.net").stdout)

    def test_mail_of_a_paused_user_is_on_hold_until_the_pause_ends(self):
        relay = self.relay(route(self.sink().url))
        relay.command("pause", "--user", "uid *", "--because", "too much at once")
        run("sendmail", "-f", "alice@example.org", "bob@example.net", input="Subject: x\n\nx\n",
            environment={"ROCKDOVE_CONFIG": relay.configuration})
        ident = until(lambda: [entry["queue_id"] for entry in relay.queue("list") if entry["recipients"][0]["state"] == "held"],
                      "the hold")[0]
        answer, = relay.queue("why", ident)
        self.assertEqual((answer["cause"], answer["state"]), ("paused", "held"))
        self.assertIn("has paused the mail of user uid * (too much at once)", answer["text"])
        self.assertIn("rockdove resume --user 'uid *'", [one["command"] for one in answer["advice"]])
        relay.command("resume", "--user", "uid *")
        relay.wait_for("delivered")

    def test_what_has_gone_says_how_it_ended(self):
        relay = self.relay(route(self.sink("rcpt:bad@*=550 5.1.1 nobody of that name").url))
        ident = relay.submit("alice@example.org", ["bob@example.net"])
        relay.wait_for("delivered", id=ident + "-1")
        answer = self.check_text(relay, ident, "gone", "It has left the queue")
        self.assertEqual(answer["state"], "gone")
        second = relay.submit("alice@example.org", ["bad@example.net"])
        relay.wait_for("bounced", id=second + "-1")
        answer, = self.waits_for(relay, second, "gone")
        self.assertIn("returned to its sender", answer["text"])
        self.assertIn("nobody of that name", answer["text"])
        relay.stop()
        self.assertEqual(relay.queue("why", second), [answer])

    def test_without_a_daemon_the_rows_tell(self):
        relay = self.relay(route(self.sink("rcpt:*=450 4.7.1 Greylisted, please come back in 300 seconds").url))
        ident = self.deferred(relay)
        relay.stop()
        self.check_text(relay, ident, "no-daemon", "No rockdove runs")

    def test_what_is_not_there_says_so(self):
        relay = self.relay(route(self.sink().url))
        done = relay.command("queue", "why", "0F19ZD8LGWh0", expect=1)
        self.assertIn("no such delivery", done.stderr)
        relay.command("queue", "why", "nonsense", expect=1)

    def test_the_document_has_at_least_ten_and_no_other_causes(self):
        if WRITE:
            self.skipTest("it is being written")
        with open(__file__) as file:
            tested = set(re.findall(r', "([a-z-]+)", "[A-Z][^"]*"\)', file.read()))
        self.assertEqual(set(document()), tested)
        self.assertGreaterEqual(len(tested), 10)


if __name__ == "__main__":
    run_tests()
