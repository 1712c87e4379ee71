"""Next hops for tests: `rockdove sink` into a folder, Postfix's smtp-sink, and a real Postfix."""

import json
import os
import shutil
import smtplib
import subprocess
import tempfile

import relay as relay_module
from knot import free_port
from relay import WAIT_SECONDS, Conversation, until


class Sink:
    """`rockdove sink`: keeps what it gets, and refuses by rule. `address` may name host and port."""

    def __init__(self, *rules, address="127.0.0.1:0"):
        self.folder = tempfile.mkdtemp(prefix="rockdove-sink-")
        arguments = ["--rule=" + rule for rule in rules]
        self.process = subprocess.Popen([relay_module.ROCKDOVE, "sink", "--json", "--listen", address, "--into", self.folder,
                                         *arguments], stdout=subprocess.PIPE, text=True)
        line = self.process.stdout.readline()
        if not line:
            self.__exit__()
            raise OSError("the sink does not start on " + address)
        self.host, _, port = json.loads(line)["listening"].rpartition(":")
        self.port = int(port)

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.stop()
        shutil.rmtree(self.folder, ignore_errors=True)

    def stop(self):
        if self.process.poll() is None:
            self.process.terminate()
        try:
            self.process.communicate(timeout=WAIT_SECONDS)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.communicate()

    @property
    def url(self):
        return "smtp://%s:%d" % (self.host, self.port)

    def messages(self, skip=None):
        """[(envelope, octets)] in the order of arrival. `skip`: a set of names that were found before, which
        are left out; those that are found now are added."""
        found = []
        names = [name for name in os.listdir(self.folder) if name.endswith(".json") and name not in (skip or ())]
        for name in sorted(names):
            try:
                with open(os.path.join(self.folder, name)) as file:
                    envelope = json.load(file)
                with open(os.path.join(self.folder, name[:-5] + ".eml"), "rb") as file:
                    found.append((envelope, file.read()))
                if skip is not None:
                    skip.add(name)
            except (json.JSONDecodeError, FileNotFoundError):
                continue  # it is being written
        return found

    def wait(self, count=1):
        """The first `count` messages, as soon as they are there."""
        def look():
            found = self.messages()
            return found if len(found) >= count else None
        return until(look, lambda: "%d messages at the sink, which has %d" % (count, len(self.messages())))


class ProviderSink:
    """`rockdove sink --providers`. `providers` is {name: (address without a port, TOML keys)}; all share one port."""

    def __init__(self, providers):
        self.folder = tempfile.mkdtemp(prefix="rockdove-providers-")
        self.hosts = {name: host for name, (host, _) in providers.items()}
        self.process = None
        for _ in range(10):
            self.port = free_port()
            with open(os.path.join(self.folder, "providers.toml"), "w") as file:
                for name, (host, keys) in providers.items():
                    file.write('[provider.%s]\nlisten = ["%s:%d"]\n%s\n' % (name, host, self.port, keys))
            if self._starts():
                return
        self.__exit__()
        raise RuntimeError("the providers' sink does not start: " + self.error)

    def _starts(self):
        path = os.path.join(self.folder, "providers.toml")
        with open(os.path.join(self.folder, "stderr"), "w+") as stderr:
            self.process = subprocess.Popen([relay_module.ROCKDOVE, "sink", "--json", "--providers", path, "--log", self.log_path],
                                            stdout=subprocess.PIPE, stderr=stderr, text=True)
            if all(self.process.stdout.readline() for _ in self.hosts):
                return True
            self.process.wait(WAIT_SECONDS)
            self.process.stdout.close()
            stderr.seek(0)
            self.error = stderr.read()
        return False

    @property
    def log_path(self):
        return os.path.join(self.folder, "log.csv")

    def __enter__(self):
        return self

    def __exit__(self, *_):
        if self.process is not None and self.process.poll() is None:
            self.stop()
        shutil.rmtree(self.folder, ignore_errors=True)

    def stop(self):
        """Ends it; ({provider: totals}, [(seconds, provider, verdict, stage, recipient)])."""
        self.process.terminate()
        said = [json.loads(line) for line in self.process.communicate(timeout=WAIT_SECONDS)[0].splitlines()]
        with open(self.log_path) as file:
            events = [line.rstrip("\n").split(",", 4) for line in file][1:]
        totals = {entry["provider"]: entry for entry in said if entry.get("total")}
        return totals, [(float(time), *rest) for time, *rest in events]

    def client(self, name, source="127.0.0.1"):
        return smtplib.SMTP(self.hosts[name], self.port, "client.example", timeout=WAIT_SECONDS, source_address=(source, 0))


def sinks_on_one_port(hosts, rules=None):
    """A Sink on each of these addresses, all on the same port: hosts of an MX set."""
    for _ in range(10):
        port = free_port()
        sinks = []
        try:
            for host in hosts:
                sinks.append(Sink(*(rules or {}).get(host, ()), address="%s:%d" % (host, port)))
            return sinks
        except OSError:
            for sink in sinks:
                sink.__exit__()
    raise RuntimeError("no port is free on all of %s" % hosts)


