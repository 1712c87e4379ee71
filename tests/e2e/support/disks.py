"""Small disks of a test's own, for what happens when one fails. Only root may mount them."""

import contextlib
import os
import subprocess
import tempfile
import threading


class Disk:
    """A file system that is mounted on `path` until close(). Raises OSError where one may not be mounted."""

    def __init__(self, *mount_arguments):
        self.path = tempfile.mkdtemp(prefix="rockdove-disk-")
        done = subprocess.run(["mount", *mount_arguments, self.path], capture_output=True, text=True)
        if done.returncode != 0:
            os.rmdir(self.path)
            raise OSError(done.stderr.strip())

    def close(self):
        subprocess.run(["umount", "-l", self.path], check=True)
        os.rmdir(self.path)

    @contextlib.contextmanager
    def filled(self):
        """Leaves no octet free, also of what others free meanwhile."""
        ballast, is_over = os.path.join(self.path, "ballast"), threading.Event()

        def fill():
            with open(ballast, "wb", buffering=0) as file:
                while True:
                    for octets in (1 << 20, 4096, 1):
                        with contextlib.suppress(OSError):
                            while not is_over.is_set():
                                file.write(b"b" * octets)
                    if is_over.wait(0.05):
                        return

        filler = threading.Thread(target=fill)
        filler.start()
        try:
            yield
        finally:
            is_over.set()
            filler.join()
            os.unlink(ballast)


def tmpfs(octets):
    return Disk("-t", "tmpfs", "-o", "size=%d,mode=755" % octets, "none")


class Ext4(Disk):
    """ext4 in a file."""

    def __init__(self, octets):
        handle, self._image = tempfile.mkstemp(prefix="rockdove-disk-", suffix=".img")
        os.close(handle)
        try:
            os.truncate(self._image, octets)
            subprocess.run(["mkfs.ext4", "-q", "-m", "0", self._image], check=True)
            super().__init__("-o", "loop", self._image)
        except BaseException:
            os.unlink(self._image)
            raise

    def close(self):
        super().close()
        os.unlink(self._image)


def mounted_for(test, make):
    """make()'s disk until the test ends; skips the test where none can be mounted."""
    if os.getuid() != 0:
        test.skipTest("a small disk can only be mounted by root")
    try:
        disk = make()
    except OSError as error:
        test.skipTest("a small disk cannot be mounted here: %s" % error)
    test.addCleanup(disk.close)
    return disk
