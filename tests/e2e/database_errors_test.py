#!/usr/bin/env python3
"""What can be wrong with the database of a shared spool, with a real PostgreSQL: each has its clear error, nothing is lost, and the servers
go on by themselves."""

import json
import time
import unittest
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import grpc

import harness
from cluster import Member, wait_for_service
from harness import FakeHeap, free_ports, temporary_folder, two_regions, wait_until
from postgres_server import PostgresServer
from proto_stubs import generate_stubs

PASSWORD = "right"
TIMEOUT = 40.0
SLOW = 0.2  # seconds a commit
WRONG_SETUP = 1  # exit code of a server that starts


class GuardedPostgres(PostgresServer):
    """The servers' user needs a password, and owns nothing but its database."""

    def start(self) -> None:
        (self.folder / "pg_hba.conf").write_text(
            "local all all trust\nhost all postgres 127.0.0.1/32 trust\nhost all heapsync 127.0.0.1/32 scram-sha-256\n")
        super().start()

    def end_sessions(self) -> None:
        self.sql("SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE usename = 'heapsync';")


class DatabaseErrorsTest(unittest.TestCase):
    modules: dict[str, Any]
    postgres: GuardedPostgres

    @classmethod
    def setUpClass(cls) -> None:
        cls.postgres = GuardedPostgres()
        cls.addClassCleanup(cls.postgres.remove)
        cls.modules = generate_stubs(temporary_folder(cls))

    def setUp(self) -> None:
        self.folder = temporary_folder(type(self))
        self.postgres.sql(f"DROP SCHEMA public CASCADE; CREATE SCHEMA public; DROP ROLE IF EXISTS heapsync;"
                          f"CREATE ROLE heapsync LOGIN PASSWORD '{PASSWORD}'; GRANT ALL ON SCHEMA public TO heapsync;")
        passwords = self.folder / "pgpass"
        passwords.write_text(f"127.0.0.1:*:*:heapsync:{PASSWORD}\n")
        passwords.chmod(0o600)
        self.spool = f"postgresql://heapsync@127.0.0.1:{self.postgres.port}/postgres?passfile={passwords}"
        self.heap = FakeHeap(self.folder)
        self.addCleanup(self.heap.kill)
        self.config = two_regions(self.folder)
        self.members = [self.start(f"server-{number}") for number in range(2)]
        self.addCleanup(self.postgres.end_sessions)
        wait_for_service(self.members)
        self.channels = [grpc.insecure_channel(member.address) for member in self.members]
        for channel in self.channels:
            self.addCleanup(channel.close)
        self.accepted: list[str] = []
        self.accept()

    def start(self, name: str) -> Member:
        member = Member(name, self.folder, self.heap, self.spool, self.config, "127.0.0.1", free_ports(2))
        self.addCleanup(member.kill)
        return member

    def track(self, channel: grpc.Channel, timeout: float = TIMEOUT) -> Any:
        """The call of one event."""
        key = f"event-{len(self.accepted):06}"
        self.accepted.append(key)
        request = self.modules["service"].TrackEventRequest(
            event=self.modules["items"].TrackEvent(identity=key, event="Kept", idempotency_key=key))
        return self.modules["stubs"].HeapSyncServiceStub(channel).TrackEvent.future(request, timeout=timeout)

    def accept(self) -> None:
        for channel in self.channels:
            self.track(channel).result()

    def refused(self, channel: grpc.Channel, timeout: float) -> grpc.RpcError:
        """The error of a call; its event may have been accepted."""
        call = self.track(channel, timeout)
        self.accepted.pop()
        with self.assertRaises(grpc.RpcError) as refused:
            call.result()
        return refused.exception

    def reason(self, error: grpc.RpcError) -> tuple[str, bool]:
        status = self.modules["rpc_status"].Status.FromString(dict(error.trailing_metadata())["grpc-status-details-bin"])
        info, retry = self.modules["error_info"].ErrorInfo(), False
        for detail in status.details:
            detail.Unpack(info)
            retry |= detail.type_url.endswith("RetryInfo")
        return info.reason, retry

    def wait_for_line(self, *texts: str) -> None:
        """A line of each server that says all this, and no password."""
        for member in self.members:
            wait_until(lambda m=member: any(all(text in line for text in texts) for line in m.output().splitlines()),
                       f"a line with {texts} of {member.name}")
            self.assertNotIn(PASSWORD + '"', member.output())

    def start_fails(self, *texts: str) -> None:
        starting = self.start("starting")
        self.assertEqual(starting.wait(), WRONG_SETUP, starting.output())
        for text in texts:
            self.assertIn(text, starting.output())
        starting.log.unlink()

    @contextmanager
    def recovers(self) -> Iterator[None]:
        """After what is done inside, the servers serve without having started again, and everything accepted arrives."""
        waiting: list[Any] = []
        try:
            yield
            waiting = [self.track(channel) for channel in self.channels]
        finally:
            self.repair()
        for call in waiting:
            call.result()
        wait_for_service(self.members)
        self.accept()
        for member in self.members:
            self.assertTrue(member.running(), member.output()[-4000:])
            self.assertEqual(member.output().count('"message":"serving"'), 1)
        wait_until(lambda: set(self.accepted) <= self.heap.keys().keys(), "everything accepted at Heap")
        # A request whose outcome could not be stored is sent again under the same keys.
        self.assertEqual(self.heap.count("events", "appended"), len(self.heap.keys()))

    repair: Callable[[], None]

    def breaks(self, *, how: str, repair: str, ends_sessions: bool = True) -> None:
        def mend() -> None:
            self.postgres.sql(repair)
            if ends_sessions:
                self.postgres.end_sessions()

        self.repair = mend
        self.postgres.sql(how)
        if ends_sessions:
            self.postgres.end_sessions()

    def not_ready(self) -> None:
        wait_until(lambda: all(member.health("heapsync.readiness") == "not serving" for member in self.members), "no server to be ready")
        self.assertEqual({member.health("heapsync.liveness") for member in self.members}, {"serving"})

    def test_full(self) -> None:
        with self.recovers():
            self.breaks(how="CREATE FUNCTION full_disk() RETURNS trigger AS $$ BEGIN RAISE EXCEPTION 'no space' USING ERRCODE = '53100'; END $$ "
                            "LANGUAGE plpgsql; CREATE TRIGGER full_disk BEFORE INSERT OR UPDATE ON heapsync_entry FOR EACH STATEMENT "
                            "EXECUTE FUNCTION full_disk();",
                        repair="DROP FUNCTION full_disk CASCADE;", ends_sessions=False)
            for channel in self.channels:
                error = self.refused(channel, 10)
                self.assertEqual(error.code(), grpc.StatusCode.RESOURCE_EXHAUSTED)
                self.assertEqual(self.reason(error), ("SPOOL_FULL", True))
            self.repair()
            self.repair = lambda: None
            wait_until(lambda: all(self.track(channel).exception() is None or not self.accepted.pop() for channel in self.channels),
                       "items to be accepted again")

    def test_read_only(self) -> None:
        with self.recovers():
            self.breaks(how="ALTER ROLE heapsync SET default_transaction_read_only = on;",
                        repair="ALTER ROLE heapsync RESET default_transaction_read_only;")
            self.not_ready()
            self.wait_for_line("read-only")

    def test_slow(self) -> None:
        with self.recovers():
            triggers = "".join(
                f"CREATE CONSTRAINT TRIGGER slow AFTER UPDATE ON {table} DEFERRABLE INITIALLY DEFERRED FOR EACH ROW EXECUTE FUNCTION slow();"
                for table in ("heapsync_shard", "heapsync_writer"))
            self.breaks(how=f"CREATE FUNCTION slow() RETURNS trigger AS $$ BEGIN PERFORM pg_sleep({SLOW}); RETURN NULL; END $$ "
                            f"LANGUAGE plpgsql; {triggers}", repair="DROP FUNCTION slow CASCADE;", ends_sessions=False)
            began = time.monotonic()
            for _ in range(5):
                self.accept()
            self.assertGreaterEqual(time.monotonic() - began, 10 * SLOW)
            self.assertEqual([member.health("heapsync.readiness") for member in self.members], ["serving"] * 2)
            wait_until(lambda: set(self.accepted) <= self.heap.keys().keys(), "deliveries while the database is slow")

    def test_away(self) -> None:
        with self.recovers():
            self.repair = self.postgres.start
            self.postgres.stop()
            self.not_ready()
            self.assertEqual(self.refused(self.channels[0], 1).code(), grpc.StatusCode.DEADLINE_EXCEEDED)

    def test_out_of_connections(self) -> None:
        with self.recovers():
            self.breaks(how="ALTER ROLE heapsync CONNECTION LIMIT 0;", repair="ALTER ROLE heapsync CONNECTION LIMIT -1;")
            self.not_ready()
            self.wait_for_line("no connection left")

    def test_wrong_password(self) -> None:
        with self.recovers():
            self.breaks(how="ALTER ROLE heapsync PASSWORD 'another';", repair=f"ALTER ROLE heapsync PASSWORD '{PASSWORD}';")
            self.not_ready()
            self.wait_for_line("refuses this user")
            self.start_fails("cannot use the spool", "the database refuses this user")

    def test_other_schema(self) -> None:
        for version in (1, 99):
            with self.subTest(version), self.recovers():
                self.breaks(how=f"UPDATE heapsync_spool SET version = {version};", repair="UPDATE heapsync_spool SET version = 4;")
                self.not_ready()
                self.wait_for_line(f"the spool's tables have version {version}; this server knows version 4")
                self.start_fails(f"the spool's tables have version {version}")

    def tearDown(self) -> None:
        for member in self.members:
            for line in member.output().splitlines():
                self.assertNotIn("event-0", json.dumps(line), "a key of an item in the log")


if __name__ == "__main__":
    harness.run()
