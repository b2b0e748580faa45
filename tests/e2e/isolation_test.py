#!/usr/bin/env python3
"""No caller or region delays another, with real processes: a region that hangs, and a caller that sends a hundred times as much.

What is asserted is who was served while who was not; latencies are printed. HEAPSYNC_HANG_SECONDS=600 lets the region hang for
ten minutes, HEAPSYNC_NOISY_SECONDS=120 gives the noisy caller two.
"""

import json
import os
import statistics
import time
import unittest
import urllib.request
from pathlib import Path
from typing import Any

import grpc

import harness
from harness import APP_EU, APP_US, FakeHeap, Server, temporary_folder, two_regions, wait_until
from proto_stubs import generate_stubs

HANG_SECONDS = float(os.environ.get("HEAPSYNC_HANG_SECONDS", "0"))
NOISY_SECONDS = float(os.environ.get("HEAPSYNC_NOISY_SECONDS", "0"))
LEAST_CALLS = 20
NOISY_EVENTS = 20_000
NOISY_UPDATES = 50_000


def in_words(latencies: list[float]) -> str:
    ordered = sorted(latencies)
    return (f"{len(ordered)} deliveries, p50 {1000 * statistics.median(ordered):.0f} ms, "
            f"p99 {1000 * ordered[int(0.99 * (len(ordered) - 1))]:.0f} ms, longest {1000 * ordered[-1]:.0f} ms")


