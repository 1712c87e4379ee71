#!/usr/bin/python3
"""libdkim_seal exports our functions and nothing of OpenSSL or OpenDKIM, needs no OpenSSL at run time,
and takes nothing of that kind from outside: sealed_symbols_test.py LIBRARY"""
import re
import subprocess
import sys

# What is in the namespaces that C++ itself brings along (templates that were instantiated here).
OURS = re.compile(r"^_ZN8rockdove6policy|^_ZNK?8rockdove6policy")
FOREIGN = re.compile(r"^(EVP|RSA|BIO|PEM|SSL|X509|ERR|CRYPTO|OPENSSL|OpenSSL|SHA\d|dkim|DKIM|strlc|MD5|EC_|BN_)")


def symbols(library, which):
    output = subprocess.run(["nm", "-D", which, library], capture_output=True, text=True, check=True).stdout
    return [line.split()[-1].split("@")[0] for line in output.splitlines()]


def main():
    library = sys.argv[1]
    exported = symbols(library, "--defined-only")
    wrong = [f"exports {name}" for name in exported if FOREIGN.match(name)]
    if not any(OURS.match(name) for name in exported):
        wrong.append("exports nothing of ours, so this test looks at the wrong thing")
    wrong += [f"takes {name} from outside" for name in symbols(library, "--undefined-only") if FOREIGN.match(name)]
    needed = subprocess.run(["readelf", "-d", library], capture_output=True, text=True, check=True).stdout
    wrong += [f"needs {name}" for name in re.findall(r"NEEDED.*\[(lib(?:crypto|ssl|opendkim)[^]]*)\]", needed)]
    for line in wrong:
        print(f"{library} {line}")
    print(f"{len(exported)} symbols exported")
    return 1 if wrong else 0


if __name__ == "__main__":
    sys.exit(main())
