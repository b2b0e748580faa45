#!/usr/bin/env python3
"""The log: whatever callers send and whether or not it is read, it stops nothing, and each of its lines is one line of JSON."""

import concurrent.futures
import contextlib
import fcntl
import json
import os
import signal
import threading
import time
import unittest
import urllib.request
from pathlib import Path
from typing import Any

import certificates
import grpc
import harness
import raw_calls
import raw_http2
from harness import EndToEnd, FakeHeap, Server, temporary_folder, wait_until

CALLS = 2_000
# The server waits for the log a second at most; a busy machine takes longer.
STOP_BOUND = 20
HEAP_ANSWERS_500 = {"name": "down", "action": {"type": "status", "status": 500}}


class LogPipe:
    """A pipe in place of the server's log file, which is not read until read() is called."""

    def __init__(self, folder: Path) -> None:
        path = folder / "heapsync-server.log"
        os.mkfifo(path)
        self.reader = os.open(path, os.O_RDONLY | os.O_NONBLOCK)
        fcntl.fcntl(self.reader, fcntl.F_SETPIPE_SZ, 4096)
        os.set_blocking(self.reader, True)
        self.text = b""
        self.thread = threading.Thread(target=self._read)

    def read(self) -> None:
        self.thread.start()

    def _read(self) -> None:
        while part := os.read(self.reader, 1 << 16):
            self.text += part

    def lines(self) -> list[dict[str, Any]]:
        """All whole lines so far."""
        return [json.loads(line) for line in self.text.decode().split("\n")[:-1]]

    def close(self) -> None:
        if self.thread.ident is not None:
            self.thread.join(harness.PATIENCE)
        os.close(self.reader)


class UnreadLogTest(unittest.TestCase):
    def setUp(self) -> None:
        self.folder = temporary_folder(type(self))
        self.heap = FakeHeap(self.folder)
        self.addCleanup(self.heap.kill)
        self.heap.set_faults(HEAP_ANSWERS_500)
        self.pipe = LogPipe(self.folder)
        self.addCleanup(self.pipe.close)
        self.server = Server(self.folder, self.heap, f"--app_id={harness.APP_US}", "--log_level=debug", "--drain_timeout=50ms")
        self.addCleanup(self.server.kill)
        self.channel = self.server.channel()
        self.addCleanup(self.channel.close)

    def call(self, number: int) -> None:
        raw_calls.call(self.channel, "TrackEvent", raw_calls.event(f"person-{number}"), request_id=f"{number:064}")

    def dropped(self) -> int:
        with urllib.request.urlopen(self.server.http_url + "/metrics", timeout=harness.PATIENCE) as answer:
            rows = dict(line.rsplit(" ", 1) for line in answer.read().decode().splitlines() if not line.startswith("#"))
        return int(float(rows["heapsync_log_lines_dropped_total"]))

    def fill_log(self) -> None:
        """Calls until log lines are dropped."""
        with concurrent.futures.ThreadPoolExecutor(8) as pool:
            wait_until(lambda: list(pool.map(self.call, range(500))) and self.dropped() > 0, "dropped lines")

    def test_calls_succeed_and_the_dropped_lines_are_reported_once_it_is_read(self) -> None:
        with concurrent.futures.ThreadPoolExecutor(8) as pool:
            list(pool.map(self.call, range(CALLS)))
        self.fill_log()
        dropped = self.dropped()
        self.pipe.read()
        wait_until(lambda: any("dropped_lines" in line for line in self.pipe.lines()), "the report of dropped lines")
        self.assertEqual(self.server.stop(), 0)
        self.pipe.thread.join(harness.PATIENCE)
        lines = self.pipe.lines()
        self.assertGreaterEqual(sum(line.get("dropped_lines", 0) for line in lines), dropped)
        self.assertEqual(lines[-1]["message"], "stopped")
        self.assertEqual(self.pipe.text[-1:], b"\n")

    def test_the_server_stops_in_time(self) -> None:
        self.fill_log()
        began = time.monotonic()
        self.server.process.send_signal(signal.SIGTERM)
        self.assertEqual(self.server.wait(STOP_BOUND), 0)
        print(f"stopped in {time.monotonic() - began:.2f} s")


FLOOD = 20_000
REQUESTS_PER_CONNECTION = 500
REQUESTS_AT_ONCE = 50
# Of one place in gRPC's sources. The second line is the count of those that were suppressed.
MAX_LINES_PER_SECOND = 10 + 1
MAX_LINE_BYTES = 300
FORGED = b'\n{"severity":"ERROR","message":"forged"}\n\x1b[31m\x7f\xc2\x9b31m\xe2\x80\xa8\xff'
# Some that gRPC complains about, and some that it passes on or refuses in silence.
NAMES = (b"grpc-timeout", b"grpc-encoding", b"grpc-accept-encoding", b"te", b"content-type", b":status", b":scheme", b"grpc-status",
         b"grpc-retry-pushback-ms", b"grpc-previous-rpc-attempts", b"user-agent", b"authorization", b"traceparent", b"x-any", b"x-any-bin",
         b"grpc-tags-bin", b"X-Upper", b"x\n\x1b[31m", b":authority", b"host")
