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
        self.add("heap_adapter/model/destination.h", "<string>")

    def add(self, path: str, *includes: str) -> None:
        file = self.root / path
        file.parent.mkdir(parents=True, exist_ok=True)
        lines = [f"#include {i}" if i.startswith("<") else f'#include "{i}"' for i in includes]
        file.write_text("\n".join(["// A file.", *lines, ""]), encoding="utf-8")

    def faults(self) -> str:
        return "\n".join(layer_check.check(self.root))

    def test_arrows_up_the_rows_and_between_neighbours_are_fine(self) -> None:
        self.add("heap_adapter/spool/spool.h", "heap_adapter/model/destination.h", "heap_adapter/transport/answer.h")
        self.add("heap_adapter/engine/engine.cc", "heap_adapter/spool/spool.h", "heapsync/v1/items.pb.h")
        self.add("server/main.cc", "heap_adapter/engine/engine.h", "grpcpp/grpcpp.h", "heapsync/v1/heap_sync_service.grpc.pb.h")
        self.add("client/client.cc", "heapsync/client/client.h", "heap_adapter/clock/clock.h")
        self.assertEqual(self.faults(), "")

    def test_a_lower_row_must_not_see_a_higher_one(self) -> None:
        self.add("heap_adapter/spool/spool.cc", "heap_adapter/engine/engine.h")
        self.assertIn('heap_adapter/spool/spool.cc:2: #include "heap_adapter/engine/engine.h"', self.faults())

    def test_the_engine_must_not_see_the_server(self) -> None:
        self.add("heap_adapter/engine/engine.cc", "server/main.h")
        self.assertIn("server is above heap_adapter/engine", self.faults())

    def test_heap_adapter_must_not_see_grpc_in_any_spelling(self) -> None:
        for target in ("grpcpp/grpcpp.h", "<grpc/grpc.h>", "google/rpc/status.pb.h", "heapsync/v1/heap_sync_service.pb.h",
                       "heapsync/v1/heap_sync_admin_service.grpc.pb.h", "heapsync/client/client.h"):
            with self.subTest(target):
                self.add("heap_adapter/engine/engine.cc", target)
                self.assertIn("heap_adapter never sees gRPC", self.faults())

    def test_server_and_client_must_not_see_each_other(self) -> None:
        self.add("client/client.cc", "server/main.h")
        self.add("server/main.cc", "heapsync/client/client.h")
        self.assertEqual(self.faults().count("meet on the wire only"), 2)

    def test_a_circle_between_neighbours_is_shown_whole(self) -> None:
        self.add("heap_adapter/spool/spool.h", "heap_adapter/transport/transport.h")
        self.add("heap_adapter/transport/transport.h", "heap_adapter/encoding/encoder.h")
        self.add("heap_adapter/encoding/encoder.h", "heap_adapter/spool/spool.h")
        self.assertIn("a circle:", self.faults())
        self.assertEqual(self.faults().count("#include"), 3)

    def test_a_new_folder_must_be_given_a_row(self) -> None:
        self.add("heap_adapter/magic/magic.cc", "heap_adapter/model/destination.h")
        self.add("heap_adapter/engine/engine.cc", "heap_adapter/magic/magic.h")
        self.assertEqual(self.faults().count("heap_adapter/magic has no row"), 2)

    def test_shipped_code_must_not_see_tests(self) -> None:
        self.add("heap_adapter/clock/clock.cc", "tests/fakes/fake_clock.h")
        self.assertIn("only tests include tests", self.faults())

    def test_the_simulator_must_not_judge_us_by_our_own_code(self) -> None:
        self.add("tests/fake_heap/main.cc", "heap_adapter/model/destination.h", "heap_adapter/encoding/encoder.h")
        self.assertIn('tests/fake_heap/main.cc:3: #include "heap_adapter/encoding/encoder.h"', self.faults())
        self.assertEqual(self.faults().count("#include"), 1)

    def test_an_empty_tree_is_a_fault_and_not_a_pass(self) -> None:
        (self.root / "heap_adapter/model/destination.h").unlink()
        self.assertIn("nothing was checked", self.faults())


if __name__ == "__main__":
    unittest.main()
