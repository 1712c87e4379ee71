"""200 odd messages for signatures: 22 headers by 9 bodies, and two of 10 MB.

    for message in odd_messages():
        message.name, message.octets

All of them are messages by RFC 5322 §3.6. Seven more are not, or not for certain: beyond_the_rules().
"""
import base64
import dataclasses
import random

FROM = b"From: Jane Doe <jane@signed.example>\r\n"
REST = b"To: joe@example.org\r\nDate: Sun, 22 Nov 2026 12:00:00 +0000\r\nMessage-ID: <%d@signed.example>\r\n"


@dataclasses.dataclass
class Message:
    name: str
    octets: bytes
    doubled: bool = False

    @property
    def header(self):
        return self.octets[:self.octets.index(b"\r\n\r\n") + 2]

    @property
    def body(self):
        return self.octets[self.octets.index(b"\r\n\r\n") + 4:]


HEADERS = {
    "plain": FROM + REST + b"Subject: hello\r\n",
    "no Subject": FROM + REST,
    "empty Subject": FROM + REST + b"Subject:\r\n",
    "blank Subject": FROM + REST + b"Subject: \t \r\n",
    "no Date, no Message-ID": FROM + b"To: joe@example.org\r\nSubject: hello\r\n",
    "no To": FROM + b"Subject: hello\r\nDate: Sun, 22 Nov 2026 12:00:00 +0000\r\n",
    "folded": FROM + REST + b"Subject: hello\r\n  there\r\n\tand\r\n there \t \r\n",
    "folded at once": FROM + REST + b"Subject:\r\n hello\r\nReferences:\r\n\t<1@a.example>\r\n\t<2@a.example>\r\n",
    "odd blanks": b"FROM:   Jane \t Doe\t<jane@signed.example>  \r\n" + REST + b"subject:hello  \t\t there   \r\n",
    "odd case": b"fRoM: <JANE@Signed.Example>\r\ntO: Joe@Example.ORG\r\nSUBJECT: HeLLo\r\nmIME-vERSION: 1.0\r\n",
    "resent twice": b"".join(b"Resent-From: r%d@example.net\r\nResent-To: s%d@example.net,\r\n t%d@example.net\r\n"
                             b"Resent-Date: Sun, 22 Nov 2026 12:0%d:00 +0000\r\n" % (i, i, i, i) for i in (2, 1))
                    + FROM + REST + b"Subject: hello\r\n",
    "three Comments": FROM + REST + b"Subject: hello\r\nComments: a\r\nComments: b\r\nComments: c\r\n",
    "100 To": FROM + b"To: " + b",\r\n\t".join(b"user%d@example.org" % i for i in range(100)) + b"\r\nSubject: hello\r\n",
    "100 named To": FROM + b"To: " + b", \r\n    ".join(b"\"User, %d\" (of 100) <user%d@example.org>" % (i, i) for i in range(100))
                    + b"\r\nCc: a group:" + b",".join(b" cc%d@example.org" % i for i in range(30)) + b";\r\nSubject: hello\r\n",
    "several authors": b"From: jane@signed.example, \"Joe, too\" <joe@signed.example>\r\nSender: jane@signed.example\r\n"
                       + REST + b"Subject: hello\r\n",
    "quoted": b"From: \"Doe; Jane: b=x\" (a \\) comment) <jane@signed.example>\r\n" + REST + b"Subject: a; b=c; d=e\r\n",
    "encoded words": b"From: =?utf-8?q?J=C3=A4ne?= <jane@signed.example>\r\n" + REST
                     + b"Subject: =?utf-8?b?R3LDvMOfZQ==?=\r\n =?iso-8859-1?q?und_mehr_=E4?=\r\n",
    "8-bit": FROM + REST + "Subject: Grüße und 日本語\r\nMIME-Version: 1.0\r\nContent-Type: text/plain; charset=utf-8\r\n"
             "Content-Transfer-Encoding: 8bit\r\n".encode(),
    "MIME": FROM + REST + b"Subject: hello\r\nMIME-Version: 1.0\r\nContent-Type: multipart/mixed;\r\n\tboundary=\"=_b\"\r\n",
    "a list": FROM + REST + b"Subject: [l] hello\r\nList-Id: <l.example.org>\r\nList-Unsubscribe: <mailto:u@example.org>,\r\n"
              b" <https://example.org/u>\r\nList-Unsubscribe-Post: List-Unsubscribe=One-Click\r\nPrecedence: list\r\n",
    "on its way": b"Received: from a.example by b.example;\r\n\tSun, 22 Nov 2026 12:00:00 +0000\r\n"
                  b"Resent-From: x@example.net\r\nResent-To: y@example.net\r\n" + FROM + REST + b"Subject: hello\r\n",
    "long lines": FROM + REST + b"Subject: " + b"x" * 980 + b"\r\nReply-To: " + b"y" * 60 + b"@example.org\r\nX-L: "
                  + b"z" * 900 + b"\r\n",
}

