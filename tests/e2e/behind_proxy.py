"""What has to work through each proxy with the configuration of docker/proxies: calls, long streams, silent streams, the status page."""

import json
import os
import re
import ssl
import subprocess
import urllib.request
from pathlib import Path
from typing import Any
from urllib.parse import urljoin

import certificates
import harness
from harness import Binaries, FakeHeap, Program, Server, free_ports, temporary_folder, two_regions, wait_until

ROW_BYTES = 1_000
ROWS = 5_000  # Four times what nginx takes of a body by default.
SLOW_ROWS = 300
MIB = 1 << 20


def row(identity: str) -> str:
    return json.dumps({"identity": identity, "event": "Seen", "text": "x" * ROW_BYTES}) + "\n"


class ProxyTests:
    """Mixed into a TestCase that says how to start its proxy."""

    # The line that the proxy logs when it ends a silent stream.
    silence_ended: str

    @classmethod
    def start_proxy(cls, folder: Path, port: int, server: Server, silence: str = "") -> Program:
        """With the documented configuration; `silence` replaces the time that a stream may be silent."""
        raise NotImplementedError

    @classmethod
    def setUpClass(cls) -> None:
        cls.folder = temporary_folder(cls)
        cls.heap = FakeHeap(cls.folder)
        cls.addClassCleanup(cls.heap.kill)
        cls.server = Server(cls.folder, cls.heap, f"--config={two_regions(cls.folder)}")
        cls.addClassCleanup(cls.server.kill)
        cls.ca = certificates.new_ca(cls.folder, "ca")
        cls.served = certificates.new_certificate(cls.folder, cls.ca, "proxy", "DNS:localhost")
        cls.proxy, cls.address = cls.start("patient")

    @classmethod
    def start(cls, name: str, silence: str = "") -> tuple[Program, str]:
        folder = cls.folder / name
        folder.mkdir()
        port = free_ports(1)[0]
        proxy = cls.start_proxy(folder, port, cls.server, silence)
        cls.addClassCleanup(proxy.kill)
        address = f"localhost:{port}"
        wait_until(lambda: cls.is_healthy(address) or not proxy.running(), f"{proxy.name} to serve")
        if not proxy.running():
            raise AssertionError(f"{proxy.name} ended\n{proxy.output()}")
        return proxy, address

    @classmethod
    def command(cls, address: str, *arguments: str | Path) -> list[str]:
        return [str(part) for part in (Binaries.cli, arguments[0], f"--server={address}", f"--tls_ca={cls.ca.cert}", *arguments[1:])]

    @classmethod
    def is_healthy(cls, address: str) -> bool:
        return subprocess.run(cls.command(address, "health"), capture_output=True, timeout=harness.PATIENCE, check=False).returncode == 0

    def run_cli(self, *arguments: str | Path) -> subprocess.CompletedProcess[str]:
        return subprocess.run(self.command(self.address, *arguments), capture_output=True, text=True, timeout=harness.PATIENCE, check=False)

    def fetch(self, path: str) -> tuple[str, bytes]:
        """Where a GET of it ends, and what is there."""
        context = ssl.create_default_context(cafile=str(self.ca.cert))
        with urllib.request.urlopen(f"https://{self.address}{path}", context=context, timeout=harness.PATIENCE) as answer:
            return answer.url, answer.read()

    def test_a_call_and_a_refusal_with_its_details_pass(self) -> None:
        done = self.run_cli("track", "--identity=through@example.com", "--event=Seen")
        self.assertEqual(done.returncode, 0, done.stderr)
        refused = self.run_cli("track", "--identity=undefined", "--event=Seen")
        self.assertNotEqual(refused.returncode, 0)
        self.assertIn("event.identity", refused.stderr)
        wait_until(lambda: len(self.heap.events_of("through@example.com")) == 1, "the event")

    def test_a_stream_of_several_mebibytes_passes_whole(self) -> None:
        before = self.heap.count("events", "appended")
        path = self.folder / "rows.ndjson"
        path.write_text("".join(row(f"large-{number}") for number in range(ROWS)))
        self.assertGreater(path.stat().st_size, 4 * MIB)
        done = self.run_cli("import", "--type=track", "--json", path)
        self.assertEqual(done.returncode, 0, done.stderr)
        self.assertEqual(json.loads(done.stdout)["reconnects"], 0, done.stdout)
        wait_until(lambda: self.heap.count("events", "appended") >= before + ROWS, "all events")

    def test_a_silent_stream_that_the_proxy_ends_is_resumed(self) -> None:
        proxy, address = self.start("impatient", "1s")
        command = self.command(address, "import", "--type=track", "--format=ndjson", "--json", "-")
        with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as importer:
            for part in range(2):
                # Small ones would wait for more in buffers.
                importer.stdin.write("".join(row(f"slow-{part}-{number}") for number in range(SLOW_ROWS)))
                importer.stdin.flush()
                wait_until(lambda: len(self.heap.events_of(f"slow-{part}-0")) == 1, "the first event of a part")
                ended = self.ended_streams(proxy)
                wait_until(lambda: self.ended_streams(proxy) > ended, "the proxy to end the silent stream")
            output, errors = importer.communicate(timeout=harness.PATIENCE)
        self.assertEqual(importer.returncode, 0, errors)
        summary: dict[str, Any] = json.loads(output)
        self.assertEqual(summary["accepted"], 2 * SLOW_ROWS, summary)
        self.assertGreaterEqual(summary["reconnects"], 1, summary)
        wait_until(lambda: all(self.heap.events_of(f"slow-{part}-{number}") for part in range(2) for number in range(SLOW_ROWS)), "all events")

    def ended_streams(self, proxy: Program) -> int:
        return len(re.findall(self.silence_ended, proxy.output()))

    def test_the_status_page_works_below_a_prefix(self) -> None:
        url, page = self.fetch("/heapsync")
        self.assertTrue(url.endswith("/heapsync/"), url)
        links = set(re.findall(r'(?:href|src|fetch\()="?([^"#:?]+)["?]', page.decode()))
        self.assertLessEqual({"statusz.json", "metrics"}, links)
        for link in links:
            with self.subTest(link):
                where, content = self.fetch(urljoin(url, link).split(self.address)[1])
                self.assertIn("/heapsync/", where)
                self.assertGreater(len(content), 100)
