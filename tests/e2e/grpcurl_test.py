#!/usr/bin/env python3
"""Drives real grpcurl, which learns our protos from server reflection only."""

import json
import subprocess
from typing import Any

import harness
from harness import APP_EU, Binaries

SERVICE = "heapsync.v1.HeapSyncService"
DETAIL = "type.googleapis.com/google.rpc."


class Answer:
    def __init__(self, done: subprocess.CompletedProcess[bytes]) -> None:
        self.code = done.returncode
        self.text = done.stdout.decode()
        self.error_text = done.stderr.decode()

    @property
    def messages(self) -> list[dict[str, Any]]:
        decoder, rest, found = json.JSONDecoder(), self.text.strip(), []
        while rest:
            message, end = decoder.raw_decode(rest)
            found.append(message)
            rest = rest[end:].lstrip()
        return found

    @property
    def status(self) -> dict[str, Any]:
        return dict(json.loads(self.error_text))

    def detail(self, name: str) -> dict[str, Any]:
        for detail in self.status.get("details", []):
            if detail["@type"] == DETAIL + name:
                return dict(detail)
        raise AssertionError(f"no {name} in {self.error_text}")

    def violations(self) -> dict[str, str]:
        """Path → reason."""
        found = self.detail("BadRequest")["field_violations"]
        return {violation["field"]: violation["description"].split(":")[0] for violation in found}


