"""An HTTP/2 client that sends what no client library would: header values of any bytes, and bytes that are no HTTP/2 at all."""

import socket
import struct

import harness

PREFACE = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"
HEADERS, SETTINGS, PING = 1, 4, 6
END_STREAM, ACK, END_HEADERS = 1, 1, 4
FRAME_HEADER = 9


def frame(kind: int, flags: int, stream: int, payload: bytes = b"") -> bytes:
    return struct.pack(">I", len(payload))[1:] + struct.pack(">BBI", kind, flags, stream) + payload


def _text(text: bytes) -> bytes:
    """A string of HPACK, not Huffman coded, after a prefix of seven bits."""
    if len(text) < 127:
        return bytes([len(text)]) + text
    rest = len(text) - 127
    digits = bytearray([127])
    while rest > 127:
        digits.append(rest & 127 | 128)
        rest >>= 7
    digits.append(rest)
    return bytes(digits) + text


def header_block(path: str, metadata: list[tuple[bytes, bytes]]) -> bytes:
    """The request headers of a gRPC call, none of them indexed."""
    fields = [(b":method", b"POST"), (b":scheme", b"http"), (b":path", path.encode()), (b":authority", b"localhost"),
              (b"te", b"trailers"), (b"content-type", b"application/grpc"), *metadata]
    return b"".join(b"\x00" + _text(name) + _text(value) for name, value in fields)


class Connection:
    """Sends requests without a body, and reads what comes back without understanding it."""

    def __init__(self, address: str) -> None:
        host, port = address.rsplit(":", 1)
        self.socket = socket.create_connection((host, int(port)), timeout=harness.PATIENCE)
        self.socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self.socket.sendall(PREFACE + frame(SETTINGS, 0, 0))
        self.stream = 1
        self.received = b""

    def request(self, path: str, metadata: list[tuple[bytes, bytes]]) -> None:
        self.socket.sendall(frame(HEADERS, END_STREAM | END_HEADERS, self.stream, header_block(path, metadata)))
        self.stream += 2

    def synchronize(self) -> bool:
        """Waits until the server has read everything; returns false if it closed the connection."""
        try:
            self.socket.sendall(frame(PING, 0, 0, b"askreply"))
            reply = frame(PING, ACK, 0, b"askreply")
            while reply not in self.received:
                part = self.socket.recv(1 << 16)
                if not part:
                    return False
                self.received += part
            self.received = b""
        except OSError as error:
            if isinstance(error, TimeoutError):
                raise
            return False
        return True

    def close(self) -> None:
        self.socket.close()


def send_bytes(address: str, content: bytes) -> None:
    """Sends `content` over a connection of its own and reads until the server closes it."""
    host, port = address.rsplit(":", 1)
    with socket.create_connection((host, int(port)), timeout=harness.PATIENCE) as connection:
        try:
            connection.sendall(content)
            connection.shutdown(socket.SHUT_WR)
            while connection.recv(1 << 16):
                pass
        except (ConnectionResetError, BrokenPipeError):
            pass
