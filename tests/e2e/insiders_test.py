#!/usr/bin/env python3
"""Callers with credentials are bounded, whatever they send, and neither slow their neighbours nor make the server grow.

HEAPSYNC_ATTACKS=full makes each attack last 20 seconds instead of 4.
"""

import json

import harness
from attacks import AttackTest, caller
from innocents import percentile

BAD, GOOD = "hst_bad", "hst_good"
# Few large messages, each of which takes hundreds of milliseconds.
LARGE = ("empty_values", "many_keys", "faults")
MAX_WAIT_BESIDE_LARGE = 1


class InsidersTest(AttackTest):
    script = harness.SOURCE / "tests" / "attack" / "insiders.py"
    token = GOOD
    callers = [caller(name, token, services=["data", "admin"]) for name, token in (("bad", BAD), ("good", GOOD))]

    def attack(self, name: str, *arguments: str, asks_admin: bool = False) -> None:
        innocents = self.run_attack(name, BAD, *arguments, asks_admin=asks_admin)
        self.assert_served(innocents)
        if name in LARGE:
            self.assertLess(percentile(innocents.calls, .99), MAX_WAIT_BESIDE_LARGE)
        # A probe whose connection is still new shares the attacker's address, and may have to give way to it once.
        self.assertLessEqual(len(innocents.lost_probes), 1 if name == "watches" else 0, innocents.lost_probes)

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
            stub, admin = (self.protos[name].HeapSyncServiceStub(channel) if name == "stubs" else
                           self.protos[name].HeapSyncAdminServiceStub(channel) for name in ("stubs", "admin_stubs"))
            metadata = [("authorization", f"Bearer {BAD}")]
            events = [{"identity": f"alone-{number}", "event": "Alone"} for number in range(1_000)]
            answers = list(stub.BulkTrackEvents(iter([self.protos["service"].BulkTrackEventsRequest(events=events, destination="alone")]),
                                                timeout=harness.PATIENCE, metadata=metadata))
            admin.Flush(self.protos["admin"].FlushRequest(destination="alone"), timeout=harness.PATIENCE, metadata=metadata)
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
