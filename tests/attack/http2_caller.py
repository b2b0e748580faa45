"""A caller that speaks HTTP/2 itself, so that it can send what no gRPC library would.

Only for servers on this machine: it connects to loopback and nowhere else.
"""

import socket
import struct
import time
import zlib
from dataclasses import dataclass, field

import h2.config
import h2.connection
import h2.errors
import h2.events
import h2.exceptions
import h2.settings

LOOPBACK = "127.0.0.1"


def grpc_frame(message: bytes, compressed: bool = False) -> bytes:
    """A message with gRPC's prefix of five bytes."""
    return struct.pack(">BI", compressed, len(message)) + message


def bomb(inflated_bytes: int, encoding: str = "gzip") -> bytes:
    """`inflated_bytes` zeros, compressed to about a thousandth."""
    wbits = {"gzip": 31, "deflate": 15}[encoding]
    packer = zlib.compressobj(9, zlib.DEFLATED, wbits)
    block = bytes(1 << 20)
    parts = [packer.compress(block) for _ in range(inflated_bytes >> 20)]
    return b"".join([*parts, packer.flush()])


@dataclass
class Reply:
    """What the server sent on one stream."""

    headers: dict[str, str] = field(default_factory=dict)
    body: bytearray = field(default_factory=bytearray)
    ended: bool = False
    reset: bool = False

    @property
    def code(self) -> int | None:
        """gRPC's status code; None before the end, and after an end without one."""
        code = self.headers.get("grpc-status")
        return None if code is None else int(code)

    @property
    def message(self) -> str:
        return self.headers.get("grpc-message", "")


class Connection:
    """One HTTP/2 connection in plaintext. One thread."""

    def __init__(self, port: int, patience: float = 60.0) -> None:
        self.patience = patience
        self.socket = socket.create_connection((LOOPBACK, port), timeout=patience)
        self.socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self.http2 = h2.connection.H2Connection(h2.config.H2Configuration(client_side=True, validate_outbound_headers=False))
        self.replies: dict[int, Reply] = {}
        self.closed = False
        self.http2.initiate_connection()
        self.flush()

    def __enter__(self) -> "Connection":
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        self.closed = True
        self.socket.close()

    def flush(self) -> None:
        """Sends what waits. A connection that the server has closed is `closed` afterwards."""
        try:
            self.socket.sendall(self.http2.data_to_send())
        except OSError:
            self.closed = True

    def open(self, path: str, *metadata: tuple[str, str], end: bool = False) -> int:
        """Opens a call; the number of its stream."""
        stream = self.http2.get_next_available_stream_id()
        self.replies[stream] = Reply()
        self.http2.send_headers(stream, [
            (":method", "POST"), (":scheme", "http"), (":path", path), (":authority", LOOPBACK), ("te", "trailers"),
            ("content-type", "application/grpc"), *metadata
        ], end_stream=end)
        return stream

    def send(self, stream: int, data: bytes, end: bool = True) -> None:
        """Sends as fast as the server's windows allow; less if it ends the stream."""
        start = 0
        while start < len(data) and not self.closed and not self.replies[stream].ended:
            try:
                window = min(self.http2.local_flow_control_window(stream), self.http2.max_outbound_frame_size)
            except h2.exceptions.ProtocolError:
                return
            if window <= 0:
                self.flush()
                self.receive()
                continue
            part = data[start:start + window]
            start += len(part)
            self.http2.send_data(stream, part, end_stream=end and start == len(data))
        self.flush()

    def receive(self, seconds: float | None = None) -> None:
        """Takes in what the server sends next; waits for it for at most `seconds`."""
        self.socket.settimeout(self.patience if seconds is None else max(seconds, 0.001))
        try:
            data = self.socket.recv(1 << 16)
        except TimeoutError:
            if seconds is None:
                raise
            return
        except OSError:
            data = b""
        if not data:
            self.closed = True
            return
        try:
            for event in self.http2.receive_data(data):
                self._take(event)
        except h2.exceptions.ProtocolError:
            self.closed = True
        self.flush()

    def _take(self, event: h2.events.Event) -> None:
        if isinstance(event, h2.events.ConnectionTerminated):
            self.closed = True
        reply = self.replies.get(getattr(event, "stream_id", 0))
        if reply is None:
            return
        if isinstance(event, (h2.events.ResponseReceived, h2.events.TrailersReceived)):
            reply.headers.update((_text(name), _text(value)) for name, value in event.headers)
        elif isinstance(event, h2.events.DataReceived):
            reply.body += event.data
            self.http2.acknowledge_received_data(event.flow_controlled_length, event.stream_id)
        elif isinstance(event, h2.events.StreamEnded):
            reply.ended = True
        elif isinstance(event, h2.events.StreamReset):
            reply.ended = reply.reset = True

    def wait(self, stream: int) -> Reply:
        """The reply once the server has ended the stream or the connection."""
        deadline = time.monotonic() + self.patience
        reply = self.replies[stream]
        while not reply.ended and not self.closed:
            self.receive(deadline - time.monotonic())
            if time.monotonic() > deadline:
                raise TimeoutError(f"no end of stream {stream}")
        return reply


def _text(value: bytes | str) -> str:
    return value.decode("latin-1") if isinstance(value, bytes) else value


def call(port: int, path: str, message: bytes, *metadata: tuple[str, str], encoding: str = "") -> Reply:
    """One call with one message, which is sent as it is and flagged as compressed if an encoding is named."""
    with Connection(port) as connection:
        more = [("grpc-encoding", encoding)] if encoding else []
        stream = connection.open(path, *more, *metadata)
        connection.send(stream, grpc_frame(message, bool(encoding)))
        return connection.wait(stream)