def can_connect(host, port):
    try:
        with Conversation((host, port)) as conversation:
            return conversation.reply()[0] == 220
    except OSError:
        return False


class SmtpSink:
    """Postfix's smtp-sink, which appends what it gets to one file, each after a line `From `."""

    def __init__(self, *options):
        self.folder = tempfile.mkdtemp(prefix="rockdove-smtp-sink-")
        os.chmod(self.folder, 0o777)
        self.dump = os.path.join(self.folder, "dump")
        self.port = free_port()
        user = ["-u", "nobody"] if os.getuid() == 0 else []
        self.process = subprocess.Popen(["/usr/sbin/smtp-sink", *user, *options, "-D", self.dump,
                                         "127.0.0.1:%d" % self.port, "10"])

    def __enter__(self):
        until(lambda: can_connect("127.0.0.1", self.port), "smtp-sink")
        return self

    def __exit__(self, *_):
        self.process.terminate()
        self.process.wait(WAIT_SECONDS)
        shutil.rmtree(self.folder, ignore_errors=True)

    @property
    def url(self):
        return "smtp://127.0.0.1:%d" % self.port

    def text(self):
        if not os.path.exists(self.dump):
            return b""
        with open(self.dump, "rb") as file:
            return file.read()


POSTFIX_SETTINGS = """compatibility_level = 3.6
queue_directory = {dir}/spool
data_directory = {dir}/data
command_directory = /usr/sbin
daemon_directory = /usr/lib/postfix/sbin
meta_directory = /etc/postfix
mail_owner = postfix
setgid_group = postdrop
myhostname = postfix.example
mydestination =
local_recipient_maps =
mynetworks = 127.0.0.0/8
inet_interfaces = 127.0.0.1
inet_protocols = ipv4
relay_domains = static:all
smtp_dns_support_level = disabled
smtpd_peername_lookup = no
alias_maps =
alias_database =
maillog_file = {dir}/log
maillog_file_prefixes = /
message_size_limit = 20480000
smtpd_client_restrictions = check_client_access static:HOLD
smtpd_relay_restrictions = permit_mynetworks, reject_unauth_destination
"""


class Postfix:
    """A Postfix of its own, which puts all mail on hold, so that `postcat` can show it."""

    @staticmethod
    def is_possible():
        return os.getuid() == 0 and os.path.exists("/usr/sbin/postfix")

    def __enter__(self):
        self.folder = tempfile.mkdtemp(prefix="rockdove-postfix-")
        os.chmod(self.folder, 0o755)
        for name in ("spool", "data"):
            os.mkdir(os.path.join(self.folder, name))
        shutil.chown(os.path.join(self.folder, "data"), "postfix")
        self.port = free_port()
        with open(os.path.join(self.folder, "main.cf"), "w") as file:
            file.write(POSTFIX_SETTINGS.format(dir=self.folder))
        with open(os.path.join(self.folder, "master.cf"), "w") as file:
            file.write("127.0.0.1:%d inet n - n - 100 smtpd\n" % self.port)
            for name, kind, wakeup, limit, program in (
                    ("cleanup", "unix", "-", "0", "cleanup"), ("qmgr", "unix", "300", "1", "qmgr"),
                    ("rewrite", "unix", "-", "-", "trivial-rewrite"), ("bounce", "unix", "-", "0", "bounce"),
                    ("defer", "unix", "-", "0", "bounce"), ("anvil", "unix", "-", "1", "anvil"),
                    ("proxymap", "unix", "-", "-", "proxymap"), ("error", "unix", "-", "-", "error"),
                    ("postlog", "unix-dgram", "-", "1", "postlogd")):
                private = "n" if name in ("cleanup", "qmgr", "postlog") else "-"
                file.write("%s %s %s - n %s %s %s\n" % (name, kind, private, wakeup, limit, program))
        subprocess.run(["postfix", "-c", self.folder, "start"], check=True, timeout=60, capture_output=True)
        try:
            until(lambda: can_connect("127.0.0.1", self.port), self.log)
        except BaseException:
            self.__exit__()
            raise
        return self

    def __exit__(self, *_):
        subprocess.run(["postfix", "-c", self.folder, "stop"], timeout=60, capture_output=True)
        shutil.rmtree(self.folder, ignore_errors=True)

    @property
    def url(self):
        return "smtp://127.0.0.1:%d" % self.port

    def log(self):
        with open(os.path.join(self.folder, "log")) as file:
            return file.read()

    def messages(self):
        """[(envelope, message with LF line ends)]: what postcat shows."""
        hold = os.path.join(self.folder, "spool", "hold")
        names = sorted(os.listdir(hold)) if os.path.isdir(hold) else []
        found = []
        for name in names:
            show = lambda part: subprocess.run(["postcat", "-c", self.folder, "-q", *part, name], check=True,
                                               timeout=60, capture_output=True).stdout
            found.append((show(["-e"]).decode(), show(["-hb"])))
        return found
