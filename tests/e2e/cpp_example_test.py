#!/usr/bin/env python3
"""examples/cpp with the installed client library, built as docs/clients.md says."""

import re
import subprocess
import unittest

import harness
from example_clients import ExampleTests
from harness import Binaries


class CppExampleTest(ExampleTests, unittest.TestCase):
    language = "cpp"
    programs = ("cmake",)
    command = ("./build/client",)

    @classmethod
    def environment(cls) -> dict[str, str]:
        prefix = cls.folder / "prefix"
        build = Binaries.cli.resolve().parents[2]
        subprocess.run(["cmake", "--install", build, "--component", "client", "--prefix", prefix], check=True, capture_output=True)
        return {"CMAKE_PREFIX_PATH": str(prefix)}

    def breaks(self, output: str) -> int:
        # The library resumes by itself and counts.
        return sum(int(count) for count in re.findall(r", (\d+) reconnects$", output, re.MULTILINE))


if __name__ == "__main__":
    harness.run()
