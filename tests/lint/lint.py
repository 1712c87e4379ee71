#!/usr/bin/python3
"""Checks one rule on the whole tree, for meson: lint.py ROOT RULE, or lint.py ROOT linked PROGRAM.

Prints what is wrong, one sentence a line. Exit status 0, 1, or 77 when there is nothing to look at.
"""
import os
import subprocess
import sys

import rules


def main():
    root, rule = sys.argv[1], sys.argv[2]
    if rule == "linked":
        program = sys.argv[3]
        if not os.path.exists(program):
            print(f"{program} is not built")
            return 77
        wrong = rules.linked_libraries(subprocess.run(["ldd", program], capture_output=True, text=True, check=True).stdout)
    else:
        wrong = rules.RULES[rule](rules.Tree(root))
    for line in wrong:
        print(line)
    return 1 if wrong else 0


if __name__ == "__main__":
    sys.exit(main())
