#!/usr/bin/python3
"""Every check that .clang-tidy names is one that clang-tidy knows: clang_tidy_names.py ROOT

A misspelt name would silently check nothing. Skipped where clang-tidy is not installed.
"""
import fnmatch
import re
import shutil
import subprocess
import sys


def main():
    program = shutil.which("clang-tidy-14") or shutil.which("clang-tidy")
    if not program:
        print("clang-tidy is not installed")
        return 77
    listed = subprocess.run([program, "--list-checks", "--checks=*"], capture_output=True, text=True, check=True).stdout
    known = set(listed.split()[2:])
    with open(f"{sys.argv[1]}/.clang-tidy", encoding="utf-8") as file:
        block = re.search(r"^Checks: >\n((?:  .*\n)+)", file.read(), re.MULTILINE)[1]
    names = [name.strip().lstrip("-") for name in block.replace("\n", "").split(",")]
    unknown = [name for name in names if not fnmatch.filter(known, name)]
    for name in unknown:
        print(f"clang-tidy does not know {name}")
    return 1 if unknown or len(names) < 40 else 0


if __name__ == "__main__":
    sys.exit(main())
