#!/usr/bin/env python3
"""examples/python, built as docs/clients.md says."""

import unittest

import harness
from example_clients import ExampleTests


class PythonExampleTest(ExampleTests, unittest.TestCase):
    language = "python"
    programs = ("python3",)
    command = ("./.venv/bin/python", "./client.py")


if __name__ == "__main__":
    harness.run()
