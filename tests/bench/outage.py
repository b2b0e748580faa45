#!/usr/bin/env python3
"""Measures an outage of Heap: the probes meanwhile, the time from Heap's return to the first delivery, and to a drained backlog.

    /usr/bin/python3 tests/bench/outage.py --server=build/release/server/heapsync-server --cli=build/release/client/cli/heapsync \\
        --fake-heap=build/release/tests/fake_heap/fake-heap --seconds=600 --destinations=10000

The outage begins before the first item is accepted, and lasts at least until all are. They are spread over the destinations; a single
one has events, users and accounts, of many each has one of these. Heap's limits are off, so that the drain is the server's own. Prints
one line; asserts nothing.
"""

import argparse
import json
import time
import urllib.request
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import sys
sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "e2e"))

import grpc
from harness import Binaries, FakeHeap, Server, wait_until
from proto_stubs import generate_stubs

FAULTS: dict[str, dict[str, Any]] = {
    "503": {"action": {"type": "status", "status": 503}},
    "hang": {"action": {"type": "hang"}},
    "reset": {"action": {"type": "reset_after_body", "apply": False}},
}
KINDS = ("events", "users", "accounts")
NO_LIMITS = {"events_per_minute": 0, "events_per_identity_per_minute": 0, "user_requests_per_identity_per_30s": 0}


def configuration(folder: Path, destinations: int) -> Path:
    entries = [{"name": f"d{i}", "app_id": str(10_000 + i), "region": "us", "limits": NO_LIMITS} for i in range(destinations)]
    path = folder / "heapsync.json"
    path.write_text(json.dumps({"destinations": entries, "default_destination": "d0"}), encoding="utf-8")
    return path


class Feeder:
    def __init__(self, server: Server, stubs: dict[str, Any]) -> None:
        self.items, self.service = stubs["items"], stubs["service"]
        self.channel = grpc.insecure_channel(server.address)
        self.stub = stubs["stubs"].HeapSyncServiceStub(self.channel)

    def message(self, kind: str, destination: str, begin: int, end: int) -> Any:
        if kind == "events":
            events = [self.items.TrackEvent(identity=f"u{i}@example.com", event="Bought") for i in range(begin, end)]
            return self.service.BulkTrackEventsRequest(destination=destination, events=events)
        if kind == "users":
            users = [self.items.UserProperties(identity=f"u{i}@example.com", email=f"u{i}@example.com") for i in range(begin, end)]
            return self.service.BulkUserPropertiesRequest(destination=destination, users=users)
        accounts = [self.items.AccountProperties(account_id=f"a{i}") for i in range(begin, end)]
        for account in accounts:
            account.properties.update({"plan": "Pro"})
        return self.service.BulkAccountPropertiesRequest(destination=destination, accounts=accounts)

    def feed(self, index: int, count: int, kinds: tuple[str, ...]) -> int:
        """The number of items that became durable."""
        accepted = 0
        calls = {"events": self.stub.BulkTrackEvents, "users": self.stub.BulkUserProperties, "accounts": self.stub.BulkAccountProperties}
        of_kind = count // len(kinds)
        for kind in kinds:
            messages: Iterator[Any] = iter(
                [self.message(kind, f"d{index}", begin, min(begin + 500, of_kind)) for begin in range(0, of_kind, 500)])
            last = None
            for last in calls[kind](messages):
                pass
            accepted += last.accepted if last is not None else 0
        return accepted


def attempts(server: Server) -> int:
    with urllib.request.urlopen(server.http_url + "/metrics", timeout=60) as answer:
        lines = answer.read().decode().splitlines()
    return int(sum(float(line.rsplit(" ", 1)[1]) for line in lines if line.startswith("heapsync_attempts_total{")))


def measure(folder: Path, flags: argparse.Namespace) -> str:
    stubs = generate_stubs(folder)
    heap = FakeHeap(folder, "--no_store", "--keep_requests=100")
    server = Server(folder, heap, f"--config={configuration(folder, flags.destinations)}")
    try:
        feeder = Feeder(server, stubs)
        admin, calls = stubs["admin"], stubs["admin_stubs"].HeapSyncAdminServiceStub(feeder.channel)
        heap.set_faults(FAULTS[flags.kind])
        began = time.monotonic()
        with ThreadPoolExecutor(4) as pool:
            many = flags.destinations > len(KINDS)
            kinds = [KINDS[i % len(KINDS):][:1] if many else KINDS for i in range(flags.destinations)]
            accepted = sum(pool.map(lambda i: feeder.feed(i, flags.items // flags.destinations, kinds[i]), range(flags.destinations)))
        time.sleep(5)
        steady_from, before = time.monotonic(), attempts(server)
        time.sleep(max(5.0, flags.seconds - (time.monotonic() - began)))
        probes = (attempts(server) - before) / (time.monotonic() - steady_from)
        outage = time.monotonic() - began
        heap.clear_faults()
        back = time.monotonic()
        wait_until(lambda: any(each["outcome"] == "200" for each in heap.get("requests", limit="5")["requests"]), "the first delivery", 120)
        first = time.monotonic() - back
        calls.Flush(admin.FlushRequest(), timeout=600)
        drained = time.monotonic() - back
        return (f"{flags.kind}, {outage:.0f} s, {flags.destinations} destinations, {accepted} items: {probes:.2f} probes/s; "
                f"first delivery after {first:.2f} s, drained after {drained:.1f} s ({accepted / drained:.0f} items/s)")
    finally:
        server.kill()
        heap.kill()


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    for name in ("server", "cli", "fake-heap"):
        parser.add_argument(f"--{name}", type=Path, required=True)
    parser.add_argument("--seconds", type=float, default=30)
    parser.add_argument("--destinations", type=int, default=1)
    parser.add_argument("--items", type=int, default=100_000)
    parser.add_argument("--kind", choices=FAULTS, default="503")
    flags = parser.parse_args()
    Binaries.server, Binaries.cli, Binaries.fake_heap = flags.server, flags.cli, flags.fake_heap
    with TemporaryDirectory(prefix="heapsync-outage-") as folder:
        print(measure(Path(folder), flags), flush=True)


if __name__ == "__main__":
    main()
