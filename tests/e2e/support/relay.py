"""A relay of its own for a test: `rockdove serve` with a throwaway configuration, on a free port of
the loopback, out of a temporary folder.

    with Relay(to="smtp://127.0.0.1:2525") as relay:
        relay.submit("a@example.org", ["b@example.net"], b"Subject: x\\r\\n\\r\\n")
        relay.wait_for("delivered")

Its log is JSON and is read from a file; what it says on standard error is in `relay.stderr()`.
Started as root it becomes `nobody`, who owns its folders.
"""

import json
import os
import pwd
import shutil
import signal
import smtplib
import socket
import subprocess
import tempfile
import time

from knot import free_port

WAIT_SECONDS = 30  # for what takes milliseconds on an idle machine
# Tests that are not about policy ask no DNS.
POLICY_CHECKS = ("spf", "dkim", "arc", "dmarc", "helo", "iprev")
ROCKDOVE = None    # the program; each test sets it from its first argument


def until(condition, what, seconds=WAIT_SECONDS):
    """The first true value of condition(), asked again and again."""
    give_up = time.monotonic() + seconds
    while True:
        found = condition()
        if found:
            return found
        if time.monotonic() > give_up:
            raise AssertionError("waited too long for " + (what() if callable(what) else what))
        time.sleep(0.01)


def daemon_user():
    return "nobody" if os.getuid() == 0 else pwd.getpwuid(os.getuid()).pw_name


def give_to_daemon(path):
    if os.getuid() == 0:
        shutil.chown(path, daemon_user())


def run(*arguments, expect=0, environment=None, **options):
    """One command of rockdove's, to its end."""
    done = subprocess.run([ROCKDOVE, *arguments], capture_output=True, text=True, timeout=60,
                          env={**os.environ, **(environment or {})}, **options)
    if expect is not None and done.returncode != expect:
        raise AssertionError("%s ended with %d:\n%s%s" % (arguments, done.returncode, done.stdout, done.stderr))
    return done


def toml(value):
    return json.dumps(value, ensure_ascii=False)  # strings, numbers and lists of them are the same in TOML


