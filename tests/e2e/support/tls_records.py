"""A TLS peer that may say anything at any time: Python's OpenSSL makes an honest handshake, of which the
octets go through our hands, and from then on records are written by hand with its keys (RFC 8446 §5.2 and
§7.1, RFC 5246 §6.2.3.3 with RFC 5288), whatever is in them and in whatever order."""

import hashlib
import hmac
import os
import socket
import ssl
import struct

from cryptography.hazmat.primitives.ciphers.aead import AESGCM, ChaCha20Poly1305

CHANGE_CIPHER_SPEC, ALERT, HANDSHAKE, DATA = 20, 21, 22, 23
HEADER = 5

# Messages of a handshake, for anywhere (RFC 8446 §4, RFC 5246 §7.4.1.1).
HELLO_REQUEST = b"\x00\x00\x00\x00"
KEY_UPDATE, KEY_UPDATE_REQUESTED = b"\x18\x00\x00\x01\x00", b"\x18\x00\x00\x01\x01"


def new_session_ticket(ticket):
    body = struct.pack("!II", 7200, 0) + b"\x01n" + struct.pack("!H", len(ticket)) + ticket + b"\x00\x00"
    return b"\x04" + struct.pack("!I", len(body))[1:] + body


def record(kind, content):
    """In clear."""
    return struct.pack("!BHH", kind, 0x0303, len(content)) + content


def records_in(octets):
    """Whole records, their headers included; what is left of the last one counts as one."""
    while octets:
        end = HEADER + struct.unpack("!H", octets[3:5])[0]
        yield octets[:end]
        octets = octets[end:]


class Records13:
    """The sending side under TLS 1.3."""

    def __init__(self, cipher, secret):
        self._cipher = cipher
        self._hash = "sha384" if cipher.endswith("SHA384") else "sha256"
        self._begin(secret)

    def _expand(self, label, octets):
        # RFC 8446 §7.1 HKDF-Expand-Label; none of these is longer than one block.
        info = struct.pack("!HB", octets, 6 + len(label)) + b"tls13 " + label + b"\x00\x01"
        return hmac.new(self._secret, info, self._hash).digest()[:octets]

    def _begin(self, secret):
        self._secret = secret
        key = self._expand(b"key", 16 if "AES_128" in self._cipher else 32)
        self._aead = (ChaCha20Poly1305 if "CHACHA20" in self._cipher else AESGCM)(key)
        self._iv = int.from_bytes(self._expand(b"iv", 12), "big")
        self._number = 0

    def seal(self, kind, content):
        header = struct.pack("!BHH", DATA, 0x0303, len(content) + 1 + 16)
        nonce = (self._iv ^ self._number).to_bytes(12, "big")
        self._number += 1
        return header + self._aead.encrypt(nonce, content + bytes([kind]), header)

    def update_key(self, message):
        sealed = self.seal(HANDSHAKE, message)
        self._begin(self._expand(b"traffic upd", hashlib.new(self._hash).digest_size))
        return sealed


class Records12:
    """The sending side under TLS 1.2 with AES-GCM."""

    def __init__(self, cipher, master, client_random, server_random, is_server):
        hash_name = "sha384" if cipher.endswith("SHA384") else "sha256"
        octets = 32 if "256" in cipher.split("GCM")[0] else 16
        block, seed, a = b"", b"key expansion" + server_random + client_random, b"key expansion" + server_random + client_random
        while len(block) < 2 * octets + 8:  # RFC 5246 §5, §6.3
            a = hmac.new(master, a, hash_name).digest()
            block += hmac.new(master, a + seed, hash_name).digest()
        place = 1 if is_server else 0
        self._aead = AESGCM(block[place * octets:][:octets])
        self._iv = block[2 * octets + place * 4:][:4]
        self._number = 1  # the handshake's Finished was 0

    def seal(self, kind, content):
        number = struct.pack("!Q", self._number)
        self._number += 1
        sealed = self._aead.encrypt(self._iv + number, content, number + struct.pack("!BHH", kind, 0x0303, len(content)))
        return record(kind, number + sealed)


