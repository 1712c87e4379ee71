"""Verifiers of DKIM that others wrote, behind one face: each takes files with messages and says what it thinks of each
signature, as {selector: "pass" or something else}.

    with OpenDkim(keys, folder) as verifier:
        results = verifier.judge([path, …])

`keys` is {name in the DNS: TXT record}. `signs`: the algorithms that it knows.
"""
import http.client
import json
import os
import re
import shutil
import socket
import struct
import subprocess
import sys
import time

import dkim

HERE = os.path.dirname(os.path.abspath(__file__))
BOTH = {"rsa-sha256", "ed25519-sha256"}


def wait_until(condition, what, seconds=30):
    give_up = time.monotonic() + seconds
    while not condition():
        if time.monotonic() > give_up:
            raise AssertionError("waited too long for " + what)
        time.sleep(0.02)


class Verifier:
    name = ""
    signs = BOTH
    refuses_doubled = False  # whether a field that RFC 5322 allows once and that is there twice spoils each signature of it

    def __init__(self, keys, folder):
        self.keys = keys
        self.folder = folder

    def __enter__(self):
        return self

    def __exit__(self, *_):
        pass

    def judge(self, paths):
        return [self.judge_one(open(path, "rb").read()) for path in paths]

    def judge_one(self, message):
        raise NotImplementedError


class Dkimpy(Verifier):
    name = "dkimpy"

    def judge_one(self, message):
        def look_up(name, timeout=5):
            return self.keys.get(name.decode().rstrip("."), "").encode() or None

        results = {}
        verifier = dkim.DKIM(message)
        count = sum(1 for name, _ in verifier.headers if name.lower() == b"dkim-signature")
        for index in range(count):
            field = [value for name, value in verifier.headers if name.lower() == b"dkim-signature"][index]
            selector = re.search(rb"[;\s]s=([^;\s]+)", field).group(1).decode()
            try:
                results[selector] = "pass" if dkim.DKIM(message).verify(idx=index, dnsfunc=look_up) else "fail"
            except dkim.DKIMException as error:
                results[selector] = "error: %s" % error
        return results


class OfList(Verifier):
    """A program that reads paths and prints a line for each."""

    def command(self, keys_file):
        raise NotImplementedError

    def judge(self, paths):
        keys_file = os.path.join(self.folder, "keys.json")
        with open(keys_file, "w") as file:
            json.dump(self.keys, file)
        done = subprocess.run(self.command(keys_file), input="".join(path + "\n" for path in paths).encode(),
                              stdout=subprocess.PIPE, check=True, timeout=600)
        return [json.loads(line) for line in done.stdout.decode().splitlines()]


class MailDkim(OfList):
    name = "Mail::DKIM"
    signs = {"rsa-sha256"}  # Debian 12's version knows no other that is not SHA-1

    def command(self, keys_file):
        return ["perl", os.path.join(HERE, "mail_dkim.pl"), keys_file]


class Mailauth(OfList):
    name = "mailauth"

    @staticmethod
    def installed_at():
        """$MAILAUTH, or where `npm install mailauth` put it below build/; None: it is not there."""
        folders = [os.environ.get("MAILAUTH"), os.path.join(os.getcwd(), "mailauth")]
        return next((f for f in folders if f and os.path.isdir(os.path.join(f, "node_modules", "mailauth"))), None)

    def command(self, keys_file):
        return ["node", os.path.join(HERE, "mailauth.js"), self.installed_at(), keys_file]


