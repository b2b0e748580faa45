#!/usr/bin/env python3
"""Reflection as tools like grpcui use it: everything about a call is learned from the server, by either version of the service, with TLS
and a token."""

import importlib
import json
import subprocess
import sys
import unittest
from collections.abc import Iterable
from hashlib import sha256
from typing import Any

import certificates
import grpc
import harness
from google.protobuf import descriptor_pb2, descriptor_pool, json_format, message_factory
from harness import SOURCE, FakeHeap, Server, temporary_folder, two_regions, wait_until

TOKEN = (("authorization", "Bearer hst_by_hand"),)
VERSIONS = ("v1", "v1alpha")
OURS = ("heapsync.v1.HeapSyncService", "heapsync.v1.HeapSyncAdminService")
OTHERS = ("grpc.health.v1.Health", "grpc.reflection.v1.ServerReflection", "grpc.reflection.v1alpha.ServerReflection")
DETAILS = ("google.rpc.ErrorInfo", "google.rpc.BadRequest", "google.rpc.RetryInfo", "google.rpc.ResourceInfo")


class Reflected:
    """What one version of reflection tells; nothing else is known of the messages."""

    def __init__(self, channel: grpc.Channel, version: str, messages: Any) -> None:
        self.messages = messages  # those of v1; the wire format of both is the same
        self.ask_stream = channel.stream_stream(f"/grpc.reflection.{version}.ServerReflection/ServerReflectionInfo",
                                                request_serializer=lambda message: message.SerializeToString(),
                                                response_deserializer=messages.ServerReflectionResponse.FromString)
        self.pool = descriptor_pool.DescriptorPool()
        self.files: dict[str, Any] = {}

    def ask(self, metadata: Iterable[tuple[str, str]] = TOKEN, **question: str) -> Any:
        [answer] = self.ask_stream(iter([self.messages.ServerReflectionRequest(**question)]), metadata=metadata, timeout=harness.PATIENCE)
        return answer

    def services(self) -> set[str]:
        return {service.name for service in self.ask(list_services="*").list_services_response.service}

    def learn(self, symbol: str) -> None:
        """Takes the file of a symbol with what it imports; both tools ask for an import that did not come by its name."""
        answer = self.ask(file_containing_symbol=symbol)
        assert answer.HasField("file_descriptor_response"), answer
        self._take(answer)
        missing = [name for file in self.files.values() for name in file.dependency if name not in self.files]
        assert not missing, f"{symbol} came without {missing}"
        self._build()

    def _take(self, answer: Any) -> None:
        for packed in answer.file_descriptor_response.file_descriptor_proto:
            file = descriptor_pb2.FileDescriptorProto.FromString(packed)
            self.files.setdefault(file.name, file)

    def _build(self) -> None:
        added: set[str] = set()

        def add(name: str) -> None:
            if name in added:
                return
            added.add(name)
            for imported in self.files[name].dependency:
                add(imported)
            self.pool.Add(self.files[name])

        for name in self.files:
            add(name)

    def message(self, name: str) -> Any:
        return message_factory.MessageFactory(self.pool).GetPrototype(self.pool.FindMessageTypeByName(name))


class ReflectionTest(unittest.TestCase):
    @classmethod
    def setUpClass(cls) -> None:
        cls.folder = temporary_folder(cls)
        cls.heap = FakeHeap(cls.folder)
        cls.addClassCleanup(cls.heap.kill)
        ca = certificates.new_ca(cls.folder, "ca")
        served = certificates.new_certificate(cls.folder, ca, "server", "DNS:localhost,IP:127.0.0.1")
        auth = cls.folder / "callers.json"
        auth.write_text(json.dumps({"callers": [{"name": "by-hand", "token_sha256": [sha256(b"hst_by_hand").hexdigest()]}]}))
        cls.server = Server(cls.folder, cls.heap, f"--config={two_regions(cls.folder)}", f"--tls_cert={served.cert}",
                            f"--tls_key={served.key}", f"--auth={auth}",
                            credentials=grpc.ssl_channel_credentials(ca.cert.read_bytes()))
        cls.addClassCleanup(cls.server.kill)
        cls.channel = cls.server.channel()
        cls.addClassCleanup(cls.channel.close)
        out = cls.folder / "python"
        out.mkdir()
        subprocess.run(["protoc", f"--proto_path={SOURCE / 'proto'}", f"--python_out={out}", "grpc/reflection/v1/reflection.proto"], check=True)
        # Not as a package: it would hide the library `grpc`.
        sys.path.insert(0, str(out / "grpc/reflection/v1"))
        cls.messages = importlib.import_module("reflection_pb2")

    def versions(self) -> list[Reflected]:
        return [Reflected(self.channel, version, self.messages) for version in VERSIONS]

    def test_both_versions_list_the_same_services(self) -> None:
        for reflected in self.versions():
            self.assertEqual(reflected.services(), {*OURS, *OTHERS})

    def test_each_service_comes_with_all_that_its_files_import(self) -> None:
        for reflected in self.versions():
            for name in (*OURS, *OTHERS):
                reflected.learn(name)
            self.assertLessEqual({"google/protobuf/duration.proto", "google/protobuf/struct.proto", "google/protobuf/timestamp.proto"},
                                 set(reflected.files))
            for name in OURS:
                for method in reflected.pool.FindServiceByName(name).methods:
                    reflected.message(method.input_type.full_name)()
                    reflected.message(method.output_type.full_name)()

    def test_the_details_of_errors_are_found_by_their_types(self) -> None:
        for reflected in self.versions():
            for name in DETAILS:
                reflected.learn(name)
                reflected.message(name)()

    def test_a_call_is_made_by_what_was_learned(self) -> None:
        for number, reflected in enumerate(self.versions()):
            for name in (OURS[0], *DETAILS, "google.rpc.Status"):
                reflected.learn(name)
            method = reflected.pool.FindServiceByName(OURS[0]).methods_by_name["TrackEvent"]
            call = self.channel.unary_unary(f"/{OURS[0]}/{method.name}", request_serializer=lambda message: message.SerializeToString(),
                                            response_deserializer=reflected.message(method.output_type.full_name).FromString)
            request = reflected.message(method.input_type.full_name)()
            event = {"identity": f"by-hand-{number}", "event": "Seen", "timestamp": "2024-01-15T10:30:00Z", "properties": {"amount": 49.99}}
            response = call(json_format.ParseDict({"event": event}, request), metadata=TOKEN, timeout=harness.PATIENCE)
            self.assertTrue(response.receipt)
            wait_until(lambda number=number: self.heap.events_of(f"by-hand-{number}"), "the event")
            request.event.identity = "undefined"
            with self.assertRaises(grpc.RpcError) as caught:
                call(request, metadata=TOKEN, timeout=harness.PATIENCE)
            packed = dict(caught.exception.trailing_metadata())["grpc-status-details-bin"]
            status = json_format.MessageToDict(reflected.message("google.rpc.Status").FromString(packed), descriptor_pool=reflected.pool)
            self.assertEqual([detail["@type"].rsplit("/", 1)[1] for detail in status["details"]], ["google.rpc.ErrorInfo", "google.rpc.BadRequest"])
            self.assertEqual(status["details"][1]["fieldViolations"][0]["field"], "event.identity")

    def test_without_a_token_nothing_is_told(self) -> None:
        for reflected in self.versions():
            with self.assertRaises(grpc.RpcError) as caught:
                reflected.ask(metadata=(), list_services="*")
            self.assertEqual(caught.exception.code(), grpc.StatusCode.UNAUTHENTICATED)


if __name__ == "__main__":
    harness.run()
