"""The messages of the matrix: ordinary ones and odd ones, as octets with CRLF, and how they look on the
wire."""

import collections

HEADER = (b"From: a@client.example\r\nTo: b@example.net\r\nDate: Sat, 21 Nov 2026 10:00:00 +0000\r\n"
          b"Message-ID: <%s@client.example>\r\nSubject: matrix\r\n")
MIME = b"MIME-Version: 1.0\r\nContent-Type: text/plain; charset=utf-8\r\nContent-Transfer-Encoding: 8bit\r\n"

# `text` is what a client that composes by itself is given; None: only raw messages can be so.
# `ends` False: without CRLF at the end, which SMTP then adds (RFC 5321 §4.1.1.4).
Letter = collections.namedtuple("Letter", "name raw text recipients")


def _letter(name, body, text=True, recipients=1):
    ident = name.replace(" ", "-").encode()
    return Letter(name, HEADER % ident + MIME + b"\r\n" + body, body if text else None, recipients)


_DOTS = b".\r\n..\r\n.a\r\na.\r\n\r\n.\r\n...\r\nend\r\n"
_LONG = b"x" * 998 + b"\r\n" + b"y" * 997 + b"\r\n"
_UTF8 = "Grüße, señor — 日本語\r\n".encode()

MIXED = _letter("mixed", _DOTS + _LONG + _UTF8)
DOTS = _letter("dots", _DOTS)
LONG = _letter("long lines", _LONG)
EIGHT_BIT = _letter("8-bit", bytes(range(128, 256)) + b"\r\n\xff\xfe\xfd\r\n" + _UTF8, text=False)
UTF8 = _letter("UTF-8 text", _UTF8)
NO_END = _letter("no final CRLF", b"first\r\nlast", text=False)
NOTHING = Letter("0 octets", b"", None, 1)
ONLY_HEADER = Letter("only a header", HEADER % b"header", None, 1)
NUL = _letter("NUL", b"a\0b\r\n", text=False)
HUNDRED = _letter("100 recipients", b"hundred\r\n", recipients=100)

ODD = (DOTS, LONG, EIGHT_BIT, UTF8, NO_END, NOTHING, ONLY_HEADER, NUL, HUNDRED)


def on_the_wire(raw):
    """What goes between the answer 354 and the answer to the content (RFC 5321 §4.5.2)."""
    stuffed = raw.replace(b"\r\n.", b"\r\n..")
    if stuffed.startswith(b"."):
        stuffed = b"." + stuffed
    if stuffed and not stuffed.endswith(b"\r\n"):
        stuffed += b"\r\n"
    return stuffed + b".\r\n"


def with_end(raw):
    """As it arrives: with CRLF at its end."""
    return raw if not raw or raw.endswith(b"\r\n") else raw + b"\r\n"


TRACE = (b"received", b"return-path", b"delivered-to", b"envelope-to", b"date", b"message-id")


def behind_trace(message, wanted):
    """What is left of `message` once the fields are gone that relays put on top of one that began
    like `wanted`."""
    while message and not message.startswith(wanted[:40] or b"\0"):
        name = message.partition(b":")[0].lower()
        if name not in TRACE:
            break
        end = message.find(b"\r\n")
        while end >= 0 and message[end + 2:end + 3] in (b" ", b"\t"):
            end = message.find(b"\r\n", end + 2)
        if end < 0:
            return b""
        message = message[end + 2:]
    return message


def difference(message, letter):
    """None when what arrived is what was sent, else what is wrong, in words."""
    wanted = with_end(letter.raw)
    got = behind_trace(message, wanted)
    if got == wanted:
        return None
    # A message without an empty line behind its header may get one; one of no octets gets a header
    # from each server on its way.
    if letter is ONLY_HEADER and got == wanted + b"\r\n" or letter is NOTHING and message.endswith(b"\r\n\r\n"):
        return None
    at = next((i for i, (a, b) in enumerate(zip(got, wanted)) if a != b), min(len(got), len(wanted)))
    return "%d octets instead of %d; from octet %d on %r instead of %r" % (
        len(got), len(wanted), at, got[at:at + 60], wanted[at:at + 60])
