#!/usr/bin/env python3
"""Servers share a spool in a real PostgreSQL: each takes calls, whichever dies, freezes or stops, and Heap notices nothing."""

import json
import random
import signal
import time
import unittest
from typing import Any

import harness
from cluster import LEASE, LOST_SPOOL, TAKE_OVER, WRITERS, Load, Member
from harness import APP_US, Binaries, FakeHeap, Program, free_ports, temporary_folder, two_regions, wait_until
from postgres_server import PostgresServer
from proto_stubs import generate_stubs

# A server that is asked to stop gives the lease back; one that dies or freezes loses it.
HANDOVER = 1.0
HOT_LIMIT = 50  # Events of one identity in a minute.
ROUNDS = 6  # of the test that kills and freezes servers
FREEZE = LEASE + 3.0


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
