#!/usr/bin/env python3
"""Refusals reach callers behind an nginx whose limits are its defaults; with those of docker/proxies/nginx.conf everything works."""

import re
import shutil
import unittest
from pathlib import Path
from typing import Any

import grpc
import harness
from behind_proxy import ProxyTests
from google.protobuf.struct_pb2 import Struct
from harness import SOURCE, Program, Server, free_ports, skip, wait_until
from proto_stubs import generate_stubs

CONFIG = """
daemon off;
pid {folder}/nginx.pid;
error_log stderr warn;
events {{}}
http {{
  access_log off;
  client_body_temp_path {folder}/body;
  proxy_temp_path {folder}/proxy;
  fastcgi_temp_path {folder}/fastcgi;
  uwsgi_temp_path {folder}/uwsgi;
  scgi_temp_path {folder}/scgi;
  {servers}
}}
"""
DEFAULTS = """server {{
    listen 127.0.0.1:{port} http2;
    location / {{ grpc_pass grpc://{upstream}; }}
  }}"""
DOCUMENTED = SOURCE / "docker" / "proxies" / "nginx.conf"

protos: dict[str, Any] = {}


def start_nginx(folder: Path, servers: str) -> Program:
    path = folder / "nginx.conf"
    path.write_text(CONFIG.format(folder=folder, servers=servers))
    return Program("nginx", ["nginx", "-p", folder, "-c", path, "-e", "stderr"], folder)


class NginxWithDefaults:
    def __init__(self, folder: Path, upstream: str) -> None:
        port = free_ports(1)[0]
        self.address = f"127.0.0.1:{port}"
        self.program = start_nginx(folder, DEFAULTS.format(port=port, upstream=upstream))
        wait_until(lambda: self.healthy() or not self.program.running(), "nginx to serve")
        if not self.program.running():
            raise AssertionError(f"nginx ended\n{self.program.output()}")

    def healthy(self) -> bool:
        with grpc.insecure_channel(self.address) as channel:
            try:
                return bool(channel.unary_unary("/grpc.health.v1.Health/Check")(b"", timeout=1) == b"\x08\x01")
            except grpc.RpcError:
                return False


def event(properties: dict[str, Any], **fields: str) -> Any:
    struct = Struct()
    struct.update(properties)
    return {"identity": "ada", "event": "Seen", **fields, "properties": struct}


class NginxTest(harness.EndToEnd):
    @classmethod
    def setUpClass(cls) -> None:
        super().setUpClass()
        protos.update(generate_stubs(cls.folder))
        cls.nginx = NginxWithDefaults(cls.folder, cls.server.address)
        cls.addClassCleanup(cls.nginx.program.kill)

    def refusal(self, event_fields: dict[str, Any]) -> grpc.RpcError:
        with grpc.insecure_channel(self.nginx.address) as channel, self.assertRaises(grpc.RpcError) as caught:
            request = protos["service"].TrackEventRequest(event=event_fields)
            protos["stubs"].HeapSyncServiceStub(channel).TrackEvent(request, timeout=harness.PATIENCE)
        self.assertEqual(caught.exception.code(), grpc.StatusCode.INVALID_ARGUMENT, caught.exception.details())
        return caught.exception

    def listed_and_more(self, error: Any) -> tuple[int, int]:
        packed = dict(error.trailing_metadata())["grpc-status-details-bin"]
        bad = protos["error_details"].BadRequest()
        for detail in protos["rpc_status"].Status.FromString(packed).details:
            detail.Unpack(bad)
        texts = [violation.description for violation in bad.field_violations]
        more = [int(text.split()[1]) for text in texts if text.startswith("MORE_VIOLATIONS: ")]
        return len(texts) - len(more), sum(more)

    def test_an_event_with_sixty_long_values_is_refused_with_its_faults(self) -> None:
        listed, more = self.listed_and_more(self.refusal(event({f"property_{number}": "x" * 2_000 for number in range(60)})))
        self.assertGreater(listed, 10)
        self.assertEqual(listed + more, 60)

    def test_long_keys_and_keys_that_grow_on_the_way_are_refused_with_their_faults(self) -> None:
        for name, key in {"long": "k" * 500, "ideographs": "属性" * 100, "escaped": "% " * 100 + "%"}.items():
            with self.subTest(name):
                error = self.refusal(event({f"{number}{key}": "x" * 2_000 for number in range(60)}))
                listed, more = self.listed_and_more(error)
                self.assertGreater(listed, 0)
                self.assertEqual(listed + more, 60)

    def test_a_bulk_stream_with_many_faults_in_its_head_is_refused(self) -> None:
        request = protos["service"].BulkTrackEventsRequest(destination="d" * 5_000, request_id="r" * 50_000, events=[event({})])
        with grpc.insecure_channel(self.nginx.address) as channel, self.assertRaises(grpc.RpcError) as caught:
            list(protos["stubs"].HeapSyncServiceStub(channel).BulkTrackEvents(iter([request]), timeout=harness.PATIENCE))
        self.assertIn(caught.exception.code(), (grpc.StatusCode.INVALID_ARGUMENT, grpc.StatusCode.NOT_FOUND))


class DocumentedNginxTest(ProxyTests, unittest.TestCase):
    silence_ended = "upstream timed out"

    @classmethod
    def start_proxy(cls, folder: Path, port: int, server: Server, silence: str = "") -> Program:
        text = DOCUMENTED.read_text()
        for documented, here in {"listen 443 ssl": f"listen 127.0.0.1:{port} ssl", "heapsync:50051": f"heapsync:{server.ports[0]}",
                                 "http://heapsync:9464": f"http://heapsync:{server.ports[1]}", "/etc/nginx/tls/tls.crt": str(cls.served.cert),
                                 "/etc/nginx/tls/tls.key": str(cls.served.key)}.items():
            assert documented in text, documented
            text = text.replace(documented, here)
        # The host, and what else may have its name.
        text = re.sub(r"(?<![\w./])heapsync(?![\w./])|(?<=//)heapsync(?![\w./])", "127.0.0.1", text)
        if silence:
            text = text.replace("grpc_read_timeout 1h", f"grpc_read_timeout {silence}")
        return start_nginx(folder, text)

    def test_a_browser_shows_the_status_page_below_the_prefix(self) -> None:
        from status_page_test import Browser  # not at the top, where its tests would be taken for ours

        browser = Browser(self.folder, "--ignore-certificate-errors")
        self.addCleanup(browser.driver.quit)
        browser.driver.get(f"https://{self.address}/heapsync/")
        wait_until(lambda: browser.row("prod"), "the destinations on the page")
        wait_until(lambda: browser.ask("axis !== null"), "the charts")
        browser.driver.find_element("id", "search").send_keys("europe")
        wait_until(lambda: browser.names() == ["europe"], "the search to be answered")
        self.assertEqual(browser.driver.current_url, f"https://{self.address}/heapsync/#search=europe")
        self.assertEqual(browser.complaints(), [])


if __name__ == "__main__":
    if shutil.which("nginx") is None and not Path("/usr/sbin/nginx").exists():
        skip("no nginx")
    harness.run()
