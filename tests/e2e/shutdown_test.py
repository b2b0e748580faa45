#!/usr/bin/env python3
"""Stops the server at any moment, whatever Heap and its clients do: it ends in time, and nothing is lost or doubled."""

import os
import queue
import random
import signal
import threading
import time
import unittest
from typing import Any

import grpc
import harness
from harness import FakeHeap, Server, temporary_folder, wait_until
from proto_stubs import generate_stubs

ROUNDS = 50
DRAIN = 0.05
# Time that the server grants open calls after the drain, plus the rest of its stop; a busy machine takes longer.
BOUND = DRAIN + 2 + 5
HEAP_IS = {
    "well": [],
    "down": [{"name": "down", "action": {"type": "status", "status": 503}}],
    "hanging": [{"name": "hanging", "action": {"type": "hang"}}],
    "cutting off": [{"name": "cut", "action": {"type": "reset_after_body"}}],
}
NO_LIMITS = {"events_per_minute": 0, "events_per_identity_per_minute": 0}
LIVENESS, READINESS = "heapsync.liveness", "heapsync.readiness"

protos: dict[str, Any] = {}


class Load:
    """Sends until the server no longer answers, and records the acknowledged items."""

    def __init__(self, server: Server, prefix: str) -> None:
        self.prefix = prefix
        self.sent: set[str] = set()
        self.acknowledged: set[str] = set()
        self.codes: set[grpc.StatusCode] = set()
        self.channel = server.channel()
        self.stub = protos["stubs"].HeapSyncServiceStub(self.channel)
        self.threads = [threading.Thread(target=work) for work in (self._single_calls, self._stream)]
        for thread in self.threads:
            thread.start()

    def _event(self, key: str) -> dict[str, str]:
        self.sent.add(key)
        return {"identity": f"person-{len(self.sent) % 50}", "event": "E", "idempotency_key": key}

    def _single_calls(self) -> None:
        for number in range(1_000_000):
            key = f"{self.prefix}-single-{number:06}"
            request = protos["service"].TrackEventRequest(event=self._event(key), ack_level=1 + number % 2)
            try:
                self.stub.TrackEvent(request, timeout=harness.PATIENCE)
            except grpc.RpcError as error:
                self.codes.add(error.code())
                return
            self.acknowledged.add(key)

    def _stream(self) -> None:
        keys: list[str] = []

        def messages() -> Any:
            for number in range(100_000):
                events = []
                for part in range(10):
                    keys.append(f"{self.prefix}-stream-{number:06}-{part}")
                    events.append(self._event(keys[-1]))
                yield protos["service"].BulkTrackEventsRequest(events=events)

        position = 0
        try:
            for answer in self.stub.BulkTrackEvents(messages(), timeout=harness.PATIENCE):
                position = max(position, answer.durable_position)
        except grpc.RpcError as error:
            self.codes.add(error.code())
        self.acknowledged.update(keys[:position])

    def end(self) -> None:
        self.channel.close()
        for thread in self.threads:
            thread.join(harness.PATIENCE)


