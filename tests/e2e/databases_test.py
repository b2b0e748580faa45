#!/usr/bin/env python3
"""A spool in two databases, each a real PostgreSQL of its own: while one is away, the other one's destinations notice nothing."""

import collections
import json
import os
import threading
import time
import unittest
from typing import Any

import grpc

import harness
from cluster import LEASE, SHARDS, Member
from harness import FakeHeap, Program, free_ports, temporary_folder, wait_until
from postgres_server import PostgresServer
from proto_stubs import generate_stubs

TIMEOUT = 60.0
AWAY = LEASE + 3.0
APPS = {f"app-{number}": str(1_000_000_001 + number) for number in range(16)}
WRONG_SETUP = 1  # exit code of a server that starts


class Callers:
    """One for each destination, which sends one event after the other, each until it is accepted, to the servers in turn."""

    def __init__(self, modules: dict[str, Any], members: list[Member], may_fail: set[str]) -> None:
        self.items, self.service, self.stubs = modules["items"], modules["service"], modules["stubs"]
        self.members, self.may_fail = members, may_fail
        self.accepted: collections.Counter[str] = collections.Counter()
        self.refused: collections.Counter[str] = collections.Counter()
        self.reasons: collections.Counter[str] = collections.Counter()
        self.slowest = 0.0
        self.errors: list[str] = []
        self.ended = threading.Event()
        self.threads = [threading.Thread(target=self.run, args=(name,)) for name in APPS]
        for thread in self.threads:
            thread.start()

    def run(self, name: str) -> None:
        channels = [grpc.insecure_channel(member.address, [("grpc.use_local_subchannel_pool", 1)]) for member in self.members]
        try:
            while not self.ended.is_set():
                number = self.accepted[name]
                event = self.items.TrackEvent(identity=f"user-{number % 7}", event="Kept", idempotency_key=f"{name}-{number:05}")
                request = self.service.TrackEventRequest(event=event, destination=name)
                began = time.monotonic()
                try:
                    self.stubs.HeapSyncServiceStub(channels[(number + self.refused[name]) % len(channels)]).TrackEvent(
                        request, timeout=TIMEOUT)
                except grpc.RpcError as error:
                    # Kept for the caller to repeat: the same key makes no duplicate.
                    reason = error.details() if error.code() == grpc.StatusCode.UNAVAILABLE else repr(error)
                    if name not in self.may_fail or error.code() != grpc.StatusCode.UNAVAILABLE:
                        raise
                    self.refused[name] += 1
                    self.reasons[str(reason)] += 1
                    self.ended.wait(0.2)
                    continue
                if name not in self.may_fail:
                    self.slowest = max(self.slowest, time.monotonic() - began)
                self.accepted[name] += 1
                self.ended.wait(0.02)
        except Exception as error:  # pylint: disable=broad-except
            self.errors.append(f"{name}: {error!r}")
        for channel in channels:
            channel.close()

    def stop(self) -> None:
        self.ended.set()
        for thread in self.threads:
            thread.join()

    def count(self, names: set[str]) -> int:
        return sum(self.accepted[name] for name in names)


