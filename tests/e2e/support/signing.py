"""DKIM signatures (RFC 6376) and ARC sets (RFC 8617) as a test wants them, wrong ones included: any tags, any algorithm, any length of key.

    key = Key(2048)
    zone = [key.zone_line("s1._domainkey.good")]
    text = sign(message, "good.example", "s1", key) + message

Relaxed canonicalization only. What is made here shares no code with the relay.
"""

import base64
import hashlib
import re

from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import padding, rsa

HASHES = {"rsa-sha256": (hashes.SHA256(), hashlib.sha256), "rsa-sha1": (hashes.SHA1(), hashlib.sha1)}
SIGNED = ("from", "to", "subject", "date", "message-id")


class Key:
    def __init__(self, bits=2048):
        self.key = rsa.generate_private_key(65537, bits)
        self.pem = self.key.private_bytes(serialization.Encoding.PEM, serialization.PrivateFormat.TraditionalOpenSSL,
                                          serialization.NoEncryption())
        der = self.key.public_key().public_bytes(serialization.Encoding.DER, serialization.PublicFormat.SubjectPublicKeyInfo)
        self.record = "v=DKIM1; k=rsa; p=" + base64.b64encode(der).decode()

    def zone_line(self, name):
        parts = [self.record[i:i + 200] for i in range(0, len(self.record), 200)]
        return "%s TXT %s" % (name, " ".join('"%s"' % part for part in parts))


def split(message):
    """The fields with their CRLF, in order, and the body."""
    header, _, body = message.partition(b"\r\n\r\n")
    return re.findall(rb"[^\r\n]+\r\n(?:[ \t][^\r\n]*\r\n)*", header + b"\r\n"), body


def relaxed_field(field):
    name, _, value = field.partition(b":")
    value = re.sub(rb"[ \t]+", b" ", value.replace(b"\r\n", b"")).strip(b" ")
    return name.strip(b" \t").lower() + b":" + value


def relaxed_body(body):
    lines = [re.sub(rb"[ \t]+", b" ", line).rstrip(b" ") for line in body.split(b"\r\n")]
    while lines and not lines[-1]:
        lines.pop()
    return b"".join(line + b"\r\n" for line in lines)


def folded(octets):
    text = base64.b64encode(octets).decode()
    return "\r\n ".join(text[i:i + 72] for i in range(0, len(text), 72)) + "\r\n"


def signature_field(start, message, key, algorithm, names, tags):
    """A field that begins like this, with its CRLF: a=, c=, the other tags, h=, bh= and b= follow."""
    fields, body = split(message)
    how, digest = HASHES[algorithm]
    body = relaxed_body(body)
    if tags.get("l") is True:
        tags["l"] = len(body)
    if "l" in tags:
        body = body[:tags["l"]]
    more = "".join("%s=%s; " % item for item in tags.items())
    field = "%s a=%s; c=relaxed/relaxed; %sh=%s;\r\n bh=%s;\r\n b=" % (
        start, algorithm, more, ":".join(names), base64.b64encode(digest(body).digest()).decode())
    left = {name: [f for f in fields if relaxed_field(f).startswith(name.encode() + b":")] for name in names}
    text = b""
    for name in names:  # each from the bottom upwards (RFC 6376 §5.4.2)
        if left[name]:
            text += relaxed_field(left[name].pop()) + b"\r\n"
    text += relaxed_field(field.encode())
    return (field + folded(key.key.sign(text, padding.PKCS1v15(), how))).encode()


def sign(message, domain, selector, key, algorithm="rsa-sha256", names=SIGNED, **tags):
    """The DKIM-Signature field for `message`; `tags` are l, t, x and the like. An l of True is what the body has."""
    return signature_field("DKIM-Signature: v=1;", message, key, algorithm, names, {"d": domain, "s": selector, **tags})


def arc_sets(message):
    """The fields of the sets on a message as {instance: {name: field}}."""
    sets = {}
    for field in split(message)[0]:
        name = field.partition(b":")[0].strip().lower()
        if name in (b"arc-authentication-results", b"arc-message-signature", b"arc-seal"):
            instance = int(re.search(rb"[ :;]i=(\d+)", field).group(1))
            sets.setdefault(instance, {})[name] = field
    return sets


def seal(message, domain, selector, key, results, names=SIGNED):
    """The next ARC set for `message`, three fields; `results` is what stands in its ARC-Authentication-Results."""
    sets = arc_sets(message)
    i = len(sets) + 1
    found = ("ARC-Authentication-Results: i=%d; %s\r\n" % (i, results)).encode()
    signature = signature_field("ARC-Message-Signature: i=%d;" % i, message, key, "rsa-sha256", names, {"d": domain, "s": selector})
    begun = "ARC-Seal: i=%d; a=rsa-sha256; d=%s; s=%s; cv=%s;\r\n b=" % (i, domain, selector, "pass" if i > 1 else "none")
    text = b""
    for older in range(1, i):
        for name in (b"arc-authentication-results", b"arc-message-signature", b"arc-seal"):
            text += relaxed_field(sets[older][name]) + b"\r\n"
    text += relaxed_field(found) + b"\r\n" + relaxed_field(signature) + b"\r\n" + relaxed_field(begun.encode())
    b = folded(key.key.sign(text, padding.PKCS1v15(), hashes.SHA256()))
    return begun.encode() + b.encode() + signature + found
