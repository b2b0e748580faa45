#!/usr/bin/env python3
"""Destinations come, change and go while the server runs, by a changed file and by SIGHUP."""

import json
import queue
import signal
import unittest
from hashlib import sha256
from pathlib import Path
from typing import Any

import grpc
import harness
from harness import FakeHeap, Server, temporary_folder, wait_until
from proto_stubs import generate_stubs

FIRST, SECOND, THIRD = "1111111111", "2222222222", "3333333333"

protos: dict[str, Any] = {}


class ReloadTest(unittest.TestCase):
    def setUp(self) -> None:
        self.folder = temporary_folder(type(self))
        if not protos:
            protos.update(generate_stubs(self.folder))
        self.heap = FakeHeap(self.folder)
        self.addCleanup(self.heap.kill)
        self.config = self.folder / "config.json"
        self.write({"name": "first", "app_id": FIRST})
        self.server = Server(self.folder, self.heap, f"--config={self.config}", "--reload_interval=20ms")
        self.addCleanup(self.server.kill)
        self.channel = self.server.channel()
        self.addCleanup(self.channel.close)
        self.stub = protos["stubs"].HeapSyncServiceStub(self.channel)
        self.admin = protos["admin_stubs"].HeapSyncAdminServiceStub(self.channel)

    def write(self, *destinations: dict[str, Any], default: str = "first") -> None:
        part = self.config.with_suffix(".part")
        part.write_text(json.dumps({"destinations": destinations, "default_destination": default}))
        part.replace(self.config)

    def reload(self, *destinations: dict[str, Any], default: str = "first") -> None:
        before = self.server.output().count("configuration reloaded")
        self.write(*destinations, default=default)
        wait_until(lambda: self.server.output().count("configuration reloaded") > before, "the reload")

    def track(self, destination: str, identity: str, ack_level: int = 1) -> Any:
        return self.stub.TrackEvent(
            protos["service"].TrackEventRequest(destination=destination, event={"identity": identity, "event": "E"}, ack_level=ack_level),
            timeout=harness.PATIENCE)

    def code_of(self, destination: str) -> grpc.StatusCode:
        try:
            self.track(destination, "anybody")
        except grpc.RpcError as error:
            return error.code()
        return grpc.StatusCode.OK

    def test_a_new_destination_is_taken_up_without_a_restart(self) -> None:
        self.assertEqual(self.code_of("second"), grpc.StatusCode.NOT_FOUND)
        self.reload({"name": "first", "app_id": FIRST}, {"name": "second", "app_id": SECOND, "region": "eu"}, default="second")
        self.assertEqual(self.track("second", "new", ack_level=2).ack_level, 2)
        self.assertEqual(len(self.heap.events_of("new", SECOND)), 1)
        # An empty name means the new default.
        self.assertEqual(self.track("", "default", ack_level=2).ack_level, 2)
        self.assertEqual(len(self.heap.events_of("default", SECOND)), 1)
        names = [each.name for each in self.admin.ListDestinations(protos["admin"].ListDestinationsRequest()).destinations]
        self.assertEqual(names, ["first", "second"])
        # And it is there after a restart, with what it has.
        self.server.stop()
        self.server = Server(self.folder, self.heap, f"--config={self.config}")
        self.addCleanup(self.server.kill)

    def test_changed_limits_batches_and_app_ids_count_from_now_on(self) -> None:
        slow = {"events_per_minute": 1}
        self.reload({"name": "first", "app_id": FIRST, "limits": slow})
        for number in range(5):
            self.track("first", f"person-{number}")
        wait_until(lambda: self.heap.count("events", "appended", FIRST) == 1, "the one event that the limit allows")
        self.reload({"name": "first", "app_id": SECOND, "limits": {"events_per_minute": 100}})
        wait_until(lambda: self.heap.count("events", "appended", SECOND) == 4, "the others, under the new App ID")
        self.assertEqual(self.heap.count("events", "appended", FIRST), 1)

    def test_a_destination_that_is_taken_out_gets_nothing_new_and_delivers_what_it_has(self) -> None:
        both = ({"name": "first", "app_id": FIRST}, {"name": "second", "app_id": SECOND})
        self.reload(*both)
        self.heap.set_faults({"match": {"app_id": SECOND}, "action": {"type": "status", "status": 503}})
        messages: "queue.Queue[Any]" = queue.Queue()
        message = protos["service"].BulkTrackEventsRequest(destination="second", events=[{"identity": "a", "event": "E"}])
        messages.put(message)
        stream = self.stub.BulkTrackEvents(iter(messages.get, None), timeout=harness.PATIENCE)
        self.addCleanup(messages.put, None)
        self.assertEqual(next(stream).durable_position, 1)
        self.reload(both[0])
        self.assertEqual(self.code_of("second"), grpc.StatusCode.NOT_FOUND)
        # A stream that is open learns it with its next message.
        messages.put(message)
        with self.assertRaises(grpc.RpcError) as ended:
            list(stream)
        self.assertEqual(ended.exception.code(), grpc.StatusCode.NOT_FOUND)
        self.heap.clear_faults()
        wait_until(lambda: self.heap.count("events", "appended", SECOND) == 1, "what was accepted before")
        self.reload(*both)
        self.assertEqual(self.track("second", "back", ack_level=2).ack_level, 2)

    def test_what_waits_for_a_destination_that_was_left_out_at_the_start_goes_when_it_is_back(self) -> None:
        both = ({"name": "first", "app_id": FIRST}, {"name": "second", "app_id": SECOND, "limits": {"events_per_minute": 0}})
        self.reload(*both)
        self.heap.set_faults({"match": {"app_id": SECOND}, "action": {"type": "status", "status": 503}})
        self.track("second", "waits")
        self.server.kill()
        self.heap.clear_faults()
        self.write(both[0])
        self.server = Server(self.folder, self.heap, f"--config={self.config}", "--reload_interval=20ms")
        self.addCleanup(self.server.kill)
        self.reload(*both)
        # What it used of its limits before is read from the spool, so it need not wait for a window to pass.
        wait_until(lambda: self.heap.count("events", "appended", SECOND) == 1, "what waited")

    def test_a_bad_file_changes_nothing_and_every_fault_is_logged(self) -> None:
        self.write({"name": "first", "app_id": "98765x"}, {"name": "UPPER", "app_id": THIRD, "region": "mars"})
        wait_until(lambda: "destinations[1].region" in self.server.output(), "the faults in the log")
        self.server.process.send_signal(signal.SIGHUP)
        wait_until(lambda: self.server.output().count("destinations[1].region") >= 2, "the faults again")
        for place in ("destinations[0].app_id", "destinations[1].name", "destinations[1].region"):
            self.assertIn(place, self.server.output())
        self.assertNotIn("98765", self.server.output())
        self.assertEqual(self.track("first", "still", ack_level=2).ack_level, 2)
        self.assertEqual(len(self.heap.events_of("still", FIRST)), 1)


