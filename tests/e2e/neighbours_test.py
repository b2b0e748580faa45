#!/usr/bin/env python3
"""A caller with credentials that does its worst: others keep their streams, their Flushes and their answers.

HEAPSYNC_ATTACKS=full makes the attacks as large as the default limits allow, and prints what they did.
"""

import queue
import sys
import threading
import time
import unittest
from collections import Counter
from typing import Any

import grpc
import harness
from attacks import caller, write_callers
from harness import FakeHeap, Server, temporary_folder, wait_until
from innocents import FULL
from proto_stubs import generate_stubs

sys.path.insert(0, str(harness.SOURCE / "tests" / "attack"))
import insiders  # noqa: E402
from outsiders import Attacker  # noqa: E402

BAD_STREAMS = 1_000 if FULL else 60
# Streams over which the rate is tried, the items of each one's message, the rate, and seconds.
RATED = (100, 10_000, 10, 25) if FULL else (20, 40, 100, 3)
FLUSHES = 1_000 if FULL else 300
FLUSHES_OF_ONE_CALLER = 250
CONNECTIONS = 12

protos: dict[str, Any] = {}


def token(name: str) -> tuple[tuple[str, str], ...]:
    return (("authorization", f"Bearer {name}"),)


def reason_of(error: Any) -> str:
    packed = dict(error.trailing_metadata() or ()).get("grpc-status-details-bin", b"")
    for detail in protos["rpc_status"].Status.FromString(packed).details:
        info = protos["error_info"].ErrorInfo()
        if detail.Unpack(info):
            return str(info.reason)
    return str(error.code())