class Contexts:
    """Of both sides, with the files that their secrets are written to."""

    def __init__(self, folder, certificate):
        self._made = {}
        self._folder = folder
        self._certificate = certificate

    def get(self, is_server, version=ssl.TLSVersion.TLSv1_3, certificate=None):
        certificate = certificate or self._certificate
        key = (is_server, version, certificate)
        if key not in self._made:
            context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER if is_server else ssl.PROTOCOL_TLS_CLIENT)
            context.minimum_version = context.maximum_version = version
            context.set_ciphers("AESGCM")
            context.keylog_filename = os.path.join(self._folder, "keys-%d" % len(self._made))
            if is_server:
                context.num_tickets = 0  # they would be the first records under the keys
                context.load_cert_chain(*certificate)
            else:
                context.check_hostname = False
                context.verify_mode = ssl.CERT_NONE
            self._made[key] = context
        return self._made[key]


class Peer:
    """One connection, which is at the place where the ClientHello comes."""

    def __init__(self, connection, contexts, is_server, behind_starttls):
        self.socket = connection
        self.contexts = contexts
        self.is_server = is_server
        self.behind_starttls = behind_starttls
        self.records = None
        self._incoming, self._outgoing = ssl.MemoryBIO(), ssl.MemoryBIO()
        self._flights = []     # of ours
        self._received = b""
        self._tls = None

    def begin(self, version=ssl.TLSVersion.TLSv1_3, certificate=None):
        self._context = self.contexts.get(self.is_server, version, certificate)
        self._tls = self._context.wrap_bio(self._incoming, self._outgoing, server_side=self.is_server,
                                           server_hostname=None if self.is_server else "localhost")

    def next_flight(self):
        """What we would say next, or None when the handshake is done; reads what comes before it. It is the
        caller's to send."""
        while True:
            is_done = False
            try:
                self._tls.do_handshake()
                is_done = True
            except ssl.SSLWantReadError:
                pass
            flight = self._outgoing.read()
            if flight:
                self._flights.append(flight)
                return flight
            if is_done:
                self.records = self._take_over()
                return None
            self._read()

    def shake(self, send=None, version=ssl.TLSVersion.TLSv1_3, certificate=None):
        """The whole handshake; `send` sends a flight in its own way."""
        self.begin(version, certificate)
        while True:
            flight = self.next_flight()
            if flight is None:
                return
            (send or self.socket.sendall)(flight)

    def hello(self):
        """The first message of ours, without its record's header."""
        return self._flights[0][HEADER:]

    def _read(self):
        octets = self.socket.recv(1 << 16)
        if not octets:
            raise ConnectionError("closed")
        if len(self._received) < 1 << 12:
            self._received += octets
        self._incoming.write(octets)

    def _take_over(self):
        # A record's header, a message's, a version; then 32 octets (RFC 8446 §4.1.2).
        first = {True: self._received, False: self._flights[0]}
        client_random, server_random = (first[self.is_server is side][HEADER + 6:][:32] for side in (True, False))
        cipher = self._tls.cipher()[0]
        if self._tls.version() == "TLSv1.2":
            return Records12(cipher, self._secret("CLIENT_RANDOM", client_random), client_random, server_random, self.is_server)
        label = "%s_TRAFFIC_SECRET_0" % ("SERVER" if self.is_server else "CLIENT")
        return Records13(cipher, self._secret(label, client_random))

    def _secret(self, label, client_random):
        with open(self._context.keylog_filename) as file:
            for line in file:
                words = line.split()
                if words[:2] == [label, client_random.hex()]:
                    return bytes.fromhex(words[2])
        raise AssertionError("OpenSSL has told no " + label)

    # Inside.

    def send(self, kind, content):
        self.socket.sendall(self.records.seal(kind, content))

    def say(self, text):
        self.send(DATA, text)

    def recv(self, octets):
        """Text of the other side, as from a socket."""
        while True:
            try:
                return self._tls.read(octets)
            except ssl.SSLWantReadError:
                self._read()
            except ssl.SSLZeroReturnError:
                return b""

    def half_close(self):
        """FIN, and no close_notify."""
        self.socket.shutdown(socket.SHUT_WR)
