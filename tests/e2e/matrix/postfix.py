"""A Postfix of its own as a next hop, which keeps all mail on hold, and as a client, which passes what
comes to its port `submit` on to the relay, by one transport for each door."""

import os
import shutil
import subprocess

from knot import free_port
from relay import until
from sinks import POSTFIX_SETTINGS, can_connect

SETTINGS = POSTFIX_SETTINGS + """smtpd_tls_cert_file = {certificate}
smtpd_tls_key_file = {key}
smtpd_tls_security_level = may
smtpd_tls_received_header = yes
smtpd_sasl_type = dovecot
smtpd_sasl_path = {auth_socket}
smtpd_sasl_authenticated_header = yes
smtpd_sasl_security_options = noanonymous
smtpd_client_connection_count_limit = 0
smtpd_peername_lookup = no
tls_random_source = dev:/dev/urandom
transport_maps = regexp:{dir}/transports
smtp_host_lookup = native
smtp_tls_CAfile = {ca}
smtp_sasl_password_maps = inline:{{ localhost={user}:{password} }}
smtp_sasl_security_options = noanonymous
smtp_helo_name = client.example
smtp_destination_recipient_limit = 1000
smtp_tls_session_cache_database =
address_verify_map =
"""

SERVICES = (("cleanup", "unix", "-", "0", "cleanup"), ("qmgr", "unix", "300", "1", "qmgr"), ("rewrite", "unix", "-", "-", "trivial-rewrite"),
            ("bounce", "unix", "-", "0", "bounce"), ("defer", "unix", "-", "0", "bounce"), ("anvil", "unix", "-", "1", "anvil"),
            ("proxymap", "unix", "-", "-", "proxymap"), ("error", "unix", "-", "-", "error"), ("retry", "unix", "-", "-", "error"),
            ("tlsmgr", "unix", "1000?", "1", "tlsmgr"), ("scache", "unix", "-", "1", "scache"), ("trace", "unix", "-", "0", "bounce"),
            ("smtp", "unix", "-", "-", "smtp"), ("postlog", "unix-dgram", "-", "1", "postlogd"))


def transport(name, door):
    """A line of master.cf for mail to this door."""
    level = {"clear": "none", "starttls": "encrypt", "implicit": "encrypt"}[door.tls]
    options = ["smtp_tls_security_level=" + level, "smtp_sasl_auth_enable=" + ("no" if door.auth == "none" else "yes")]
    if door.tls == "implicit":
        options.append("smtp_tls_wrappermode=yes")
    if door.auth != "none":
        options.append("smtp_sasl_mechanism_filter=" + door.auth)
    return "to-%s unix - - n - 20 smtp %s\n" % (name, " ".join("-o " + option for option in options))


class Postfix:
    name = "Postfix"
    scheme = "smtp"

    def __init__(self, folder, certificate, ca, user, password, auth_socket):
        self.folder = os.path.join(folder, "postfix")
        self.values = {"certificate": certificate[0], "key": certificate[1], "ca": ca, "user": user, "password": password,
                       "auth_socket": auth_socket, "dir": self.folder}
        self.ports = {}
        self._seen = {}

    def start(self, doors):
        """`doors` are where it is a client: {name: Door}."""
        os.makedirs(self.folder)
        os.chmod(self.folder, 0o755)
        for name in ("spool", "data"):
            os.mkdir(os.path.join(self.folder, name))
        shutil.chown(os.path.join(self.folder, "data"), "postfix")
        self.ports = {kind: free_port() for kind in ("none", "auth", "smtps", "smtps-auth", "submit")}
        self._write("main.cf", SETTINGS.format(**self.values))
        self._write("transports", "".join("/^postfix-%s-/ to-%s:[localhost]:%d\n" % (name, name, door.port)
                                          for name, door in doors.items()))
        login = " -o smtpd_sasl_auth_enable=yes -o smtpd_relay_restrictions=permit_sasl_authenticated,reject"
        wrapped = " -o smtpd_tls_wrappermode=yes"
        master = ""
        for kind, options in (("none", ""), ("auth", login), ("smtps", wrapped), ("smtps-auth", wrapped + login)):
            master += "127.0.0.1:%d inet n - n - 100 smtpd%s\n" % (self.ports[kind], options)
        master += "127.0.0.1:%d inet n - n - 100 smtpd -o smtpd_client_restrictions=\n" % self.ports["submit"]
        for name, kind, wakeup, limit, program in SERVICES:
            private = "n" if name in ("cleanup", "qmgr", "postlog") else "-"
            master += "%s %s %s - n %s %s %s\n" % (name, kind, private, wakeup, limit, program)
        self._write("master.cf", master + "".join(transport(name, door) for name, door in doors.items()))
        done = subprocess.run(["postfix", "-c", self.folder, "start"], timeout=60, capture_output=True, text=True)
        if done.returncode != 0:
            raise AssertionError("Postfix does not start:\n" + done.stderr + self.log())
        until(lambda: can_connect("127.0.0.1", self.ports["none"]), self.log)

    def stop(self):
        subprocess.run(["postfix", "-c", self.folder, "stop"], timeout=60, capture_output=True)

    def _write(self, name, text):
        with open(os.path.join(self.folder, name), "w") as file:
            file.write(text)

    def log(self):
        try:
            with open(os.path.join(self.folder, "log"), errors="replace") as file:
                return file.read()[-5000:]
        except OSError:
            return ""

    def arrived(self, recipient):
        """(octets, over TLS, authenticated) of the message for this recipient, None if it has not come."""
        hold = os.path.join(self.folder, "spool", "hold")
        for name in os.listdir(hold) if os.path.isdir(hold) else []:
            if name not in self._seen:
                show = lambda part: subprocess.run(["postcat", "-c", self.folder, "-q", *part, name],
                                                   timeout=60, capture_output=True).stdout
                self._seen[name] = (show(["-e"]), show(["-hb"]).replace(b"\n", b"\r\n"))
        for envelope, raw in self._seen.values():
            if b"recipient: %s\n" % recipient.encode() in envelope:
                received = raw.partition(b"\r\nReceived: from client")[0][:1500]
                return raw, b"(using TLS" in received, b"(Authenticated sender: " in received
        return None
