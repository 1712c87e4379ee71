"""Hostile peers on real sockets, in clear and under TLS, as clients and as next hops, all at once for some
seconds: the relay stays up, holds little memory, loses nothing, and other mail goes its way. What needs
long waits is tried on the virtual clock (tests/sim/hostile_test.cc); contrib/doc/hostile.md has the list."""

import contextlib
import os
import random
import socket
import ssl
import sys
import time

HERE = os.path.dirname(os.path.abspath(__file__))
sys.path.insert(0, os.path.join(HERE, "support"))
sys.path.insert(0, os.path.join(HERE, "matrix"))
from hostile import DIALOGUE, REPLIES, SECONDS, HostileBase, HostileServer, flood, read_line, reset  # noqa: E402
from main import run_tests  # noqa: E402


class ClientAttacks:
    """Each takes a connection on which nothing was said, and the time when it has to end."""

    @staticmethod
    def silence(connection, end):
        time.sleep(max(0, end - time.monotonic()))

    @staticmethod
    def endless_command(connection, end):
        read_line(connection)
        flood(connection, b"x", end)

    @staticmethod
    def commands_without_reading(connection, end):
        read_line(connection)
        flood(connection, b"NOOP\r\n", end)

    @staticmethod
    def recipients_without_reading(connection, end):
        read_line(connection)
        connection.sendall(DIALOGUE[0] + DIALOGUE[1])
        flood(connection, b"RCPT TO:<b@sink.example>\r\n", end)

    @staticmethod
    def slow_reader(connection, end):
        connection.sendall(DIALOGUE[0] * 2000)
        while time.monotonic() < end and connection.recv(1):
            time.sleep(0.01)

    @staticmethod
    def octet_by_octet(connection, end):
        read_line(connection)
        for line in DIALOGUE:
            for i in range(len(line)):
                connection.sendall(line[i:i + 1])
                time.sleep(0.002)
            if read_line(connection)[:1] not in (b"2", b"3"):
                raise AssertionError("a slow writer was refused")

    @staticmethod
    def endless_header(connection, end):
        ClientAttacks._play(connection, 4)
        flood(connection, b"X-Endless: yes\r\n", end, 0.01)

    @staticmethod
    def endless_line(connection, end):
        ClientAttacks._play(connection, 4)
        connection.sendall(b"Subject: x\r\n\r\n")
        flood(connection, b"x", end, 0.01)

    @staticmethod
    def octets_of_all_values(connection, end):
        while time.monotonic() < end:
            connection.sendall(random.randbytes(4096))
            time.sleep(0.01)

    @staticmethod
    def talks_before_the_greeting(connection, end):
        connection.sendall(b"".join(DIALOGUE[:4]))
        while connection.recv(4096):
            pass

    @staticmethod
    def _play(connection, lines):
        read_line(connection)
        for line in DIALOGUE[:lines]:
            connection.sendall(line)
            read_line(connection)


def reset_at(stage):
    def attack(connection, _end):
        ClientAttacks._play(connection, stage)
        connection.sendall(DIALOGUE[stage][:-2] if stage < len(DIALOGUE) else b"")
        reset(connection)
    attack.__name__ = "reset_at_%d" % stage
    return attack


CLIENT_ATTACKS = [getattr(ClientAttacks, name) for name in vars(ClientAttacks) if not name.startswith("_")] + [
    reset_at(stage) for stage in range(len(DIALOGUE) + 1)]


