"""Small mail at a steady rate, in a process of its own: when each message was due, when it got its 250, and when
it arrived at the next hop, which is in the process, too.

A message is due at its time whether or not those before it are through: one that waits for a free session
has begun to wait already.
"""
import asyncio
import multiprocessing
import re
import time

import signed_mail

SESSIONS = 40
HOLD_S = 60.0  # that an answer may take


class _NextHop(asyncio.Protocol):
    """Takes all mail, and notes the number in each Subject."""

    def __init__(self, arrived):
        self._arrived, self._buffer, self._data = arrived, bytearray(), False

    def connection_made(self, transport):
        self._transport = transport
        transport.write(b"220 steady.test ESMTP\r\n")

    def data_received(self, data):
        self._buffer += data
        while self._message() if self._data else self._command():
            pass

    def _command(self):
        line, found, rest = bytes(self._buffer).partition(b"\r\n")
        if not found:
            return False
        self._buffer[:] = rest
        verb = line[:4].upper()
        if verb == b"EHLO":
            self._transport.write(b"250-steady.test\r\n250-PIPELINING\r\n250 8BITMIME\r\n")
        elif verb == b"DATA":
            self._data = True
            self._transport.write(b"354 go on\r\n")
        elif verb == b"QUIT":
            self._transport.write(b"221 2.0.0 bye\r\n")
            self._transport.close()
        else:
            self._transport.write(b"250 2.0.0 ok\r\n")
        return True

    def _message(self):
        end = self._buffer.find(b"\r\n.\r\n")
        if end < 0:
            return False
        number = re.search(rb"\nSubject: message (\d+)\r\n", self._buffer[:end])
        if number:
            self._arrived.setdefault(int(number[1]), time.monotonic())
        del self._buffer[:end + 5]
        self._data = False
        self._transport.write(b"250 2.0.0 taken\r\n")
        return True


class _Source:
    def __init__(self, port, body, recipients):
        self._port, self._body, self._recipients, self._free = port, body, recipients, []
        self.accepted, self.problems = {}, []

    async def _session(self):
        if self._free:
            return self._free.pop()
        reader, writer = await asyncio.open_connection("127.0.0.1", self._port)
        await self._expect(reader, b"220")
        writer.write(b"EHLO client.bench.test\r\n")
        await self._expect(reader, b"250")
        return reader, writer

    @staticmethod
    async def _expect(reader, *codes):
        for code in codes:
            while True:
                line = await asyncio.wait_for(reader.readline(), HOLD_S)
                if line[3:4] != b"-":
                    break
            if not line.startswith(code):
                raise RuntimeError("the relay said " + (line.decode(errors="replace").strip() or "nothing"))

    async def send(self, number, places):
        async with places:
            try:
                reader, writer = await self._session()
                recipient = self._recipients[number % len(self._recipients)].encode()
                writer.write(b"MAIL FROM:<a@bench.test>\r\nRCPT TO:<%s>\r\nDATA\r\n" % recipient)
                await self._expect(reader, b"250", b"250", b"354")
                writer.write(b"From: <a@bench.test>\r\nTo: <%s>\r\nSubject: message %d\r\n"
                             b"Date: Sat, 01 Jan 2000 00:00:00 +0000\r\nMessage-ID: <%d@bench.test>\r\n\r\n"
                             % (recipient, number, number) + self._body + b".\r\n")
                await self._expect(reader, b"250")
                self.accepted[number] = time.monotonic()
                self._free.append((reader, writer))
            except (OSError, RuntimeError, asyncio.TimeoutError) as problem:
                self.problems.append(f"message {number}: {problem or type(problem).__name__}")


async def _work(pipe, rate, size, recipients):
    arrived, due = {}, {}
    server = await asyncio.get_running_loop().create_server(lambda: _NextHop(arrived), "127.0.0.1", 0)
    pipe.send(server.sockets[0].getsockname()[1])
    loop = asyncio.get_running_loop()
    port = await loop.run_in_executor(None, pipe.recv)
    source = _Source(port, signed_mail.LINE * max(1, size // len(signed_mail.LINE)), recipients)
    places, tasks, began, number = asyncio.Semaphore(SESSIONS), set(), time.monotonic(), 0
    while not pipe.poll():
        await asyncio.sleep(max(0.0, began + number / rate - time.monotonic()))
        while began + number / rate <= time.monotonic():
            due[number] = began + number / rate
            task = asyncio.create_task(source.send(number, places))
            tasks.add(task)
            task.add_done_callback(tasks.discard)
            number += 1
    if tasks:
        await asyncio.wait(tasks, timeout=HOLD_S)
    end = time.monotonic() + HOLD_S
    while any(sent not in arrived for sent in source.accepted) and time.monotonic() < end:
        await asyncio.sleep(0.05)
    pipe.send({"due": due, "accepted": source.accepted, "arrived": arrived, "problems": source.problems})
    server.close()


def _process(pipe, rate, size, recipients):
    asyncio.run(_work(pipe, rate, size, recipients))


class SteadyMail:
    """`rate` messages a second to `recipients` in turn from begin() to end(); `port` is that of its next hop."""

    def __init__(self, rate, size=4096, recipients=("b@small.test",)):
        self._pipe, theirs = multiprocessing.Pipe()
        self._process = multiprocessing.get_context("fork").Process(target=_process, args=(theirs, rate, size, recipients),
                                                                    daemon=True)
        self._process.start()
        self.port = self._pipe.recv()

    def begin(self, port):
        self._pipe.send(port)

    def end(self):
        """{"due": {number: when}, "accepted": {…}, "arrived": {…}, "problems": [text]}"""
        self._pipe.send("end")
        found = self._pipe.recv()
        self._process.join(60)
        return found

    def stop(self):
        if self._process.is_alive():
            self._process.terminate()


def percentile(values, share):
    """The value that `share` of them do not pass."""
    ordered = sorted(values)
    return ordered[min(len(ordered) - 1, int(len(ordered) * share))]
