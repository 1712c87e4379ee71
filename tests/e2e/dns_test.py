#!/usr/bin/python3
"""Runs the C++ side of the DNS test (its one argument) against knotd and a server that is silent."""

import os
import socket
import subprocess
import sys

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "support"))
from knot import Knot  # noqa: E402

ZONES = {
    "example": [
        # A set of mail hosts, one of which has no address.
        "set MX 20 mx2.set", "set MX 10 mx1.set", "set MX 5 nowhere.set",
        "mx1.set A 192.0.2.1", "mx1.set A 192.0.2.2", "mx1.set AAAA 2001:db8::1",
        "mx2.set 60 A 192.0.2.3",
        "null MX 0 .",
        "alias CNAME hop", "hop CNAME set",
        "hostalias CNAME mx1.set",
        "implicit A 192.0.2.9",
        'onlytext TXT "no mail here"',
        # About 12,000 octets: over UDP this is truncated.
        *('big TXT "%02d%s" "%s"' % (i, "x" * 198, "y" * 200) for i in range(30)),
        "1.2.0.192.in-addr PTR Host.Example.",
        "odd MX 10 we\\.ird.example.",
        r'a\032b\037c\058d\047e TXT "strange"',
    ],
    "broken": None,
}


def main():
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as silent, Knot(ZONES) as knot:
        silent.bind(("127.0.0.1", 0))
        environment = dict(os.environ, DNS_TEST_SERVER=knot.address,
                           DNS_TEST_SILENT="127.0.0.1:%d" % silent.getsockname()[1])
        return subprocess.run(sys.argv[1:], env=environment, timeout=120, check=False).returncode


if __name__ == "__main__":
    sys.exit(main())
