#!/usr/bin/env python3
"""Measures what overload does to the server's memory and to the callers that it admits.

    scripts/bench.sh --scenarios ghz && cmake --build --preset release && /usr/bin/python3 tests/bench/overload.py

A steady caller (ghz, 200 calls a second, with a token of its own) is measured alone first, then beside each kind of overload: while
that overload hits the steady caller's server; while it hits another server on the same machine, which is what sharing the cores
costs; and, where the overload is not one of items, with a bare gRPC server that answers at once and does nothing, which is what
gRPC costs. What makes the overload runs only when nobody else wants a core, as if it were on a machine of its own. Prints a table;
asserts nothing.
"""

import argparse
import json
import os
import queue
import socket
import subprocess
import sys
import threading
import time
from collections import Counter
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from hashlib import sha256
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "e2e"))

import grpc
import harness
from harness import SOURCE, Binaries, FakeHeap, Program, Server, wait_until
from proto_stubs import generate_stubs

METHOD = "heapsync.v1.HeapSyncService.TrackEvent"
STEADY = {"event": {"identity": "steady", "event": "Seen", "properties": {"amount": 49.99, "plan": "Pro"}}}

# Methods of Flood.
KINDS = {
    "slow_readers": "200 slow readers",
    "pending_calls": "100,000 pending calls",
    "connections": "10,000 connections",
    "headers": "long metadata",
    "tiny_messages": "2,000 callers without a pause",
}
AT_BARE_TOO = {"connections", "headers", "tiny_messages"}

STEADY_CALLER, FLOOD_CALLER = "steady", "flood"


def token(caller: str) -> tuple[str, str]:
    return "authorization", f"Bearer hst_{caller}"


def callers(folder: Path) -> Path:
    path = folder / "callers.json"
    entries = [{"name": name, "token_sha256": [sha256(f"hst_{name}".encode()).hexdigest()]} for name in (STEADY_CALLER, FLOOD_CALLER)]
    path.write_text(json.dumps({"callers": entries}), encoding="utf-8")
    return path


def run_ghz(ghz: Path, address: str, caller: str, *flags: str) -> dict[str, Any]:
    done = subprocess.run([
        str(ghz), "--insecure", "--proto", str(SOURCE / "proto/heapsync/v1/heap_sync_service.proto"), "--import-paths",
        str(SOURCE / "proto"), "--call", METHOD, "--format", "json", "--metadata",
        json.dumps(dict([token(caller)])), *flags, address
    ], capture_output=True, text=True)
    return dict(json.loads(done.stdout))


class Watch:
    """The largest resident size of a process while this is open, in MiB, and the cores that it used."""

    def __init__(self, pid: int) -> None:
        self.path, self.peak, self.over = Path(f"/proc/{pid}/status"), 0.0, threading.Event()
        self.thread = threading.Thread(target=self._watch)
        self.stat, self.cores = Path(f"/proc/{pid}/stat"), 0.0

    def _seconds(self) -> float:
        user, system = self.stat.read_text().rpartition(")")[2].split()[11:13]
        return (int(user) + int(system)) / os.sysconf("SC_CLK_TCK")

    def _watch(self) -> None:
        while not self.over.wait(0.02):
            size = next(line for line in self.path.read_text().splitlines() if line.startswith("VmRSS"))
            self.peak = max(self.peak, int(size.split()[1]) / 1024)

    def __enter__(self) -> "Watch":
        self.began, self.used = time.monotonic(), self._seconds()
        self.thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.cores = (self._seconds() - self.used) / (time.monotonic() - self.began)
        self.over.set()
        self.thread.join()


