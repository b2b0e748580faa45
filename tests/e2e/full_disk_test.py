#!/usr/bin/env python3
"""A small real file system fills up: new items are refused for a while, nothing that was accepted is lost, and no restart is needed."""

import base64
import os
import subprocess
import tempfile
import unittest
from pathlib import Path
from typing import Any

import grpc

import harness
from harness import APP_US, FakeHeap, Server, skip, temporary_folder, two_regions, wait_until
from proto_stubs import generate_stubs

MIB = 1 << 20
CHUNK = 100  # events of 8 KiB
NO_LIMITS = {"events_per_minute": 0, "events_per_identity_per_minute": 0, "user_requests_per_identity_per_30s": 0}
api: dict[str, Any] = {}


class SmallDisk:
    """A file system in memory of its own size."""

    def __init__(self, folder: Path, mebibytes: int) -> None:
        folder.mkdir()
        self.folder = folder
        self.mounted = False
        done = subprocess.run(["mount", "-t", "tmpfs", "-o", f"size={mebibytes}m", "heapsync-test", str(folder)], capture_output=True)
        self.error = done.stderr.decode().strip()
        self.mounted = done.returncode == 0

    def unmount(self) -> None:
        if self.mounted:
            subprocess.run(["umount", "--lazy", str(self.folder)], check=True)
            self.mounted = False

    def fill(self) -> Path:
        """Takes all the space that is left."""
        path = self.folder / "neighbour"
        with path.open("wb", buffering=0) as neighbour:
            for size in (MIB, 4096, 1):
                try:
                    while True:
                        neighbour.write(b"\0" * size)
                except OSError:
                    pass
        return path


class FullDiskTest(unittest.TestCase):
    @classmethod
    def setUpClass(cls) -> None:
        api.update(generate_stubs(temporary_folder(cls)))

    def setUp(self) -> None:
        self.folder = temporary_folder(type(self))
        self.heap = FakeHeap(self.folder, "--limit_app_events=0", "--limit_identity_events=0", "--nokeep_events")
        self.addCleanup(self.heap.kill)
        self.sent = 0
        self.accepted = 0
        # Random, each of them, so that they stay as large on disk.
        self.chunk = api["service"].BulkTrackEventsRequest()
        for _ in range(CHUNK):
            event = self.chunk.events.add(event="Big")
            for i in range(8):
                event.properties[f"p{i}"] = base64.b64encode(os.urandom(765)).decode()

    def start(self, mebibytes: int, min_free_disk_bytes: int) -> None:
        self.disk = SmallDisk(self.folder / "data", mebibytes)
        self.addCleanup(self.disk.unmount)
        self.assertTrue(self.disk.mounted, self.disk.error)
        config = two_regions(self.folder, NO_LIMITS)
        self.server = Server(self.folder, self.heap, f"--config={config}", f"--min_free_disk_bytes={min_free_disk_bytes}")
        self.addCleanup(self.server.kill)
        self.channel = grpc.insecure_channel(self.server.address)
        self.addCleanup(self.channel.close)
        self.stub = api["stubs"].HeapSyncServiceStub(self.channel)

    def send(self) -> grpc.RpcError | None:
        """Sends a chunk of large events; what it was refused for."""
        self.chunk.request_id = f"chunk-{self.sent}"
        for i, event in enumerate(self.chunk.events):
            event.identity = f"i{self.sent}-{i}"
        try:
            for answer in self.stub.BulkTrackEvents(iter([self.chunk]), timeout=harness.PATIENCE):
                self.assertEqual(answer.rejected, 0)
        except grpc.RpcError as error:
            # Not repeated: the next chunk is a different one.
            self.sent += 1
            return error
        self.sent += 1
        self.accepted += CHUNK
        return None

    def details_of(self, error: grpc.RpcError) -> dict[str, Any]:
        packed = dict(error.trailing_metadata() or ()).get("grpc-status-details-bin")
        assert packed is not None
        found = {}
        for detail in api["rpc_status"].Status.FromString(packed).details:
            name = detail.type_url.rsplit(".", 1)[1]
            module = next(api[module] for module in ("error_details", "error_info") if hasattr(api[module], name))
            message = getattr(module, name)()
            assert detail.Unpack(message)
            found[name] = message
        return found

    def assert_refused_for_the_disk(self, error: grpc.RpcError) -> None:
        self.assertEqual(error.code(), grpc.StatusCode.RESOURCE_EXHAUSTED, error)
        details = self.details_of(error)
        self.assertEqual(details["ErrorInfo"].reason, "SPOOL_FULL")
        self.assertGreater(details["RetryInfo"].retry_delay.ToMilliseconds(), 0)

    def assert_everything_accepted_is_delivered(self) -> None:
        wait_until(lambda: self.heap.count("events", "unique_keys", APP_US) >= self.accepted, "everything accepted at Heap", 120)
        # One report: what was accepted of a refused chunk may still be arriving.
        events = self.heap.app(APP_US)["events"]
        self.assertEqual(events["appended"], events["unique_keys"])

    def test_a_spool_that_fills_its_disk_refuses_drains_and_accepts_again(self) -> None:
        self.start(mebibytes=128, min_free_disk_bytes=48 * MIB)
        self.heap.set_faults({"action": {"type": "status", "status": 503}})
        error = wait_until(self.send, "the first refusal")
        self.assert_refused_for_the_disk(error)
        self.assertGreater(self.accepted, 5_000)

        self.heap.clear_faults()
        self.assert_everything_accepted_is_delivered()
        wait_until(lambda: self.send() is None, "items to be accepted again", 60)
        self.assert_everything_accepted_is_delivered()
        self.assertTrue(self.server.healthy())
        self.assertEqual(self.server.stop(), 0, self.server.output()[-4_000:])

    def test_a_neighbour_that_takes_all_space_costs_nothing_that_was_accepted(self) -> None:
        self.start(mebibytes=64, min_free_disk_bytes=0)
        self.heap.set_faults({"action": {"type": "status", "status": 503}})
        for _ in range(3):
            self.assertIsNone(self.send())
        neighbour = self.disk.fill()
        error = wait_until(self.send, "the first refusal")
        self.assert_refused_for_the_disk(error)
        self.assertTrue(self.server.healthy(), "a full disk is not the end")

        neighbour.unlink()
        wait_until(lambda: self.send() is None, "items to be accepted again")
        self.heap.clear_faults()
        self.assert_everything_accepted_is_delivered()
        self.assertTrue(self.server.running())
        self.assertEqual(self.server.stop(), 0, self.server.output()[-4_000:])


def can_mount() -> str:
    with tempfile.TemporaryDirectory() as folder:
        disk = SmallDisk(Path(folder) / "disk", 1)
        disk.unmount()
        return disk.error


if __name__ == "__main__":
    problem = can_mount()
    if problem:
        skip(f"this machine lets nobody mount a small file system: {problem}")
    harness.run()
