"""Servers that share a spool in PostgreSQL, and callers that use any of them."""

import json
import random
import re
import threading
import time
import urllib.request
from pathlib import Path
from typing import Any

import grpc

import harness
from harness import Binaries, FakeHeap, Program, free_ports, wait_until

LEASE = 5.0
SHARDS = 16
LOST_SPOOL = 75  # exit code
WRITERS = 3
CALL_TIMEOUT = 30.0
SCRAPE_TIMEOUT = 10.0  # Prometheus' default
APPS = {f"app-{number}": str(1_000_000_001 + number) for number in range(32)}


class Member(Program):
    """One server of the cluster. It calls Heap by a name of its own, by which its requests are known."""

    def __init__(self, name: str, folder: Path, heap: FakeHeap, spool: str, config: Path, heap_host: str, ports: list[int]) -> None:
        self.heap_host = heap_host
        self.ports = ports
        self.address = f"127.0.0.1:{ports[0]}"
        self.http_url = f"http://127.0.0.1:{ports[1]}"
        # False: what its callers see is not counted, since something is done to it.
        self.is_left_alone = True
        super().__init__(name, [
            Binaries.server, f"--listen={self.address}", f"--http_listen=127.0.0.1:{ports[1]}", f"--spool={spool}",
            f"--spool_lease={LEASE:.0f}s", f"--config={config}", f"--heap_us_url={heap.us_url.replace('127.0.0.1', heap_host)}",
            f"--heap_eu_url={heap.eu_url}", "--max_batch_wait=50ms"
        ], folder)

    def health(self, service: str = "") -> str:
        request = b"\x0a" + bytes([len(service)]) + service.encode() if service else b""
        with grpc.insecure_channel(self.address) as channel:
            try:
                answer = channel.unary_unary("/grpc.health.v1.Health/Check")(request, timeout=1)
            except grpc.RpcError:
                return "unreachable"
        return "serving" if answer == b"\x08\x01" else "not serving"

    def get(self, path: str) -> str:
        with urllib.request.urlopen(self.http_url + path, timeout=harness.PATIENCE) as answer:
            return str(answer.read().decode())

    def serves(self) -> bool:
        return self.health() == "serving"

    def status(self) -> dict[str, Any]:
        return dict(json.loads(self.get("/statusz.json")))

    def owned(self) -> set[str]:
        """The destinations that it delivers; none if it does not answer."""
        try:
            return {each["name"] for each in self.status()["destinations"] if each["delivered_here"]}
        except (OSError, KeyError):
            return set()

    def shards(self) -> int:
        """How many it owns, as the metrics say; none if it does not run."""
        try:
            return self.scrape_shards()
        except OSError:
            return 0

    def scrape_shards(self) -> int:
        with urllib.request.urlopen(self.http_url + "/metrics", timeout=SCRAPE_TIMEOUT) as answer:
            return len(re.findall(r'^heapsync_spool_owner\{shard="\d+"\} 1$', answer.read().decode(), re.MULTILINE))


def wait_for_service(members: list[Member]) -> None:
    """Until all of them serve; what those that do not have logged is part of the error."""
    try:
        wait_until(lambda: all(member.serves() for member in members), "all servers to serve")
    except AssertionError as error:
        logs = [f"{member.name} {'runs' if member.running() else 'has ended'}:\n{member.output()[-4000:]}" for member in members
                if not member.serves()]
        raise AssertionError("\n".join([str(error), *logs])) from None


class Load:
    """Callers that send each call to any server. It must not fail there unless something is done to that server, and is then repeated at
    another one."""

    def __init__(self, modules: dict[str, Any], members: list[Member], destinations: list[str] | None = None) -> None:
        self.items, self.service, self.stubs_module = modules["items"], modules["service"], modules["stubs"]
        self.members = members
        self.destinations = destinations or [""]  # the default one
        self.ended = threading.Event()
        self.errors: list[str] = []
        self.seconds: list[float] = []
        self.accepted: list[int] = [0] * WRITERS
        self.threads = [threading.Thread(target=self.write, args=(number,)) for number in range(WRITERS)]
        for thread in self.threads:
            thread.start()

    def write(self, writer: int) -> None:
        draw = random.Random(writer)
        channels: dict[str, grpc.Channel] = {}
        try:
            while not self.ended.is_set():
                self.write_one(writer, self.accepted[writer], draw, channels)
                self.accepted[writer] += 1
                self.ended.wait(0.005)
        except Exception as error:  # pylint: disable=broad-except
            self.errors.append(repr(error))
        for channel in channels.values():
            channel.close()

    def write_one(self, writer: int, number: int, draw: random.Random, channels: dict[str, grpc.Channel]) -> None:
        event = self.items.TrackEvent(identity=f"visitor-{writer}-{number}", event="Kept", idempotency_key=f"kept-{writer}-{number:06}")
        to = self.destinations[number % len(self.destinations)]
        self.call("TrackEvent", self.service.TrackEventRequest(event=event, destination=to), draw, channels)
        user = self.items.UserProperties(identity=f"w{writer}")
        user.properties["v"] = number
        to = self.destinations[writer % len(self.destinations)]
        update = self.service.UserPropertiesRequest(user=user, request_id=f"update-{writer}-{number:06}", destination=to)
        self.call("UserProperties", update, draw, channels)
        if number % 3 == 0:
            event = self.items.TrackEvent(identity="hot", event="Kept", idempotency_key=f"hot-{writer}-{number:06}")
            self.call("TrackEvent", self.service.TrackEventRequest(event=event), draw, channels)

    def call(self, method: str, request: Any, draw: random.Random, channels: dict[str, grpc.Channel]) -> None:
        while True:
            member = draw.choice([each for each in self.members if each.is_left_alone])
            channel = channels.get(member.address)
            if channel is None:
                channel = channels[member.address] = grpc.insecure_channel(member.address, [("grpc.use_local_subchannel_pool", 1)])
            began = time.monotonic()
            call = getattr(self.stubs_module.HeapSyncServiceStub(channel), method).future(request, timeout=CALL_TIMEOUT)
            while not call.done() and member.is_left_alone:
                try:
                    call.result(timeout=0.1)
                except grpc.FutureTimeoutError:
                    continue
                except grpc.RpcError:
                    break
            if call.done() and call.code() == grpc.StatusCode.OK:
                if member.is_left_alone:
                    self.seconds.append(time.monotonic() - began)
                return
            if member.is_left_alone:
                raise AssertionError(f"{method} failed at {member.name}, which was left alone: {call.code()} {call.details()}")
            # Whether it was stored is unknown: the same call at another server makes no duplicate.
            call.cancel()
            channels.pop(member.address).close()

    def stop(self) -> None:
        self.ended.set()
        for thread in self.threads:
            thread.join()

    def summary(self) -> str:
        taken = sorted(self.seconds)
        return (f"{len(taken)} calls at servers that were left alone, 0 failed; median {taken[len(taken) // 2] * 1000:.1f} ms, "
                f"p99 {taken[len(taken) * 99 // 100] * 1000:.0f} ms, greatest {taken[-1] * 1000:.0f} ms")


