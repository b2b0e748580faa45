#!/usr/bin/env python3
"""examples/java, built as docs/clients.md says."""

import unittest

import harness
from example_clients import ExampleTests


class JavaExampleTest(ExampleTests, unittest.TestCase):
    language = "java"
    programs = ("javac", "mvn")
    command = ("java", "-jar", "./target/heapsync-client.jar")


if __name__ == "__main__":
    harness.run()