class HandshakeAttacks:
    """Likewise, at a place where TLS is to begin, by somebody who does not want it to."""

    @staticmethod
    def clear_text(connection, end):
        flood(connection, b"EHLO x\r\n", end, 0.05)

    @staticmethod
    def random_octets(connection, end):
        flood(connection, random.randbytes(1000), end, 0.05)

    @staticmethod
    def half_a_hello(connection, end):
        connection.sendall(b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03")
        time.sleep(max(0, end - time.monotonic()))

    @staticmethod
    def a_record_that_never_ends(connection, end):
        connection.sendall(b"\x16\x03\x01\xff\xff")
        flood(connection, b"\0", end, 0.01)

    @staticmethod
    def alerts(connection, end):
        flood(connection, b"\x15\x03\x01\x00\x02\x01\x00", end, 0.01)

    @staticmethod
    def reset_at_once(connection, _end):
        reset(connection)


HANDSHAKE_ATTACKS = [getattr(HandshakeAttacks, name) for name in vars(HandshakeAttacks) if not name.startswith("_")]


class ServerAttacks:
    """Each takes a connection on which the lines before `stage` were said, as a server, and its end."""

    @staticmethod
    def silence(connection, _stage, end):
        time.sleep(max(0, end - time.monotonic()))

    @staticmethod
    def endless_reply(connection, stage, end):
        flood(connection, REPLIES[stage][:3] + b"-more\r\n", end)

    @staticmethod
    def endless_reply_slowly(connection, stage, end):
        flood(connection, REPLIES[stage][:3] + b"-more\r\n", end, 0.01, 1)

    @staticmethod
    def endless_line(connection, _stage, end):
        flood(connection, b"2", end)

    @staticmethod
    def ten_megabytes(connection, stage, _end):
        connection.sendall((REPLIES[stage][:3] + b"-" + b"y" * 70 + b"\r\n") * 133_000 + REPLIES[stage])

    @staticmethod
    def octets_of_all_values(connection, _stage, end):
        flood(connection, random.randbytes(4096), end, 0.01)

    @staticmethod
    def octet_by_octet(connection, stage, end):
        for i in range(len(REPLIES[stage])):
            connection.sendall(REPLIES[stage][i:i + 1])
            time.sleep(0.01)
        ServerAttacks._drain(connection, end)

    @staticmethod
    def says_more_than_asked(connection, stage, end):
        connection.sendall(REPLIES[stage] * 1000)
        ServerAttacks._drain(connection, end)

    @staticmethod
    def half_closed(connection, stage, end):
        connection.sendall(REPLIES[stage])
        with contextlib.suppress(OSError):
            connection.shutdown(socket.SHUT_WR)
        ServerAttacks._drain(connection, end)

    @staticmethod
    def closes(connection, _stage, _end):
        connection.close()

    @staticmethod
    def resets(connection, _stage, _end):
        reset(connection)

    @staticmethod
    def resets_behind_its_line(connection, stage, _end):
        connection.sendall(REPLIES[stage])
        reset(connection)

    @staticmethod
    def _drain(connection, end):
        while time.monotonic() < end and connection.recv(4096):
            pass


SERVER_ATTACKS = [getattr(ServerAttacks, name) for name in vars(ServerAttacks) if not name.startswith("_")]


class Hostile(HostileBase):
    def test_clients_in_clear(self):
        self.start_relay()
        self.attack([(attack, self.relay.port, False) for attack in CLIENT_ATTACKS])

    def test_clients_under_tls(self):
        self.start_relay()
        self.attack([(attack, self.tls_port, True) for attack in CLIENT_ATTACKS])

    def test_clients_that_spoil_the_handshake(self):
        self.start_relay()

        def behind_starttls(attack):
            def play(connection, end):
                read_line(connection)
                connection.sendall(b"EHLO x\r\n")
                read_line(connection)
                connection.sendall(b"STARTTLS\r\n")
                read_line(connection)
                attack(connection, end)
            return play
        self.attack([(attack, self.tls_port, False) for attack in HANDSHAKE_ATTACKS] +
                    [(behind_starttls(attack), self.starttls_port, False) for attack in HANDSHAKE_ATTACKS])

    def attack_as_servers(self, scheme, context):
        servers = [HostileServer(attack, stage, context) for attack in SERVER_ATTACKS for stage in range(len(REPLIES))]
        for server in servers:
            self.addCleanup(server.stop)
        self.start_relay("".join(
            "[[route]]\nrecipient = \"*@h%d.example\"\nto = \"%s://localhost:%d\"\n" % (i, scheme, server.port)
            for i, server in enumerate(servers)))
        body = b"Subject: large\r\n\r\n" + (b"x" * 76 + b"\r\n") * 5000
        for i in range(len(servers)):
            self.relay.submit("a@example.org", ["b@h%d.example" % i], body)
        self.watch(SECONDS)
        self.assertEqual([s.attack.__name__ for s in servers if s.sessions == 0], [])
        for server in servers:
            server.stop()
        self.check_nothing_lost()
        self.relay.kill()

    def test_next_hops_in_clear(self):
        self.attack_as_servers("smtp", None)

    def test_next_hops_under_tls(self):
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(*self.certificate)
        self.attack_as_servers("smtps", context)


if __name__ == "__main__":
    run_tests()
