#!/usr/bin/env python3
"""Servers share a spool in a real PostgreSQL: each takes calls, whichever dies, freezes or stops, and Heap notices nothing."""

import json
import random
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
ROUNDS = 6  # of the test that kills and freezes servers
FREEZE = LEASE + 3.0
CALL_TIMEOUT = 30.0


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

    def delivers(self) -> bool:
        try:
            return bool(json.loads(self.get("/statusz.json"))["delivers"])
        except (OSError, KeyError):
            return False

    def accepts_only(self) -> bool:
        return self.serves() and not self.delivers()


class Load:
    """Callers that send each call to any server. It must not fail there unless something is done to that server, and is then repeated at
    another one."""

    def __init__(self, modules: dict[str, Any], members: list[Member]) -> None:
        self.items, self.service, self.stubs_module = modules["items"], modules["service"], modules["stubs"]
        self.members = members
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
        self.call("TrackEvent", self.service.TrackEventRequest(event=event), draw, channels)
        user = self.items.UserProperties(identity=f"w{writer}")
        user.properties["v"] = number
        self.call("UserProperties", self.service.UserPropertiesRequest(user=user, request_id=f"update-{writer}-{number:06}"), draw, channels)
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
        wait_until(lambda: all(member.serves() for member in self.members), "the servers")
        self.owner()

    def start(self, name: str, heap_host: str, ports: list[int]) -> Member:
        member = Member(name, self.folder, self.heap, self.postgres.uri, self.config, heap_host, ports)
        self.addCleanup(member.kill)
        return member

    def start_again(self, member: Member) -> None:
        again = self.start(member.name, member.heap_host, member.ports)
        again.is_left_alone = False
        self.members[self.members.index(member)] = again
        wait_until(again.serves, "the restarted server")
        again.is_left_alone = True

    def owner(self) -> Member:
        return wait_until(lambda: next((member for member in self.members if member.is_left_alone and member.delivers()), None), "an owner")

    def other(self) -> Member:
        return wait_until(lambda: next((member for member in self.members if member.is_left_alone and member.accepts_only()), None),
                          "a server that only accepts")

    def wait_for_take_over(self, other: Member, seconds: float) -> float:
        began = time.monotonic()
        wait_until(other.delivers, "the take-over")
        took = time.monotonic() - began
        print(f"take-over within {took:.2f} s of {seconds:.0f}")
        self.assertLess(took, seconds)
        return took

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
            owner, other = self.owner(), self.other()
            owner.is_left_alone = False
            owner.kill()
            self.wait_for_take_over(other, TAKE_OVER)
            self.start_again(owner)
            self.wait_for_progress(load)

        with self.subTest("freeze"):
            owner, other = self.owner(), self.other()
            owner.is_left_alone = False
            owner.process.send_signal(signal.SIGSTOP)
            self.wait_for_take_over(other, TAKE_OVER)
            self.wait_for_progress(load)
            seen = self.last_request()
            self.assertTrue(self.requests_of(other, seen - 1), "the requests of a server are known by its Host")
            owner.process.send_signal(signal.SIGCONT)
            self.assertEqual(owner.wait(), LOST_SPOOL, owner.output()[-4000:])
            self.wait_for_progress(load)
            self.assertEqual(self.requests_of(owner, seen), [], "the frozen server sent something when it woke")
            self.start_again(owner)

        with self.subTest("stop"):
            owner, other = self.owner(), self.other()
            owner.is_left_alone = False
            self.assertEqual(owner.stop(), 0, owner.output()[-4000:])
            self.wait_for_take_over(other, HANDOVER)
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
        print(load.summary())
        self.assert_all_arrived(load)
        self.assertEqual(self.heap.get("violations")["total"], 0, self.heap.get("violations"))
        hot = [key for key in self.heap.keys() if key.startswith("hot")]
        # How many depends on what was in flight at each death, which counts as used.
        self.assertTrue(hot)

    def test_no_call_fails_at_a_server_while_others_die_and_freeze(self) -> None:
        self.members.append(self.start("server-2", "127.0.0.1", free_ports(2)))
        wait_until(self.members[-1].serves, "the third server")
        load = Load(self.modules, self.members)
        self.addCleanup(load.stop)
        self.wait_for_progress(load)
        draw = random.Random(14)
        take_overs = []
        for number in range(ROUNDS):
            freezes = number % 3 == 2
            # Every other one is the owner; the rest only accept.
            owner = self.owner()
            victim = owner if number % 2 == 0 else draw.choice([member for member in self.members if member is not owner])
            victim.is_left_alone = False
            began = time.monotonic()
            if freezes:
                victim.process.send_signal(signal.SIGSTOP)
            else:
                victim.kill()
            if victim is owner:
                self.owner()
                take_overs.append(time.monotonic() - began)
                self.assertLess(take_overs[-1], TAKE_OVER)
            self.wait_for_progress(load)
            if not freezes:
                self.start_again(victim)
                continue
            load.ended.wait(max(0.0, began + FREEZE - time.monotonic()))
            victim.process.send_signal(signal.SIGCONT)
            wait_until(lambda v=victim: v.process.poll() is not None or v.serves(), "the frozen server to wake up")
            if victim.process.poll() is None and victim is not owner:
                victim.is_left_alone = True
                continue
            self.assertEqual(victim.wait(), LOST_SPOOL, victim.output()[-4000:])
            self.start_again(victim)
        # A server that was frozen stores what it was about to, before anybody's last update: "Where it ends" of docs/cluster.md.
        self.wait_for_progress(load)
        load.stop()
        self.assertEqual(load.errors, [])
        print(load.summary())
        print("take-overs: " + ", ".join(f"{seconds:.2f} s" for seconds in take_overs))
        self.assert_all_arrived(load)
        self.assertEqual(self.heap.get("violations")["total"], 0, self.heap.get("violations"))

    def test_a_server_that_does_not_own_the_spool_accepts_and_says_who_does(self) -> None:
        owner, other = self.owner(), self.other()
        self.assertEqual(other.health("heapsync.readiness"), "serving")
        status = json.loads(other.get("/statusz.json"))
        self.assertIn("another server owns the spool", status["not_delivering"])
        tracked = self.heapsync("track", other, "--identity=a", "--event=b", "--json")
        receipt = json.loads(tracked)["receipt"]
        wait_until(lambda: self.heap.count("events", "appended") == 1, "the event at Heap")
        wait_until(lambda: "DELIVERED" in self.heapsync("receipt", other, receipt).upper(), "the receipt's state, at either server")
        self.assertIn("DELIVERED", self.heapsync("receipt", owner, receipt).upper())
        rows = self.folder / "users.csv"
        rows.write_text("identity,v\n" + "".join(f"bulk-{number},{number}\n" for number in range(2_500)))
        self.heapsync("import", other, "--type=user", str(rows))
        wait_until(lambda: self.heap.find("users", app_id=APP_US, identity="bulk-2499"), "the last user of the import at Heap")
        metrics = {member: member.get("/metrics") for member in (owner, other)}
        self.assertIn("heapsync_spool_owner 1", metrics[owner])
        self.assertIn("heapsync_spool_owner 0", metrics[other])
        accepted = 'heapsync_items_accepted_total{destination="prod",type="track_event"} '
        self.assertIn(accepted + "1", metrics[other])
        self.assertIn(accepted + "0", metrics[owner])
        self.assertNotIn("heapsync_queued_items", metrics[other])

    def heapsync(self, command: str, member: Member, *arguments: str) -> str:
        program = Program(command, [str(Binaries.cli), command, f"--server={member.address}", *arguments], self.folder)
        self.assertEqual(program.wait(), 0, program.output())
        return program.output()

    def test_a_database_that_goes_away_pauses_and_nobody_restarts(self) -> None:
        owner = self.owner()
        self.postgres.stop()
        # Without the database the lease ends, and with it what may be sent.
        wait_until(lambda: not any(member.serves() for member in self.members), "the servers to be not ready")
        self.assertEqual(owner.health("heapsync.liveness"), "serving")
        wait_until(lambda: "heapsync_spool_owner 0" in owner.get("/metrics"), "the end of the lease")
        self.postgres.start()
        wait_until(lambda: all(member.serves() for member in self.members), "the servers")
        load = Load(self.modules, self.members)
        self.addCleanup(load.stop)
        self.wait_for_progress(load)
        load.stop()
        self.assertEqual(load.errors, [])
        self.assert_all_arrived(load)


if __name__ == "__main__":
    harness.run()
