"""The `kind: server` cases of smtp/dialog-exim.jsonl as next hops of a real relay: bad replies, replies at the wrong
time, connections cut at each stage. All at once, each with a route of its own. The relay must not crash, must lose
nothing, and each recipient must come to what queue/failure.h says of the replies that the hop says it gave.

Second argument: the folder of the cases. Exit status 77 (skipped) where there are none."""

import collections
import json
import os
import re
import subprocess
import sys
import threading
import time
import unittest

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "support"))
from main import run_tests  # noqa: E402
from relay import Relay, until  # noqa: E402
from scripted_hop import ScriptedHop, plan, tls_context, verb_of  # noqa: E402

CASES = None
# What is not for us, by the beginning of the id; also in contrib/doc/conformance.md.
NOT_FOR_US = {
    "4000-scanning/4004": "rspamd's protocol, not SMTP",
    "4020-socks/4020#0": "a SOCKS proxy in front",
    "4020-socks/4020#1": "a SOCKS proxy in front",
    "3400-plaintext/": "AUTH without TLS, which this relay never says to a next hop",
}
# What a RCPT is answered with when the other recipients are to be told in the next transaction.
ENOUGH = (452, 552)


def cases():
    with open(os.path.join(CASES, "smtp", "dialog-exim.jsonl")) as file:
        all_of_them = [json.loads(line) for line in file]
    return [case for case in all_of_them
            if case["kind"] == "server" and not any(case["id"].startswith(start) for start in NOT_FOR_US)]


