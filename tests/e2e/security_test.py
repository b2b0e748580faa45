#!/usr/bin/env python3
"""Nothing passes without valid credentials where they are required, and what is wrong gets the right code."""

import json
import os
import queue
import signal
import ssl
import subprocess
import time
import unittest
import urllib.request
from collections.abc import Callable, Iterator
from hashlib import sha256
from pathlib import Path
from typing import Any

import certificates
import grpc
import harness
from certificates import Pair
from harness import Binaries, FakeHeap, Server, temporary_folder, wait_until
from proto_stubs import generate_stubs

DATA, ADMIN = "heapsync.v1.HeapSyncService", "heapsync.v1.HeapSyncAdminService"
REFLECTIONS = ("grpc.reflection.v1.ServerReflection", "grpc.reflection.v1alpha.ServerReflection")
SHOP, SHOP_NEXT, OPERATOR, LIMITED, WRONG = "hst_shop", "hst_shop_next", "hst_operator", "hst_limited", "hst_wrong"
UNAUTHENTICATED, DENIED = grpc.StatusCode.UNAUTHENTICATED, grpc.StatusCode.PERMISSION_DENIED

protos: dict[str, Any] = {}


def hash_of(token: str) -> str:
    return sha256(token.encode()).hexdigest()


def callers() -> list[dict[str, Any]]:
    return [
        {"name": "shop", "token_sha256": [hash_of(SHOP), hash_of(SHOP_NEXT)], "destinations": ["prod"]},
        {"name": "operator", "token_sha256": [hash_of(OPERATOR)], "services": ["admin"]},
        {"name": "limited", "token_sha256": [hash_of(LIMITED)], "items_per_second": 5, "burst": 5},
        {"name": "crm", "certificates": ["crm.example", "spiffe://example/crm"], "services": ["data", "admin"]},
    ]


def write_whole(path: Path, text: str) -> None:
    """As a file is to be replaced: never half."""
    part = path.with_suffix(".part")
    part.write_text(text, encoding="utf-8")
    part.replace(path)


def write_callers(path: Path, entries: list[dict[str, Any]]) -> None:
    write_whole(path, "// Who may call.\n" + json.dumps({"callers": entries}))


def token(value: str) -> tuple[tuple[str, str], ...]:
    return (("authorization", f"Bearer {value}"),)


def reason_of(error: grpc.RpcError) -> str:
    packed = dict(error.trailing_metadata() or ()).get("grpc-status-details-bin", b"")
    for detail in protos["rpc_status"].Status.FromString(packed).details:
        info = protos["error_info"].ErrorInfo()
        if detail.Unpack(info):
            return str(info.reason)
    return ""


def refusal(call: Callable[[], Any]) -> tuple[grpc.StatusCode, str]:
    """The code and the reason with which a call fails; OK if it does not."""
    try:
        answer = call()
        if hasattr(answer, "__next__"):
            list(answer)
    except grpc.RpcError as error:
        return error.code(), reason_of(error)
    return grpc.StatusCode.OK, ""


def every_call(channel: grpc.Channel, service: str) -> Iterator[tuple[str, Callable[..., Any]]]:
    """Each method of a service, ready to be called with an empty request and metadata."""
    if service in REFLECTIONS:
        stream = channel.stream_stream(f"/{service}/ServerReflectionInfo")
        yield service, lambda metadata: stream(iter([b"\x3a\x00"]), metadata=metadata, timeout=harness.PATIENCE)
        return
    module = protos["service"] if service == DATA else protos["admin"]
    for method in module.DESCRIPTOR.services_by_name[service.rsplit(".", 1)[1]].methods:
        path = f"/{service}/{method.name}"
        if method.name.startswith("Bulk"):
            stream = channel.stream_stream(path)
            yield method.name, lambda metadata, stream=stream: stream(iter([b""]), metadata=metadata, timeout=harness.PATIENCE)
        else:
            unary = channel.unary_unary(path)
            yield method.name, lambda metadata, unary=unary: unary(b"", metadata=metadata, timeout=harness.PATIENCE)