class ShutdownTest(unittest.TestCase):
    def setUp(self) -> None:
        self.folder = temporary_folder(type(self))
        if not protos:
            protos.update(generate_stubs(self.folder))
        self.heap = FakeHeap(self.folder)
        self.addCleanup(self.heap.kill)

    def start(self, *flags: str) -> Server:
        server = Server(self.folder, self.heap, f"--config={harness.two_regions(self.folder, NO_LIMITS)}", *flags)
        self.addCleanup(server.kill)
        return server

    def stop(self, server: Server) -> float:
        """Seconds from SIGTERM to the end, which has to be a good one."""
        began = time.monotonic()
        server.process.send_signal(signal.SIGTERM)
        code = server.wait(BOUND + harness.PATIENCE)
        took = time.monotonic() - began
        self.assertEqual(code, 0, server.output()[-4000:])
        return took

    def test_stopped_at_any_moment_it_ends_in_time_and_loses_and_doubles_nothing(self) -> None:
        seed = int(os.environ.get("HEAPSYNC_SEED", "7"))
        chance = random.Random(seed)
        sent: set[str] = set()
        acknowledged: set[str] = set()
        slowest = 0.0
        for number in range(ROUNDS):
            heap_is = chance.choice(list(HEAP_IS))
            moment = chance.uniform(0, 0.15)
            with self.subTest(f"seed {seed}, round {number}: Heap is {heap_is}, {moment * 1000:.0f} ms after the first answer"):
                self.heap.set_faults(*HEAP_IS[heap_is])
                server = self.start(f"--drain_timeout={DRAIN * 1000:.0f}ms")
                load = Load(server, f"round-{number}")
                # The moment is what is tested here; nothing waits for its end.
                time.sleep(moment)
                took = self.stop(server)
                load.end()
                slowest = max(slowest, took)
                self.assertLess(took, BOUND)
                self.assertLessEqual(load.codes, {grpc.StatusCode.UNAVAILABLE, grpc.StatusCode.CANCELLED})
                sent |= load.sent
                acknowledged |= load.acknowledged
        print(f"{ROUNDS} stops, the slowest took {slowest:.2f} s; {len(sent)} events sent, {len(acknowledged)} acknowledged")
        self.assertGreater(len(acknowledged), ROUNDS)

        self.heap.clear_faults()
        self.start()
        wait_until(lambda: acknowledged <= self.heap.keys().keys(), "every acknowledged event at Heap")
        arrived = self.heap.keys()
        self.assertLessEqual(arrived.keys(), sent)
        self.assertEqual(self.heap.count("events", "appended"), len(arrived))

    def test_stuck_streams_and_a_hanging_heap_do_not_hold_up_the_end(self) -> None:
        self.heap.set_faults(*HEAP_IS["hanging"])
        server = self.start(f"--drain_timeout={DRAIN * 1000:.0f}ms")
        channel = server.channel()
        self.addCleanup(channel.close)
        stub = protos["stubs"].HeapSyncServiceStub(channel)
        never: "queue.Queue[Any]" = queue.Queue()
        self.addCleanup(never.put, None)
        # An idle stream, one whose responses are not read, a reflection stream, a health watch, and a flush that cannot end.
        silent = stub.BulkTrackEvents(iter(never.get, None))
        bad = protos["service"].BulkTrackEventsRequest(events=[{"identity": ""}] * 5_000)
        unread = stub.BulkTrackEvents(iter([bad] * 100))
        reflection = channel.stream_stream("/grpc.reflection.v1.ServerReflection/ServerReflectionInfo")(iter(never.get, None))
        watch = channel.unary_stream("/grpc.health.v1.Health/Watch")(b"")
        self.assertEqual(next(watch), b"\x08\x01")
        request = protos["service"].TrackEventRequest(event={"identity": "a", "event": "E"}, ack_level=2)
        delivered = stub.TrackEvent.future(request)
        wait_until(lambda: self.heap.get("summary")["total"]["requests"] >= 1, "the request that hangs")
        flush = protos["admin_stubs"].HeapSyncAdminServiceStub(channel).Flush.future(protos["admin"].FlushRequest())
        self.assertLess(self.stop(server), BOUND)
        # A caller that waited for the delivery learns that the event is safe but not delivered yet.
        self.assertEqual(delivered.result(harness.PATIENCE).ack_level, 1)
        for call in (silent, unread, reflection, flush):
            call.cancel()

    def test_while_it_drains_it_lives_but_is_not_ready_and_takes_nothing_new(self) -> None:
        self.heap.set_faults(*HEAP_IS["hanging"])
        server = self.start("--drain_timeout=10m")
        channel = server.channel()
        self.addCleanup(channel.close)
        stub = protos["stubs"].HeapSyncServiceStub(channel)
        request = protos["service"].TrackEventRequest(event={"identity": "a", "event": "E"})
        stub.TrackEvent(request, timeout=harness.PATIENCE)
        messages: "queue.Queue[Any]" = queue.Queue()
        messages.put(protos["service"].BulkTrackEventsRequest(events=[{"identity": "a", "event": "E"}] * 3))
        stream = stub.BulkTrackEvents(iter(messages.get, None), timeout=harness.PATIENCE)
        self.addCleanup(messages.put, None)
        self.assertEqual(next(stream).durable_position, 3)

        server.process.send_signal(signal.SIGTERM)
        wait_until(lambda: '"stopping"' in server.output(), "the stop to begin")
        check = channel.unary_unary("/grpc.health.v1.Health/Check")

        def serving(service: str) -> bool:
            name = service.encode()
            return bool(check(b"\x0a" + bytes([len(name)]) + name if name else b"", timeout=harness.PATIENCE) == b"\x08\x01")

        for service in ("", READINESS, "heapsync.v1.HeapSyncService", "heapsync.v1.HeapSyncAdminService"):
            wait_until(lambda service=service: not serving(service), f"{service!r} not to serve")
        self.assertTrue(serving(LIVENESS))
        # The stream ends, and its position stands.
        with self.assertRaises(grpc.RpcError) as ended:
            list(stream)
        self.assertEqual(ended.exception.code(), grpc.StatusCode.UNAVAILABLE)
        with self.assertRaises(grpc.RpcError) as refused:
            stub.TrackEvent(request, timeout=harness.PATIENCE)
        self.assertEqual(refused.exception.code(), grpc.StatusCode.UNAVAILABLE)
        packed = dict(refused.exception.trailing_metadata())["grpc-status-details-bin"]
        details = {detail.type_url.rsplit(".", 1)[1] for detail in protos["rpc_status"].Status.FromString(packed).details}
        self.assertEqual(details, {"ErrorInfo", "RetryInfo"})

        # A second signal does not wait for the ten minutes.
        server.process.send_signal(signal.SIGTERM)
        self.assertEqual(server.wait(BOUND), 1)
        self.heap.clear_faults()
        self.start()
        wait_until(lambda: self.heap.count("events", "appended") == 4, "all that was accepted")


if __name__ == "__main__":
    harness.run()
