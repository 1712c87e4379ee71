"""The rules of style.md and architecture.md that a program can check.

Each rule is a function of a Tree (the files below a root) that returns sentences, one for each thing
that is wrong. RULES names them. rules_test.py shows for each that it can fail.
"""
import os
import re

# A folder is a layer; it may include itself and these. Where a layer may use only some headers of
# another, they are named instead.
BELOW = ["base", "mail", "smtp", "traffic", "crypto", "http", "net", "dns", "policy", "queue"]
LAYERS = {
    "base": ("mta/base", []),
    "mail": ("mta/mail", ["base"]),
    "smtp": ("mta/smtp", ["base", "mail"]),
    "traffic": ("mta/traffic", ["base", "mail", "mta/smtp/reply.h"]),
    "crypto": ("mta/crypto", ["base"]),
    "http": ("mta/http", ["base"]),
    "net": ("mta/net", ["base"]),
    "dns": ("dns", ["base", "net"]),
    "policy": ("policy", ["base", "mail", "crypto", "dns/answers.h", "dns/public_suffix.h"]),
    "queue": ("queue", ["base", "mail", "mta/smtp/reply.h", "traffic"]),
    "inbound": ("mta/inbound", BELOW),
    "outbound": ("mta/outbound", BELOW),
    "admin": ("mta/admin", BELOW),
    "daemon": ("mta/daemon", BELOW + ["inbound", "outbound", "admin"]),
    "cli": ("mta/cli", BELOW + ["inbound", "outbound", "admin", "daemon"]),
}
# (file, what it includes): why. An exception that is not needed any more is an error, too.
EXCEPTIONS = {}

# One home for each third-party header: the header's beginning, and the files that may include it.
HOMES = {
    "uv.h": ["mta/net/", "dns/cares_resolver."],
    # BoringSSL's, but for policy/dkim_seal.cc: within the seal it is OpenSSL's.
    "openssl/": ["mta/net/tls", "mta/crypto/", "policy/dkim_seal.cc", "tests/unit/net/tls_",
                 "tests/unit/policy/boringssl_beside_openssl_test.cc"],
    "prometheus/": ["mta/admin/metrics."],
    "crypt.h": ["mta/crypto/password."],
    "opendkim/": ["policy/dkim_seal.cc"],
    "spf2/": ["policy/spf_second.cc"],
    "ares.h": ["dns/cares_resolver."],
    "ares_nameser.h": ["dns/cares_resolver."],
    "rocksdb/": ["queue/rocks_", "tests/e2e/power_cut/rocks_writer.cc"],
    "google/protobuf/": ["queue/"],
    "idn2.h": ["mta/mail/idna."],
    "re2/": ["mta/traffic/reply_pattern."],
    "libpsl.h": ["dns/public_suffix."],
    "iconv.h": ["mta/mail/encoded_word."],
    "boost/": ["mta/http/"],
    "toml++/": ["mta/daemon/"],
    "toml.hpp": ["mta/daemon/"],
    "systemd/": ["mta/daemon/"],
    "CLI/": ["mta/cli/", "tests/unit/cli/"],
    "nlohmann/": ["mta/admin/", "mta/cli/", "tests/"],
    "fmt/": [""],
    "catch2/": ["tests/"],
}
# What Linux and the C library bring needs no home.
SYSTEM = re.compile(r"^(sys|netinet|arpa|linux|net)/|^(cxxabi|dirent|dlfcn|endian|errno|execinfo|fcntl|fnmatch|getopt|grp|ifaddrs|"
                    r"limits|link|malloc|netdb|poll|pthread|pwd|resolv|sched|signal|spawn|stdio|stdlib|string|strings|sysexits|"
                    r"syslog|termios|time|ucontext|unistd|utime|wchar|immintrin|emmintrin)\.h$")

