"""200 odd messages, signed by a relay with an RSA and an Ed25519 key, verify when they arrive: directly, through Postfix
and through Exim as next hops, at dkimpy and at our own verifier (the probe, second argument). Also who is signed for,
and that a changed message fails."""
import json
import os
import re
import shutil
import subprocess
import sys
import tempfile
import unittest

HERE = os.path.dirname(os.path.abspath(__file__))
sys.path[:0] = [os.path.join(HERE, name) for name in ("support", "matrix", os.path.join("..", "probe", "verifiers"))]
import exim as exim_module  # noqa: E402
import postfix as postfix_module  # noqa: E402
import relay as relay_module  # noqa: E402
from clients import Door  # noqa: E402
from odd_messages import odd_messages  # noqa: E402
from relay import Relay, give_to_daemon, until  # noqa: E402
from sinks import Postfix, Sink  # noqa: E402
from verifiers import Dkimpy  # noqa: E402

relay_module.ROCKDOVE = os.path.abspath(sys.argv.pop(1))
PROBE, CACHE = os.path.abspath(sys.argv.pop(1)), os.path.abspath(sys.argv.pop(1))
DOMAIN = "signed.example"
SELECTORS = {"rsa": "rsa", "ed": "ed25519"}
PATHS = ("direct", "postfix-out", "exim-out")


class Keys:
    """Made by the command itself; the records are read off what it prints."""

    def __init__(self, folder, selectors=SELECTORS, domain=DOMAIN):
        self.records, self.sections, self.paths = {}, "", {}
        for selector, kind in selectors.items():
            path = self.paths[selector] = os.path.join(folder, selector + ".pem")
            text = relay_module.run("dkim", "new", domain, selector, "--type", kind, "--out", path).stdout
            give_to_daemon(path)
            name, record = re.search(r"^(\S+)\. IN TXT (.*)$", text, re.M).groups()
            self.records[name] = "".join(re.findall(r'"([^"]*)"', record))
            self.sections += text[text.index("[[dkim]]"):]


def results_of(messages, records):
    """For each message, {selector: result} of dkimpy's, and of ours."""
    with tempfile.TemporaryDirectory() as folder:
        cases = ""
        for number, raw in enumerate(messages):
            path = os.path.join(folder, str(number))
            with open(path, "wb") as file:
                file.write(raw)
            cases += json.dumps({"id": number, "msg": path, "keys": records}) + "\n"
        done = subprocess.run([PROBE, "dkim-verify", "--root", "/"], input=cases.encode(), capture_output=True, check=True)
    ours = [{one["selector"]: "not the body" if one["result"] == "pass" and not one["covers_body"] else one["result"]
             for one in json.loads(line)["signatures"]} for line in done.stdout.splitlines()]
    dkimpy = Dkimpy(records, "")
    return [(dkimpy.judge_one(raw), own) for raw, own in zip(messages, ours, strict=True)]


