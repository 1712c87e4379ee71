"""Mail out of a queue and back: `queue export` of a running and of a stopped relay, `queue import` into an empty one and
a second time, `queue salvage` of a database that is damaged in each kind of file."""

import glob
import hashlib
import json
import os
import random
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import unittest

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "support"))
import relay as relay_module  # noqa: E402
from main import run_tests  # noqa: E402
from relay import Relay, give_to_daemon, until  # noqa: E402
from sinks import Sink  # noqa: E402

LINE = b"0123456789" * 7 + b"\r\n"
ALPHABET = "0123456789BCDFGHJKLMNPQRSTVWXYZbcdfghjklmnpqrstvwxyz"  # of ids


def message(number, lines):
    return b"Subject: number %d\r\nDate: Sun, 22 Nov 2026 07:00:00 +0000\r\nMessage-ID: <%d@one.example>\r\n\r\n" % (number, number) + LINE * lines


def checksums(folder):
    """{id: SHA-256 of the content}, each checked against what its envelope says."""
    found = {}
    for path in glob.glob(os.path.join(folder, "*.json")):
        with open(path) as file:
            envelope = json.load(file)
        with open(path[:-5] + ".eml", "rb") as file:
            content = file.read()
        digest = hashlib.sha256(content).hexdigest()
        assert digest == envelope["content"]["sha256"], path
        assert len(content) == envelope["content"]["octets"], path
        found[envelope["id"]] = digest
    return found