class OpenDkim(Verifier):
    """Debian's opendkim as a milter, asked as a mail server would."""
    name = "opendkim"

    def __enter__(self):
        self.socket = os.path.join(self.folder, "opendkim.sock")
        keys = os.path.join(self.folder, "opendkim.keys")
        with open(keys, "w") as file:
            file.writelines("%s %s\n" % item for item in self.keys.items())
        configuration = os.path.join(self.folder, "opendkim.conf")
        with open(configuration, "w") as file:
            file.write("Mode v\nSocket local:%s\nTestPublicKeys %s\nBackground no\nSyslog no\nAlwaysAddARHeader yes\n"
                       "AuthservID judge.example\nMaximumHeaders 0\nMaximumSignaturesToVerify 10\n"
                       "On-BadSignature accept\nOn-NoSignature accept\nPidFile %s\n" % (self.socket, keys, os.path.join(self.folder, "opendkim.pid")))
        self.process = subprocess.Popen(["opendkim", "-f", "-x", configuration])
        wait_until(lambda: os.path.exists(self.socket) or self.process.poll() is not None, "opendkim")
        return self

    def __exit__(self, *_):
        self.process.terminate()
        self.process.wait(30)

    def judge_one(self, message):
        end = message.index(b"\r\n\r\n")
        with socket.socket(socket.AF_UNIX) as milter:
            milter.settimeout(60)
            milter.connect(self.socket)
            self.milter = milter
            # Version 6, all actions; leading blanks of values are shown (SMFIP_HDR_LEADSPC).
            wanted = struct.unpack(">3I", self.ask(b"O", struct.pack(">3I", 6, 0x1ff, 0x1fffff))[1])[2]
            if not wanted & 0x01:
                self.ask(b"C", b"mx.example\0004" + struct.pack(">H", 25) + b"192.0.2.1\0", wanted & 0x1000)
            if not wanted & 0x02:
                self.ask(b"H", b"mx.example\0", wanted & 0x2000)
            if not wanted & 0x04:
                self.ask(b"M", b"<jane@signed.example>\0", wanted & 0x4000)
            if not wanted & 0x08:
                self.ask(b"R", b"<joe@example.org>\0", wanted & 0x8000)
            for field in re.split(rb"\r\n(?![ \t])", message[:end]):
                name, value = field.split(b":", 1)
                if not wanted & 0x100000 and value.startswith(b" "):
                    value = value[1:]
                self.ask(b"L", name + b"\0" + value.replace(b"\r\n", b"\n") + b"\0", wanted & 0x80)
            if not wanted & 0x40:
                self.ask(b"N", b"", wanted & 0x40000)
            body = message[end + 4:]
            for at in range(0, len(body), 65535):
                if self.ask(b"B", body[at:at + 65535], wanted & 0x80000)[0] == b"s":
                    break
            self.send(b"E", b"")
            results = {}
            while True:
                command, data = self.receive()
                if command in b"ih" and b"dkim=" in data:
                    text = data.decode(errors="replace")
                    for part in text.split(";"):
                        found = re.search(r"dkim=(\w+).*header\.s=(\S+)", part, re.S)
                        if found:
                            results[found[2]] = found[1] if found[1] == "pass" else part.strip()
                if command in b"cadrty":
                    return results

    def send(self, command, data):
        self.milter.sendall(struct.pack(">I", len(data) + 1) + command + data)

    def receive(self):
        head = self.milter.recv(5, socket.MSG_WAITALL)
        if len(head) < 5:
            raise AssertionError("opendkim hung up")
        size = struct.unpack(">I", head[:4])[0] - 1
        return head[4:], self.milter.recv(size, socket.MSG_WAITALL) if size else b""

    def ask(self, command, data, answers_nothing=0):
        self.send(command, data)
        if answers_nothing:
            return b"c", b""
        return self.receive()


class Rspamd(Verifier):
    """Debian's rspamd with nothing but its DKIM module, asking a DNS server of ours."""
    name = "rspamd"
    refuses_doubled = True  # on purpose: "intended to be unique by email standards, … artificially break DKIM check"

    def __enter__(self):
        sys.path.insert(0, os.path.join(HERE, "..", "..", "e2e", "support"))
        from knot import Knot, free_port
        lines = []
        for name, record in self.keys.items():
            host = name.removesuffix(".signed.example")
            lines.append("%s TXT %s" % (host, " ".join('"%s"' % part for part in re.findall(".{1,255}", record))))
        self.knot = Knot({"signed.example": lines})
        self.knot.__enter__()
        self.port = free_port()
        configuration = os.path.join(self.folder, "rspamd.conf")
        with open(os.path.join(self.folder, "suffixes"), "w") as file:
            file.write("example\n")  # its own list takes long to compile
        with open(configuration, "w") as file:
            file.write("""
options { pidfile = "%(folder)s/rspamd.pid"; filters = "dkim"; tempdir = "%(folder)s"; local_addrs = [];
  hs_cache_dir = "%(folder)s"; url_tld = "%(folder)s/suffixes"; disable_hyperscan = true; max_message = 50mb; task_timeout = 60s;
  dns { nameserver = ["127.0.0.1:%(dns)d"]; timeout = 5s; retransmits = 3; } }
logging { type = "file"; filename = "%(folder)s/rspamd.log"; level = "warning"; }
worker "normal" { bind_socket = "127.0.0.1:%(port)d"; count = 1; mime = true; }
dkim { time_jitter = 6h; max_sigs = 10; }
""" % {"folder": self.folder, "dns": self.knot.port, "port": self.port})
        self.process = subprocess.Popen(["rspamd", "-f", "-i", "-c", configuration], stdout=subprocess.DEVNULL,
                                        stderr=subprocess.DEVNULL)
        wait_until(self.is_there, "rspamd", seconds=300)
        return self

    def is_there(self):
        try:
            socket.create_connection(("127.0.0.1", self.port), 1).close()
            return True
        except OSError:
            return False

    def __exit__(self, *_):
        self.process.terminate()
        self.process.wait(30)
        self.knot.__exit__(None, None, None)

    def judge_one(self, message):
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=120)
        connection.request("POST", "/checkv2", message, {"IP": "192.0.2.1", "From": "jane@signed.example"})
        symbols = json.loads(connection.getresponse().read())["symbols"]
        connection.close()
        results = {}
        for symbol, found in symbols.items():
            for option in found.get("options", []) if symbol.startswith("R_DKIM") else []:
                results[option.split("s=")[-1]] = "pass" if symbol == "R_DKIM_ALLOW" else symbol
        return results


def is_installed(program):
    return shutil.which(program) is not None


def all_of_them():
    """Those that are here, and the names of those that are not."""
    found, absent = [Dkimpy], []
    for verifier, is_here in ((MailDkim, os.path.exists("/usr/share/perl5/Mail/DKIM/Verifier.pm")),
                              (OpenDkim, is_installed("opendkim")), (Rspamd, is_installed("rspamd")),
                              (Mailauth, is_installed("node") and Mailauth.installed_at() is not None)):
        if is_here:
            found.append(verifier)
        else:
            absent.append(verifier.name)
    return found, absent