class Signing(unittest.TestCase):
    def setUp(self):
        self.folder = tempfile.mkdtemp(prefix="rockdove-sign-")
        os.chmod(self.folder, 0o755)
        self.addCleanup(shutil.rmtree, self.folder, ignore_errors=True)
        self.keys = Keys(self.folder)
        self.sink = self.start(Sink())

    def start(self, thing):
        self.addCleanup(thing.__exit__, None, None, None)
        return thing.__enter__()

    def certificate(self):
        names = [os.path.join(self.folder, "server." + ending) for ending in ("crt", "key")]
        subprocess.run(["openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes", "-days", "30",
                        "-subj", "/CN=localhost", "-out", names[0], "-keyout", names[1]], check=True, capture_output=True)
        os.chmod(names[1], 0o644)
        return names

    def hops(self):
        """Postfix and Exim, which pass all on to the sink; the routes to them."""
        certificate = self.certificate()
        door = Door("localhost", self.sink.port, "clear", "none", "x", "x", certificate[0])
        routes = ""
        for hop, prefix in ((postfix_module.Postfix(self.folder, certificate, certificate[0], "x", "x", "none"), "postfix"),
                            (exim_module.Exim(CACHE, self.folder, certificate, "x", "x"), "exim")):
            self.addCleanup(hop.stop)
            hop.start({"out": door})
            routes += '[[route]]\nrecipient = "%s-out-*@example.org"\nto = "smtp://127.0.0.1:%d"\n' % (prefix, hop.ports["submit"])
        return routes

    def arrived(self, seen, found):
        for envelope, raw in self.sink.messages(skip=seen):
            for path, number in re.findall(r"\b(%s)-(\d+)@" % "|".join(PATHS), json.dumps(envelope)):
                found[path, int(number)] = raw
        return found

    def submit(self, relay, message, recipients, options=("BODY=8BITMIME",)):
        with relay.client() as client:
            client.ehlo()
            self.assertEqual(client.mail("jane@" + DOMAIN, list(options))[0], 250)
            for recipient in recipients:
                self.assertEqual(client.rcpt(recipient)[0], 250)
            code, text = client.data(message)
        self.assertEqual(code, 250, text)

    @unittest.skipUnless(Postfix.is_possible(), "Postfix wants to be started as root")
    def test_odd_messages_verify_when_they_arrive_directly_and_through_others(self):
        routes = self.hops()
        relay = self.start(Relay(to=self.sink.url, sections=self.keys.sections + routes))
        messages = odd_messages()
        for number, message in enumerate(messages):
            self.submit(relay, message.octets, ["%s-%d@example.org" % (path, number) for path in PATHS])
        seen, found = set(), {}
        until(lambda: len(self.arrived(seen, found)) == len(PATHS) * len(messages),
              lambda: "%d of %d messages" % (len(found), len(PATHS) * len(messages)), seconds=240)
        everything = dict.fromkeys(SELECTORS, "pass")
        places = sorted(found)
        judged = results_of([found[place] for place in places], self.keys.records)
        self.assertEqual(["%s, %s: %s" % (path, messages[number].name, results)
                          for (path, number), results in zip(places, judged) if results != (everything, everything)], [])
        changed = found["direct", 0].replace(b"this is a message", b"this was a message")
        for results in results_of([changed], self.keys.records)[0]:
            self.assertEqual(set(results), set(SELECTORS))
            self.assertNotIn("pass", results.values())

    def test_others_are_not_signed_for(self):
        relay = self.start(Relay(to=self.sink.url, sections=self.keys.sections))
        headers = {"direct-1": b"From: jane@signed.example\r\n", "direct-2": b"From: jane@other.example\r\n",
                   "direct-3": b"From: jane@signed.example\r\nFrom: jane@signed.example\r\n", "direct-4": b"From: nobody:;\r\n",
                   "direct-5": b"From: jane@below.signed.example\r\n"}
        for name, header in headers.items():
            self.submit(relay, header + b"Subject: hello\r\n\r\nhello\r\n", [name + "@example.org"])
        seen, found = set(), {}
        until(lambda: len(self.arrived(seen, found)) == len(headers), lambda: str(found))
        signatures = [found["direct", number].lower().count(b"dkim-signature:") for number in range(1, 6)]
        self.assertEqual(signatures, [2, 0, 0, 0, 0])

    def signed_by(self, relay, client, number):
        """The selectors by whose keys a message that this client hands in is signed, and which verify."""
        self.assertEqual(client.sendmail("jane@" + DOMAIN, ["direct-%d@example.org" % number],
                                         b"From: jane@signed.example\r\nSubject: hello\r\n\r\nhello\r\n"), {})
        found = {}
        raw = until(lambda: self.arrived(set(), found).get(("direct", number)), relay.said)
        dkimpy, ours = results_of([raw], self.records)[0]
        self.assertEqual(dkimpy, ours)
        return {selector for selector, result in ours.items() if result == "pass"}

    def test_a_reload_changes_keys_and_one_that_fails_does_not(self):
        relay = self.start(Relay(to=self.sink.url, sections=self.keys.sections))
        after = Keys(self.folder, {"next": "rsa"})
        self.records = {**self.keys.records, **after.records}
        with relay.client() as old, relay.client() as client:
            self.assertEqual(self.signed_by(relay, client, 1), set(SELECTORS))
            with open(relay.configuration) as file:
                text = file.read()
            with open(relay.configuration, "w") as file:
                file.write(text.replace(self.keys.sections, after.sections))
            os.chmod(after.paths["next"], 0o644)
            relay.process.send_signal(1)
            relay.wait_for("not reloaded: all stays as it was")
            self.assertIn("every user of this machine may read", relay.said())
            with relay.client() as fresh:
                self.assertEqual(self.signed_by(relay, fresh, 2), set(SELECTORS))
            os.chmod(after.paths["next"], 0o600)
            relay.process.send_signal(1)
            relay.wait_for("reloaded")
            with relay.client() as fresh:
                self.assertEqual(self.signed_by(relay, fresh, 3), {"next"})
            # Sessions end under the configuration that they began with.
            self.assertEqual(self.signed_by(relay, old, 4), set(SELECTORS))


if __name__ == "__main__":
    unittest.main(verbosity=2)
