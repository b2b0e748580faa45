#!/usr/bin/env python3
"""Measures what overload does to the server's memory and to the callers that it admits.

    tests/bench/overload.py --server …/heapsync-server --fake-heap …/fake-heap --ghz build/tools/bin/ghz

A steady caller (ghz, 200 calls a second) is measured alone first, then beside each kind of overload. Prints a table; asserts nothing.
"""

import argparse
import json
import os
import queue
import signal
import socket
import subprocess
import sys
import threading
import time
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "e2e"))

import grpc
import harness
from harness import SOURCE, Binaries, FakeHeap, Server
from proto_stubs import generate_stubs

METHOD = "heapsync.v1.HeapSyncService.TrackEvent"
STEADY = {"event": {"identity": "steady", "event": "Seen", "properties": {"amount": 49.99, "plan": "Pro"}}}


class Memory:
    """The largest resident size of a process while this is open, in MiB."""

    def __init__(self, pid: int) -> None:
        self.path, self.peak, self.over = Path(f"/proc/{pid}/status"), 0.0, threading.Event()
        self.thread = threading.Thread(target=self._watch)

    def _watch(self) -> None:
        while not self.over.wait(0.02):
            size = next(line for line in self.path.read_text().splitlines() if line.startswith("VmRSS"))
            self.peak = max(self.peak, int(size.split()[1]) / 1024)

    def __enter__(self) -> "Memory":
        self.thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.over.set()
        self.thread.join()


