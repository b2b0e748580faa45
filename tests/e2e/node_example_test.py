#!/usr/bin/env python3
"""examples/node, built as docs/clients.md says."""

import unittest

import harness
from example_clients import ExampleTests


class NodeExampleTest(ExampleTests, unittest.TestCase):
    language = "node"
    programs = ("node", "npm")
    command = ("node", "./dist/client.js")


if __name__ == "__main__":
    harness.run()
