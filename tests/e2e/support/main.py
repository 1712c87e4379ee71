"""How each test of a relay ends: `run_tests()`, with the program as the first argument, as meson gives it."""

import os
import sys
import unittest

import relay


def run_tests():
    relay.ROCKDOVE = os.path.abspath(sys.argv.pop(1))
    unittest.main(module="__main__")
