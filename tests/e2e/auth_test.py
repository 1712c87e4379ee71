"""AUTH against the accounts file, end to end: `rockdove user` writes it, the running relay follows it."""

import os
import shutil
import smtplib
import sys
import unittest

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "support"))
from main import run_tests  # noqa: E402
from relay import Relay, daemon_user, run, until  # noqa: E402

STRANGERS = {"relay_from": ["127.0.0.200"], "auth": "optional", "auth_in_clear": ["127.0.0.0/8"], "tls": "off"}


class Auth(unittest.TestCase):
    def setUp(self):
        self.relay = Relay(to="discard:", listener=STRANGERS)
        self.users = os.path.join(self.relay.folder, "users")
        self.relay._sections = '[auth]\nusers = "%s"\n' % self.users
        self.addCleanup(self.relay.__exit__)
        self.user("add", "ann", "good")
        self.relay.start()

    def user(self, command, name, password=None):
        arguments = ["--password-stdin"] if password else []
        run("user", command, name, *arguments, "--users", self.users, input=password or "")
        if os.getuid() == 0:
            shutil.chown(self.users, daemon_user())

    def login(self, name, password, source="127.0.0.1"):
        """(code of AUTH, code of a RCPT that only who has logged in may give)"""
        with self.relay.client(source) as client:
            client.ehlo()
            try:
                code = client.login(name, password, initial_response_ok=True)[0]
            except smtplib.SMTPAuthenticationError as refused:
                code = refused.smtp_code
            client.mail("a@example.org")
            return code, client.rcpt("b@example.net")[0]

    def test_who_has_an_account_may_relay_and_nobody_else(self):
        self.assertEqual(self.login("ann", "good"), (235, 250))
        self.assertEqual(self.login("ann", "bad", "127.0.0.2"), (535, 550))
        self.assertEqual(self.login("bob", "good", "127.0.0.3"), (535, 550))
        reasons = {line["reason"] for line in self.relay.wait_for("login refused", 2)}
        self.assertLessEqual({"wrong password", "no such user"}, reasons)
        with open(self.relay.log_path) as file:
            self.assertNotIn("good", file.read())

    def test_a_hundred_logins_of_a_printer_cost_one_hash(self):
        for _ in range(100):
            self.assertEqual(self.login("ann", "good")[0], 235)

    def test_the_relay_follows_the_file(self):
        self.assertEqual(self.login("ann", "good"), (235, 250))
        self.user("add", "bob", "well")
        until(lambda: self.login("bob", "well", "127.0.0.4")[0] == 235, "bob")
        self.user("passwd", "ann", "better")
        until(lambda: self.login("ann", "better", "127.0.0.5")[0] == 235, "the new password")
        self.assertEqual(self.login("ann", "good", "127.0.0.6")[0], 535)

    def test_a_bad_file_leaves_the_accounts_as_they_were(self):
        self.assertEqual(self.login("ann", "good"), (235, 250))
        with open(self.users, "a") as file:
            file.write("no account\n")

        def told():
            self.assertEqual(self.login("ann", "good")[0], 235)
            return self.relay.log("accounts not read")

        self.assertIn(self.users + ":2: ", until(told, "the error")[0]["error"])


if __name__ == "__main__":
    run_tests()
