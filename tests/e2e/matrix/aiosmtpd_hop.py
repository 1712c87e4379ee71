"""Python's aiosmtpd as a next hop, in this process: it keeps the very octets that came."""

import ssl

from aiosmtpd.controller import Controller
from aiosmtpd.smtp import AuthResult

from knot import free_port


def server_context(certificate):
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(*certificate)
    return context


class Aiosmtpd:
    name = "aiosmtpd"
    scheme = "smtp"

    def __init__(self, context, user, password):
        """Without a context it offers no STARTTLS, and its ports for smtps:// speak clear text."""
        self._context = context
        self._login = (user.encode(), password.encode())
        self._kept = {}
        self._controllers = []
        self.ports = {}

    def start(self, kinds=("none", "auth", "smtps", "smtps-auth")):
        for kind in kinds:
            port = free_port()
            tls = "ssl_context" if kind.startswith("smtps") else "tls_context"
            options = {"auth_required": True, "auth_require_tls": False, "authenticator": self._authenticate}
            controller = Controller(self, hostname="127.0.0.1", port=port, data_size_limit=0, **{tls: self._context},
                                    **(options if kind.endswith("auth") else {}))
            controller.start()
            self._controllers.append(controller)
            self.ports[kind] = port

    def stop(self):
        for controller in self._controllers:
            controller.stop()

    def log(self):
        return ""

    def _authenticate(self, _server, _session, _envelope, _mechanism, data):
        return AuthResult(success=(data.login, data.password) == self._login)

    async def handle_DATA(self, server, session, envelope):
        over_tls = server.transport.get_extra_info("ssl_object") is not None
        kept = (envelope.original_content, over_tls, bool(session.authenticated))
        for recipient in envelope.rcpt_tos:
            self._kept[recipient] = kept
        return "250 kept"

    def arrived(self, recipient):
        return self._kept.get(recipient)
