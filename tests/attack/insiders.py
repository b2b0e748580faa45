"""What a caller with credentials can do to a server and to its other callers, in raw HTTP/2 frames.

Each attack runs in a process of its own, so that it does not slow the caller that is measured. Only for servers on this machine: it
connects to loopback and nowhere else.

    insiders.py PORT ATTACK SECONDS TOKEN [RECEIPT]
"""

import struct
import sys
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor

from http2_caller import Connection, grpc_frame
from outsiders import (BULK, DATA, FIRST_WINDOW, LARGEST_WINDOW, MAX_FRAME, UNARY, WATCH, WINDOW_UPDATE, Attacker, frame, hold, literal,
                       withheld)

MESSAGE = (4 << 20) - 64
USERS = "/heapsync.v1.HeapSyncService/BulkUserProperties"
ADMIN = "/heapsync.v1.HeapSyncAdminService/"
REFLECTION = "/grpc.reflection.v1.ServerReflection/ServerReflectionInfo"

token = ""


def known() -> bytes:
    return literal("authorization", f"Bearer {token}")


def varint(number: int) -> bytes:
    digits = bytearray()
    while number > 0x7F:
        digits.append(number & 0x7F | 0x80)
        number >>= 7
    digits.append(number)
    return bytes(digits)


def field(number: int, content: bytes | str) -> bytes:
    data = content.encode() if isinstance(content, str) else content
    return varint(number << 3 | 2) + varint(len(data)) + data


