#!/usr/bin/env python3
"""Tests of thread_safety_check.py: a member that is read without its lock is found, and only where a lock is included."""

import os
import shutil
import subprocess
import sys
import tempfile
import unittest
from pathlib import Path

SOURCE = Path(__file__).resolve().parents[2]
CHECK = SOURCE / "tests/checks/thread_safety_check.py"
CMAKE = """cmake_minimum_required(VERSION 3.25)
project(one LANGUAGES CXX)
set(CMAKE_CXX_STANDARD 20)
set(CMAKE_EXPORT_COMPILE_COMMANDS ON)
add_library(one OBJECT one.cc)
target_include_directories(one PRIVATE "%s")
"""
CODE = """#include "base/mutex.h"
class Counter {
 public:
  void Add() { %s++count_; }
 private:
  heapsync::Mutex mutex_;
  int count_ ABSL_GUARDED_BY(mutex_) = 0;
};
void Use(Counter& counter) { counter.Add(); }
"""


@unittest.skipUnless(shutil.which("clang++-14"), "clang++-14 is not installed")
class ThreadSafetyCheckTest(unittest.TestCase):
    def setUp(self) -> None:
        folder = tempfile.TemporaryDirectory()
        self.addCleanup(folder.cleanup)
        self.folder = Path(folder.name)

    def check(self, code: str) -> subprocess.CompletedProcess:
        (self.folder / "CMakeLists.txt").write_text(CMAKE % SOURCE, encoding="utf-8")
        (self.folder / "one.cc").write_text(code, encoding="utf-8")
        build = self.folder / "build"
        for command in (["cmake", "-G", "Ninja", "-S", str(self.folder), "-B", str(build)], ["cmake", "--build", str(build)]):
            subprocess.run(command, check=True, capture_output=True)
        return subprocess.run([sys.executable, str(CHECK), "--build", str(build)], capture_output=True, text=True)

    def test_a_member_read_without_its_lock_is_found(self) -> None:
        result = self.check(CODE % "")
        self.assertEqual(result.returncode, 1, result.stdout + result.stderr)
        self.assertIn("requires holding mutex", result.stderr)

    def test_a_member_read_with_its_lock_is_fine(self) -> None:
        result = self.check(CODE % "heapsync::MutexLock lock(mutex_); ")
        self.assertEqual(result.returncode, 0, result.stdout + result.stderr)
        self.assertIn("1 sources checked, 0 with findings", result.stdout)

    def test_a_build_without_locks_is_a_fault_and_not_a_pass(self) -> None:
        result = self.check("int one = 1;\n")
        self.assertEqual(result.returncode, 1)
        self.assertIn("nothing was checked", result.stderr)


if __name__ == "__main__":
    unittest.main() if shutil.which("clang++-14") or os.environ.get("CI") == "true" else sys.exit(77)
