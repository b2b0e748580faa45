#!/usr/bin/env python3
"""kill -9 in the middle of an import: every valid row is at Heap exactly once in the end, and every bad one in the rejects file."""

import json
import subprocess
import unittest
from pathlib import Path

import harness
from harness import APP_US, Binaries, FakeHeap, Program, Server, temporary_folder, two_regions, wait_until

ROWS = 150_000
BAD_EVERY = 1_000  # One row in so many has no identity.
PAGE = 25_000


def is_bad(row: int) -> bool:
    return row % BAD_EVERY == BAD_EVERY - 1


def write_export(path: Path) -> None:
    with path.open("w", encoding="utf-8", newline="") as out:
        out.write("identity,event,timestamp,row,note\n")
        for row in range(ROWS):
            identity = "" if is_bad(row) else f"user{row % 5_000}@example.com"
            out.write(f'{identity},Row Exported,2024-01-15T10:30:00Z,{row},"Grüße, ""row"" {row}"\n')


class CrashTest(unittest.TestCase):
    @classmethod
    def setUpClass(cls) -> None:
        cls.exports = temporary_folder(cls)
        write_export(cls.exports / "events.csv")

    def setUp(self) -> None:
        self.folder = temporary_folder(type(self))
        self.heap = FakeHeap(self.folder, "--limit_app_events=0", "--limit_identity_events=0")
        self.addCleanup(self.heap.kill)
        self.config = two_regions(self.folder, {"events_per_minute": 0, "events_per_identity_per_minute": 0})
        self.server = self.start_server()
        self.input = self.folder / "events.csv"
        self.input.hardlink_to(self.exports / "events.csv")
        self.rejects = self.folder / "rejects.ndjson"

    def start_server(self, ports: list[int] | None = None) -> Server:
        server = Server(self.folder, self.heap, f"--config={self.config}", ports=ports)
        self.addCleanup(server.kill)
        return server

    def start_import(self, *flags: str) -> Program:
        job = Program("import", [Binaries.cli, "import", f"--server={self.server.address}", "--type=track", f"--rejects={self.rejects}",
                                 *flags, self.input], self.folder)
        self.addCleanup(job.kill)
        return job

    def kill_server_in_the_middle_of(self, job: Program) -> None:
        wait_until(lambda: self.heap.count("events", "appended") > 0 or not job.running(), "the first rows at Heap")
        self.server.kill()
        self.assertTrue(job.running(), f"the import was over too soon\n{job.output()}")
        self.assertLess(self.heap.count("events", "appended"), ROWS - ROWS // BAD_EVERY)

    def assert_every_valid_row_is_at_heap_once(self) -> None:
        valid = [row for row in range(ROWS) if not is_bad(row)]
        wait_until(lambda: self.heap.count("events", "appended") >= len(valid), "every valid row at Heap", 3 * harness.PATIENCE)
        # Whatever is still on its way now would be a duplicate: a clean stop waits for it.
        self.assertEqual(self.server.stop(), 0, self.server.output()[-4000:])
        rows: list[int] = []
        for offset in range(0, ROWS + PAGE, PAGE):
            page = self.heap.get("events", app_id=APP_US, offset=str(offset), limit=str(PAGE))["events"]
            rows += [int(event["event"]["properties"]["row"]) for event in page]
        self.assertEqual(len(rows), len(valid), "an event is there twice, or is missing")
        self.assertEqual(sorted(rows), valid)

    def assert_every_bad_row_is_in_the_rejects_file_once(self) -> None:
        lines = [json.loads(line) for line in self.rejects.read_text(encoding="utf-8").splitlines()]
        self.assertEqual([line["row"] for line in lines], [row + 1 for row in range(ROWS) if is_bad(row)])
        self.assertEqual({violation["reason"] for line in lines for violation in line["violations"]}, {"REQUIRED"})

    def test_server_and_import_die_and_the_import_is_resumed(self) -> None:
        job = self.start_import()
        self.kill_server_in_the_middle_of(job)
        job.kill()

        self.server = self.start_server()
        resumed = self.start_import("--resume")
        # 3: done, but some rows were refused.
        self.assertIn(resumed.wait(3 * harness.PATIENCE), (0, 3), resumed.output())
        self.assert_every_valid_row_is_at_heap_once()
        self.assert_every_bad_row_is_in_the_rejects_file_once()

    def test_only_the_server_dies_and_the_import_goes_on_by_itself(self) -> None:
        job = self.start_import()
        self.kill_server_in_the_middle_of(job)

        self.server = self.start_server(self.server.ports)
        self.assertIn(job.wait(3 * harness.PATIENCE), (0, 3), job.output())
        self.assert_every_valid_row_is_at_heap_once()
        self.assert_every_bad_row_is_in_the_rejects_file_once()

    def test_the_server_dies_again_and_again_and_no_acknowledged_event_is_lost(self) -> None:
        self.heap.set_faults({"name": "down", "action": {"type": "status", "status": 503}})
        for round_number in range(3):
            identity = f"round-{round_number}"
            done = subprocess.run([
                str(Binaries.cli), "track", f"--server={self.server.address}", f"--identity={identity}", "--event=Survived"
            ], capture_output=True, timeout=harness.PATIENCE)
            self.assertEqual(done.returncode, 0, done.stderr.decode())
            self.server.kill()
            self.server = self.start_server()
        self.heap.clear_faults()
        for round_number in range(3):
            wait_until(lambda: len(self.heap.events_of(f"round-{round_number}")) == 1, f"the event of round {round_number}")


if __name__ == "__main__":
    harness.run()