# It begins as a client of TLS does, so that gRPC gets it.
NO_HELLO = b"\x01" + len(FORGED * 3).to_bytes(3, "big") + FORGED * 3
GARBAGE = (FORGED * 10, b"GET / HTTP/1.1\r\nx: " + FORGED, bytes(range(256)) * 10, b"\x16\x03\x01" + FORGED,
           b"\x16\x03\x01" + len(NO_HELLO).to_bytes(2, "big") + NO_HELLO, raw_http2.PREFACE + FORGED,
           b"", b"\n", raw_http2.PREFACE + raw_http2.frame(raw_http2.HEADERS, 5, 1, b"\xff" * 100))
TRACK_EVENT = raw_calls.SERVICE + "TrackEvent"


def log_lines(server: Server) -> list[dict[str, Any]]:
    """Every whole line so far; fails if one is not JSON, or has a character that a terminal obeys."""
    text = server.log.read_bytes()
    assert all(byte == 0x0A or 0x20 <= byte <= 0x7E for byte in text), text
    lines = [json.loads(line) for line in text.split(b"\n")[:-1]]
    assert all(set(line) >= {"time", "severity", "message"} for line in lines), lines
    return lines


class ForgedLinesTest(EndToEnd):
    def tearDown(self) -> None:
        super().tearDown()
        for line in log_lines(self.server):
            self.assertNotEqual(line["message"], "forged")
            self.assertNotEqual(line["severity"], "ERROR", line)

    def lines_of(self, library: str) -> list[dict[str, Any]]:
        return [line for line in log_lines(self.server) if line["message"].startswith(library)]

    def test_no_header_can_write_a_line(self) -> None:
        for name in NAMES:
            with self.subTest(name):
                connection = raw_http2.Connection(self.server.address)
                connection.request(TRACK_EVENT, [(name, b"1" + FORGED)])
                connection.synchronize()
                connection.close()
        for path in (TRACK_EVENT + FORGED.decode(errors="replace"), "\n{}", "", "*"):
            connection = raw_http2.Connection(self.server.address)
            connection.request(path, [])
            connection.synchronize()
            connection.close()
        wait_until(lambda: self.lines_of("gRPC"), "gRPC's lines")
        self.assertNotIn("forged", self.server.output())

    def test_garbage_cannot_write_a_line(self) -> None:
        for garbage in GARBAGE:
            raw_http2.send_bytes(self.server.address, garbage)
            raw_http2.send_bytes(self.server.http_url.removeprefix("http://"), garbage)

    def test_text_that_is_not_utf_8_cannot_write_a_line(self) -> None:
        with self.server.channel() as channel:
            for _ in range(100):
                with self.assertRaises(grpc.RpcError) as refused:
                    raw_calls.call(channel, "TrackEvent", raw_calls.field(1, b"a") + raw_calls.field(3, FORGED))
                self.assertEqual(refused.exception.code(), grpc.StatusCode.INVALID_ARGUMENT)
        wait_until(lambda: self.lines_of("protobuf"), "protobuf's lines")

    def test_a_flood_makes_the_log_grow_by_a_bounded_amount(self) -> None:
        before = self.server.log.stat().st_size
        began = time.monotonic()
        sent = 0
        while sent < FLOOD:
            connection = raw_http2.Connection(self.server.address)
            # The server may end connections of strangers.
            with contextlib.suppress(ConnectionError):
                for _ in range(REQUESTS_PER_CONNECTION // REQUESTS_AT_ONCE):
                    for _ in range(REQUESTS_AT_ONCE):
                        connection.request(TRACK_EVENT, [(b"grpc-timeout", b"1" + FORGED * 10)])
                        sent += 1
                    if not connection.synchronize():
                        break
            connection.close()
        wait_until(lambda: any("held_back" in line for line in self.lines_of("gRPC")), "the count of suppressed lines")
        seconds = time.monotonic() - began
        grown = self.server.log.stat().st_size - before
        print(f"{FLOOD} requests in {seconds:.1f} s: the log grew by {grown} bytes")
        self.assertLess(grown, (seconds + 2) * MAX_LINES_PER_SECOND * MAX_LINE_BYTES)
        with self.server.channel() as channel:
            raw_calls.call(channel, "TrackEvent", raw_calls.event("innocent"))


class ForgedLinesOverTlsTest(unittest.TestCase):
    def test_garbage_cannot_write_a_line(self) -> None:
        folder = temporary_folder(type(self))
        heap = FakeHeap(folder)
        self.addCleanup(heap.kill)
        ca = certificates.new_ca(folder, "ca")
        served = certificates.new_certificate(folder, ca, "localhost", "DNS:localhost,IP:127.0.0.1")
        server = Server(folder, heap, f"--app_id={harness.APP_US}", f"--tls_cert={served.cert}", f"--tls_key={served.key}",
                        credentials=grpc.ssl_channel_credentials(ca.cert.read_bytes()))
        self.addCleanup(server.kill)
        for number in range(2_000):
            raw_http2.send_bytes(server.address, GARBAGE[number % len(GARBAGE)])
        lines = wait_until(lambda: [line for line in log_lines(server) if line["message"].startswith("gRPC")], "gRPC's lines")
        self.assertLess(len(lines), 1_000)


if __name__ == "__main__":
    harness.run()
