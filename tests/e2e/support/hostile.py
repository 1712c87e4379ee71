"""What tests of hostile peers share: a relay that is watched while they are at it, hostile servers, and
small words."""

import contextlib
import os
import socket
import ssl
import struct
import tempfile
import threading
import time
import unittest

from certificates import Authority, for_the_relay
from knot import free_port
from relay import Relay, until
from sinks import Sink

SECONDS = 7               # of each round
GROWTH_MAX = 192 << 20    # octets of memory; the address sanitizer's quarantine and redzones count, too
HEALTHY_MAX = 15          # seconds for an ordinary message, on a machine that is busy with all this
LINE = 5                  # seconds of silence after which an attack ends

DIALOGUE = (b"EHLO hostile.example\r\n", b"MAIL FROM:<x@hostile.example>\r\n", b"RCPT TO:<b@sink.example>\r\n", b"DATA\r\n",
            b"Subject: hostile\r\n\r\nx\r\n.\r\n")
REPLIES = (b"220 hostile.example\r\n", b"250 hostile.example\r\n", b"250 ok\r\n", b"250 ok\r\n", b"354 go ahead\r\n",
           b"451 4.3.0 not today\r\n")


def reset(connection):
    connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    connection.close()


def read_line(connection):
    """Until a line ends that no other one of the same reply follows; b"" at the end."""
    text = b""
    while True:
        octet = connection.recv(1)
        if not octet:
            return b""
        text += octet
        if text.endswith(b"\n"):
            last = text[:-1].rsplit(b"\n", 1)[-1]
            if last[3:4] != b"-":
                return text


def flood(connection, text, until_time, pause=0.0, at_once=1 << 16):
    text = text * max(1, at_once // len(text))
    while time.monotonic() < until_time:
        connection.sendall(text)
        if pause:
            time.sleep(pause)


class HostileServer:
    """Listens for one attack at one stage, until it is stopped."""

    def __init__(self, attack, stage, context):
        self.attack, self.stage, self.context = attack, stage, context
        self.listener = socket.create_server(("127.0.0.1", 0))
        self.port = self.listener.getsockname()[1]
        self.sessions = 0
        threading.Thread(target=self._listen, daemon=True).start()

    def stop(self):
        with contextlib.suppress(OSError):
            self.listener.shutdown(socket.SHUT_RDWR)
        self.listener.close()

    def _listen(self):
        with contextlib.suppress(OSError):
            while True:
                connection, _ = self.listener.accept()
                self.sessions += 1
                threading.Thread(target=self._serve, args=(connection,), daemon=True).start()

    def _serve(self, connection):
        with contextlib.suppress(OSError, ValueError):
            connection.settimeout(SECONDS + LINE)
            if self.context:
                connection = self.context.wrap_socket(connection, server_side=True)
            for stage in range(self.stage):
                connection.sendall(REPLIES[stage])
                self._read(connection, b"\r\n.\r\n" if stage == 4 else b"\r\n")
            self.attack(connection, self.stage, time.monotonic() + SECONDS)
            connection.close()

    @staticmethod
    def _read(connection, end):
        text = b""
        while not text.endswith(end):
            octets = connection.recv(4096)
            if not octets:
                raise ConnectionError("closed")
            text = (text + octets)[-16:]


def resident(process):
    with open("/proc/%d/status" % process.pid) as file:
        return next(int(line.split()[1]) * 1024 for line in file if line.startswith("VmRSS:"))


class HostileBase(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        folder = tempfile.TemporaryDirectory(prefix="rockdove-hostile-")
        cls.addClassCleanup(folder.cleanup)
        cls.folder = folder.name
        os.chmod(folder.name, 0o755)
        cls.authority = Authority(folder.name)
        cls.certificate = cls.authority.issue("server", ["DNS:localhost", "IP:127.0.0.1"])
        cls.context = ssl.create_default_context(cafile=cls.authority.ca)
        os.environ["ASAN_OPTIONS"] = os.environ.get("ASAN_OPTIONS", "") + ":quarantine_size_mb=16"

    def start(self, thing):
        self.addCleanup(thing.__exit__, None, None, None)
        return thing.__enter__()

    def start_relay(self, routes=""):
        self.sink = self.start(Sink())
        self.tls_port, self.starttls_port = free_port(), free_port()
        sections = "[tls]\ncertificate = \"%s\"\nkey = \"%s\"\n" % for_the_relay(self.certificate)
        for port, mode in ((self.tls_port, "implicit"), (self.starttls_port, "required")):
            sections += ("[[listener]]\nname = \"%s\"\naddress = [\"127.0.0.1:%d\"]\ntls = \"%s\"\nrate = \"off\"\n"
                         "connections = 1000\n" % (mode, port, mode))
        self.relay = self.start(Relay(to=self.sink.url, sections=sections + routes, retry=["1s", "5s"]))
        self.relay.submit("a@example.org", ["warm@sink.example"])
        self.sink.wait()
        self.before = resident(self.relay.process)
        self.peak = self.before

    def watch(self, seconds):
        """Ordinary mail meanwhile, and the process's memory."""
        end = time.monotonic() + seconds
        number = 0
        while time.monotonic() < end:
            started = time.monotonic()
            number += 1
            recipient = "healthy%d@sink.example" % number
            self.relay.submit("a@example.org", [recipient])
            until(lambda: self.relay.log("delivered", to=recipient), "mail to " + recipient)
            self.assertLess(time.monotonic() - started, HEALTHY_MAX)
            self.assertIsNone(self.relay.process.poll(), self.relay.said())
            self.peak = max(self.peak, resident(self.relay.process))
            time.sleep(0.3)
        self.assertLess(self.peak - self.before, GROWTH_MAX)

    def check_nothing_lost(self):
        """Each recipient that was accepted was delivered to, or waits in the queue."""
        self.assertIsNone(self.relay.process.poll(), self.relay.said())
        accepted = {line["id"] for line in self.relay.log("accepted")}
        ended = {line["id"].rpartition("-")[0] for line in self.relay.log("delivered")}
        waiting = {entry["queue_id"] for entry in self.relay.queue("list")}
        self.assertEqual(accepted - ended - waiting, set())

    def run_client(self, attack, port, tls, wrong):
        end = time.monotonic() + SECONDS
        while time.monotonic() < end:
            try:
                with socket.create_connection(("127.0.0.1", port), 10) as connection:
                    connection.settimeout(LINE)
                    if tls:
                        with self.context.wrap_socket(connection, server_hostname="localhost") as wrapped:
                            attack(wrapped, end)
                    else:
                        attack(connection, end)
            except OSError:
                pass  # it was thrown out
            except AssertionError as error:
                wrong.append("%s: %s" % (attack.__name__, error))
            time.sleep(0.05)

    def attack(self, attacks):
        wrong = []
        threads = [threading.Thread(target=self.run_client, args=(*one, wrong), daemon=True) for one in attacks]
        for thread in threads:
            thread.start()
        self.watch(SECONDS)
        for thread in threads:
            thread.join(SECONDS + 3 * LINE)
        self.assertEqual(wrong, [])
        self.check_nothing_lost()
        self.relay.stop()
