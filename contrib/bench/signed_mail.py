"""Mail that is signed and judged, for the benchmarks: keys, messages that strangers have signed (RFC 6376), the
names that they need in the DNS, and the configuration of a relay that signs or judges."""
import base64
import glob
import hashlib
import json
import os
import re
import subprocess
import sys
import time

import relays

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "..", "tests", "e2e", "support"))
import knot  # noqa: E402

LINE = b"The quick brown fox jumps over the lazy dog and has some time left over.\r\n"
# What a stranger's mail can be put to, and nothing of it.
JUDGING = """
[policy]
spf = "enforce"
dkim = "check"
arc = "check"
dmarc = "enforce"
helo = "enforce"
iprev = "enforce"
[[policy.dnsbl]]
zone = "list.test"
weight = 5
"""
NOT_JUDGING = """
[policy]
spf = "off"
dkim = "off"
arc = "off"
dmarc = "off"
helo = "off"
iprev = "off"
"""


class Key:
    """An RSA-2048 key in a file that only the daemon's user may read."""

    def __init__(self, folder, name):
        self.path = os.path.join(folder, name + ".pem")
        subprocess.run(["openssl", "genpkey", "-algorithm", "RSA", "-pkeyopt", "rsa_keygen_bits:2048", "-out", self.path],
                       check=True, capture_output=True)
        os.chmod(self.path, 0o600)
        relays.give_away(folder)

    def record(self):
        public = subprocess.run(["openssl", "pkey", "-in", self.path, "-pubout", "-outform", "DER"], check=True,
                                capture_output=True).stdout
        return "v=DKIM1; k=rsa; p=" + base64.b64encode(public).decode()

    def sign(self, octets):
        return subprocess.run(["openssl", "dgst", "-sha256", "-sign", self.path], input=octets, check=True,
                              capture_output=True).stdout


def signature(key, domain, selector, fields, body_digest):
    """The DKIM-Signature field, relaxed/relaxed, for `fields`, pairs of name and value; with its CRLF."""
    def relaxed(name, value):
        return name.lower() + ":" + re.sub(r"[ \t]+", " ", value).strip()
    value = (f"v=1; a=rsa-sha256; c=relaxed/relaxed; d={domain}; s={selector}; h={':'.join(name for name, _ in fields)}; "
             f"bh={base64.b64encode(body_digest).decode()}; b=")
    signed = "".join(relaxed(*field) + "\r\n" for field in fields) + relaxed("DKIM-Signature", value)
    return f"DKIM-Signature: {value}{base64.b64encode(key.sign(signed.encode())).decode()}\r\n"


def body_digest(pieces):
    """SHA-256 of a body whose lines hold single spaces only, none at the end, and that ends with a line of
    text: its relaxed form is the body itself (RFC 6376 §3.4.4)."""
    digest = hashlib.sha256()
    for piece in pieces:
        digest.update(piece)
    return digest.digest()


def signed_header(key, domain, number, digest, recipient):
    """The header, with the empty line, of message `number` from a stranger at `domain`."""
    fields = [("From", f"Stranger <a@{domain}>"), ("To", f"<{recipient}>"), ("Subject", f"message {number}"),
              ("Date", "Sat, 01 Jan 2000 00:00:00 +0000"), ("Message-ID", f"<{number}@{domain}>")]
    text = "".join(f"{name}: {value}\r\n" for name, value in fields)
    return (signature(key, domain, "bench", fields, digest) + text + "\r\n").encode()


def strings(text):
    """A TXT record's data as a zone file has it: strings of at most 255 octets."""
    return " ".join('"%s"' % text[at:at + 255] for at in range(0, len(text), 255))


class Strangers:
    """`count` domains in the DNS with SPF, DKIM and DMARC records, whose hosts are 127.0.0.0/8."""

    def __init__(self, folder, count):
        self.domains = [f"d{number}.test" for number in range(count)]
        self.keys, zone = {}, []
        os.makedirs(folder, exist_ok=True)
        for domain in self.domains:
            name = domain.removesuffix(".test")
            key = self.keys[domain] = Key(folder, name)
            zone += [f'{name} TXT "v=spf1 ip4:127.0.0.0/8 -all"', f'_dmarc.{name} TXT "v=DMARC1; p=reject"',
                     f"bench._domainkey.{name} TXT {strings(key.record())}",
                     f"client.{name} A 127.0.0.1", f"client.{name} A 127.0.0.2", f'client.{name} TXT "v=spf1 a -all"']
        self._knot = knot.Knot({"test": zone, "127.in-addr.arpa": ["1.0.0 PTR client.d0.test.", "2.0.0 PTR client.d0.test."]})
        self._knot.__enter__()
        self.dns = f'[dns]\nservers = ["{self._knot.address}"]\n'

    def stop(self):
        self._knot.__exit__(None, None, None)


def inbound(dns, judged):
    """(lines of the listener, sections) of a relay that takes mail of anyone to inside.test, and judges it or not."""
    listener = relays.FREE_LISTENER + 'relay_from = ["127.1.0.0/16"]\n'
    return listener, '[relay]\ndomains = ["inside.test"]\nrecipients = "any"\n' + dns + (JUDGING if judged else NOT_JUDGING)


def signing(key):
    """The sections of a relay that signs what is from bench.test."""
    return f'[[dkim]]\ndomain = "bench.test"\nselector = "bench"\nkey = "{key.path}"\n'


def passed_on(program, port, sink_port, hand_in, folder, seconds=30):
    """The message that comes out at 127.0.0.1:sink_port when hand_in() has put one in."""
    into = os.path.join(folder, "first")
    os.makedirs(into, exist_ok=True)
    sink = subprocess.Popen([program, "sink", "--json", "--listen", f"127.0.0.1:{sink_port}", "--into", into],
                            stdout=subprocess.PIPE, text=True)
    try:
        json.loads(sink.stdout.readline())
        hand_in(port)
        end = time.monotonic() + seconds
        while time.monotonic() < end:
            for envelope in glob.glob(os.path.join(into, "*.json")):
                with open(envelope[:-5] + ".eml", "rb") as message:
                    return message.read()
            time.sleep(0.02)
        raise RuntimeError("the first message does not arrive")
    finally:
        sink.terminate()
        sink.communicate(timeout=30)


def header_of(message):
    """Its header, unfolded."""
    return re.sub(rb"\r?\n[ \t]+", b" ", re.split(rb"\r?\n\r?\n", message, 1)[0]).decode(errors="replace")


def want_signed(message):
    if not re.search(r"(?mi)^DKIM-Signature:.*\bd=bench\.test;", header_of(message)):
        raise RuntimeError("the relay did not sign:\n" + header_of(message))


def want_judged(message):
    results = "".join(re.findall(r"(?mi)^Authentication-Results:.*$", header_of(message)))
    missing = [word for word in ("spf=pass", "dkim=pass", "dmarc=pass", "iprev=pass") if word not in results]
    if missing:
        raise RuntimeError(f"the relay did not find {', '.join(missing)}:\n" + header_of(message))
