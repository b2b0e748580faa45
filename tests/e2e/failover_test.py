#!/usr/bin/env python3
"""Two servers share a spool in a real PostgreSQL: whichever dies, freezes or stops, the other one goes on, and Heap notices nothing."""

import json
import signal
import threading
import time
import unittest
import urllib.request
from pathlib import Path
from typing import Any

import grpc

import harness
from harness import APP_US, Binaries, FakeHeap, Program, free_ports, temporary_folder, two_regions, wait_until
from postgres_server import PostgresServer
from proto_stubs import generate_stubs

LEASE = 5.0
# A server that is asked to stop gives the lease back; one that dies or freezes loses it.
HANDOVER = 1.0
TAKE_OVER = LEASE + 2.0
LOST_SPOOL = 75  # exit code
HOT_LIMIT = 50  # Events of one identity in a minute.
WRITERS = 3
# gRPC answers CANCELLED where a call arrives at a server in the moment in which it shuts down; docs/clients.md says to repeat it.
RETRIED = (grpc.StatusCode.UNAVAILABLE, grpc.StatusCode.DEADLINE_EXCEEDED, grpc.StatusCode.CANCELLED)


class Member(Program):
    """One server of the cluster. It calls Heap by a name of its own, by which its requests are known."""

    def __init__(self, name: str, folder: Path, heap: FakeHeap, spool: str, config: Path, heap_host: str, ports: list[int]) -> None:
        self.heap_host = heap_host
        self.ports = ports
        self.address = f"127.0.0.1:{ports[0]}"
        self.http_url = f"http://127.0.0.1:{ports[1]}"
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

    def is_standby(self) -> bool:
        return self.health() == "not serving"

    def serves(self) -> bool:
        return self.health() == "serving"


class Load:
    """Callers that repeat each call, at whichever server, until it is accepted."""

    def __init__(self, modules: dict[str, Any], members: list[Member]) -> None:
        self.items, self.service = modules["items"], modules["service"]
        options = [("grpc.initial_reconnect_backoff_ms", 100), ("grpc.max_reconnect_backoff_ms", 200)]
        self.channels = [grpc.insecure_channel(member.address, options) for member in members]
        self.stubs = [modules["stubs"].HeapSyncServiceStub(channel) for channel in self.channels]
        self.answered_last = 0  # which of the stubs; a frozen one would cost each call its time-out
        self.ended = threading.Event()
        self.errors: list[str] = []
        self.accepted: list[int] = [0] * WRITERS
        self.threads = [threading.Thread(target=self.write, args=(number,)) for number in range(WRITERS)]
        for thread in self.threads:
            thread.start()

    def write(self, writer: int) -> None:
        try:
            while not self.ended.is_set():
                self.write_one(writer, self.accepted[writer])
                self.accepted[writer] += 1
                self.ended.wait(0.005)
        except Exception as error:  # pylint: disable=broad-except
            self.errors.append(repr(error))

    def write_one(self, writer: int, number: int) -> None:
        event = self.items.TrackEvent(identity=f"visitor-{writer}-{number}", event="Kept", idempotency_key=f"kept-{writer}-{number:06}")
        self.call("TrackEvent", self.service.TrackEventRequest(event=event))
        user = self.items.UserProperties(identity=f"w{writer}")
        user.properties["v"] = number
        self.call("UserProperties", self.service.UserPropertiesRequest(user=user, request_id=f"update-{writer}-{number:06}"))
        if number % 3 == 0:
            event = self.items.TrackEvent(identity="hot", event="Kept", idempotency_key=f"hot-{writer}-{number:06}")
            self.call("TrackEvent", self.service.TrackEventRequest(event=event))

    def call(self, method: str, request: Any) -> None:
        attempt = self.answered_last
        deadline = time.monotonic() + harness.PATIENCE
        while True:
            try:
                getattr(self.stubs[attempt % len(self.stubs)], method)(request, timeout=2)
                self.answered_last = attempt % len(self.stubs)
                return
            except grpc.RpcError as error:
                if error.code() not in RETRIED or time.monotonic() > deadline:
                    raise
            attempt += 1
            time.sleep(0.02)

    def stop(self) -> None:
        self.ended.set()
        for thread in self.threads:
            thread.join()
        for channel in self.channels:
            channel.close()


