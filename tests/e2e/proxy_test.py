"""haproxy in front of a relay: the client's own address decides, with both versions of the PROXY protocol."""

import os
import shutil
import socket
import ssl
import subprocess
import sys
import tempfile
import unittest

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "support"))
from knot import free_port  # noqa: E402
from main import run_tests  # noqa: E402
from relay import WAIT_SECONDS, Conversation, Relay, until  # noqa: E402

PROXY = "127.0.0.9"      # haproxy's address towards the relay
FRIEND = "127.0.0.2"     # may relay
STRANGER = "127.0.0.3"

CONFIGURATION = """
global
    log stderr local0
defaults
    mode tcp
    timeout connect 10s
    timeout client 60s
    timeout server 60s
frontend one
    bind 127.0.0.1:{one}
    default_backend relay_one
backend relay_one
    source {proxy}
    server relay 127.0.0.1:{port} send-proxy
frontend two
    bind 127.0.0.1:{two}
    default_backend relay_two
backend relay_two
    source {proxy}
    server relay 127.0.0.1:{port} send-proxy-v2 check inter 100ms check-send-proxy
frontend implicit
    bind 127.0.0.1:{implicit}
    default_backend relay_implicit
backend relay_implicit
    source {proxy}
    server relay 127.0.0.1:{tls_port} send-proxy-v2
"""


class Haproxy:
    def __init__(self, relay, tls_port):
        self.folder = tempfile.mkdtemp(prefix="rockdove-haproxy-")
        self.ports = {name: free_port() for name in ("one", "two", "implicit")}
        path = os.path.join(self.folder, "haproxy.cfg")
        with open(path, "w") as file:
            file.write(CONFIGURATION.format(proxy=PROXY, port=relay.port, tls_port=tls_port, **self.ports))
        with open(os.path.join(self.folder, "log"), "wb") as log:
            self.process = subprocess.Popen(["/usr/sbin/haproxy", "-db", "-f", path], stdin=subprocess.DEVNULL, stdout=log,
                                            stderr=log)

    def __enter__(self):
        def listens():
            assert self.process.poll() is None, open(os.path.join(self.folder, "log")).read()
            try:
                socket.create_connection(("127.0.0.1", self.ports["one"])).close()
                return True
            except ConnectionRefusedError:
                return False
        until(listens, "haproxy")
        return self

    def __exit__(self, *_):
        self.process.terminate()
        self.process.wait(60)
        shutil.rmtree(self.folder, ignore_errors=True)


class Proxy(unittest.TestCase):
    def start(self, thing):
        self.addCleanup(thing.__exit__, None, None, None)
        return thing.__enter__()

    def start_relay(self):
        self.tls_port = free_port()
        listener = {"relay_from": [FRIEND + "/32"], "proxy_from": [PROXY + "/32"]}
        return self.start(Relay(to="discard:", listener=listener, sections="""[[listener]]
name = "implicit"
address = ["127.0.0.1:%d"]
tls = "implicit"
relay_from = ["%s/32"]
proxy_from = ["%s/32"]
""" % (self.tls_port, FRIEND, PROXY)))

    def test_the_clients_address_decides_and_is_logged(self):
        relay = self.start_relay()
        haproxy = self.start(Haproxy(relay, self.tls_port))
        for version in ("one", "two"):
            for source, code in ((FRIEND, 250), (STRANGER, 550)):
                with self.subTest(version, source=source), \
                        Conversation(("127.0.0.1", haproxy.ports[version]), source) as client:
                    client.hello()
                    self.assertEqual(client.ask("MAIL FROM:<s@a.example>")[0], 250)
                    self.assertEqual(client.ask("RCPT TO:<r@b.example>")[0], code)
                    if code == 250:
                        self.assertEqual(client.ask("DATA")[0], 354)
                        self.assertEqual(client.ask("Subject: x\r\n\r\nhello\r\n.")[0], 250)
        self.assertEqual({line["client"] for line in relay.log("accepted")}, {FRIEND})
        self.assertEqual({line["client"] for line in relay.log("rejected", what="recipient")}, {STRANGER})

    def test_the_header_stands_before_an_implicit_handshake(self):
        relay = self.start_relay()
        haproxy = self.start(Haproxy(relay, self.tls_port))
        context = ssl.create_default_context()
        context.check_hostname = False
        context.verify_mode = ssl.CERT_NONE
        plain = socket.create_connection(("127.0.0.1", haproxy.ports["implicit"]), WAIT_SECONDS, (FRIEND, 0))
        with context.wrap_socket(plain) as client:
            file = client.makefile("rb")
            self.assertTrue(file.readline().startswith(b"220 "))
            client.sendall(b"HELO client.example\r\nMAIL FROM:<s@a.example>\r\nRCPT TO:<r@b.example>\r\nQUIT\r\n")
            self.assertEqual([line[:3] for line in file], [b"250", b"250", b"250", b"221"])
        # Header and first flight in one segment, as by a proxy that waits for data.
        incoming, outgoing = ssl.MemoryBIO(), ssl.MemoryBIO()
        tls = context.wrap_bio(incoming, outgoing)
        with self.assertRaises(ssl.SSLWantReadError):
            tls.do_handshake()
        with socket.create_connection(("127.0.0.1", self.tls_port), WAIT_SECONDS, (PROXY, 0)) as raw:
            raw.sendall(b"PROXY TCP4 %s 127.0.0.1 4711 465\r\n" % FRIEND.encode() + outgoing.read())
            while True:
                try:
                    tls.do_handshake()
                    break
                except ssl.SSLWantReadError:
                    raw.sendall(outgoing.read())
                    octets = raw.recv(65536)
                    self.assertTrue(octets, relay.said())
                    incoming.write(octets)
        self.assertIsNotNone(tls.version())

    def test_a_proxy_must_say_who_speaks_and_others_are_not_believed(self):
        relay = self.start_relay()
        with relay.conversation(PROXY) as silent, relay.conversation(PROXY) as talker:
            talker.send("EHLO client.example\r\n")
            self.assertTrue(talker.is_closed())
            self.assertTrue(silent.is_closed())
        reasons = {line["reason"] for line in relay.wait_for("rejected", 2, what="proxy", client=PROXY)}
        self.assertEqual(reasons, {"there is no PROXY header", "there was no PROXY header in time"})
        with relay.conversation(STRANGER) as liar:
            self.assertEqual(liar.reply()[0], 220)
            self.assertEqual(liar.ask("PROXY TCP4 %s 127.0.0.1 4711 25" % FRIEND)[0], 500)
            self.assertEqual(liar.ask("EHLO client.example")[0], 250)
            self.assertEqual(liar.ask("MAIL FROM:<s@a.example>")[0], 250)
            self.assertEqual(liar.ask("RCPT TO:<r@b.example>")[0], 550)


if __name__ == "__main__":
    run_tests()