class CallersTest(unittest.TestCase):
    """Two files, each of which is read by itself."""

    def setUp(self) -> None:
        self.folder = temporary_folder(type(self))
        if not protos:
            protos.update(generate_stubs(self.folder))
        self.heap = FakeHeap(self.folder)
        self.addCleanup(self.heap.kill)
        self.config, self.auth = self.folder / "config.json", self.folder / "callers.json"
        self.write(self.config, {"destinations": [{"name": "first", "app_id": FIRST}]})
        self.write_callers("kept", "stolen")
        self.server = Server(self.folder, self.heap, f"--config={self.config}", f"--auth={self.auth}", "--reload_interval=20ms")
        self.addCleanup(self.server.kill)
        self.channel = self.server.channel()
        self.addCleanup(self.channel.close)

    @staticmethod
    def write(path: Path, what: Any) -> None:
        part = path.with_suffix(".part")
        part.write_text(what if isinstance(what, str) else json.dumps(what))
        part.replace(path)

    def write_callers(self, *tokens: str) -> None:
        self.write(self.auth, {"callers": [{"name": each, "token_sha256": [sha256(each.encode()).hexdigest()]} for each in tokens]})

    def code_of(self, token: str, destination: str = "first") -> grpc.StatusCode:
        request = protos["service"].TrackEventRequest(destination=destination, event={"identity": "a", "event": "E"})
        try:
            protos["stubs"].HeapSyncServiceStub(self.channel).TrackEvent(
                request, metadata=(("authorization", f"Bearer {token}"),), timeout=harness.PATIENCE)
        except grpc.RpcError as error:
            return error.code()
        return grpc.StatusCode.OK

    def test_a_revocation_does_not_wait_for_the_destinations_file_to_be_mended(self) -> None:
        self.assertEqual(self.code_of("stolen"), grpc.StatusCode.OK)
        self.write(self.config, "{")
        wait_until(lambda: "configuration of the destinations is refused" in self.server.output(), "the fault in the log")
        self.write_callers("kept")
        wait_until(lambda: self.code_of("stolen") == grpc.StatusCode.UNAUTHENTICATED, "the token to be revoked")
        self.assertEqual(self.code_of("kept"), grpc.StatusCode.OK)

    def test_a_new_destination_does_not_wait_for_the_callers_file_to_be_mended(self) -> None:
        self.write(self.auth, "{")
        wait_until(lambda: "configuration of the callers is refused" in self.server.output(), "the fault in the log")
        self.write(self.config, {"destinations": [{"name": "second", "app_id": SECOND}]})
        wait_until(lambda: self.code_of("stolen", "second") == grpc.StatusCode.OK, "the new destination")


if __name__ == "__main__":
    harness.run()
