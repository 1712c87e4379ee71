"""A Dovecot of its own: LMTP over TCP and over a Unix socket into maildirs, submission that passes mail
on to a sink, and the logins that Postfix asks it about."""

import os
import pwd
import subprocess

from knot import free_port
from relay import until
from sinks import can_connect

CONFIGURATION = """base_dir = {dir}/run
state_dir = {dir}/state
log_path = {dir}/log
protocols = lmtp submission
listen = 127.0.0.1
ssl = yes
ssl_cert = <{certificate}
ssl_key = <{key}
disable_plaintext_auth = no
auth_mechanisms = plain login
hostname = dovecot.example
mail_save_crlf = yes
mail_location = maildir:{dir}/mail/%u
first_valid_uid = 1
submission_relay_host = 127.0.0.1
submission_relay_port = {sink}
submission_relay_trusted = no
passdb {{
  driver = static
  args = password={password}
}}
userdb {{
  driver = static
  args = uid={uid} gid={gid} home={dir}/mail/%u allow_all_users=yes
}}
service lmtp {{
  process_min_avail = 1
  inet_listener lmtp {{
    address = 127.0.0.1
    port = {lmtp}
  }}
  unix_listener {dir}/lmtp.sock {{
    mode = 0666
  }}
}}
service submission-login {{
  inet_listener submission {{
    address = 127.0.0.1
    port = {submission}
  }}
  inet_listener submissions {{
    address = 127.0.0.1
    port = {submissions}
    ssl = yes
  }}
}}
service auth {{
  unix_listener {dir}/auth.sock {{
    mode = 0666
  }}
}}
"""


class Dovecot:
    def __init__(self, folder, certificate, password, sink_port):
        self.folder = os.path.join(folder, "dovecot")
        self.certificate, self.key = certificate
        self.password = password
        self.sink_port = sink_port
        self.lmtp_port = self.submission_port = self.submissions_port = None
        self.process = None

    @property
    def lmtp_socket(self):
        return os.path.join(self.folder, "lmtp.sock")

    @property
    def auth_socket(self):
        return os.path.join(self.folder, "auth.sock")

    def start(self):
        nobody = pwd.getpwnam("nobody")
        for name in ("", "run", "state", "mail"):
            os.makedirs(os.path.join(self.folder, name), exist_ok=True)
        os.chown(os.path.join(self.folder, "mail"), nobody.pw_uid, nobody.pw_gid)
        self.lmtp_port, self.submission_port, self.submissions_port = free_port(), free_port(), free_port()
        path = os.path.join(self.folder, "dovecot.conf")
        with open(path, "w") as file:
            file.write(CONFIGURATION.format(
                dir=self.folder, certificate=self.certificate, key=self.key, password=self.password, uid=nobody.pw_uid,
                gid=nobody.pw_gid, lmtp=self.lmtp_port, submission=self.submission_port, submissions=self.submissions_port,
                sink=self.sink_port))
        self.process = subprocess.Popen(["/usr/sbin/dovecot", "-F", "-c", path], stdin=subprocess.DEVNULL)
        until(lambda: self.process.poll() is not None or
              (can_connect("127.0.0.1", self.lmtp_port) and can_connect("127.0.0.1", self.submission_port)), self.log)
        if self.process.poll() is not None:
            raise AssertionError("Dovecot does not start:\n" + self.log())

    def stop(self):
        if self.process is not None and self.process.poll() is None:
            self.process.terminate()
            self.process.wait(30)

    def log(self):
        try:
            with open(os.path.join(self.folder, "log"), errors="replace") as file:
                return file.read()[-5000:]
        except OSError:
            return ""

    def mailbox(self, recipient):
        """The one message in this recipient's maildir, or None."""
        folder = os.path.join(self.folder, "mail", recipient, "new")
        names = os.listdir(folder) if os.path.isdir(folder) else []
        if not names:
            return None
        with open(os.path.join(folder, names[0]), "rb") as file:
            return file.read()


class Lmtp:
    """One of its two LMTP doors as a next hop."""
    scheme = "lmtp"

    def __init__(self, dovecot, name, url):
        self.dovecot = dovecot
        self.name = name
        self.url = url
        self.log = dovecot.log

    def arrived(self, recipient):
        raw = self.dovecot.mailbox(recipient)
        if raw is None:
            return None
        return raw, b" with LMTPS" in raw.partition(b"\r\nReceived: from client")[0], False


class Submission:
    """Its submission service as a next hop; what it is given arrives at the sink."""
    name = "Dovecot submission"
    scheme = "smtp"

    def __init__(self, dovecot, arrivals):
        self.dovecot = dovecot
        self.arrivals = arrivals
        self.log = dovecot.log

    def arrived(self, recipient):
        found = self.arrivals.get(recipient)
        if found is None:
            return None
        received = found.partition(b"\r\nReceived: from client")[0]
        return found, b"ESMTPS" in received, b"ESMTPSA" in received or b"ESMTPA" in received
