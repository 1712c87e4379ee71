"""`rockdove user` on files of its own. Hashes are checked with Perl's crypt, which is not ours."""
import json
import os
import pty
import pwd
import shutil
import subprocess
import sys
import tempfile
import unittest

ROCKDOVE = os.path.abspath(sys.argv.pop(1))


def matches(password, hashed):
    made = subprocess.run(["perl", "-e", "print crypt($ARGV[0], $ARGV[1])", password, hashed], capture_output=True, text=True, check=True)
    return made.stdout == hashed


class User(unittest.TestCase):
    def setUp(self):
        self.folder = tempfile.mkdtemp(prefix="rockdove-user-")
        self.addCleanup(shutil.rmtree, self.folder)
        self.path = os.path.join(self.folder, "users")

    def user(self, *arguments, expect=0, stdin="", config=None):
        where = ["--config", config] if config else ["--users", self.path]
        done = subprocess.run([ROCKDOVE, "user", *arguments, *where], input=stdin, capture_output=True, text=True, timeout=60)
        self.assertEqual(done.returncode, expect, (arguments, done.stdout, done.stderr))
        return done

    def accounts(self):
        with open(self.path) as file:
            return dict(line.rstrip("\n").split(":") for line in file if not line.startswith("#"))

    def test_an_account_is_made_changed_and_removed(self):
        self.user("add", "scanner@example.com", "--password-stdin", stdin="Grün & gut\n")
        first = self.accounts()["scanner@example.com"]
        self.assertTrue(first.startswith("$y$") and matches("Grün & gut", first), first)
        done = self.user("add", "scanner@example.com", "--password-stdin", stdin="other", expect=1)
        self.assertIn("exists; `rockdove user passwd`", done.stderr)
        self.assertEqual(self.accounts()["scanner@example.com"], first)
        self.user("passwd", "scanner@example.com", "--password-stdin", stdin="other")
        self.assertTrue(matches("other", self.accounts()["scanner@example.com"]))
        self.user("add", "Ann", "--generate")
        self.assertEqual(self.user("list").stdout, "Ann\nscanner@example.com\n")
        self.assertEqual([json.loads(line) for line in self.user("list", "--json").stdout.splitlines()],
                         [{"name": "Ann"}, {"name": "scanner@example.com"}])
        self.user("remove", "scanner@example.com")
        self.assertEqual(list(self.accounts()), ["Ann"])
        self.assertIn("there is no account", self.user("remove", "scanner@example.com", expect=1).stderr)
        self.assertIn("there is no account", self.user("passwd", "x", "--generate", expect=1).stderr)
        self.assertEqual(os.listdir(self.folder), ["users"])

    def test_a_generated_password_is_printed_alone_and_works(self):
        passwords = set()
        for name in ("a", "b"):
            password = self.user("add", name, "--generate").stdout.rstrip("\n")
            self.assertRegex(password, "^[2-9a-km-np-z]{24}$")
            self.assertTrue(matches(password, self.accounts()[name]))
            passwords.add(password)
        self.assertEqual(len(passwords), 2)

    def test_what_is_wrong_is_said(self):
        for name in ("a:b", "#a", "", " a", "x" * 129, "a\nb"):
            with self.subTest(name):
                self.user("add", name, "--generate", expect=2)
        self.user("add", "a", "--generate", "--password-stdin", expect=2)
        self.user("add", expect=2)
        self.user(expect=2)
        for password, words in (("", "empty"), ("x" * 512, "511 octets"), ("a\nb\n", "second line"), ("a\0b", "control character")):
            with self.subTest(password):
                self.assertIn(words, self.user("add", "a", "--password-stdin", stdin=password, expect=1).stderr)
        self.assertIn("no terminal", self.user("add", "a", expect=1).stderr)
        self.assertIn("`rockdove user add NAME` makes it", self.user("list", expect=1).stderr)
        self.assertEqual(os.listdir(self.folder), [])
        self.user("add", "a", "--password-stdin", stdin="x" * 511)
        with open(self.path, "a") as file:
            file.write("# fine\nbad line\n")
        for arguments in (("list",), ("add", "b", "--generate"), ("remove", "a")):
            self.assertIn(self.path + ":3: ", self.user(*arguments, expect=1).stderr)
        self.assertIn("No such file or directory",
                      subprocess.run([ROCKDOVE, "user", "add", "a", "--generate", "--users", self.folder + "/no/users"],
                                     capture_output=True, text=True).stderr)

    def test_mode_owner_order_and_comments_stay(self):
        self.user("add", "b", "--generate")
        self.assertEqual(os.stat(self.path).st_mode & 0o777, 0o600)  # there is no user rockdove on a test machine
        with open(self.path) as file:
            line = file.read()
        with open(self.path, "w") as file:
            file.write("# ours\n\n" + line + "# last")
        os.chmod(self.path, 0o640)
        if os.getuid() == 0:
            os.chown(self.path, pwd.getpwnam("nobody").pw_uid, 4711)
        before = os.stat(self.path)
        link = os.path.join(self.folder, "link")
        os.symlink("users", link)
        subprocess.run([ROCKDOVE, "user", "add", "a", "--generate", "--users", link], check=True, capture_output=True)
        self.assertTrue(os.path.islink(link))
        after = os.stat(self.path)
        self.assertEqual((after.st_mode, after.st_uid, after.st_gid), (before.st_mode, before.st_uid, before.st_gid))
        with open(self.path) as file:
            lines = file.read().splitlines()
        self.assertEqual(lines[:4], ["# ours", "", line.rstrip("\n"), "# last"])
        self.assertTrue(lines[4].startswith("a:$y$"))
        os.chmod(self.path, 0o644)
        self.assertIn("the daemon will not take it", self.user("passwd", "a", "--generate").stderr)
        self.assertEqual(os.stat(self.path).st_mode & 0o777, 0o644)

    @unittest.skipUnless(os.getuid() == 0, "only root gives files away")
    def test_a_new_file_of_root_is_for_the_daemons_group(self):
        config = os.path.join(self.folder, "rockdove.toml")
        with open(config, "w") as file:
            file.write('hostname = "relay.example"\nuser = "nobody"\n[auth]\nusers = "%s"\n[[listener]]\naddress = ["127.0.0.1:2525"]\n' % self.path)
        self.user("add", "a", "--generate", config=config)
        made = os.stat(self.path)
        self.assertEqual((made.st_mode & 0o777, made.st_uid, made.st_gid), (0o640, 0, pwd.getpwnam("nobody").pw_gid))

    def test_a_bad_configuration_is_told(self):
        config = os.path.join(self.folder, "rockdove.toml")
        with open(config, "w") as file:
            file.write("hostname = 1\n")
        done = self.user("list", config=config, expect=1)
        self.assertIn(config + ":1:", done.stderr)
        self.assertIn("--users FILE", done.stderr)

    def test_many_writers_at_once_lose_nothing(self):
        names = ["user%d" % i for i in range(16)]
        running = [subprocess.Popen([ROCKDOVE, "user", "add", name, "--generate", "--users", self.path],
                                    stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True) for name in names]
        for process in running:
            _, said = process.communicate(timeout=60)
            self.assertEqual(process.returncode, 0, said)
        self.assertEqual(sorted(self.accounts()), sorted(names))

    def on_terminal(self, *answers):
        """Types each answer when it is asked for. (exit status, all that the terminal showed)"""
        child, terminal = pty.fork()
        if child == 0:
            os.execv(ROCKDOVE, [ROCKDOVE, "user", "add", "ann", "--users", self.path])
        shown = b""
        answers = list(answers)
        try:
            while True:
                part = os.read(terminal, 1000)
                if not part:
                    break
                shown += part
                if answers and shown.count(b": ") > 0 and shown.endswith(b": "):
                    os.write(terminal, answers.pop(0))
        except OSError:  # the other side has closed
            pass
        _, status = os.waitpid(child, 0)
        os.close(terminal)
        return os.waitstatus_to_exitcode(status), shown.decode()

    def test_a_terminal_is_asked_twice_and_shows_nothing(self):
        status, shown = self.on_terminal(b"geheim\n", b"geheim\n")
        self.assertEqual(status, 0, shown)
        self.assertNotIn("geheim", shown)
        self.assertTrue(matches("geheim", self.accounts()["ann"]))

    def test_a_terminal_with_two_different_passwords_changes_nothing(self):
        status, shown = self.on_terminal(b"geheim\n", b"gehein\n")
        self.assertEqual(status, 1, shown)
        self.assertIn("differ", shown)
        self.assertFalse(os.path.exists(self.path))

    def test_ctrl_c_ends_it_and_changes_nothing(self):
        status, shown = self.on_terminal(b"geh\x03")
        self.assertEqual(status, 1, shown)
        self.assertIn("interrupted", shown)
        self.assertNotIn("geh", shown)
        self.assertFalse(os.path.exists(self.path))


if __name__ == "__main__":
    unittest.main()
