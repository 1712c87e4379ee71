#!/usr/bin/python3
"""200 odd messages and some beyond the rules, signed by the probe (its one argument) with four keys and forms each, at
verifiers that others wrote and at our own. Then one octet of each message is changed, and each verifier must notice: a test that cannot fail proves
nothing. A verifier that is not installed is named; with --all that is a failure.
"""
import base64
import json
import os
import subprocess
import sys
import tempfile
import time

from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import ed25519, rsa

HERE = os.path.dirname(os.path.abspath(__file__))
sys.path[:0] = [os.path.join(HERE, "verifiers"), os.path.join(HERE, "..", "e2e", "support")]
import odd_messages  # noqa: E402
import verifiers  # noqa: E402

IDENTITIES = [("rsa", "rsa-sha256", "relaxed/relaxed"), ("ed", "ed25519-sha256", "relaxed/relaxed"),
              ("simple", "rsa-sha256", "simple/simple"), ("mixed", "rsa-sha256", "relaxed/simple")]
DOMAIN = "signed.example"
CHANGED_ON_PURPOSE = 40  # messages, evenly among the 200


def make_keys():
    """The identities for the probe, and the records that publish them."""
    identities, records = [], {}
    raw = (serialization.Encoding.Raw, serialization.PublicFormat.Raw)
    der = (serialization.Encoding.DER, serialization.PublicFormat.SubjectPublicKeyInfo)
    for selector, algorithm, forms in IDENTITIES:
        is_rsa = algorithm.startswith("rsa")
        key = rsa.generate_private_key(public_exponent=65537, key_size=2048) if is_rsa else ed25519.Ed25519PrivateKey.generate()
        pem = key.private_bytes(serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption())
        public = base64.b64encode(key.public_key().public_bytes(*(der if is_rsa else raw))).decode()
        identities.append({"domain": DOMAIN, "selector": selector, "key": pem.decode(), "canonicalization": forms})
        records[f"{selector}._domainkey.{DOMAIN}"] = f"v=DKIM1; k={algorithm.split('-')[0]}; p={public}"
    return identities, records


def ask(program, area, cases):
    text = "".join(json.dumps(case) + "\n" for case in cases)
    run = subprocess.run([program, area, "--root", "/"], input=text.encode(), stdout=subprocess.PIPE, check=True, timeout=600)
    return [json.loads(line) for line in run.stdout.decode().splitlines()]


class Ours(verifiers.Verifier):
    name = "Rockdove"

    def judge(self, paths):
        answers = ask(self.program, "dkim-verify", [dict(id=i, msg=path, keys=self.keys) for i, path in enumerate(paths)])
        return [{one["selector"]: one["result"] if one["covers_body"] else "not the body" for one in answer["signatures"]}
                for answer in answers]


def sign_all(program, messages, identities, folder):
    """Writes each message with its signatures to a file; the paths."""
    paths = []
    for number, message in enumerate(messages):
        paths.append(os.path.join(folder, "%03d.eml" % number))
        with open(paths[-1], "wb") as file:
            file.write(message.octets)
    cases = [dict(id=number, path=path, identities=identities, now=int(time.time())) for number, path in enumerate(paths)]
    for answer, path, message in zip(ask(program, "dkim-sign", cases), paths, messages):
        with open(path, "wb") as file:
            file.write(answer["fields"].encode() + message.octets)
    return paths


def change_some(messages, paths, folder):
    """Copies in which one octet differs, of the body or of From."""
    changed = []
    for number in range(0, len(messages), len(messages) // CHANGED_ON_PURPOSE):
        text = bytearray(open(paths[number], "rb").read())
        at = text.lower().rindex(b"jane@") if number % 2 else len(text)
        if at == len(text):
            text += b"x\r\n"
        else:
            text[at] ^= 1
        changed.append(os.path.join(folder, "changed-%03d.eml" % number))
        with open(changed[-1], "wb") as file:
            file.write(text)
    return changed


def main():
    program = sys.argv[1]
    messages = odd_messages.odd_messages() + odd_messages.beyond_the_rules()
    identities, records = make_keys()
    found, absent = verifiers.all_of_them()
    Ours.program = program
    wrong = []
    with tempfile.TemporaryDirectory() as folder:
        paths = sign_all(program, messages, identities, folder)
        changed = change_some(messages, paths, folder)
        for kind in [Ours, *found]:
            expected = {selector for selector, algorithm, _ in IDENTITIES if algorithm in kind.signs}
            started = time.monotonic()
            with kind(records, folder) as verifier:
                good, bad = verifier.judge(paths), verifier.judge(changed)
            mistakes = []
            for message, result in zip(messages, good):
                wanted = set() if message.doubled and kind.refuses_doubled else expected
                if {selector for selector, word in result.items() if word == "pass"} != wanted:
                    mistakes.append(f"{kind.name}: {message.name}: {result}")
            mistakes += [f"{kind.name}: {os.path.basename(path)}: {result}" for path, result in zip(changed, bad)
                         if "pass" in result.values() or not result]
            if len(good) != len(paths) or len(bad) != len(changed):
                mistakes.append(f"{kind.name}: answers are missing")
            print(f"{kind.name}: {len(messages)} messages with {len(expected)} signatures, {len(changed)} changed ones: "
                  f"{len(mistakes)} wrong, {time.monotonic() - started:.1f} s", flush=True)
            wrong += mistakes
    print("\n".join(wrong))
    if absent:
        print("not installed: " + ", ".join(absent))
    return 1 if wrong or (absent and "--all" in sys.argv) else 0


if __name__ == "__main__":
    sys.exit(main())
