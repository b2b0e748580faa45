#!/usr/bin/env python3
"""Runs the whole for as long as asked: the real server, a Heap that fails in every way, many callers, kills and restarts.

Then it lets everything drain and compares what Heap has with what was acknowledged. Exit code 1: a promise was broken. Its own
memory does not grow with time: see soak_callers.py.
"""

import argparse
import json
import math
import random
import shutil
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import grpc

from harness import Binaries, FakeHeap, Server
from proto_stubs import generate_stubs
from soak_callers import (BulkAccounts, BulkUsers, Caller, DerivedKeyEvents, EventCaller, Gate, HotEvents, Pace, Place, PropertyCaller,
                          BulkEvents, UnaryEvents, UnaryUsers)

PLACES = [Place("us-one", "1001"), Place("us-two", "1002"), Place("eu-one", "2001"), Place("eu-two", "2002")]
# Slopes are judged only in a run of this length, over the long life in its middle, without the first part of that: buffers are
# filling for about five minutes at the usual rate (from 42 to 66 MiB, and flat from there).
LEAST_JUDGED_SECONDS = 1800.0
FILLING_SECONDS = 360.0
WARM_UP_SHARE = 0.2
MOST_MEMORY_GROWTH = 16.0  # MiB an hour
MOST_DESCRIPTOR_GROWTH = 30.0  # an hour
LONGEST_STANDSTILL = 180.0  # seconds, three windows of the limits

POISON: list[dict[str, Any]] = [
    {"name": "poison that is named", "match": {"body_contains": "poison-named"}, "action": {"type": "poison"}},
    {"name": "poison that is not named", "match": {"body_contains": "poison-quiet"}, "action": {"type": "poison", "name_item": False}},
]
TROUBLE: list[dict[str, Any]] = [
    {"name": "reset before the body", "probability": 0.01, "action": {"type": "reset_before_body"}},
    {"name": "reset after taking", "probability": 0.03, "action": {"type": "reset_after_body"}},
    {"name": "half an answer", "probability": 0.01, "action": {"type": "cut_answer"}},
    {"name": "no HTTP", "probability": 0.01, "action": {"type": "garbage"}},
    {"name": "500", "probability": 0.02, "action": {"type": "status", "status": 500}},
    {"name": "503", "probability": 0.02, "action": {"type": "status", "status": 503, "retry_after": 1}},
    {"name": "413", "match": {"min_items": 400}, "probability": 0.05, "action": {"type": "status", "status": 413}},
    {"name": "429", "probability": 0.003, "action": {"type": "status", "status": 429, "retry_after": 1}},
    {"name": "hang", "probability": 0.001, "action": {"type": "hang"}},
    {"name": "slow", "probability": 0.2, "action": {"type": "pass", "delay_ms": [20, 500]}},
]
OUTAGE: list[dict[str, Any]] = [{"name": "outage", "match": {"region": "us"}, "action": {"type": "status", "status": 503}}]


class Slope:
    """A line through points by least squares, in constant memory."""

    def __init__(self) -> None:
        self.count = 0
        self._x = self._y = self._xx = self._xy = 0.0

    def add(self, x: float, y: float) -> None:
        self.count += 1
        self._x, self._y = self._x + x, self._y + y
        self._xx, self._xy = self._xx + x * x, self._xy + x * y

    def per_hour(self) -> float:
        spread = self.count * self._xx - self._x * self._x
        return 3600 * (self.count * self._xy - self._x * self._y) / spread if spread > 0 else 0.0


@dataclass
class Health:
    """Measurements of the server's process over its lives."""

    memory: Slope = field(default_factory=Slope)
    descriptors: Slope = field(default_factory=Slope)
    judged_from: float = 0.0
    judged_to: float = 0.0
    peak_mib: float = 0.0
    last_mib: float = 0.0
    last_descriptors: int = 0

    def sample(self, server: Server, since_start: float, now: float, warm_up: float) -> None:
        folder = Path(f"/proc/{server.process.pid}")
        try:
            status = (folder / "status").read_text(encoding="ascii")
            self.last_descriptors = sum(1 for _ in (folder / "fd").iterdir())
        except OSError:
            return
        self.last_mib = int(status.split("VmRSS:")[1].split()[0]) / 1024
        self.peak_mib = max(self.peak_mib, int(status.split("VmHWM:")[1].split()[0]) / 1024)
        if since_start < warm_up:
            return
        self.judged_from = self.judged_from or now
        self.judged_to = now
        self.memory.add(now, self.last_mib)
        self.descriptors.add(now, self.last_descriptors)

    def judged_seconds(self) -> float:
        return self.judged_to - self.judged_from


