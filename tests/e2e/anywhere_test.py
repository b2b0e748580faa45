#!/usr/bin/env python3
"""Three servers share a spool in a real PostgreSQL: what only its owner can do is asked of any of them, and the owner may die meanwhile."""

import json
import signal
import statistics
import time
import unittest
from pathlib import Path
from typing import Any

import grpc

import harness
from cluster import LEASE, Member, wait_for_service
from harness import APP_US, Binaries, FakeHeap, Program, free_ports, temporary_folder, two_regions, wait_until
from postgres_server import PostgresServer
from proto_stubs import generate_stubs

TIMEOUT = 10 * LEASE
REFUSE = {"match": {"body_contains": "refused-"}, "action": {"type": "status", "status": 400}}
HANG = {"match": {"body_contains": "hanging-"}, "action": {"type": "hang"}}
SAMPLES = 20


class AnywhereTest(unittest.TestCase):
    modules: dict[str, Any]
    postgres: PostgresServer

    @classmethod
    def setUpClass(cls) -> None:
        cls.postgres = PostgresServer()
        cls.addClassCleanup(cls.postgres.remove)
        cls.modules = generate_stubs(temporary_folder(cls))

    def setUp(self) -> None:
        self.folder = temporary_folder(type(self))
        self.postgres.sql("DROP SCHEMA public CASCADE; CREATE SCHEMA public;")
        self.heap = FakeHeap(self.folder, "--limit_app_events=0")
        self.addCleanup(self.heap.kill)
        self.config = self.many_destinations()
        self.members = [self.start(number) for number in range(3)]
        self.channels = {member: grpc.insecure_channel(member.address) for member in self.members}
        for channel in self.channels.values():
            self.addCleanup(channel.close)
        wait_for_service(self.members)
        wait_until(lambda: sorted(member.shards() for member in self.members) == [5, 5, 6], "each server to have its part")
        # Of "prod", and of one more destination at least.
        self.owner = wait_until(lambda: next((member for member in self.members if "prod" in member.owned()), None), "an owner")
        self.others = [member for member in self.members if member is not self.owner]
        self.sibling = next(name for name in sorted(self.owner.owned()) if name != "prod")

    def many_destinations(self) -> Path:
        path = two_regions(self.folder)
        config = json.loads(path.read_text(encoding="utf-8").partition("\n")[2])
        config["destinations"] += [{"name": f"app-{number}", "app_id": str(1_000_000_001 + number), "region": "us"} for number in range(32)]
        path.write_text(json.dumps(config), encoding="utf-8")
        return path

    def start(self, number: int) -> Member:
        member = Member(f"server-{number}", self.folder, self.heap, self.postgres.uri, self.config, "127.0.0.1", free_ports(2))
        self.addCleanup(member.kill)
        return member

    def data(self, member: Member) -> Any:
        return self.modules["stubs"].HeapSyncServiceStub(self.channels[member])

    def admin(self, member: Member) -> Any:
        return self.modules["admin_stubs"].HeapSyncAdminServiceStub(self.channels[member])

    def event(self, key: str, level: str = "ACK_LEVEL_DELIVERED") -> Any:
        service, items = self.modules["service"], self.modules["items"]
        return service.TrackEventRequest(event=items.TrackEvent(identity=key, event="Kept", idempotency_key=key),
                                         ack_level=service.AckLevel.Value(level))

    def request(self, name: str, **fields: Any) -> Any:
        return getattr(self.modules["admin"], name + "Request")(**fields)

    def letters(self, member: Member) -> Any:
        return self.admin(member).ListDeadLetters(self.request("ListDeadLetters"), timeout=TIMEOUT).dead_letters

    def make_letters(self, *keys: str) -> None:
        self.heap.set_faults(REFUSE)
        for key in keys:
            # A destination that refuses everything would be held.
            self.data(self.owner).TrackEvent(self.event("before-" + key), timeout=TIMEOUT)
            answer = self.data(self.owner).TrackEvent(self.event("refused-" + key), timeout=TIMEOUT)
            self.assertEqual(self.outcome(answer), "DELIVERY_OUTCOME_DEAD_LETTERED")
        self.heap.clear_faults()

    def outcome(self, answer: Any) -> str:
        return str(self.modules["service"].DeliveryOutcome.Name(answer.outcome))

    def outcomes(self, answer: Any) -> list[str]:
        names = self.modules["admin"].DeadLetterOutcome
        return [names.Name(result.outcome).removeprefix("DEAD_LETTER_OUTCOME_") for result in answer.results]

    def state(self, member: Member) -> str:
        found = self.admin(member).GetDestination(self.request("GetDestination", destination="prod"), timeout=TIMEOUT)
        return str(self.modules["admin"].DestinationState.Name(found.destination.state).removeprefix("DESTINATION_STATE_"))

    def reason(self, error: grpc.RpcError) -> tuple[str, bool]:
        """Reason of an error, and whether it says when to repeat."""
        status = self.modules["rpc_status"].Status.FromString(dict(error.trailing_metadata())["grpc-status-details-bin"])
        info, retry = self.modules["error_info"].ErrorInfo(), False
        for detail in status.details:
            detail.Unpack(info)
            retry |= detail.type_url.endswith("RetryInfo")
        return info.reason, retry

    def test_a_delivery_is_acknowledged_by_any_server(self) -> None:
        for number, member in enumerate(self.members):
            with self.subTest(member.name):
                answer = self.data(member).TrackEvent(self.event(f"delivered-{number}"), timeout=TIMEOUT)
                self.assertEqual(self.outcome(answer), "DELIVERY_OUTCOME_DELIVERED")
                self.heap.set_faults(REFUSE)
                answer = self.data(member).TrackEvent(self.event(f"refused-{number}"), timeout=TIMEOUT)
                self.assertEqual(self.outcome(answer), "DELIVERY_OUTCOME_DEAD_LETTERED")
                self.heap.set_faults(HANG)
                answer = self.data(member).TrackEvent(self.event(f"hanging-{number}"), timeout=1.0)
                self.assertEqual(answer.ack_level, self.modules["service"].ACK_LEVEL_DURABLE, "the deadline ends the wait alone")
                self.heap.clear_faults()

    def test_a_bulk_stream_of_deliveries_works_at_any_server(self) -> None:
        items, service = self.modules["items"], self.modules["service"]
        for member in self.members:
            with self.subTest(member.name):
                request = service.BulkTrackEventsRequest(
                    ack_level=service.ACK_LEVEL_DELIVERED,
                    events=[items.TrackEvent(identity=f"bulk-{n}", event="Kept", idempotency_key=f"{member.name}-{n:04}") for n in range(500)])
                answers = list(self.data(member).BulkTrackEvents(iter([request]), timeout=TIMEOUT))
                self.assertEqual(sum(answer.delivered for answer in answers[-1:]), 500)

    def test_how_long_a_delivery_takes_to_be_acknowledged(self) -> None:
        for member in (self.owner, self.others[0]):
            taken: list[float] = []
            for number in range(SAMPLES):
                began = time.monotonic()
                self.data(member).TrackEvent(self.event(f"{member.name}-{number:03}"), timeout=TIMEOUT)
                taken.append(time.monotonic() - began)
            taken.sort()
            print(f"DELIVERED at {'the owner' if member is self.owner else 'another server'}: "
                  f"median {statistics.median(taken) * 1000:.0f} ms, greatest {taken[-1] * 1000:.0f} ms")

    def test_administration_works_at_any_server(self) -> None:
        for member in self.members:
            with self.subTest(member.name):
                key = f"letter-{member.name}"
                admin = self.admin(member)
                admin.PauseDestination(self.request("PauseDestination", destination="prod"), timeout=TIMEOUT)
                self.assertEqual([self.state(each) for each in self.members], ["PAUSED"] * 3)
                answer = admin.ResumeDestination(self.request("ResumeDestination", destination="prod"), timeout=TIMEOUT)
                self.assertEqual(answer.destination.state, self.modules["admin"].DESTINATION_STATE_ACTIVE)
                self.make_letters(key, key + "-b", key + "-c")
                letters = self.letters(member)
                self.assertEqual([letter.id for letter in letters], [letter.id for letter in self.letters(self.owner)])
                replay = self.request("ReplayDeadLetters")
                replay.filter.ids.append(letters[0].id)
                self.assertEqual(self.outcomes(admin.ReplayDeadLetters(replay, timeout=TIMEOUT)), ["REPLAYED"])
                self.assertEqual(self.outcomes(admin.ReplayDeadLetters(replay, timeout=TIMEOUT)), ["NOT_FOUND"])
                edited = self.request("ReplayDeadLetters", edited_item_json=json.dumps({"identity": key, "event": "Mended"}))
                edited.filter.ids.append(letters[1].id)
                self.assertEqual(self.outcomes(admin.ReplayDeadLetters(edited, timeout=TIMEOUT)), ["REPLAYED"])
                discard = self.request("DiscardDeadLetters", all=True)
                self.assertEqual(self.outcomes(admin.DiscardDeadLetters(discard, timeout=TIMEOUT)), ["DISCARDED"])
                flushed = admin.Flush(self.request("Flush"), timeout=TIMEOUT)
                self.assertEqual(flushed.dead_lettered, 0)
                self.assertEqual([event["event"] for event in self.heap.events_of("refused-" + key)], ["Kept"])
                self.assertEqual([event["event"] for event in self.heap.events_of(key)], ["Mended"])
                self.assertEqual(list(self.letters(member)), [])
                audit = [json.loads(line) for line in self.owner.output().splitlines() if "admin call of another server done" in line]
                self.assertEqual(any(line["call"] == "PauseDestination" for line in audit), member is not self.owner or audit != [])
        self.assertEqual(self.postgres.sql("SELECT count(*) FROM heapsync_entry WHERE substring(key, 1, 1) = 'C'").strip(), "0")

    def test_two_replays_at_once_replay_once(self) -> None:
        keys = [f"twice-{number:02}" for number in range(40)]
        self.make_letters(*keys)
        calls = [self.admin(member).ReplayDeadLetters.future(self.request("ReplayDeadLetters", all=True), timeout=TIMEOUT)
                 for member in self.others]
        results = [outcome for call in calls for outcome in self.outcomes(call.result())]
        self.assertEqual(results.count("REPLAYED"), len(keys))
        self.assertLessEqual(set(results), {"REPLAYED", "NOT_FOUND"})
        self.admin(self.owner).Flush(self.request("Flush"), timeout=TIMEOUT)
        self.assertEqual({self.heap.keys().get("refused-" + key) for key in keys}, {1})

    def test_the_owner_dies_while_calls_wait_elsewhere(self) -> None:
        first, second = self.others
        self.make_letters("dead")
        letter = self.letters(first)[0].id
        self.heap.set_faults(HANG)
        waiting = {
            "DELIVERED": self.data(first).TrackEvent.future(self.event("hanging-1"), timeout=TIMEOUT),
            "Flush": self.admin(second).Flush.future(self.request("Flush"), timeout=TIMEOUT),
        }
        wait_until(lambda: 'heapsync_in_flight_requests{destination="prod"} 1' in self.owner.get("/metrics"), "a request in flight")
        self.owner.process.send_signal(signal.SIGSTOP)
        replay = self.request("ReplayDeadLetters")
        replay.filter.ids.append(letter)
        waiting["Replay"] = self.admin(second).ReplayDeadLetters.future(replay, timeout=TIMEOUT)
        waiting["Pause"] = self.admin(first).PauseDestination.future(
            self.request("PauseDestination", destination=self.sibling), timeout=TIMEOUT)
        impatient = self.admin(second).ResumeDestination.future(
            self.request("ResumeDestination", destination=self.sibling), timeout=1.0)
        with self.assertRaises(grpc.RpcError) as refused:
            impatient.result()
        self.assertEqual(refused.exception.code(), grpc.StatusCode.UNAVAILABLE)
        self.assertEqual(self.reason(refused.exception), ("OWNER_AWAY", True))
        self.owner.kill()
        self.heap.clear_faults()
        self.assertEqual(self.outcome(waiting["DELIVERED"].result()), "DELIVERY_OUTCOME_DELIVERED")
        self.assertEqual(self.outcomes(waiting["Replay"].result()), ["REPLAYED"])
        self.assertEqual(waiting["Pause"].result().destination.state, self.modules["admin"].DESTINATION_STATE_PAUSED)
        waiting["Flush"].result()
        # The replay is newer than the flush, which need not wait for it.
        wait_until(lambda: "refused-dead" in self.heap.keys(), "the replayed event at Heap")
        self.assertEqual({self.heap.keys().get(key) for key in ("hanging-1", "refused-dead")}, {1})

    def test_what_a_caller_gave_up_at_one_server_is_not_stored_behind_what_it_sent_to_another(self) -> None:
        first, second = self.others
        self.data(first).TrackEvent(self.event("the-first"), timeout=TIMEOUT)
        for freezes in (False, True):
            with self.subTest("frozen" if freezes else "slow"):
                gave_up, later = f"gave-up-{freezes}", f"came-later-{freezes}"
                with self.postgres.transaction("SELECT FROM heapsync_entry WHERE substring(key, 1, 1) = 'E' FOR UPDATE;"):
                    call = self.data(first).TrackEvent.future(self.event(gave_up, "ACK_LEVEL_DURABLE"), timeout=TIMEOUT if freezes else 1.0)
                    self.wait_for_writers(1)
                    if freezes:
                        first.process.send_signal(signal.SIGSTOP)
                        call.cancel()
                    else:
                        self.assertEqual(call.code(), grpc.StatusCode.DEADLINE_EXCEEDED)
                    again = self.data(second).TrackEvent.future(self.event(later, "ACK_LEVEL_DURABLE"), timeout=TIMEOUT)
                    self.wait_for_writers(2 if freezes else 1)
                # Where the first one is frozen, the database ends its session after two seconds, and the other one goes on.
                again.result()
                if freezes:
                    first.process.send_signal(signal.SIGCONT)
                # Right after a pause calls are refused as well.
                wait_until(lambda then="after-" + gave_up: self.tracked(first, then), "the server to take calls again")
                self.admin(self.owner).Flush(self.request("Flush"), timeout=TIMEOUT)
                self.assertIn(later, self.heap.keys())
                self.assertNotIn(gave_up, self.heap.keys())

    def tracked(self, member: Member, key: str) -> bool:
        try:
            self.data(member).TrackEvent(self.event(key), timeout=TIMEOUT)
        except grpc.RpcError as error:
            self.assertEqual(self.reason(error), ("SERVER_PAUSED", True))
            return False
        return True

    def wait_for_writers(self, count: int) -> None:
        """Until so many wait for a lock."""
        query = "SELECT count(*) FROM pg_stat_activity WHERE application_name = 'heapsync-writer' AND wait_event_type = 'Lock'"
        wait_until(lambda: int(self.postgres.sql(query)) >= count, "servers that wait for a lock")

    def test_every_server_shows_the_whole_and_each_fact_is_counted_once(self) -> None:
        for number, member in enumerate(self.members):
            for each in range(number + 1):
                self.data(member).TrackEvent(self.event(f"shown-{number}-{each}"), timeout=TIMEOUT)
        self.make_letters("one")
        total = 1 + 2 + 3 + 2

        def shown(member: Member) -> dict[str, Any]:
            return dict(json.loads(member.get("/statusz.json"))["destinations"][0])

        for member in self.members:
            with self.subTest(member.name):
                wait_until(lambda m=member: shown(m)["dead_letters"]["kept"] == 1 and shown(m)["delivered"] == total - 1,
                           "the whole to be shown")
                self.assertEqual(shown(member)["accepted"], total)
                owners = {shown(each)["delivered_by"] for each in self.members}
                self.assertEqual(len(owners), 1)
                status = Program("status", [str(Binaries.cli), "status", f"--server={member.address}"], self.folder)
                self.assertEqual(status.wait(), 0, status.output())
                self.assertIn(f"delivered by {owners.pop()}", status.output())
                self.assertIn("<html", member.get("/"))
        pages = [member.get("/metrics") for member in self.members]

        def counted(name: str) -> list[float]:
            return [float(line.rsplit(" ", 1)[1]) for page in pages for line in page.splitlines()
                    if line.startswith(name + '{destination="prod",type="track_event"}')]

        self.assertEqual(sum(counted("heapsync_items_accepted_total")), total)
        self.assertEqual(counted("heapsync_items_delivered_total"), [total - 1])
        self.assertEqual(sum('heapsync_dead_letters{destination="prod"' in page for page in pages), 1)
        self.assertEqual(self.heap.count("events", "appended", APP_US), total - 1)


if __name__ == "__main__":
    harness.run()
