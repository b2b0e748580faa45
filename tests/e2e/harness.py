"""Starts the real programs on loopback, with folders of their own, and asks the Heap simulator what arrived.

Nothing here waits for a fixed time: wait_until() polls a condition and fails, saying what it waited for, at its deadline.
"""

import argparse
import json
import os
import random
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time
import unittest
import urllib.error
import urllib.parse
import urllib.request
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any, TypeVar

import grpc

SOURCE = Path(__file__).resolve().parents[2]
APP_US = "1234567890"
APP_EU = "2222222222"
# Sanitizers and a busy machine are slow; a deadline only bounds how long a failure takes.
PATIENCE = 60.0
SKIPPED = 77  # ctest's SKIP_RETURN_CODE

T = TypeVar("T")


class Binaries:
    """Paths of the programs; filled by run()."""

    server = Path()
    cli = Path()
    fake_heap = Path()
    grpcurl = Path()


def wait_until(condition: Callable[[], T], what: str, seconds: float = PATIENCE) -> T:
    """The first true result of `condition`."""
    deadline = time.monotonic() + seconds
    while True:
        result = condition()
        if result:
            return result
        if time.monotonic() >= deadline:
            raise AssertionError(f"waited {seconds:.0f} s for {what}; last seen: {result!r}")
        time.sleep(0.01)


def free_ports(count: int) -> list[int]:
    """Ports that nobody listens on, below those that the kernel hands out to outgoing connections."""
    ports: list[int] = []
    held: list[socket.socket] = []
    try:
        while len(ports) < count:
            port = random.SystemRandom().randrange(20_000, 32_000)
            candidate = socket.socket()
            held.append(candidate)
            try:
                candidate.bind(("127.0.0.1", port))
            except OSError:
                continue
            ports.append(port)
    finally:
        for candidate in held:
            candidate.close()
    return ports


class Program:
    """A process that this test started, with all that it prints in one file."""

    def __init__(self, name: str, command: Iterable[str | Path], folder: Path, environment: dict[str, str] | None = None) -> None:
        self.name = name
        self.log = folder / f"{name}.log"
        with self.log.open("ab") as log:
            self.process = subprocess.Popen([str(part) for part in command], stdin=subprocess.DEVNULL, stdout=log,
                                            stderr=subprocess.STDOUT, env=os.environ | (environment or {}))

    def running(self) -> bool:
        return self.process.poll() is None

    def output(self) -> str:
        return self.log.read_text(encoding="utf-8", errors="replace")

    def wait(self, seconds: float = PATIENCE) -> int:
        try:
            return self.process.wait(seconds)
        except subprocess.TimeoutExpired:
            self.kill()
            raise AssertionError(f"{self.name} did not end within {seconds:.0f} s\n{self.output()[-4000:]}") from None

    def kill(self) -> None:
        """kill -9, and gone when this returns."""
        if self.running():
            self.process.kill()
        self.process.wait()

    def stop(self) -> int:
        """SIGTERM; its exit code."""
        if self.running():
            self.process.send_signal(signal.SIGTERM)
        return self.wait()


class FakeHeap(Program):
    def __init__(self, folder: Path, *flags: str) -> None:
        port_file = folder / "fake-heap.ports"
        super().__init__("fake-heap", [Binaries.fake_heap, "--listen_us=127.0.0.1:0", "--listen_eu=127.0.0.1:0",
                                       f"--port_file={port_file}", *flags], folder)
        wait_until(lambda: port_file.exists() or not self.running(), "fake-heap's port file")
        if not self.running():
            raise AssertionError(f"fake-heap ended\n{self.output()}")
        ports = json.loads(port_file.read_text())
        self.us_url: str = ports["us"]["url"]
        self.eu_url: str = ports["eu"]["url"]

    def _ask(self, path: str, method: str = "GET", body: bytes | None = None) -> bytes:
        request = urllib.request.Request(self.us_url + path, data=body, method=method)
        with urllib.request.urlopen(request, timeout=PATIENCE) as answer:
            return bytes(answer.read())

    def get(self, what: str, **query: str) -> Any:
        return json.loads(self._ask(f"/_fake/{what}?{urllib.parse.urlencode(query)}"))

    def find(self, what: str, **query: str) -> Any:
        """As get(), but None for what is not there."""
        try:
            return self.get(what, **query)
        except urllib.error.HTTPError as error:
            if error.code == 404:
                return None
            raise

    def app(self, app_id: str = APP_US) -> dict[str, Any]:
        """The summary of one app id; that of an app id that never sent anything is empty."""
        apps: dict[str, Any] = self.get("summary")["apps"]
        return apps.get(app_id, {})

    def count(self, kind: str, counter: str, app_id: str = APP_US) -> int:
        return int(self.app(app_id).get(kind, {}).get(counter, 0))

    def keys(self, app_id: str = APP_US) -> dict[str, int]:
        """Each idempotency key and how often it came."""
        lines = self._ask(f"/_fake/keys?app_id={app_id}").decode().splitlines()
        return {key: int(count) for key, count in (line.split("\t") for line in lines)}

    def events_of(self, identity: str, app_id: str = APP_US) -> list[dict[str, Any]]:
        answer = self.get("events", app_id=app_id, identity=identity, limit="100000")
        return [event["event"] for event in answer["events"]]

    def set_faults(self, *rules: dict[str, Any], seed: int = 1) -> None:
        self._ask("/_fake/faults", "PUT", json.dumps({"seed": seed, "rules": list(rules)}).encode())

    def clear_faults(self) -> None:
        self._ask("/_fake/faults", "DELETE")


