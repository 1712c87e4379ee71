"""Loads for the benchmarks: a sink that counts, clients that hand in mail, and an account of a run."""
import argparse
import json
import os
import re
import resource
import shutil
import socket
import subprocess
import tempfile
import threading
import time

import relays

LINE = b"The quick brown fox jumps over the lazy dog and has some time left over.\r\n"


def raise_descriptor_limit():
    hard = resource.getrlimit(resource.RLIMIT_NOFILE)[1]
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))


def arguments(description):
    """The options that all of these benchmarks have."""
    parser = argparse.ArgumentParser(description=description, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rockdove", default="build/rockdove", help="the program, a release build")
    parser.add_argument("--folder", default="/var/tmp", help="where the state goes, on a real disk")
    parser.add_argument("--scale", type=float, default=1.0, help="times the usual number of messages, to try it out")
    return parser


class Bench:
    """One run: a folder of its own, facts and bars, and the verdict."""

    def __init__(self, name, options):
        self.name, self.program = name, os.path.abspath(options.rockdove)
        self.folder = tempfile.mkdtemp(prefix=f"rockdove-{name}.", dir=options.folder)
        os.chmod(self.folder, 0o755)
        self.facts, self.failures, self._stops = {}, [], []

    def at_end(self, stop):
        self._stops.append(stop)

    def relay(self, sink, **how):
        """A started Rockdove with an empty state."""
        folder = tempfile.mkdtemp(prefix="relay.", dir=self.folder)
        os.chmod(folder, 0o755)
        relay = relays.Rockdove(self.program, folder, relays.free_port(), sink, **how)
        self.at_end(relay.kill)
        relay.start()
        return relay

    def sink(self, *options, host="127.0.0.1", port=None):
        sink = CountingSink(*options, host=host, port=port)
        self.at_end(sink.stop)
        return sink

    def fact(self, what, value):
        self.facts[what] = round(value, 3) if isinstance(value, float) else value
        print(f"  {what}: {self.facts[what]}", flush=True)

    def at_most(self, what, value, bar):
        self.fact(what, value)
        if value > bar:
            self.failures.append(f"{what}: {value:.2f}, at most {bar:.2f} is allowed")

    def at_least(self, what, value, bar):
        self.fact(what, value)
        if value < bar:
            self.failures.append(f"{what}: {value:.2f}, at least {bar:.2f} is asked for")

    def run(self, steps):
        """Runs `steps()`, cleans up, prints the verdict; returns the exit status."""
        print(self.name + ":", flush=True)
        try:
            steps()
        except (RuntimeError, OSError, subprocess.SubprocessError) as problem:
            self.failures.append(str(problem))
        finally:
            for stop in reversed(self._stops):
                stop()
            shutil.rmtree(self.folder, ignore_errors=True)
        print(json.dumps({"bench": self.name, **self.facts}))
        for line in self.failures:
            print("FAIL:", line)
        print("FAIL" if self.failures else "PASS")
        return 1 if self.failures else 0


class CountingSink:
    """Postfix's smtp-sink, and how many messages it has taken so far."""

    def __init__(self, *options, host="127.0.0.1", port=None):
        self.port = port or relays.free_port()
        as_nobody = ["-u", "nobody"] if os.getuid() == 0 else []
        self._process = subprocess.Popen([relays.tool("smtp-sink"), "-c", *as_nobody, *options, f"{host}:{self.port}", "2000"],
                                         stdout=subprocess.PIPE, stderr=subprocess.STDOUT, bufsize=0)
        self.count, self.last = 0, time.monotonic()
        threading.Thread(target=self._read, daemon=True).start()
        end = time.monotonic() + 10
        while time.monotonic() < end:
            try:
                socket.create_connection((host, self.port), timeout=1).close()
                return
            except OSError:
                time.sleep(0.02)
        raise RuntimeError("smtp-sink does not listen")

    def _read(self):
        while True:
            said = os.read(self._process.stdout.fileno(), 1 << 16)
            if not said:
                return
            numbers = re.findall(rb"\d+", said)
            if numbers and int(numbers[-1]) > self.count:
                self.count, self.last = int(numbers[-1]), time.monotonic()

    def wait_for(self, count, quiet_s=60.0):
        """Until `count` messages arrived; returns when the last one did."""
        self.last = time.monotonic()
        while self.count < count:
            if time.monotonic() - self.last > quiet_s:
                raise RuntimeError(f"only {self.count} of {count} messages arrived")
            time.sleep(0.005)
        return self.last

    def stop(self):
        self._process.kill()
        self._process.wait()


def smtp_source(port, messages, size=1024, sessions=20, recipient="b@dest.test", wait=True):
    """Postfix's smtp-source with connection reuse."""
    command = [relays.tool("smtp-source"), "-d", "-s", str(sessions), "-m", str(messages), "-l", str(size),
               "-f", "a@bench.test", "-t", recipient, f"127.0.0.1:{port}"]
    if not wait:
        return subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    return subprocess.run(command, check=True, timeout=1200)


class Session:
    """One client session that raises RuntimeError at any reply it does not like."""

    hello = b"client.bench.test"

    def __init__(self, port, timeout=120.0):
        self._socket = self._connect(port, timeout)
        self._socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self._replies = self._socket.makefile("rb")
        self._expect(b"220")
        self.say(b"EHLO %s\r\n" % self.hello, b"250")

    def _connect(self, port, timeout):
        return socket.create_connection(("127.0.0.1", port), timeout=timeout)

    def _expect(self, code):
        while True:
            line = self._replies.readline()
            if not line:
                raise RuntimeError("the relay closed the connection")
            if line[3:4] != b"-":
                break
        if not line.startswith(code):
            raise RuntimeError("the relay said " + line.decode(errors="replace").strip())

    def say(self, octets, *codes):
        self._socket.sendall(octets)
        for code in codes:
            self._expect(code)

    def hand_in(self, recipient, body, sender="a@bench.test"):
        """One message of headers and body, the body as a list of ready octets; returns after the 250."""
        self.say(b"MAIL FROM:<%s>\r\nRCPT TO:<%s>\r\nDATA\r\n" % (sender.encode(), recipient.encode()),
                 b"250", b"250", b"354")
        for octets in body:
            self._socket.sendall(octets)
        self.say(b".\r\n", b"250")

    def close(self):
        self._socket.close()


def hand_in_all(port, recipients, body, sessions=16):
    """A message for each recipient, over parallel sessions."""
    pending, lock, problems = iter(recipients), threading.Lock(), []

    def work():
        try:
            session = Session(port)
            while True:
                with lock:
                    recipient = next(pending, None)
                if recipient is None:
                    break
                session.hand_in(recipient, body)
            session.close()
        except (RuntimeError, OSError) as problem:
            problems.append(str(problem))

    threads = [threading.Thread(target=work, daemon=True) for _ in range(sessions)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    if problems:
        raise RuntimeError(f"handing in: {problems[0]}")


def body_of(octets):
    """Headers and about so many octets of text, in pieces that fit a socket."""
    header = b"From: <a@bench.test>\r\nTo: <b@dest.test>\r\nSubject: bench\r\n\r\n"
    block = LINE * max(1, 65536 // len(LINE))
    pieces = [header] + [block] * (octets // len(block))
    return pieces + [LINE * ((octets % len(block)) // len(LINE) + 1)]


def deliveries_in(summary):
    """How many deliveries `queue summary --json` counts, over all of its lines."""
    return sum(json.loads(line).get("deliveries", 0) for line in summary.splitlines() if line.strip())