def repeated(part: bytes, size: int = MESSAGE) -> bytes:
    return part * (size // len(part))


def events(item: bytes, size: int = MESSAGE) -> bytes:
    return repeated(field(6, item), size)


def event(identity: str, properties: bytes = b"") -> bytes:
    return field(1, identity) + field(3, "Attacked") + (field(5, properties) if properties else b"")


def entry(key: str, value: bytes) -> bytes:
    """One entry of a Struct."""
    return field(1, field(1, key) + field(2, value))


# 55 values without a kind in some 400 bytes.
FAULTY = event("x", b"".join(entry(chr(65 + number // 8) + str(number % 8), b"") for number in range(55)))


class Caller(Attacker):
    """A known caller's connection. Answers are read and dropped, or with a window of 0 not sent."""

    def __init__(self, port: int, window: int = LARGEST_WINDOW) -> None:
        super().__init__(port, window)
        if window:
            self.send(frame(WINDOW_UPDATE, 0, 0, struct.pack(">I", LARGEST_WINDOW - FIRST_WINDOW)))

    def call(self, path: str) -> int:
        self.streams(path, 1, more=known())
        return self.stream

    def send_message(self, stream: int, message: bytes, deadline: float) -> bool:
        """False: the windows stay closed until the deadline, or the server has ended the call or the connection."""
        data = memoryview(struct.pack(">BI", 0, len(message)) + message)
        while data and self.open and stream not in self.ended:
            window = min(self.windows.get(stream, self.first_window), self.windows[0], MAX_FRAME, len(data))
            if window > 0:
                self.windows[stream] = self.windows.get(stream, self.first_window) - window
                self.windows[0] -= window
                self.send(frame(DATA, 0, stream, bytes(data[:window])))
                data = data[window:]
            elif time.monotonic() > deadline:
                return False
            else:
                time.sleep(0.001)
            self.drain()
        return not data

    def flood(self, path: str, message: bytes, deadline: float) -> int:
        """Sends the message until the deadline, on a new call when one has ended. The number of messages sent."""
        stream, sent = self.call(path), 0
        while time.monotonic() < deadline and self.open:
            if self.send_message(stream, message, deadline):
                sent += 1
            elif stream in self.ended:
                self.ended.clear()
                stream = self.call(path)
        return sent


def flood(port: int, seconds: float, message: bytes, path: str = BULK, connections: int = 8, window: int = LARGEST_WINDOW) -> dict[str, int]:
    """The same message again and again, on one call at a time of each connection."""
    deadline = time.monotonic() + seconds
    callers = [Caller(port, window) for _ in range(connections)]
    with ThreadPoolExecutor(connections) as pool:
        sent = sum(pool.map(lambda caller: caller.flood(path, message, deadline), callers))
    kept = sum(caller.open for caller in callers)
    for caller in callers:
        caller.close()
    return {"messages": sent, "connections": connections, "kept": kept}


def unread(port: int, seconds: float, message: bytes, connections: int) -> dict[str, int]:
    """A flood whose answers are never read."""
    return flood(port, seconds, message, BULK, connections, window=0)


def asked(port: int, seconds: float, requests: Iterator[tuple[str, bytes]], connections: int = 4, at_once: int = 25) -> dict[str, int]:
    """Calls, `at_once` on each connection; the next when they are answered."""
    deadline, calls, refused = time.monotonic() + seconds, 0, 0
    callers = [Connection(port) for _ in range(connections)]
    while time.monotonic() < deadline:
        streams = []
        for caller in callers:
            for _ in range(at_once):
                path, message = next(requests)
                stream = caller.open(path, ("authorization", f"Bearer {token}"))
                caller.send(stream, grpc_frame(message))
                streams.append((caller, stream))
        for caller, stream in streams:
            calls += 1
            refused += caller.wait(stream).code != 0
    for caller in callers:
        caller.close()
    return {"calls": calls, "refused": refused}


def forever(path: str, message: bytes) -> Iterator[tuple[str, bytes]]:
    while True:
        yield path, message


def filters() -> Iterator[tuple[str, bytes]]:
    """Dead letters since ever newer moments: none fits."""
    second = 4_000_000_000
    while True:
        second += 1
        yield ADMIN + "ListDeadLetters", field(1, field(4, b"\x08" + varint(second)))


def nested(depth: int) -> bytes:
    value = b""
    for _ in range(depth):
        value = field(6, field(1, value))
    return value


Attack = Callable[[int, float], dict[str, int]]

ATTACKS: dict[str, Attack] = {
    "bad_bytes": lambda port, seconds: flood(port, seconds, events(b"\xff")),
    "empty_items": lambda port, seconds: flood(port, seconds, events(b"")),
    "empty_users": lambda port, seconds: flood(port, seconds, events(b""), USERS),
    "unknown_fields": lambda port, seconds: flood(port, seconds, repeated(b"\xa0\x06\x01")),
    "empty_values": lambda port, seconds: flood(
        port, seconds, field(6, event("x", entry("list", field(6, repeated(b"\x0a\x00", MESSAGE - 128)))))),
    "many_keys": lambda port, seconds: flood(
        port, seconds, field(6, event("x", b"".join(entry(f"{number:05x}", b"") for number in range(260_000))))),
    "nested_values": lambda port, seconds: flood(port, seconds, events(event("x", entry("deep", nested(30))))),
    "faults": lambda port, seconds: flood(port, seconds, events(FAULTY)),
    "faults_unread": lambda port, seconds: unread(port, seconds, events(FAULTY), 40),
    "bad_items_unread": lambda port, seconds: unread(port, seconds, events(b"\x0a\x01\xff", 60_000), 200),
    "withheld_messages": lambda port, seconds: withheld(port, seconds, first=known_call),
    "withheld_bulk": lambda port, seconds: withheld(port, seconds, path=BULK, more=known()),
    "silent_streams": lambda port, seconds: hold(port, seconds, 100, lambda attacker: attacker.streams(BULK, 100, more=known())),
    "unread_unary": lambda port, seconds: hold(
        port, seconds, 100, lambda attacker: attacker.streams(UNARY, 100, after=whole_event, more=known()), window=0),
    "watches": lambda port, seconds: hold(port, seconds, 100, lambda attacker: attacker.streams(WATCH, 100, after=whole_empty)),
    "receipts": lambda port, seconds: asked(
        port, seconds, forever(ADMIN + "GetDelivery", field(1, sys.argv[5]) + b"\x10" + varint(1_000))),
    "filters": lambda port, seconds: asked(port, seconds, filters()),
    "listings": lambda port, seconds: asked(port, seconds, forever(ADMIN + "ListDestinations", b"\x08" + varint(1_000))),
    "long_receipts": lambda port, seconds: asked(port, seconds, forever(ADMIN + "GetDelivery", field(1, "r1." + "A" * (3 << 20))), 2, 2),
    "page_tokens": lambda port, seconds: asked(port, seconds, forever(ADMIN + "ListDeadLetters", field(3, "0" * (3 << 20))), 2, 2),
    "many_ids": lambda port, seconds: asked(
        port, seconds, forever(ADMIN + "ListDeadLetters", field(1, b"".join(field(7, f"x{number}") for number in range(200_000)))), 2, 2),
    "reflection": lambda port, seconds: flood(port, seconds, repeated(b"\x3a\x00"), REFLECTION),
}


def known_call(attacker: Attacker) -> None:
    """One call that is admitted, after which the connection is no stranger's."""
    attacker.streams(UNARY, 1, after=whole_event, more=known())


def whole(stream: int, message: bytes) -> bytes:
    return frame(DATA, 1, stream, struct.pack(">BI", 0, len(message)) + message)


def whole_event(stream: int) -> bytes:
    return whole(stream, field(5, event("attacker")))


def whole_empty(stream: int) -> bytes:
    return whole(stream, b"")


if __name__ == "__main__":
    token = sys.argv[4]
    print(ATTACKS[sys.argv[2]](int(sys.argv[1]), float(sys.argv[3])))
