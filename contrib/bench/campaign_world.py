"""The world of a campaign: DNS zones, the sinks, the traffic profiles by the run's clock, a client that hands a mailing in."""
import collections
import json
import os
import re
import signal
import socket
import subprocess
import sys
import threading
import time
import tomllib

HERE = os.path.dirname(os.path.abspath(__file__))
sys.path.insert(0, os.path.join(HERE, "..", "..", "tests", "e2e", "support"))
import knot  # noqa: E402

PROFILES = os.path.join(HERE, "..", "traffic")
RETRY_S = [300, 900, 1800, 3600, 7200, 14400]  # of the world's clock, as the relay's default
UNITS_S = {"ms": 0.001, "s": 1, "m": 60, "h": 3600, "d": 86400}
RATE_KEYS = r"(?:rate|connection_rate|backoff_floor|bytes)"
TIME_KEYS = r"(?:pause|set_for|retry_in|after|retry)"


def duration(seconds):
    return f"{max(1000, round(seconds * 1000))}ms"  # profiles take no less than a second


def scaled(text, factor):
    """A file of profiles for a clock that goes `factor` times as fast. Windows of an hour and more keep their length,
    since no other can be written; none of the providers of a campaign has one."""
    def faster(found):
        return re.sub(r"(\d+)(?=[KMG]?/)", lambda count: str(int(count[1]) * factor), found[0])

    def shorter(found):
        return re.sub(r"(\d+)(ms|s|m|h|d)\b", lambda time: duration(int(time[1]) * UNITS_S[time[2]] / factor), found[0])

    text = re.sub(rf"^{RATE_KEYS} *=.*$", faster, text, flags=re.MULTILINE)
    return re.sub(rf"^{TIME_KEYS} *=.*$", shorter, text, flags=re.MULTILINE)


def read_profiles():
    """The shipped profiles as one table."""
    table = {"default": {}, "provider": {}}
    for name in sorted(os.listdir(PROFILES)):
        with open(os.path.join(PROFILES, name), "rb") as file:
            read = tomllib.load(file)
        table["default"].update(read.get("default", {}))
        table["provider"].update(read.get("provider", {}))
    return table


def write_profiles(folder, factor):
    os.makedirs(folder)
    for name in sorted(os.listdir(PROFILES)):
        with open(os.path.join(PROFILES, name), encoding="utf-8") as file:
            text = scaled(file.read(), factor)
        with open(os.path.join(folder, name), "w", encoding="utf-8") as file:
            file.write(text)
    return folder


def address_of(index):
    return f"127.61.{index + 1}.1"


def zones(providers):
    """What Knot takes: the MX hosts of all domains, and an address for each provider."""
    lines = {"com": [], "net": [], "example": []}
    hosts = {}
    for index, provider in enumerate(providers):
        for domain, names in provider.hosts.items():
            lines[domain.rpartition(".")[2]] += [f"{domain}. MX 10 {name}." for name in names]
            hosts.update({name: address_of(index) for name in names})
    for name, address in hosts.items():
        lines[name.rpartition(".")[2]].append(f"{name}. A {address}")
    return lines


def provider_section(provider, address, port, replies, too_many, greylisted):
    keys = {"listen": [f"{address}:{port}"]}
    if provider.limits:
        per = f"{provider.window_ms}ms"
        keys |= {"limit": f"{provider.limits[0][1]}/{per}", "window": provider.kind, "connections": provider.connections,
                 "over_connections": too_many, "over_limit_at": replies[provider.name][0], "over_limit": replies[provider.name][1]}
    if provider.messages_per_connection:
        keys["messages_per_connection"] = provider.messages_per_connection
    if provider.greylist:
        keys |= {"greylist": f"{round(provider.greylist * 1000)}ms", "greylisted": greylisted}
    if provider.tarpit:
        keys |= {"tarpit": f"{max(1, round(provider.tarpit * 1000))}ms", "tarpit_at": "rcpt"}
    text = f"[provider.{provider.name}]\n" + "".join(f"{key} = {json.dumps(value)}\n" for key, value in keys.items())
    for at, count in provider.limits[1:]:
        text += f'[[provider.{provider.name}.change]]\nat = "{max(1, round(at * 1000))}ms"\nlimit = "{count}/{per}"\n'
    return text


def write_list(path, recipients):
    """What `rockdove plan` takes: domains and counts."""
    counts = collections.Counter(recipient.rpartition("@")[2] for recipient in recipients)
    with open(path, "w", encoding="utf-8") as file:
        file.write("".join(f"{domain},{count}\n" for domain, count in sorted(counts.items())))
    return path


