#!/usr/bin/env python3
"""examples/go, built as docs/clients.md says."""

import unittest

import harness
from example_clients import ExampleTests


class GoExampleTest(ExampleTests, unittest.TestCase):
    language = "go"
    programs = ("go", "buf")
    command = ("./client",)


if __name__ == "__main__":
    harness.run()
