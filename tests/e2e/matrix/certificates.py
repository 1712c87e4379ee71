"""An authority of our own and certificates by it, made with openssl in a folder: ca.pem, and for each
name NAME.pem and NAME.key."""

import os
import shutil
import subprocess

from relay import give_to_daemon


class Authority:
    def __init__(self, folder):
        self.folder = folder
        self.ca = self.path("ca.pem")
        self._openssl("req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes", "-days", "30",
                      "-subj", "/CN=Matrix Test Authority", "-keyout", self.path("ca.key"), "-out", self.ca)
        os.chmod(self.ca, 0o644)

    def path(self, name):
        return os.path.join(self.folder, name)

    def _openssl(self, *arguments):
        subprocess.run(["openssl", *arguments], check=True, capture_output=True, timeout=60)

    def issue(self, name, subjects, days=30):
        """A P-256 certificate for `subjects`, as "DNS:localhost" or "IP:127.0.0.1": (certificate, key). It
        has expired with `days` below 0."""
        certificate, key, request = (self.path(name + end) for end in (".pem", ".key", ".csr"))
        extensions = self.path(name + ".ext")
        with open(extensions, "w") as file:
            file.write("subjectAltName=%s\nbasicConstraints=CA:FALSE\n" % ",".join(subjects))
        self._openssl("req", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes", "-subj", "/CN=" + name,
                      "-keyout", key, "-out", request)
        self._openssl("x509", "-req", "-in", request, "-CA", self.ca, "-CAkey", self.path("ca.key"), "-CAcreateserial",
                      "-days", str(days), "-extfile", extensions, "-out", certificate)
        os.chmod(key, 0o644)  # servers of several users read it; it protects nothing
        return certificate, key


def for_the_relay(certificate):
    """The same with a copy of the key that only the daemon's user may read: the relay insists on that."""
    path, key = certificate
    copy = key + ".relay"
    shutil.copy(key, copy)
    os.chmod(copy, 0o600)
    give_to_daemon(copy)
    return path, copy
