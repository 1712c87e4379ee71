#!/usr/bin/python3
"""A relay with a journal, just enough to try contrib/bench/kill on: journal_relay.py PORT SINK STATE [--no-sync]

Each message and each delivery is a record at the end of STATE/journal, synced in groups before the answer;
--no-sync leaves the sync out, and the harness must find out.
"""
import asyncio
import json
import os
import struct
import sys
import time

HEAD = struct.Struct("!BIQ")
ACCEPTED, DELIVERED = 1, 2
END = b"E"


class Journal:
    def __init__(self, path, is_synced):
        self._is_synced, self._waiting = is_synced, []
        self.messages = self._read(path) if os.path.exists(path) else {}
        self._file = os.open(path, os.O_CREAT | os.O_WRONLY | os.O_APPEND)

    @staticmethod
    def _read(path):
        """What is accepted and not delivered; a record that a stop has cut ends the journal."""
        with open(path, "rb") as file:
            octets = file.read()
        messages, at = {}, 0
        while at + HEAD.size <= len(octets):
            kind, length, number = HEAD.unpack_from(octets, at)
            end = at + HEAD.size + length
            if octets[end:end + 1] != END:
                break
            if kind == ACCEPTED:
                messages[number] = octets[at + HEAD.size:end]
            else:
                messages.pop(number, None)
            at = end + 1
        os.truncate(path, at)
        return messages

    async def commit(self, kind, number, octets=b""):
        os.write(self._file, HEAD.pack(kind, len(octets), number) + octets + END)
        done = asyncio.get_running_loop().create_future()
        self._waiting.append(done)
        await done

    async def sync_for_ever(self):
        while True:
            await asyncio.sleep(0.001)
            group, self._waiting = self._waiting, []
            if group and self._is_synced:
                os.fdatasync(self._file)
            for done in group:
                if not done.done():
                    done.set_result(None)


async def receive(journal, work, reader, writer):
    recipients = []
    try:
        writer.write(b"220 journal\r\n")
        while True:
            line = await reader.readuntil(b"\r\n")
            verb = line[:4].upper()
            if verb == b"DATA":
                writer.write(b"354 go on\r\n")
                data = await reader.readuntil(b"\r\n.\r\n")
                number, record = time.time_ns(), json.dumps(recipients).encode() + b"\n" + data
                await journal.commit(ACCEPTED, number, record)
                journal.messages[number] = record
                work.put_nowait(number)
                recipients = []
            elif verb == b"RCPT":
                recipients.append(line.decode())
            elif verb == b"QUIT":
                break
            writer.write(b"250 ok\r\n")
    except (OSError, asyncio.IncompleteReadError):
        pass
    writer.close()


async def deliver(journal, work, sink):
    number = await work.get()
    reader, writer = await asyncio.open_connection("127.0.0.1", sink)
    await reader.readline()
    while True:
        recipients, data = journal.messages[number].split(b"\n", 1)
        for line in [b"MAIL FROM:<a@b>\r\n"] + [r.encode() for r in json.loads(recipients)] + [b"DATA\r\n", data]:
            writer.write(line)
            await reader.readline()
        await journal.commit(DELIVERED, number)
        del journal.messages[number]
        number = await work.get()


async def main():
    port, sink, state = int(sys.argv[1]), int(sys.argv[2]), sys.argv[3]
    journal, work = Journal(os.path.join(state, "journal.log"), "--no-sync" not in sys.argv), asyncio.Queue()
    for number in journal.messages:
        work.put_nowait(number)
    await asyncio.start_server(lambda r, w: receive(journal, work, r, w), "127.0.0.1", port, limit=1 << 20)
    await asyncio.gather(journal.sync_for_ever(), *[deliver(journal, work, sink) for _ in range(8)])


asyncio.run(main())