class GrpcurlTest(harness.EndToEnd):
    def grpcurl(self, *arguments: str, messages: list[Any] | None = None, text: str | None = None) -> Answer:
        """With `messages` or `text` on stdin."""
        flags = ["-plaintext", "-max-time", str(harness.PATIENCE), "-format-error"]
        if messages is not None:
            text = "\n".join(json.dumps(message) for message in messages)
        if text is not None:
            flags += ["-d", "@"]
        flags, symbol = flags + list(arguments[:-1]), arguments[-1:]
        command = [str(Binaries.grpcurl), *flags, self.server.address, *symbol]
        return Answer(subprocess.run(command, input=(text or "").encode(), capture_output=True, timeout=2 * harness.PATIENCE))

    def call(self, method: str, *messages: Any) -> list[dict[str, Any]]:
        answer = self.grpcurl(f"{SERVICE}/{method}", messages=list(messages))
        self.assertEqual(answer.code, 0, answer.error_text)
        return answer.messages

    def fail_call(self, method: str, code: int, *messages: Any) -> Answer:
        answer = self.grpcurl(f"{SERVICE}/{method}", messages=list(messages))
        self.assertEqual(answer.status["code"], code, answer.error_text)
        self.assertEqual(answer.detail("ErrorInfo")["domain"], "heapsync")
        return answer

    # Services and methods.

    def test_list_names_every_service(self) -> None:
        listed = self.grpcurl("list").text.split()
        for service in (SERVICE, "heapsync.v1.HeapSyncAdminService", "grpc.health.v1.Health", "grpc.reflection.v1.ServerReflection",
                        "grpc.reflection.v1alpha.ServerReflection"):
            self.assertIn(service, listed)

    def test_list_names_every_rpc_of_a_service(self) -> None:
        listed = self._symbol("list", SERVICE)
        self.assertEqual(sorted(listed.text.split()), [f"{SERVICE}.{rpc}" for rpc in (
            "AccountProperties", "BulkAccountProperties", "BulkTrackEvents", "BulkUserProperties", "TrackEvent", "UserProperties")])

    def test_describe_shows_services_and_messages(self) -> None:
        self.assertIn("rpc BulkTrackEvents ( stream .heapsync.v1.BulkTrackEventsRequest ) returns "
                      "( stream .heapsync.v1.BulkTrackEventsResponse );", self._symbol("describe", SERVICE).text)
        self.assertIn("string identity = 1;", self._symbol("describe", "heapsync.v1.TrackEvent").text)

    def test_health_is_serving(self) -> None:
        for service in ("", SERVICE):
            answer = self.grpcurl("grpc.health.v1.Health/Check", messages=[{"service": service}])
            self.assertEqual(answer.messages, [{"status": "SERVING"}], answer.error_text)

    # Each RPC.

    def test_track_event(self) -> None:
        [answer] = self.call("TrackEvent", {"event": {
            "identity": "user@example.com", "event": "Purchase Completed", "timestamp": "2024-01-15T10:30:00Z",
            "properties": {"amount": 49.99, "currency": "USD", "trial": False, "tags": ["a", "b"], "none": None}}})
        self.assertEqual(answer["ack_level"], "ACK_LEVEL_DURABLE")
        self.assertTrue(answer["receipt"])
        arrived = self.wait_for_event(answer["idempotency_key"])
        self.assertEqual(arrived["region"], "us")
        self.assertEqual(arrived["event"], {
            "identity": "user@example.com", "event": "Purchase Completed", "timestamp": "2024-01-15T10:30:00Z",
            "idempotency_key": answer["idempotency_key"],
            "properties": {"amount": 49.99, "currency": "USD", "trial": "false", "tags": "a||b"}})

    def test_user_properties(self) -> None:
        [answer] = self.call("UserProperties", {"user": {
            "identity": "Jürgen@Example.com", "email": "jürgen@example.com", "properties": {"plan": "Enterprise", "seats": 12}}})
        self.assertEqual(answer["ack_level"], "ACK_LEVEL_DURABLE")
        self.assertEqual(self.wait_for_user("Jürgen@Example.com")["properties"],
                         {"email": "jürgen@example.com", "plan": "Enterprise", "seats": 12})

    def test_account_properties(self) -> None:
        self.call("AccountProperties", {"account": {"account_id": "acme-corp", "properties": {"industry": "Technology", "arr": "150000"}}})
        self.assertEqual(self.wait_for_account("acme-corp")["properties"], {"industry": "Technology", "arr": "150000"})

    def test_delivered_means_that_heap_has_it(self) -> None:
        [answer] = self.call("TrackEvent", {"ack_level": "ACK_LEVEL_DELIVERED", "event": {"identity": "delivered", "event": "E"}})
        self.assertEqual(answer["ack_level"], "ACK_LEVEL_DELIVERED")
        self.assertEqual(answer["outcome"], "DELIVERY_OUTCOME_DELIVERED")
        self.assertEqual(len(self.heap.events_of("delivered")), 1)

    def test_a_destination_has_its_own_region_and_app_id(self) -> None:
        [answer] = self.call("TrackEvent", {"destination": "europe", "event": {"identity": "eva", "event": "E"}})
        self.assertEqual(self.wait_for_event(answer["idempotency_key"], APP_EU)["region"], "eu")

    def test_the_same_request_id_twice_is_one_event(self) -> None:
        request = {"request_id": "order-4711", "ack_level": "ACK_LEVEL_DELIVERED", "event": {"identity": "twice", "event": "E"}}
        [first], [second] = self.call("TrackEvent", request), self.call("TrackEvent", request)
        self.assertEqual(first["idempotency_key"], second["idempotency_key"])
        self.assertEqual(len(self.heap.events_of("twice")), 1)

    def test_validate_only_shows_the_body_and_stores_nothing(self) -> None:
        [answer] = self.call("TrackEvent", {"validate_only": True, "event": {
            "identity": "only-a-preview", "event": "E", "timestamp": "2024-01-15T10:30:00Z", "idempotency_key": "preview-key"}})
        self.assertNotIn("receipt", answer)
        self.assertEqual(json.loads(answer["preview_json"])["events"], [{
            "identity": "only-a-preview", "event": "E", "timestamp": "2024-01-15T10:30:00Z", "idempotency_key": "preview-key"}])
        # Items sent afterwards arrive; the preview never does.
        self.call("TrackEvent", {"ack_level": "ACK_LEVEL_DELIVERED", "event": {"identity": "after-the-preview", "event": "E"}})
        self.assertEqual(self.heap.events_of("only-a-preview"), [])

    def test_bulk_track_events(self) -> None:
        messages = [{"events": [{"identity": f"bulk-{m}-{i}", "event": "E"} for i in range(4)]} for m in range(3)]
        messages[0]["ack_level"] = "ACK_LEVEL_DELIVERED"  # type: ignore[assignment]
        last = self.call("BulkTrackEvents", *messages)[-1]
        self.assertEqual((last["received"], last["accepted"], last["delivered"], last["durable_position"]), ("12", "12", "12", "12"))
        for m in range(3):
            for i in range(4):
                self.assertEqual(len(self.heap.events_of(f"bulk-{m}-{i}")), 1)

    def test_bulk_user_properties(self) -> None:
        last = self.call("BulkUserProperties", *({"users": [{"identity": f"bulk-user-{m}", "properties": {"n": m}}]} for m in range(3)))[-1]
        self.assertEqual((last["received"], last["accepted"]), ("3", "3"))
        for m in range(3):
            self.assertEqual(self.wait_for_user(f"bulk-user-{m}")["properties"], {"n": m})

    def test_bulk_account_properties(self) -> None:
        last = self.call("BulkAccountProperties",
                         *({"accounts": [{"account_id": f"bulk-account-{m}", "properties": {"n": m}}]} for m in range(3)))[-1]
        self.assertEqual((last["received"], last["accepted"]), ("3", "3"))
        for m in range(3):
            self.assertEqual(self.wait_for_account(f"bulk-account-{m}")["properties"], {"n": m})

    def test_one_bad_item_never_fails_its_neighbours(self) -> None:
        answers = self.call("BulkTrackEvents", {"ack_level": "ACK_LEVEL_DELIVERED", "events": [
            {"identity": "neighbour-left", "event": "E"},
            {"event": "E", "properties": {"deep": {"er": 1}}},
            {"identity": "neighbour-right", "event": "E"}]})
        rejected = [item for answer in answers for item in answer.get("rejected_items", [])]
        self.assertEqual([item["index"] for item in rejected], ["1"])
        self.assertEqual({(v["field"], v["reason"]) for v in rejected[0]["violations"]},
                         {("events[1].identity", "REQUIRED"), ("events[1].properties.deep", "NESTED_OBJECT")})
        self.assertEqual((answers[-1]["accepted"], answers[-1]["rejected"], answers[-1]["delivered"]), ("2", "1", "2"))
        for identity in ("neighbour-left", "neighbour-right"):
            self.assertEqual(len(self.heap.events_of(identity)), 1)

    # Each kind of error.

    def test_an_unknown_destination_is_named(self) -> None:
        answer = self.fail_call("TrackEvent", 5, {"destination": "nowhere", "event": {"identity": "a-user", "event": "E"}})
        self.assertEqual(answer.detail("ResourceInfo")["resource_name"], "nowhere")

    def test_an_unknown_destination_ends_a_stream(self) -> None:
        answer = self.fail_call("BulkTrackEvents", 5, {"destination": "nowhere", "events": [{"identity": "a-user", "event": "E"}]})
        self.assertEqual(answer.detail("ResourceInfo")["resource_name"], "nowhere")

    def test_invalid_items_name_the_place_and_the_rule(self) -> None:
        event = {"identity": "a-user", "event": "E"}
        table: list[tuple[str, dict[str, Any], dict[str, str]]] = [
            ("no identity", {"event": "E"}, {"event.identity": "REQUIRED"}),
            ("both", event | {"user_id": "42"}, {"event.user_id": "IDENTITY_AND_USER_ID"}),
            ("256 characters", event | {"identity": "x" * 256}, {"event.identity": "VALUE_TOO_LONG"}),
            ("a placeholder", event | {"identity": "undefined"}, {"event.identity": "IDENTITY_DENIED"}),
            ("not a user id", {"user_id": "12a", "event": "E"}, {"event.user_id": "USER_ID_INVALID"}),
            ("no name", {"identity": "a-user"}, {"event.event": "REQUIRED"}),
            ("1,024 characters", event | {"properties": {"v": "x" * 1024}}, {"event.properties.v": "VALUE_TOO_LONG"}),
            ("1,024 units", event | {"properties": {"v": "🙂" * 512}}, {"event.properties.v": "VALUE_TOO_LONG"}),
            ("nested", event | {"properties": {"a": {"b": 1}}}, {"event.properties.a": "NESTED_OBJECT"}),
            ("nested list", event | {"properties": {"a": [[1]]}}, {"event.properties.a[0]": "NESTED_LIST"}),
            ("too large", event | {"properties": {"n": 1e17}}, {"event.properties.n": "NUMBER_TOO_LARGE"}),
            ("empty key", event | {"properties": {"": 1}}, {"event.properties.": "KEY_EMPTY"}),
            ("short key", event | {"idempotency_key": "short"}, {"event.idempotency_key": "VALUE_TOO_SHORT"}),
            ("all at once", {"identity": "null", "properties": {"a": {}, "b": "x" * 1024}},
             {"event.identity": "IDENTITY_DENIED", "event.event": "REQUIRED", "event.properties.a": "NESTED_OBJECT",
              "event.properties.b": "VALUE_TOO_LONG"}),
        ]
        for name, item, expected in table:
            with self.subTest(name):
                self.assertEqual(self.fail_call("TrackEvent", 3, {"event": item}).violations(), expected)

    def test_users_and_accounts_are_checked_too(self) -> None:
        self.assertEqual(self.fail_call("UserProperties", 3, {"user": {"identity": "a-user", "properties": {"ID": "1"}}}).violations(),
                         {"user.properties.ID": "KEY_RESERVED"})
        self.assertEqual(self.fail_call("AccountProperties", 3, {"account": {}}).violations(), {"account.account_id": "REQUIRED"})

    def test_a_request_without_an_item_is_refused(self) -> None:
        for method, field in (("TrackEvent", "event"), ("UserProperties", "user"), ("AccountProperties", "account")):
            with self.subTest(method):
                self.assertIn(field, self.fail_call(method, 3, {}).violations())

    def test_a_warning_comes_with_success(self) -> None:
        [answer] = self.call("UserProperties", {"user": {"identity": "warned", "properties": {"Email": "a@example.com"}}})
        self.assertEqual([warning["reason"] for warning in answer["warnings"]], ["EMAIL_CASING"])

    def test_a_message_without_items_is_answered_with_zeros(self) -> None:
        for method in ("BulkTrackEvents", "BulkUserProperties", "BulkAccountProperties"):
            with self.subTest(method):
                for answer in self.call(method, {}):
                    self.assertEqual(int(answer.get("received", 0)), 0)

    def test_json_that_is_none_never_reaches_the_server(self) -> None:
        for text in ('{"event": {"identity": ', '{"event": {"nope": 1}}', '{"event": {"properties": {"n": NaN}}}'):
            with self.subTest(text):
                self.assertNotEqual(self.grpcurl(f"{SERVICE}/TrackEvent", text=text).code, 0)

    def test_an_oversized_message_is_refused(self) -> None:
        answer = self.grpcurl(f"{SERVICE}/TrackEvent", messages=[{"event": {"identity": "big", "event": "x" * (5 << 20)}}])
        self.assertEqual(answer.status["code"], 8, answer.error_text)

    def test_an_unknown_rpc_is_unimplemented(self) -> None:
        self.assertNotEqual(self.grpcurl(f"{SERVICE}/NoSuchRpc", messages=[{}]).code, 0)

    def _symbol(self, verb: str, symbol: str) -> Answer:
        command = [str(Binaries.grpcurl), "-plaintext", self.server.address, verb, symbol]
        return Answer(subprocess.run(command, capture_output=True, timeout=2 * harness.PATIENCE))


if __name__ == "__main__":
    harness.run()