class SecurityTest(unittest.TestCase):
    """One server with TLS, where client certificates are optional and every caller has to be known."""

    @classmethod
    def setUpClass(cls) -> None:
        cls.folder = temporary_folder(cls)
        protos.update(generate_stubs(cls.folder))
        cls.ca = certificates.new_ca(cls.folder, "ca")
        cls.client_ca = certificates.new_ca(cls.folder, "client-ca")
        cls.served = certificates.new_certificate(cls.folder, cls.ca, "server", "DNS:localhost,IP:127.0.0.1")
        cls.auth = cls.folder / "callers.json"
        write_callers(cls.auth, callers())
        cls.heap = FakeHeap(cls.folder)
        cls.addClassCleanup(cls.heap.kill)
        cls.server = cls.start("optional")
        cls.addClassCleanup(cls.server.kill)

    @classmethod
    def start(cls, client_certificates: str, folder: Path | None = None) -> Server:
        # The first read of the files must not differ from what later tests write over.
        return Server(folder or cls.folder, cls.heap, f"--config={harness.two_regions(cls.folder)}", f"--tls_cert={cls.served.cert}",
                      f"--tls_key={cls.served.key}", f"--tls_client_ca={cls.client_ca.cert}",
                      f"--tls_client_certificates={client_certificates}", f"--auth={cls.auth}", "--reload_interval=20ms",
                      credentials=cls.credentials(certificates.new_certificate(cls.folder, cls.client_ca, "crm.example")))

    @classmethod
    def credentials(cls, client: Pair | None = None) -> grpc.ChannelCredentials:
        if client is None:
            return grpc.ssl_channel_credentials(cls.ca.cert.read_bytes())
        return grpc.ssl_channel_credentials(cls.ca.cert.read_bytes(), client.key.read_bytes(), client.cert.read_bytes())

    def channel(self, client: Pair | None = None, server: Server | None = None, **options: Any) -> grpc.Channel:
        # Without a pool of its own a channel would share the connection, and with it the certificate, of an equal one.
        arguments = [("grpc.use_local_subchannel_pool", 1), *options.items()]
        channel = grpc.secure_channel((server or self.server).address, self.credentials(client), options=arguments)
        self.addCleanup(channel.close)
        return channel

    def setUp(self) -> None:
        self.open_channel = self.channel()

    def test_nothing_but_health_answers_without_credentials(self) -> None:
        calls = 0
        for service in (DATA, ADMIN, *REFLECTIONS):
            for name, call in every_call(self.open_channel, service):
                calls += 1
                with self.subTest(name):
                    self.assertEqual(refusal(lambda: call(())), (UNAUTHENTICATED, "CREDENTIALS_MISSING"))
                    self.assertEqual(refusal(lambda: call(token(WRONG))), (UNAUTHENTICATED, "TOKEN_UNKNOWN"))
                    self.assertEqual(refusal(lambda: call((("authorization", SHOP),))), (UNAUTHENTICATED, "CREDENTIALS_MALFORMED"))
                    self.assertEqual(refusal(lambda: call((("heapsync-caller", "shop"),))), (UNAUTHENTICATED, "CREDENTIALS_MISSING"))
        self.assertGreaterEqual(calls, 17)
        for service in (b"", b"\x0a\x11heapsync.liveness", b"\x0a\x12heapsync.readiness"):
            check = self.open_channel.unary_unary("/grpc.health.v1.Health/Check")
            self.assertEqual(check(service, timeout=harness.PATIENCE), b"\x08\x01")

    def test_each_service_is_allowed_by_itself(self) -> None:
        for service, other in ((ADMIN, SHOP), (DATA, OPERATOR)):
            for name, call in every_call(self.open_channel, service):
                with self.subTest(name):
                    self.assertEqual(refusal(lambda: call(token(other))), (DENIED, "SERVICE_NOT_ALLOWED"))
        for service in REFLECTIONS:
            for name, call in every_call(self.open_channel, service):
                self.assertEqual(refusal(lambda: call(token(SHOP))), (grpc.StatusCode.OK, ""), name)

    def test_another_callers_destination_is_refused_by_every_data_rpc(self) -> None:
        for name, _ in every_call(self.open_channel, DATA):
            request_type = protos["service"].DESCRIPTOR.services_by_name["HeapSyncService"].methods_by_name[name].input_type
            request = getattr(protos["service"], request_type.name)(destination="europe").SerializeToString()
            with self.subTest(name):
                path = f"/{DATA}/{name}"
                if name.startswith("Bulk"):
                    bulk = self.open_channel.stream_stream(path)
                    seen = refusal(lambda: bulk(iter([request]), metadata=token(SHOP), timeout=harness.PATIENCE))
                else:
                    unary = self.open_channel.unary_unary(path)
                    seen = refusal(lambda: unary(request, metadata=token(SHOP), timeout=harness.PATIENCE))
                self.assertEqual(seen, (DENIED, "DESTINATION_NOT_ALLOWED"))

    def track(self, channel: grpc.Channel, metadata: tuple[tuple[str, str], ...] = (), identity: str = "somebody") -> Any:
        request = protos["service"].TrackEventRequest()
        request.event.identity, request.event.event = identity, "Seen"
        return protos["stubs"].HeapSyncServiceStub(channel).TrackEvent(request, metadata=metadata, timeout=harness.PATIENCE)

    def test_tokens_and_certificates_let_their_callers_in(self) -> None:
        self.assertTrue(self.track(self.open_channel, token(SHOP)).receipt)
        self.assertTrue(self.track(self.open_channel, token(SHOP_NEXT)).receipt)
        by_name = certificates.new_certificate(self.folder, self.client_ca, "crm.example")
        by_uri = certificates.new_certificate(self.folder, self.client_ca, "someone", "URI:spiffe://example/crm")
        for client in (by_name, by_uri):
            self.assertTrue(self.track(self.channel(client)).receipt)

    def test_the_expiry_of_certificates_is_told_in_time(self) -> None:
        with urllib.request.urlopen(f"{self.server.http_url}/metrics", timeout=harness.PATIENCE) as answer:
            lines = answer.read().decode().splitlines()
        for use in ("server", "client_ca"):
            name = f'heapsync_certificate_expiration_timestamp_seconds{{certificate="{use}"}} '
            expires = next(float(line.removeprefix(name)) for line in lines if line.startswith(name))
            self.assertAlmostEqual(expires - time.time(), 2 * 86_400, delta=3_600)
        wait_until(lambda: "a certificate expires soon" in self.server.output(), "the warning")

    def test_a_certificate_that_is_not_valid_is_refused_with_its_date(self) -> None:
        folder = temporary_folder(type(self))
        past = certificates.new_certificate(folder, self.ca, "past", "DNS:localhost", expired=True)
        refused = subprocess.run([str(Binaries.server), "--app_id=1", "--region=us", f"--data_dir={folder}", "--listen=127.0.0.1:0",
                                  f"--tls_cert={past.cert}", f"--tls_key={past.key}"],
                                 capture_output=True, text=True, timeout=harness.PATIENCE)
        self.assertNotEqual(refused.returncode, 0)
        self.assertRegex(refused.stderr, r"the certificate expired on \d{4}-\d\d-\d\d \d\d:\d\d:\d\d UTC")

    def test_certificates_that_prove_nothing_are_refused(self) -> None:
        unavailable = (grpc.StatusCode.UNAVAILABLE, "")
        unknown = certificates.new_certificate(self.folder, self.client_ca, "nobody.example")
        self.assertEqual(refusal(lambda: self.track(self.channel(unknown))), (UNAUTHENTICATED, "CERTIFICATE_UNKNOWN"))
        expired = certificates.new_certificate(self.folder, self.client_ca, "expired", "DNS:crm.example", expired=True)
        self.assertEqual(refusal(lambda: self.track(self.channel(expired))), unavailable)
        # gRPC says no more than that; the command line looks at its own certificate.
        told = subprocess.run([str(Binaries.cli), "health", f"--server={self.server.address}", f"--tls_ca={self.ca.cert}",
                               f"--tls_cert={expired.cert}", f"--tls_key={expired.key}", "--timeout=2s"],
                              capture_output=True, text=True, timeout=harness.PATIENCE)
        self.assertRegex(told.stderr, r"warning: the certificate of --tls_cert expired on \d{4}-\d\d-\d\d")
        foreign = certificates.new_certificate(self.folder, certificates.new_ca(self.folder, "foreign-ca"), "foreign", "DNS:crm.example")
        self.assertEqual(refusal(lambda: self.track(self.channel(foreign))), unavailable)

    def test_where_certificates_are_required_a_token_alone_does_not_connect(self) -> None:
        folder = temporary_folder(type(self))
        server = self.start("required", folder)
        self.addCleanup(server.kill)
        self.assertEqual(refusal(lambda: self.track(self.channel(server=server), token(SHOP))), (grpc.StatusCode.UNAVAILABLE, ""))
        crm = certificates.new_certificate(self.folder, self.client_ca, "crm.example")
        self.assertTrue(self.track(self.channel(crm, server)).receipt)

    def test_plaintext_does_not_connect_and_clients_notice_a_wrong_name(self) -> None:
        with grpc.insecure_channel(self.server.address) as plain:
            self.assertEqual(refusal(lambda: self.track(plain, token(SHOP))), (grpc.StatusCode.UNAVAILABLE, ""))
        wrong_name = self.channel(**{"grpc.ssl_target_name_override": "heapsync.example"})
        self.assertEqual(refusal(lambda: self.track(wrong_name, token(SHOP))), (grpc.StatusCode.UNAVAILABLE, ""))

    def test_a_revoked_token_ends_calls_and_streams_without_a_restart(self) -> None:
        self.addCleanup(write_callers, self.auth, callers())
        fresh = "hst_fresh"
        entries = callers() + [{"name": "fresh", "token_sha256": [hash_of(fresh)]}]
        write_callers(self.auth, entries)
        wait_until(lambda: refusal(lambda: self.track(self.open_channel, token(fresh)))[0] == grpc.StatusCode.OK, "the new token to be known")
        messages: "queue.Queue[Any]" = queue.Queue()
        stream = protos["stubs"].HeapSyncServiceStub(self.open_channel).BulkTrackEvents(
            iter(messages.get, None), metadata=token(fresh), timeout=harness.PATIENCE)
        message = protos["service"].BulkTrackEventsRequest(events=[{"identity": "a", "event": "E"}])
        messages.put(message)
        self.assertEqual(next(stream).accepted, 1)
        write_callers(self.auth, callers())
        wait_until(lambda: refusal(lambda: self.track(self.open_channel, token(fresh))) == (UNAUTHENTICATED, "TOKEN_UNKNOWN"),
                   "the token to be revoked")
        messages.put(message)
        self.assertEqual(refusal(lambda: list(stream)), (UNAUTHENTICATED, "TOKEN_UNKNOWN"))
        messages.put(None)

    def test_a_bad_file_is_refused_with_every_fault_and_the_old_one_stays(self) -> None:
        self.addCleanup(write_callers, self.auth, callers())
        write_callers(self.auth, [{"name": "UPPER", "token_sha256": [SHOP]}, {"name": "nobody"}])
        wait_until(lambda: "callers[1]: needs" in self.server.output(), "the faults in the log")
        self.server.process.send_signal(signal.SIGHUP)
        wait_until(lambda: self.server.output().count("callers[1]: needs") >= 2, "the faults again")
        faults = [line["fault"] for line in map(json.loads, self.server.output().splitlines()) if "fault" in line]
        for place in ("callers[0].name", "callers[0].token_sha256[0]", "callers[1]"):
            self.assertTrue(any(f"{self.auth}: {place}: " in fault for fault in faults), place)
        self.assertTrue(self.track(self.open_channel, token(SHOP)).receipt)
        self.assertNotIn(SHOP, self.server.output())

    def shown_certificate(self) -> str:
        host, port = self.server.address.split(":")
        return ssl.get_server_certificate((host, int(port)))

    def test_a_new_certificate_is_shown_without_a_restart_and_a_bad_one_never(self) -> None:
        first = self.served.cert.read_text()
        self.assertEqual(self.shown_certificate().strip(), first.strip())
        other = certificates.new_certificate(self.folder, self.ca, "renewed", "DNS:localhost,IP:127.0.0.1")
        old = self.channel()
        self.track(old, token(SHOP))

        # First the certificate alone, which does not belong to the key that is still there.
        write_whole(self.served.cert, other.cert.read_text())
        wait_until(lambda: f"{self.served.key}: does not belong to the certificate" in self.server.output(), "the fault in the log")
        self.assertEqual(self.shown_certificate().strip(), first.strip())
        write_whole(self.served.key, other.key.read_text())
        wait_until(lambda: self.shown_certificate().strip() == other.cert.read_text().strip(), "the new certificate")
        self.assertTrue(self.track(self.channel(), token(SHOP)).receipt)
        # Connections that are open stay.
        self.assertTrue(self.track(old, token(SHOP)).receipt)

    def test_a_caller_over_its_rate_is_refused_in_single_calls_and_slowed_in_streams(self) -> None:
        seen = (grpc.StatusCode.OK, "")
        for _ in range(1_000):
            seen = refusal(lambda: self.track(self.open_channel, token(LIMITED)))
            if seen[0] != grpc.StatusCode.OK:
                break
        self.assertEqual(seen, (grpc.StatusCode.RESOURCE_EXHAUSTED, "CALLER_RATE"))
        message = protos["service"].BulkTrackEventsRequest(events=[{"identity": "a", "event": "E"}] * 3)
        began = time.monotonic()
        stream = protos["stubs"].HeapSyncServiceStub(self.open_channel).BulkTrackEvents(
            iter([message] * 5), metadata=token(LIMITED), timeout=harness.PATIENCE)
        self.assertEqual(list(stream)[-1].accepted, 15)
        # The last message is accepted once all 15 items are paid for; the bucket held less than one.
        self.assertGreaterEqual(time.monotonic() - began, 2.8)

    def test_the_command_line_shows_its_token_and_certificate(self) -> None:
        secret = self.folder / "token"
        secret.write_text(OPERATOR + "\n")
        crm = certificates.new_certificate(self.folder, self.client_ca, "crm.example")

        def run(*flags: str, **environment: str) -> subprocess.CompletedProcess[str]:
            return subprocess.run([str(Binaries.cli), "status", f"--server={self.server.address}", *flags], capture_output=True, text=True,
                                  timeout=harness.PATIENCE, env=os.environ | environment)

        ca = f"--tls_ca={self.ca.cert}"
        for done in (run(ca, f"--token_file={secret}"), run(HEAPSYNC_TLS_CA=str(self.ca.cert), HEAPSYNC_TOKEN_FILE=str(secret)),
                     run(ca, f"--tls_cert={crm.cert}", f"--tls_key={crm.key}")):
            self.assertEqual(done.returncode, 0, done.stderr)
            self.assertIn("europe", done.stdout)
        refused = run(ca)
        self.assertEqual(refused.returncode, 1)
        self.assertIn("CREDENTIALS_MISSING", refused.stderr)