class DatabasesTest(unittest.TestCase):
    @classmethod
    def setUpClass(cls) -> None:
        # Calls that wait for a commit wait no longer.
        os.environ["HEAPSYNC_SPOOL_PATIENCE"] = "6s"
        cls.databases = [PostgresServer(), PostgresServer()]
        for database in cls.databases:
            cls.addClassCleanup(database.remove)
        cls.modules = generate_stubs(temporary_folder(cls))

    def setUp(self) -> None:
        self.folder = temporary_folder(type(self))
        for database in self.databases:
            if not database.running():
                database.start()
            database.sql("DROP SCHEMA public CASCADE; CREATE SCHEMA public;")
        self.heap = FakeHeap(self.folder, "--limit_app_events=0", "--limit_identity_events=0")
        self.addCleanup(self.heap.kill)
        limits = {"events_per_minute": 0, "events_per_identity_per_minute": 0}
        destinations = [{"name": name, "app_id": app_id, "region": "us", "limits": limits} for name, app_id in APPS.items()]
        self.config = self.folder / "heapsync.json"
        self.config.write_text(json.dumps({"destinations": destinations, "default_destination": "app-0"}), encoding="utf-8")
        self.members = [self.start(f"server-{number}") for number in range(2)]
        wait_until(lambda: all(member.serves() for member in self.members), "the servers")
        self.wait_for_all_shards()

    def spool(self, *order: int) -> str:
        return " ".join(self.databases[number].uri for number in order)

    def start(self, name: str, spool: str | None = None) -> Member:
        member = Member(name, self.folder, self.heap, spool or self.spool(0, 1), self.config, "127.0.0.1", free_ports(2))
        self.addCleanup(member.kill)
        return member

    def wait_for_all_shards(self) -> None:
        wait_until(lambda: sum(member.shards() for member in self.members) == SHARDS, "owners of all shards")

    def track(self, member: Member, name: str, key: str) -> None:
        event = self.modules["items"].TrackEvent(identity="u", event="Kept", idempotency_key=key)
        with grpc.insecure_channel(member.address) as channel:
            self.modules["stubs"].HeapSyncServiceStub(channel).TrackEvent(
                self.modules["service"].TrackEventRequest(event=event, destination=name), timeout=TIMEOUT)

    def metric(self, member: Member, database: int) -> str:
        return f'heapsync_spool_database_up{{database="{database}"}} ' + next(
            line.rsplit(" ", 1)[1] for line in member.get("/metrics").splitlines()
            if line.startswith(f'heapsync_spool_database_up{{database="{database}"}}'))

    def is_up(self, member: Member, database: int) -> bool:
        return self.metric(member, database).endswith(" 1")

    def find_second(self) -> set[str]:
        """The destinations that lie in the second database: which refuse while it is away."""
        self.databases[1].stop()
        wait_until(lambda: not any(self.is_up(member, 2) for member in self.members), "the second database to be away")
        refused = set()
        for name in APPS:
            try:
                self.track(self.members[0], name, f"probe-{name}")
            except grpc.RpcError as error:
                self.assertEqual(error.code(), grpc.StatusCode.UNAVAILABLE)
                self.assertIn("database 2 of the spool is away", error.details())
                trailers = dict(error.trailing_metadata())
                self.assertIn(b"DATABASE_AWAY", trailers["grpc-status-details-bin"])
                self.assertIn(b"RetryInfo", trailers["grpc-status-details-bin"])
                refused.add(name)
        self.assert_shown_away(refused)
        self.databases[1].start()
        wait_until(lambda: all(self.is_up(member, 2) for member in self.members), "the second database to be back")
        self.assertTrue(0 < len(refused) < len(APPS), refused)
        return refused

    def assert_shown_away(self, names: set[str]) -> None:
        for member in self.members:
            self.assertTrue(member.serves(), "ready for the other destinations")
            self.assertTrue(self.is_up(member, 1))
            cluster = member.status()["cluster"]
            self.assertEqual([each["usable"] for each in cluster["databases"]], [True, False])
            self.assertEqual(cluster["databases"][1]["where"], f"127.0.0.1:{self.databases[1].port}/postgres")
            self.assertNotIn("postgres@", member.get("/statusz.json"))
            self.assertIn("a database of the spool is away", member.output())
            status = Program("status", [str(harness.Binaries.cli), "status", f"--server={member.address}"], self.folder)
            self.assertEqual(status.wait(), 0, status.output())
            for line in status.output().splitlines():
                if line.split() and line.split()[0] in APPS:
                    self.assertEqual("database 2 of the spool is away" in line, line.split()[0] in names, line)

    def test_one_that_dies_stops_only_its_own_destinations(self) -> None:
        second = self.find_second()
        first = set(APPS) - second
        callers = Callers(self.modules, self.members, second)
        self.addCleanup(callers.stop)
        wait_until(lambda: callers.errors or all(callers.accepted[name] > 5 for name in APPS), "events of all")
        self.databases[1].crash()
        gone = time.monotonic()
        before = callers.count(first)
        wait_until(lambda: callers.errors or time.monotonic() > gone + AWAY and all(callers.refused[name] for name in second),
                   "the refusals")
        during = callers.count(first) - before
        self.assertEqual(callers.errors, [])
        self.assertGreater(during, 50)
        delivered = sum(self.heap.count("events", "appended", APPS[name]) for name in first)
        self.assertGreater(delivered, before, "deliveries go on meanwhile, longer than a lease")
        self.databases[1].start()
        back = time.monotonic()
        seen = callers.count(second)
        wait_until(lambda: callers.errors or callers.count(second) > seen + 5 * len(second), "events of all again")
        took = time.monotonic() - back
        callers.stop()
        self.assertEqual(callers.errors, [])
        self.wait_for_all_shards()
        expected = {f"{name}-{number:05}" for name in APPS for number in range(callers.accepted[name])}

        def keys() -> dict[str, int]:
            return {key: times for app_id in APPS.values() for key, times in self.heap.keys(app_id).items() if key.startswith("app-")}

        wait_until(lambda: expected <= keys().keys(), "every accepted event at Heap")
        # What was in flight may be sent again, under the same keys.
        again = sum(times > 1 for times in keys().values())
        appended = sum(self.heap.count("events", "appended", app_id) for app_id in APPS.values())
        self.assertEqual(appended, sum(len(self.heap.keys(app_id)) for app_id in APPS.values()), "an event was appended twice")
        self.assertLessEqual(len(keys().keys() - expected), len(APPS))
        self.assertTrue(all(member.running() for member in self.members), "without a restart")
        print(f"{during} calls to the {len(first)} destinations of the other database while one was away for {AWAY:.0f} s, 0 failed, slowest "
              f"{callers.slowest * 1000:.0f} ms; {sum(callers.refused.values())} refusals of its own, {took:.1f} s until those were accepted again; "
              f"{again} of {len(expected)} events sent again")
        print(dict(callers.reasons))

    def test_a_place_that_was_lost_in_one_is_taken_again(self) -> None:
        callers = Callers(self.modules, self.members, set(APPS))
        self.addCleanup(callers.stop)
        wait_until(lambda: callers.errors or all(callers.accepted[name] > 5 for name in APPS), "events of all")
        others = self.databases[0].sql("SELECT id FROM heapsync_server ORDER BY id")
        for _ in range(3):
            lost = self.databases[1].sql("SELECT id FROM heapsync_server ORDER BY id")
            self.databases[1].sql("DELETE FROM heapsync_server")
            wait_until(lambda before=lost: not set(before.split()) & set(
                self.databases[1].sql("SELECT id FROM heapsync_server").split()), "other leases")
            self.wait_for_all_shards()
        self.assertEqual(self.databases[0].sql("SELECT id FROM heapsync_server ORDER BY id"), others)
        callers.stop()
        self.assertEqual(callers.errors, [])
        expected = {f"{name}-{number:05}" for name in APPS for number in range(callers.accepted[name])}
        wait_until(lambda: expected <= {key for app_id in APPS.values() for key in self.heap.keys(app_id)}, "every accepted event at Heap")
        self.assertTrue(all(member.running() for member in self.members), "without a restart")

    def test_a_server_that_stops_meanwhile_hands_its_part_of_the_other_back(self) -> None:
        callers = Callers(self.modules, self.members, set(APPS))
        self.addCleanup(callers.stop)
        wait_until(lambda: callers.errors or all(callers.accepted[name] > 5 for name in APPS), "events of all")
        self.databases[1].crash()
        wait_until(lambda: not any(self.is_up(member, 2) for member in self.members), "the second database to be away")
        began = time.monotonic()
        self.assertEqual(self.members[0].stop(), 0, self.members[0].output())
        wait_until(lambda: self.members[1].shards() >= SHARDS // 2, "the other server to own all shards of the first database")
        print(f"stop and hand-over in {time.monotonic() - began:.1f} s while a database is away")
        self.assertLess(time.monotonic() - began, LEASE)
        callers.stop()

    def test_a_server_that_starts_waits_for_all_and_refuses_another_order(self) -> None:
        wrong = self.start("wrong", self.spool(1, 0))
        self.assertEqual(wrong.wait(), WRONG_SETUP)
        self.assertIn("this is database 2 of the spool, and --spool names it as number 1", wrong.output())
        self.databases[1].stop()
        late = self.start("late")
        wait_until(lambda: f"database 2 of the spool (127.0.0.1:{self.databases[1].port}/postgres)" in late.output(), "what it waits for")
        self.assertFalse(late.serves())
        self.databases[1].start()
        wait_until(late.serves, "the late server")
        self.assertEqual(late.stop(), 0)


if __name__ == "__main__":
    harness.run()
