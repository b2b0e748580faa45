#!/usr/bin/env python3
"""A client in another language: Debian's grpcio for Python with stubs that protoc makes from our protos.

It does what grpcurl does in grpcurl_test.py, and what JSON cannot say: NaN, text that is not UTF-8, broken messages, streams that
send nothing, that are cancelled, and that lie open while the server stops.
"""

import json
import math
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import grpc

import harness
from harness import APP_EU, Server, temporary_folder, two_regions, wait_until
from proto_stubs import generate_stubs

PACKAGE = "heapsync.v1"
MIB = 1 << 20

# Filled by load_stubs().
items: Any = None
service: Any = None
stubs: Any = None
rpc_status: Any = None
detail_modules: list[Any] = []


def load_stubs(folder: Path) -> None:
    made = generate_stubs(folder)
    globals().update({name: made[name] for name in ("items", "service", "stubs", "rpc_status")})
    detail_modules.extend((made["error_details"], made["error_info"]))


def details_of(error: grpc.RpcError) -> dict[str, Any]:
    """The google.rpc details of an error, by type name."""
    packed = dict(error.trailing_metadata() or ()).get("grpc-status-details-bin")
    if packed is None:
        return {}
    found = {}
    for detail in rpc_status.Status.FromString(packed).details:
        name = detail.type_url.rsplit(".", 1)[1]
        message = next(getattr(module, name) for module in detail_modules if hasattr(module, name))()
        assert detail.Unpack(message)
        found[name] = message
    return found


def violations_of(error: grpc.RpcError) -> dict[str, str]:
    return {violation.field: violation.description.split(":")[0] for violation in details_of(error)["BadRequest"].field_violations}


