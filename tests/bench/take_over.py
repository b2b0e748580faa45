#!/usr/bin/env python3
"""Measures how long the destinations of a server that dies, stops or freezes go without delivery, in a cluster of three.

    cmake --build --preset release --target heapsync-server fake-heap && /usr/bin/python3 tests/bench/take_over.py

Three servers share a spool in a PostgreSQL of this script's own while callers send to all of them. Again and again one server is killed,
asked to stop, or frozen for longer than its lease, and the time is taken until the others deliver all of its destinations. Prints a table;
fails only where a promise does not hold: a call fails at a server that was left alone, an item is lost, or a limit of Heap is broken.
"""

import argparse
import signal
import statistics
import sys
import time
from pathlib import Path
from tempfile import TemporaryDirectory

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "e2e"))

from cluster import APPS, LEASE, Cluster, Load, Member
from harness import SOURCE, Binaries, FakeHeap
from postgres_server import PostgresServer
from proto_stubs import generate_stubs

FREEZE = LEASE + 3.0  # seconds


class Rounds:
    """What was seen of one kind of end."""

    def __init__(self, name: str) -> None:
        self.name = name
        self.seconds: list[float] = []
        self.repeated = 0  # events that Heap got again

    def row(self) -> str:
        if not self.seconds:
            return f"| {self.name} | 0 | | | |"
        return (f"| {self.name} | {len(self.seconds)} | {statistics.median(self.seconds):.2f} s | {max(self.seconds):.2f} s | "
                f"{self.repeated} |")


def repeated(cluster: Cluster) -> int:
    return sum(times - 1 for times in cluster.keys().values())


def end_one(kind: str, victim: Member, cluster: Cluster, load: Load) -> float:
    """Seconds until the others deliver everything; the victim's process has ended."""
    victim.is_left_alone = False
    began = time.monotonic()
    if kind == "kill":
        victim.kill()
    elif kind == "freeze":
        victim.process.send_signal(signal.SIGSTOP)
    else:
        victim.process.send_signal(signal.SIGTERM)
    took = cluster.wait_for_owners(began)
    cluster.wait_for_progress(load)
    if kind == "freeze":
        load.ended.wait(max(0.0, began + FREEZE - time.monotonic()))
        victim.process.send_signal(signal.SIGCONT)
    victim.wait()
    return took


def measure(cluster: Cluster, load: Load, counts: dict[str, int]) -> list[Rounds]:
    rounds = {kind: Rounds(kind) for kind in counts}
    left = dict(counts)
    number = 0
    while any(left.values()):
        for kind in [kind for kind, count in left.items() if count > 0]:
            left[kind] -= 1
            victim = cluster.members[number % len(cluster.members)]
            number += 1
            before = repeated(cluster)
            took = end_one(kind, victim, cluster, load)
            cluster.start_again(victim)
            cluster.wait_for_fair_shares()
            rounds[kind].seconds.append(took)
            rounds[kind].repeated += repeated(cluster) - before
            print(f"{number} of {sum(counts.values())}: {kind}, {took:.2f} s", file=sys.stderr, flush=True)
    return list(rounds.values())


def main() -> None:
    parser = argparse.ArgumentParser(description="Measures how long a lost server's destinations go without delivery.")
    parser.add_argument("--preset", default="release")
    parser.add_argument("--kills", type=int, default=20)
    parser.add_argument("--stops", type=int, default=20)
    parser.add_argument("--freezes", type=int, default=5)
    arguments = parser.parse_args()
    build = SOURCE / "build" / arguments.preset
    Binaries.server, Binaries.fake_heap = build / "server/heapsync-server", build / "tests/fake_heap/fake-heap"
    postgres = PostgresServer()
    try:
        with TemporaryDirectory() as name:
            folder = Path(name)
            heap = FakeHeap(folder, "--limit_app_events=0", "--limit_identity_events=0", "--limit_user_requests=0")
            cluster = Cluster(folder, heap, postgres.uri, 0)
            try:
                cluster.start_all(3)
                load = Load(generate_stubs(folder), cluster.members, list(APPS))
                try:
                    cluster.wait_for_progress(load)
                    rounds = measure(cluster, load, {"kill": arguments.kills, "stop": arguments.stops, "freeze": arguments.freezes})
                finally:
                    load.stop()
                if load.errors:
                    sys.exit("\n".join(load.errors))
                cluster.wait_for_all(load)
                violations = heap.get("violations")["total"]
            finally:
                cluster.kill()
                heap.kill()
    finally:
        postgres.remove()
    print("| how it ended | rounds | take-over, median | longest | events sent again |\n|---|---|---|---|---|")
    for each in rounds:
        print(each.row())
    print(f"\n{sum(load.accepted):,} rounds of calls accepted, all at Heap. {load.summary()}.")
    if violations:
        sys.exit(f"{violations} requests were beyond a limit of Heap")


if __name__ == "__main__":
    main()
