#!/usr/bin/env python3
"""Overloads a server with small limits: it rejects or slows the excess and serves the rest."""

import json
import queue
import resource
import socket
import subprocess
import unittest
import urllib.request
from collections import Counter
from hashlib import sha256
from typing import Any

import grpc
import harness
from harness import Binaries, FakeHeap, Server, temporary_folder, wait_until
from proto_stubs import generate_stubs

CALLS, STREAMS, CONNECTIONS = 100, 5, 30
EXHAUSTED = grpc.StatusCode.RESOURCE_EXHAUSTED

protos: dict[str, Any] = {}


def details_of(error: Any) -> dict[str, Any]:
    packed = dict(error.trailing_metadata() or ()).get("grpc-status-details-bin", b"")
    found = {}
    for detail in protos["rpc_status"].Status.FromString(packed).details:
        kind = detail.type_url.rsplit(".", 1)[1]
        module = protos["error_info"] if kind == "ErrorInfo" else protos["error_details"]
        found[kind] = getattr(module, kind)()
        detail.Unpack(found[kind])
    return found


class OverloadTest(harness.EndToEnd):
    server_flags = (f"--max_calls={CALLS}", f"--max_streams={STREAMS}", f"--max_connections={CONNECTIONS}", "--max_metadata_bytes=8192",
                    "--drain_timeout=1s")

    @classmethod
    def setUpClass(cls) -> None:
        super().setUpClass()
        protos.update(generate_stubs(cls.folder))

    def setUp(self) -> None:
        self.channel = self.server.channel()
        self.addCleanup(self.channel.close)
        self.stub = protos["stubs"].HeapSyncServiceStub(self.channel)

    def request(self, identity: str, ack_level: int = 1) -> Any:
        return protos["service"].TrackEventRequest(event={"identity": identity, "event": "E"}, ack_level=ack_level)

    def assert_refused_for_now(self, error: Any, reason: str) -> None:
        details = details_of(error)
        self.assertEqual((error.code(), details["ErrorInfo"].reason), (EXHAUSTED, reason))
        self.assertGreater(details["RetryInfo"].retry_delay.ToMilliseconds(), 0)

    def test_the_number_of_calls_that_wait_for_heap_is_limited(self) -> None:
        self.heap.set_faults({"action": {"type": "hang"}})
        self.addCleanup(self.heap.clear_faults)
        calls = [self.stub.TrackEvent.future(self.request(f"waits-{number}", 2), timeout=harness.PATIENCE) for number in range(3 * CALLS)]
        # Half of the calls may wait.
        refused = len(calls) - CALLS // 2
        wait_until(lambda: sum(call.done() for call in calls) >= refused, "the calls beyond the limit to be refused")
        for call in calls:
            if call.done():
                self.assert_refused_for_now(call.exception(), "TOO_MANY_CALLS")
        self.assertEqual(sum(call.done() for call in calls), refused)
        # Callers that do not wait for Heap are served meanwhile.
        self.assertTrue(self.answers())
        self.heap.clear_faults()
        # The request that hangs is given up after a time of its own; until then the calls wait, and end when they are cancelled.
        for call in calls:
            call.cancel()
        wait_until(lambda: self.answers(), "room for other calls")

    def answers(self) -> bool:
        try:
            self.stub.TrackEvent(self.request("another"), timeout=harness.PATIENCE)
        except grpc.RpcError as error:
            self.assertEqual(error.code(), EXHAUSTED)
            return False
        return True

    def test_the_number_of_streams_is_limited(self) -> None:
        message = protos["service"].BulkTrackEventsRequest(events=[{"identity": "a", "event": "E"}])
        waiting: list["queue.Queue[Any]"] = []
        streams = []
        for _ in range(STREAMS):
            waiting.append(queue.Queue())
            waiting[-1].put(message)
            streams.append(self.stub.BulkTrackEvents(iter(waiting[-1].get, None), timeout=harness.PATIENCE))
            self.assertEqual(next(streams[-1]).accepted, 1)
        with self.assertRaises(grpc.RpcError) as refused:
            list(self.stub.BulkTrackEvents(iter([message]), timeout=harness.PATIENCE))
        self.assert_refused_for_now(refused.exception, "TOO_MANY_CALLS")
        for messages, stream in zip(waiting, streams):
            messages.put(None)
            list(stream)
        self.assertEqual(list(self.stub.BulkTrackEvents(iter([message]), timeout=harness.PATIENCE))[-1].accepted, 1)

    def connect(self) -> socket.socket:
        host, port = self.server.address.split(":")
        connection = socket.create_connection((host, int(port)), timeout=harness.PATIENCE)
        self.addCleanup(connection.close)
        return connection

    def known_caller(self) -> grpc.Channel:
        """A channel with a connection of its own that has made a call."""
        channel = grpc.insecure_channel(self.server.address, options=[("grpc.use_local_subchannel_pool", 1)])
        self.addCleanup(channel.close)
        protos["stubs"].HeapSyncServiceStub(channel).TrackEvent(self.request("known"), timeout=harness.PATIENCE, wait_for_ready=True)
        return channel

    def test_beyond_the_limit_the_longest_idle_connection_gives_way(self) -> None:
        idle = self.known_caller()
        self.assertTrue(self.answers())
        others = [self.known_caller() for _ in range(CONNECTIONS - 2)]
        lost: list[grpc.Channel] = []
        for each in (idle, *others):
            # Only one that loses its connection leaves this state.
            each.subscribe(lambda state, each=each: lost.append(each) if state != grpc.ChannelConnectivity.READY else None)
        self.assertTrue(self.answers())
        self.assertEqual(lost, [])
        self.known_caller()
        wait_until(lambda: bool(lost), "a connection to give way")
        self.assertTrue(self.answers())
        self.assertEqual(set(lost), {idle})

    def test_strangers_give_way_to_callers(self) -> None:
        self.assertTrue(self.answers())
        strangers = [self.connect() for _ in range(2 * CONNECTIONS)]
        for stranger in strangers:
            stranger.send(b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n" + bytes([0, 0, 0, 4, 0, 0, 0, 0, 0]))
        self.known_caller()
        self.assertTrue(self.answers())

        def ended() -> int:
            count = 0
            for stranger in strangers:
                stranger.setblocking(False)
                try:
                    while data := stranger.recv(1 << 16):
                        pass
                    count += not data
                except BlockingIOError:
                    pass
                except OSError:
                    count += 1
            return count

        wait_until(lambda: ended() > CONNECTIONS, "the oldest strangers to be ended")

    def test_a_process_without_descriptors_listens_again_when_it_has_some(self) -> None:
        pid = self.server.process.pid
        before = resource.prlimit(pid, resource.RLIMIT_NOFILE)
        self.addCleanup(resource.prlimit, pid, resource.RLIMIT_NOFILE, before)
        resource.prlimit(pid, resource.RLIMIT_NOFILE, (3, before[1]))
        waiting = self.connect()
        wait_until(lambda: "cannot accept a connection" in self.server.output(), "the descriptors to be out")
        resource.prlimit(pid, resource.RLIMIT_NOFILE, before)
        with self.server.channel() as late:
            stub = protos["stubs"].HeapSyncServiceStub(late)
            stub.TrackEvent(self.request("late"), timeout=harness.PATIENCE, wait_for_ready=True)
        waiting.close()

    def test_long_metadata_is_refused_and_other_connections_stay(self) -> None:
        self.stub.TrackEvent(self.request("a"), metadata=(("x-long", "x" * 6_000),), timeout=harness.PATIENCE)
        other = grpc.insecure_channel(self.server.address, options=[("grpc.use_local_subchannel_pool", 1)])
        self.addCleanup(other.close)
        with self.assertRaises(grpc.RpcError) as refused:
            protos["stubs"].HeapSyncServiceStub(other).TrackEvent(
                self.request("a"), metadata=(("x-long", "x" * 10_000),), timeout=harness.PATIENCE)
        self.assertEqual(refused.exception.code(), EXHAUSTED)
        self.stub.TrackEvent(self.request("a"), timeout=harness.PATIENCE)

    def test_a_slow_reader_is_not_read_from_either(self) -> None:
        sent = Counter[str]()
        bad = protos["service"].BulkTrackEventsRequest(events=[{"identity": ""}] * 1_000)

        def messages() -> Any:
            for _ in range(100_000):
                sent["messages"] += 1
                yield bad

        stream = self.stub.BulkTrackEvents(messages(), timeout=harness.PATIENCE)
        last = -1

        def stopped() -> bool:
            nonlocal last
            now, before = sent["messages"], last
            last = now
            return now > 0 and now == before and self.answers()

        # Another call's time is all that passes between two looks; a sender that goes on is seen to.
        wait_until(lambda: all(stopped() for _ in range(20)), "the sender to be held up")
        self.assertLess(sent["messages"], 10_000)
        stream.cancel()


class CallerShareTest(unittest.TestCase):
    """Callers that are told apart by their tokens; half of everything is for one of them."""

    STREAMS, WAITS = 8, 8

    def setUp(self) -> None:
        self.folder = temporary_folder(type(self))
        if not protos:
            protos.update(generate_stubs(self.folder))
        self.heap = FakeHeap(self.folder)
        self.addCleanup(self.heap.kill)
        names = ("bad", "good", "third")
        auth = self.folder / "callers.json"
        auth.write_text(json.dumps({"callers": [{"name": each, "token_sha256": [sha256(each.encode()).hexdigest()]} for each in names]}))
        self.server = Server(self.folder, self.heap, f"--config={harness.two_regions(self.folder)}", f"--auth={auth}",
                             f"--max_streams={self.STREAMS}", f"--max_calls={2 * self.WAITS}", "--max_caller_share=50",
                             "--silent_stream_time=1s", "--drain_timeout=1s")
        self.addCleanup(self.server.kill)
        channel = self.server.channel()
        self.addCleanup(channel.close)
        self.stub = protos["stubs"].HeapSyncServiceStub(channel)
        self.message = protos["service"].BulkTrackEventsRequest(events=[{"identity": "a", "event": "E"}])

    def metadata(self, caller: str) -> tuple[tuple[str, str], ...]:
        return (("authorization", f"Bearer {caller}"),)

    def open(self, caller: str) -> Any:
        """A stream that had one message, and is silent from then on."""
        messages: "queue.Queue[Any]" = queue.Queue()
        self.addCleanup(messages.put, None)
        messages.put(self.message)
        stream = self.stub.BulkTrackEvents(iter(messages.get, None), metadata=self.metadata(caller), timeout=harness.PATIENCE)
        self.assertEqual(next(stream).accepted, 1)
        return stream

    def refusal(self, caller: str) -> str:
        with self.assertRaises(grpc.RpcError) as refused:
            self.open(caller)
        details = details_of(refused.exception)
        self.assertEqual(refused.exception.code(), EXHAUSTED)
        self.assertGreater(details["RetryInfo"].retry_delay.ToMilliseconds(), 0)
        return str(details["ErrorInfo"].reason)

    def test_silent_streams_of_one_caller_leave_others_their_places_and_give_them_up(self) -> None:
        bad = [self.open("bad") for _ in range(self.STREAMS // 2)]
        self.assertEqual(self.refusal("bad"), "CALLER_SHARE")
        good = [self.open("good") for _ in range(self.STREAMS // 2)]
        self.assertEqual(self.refusal("third"), "TOO_MANY_CALLS")

        def opened() -> bool:
            try:
                self.open("third")
            except grpc.RpcError:
                return False
            return True

        wait_until(opened, "the place of a silent stream")
        with self.assertRaises(grpc.RpcError) as ended:
            list(bad[0])
        self.assertEqual((ended.exception.code(), details_of(ended.exception)["ErrorInfo"].reason),
                         (grpc.StatusCode.UNAVAILABLE, "STREAM_SILENT"))
        self.assertTrue(all(not stream.done() for stream in bad[1:] + good))
        page = urllib.request.urlopen(self.server.http_url + "/metrics", timeout=harness.PATIENCE).read().decode()
        for line in ('heapsync_calls_without_slot_total{kind="stream",reason="caller_share"} 1\n', "heapsync_silent_streams_ended_total 1\n"):
            self.assertIn(line, page)

    def test_calls_of_one_caller_that_wait_for_heap_leave_others_their_places(self) -> None:
        self.heap.set_faults({"action": {"type": "hang"}})

        def waits(caller: str) -> Any:
            request = protos["service"].TrackEventRequest(event={"identity": "a", "event": "E"}, ack_level=2)
            return self.stub.TrackEvent.future(request, metadata=self.metadata(caller), timeout=harness.PATIENCE)

        calls = [waits("bad") for _ in range(self.WAITS)]
        wait_until(lambda: sum(call.done() for call in calls) == self.WAITS // 2, "the calls beyond the share to be refused")
        for call in calls:
            if call.done():
                self.assertEqual(details_of(call.exception())["ErrorInfo"].reason, "CALLER_SHARE")
        others = [waits("good") for _ in range(self.WAITS // 2)]
        self.heap.clear_faults()
        for call in calls + others:
            call.cancel()


class ConnectionAgeTest(unittest.TestCase):
    def test_an_import_survives_connections_that_end_and_doubles_nothing(self) -> None:
        rows = 400_000  # many times as long as a connection lives
        folder = temporary_folder(type(self))
        heap = FakeHeap(folder)
        self.addCleanup(heap.kill)
        config = harness.two_regions(folder, {"events_per_minute": 0, "events_per_identity_per_minute": 0})
        server = Server(folder, heap, f"--config={config}", "--max_connection_age=100ms", "--max_connection_age_grace=20ms")
        self.addCleanup(server.kill)
        table = folder / "events.csv"
        table.write_text("identity,event\n" + "".join(f"person-{row % 1000},Seen\n" for row in range(rows)))
        done = subprocess.run([str(Binaries.cli), "import", "--type=track", f"--server={server.address}", "--json", str(table)],
                              capture_output=True, text=True, timeout=3 * harness.PATIENCE)
        self.assertEqual(done.returncode, 0, done.stderr)
        summary = json.loads(done.stdout)
        self.assertGreater(summary["reconnects"], 0)
        wait_until(lambda: heap.count("events", "appended") >= rows, "every row at Heap")
        # Rows that were sent again over the next connection have the keys that they had.
        self.assertEqual(heap.count("events", "appended"), rows)


if __name__ == "__main__":
    harness.run()