class Bench:
    def __init__(self, ghz: Path, server: Server, heap: FakeHeap, protos: dict[str, Any]) -> None:
        self.ghz, self.server, self.heap, self.protos = ghz, server, heap, protos
        self.codes: Counter[str] = Counter()

    def channel(self) -> grpc.Channel:
        return grpc.insecure_channel(self.server.address, options=[("grpc.use_local_subchannel_pool", 1)])

    def run_ghz(self, *flags: str) -> dict[str, Any]:
        done = subprocess.run([
            str(self.ghz), "--insecure", "--proto", str(SOURCE / "proto/heapsync/v1/heap_sync_service.proto"), "--import-paths",
            str(SOURCE / "proto"), "--call", METHOD, "--format", "json", *flags, self.server.address
        ], capture_output=True, text=True)
        return dict(json.loads(done.stdout))

    def steady(self, seconds: float) -> tuple[float, float, str]:
        """p50 and p99 in ms of the steady caller, and its codes."""
        report = self.run_ghz("-d", json.dumps(STEADY), "--rps", "200", "-c", "8", "--connections", "2", "-z", f"{seconds:.0f}s",
                              "--duration-stop", "wait")
        points = {point["percentage"]: point["latency"] / 1e6 for point in report["latencyDistribution"]}
        return points[50], points[99], " ".join(f"{code} {count}" for code, count in report["statusCodeDistribution"].items())

    def measure(self, name: str, overload: Callable[[threading.Event], None] | None) -> None:
        self.codes.clear()
        over = threading.Event()
        thread = threading.Thread(target=overload or (lambda _: None), args=(over,))
        with Memory(self.server.process.pid) as memory:
            thread.start()
            time.sleep(2 if overload else 0)
            p50, p99, codes = self.steady(6)
            over.set()
            thread.join()
        others = ", ".join(f"{code} {count:,}" for code, count in sorted(self.codes.items()))
        print(f"| {name} | {p50:.2f} | {p99:.2f} | {codes} | {memory.peak:.0f} | {others} |", flush=True)

    def count(self, error: grpc.RpcError | None) -> None:
        self.codes["OK" if error is None else error.code().name] += 1

    def slow_readers(self, over: threading.Event) -> None:
        """200 streams full of refused items, whose answers nobody reads."""
        bad = self.protos["service"].BulkTrackEventsRequest(events=[{"identity": "", "event": "x" * 100}] * 1_000)
        channels = [self.channel() for _ in range(20)]
        sent: Counter[str] = Counter()

        def messages() -> Any:
            while not over.is_set():
                sent["messages"] += 1
                yield bad

        streams = [self.protos["stubs"].HeapSyncServiceStub(channels[number % 20]).BulkTrackEvents(messages()) for number in range(200)]
        over.wait()
        self.codes["messages read"] = sent["messages"]
        for stream in streams:
            stream.cancel()
        for channel in channels:
            channel.close()

    def pending_calls(self, over: threading.Event) -> None:
        """100,000 calls that wait for a Heap that hangs."""
        self.heap.set_faults({"action": {"type": "hang"}})
        request = self.protos["service"].TrackEventRequest(event={"identity": "waits", "event": "E"}, ack_level=2).SerializeToString()
        channels = [self.channel() for _ in range(100)]
        calls = [channel.unary_unary(f"/{METHOD.rpartition('.')[0]}/TrackEvent") for channel in channels]
        futures = [calls[number % 100].future(request) for number in range(100_000)]
        over.wait()
        done = [future for future in futures if future.done()]
        for future in done:
            self.count(future.exception())
        self.codes["still waiting"] = len(futures) - len(done)
        self.heap.clear_faults()
        for channel in channels:
            channel.close()

    def connections(self, over: threading.Event) -> None:
        """10,000 connections that say nothing, made anew as they are closed."""
        host, port = self.server.address.split(":")
        held: "queue.SimpleQueue[socket.socket]" = queue.SimpleQueue()
        while not over.is_set():
            if held.qsize() >= 10_000:
                held.get().close()
            connection = socket.socket()
            connection.setblocking(False)
            connection.connect_ex((host, int(port)))
            held.put(connection)
            self.codes["connections"] += 1
        while not held.empty():
            held.get().close()

    def headers(self, over: threading.Event) -> None:
        """Calls with 8 KiB and with 64 KiB of metadata."""
        request = self.protos["service"].TrackEventRequest(event={"identity": "headers", "event": "E"})

        def work(size: int) -> None:
            with self.channel() as channel:
                stub = self.protos["stubs"].HeapSyncServiceStub(channel)
                while not over.is_set():
                    try:
                        stub.TrackEvent(request, metadata=(("x-long", os.urandom(size // 2).hex()),), timeout=10)
                        self.count(None)
                    except grpc.RpcError as error:
                        self.count(error)

        threads = [threading.Thread(target=work, args=(size,)) for size in (8 << 10, 64 << 10) * 4]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()

    def tiny_messages(self, over: threading.Event) -> None:
        """ghz: 2,000 callers, each with its next call as soon as the last is answered."""
        del over
        report = self.run_ghz("-d", json.dumps(STEADY), "-c", "2000", "--connections", "50", "-z", "9s", "--duration-stop", "wait")
        for code, count in report["statusCodeDistribution"].items():
            self.codes[code] += count
        self.codes["calls a second"] = int(report["rps"])


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--server", type=Path, required=True)
    parser.add_argument("--fake-heap", type=Path, required=True)
    parser.add_argument("--ghz", type=Path, required=True)
    arguments = parser.parse_args()
    Binaries.server, Binaries.fake_heap = arguments.server, arguments.fake_heap
    with TemporaryDirectory(prefix="heapsync-overload-") as name:
        folder = Path(name)
        protos = generate_stubs(folder)
        heap = FakeHeap(folder)
        config = harness.two_regions(folder, {"events_per_minute": 0, "events_per_identity_per_minute": 0})
        server = Server(folder, heap, f"--config={config}")
        try:
            bench = Bench(arguments.ghz, server, heap, protos)
            print("| beside the steady caller | p50 ms | p99 ms | its answers | server's peak, MiB | the others |")
            print("|---|---|---|---|---|---|")
            bench.measure("nothing", None)
            bench.measure("200 slow readers", bench.slow_readers)
            bench.measure("100,000 pending calls", bench.pending_calls)
            bench.measure("10,000 connections", bench.connections)
            bench.measure("long metadata", bench.headers)
            bench.measure("2,000 callers without a pause", bench.tiny_messages)
            bench.measure("nothing, afterwards", None)
        finally:
            server.process.send_signal(signal.SIGTERM)
            server.process.wait()
            heap.kill()


if __name__ == "__main__":
    main()