class IsolationTest(unittest.TestCase):
    folder: Path
    api: dict[str, Any]

    @classmethod
    def setUpClass(cls) -> None:
        cls.api = generate_stubs(temporary_folder(cls))

    def setUp(self) -> None:
        self.folder = temporary_folder(type(self))
        self.heap = FakeHeap(self.folder)
        self.addCleanup(self.heap.kill)
        self.numbers = iter(range(1_000_000_000))

    def start_server(self, config: Path | None = None) -> None:
        self.server = Server(self.folder, self.heap, f"--config={config or two_regions(self.folder)}")
        self.addCleanup(self.server.kill)
        channel = grpc.insecure_channel(self.server.address)
        self.addCleanup(channel.close)
        self.stub = self.api["stubs"].HeapSyncServiceStub(channel)

    def event(self) -> Any:
        number = next(self.numbers)
        return self.api["items"].TrackEvent(identity=f"i{number}", event="e", idempotency_key=f"isolated-{number}")

    def deliver(self, destination: str, caller: str = "") -> float:
        """Seconds until Heap has the event."""
        delivered = self.api["service"].ACK_LEVEL_DELIVERED
        started = time.monotonic()
        answer = self.stub.TrackEvent(
            self.api["service"].TrackEventRequest(event=self.event(), destination=destination, ack_level=delivered), timeout=60,
            metadata=[("heapsync-caller", caller)] if caller else None)
        self.assertEqual(answer.ack_level, delivered, "the event waited for longer than a minute")
        return time.monotonic() - started

    def deliver_for(self, seconds: float, destination: str, caller: str = "") -> list[float]:
        latencies: list[float] = []
        end = time.monotonic() + seconds
        while len(latencies) < LEAST_CALLS or time.monotonic() < end:
            latencies.append(self.deliver(destination, caller))
        return latencies

    def send(self, destination: str, events: int, caller: str = "") -> None:
        request = self.api["service"].BulkTrackEventsRequest
        chunks = [request(events=[self.event() for _ in range(min(1_000, events - start))]) for start in range(0, events, 1_000)]
        chunks[0].destination = destination
        answers = list(self.stub.BulkTrackEvents(iter(chunks), timeout=60, metadata=[("heapsync-caller", caller)] if caller else None))
        self.assertEqual(answers[-1].accepted, events)

    def queued(self, destination: str) -> int:
        with urllib.request.urlopen(self.server.http_url + "/statusz.json", timeout=60) as answer:
            status = json.load(answer)
        return int(next(each["queued_items"] for each in status["destinations"] if each["name"] == destination))

    def test_a_region_that_hangs_delays_no_other(self) -> None:
        self.start_server()
        alone = self.deliver_for(0.05 * HANG_SECONDS, "europe")
        self.heap.set_faults({"match": {"region": "us"}, "action": {"type": "hang"}})
        self.send("prod", 5_000)
        beside = self.deliver_for(HANG_SECONDS, "europe")
        self.assertEqual(self.queued("prod"), 5_000, "the region did not hang")
        self.assertEqual(self.heap.count("events", "appended", APP_EU), len(alone) + len(beside))
        self.heap.clear_faults()
        wait_until(lambda: self.heap.count("events", "appended", APP_US) == 5_000, "what waited for the region that hung", 120)
        print(f"alone: {in_words(alone)}; while the US hung: {in_words(beside)}")

    def test_a_caller_that_sends_a_hundred_times_as_much_delays_no_other(self) -> None:
        limits = {"events_per_minute": 15_000, "events_per_identity_per_minute": 0, "user_requests_per_identity_per_30s": 0}
        self.start_server(two_regions(self.folder, limits))
        alone = self.deliver_for(0, "prod", "modest")
        self.send("prod", NOISY_EVENTS, "noisy")
        # Its share is sent immediately, the rest over the minute.
        wait_until(lambda: self.heap.count("events", "appended") >= 4_000, "the noisy caller to use the limit up")
        beside: list[float] = []
        end = time.monotonic() + NOISY_SECONDS
        while len(beside) < LEAST_CALLS or time.monotonic() < end:
            beside.append(self.deliver("prod", "modest"))
            if NOISY_SECONDS:
                self.send("prod", 100, "noisy")
        self.assertGreater(self.queued("prod"), 4_000, "nothing of the noisy caller waited: this proved nothing")
        self.assertEqual(self.heap.get("violations")["total"], 0)
        print(f"alone: {in_words(alone)}; beside {NOISY_EVENTS} events and more of another: {in_words(beside)}")

    def update_for(self, user: str, caller: str) -> float:
        """Seconds until Heap has the update."""
        service = self.api["service"]
        request = service.UserPropertiesRequest(user=self.api["items"].UserProperties(identity=user), destination="prod",
                                                ack_level=service.ACK_LEVEL_DELIVERED)
        request.user.properties.update({"n": next(self.numbers)})
        started = time.monotonic()
        answer = self.stub.UserProperties(request, timeout=60, metadata=[("heapsync-caller", caller)])
        self.assertEqual(answer.ack_level, service.ACK_LEVEL_DELIVERED, "the update waited for longer than a minute")
        return time.monotonic() - started

    def send_updates(self, users: int, caller: str) -> None:
        service, items = self.api["service"], self.api["items"]
        chunks = []
        for start in range(0, users, 1_000):
            chunk = service.BulkUserPropertiesRequest(users=[items.UserProperties(identity=f"noisy{n}") for n in range(start, start + 1_000)])
            for user in chunk.users:
                user.properties.update({"plan": "x"})
            chunks.append(chunk)
        chunks[0].destination = "prod"
        answers = list(self.stub.BulkUserProperties(iter(chunks), timeout=120, metadata=[("heapsync-caller", caller)]))
        self.assertEqual(answers[-1].accepted, users)

    def test_updates_of_one_caller_go_before_the_backlog_of_another(self) -> None:
        config = self.folder / "small_requests.json"
        config.write_text(json.dumps({"destinations": [{"name": "prod", "app_id": APP_US, "region": "us", "batch": {"max_items": 50},
                                                        "limits": {"user_requests_per_identity_per_30s": 0}}]}), encoding="utf-8")
        self.start_server(config)
        self.heap.set_faults({"action": {"type": "pass", "delay_ms": [200, 200]}})
        alone = [self.update_for(f"alone{n}", "modest") for n in range(LEAST_CALLS)]
        self.send_updates(NOISY_UPDATES, "noisy")
        beside = [self.update_for(f"beside{n}", "modest") for n in range(LEAST_CALLS)]
        waiting = self.queued("prod")
        last = self.update_for(f"noisy{NOISY_UPDATES - 1}", "modest")
        self.assertGreater(waiting, NOISY_UPDATES // 10, "nothing of the noisy caller waited: this proved nothing")
        self.assertLess(max(beside), last, "an update waited as long as one whose user is in the backlog")
        print(f"alone: {in_words(alone)}; beside {NOISY_UPDATES} updates of another: {in_words(beside)}; of a user in the backlog: {last:.1f} s")


if __name__ == "__main__":
    harness.run()
