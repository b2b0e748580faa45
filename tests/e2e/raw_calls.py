"""Calls of the data service by hand-made bytes, for tests that need no generated code."""

import grpc
import harness

SERVICE = "/heapsync.v1.HeapSyncService/"


def _length(number: int) -> bytes:
    digits = bytearray()
    while number > 0x7F:
        digits.append(number & 0x7F | 0x80)
        number >>= 7
    digits.append(number)
    return bytes(digits)


def field(number: int, content: bytes) -> bytes:
    """A length-delimited field of a protobuf message."""
    return bytes([number << 3 | 2]) + _length(len(content)) + content


def event(identity: str, name: str = "Something Happened") -> bytes:
    return field(1, identity.encode()) + field(3, name.encode())


def user(identity: str, key: str, text: str) -> bytes:
    value = field(3, text.encode())
    properties = field(1, field(1, key.encode()) + field(2, value))
    return field(1, identity.encode()) + field(3, properties)


def call(channel: grpc.Channel, method: str, item: bytes, destination: str = "", request_id: str = "",
         metadata: list[tuple[str, str]] | None = None) -> bytes:
    """A unary call of the data service; its item stands in field 5."""
    request = field(1, destination.encode()) + field(3, request_id.encode()) + field(5, item)
    answer = channel.unary_unary(SERVICE + method)(request, timeout=harness.PATIENCE, metadata=metadata or [])
    return bytes(answer)
