"""Clients that hand in mail and note what they were told."""

import threading

BODY = b"x" * 76 + (b"\r\n" + b"y" * 76) * 1000 + b"\r\n"  # 78 KB
SMALL = b"z" * 60 + b"\r\n"
MESSAGES_A_CONNECTION = 100  # tried: the relay says 421 after 2,000 commands of which none brought a message


class Load:
    """Sessions that hand in messages, large and small in turn, each from a sender of its own, until told to
    stop. `pause`: seconds after each."""

    def __init__(self, relay, sessions=4, pause=0.0):
        self.relay = relay
        self.acknowledged = set()  # the names of what got its 250
        self.refusals = []         # each 452, (code, text)
        self.unexpected = []       # any other refusal, and lost connections
        self._pause = pause
        self._stop = threading.Event()
        self._threads = [threading.Thread(target=self._run, args=(i,)) for i in range(sessions)]
        for thread in self._threads:
            thread.start()

    def _run(self, session):
        count = 0
        while not self._stop.is_set():
            try:
                with self.relay.conversation() as client:
                    client.hello()
                    for _ in range(MESSAGES_A_CONNECTION):
                        if self._stop.is_set():
                            break
                        name = "m%d-%d" % (session, count)
                        count += 1
                        self._one(client, name, BODY if count % 2 else SMALL)
                        self._stop.wait(self._pause)
            except (OSError, AssertionError) as error:
                self.unexpected.append(repr(error))
                return

    def _one(self, client, name, body):
        code, text = client.ask("MAIL FROM:<%s@sender.example>" % name)
        if code == 250:
            client.ask("RCPT TO:<b@example.net>")
            code, text = client.ask("DATA")
            if code == 354:
                client.send(b"Subject: " + name.encode() + b"\r\n\r\n" + body + b".\r\n")
                code, text = client.reply()
                if code == 250:
                    self.acknowledged.add(name)
                    return
        client.ask("RSET")
        self._stop.wait(0.05)  # as a client that comes again later
        (self.refusals if code == 452 else self.unexpected).append((code, text))

    def stop(self):
        self._stop.set()
        for thread in self._threads:
            thread.join(60)


def name_of(envelope):
    """Which of a load's messages this is, of what a sink took."""
    return envelope["sender"].partition("@")[0]
