#!/usr/bin/python3
"""The matrix: every client of contrib/doc/matrix.md hands mail to one relay in every way, and every next
hop takes it in every way; bodies are compared octet for octet. Each cell is tried anew; the table that
comes out must be the one in contrib/doc.

    matrix_test.py ROCKDOVE CACHE [--write]

CACHE is a folder that keeps Exim, unpacked. --write writes the table instead of comparing it.
"""

import argparse
import concurrent.futures
import difflib
import email
import email.policy
import logging
import os
import re
import smtplib
import sys
import time

HERE = os.path.dirname(os.path.abspath(__file__))
sys.path.insert(0, os.path.join(HERE, "..", "support"))
sys.path.insert(0, HERE)
import letters  # noqa: E402
import relay as relay_module  # noqa: E402
from clients import PROGRAMS, SENDER, Client, Sent  # noqa: E402
from relay import until  # noqa: E402
from table import YES, Said, Table, render  # noqa: E402
from world import ALWAYS_TLS, AUTH, EXPIRED_SMTPS, LEVELS, TLS, World  # noqa: E402

DOCUMENT = os.path.normpath(os.path.join(HERE, "../../../contrib/doc/matrix.md"))
AT_ONCE = 6
WAIT = 30  # seconds for what takes milliseconds on an idle machine

INTRODUCTION = """# Clients and next hops

What Rockdove was tried with: real programs of Debian 12 on both sides of one relay. `tests/e2e/matrix` tries
every cell in every run of `contrib/check`, compares what arrives with what was sent, octet for octet, and this
page with what came out; `matrix_test.py --write` writes it.
"""


# By the route's `tls`, in the order of LEVELS. Mail that waits is tried again, and bounces after queue.lifetime.
ODD_TLS = {
    "no STARTTLS": ("in clear", "in clear", "waits", "waits"),
    "certificate for another name": ("in clear", "over TLS", "over TLS", "waits"),
    "certificate by an unknown authority": ("in clear", "over TLS", "over TLS", "waits"),
    "certificate that has expired": ("in clear", "over TLS", "over TLS", "waits"),
    "handshake fails": ("in clear", "in clear", "waits", "waits"),
    EXPIRED_SMTPS: (None, "over TLS", "over TLS", "waits"),
    "smtps://, clear text": (None, "waits", "waits", "waits"),
}

# What the log says of mail that waits for it.
WHY = {
    "no STARTTLS": "offers no STARTTLS",
    "certificate for another name": "other.example",
    "certificate by an unknown authority": "issuer is not known",
    "certificate that has expired": "the certificate has expired",
    "handshake fails": "TLS failed",
    EXPIRED_SMTPS: "the certificate has expired",
    "smtps://, clear text": "the peer spoke clear text",
}


class Relayed(Client):
    """A mail server as a client: it is given the mail by SMTP and passes it on."""

    def __init__(self, server):
        self.server = server
        self.name = server.name

    def send(self, door, letter, recipients, ident):
        try:
            with smtplib.SMTP("127.0.0.1", self.server.ports["submit"], "client.example", timeout=60) as client:
                client.ehlo()
                return Sent(client.sendmail(SENDER, recipients, letter.raw) == {}, "")
        except (smtplib.SMTPException, OSError) as error:
            return Sent(False, repr(error))


