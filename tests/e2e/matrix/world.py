"""One relay with a listener for each way in and a route for each way out, a sink, and all the servers
of the matrix. Everything has its own folder and free ports."""

import os
import shutil
import tempfile
import threading

import letters
from aiosmtpd_hop import Aiosmtpd
from certificates import Authority
from clients import Door
from dovecot import Dovecot, Lmtp, Submission
from exim import Exim
from knot import free_port
from postfix import Postfix
from relay import Relay, until
from sinks import Sink

USER, PASSWORD = "printer", "correct-horse"

TLS = ("clear",)
AUTH = ("none",)
LEVELS = ("off",)


class Arrivals:
    """What has come to a sink, by recipient."""

    def __init__(self, sink):
        self._sink = sink
        self._seen = set()
        self._kept = {}
        self._lock = threading.Lock()

    def get(self, recipient):
        with self._lock:
            if recipient not in self._kept:
                self._look()
            return self._kept.get(recipient)

    def _look(self):
        for envelope, raw in self._sink.messages(skip=self._seen):
            for to in envelope["recipients"]:
                self._kept[to] = raw


class World:
    def __init__(self, cache):
        self.folder = tempfile.mkdtemp(prefix="rockdove-matrix-")
        os.chmod(self.folder, 0o755)
        self._ending = [lambda: shutil.rmtree(self.folder, ignore_errors=True)]
        try:
            self._start(cache)
        except BaseException:
            self.stop()
            raise

    def _until_the_end(self, end):
        self._ending.append(end)

    def stop(self):
        while self._ending:
            self._ending.pop()()

    def _start(self, cache):
        authority = Authority(self.folder)
        certificate = authority.issue("server", ["DNS:localhost", "IP:127.0.0.1"])
        self.sink = Sink()
        self._until_the_end(self.sink.__exit__)
        self.arrivals = Arrivals(self.sink)
        self.dovecot = Dovecot(self.folder, certificate, PASSWORD, self.sink.port)
        self._until_the_end(self.dovecot.stop)
        self.dovecot.start()
        self.aiosmtpd = Aiosmtpd(certificate, USER, PASSWORD)
        self._until_the_end(self.aiosmtpd.stop)
        self.aiosmtpd.start()
        self.postfix = Postfix(self.folder, certificate, authority.ca, USER, PASSWORD, self.dovecot.auth_socket)
        self.exim = Exim(cache, self.folder, certificate, USER, PASSWORD)
        self.doors = self._make_doors(authority.ca)
        for server in (self.postfix, self.exim):
            self._until_the_end(server.stop)
            server.start(self.doors)
        self._make_ways()
        self.relay = Relay(to=self.sink.url, sections=self._listeners() + self._routes())
        self._until_the_end(self.relay.__exit__)
        self.relay.port = self.doors["clear-none"].port
        self.relay.start()

    # The ways in.

    @staticmethod
    def _make_doors(ca):
        doors = {}
        for tls in TLS:
            for auth in AUTH:
                port = doors[tls + "-plain"].port if auth == "login" else free_port()
                doors["%s-%s" % (tls, auth)] = Door("localhost", port, tls, auth, USER, PASSWORD, ca)
        return doors

    def _listeners(self):
        return ""

    # The ways out.

    def _make_ways(self):
        """self.ways: {name: (hop, TLS level, authenticated)}, each with mail to *@NAME.example."""
        self.hops = [self.postfix, self.exim, self.aiosmtpd]
        self.ways = {}
        for hop in self.hops:
            for level in LEVELS:
                for auth in ("none",):
                    self.ways["%s-%s-%s" % (hop.name.lower(), level, auth)] = (hop, level, auth)

    def _routes(self):
        text = ""
        for name, (hop, level, auth) in self.ways.items():
            text += "[[route]]\nrecipient = \"*@%s.example\"\nto = \"%s://localhost:%d\"\n" % (name, hop.scheme, hop.ports[auth])
        return text

    def failed(self, recipient):
        """The line of the log that says why the relay did not deliver to this recipient, or None."""
        return next((line for line in self.relay.log() if line["message"] in ("deferred", "bounced")
                     and line.get("to") == recipient), None)
