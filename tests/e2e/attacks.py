"""The common part of the tests of attacks: a server that knows some callers, an attack in a process of its own, and its outcome."""

import json
import subprocess
import sys
import time
import unittest
from collections.abc import Callable
from contextlib import ExitStack
from hashlib import sha256
from pathlib import Path
from typing import Any

import grpc
import harness
from harness import FakeHeap, Server, temporary_folder
from innocents import FULL, MAX_GROWTH, Innocents, forget_peak, memory, percentile, report
from proto_stubs import generate_stubs

SECONDS = 20 if FULL else 4
# On a machine that the attacker shares with everybody.
MAX_WAIT = 5


def caller(name: str, token: str, **rules: Any) -> dict[str, Any]:
    """The caller's entry in the file of --auth."""
    return {"name": name, "token_sha256": [sha256(token.encode()).hexdigest()], **rules}


def write_callers(folder: Path, *callers: dict[str, Any]) -> Path:
    rules = folder / "callers.json"
    rules.write_text(json.dumps({"callers": callers}))
    return rules


class AttackTest(unittest.TestCase):
    script: Path  # of the attacks
    token: str  # of the innocents
    callers: list[dict[str, Any]]
    protos: dict[str, Any]
    server: Server

    @classmethod
    def setUpClass(cls) -> None:
        cls.folder = temporary_folder(cls)
        cls.protos = generate_stubs(cls.folder)
        cls.heap = FakeHeap(cls.folder)
        cls.addClassCleanup(cls.heap.kill)
        cls.rules = write_callers(cls.folder, *cls.callers)
        cls.beside = cls.start_beside() if FULL else None

    @classmethod
    def start_beside(cls) -> Server:
        """One that nobody attacks, on the same cores."""
        folder = cls.folder / "beside"
        folder.mkdir()
        server = Server(folder, cls.heap, f"--auth={cls.rules}", "--allow_plaintext", f"--app_id={harness.APP_EU}", "--region=eu")
        cls.addClassCleanup(server.kill)
        return server

    def setUp(self) -> None:
        self.server = self.start()

    def start(self, *flags: str, credentials: grpc.ChannelCredentials | None = None) -> Server:
        flags = flags or (f"--app_id={harness.APP_US}",)
        server = Server(self.folder, self.heap, f"--auth={self.rules}", "--allow_plaintext", *flags, credentials=credentials)
        self.addCleanup(server.kill)
        return server

    def run_attack(self, name: str, *arguments: str, port: int = 0, asks_admin: bool = False,
                   note: Callable[[], str] = str) -> Innocents:
        """Fails if the server ends or its memory has no bound. `note` is said with the outcome."""
        with Innocents(self.server, self.protos, self.token, asks_admin) as calm:
            time.sleep(1)
        forget_peak(self.server)
        before = memory(self.server, "VmRSS")
        logged, begun = self.server.log.stat().st_size, time.monotonic()
        with ExitStack() as stack:
            innocents = stack.enter_context(Innocents(self.server, self.protos, self.token, asks_admin))
            beside = self.beside and stack.enter_context(Innocents(self.beside, self.protos, self.token))
            done = subprocess.run([sys.executable, self.script, str(port or self.server.ports[0]), name, str(SECONDS), *arguments],
                                  capture_output=True, text=True, timeout=10 * harness.PATIENCE, check=False)
        growth = memory(self.server, "VmHWM") - before
        log_a_minute = 60 * (self.server.log.stat().st_size - logged) / (time.monotonic() - begun)
        print(report(name, growth, calm, innocents, beside, log_a_minute), done.stdout.strip(), note(), file=sys.stderr)
        self.assertEqual(done.returncode, 0, done.stderr)
        self.assertTrue(self.server.running(), self.server.output()[-4000:])
        self.assertLess(growth, MAX_GROWTH)
        return innocents

    def assert_served(self, innocents: Innocents) -> None:
        self.assertEqual(innocents.failures, [])
        self.assertLess(max(innocents.probes), MAX_WAIT)
        for times in (innocents.calls, innocents.questions):
            self.assertLess(percentile(times, .99), MAX_WAIT)