FILE_LINES_MAX = 600
HEADER_COMMENT_LINES = range(1, 21)  # style.md: 3 to 12; a very small header may say it in one
TOP_LEVEL = {"meson.build", "meson_options.txt", "mta", "queue", "policy", "dns", "tests", "contrib", "LICENSE", "README.md"}
INCLUDE = re.compile(r'^\s*#\s*include\s*([<"])([^>"]+)[>"]', re.MULTILINE)


class Tree:
    """The files below `root`, but for build folders, dotfiles and what Python leaves behind."""

    def __init__(self, root):
        self.root = root
        self.top = sorted(name for name in os.listdir(root) if not name.startswith((".", "build")))
        self.files = []
        for name in self.top:
            path = os.path.join(root, name)
            if os.path.isfile(path):
                self.files.append(name)
            for folder, folders, names in os.walk(path):
                folders[:] = sorted(f for f in folders if not f.startswith(".") and f != "__pycache__")
                self.files += [os.path.relpath(os.path.join(folder, n), root) for n in sorted(names)]

    def ending(self, *ends):
        return [path for path in self.files if path.endswith(ends)]

    def text(self, path):
        with open(os.path.join(self.root, path), encoding="utf-8", errors="replace") as file:
            return file.read()

    def includes(self, path):
        """[(is it in angle brackets, what)]"""
        return [(kind == "<", what) for kind, what in INCLUDE.findall(self.text(path))]


def layer_of(path):
    """The layer that a file belongs to, or None."""
    for layer, (folder, _) in LAYERS.items():
        if os.path.dirname(path) == folder or path.startswith(folder + "/"):
            return layer
    return None


def may_include(layer, header):
    other = layer_of(header)
    return other == layer or other in LAYERS[layer][1] or header in LAYERS[layer][1]


def layers(tree, exceptions=None):
    exceptions = EXCEPTIONS if exceptions is None else exceptions
    wrong, used = [], set()
    for path in tree.ending(".h", ".cc"):
        layer = layer_of(path)
        for in_brackets, header in tree.includes(path):
            if in_brackets:
                if layer_of(header):
                    wrong.append(f"{path}: <{header}> is ours and belongs in quotes")
                continue
            if path.startswith("tests/") and os.path.exists(os.path.join(tree.root, os.path.dirname(path), header)):
                continue  # a helper beside the test
            if not header.endswith(".pb.h") and not os.path.exists(os.path.join(tree.root, header)):
                wrong.append(f'{path}: "{header}" is no file; include paths begin at the root')
            elif layer and not may_include(layer, header):
                if (path, header) in exceptions:
                    used.add((path, header))
                else:
                    wrong.append(f"{path}: {layer} may not include {header}")
    wrong += [f"{path}: the exception for {header} is not needed any more" for path, header in set(exceptions) - used]
    return wrong


def homes(tree):
    wrong = []
    for path in tree.ending(".h", ".cc"):
        for in_brackets, header in tree.includes(path):
            if not in_brackets or ("." not in header and "/" not in header) or SYSTEM.match(header):
                continue
            found = [where for begin, where in HOMES.items() if header.startswith(begin)]
            if not found:
                wrong.append(f"{path}: <{header}> has no home in tests/lint/rules.py")
            elif not path.startswith(tuple(found[0])):
                wrong.append(f"{path}: <{header}> belongs in {' or '.join(found[0])}")
    return wrong


def is_ours(path):
    """Whether a file is text that we wrote."""
    return (path.endswith((".h", ".cc", ".c", ".proto", ".py", "meson.build"))
            or path.startswith("contrib/") and "." not in os.path.basename(path))


def file_length(tree):
    wrong = []
    for path in filter(is_ours, tree.files):
        lines = tree.text(path).count("\n")
        if lines > FILE_LINES_MAX:
            wrong.append(f"{path}: {lines} lines, at most {FILE_LINES_MAX}")
    return wrong


