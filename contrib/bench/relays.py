"""Starts and stops relays for the benchmarks: Rockdove with a configuration of its own, on the
loopback and on free ports, everything below one folder."""
import http.client
import os
import pwd
import shutil
import signal
import socket
import subprocess
import time


# What no benchmark wants to measure: limits of one client address.
FREE_LISTENER = 'rate = "1000000/s"\nconnections = 5000\n'


def free_port():
    with socket.socket() as holder:
        holder.bind(("127.0.0.1", 0))
        return holder.getsockname()[1]


def greets(port, seconds=1.0, host="127.0.0.1"):
    """True when an SMTP server says 220 there."""
    try:
        with socket.create_connection((host, port), timeout=seconds) as connection:
            return connection.recv(512).startswith(b"220")
    except OSError:
        return False


def user():
    """Whom the daemon becomes when we are root: it gives up root's rights."""
    return "nobody" if os.getuid() == 0 else pwd.getpwuid(os.getuid()).pw_name


def give_away(folder):
    """Gives a folder and all below it to user()."""
    if os.getuid() != 0:
        return
    owner = pwd.getpwnam(user())
    for where, folders, files in os.walk(folder):
        for name in [where] + [os.path.join(where, name) for name in folders + files]:
            os.chown(name, owner.pw_uid, owner.pw_gid, follow_symlinks=False)


class ControlConnection(http.client.HTTPConnection):
    def __init__(self, path):
        super().__init__("rockdove")
        self._path = path

    def connect(self):
        self.sock = socket.socket(socket.AF_UNIX)
        self.sock.connect(self._path)


class Rockdove:
    """One daemon: configuration, state and log in `folder`, everything routed to 127.0.0.1:`sink`,
    or as `routes` (TOML) says. `extra` is TOML that goes to the end, `top` to the beginning."""

    def __init__(self, program, folder, port, sink, top="", routes=None, extra="", listener=FREE_LISTENER):
        self.program, self.folder, self.port = program, folder, port
        self.state = os.path.join(folder, "state")
        self.log = os.path.join(folder, "rockdove.log")
        self.config = os.path.join(folder, "rockdove.toml")
        self.process = None
        for name in ("state", "run"):
            os.makedirs(os.path.join(folder, name), exist_ok=True)
        if routes is None:
            routes = f'[[route]]\nto = "smtp://127.0.0.1:{sink}"\n'
        with open(self.config, "w", encoding="utf-8") as config:
            config.write(f"""\
hostname = "relay.bench.test"
state_dir = "{self.state}"
runtime_dir = "{folder}/run"
postmaster = "postmaster@bench.test"
user = "{user()}"
{top}
[log]
to = "{self.log}"
level = "info"

[[listener]]
name = "bench"
address = ["127.0.0.1:{port}"]
{listener}
{routes}
{extra}
""")
        self.command = [program, "serve", "--config", self.config]
        give_away(folder)

    def start(self, seconds=60.0):
        """Starts the daemon and waits until it greets; returns the seconds that it took."""
        began = time.monotonic()
        self.process = subprocess.Popen(self.command, stdin=subprocess.DEVNULL,
                                        stderr=open(os.path.join(self.folder, "stderr"), "ab"))
        while not greets(self.port):
            if self.process.poll() is not None or time.monotonic() - began > seconds:
                self.kill()
                raise RuntimeError(f"rockdove does not greet: {self.last_words()}")
            time.sleep(0.005)
        return time.monotonic() - began

    def configure(self, text, instead):
        """Changes its configuration for the next start."""
        with open(self.config, encoding="utf-8") as config:
            before = config.read()
        if text not in before:
            raise ValueError(f"{self.config} has no {text!r}")
        with open(self.config, "w", encoding="utf-8") as config:
            config.write(before.replace(text, instead))

    def last_words(self):
        words = ""
        for path in (os.path.join(self.folder, "stderr"), self.log):
            if os.path.exists(path):
                with open(path, encoding="utf-8", errors="replace") as text:
                    words += text.read()[-2000:]
        return words

    def stop(self, seconds=60.0):
        if self.process and self.process.poll() is None:
            self.process.terminate()
            try:
                self.process.wait(seconds)
            except subprocess.TimeoutExpired:
                self.kill()

    def kill(self):
        if self.process and self.process.poll() is None:
            self.process.send_signal(signal.SIGKILL)
            self.process.wait()

    def run(self, *words, seconds=60.0):
        """Runs a command of the program against this daemon and returns its output."""
        return subprocess.run([self.program, *words, "--config", self.config], capture_output=True, text=True,
                              timeout=seconds, check=True).stdout

    def metrics(self):
        """{'name{label="value"}': number}, in their order"""
        connection = ControlConnection(os.path.join(self.folder, "run", "control.sock"))
        connection.request("GET", "/metrics")
        text = connection.getresponse().read().decode()
        connection.close()
        return {line.rpartition(" ")[0]: float(line.rpartition(" ")[2]) for line in text.splitlines() if line[:1] != "#"}

    def rss_mib(self, which="VmRSS"):
        """Resident memory now (VmRSS) or at its peak (VmHWM), in MiB."""
        with open(f"/proc/{self.process.pid}/status", encoding="ascii") as status:
            for line in status:
                if line.startswith(which + ":"):
                    return int(line.split()[1]) / 1024
        raise RuntimeError(f"no {which} of process {self.process.pid}")

    def reset_peak(self):
        """Lets VmHWM begin anew at the present size."""
        with open(f"/proc/{self.process.pid}/clear_refs", "w", encoding="ascii") as file:
            file.write("5")


class Postfix:
    """The tuned Postfix of the peers' folder."""

    def __init__(self, peers, folder, port, sink):
        self.peer = os.path.join(peers, "postfix-peer")
        self.folder, self.port, self.sink = folder, port, sink
        self.pid = None

    def start(self):
        said = subprocess.run([self.peer, "start", self.folder, str(self.port), str(self.sink)],
                              capture_output=True, text=True, check=True, timeout=60)
        self.pid = int(said.stdout.strip())
        end = time.monotonic() + 20
        while not greets(self.port):
            if time.monotonic() > end:
                raise RuntimeError("postfix does not greet")
            time.sleep(0.05)

    def stop(self):
        subprocess.run([self.peer, "stop", self.folder], capture_output=True, check=False, timeout=60)
        end = time.monotonic() + 20
        while self.pid and os.path.exists(f"/proc/{self.pid}") and time.monotonic() < end:
            time.sleep(0.05)


def tool(name):
    path = shutil.which(name, path=os.environ.get("PATH", "") + ":/usr/sbin")
    if not path:
        raise RuntimeError(f"{name} is missing: contrib/install_packages test")
    return path