BODIES = {
    "plain": b"Hello,\r\n\r\nthis is a message.\r\n",
    "empty": b"",
    "one empty line": b"\r\n",
    "trailing blank lines": b"Hello\r\n\r\n\r\n \r\n\t\r\n\r\n\r\n",
    "odd blanks": b"  blanks \t in   front\r\nand behind \t \r\n\t\tand  between   \r\n   \r\nend\r\n",
    "8-bit": "Grüße und 日本語\r\n".encode() * 3 + b"\xff\xfe latin\xe4\r\n",
    "dots": b".\r\n..\r\n.a\r\n...\r\nmid.\r\n.\r\n",
    "long lines": b"x" * 998 + b"\r\n" + b"y " * 499 + b"\r\n" + b"." + b"z" * 997 + b"\r\n",
    "mixture": b"-- \r\n" + bytes(range(32, 127)) * 5 + b"\r\nFrom here\r\n>From there\r\nb=abc; bh=x\r\n=3D=\r\n" * 20,
}


def large(kind):
    chance = random.Random(kind)
    if kind == "text":
        words = [b"lorem", b"ipsum  dolor", b"sit\tamet ", b".", b"consectetur", b"", b"   "]
        lines = [b" ".join(chance.choices(words, k=chance.randrange(12))) for _ in range(320_000)]
        return (b"\r\n".join(lines) + b"\r\n")[:10_000_000] + b"\r\n\r\n"
    return base64.encodebytes(chance.randbytes(7_400_000)).replace(b"\n", b"\r\n")


def odd_messages():
    messages = []
    for header_name, header in HEADERS.items():
        for body_name, body in BODIES.items():
            number = len(messages)
            named = header.replace(b"<%d@", b"<%d@" % number)
            messages.append(Message(f"{header_name}, {body_name}", named + b"\r\n" + body))
    for kind in ("text", "base64"):
        number = len(messages)
        header = HEADERS["plain"].replace(b"<%d@", b"<%d@" % number)
        messages.append(Message(f"10 MB of {kind}", header + b"\r\n" + large(kind)))
    return messages


def beyond_the_rules():
    """Lines that no server need pass on as they are (RFC 5321 §4.5.3.1.6), and fields that may stand there once and
    do several times (`doubled`)."""
    messages = [Message(f"a line of {octets}", HEADERS["plain"].replace(b"<%d@", b"<l%d@" % octets) + b"\r\n" + b"x" * octets
                        + b" \r\n") for octets in (999, 1025, 4097, 65_537, 1_000_000)]
    for name, header in {"two Subjects": REST + b"Subject: one\r\nSubject: two\r\n",
                         "100 times To": b"".join(b"To: user%d@example.org\r\n" % i for i in range(100))}.items():
        messages.append(Message(name, FROM + header.replace(b"<%d@", b"<d@") + b"\r\n" + BODIES["plain"], doubled=True))
    return messages