class Matrix:
    def __init__(self, world):
        self.world = world
        self.failures = []
        folder = os.path.join(world.folder, "letters")
        os.mkdir(folder)
        self.clients = [program(folder) for program in PROGRAMS] + [Relayed(world.postfix), Relayed(world.exim)]

    # One letter through one client.

    def hand_in(self, client, name, letter):
        """What its cell says."""
        door = self.world.doors[name]
        if letter.text is None and client.composes:
            return "%s composes messages itself, so it cannot be given this one." % client.name
        reason = client.cannot.get(letter.name) or client.cannot.get(door.tls) or client.cannot.get(door.auth)
        if reason:
            return reason
        ident = "%s-%s-%s" % (client.name.split()[-1].lower(), name, letter.name.replace(" ", "-").lower())
        recipients = ["%s-%d@sink.example" % (ident, i) for i in range(letter.recipients)]
        sent = client.send(door, letter, recipients, ident)
        if letter is letters.NUL:
            return self.refused(client, sent, recipients[0])
        if not sent.taken:
            raise AssertionError("it was not taken: " + sent.said)
        for recipient in recipients:
            self.compare(client, letter, door, self.wait(self.world.arrivals.get, recipient))
        return YES

    def refused(self, client, sent, recipient):
        if isinstance(client, Relayed):
            # It takes the message, and the relay must not take it from there.
            assert sent.taken, sent.said
            until(lambda: self.world.relay.log("rejected", **{"from": SENDER}), "a refusal")
        elif sent.taken:
            raise AssertionError("a NUL was taken")
        assert self.world.arrivals.get(recipient) is None, "a NUL arrived"
        return YES

    def wait(self, arrived, recipient):
        """What has come for this recipient; fails early when the relay says why it cannot."""
        look_at_log = [time.monotonic() + 1]

        def look():
            found = arrived(recipient)
            if found is None and time.monotonic() > look_at_log[0]:
                look_at_log[0] += 1
                line = self.world.failed(recipient)
                if line:
                    raise AssertionError("not delivered: %s" % line)
            return found
        return until(look, lambda: "mail for " + recipient, WAIT)

    def compare(self, client, letter, door, raw):
        wrong = self.text_difference(raw, letter) if client.composes else letters.difference(raw, letter)
        if wrong:
            raise AssertionError(wrong)
        # RFC 3848. Where it needs no extension but TLS a client may say HELO, for which there is no word with S.
        protocol = "ESMTP" + ("" if door.tls == "clear" else "S") + ("" if door.auth == "none" else "A")
        after_helo = r"SMTP (?!\(TLS)" if door.tls == "clear" else r"SMTP \(TLS"
        received = " ".join(raw.partition(b"\r\nReceived:")[0].decode(errors="replace").split())
        if not re.search(r" with (%s |%s)" % (protocol, after_helo if door.auth == "none" else "\0"), received):
            raise AssertionError("it did not come by %s: %s" % (protocol, received[:300]))

    @staticmethod
    def text_difference(raw, letter):
        got = email.message_from_bytes(raw, policy=email.policy.default).get_payload(decode=True)
        got = got.replace(b"\r\n", b"\n").rstrip(b"\n")
        wanted = letter.text.replace(b"\r\n", b"\n").rstrip(b"\n")
        return None if got == wanted else "%r instead of %r" % (got[:200], wanted[:200])

    # One letter to one next hop.

    def hand_out(self, name, letter):
        way = self.world.ways[name]
        if way.why_not:
            return way.why_not
        recipients = ["%s-%d@%s.example" % (letter.name.replace(" ", "-").lower(), i, name) for i in range(letter.recipients)]
        door = self.world.doors["clear-none"]
        with smtplib.SMTP("127.0.0.1", door.port, "client.example", timeout=60) as client:
            client.ehlo()
            client.sendmail(SENDER, recipients, letter.raw)
        for recipient in recipients:
            raw, over_tls, authenticated = self.wait(way.hop.arrived, recipient)
            wrong = letters.difference(raw, letter)
            if wrong:
                raise AssertionError(wrong)
            if (over_tls, authenticated) != (way.over_tls, way.authenticated):
                raise AssertionError("TLS: %s, authenticated: %s: %s" % (over_tls, authenticated, raw[:500]))
        return YES

    # TLS that is not as it should be.

    def hand_out_oddly(self, name, level):
        """How it went: "in clear", "over TLS", or "waits"."""
        hop = self.world.odd_hops[name]
        wanted = ODD_TLS[name][LEVELS.index(level)]
        if wanted is None:
            return ALWAYS_TLS
        recipient = "b@%s.example" % World.odd_name(name, level)
        with smtplib.SMTP("127.0.0.1", self.world.doors["clear-none"].port, "client.example", timeout=60) as client:
            client.ehlo()
            client.sendmail(SENDER, [recipient], letters.MIXED.raw)
        found = until(lambda: hop.arrived(recipient) or self.world.failed(recipient), "an end of mail for " + recipient, WAIT)
        if isinstance(found, tuple):
            result = "over TLS" if found[1] else "in clear"
        else:
            result = "waits" if found["message"] == "deferred" else "bounces"
            if WHY[name] not in found["reply"]:
                raise AssertionError("not for %r: %s" % (WHY[name], found))
        if result != wanted:
            raise AssertionError("%s instead of %s: %s" % (result, wanted, found))
        return Said(result)

    # All of them.

    def fill(self, pool, cells):
        """cells: [(table, row, column, function, arguments)]"""
        futures = [(table, row, column, pool.submit(function, *arguments))
                   for table, row, column, function, arguments in cells]
        for table, row, column, future in futures:
            try:
                table.set(row, column, future.result())
            except Exception as error:  # one cell's failure, whatever it is, must not hide the others'
                table.set(row, column, "FAILED")
                self.failures.append("%s × %s: %s" % (row, column, error))
                print("FAILED " + self.failures[-1], flush=True)

    def run(self):
        title = {"clear": "clear", "starttls": "STARTTLS", "implicit": "implicit TLS"}
        ways_in = Table("Clients: ways in", "A message with dots, lines of 998 octets and UTF-8, handed in over each kind of "
                        "connection with each kind of login.", "client",
                        ["%s, %s" % (title[tls], auth.upper() if auth != "none" else "no login") for tls in TLS for auth in AUTH])
        bodies_in = Table("Clients: odd messages", "In clear. NUL: `yes` says that it is refused.", "client",
                          [letter.name for letter in letters.ODD])
        ways_out = Table("Next hops: ways out", "The same message; the columns are the route's `tls`, and whether it has a "
                         "`password_file`. With `may` TLS is used, because it works; `smtps://` is TLS from the first octet.", "next hop",
                         ["%s, %s" % (level, "no login" if auth == "none" else "login") for level in LEVELS for auth in ("none", "login")])
        bodies_out = Table("Next hops: odd messages", "In clear; at Dovecot's submission after a login.", "next hop",
                           [letter.name for letter in letters.ODD if letter is not letters.NUL])
        cells = []
        for client in self.clients:
            for (name, _), column in zip(self.world.doors.items(), ways_in.columns):
                cells.append((ways_in, client.name, column, self.hand_in, (client, name, letters.MIXED)))
            for letter in letters.ODD:
                cells.append((bodies_in, client.name, letter.name, self.hand_in, (client, "clear-none", letter)))
        for hop in self.world.hops:
            names = [World.way_name(hop, level, auth) for level in LEVELS for auth in ("none", "login")]
            for name, column in zip(names, ways_out.columns):
                cells.append((ways_out, hop.name, column, self.hand_out, (name, letters.MIXED)))
            if hop.scheme == "smtps":
                continue
            plain = next(name for name in names if not self.world.ways[name].why_not)
            for letter in letters.ODD:
                if letter is not letters.NUL:
                    cells.append((bodies_out, hop.name, letter.name, self.hand_out, (plain, letter)))
        odd_tls = Table("Next hops: TLS that is not as it should be", "What becomes of a message; the columns are the route's "
                        "`tls`. What waits is tried again.", "next hop", LEVELS)
        for name in self.world.odd_hops:
            for level in LEVELS:
                cells.append((odd_tls, name, level, self.hand_out_oddly, (name, level)))
        with concurrent.futures.ThreadPoolExecutor(AT_ONCE) as pool:
            self.fill(pool, cells)
        return render(INTRODUCTION, [ways_in, bodies_in, ways_out, odd_tls, bodies_out])


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("rockdove")
    parser.add_argument("cache")
    parser.add_argument("--write", action="store_true")
    arguments = parser.parse_args()
    if os.getuid() != 0:
        print("the servers of the matrix need root")
        return 77
    relay_module.ROCKDOVE = os.path.abspath(arguments.rockdove)
    logging.getLogger("mail.log").disabled = True  # aiosmtpd's words about handshakes that are meant to fail
    started = time.monotonic()
    world = World(os.path.abspath(arguments.cache))
    try:
        matrix = Matrix(world)
        text = matrix.run()
        if matrix.failures:
            print(world.relay.stderr())
    finally:
        world.stop()
    print("%.0f s" % (time.monotonic() - started))
    if matrix.failures:
        return 1
    if arguments.write:
        with open(DOCUMENT, "w") as file:
            file.write(text)
        return 0
    with open(DOCUMENT) as file:
        expected = file.read()
    if text != expected:
        print("".join(difflib.unified_diff(expected.splitlines(True), text.splitlines(True), DOCUMENT, "this run")))
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
