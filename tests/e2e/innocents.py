"""Those who must not notice an attack, and what the attack did: latencies, memory, and a line for a report of all attacks."""

import json
import os
import threading
import time
import urllib.request
from collections.abc import Callable
from pathlib import Path
from typing import Any

import grpc
import harness
from harness import Server

FULL = os.environ.get("HEAPSYNC_ATTACKS") == "full"
# A file to which each attack adds a line of JSON.
REPORT = os.environ.get("HEAPSYNC_ATTACK_REPORT", "")
MIB = 1 << 20
HEALTH = "/grpc.health.v1.Health/Check"
# The default --max_memory_bytes and 128 MiB: what the process may grow by.
MAX_GROWTH = 640 * MIB
# On a machine that the attacker shares with everybody.
SLOW_MS = 5_000
# The p99 of a known caller during an attack may be this many times what it was before, or what it is at a server beside the attacked one.
MAX_TIMES_BEFORE, MAX_TIMES_BESIDE = 3, 1.5
MAX_LOG_A_MINUTE = 10 * MIB
# Of the probes, which connect anew each time, beside attackers from their own address.
MAX_LOST = 0.02


def memory(server: Server, name: str) -> int:
    for line in Path(f"/proc/{server.process.pid}/status").read_text().splitlines():
        if line.startswith(f"{name}:"):
            return int(line.split()[1]) << 10
    raise AssertionError(f"no {name}")


def forget_peak(server: Server) -> None:
    """Makes VmHWM the memory in use now."""
    Path(f"/proc/{server.process.pid}/clear_refs").write_text("5")


def percentile(times: list[float], part: float) -> float:
    return sorted(times)[min(len(times) - 1, int(part * len(times)))] if times else 0.0


class Innocents:
    """A known caller with a connection of its own, and a probe that connects again each time, while a block runs.

    `protos` are those of generate_stubs(). With `asks_admin` the caller also asks for its destination.
    """

    def __init__(self, server: Server, protos: dict[str, Any], token: str, asks_admin: bool = False, destination: str = "") -> None:
        self._server = server
        self._protos = protos
        self._metadata = [("authorization", f"Bearer {token}")]
        self._destination = destination
        self._over = threading.Event()
        self.calls: list[float] = []
        self.questions: list[float] = []
        self.probes: list[float] = []
        self.failures: list[str] = []
        self.lost_probes: list[str] = []
        work: list[Callable[[], None]] = [self._call, self._probe]
        if asks_admin:
            work.append(self._ask)
        self._threads = [threading.Thread(target=each) for each in work]

    def _measure(self, times: list[float], work: Callable[[], Any]) -> None:
        start = time.monotonic()
        try:
            work()
        except grpc.RpcError as error:
            failures = self.lost_probes if times is self.probes else self.failures
            failures.append(f"{error.code()} {error.details()}")
        except OSError as error:
            self.lost_probes.append(f"/healthz: {error}")
        times.append(time.monotonic() - start)

    def _call(self) -> None:
        with self._server.channel() as channel:
            track = self._protos["stubs"].HeapSyncServiceStub(channel).TrackEvent
            request = self._protos["service"].TrackEventRequest(
                destination=self._destination, event={"identity": "innocent", "event": "Seen"})
            while not self._over.wait(0.05):
                self._measure(self.calls, lambda: track(request, timeout=harness.PATIENCE, metadata=self._metadata))

    def _ask(self) -> None:
        with self._server.channel() as channel:
            ask = self._protos["admin_stubs"].HeapSyncAdminServiceStub(channel).GetDestination
            request = self._protos["admin"].GetDestinationRequest(destination=self._destination)
            while not self._over.wait(0.05):
                self._measure(self.questions, lambda: ask(request, timeout=harness.PATIENCE, metadata=self._metadata))

    def _ask_http(self) -> None:
        with urllib.request.urlopen(self._server.http_url + "/healthz", timeout=harness.PATIENCE) as answer:
            answer.read()

    def _probe(self) -> None:
        """Asks both ports, as Kubernetes may."""
        while not self._over.wait(0.2):
            self._measure(self.probes, self._ask_http)
            with self._server.channel(("grpc.use_local_subchannel_pool", 1)) as channel:
                self._measure(self.probes, lambda: channel.unary_unary(HEALTH)(b"", timeout=harness.PATIENCE))

    def __enter__(self) -> "Innocents":
        for thread in self._threads:
            thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._over.set()
        for thread in self._threads:
            thread.join()


def add_to_report(row: dict[str, Any]) -> None:
    if REPORT:
        with Path(REPORT).open("a", encoding="utf-8") as file:
            file.write(json.dumps(row) + "\n")


def report(attack: str, growth: int, calm: Innocents, during: Innocents, beside: Innocents | None = None, log_a_minute: float = 0) -> str:
    """Adds the attack to the report; gives the same in words. `beside` asked another server on the same cores meanwhile."""
    def slowest(times: list[float], part: float) -> float:
        return round(percentile(times, part) * 1000, 1)

    row: dict[str, Any] = {
        "attack": attack,
        "growth_mib": round(growth / MIB),
        "p99_before_ms": slowest(calm.calls, .99),
        "p99_during_ms": slowest(during.calls, .99),
        "admin_before_ms": slowest(calm.questions, .99),
        "admin_during_ms": slowest(during.questions, .99),
        "probe_before_ms": slowest(calm.probes, 1),
        "probe_during_ms": slowest(during.probes, 1),
        "failures": len(during.failures) + len(during.lost_probes),
        "log_kib_a_minute": round(log_a_minute / 1024),
    }
    if beside is not None:
        row["p99_beside_ms"] = slowest(beside.calls, .99)
    allowed = max(MAX_TIMES_BEFORE * row["p99_before_ms"], MAX_TIMES_BESIDE * row.get("p99_beside_ms", 0))
    if growth >= MAX_GROWTH:
        row["verdict"] = "MEMORY"
    elif during.failures or len(during.lost_probes) > MAX_LOST * len(during.probes):
        row["verdict"] = "FAILURES"
    elif log_a_minute > MAX_LOG_A_MINUTE:
        row["verdict"] = "LOG"
    elif beside is not None and row["p99_during_ms"] > allowed:
        row["verdict"] = "SLOW"
    else:
        row["verdict"] = "slow" if max(row["p99_during_ms"], row["admin_during_ms"], row["probe_during_ms"]) > SLOW_MS else "held"
    add_to_report(row)
    admin = f"admin p99 {row['admin_before_ms']:.0f} -> {row['admin_during_ms']:.0f} ms, " if during.questions else ""
    return (f"{attack}: +{row['growth_mib']} MiB; calls p99 {row['p99_before_ms']:.0f} -> {row['p99_during_ms']:.0f} ms, {admin}"
            f"probes max {row['probe_before_ms']:.0f} -> {row['probe_during_ms']:.0f} ms, {row['failures']} failures")