class Flood:
    """The kinds of overload, each of which ends when `over` is set."""

    def __init__(self, arguments: argparse.Namespace, folder: Path) -> None:
        self.address: str = arguments.address
        self.ghz: Path = arguments.ghz
        self.protos = generate_stubs(folder)
        self.codes: Counter[str] = Counter()

    def channel(self) -> grpc.Channel:
        return grpc.insecure_channel(self.address, options=[("grpc.use_local_subchannel_pool", 1)])

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

        stubs = [self.protos["stubs"].HeapSyncServiceStub(channel) for channel in channels]
        streams = [stubs[number % 20].BulkTrackEvents(messages(), metadata=(token(FLOOD_CALLER),)) for number in range(200)]
        over.wait()
        self.codes["messages read"] = sent["messages"]
        for stream in streams:
            stream.cancel()
        for channel in channels:
            channel.close()

    def pending_calls(self, over: threading.Event) -> None:
        """100,000 calls that wait for a Heap that hangs."""
        request = self.protos["service"].TrackEventRequest(event={"identity": "waits", "event": "E"}, ack_level=2).SerializeToString()
        channels = [self.channel() for _ in range(100)]
        calls = [channel.unary_unary(f"/{METHOD.rpartition('.')[0]}/TrackEvent") for channel in channels]
        futures = [calls[number % 100].future(request, metadata=(token(FLOOD_CALLER),)) for number in range(100_000)]
        over.wait()
        done = [future for future in futures if future.done()]
        for future in done:
            self.count(future.exception())
        self.codes["still waiting"] = len(futures) - len(done)
        for channel in channels:
            channel.close()

    def connections(self, over: threading.Event) -> None:
        """10,000 connections that say nothing, made anew as they are closed."""
        host, port = self.address.split(":")
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
                        stub.TrackEvent(request, metadata=(token(FLOOD_CALLER), ("x-long", os.urandom(size // 2).hex())), timeout=10)
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
        report = run_ghz(self.ghz, self.address, FLOOD_CALLER, "-d", json.dumps(STEADY), "-c", "2000", "--connections", "50", "-z", "9s",
                         "--duration-stop", "wait")
        for code, count in report["statusCodeDistribution"].items():
            self.codes[code] += count
        self.codes["calls a second"] = int(report["rps"])


@dataclass
class Target:
    """A server, and the Heap that it sends to, if it does."""

    address: str
    process: subprocess.Popen[bytes]
    heap: FakeHeap | None = None


class Bench:
    def __init__(self, arguments: argparse.Namespace, measured: Target, other: Target) -> None:
        self.arguments, self.measured, self.other = arguments, measured, other

    @contextmanager
    def bare(self) -> Iterator[Target]:
        with TemporaryDirectory(prefix="heapsync-overload-") as folder:
            server = Program("bare", [self.arguments.bare, "--bare_server"], Path(folder))
            try:
                wait_until(lambda: server.output().endswith("\n"), "the bare server")
                yield Target(f"127.0.0.1:{json.loads(server.output())['port']}", server.process)
            finally:
                server.kill()

    def steady(self, target: Target) -> str:
        """p50 and p99 in ms of the steady caller, and its codes."""
        report = run_ghz(self.arguments.ghz, target.address, STEADY_CALLER, "-d", json.dumps(STEADY), "--rps", "200", "-c", "8", "--connections",
                         "2", "-z", "6s", "--duration-stop", "wait")
        points = {point["percentage"]: point["latency"] / 1e6 for point in report["latencyDistribution"]}
        codes = " ".join(f"{code} {count}" for code, count in report["statusCodeDistribution"].items())
        return f"{points[50]:.2f} | {points[99]:.2f} | {codes}"

    def run(self, name: str, kind: str, hit: Target, asked: Target) -> None:
        command = [sys.executable, __file__, "--flood", kind, "--address", hit.address, "--ghz", str(self.arguments.ghz)]
        if kind == "pending_calls" and hit.heap is not None:
            hit.heap.set_faults({"action": {"type": "hang"}})
        with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as flood:
            assert flood.stdout is not None
            flood.stdout.readline()
            time.sleep(2)
            with Watch(hit.process.pid) as watch:
                steady = self.steady(asked)
            codes = json.loads(flood.communicate("over")[0])
        if hit.heap is not None:
            hit.heap.clear_faults()
        others = ", ".join(f"{code} {count:,}" for code, count in sorted(codes.items()))
        print(f"| {name} | {steady} | {watch.peak:.0f} | {watch.cores:.2f} | {others} |", flush=True)

    def alone(self, name: str, target: Target) -> None:
        with Watch(target.process.pid) as watch:
            steady = self.steady(target)
        print(f"| {name} | {steady} | {watch.peak:.0f} | {watch.cores:.2f} | |", flush=True)

    def measure(self, name: str, kind: str) -> None:
        self.run(name, kind, self.measured, self.measured)
        self.run("… at another server", kind, self.other, self.measured)
        if kind in AT_BARE_TOO:
            with self.bare() as bare:
                self.run("… with a bare server", kind, bare, bare)


def flood(arguments: argparse.Namespace, folder: Path) -> None:
    """Makes one kind of overload until something is said, and then says what came of it."""
    os.sched_setscheduler(0, os.SCHED_IDLE, os.sched_param(0))
    made = Flood(arguments, folder)
    over = threading.Event()
    thread = threading.Thread(target=getattr(made, arguments.flood), args=(over,))
    thread.start()
    print("begun", flush=True)
    sys.stdin.read()
    over.set()
    thread.join()
    print(json.dumps(made.codes), flush=True)


def bench(arguments: argparse.Namespace, folder: Path) -> None:
    with ExitStack() as stack:

        def heapsync(name: str) -> Target:
            own = folder / name
            own.mkdir()
            heap = FakeHeap(own)
            stack.callback(heap.kill)
            config = harness.two_regions(own, {"events_per_minute": 0, "events_per_identity_per_minute": 0})
            server = Server(own, heap, f"--config={config}", f"--auth={callers(own)}")
            stack.callback(server.stop)
            return Target(server.address, server.process, heap)

        bench = Bench(arguments, heapsync("measured"), heapsync("other"))
        print("| beside the steady caller | p50 ms | p99 ms | its answers | hit server's peak, MiB | its cores | the others |")
        print("|---|---|---|---|---|---|---|")
        bench.alone("nothing", bench.measured)
        with bench.bare() as bare:
            bench.alone("… with a bare server", bare)
        for kind, name in KINDS.items():
            if arguments.only in (None, kind):
                bench.measure(name, kind)
        bench.alone("nothing, afterwards", bench.measured)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    release = SOURCE / "build/release"
    parser.add_argument("--server", type=Path, default=release / "server/heapsync-server")
    parser.add_argument("--fake-heap", type=Path, default=release / "tests/fake_heap/fake-heap")
    parser.add_argument("--bare", type=Path, default=release / "tests/bench/load/heapsync_bench", help="heapsync_bench")
    parser.add_argument("--ghz", type=Path, default=SOURCE / "build/tools/bin/ghz")
    parser.add_argument("--only", choices=KINDS, help="one kind of overload")
    parser.add_argument("--flood", help=argparse.SUPPRESS)
    parser.add_argument("--address", help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    Binaries.server, Binaries.fake_heap = arguments.server, arguments.fake_heap
    with TemporaryDirectory(prefix="heapsync-overload-") as name:
        (flood if arguments.flood else bench)(arguments, Path(name))


if __name__ == "__main__":
    main()