class FailoverTest(unittest.TestCase):
    @classmethod
    def setUpClass(cls) -> None:
        cls.postgres = PostgresServer()
        cls.addClassCleanup(cls.postgres.remove)
        cls.modules = generate_stubs(temporary_folder(cls))

    def setUp(self) -> None:
        self.folder = temporary_folder(type(self))
        self.heap = FakeHeap(self.folder, "--limit_app_events=0", f"--limit_identity_events={HOT_LIMIT}", "--limit_user_requests=0",
                             "--keep_requests=200000")
        self.addCleanup(self.heap.kill)
        self.config = two_regions(self.folder, {
            "events_per_minute": 0, "events_per_identity_per_minute": HOT_LIMIT, "user_requests_per_identity_per_30s": 0})
        self.members: list[Member] = []
        for number, host in enumerate(("127.0.0.1", "localhost")):
            self.members.append(self.start(f"server-{number}", host, free_ports(2)))
        wait_until(lambda: any(member.serves() for member in self.members), "an owner")
        wait_until(lambda: any(member.is_standby() for member in self.members), "a standby")

    def start(self, name: str, heap_host: str, ports: list[int]) -> Member:
        member = Member(name, self.folder, self.heap, self.postgres.uri, self.config, heap_host, ports)
        self.addCleanup(member.kill)
        return member

    def start_again(self, member: Member) -> None:
        again = self.start(member.name, member.heap_host, member.ports)
        self.members[self.members.index(member)] = again
        wait_until(again.is_standby, "the restarted server as a standby")

    def owner(self) -> Member:
        return wait_until(lambda: next((member for member in self.members if member.serves()), None), "an owner")

    def standby(self) -> Member:
        return wait_until(lambda: next((member for member in self.members if member.is_standby()), None), "a standby")

    def wait_for_take_over(self, standby: Member, seconds: float) -> None:
        began = time.monotonic()
        wait_until(standby.serves, "the take-over")
        took = time.monotonic() - began
        print(f"take-over within {took:.2f} s of {seconds:.0f}")
        self.assertLess(took, seconds)

    def wait_for_progress(self, load: Load) -> None:
        seen = self.heap.count("events", "appended")
        wait_until(lambda: self.heap.count("events", "appended") > seen + 100 or load.errors, "events at Heap")
        self.assertEqual(load.errors, [])

    def last_request(self) -> int:
        requests = self.heap.get("requests", limit="1")["requests"]
        return int(requests[-1]["number"]) if requests else 0

    def requests_of(self, member: Member, after: int) -> list[dict[str, Any]]:
        host = member.heap_host + ":"
        return [request for request in self.heap.get("requests", limit="200000")["requests"]
                if int(request["number"]) > after and json.dumps(request["headers"]).find(f'"{host}') >= 0]

    def assert_all_arrived(self, load: Load) -> None:
        expected = {f"kept-{writer}-{number:06}" for writer in range(WRITERS) for number in range(load.accepted[writer])}
        wait_until(lambda: expected <= self.heap.keys().keys(), "every accepted event at Heap")
        others = {key for key in self.heap.keys() if not key.startswith("hot")}
        # The last call of each writer may have been accepted without its having been counted.
        self.assertLessEqual(len(others - expected), WRITERS)
        self.assertEqual(self.heap.count("events", "appended"), len(self.heap.keys()))
        for writer in range(WRITERS):
            last = load.accepted[writer] - 1
            wait_until(lambda w=writer, v=last: self.user(w) >= v, f"the last value of w{writer}")
            self.assertEqual(self.user(writer), last)

    def user(self, writer: int) -> int:
        found = self.heap.find("users", app_id=APP_US, identity=f"w{writer}")
        return int(found["properties"]["v"]) if found else -1

    def test_owners_that_die_freeze_or_stop_are_replaced_and_heap_notices_nothing(self) -> None:
        load = Load(self.modules, self.members)
        self.addCleanup(load.stop)
        self.wait_for_progress(load)

        with self.subTest("kill -9"):
            owner, standby = self.owner(), self.standby()
            owner.kill()
            self.wait_for_take_over(standby, TAKE_OVER)
            self.start_again(owner)
            self.wait_for_progress(load)

        with self.subTest("freeze"):
            owner, standby = self.owner(), self.standby()
            owner.process.send_signal(signal.SIGSTOP)
            self.wait_for_take_over(standby, TAKE_OVER)
            self.wait_for_progress(load)
            seen = self.last_request()
            self.assertEqual(len(self.requests_of(standby, seen - 1)), 1, "the requests of a server are known by its Host")
            owner.process.send_signal(signal.SIGCONT)
            self.assertEqual(owner.wait(), LOST_SPOOL, owner.output()[-4000:])
            self.wait_for_progress(load)
            self.assertEqual(self.requests_of(owner, seen), [], "the frozen server sent something when it woke")
            self.start_again(owner)

        with self.subTest("stop"):
            owner, standby = self.owner(), self.standby()
            self.assertEqual(owner.stop(), 0, owner.output()[-4000:])
            self.wait_for_take_over(standby, HANDOVER)
            self.start_again(owner)
            self.wait_for_progress(load)

        with self.subTest("crash of the database"):
            owner = self.owner()
            self.postgres.crash()
            self.postgres.start()
            wait_until(owner.serves, "the owner to serve again")
            self.wait_for_progress(load)
            self.assertIs(self.owner(), owner)

        load.stop()
        self.assertEqual(load.errors, [])
        self.assert_all_arrived(load)
        self.assertEqual(self.heap.get("violations")["total"], 0, self.heap.get("violations"))
        hot = [key for key in self.heap.keys() if key.startswith("hot")]
        # How many depends on what was in flight at each death, which counts as used.
        self.assertTrue(hot)

    def test_a_standby_is_alive_not_ready_and_says_why(self) -> None:
        owner, standby = self.owner(), self.standby()
        self.assertEqual(standby.health("heapsync.liveness"), "serving")
        self.assertEqual(standby.health("heapsync.readiness"), "not serving")
        status = json.loads(standby.get("/statusz.json"))
        self.assertTrue(status["standby"])
        self.assertIn("another server owns the spool", status["reason"])
        self.assertIn("heapsync_spool_owner 0", standby.get("/metrics"))
        self.assertIn("heapsync_spool_owner 1", owner.get("/metrics"))
        track = [str(Binaries.cli), "track", f"--server={standby.address}", "--identity=a", "--event=b", "--timeout=1s"]
        refused = Program("track", track, self.folder)
        self.assertNotEqual(refused.wait(), 0)
        self.assertIn("NOT_OWNER", refused.output())
        self.assertIn("retry after 1 s", refused.output())
        self.assertEqual(standby.stop(), 0)

    def test_a_database_that_goes_away_pauses_and_nobody_restarts(self) -> None:
        owner = self.owner()
        self.postgres.stop()
        # Without the database the lease ends, and with it what may be sent.
        wait_until(owner.is_standby, "the owner to be not ready")
        self.assertEqual(owner.health("heapsync.liveness"), "serving")
        wait_until(lambda: "heapsync_spool_owner 0" in owner.get("/metrics"), "the end of the lease")
        self.postgres.start()
        wait_until(lambda: any(member.serves() for member in self.members), "an owner")
        load = Load(self.modules, self.members)
        self.addCleanup(load.stop)
        self.wait_for_progress(load)
        load.stop()
        self.assertEqual(load.errors, [])
        self.assert_all_arrived(load)


if __name__ == "__main__":
    harness.run()
