#!/usr/bin/env python3
"""A Heap that speaks HTTP/2 over TLS and nothing else, in a process of its own so that a test can stop it.

It takes every request with `{}`, and prints "listening", "connection" for each one, and "request" for each request. It reads
no headers: what it responds does not depend on them.
"""

import argparse
import socket
import ssl
import struct
import threading

PREFACE = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"
DATA, HEADERS, SETTINGS, PING, WINDOW_UPDATE = 0, 1, 4, 6, 8
END_STREAM = ACK = 1
END_HEADERS = 4
STATUS_200 = b"\x88"  # an entry of HPACK's static table


def frame(kind: int, flags: int, stream: int, payload: bytes) -> bytes:
    return struct.pack(">I", len(payload))[1:] + struct.pack(">BBI", kind, flags, stream) + payload


def read_exactly(connection: ssl.SSLSocket, size: int) -> bytes:
    data = b""
    while len(data) < size:
        part = connection.recv(size - len(data))
        if not part:
            raise EOFError
        data += part
    return data


def serve(connection: ssl.SSLSocket) -> None:
    print("connection", flush=True)
    if read_exactly(connection, len(PREFACE)) != PREFACE:
        return
    connection.sendall(frame(SETTINGS, 0, 0, b""))
    while True:
        head = read_exactly(connection, 9)
        size, kind, flags = int.from_bytes(head[:3], "big"), head[3], head[4]
        stream = int.from_bytes(head[5:], "big")
        payload = read_exactly(connection, size)
        if kind in (SETTINGS, PING) and not flags & ACK:
            connection.sendall(frame(kind, ACK, 0, payload if kind == PING else b""))
        if kind == DATA and size > 0:
            more = struct.pack(">I", size)
            connection.sendall(frame(WINDOW_UPDATE, 0, 0, more) + frame(WINDOW_UPDATE, 0, stream, more))
        if kind in (DATA, HEADERS) and flags & END_STREAM:
            print("request", flush=True)
            connection.sendall(frame(HEADERS, END_HEADERS, stream, STATUS_200) + frame(DATA, END_STREAM, stream, b"{}"))


def handle(plain: socket.socket, context: ssl.SSLContext) -> None:
    try:
        with context.wrap_socket(plain, server_side=True) as connection:
            serve(connection)
    except (EOFError, OSError):
        pass


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--address", required=True)
    parser.add_argument("--port", type=int, required=True)
    parser.add_argument("--cert", required=True)
    parser.add_argument("--key", required=True)
    arguments = parser.parse_args()
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(arguments.cert, arguments.key)
    context.set_alpn_protocols(["h2"])
    listener = socket.create_server((arguments.address, arguments.port))
    print("listening", flush=True)
    while True:
        plain, _ = listener.accept()
        threading.Thread(target=handle, args=(plain, context), daemon=True).start()


if __name__ == "__main__":
    main()