class PythonClientTest(harness.EndToEnd):
    @classmethod
    def setUpClass(cls) -> None:
        super().setUpClass()
        load_stubs(temporary_folder(cls))
        cls.channel = grpc.insecure_channel(cls.server.address, options=[("grpc.max_send_message_length", -1)])
        cls.addClassCleanup(cls.channel.close)
        cls.stub = stubs.HeapSyncServiceStub(cls.channel)

    def event(self, identity: str, **fields: Any) -> Any:
        event = items.TrackEvent(identity=identity, event="E")
        for key, value in fields.items():
            event.properties[key] = value
        return event

    def fail_call(self, code: grpc.StatusCode, method: Any, request: Any) -> grpc.RpcError:
        with self.assertRaises(grpc.RpcError) as caught:
            answer = method(request, timeout=harness.PATIENCE)
            for _ in answer:  # A stream fails only when it is read.
                pass
        self.assertEqual(caught.exception.code(), code, caught.exception)
        return caught.exception

    def assert_neighbours_are_well(self, identity: str) -> None:
        """Another caller's event still arrives."""
        answer = self.stub.TrackEvent(service.TrackEventRequest(event=self.event(identity), ack_level=service.ACK_LEVEL_DELIVERED),
                                      timeout=harness.PATIENCE)
        self.assertEqual(answer.outcome, service.DELIVERY_OUTCOME_DELIVERED)
        self.assertEqual(len(self.heap.events_of(identity)), 1)

    # grpcurl does this as well.

    def test_one_of_each_type(self) -> None:
        event = self.event("py-user", amount=49.99, tags=["a", "b"], trial=True)
        event.timestamp.FromJsonString("2024-01-15T10:30:00.123456789Z")
        tracked = self.stub.TrackEvent(service.TrackEventRequest(event=event))
        arrived = self.wait_for_event(tracked.idempotency_key)["event"]
        self.assertEqual(arrived["properties"], {"amount": 49.99, "tags": "a||b", "trial": "true"})
        self.assertTrue(arrived["timestamp"].startswith("2024-01-15T10:30:00.123"))

        user = items.UserProperties(identity="py-user", email="py@example.com")
        user.properties["plan"] = "Pro"
        self.stub.UserProperties(service.UserPropertiesRequest(user=user))
        self.assertEqual(self.wait_for_user("py-user")["properties"], {"email": "py@example.com", "plan": "Pro"})

        account = items.AccountProperties(account_id="py-account")
        account.properties["arr"] = 150_000
        self.stub.AccountProperties(service.AccountPropertiesRequest(account=account, destination="europe"))
        self.assertEqual(self.wait_for_account("py-account", APP_EU)["properties"], {"arr": 150_000})

    def test_bulk_streams_answer_while_they_go_on(self) -> None:
        """The second message is written only once the answer to the first has been read."""
        answered = threading.Event()

        def messages() -> Iterator[Any]:
            yield service.BulkTrackEventsRequest(request_id="py-bulk", events=[self.event(f"py-bulk-{i}") for i in range(100)])
            self.assertTrue(answered.wait(harness.PATIENCE))
            yield service.BulkTrackEventsRequest(events=[self.event(f"py-bulk-{i}") for i in range(100, 150)])

        answers = []
        for answer in self.stub.BulkTrackEvents(messages(), timeout=harness.PATIENCE):
            answers.append(answer)
            if answer.durable_position >= 100:
                answered.set()
        self.assertEqual((answers[-1].received, answers[-1].accepted, answers[-1].durable_position), (150, 150, 150))
        for i in range(150):
            wait_until(lambda: len(self.heap.events_of(f"py-bulk-{i}")) == 1, f"event {i}")

    def test_a_repeated_bulk_stream_makes_no_duplicates(self) -> None:
        def messages() -> Iterator[Any]:
            yield service.BulkTrackEventsRequest(request_id="py-repeated", ack_level=service.ACK_LEVEL_DELIVERED,
                                                 events=[self.event(f"py-repeated-{i}") for i in range(20)])

        for _ in range(2):
            *_, last = self.stub.BulkTrackEvents(messages(), timeout=harness.PATIENCE)
            self.assertEqual(last.delivered, 20)
        for i in range(20):
            self.assertEqual(len(self.heap.events_of(f"py-repeated-{i}")), 1)

    def test_mondays_and_tuesdays_file_under_one_request_id_both_arrive(self) -> None:
        for day in ("monday", "tuesday"):
            message = service.BulkTrackEventsRequest(request_id="py-nightly", ack_level=service.ACK_LEVEL_DELIVERED,
                                                     events=[self.event(f"py-{day}-{i}") for i in range(5)])
            *_, last = self.stub.BulkTrackEvents(iter([message]), timeout=harness.PATIENCE)
            self.assertEqual(last.delivered, 5)
        for day in ("monday", "tuesday"):
            for i in range(5):
                self.assertEqual(len(self.heap.events_of(f"py-{day}-{i}")), 1)

    def test_derived_keys_depend_on_the_caller_and_agree_between_unary_and_bulk(self) -> None:
        event = self.event("py-keys")

        def unary_key(caller: str) -> str:
            request = service.TrackEventRequest(request_id="py-same", validate_only=True, event=event)
            return str(self.stub.TrackEvent(request, metadata=[("heapsync-caller", caller)], timeout=harness.PATIENCE).idempotency_key)

        def bulk_key(caller: str) -> str:
            message = service.BulkTrackEventsRequest(request_id="py-same", validate_only=True, events=[event])
            *_, last = self.stub.BulkTrackEvents(iter([message]), metadata=[("heapsync-caller", caller)], timeout=harness.PATIENCE)
            return str(json.loads(last.preview_json[0])["events"][0]["idempotency_key"])

        self.assertEqual(unary_key("shop"), unary_key("shop"))
        self.assertEqual(unary_key("shop"), bulk_key("shop"))
        self.assertNotEqual(unary_key("shop"), unary_key("billing"))
        self.assertNotEqual(bulk_key("shop"), bulk_key("billing"))

    def test_one_key_for_different_content_gets_a_warning_with_indices_and_count(self) -> None:
        def event(identity: str, key: str) -> Any:
            return items.TrackEvent(identity=identity, event="E", idempotency_key=key)

        messages = [service.BulkTrackEventsRequest(events=[event("py-a", "reused-1"), event("py-b", "reused-1"), event("py-a", "reused-1")]),
                    service.BulkTrackEventsRequest(events=[event("py-c", "reused-1"), event("py-d", "reused-2"), event("py-e", "reused-1")])]
        warned = [item for answer in self.stub.BulkTrackEvents(iter(messages), timeout=harness.PATIENCE) for item in answer.warned_items]
        self.assertEqual([(item.index, [(warning.field, warning.reason) for warning in item.warnings]) for item in warned],
                         [(i, [(f"events[{i}].idempotency_key", "IDEMPOTENCY_KEY_REUSED")]) for i in (1, 3, 5)])

    def test_warnings_of_a_stream_have_indices_of_the_job_and_none_is_uncounted(self) -> None:
        users = [items.UserProperties(identity=f"py-warned-{i}") for i in range(5_000)]
        for user in users:
            user.properties.update({"Email": "a@example.com"})
        messages = [service.BulkUserPropertiesRequest(start_index=10_000 if i == 0 else 0, validate_only=True, users=users[i:i + 500])
                    for i in range(0, len(users), 500)]
        answers = list(self.stub.BulkUserProperties(iter(messages), timeout=harness.PATIENCE))
        warned = [item.index for answer in answers for item in answer.warned_items]
        unlisted = [entry for answer in answers for entry in answer.unlisted_warnings]
        self.assertEqual(warned[0], 10_000)
        self.assertEqual({entry.reason for entry in unlisted}, {"EMAIL_CASING"})
        self.assertEqual(len(warned) + sum(entry.count for entry in unlisted), 5_000)
        indices = warned + [index for entry in unlisted for index in range(entry.first_index, entry.last_index + 1)]
        self.assertEqual(sorted(indices), list(range(10_000, 15_000)))
        for answer in answers:
            self.assertLessEqual(sum(len(item.warnings) for item in answer.warned_items), 100)
            for item in answer.warned_items:
                self.assertEqual(item.warnings[0].field, f"users[{item.index}].properties.Email")

    def test_violations_of_a_stream_name_the_index_in_the_job(self) -> None:
        good = self.event("py-good-neighbour")
        messages = [service.BulkTrackEventsRequest(start_index=40, events=[good, good]),
                    service.BulkTrackEventsRequest(events=[good, items.TrackEvent(event="E")])]
        answers = list(self.stub.BulkTrackEvents(iter(messages), timeout=harness.PATIENCE))
        rejected = [(item.index, item.violations[0].field) for answer in answers for item in answer.rejected_items]
        self.assertEqual(rejected, [(43, "events[43].identity")])

    def test_a_stream_goes_on_from_its_durable_position(self) -> None:
        def messages(start: int) -> Iterator[Any]:
            yield service.BulkTrackEventsRequest(request_id="py-resumed", ack_level=service.ACK_LEVEL_DELIVERED, start_index=start,
                                                 events=[self.event(f"py-resumed-{i}") for i in range(start, 30)])

        for start in (0, 12):
            *_, last = self.stub.BulkTrackEvents(messages(start), timeout=harness.PATIENCE)
            self.assertEqual(last.durable_position, 30)
        for i in range(30):
            self.assertEqual(len(self.heap.events_of(f"py-resumed-{i}")), 1)

    def test_the_position_never_passes_a_refusal_that_is_not_sent_yet(self) -> None:
        """More refusals than fit one answer: whoever went on from an answer's position elsewhere would never hear of the rest."""
        many = [self.event("")] * 5_000
        told = 0
        answers = 0
        for answer in self.stub.BulkTrackEvents(iter([service.BulkTrackEventsRequest(events=many)] * 2), timeout=harness.PATIENCE):
            answers += 1
            self.assertEqual([item.index for item in answer.rejected_items], list(range(told, told + len(answer.rejected_items))))
            told += len(answer.rejected_items)
            self.assertLessEqual(answer.durable_position, told)
        self.assertEqual((told, answer.durable_position), (10_000, 10_000))
        self.assertGreater(answers, 2)

    # Errors.

    def test_an_unknown_destination_is_named(self) -> None:
        error = self.fail_call(grpc.StatusCode.NOT_FOUND, self.stub.TrackEvent,
                               service.TrackEventRequest(destination="nowhere", event=self.event("py-user")))
        details = details_of(error)
        self.assertEqual(details["ResourceInfo"].resource_name, "nowhere")
        self.assertEqual(details["ErrorInfo"].domain, "heapsync")

    def test_numbers_that_are_none_are_refused(self) -> None:
        event = self.event("py-user", a=math.nan, b=math.inf, c=-math.inf, d=1.5)
        error = self.fail_call(grpc.StatusCode.INVALID_ARGUMENT, self.stub.TrackEvent, service.TrackEventRequest(event=event))
        self.assertEqual(violations_of(error), {f"event.properties.{key}": "NUMBER_NOT_FINITE" for key in "abc"})

    def test_a_value_without_a_kind_is_refused(self) -> None:
        event = self.event("py-user")
        event.properties.fields["v"].SetInParent()
        error = self.fail_call(grpc.StatusCode.INVALID_ARGUMENT, self.stub.TrackEvent, service.TrackEventRequest(event=event))
        self.assertEqual(violations_of(error), {"event.properties.v": "VALUE_UNSET"})

    def test_the_faults_of_a_message_are_reported_together(self) -> None:
        event = items.TrackEvent(identity="x" * 256, user_id="42")
        event.properties["v"] = "y" * 1024
        event.properties.get_or_create_struct("s")["deep"] = 1
        error = self.fail_call(grpc.StatusCode.INVALID_ARGUMENT, self.stub.TrackEvent, service.TrackEventRequest(event=event))
        self.assertEqual(violations_of(error), {
            "event.identity": "VALUE_TOO_LONG", "event.user_id": "IDENTITY_AND_USER_ID", "event.event": "REQUIRED",
            "event.properties.v": "VALUE_TOO_LONG", "event.properties.s": "NESTED_OBJECT"})

    def raw(self, method: str, request: bytes) -> grpc.RpcError:
        """Sends bytes as they are and returns the error."""
        call = self.channel.unary_unary(f"/{PACKAGE}.HeapSyncService/{method}")
        with self.assertRaises(grpc.RpcError) as caught:
            call(request, timeout=harness.PATIENCE)
        return caught.exception

    def test_text_that_is_not_utf8_is_refused_at_its_place(self) -> None:
        good = service.TrackEventRequest(event=self.event("py-marker")).SerializeToString()
        error = self.raw("TrackEvent", good.replace(b"py-marker", b"py-m\xfcrker"))
        self.assertEqual(error.code(), grpc.StatusCode.INVALID_ARGUMENT, error)
        self.assertEqual(violations_of(error), {"event.identity": "INVALID_UTF8"})
        self.assert_neighbours_are_well("py-after-bad-text")

    def test_text_that_is_not_utf8_fails_alone_in_a_stream(self) -> None:
        """protobuf reads no message with such a text; the items are read one by one then."""
        message = service.BulkTrackEventsRequest(
            events=[self.event("py-before-bad-text"), self.event("py-marker"), self.event("py-after-bad-text-1")]).SerializeToString()
        later = service.BulkTrackEventsRequest(events=[self.event("py-after-bad-text-2")]).SerializeToString()
        call = self.channel.stream_stream(f"/{PACKAGE}.HeapSyncService/BulkTrackEvents")
        answers = [service.BulkTrackEventsResponse.FromString(answer) for answer in call(
            iter([message.replace(b"py-marker", b"py-m\xfcrker"), later]), timeout=harness.PATIENCE)]
        rejected = [item for answer in answers for item in answer.rejected_items]
        self.assertEqual([(item.index, [(v.field, v.reason) for v in item.violations]) for item in rejected],
                         [(1, [("events[1].identity", "INVALID_UTF8")])])
        self.assertEqual((answers[-1].received, answers[-1].accepted, answers[-1].rejected, answers[-1].durable_position), (4, 3, 1, 4))
        for identity in ("py-before-bad-text", "py-after-bad-text-1", "py-after-bad-text-2"):
            wait_until(lambda identity=identity: len(self.heap.events_of(identity)) == 1, identity)

    def test_a_setting_that_is_not_utf8_ends_its_stream(self) -> None:
        message = service.BulkTrackEventsRequest(request_id="py-marker", events=[self.event("py-user")]).SerializeToString()
        call = self.channel.stream_stream(f"/{PACKAGE}.HeapSyncService/BulkTrackEvents")
        error = self.fail_call(grpc.StatusCode.INVALID_ARGUMENT, call, iter([message.replace(b"py-marker", b"py-m\xfcrker")]))
        self.assertEqual(violations_of(error), {"request_id": "INVALID_UTF8"})

    def test_bytes_that_are_no_message_are_refused(self) -> None:
        for method in ("TrackEvent", "UserProperties", "AccountProperties"):
            with self.subTest(method):
                self.assertIn(self.raw(method, b"\x2a\xff\xff\xff\xff\x0fgarbage").code(),
                              (grpc.StatusCode.INVALID_ARGUMENT, grpc.StatusCode.INTERNAL))
        self.assert_neighbours_are_well("py-after-garbage")

    def test_forty_mebibytes_are_refused(self) -> None:
        # A connection without an admitted call ends where what did not come whole takes an eighth of the memory for messages, 64 MiB,
        # one that is known at a quarter.
        event = items.TrackEvent(identity="py-big", event="x" * (40 * MIB))
        self.fail_call(grpc.StatusCode.RESOURCE_EXHAUSTED, self.stub.TrackEvent, service.TrackEventRequest(event=event))
        self.fail_call(grpc.StatusCode.RESOURCE_EXHAUSTED, self.stub.BulkTrackEvents,
                       iter([service.BulkTrackEventsRequest(events=[event])]))
        self.assert_neighbours_are_well("py-after-big")

    def test_a_stream_that_sends_nothing_is_answered_with_zeros(self) -> None:
        for method in (self.stub.BulkTrackEvents, self.stub.BulkUserProperties, self.stub.BulkAccountProperties):
            answers = list(method(iter(()), timeout=harness.PATIENCE))
            self.assertEqual([(answer.received, answer.accepted, answer.rejected) for answer in answers], [(0, 0, 0)])

    def test_messages_without_items_are_ignored(self) -> None:
        empty = service.BulkTrackEventsRequest()
        around = [service.BulkTrackEventsRequest(events=[self.event(f"py-empty-{i}")]) for i in range(2)]
        for messages, accepted in (([empty], 0), ([empty, around[0]], 1), ([around[0], empty, around[1]], 2)):
            last = list(self.stub.BulkTrackEvents(iter(messages), timeout=harness.PATIENCE))[-1]
            self.assertEqual((last.received, last.accepted, last.durable_position), (accepted, accepted, accepted))

    def test_a_cancelled_stream_harms_no_other(self) -> None:
        never = threading.Event()
        self.addCleanup(never.set)

        def messages() -> Iterator[Any]:
            yield service.BulkTrackEventsRequest(events=[self.event("py-cancelled")])
            never.wait(harness.PATIENCE)

        call = self.stub.BulkTrackEvents(messages())
        self.assertEqual(next(call).durable_position, 1)
        call.cancel()
        self.assert_neighbours_are_well("py-after-cancel")
        wait_until(lambda: len(self.heap.events_of("py-cancelled")) == 1, "what was durable before the stream was cancelled")