class PlaintextTest(unittest.TestCase):
    def test_a_server_that_others_reach_starts_in_plaintext_only_if_asked(self) -> None:
        folder = temporary_folder(type(self))

        def start(*flags: str) -> subprocess.CompletedProcess[str]:
            return subprocess.run([str(Binaries.server), "--app_id=1", "--listen=0.0.0.0:0", "--http_listen=nonsense",
                                   f"--data_dir={folder}", *flags], capture_output=True, text=True, timeout=harness.PATIENCE)

        refused = start()
        self.assertEqual(refused.returncode, 1)
        self.assertIn("--allow_plaintext", refused.stderr)
        # The other fault is reported with it, and alone if plaintext was requested.
        self.assertIn("--http_listen: must be host:port", refused.stderr)
        self.assertNotIn("--allow_plaintext", start("--allow_plaintext").stderr)

    def test_tokens_count_without_tls_too(self) -> None:
        folder = temporary_folder(type(self))
        if not protos:
            protos.update(generate_stubs(folder))
        heap = FakeHeap(folder)
        self.addCleanup(heap.kill)
        write_callers(folder / "callers.json", callers())
        server = Server(folder, heap, f"--config={harness.two_regions(folder)}", f"--auth={folder / 'callers.json'}")
        self.addCleanup(server.kill)
        with grpc.insecure_channel(server.address) as channel:
            for service in (DATA, ADMIN, *REFLECTIONS):
                for name, call in every_call(channel, service):
                    with self.subTest(name):
                        self.assertEqual(refusal(lambda: call(())), (UNAUTHENTICATED, "CREDENTIALS_MISSING"))


if __name__ == "__main__":
    harness.run()
