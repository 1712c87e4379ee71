"""A client that notes every 250, and a next hop that notes every arrival: both ends of the flow that
contrib/bench/kill watches.

A message's number and the hash of its body stand in its X-Flow header, so that the next hop can tell
what arrived and whether it is whole, whatever header lines the relay adds.
"""
import asyncio
import hashlib
import random
import socket
import threading
import time

SIZE_MIN, SIZE_MAX = 100, 200 * 1024
POOL_OCTETS = 1 << 20


def _make_pool():
    """Lines of text to cut bodies from; some begin with a dot, some are empty."""
    chance, lines, octets = random.Random(1), [], 0
    while octets < POOL_OCTETS:
        line = bytes(chance.choices(b"abcdefghijklmnopqrstuvwxyz .", k=chance.randrange(0, 78)))
        lines.append(line + b"\r\n")
        octets += len(lines[-1])
    return b"".join(lines)


POOL = _make_pool()


def make_message(number, chance):
    """(octets as they are, recipients) of message `number`."""
    size = int(SIZE_MIN * (SIZE_MAX / SIZE_MIN) ** chance.random())  # as many small as large, by magnitude
    start = chance.randrange(0, len(POOL) - SIZE_MAX)
    start = POOL.index(b"\n", start - 200 if start > 200 else 0) + 1
    body = POOL[start:start + max(0, size - 2)]
    body = body.rstrip(b"\r\n") + b"\r\n"
    recipients = [f"r{i}.{number}@dest.test" for i in range(3 if chance.random() < 0.05 else 1)]
    header = (f"From: <sender@flow.test>\r\nTo: <{recipients[0]}>\r\nSubject: message {number}\r\n"
              f"Date: Sat, 01 Jan 2000 00:00:00 +0000\r\nMessage-ID: <{number}@flow.test>\r\n"
              f"X-Flow: {number} {hashlib.sha256(body).hexdigest()}\r\n\r\n").encode()
    return header + body, recipients


def stuff(octets):
    """As DATA sends it, with the final dot."""
    octets = octets.replace(b"\r\n.", b"\r\n..")
    if octets.startswith(b"."):
        octets = b"." + octets
    return octets + b".\r\n"


class Client:
    """Sends `messages` messages over parallel sessions until each of them got a 250, or the deadline."""

    def __init__(self, port, messages, sessions, seed, deadline):
        self._port, self._wanted, self._deadline = port, messages, deadline
        self._lock = threading.Lock()
        self._next, self._over, self._unanswered = 0, False, 0
        self._acknowledged, self._in_flight = {}, 0
        self._threads = [threading.Thread(target=self._session, args=(random.Random(seed * 1000 + i),), daemon=True)
                         for i in range(sessions)]

    def start(self):
        for thread in self._threads:
            thread.start()

    def join(self):
        for thread in self._threads:
            thread.join()

    def give_up(self):
        self._over = True

    def is_over(self):
        return self._over or not any(thread.is_alive() for thread in self._threads)

    def acknowledged(self):
        return len(self._acknowledged)

    def unanswered(self):
        return self._unanswered

    def expected(self):
        """The deliveries that must arrive: (number, recipient) of all that got a 250."""
        with self._lock:
            return [(number, recipient) for number, recipients in self._acknowledged.items()
                    for recipient in recipients]

    def _take(self):
        """A number for the next message; None when enough are answered or under way."""
        with self._lock:
            if len(self._acknowledged) + self._in_flight >= self._wanted:
                return None
            self._in_flight += 1
            self._next += 1
            return self._next

    def _session(self, chance):
        while not self._over and time.monotonic() < self._deadline:
            if len(self._acknowledged) >= self._wanted:
                return
            try:
                self._converse(chance)
            except OSError:
                time.sleep(chance.uniform(0.005, 0.05))

    def _converse(self, chance):
        with socket.create_connection(("127.0.0.1", self._port), timeout=60) as connection:
            connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            replies = connection.makefile("rb")

            def expect(code):
                while True:
                    line = replies.readline()
                    if not line.endswith(b"\n"):
                        raise ConnectionError("closed")
                    if line[3:4] != b"-":
                        break
                if not line.startswith(code):
                    raise ConnectionError(line.decode(errors="replace"))

            expect(b"220")
            connection.sendall(b"EHLO client.flow.test\r\n")
            expect(b"250")
            for _ in range(chance.randrange(1, 20)):
                number = self._take()
                if number is None:
                    time.sleep(0.01)
                    break
                answered = False
                try:
                    octets, recipients = make_message(number, chance)
                    commands = b"MAIL FROM:<sender@flow.test>\r\n"
                    commands += b"".join(b"RCPT TO:<%s>\r\n" % r.encode() for r in recipients)
                    connection.sendall(commands + b"DATA\r\n")
                    for _ in range(1 + len(recipients)):
                        expect(b"250")
                    expect(b"354")
                    connection.sendall(stuff(octets))
                    expect(b"250")
                    answered = True
                finally:
                    with self._lock:
                        self._in_flight -= 1
                        if answered:
                            self._acknowledged[number] = recipients
                        else:
                            self._unanswered += 1
            connection.sendall(b"QUIT\r\n")


