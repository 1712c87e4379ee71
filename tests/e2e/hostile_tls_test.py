"""Peers that mean no good with TLS itself, as clients and as next hops, implicit and behind STARTTLS: odd
handshakes, records that nobody sends, ends without a word, and text smuggled past STARTTLS. All at once for
some seconds; the relay stays up, holds little memory, loses nothing, takes nothing that is not whole, and
other mail goes its way. contrib/doc/hostile.md has the list."""

import contextlib
import os
import random
import ssl
import sys
import time

HERE = os.path.dirname(os.path.abspath(__file__))
sys.path.insert(0, os.path.join(HERE, "support"))
sys.path.insert(0, os.path.join(HERE, "matrix"))
from hostile import REPLIES, SECONDS, HostileBase, HostileServer, read_line, reset  # noqa: E402
from main import run_tests  # noqa: E402
from tls_records import (ALERT, CHANGE_CIPHER_SPEC, DATA, HANDSHAKE, HEADER, HELLO_REQUEST, KEY_UPDATE,  # noqa: E402
                         KEY_UPDATE_REQUESTED, Contexts, Peer, new_session_ticket, record, records_in)

FATAL, CLOSE_NOTIFY, WARNING = b"\x02\x28", b"\x01\x00", b"\x01\x5a"
CUT = "cut@hostile.example"            # senders of mail that must not be taken
SMUGGLED = "smuggled@hostile.example"
CONTENT = b"Subject: cut\r\n\r\n" + b"a line\r\n" * 100


def sleep_until(end):
    time.sleep(max(0, end - time.monotonic()))


def again(end, say, pause=0.002):
    while time.monotonic() < end:
        say()
        time.sleep(pause)


def drain(peer, end):
    while time.monotonic() < end and peer.recv(4096):
        pass


def play_server(peer, stage):
    """The replies before this one, each behind what it answers."""
    for i in range(1 if peer.behind_starttls else 0, stage):
        peer.say(REPLIES[i])
        text = b""
        while not text.endswith(b"\r\n.\r\n" if i == 4 else b"\r\n"):
            octets = peer.recv(4096)
            if not octets:
                raise AssertionError("the relay did not go on behind %r" % REPLIES[i])
            text = (text + octets)[-16:]


def play_client(peer, *lines):
    """Each is answered well."""
    for line in (() if peer.behind_starttls else (b"",)) + lines:
        if line:
            peer.say(line + b"\r\n")
        reply = read_line(peer)
        if reply[:1] not in (b"2", b"3"):
            raise AssertionError("the relay said %r to %r" % (reply, line))


def converse(peer, end):
    """An ordinary conversation, which has to work; as a server it is refused at its end."""
    if peer.is_server:
        play_server(peer, 5)
        peer.say(REPLIES[5])
    else:
        play_client(peer, b"EHLO x", b"MAIL FROM:<x@hostile.example>", b"RCPT TO:<b@sink.example>", b"DATA",
                    b"Subject: odd\r\n\r\nx\r\n.")
    peer.served()
    drain(peer, end)


