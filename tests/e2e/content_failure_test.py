#!/usr/bin/env python3
"""A failure that follows the content is not an outage: one item makes Heap fail, by each class of answer, and its neighbours arrive.

Also over kill -9, and the end of a real outage. Times and requests are printed. HEAPSYNC_OUTAGE_SECONDS=600 makes the outage ten minutes.
"""

import json
import os
import time
import unittest
import urllib.request
from pathlib import Path
from typing import Any

import harness
from harness import APP_US, Binaries, FakeHeap, Program, Server, temporary_folder, two_regions, wait_until

OUTAGE_SECONDS = float(os.environ.get("HEAPSYNC_OUTAGE_SECONDS", "15"))
WITHIN = 120
CRASH = {"match": {"body_contains": "crash-me"}}


class ContentFailureTest(unittest.TestCase):
    def setUp(self) -> None:
        self.folder = temporary_folder(type(self))
        self.heap = FakeHeap(self.folder)
        self.addCleanup(self.heap.kill)
        self.config = two_regions(self.folder)
        self.start_server()

    def start_server(self) -> None:
        self.server = Server(self.folder, self.heap, f"--config={self.config}")
        self.addCleanup(self.server.kill)

    def run_import(self, kind: str, rows: list[str]) -> None:
        path: Path = self.folder / f"{kind}.csv"
        path.write_text("\n".join(rows) + "\n", encoding="utf-8")
        job = Program("import", [Binaries.cli, "import", f"--server={self.server.address}", f"--type={kind}", path], self.folder)
        self.addCleanup(job.kill)
        self.assertEqual(job.wait(), 0, job.output())

    def track(self, names: list[str], key: str = "key") -> None:
        self.run_import("track", ["identity,event,timestamp,idempotency_key"] +
                        [f"user{row % 500}@example.com,{name},2024-01-15T10:30:00Z,{key}-{row:06}" for row, name in enumerate(names)])

    def status(self) -> dict[str, Any]:
        with urllib.request.urlopen(self.server.http_url + "/statusz.json", timeout=harness.PATIENCE) as answer:
            destinations = json.load(answer)["destinations"]
        return dict(next(each for each in destinations if each["name"] == "prod"))

    def requests(self) -> int:
        regions = self.heap.app().get("regions", {}).values()
        return sum(sum(outcomes.values()) for region in regions for outcomes in region["requests"].values())

    def wait_for_events(self, count: int) -> None:
        start = time.monotonic()
        wait_until(lambda: self.heap.count("events", "appended") >= count, f"{count} events at Heap", WITHIN)
        print(f"{self.id()}: {count} events at Heap after {time.monotonic() - start:.1f} s and {self.requests()} requests")

    def crash_one_of_two_thousand(self, action: dict[str, Any], isolated_within: float = WITHIN) -> None:
        self.heap.set_faults({**CRASH, "action": action})
        self.track(["bought"] * 617 + ["crash-me"] + ["bought"] * 1_382)
        self.wait_for_events(1_999)
        wait_until(lambda: self.status()["isolated_items"] == 1, "the one to wait alone", isolated_within)
        status = self.status()
        self.assertEqual(status["queued_items"], 1)
        self.assertEqual(status["state"], "active")
        self.assertEqual(set(self.heap.keys().values()), {1}, "an event came twice")

    def test_status(self) -> None:
        self.crash_one_of_two_thousand({"type": "status", "status": 500})

    def test_reset(self) -> None:
        self.crash_one_of_two_thousand({"type": "reset_after_body", "apply": False})

    def test_cut_answer(self) -> None:
        self.crash_one_of_two_thousand({"type": "cut_answer", "apply": False})

    def test_hang(self) -> None:
        self.crash_one_of_two_thousand({"type": "hang"})

    def test_kill(self) -> None:
        self.heap.set_faults({**CRASH, "action": {"type": "status", "status": 500}})
        self.track(["bought"] * 500 + ["crash-me"] + ["bought"] * 499)
        wait_until(lambda: self.heap.count("events", "appended") > 0, "the first parts at Heap")
        self.server.kill()
        self.start_server()
        self.wait_for_events(999)
        wait_until(lambda: self.status()["isolated_items"] == 1, "the one to wait alone")
        self.server.kill()
        self.start_server()
        self.assertEqual(self.status()["isolated_items"], 1)
        self.track(["bought"] * 1_000, "later")
        self.wait_for_events(1_999)
        self.assertEqual(self.status()["queued_items"], 1)

    def test_a_firewall_that_refuses_one_text(self) -> None:
        page = {"body": "<html>The request was blocked</html>", "headers": {"Content-Type": "text/html"}}
        self.crash_one_of_two_thousand({"type": "status", "status": 403, **page})

    def test_a_page_in_the_place_of_one_answer(self) -> None:
        page = {"body": "<html>The request was blocked</html>", "headers": {"Content-Type": "text/html"}}
        self.crash_one_of_two_thousand({"type": "status", "status": 200, "apply": False, **page})

    def test_ten_in_each_lane_over_a_kill(self) -> None:
        self.heap.set_faults({**CRASH, "action": {"type": "status", "status": 500}})
        self.track(["crash-me" if row % 200 == 60 else "bought" for row in range(2_000)])
        for kind, key in (("user", "identity"), ("account", "account_id")):
            self.run_import(kind, [f"{key},plan"] + [f"{kind}-{row}@example.com,{'crash-me' if row % 50 == 30 else 'pro'}" for row in range(500)])

        def arrived() -> tuple[int, ...]:
            people = (self.heap.get(what, app_id=APP_US, limit="1000")["total"] for what in ("users", "accounts"))
            return (self.heap.count("events", "appended"), *people)

        wait_until(lambda: min(arrived()) > 0, "the first parts of each lane at Heap", WITHIN)
        self.server.kill()
        self.start_server()
        start = time.monotonic()
        wait_until(lambda: arrived() == (1_990, 490, 490), "all but the thirty at Heap", 2 * WITHIN)
        print(f"{self.id()}: after {time.monotonic() - start:.1f} s and {self.requests()} requests")
        wait_until(lambda: self.status()["isolated_items"] == 30, "the thirty to wait alone", WITHIN)
        self.assertEqual(self.status()["queued_items"], 30)
        self.server.kill()
        self.start_server()
        self.assertEqual(self.status()["isolated_items"], 30)

    def test_one_user_and_one_account(self) -> None:
        self.heap.set_faults({**CRASH, "action": {"type": "status", "status": 500}})
        self.run_import("user", ["identity,plan"] + [f"u{row}@example.com,{'crash-me' if row == 60 else 'pro'}" for row in range(100)])
        self.run_import("account", ["account_id,plan"] + [f"a{row},{'crash-me' if row == 60 else 'pro'}" for row in range(100)])
        wait_until(lambda: self.status()["isolated_items"] == 2, "the two to wait alone", WITHIN)
        self.assertEqual(self.status()["queued_items"], 2)
        self.run_import("user", ["identity,plan", "u60@example.com,free", "u61@example.com,free"])
        wait_until(lambda: self.heap.get("users", app_id=APP_US, identity="u61@example.com")["properties"]["plan"] == "free", "the other user")
        self.assertIsNone(self.heap.find("users", app_id=APP_US, identity="u60@example.com"), "the later update overtook the earlier one")

    def test_the_end_of_an_outage_is_noticed_within_two_seconds(self) -> None:
        self.heap.set_faults({"action": {"type": "status", "status": 503}})
        self.track(["bought"] * 5_000)
        before = self.requests()
        time.sleep(OUTAGE_SECONDS)
        probes = self.requests() - before
        self.assertLessEqual(probes, 2.5 * OUTAGE_SECONDS + 10)
        self.assertEqual(self.status()["isolated_items"], 0)
        self.heap.clear_faults()
        start = time.monotonic()
        wait_until(lambda: self.heap.count("events", "appended") > 0, "the first delivery", 2)
        first = time.monotonic() - start
        self.wait_for_events(5_000)
        print(f"{self.id()}: {probes} requests in {OUTAGE_SECONDS:.0f} s; the first delivery after {first:.1f} s")


if __name__ == "__main__":
    harness.run()
