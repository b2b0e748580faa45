#!/usr/bin/env python3
"""The delivery promises, kept by real processes: nothing lost, nothing doubled, in order, within the limits, no caller held up.

The sizes are those of a test run. HEAPSYNC_SCALE=10 makes everything ten times as large, and HEAPSYNC_LIMIT_MINUTES=3 adds
minutes at Heap's own limit, in real time. HEAPSYNC_HOT=1000000 and HEAPSYNC_OTHERS=100000 are the events of the hot identity and
of the others beside it.
"""

import json
import os
import time
import unittest
from pathlib import Path

import harness
from harness import APP_US, Binaries, FakeHeap, Program, Server, temporary_folder, two_regions, wait_until

SCALE = int(os.environ.get("HEAPSYNC_SCALE", "1"))
LIMIT_MINUTES = int(os.environ.get("HEAPSYNC_LIMIT_MINUTES", "0"))
NO_LIMITS = {"events_per_minute": 0, "events_per_identity_per_minute": 0, "user_requests_per_identity_per_30s": 0}
PATIENCE = 120.0 * SCALE


def resident_mib(program: Program) -> float:
    status = Path(f"/proc/{program.process.pid}/status").read_text(encoding="ascii")
    line = next(line for line in status.splitlines() if line.startswith("VmRSS:"))
    return int(line.split()[1]) / 1024


