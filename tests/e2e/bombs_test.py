#!/usr/bin/env python3
"""A small compressed message that is large is refused while it is inflated, and honest compression goes on working.

HEAPSYNC_ATTACKS=full makes each message 1 GiB of zeros instead of 256 MiB.
"""

import sys
import threading
import time
import unittest
import zlib
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import grpc
import harness
from attacks import caller, write_callers
from google.protobuf.struct_pb2 import Struct
from harness import FakeHeap, Server, temporary_folder
from innocents import FULL, MIB, add_to_report, memory
from proto_stubs import generate_stubs

sys.path.insert(0, str(harness.SOURCE / "tests" / "attack"))
from http2_caller import bomb, call  # noqa: E402

CALLERS = 8
INFLATED = (1 << 30) if FULL else (256 << 20)
MAX_MESSAGE_BYTES = 4 * MIB
# Twice what 8 messages may inflate to, beside the bombs themselves and the threads' own memory.
MAX_GROWTH = 2 * CALLERS * MAX_MESSAGE_BYTES + 32 * MIB
DATA, ADMIN = "/heapsync.v1.HeapSyncService/", "/heapsync.v1.HeapSyncAdminService/"
UNARY, BULK = DATA + "TrackEvent", DATA + "BulkTrackEvents"
HEALTH = "/grpc.health.v1.Health/"
REFLECTIONS = [f"/grpc.reflection.{version}.ServerReflection/ServerReflectionInfo" for version in ("v1", "v1alpha")]
TOKEN = "hst_shop"
BEARER = ("authorization", f"Bearer {TOKEN}")
EXHAUSTED, UNAUTHENTICATED = (code.value[0] for code in (grpc.StatusCode.RESOURCE_EXHAUSTED, grpc.StatusCode.UNAUTHENTICATED))

protos: dict[str, Any] = {}


def properties(text: str) -> Any:
    struct = Struct()
    struct.update({"text": text})
    return struct


class SlowestHealthCheck:
    """Asks for the server's health again and again, on a connection of its own, while a block runs."""

    def __init__(self, server: Server) -> None:
        self._server = server
        self._over = threading.Event()
        self._thread = threading.Thread(target=self._run)
        self.seconds = 0.0
        self.failures = 0

    def _run(self) -> None:
        with self._server.channel() as channel:
            check = channel.unary_unary(HEALTH + "Check")
            while not self._over.is_set():
                start = time.monotonic()
                try:
                    check(b"", timeout=harness.PATIENCE)
                except grpc.RpcError:
                    self.failures += 1
                self.seconds = max(self.seconds, time.monotonic() - start)
                self._over.wait(0.02)

    def __enter__(self) -> "SlowestHealthCheck":
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._over.set()
        self._thread.join()


