#!/usr/bin/env python3
"""A civil clock that is wrong loses nothing: items are given up for their age only after Heap failed past it, and all of them come back.

The clock is that of libfaketime (Debian's package faketime).
"""

import json
import unittest
import urllib.request
from pathlib import Path
from typing import Any

import harness
from harness import APP_US, Binaries, FakeHeap, Program, Server, temporary_folder, two_regions, wait_until

LIBRARIES = sorted(Path("/usr/lib").glob("*/faketime/libfaketimeMT.so.1"))
DAYS_AHEAD = "+8d"
UNLIMITED = {"events_per_minute": 0}


class ClockTest(unittest.TestCase):
    def setUp(self) -> None:
        self.folder = temporary_folder(type(self))
        self.heap = FakeHeap(self.folder, "--limit_app_events=0")
        self.addCleanup(self.heap.kill)
        self.config = two_regions(self.folder, UNLIMITED)
        self.offset = self.folder / "clock"
        self.set_clock("+0")

    def set_clock(self, offset: str) -> None:
        self.offset.write_text(offset + "\n")

    def start(self, *flags: str) -> None:
        self.server = Server(self.folder, self.heap, f"--config={self.config}", *flags, environment={
            "LD_PRELOAD": str(LIBRARIES[0]), "FAKETIME_TIMESTAMP_FILE": str(self.offset), "FAKETIME_CACHE_DURATION": "1",
            "FAKETIME_DONT_FAKE_MONOTONIC": "1"})
        self.addCleanup(self.server.kill)

    def run_cli(self, *arguments: str, code: int = 0) -> str:
        command = Program("cli", [Binaries.cli, *arguments, f"--server={self.server.address}"], self.folder)
        self.addCleanup(command.kill)
        self.assertEqual(command.wait(), code, command.output())
        return command.output()

    def track(self, count: int) -> None:
        path = self.folder / "events.csv"
        path.write_text("identity,event\n" + "".join(f"user{row}@example.com,Sent\n" for row in range(count)))
        self.run_cli("import", "--type=track", str(path))

    def status(self) -> dict[str, Any]:
        with urllib.request.urlopen(self.server.http_url + "/statusz.json", timeout=harness.PATIENCE) as answer:
            destinations = json.load(answer)["destinations"]
        return dict(next(each for each in destinations if each["name"] == "prod"))

    def metric(self, line: str) -> float:
        with urllib.request.urlopen(self.server.http_url + "/metrics", timeout=harness.PATIENCE) as answer:
            lines = answer.read().decode().splitlines()
        return sum(float(each.rsplit(" ", 1)[1]) for each in lines if each.startswith(line))

    def wait_for_events(self, count: int) -> None:
        wait_until(lambda: self.heap.count("events", "appended") == count, f"{count} events at Heap")

    def test_a_start_with_the_clock_ahead_delivers_what_waited_in_a_pause(self) -> None:
        self.start()
        self.run_cli("pause", "prod")
        self.track(10_000)
        self.assertEqual(self.server.stop(), 0)
        self.set_clock(DAYS_AHEAD)
        self.start()
        self.run_cli("resume", "prod")
        self.wait_for_events(10_000)
        wait_until(lambda: self.status()["queued_items"] == 0, "an empty queue")
        self.assertIn("no dead letters", self.run_cli("dead-letters", "list"))

    def test_a_step_ahead_while_running_loses_nothing(self) -> None:
        self.heap.set_faults({"action": {"type": "status", "status": 503}})
        self.start()
        self.track(2_000)
        wait_until(lambda: self.status()["last_error"], "a failure")
        self.set_clock(DAYS_AHEAD)
        failures = self.metric("heapsync_attempts_total")
        wait_until(lambda: self.metric("heapsync_attempts_total") > failures + 3, "failures past the age")
        self.heap.clear_faults()
        self.wait_for_events(2_000)
        self.assertEqual(self.metric("heapsync_items_dead_lettered_total"), 0)

    def test_what_expires_is_told_and_can_be_replayed_with_the_clock_right_again(self) -> None:
        self.set_clock(DAYS_AHEAD)
        self.heap.set_faults({"action": {"type": "status", "status": 503}})
        self.start("--max_age=2s")
        self.track(100)
        wait_until(lambda: self.metric('heapsync_items_dead_lettered_total{destination="prod",type="track_event",reason="expired"') == 100, "the expiry")
        self.assertIn('"items expired"', self.server.output())
        self.assertEqual(self.server.stop(), 0)
        self.set_clock("+0")
        self.heap.clear_faults()
        self.start()
        self.assertIn("100 of 100 would be discarded", self.run_cli("dead-letters", "discard", "--all", "--dry_run"))
        self.assertIn("100 of 100 replayed", self.run_cli("dead-letters", "replay", "--all"))
        self.wait_for_events(100)


if __name__ == "__main__":
    if not LIBRARIES:
        harness.skip("no libfaketime; scripts/install_dependencies.sh --test installs it")
    harness.run()