class Cluster:
    """Servers that share a spool and deliver APPS, whose identities may send `identity_limit` events a minute; 0: any number."""

    def __init__(self, folder: Path, heap: FakeHeap, spool: str, identity_limit: int) -> None:
        self.folder, self.heap, self.spool = folder, heap, spool
        self.members: list[Member] = []
        self.ended: list[Member] = []
        limits = {"events_per_minute": 0, "events_per_identity_per_minute": identity_limit, "user_requests_per_identity_per_30s": 0}
        destinations = [{"name": name, "app_id": app_id, "region": "us", "limits": limits} for name, app_id in APPS.items()]
        self.config = folder / "heapsync.json"
        self.config.write_text(json.dumps({"destinations": destinations, "default_destination": "app-0"}), encoding="utf-8")

    def kill(self) -> None:
        for member in self.members + self.ended:
            member.kill()

    def start_all(self, count: int) -> None:
        for number in range(count):
            # The one whose requests are looked for.
            self.start(f"server-{number}", "localhost" if number == 1 else "127.0.0.1")
        wait_for_service(self.members)
        self.wait_for_fair_shares()

    def start(self, name: str, heap_host: str = "127.0.0.1") -> Member:
        member = Member(name, self.folder, self.heap, self.spool, self.config, heap_host, free_ports(2))
        self.members.append(member)
        return member

    def start_again(self, member: Member) -> None:
        """On the same ports, in the same place of `members`."""
        again = Member(member.name, self.folder, self.heap, self.spool, self.config, member.heap_host, member.ports)
        again.is_left_alone = False
        self.members[self.members.index(member)] = again
        self.ended.append(member)
        wait_for_service([again])
        again.is_left_alone = True

    def left_alone(self) -> list[Member]:
        return [member for member in self.members if member.is_left_alone]

    def wait_for_fair_shares(self) -> float:
        """Seconds."""
        began = time.monotonic()

        def is_fair() -> bool:
            shards = [member.shards() for member in self.left_alone()]
            return sum(shards) == SHARDS and max(shards) - min(shards) <= 1

        wait_until(is_fair, "fair shares")
        return time.monotonic() - began

    def wait_for_owners(self, began: float | None = None) -> float:
        """Until every destination is delivered by a server that is left alone; seconds since `began`."""
        began = began or time.monotonic()
        wait_until(lambda: set().union(*(member.owned() for member in self.left_alone())) == APPS.keys(), "owners of all destinations")
        return time.monotonic() - began

    def wait_for_progress(self, load: Load) -> None:
        seen = self.appended()
        wait_until(lambda: self.appended() > seen + 100 or load.errors, "events at Heap")
        if load.errors:
            raise AssertionError("\n".join(load.errors))

    def wait_for_all(self, load: Load) -> None:
        """Until what the load's calls were promised is at Heap, each event once."""
        expected = {f"kept-{writer}-{number:06}" for writer in range(WRITERS) for number in range(load.accepted[writer])}
        wait_until(lambda: expected <= self.keys().keys(), "every accepted event at Heap")
        # Events over the limit of their identity still come.
        wait_until(lambda: self.appended() == len(self.keys()), "each event once")
        for writer in range(WRITERS):
            last = load.accepted[writer] - 1
            wait_until(lambda w=writer, v=last: self.user(w) >= v, f"the last value of w{writer}")

    def keys(self) -> dict[str, int]:
        """Each event's key and how often it came."""
        return {key: times for app_id in APPS.values() for key, times in self.heap.keys(app_id).items()}

    def appended(self) -> int:
        return sum(self.heap.count("events", "appended", app_id) for app_id in APPS.values())

    def user(self, writer: int) -> int:
        """The value of its last update that is at Heap; -1 if there is none."""
        found = self.heap.find("users", app_id=APPS[f"app-{writer}"], identity=f"w{writer}")
        return int(found["properties"]["v"]) if found else -1