class StopTest(harness.EndToEnd):
    """A server of its own, since it ends."""

    server_flags = ("--drain_timeout=100ms",)

    @classmethod
    def setUpClass(cls) -> None:
        super().setUpClass()
        if items is None:
            load_stubs(temporary_folder(cls))

    def tearDown(self) -> None:
        """The server is meant to be gone."""

    def test_an_open_stream_does_not_hold_up_a_stop_and_loses_nothing(self) -> None:
        never = threading.Event()
        self.addCleanup(never.set)
        self.heap.set_faults({"name": "down", "action": {"type": "status", "status": 503}})

        def messages() -> Iterator[Any]:
            yield service.BulkTrackEventsRequest(events=[items.TrackEvent(identity="open", event="E")])
            never.wait(2 * harness.PATIENCE)

        with grpc.insecure_channel(self.server.address) as channel:
            call = stubs.HeapSyncServiceStub(channel).BulkTrackEvents(messages())
            self.assertEqual(next(call).durable_position, 1)
            self.assertEqual(self.server.stop(), 0, self.server.output()[-4000:])
        self.assertEqual(self.heap.events_of("open"), [])

        self.heap.clear_faults()
        again = Server(self.folder, self.heap, f"--config={two_regions(self.folder)}")
        self.addCleanup(again.kill)
        wait_until(lambda: len(self.heap.events_of("open")) == 1, "the event after a restart")
        self.assertEqual(again.stop(), 0)


if __name__ == "__main__":
    harness.run()