def unfinished(tree):
    """What is left to do names the decision or issue that it waits for."""
    word = re.compile(r"\b(TO" r"DO|FIX" r"ME|XX" r"X)\b(?!\((adr|issue)-\d+\):)")
    wrong = []
    for path in filter(is_ours, tree.files):
        for number, line in enumerate(tree.text(path).splitlines(), 1):
            found = word.search(line)
            if found:
                wrong.append(f"{path}:{number}: {found[1]} without its (adr-N): or (issue-N):")
    return wrong


def namespaces(tree):
    """The namespace is the folder's; a main program needs none."""
    wrong = []
    for path in tree.ending(".h", ".cc"):
        layer = layer_of(path)
        if layer is None:
            continue
        text = tree.text(path)
        named = re.findall(r"^namespace (rockdove(?:::\w+)*)", text, re.MULTILINE)
        own = [name for name in named if (name + "::").startswith(f"rockdove::{layer}::")]
        if not own and not re.search(r"^int main\(", text, re.MULTILINE) and not re.search(r'^extern "C"', text, re.MULTILINE):
            wrong.append(f"{path}: nothing is in the namespace rockdove::{layer}")
    return wrong


def header_comments(tree):
    wrong = []
    for path in tree.ending(".h"):
        lines = tree.text(path).splitlines()
        count = next((n for n, line in enumerate(lines) if not line.startswith("//")), len(lines))
        if count not in HEADER_COMMENT_LINES:
            wrong.append(f"{path}: opens with {count} lines of comment, not a few that say what it is")
    return wrong


def pragma_once(tree):
    wrong = []
    for path in tree.ending(".h"):
        lines = tree.text(path).splitlines()
        if lines.count("#pragma once") != 1:
            wrong.append(f"{path}: #pragma once is missing, or there twice")
    return wrong


def line_comments(tree):
    """`//` only; naming an argument, f(/*resume=*/true), or an unused parameter, f(int /*count*/), is fine."""
    block = re.compile(r"/\*(?!\w+=?\*/)")
    wrong = []
    for path in tree.ending(".h", ".cc"):
        for number, line in enumerate(tree.text(path).splitlines(), 1):
            # Without what is quoted: a raw string, a string, a character.
            code = re.sub(r'R"\(.*?\)"|"(\\.|[^"\\])*"|\'(\\.|[^\'\\])\'', '""', line).split("//")[0]
            if block.search(code):
                wrong.append(f"{path}:{number}: a comment begins with //")
    return wrong


def top_level(tree):
    return [f"{name}: not one of the top-level entries of architecture.md" for name in tree.top if name not in TOP_LEVEL]


def dialogues(tree):
    """contrib/doc/dialogues.md names each dialogue, and none that is not there."""
    doc = "contrib/doc/dialogues.md"
    folder = "tests/data/dialogues/"
    there = {path[len(folder):-len(".txt")] for path in tree.ending(".txt") if path.startswith(folder)}
    named = set(re.findall(r"`((?:client|relay|server)/\w+)`", tree.text(doc))) if doc in tree.files else set()
    return ([f"{folder}{name}.txt: not named in {doc}" for name in sorted(there - named)] +
            [f"{doc}: there is no dialogue {name}" for name in sorted(named - there)])


def linked_libraries(ldd_output):
    """Not a rule of a Tree: what `ldd` says of the program."""
    wrong = []
    for name in ("libcrypto.so", "libssl.so"):
        for line in ldd_output.splitlines():
            # BoringSSL's own have the same names and are in the folder android/.
            if re.match(rf"\s*{re.escape(name)}\b", line) and "/android/" not in line:
                wrong.append(f"the program loads OpenSSL's {line.split()[0]} beside BoringSSL")
    return wrong


RULES = {
    "layers": layers,
    "homes": homes,
    "file-length": file_length,
    "unfinished": unfinished,
    "namespaces": namespaces,
    "header-comments": header_comments,
    "pragma-once": pragma_once,
    "line-comments": line_comments,
    "top-level": top_level,
    "dialogues": dialogues,
}