class PromisesTest(unittest.TestCase):
    def setUp(self) -> None:
        self.folder = temporary_folder(type(self))

    def start_heap(self, *flags: str) -> FakeHeap:
        heap = FakeHeap(self.folder, *flags)
        self.addCleanup(heap.kill)
        return heap

    def start_server(self, heap: FakeHeap, limits: dict[str, int] | None, ports: list[int] | None = None) -> Server:
        config = two_regions(self.folder, limits)
        server = Server(self.folder, heap, f"--config={config}", ports=ports)
        self.addCleanup(server.kill)
        return server

    def start_import(self, server: Server, kind: str, path: Path) -> Program:
        job = Program(f"import-{path.stem}", [Binaries.cli, "import", f"--server={server.address}", f"--type={kind}", path], self.folder)
        self.addCleanup(job.kill)
        return job

    def write(self, name: str, rows: list[dict[str, object]]) -> Path:
        path = self.folder / name
        with path.open("w", encoding="utf-8") as out:
            for row in rows:
                out.write(json.dumps(row) + "\n")
        return path

    def test_resets_and_kills_lose_and_double_nothing_and_keep_the_order(self) -> None:
        events = 20_000 * SCALE
        updates = 10_000 * SCALE
        people = 300
        heap = self.start_heap("--limit_app_events=0", "--limit_identity_events=0", "--limit_user_requests=0")
        heap.set_faults({"every": 3, "action": {"type": "reset_after_body"}})
        server = self.start_server(heap, NO_LIMITS)
        event_rows: list[dict[str, object]] = [{"identity": f"u{i % 5_000}", "event": "Bought", "idempotency_key": f"promise-{i:09}"}
                                               for i in range(events)]
        update_rows: list[dict[str, object]] = [{"identity": f"p{i % people}", "properties": {"v": i}} for i in range(updates)]
        jobs = [self.start_import(server, "track", self.write("events.ndjson", event_rows)),
                self.start_import(server, "user", self.write("users.ndjson", update_rows))]

        kills = 0
        while kills < 4 * SCALE and any(job.running() for job in jobs):
            seen = heap.count("events", "appended")
            wait_until(lambda: heap.count("events", "appended") > seen + 500 or not any(job.running() for job in jobs),
                       "progress between two kills", PATIENCE)
            server.kill()
            kills += 1
            server = self.start_server(heap, NO_LIMITS, server.ports)
        for job in jobs:
            self.assertEqual(job.wait(PATIENCE), 0, job.output()[-3000:])
        self.assertGreater(kills, 0)

        wait_until(lambda: heap.count("events", "unique_keys") == events, "every event at Heap", PATIENCE)
        keys = heap.keys()
        self.assertEqual(set(keys), {row["idempotency_key"] for row in event_rows})
        self.assertEqual(heap.count("events", "appended"), events)
        self.assertGreater(sum(keys.values()), events, "no request was repeated: the faults proved nothing")
        last = {f"p{i % people}": i for i in range(updates)}
        for identity, value in last.items():
            wait_until(lambda: (heap.find("users", app_id=APP_US, identity=identity) or {}).get("properties", {}).get("v") == value,
                       f"the last value of {identity}", PATIENCE)
        print(f"{events} events and {updates} updates over {kills} kills; {sum(keys.values()) - events} events came twice, none counts twice")

    def test_a_hot_identity_delays_no_other_and_costs_no_memory(self) -> None:
        hot = int(os.environ.get("HEAPSYNC_HOT", 30_000 * SCALE))
        others = int(os.environ.get("HEAPSYNC_OTHERS", 3_000 * SCALE))
        limits = {"events_per_minute": 0, "events_per_identity_per_minute": 1_000, "user_requests_per_identity_per_30s": 30}
        heap = self.start_heap("--limit_app_events=0")
        server = self.start_server(heap, limits)

        def import_others(name: str) -> float:
            path = self.write(f"{name}.ndjson", [
                {"identity": f"{name}{i}", "event": "Bought", "idempotency_key": f"{name}-{i:09}"} for i in range(others)])
            goal = heap.count("events", "identities") + others
            started = time.monotonic()
            job = self.start_import(server, "track", path)
            self.assertEqual(job.wait(PATIENCE), 0, job.output()[-3000:])
            wait_until(lambda: heap.count("events", "identities") == goal, "the others' events at Heap", PATIENCE)
            return time.monotonic() - started

        alone = import_others("first")
        job = self.start_import(server, "track", self.write("hot.ndjson", [
            {"identity": "hot", "event": "Looped", "idempotency_key": f"hot-{i:09}"} for i in range(hot)]))
        self.assertEqual(job.wait(PATIENCE), 0, job.output()[-3000:])
        wait_until(lambda: heap.count("events", "identities") == others + 1, "the first of the hot identity", PATIENCE)
        before = resident_mib(server)
        beside = import_others("second")
        self.assertEqual(heap.get("violations")["total"], 0)
        print(f"{others} others alone: {alone:.1f} s; behind {hot} of one identity: {beside:.1f} s; "
              f"server at {before:.0f} MiB, then {resident_mib(server):.0f} MiB")

    if LIMIT_MINUTES > 0:

        def test_minutes_at_the_limit_exceed_it_never_and_use_nearly_all(self) -> None:
            heap = self.start_heap()
            heap.set_faults({"action": {"type": "pass", "delay_ms": [20, 300]}})
            server = self.start_server(heap, None)
            count = 15_000 * (LIMIT_MINUTES + 2)
            job = self.start_import(server, "track", self.write("events.ndjson", [
                {"identity": f"u{i % 50_000}", "event": "Bought", "idempotency_key": f"limit-{i:09}"} for i in range(count)]))
            self.assertEqual(job.wait(PATIENCE), 0, job.output()[-3000:])
            wait_until(lambda: heap.count("events", "appended") >= 15_000, "the first allowance to be used", PATIENCE)
            first = time.monotonic()
            goal = 15_000 * (LIMIT_MINUTES + 1)
            wait_until(lambda: heap.count("events", "appended") >= goal, "the allowances of these minutes to be used", PATIENCE * LIMIT_MINUTES)
            used = 60 * LIMIT_MINUTES / (time.monotonic() - first)
            summary = heap.app()
            self.assertEqual(heap.get("violations")["total"], 0)
            print(f"{LIMIT_MINUTES} min at the limit: {100 * used:.2f} % of it used, highest window {summary['highest_use']['app_events']['used']}, "
                  f"violations 0")
            self.assertGreaterEqual(used, 0.99)


if __name__ == "__main__":
    harness.run()