class BombTest(unittest.TestCase):
    bombs: dict[str, bytes]

    @classmethod
    def setUpClass(cls) -> None:
        cls.bombs = {encoding: bomb(INFLATED, encoding) for encoding in ("gzip", "deflate")}
        cls.folder = temporary_folder(cls)
        protos.update(generate_stubs(cls.folder))
        cls.heap = FakeHeap(cls.folder)
        cls.addClassCleanup(cls.heap.kill)

    def start(self, *flags: str) -> Server:
        server = Server(self.folder, self.heap, f"--app_id={harness.APP_US}", *flags)
        self.addCleanup(server.kill)
        return server

    def throw(self, server: Server, path: str, *metadata: tuple[str, str], encoding: str = "gzip") -> set[int | None]:
        """The codes of CALLERS calls at the same time. Fails if memory grows or health has to wait."""
        before = memory(server, "VmHWM")
        with SlowestHealthCheck(server) as health, ThreadPoolExecutor(CALLERS) as pool:
            calls = [pool.submit(call, server.ports[0], path, self.bombs[encoding], *metadata, encoding=encoding) for _ in range(CALLERS)]
            replies = [each.result() for each in calls]
        growth = memory(server, "VmHWM") - before
        print(f"{path} {encoding} {'known' if metadata else 'unknown'}: + {growth / MIB:.0f} MiB, health within "
              f"{health.seconds * 1000:.0f} ms, {health.failures} failures", file=sys.stderr)
        add_to_report({"attack": f"{encoding} bomb {path.rsplit('/', 1)[1]}", "growth_mib": round(growth / MIB),
                       "probe_during_ms": round(health.seconds * 1000, 1), "failures": health.failures,
                       "verdict": "held" if growth < MAX_GROWTH and not health.failures else "NOT HELD"})
        self.assertTrue(server.running(), server.output()[-4000:])
        self.assertLess(growth, MAX_GROWTH)
        self.assertEqual(health.failures, 0)
        self.assertLess(health.seconds, 5)
        return {reply.code for reply in replies}

    def test_a_caller_without_a_token_inflates_nothing(self) -> None:
        rules = write_callers(self.folder, caller("shop", TOKEN))
        server = self.start(f"--auth={rules}", "--allow_plaintext")
        for path in (UNARY, BULK, ADMIN + "ListDestinations", ADMIN + "Flush", *REFLECTIONS):
            with self.subTest(path):
                self.assertEqual(self.throw(server, path), {UNAUTHENTICATED})
        # Health needs no token, so its bound has to hold by itself.
        self.assertEqual(self.throw(server, HEALTH + "Check"), {EXHAUSTED})
        for path in (UNARY, BULK):
            with self.subTest(path):
                self.assertEqual(self.throw(server, path, BEARER), {EXHAUSTED})

    def test_every_service_stops_inflating_at_the_maximum_message(self) -> None:
        server = self.start()
        for encoding in self.bombs:
            for path in (UNARY, BULK, ADMIN + "ListDestinations", ADMIN + "Flush", HEALTH + "Check", HEALTH + "Watch", *REFLECTIONS):
                with self.subTest(path, encoding=encoding):
                    self.assertEqual(self.throw(server, path, encoding=encoding), {EXHAUSTED})

    def test_the_refusal_names_the_bound(self) -> None:
        server = self.start()
        with self.assertRaises(grpc.RpcError) as caught, server.channel() as channel:
            channel.unary_unary(UNARY)(bytes(MAX_MESSAGE_BYTES + 1), timeout=harness.PATIENCE, compression=grpc.Compression.Gzip)
        self.assertEqual(caught.exception.code(), grpc.StatusCode.RESOURCE_EXHAUSTED)
        self.assertIn(str(MAX_MESSAGE_BYTES), caught.exception.details())

    def test_honest_compression_works_in_every_service(self) -> None:
        server = self.start()
        service, admin = protos["service"], protos["admin"]
        for number, compression in enumerate((grpc.Compression.Gzip, grpc.Compression.Deflate)):
            options = {"timeout": harness.PATIENCE, "compression": compression}
            with self.subTest(compression), grpc.insecure_channel(server.address, compression=compression) as channel:
                stub = protos["stubs"].HeapSyncServiceStub(channel)
                event = {"identity": f"packed-{number}", "event": "E" * 200, "properties": properties("x" * 500)}
                self.assertTrue(stub.TrackEvent(service.TrackEventRequest(event=event), **options).receipt)
                # 10,000 events of some 410 bytes.
                events = [{"identity": f"packed-{number}-{i}", "event": "Page Viewed", "properties": properties("x" * 360)}
                          for i in range(10_000)]
                request = service.BulkTrackEventsRequest(events=events)
                self.assertTrue(3.6 * MIB < request.ByteSize() < MAX_MESSAGE_BYTES, request.ByteSize())
                answers = list(stub.BulkTrackEvents(iter([request]), **options))
                self.assertEqual(answers[-1].accepted, 10_000)
                listed = protos["admin_stubs"].HeapSyncAdminServiceStub(channel).ListDestinations(admin.ListDestinationsRequest(), **options)
                self.assertEqual(len(listed.destinations), 1)

    def test_libraries_that_compress_even_what_gets_longer_are_understood(self) -> None:
        server = self.start()
        for encoding, wbits in (("gzip", 31), ("deflate", 15)):
            packer = zlib.compressobj(9, zlib.DEFLATED, wbits)
            name = b"\x0a\x1cheapsync.v1.HeapSyncService\x00"[:30]
            packed = packer.compress(name) + packer.flush()
            for path in (HEALTH + "Check", REFLECTIONS[0]):
                with self.subTest(path, encoding=encoding):
                    reply = call(server.ports[0], path, packed, encoding=encoding)
                    self.assertIn(reply.code, (0, grpc.StatusCode.NOT_FOUND.value[0]), reply.message)

    def test_what_cannot_be_inflated_is_refused_as_it_is(self) -> None:
        server = self.start()
        good = zlib.compressobj(9, zlib.DEFLATED, 31)
        whole = good.compress(b"\x0a\x00") + good.flush()
        for packed in (b"not gzip", b"", whole[:-1], whole[:4], whole + b"x"):
            for path in (UNARY, BULK, ADMIN + "ListDestinations", HEALTH + "Check", REFLECTIONS[0]):
                with self.subTest(path, packed=packed):
                    reply = call(server.ports[0], path, packed, encoding="gzip")
                    self.assertEqual(reply.code, grpc.StatusCode.INVALID_ARGUMENT.value[0], reply.message)


if __name__ == "__main__":
    harness.run()
