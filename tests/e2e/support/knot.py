"""A real DNS server for tests: Debian's knotd, on a free loopback port, out of a temporary folder.

    with Knot({"example.net": ["@ MX 10 mx", "mx A 192.0.2.1"]}) as knot:
        ... knot.port ...

Each zone is a list of lines of a zone file (RFC 1035 §5); SOA and NS are added. A zone that is None
is configured without a file, so the server answers SERVFAIL for it. Names in no zone get REFUSED,
so give a parent zone (as "example") where NXDOMAIN is wanted.
"""

import os
import shutil
import socket
import struct
import subprocess
import tempfile
import time

NEGATIVE_TTL = 77  # the SOA's minimum, seconds


def free_port():
    """A port of 127.0.0.1 that is free for both UDP and TCP."""
    for _ in range(50):
        with socket.socket(socket.AF_INET, socket.SOCK_STREAM) as tcp:
            tcp.bind(("127.0.0.1", 0))
            port = tcp.getsockname()[1]
            with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as udp:
                try:
                    udp.bind(("127.0.0.1", port))
                except OSError:
                    continue
            return port
    raise RuntimeError("no free port on 127.0.0.1")


def ask_soa(port, zone, timeout=0.2):
    """The RCODE that 127.0.0.1:port gives for the SOA of `zone`; None without an answer."""
    labels = b"".join(bytes([len(l)]) + l.encode() for l in zone.rstrip(".").split("."))
    question = struct.pack(">6H", 4711, 0, 1, 0, 0, 0) + labels + b"\0" + struct.pack(">2H", 6, 1)
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as udp:
        udp.settimeout(timeout)
        try:
            udp.connect(("127.0.0.1", port))
            udp.send(question)
            reply = udp.recv(4096)
        except OSError:
            return None
    return reply[3] & 15 if len(reply) >= 12 and reply[:2] == question[:2] else None


class Knot:
    def __init__(self, zones, ttl=300):
        self.zones = zones
        self.ttl = ttl
        self.port = None
        self.folder = None
        self.process = None

    def __enter__(self):
        self.folder = tempfile.mkdtemp(prefix="rockdove-knot-")
        try:
            for _ in range(5):  # somebody else may take the port before knotd does
                self.port = free_port()
                self._write_files()
                self._start()
                if self._wait():
                    return self
                self._stop()
            raise RuntimeError("knotd does not start:\n" + self.log())
        except BaseException:
            self.__exit__(None, None, None)
            raise

    def __exit__(self, *_):
        self._stop()
        if self.folder:
            shutil.rmtree(self.folder, ignore_errors=True)
            self.folder = None

    @property
    def address(self):
        return "127.0.0.1:%d" % self.port

    def log(self):
        with open(os.path.join(self.folder, "knotd.log"), errors="replace") as log:
            return log.read()

    def _write_files(self):
        for zone, lines in self.zones.items():
            if lines is None:
                continue
            with open(os.path.join(self.folder, zone + ".zone"), "w") as file:
                file.write("$ORIGIN %s.\n$TTL %d\n" % (zone, self.ttl))
                file.write("@ SOA ns.%s. root.%s. 1 3600 600 86400 %d\n" % (zone, zone, NEGATIVE_TTL))
                file.write("@ NS ns.%s.\nns.%s. A 127.0.0.1\n" % (zone, zone))
                file.write("".join(line + "\n" for line in lines))
        with open(os.path.join(self.folder, "knot.conf"), "w") as file:
            file.write("server:\n  rundir: %s\n  listen: 127.0.0.1@%d\n" % (self.folder, self.port))
            file.write("  udp-workers: 1\n  tcp-workers: 1\n  background-workers: 1\n")
            file.write("database:\n  storage: %s\n" % self.folder)
            file.write("log:\n  - target: stderr\n    any: info\n")
            file.write("template:\n  - id: default\n    storage: %s\n" % self.folder)
            file.write("    zonefile-sync: -1\n    journal-content: none\nzone:\n")
            for zone in self.zones:
                file.write("  - domain: %s\n    file: %s.zone\n" % (zone, zone))

    def _start(self):
        with open(os.path.join(self.folder, "knotd.log"), "ab") as log:
            self.process = subprocess.Popen(
                ["/usr/sbin/knotd", "-c", os.path.join(self.folder, "knot.conf")],
                stdin=subprocess.DEVNULL, stdout=log, stderr=log)

    def _wait(self):
        served = [zone for zone, lines in self.zones.items() if lines is not None]
        give_up = time.monotonic() + 20
        while time.monotonic() < give_up and self.process.poll() is None:
            if all(ask_soa(self.port, zone) == 0 for zone in served):
                return True
            time.sleep(0.02)
        return False

    def _stop(self):
        if self.process is None:
            return
        self.process.terminate()
        try:
            self.process.wait(10)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait()
        self.process = None