class NeighboursTest(unittest.TestCase):
    def setUp(self) -> None:
        self.folder = temporary_folder(type(self))
        if not protos:
            protos.update(generate_stubs(self.folder))
        self.heap = FakeHeap(self.folder)
        self.addCleanup(self.heap.kill)
        streams, _, rate, _ = RATED
        self.auth = write_callers(self.folder, caller("rated", "rated", items_per_second=rate, burst=10),
                                  *(caller(each, each, services=["data", "admin"]) for each in ("bad", "good")))
        self.server = Server(self.folder, self.heap, f"--config={harness.two_regions(self.folder)}", f"--auth={self.auth}",
                             f"--max_streams={max(BAD_STREAMS, 4 * streams)}", "--drain_timeout=1s")
        self.addCleanup(self.server.kill)
        self.channels = [self.new_channel() for _ in range(CONNECTIONS)]
        # Ends the requests of the streams that are left open.
        self.over = threading.Event()
        self.addCleanup(self.over.set)

    def new_channel(self) -> grpc.Channel:
        channel = grpc.insecure_channel(self.server.address, options=[("grpc.use_local_subchannel_pool", 1)])
        self.addCleanup(channel.close)
        return channel

    def data(self, channel: grpc.Channel) -> Any:
        return protos["stubs"].HeapSyncServiceStub(channel)

    def admin(self, channel: grpc.Channel) -> Any:
        return protos["admin_stubs"].HeapSyncAdminServiceStub(channel)

    def report(self, text: str) -> None:
        if FULL:
            print(f"{self.id().rsplit('.', 1)[1]}: {text}", file=sys.stderr)

    def message(self, items: int = 1) -> Any:
        return protos["service"].BulkTrackEventsRequest(events=[{"identity": "a", "event": "E"}] * items)

    def test_silent_streams_of_one_caller_leave_others_theirs(self) -> None:
        def requests() -> Any:
            yield self.message()
            self.over.wait()

        seen = Counter[str]()
        for first in range(0, BAD_STREAMS, 50):
            streams = [self.data(self.channels[number % CONNECTIONS]).BulkTrackEvents(
                requests(), metadata=token("bad"), timeout=5 * harness.PATIENCE) for number in range(first, min(first + 50, BAD_STREAMS))]
            for stream in streams:
                try:
                    seen["open"] += next(stream).accepted
                except grpc.RpcError as error:
                    seen[reason_of(error)] += 1
            # Nobody holds them otherwise, and a stream that nobody holds is cancelled.
            self.addCleanup(streams.clear)
        self.report(str(dict(seen)))
        share = max(BAD_STREAMS, 4 * RATED[0]) // 4
        self.assertEqual(seen, {"open": share, "CALLER_SHARE": BAD_STREAMS - share} if BAD_STREAMS > share else {"open": BAD_STREAMS})
        good = self.data(self.new_channel())
        for _ in range(20):
            answers = list(good.BulkTrackEvents(iter([self.message()]), metadata=token("good"), timeout=harness.PATIENCE))
            self.assertEqual(answers[-1].accepted, 1)

    def test_the_rate_of_a_caller_holds_over_all_its_streams(self) -> None:
        streams, items, rate, seconds = RATED
        waiting: list["queue.Queue[Any]"] = []
        accepted = [0] * streams

        def read(number: int, stream: Any) -> None:
            try:
                for answer in stream:
                    accepted[number] = answer.accepted
            except grpc.RpcError:
                pass

        threads = []
        for number in range(streams):
            messages: "queue.Queue[Any]" = queue.Queue()
            stream = self.data(self.channels[number % CONNECTIONS]).BulkTrackEvents(
                iter(messages.get, None), metadata=token("rated"), timeout=5 * harness.PATIENCE)
            messages.put(protos["service"].BulkTrackEventsRequest())
            self.assertEqual(next(stream).accepted, 0)
            waiting.append(messages)
            threads.append(threading.Thread(target=read, args=(number, stream), daemon=True))
            self.addCleanup(stream.cancel)
            self.addCleanup(messages.put, None)
        for thread in threads:
            thread.start()
        message = self.message(items)
        begun = time.monotonic()
        for messages in waiting:
            messages.put(message)
        # Single calls of the same caller, as fast as they are answered; each answer takes its time.
        calls = Counter[str]()
        single = self.data(self.channels[0])
        request = protos["service"].TrackEventRequest(event={"identity": "a", "event": "E"})
        while time.monotonic() - begun < seconds:
            try:
                single.TrackEvent(request, metadata=token("rated"), timeout=harness.PATIENCE)
                calls["accepted"] += 1
            except grpc.RpcError as error:
                calls[reason_of(error)] += 1
        passed = sum(accepted) + calls["accepted"]
        allowed = 10 + rate * (time.monotonic() - begun)
        self.report(f"{sum(accepted)} items in streams, single calls {dict(calls)}; allowed {allowed:.0f}")
        self.assertLessEqual(passed, allowed)
        # Half of the rate is for single calls while messages wait, but a busy machine may not get to make so many.
        self.assertGreater(calls["accepted"], min(rate * seconds * 0.4, sum(calls.values()) / 10))

    def test_flushes_that_one_caller_gives_up_leave_room(self) -> None:
        self.heap.set_faults({"action": {"type": "status", "status": 503}})
        good = self.new_channel()
        self.data(good).TrackEvent(protos["service"].TrackEventRequest(event={"identity": "a", "event": "E"}), metadata=token("good"),
                                   timeout=harness.PATIENCE)
        everything = protos["admin"].FlushRequest()
        flushes = [self.admin(self.channels[number % CONNECTIONS]).Flush.future(everything, metadata=token("bad"), timeout=harness.PATIENCE)
                   for number in range(FLUSHES)]
        wait_until(lambda: sum(flush.done() for flush in flushes) == FLUSHES - FLUSHES_OF_ONE_CALLER, "those beyond the share to be refused")
        self.assertEqual({reason_of(flush.exception()) for flush in flushes if flush.done()}, {"CALLER_SHARE"})

        def flush(caller: str) -> str:
            with self.assertRaises(grpc.RpcError) as ended:
                self.admin(good).Flush(everything, metadata=token(caller), timeout=1)
            return str(ended.exception.code())

        late = str(grpc.StatusCode.DEADLINE_EXCEEDED)
        self.assertEqual(flush("good"), late)
        for each in flushes:
            each.cancel()
        begun = time.monotonic()
        wait_until(lambda: flush("bad") == late, "the slots of the flushes that were given up")
        self.report(f"room again after {time.monotonic() - begun:.1f} s, one of which is the deadline of the flush that found it")

    def test_connections_of_one_caller_leave_others_theirs(self) -> None:
        most, others = (400, 30) if FULL else (40, 5)
        (self.folder / "few").mkdir()
        server = Server(self.folder / "few", self.heap, f"--config={harness.two_regions(self.folder)}", f"--auth={self.auth}",
                        f"--max_connections={most}")
        self.addCleanup(server.kill)
        insiders.token = "bad"
        held = []
        for _ in range(most + others):
            connection = Attacker(server.ports[0])
            self.addCleanup(connection.close)
            insiders.known_call(connection)
            wait_until(lambda: connection.drain() or bool(connection.ended), "the answer to a caller with many connections")
            held.append(connection)

        def kept() -> int:
            for each in held:
                each.drain()
            return sum(each.open for each in held)

        wait_until(lambda: kept() <= most // 4, "the connections beyond the share to be ended")
        self.assertEqual([each.open for each in held], [False] * (len(held) - most // 4) + [True] * (most // 4))
        # Connections that are there already, and new ones.
        for _ in range(others):
            channel = server.channel()
            self.addCleanup(channel.close)
            self.assertTrue(channel.unary_unary("/grpc.health.v1.Health/Check")(b"", timeout=harness.PATIENCE))
            protos["stubs"].HeapSyncServiceStub(channel).TrackEvent(
                protos["service"].TrackEventRequest(event={"identity": "a", "event": "E"}), metadata=token("good"), timeout=harness.PATIENCE)
        self.assertEqual(kept(), most // 4)


if __name__ == "__main__":
    harness.run()
