#!/usr/bin/env python3
"""The published service config as gRPC itself carries it out: what is repeated, when, and where."""

import json
import socket
import threading
import unittest
import urllib.request
from hashlib import sha256
from typing import Any

import grpc
import harness
from harness import SOURCE, FakeHeap, Server, free_ports, temporary_folder, two_regions, wait_until
from name_server import NameServer
from proto_stubs import generate_stubs

CONFIG = SOURCE / "proto" / "heapsync" / "v1" / "service_config.json"
MAX_MESSAGE_BYTES = 65_536  # Less than what gRPC keeps of a call to repeat it.
TOKENS = {"slow": "hst_slow", "fast": "hst_fast"}
RATE = 1  # items a second of the slow caller

protos: dict[str, Any] = {}


class ServiceConfigTest(unittest.TestCase):
    @classmethod
    def setUpClass(cls) -> None:
        cls.folder = temporary_folder(cls)
        protos.update(generate_stubs(cls.folder))
        cls.heap = FakeHeap(cls.folder)
        cls.addClassCleanup(cls.heap.kill)
        callers = [{"name": name, "token_sha256": [sha256(token.encode()).hexdigest()]} for name, token in TOKENS.items()]
        callers[0] |= {"items_per_second": RATE, "burst": 1}
        cls.auth = cls.folder / "callers.json"
        cls.auth.write_text(json.dumps({"callers": callers}))
        cls.server = cls.start("first")
        cls.second = cls.start("second")

    @classmethod
    def start(cls, name: str, *flags: str, ports: list[int] | None = None, host: str = "127.0.0.1") -> Server:
        folder = cls.folder / name
        folder.mkdir(exist_ok=True)
        server = Server(folder, cls.heap, f"--config={two_regions(folder)}", f"--auth={cls.auth}",
                        f"--max_message_bytes={MAX_MESSAGE_BYTES}", *flags, ports=ports, host=host)
        cls.addClassCleanup(server.kill)
        return server

    def stub(self, *servers: Server) -> Any:
        # What a name with several addresses resolves to.
        return self.stub_of("ipv4:" + ",".join(server.address for server in servers or (self.server,)))

    def stub_of(self, target: str, *options: tuple[str, Any]) -> Any:
        channel = grpc.insecure_channel(target, [("grpc.service_config", CONFIG.read_text()), ("grpc.use_local_subchannel_pool", 1), *options])
        self.addCleanup(channel.close)
        return protos["stubs"].HeapSyncServiceStub(channel)

    def track(self, stub: Any, identity: str, caller: str = "fast", timeout: float = harness.PATIENCE, **event: Any) -> Any:
        request = protos["service"].TrackEventRequest(request_id=f"id-{identity}", event={"identity": identity, "event": "Seen", **event})
        return stub.TrackEvent(request, timeout=timeout, metadata=[("authorization", f"Bearer {TOKENS[caller]}")])

    def metric(self, server: Server, name: str, *labels: str) -> int:
        with urllib.request.urlopen(f"{server.http_url}/metrics", timeout=harness.PATIENCE) as answer:
            lines = answer.read().decode().splitlines()
        return int(sum(float(line.rsplit(" ", 1)[1]) for line in lines if line.startswith(name + "{") and all(label in line for label in labels)))

    def refused(self, server: Server) -> int:
        return self.metric(server, "grpc_server_handled_total", '"TrackEvent"', '"ResourceExhausted"')

    def test_a_caller_beyond_its_rate_is_served_after_the_delay_of_retry_info(self) -> None:
        stub = self.stub()
        self.track(stub, "rate-0", "slow")
        before = self.refused(self.server)
        for number in range(1, 4):
            self.track(stub, f"rate-{number}", "slow")
        # By gRPC's own backoff, of at most 0.2 and then 0.6 s, an event would be refused three times. Once is right, and a second
        # time comes from timers that fire a millisecond early.
        self.assertLessEqual(self.refused(self.server) - before, 2 * 3)

    def test_a_delay_beyond_the_deadline_gives_the_error_and_not_the_deadline(self) -> None:
        stub = self.stub(self.second)
        self.track(stub, "late-0", "slow")
        with self.assertRaises(grpc.RpcError) as caught:
            for number in range(1, 20):
                self.track(stub, f"late-{number}", "slow", timeout=0.3)
        self.assertEqual(caught.exception.code(), grpc.StatusCode.RESOURCE_EXHAUSTED, caught.exception)

    def test_a_message_that_is_too_large_once_inflated_is_sent_once(self) -> None:
        stub = self.stub()
        self.track(stub, "connected")
        before = self.started(self.server)
        request = protos["service"].TrackEventRequest(event={"identity": "large", "event": "x" * MAX_MESSAGE_BYTES})
        with self.assertRaises(grpc.RpcError) as caught:
            stub.TrackEvent(request, timeout=harness.PATIENCE, compression=grpc.Compression.Gzip,
                            metadata=[("authorization", f"Bearer {TOKENS['fast']}")])
        self.assertEqual(caught.exception.code(), grpc.StatusCode.RESOURCE_EXHAUSTED)
        self.assertEqual(self.started(self.server) - before, 1)

    def test_a_call_waits_for_a_server_and_is_repeated_when_its_connection_breaks(self) -> None:
        ports = free_ports(2)
        target = type("Target", (), {"address": f"127.0.0.1:{ports[0]}"})
        answers: list[Any] = []
        with socket.create_server(("127.0.0.1", ports[0])) as stand_in:
            stand_in.settimeout(harness.PATIENCE)
            caller = threading.Thread(target=lambda: answers.append(self.track(self.stub(target), "patient")))
            caller.start()
            stand_in.accept()[0].close()
        self.start("late", ports=ports)
        caller.join()
        self.assertEqual(len(answers), 1)
        wait_until(lambda: len(self.heap.events_of("patient")) == 1, "the event")

    def test_calls_take_turns_between_servers_and_avoid_one_that_is_gone(self) -> None:
        third, fourth = self.start("third"), self.start("fourth")
        stub = self.stub(third, fourth)
        # Until both are connected, one takes all.
        wait_until(lambda: self.track(stub, "turns") and self.started(third) and self.started(fourth), "both servers to get calls")
        before = (self.started(third), self.started(fourth))
        for _ in range(10):
            self.track(stub, "turns")
        self.assertEqual((self.started(third), self.started(fourth)), (before[0] + 5, before[1] + 5))
        fourth.kill()
        for number in range(20):
            self.track(stub, f"after-{number}")
        wait_until(lambda: all(self.heap.events_of(f"after-{number}") for number in range(20)), "the events")

    def test_a_server_that_joins_a_name_gets_calls_once_connections_age(self) -> None:
        """Three pods of one headless service: addresses of one name, with one port."""
        ports = free_ports(2)
        pods = [self.start(f"pod-{number}", "--max_connection_age=300ms", "--max_connection_age_grace=1s", ports=ports, host=f"127.0.0.{number}")
                for number in (2, 3)]
        names = NameServer("127.0.0.2", "127.0.0.3")
        self.addCleanup(names.stop)
        # gRPC asks for a name again after 30 s at the earliest.
        stub = self.stub_of(f"dns://{names.authority}/heapsync-headless.heapsync.svc:{ports[0]}", ("grpc.dns_min_time_between_resolutions_ms", 10))
        wait_until(lambda: self.track(stub, "pods") and all(self.started(pod) for pod in pods), "both servers to get calls")
        third = self.start("pod-4", ports=ports, host="127.0.0.4")
        names.addresses.append("127.0.0.4")
        # No call notices that its connection ends.
        wait_until(lambda: self.track(stub, "pods") and self.started(third), "the server that joined to get calls")

    def started(self, server: Server) -> int:
        return self.metric(server, "grpc_server_started_total", '"TrackEvent"')


if __name__ == "__main__":
    harness.run()
