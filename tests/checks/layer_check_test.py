#!/usr/bin/env python3
"""Tests of layer_check.py, each with a small tree of its own."""

import tempfile
import unittest
from pathlib import Path

import layer_check


class LayerCheckTest(unittest.TestCase):
    def setUp(self) -> None:
        folder = tempfile.TemporaryDirectory()
        self.addCleanup(folder.cleanup)
        self.root = Path(folder.name)
        self.library("heap_adapter/model", "heapsync_model", "destination.cc")
        self.library("heap_adapter/spool", "heapsync_spool", "spool.cc", deps="heapsync_model")
        self.add("heap_adapter/model/destination.h", "<string>")

    def write(self, path: str, text: str) -> None:
        file = self.root / path
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(text, encoding="utf-8")

    def library(self, folder: str, name: str, sources: str, deps: str = "") -> None:
        self.write(f"{folder}/CMakeLists.txt", f"heapsync_library({name}\n  SOURCES {sources}\n  DEPS {deps} absl::strings)\n")

    def add(self, path: str, *includes: str) -> None:
        lines = [f"#include {i}" if i.startswith("<") else f'#include "{i}"' for i in includes]
        self.write(path, "\n".join(["// A file.", *lines, ""]))

    def faults(self) -> str:
        return "\n".join(layer_check.check(self.root))

    def test_an_include_with_a_declared_link_is_fine(self) -> None:
        self.add("heap_adapter/spool/spool.h", "heap_adapter/model/destination.h", "absl/strings/string_view.h")
        self.add("heap_adapter/spool/spool.cc", "heap_adapter/spool/spool.h")
        self.assertEqual(self.faults(), "")

    def test_an_include_needs_a_declared_link(self) -> None:
        self.library("heap_adapter/spool", "heapsync_spool", "spool.cc")
        self.add("heap_adapter/spool/spool.h", "heap_adapter/model/destination.h")
        self.assertIn('heap_adapter/spool/spool.h:2: #include "heap_adapter/model/destination.h"', self.faults())
        self.assertIn("heapsync_spool does not declare a link to heapsync_model", self.faults())

    def test_a_link_through_another_library_is_not_declared(self) -> None:
        self.library("heap_adapter/intake", "heapsync_intake", "committer.cc", deps="heapsync_spool")
        self.add("heap_adapter/intake/committer.cc", "heap_adapter/model/destination.h")
        self.assertIn("heapsync_intake does not declare a link to heapsync_model", self.faults())

    def test_libraries_of_one_folder_are_told_apart(self) -> None:
        self.write("server/log/CMakeLists.txt",
                   "heapsync_library(heapsync_log SOURCES log.cc)\nheapsync_library(heapsync_memory SOURCES memory.cc)\n")
        self.add("server/log/memory.cc", "server/log/log.h")
        self.assertIn("heapsync_memory does not declare a link to heapsync_log", self.faults())

    def test_links_of_a_program_count(self) -> None:
        self.write("server/CMakeLists.txt", "add_executable(program main.cc)\ntarget_link_libraries(program PRIVATE heapsync_model)\n")
        self.add("server/main.cc", "heap_adapter/model/destination.h")
        self.assertEqual(self.faults(), "")
        self.add("server/main.cc", "heap_adapter/spool/spool.h")
        self.assertIn("program does not declare a link to heapsync_spool", self.faults())

    def test_the_server_knows_few_headers_of_the_adapter(self) -> None:
        self.write("server/CMakeLists.txt", "add_executable(program main.cc)\ntarget_link_libraries(program PRIVATE heapsync_model)\n")
        doors = [f"heap_adapter/model/door{i}.h" for i in range(10)]
        self.add("server/main.cc", *doors)
        self.assertEqual(self.faults(), "")
        # One more, by another file.
        self.add("server/program.cc", doors[0], "heap_adapter/model/window.h")
        self.assertIn("the server includes 11 headers of heap_adapter, and may include 10", self.faults())
        self.assertIn("heap_adapter/model/window.h", self.faults())

    def test_a_circle_of_links_is_refused(self) -> None:
        self.library("heap_adapter/model", "heapsync_model", "destination.cc", deps="heapsync_spool")
        self.assertIn("a circle of links through heapsync_model", self.faults())

    def test_heap_adapter_must_not_see_grpc_in_any_spelling(self) -> None:
        for target in ("grpcpp/grpcpp.h", "<grpc/grpc.h>", "google/rpc/status.pb.h", "heapsync/v1/heap_sync_service.pb.h",
                       "heapsync/v1/heap_sync_admin_service.grpc.pb.h", "heapsync/client/client.h"):
            with self.subTest(target):
                self.add("heap_adapter/spool/spool.cc", target)
                self.assertIn("heap_adapter never sees gRPC", self.faults())

    def test_heap_adapter_must_not_link_grpc(self) -> None:
        self.library("heap_adapter/spool", "heapsync_spool", "spool.cc", deps="gRPC::grpc++")
        self.assertIn("heapsync_spool links gRPC", self.faults())

    def test_a_file_must_belong_to_a_library(self) -> None:
        self.add("heap_adapter/magic/magic.cc", "heap_adapter/model/destination.h")
        self.assertIn("it belongs to no library", self.faults())

    def test_shipped_code_must_not_see_tests(self) -> None:
        self.add("heap_adapter/model/destination.cc", "tests/fakes/fake_clock.h")
        self.assertIn("only tests include tests", self.faults())

    def test_the_simulator_must_not_judge_us_by_our_own_code(self) -> None:
        self.library("tests/fake_heap", "heapsync_fake_heap", "main.cc", deps="heapsync_model heapsync_spool")
        self.add("tests/fake_heap/main.cc", "heap_adapter/model/destination.h", "heap_adapter/spool/spool.h")
        self.assertIn('tests/fake_heap/main.cc:3: #include "heap_adapter/spool/spool.h"', self.faults())
        self.assertEqual(self.faults().count("#include"), 1)

    def test_an_empty_tree_is_a_fault_and_not_a_pass(self) -> None:
        (self.root / "heap_adapter/model/destination.h").unlink()
        self.assertIn("nothing was checked", self.faults())


if __name__ == "__main__":
    unittest.main()