class Server(Program):
    """heapsync-server on ports of its own; `data_dir` outlives it."""

    def __init__(self, folder: Path, heap: FakeHeap, *flags: str, ports: list[int] | None = None,
                 environment: dict[str, str] | None = None, credentials: grpc.ChannelCredentials | None = None,
                 host: str = "127.0.0.1") -> None:
        self.credentials = credentials
        self.ports = ports or free_ports(2)
        self.address = f"{host}:{self.ports[0]}"
        self.http_url = f"http://{host}:{self.ports[1]}"
        self.data_dir = folder / "data"
        super().__init__("heapsync-server", [
            Binaries.server, f"--listen={self.address}", f"--http_listen={host}:{self.ports[1]}", f"--data_dir={self.data_dir}",
            f"--heap_us_url={heap.us_url}", f"--heap_eu_url={heap.eu_url}", "--max_batch_wait=50ms", *flags
        ], folder, environment)
        wait_until(lambda: self.healthy() or not self.running(), "the server to serve")
        if not self.running():
            raise AssertionError(f"heapsync-server ended with {self.process.returncode}\n{self.output()}")

    def channel(self, *options: tuple[str, Any]) -> grpc.Channel:
        if self.credentials is None:
            return grpc.insecure_channel(self.address, options)
        return grpc.secure_channel(self.address, self.credentials, options)

    def healthy(self) -> bool:
        """Asks as any gRPC client does: HealthCheckResponse{status: SERVING} is these two bytes."""
        with self.channel() as channel:
            check = channel.unary_unary("/grpc.health.v1.Health/Check")
            try:
                return bool(check(b"", timeout=PATIENCE) == b"\x08\x01")
            except grpc.RpcError:
                return False


def two_regions(folder: Path, limits: dict[str, int] | None = None) -> Path:
    """A configuration file, comments and all, with one destination in each region."""
    destinations = [
        {"name": "prod", "app_id": APP_US, "region": "us"},
        {"name": "europe", "app_id": APP_EU, "region": "eu"},
    ]
    if limits is not None:
        for destination in destinations:
            destination["limits"] = limits  # type: ignore[assignment]
    path = folder / "heapsync.json"
    text = json.dumps({"destinations": destinations, "default_destination": "prod"}, indent=2)
    path.write_text("// Two regions.\n" + text, encoding="utf-8")
    return path


class EndToEnd(unittest.TestCase):
    """A simulator and a server for all tests of the class; each test uses identities of its own."""

    server_flags: tuple[str, ...] = ()
    folder: Path
    heap: FakeHeap
    server: Server

    @classmethod
    def setUpClass(cls) -> None:
        cls.folder = temporary_folder(cls)
        cls.heap = FakeHeap(cls.folder)
        cls.addClassCleanup(cls.heap.kill)
        cls.server = Server(cls.folder, cls.heap, f"--config={two_regions(cls.folder)}", *cls.server_flags)
        cls.addClassCleanup(cls._end_server)

    @classmethod
    def _end_server(cls) -> None:
        code = cls.server.stop()
        if code != 0:
            raise AssertionError(f"heapsync-server ended with {code}\n{cls.server.output()[-8000:]}")

    def tearDown(self) -> None:
        self.assertTrue(self.server.running(), f"the server died\n{self.server.output()[-8000:]}")

    def wait_for_event(self, key: str, app_id: str = APP_US) -> dict[str, Any]:
        return dict(wait_until(lambda: self.heap.find("event", app_id=app_id, key=key), f"event {key} at Heap"))

    def wait_for_user(self, identity: str, app_id: str = APP_US) -> dict[str, Any]:
        return dict(wait_until(lambda: self.heap.find("users", app_id=app_id, identity=identity), f"user {identity} at Heap"))

    def wait_for_account(self, account_id: str, app_id: str = APP_US) -> dict[str, Any]:
        return dict(wait_until(lambda: self.heap.find("accounts", app_id=app_id, account_id=account_id), f"{account_id} at Heap"))


def temporary_folder(case: type[unittest.TestCase]) -> Path:
    folder = Path(tempfile.mkdtemp(prefix="heapsync-e2e-"))
    case.addClassCleanup(shutil.rmtree, folder, ignore_errors=True)
    return folder


def skip(reason: str) -> None:
    """Ends the program as skipped, loudly; as failed where nothing may be skipped."""
    print(f"SKIPPED: {reason}", file=sys.stderr)
    sys.exit(1 if os.environ.get("CI") == "true" else SKIPPED)


def run() -> None:
    """The main function of a test program: programs by flag, then unittest's own arguments."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--server", type=Path, required=True)
    parser.add_argument("--cli", type=Path, required=True)
    parser.add_argument("--fake-heap", type=Path, required=True)
    parser.add_argument("--grpcurl", type=Path)
    arguments, rest = parser.parse_known_args()
    Binaries.server, Binaries.cli, Binaries.fake_heap = arguments.server, arguments.cli, arguments.fake_heap
    if arguments.grpcurl is not None:
        Binaries.grpcurl = arguments.grpcurl
        if not arguments.grpcurl.exists():
            skip(f"no grpcurl at {arguments.grpcurl}; scripts/install_test_tools.sh puts it there")
    unittest.main(module="__main__", argv=[sys.argv[0], *rest], verbosity=2)