def by_reply(code):
    """What a reply that decides means for a recipient."""
    if code is None or code // 100 not in (2, 4, 5) or code == 421:
        return "deferred"
    return {2: "delivered", 4: "deferred", 5: "bounced"}[code // 100]


class Transaction:
    def __init__(self, mail):
        self.mail = mail
        self.recipients = []  # (address, exchange)
        self.data = None
        self.chunks = []
        self.final = None

    def outcomes(self, is_lmtp):
        """{recipient: outcome}, "again" for those that the next transaction is for."""
        first = lambda exchange: exchange.codes[0] if exchange is not None and exchange.codes else None
        is_yes = lambda exchange: exchange is not None and (first(exchange) or 0) // 100 == 2
        sender_code = first(self.mail)
        told = {}
        if not is_yes(self.mail):
            return {address: by_reply(sender_code) for address, _ in self.recipients} or {"*": by_reply(sender_code)}
        accepted = [address for address, exchange in self.recipients if is_yes(exchange)]
        for address, exchange in self.recipients:
            code = first(exchange)
            if not is_yes(exchange):
                told[address] = "again" if code in ENOUGH else by_reply(code)
        # RFC 3030 §2: a chunk that is refused ends the transaction, whether or not the LAST one ever came.
        refused = next((chunk for chunk in self.chunks if not is_yes(chunk)), None)
        for place, address in enumerate(accepted):
            if refused is not None:
                told[address] = by_reply(first(refused))
            elif self.final is not None:
                codes = self.final.codes
                told[address] = by_reply((codes[place] if place < len(codes) else None) if is_lmtp else first(self.final))
            elif self.data is not None and self.data.codes and (first(self.data) or 0) // 100 in (4, 5):
                told[address] = by_reply(first(self.data))
            else:
                told[address] = "deferred"  # cut before the end
        if "delivered" not in told.values():  # "enough" counts only beside somebody who was served
            told = {address: "deferred or again" if what == "again" else what for address, what in told.items()}
        return told


def transactions(said):
    found = []
    for exchange in said:
        verb = verb_of(exchange.line)
        if verb == "MAIL":
            found.append(Transaction(exchange))
        elif not found:
            continue
        elif verb == "RCPT":
            found[-1].recipients.append((re.search("<(.*?)>", exchange.line).group(1), exchange))
        elif verb == "DATA":
            found[-1].data = exchange
        elif verb == "." or exchange.line.upper().endswith(" LAST"):
            found[-1].final = exchange
        elif verb == "BDAT":
            found[-1].chunks.append(exchange)
    return found


class Case:
    """One connection of a script, the messages for it, and what came of them."""

    def __init__(self, number, case_id, entries, tls):
        self.id = case_id
        self.domain = "case%d.example" % number
        said = [line for entry in entries for lines in entry.replies for line in lines]
        self.is_lmtp = any(entry.verb == "EHLO" and entry.word == "LHLO" for entry in entries)
        self.is_chunked = any("CHUNKING" in line for line in said)
        self.hop = ScriptedHop([entries], tls)
        # As many messages, each with as many recipients, as the script has MAIL and RCPT.
        self.messages = []
        for entry in entries:
            if entry.verb == "MAIL":
                self.messages.append(0)
            elif entry.verb == "RCPT" and self.messages:
                self.messages[-1] += 1
        self.messages = [min(max(1, count), 100) for count in self.messages] or [1]
        self.contents = {}
        self.recipients = []

    def route(self):
        return '[[route]]\nrecipient = "*@%s"\nto = "%s://127.0.0.1:%d"\ntls = "may"\n' % (
            self.domain, "lmtp" if self.is_lmtp else "smtp", self.hop.port)

    def run(self, world):
        for k, count in enumerate(self.messages):
            recipients = ["r%d-%d@%s" % (k, i, self.domain) for i in range(count)]
            body = b"Subject: %d\r\n\r\n.hello %d of %s\r\n" % (k, k, self.id.encode())
            if self.is_chunked:
                body += b"a line of forty characters, again and again\r\n" * 7000
            self.contents[k] = body.rpartition(b"\r\n\r\n")[2]
            self.recipients += recipients
            world.relay.submit("s%d@sender.example" % k, recipients, body)
            if k == 0:
                until(lambda: any(recipient in world.results() for recipient in recipients), "results of message 0")
            if not world.has_all(recipients, 3):
                return  # the site was found broken, and is paused before the rest was tried

    def problems(self, results):
        told = {}
        for said in list(self.hop.connections):
            for transaction in transactions(said):
                outcomes = transaction.outcomes(self.is_lmtp)
                told.update(outcomes)
                if transaction.final is not None:
                    content = b"".join(e.content or b"" for e in transaction.chunks + [transaction.final])
                    k = int(re.search("<s([0-9]+)@", transaction.mail.line).group(1))
                    if not content.endswith(self.contents[k]):
                        yield "%s: content of message %d was changed" % (self.id, k)
        for recipient, result in results.items():
            expected = told.get(recipient)
            if expected is None:  # it never came to its RCPT
                greetings = [said[i].codes[:1] for said in self.hop.connections for i in range(min(2, len(said)))]
                fine = result != "delivered"
                fine = fine and (result == "deferred" or any(codes and (codes[0] or 0) >= 500 for codes in greetings)
                                 or any((t.mail.codes or [0])[0] is not None and (t.mail.codes or [0])[0] >= 500
                                        for said in self.hop.connections for t in transactions(said)))
            elif expected in ("again", "deferred or again"):
                fine = result == "deferred"  # by the 421 that follows the script, or by the schedule
            else:
                fine = result == expected
            if not fine:
                yield "%s: %s is %s, but by the replies it is %s" % (self.id, recipient, result, expected)


class World:
    def __init__(self, relay):
        self.relay = relay
        self._lock = threading.Lock()
        self._offset = 0
        self._results = {}
        self.counts = collections.Counter()

    def has_all(self, recipients, seconds=0):
        """Whether each of them has come to something, at the latest after so many seconds."""
        give_up = time.monotonic() + seconds
        while not all(recipient in self.results() for recipient in recipients):
            if time.monotonic() > give_up:
                return False
            time.sleep(0.05)
        return True

    def results(self):
        """{recipient: last event}, of the log as far as it was written."""
        with self._lock:
            with open(self.relay.log_path, "rb") as file:
                file.seek(self._offset)
                for line in file:
                    if not line.endswith(b"\n"):
                        break
                    self._offset += len(line)
                    entry = json.loads(line)
                    if entry["message"] in ("delivered", "deferred", "bounced", "unreturnable"):
                        self._results[entry["to"]] = entry["message"]
                        self.counts[entry["message"]] += 1
            return dict(self._results)


class HostileHops(unittest.TestCase):
    def test_no_server_makes_it_crash_or_lose_mail(self):
        relay = Relay(top={"threads": 2}, sections="")
        self.addCleanup(relay.__exit__, None, None, None)
        certificate, key = (os.path.join(relay.folder, name) for name in ("hop.crt", "hop.key"))
        subprocess.run(["openssl", "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-days", "2", "-subj", "/CN=hop.example",
                        "-keyout", key, "-out", certificate], check=True, capture_output=True)
        tls = tls_context(certificate, key)
        scripts = [("%s/%d" % (case["id"], i), entries)
                   for case in cases() for i, entries in enumerate(plan(case["steps"]))]
        played = [Case(number, case_id, entries, tls) for number, (case_id, entries) in enumerate(scripts)]
        self.addCleanup(lambda: [case.hop.close() for case in played])
        relay._sections = "".join(case.route() for case in played) + '[[route]]\nrecipient = "*"\nto = "discard:"\n'
        relay.start()
        world = World(relay)
        failures = []

        def run(case):
            try:
                case.run(world)
            except BaseException as error:  # noqa: BLE001
                failures.append("%s: %r" % (case.id, error))

        threads = [threading.Thread(target=run, args=(case,), daemon=True) for case in played]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        self.assertIsNone(relay.process.poll(), relay.said())
        time.sleep(0.5)
        results = world.results()
        for case in played:
            failures += case.problems({to: what for to, what in results.items() if to.endswith("@" + case.domain)})
        self.assertFalse(failures, "\n".join(failures))
        queued = {recipient["address"] for entry in relay.queue("list") for recipient in entry["recipients"]}
        ended = {to for to, what in results.items() if what != "deferred"}
        accepted = {to for case in played for to in case.recipients}
        self.assertEqual(queued, accepted - ended)
        relay.stop()
        print("%d conversations of %d cases: %s" % (len(played), len(cases()), dict(world.counts)))


if __name__ == "__main__":
    if len(sys.argv) > 2:
        CASES = sys.argv.pop(2)
    if CASES is None or not os.path.exists(os.path.join(CASES, "smtp", "dialog-exim.jsonl")):
        print("skipped: there is no smtp/dialog-exim.jsonl")
        sys.exit(77)
    run_tests()
