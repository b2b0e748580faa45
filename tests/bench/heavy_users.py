#!/usr/bin/env python3
"""Measures honest users that are many or patient, which no defence may hurt.

    cmake --build --preset release && /usr/bin/python3 tests/bench/heavy_users.py [--seconds 30] [--rest 180] [clients] [connections] [streams]

clients: 2,000 clients of 1,000 callers (a file of --auth has no more), a connection each, that connect within seconds and then send an event a
second.
connections: 10,000 connections of ten callers with an event every ten seconds on each.
streams: 500 bulk streams on 50 connections that send a message, rest, and send another.

All speak raw HTTP/2 from one thread, which shares the cores with the server: its own work is a part of every latency. The server's limits
are the defaults, but --max_connections for the 10,000; each of the other rows fits into them. The server needs two descriptors for each
connection; where they are bounded, there are fewer connections. Prints a table; ends with 1 if a call failed or a connection was ended.
"""

import argparse
import heapq
import json
import os
import resource
import selectors
import socket
import struct
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from hashlib import sha256
from pathlib import Path
from tempfile import TemporaryDirectory

TESTS = Path(__file__).resolve().parents[1]
sys.path[:0] = [str(TESTS / "e2e"), str(TESTS / "attack")]

import harness
from harness import SOURCE, Binaries, FakeHeap, Server
from insiders import event, field
from outsiders import (BULK, DATA, END_HEADERS, END_STREAM, HEADERS, LOOPBACK, PING, PREFACE, RST_STREAM, SETTINGS, UNARY, WINDOW_UPDATE, frame,
                       literal, request, settings)

ACK = 1
GOAWAY = 7
FLAGS = {"connections": ("--max_connections=12000",)}
MAX_CALLERS = 1_000
CONNECTIONS = 10_000
OTHER_FILES = 200
# No connection has to read as much in all.
WINDOW = 1 << 30


def message(content: bytes) -> bytes:
    return struct.pack(">BI", 0, len(content)) + content


class User:
    """One connection, which reads whenever something comes."""

    def __init__(self, port: int, caller: str) -> None:
        self.socket = socket.create_connection((LOOPBACK, port), timeout=30)
        self.socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self.caller = caller
        self.received = bytearray()
        self.stream = -1
        self.waiting: dict[int, float] = {}  # the times at which messages were sent, by stream
        self.answered: list[float] = []
        self.connected: list[float] = []  # the first of them
        self.ended = 0  # streams of which this did not expect it, and calls that failed
        self.open = True
        self.socket.sendall(PREFACE + settings(window=WINDOW) + frame(WINDOW_UPDATE, 0, 0, struct.pack(">I", WINDOW)))

    def call(self, path: str, content: bytes, end: bool) -> int:
        self.stream += 2
        head = request(path) + literal("authorization", f"Bearer {self.caller}")
        self.waiting[self.stream] = time.monotonic()
        self.send(frame(HEADERS, END_HEADERS, self.stream, head) + frame(DATA, END_STREAM if end else 0, self.stream, message(content)))
        return self.stream

    def send(self, data: bytes) -> None:
        try:
            self.socket.sendall(data)
        except OSError:
            self.open = False

    def go_on(self, stream: int, content: bytes) -> None:
        self.waiting[stream] = time.monotonic()
        self.send(frame(DATA, 0, stream, message(content)))

    def read(self) -> None:
        try:
            data = self.socket.recv(1 << 16)
            self.received += data
            self.open = bool(data) and self._take_frames()
        except OSError:
            self.open = False

    def _take_frames(self) -> bool:
        """False: the server leaves."""
        while len(self.received) >= 9 and len(self.received) >= 9 + (length := int.from_bytes(self.received[:3], "big")):
            kind, flags, stream = struct.unpack(">BBI", self.received[3:9])
            payload = bytes(self.received[9:9 + length])
            del self.received[:9 + length]
            if kind == DATA and stream in self.waiting:
                self.answered.append(time.monotonic() - self.waiting.pop(stream))
            elif kind == RST_STREAM or (kind == HEADERS and flags & END_STREAM and stream in self.waiting):
                # An end before the answer.
                self.waiting.pop(stream, None)
                self.ended += 1
            elif kind == SETTINGS and not flags:
                self.send(frame(SETTINGS, ACK, 0, b""))
            elif kind == PING and not flags:
                self.send(frame(PING, ACK, 0, payload))
            elif kind == GOAWAY:
                return False
        return True


class Users:
    def __init__(self, port: int) -> None:
        self.port = port
        self.selector = selectors.DefaultSelector()
        self.users: list[User] = []

    def add(self, caller: str) -> User:
        user = User(self.port, caller)
        self.selector.register(user.socket, selectors.EVENT_READ, user)
        self.users.append(user)
        return user

    def read(self, seconds: float) -> None:
        for key, _ in self.selector.select(max(0.0, seconds)):
            key.data.read()
            if not key.data.open:
                self.selector.unregister(key.fileobj)

    def read_until(self, moment: float) -> None:
        while (left := moment - time.monotonic()) > 0:
            self.read(left)

    def wait_for_answers(self, seconds: float = 30) -> None:
        end = time.monotonic() + seconds
        while any(user.waiting for user in self.users if user.open) and time.monotonic() < end:
            self.read(0.1)

    def connect(self) -> None:
        """Waits for the first answers."""
        self.wait_for_answers()
        for user in self.users:
            user.connected, user.answered = user.answered, []

    def close(self) -> None:
        for user in self.users:
            user.socket.close()