def write_mx_map(path, providers):
    """The same world as zones() for `rockdove plan --mx-map`."""
    with open(path, "w", encoding="utf-8") as file:
        for provider in providers:
            file.write("".join(f"{domain} {' '.join(names)}\n" for domain, names in provider.hosts.items()))
    return path


def ask_plan(relay, folder, providers, recipients, *options):
    """What `rockdove plan` says, by provider: {name: its JSON line}; "elsewhere" is the slowest of all others."""
    said = relay.run("plan", write_list(os.path.join(folder, "list.csv"), recipients), "--json",
                     "--mx-map", write_mx_map(os.path.join(folder, "mx-map"), providers), *options, seconds=300)
    plans = {}
    for line in map(json.loads, said.splitlines()):
        if line.get("total"):
            continue
        name = line["account"].removeprefix("provider:") if line["account"].startswith("provider:") else "elsewhere"
        if name not in plans or plans[name]["seconds"] < line["seconds"]:
            plans[name] = line
    return plans


class Sinks:
    """`rockdove sink --providers`, and what its log says so far."""

    def __init__(self, program, folder, sections, listeners):
        self.log, self.report = os.path.join(folder, "answers.csv"), os.path.join(folder, "sinks.json")
        path = os.path.join(folder, "providers.toml")
        with open(path, "w", encoding="utf-8") as file:
            file.write(sections)
        with open(self.report, "wb") as report:
            self._process = subprocess.Popen([program, "sink", "--json", "--providers", path, "--log", self.log],
                                             stdin=subprocess.DEVNULL, stdout=report, stderr=report)
        self._read, self._rest = 0, b""
        end = time.monotonic() + 20
        while self.said().count('"listening"') < listeners:  # a connection would start their clock
            if self._process.poll() is not None or time.monotonic() > end:
                self.stop()
                raise RuntimeError("the sinks do not listen: " + self.said())
            time.sleep(0.02)

    def said(self):
        with open(self.report, encoding="utf-8") as report:
            return report.read()

    def new_answers(self):
        """[(time, provider, verdict, stage, recipient)] since the last call."""
        with open(self.log, "rb") as file:
            file.seek(self._read)
            octets = file.read()
        self._read += len(octets)
        whole, _, self._rest = (self._rest + octets).rpartition(b"\n")
        return [(float(when), *rest) for when, *rest in (line.split(",", 4) for line in whole.decode().splitlines())
                if when != "time"]

    def stop(self):
        if self._process.poll() is None:
            self._process.send_signal(signal.SIGTERM)
            self._process.wait(30)


class Client:
    """Hands messages in over one connection, several under way at once (PIPELINING, CHUNKING)."""

    UNDER_WAY = 50
    HEADER = b"From: <news@sender.example>\r\nSubject: our news\r\nMIME-Version: 1.0\r\n"

    def __init__(self, host, port, body):
        self._socket = socket.create_connection((host, port), timeout=120)
        self._socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self._replies, self._body = self._socket.makefile("rb"), body
        self._expect(b"220")
        self._socket.sendall(b"EHLO client.sender.example\r\n")
        self._expect(b"250")

    def _expect(self, code):
        while True:
            line = self._replies.readline()
            if not line.startswith(code):
                raise RuntimeError("the server said " + (line.decode(errors="replace").strip() or "nothing"))
            if line[3:4] != b"-":
                return

    def hand_in(self, recipients, header=b""):
        """A message to each, `header` on top of its own lines; returns after the last 250."""
        waiting = 0
        for recipient in recipients:
            content = header + self.HEADER + b"To: <%s>\r\n\r\n" % recipient.encode() + self._body
            self._socket.sendall(b"MAIL FROM:<news@sender.example>\r\nRCPT TO:<%s>\r\nBDAT %d LAST\r\n"
                                 % (recipient.encode(), len(content)) + content)
            waiting += 1
            if waiting == self.UNDER_WAY:
                self._take(1)
                waiting -= 1
        self._take(waiting)

    def _take(self, messages):
        for _ in range(3 * messages):
            self._expect(b"250")

    def close(self):
        self._socket.close()


def hand_in_all(host, port, recipients, octets, sessions=8):
    """A message of `octets` to each recipient; returns the seconds until the last 250."""
    line = b"The quick brown fox jumps over the lazy dog and has some time left over.\r\n"
    body, problems, began = line * max(1, octets // len(line)), [], time.monotonic()

    def work(share):
        try:
            client = Client(host, port, body)
            client.hand_in(share)
            client.close()
        except (RuntimeError, OSError) as problem:
            problems.append(str(problem))

    threads = [threading.Thread(target=work, args=(recipients[start::sessions],), daemon=True) for start in range(sessions)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    if problems:
        raise RuntimeError("handing in: " + problems[0])
    return time.monotonic() - began
