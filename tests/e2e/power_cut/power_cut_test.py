#!/usr/bin/python3
"""Tests contrib/bench/lose_unsynced.c: power_cut_test.py ROCKS_WRITER

First file by file, with a small program; then with RocksDB, killed at random moments: what was
acknowledged after a sync must be there after a power cut, and must not be there when the syncs were
swallowed, else the library would not see what it is for.
"""
import os
import random
import signal
import subprocess
import sys
import tempfile
import time
import unittest

ROOT = os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "..", "..")
sys.path.insert(0, os.path.join(ROOT, "contrib", "bench"))
import power_cut  # pylint: disable=wrong-import-position

WRITER = sys.argv.pop(1)


class PowerCut(unittest.TestCase):
    def setUp(self):
        holder = tempfile.TemporaryDirectory()
        self.addCleanup(holder.cleanup)
        self.folder = holder.name
        self.state = os.path.join(self.folder, "state")
        self.record = os.path.join(self.folder, "record")
        os.mkdir(self.state)
        self.library = power_cut.build_library(self.folder)

    def run_python(self, program, swallow=None):
        """Runs a small Python program in the state folder, then cuts the power."""
        subprocess.run(["/usr/bin/python3", "-c", "import os\n" + program], cwd=self.state, check=True,
                       env=power_cut.environment(self.library, self.record, "/usr/bin/python3", swallow))
        power_cut.cut(self.state, self.record)

    def sizes(self):
        return {name: os.path.getsize(os.path.join(self.state, name)) for name in os.listdir(self.state)}

    def test_a_file_that_was_never_synced_is_emptied(self):
        self.run_python("f = os.open('a', os.O_CREAT | os.O_WRONLY); os.write(f, b'x' * 100)")
        self.assertEqual(self.sizes(), {"a": 0})

    def test_what_was_written_after_the_last_sync_is_cut_off(self):
        self.run_python("f = os.open('a', os.O_CREAT | os.O_WRONLY); os.write(f, b'x' * 100); os.fsync(f)\n"
                        "os.write(f, b'y' * 50); os.fdatasync(f); os.write(f, b'z' * 50)")
        self.assertEqual(self.sizes(), {"a": 150})

    def test_what_was_covered_stays_covered_in_the_next_run(self):
        self.run_python("f = os.open('a', os.O_CREAT | os.O_WRONLY); os.write(f, b'x' * 100); os.fsync(f)")
        self.run_python("f = os.open('a', os.O_WRONLY | os.O_APPEND); os.write(f, b'y' * 50)")
        self.assertEqual(self.sizes(), {"a": 100})

    def test_a_renamed_file_keeps_what_it_had_and_the_replaced_one_counts_for_nothing(self):
        self.run_python("f = os.open('a', os.O_CREAT | os.O_WRONLY); os.write(f, b'x' * 100); os.fsync(f)\n"
                        "g = os.open('b', os.O_CREAT | os.O_WRONLY); os.write(g, b'y' * 10); os.fsync(g)\n"
                        "os.write(g, b'y' * 10); os.rename('b', 'a')")
        self.assertEqual(self.sizes(), {"a": 10})

    def test_a_new_file_inherits_nothing_from_a_removed_one_with_the_same_inode(self):
        self.run_python("for i in range(50):\n"
                        "  f = os.open('a', os.O_CREAT | os.O_WRONLY); os.write(f, b'x' * 100); os.fsync(f)\n"
                        "  os.close(f); os.unlink('a')\n"
                        "open('b', 'wb').write(b'y' * 100)")
        self.assertEqual(self.sizes(), {"b": 0})

    def test_a_file_that_was_cut_and_grew_again_is_covered_up_to_the_cut(self):
        self.run_python("f = os.open('a', os.O_CREAT | os.O_RDWR); os.write(f, b'x' * 100); os.fsync(f)\n"
                        "os.ftruncate(f, 20); os.lseek(f, 0, 2); os.write(f, b'y' * 200)")
        self.assertEqual(self.sizes(), {"a": 20})

    def test_a_file_opened_with_truncation_begins_anew(self):
        self.run_python("f = os.open('a', os.O_CREAT | os.O_RDWR); os.write(f, b'x' * 100); os.fsync(f)\n"
                        "f = os.open('a', os.O_TRUNC | os.O_RDWR); os.write(f, b'x' * 100)")
        self.assertEqual(self.sizes(), {"a": 0})

    def test_swallowed_syncs_cover_nothing_and_the_pattern_chooses_the_files(self):
        self.run_python("for n in ('a.log', 'a.sst'):\n"
                        "  f = os.open(n, os.O_CREAT | os.O_WRONLY); os.write(f, b'x' * 100); os.fsync(f)", "*.log")
        self.assertEqual(self.sizes(), {"a.log": 0, "a.sst": 100})

    def test_the_working_file_does_not_survive(self):
        self.run_python("f = os.open('working', os.O_CREAT | os.O_WRONLY); os.write(f, b'x'); os.fsync(f)")
        self.assertEqual(self.sizes(), {})

    def kill_writer(self, first, swallow, wait):
        """Runs the RocksDB writer for a moment, kills it, cuts the power; returns the last row that it acknowledged."""
        environment = power_cut.environment(self.library, self.record, WRITER, swallow)
        with subprocess.Popen([WRITER, "write", os.path.join(self.state, "db"), str(first)], env=environment,
                              stdout=subprocess.PIPE, text=True) as writer:
            self.assertTrue(writer.stdout.readline(), "the writer did not start")
            time.sleep(wait)
            writer.send_signal(signal.SIGKILL)
            said = [line for line in writer.stdout if line.endswith("\n")]
        power_cut.cut(self.state, self.record)
        return int(said[-1].split()[1]) if said else first

    def rows(self):
        # Opening the database writes files too, so the record must go on.
        result = subprocess.run([WRITER, "read", os.path.join(self.state, "db")], capture_output=True, text=True,
                                check=False, env=power_cut.environment(self.library, self.record, WRITER))
        return {int(line.split()[1]) for line in result.stdout.splitlines()} if result.returncode == 0 else set()

    def test_rocksdb_keeps_every_acknowledged_row_through_power_cuts(self):
        seed = random.randrange(1 << 32)
        print(f"seed {seed}", file=sys.stderr)
        chance, first = random.Random(seed), 0
        for _ in range(6):
            last = self.kill_writer(first, None, chance.uniform(0.05, 0.6))
            missing = set(range(last + 1)) - self.rows()
            self.assertEqual(missing, set())
            first = last + 1
        self.assertFalse(power_cut.recycles_wal(self.state))

    def test_rocksdb_loses_acknowledged_rows_when_the_syncs_of_its_wal_are_swallowed(self):
        first, lost = 0, set()
        for _ in range(5):  # A cut right after a flush loses nothing.
            last = self.kill_writer(first, "*.log", 0.5)
            lost |= set(range(first, last + 1)) - self.rows()
            if lost:
                break
            first = last + 1
        self.assertNotEqual(lost, set())

    def test_rocksdb_loses_everything_when_all_syncs_are_swallowed(self):
        self.kill_writer(0, "*", 0.3)
        self.assertEqual(self.rows(), set())


if __name__ == "__main__":
    unittest.main()