class Attacks:
    """Of either side. Each takes a Peer, at the place where the ClientHello comes, and the time of its end."""

    # The handshake.

    @staticmethod
    def handshake_octet_by_octet(peer, end):
        def send(flight):
            for i in range(len(flight)):
                peer.socket.sendall(flight[i:i + 1])
                time.sleep(0.0005)
        peer.shake(send)
        converse(peer, end)

    @staticmethod
    def handshake_in_records_of_one_octet(peer, end):
        def send(flight):
            for one in records_in(flight):
                if one[0] == HANDSHAKE and len(one) < 2000:
                    one = b"".join(record(HANDSHAKE, one[i:i + 1]) for i in range(HEADER, len(one)))
                peer.socket.sendall(one)
        peer.begin()
        send(peer.next_flight())  # what follows is encrypted
        while True:
            flight = peer.next_flight()
            if flight is None:
                break
            peer.socket.sendall(flight)
        converse(peer, end)

    @staticmethod
    def stalls_in_its_first_flight(peer, end):
        peer.begin()
        flight = peer.next_flight()
        peer.socket.sendall(flight[:len(flight) // 2])
        sleep_until(end)

    @staticmethod
    def stalls_in_its_last_flight(peer, end):
        peer.begin(ssl.TLSVersion.TLSv1_2)
        peer.socket.sendall(peer.next_flight())
        flight = peer.next_flight()
        peer.socket.sendall(flight[:len(flight) - 7])
        sleep_until(end)

    @staticmethod
    def closes_in_its_last_flight(peer, _end):
        peer.begin(ssl.TLSVersion.TLSv1_2)
        peer.socket.sendall(peer.next_flight())
        flight = peer.next_flight()
        peer.socket.sendall(flight[:len(flight) - 7])
        peer.half_close()
        peer.socket.recv(1)

    @staticmethod
    def resets_behind_its_first_flight(peer, _end):
        peer.begin()
        peer.socket.sendall(peer.next_flight())
        reset(peer.socket)

    @staticmethod
    def clear_text_in_the_middle(peer, _end):
        peer.begin(ssl.TLSVersion.TLSv1_2)
        peer.socket.sendall(peer.next_flight())
        peer.next_flight()
        peer.socket.sendall(b"250 ok\r\nEHLO x\r\n")
        peer.socket.recv(1)

    @staticmethod
    def alert_first(peer, _end):
        peer.socket.sendall(record(ALERT, FATAL))
        peer.socket.recv(1)

    @staticmethod
    def alert_in_the_middle(peer, _end):
        peer.begin(ssl.TLSVersion.TLSv1_2)
        peer.socket.sendall(peer.next_flight())
        peer.next_flight()
        peer.socket.sendall(record(ALERT, FATAL))
        peer.socket.recv(1)

    @staticmethod
    def alert_behind_the_handshake(peer, _end):
        peer.shake()
        peer.send(ALERT, FATAL)
        peer.socket.recv(1)

    @staticmethod
    def a_message_of_16_megabytes(peer, end):
        peer.socket.sendall(record(HANDSHAKE, (b"\x02" if peer.is_server else b"\x01") + b"\xff\xff\xff"))
        again(end, lambda: peer.socket.sendall(record(HANDSHAKE, b"\x00" * 16384)))

    @staticmethod
    def empty_handshake_records(peer, end):
        again(end, lambda: peer.socket.sendall(record(HANDSHAKE, b"") * 100))

    @staticmethod
    def change_cipher_specs(peer, end):
        again(end, lambda: peer.socket.sendall(record(CHANGE_CIPHER_SPEC, b"\x01") * 100))

    @staticmethod
    def change_cipher_specs_in_the_middle(peer, end):
        peer.begin()
        peer.socket.sendall(peer.next_flight())
        again(end, lambda: peer.socket.sendall(record(CHANGE_CIPHER_SPEC, b"\x01") * 100))

    # Records.

    @staticmethod
    def records_of_0_octets(peer, end):
        peer.shake()
        again(end, lambda: peer.socket.sendall(b"".join(peer.records.seal(DATA, b"") for _ in range(100))))

    @staticmethod
    def records_of_1_octet(peer, end):
        peer.shake()
        again(end, lambda: peer.socket.sendall(b"".join(peer.records.seal(DATA, b"x") for _ in range(100))))

    @staticmethod
    def forged_records(peer, end):
        peer.shake()
        again(end, lambda: peer.socket.sendall(record(DATA, random.randbytes(100))))

    @staticmethod
    def a_record_that_is_too_long(peer, end):
        peer.shake()
        peer.socket.sendall(b"\x17\x03\x03\xff\xff")
        again(end, lambda: peer.socket.sendall(b"\x00" * 1000))

    @staticmethod
    def records_of_no_known_kind(peer, end):
        peer.shake()
        again(end, lambda: peer.send(99, b"x"))

    @staticmethod
    def half_a_record(peer, end):
        peer.shake()
        sealed = peer.records.seal(DATA, b"x" * 10_000)
        peer.socket.sendall(sealed[:5000])
        sleep_until(end)

    @staticmethod
    def half_a_record_and_an_end(peer, _end):
        peer.shake()
        peer.socket.sendall(peer.records.seal(DATA, b"x" * 10_000)[:5000])
        peer.half_close()
        peer.socket.recv(1)

    @staticmethod
    def warnings(peer, end):
        peer.shake()
        again(end, lambda: peer.send(ALERT, WARNING))

    @staticmethod
    def key_updates(peer, end):
        peer.shake()
        again(end, lambda: peer.socket.sendall(peer.records.update_key(KEY_UPDATE)))

    @staticmethod
    def key_updates_between_words(peer, end):
        """Each asks for one of ours, and we never read them."""
        peer.shake()

        def say():
            peer.socket.sendall(b"".join(peer.records.update_key(KEY_UPDATE_REQUESTED) + peer.records.seal(DATA, b"x")
                                         for _ in range(20)))
        again(end, say)

    @staticmethod
    def renegotiations(peer, end):
        peer.shake(version=ssl.TLSVersion.TLSv1_2)
        message = HELLO_REQUEST if peer.is_server else peer.hello()
        again(end, lambda: peer.send(HANDSHAKE, message))

    @staticmethod
    def handshake_messages_of_no_known_kind(peer, end):
        peer.shake()
        again(end, lambda: peer.send(HANDSHAKE, b"\x63\x00\x00\x01x"))

    @staticmethod
    def a_handshake_message_without_end(peer, end):
        peer.shake()
        peer.send(HANDSHAKE, b"\x18\xff\xff\xff")
        again(end, lambda: peer.send(HANDSHAKE, b"\x00" * 16000))

    @staticmethod
    def words_behind_close_notify(peer, end):
        peer.shake()
        peer.send(ALERT, CLOSE_NOTIFY)
        if peer.is_server:
            again(end, lambda: peer.say(b"250 ok\r\n"))
        else:
            peer.say(b"EHLO x\r\nMAIL FROM:<%s>\r\nRCPT TO:<b@sink.example>\r\nDATA\r\n" % SMUGGLED.encode())
            peer.say(CONTENT + b".\r\n")
            drain(peer, end)


class ServerAttacks:
    """Of servers alone."""

    @staticmethod
    def tickets(peer, end):
        peer.shake()
        again(end, lambda: peer.send(HANDSHAKE, new_session_ticket(random.randbytes(1000))))

    @staticmethod
    def a_chain_of_a_megabyte(peer, end):
        peer.shake(certificate=peer.huge_chain)
        drain(peer, end)


def leave(peer, how, end):
    """Without close_notify, unless that is how."""
    if how == "close_notify":
        peer.send(ALERT, CLOSE_NOTIFY)
    elif how == "half a record":
        peer.socket.sendall(peer.records.seal(DATA, b"\r\n.\r\n")[:-1])
    elif how == "forged record":
        peer.socket.sendall(record(DATA, random.randbytes(40)))
    elif how == "reset":
        return reset(peer.socket)
    peer.half_close()
    drain(peer, end)


def cut_reply(stage, octets, how):
    """A server that leaves within a reply, which must not be taken for a whole one."""
    def attack(peer, end):
        peer.shake()
        play_server(peer, stage)
        peer.say(b"250 2.0.0 taken"[:octets])
        leave(peer, how, end)
    attack.__name__ = "reply_%d_cut_at_%d_by_%s" % (stage, octets, how)
    return attack


def cut_content(content, how, chunked=False):
    """A client that leaves within its content, which must not be taken for its end."""
    def attack(peer, end):
        peer.shake()
        play_client(peer, b"EHLO x", b"MAIL FROM:<%s>" % CUT.encode(), b"RCPT TO:<b@sink.example>", *(() if chunked else (b"DATA",)))
        peer.say((b"BDAT %d LAST\r\n" % (len(content) + 1) if chunked else b"") + content)
        leave(peer, how, end)
    attack.__name__ = "content_cut_by_%s_%s_%d" % (how.replace(" ", "_"), "bdat" if chunked else "data", len(content))
    return attack


ENDS = ("end", "close_notify", "reset")
ATTACKS = [getattr(Attacks, name) for name in vars(Attacks) if not name.startswith("_")]
OF_CLIENTS = [cut_content(content, how, chunked)
              for how in ENDS + ("half a record", "forged record")
              for content, chunked in ((CONTENT, False), (CONTENT + b".", False), (CONTENT + b".\r", False), (CONTENT, True))
              if not (how == "half a record" and content != CONTENT)]
OF_SERVERS = [getattr(ServerAttacks, name) for name in vars(ServerAttacks) if not name.startswith("_")] + [
    cut_reply(stage, cut, how) for stage in (0, 3, 5) for cut in (0, 3, 15) for how in ENDS]


# Text that stands in clear behind STARTTLS and its reply, to be heard inside TLS (RFC 3207 §6).
SMUGGLED_COMMANDS = b"EHLO y\r\nMAIL FROM:<%s>\r\nRCPT TO:<b@sink.example>\r\n" % SMUGGLED.encode()
SMUGGLED_REPLIES = b"250-x\r\n250 PIPELINING\r\n250 ok\r\n250 ok\r\n354 go ahead\r\n250 2.0.0 taken\r\n"


def smuggled_commands(peer, _end):
    peer.shake()
    peer.say(b"DATA\r\n")
    reply = read_line(peer)
    if reply[:3] not in (b"", b"503"):
        raise AssertionError("DATA behind smuggled commands was answered %r" % reply)
    peer.served()


def smuggled_replies(peer, end):
    peer.shake()
    drain(peer, end)
    raise AssertionError("the relay went on behind smuggled replies")


def begin_as_client(connection, smuggled):
    read_line(connection)
    connection.sendall(b"EHLO x\r\n")
    read_line(connection)
    connection.sendall(b"STARTTLS\r\n" + smuggled)
    reply = read_line(connection)
    if reply[:3] != b"220":
        raise AssertionError("STARTTLS was answered %r" % reply)


def begin_as_server(connection, smuggled):
    connection.sendall(REPLIES[0])
    read_line(connection)
    connection.sendall(b"250-hostile.example\r\n250 STARTTLS\r\n")
    if read_line(connection) != b"STARTTLS\r\n":
        raise AssertionError("the relay did not say STARTTLS")
    connection.sendall(b"220 go ahead\r\n" + smuggled)


class HostileTls(HostileBase):
    @classmethod
    def setUpClass(cls):
        super().setUpClass()
        cls.contexts = Contexts(cls.folder, cls.certificate)
        cls.huge_chain = os.path.join(cls.folder, "huge.pem"), cls.certificate[1]
        with open(cls.certificate[0]) as own, open(cls.authority.ca) as above, open(cls.huge_chain[0], "w") as huge:
            huge.write(own.read() + above.read() * 2500)

    def setUp(self):
        self.wrong = []
        self.served = set()

    def played(self, attack, is_server, behind_starttls, smuggled=b""):
        """The attack on a fresh connection."""
        def play(connection, end):
            if behind_starttls:
                (begin_as_server if is_server else begin_as_client)(connection, smuggled)
            peer = Peer(connection, self.contexts, is_server, behind_starttls)
            peer.huge_chain = self.huge_chain
            peer.served = lambda: self.served.add((attack.__name__, behind_starttls))
            with contextlib.suppress(ssl.SSLError):  # the other side minds
                attack(peer, end)
        play.__name__ = attack.__name__ + ("_behind_starttls" if behind_starttls else "")
        return play

    def check_served(self, *attacks):
        self.assertEqual(self.served, {(attack.__name__, behind) for attack in attacks for behind in (False, True)})

    def test_clients(self):
        self.start_relay()
        attacks = [(self.played(attack, False, behind), port, False) for attack in ATTACKS + OF_CLIENTS
                   for behind, port in ((False, self.tls_port), (True, self.starttls_port))]
        attacks.append((self.played(smuggled_commands, False, True, SMUGGLED_COMMANDS), self.starttls_port, False))
        self.attack(attacks)
        self.assertEqual([line for line in self.relay.log("accepted") if line["from"] in (CUT, SMUGGLED)], [])
        self.assertIn((smuggled_commands.__name__, True), self.served)
        self.served.discard((smuggled_commands.__name__, True))
        self.check_served(Attacks.handshake_octet_by_octet, Attacks.handshake_in_records_of_one_octet)

    def test_next_hops(self):
        plays = [self.played(attack, True, behind) for attack in ATTACKS + OF_SERVERS for behind in (False, True)]
        plays.append(self.played(smuggled_replies, True, True, SMUGGLED_REPLIES))

        def caught(play):
            def attack(connection, _stage, end):
                try:
                    play(connection, end)
                except AssertionError as error:
                    self.wrong.append("%s: %s" % (play.__name__, error))
            attack.__name__ = play.__name__
            return attack
        servers = [HostileServer(caught(play), 0, None) for play in plays]
        for server in servers:
            self.addCleanup(server.stop)
        self.start_relay("".join(
            "[[route]]\nrecipient = \"*@h%d.example\"\nto = \"%s://localhost:%d\"\ntls = \"require\"\n" % (
                i, "smtp" if server.attack.__name__.endswith("_starttls") else "smtps", server.port)
            for i, server in enumerate(servers)))
        for i in range(len(servers)):
            self.relay.submit("a@example.org", ["b@h%d.example" % i], CONTENT)
        self.watch(SECONDS)
        self.assertEqual([s.attack.__name__ for s in servers if s.sessions == 0], [])
        wrong = list(self.wrong)  # what the stop cuts off is not the relay's doing
        for server in servers:
            server.stop()
        self.assertEqual(wrong, [])
        self.check_nothing_lost()
        self.assertEqual([line for line in self.relay.log("delivered") if "@h" in line["to"] and "healthy" not in line["to"]], [])
        self.check_served(Attacks.handshake_octet_by_octet, Attacks.handshake_in_records_of_one_octet)
        self.relay.kill()


if __name__ == "__main__":
    run_tests()
