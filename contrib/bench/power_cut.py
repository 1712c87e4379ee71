"""Plays a power cut on a folder, from the record that lose_unsynced.c wrote.

    library = power_cut.build_library(folder)     compiles lose_unsynced.c into `folder`
    environment = power_cut.environment(library, record, program)
    ... run the program with that environment, kill it with SIGKILL, wait for it ...
    lost = power_cut.cut(state_folder, record)    octets that the power cut took

After a cut the same record is used again: what was covered stays covered.
"""
import os
import re
import stat
import subprocess

HERE = os.path.dirname(os.path.abspath(__file__))


def build_library(folder):
    """Compiles the library into `folder` and returns its path."""
    library = os.path.join(folder, "lose_unsynced.so")
    subprocess.run(["cc", "-O2", "-shared", "-fPIC", os.path.join(HERE, "lose_unsynced.c"), "-o", library, "-ldl"],
                   check=True)
    os.chmod(library, 0o755)
    return library


def environment(library, record, program, swallow=None):
    """The environment that `program` is to be started with; `swallow` is a pattern of file names
    whose syncs are to do nothing."""
    result = dict(os.environ)
    linked = subprocess.run(["ldd", program], capture_output=True, text=True, check=False).stdout
    # A sanitizer wants to be loaded first.
    sanitizers = re.findall(r"=> (\S*lib(?:asan|tsan)\.so\S*)", linked)
    result["LD_PRELOAD"] = ":".join(sanitizers + [library])
    result["LOSE_RECORD"] = record
    result.pop("LOSE_SWALLOW", None)
    if swallow:
        result["LOSE_SWALLOW"] = swallow
    return result


def covered_lengths(record):
    """{(device, inode): octets that a sync has covered}"""
    covered = {}
    with open(record, encoding="ascii") as lines:
        for line in lines:
            what, device, inode, length = line.split()
            key, length = (int(device), int(inode)), int(length)
            if what == "S":
                covered[key] = max(covered.get(key, 0), length)
            elif what == "T":
                covered[key] = min(covered.get(key, 0), length)
            elif what == "F":
                covered.pop(key, None)
            else:
                raise ValueError(f"{record}: {line!r}")
    return covered


def cut(state, record):
    """Cuts each file below `state` back to what was covered; the program must be dead. `working`
    is a mapping that needs no sync, so a power cut may leave nothing of it: it is removed. Returns
    the octets that were lost."""
    covered, lost = covered_lengths(record), 0
    for folder, _, names in os.walk(state):
        for name in names:
            path = os.path.join(folder, name)
            info = os.lstat(path)
            if not stat.S_ISREG(info.st_mode):
                continue
            keep = covered.get((info.st_dev, info.st_ino), 0)
            if path == os.path.join(state, "working"):
                os.unlink(path)
            elif info.st_size > keep:
                lost += info.st_size - keep
                os.truncate(path, keep)
    # Begin the record anew, as short as it can be. Nobody else has it open now.
    with open(record + ".new", "w", encoding="ascii") as lines:
        for (device, inode), length in covered.items():
            lines.write(f"S {device} {inode} {length}\n")
    os.replace(record + ".new", record)
    return lost


def recycles_wal(state):
    """True when a RocksDB below `state` reuses WAL files: overwritten data is invisible to us, so
    such a run would prove nothing."""
    for folder, _, names in os.walk(state):
        for name in names:
            if name.startswith("OPTIONS-"):
                with open(os.path.join(folder, name), encoding="utf-8", errors="replace") as options:
                    found = re.search(r"recycle_log_file_num=(\d+)", options.read())
                    if found and int(found[1]) > 0:
                        return True
    return False
