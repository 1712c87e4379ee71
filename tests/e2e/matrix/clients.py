"""Real programs as clients of the relay. Each hands one letter in, the way it is told to, and says
whether the server took it."""

import collections
import json
import os
import smtplib
import ssl
import subprocess

import letters

HERE = os.path.dirname(os.path.abspath(__file__))
TIMEOUT = 120

# Where and how: tls is "clear", "starttls" or "implicit"; auth is "none", "plain" or "login".
Door = collections.namedtuple("Door", "host port tls auth user password ca")

# What became of it: taken or not, and what the program said.
Sent = collections.namedtuple("Sent", "taken said")

SENDER = "a@client.example"


def run(arguments, **options):
    done = subprocess.run(arguments, capture_output=True, timeout=TIMEOUT, **options)
    return Sent(done.returncode == 0, (done.stdout + done.stderr).decode(errors="replace")[-600:])


class Client:
    """`composes`: it makes its own header and encodes the text as it likes, so the text is compared
    behind MIME. `cannot` has what it has no means to do: {letter or door's tls or auth: why}."""
    name = ""
    composes = False
    cannot = {}

    def __init__(self, folder):
        self.folder = folder
        self._count = 0

    def file(self, octets, number=None):
        path = os.path.join(self.folder, "%s-%s" % (self.name.replace(" ", ""), number))
        with open(path, "wb") as file:
            file.write(octets)
        return path


class Swaks(Client):
    name = "swaks"
    cannot = {"0 octets": "swaks puts its own template in the place of an empty message."}

    def send(self, door, letter, recipients, ident):
        # Its own treatment of the data is off, so it gets what goes over the wire.
        data = self.file(letters.on_the_wire(letter.raw)[:-2], ident)
        arguments = ["swaks", "--server", door.host, "--port", str(door.port), "--ehlo", "client.example", "--from", SENDER,
                     "--to", ",".join(recipients), "--data", "@" + data, "--no-data-fixup"]
        if door.tls != "clear":
            arguments += ["--tls" if door.tls == "starttls" else "--tls-on-connect", "--tls-verify", "--tls-ca-path", door.ca]
        if door.auth != "none":
            arguments += ["--auth", door.auth.upper(), "--auth-user", door.user, "--auth-password", door.password]
        return run(arguments)


class Curl(Client):
    name = "curl"

    def send(self, door, letter, recipients, ident):
        scheme = "smtps" if door.tls == "implicit" else "smtp"
        arguments = ["curl", "-sS", "-4", "%s://%s:%d/client.example" % (scheme, door.host, door.port), "--mail-from", SENDER,
                     "-T", self.file(letter.raw, ident), "--cacert", door.ca]
        for recipient in recipients:
            arguments += ["--mail-rcpt", recipient]
        if door.tls == "starttls":
            arguments += ["--ssl-reqd"]
        if door.auth != "none":
            arguments += ["--user", "%s:%s" % (door.user, door.password), "--login-options", "AUTH=" + door.auth.upper()]
        return run(arguments)


class Smtplib(Client):
    name = "Python smtplib"

    def send(self, door, letter, recipients, ident):
        context = ssl.create_default_context(cafile=door.ca)
        kind = smtplib.SMTP_SSL if door.tls == "implicit" else smtplib.SMTP
        options = {"context": context} if door.tls == "implicit" else {}
        try:
            with kind(door.host, door.port, "client.example", timeout=TIMEOUT, **options) as client:
                if door.tls == "starttls":
                    client.starttls(context=context)
                client.ehlo()
                if door.auth != "none":
                    client.user, client.password = door.user, door.password
                    client.auth(door.auth.upper(), client.auth_plain if door.auth == "plain" else client.auth_login)
                return Sent(client.sendmail(SENDER, recipients, letter.raw) == {}, "")
        except (smtplib.SMTPException, OSError) as error:
            return Sent(False, repr(error))


class ByJson(Client):
    """A script that takes its orders as JSON."""

    def job(self, door, letter, recipients, ident):
        octets = letter.text if self.composes else letter.raw
        return json.dumps({**door._asdict(), "sender": SENDER, "recipients": recipients, "file": self.file(octets, ident)})


class Nodemailer(ByJson):
    name = "nodemailer"

    def send(self, door, letter, recipients, ident):
        return run(["node", os.path.join(HERE, "nodemailer.js"), self.job(door, letter, recipients, ident)],
                   env={**os.environ, "NODE_PATH": "/usr/share/nodejs"})


class Phpmailer(ByJson):
    name = "PHPMailer"
    composes = True

    def send(self, door, letter, recipients, ident):
        return run(["php", os.path.join(HERE, "phpmailer.php"), self.job(door, letter, recipients, ident)])


class Msmtp(Client):
    name = "msmtp"

    def send(self, door, letter, recipients, ident):
        arguments = ["msmtp", "--host=" + door.host, "--port=%d" % door.port, "--domain=client.example", "--from=" + SENDER,
                     "--set-date-header=off", "--set-msgid-header=off", "--set-from-header=off",
                     "--tls=" + ("off" if door.tls == "clear" else "on")]
        if door.tls != "clear":
            arguments += ["--tls-starttls=" + ("on" if door.tls == "starttls" else "off"), "--tls-trust-file=" + door.ca]
        if door.auth != "none":
            arguments += ["--auth=" + door.auth, "--user=" + door.user, "--passwordeval=echo " + door.password]
        return run([*arguments, "--", *recipients], input=letter.raw.replace(b"\r\n", b"\n"))


class SNail(Client):
    name = "s-nail"
    composes = True

    def send(self, door, letter, recipients, ident):
        scheme = "smtps" if door.tls == "implicit" else "smtp"
        login = "" if door.auth == "none" else "%s:%s@" % (door.user, door.password)
        settings = ["v15-compat", "mta=%s://%s%s:%d" % (scheme, login, door.host, door.port), "smtp-auth=" + door.auth,
                    "smtp-hostname=client.example", "hostname=client.example", "ttycharset=utf-8", "sendcharsets=utf-8",
                    "sendwait", "tls-verify=strict", "tls-ca-file=" + door.ca, "mime-encoding=8bit"]
        if door.tls == "starttls":
            settings.append("smtp-use-starttls")
        return run(["s-nail", "-:/", *("-S" + setting for setting in settings), "-r", SENDER, "-s", "matrix",
                    *recipients], input=letter.text.replace(b"\r\n", b"\n"))


PROGRAMS = (Swaks, Curl, Smtplib, Nodemailer, Msmtp, SNail, Phpmailer)
