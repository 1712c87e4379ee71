"""`rockdove send` under TLS and with a login, towards listeners of a relay: STARTTLS, from the first octet, and
none; what it refuses to do, and that no password is ever shown."""

import base64
import json
import os
import subprocess
import sys
import tempfile
import unittest

HERE = os.path.dirname(os.path.abspath(__file__))
sys.path.insert(0, os.path.join(HERE, "support"))
sys.path.insert(0, os.path.join(HERE, "matrix"))
from certificates import Authority, for_the_relay  # noqa: E402
from knot import free_port  # noqa: E402
from main import run_tests  # noqa: E402
import relay as relay_module  # noqa: E402
from relay import Relay, give_to_daemon, run  # noqa: E402

USER, PASSWORD = "printer", "correct-horse"
MODES = {"clear": "tls = \"off\"", "starttls": "tls = \"required\"", "implicit": "tls = \"implicit\""}


class SendTls(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        folder = tempfile.TemporaryDirectory(prefix="rockdove-send-")
        cls.addClassCleanup(folder.cleanup)
        os.chmod(folder.name, 0o755)
        authority = Authority(folder.name)
        cls.ca = authority.ca
        cls.secret, cls.wrong_secret = (cls.write(folder.name, *file) for file in (("secret", PASSWORD), ("wrong", "wrong-horse")))
        users = os.path.join(folder.name, "users")
        run("user", "add", "--users", users, USER, "--password-stdin", input=PASSWORD + "\n")
        give_to_daemon(users)
        sections = "[tls]\ncertificate = \"%s\"\nkey = \"%s\"\n[auth]\nusers = \"%s\"\n" % (
            *for_the_relay(authority.issue("server", ["DNS:localhost"])), users)
        cls.ports = {}
        for mode, keys in MODES.items():
            for auth in ("", "-auth"):
                cls.ports[mode + auth] = free_port()
                sections += "[[listener]]\nname = \"%s\"\naddress = [\"127.0.0.1:%d\"]\nrate = \"off\"\n%s\n" % (
                    mode + auth, cls.ports[mode + auth], keys)
                if auth:
                    sections += "auth = \"required\"\nrelay_from = []\nauth_in_clear = [\"127.0.0.0/8\"]\n"
        cls.relay = Relay(to="discard:", sections=sections)
        cls.addClassCleanup(cls.relay.__exit__)
        cls.relay.start()

    @staticmethod
    def write(folder, name, text):
        path = os.path.join(folder, name)
        with open(path, "w") as file:
            file.write(text + "\n")
        return path

    def send(self, listener, *options, expect=0, host="localhost", scheme="", to="b@example.net"):
        """(what it says as JSON, the dialogue), where it came to speak."""
        done = subprocess.run([relay_module.ROCKDOVE, "send", "--server", "%s%s:%d" % (scheme, host, self.ports[listener]),
                               "--from", "a@example.org", "--to", to, "--json", "-v", *options],
                              capture_output=True, text=True, timeout=60)
        self.assertEqual(done.returncode, expect, done.stdout + done.stderr)
        for secret in (PASSWORD, base64.b64encode(PASSWORD.encode()).decode(),
                       base64.b64encode(("\0%s\0%s" % (USER, PASSWORD)).encode()).decode()):
            self.assertNotIn(secret, done.stdout + done.stderr)
        return json.loads(done.stdout) if done.stdout else None, done.stderr

    def test_where_it_is_offered_tls_is_used(self):
        said, dialogue = self.send("starttls")
        self.assertTrue(said["accepted"])
        self.assertRegex(said["tls"], "^TLSv1.3 ")
        self.assertIn("C: STARTTLS\n", dialogue)
        self.assertRegex(dialogue, "-- TLSv1.3 .*, the certificate was not looked at\nC: EHLO ")
        said, dialogue = self.send("clear")
        self.assertTrue(said["accepted"])
        self.assertEqual(said["tls"], "")

    def test_off_stays_in_clear(self):
        said, dialogue = self.send("starttls", "--tls", "off", expect=1)
        self.assertNotIn("C: STARTTLS", dialogue)
        self.assertIn("STARTTLS", said["recipients"][0]["reply"])  # the listener wants it

    def test_verify_looks_at_name_and_chain(self):
        said, dialogue = self.send("starttls", "--tls", "verify", "--ca-file", self.ca)
        self.assertTrue(said["accepted"])
        self.assertIn("the certificate was verified", dialogue)
        for options, host, words in ((("--ca-file", self.ca), "127.0.0.1", "not for 127.0.0.1"), ((), "localhost", "issuer is not known")):
            said, dialogue = self.send("starttls", "--tls", "verify", *options, expect=1, host=host)
            self.assertIn(words, said["failure"])
            self.assertNotIn("C: MAIL", dialogue)

    def test_require_never_goes_in_clear(self):
        self.assertTrue(self.send("starttls", "--tls", "require")[0]["accepted"])
        said, dialogue = self.send("clear", "--tls", "require", expect=1)
        self.assertEqual(said["failure"], "the server offers no STARTTLS")
        self.assertNotIn("C: MAIL", dialogue)

    def test_smtps_is_tls_from_the_first_octet(self):
        said, dialogue = self.send("implicit", "--tls", "verify", "--ca-file", self.ca, scheme="smtps://")
        self.assertTrue(said["accepted"])
        self.assertRegex(dialogue, "^-- TLSv1.3 .*verified\nS: 220 ")
        self.assertTrue(self.send("implicit", scheme="smtps://")[0]["accepted"])
        said, dialogue = self.send("clear", expect=1, scheme="smtps://")
        self.assertIn("the peer spoke clear text", said["failure"])
        self.send("implicit", "--tls", "off", expect=2, scheme="smtps://")

    def test_a_login_goes_within_tls(self):
        login = ("--auth", USER, "--password-file", self.secret)
        for listener, scheme in (("starttls-auth", ""), ("implicit-auth", "smtps://")):
            said, dialogue = self.send(listener, *login, scheme=scheme)
            self.assertTrue(said["accepted"])
            self.assertIn("C: AUTH PLAIN [secret]\nS: 235 ", dialogue)
        self.assertEqual({line["user"] for line in self.relay.log("accepted") if line.get("user")}, {USER})

    def test_a_wrong_password_sends_nothing(self):
        said, dialogue = self.send("starttls-auth", "--auth", USER, "--password-file", self.wrong_secret, expect=1)
        self.assertIn("535", said["failure"])
        self.assertNotIn("C: MAIL", dialogue)

    def test_a_password_goes_in_clear_only_when_told_so(self):
        login = ("--auth", f"{USER}:{PASSWORD}")
        said, dialogue = self.send("clear-auth", *login, expect=1)
        self.assertEqual(said["failure"], "the server offers no STARTTLS")
        self.assertNotIn("AUTH PLAIN [", dialogue)
        self.assertTrue(self.send("clear-auth", "--tls", "off", *login)[0]["accepted"])

    def test_wrong_use(self):
        for options, words in ((("--tls", "maybe"), "--tls wants off, may, require or verify"),
                               (("--auth", USER), "a login is"), (("--password-file", self.secret), "neither user"),
                               (("--auth", USER + ":x", "--password-file", self.secret), "a login is"),
                               (("--auth", USER + ":"), "neither user"),
                               (("--auth", USER, "--password-file", "/nowhere"), "/nowhere"),
                               (("--ca-file", "/nowhere", "--tls", "verify"), "/nowhere")):
            self.assertIn(words, self.send("starttls", *options, expect=2)[1])


if __name__ == "__main__":
    run_tests()
