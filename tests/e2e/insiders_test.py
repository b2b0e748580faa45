#!/usr/bin/env python3
"""Callers with credentials are bounded, whatever they send, and neither slow their neighbours nor make the server grow.

HEAPSYNC_ATTACKS=full makes each attack last 20 seconds instead of 4.
"""

import json
import subprocess
import sys
import time
import unittest
from hashlib import sha256
from typing import Any

import harness
from harness import FakeHeap, Server, temporary_folder
from innocents import FULL, MAX_GROWTH, Innocents, forget_peak, memory, percentile, report
from proto_stubs import generate_stubs

INSIDERS = harness.SOURCE / "tests" / "attack" / "insiders.py"
SECONDS = 20 if FULL else 4
BAD, GOOD = "hst_bad", "hst_good"

protos: dict[str, Any] = {}


class InsidersTest(unittest.TestCase):
    @classmethod
    def setUpClass(cls) -> None:
        cls.folder = temporary_folder(cls)
        protos.update(generate_stubs(cls.folder))
        cls.heap = FakeHeap(cls.folder)
        cls.addClassCleanup(cls.heap.kill)
        cls.rules = cls.folder / "callers.json"
        cls.rules.write_text(json.dumps({"callers": [
            {"name": name, "token_sha256": [sha256(token.encode()).hexdigest()], "services": ["data", "admin"]}
            for name, token in (("bad", BAD), ("good", GOOD))
        ]}))

    def setUp(self) -> None:
        self.server = self.start()

    def start(self, *flags: str) -> Server:
        flags = flags or (f"--app_id={harness.APP_US}",)
        server = Server(self.folder, self.heap, f"--auth={self.rules}", "--allow_plaintext", *flags)
        self.addCleanup(server.kill)
        return server

    def attack(self, name: str, *arguments: str, asks_admin: bool = False) -> None:
        with Innocents(self.server, protos, GOOD, asks_admin) as calm:
            time.sleep(1)
        forget_peak(self.server)
        before = memory(self.server, "VmRSS")
        with Innocents(self.server, protos, GOOD, asks_admin) as innocents:
            done = subprocess.run([sys.executable, INSIDERS, str(self.server.ports[0]), name, str(SECONDS), BAD, *arguments],
                                  capture_output=True, text=True, timeout=10 * harness.PATIENCE, check=False)
        growth = memory(self.server, "VmHWM") - before
        print(report(name, growth, calm, innocents), done.stdout.strip(), file=sys.stderr)
        self.assertEqual(done.returncode, 0, done.stderr)
        self.assertTrue(self.server.running(), self.server.output()[-4000:])
        self.assertLess(growth, MAX_GROWTH)
        self.assertEqual(innocents.failures, [])
        # A probe whose connection is still new shares the attacker's address, and may have to give way to it once.
        self.assertLessEqual(len(innocents.lost_probes), 1 if name == "watches" else 0, innocents.lost_probes)
        # On a machine that the attacker shares with everybody.
        self.assertLess(max(innocents.probes), 5)
        self.assertLess(percentile(innocents.calls, .99), 5)
        self.assertLess(percentile(innocents.questions, .99), 5)

    def test_messages_with_too_many_items_or_fields_are_refused_by_their_number(self) -> None:
        for name in ("bad_bytes", "empty_items", "empty_users", "unknown_fields"):
            with self.subTest(name):
                self.attack(name)

    def test_what_grows_when_it_is_parsed_is_bounded(self) -> None:
        for name in ("empty_values", "many_keys", "nested_values", "reflection"):
            with self.subTest(name):
                self.attack(name)

    def test_refusals_are_bounded_read_or_not(self) -> None:
        for name in ("faults", "faults_unread", "bad_items_unread"):
            with self.subTest(name):
                self.attack(name)

    def test_messages_whose_ends_are_withheld_are_bounded(self) -> None:
        for name in ("withheld_messages", "withheld_bulk"):
            with self.subTest(name):
                self.attack(name)

    def test_calls_that_wait_and_answers_that_nobody_reads_are_bounded(self) -> None:
        for name in ("silent_streams", "unread_unary", "watches"):
            with self.subTest(name):
                self.attack(name)

    def receipt_of_items_that_travelled_alone(self) -> str:
        """A receipt of 1,000 events, each of which had a request of its own."""
        with self.server.channel() as channel:
            stub, admin = (protos[name].HeapSyncServiceStub(channel) if name == "stubs" else
                           protos[name].HeapSyncAdminServiceStub(channel) for name in ("stubs", "admin_stubs"))
            metadata = [("authorization", f"Bearer {BAD}")]
            events = [{"identity": f"alone-{number}", "event": "Alone"} for number in range(1_000)]
            answers = list(stub.BulkTrackEvents(iter([protos["service"].BulkTrackEventsRequest(events=events, destination="alone")]),
                                                timeout=harness.PATIENCE, metadata=metadata))
            admin.Flush(protos["admin"].FlushRequest(destination="alone"), timeout=harness.PATIENCE, metadata=metadata)
        return next(answer.receipt for answer in answers if answer.receipt)

    def test_admin_questions_of_one_caller_wait_for_their_turn(self) -> None:
        self.server.kill()
        config = self.folder / "alone.json"
        config.write_text(json.dumps({"default_destination": "prod", "destinations": [
            {"name": "prod", "app_id": harness.APP_US, "region": "us"},
            {"name": "alone", "app_id": harness.APP_EU, "region": "eu", "batch": {"max_items": 1, "max_wait": "1ms"}}
        ]}))
        self.server = self.start(f"--config={config}")
        receipt = self.receipt_of_items_that_travelled_alone()
        for name, *arguments in (("receipts", receipt), ("filters",), ("listings",), ("long_receipts",), ("page_tokens",), ("many_ids",)):
            with self.subTest(name):
                self.attack(name, *arguments, asks_admin=True)


if __name__ == "__main__":
    harness.run()
