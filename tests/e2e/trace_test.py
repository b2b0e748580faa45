#!/usr/bin/env python3
"""A caller's trace goes through: into the log lines of its call and of the requests to Heap, and into those requests."""

import json
import unittest
from typing import Any

import grpc
import harness
import raw_calls
from harness import EndToEnd, FakeHeap, Server, temporary_folder, two_regions, wait_until

TRACE = "0af7651916cd43dd8448eb211c80319c"
PARENT = "b7ad6b7169203331"
SECRET = "somebody.private@example.com"


def track(server: Server, identity: str, metadata: list[tuple[str, str]], request_id: str = "") -> None:
    with grpc.insecure_channel(server.address) as channel:
        raw_calls.call(channel, "TrackEvent", raw_calls.event(identity), request_id=request_id, metadata=metadata)


def lines(server: Server, message: str) -> list[dict[str, Any]]:
    found = []
    for line in server.output().splitlines():
        record = json.loads(line)  # each line is one object, whatever the level
        if record["message"] == message:
            found.append(record)
    return found


def traceparents(heap: FakeHeap) -> list[str]:
    sent = []
    for request in heap.get("requests", limit="1000")["requests"]:
        for name, text in request["headers"].items():
            if name.lower() == "traceparent":
                sent.append(text)
    return sent


class TraceTest(EndToEnd):
    server_flags = ("--log_level=debug", "--send_traceparent")

    def delivered(self, identity: str) -> None:
        wait_until(lambda: self.heap.events_of(identity), f"{identity} at Heap")

    def test_goes_into_the_request_and_the_log_lines(self) -> None:
        track(self.server, "traced", [("traceparent", f"00-{TRACE}-{PARENT}-01")], request_id="order-17")
        self.delivered("traced")
        sent = traceparents(self.heap)
        self.assertEqual(len(sent), 1)
        version, trace_id, span_id, flags = sent[0].split("-")
        self.assertEqual((version, trace_id, flags), ("00", TRACE, "01"))
        self.assertNotIn(span_id, (PARENT, "0" * 16))
        attempts = wait_until(lambda: [line for line in lines(self.server, "attempt ended") if line["trace_id"] == TRACE],
                              "the attempt's line")
        self.assertEqual([line["span_id"] for line in attempts], [span_id])
        self.assertTrue(attempts[0]["batch"])
        calls = [line for line in lines(self.server, "call ended") if line["trace_id"] == TRACE]
        self.assertEqual([(line["request_id"], line["items"], line["code"]) for line in calls], [("order-17", 1, 0)])
        self.assertTrue(calls[0]["receipt"].startswith("r1."))

    def test_what_is_no_traceparent_is_left_out(self) -> None:
        for number, bad in enumerate(("00-" + "0" * 32 + f"-{PARENT}-01", f"00-{TRACE.upper()}-{PARENT}-01", "x" * 4000, "")):
            track(self.server, f"bad-{number}", [("traceparent", bad)])
            self.delivered(f"bad-{number}")
        track(self.server, "twice", [("traceparent", f"00-{'1' * 32}-{PARENT}-01")] * 2)
        self.delivered("twice")
        self.assertEqual([text for text in traceparents(self.heap) if TRACE not in text], [])

    def test_no_line_shows_who_it_was_about(self) -> None:
        track(self.server, SECRET, [], request_id=SECRET)
        self.delivered(SECRET)
        wait_until(lambda: lines(self.server, "call ended"), "the call's line")
        self.assertNotIn("private", self.server.output())


class DefaultTest(unittest.TestCase):
    def test_heap_learns_no_trace(self) -> None:
        folder = temporary_folder(type(self))
        heap = FakeHeap(folder)
        self.addCleanup(heap.kill)
        server = Server(folder, heap, f"--config={two_regions(folder)}", "--log_level=debug")
        self.addCleanup(server.kill)
        track(server, "quiet", [("traceparent", f"00-{TRACE}-{PARENT}-01")])
        wait_until(lambda: heap.events_of("quiet"), "the event at Heap")
        self.assertEqual(traceparents(heap), [])
        wait_until(lambda: [line for line in lines(server, "attempt ended") if line["trace_id"] == TRACE], "the attempt's line")


if __name__ == "__main__":
    harness.run()