def singles(users: Users, callers: list[str], count: int, period: float, seconds: float) -> None:
    """`count` connections in turn of the callers, with an event every `period` on each."""
    content = field(5, event("heavy"))
    for number in range(count):
        users.add(callers[number % len(callers)]).call(UNARY, content, True)
        users.read(0)
    users.connect()
    end = time.monotonic() + seconds
    due = [(time.monotonic() + period * number / count, number) for number in range(count)]
    while due[0][0] < end:
        moment, number = due[0]
        users.read_until(moment)
        user = users.users[number]
        if user.open:
            user.call(UNARY, content, True)
        users.read(0)
        heapq.heapreplace(due, (moment + period, number))
    users.wait_for_answers()


def streams(users: Users, callers: list[str], rest: float) -> None:
    content = field(6, event("patient")) * 10
    begun = []
    for number in range(50):
        user = users.add(callers[number % len(callers)])
        begun += [(user, user.call(BULK, content, False)) for _ in range(10)]
    users.connect()
    users.read_until(time.monotonic() + rest)
    for user, stream in begun:
        if user.open:
            user.go_on(stream, content)
    users.wait_for_answers()


def status(server: Server, name: str) -> int:
    return int(next(line for line in Path(f"/proc/{server.process.pid}/status").read_text().splitlines() if line.startswith(f"{name}:")).split()[1])


def cpu_seconds(server: Server) -> float:
    user, system = Path(f"/proc/{server.process.pid}/stat").read_text().rpartition(")")[2].split()[11:13]
    return (int(user) + int(system)) / os.sysconf("SC_CLK_TCK")


@contextmanager
def server_for(kind: str, callers: list[str]) -> Iterator[Server]:
    with TemporaryDirectory(prefix="heapsync-heavy-") as name:
        folder = Path(name)
        auth = folder / "callers.json"
        auth.write_text(json.dumps({"callers": [{"name": each, "token_sha256": [sha256(each.encode()).hexdigest()]} for each in callers]}))
        heap = FakeHeap(folder)
        server = Server(folder, heap, f"--auth={auth}", "--allow_plaintext", f"--app_id={harness.APP_US}", *FLAGS.get(kind, ()))
        try:
            yield server
        finally:
            server.kill()
            heap.kill()


def points(times: list[float]) -> str:
    """p50, p99 and the longest in ms of times in order."""
    return " / ".join(f"{1_000 * times[min(len(times) - 1, int(part * len(times)))]:.0f}" for part in (0.5, 0.99, 1)) if times else "-"


def measure(kind: str, seconds: float, rest: float) -> bool:
    callers = [f"caller-{number}" for number in range(MAX_CALLERS if kind == "clients" else 10)]
    with server_for(kind, callers) as server:
        users = Users(server.ports[0])
        began, used = time.monotonic(), cpu_seconds(server)
        if kind == "clients":
            singles(users, callers, 2_000, 1, seconds)
        elif kind == "connections":
            files = resource.getrlimit(resource.RLIMIT_NOFILE)[0]
            singles(users, callers, min(CONNECTIONS, (files - OTHER_FILES) // 2), 10, seconds)
        else:
            streams(users, callers, rest)
        cores = (cpu_seconds(server) - used) / (time.monotonic() - began)
        first = sorted(each for user in users.users for each in user.connected)
        later = sorted(each for user in users.users for each in user.answered)
        failed = sum(user.ended + len(user.waiting) for user in users.users)
        closed = sum(not user.open for user in users.users)
        users.close()
        name = "500 streams" if kind == "streams" else f"{len(users.users):,} {kind}"
        print(f"| {name} | {len(first) + len(later):,} | {failed} | {closed} | {points(first)} | {points(later)} "
              f"| {status(server, 'VmHWM') >> 10} | {cores:.2f} |", flush=True)
        return failed == 0 and closed == 0


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    release = SOURCE / "build/release"
    parser.add_argument("--server", type=Path, default=release / "server/heapsync-server")
    parser.add_argument("--fake-heap", type=Path, default=release / "tests/fake_heap/fake-heap")
    parser.add_argument("--seconds", type=float, default=30)
    parser.add_argument("--rest", type=float, default=180, help="seconds for which the streams rest")
    parser.add_argument("kinds", nargs="*", metavar="kind", help="clients, connections, streams; all of them if none is named")
    arguments = parser.parse_args()
    Binaries.server, Binaries.fake_heap = arguments.server, arguments.fake_heap
    kinds = ("clients", "connections", "streams")
    if unknown := set(arguments.kinds) - set(kinds):
        parser.error(f"there is no {', '.join(unknown)}")
    hard = resource.getrlimit(resource.RLIMIT_NOFILE)[1]
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
    print("| users | answers | failed | connections lost | first answers: p50 / p99 / max, ms | later ones | memory, MiB | server's cores |")
    print("|---|---|---|---|---|---|---|---|")
    held = [measure(kind, arguments.seconds, arguments.rest) for kind in arguments.kinds or kinds]
    return 0 if all(held) else 1


if __name__ == "__main__":
    sys.exit(main())
