"""A next hop that plays the server's side of a conversation written down elsewhere (the `kind: server` cases of
smtp/dialog-exim.jsonl), and notes what it was told and what it answered.

The cases were written for another client, which offers recipients in other groups and asks before it sends, so the
steps are not played in lockstep: the i-th reply belongs to the i-th command that the script expects, a command gets
the reply of the next expected one with the same verb, and what the script does not expect at all ends the connection.
"""

import re
import socket
import ssl
import threading

WAIT_SECONDS = 60
GREETING = {"EHLO", "HELO", "LHLO"}


def verb_of(line):
    word = line.split(" ")[0].upper()
    return "EHLO" if word in GREETING else word


class Entry:
    """A command that the script expects ("": the connection itself), and what it says then."""

    def __init__(self, word):
        self.word = word
        self.verb = verb_of(word)
        self.replies = []  # each with its lines
        self.starts_tls = False


def plan(steps):
    """The script as a list of connections, each a list of entries."""
    connections = [[Entry("")]]
    waiting = [connections[0][0]]  # expected, not answered yet
    open_reply = []
    last = connections[0][0]

    def end():
        nonlocal waiting, open_reply, last
        if open_reply:
            last.replies.append(open_reply)
        connections.append([Entry("")])
        waiting, open_reply, last = [connections[-1][0]], [], connections[-1][0]

    for step in steps:
        action = step.get("action", "").lower()
        if action == "eof" or step.get("send") == "*eof":
            end()
        elif action == "starttls":
            last.starts_tls = True
        elif "expect" in step:
            expected = step["expect"].lstrip("<")
            entry = Entry(expected.replace(":", " ").split(" ")[0].upper())
            connections[-1].append(entry)
            waiting.append(entry)
        elif "send" in step:
            if not open_reply and waiting:
                last = waiting.pop(0)
            open_reply.append(step["send"])
            if step["send"][3:4] != "-":
                last.replies.append(open_reply)
                open_reply = []
    if open_reply:
        last.replies.append(open_reply)
    return [entries for entries in connections if len(entries) > 1 or entries[0].replies]


class Exchange:
    """A command, the codes of the replies that it got (None: what was said is no reply), its content."""

    def __init__(self, line):
        self.line = line
        self.codes = []
        self.content = None


def code_of(lines):
    codes = {line[:3] for line in lines}
    good = all(re.fullmatch(r"[2-5][0-9]{2}([ -].*)?", line) for line in lines) and len(codes) == 1
    return int(lines[0][:3]) if good and lines[-1][3:4] != "-" else None


class ScriptedHop:
    """`connections` as plan() gives them; what comes beyond them is told 421."""

    def __init__(self, connections, tls=None):
        self.script = connections
        self.connections = []  # lists of Exchange, as they came; the first of each is the greeting
        self._tls = tls
        self._socket = socket.create_server(("127.0.0.1", 0))
        self.port = self._socket.getsockname()[1]
        self._thread = threading.Thread(target=self._serve, daemon=True)
        self._thread.start()

    def close(self):
        self._socket.close()

    def _serve(self):
        while True:
            try:
                peer, _ = self._socket.accept()
            except OSError:
                return
            number = len(self.connections)
            over = Entry("")
            over.replies = [["421 4.3.2 the script is over"]]
            entries = self.script[number] if number < len(self.script) else [over]
            said = []
            self.connections.append(said)
            peer.settimeout(WAIT_SECONDS)
            threading.Thread(target=self._play, args=(peer, list(entries), said), daemon=True).start()

    def _play(self, peer, entries, said):
        try:
            self._converse(peer, entries, said)
        except (OSError, ValueError):
            pass
        finally:
            peer.close()

    def _converse(self, peer, entries, said):
        file = peer.makefile("rb")
        exchange = Exchange("")
        said.append(exchange)
        entry = entries.pop(0)
        while True:
            for lines in entry.replies:
                exchange.codes.append(code_of(lines))
                peer.sendall(("\r\n".join(lines) + "\r\n").encode("latin-1"))
            if entry.starts_tls:
                peer = self._tls.wrap_socket(peer, server_side=True)
                file = peer.makefile("rb")
            if not entries:
                return
            if exchange.line.upper() == "DATA" and exchange.codes and (exchange.codes[0] or 0) // 100 == 3:
                exchange = Exchange(".")
                exchange.content = self._content(file)
            else:
                line = file.readline()
                if not line.endswith(b"\n"):
                    return
                exchange = Exchange(line.decode("latin-1").rstrip("\r\n"))
                if verb_of(exchange.line) == "BDAT":
                    exchange.content = file.read(int(exchange.line.split(" ")[1]))
            said.append(exchange)
            verb = verb_of(exchange.line)
            while entries and entries[0].verb != verb:
                entries.pop(0)
            if not entries:
                return
            entry = entries.pop(0)

    @staticmethod
    def _content(file):
        content = b""
        while True:
            line = file.readline()
            if not line.endswith(b"\r\n"):
                raise ValueError("the content has no end")
            if line == b".\r\n":
                return content
            content += line[1:] if line.startswith(b".") else line


def tls_context(certificate, key):
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(certificate, key)
    return context
