#!/usr/bin/env python3
"""Servers share a spool in a real PostgreSQL: each takes calls and delivers a part, whichever dies, freezes or stops, and Heap notices
nothing."""

import json
import random
import signal
import threading
import time
import unittest
from typing import Any

import harness
from cluster import APPS, LEASE, LOST_SPOOL, SHARDS, WRITERS, Cluster, Load, Member, wait_for_service
from harness import Binaries, FakeHeap, Program, temporary_folder, wait_until
from postgres_server import PostgresServer
from proto_stubs import generate_stubs

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
        if not self.postgres.running():
            self.postgres.start()
        self.heap = FakeHeap(self.folder, "--limit_app_events=0", f"--limit_identity_events={HOT_LIMIT}", "--limit_user_requests=0",
                             "--keep_requests=200000")
        self.addCleanup(self.heap.kill)
        self.cluster = Cluster(self.folder, self.heap, self.postgres.uri, HOT_LIMIT)
        self.addCleanup(self.cluster.kill)

    def start_all(self, count: int = 3) -> None:
        self.cluster.start_all(count)
        self.members = self.cluster.members

    def start_load(self) -> Load:
        load = Load(self.modules, self.members, list(APPS))
        self.addCleanup(load.stop)
        self.cluster.wait_for_progress(load)
        return load

    def wait_for_owners(self, began: float | None = None) -> float:
        took = self.cluster.wait_for_owners(began)
        print(f"take-over within {took:.2f} s")
        return took

    def assert_handed_over(self) -> None:
        """Nobody waited for the end of a lease: it was given back."""
        self.assertLess(self.wait_for_owners(), LEASE)

    def last_request(self) -> int:
        requests = self.heap.get("requests", limit="1")["requests"]
        return int(requests[-1]["number"]) if requests else 0

    def requests_of(self, member: Member, after: int) -> list[dict[str, Any]]:
        host = member.heap_host + ":"
        return [request for request in self.heap.get("requests", limit="200000")["requests"]
                if int(request["number"]) > after and json.dumps(request["headers"]).find(f'"{host}') >= 0]

    def assert_all_arrived(self, load: Load) -> None:
        self.cluster.wait_for_all(load)
        # The last call of each writer may have been accepted without its having been counted.
        others = {key for key in self.cluster.keys() if not key.startswith("hot")}
        self.assertLessEqual(len(others) - sum(load.accepted), WRITERS)
        for writer in range(WRITERS):
            self.assertEqual(self.cluster.user(writer), load.accepted[writer] - 1)

    def test_owners_that_die_freeze_or_stop_are_replaced_and_heap_notices_nothing(self) -> None:
        self.start_all()
        load = self.start_load()
        victim = self.members[1]
        self.assertTrue(all(member.owned() for member in self.members), "each delivers some destinations")

        with self.subTest("kill -9"):
            victim.is_left_alone = False
            victim.kill()
            self.wait_for_owners()
            self.cluster.start_again(victim)
            victim = self.members[1]
            self.cluster.wait_for_fair_shares()
            self.cluster.wait_for_progress(load)

        with self.subTest("freeze"):
            victim.is_left_alone = False
            victim.process.send_signal(signal.SIGSTOP)
            self.wait_for_owners()
            self.cluster.wait_for_progress(load)
            seen = self.last_request()
            self.assertTrue(self.requests_of(self.members[0], seen - 1), "the requests of a server are known by its Host")
            victim.process.send_signal(signal.SIGCONT)
            self.assertEqual(victim.wait(), LOST_SPOOL, victim.output()[-4000:])
            self.cluster.wait_for_progress(load)
            self.assertEqual(self.requests_of(victim, seen), [], "the frozen server sent something when it woke")
            self.cluster.start_again(victim)
            victim = self.members[1]
            self.cluster.wait_for_fair_shares()

        with self.subTest("stop"):
            victim.is_left_alone = False
            self.assertEqual(victim.stop(), 0, victim.output()[-4000:])
            self.assert_handed_over()
            self.cluster.start_again(victim)
            self.cluster.wait_for_fair_shares()
            self.cluster.wait_for_progress(load)

        with self.subTest("crash of the database"):
            self.postgres.crash()
            self.postgres.start()
            wait_for_service(self.members)
            self.cluster.wait_for_progress(load)
            self.wait_for_owners()

        load.stop()
        self.assertEqual(load.errors, [])
        print(load.summary())
        self.assert_all_arrived(load)
        self.assertEqual(self.heap.get("violations")["total"], 0, self.heap.get("violations"))
        # How many depends on what was in flight at each death, which counts as used.
        wait_until(lambda: any(key.startswith("hot") for key in self.cluster.keys()), "an event of the identity that is over its limit")

    def test_no_call_fails_at_a_server_while_others_die_and_freeze(self) -> None:
        self.start_all()
        load = self.start_load()
        draw = random.Random(14)
        take_overs = []
        for number in range(ROUNDS):
            freezes = number % 3 == 2
            victim = draw.choice(self.members)
            victim.is_left_alone = False
            began = time.monotonic()
            if freezes:
                victim.process.send_signal(signal.SIGSTOP)
            else:
                victim.kill()
            take_overs.append(self.wait_for_owners(began))
            self.cluster.wait_for_progress(load)
            if freezes:
                load.ended.wait(max(0.0, began + FREEZE - time.monotonic()))
                victim.process.send_signal(signal.SIGCONT)
                self.assertEqual(victim.wait(), LOST_SPOOL, victim.output()[-4000:])
            self.cluster.start_again(victim)
            self.cluster.wait_for_fair_shares()
        load.stop()
        self.assertEqual(load.errors, [])
        print(load.summary())
        print("take-overs: " + ", ".join(f"{seconds:.2f} s" for seconds in take_overs))
        self.assert_all_arrived(load)
        self.assertEqual(self.heap.get("violations")["total"], 0, self.heap.get("violations"))

    def test_servers_that_come_and_go_share_and_send_nothing_twice(self) -> None:
        self.start_all(1)
        load = self.start_load()
        for number in (1, 2):
            # Before it serves, nobody calls it.
            self.cluster.start(f"server-{number}").is_left_alone = False
            wait_for_service(self.members)
            self.members[number].is_left_alone = True
            print(f"fair shares of {len(self.members)} servers within {self.cluster.wait_for_fair_shares():.2f} s")
            self.cluster.wait_for_progress(load)
        cluster = self.members[0].status()["cluster"]
        self.assertEqual(sorted(server["shards"] for server in cluster["servers"]), [5, 5, 6])
        self.assertEqual((cluster["shards"], cluster["shards_without_owner"]), (SHARDS, 0))
        for member in (self.members[0], self.members[2]):
            member.is_left_alone = False
            self.assertEqual(member.stop(), 0, member.output()[-4000:])
            self.assert_handed_over()
            self.cluster.wait_for_progress(load)
        load.stop()
        self.assertEqual(load.errors, [])
        self.assert_all_arrived(load)
        twice = {key: times for key, times in self.cluster.keys().items() if times > 1}
        self.assertEqual(twice, {})

    def test_a_server_says_who_delivers_where_it_matters(self) -> None:
        self.start_all()
        self.wait_for_owners()
        other = self.members[0]
        there, here = sorted(APPS.keys() - other.owned())[0], sorted(other.owned())[0]
        owner = next(member for member in self.members if there in member.owned())
        self.assertEqual(other.health("heapsync.readiness"), "serving")
        status = {each["name"]: each for each in other.status()["destinations"]}
        self.assertEqual((status[there]["delivered_here"], status[here]["delivered_here"]), (False, True))
        tracked = self.heapsync("track", other, f"--destination={there}", "--identity=a", "--event=b", "--json")
        receipt = json.loads(tracked)["receipt"]
        wait_until(lambda: self.heap.count("events", "appended", APPS[there]) == 1, "the event at Heap")
        wait_until(lambda: "DELIVERED" in self.heapsync("receipt", other, receipt).upper(), "the receipt's state, at either server")
        self.assertIn("DELIVERED", self.heapsync("receipt", owner, receipt).upper())
        rows = self.folder / "users.csv"
        rows.write_text("identity,v\n" + "".join(f"bulk-{number},{number}\n" for number in range(2_500)))
        self.heapsync("import", other, f"--destination={there}", "--type=user", str(rows))
        wait_until(lambda: self.heap.find("users", app_id=APPS[there], identity="bulk-2499"), "the last user of the import at Heap")
        for name in (there, here):
            for command in (f"track --destination={name} --identity=a --event=b --ack=delivered", f"flush {name}", f"pause {name}",
                            f"resume {name}", f"status {name}"):
                with self.subTest(command):
                    taken = Program("taken", [str(Binaries.cli), *command.split(), f"--server={other.address}"], self.folder)
                    self.assertEqual(taken.wait(), 0, taken.output())
        for command in ("flush", "dead-letters list", "status"):
            with self.subTest(command):
                taken = Program("taken", [str(Binaries.cli), *command.split(), f"--server={other.address}"], self.folder)
                self.assertEqual(taken.wait(), 0, taken.output())
        metrics = {member: member.get("/metrics") for member in (owner, other)}
        accepted = f'heapsync_items_accepted_total{{destination="{there}",type="track_event"}} '
        self.assertIn(accepted + "2", metrics[other])
        self.assertIn(accepted + "0", metrics[owner])
        queued = f'heapsync_queued_items{{destination="{there}",type="track_event"}}'
        self.assertIn(queued, metrics[owner])
        self.assertNotIn(queued, metrics[other])

    def heapsync(self, command: str, member: Member, *arguments: str) -> str:
        program = Program(command, [str(Binaries.cli), command, f"--server={member.address}", *arguments], self.folder)
        self.assertEqual(program.wait(), 0, program.output())
        return program.output()

    def test_a_database_that_goes_away_pauses_and_nobody_restarts(self) -> None:
        self.start_all()
        self.postgres.stop()
        # Without the database the lease ends, and with it what may be sent.
        wait_until(lambda: not any(member.serves() for member in self.members), "the servers to be not ready")
        self.assertEqual({member.health("heapsync.liveness") for member in self.members}, {"serving"})
        # The metrics are there when they are needed most.
        wait_until(lambda: not any(member.scrape_shards() for member in self.members), "the end of the leases")
        # And of what the database knows of them.
        time_of_lease = threading.Event()
        time_of_lease.wait(LEASE)
        self.postgres.start()
        wait_for_service(self.members)
        load = self.start_load()
        load.stop()
        self.assertEqual(load.errors, [])
        self.assert_all_arrived(load)


if __name__ == "__main__":
    harness.run()