class Soak:
    def __init__(self, arguments: argparse.Namespace) -> None:
        self.length = 60.0 * arguments.minutes
        self.restart_every: float = arguments.restart_every
        self.rate: float = arguments.rate
        self.random = random.Random(arguments.seed)
        self.folder: Path = arguments.folder
        self.gate = Gate()
        self.health = Health()
        self.kills = self.stops = self.outages = 0
        self.broken: list[str] = []
        self.began = time.monotonic()
        self.server_began = 0.0
        self.redelivered = 0
        self.summary: dict[str, Any] = {}
        self.next_line = 0.0

        config = self.folder / "heapsync.json"
        config.write_text(json.dumps({"destinations": [
            {"name": place.destination, "app_id": place.app_id, "region": place.destination[:2]} for place in PLACES
        ]}), encoding="utf-8")
        self.heap = FakeHeap(self.folder, "--max_event_mib=256", "--keep_requests=10")
        self.server = self.start_server()
        self.api = generate_stubs(self.folder)
        # Not the minimum: that is also the time in which a connection must be made, and a busy machine takes longer.
        self.channels = [grpc.insecure_channel(self.server.address, options=[
            ("grpc.initial_reconnect_backoff_ms", 100), ("grpc.max_reconnect_backoff_ms", 500), ("grpc.channel_id", number)])
            for number in range(4)]
        self.callers = self.make_callers()

    def start_server(self, ports: list[int] | None = None) -> Server:
        self.server_began = time.monotonic()
        return Server(self.folder, self.heap, f"--config={self.folder / 'heapsync.json'}", "--drain_timeout=2s",
                      "--allow_core_dumps", ports=ports)  # or only root could count its descriptors

    def make_callers(self) -> list[Caller]:
        share = self.rate / len(PLACES)
        callers: list[Caller] = []
        for number, place in enumerate(PLACES):
            channel = self.channels[number]

            def add(kind: type[Caller], rate: float, burst: int = 1) -> None:
                name = f"{kind.__name__}-{place.destination}"
                callers.append(kind(name, self.api, channel, self.gate, place, Pace(rate, burst)))

            add(BulkEvents, 0.5 * share)
            add(DerivedKeyEvents, 0.2 * share)
            add(UnaryEvents, 0.2 * share)
            add(BulkUsers, 0.1 * share)
            add(UnaryUsers, 0.05 * share)
            add(BulkAccounts, 0.05 * share)
        # Items over an identity's limit take minutes to drain, for which a short run has no time.
        burst = 1_500 if self.length >= 300 else 100
        callers.append(HotEvents("HotEvents", self.api, self.channels[0], self.gate, PLACES[0], Pace(12.5, burst)))
        return callers

    def event_callers(self) -> list[EventCaller]:
        return [caller for caller in self.callers if isinstance(caller, EventCaller)]

    # Living through it.

    def run(self) -> bool:
        # First, or else what is poisoned and comes early is taken.
        self.set_faults(*TROUBLE)
        for caller in self.callers:
            caller.start()
        try:
            self.live()
        except KeyboardInterrupt:
            self.say("interrupted: draining what was accepted")
        self.finish()
        return self.report()

    def set_faults(self, *rules: dict[str, Any]) -> None:
        self.heap.set_faults(*POISON, *rules, seed=self.random.randrange(1 << 31))

    def calm(self, elapsed: float) -> bool:
        """The middle half of a long run is one life of the server, over which growth shows; before and after it dies often."""
        return self.length >= LEAST_JUDGED_SECONDS and 0.25 <= elapsed / self.length < 0.75

    def live(self) -> None:
        next_restart = self.began + self.restart_every
        outage_every = max(10.0, min(300.0, self.length / 3))
        next_outage, outage_end = self.began + outage_every / 2, 0.0
        while (now := time.monotonic()) - self.began < self.length:
            if now >= next_restart and not self.calm(now - self.began):
                self.restart()
                next_restart = time.monotonic() + self.restart_every * self.random.uniform(0.5, 1.5)
            if now >= next_outage:
                self.outages += 1
                self.set_faults(*OUTAGE, *TROUBLE)
                next_outage, outage_end = now + outage_every, now + self.random.uniform(0.1, 0.3) * outage_every
            if outage_end and now >= outage_end:
                self.set_faults(*TROUBLE)
                outage_end = 0.0
            self.look()
            time.sleep(0.5)

    def restart(self) -> None:
        if self.random.random() < 0.7:
            self.kills += 1
            self.server.kill()
        else:
            self.stops += 1
            code = self.server.stop()
            if code != 0:
                self.broken.append(f"a stop ended with {code}")
        self.server = self.start_server(self.server.ports)

    def look(self) -> None:
        """One look at everything, and a line about it."""
        if not self.server.running():
            self.broken.append(f"the server died by itself with {self.server.process.returncode}")
            self.server = self.start_server(self.server.ports)
        for caller in self.callers:
            if caller.fault is not None:
                self.broken.append(caller.fault)
                caller.fault = None
        now = time.monotonic()
        calm_length = 0.5 * self.length if self.length >= LEAST_JUDGED_SECONDS else self.length
        # Other lives begin with less, and would hide a growth.
        is_judged = self.length < LEAST_JUDGED_SECONDS or self.calm(now - self.began)
        filling = FILLING_SECONDS if self.length >= LEAST_JUDGED_SECONDS else 5.0
        warm_up = max(filling, WARM_UP_SHARE * calm_length) if is_judged else math.inf
        self.health.sample(self.server, now - self.server_began, now, warm_up)
        self.summary = self.heap.get("summary")
        self.gate.set_open(self.waiting() < 20_000)
        if now < self.next_line:
            return
        self.next_line = now + (0.0 if sys.stdout.isatty() else max(5.0, self.length / 120))
        total = self.summary["total"]
        self.say(f"{now - self.began:6.0f} of {self.length:.0f} s: acknowledged {self.acknowledged():,}, delivered {total['unique_keys']:,} "
                 f"events, waiting {self.waiting():,}, sent again {total['duplicate_keys']:,}, kills {self.kills}, stops {self.stops}, "
                 f"violations {total['violations']}, server {self.health.last_mib:.1f} MiB, {self.health.last_descriptors} descriptors",
                 passing=True)

    def say(self, line: str, passing: bool = False) -> None:
        """A passing line is overwritten by the next one where somebody watches."""
        if sys.stdout.isatty():
            width = shutil.get_terminal_size().columns
            print("\r\x1b[K" + (line[:width - 1] if passing else line + "\n"), end="", flush=True)
        else:
            print(line, flush=True)

    def acknowledged(self) -> int:
        return sum(caller.acknowledged for caller in self.callers)

    def waiting(self) -> int:
        events = sum(caller.acknowledged - caller.poisoned() for caller in self.event_callers())
        return max(0, events - int(self.summary["total"]["unique_keys"]))

    # Draining, and judging what came of it.

    def finish(self) -> None:
        self.set_faults()
        self.gate.stop()
        deadline = time.monotonic() + 300
        for caller in self.callers:
            while caller.is_alive() and time.monotonic() < deadline:
                caller.join(0.5)
                self.look()
            if caller.is_alive():
                self.broken.append(f"{caller.name} never got its last answer")
        self.say("draining")
        # Items over an identity's limit take time, but there is no good reason for a standstill of minutes.
        least, moved = sys.maxsize, time.monotonic()
        while (left := self.left()) != 0:
            if left is not None and left < least:
                least, moved = left, time.monotonic()
            if time.monotonic() - moved > LONGEST_STANDSTILL:
                self.broken.append(f"{left} items still wait, and none was delivered for {LONGEST_STANDSTILL:.0f} s")
                break

    def left(self) -> int | None:
        """How many items still wait; none if the server does not say."""
        self.look()
        try:
            with urllib.request.urlopen(self.server.http_url + "/statusz.json", timeout=10) as answer:
                status = json.load(answer)
        except (urllib.error.URLError, TimeoutError):
            return None
        time.sleep(0.2)
        if status["snapshot_age_seconds"] is None:
            return None
        return max(self.waiting(), sum(destination["queued_items"] for destination in status["destinations"]))

    def report(self) -> bool:
        lost, unknown, dead = self.compare_events()
        for channel in self.channels:
            channel.close()
        wrong = self.compare_properties()
        differing, looked_at = self.compare_contents()
        code = self.server.stop()
        if code != 0:
            self.broken.append(f"the last stop ended with {code}")
        self.summary = self.heap.get("summary")
        total = self.summary["total"]
        doubled = sum(app["events"]["appended"] - app["events"]["unique_keys"] for app in self.summary["apps"].values())
        violations = self.heap.get("violations")["total"]
        seconds = self.health.judged_seconds()
        judged = self.length >= LEAST_JUDGED_SECONDS and seconds > 0
        memory, descriptors = self.health.memory.per_hour(), self.health.descriptors.per_hour()
        remark = f"over {seconds:.0f} s of one life" if judged else "not judged: the run was too short"

        def row(name: str, value: str, well: bool) -> None:
            self.say(f"  {name:<34}{value:>14}{'' if well else '   BROKEN'}")
            if not well:
                self.broken.append(name)

        self.say(f"\nsoak of {time.monotonic() - self.began:.0f} s, {self.kills} kills, {self.stops} stops, {self.outages} outages; "
                 f"{sum(caller.refusals for caller in self.callers):,} calls were repeated")
        row("acknowledged items", f"{self.acknowledged():,}", self.acknowledged() > 0)
        row("events delivered", f"{total['unique_keys']:,}", True)
        row("events that came again", f"{total['duplicate_keys']:,}", total["duplicate_keys"] > 0)
        row("events dead-lettered", f"{dead:,}", dead > 0)
        row("lost", f"{lost:,}", lost == 0)
        row("duplicates", f"{doubled:,}", doubled == 0)
        row("unknown", f"{unknown:,}", unknown == 0)
        row(f"other contents, of {looked_at:,}", f"{differing:,}", differing == 0 and looked_at > 0)
        row("wrong last values of properties", f"{wrong:,}", wrong == 0)
        row("limit violations", f"{violations:,}", violations == 0)
        row("memory, MiB an hour", f"{memory:+.2f}", not judged or memory <= MOST_MEMORY_GROWTH)
        row("descriptors an hour", f"{descriptors:+.2f}", not judged or descriptors <= MOST_DESCRIPTOR_GROWTH)
        self.say(f"  memory peak {self.health.peak_mib:.1f} MiB; slopes {remark}")
        if self.kills + self.stops == 0 and self.length > 2 * self.restart_every:
            self.broken.append("nothing was restarted")
        for fault in self.broken:
            self.say(f"BROKEN: {fault}")
        return not self.broken

    def keys_at_heap(self, app_id: str) -> Iterator[str]:
        with urllib.request.urlopen(f"{self.heap.us_url}/_fake/keys?app_id={app_id}", timeout=600) as answer:
            for line in answer:
                yield line.decode().split("\t")[0]

    def dead_keys(self) -> Iterator[tuple[str, str]]:
        """Destination and key of each dead letter."""
        with grpc.insecure_channel(self.server.address) as channel:
            stub = self.api["admin_stubs"].HeapSyncAdminServiceStub(channel)
            token = ""
            while True:
                page = stub.ListDeadLetters(self.api["admin"].ListDeadLettersRequest(page_size=1000, page_token=token), timeout=60)
                for letter in page.dead_letters:
                    yield letter.destination, json.loads(letter.item_json).get("idempotency_key", "") if letter.item_json else ""
                token = page.next_page_token
                if not token:
                    return

    def compare_events(self) -> tuple[int, int, int]:
        """How many acknowledged events are neither at Heap nor a dead letter, how many nobody sent, how many are dead letters."""
        # Each event's byte: 1 at Heap, 2 a dead letter.
        found = {caller.name: bytearray(caller.acknowledged) for caller in self.event_callers()}
        derived = {caller.name: {caller.key(number): number for number in range(caller.acknowledged)}
                   for caller in self.event_callers() if not caller.given_keys}
        unknown = dead = 0

        def mark(callers: list[EventCaller], key: str, value: int) -> None:
            nonlocal unknown
            name, _, digits = key.rpartition("-")
            if name in found and digits.isdigit() and int(digits) < len(found[name]) and any(caller.name == name for caller in callers):
                found[name][int(digits)] |= value
                return
            for caller in callers:
                number = derived.get(caller.name, {}).get(key)
                if number is not None:
                    found[caller.name][number] |= value
                    return
            unknown += 1

        for place in PLACES:
            callers = [caller for caller in self.event_callers() if caller.place == place]
            for key in self.keys_at_heap(place.app_id):
                mark(callers, key, 1)
        for destination, key in self.dead_keys():
            dead += 1
            mark([caller for caller in self.event_callers() if caller.place.destination == destination], key, 2)
        lost = 0
        for caller in self.event_callers():
            expected = bytearray(b"\x01" * caller.acknowledged)
            for number in caller.poisoned_numbers():
                expected[number] = 2
            wrong = [number for number in range(caller.acknowledged) if found[caller.name][number] != expected[number]]
            lost += len(wrong)
            for number in wrong[:5]:
                self.broken.append(f"{caller.name} {number}: found {found[caller.name][number]}, expected {expected[number]} "
                                   "(1: at Heap, 2: dead letter)")
        return lost, unknown, dead

    def compare_properties(self) -> int:
        wrong = 0
        for caller in self.callers:
            if not isinstance(caller, PropertyCaller):
                continue
            for subject, values in caller.last_values().items():
                profile = self.heap.find(caller.kind, app_id=caller.place.app_id, **{caller.id_field: subject})
                held = (profile or {}).get("properties")
                if held != values:
                    wrong += 1
                    if wrong <= 5:
                        self.broken.append(f"{subject} has {held}, not {values}")
        return wrong

    def compare_contents(self) -> tuple[int, int]:
        """How many of a sample of events differ, and the size of the sample."""
        differing = looked_at = 0
        for caller in self.event_callers():
            for _ in range(min(50, caller.acknowledged)):
                number = self.random.randrange(caller.acknowledged)
                if caller.mark(number) is not None:
                    continue
                found = self.heap.find("event", app_id=caller.place.app_id, key=caller.key(number)) or {}
                if found and "event" not in found:
                    continue  # The simulator keeps only so many texts.
                event = found.get("event", {})
                looked_at += 1
                event.pop("timestamp", None)
                if event != caller.arrived_as(number):
                    differing += 1
                    self.broken.append(f"{caller.name} {number} arrived as {event}")
        return differing, looked_at

    def end(self) -> None:
        self.gate.stop()
        self.server.kill()
        self.heap.kill()


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--server", type=Path, required=True)
    parser.add_argument("--fake-heap", type=Path, required=True)
    parser.add_argument("--folder", type=Path, required=True, help="for data and logs; emptied first")
    parser.add_argument("--minutes", type=float, default=2.0)
    parser.add_argument("--rate", type=float, default=400.0, help="events a second, over four App IDs")
    parser.add_argument("--restart-every", type=float, default=20.0, help="seconds between two deaths of the server, about")
    parser.add_argument("--seed", type=int, default=1)
    arguments = parser.parse_args()
    Binaries.server, Binaries.fake_heap = arguments.server, arguments.fake_heap
    shutil.rmtree(arguments.folder, ignore_errors=True)
    arguments.folder.mkdir(parents=True)
    soak = Soak(arguments)
    try:
        kept = soak.run()
    finally:
        soak.end()
    print("every promise was kept" if kept else f"PROMISES WERE BROKEN; logs: {arguments.folder}")
    return 0 if kept else 1


if __name__ == "__main__":
    sys.exit(main())
