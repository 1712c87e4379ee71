"""A DNS server for tests that counts what it is asked, and that may be silent: on 127.0.0.1, a free port, over
UDP and TCP, with python3-dnspython.

    def answer(name, kind):            # "mail.example.org", "A"; both as text, the name in lower case
        return [("mail.example.org", "A", "192.0.2.1")]

    with CountingDns(answer) as dns:
        ... dns.address, dns.questions("example.org")

answer() gives the records of the answer section as a recursive server would, chains of CNAME included; [] is
NODATA, NO_SUCH_NAME is NXDOMAIN, SILENCE is no answer at all. Answers over 1232 octets are truncated over UDP.

A question is counted once for each query id: what comes again with the same id, name and type, over UDP or TCP,
is a retransmission, and counted as that.
"""

import contextlib
import socket
import struct
import threading
import time

import dns.exception
import dns.flags
import dns.message
import dns.rcode
import dns.rdatatype
import dns.rrset
from knot import free_port

SILENCE = object()
NO_SUCH_NAME = object()
UDP_OCTETS_MAX = 1232


class CountingDns:
    def __init__(self, answer, ttl=300):
        self._answer, self._ttl = answer, ttl
        self._lock = threading.Lock()
        self._asked = {}  # (id, name, type): [when, ...]
        self._over = False

    def __enter__(self):
        for _ in range(10):
            self.port = free_port()
            self._udp = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
            self._tcp = socket.socket(socket.AF_INET, socket.SOCK_STREAM)
            self._tcp.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            try:
                self._udp.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4 << 20)
                self._udp.bind(("127.0.0.1", self.port))
                self._tcp.bind(("127.0.0.1", self.port))
                break
            except OSError:
                self._udp.close()
                self._tcp.close()
        else:
            raise RuntimeError("no free port on 127.0.0.1")
        self._tcp.listen(100)
        self._threads = [threading.Thread(target=work, daemon=True) for work in (self._serve_udp, self._serve_tcp)]
        for thread in self._threads:
            thread.start()
        return self

    def __exit__(self, *_):
        self._over = True
        with contextlib.suppress(OSError):
            self._tcp.shutdown(socket.SHUT_RDWR)
        with contextlib.suppress(OSError):
            self._udp.sendto(b"", ("127.0.0.1", self.port))
        for thread in self._threads:
            thread.join(10)
        self._tcp.close()
        self._udp.close()

    @property
    def address(self):
        return "127.0.0.1:%d" % self.port

    # What was asked.

    def questions(self, below):
        """[(name, type)] of all questions for names at and below this one, or that `below`, a function, likes, in the
        order of their coming."""
        likes = below if callable(below) else lambda name: name == below or name.endswith("." + below)
        with self._lock:
            found = [(when[0], name, kind) for (_, name, kind), when in self._asked.items() if likes(name)]
        return [(name, kind) for _, name, kind in sorted(found)]

    def retransmissions(self, below):
        likes = below if callable(below) else lambda name: name == below or name.endswith("." + below)
        with self._lock:
            return sum(len(when) - 1 for (_, name, _), when in self._asked.items() if likes(name))

    # Answering.

    def _serve_udp(self):
        while not self._over:
            query, peer = self._udp.recvfrom(4096)
            reply = self._reply(query, UDP_OCTETS_MAX) if query else None
            if reply:
                self._udp.sendto(reply, peer)

    def _serve_tcp(self):
        while not self._over:
            try:
                connection, _ = self._tcp.accept()
            except OSError:
                return
            threading.Thread(target=self._serve_connection, args=(connection,), daemon=True).start()

    def _serve_connection(self, connection):
        with connection, contextlib.suppress(OSError, struct.error):
            stream = connection.makefile("rb")
            while True:
                (octets,) = struct.unpack(">H", stream.read(2))
                reply = self._reply(stream.read(octets), 65535)
                if reply:
                    connection.sendall(struct.pack(">H", len(reply)) + reply)

    def _reply(self, octets, octets_max):
        try:
            query = dns.message.from_wire(octets)
        except dns.exception.DNSException:
            return None
        if not query.question:
            return None
        question = query.question[0]
        name = question.name.to_text(omit_final_dot=True).lower()
        kind = dns.rdatatype.to_text(question.rdtype)
        with self._lock:
            self._asked.setdefault((query.id, name, kind), []).append(time.monotonic())
        records = self._answer(name, kind)
        if records is SILENCE:
            return None
        reply = dns.message.make_response(query, recursion_available=True, our_payload=UDP_OCTETS_MAX)
        if records is NO_SUCH_NAME:
            reply.set_rcode(dns.rcode.NXDOMAIN)
            records = []
        for owner, of_kind, data in records:
            rrset = dns.rrset.from_text(owner + ".", self._ttl, "IN", of_kind, data)
            same = [known for known in reply.answer if known.name == rrset.name and known.rdtype == rrset.rdtype]
            if same:
                same[0].union_update(rrset)
            else:
                reply.answer.append(rrset)
        try:
            return reply.to_wire(max_size=octets_max)
        except dns.exception.TooBig:
            reply.answer = []
            reply.flags |= dns.flags.TC
            return reply.to_wire(max_size=octets_max)


def strings(text):
    """A TXT record's data: strings of at most 255 octets."""
    return " ".join('"%s"' % text[at:at + 255] for at in range(0, len(text), 255)) or '""'
