#!/usr/bin/env python3
"""Each RPC of HeapSyncAdminService by real grpcurl, and each command for it, against real processes: what an operator would do."""

import json
import subprocess
import uuid
from typing import Any

import harness
from harness import APP_EU, Binaries, Server

DATA = "heapsync.v1.HeapSyncService"
ADMIN = "heapsync.v1.HeapSyncAdminService"
DETAIL = "type.googleapis.com/google.rpc."
POISON = {"match": {"body_contains": "poison"}, "action": {"type": "poison"}}


class Refused(Exception):
    """An error of a call: its google.rpc.Status."""

    def __init__(self, status: dict[str, Any]) -> None:
        super().__init__(json.dumps(status))
        self.code = int(status["code"])
        self.details = {detail["@type"].removeprefix(DETAIL): detail for detail in status.get("details", [])}
        self.reason = str(self.details["ErrorInfo"]["reason"])

    def violations(self) -> dict[str, str]:
        """Path → reason."""
        found = self.details["BadRequest"]["field_violations"]
        return {violation["field"]: violation["description"].split(":")[0] for violation in found}


class AdminGrpcurlTest(harness.EndToEnd):
    def setUp(self) -> None:
        self.heap.set_faults(POISON)
        # Nothing of another test may be found, nor stay.
        self.addCleanup(self.call, "ResumeDestination")
        self.call("DiscardDeadLetters", {"all": True})
        self.name = f"{self._testMethodName}-{uuid.uuid4().hex[:8]}"

    def call(self, method: str, request: dict[str, Any] | None = None, service: str = ADMIN, server: Server | None = None) -> dict[str, Any]:
        command = [str(Binaries.grpcurl), "-plaintext", "-max-time", str(harness.PATIENCE), "-format-error", "-emit-defaults", "-d", "@",
                   (server or self.server).address, f"{service}/{method}"]
        done = subprocess.run(command, input=json.dumps(request or {}).encode(), capture_output=True, timeout=2 * harness.PATIENCE)
        if done.returncode != 0:
            raise Refused(json.loads(done.stderr))
        return dict(json.loads(done.stdout))

    def fail_call(self, method: str, request: dict[str, Any]) -> Refused:
        with self.assertRaises(Refused) as caught:
            self.call(method, request)
        self.assertEqual(caught.exception.details["ErrorInfo"]["domain"], "heapsync")
        return caught.exception

    def track(self, event: str, destination: str = "", server: Server | None = None) -> str:
        """The receipt of an accepted event."""
        answer = self.call("TrackEvent", {"destination": destination, "event": {"identity": self.name, "event": event}}, DATA, server)
        return str(answer["receipt"])

    def item(self, receipt: str, server: Server | None = None) -> dict[str, Any]:
        [item] = self.call("GetDelivery", {"receipt": receipt}, server=server)["items"]
        return dict(item)

    def letter(self) -> str:
        """The id of a dead letter that Heap refused."""
        receipt = self.track("poison")
        self.call("Flush")
        return str(self.item(receipt)["dead_letter_id"])

    def command(self, *arguments: str, code: int = 0) -> str:
        done = subprocess.run([str(Binaries.cli), *arguments, f"--server={self.server.address}"], capture_output=True,
                              timeout=2 * harness.PATIENCE)
        self.assertEqual(done.returncode, code, done.stderr.decode())
        return done.stdout.decode()

    # Destinations.

    def test_reflection_and_health_know_the_service(self) -> None:
        listed = subprocess.run([str(Binaries.grpcurl), "-plaintext", self.server.address, "list", ADMIN], capture_output=True, check=True)
        self.assertEqual(listed.stdout.decode().split(), [f"{ADMIN}.{rpc}" for rpc in (
            "DiscardDeadLetters", "Flush", "GetDelivery", "GetDestination", "ListDeadLetters", "ListDestinations", "PauseDestination",
            "ReplayDeadLetters", "ResumeDestination")])
        self.assertEqual(self.call("Check", {"service": ADMIN}, "grpc.health.v1.Health"), {"status": "SERVING"})

    def test_list_destinations(self) -> None:
        destinations = self.call("ListDestinations")["destinations"]
        self.assertEqual([(each["name"], each["region"], each["masked_app_id"]) for each in destinations],
                         [("prod", "HEAP_REGION_US", "…7890"), ("europe", "HEAP_REGION_EU", "…2222")])
        page = self.call("ListDestinations", {"page_size": 1})
        self.assertEqual([each["name"] for each in page["destinations"]], ["prod"])
        self.assertEqual(self.fail_call("ListDestinations", {"page_size": 5000}).violations(), {"page_size": "OUT_OF_RANGE"})

    def test_get_destination(self) -> None:
        self.track("one", "europe")
        self.call("Flush")
        europe = self.call("GetDestination", {"destination": "europe"})["destination"]
        self.assertEqual(europe["state"], "DESTINATION_STATE_ACTIVE")
        self.assertEqual(europe["allowance_total"], "15000")
        self.assertGreaterEqual(int(europe["types"][0]["delivered"]), 1)
        self.assertTrue(any("Live view" in note for note in europe["notes"]))
        self.assertNotIn(APP_EU, json.dumps(europe))
        error = self.fail_call("GetDestination", {"destination": "nowhere"})
        self.assertEqual((error.code, error.reason), (5, "DESTINATION_NOT_FOUND"))
        self.assertEqual(error.details["ResourceInfo"]["resource_name"], "nowhere")

    def test_pause_flush_and_resume(self) -> None:
        paused = self.call("PauseDestination", {"destination": "prod"})["destination"]
        self.assertEqual(paused["state"], "DESTINATION_STATE_PAUSED")
        receipt = self.track("later")
        self.assertEqual(self.item(receipt)["state"], "ITEM_STATE_WAITING")
        self.assertEqual(self.heap.events_of(self.name), [])
        self.command("flush", "prod", "--timeout=300ms", code=1)
        self.assertEqual(self.call("Flush", {"destination": "europe"}), {"delivered": "0", "dead_lettered": "0"})
        resumed = self.call("ResumeDestination", {"destination": "prod"})["destination"]
        self.assertNotEqual(resumed["state"], "DESTINATION_STATE_PAUSED")
        self.call("Flush")
        self.assertEqual(self.item(receipt)["state"], "ITEM_STATE_DELIVERED")
        self.assertEqual(len(self.heap.events_of(self.name)), 1)
        for method in ("PauseDestination", "ResumeDestination", "Flush"):
            self.assertEqual(self.fail_call(method, {"destination": "nowhere"}).reason, "DESTINATION_NOT_FOUND")

    # Receipts.

    def test_get_delivery_lists_every_attempt(self) -> None:
        self.heap.set_faults({"times": 2, "match": {"body_contains": self.name}, "action": {"type": "status", "status": 503}})
        receipt = self.track("at the third try")
        self.call("Flush")
        item = self.item(receipt)
        self.assertEqual(item["state"], "ITEM_STATE_DELIVERED")
        self.assertEqual([attempt["http_status"] for attempt in item["attempts"]], [503, 503, 200])
        self.assertEqual(len({attempt["batch_id"] for attempt in item["attempts"]}), 1)
        self.assertTrue(all(attempt["ended_at"] for attempt in item["attempts"]))

    def test_receipts_that_mean_nothing_are_refused(self) -> None:
        self.assertEqual(self.fail_call("GetDelivery", {}).violations(), {"receipt": "REQUIRED"})
        receipt = self.track("one")
        self.assertEqual(self.fail_call("GetDelivery", {"receipt": receipt[:-2]}).violations(), {"receipt": "MALFORMED_RECEIPT"})
        folder = harness.temporary_folder(type(self))
        other = Server(folder, self.heap, f"--app_id={harness.APP_US}", "--region=us")
        try:
            foreign = self.track("elsewhere", server=other)
        finally:
            other.stop()
        error = self.fail_call("GetDelivery", {"receipt": foreign})
        self.assertEqual((error.code, error.reason), (5, "FOREIGN_RECEIPT"))
        self.assertEqual(error.details["ResourceInfo"]["resource_name"], foreign)

    def test_coalesced_updates_name_the_one_that_carried_them(self) -> None:
        def update(value: str) -> str:
            request = {"user": {"identity": self.name, "properties": {"plan": value}}}
            return str(self.call("UserProperties", request, DATA)["receipt"])

        self.call("PauseDestination")
        receipts = [update("one"), update("two")]
        self.call("ResumeDestination")
        self.call("Flush")
        first, second = self.item(receipts[0]), self.item(receipts[1])
        self.assertEqual((first["state"], second["state"]), ("ITEM_STATE_DELIVERED", "ITEM_STATE_COALESCED"))
        self.assertEqual((second["into_receipt"], second["into_state"]), (receipts[0], "ITEM_STATE_DELIVERED"))

    def test_receipts_have_the_same_state_after_kill_9(self) -> None:
        folder = harness.temporary_folder(type(self))
        flags = [f"--app_id={harness.APP_US}", "--region=us"]
        server = Server(folder, self.heap, *flags)
        try:
            delivered, dead_lettered = self.track("fine", server=server), self.track("poison", server=server)
            self.call("Flush", server=server)
            before = [self.item(delivered, server), self.item(dead_lettered, server)]
            self.call("PauseDestination", server=server)
            waiting = self.track("waits", server=server)
            server.kill()
            server = Server(folder, self.heap, *flags)
            self.assertEqual([self.item(delivered, server), self.item(dead_lettered, server)], before)
            self.assertEqual([each["state"] for each in before], ["ITEM_STATE_DELIVERED", "ITEM_STATE_DEAD_LETTERED"])
            self.assertEqual(self.item(waiting, server)["state"], "ITEM_STATE_WAITING")
        finally:
            server.kill()

    # Dead letters.

    def test_list_dead_letters(self) -> None:
        letter = self.letter()
        [found] = self.call("ListDeadLetters", {"filter": {"destination": "prod", "reason": "DEAD_LETTER_REASON_REFUSED"}})["dead_letters"]
        self.assertEqual((found["id"], found["http_status"]), (letter, 400))
        self.assertIn("postBody.events", found["heap_response"])
        self.assertEqual(json.loads(found["item_json"])["event"], "poison")
        self.assertEqual(self.call("ListDeadLetters", {"filter": {"destination": "europe"}})["dead_letters"], [])
        error = self.fail_call("ListDeadLetters", {"filter": {"ids": ["x"], "receipt": "y", "since": "2024-01-02T00:00:00Z",
                                                              "until": "2024-01-01T00:00:00Z"}, "page_token": "z"})
        self.assertEqual(error.violations(), {"filter.ids[0]": "MALFORMED_RECEIPT", "filter.receipt": "MALFORMED_RECEIPT",
                                              "filter.until": "OUT_OF_RANGE", "page_token": "UNKNOWN_PAGE"})

    def test_replay_keeps_the_key(self) -> None:
        letter = self.letter()
        [found] = self.call("ListDeadLetters")["dead_letters"]
        key = json.loads(found["item_json"])["idempotency_key"]
        request = {"filter": {"ids": [letter]}}
        self.assertEqual(self.call("ReplayDeadLetters", request | {"dry_run": True})["replayed"], 1)
        self.assertEqual(len(self.call("ListDeadLetters")["dead_letters"]), 1)
        self.heap.clear_faults()
        [result] = self.call("ReplayDeadLetters", request)["results"]
        self.call("Flush")
        self.assertEqual(self.heap.keys()[key], 1)
        self.assertEqual(self.item(result["receipt"])["state"], "ITEM_STATE_DELIVERED")
        [again] = self.call("ReplayDeadLetters", request)["results"]
        self.assertEqual(again["outcome"], "DEAD_LETTER_OUTCOME_NOT_FOUND")
        self.assertEqual(self.fail_call("ReplayDeadLetters", {}).violations(), {"filter": "REQUIRED"})

    def test_a_replay_that_comes_back_is_stopped(self) -> None:
        letter = self.letter()
        for _ in range(3):
            [result] = self.call("ReplayDeadLetters", {"filter": {"ids": [letter]}})["results"]
            self.call("Flush")
            letter = self.item(result["receipt"])["dead_letter_id"]
        request = {"filter": {"ids": [letter]}}
        [result] = self.call("ReplayDeadLetters", request)["results"]
        self.assertEqual(result["outcome"], "DEAD_LETTER_OUTCOME_REPLAYED_TOO_OFTEN")
        [result] = self.call("ReplayDeadLetters", request | {"force": True})["results"]
        self.assertEqual(result["outcome"], "DEAD_LETTER_OUTCOME_REPLAYED")
        self.call("Flush")

    def test_replay_of_an_edited_item(self) -> None:
        request: dict[str, Any] = {"filter": {"ids": [self.letter()]}}
        error = self.fail_call("ReplayDeadLetters", request | {"edited_item_json": json.dumps({"event": "no identity"})})
        self.assertEqual(error.violations(), {"edited_item_json.identity": "REQUIRED"})
        edited = json.dumps({"identity": self.name, "event": "mended"})
        self.assertEqual(self.call("ReplayDeadLetters", request | {"edited_item_json": edited})["replayed"], 1)
        self.call("Flush")
        self.assertEqual([event["event"] for event in self.heap.events_of(self.name)], ["mended"])

    def test_discard(self) -> None:
        letter = self.letter()
        self.assertEqual(self.fail_call("DiscardDeadLetters", {}).violations(), {"filter": "REQUIRED"})
        request = {"filter": {"type": "ITEM_TYPE_TRACK_EVENT"}}
        self.assertEqual(self.call("DiscardDeadLetters", request | {"dry_run": True})["discarded"], 1)
        self.assertEqual(self.call("DiscardDeadLetters", request)["discarded"], 1)
        self.assertEqual(self.call("ListDeadLetters")["dead_letters"], [])
        self.assertEqual(self.item(letter)["state"], "ITEM_STATE_DISCARDED")

    # The same on the command line.

    def test_commands(self) -> None:
        letter = self.letter()
        self.assertIn("…7890", self.command("status"))
        self.assertIn("note: ", self.command("status", "prod"))
        self.assertEqual(len(json.loads(self.command("status", "--json"))["destinations"]), 2)
        self.assertEqual(self.command("status", "--watch", "--count=3", "--interval=0.01").count("DESTINATION"), 3)
        self.assertIn("dead lettered", self.command("receipt", letter))
        self.assertEqual(json.loads(self.command("receipt", letter, "--json"))["total_items"], "1")
        self.command("receipt", "nonsense", code=1)
        self.assertIn("paused", self.command("pause", "europe"))
        self.assertIn("active", self.command("resume", "europe"))
        self.assertIn(letter, self.command("dead-letters", "list", "--type=track", "--reason=refused"))
        self.assertIn('"event":"poison"', self.command("dead-letters", "show", letter))
        self.assertIn("1 of 1 would be replayed", self.command("dead-letters", "replay", letter, "--dry_run"))
        self.command("dead-letters", "replay", code=1)
        item = json.dumps({"identity": self.name, "event": "mended"})
        self.assertIn("1 of 1 replayed", self.command("dead-letters", "replay", letter, f"--item={item}"))
        self.assertIn("waited for", self.command("flush"))
        self.assertEqual(len(self.heap.events_of(self.name)), 1)
        self.letter()
        self.assertIn("1 of 1 discarded", self.command("dead-letters", "discard", "--all"))
        self.assertEqual(self.command("dead-letters", "list"), "no dead letters\n")


if __name__ == "__main__":
    harness.run()
