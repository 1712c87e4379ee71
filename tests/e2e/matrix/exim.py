"""Exim as a next hop and as a client, beside Postfix although Debian's packages exclude each other:
its package is only unpacked. It runs as `nobody`; libnss-wrapper shows it the account that the
package would have made. One instance plays both parts."""

import os
import pwd
import re
import shutil
import signal
import subprocess

from knot import free_port
from relay import until
from sinks import can_connect

CONFIGURATION = """keep_environment = LD_PRELOAD : NSS_WRAPPER_PASSWD : NSS_WRAPPER_GROUP
exim_path = {program}
spool_directory = {dir}/spool
log_file_path = {dir}/log/%slog
log_selector = +tls_certificate_verified
pid_file_path = {dir}/exim.pid
notifier_socket =
primary_hostname = exim.example
daemon_smtp_ports = {ports[none]} : {ports[auth]} : {ports[smtps]} : {ports[smtps-auth]} : {ports[submit]}
tls_on_connect_ports = {ports[smtps]} : {ports[smtps-auth]}
local_interfaces = 127.0.0.1
deliver_drop_privilege
trusted_users = nobody
host_lookup =
rfc1413_query_timeout = 0s
queue_run_in_order
message_size_limit = 60M
recipients_max = 1000
smtp_accept_max = 200
smtp_accept_queue_per_connection = 0
remote_max_parallel = 8
tls_advertise_hosts = *
tls_certificate = {certificate}
tls_privatekey = {key}
auth_advertise_hosts = ${{if {wants_login}{{*}}{{}}}}
acl_smtp_rcpt = acl_rcpt
acl_smtp_data = acl_data
begin acl
acl_rcpt:
  deny condition = ${{if {wants_login}}}
       !authenticated = *
       message = 5.7.0 authenticate first
  accept
acl_data:
  accept
begin routers
{routers}
keep:
  driver = accept
  transport = keep
begin transports
keep:
  driver = appendfile
  directory = {dir}/mail
  maildir_format
  batch_max = 1000
  use_crlf
  envelope_to_add
{transports}
begin authenticators
plain:
  driver = plaintext
  public_name = PLAIN
  server_prompts = :
  server_condition = ${{if and{{{{eq{{$auth2}}{{{user}}}}}{{eq{{$auth3}}{{{password}}}}}}}}}
  server_set_id = $auth2
  client_send = ^{user}^{password}
  client_condition = ${{if match{{$address_data}}{{plain}}}}
login:
  driver = plaintext
  public_name = LOGIN
  server_prompts = Username:: : Password::
  server_condition = ${{if and{{{{eq{{$auth1}}{{{user}}}}}{{eq{{$auth2}}{{{password}}}}}}}}}
  server_set_id = $auth1
  client_send = : {user} : {password}
"""

ROUTER = """to_{label}:
  driver = manualroute
  local_parts = ^exim-{name}-
  address_data = {mechanism}
  route_list = * 127.0.0.1
  self = send
  transport = to_{label}
  no_more
"""

TRANSPORT = """to_{label}:
  driver = smtp
  port = {port}
  helo_data = client.example
  allow_localhost
  multi_domain
  hosts_try_fastopen =
  tls_verify_certificates = {ca}
  tls_sni = localhost
  tls_verify_cert_hostnames =
{options}"""


def transport_options(door):
    options = []
    if door.tls == "clear":
        options += ["hosts_avoid_tls = *"]
    elif door.tls == "starttls":
        options += ["hosts_require_tls = *", "tls_verify_hosts = *"]
    else:
        options += ["protocol = smtps", "tls_verify_hosts = *"]
    if door.auth != "none":
        options += ["hosts_require_auth = *"]
    return "".join("  %s\n" % option for option in options)


def unpack(cache):
    """The program, from Debian's packages unpacked into this folder, once."""
    program = os.path.join(cache, "root/usr/sbin/exim4")
    if not os.path.exists(program):
        shutil.rmtree(cache, ignore_errors=True)
        os.makedirs(cache)
        subprocess.run(["apt-get", "download", "exim4-daemon-light"], cwd=cache, check=True, capture_output=True, timeout=120)
        package, = [name for name in os.listdir(cache) if name.endswith(".deb")]
        subprocess.run(["dpkg", "-x", package, "root"], cwd=cache, check=True, timeout=60)
        os.chmod(program, 0o755)  # not setuid: all of it runs as one user
    return program


