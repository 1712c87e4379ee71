#!/usr/bin/python3
"""Shows for each rule that it passes good files and complains about bad ones."""
import os
import tempfile
import unittest

import rules

COMMENT = "// What it is.\n// What it is not.\n// Who owns it.\n#pragma once\n"


class Rules(unittest.TestCase):
    def tree(self, **files):
        """A tree of files; `__` in a name stands for / and the last `_` for the dot."""
        holder = tempfile.TemporaryDirectory()
        self.addCleanup(holder.cleanup)
        return self.tree_in(holder.name, files)

    def tree_in(self, root, files):
        for path, text in files.items():
            path = path.replace("__", "/")
            if "." not in path:
                path = ".".join(path.rsplit("_", 1))
            path = os.path.join(root, path)  # last: the folder's name may have underscores
            os.makedirs(os.path.dirname(path), exist_ok=True)
            with open(path, "w", encoding="utf-8") as file:
                file.write(text)
        return rules.Tree(root)

    def passes(self, rule, **files):
        self.assertEqual(rules.RULES[rule](self.tree(**files)), [])

    def complains(self, rule, about, **files):
        wrong = rules.RULES[rule](self.tree(**files))
        self.assertEqual(len(wrong), 1, wrong)
        self.assertIn(about, wrong[0])

    def test_every_rule_has_a_test_that_makes_it_complain(self):
        with open(os.path.abspath(__file__), encoding="utf-8") as file:
            text = file.read()
        for rule in rules.RULES:
            self.assertIn(f'self.complains("{rule}"', text)
            self.assertIn(f'self.passes("{rule}"', text)

    def test_layers_may_include_lower_ones_only(self):
        time = {"mta__base__time_h": "", "dns__answers_h": "", "dns__cache_h": ""}
        self.passes("layers", mta__mail__a_cc='#include "mta/base/time.h"\n', **time)
        self.passes("layers", policy__a_cc='#include "dns/answers.h"\n', **time)
        self.complains("layers", "policy may not include dns/cache.h", policy__a_cc='#include "dns/cache.h"\n', **time)
        self.complains("layers", "base may not include dns/cache.h", mta__base__a_cc='#include "dns/cache.h"\n', **time)

    def test_layers_want_include_paths_from_the_root(self):
        self.complains("layers", '"time.h" is no file', mta__base__time_h="", mta__base__a_cc='#include "time.h"\n')
        self.complains("layers", "belongs in quotes", mta__base__time_h="", dns__a_cc="#include <mta/base/time.h>\n")

    def test_layers_know_exceptions_and_notice_stale_ones(self):
        exception = {("mta/base/a.cc", "dns/cache.h"): "to test this"}
        bad = self.tree(mta__base__a_cc='#include "dns/cache.h"\n', dns__cache_h="")
        good = self.tree(mta__base__a_cc="", dns__cache_h="")
        self.assertEqual(rules.layers(bad, exception), [])
        self.assertEqual(rules.layers(good, exception),
                         ["mta/base/a.cc: the exception for dns/cache.h is not needed any more"])

    def test_third_party_headers_have_one_home(self):
        self.passes("homes", mta__net__loop_cc="#include <uv.h>\n#include <sys/socket.h>\n#include <vector>\n")
        self.complains("homes", "<uv.h> belongs in mta/net/", queue__a_cc="#include <uv.h>\n")
        self.complains("homes", "<curl/curl.h> has no home", mta__net__a_cc="#include <curl/curl.h>\n")

    def test_files_are_at_most_600_lines(self):
        self.passes("file-length", mta__base__a_cc="x\n" * 600)
        self.complains("file-length", "601 lines", mta__base__a_cc="x\n" * 601)
        self.complains("file-length", "contrib/check: 601 lines", **{"contrib__check": "x\n" * 601, "contrib__a_md": "x\n" * 700})

    def test_what_is_left_to_do_names_its_decision(self):
        self.passes("unfinished", mta__base__a_cc="// TO" "DO(adr-7): later\n")
        self.complains("unfinished", "a.cc:2", mta__base__a_cc="\n// TO" "DO: later\n")
        self.complains("unfinished", "FIX" "ME", mta__base__a_cc="// FIX" "ME\n")

    def test_the_namespace_is_the_folder(self):
        self.passes("namespaces", dns__a_h="namespace rockdove::dns {\n}\n", mta__cli__main_cc="int main() {\n}\n")
        self.complains("namespaces", "rockdove::dns", dns__a_h="namespace rockdove::net {\n}\n")
        self.complains("namespaces", "rockdove::dns", dns__a_h="namespace rockdove::dnsx {\n}\n")

    def test_headers_open_with_a_comment(self):
        self.passes("header-comments", dns__a_h=COMMENT)
        self.complains("header-comments", "opens with 0", dns__a_h="#pragma once\n" + COMMENT)
        self.complains("header-comments", "opens with 21", dns__a_h="// line\n" * 21)

    def test_headers_have_pragma_once(self):
        self.passes("pragma-once", dns__a_h=COMMENT)
        self.complains("pragma-once", "missing", dns__a_h="// What it is.\n")

    def test_comments_begin_with_two_slashes(self):
        self.passes("line-comments", dns__a_cc='f(/*resume=*/true); g(int /*n*/);  // a */ b\nconst char* k = "*/*";\n')
        self.complains("line-comments", "a.cc:1", dns__a_cc="/* old */ int x;\n")

    def test_each_dialogue_is_named_and_each_name_is_a_dialogue(self):
        file = {"tests__data__dialogues__client__a_txt": ""}
        self.passes("dialogues", contrib__doc__dialogues_md="`client/a`", **file)
        self.complains("dialogues", "client/a.txt: not named", contrib__doc__dialogues_md="", **file)
        self.complains("dialogues", "no dialogue server/b", contrib__doc__dialogues_md="`client/a`, `server/b`", **file)

    def test_the_top_level_stays_as_it_is(self):
        self.passes("top-level", mta__base__a_cc="", README_md="")
        self.complains("top-level", "notes.txt", notes_txt="")

    def test_openssl_is_not_linked_beside_boringssl(self):
        boring = "\tlibcrypto.so.0 => /usr/lib/x86_64-linux-gnu/android/libcrypto.so.0 (0x0)\n"
        self.assertEqual(rules.linked_libraries(boring), [])
        self.assertEqual(rules.linked_libraries(boring + "\tlibcrypto.so.3 => /usr/lib/libcrypto.so.3 (0x0)\n"),
                         ["the program loads OpenSSL's libcrypto.so.3 beside BoringSSL"])


if __name__ == "__main__":
    unittest.main()