class Rescue(unittest.TestCase):
    def setUp(self):
        self.folder = tempfile.mkdtemp(prefix="rockdove-rescue-")
        self.addCleanup(shutil.rmtree, self.folder, True)
        self.sink = Sink("rcpt:*=451 4.3.2 busy")
        self.sink.__enter__()
        self.addCleanup(self.sink.__exit__)
        self.relay = Relay(to=self.sink.url)
        self.relay.__enter__()
        self.addCleanup(self.relay.__exit__)

    def fill(self, messages=12):
        """Mail of all sizes that waits; one is on hold, one has two recipients."""
        for number in range(messages):
            recipients = ["b%d@x.example" % number] + (["c@y.example"] if number == 3 else [])
            ident = self.relay.submit("a@one.example", recipients, message(number, 10_000 if number == 5 else 3 + 7 * number))
            self.relay.wait_for("deferred", id=ident + "-1")
            if number == 2:
                until(lambda: self.relay.command("queue", "hold", ident, "--because", "look at it", expect=None).returncode == 0,
                      "the attempt to be settled")
        self.ids = {entry["queue_id"]: entry for entry in self.relay.queue("list")}
        self.assertEqual(len(self.ids), messages)

    def out(self, name):
        return os.path.join(self.folder, name)

    def wipe(self):
        """The same relay with an empty queue."""
        self.relay.stop()
        self.kept = self.out("kept")
        os.rename(os.path.join(self.relay.state_dir, "queue"), self.kept)

    def deliver_all(self):
        """With a next hop that takes everything."""
        self.sink.stop()
        with Sink(address="%s:%d" % (self.sink.host, self.sink.port)) as sink:
            self.relay.command("queue", "release", "--state", "held", "--yes")
            self.relay.command("queue", "retry", "--state", "waiting", "--yes")
            until(lambda: self.relay.queue("list") == [], "the queue to run empty")
            return sink.messages()

    def test_a_running_queue_is_exported_wiped_imported_and_delivered(self):
        self.fill()
        done = self.relay.command("queue", "export", self.out("a"))
        self.assertEqual(done.stdout, "12 messages exported to %s\n" % self.out("a"))
        self.assertEqual(os.stat(self.out("a")).st_mode & 0o777, 0o700)
        sums = checksums(self.out("a"))
        self.assertEqual(set(sums), set(self.ids))
        self.wipe()
        self.relay.start()
        self.assertEqual(self.relay.queue("list"), [])
        done = self.relay.command("queue", "import", self.out("a"))
        self.assertEqual(done.stdout, "12 messages imported\n")
        back = {entry["queue_id"]: entry for entry in self.relay.queue("list")}
        for ident, entry in self.ids.items():
            for one, other in zip(entry["recipients"], back[ident]["recipients"]):
                self.assertEqual({k: v for k, v in one.items() if k != "why"}, {k: v for k, v in other.items() if k != "why"})
        done = self.relay.command("queue", "import", self.out("a"))
        self.assertEqual(done.stdout, "0 messages imported, 12 known to the queue already\n")
        self.relay.command("queue", "export", self.out("b"))
        self.assertEqual(checksums(self.out("b")), sums)
        self.assertEqual(len(self.relay.log("imported")), 12)
        delivered = self.deliver_all()
        self.assertEqual(len(delivered), 12)
        self.assertEqual(sorted(sum((envelope["recipients"] for envelope, _ in delivered), []))[-1], "c@y.example")
        bodies = {octets.split(b"\r\n\r\n", 1)[1] for _, octets in delivered}
        self.assertIn(LINE * 10_000, bodies)
        done = self.relay.command("queue", "import", self.out("a"))
        self.assertEqual(done.stdout, "0 messages imported, 12 known to the queue already\n", "what has been delivered comes again")

    def test_what_is_due_goes_out_as_soon_as_it_is_imported(self):
        self.fill(3)
        self.relay.command("queue", "export", self.out("a"), "--state", "waiting")
        self.wipe()
        self.sink.stop()
        with Sink(address="%s:%d" % (self.sink.host, self.sink.port)) as sink:
            for path in glob.glob(self.out("a/*.json")):
                with open(path) as file:
                    envelope = json.load(file)
                envelope["deliveries"][0]["due"] = "2026-01-01T00:00:00.000Z"
                with open(path, "w") as file:
                    json.dump(envelope, file)
            self.relay.start()
            self.assertEqual(self.relay.command("queue", "import", self.out("a")).stdout, "2 messages imported\n")
            until(lambda: len(sink.messages()) == 2, "the messages")

    def test_a_stopped_queue_is_exported_and_filled_again(self):
        self.fill()
        self.relay.command("queue", "export", self.out("running"))
        self.relay.stop()
        done = self.relay.command("queue", "export", self.out("stopped"))
        self.assertEqual(done.stdout, "12 messages exported to %s\n" % self.out("stopped"))
        self.assertEqual(checksums(self.out("stopped")), checksums(self.out("running")))
        for ident in self.ids:
            with open(self.out("stopped/%s.json" % ident)) as one, open(self.out("running/%s.json" % ident)) as other:
                self.assertEqual(json.load(one), json.load(other))
        os.rename(os.path.join(self.relay.state_dir, "queue"), self.out("kept"))
        done = self.relay.command("queue", "import", self.out("stopped"))
        self.assertEqual(done.stdout, "12 messages imported\n")
        done = self.relay.command("queue", "import", self.out("stopped"))
        self.assertEqual(done.stdout, "0 messages imported, 12 known to the queue already\n")
        self.relay.start()  # as the user who owns the state
        self.relay.command("queue", "export", self.out("back"))
        self.assertEqual(checksums(self.out("back")), checksums(self.out("running")))
        self.assertEqual(len(self.deliver_all()), 12)

    def test_an_export_says_what_it_could_not_do(self):
        self.fill(4)
        first = sorted(self.ids)[0]
        os.mkdir(self.out("a"), 0o700)
        with open(self.out("a/%s.json" % first), "w") as file:
            file.write("mine")
        done = self.relay.command("queue", "export", self.out("a"), expect=1)
        self.assertEqual(done.stdout, "3 messages exported to %s, 1 failed\n" % self.out("a"))
        self.assertIn("%s: a file %s.json is there already" % (first, first), done.stderr)
        with open(self.out("a/%s.json" % first)) as file:
            self.assertEqual(file.read(), "mine")
        done = self.relay.command("queue", "export", self.out("one"), first)
        self.assertEqual(sorted(os.listdir(self.out("one"))), [first + ".eml", first + ".json"])
        self.relay.command("queue", "export", self.out("none"), "--sender", "nobody@else.example")
        self.assertEqual(os.listdir(self.out("none")), [])
        self.relay.command("queue", "export", self.out("none/x/y"), expect=1)

    def test_what_is_named_twice_is_exported_once(self):
        self.fill(2)
        first = sorted(self.ids)[0]
        done = self.relay.command("queue", "export", self.out("a"), first, first + "-1")
        self.assertEqual(done.stdout, "1 messages exported to %s\n" % self.out("a"))

    def test_what_was_moved_away_and_deleted_is_not_taken_for_known_when_it_comes_back(self):
        self.fill(3)
        self.relay.command("queue", "export", self.out("a"))
        first = sorted(self.ids)[0]
        self.relay.command("queue", "delete", first)
        done = self.relay.command("queue", "import", self.out("a"), expect=1)
        self.assertEqual(done.stdout, "0 messages imported, 2 known to the queue already, 1 were deleted here\n")
        self.assertIn("%s: it was deleted here" % first, done.stderr)
        done = self.relay.command("queue", "import", self.out("a"), "--deleted")
        self.assertRegex(done.stdout, "^%s is (\\S+) here, .*\n1 messages imported, 2 known to the queue already\n$" % first)
        self.assertEqual(len(self.relay.queue("list")), 3)
        done = self.relay.command("queue", "import", self.out("a"))
        self.assertTrue(done.stdout.endswith("0 messages imported, 3 known to the queue already\n"))
        self.assertEqual(len(self.deliver_all()), 3)

    def test_a_message_with_an_id_that_the_relay_may_give_gets_another_one(self):
        """It may be the id of one that is just being received."""
        self.fill(2)
        self.relay.command("queue", "export", self.out("a"))
        for path in glob.glob(self.out("a/*.json")):
            with open(path) as file:
                envelope = json.load(file)
            number = 0
            for character in envelope["id"]:
                number = number * 52 + ALPHABET.index(character)
            number += 5 << 20  # milliseconds
            envelope["id"] = "".join(ALPHABET[number // 52**place % 52] for place in reversed(range(12)))
            os.rename(path[:-5] + ".eml", self.out("a/%s.eml" % envelope["id"]))
            os.remove(path)
            with open(self.out("a/%s.json" % envelope["id"]), "w") as file:
                json.dump(envelope, file)
        done = self.relay.command("queue", "import", self.out("a"))
        self.assertEqual(done.stdout.count(" here, because its own id may be another message's\n"), 2)
        self.assertEqual(len(self.relay.queue("list")), 4)
        for again in range(2):
            done = self.relay.command("queue", "import", self.out("a"))
            self.assertTrue(done.stdout.endswith("0 messages imported, 2 known to the queue already\n"), done.stdout)
            if again == 0:  # from now on the ids are older than the relay, and free
                self.relay.stop()
                self.relay.start()

    def test_an_import_waits_for_one_that_was_cut_off(self):
        self.fill(8)
        self.relay.command("queue", "export", self.out("a"))
        large = max(glob.glob(self.out("a/*.eml")), key=os.path.getsize)[:-4]
        self.wipe()
        self.relay.start()
        with open(large + ".json", "rb") as file:
            envelope = file.read()
        octets = os.path.getsize(large + ".eml")
        with socket.socket(socket.AF_UNIX) as client, open(large + ".eml", "rb") as content:
            client.connect(os.path.join(self.relay.runtime_dir, "control.sock"))
            piece = envelope + content.read(60_000 - len(envelope))
            client.sendall(b"POST /v1/queue/import?id=%s&envelope=%d&content=%d&at=0 HTTP/1.1\r\nHost: x\r\nContent-Length: %d\r\n\r\n" %
                           (os.path.basename(large).encode(), len(envelope), octets, len(piece)) + piece)
            answer = client.recv(65536)
            self.assertIn(b'{"outcome":"more"}', answer)
        done = self.relay.command("queue", "import", self.out("a"))
        self.assertEqual(done.stdout, "8 messages imported\n")
        self.assertEqual(len(self.deliver_all()), 8)

    def test_what_a_killed_relay_had_taken_of_an_import_is_known_to_the_next_one(self):
        self.fill(40)
        self.relay.command("queue", "export", self.out("a"))
        self.wipe()
        self.relay.start()
        before = len(self.relay.log("imported"))
        importing = subprocess.Popen([relay_module.ROCKDOVE, "queue", "import", self.out("a"), "--config", self.relay.configuration],
                                     stdout=subprocess.PIPE, stderr=subprocess.PIPE)
        until(lambda: len(self.relay.log("imported")) >= before + 5, "some of them")
        self.relay.kill(signal.SIGKILL)
        importing.communicate(timeout=60)
        self.relay.start()
        some = len(self.relay.queue("list", "--limit", "1000"))
        self.assertGreaterEqual(some, 5)
        done = self.relay.command("queue", "import", self.out("a"))
        known = "" if some == 0 else ", %d known to the queue already" % some
        self.assertEqual(done.stdout, "%d messages imported%s\n" % (40 - some, known))
        delivered = self.deliver_all()
        subjects = [octets.split(b"Subject: number ")[1].split(b"\r\n")[0] for _, octets in delivered]
        self.assertEqual(sorted(subjects, key=int), [b"%d" % number for number in range(40)])

    # Salvage.

    def crash(self):
        self.relay.command("queue", "export", self.out("truth"))
        self.relay.kill(signal.SIGKILL)
        self.database = os.path.join(self.relay.state_dir, "queue")

    def files(self, end):
        return sorted(glob.glob(os.path.join(self.database, "*" + end)))

    def overwrite(self, path, offset, octets):
        with open(path, "r+b") as file:
            file.seek(offset)
            file.write(random.Random(1).randbytes(octets))

    def digests(self):
        found = {}
        for path in self.files(""):
            with open(path, "rb") as file:
                found[path] = hashlib.sha256(file.read()).digest()
        return found

    def salvage(self, expect=0):
        before = self.digests()
        done = self.relay.command("queue", "salvage", self.relay.state_dir, self.out("salvaged"), expect=expect)
        self.assertEqual(self.digests(), before, "salvage has changed something")
        sums, truth = checksums(self.out("salvaged")), checksums(self.out("truth"))
        for ident, digest in sums.items():
            self.assertEqual(digest, truth[ident])
        self.assertTrue(os.path.exists(self.out("salvaged/report.txt")))
        return done, sums

    def flush(self):
        """What is only in the log goes into tables, at a start."""
        self.relay.kill(signal.SIGKILL)
        self.relay.start()

    def test_a_database_without_its_beginnings_is_salvaged_and_goes_on_elsewhere(self):
        self.fill()
        self.flush()
        self.crash()
        for path in self.files("CURRENT") + glob.glob(os.path.join(self.database, "MANIFEST-*")):
            os.remove(path)
        _, sums = self.salvage()
        self.assertEqual(set(sums), set(self.ids))
        for ident in self.ids:
            with open(self.out("salvaged/%s.json" % ident)) as one, open(self.out("truth/%s.json" % ident)) as other:
                self.assertEqual(json.load(one), json.load(other))
        os.rename(self.database, self.out("kept"))
        self.relay.start()
        self.assertEqual(self.relay.command("queue", "import", self.out("salvaged")).stdout,
                         "12 messages imported, 1 other files left alone\n")
        self.assertEqual(len(self.deliver_all()), 12)

    def test_of_a_log_with_a_torn_end_all_comes_out_in_front_of_it(self):
        self.fill()
        self.crash()
        log = self.files(".log")[-1]
        os.truncate(log, os.path.getsize(log) - 3)
        done, sums = self.salvage(expect=None)
        self.assertGreaterEqual(len(sums), 11)
        with open(self.out("salvaged/report.txt")) as file:
            self.assertIn("%s at " % os.path.basename(log), file.read())

    def test_a_hole_in_the_log_costs_little(self):
        self.fill()
        self.crash()
        log = max(self.files(".log"), key=os.path.getsize)
        self.overwrite(log, 40_000, 512)
        done, sums = self.salvage(expect=None)
        self.assertGreaterEqual(len(sums), 6)
        self.assertIn("damaged places", done.stdout)

    def test_a_body_that_is_hurt_is_named(self):
        self.fill()
        self.flush()
        self.crash()
        for log in self.files(".log"):
            os.truncate(log, 0)
        blob = max(self.files(".blob"), key=os.path.getsize)
        self.overwrite(blob, os.path.getsize(blob) // 2, 100)
        done, sums = self.salvage(expect=1)
        self.assertEqual(len(sums), 11)
        hurt, = set(self.ids) - set(sums)
        self.assertRegex(done.stderr, "%s from <a@one.example> to <b\\d+@x.example>: chunk \\d+ of its body" % hurt)
        with open(self.out("salvaged/report.txt")) as file:
            self.assertIn(hurt, file.read())

    def test_tables_whose_ends_are_overwritten_still_give_their_rows(self):
        self.fill()
        self.flush()
        self.crash()
        for log in self.files(".log"):
            os.truncate(log, 0)
        for table in self.files(".sst"):
            self.overwrite(table, os.path.getsize(table) - 200, 200)
        _, sums = self.salvage()
        self.assertEqual(set(sums), set(self.ids))

    def test_a_queue_that_is_open_is_not_salvaged_and_nothing_goes_into_a_damaged_one(self):
        self.fill(1)
        done = self.relay.command("queue", "salvage", self.relay.state_dir, self.out("s"), expect=1)
        self.assertIn("has this queue open", done.stderr)
        self.relay.stop()
        done = self.relay.command("queue", "salvage", self.relay.state_dir, os.path.join(self.relay.state_dir, "queue/out"), expect=1)
        self.assertIn("within the damaged queue", done.stderr)
        done = self.relay.command("queue", "salvage", self.out("nowhere"), self.out("s"), expect=1)


if __name__ == "__main__":
    run_tests()
