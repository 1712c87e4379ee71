#!/usr/bin/python3
"""Seals of ours, made by the probe (its one argument) over chains of 1 to 10 hops, at dkimpy.

Each chain is also shown to our own validator. Then one octet of the body, of a signed field or of a seal is
changed, and both must notice: a test that cannot fail proves nothing.
"""
import json
import re
import subprocess
import sys
import time

import dkim
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import rsa

HOPS = 10
BODIES = {
    "plain": "Hello,\r\n\r\nthis is a message.\r\n",
    "empty": "",
    "trailing": "blanks at ends \t \r\n\t and lines \r\n\r\n \r\n\r\n",
    "eight bit": "Grüße\r\n.\r\n..\r\n" + "x" * 3000 + "\r\n",
}
HEADERS = {
    "plain": "From: a@example.net\r\nTo: b@example.org\r\nSubject: one\r\nDate: Sun, 22 Nov 2026 12:00:00 +0000\r\n"
             "Message-ID: <1@example.net>\r\n",
    "folded": "Received: from x\r\n\tby y; Sun, 22 Nov 2026 12:00:00 +0000\r\nfrom:  A\r\n\t<a@example.net>\r\n"
              "TO: b@example.org,\r\n c@example.org\r\nSubject:\r\n  two  \t words \r\nMIME-Version: 1.0\r\n",
    "many": "From: a@example.net\r\n" + "DKIM-Signature: v=1; a=rsa-sha256;\r\n\td=example.net; b=AAAA\r\n" * 3
            + "To: " + ",\r\n\t".join(f"user{i}@example.org" for i in range(100)) + "\r\nList-Id: <l.example.org>\r\n",
}
CHANGES = [
    ("the body", lambda text: text + "changed\r\n"),
    ("From", lambda text: re.sub(r"(?im)^(from:\s+(?:A\s+<)?)a@", r"\1m@", text, count=1)),
    ("the results", lambda text: text.replace("i=1; hop1.example; spf=pass", "i=1; hop1.example; spf=none")),
]


def ask(program, area, cases):
    text = "".join(json.dumps(case) + "\n" for case in cases)
    run = subprocess.run([program, area], input=text.encode(), stdout=subprocess.PIPE, check=True, timeout=120)
    return [json.loads(line) for line in run.stdout.decode().splitlines()]


def make_keys():
    """A key and a name for each hop; the records that publish them."""
    hops, records = [], {}
    for number in range(1, HOPS + 1):
        key = rsa.generate_private_key(public_exponent=65537, key_size=1024 if number % 2 else 2048)
        public = key.public_key().public_bytes(serialization.Encoding.PEM, serialization.PublicFormat.SubjectPublicKeyInfo)
        pem = key.private_bytes(serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption())
        domain, selector = f"hop{number}.example", f"s{number}"
        hops.append({"domain": domain, "selector": selector, "key": pem.decode()})
        records[f"{selector}._domainkey.{domain}"] = "v=DKIM1; k=rsa; p=" + "".join(public.decode().split("\n")[1:-2])
    return hops, records


def at_dkimpy(text, records):
    def look_up(name, timeout=5):
        return records.get(name.decode().rstrip("."), "").encode() or None

    status, results, reason = dkim.arc_verify(text.encode(), dnsfunc=look_up)
    all_pass = all(result["ams-valid"] and result["as-valid"] for result in results)
    return (status or b"none").decode(), all_pass, reason


def main():
    program = sys.argv[1]
    hops, records = make_keys()
    messages = {f"{h}, {b}": header + "\r\n" + body for h, header in HEADERS.items() for b, body in BODIES.items()}
    wrong = []
    checked = 0
    for number, hop in enumerate(hops, 1):
        sealed = ask(program, "arc-seal", [
            dict(hop, id=name, message=text, txt=records, now=int(time.time()),
                 results=f"{hop['domain']}; spf=pass smtp.mailfrom=a@example.net;\r\n\tarc={'pass' if number > 1 else 'none'}")
            for name, text in messages.items()])
        for answer in sealed:
            messages[answer["id"]] = answer["fields"] + messages[answer["id"]]
        ours = ask(program, "arc-validate", [dict(id=name, message=text, txt=records) for name, text in messages.items()])
        for answer in ours:
            checked += 1
            status, all_pass, reason = at_dkimpy(messages[answer["id"]], records)
            if (status, all_pass, answer["cv"], answer["oldest_pass"]) != ("pass", True, "pass", 0):
                wrong.append(f"{answer['id']}, {number} hops: dkimpy {status} ({reason}), ours {answer}")
    changed = {f"{what} of {name}": change(text) for what, change in CHANGES for name, text in messages.items()}
    for answer in ask(program, "arc-validate", [dict(id=name, message=text, txt=records) for name, text in changed.items()]):
        checked += 1
        status, _, reason = at_dkimpy(changed[answer["id"]], records)
        if (status, answer["cv"]) != ("fail", "fail"):
            wrong.append(f"{answer['id']} was changed: dkimpy {status} ({reason}), ours {answer}")
    print("\n".join(wrong))
    print(f"{checked - len(wrong)} of {checked}")
    return 1 if wrong else 0


if __name__ == "__main__":
    sys.exit(main())