class Relay:
    """`to` is what [[route]] says for everything (None: by MX). `top` and `listener` are keys,
    `sections` is the rest of the configuration as text."""

    def __init__(self, to=None, top=None, listener=None, sections="", address="127.0.0.1", state_dir=None,
                 hostname="relay.example.org", log_format="json", retry=("1h",)):
        self.folder = tempfile.mkdtemp(prefix="rockdove-e2e-")
        os.chmod(self.folder, 0o755)
        self.state_dir = state_dir or os.path.join(self.folder, "state")
        self.runtime_dir = os.path.join(self.folder, "run")
        self.configuration = os.path.join(self.folder, "rockdove.toml")
        self.log_path = os.path.join(self.folder, "relay.log")
        self.address = address
        self.process = None
        self.port = None
        self._to = to
        self._top = {"hostname": hostname, "postmaster": "postmaster@admin.example", "user": daemon_user(),
                     "state_dir": self.state_dir, "runtime_dir": self.runtime_dir, **(top or {})}
        self._listener = {"name": "main", "rate": "off", "connections": 1000, **(listener or {})}
        self._sections = sections
        self._log_format = log_format
        self._retry = list(retry)
        for folder in (self.state_dir, self.runtime_dir):
            os.makedirs(folder, exist_ok=True)
            give_to_daemon(folder)
        give_to_daemon(self.folder)

    # Starting and ending.

    def __enter__(self):
        try:
            self.start()
        except BaseException:
            self.__exit__()
            raise
        return self

    def __exit__(self, *_):
        try:
            if self.process is not None and self.process.poll() is None:
                self.stop()
        finally:
            self.kill()
            shutil.rmtree(self.folder, ignore_errors=True)

    def write_configuration(self):
        text = "".join("%s = %s\n" % (key, toml(value)) for key, value in self._top.items() if value is not None)
        text += "[log]\nto = %s\nformat = %s\nlevel = \"debug\"\n" % (toml(self.log_path), toml(self._log_format))
        text += "[[listener]]\naddress = [%s]\n" % toml("%s:%d" % (self.address, self.port))
        text += "".join("%s = %s\n" % item for item in ((key, toml(value)) for key, value in self._listener.items()))
        if "[queue]" not in self._sections:
            text += "[queue]\nmin_free_disk = \"0\"\nretry = %s\n" % toml(self._retry)
        if "[policy]" not in self._sections:
            text += "[policy]\n" + "".join("%s = \"off\"\n" % check for check in POLICY_CHECKS)
        text += self._sections + "\n"
        if self._to is not None:
            text += "[[route]]\nto = %s\n" % toml(self._to)
        with open(self.configuration, "w") as file:
            file.write(text)

    def launch(self, environment=None):
        """Starts the process, in this environment instead of ours, and does not wait for it."""
        with open(os.path.join(self.folder, "stderr"), "ab") as stderr:
            self.process = subprocess.Popen([ROCKDOVE, "serve", "--config", self.configuration], env=environment,
                                            stdin=subprocess.DEVNULL, stdout=stderr, stderr=stderr)
        return self.process

    def start(self, environment=None):
        """Until it greets; again with the same port, if it had one. `environment` instead of ours."""
        for _ in range(5):
            fresh = self.port is None
            if fresh:
                self.port = free_port()
            self.write_configuration()
            before = self._count_ready()
            self.launch(environment)
            until(lambda: self._count_ready() > before or self.process.poll() is not None, lambda: "ready: " + self.said())
            if self.process.poll() is None:
                return
            if not fresh or "in use" not in self.stderr():
                break
            self.port = None  # somebody else took it before the relay did
        raise AssertionError("the relay does not start:\n" + self.said())

    def stop(self):
        """SIGTERM, and whether it ended well."""
        self.process.send_signal(signal.SIGTERM)
        status = self.process.wait(60)
        if status != 0:
            raise AssertionError("the relay ended with %d:\n%s" % (status, self.said()))

    def kill(self, how=signal.SIGKILL):
        if self.process is not None and self.process.poll() is None:
            self.process.send_signal(how)
            self.process.wait(60)

    def _count_ready(self):
        if not os.path.exists(self.log_path):
            return 0
        with open(self.log_path, "rb") as file:
            text = file.read()
        return text.count(b'"message":"ready"') + text.count(b" ready ")

    # What it says.

    def stderr(self):
        with open(os.path.join(self.folder, "stderr"), errors="replace") as file:
            return file.read()

    def said(self):
        text = self.stderr()
        if os.path.exists(self.log_path):
            with open(self.log_path, errors="replace") as file:
                text += "".join(file.readlines()[-60:])
        return text

    def log(self, event=None, **fields):
        """Whole lines of the log as objects, those of `event` and with these fields."""
        if not os.path.exists(self.log_path):
            return []
        found = []
        with open(self.log_path, "rb") as file:
            for line in file:
                if not line.endswith(b"\n"):
                    break
                entry = json.loads(line)
                if event in (None, entry["message"]) and all(entry.get(k) == v for k, v in fields.items()):
                    found.append(entry)
        return found

    def wait_for(self, event, count=1, **fields):
        """The first `count` such lines, as soon as they are there."""
        def look():
            found = self.log(event, **fields)
            return found if len(found) >= count else None
        return until(look, lambda: "%d × %s %s in:\n%s" % (count, event, fields, self.said()))

    # Clients.

    def client(self, source=None):
        return smtplib.SMTP(self.address, self.port, "client.example", timeout=WAIT_SECONDS,
                            source_address=(source, 0) if source else None)

    def submit(self, sender, recipients, message=b"Subject: hello\r\n\r\nhello\r\n", **options):
        """Hands a message in and gives its id."""
        with self.client() as client:
            client.ehlo()
            assert client.mail(sender)[0] == 250
            for recipient in recipients:
                code, text = client.rcpt(recipient)
                assert code == 250, (recipient, code, text)
            code, text = client.data(message)
        assert code == 250, (code, text)
        return text.decode().rpartition(" ")[2]

    def conversation(self, source=None):
        return Conversation((self.address, self.port), source)

    def command(self, *arguments, **options):
        """rockdove ... --config of this relay."""
        return run(*arguments, "--config", self.configuration, **options)

    def queue(self, *arguments, **options):
        """`queue ARGUMENTS --json`, as objects."""
        done = self.command("queue", *arguments, "--json", **options)
        return [json.loads(line) for line in done.stdout.splitlines()]


class Conversation:
    """Raw octets to a server, line by line answers back."""

    def __init__(self, address, source=None):
        self.socket = socket.create_connection(address, WAIT_SECONDS, (source, 0) if source else None)
        self.file = self.socket.makefile("rb")

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.file.close()
        self.socket.close()

    def send(self, octets):
        self.socket.sendall(octets if isinstance(octets, bytes) else octets.encode())

    def reply(self):
        """(code, text) of the next reply; (None, "") when the server has closed."""
        lines = []
        while True:
            line = self.file.readline().decode()
            if not line:
                return None, ""
            lines.append(line[4:].rstrip("\r\n"))
            if line[3:4] != "-":
                return int(line[:3]), "\n".join(lines)

    def ask(self, line):
        self.send(line + "\r\n")
        return self.reply()

    def hello(self):
        """Past greeting and EHLO."""
        greeting = self.reply()
        assert greeting[0] == 220, greeting
        answer = self.ask("EHLO client.example")
        assert answer[0] == 250, answer
        return answer[1]

    def is_closed(self):
        try:
            return self.file.readline() == b""
        except ConnectionResetError:
            return True