class _Session(asyncio.Protocol):
    """One SMTP session of the next hop."""

    def __init__(self, capture):
        self._capture, self._buffer, self._data = capture, bytearray(), False
        self._recipients, self._connected, self._searched = [], time.monotonic(), 0
        self._transport = None

    def connection_made(self, transport):
        self._transport = transport
        transport.write(b"220 capture.test ESMTP\r\n")

    def data_received(self, data):
        self._buffer += data
        while self._data_ended() if self._data else self._command():
            pass

    def _command(self):
        end = self._buffer.find(b"\r\n")
        if end < 0:
            return False
        line = bytes(self._buffer[:end])
        del self._buffer[:end + 2]
        verb = line[:4].upper()
        if verb == b"EHLO":
            self._say(b"250-capture.test\r\n250-PIPELINING\r\n250-8BITMIME\r\n250-SIZE 0\r\n250 ENHANCEDSTATUSCODES")
        elif verb == b"RCPT":
            self._recipients.append(line[line.index(b"<") + 1:line.index(b">")].decode())
            self._say(b"250 2.1.5 ok")
        elif verb == b"DATA":
            self._data, self._searched = True, 0
            self._buffer[:0] = b"\r\n"  # so that a final dot is always CRLF.CRLF
            self._say(b"354 go on")
        elif verb == b"QUIT":
            self._say(b"221 2.0.0 bye")
            self._transport.close()
        else:
            if verb in (b"MAIL", b"RSET"):
                self._recipients = []
            self._say(b"250 2.0.0 ok")
        return True

    def _say(self, reply):
        self._transport.write(reply + b"\r\n")

    def _data_ended(self):
        end = self._buffer.find(b"\r\n.\r\n", max(0, self._searched - 4))
        if end < 0:
            self._searched = len(self._buffer)
            return False
        message = bytes(self._buffer[2:end + 2]).replace(b"\r\n..", b"\r\n.")
        if message.startswith(b".."):
            message = message[1:]
        del self._buffer[:end + 5]
        self._data = False
        self._capture.note(message, self._recipients, self._connected)
        self._recipients = []
        if self._capture.answer_delay_s > 0:
            asyncio.get_running_loop().call_later(self._capture.answer_delay_s, self._say, b"250 2.0.0 taken")
        else:
            self._say(b"250 2.0.0 taken")
        return True


class Capture:
    """The next hop, on a thread of its own. What is under way when the relay dies counts as arrived
    once its final dot is here, whether or not the relay lives to see the answer."""

    def __init__(self, answer_delay_s=0.0, host="127.0.0.1"):
        self.answer_delay_s = answer_delay_s
        self._arrivals, self._damaged, self._count = {}, 0, 0
        self._loop = asyncio.new_event_loop()
        self._server = self._loop.run_until_complete(
            self._loop.create_server(lambda: _Session(self), host, 0, backlog=1000))
        self.port = self._server.sockets[0].getsockname()[1]
        self._thread = threading.Thread(target=self._loop.run_forever, daemon=True)
        self._thread.start()

    def close(self):
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join()
        self._server.close()

    @staticmethod
    def message(number):
        """A small message that has() will know by `number`."""
        body = b"One line.\r\n"
        return b"X-Flow: %d %s\r\n\r\n%s" % (number, hashlib.sha256(body).hexdigest().encode(), body)

    def note(self, message, recipients, connected):
        """Called on the capture's thread for every final dot."""
        dot = time.monotonic()
        header, _, body = message.partition(b"\r\n\r\n")
        header = b"\r\n" + header
        at = header.find(b"\r\nX-Flow: ")
        self._count += 1
        if at < 0:  # a bounce, or something that nobody sent
            self._damaged += 1
            return
        number, digest = header[at + 10:].split(b"\r\n", 1)[0].split()
        if hashlib.sha256(body).hexdigest().encode() != digest:
            self._damaged += 1
            return
        for recipient in recipients:
            self._arrivals.setdefault((int(number), recipient), []).append((connected, dot))

    def has(self, key):
        return key in self._arrivals

    def count(self):
        return self._count

    def damaged(self):
        return self._damaged

    def arrivals(self):
        """{(number, recipient): [(when the connection began, when the final dot came)]}"""
        return dict(self._arrivals)
