#!/usr/bin/env python3
"""The way to Heap: through a real CONNECT proxy (tinyproxy), with an own root certificate, past proxies of the environment, and away
from connections that are dead."""

import http.server
import json
import shlex
import shutil
import signal
import socket
import ssl
import subprocess
import sys
import threading
import unittest
import urllib.request
from pathlib import Path
from typing import Any

import harness
from certificates import Pair, new_ca, new_certificate
from harness import APP_US, Binaries, FakeHeap, Program, Server, free_ports, temporary_folder, wait_until

USER, PASSWORD = "courier", "hard-to-guess"


class TlsHeap(http.server.BaseHTTPRequestHandler):
    """Answers every POST as Heap does."""

    protocol_version = "HTTP/1.1"
    taken: list[bytes] = []

    def do_POST(self) -> None:  # noqa: N802
        self.taken.append(self.rfile.read(int(self.headers["Content-Length"])))
        self.send_response(200)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", "2")
        self.end_headers()
        self.wfile.write(b"{}")

    def log_message(self, *_: Any) -> None:
        pass


def listens(port: int) -> bool:
    with socket.socket() as probe:
        return probe.connect_ex(("127.0.0.1", port)) == 0


class HeapWayTest(unittest.TestCase):
    def setUp(self) -> None:
        self.folder = temporary_folder(type(self))
        self.heap = FakeHeap(self.folder)
        self.addCleanup(self.heap.kill)
        self.credentials = self.folder / "proxy-credentials"
        self.credentials.write_text(f"{USER}:{PASSWORD}\n")

    def start_proxy(self) -> str:
        port = free_ports(1)[0]
        config = self.folder / "tinyproxy.conf"
        config.write_text(f"Port {port}\nListen 127.0.0.1\nTimeout 60\nMaxClients 50\nLogLevel Info\nBasicAuth {USER} {PASSWORD}\n")
        self.proxy = Program("tinyproxy", ["tinyproxy", "-d", "-c", config], self.folder)
        self.addCleanup(self.proxy.kill)
        wait_until(lambda: listens(port) or not self.proxy.running(), "the proxy to listen")
        self.assertTrue(self.proxy.running(), self.proxy.output())
        return f"http://127.0.0.1:{port}"

    def start(self, *flags: str, **environment: str) -> Server:
        server = Server(self.folder, self.heap, f"--app_id={APP_US}", "--log_level=debug", *flags, environment=environment)
        self.addCleanup(server.kill)
        return server

    def track(self, server: Server) -> None:
        subprocess.run([str(Binaries.cli), "track", f"--server={server.address}", "--identity=ada@example.com", "--event=Sent"],
                       check=True, capture_output=True, timeout=harness.PATIENCE)

    def destination(self, server: Server) -> dict[str, Any]:
        with urllib.request.urlopen(f"{server.http_url}/statusz.json", timeout=harness.PATIENCE) as answer:
            return dict(json.loads(answer.read())["destinations"][0])

    def wait_for_error(self, server: Server, state: str) -> dict[str, Any]:
        return wait_until(lambda: (now := self.destination(server))["state"] == state and now, f"the destination to be {state}")

    def wait_for_event(self) -> None:
        wait_until(lambda: self.heap.events_of("ada@example.com"), "the event at Heap")

    def start_tls_heap(self, folder: Path) -> tuple[str, Path]:
        """Its URL and the root certificate that only we know."""
        ca = new_ca(folder, "inspection")
        pair = new_certificate(folder, ca, "localhost", "DNS:localhost")
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(pair.cert, pair.key)
        TlsHeap.taken = []
        server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), TlsHeap)
        server.daemon_threads = True
        server.socket = context.wrap_socket(server.socket, server_side=True)
        threading.Thread(target=server.serve_forever, daemon=True).start()
        self.addCleanup(server.server_close)
        self.addCleanup(server.shutdown)
        return f"https://localhost:{server.server_port}", ca.cert

    def test_everything_goes_through_the_proxy(self) -> None:
        server = self.start(f"--heap_proxy={self.start_proxy()}", f"--heap_proxy_credentials_file={self.credentials}")
        self.track(server)
        self.wait_for_event()
        self.assertIn("CONNECT " + self.heap.us_url.removeprefix("http://"), self.proxy.output())

    def test_a_proxy_that_refuses_is_named_and_the_app_id_is_not_blamed(self) -> None:
        self.credentials.write_text(f"{USER}:wrong-{PASSWORD}\n")
        server = self.start(f"--heap_proxy={self.start_proxy()}", f"--heap_proxy_credentials_file={self.credentials}")
        self.track(server)
        destination = self.wait_for_error(server, "needs_attention")
        self.assertIn("proxy refused CONNECT: 40", destination["last_error"])
        self.assertNotIn("App ID", destination["why"])
        self.assertEqual(server.stop(), 0)
        self.assertNotIn(PASSWORD, server.output() + json.dumps(destination))

    def test_a_proxy_that_is_away_is_named(self) -> None:
        port = free_ports(1)[0]
        server = self.start(f"--heap_proxy=http://127.0.0.1:{port}")
        self.track(server)
        destination = self.wait_for_error(server, "backing_off")
        self.assertIn(f"no connection: Failed to connect to 127.0.0.1 port {port}", destination["last_error"])

    def test_proxies_of_the_environment_are_ignored(self) -> None:
        away = "http://127.0.0.1:9"
        server = self.start(http_proxy=away, https_proxy=away, HTTPS_PROXY=away, all_proxy=away, ALL_PROXY=away)
        self.track(server)
        self.wait_for_event()

    def test_an_own_root_is_trusted_through_the_proxy(self) -> None:
        url, root = self.start_tls_heap(self.folder)
        server = self.start(f"--heap_us_url={url}", f"--heap_ca={root}", f"--heap_proxy={self.start_proxy()}",
                            f"--heap_proxy_credentials_file={self.credentials}")
        self.track(server)
        wait_until(lambda: TlsHeap.taken, "a request over TLS")
        self.assertIn("CONNECT localhost:", self.proxy.output())

    def test_without_it_the_certificate_is_named(self) -> None:
        url, _ = self.start_tls_heap(self.folder)
        server = self.start(f"--heap_us_url={url}")
        self.track(server)
        destination = self.wait_for_error(server, "needs_attention")
        self.assertEqual(destination["last_error"], "certificate is not trusted: unable to get local issuer certificate")
        self.assertNotIn("App ID", destination["why"])
        self.assertEqual(TlsHeap.taken, [])

    def start_http2_heap(self, address: str, port: int, pair: Pair) -> Program:
        heap = Program(f"heap-{address}", [sys.executable, Path(__file__).with_name("http2_heap.py"), f"--address={address}",
                                           f"--port={port}", f"--cert={pair.cert}", f"--key={pair.key}"], self.folder)
        self.addCleanup(heap.kill)
        wait_until(lambda: "listening" in heap.output() or not heap.running(), "the HTTP/2 Heap to listen")
        self.assertTrue(heap.running(), heap.output())
        return heap

    def with_hosts(self, hosts: Path) -> None:
        """Servers of this test see `hosts` as /etc/hosts."""
        command = ["unshare", "--user", "--map-root-user", "--mount", "sh", "-c", 'mount --bind "$0" /etc/hosts && exec "$@"', str(hosts)]
        if subprocess.run([*command, "true"], capture_output=True, check=False).returncode != 0:
            self.skipTest("user namespaces are not permitted here")
        wrapped = self.folder / "server-with-hosts"
        wrapped.write_text(f"#!/bin/sh\nexec {shlex.join([*command, str(Binaries.server)])} \"$@\"\n")
        wrapped.chmod(0o755)
        self.addCleanup(setattr, Binaries, "server", Binaries.server)
        Binaries.server = wrapped

    def test_dead_connections_cost_one_timeout_and_the_name_is_looked_up_again(self) -> None:
        hosts = self.folder / "hosts"
        hosts.write_text("127.0.0.1 localhost\n127.0.0.1 heap.internal\n")
        self.with_hosts(hosts)
        ca = new_ca(self.folder, "internal")
        pair = new_certificate(self.folder, ca, "heap.internal", "DNS:heap.internal")
        port = free_ports(1)[0]
        first = self.start_http2_heap("127.0.0.1", port, pair)
        second = self.start_http2_heap("127.0.0.2", port, pair)
        server = self.start(f"--heap_us_url=https://heap.internal:{port}", f"--heap_ca={ca.cert}", "--max_batch_items=10")
        # Several requests at once leave several connections open.
        rows = self.folder / "rows.csv"
        rows.write_text("identity,event\n" + "".join(f"u{i}@example.com,Sent\n" for i in range(300)))
        subprocess.run([str(Binaries.cli), "import", f"--server={server.address}", "--type=track", "--ack=delivered",
                        f"--rejects={self.folder / 'rejects'}", str(rows)], check=True, capture_output=True, timeout=harness.PATIENCE)
        self.assertGreater(first.output().count("connection"), 1)
        self.assertGreaterEqual(first.output().count("request"), 30)

        first.process.send_signal(signal.SIGSTOP)
        hosts.write_text("127.0.0.1 localhost\n127.0.0.2 heap.internal\n")
        self.track(server)
        wait_until(lambda: "request" in second.output(), "the event at the second address")
        self.assertEqual(server.stop(), 0)
        self.assertEqual(server.output().count('"timeout"'), 1, server.output())


if __name__ == "__main__":
    if shutil.which("tinyproxy") is None:
        harness.skip("no tinyproxy; scripts/install_dependencies.sh --test installs it")
    harness.run()