class Exim:
    name = "Exim"
    scheme = "smtp"

    def __init__(self, cache, folder, certificate, user, password):
        self.program = unpack(cache)
        self.folder = os.path.join(folder, "exim")
        self.certificate, self.key = certificate
        self.user, self.password = user, password
        self.ports = {}
        self.process = None
        self._seen = {}

    def start(self, doors):
        """`doors` are where it is a client: {name: Door}."""
        nobody = pwd.getpwnam("nobody")
        for name in ("", "spool", "log", "mail", "mail/tmp", "mail/new", "mail/cur"):
            path = os.path.join(self.folder, name)
            os.makedirs(path, exist_ok=True)
            os.chown(path, nobody.pw_uid, nobody.pw_gid)
        account = "Debian-exim:x:%d:%d::/nonexistent:/usr/sbin/nologin\n" % (nobody.pw_uid, nobody.pw_gid)
        self._write("passwd", open("/etc/passwd").read() + account)
        self._write("group", open("/etc/group").read() + "Debian-exim:x:%d:\n" % nobody.pw_gid)
        self.ports = {kind: free_port() for kind in ("none", "auth", "smtps", "smtps-auth", "submit")}
        wants_login = "or{%s}" % "".join("{eq{$received_port}{%d}}" % self.ports[kind] for kind in ("auth", "smtps-auth"))
        routers = "".join(ROUTER.format(name=name, label=name.replace("-", "_"), mechanism=door.auth) for name, door in doors.items())
        transports = "".join(TRANSPORT.format(label=name.replace("-", "_"), port=door.port, ca=door.ca, options=transport_options(door))
                             for name, door in doors.items())
        self._write("exim.conf", CONFIGURATION.format(
            program=self.program, dir=self.folder, certificate=self.certificate, key=self.key, ports=self.ports, wants_login=wants_login,
            routers=routers, transports=transports, user=self.user, password=self.password))
        environment = {**os.environ, "LD_PRELOAD": "libnss_wrapper.so",
                       "NSS_WRAPPER_PASSWD": os.path.join(self.folder, "passwd"),
                       "NSS_WRAPPER_GROUP": os.path.join(self.folder, "group")}
        with open(os.path.join(self.folder, "stderr"), "wb") as stderr:
            self.process = subprocess.Popen([self.program, "-C", os.path.join(self.folder, "exim.conf"), "-bdf", "-odf"],
                                            env=environment, stdin=subprocess.DEVNULL, stdout=stderr, stderr=stderr)
        until(lambda: self.process.poll() is not None or can_connect("127.0.0.1", self.ports["none"]), self.log)
        if self.process.poll() is not None:
            raise AssertionError("Exim does not start:\n" + self.log())

    def stop(self):
        if self.process is not None and self.process.poll() is None:
            self.process.send_signal(signal.SIGTERM)
            self.process.wait(30)

    def _write(self, name, text):
        with open(os.path.join(self.folder, name), "w") as file:
            file.write(text)

    def log(self):
        text = ""
        for path in ("stderr", "log/mainlog", "log/paniclog"):
            path = os.path.join(self.folder, path)
            if os.path.exists(path):
                with open(path, errors="replace") as file:
                    text += file.read()[-5000:]
        return text

    def arrived(self, recipient):
        """(octets, over TLS, authenticated) of the message for this recipient, None if it has not come."""
        folder = os.path.join(self.folder, "mail/new")
        for name in os.listdir(folder):
            if name not in self._seen:
                with open(os.path.join(folder, name), "rb") as file:
                    raw = file.read()
                envelope, _, rest = raw.partition(b"\r\nReceived:")
                self._seen[name] = (envelope.lower(), b"Received:" + rest)
        for envelope, raw in self._seen.values():
            if recipient.encode() in envelope:
                received = raw.partition(b"\r\nReceived:")[0]
                how = re.search(rb"\swith esmtp(s?)(a?)\s", received)
                return raw, bool(how and how[1]), bool(how and how[2])
        return None
