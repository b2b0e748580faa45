#!/usr/bin/env python3
"""The log: whatever callers send and whether or not it is read, it stops nothing, and each of its lines is one line of JSON."""

import concurrent.futures
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

import harness
import raw_calls
from harness import FakeHeap, Server, temporary_folder, wait_until

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


if __name__ == "__main__":
    harness.run()
