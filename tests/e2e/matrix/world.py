"""One relay with a listener for each way in and a route for each way out, a sink, and all the servers
of the matrix. Everything has its own folder and free ports."""

import collections
import os
import re
import shutil
import ssl
import tempfile
import threading

import relay as relay_module
from aiosmtpd_hop import Aiosmtpd, server_context
from certificates import Authority, for_the_relay
from clients import Door
from dovecot import Dovecot, Lmtp, Submission
from exim import Exim
from knot import free_port
from postfix import Postfix
from relay import Relay, give_to_daemon
from sinks import Sink

USER, PASSWORD = "printer", "correct-horse"
ALWAYS_TLS = "smtps:// is always TLS."

TLS = ("clear", "starttls", "implicit")
AUTH = ("none", "plain", "login")
LEVELS = ("off", "may", "require", "verify")
EXPIRED_SMTPS = "smtps://, certificate that has expired"

# A way out: over_tls and authenticated are what the next hop must see. `why_not`: why it cannot be.
Way = collections.namedtuple("Way", "hop level auth to over_tls authenticated why_not")


def as_name(text):
    """As part of a domain."""
    return re.sub("[^a-z0-9]+", "-", text.lower()).strip("-")


class Smtps:
    """The same server as another next hop, where TLS begins with the first octet."""
    scheme = "smtps"

    def __init__(self, server, port, login_port):
        self.name = server.name + ", smtps://"
        self.ports = {"none": port, "auth": login_port}
        self.arrived = server.arrived
        self.log = server.log


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
        self.authority = authority
        self.certificate = certificate = authority.issue("server", ["DNS:localhost", "IP:127.0.0.1"])
        self.sink = Sink()
        self._until_the_end(self.sink.__exit__)
        self.arrivals = Arrivals(self.sink)
        self.dovecot = Dovecot(self.folder, certificate, PASSWORD, self.sink.port)
        self._until_the_end(self.dovecot.stop)
        self.dovecot.start()
        self.aiosmtpd = Aiosmtpd(server_context(certificate), USER, PASSWORD)
        self._until_the_end(self.aiosmtpd.stop)
        self.aiosmtpd.start()
        self.odd_hops = self._make_odd_hops()
        for hop in self.odd_hops.values():
            self._until_the_end(hop.stop)
            hop.start(("smtps",) if hop is self.odd_hops.get(EXPIRED_SMTPS) else ("none",))
        self.postfix = Postfix(self.folder, certificate, authority.ca, USER, PASSWORD, self.dovecot.auth_socket)
        self.exim = Exim(cache, self.folder, certificate, USER, PASSWORD)
        self.doors = self._make_doors(authority.ca)
        for server in (self.postfix, self.exim):
            self._until_the_end(server.stop)
            server.start(self.doors)
        self._make_ways()
        self.relay = Relay(to=self.sink.url, listener={"tls": "off"}, sections=self._listeners() + self._routes())
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
        """One for each port: clients of the loopback may send from those without login, and nobody from
        the others but by logging in."""
        text = "[tls]\ncertificate = \"%s\"\nkey = \"%s\"\n[auth]\nusers = \"%s\"\n" % (
            *for_the_relay(self.certificate), self._make_users())
        modes = {"clear": "off", "starttls": "required", "implicit": "implicit"}
        for name, door in self.doors.items():
            if name == "clear-none" or door.auth == "login":
                continue
            text += "[[listener]]\nname = \"%s\"\naddress = [\"127.0.0.1:%d\"]\ntls = \"%s\"\n" % (name, door.port, modes[door.tls])
            text += "rate = \"off\"\nconnections = 1000\n"
            if door.auth != "none":
                text += "auth = \"required\"\nrelay_from = []\n"
                if door.tls == "clear":
                    text += "auth_in_clear = [\"127.0.0.0/8\"]\n"
        return text

    def _make_users(self):
        path = os.path.join(self.folder, "users")
        relay_module.run("user", "add", "--users", path, USER, "--password-stdin", input=PASSWORD + "\n")
        give_to_daemon(path)
        return path

    # The ways out.

    def _make_ways(self):
        """self.ways: {name: Way}, each with mail to *@NAME.example."""
        lmtp = Lmtp(self.dovecot, "Dovecot LMTP", "lmtp://localhost:%d" % self.dovecot.lmtp_port)
        unix = Lmtp(self.dovecot, "Dovecot LMTP, Unix socket", "lmtp+unix:" + self.dovecot.lmtp_socket)
        submission = Submission(self.dovecot, self.arrivals)
        self.hops = [self.postfix, self.exim, self.aiosmtpd, lmtp, unix, submission]
        for server in (self.postfix, self.exim, self.aiosmtpd):
            self.hops.append(Smtps(server, server.ports["smtps"], server.ports["smtps-auth"]))
        self.hops.append(Smtps(submission, None, self.dovecot.submissions_port))
        self.ways = {}
        for hop in self.hops:
            for level in LEVELS:
                for auth in ("none", "login"):
                    self.ways[self.way_name(hop, level, auth)] = self._way(hop, level, auth, unix, lmtp, submission)

    def _make_odd_hops(self):
        """Next hops whose TLS is not as it should be."""
        strangers = os.path.join(self.folder, "strangers")
        os.mkdir(strangers)
        names = ["DNS:localhost", "IP:127.0.0.1"]
        too_old = server_context(self.certificate)
        too_old.minimum_version = too_old.maximum_version = ssl.TLSVersion.TLSv1_1  # neither side's OpenSSL speaks it
        expired = self.authority.issue("expired", names, days=-1)
        contexts = {
            "no STARTTLS": None,
            "certificate for another name": server_context(self.authority.issue("other", ["DNS:other.example"])),
            "certificate by an unknown authority": server_context(Authority(strangers).issue("stranger", names)),
            "certificate that has expired": server_context(expired),
            "handshake fails": too_old,
            EXPIRED_SMTPS: server_context(expired),
            "smtps://, clear text": None,
        }
        return {name: Aiosmtpd(context, USER, PASSWORD) for name, context in contexts.items()}

    @staticmethod
    def odd_name(hop, level):
        return "odd-%s-%s" % (as_name(hop), level)

    @staticmethod
    def way_name(hop, level, auth):
        return "%s-%s-%s" % (as_name(hop.name), level, auth)

    def _way(self, hop, level, auth, unix, lmtp, submission):
        why_not = None
        if hop in (unix, lmtp):
            to = hop.url
            if auth == "login":
                why_not = "Dovecot's LMTP knows no login."
            elif hop is unix and level != "off":
                why_not = "A Unix socket needs no TLS."
        elif hop is submission:
            to = "smtp://localhost:%d" % self.dovecot.submission_port
            if auth == "none":
                why_not = "Dovecot's submission takes no mail without login."
        else:
            port = hop.ports["none" if auth == "none" else "auth"]
            to = "%s://localhost:%s" % (hop.scheme, port)
            if port is None:
                why_not = "Dovecot's submission takes no mail without login."
            elif hop.scheme == "smtps" and level == "off":
                why_not = ALWAYS_TLS
        return Way(hop, level, auth, to, level != "off", auth != "none", why_not)

    def _routes(self):
        secret = os.path.join(self.folder, "secret")
        with open(secret, "w") as file:
            file.write(PASSWORD + "\n")
        os.chmod(secret, 0o600)
        give_to_daemon(secret)
        text = ""
        for name, way in self.ways.items():
            if way.why_not:
                continue
            text += self._route(name, way.to, way.level)
            if way.auth != "none":
                text += "user = \"%s\"\npassword_file = \"%s\"\n" % (USER, secret)
        for name, hop in self.odd_hops.items():
            for level in LEVELS:
                to = "%s://localhost:%d" % ("smtps" if name.startswith("smtps") else "smtp", *hop.ports.values())
                if not to.startswith("smtps") or level != "off":
                    text += self._route(self.odd_name(name, level), to, level)
        return text

    def _route(self, name, to, level):
        text = "[[route]]\nrecipient = \"*@%s.example\"\nto = \"%s\"\ntls = \"%s\"\n" % (name, to, level)
        return text + ("ca_file = \"%s\"\n" % self.authority.ca if level == "verify" else "")

    def failed(self, recipient):
        """The line of the log that says why the relay did not deliver to this recipient, or None."""
        return next((line for line in self.relay.log() if line["message"] in ("deferred", "bounced")
                     and line.get("to") == recipient), None)
