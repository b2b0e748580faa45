#!/usr/bin/env python3
"""Sends recognisable secrets down good and bad paths, at the most verbose level, and looks for them wherever the server writes."""

import json
import subprocess
import unittest
import urllib.error
import urllib.request
from collections.abc import Callable
from hashlib import sha256
from typing import Any

import grpc
import harness
from harness import Binaries, FakeHeap, Server, temporary_folder, wait_until
from proto_stubs import generate_stubs

TOKEN = "hst_SecretTokenNobodyMaySee"
SECRETS = {
    "App ID": "9182736455",
    "token": TOKEN,
    "identity": "secret-person@example.com",
    "e-mail": "secret-mail@example.com",
    "account": "secret-account-4711",
    "value": "secret-value-7f3a",
    "item of a bad message": "secret-neighbour@example.com",
}
IDENTITY, VALUE, APP_ID = SECRETS["identity"], SECRETS["value"], SECRETS["App ID"]
EVERYTHING = " ".join(SECRETS.values())


class SecretsTest(unittest.TestCase):
    def setUp(self) -> None:
        self.folder = temporary_folder(type(self))
        self.protos = generate_stubs(self.folder)
        self.heap = FakeHeap(self.folder)
        self.addCleanup(self.heap.kill)
        config, auth = self.folder / "config.json", self.folder / "callers.json"
        config.write_text(json.dumps({"destinations": [{"name": "prod", "app_id": APP_ID}]}))
        auth.write_text(json.dumps({"callers": [
            {"name": "all", "token_sha256": [sha256(TOKEN.encode()).hexdigest()], "services": ["data", "admin"]}]}))
        self.server = Server(self.folder, self.heap, f"--config={config}", f"--auth={auth}", "--log_level=debug",
                             "--max_message_bytes=65536", "--reload_interval=20ms")
        self.addCleanup(self.server.kill)
        self.auth = auth
        self.channel = self.server.channel()
        self.addCleanup(self.channel.close)
        self.data = self.protos["stubs"].HeapSyncServiceStub(self.channel)
        self.admin = self.protos["admin_stubs"].HeapSyncAdminServiceStub(self.channel)
        self.errors: list[str] = []

    def call(self, method: Callable[..., Any], request: Any, authorization: str = f"Bearer {TOKEN}") -> Any:
        """The answer; or None, with all that the error says kept."""
        try:
            answer = method(request, metadata=(("authorization", authorization), ("heapsync-caller", IDENTITY)), timeout=harness.PATIENCE)
            return list(answer) if hasattr(answer, "__next__") else answer
        except grpc.RpcError as error:
            self.errors.append(f"{error.code()} {error.details()} {error.debug_error_string()} {error.trailing_metadata()!r}")
            return None

    def refused(self, method: Callable[..., Any], request: Any, **more: str) -> None:
        before = len(self.errors)
        self.call(method, request, **more)
        self.assertEqual(len(self.errors), before + 1, request)

    def event(self, identity: str, **properties: Any) -> Any:
        event = self.protos["items"].TrackEvent(identity=identity, event="E")
        for key, value in properties.items():
            event.properties[key] = value
        return event

    def go_down_good_paths(self) -> None:
        service = self.protos["service"]
        self.assertIsNotNone(self.call(self.data.TrackEvent, service.TrackEventRequest(event=self.event(IDENTITY, plan=VALUE))))
        user = self.protos["items"].UserProperties(identity=IDENTITY, email=SECRETS["e-mail"])
        user.properties["plan"] = VALUE
        self.assertIsNotNone(self.call(self.data.UserProperties, service.UserPropertiesRequest(user=user)))
        account = self.protos["items"].AccountProperties(account_id=SECRETS["account"])
        account.properties["plan"] = VALUE
        self.assertIsNotNone(self.call(self.data.AccountProperties, service.AccountPropertiesRequest(account=account)))
        bulk = service.BulkTrackEventsRequest(events=[self.event(IDENTITY, plan=VALUE)] * 100)
        self.assertIsNotNone(self.call(self.data.BulkTrackEvents, iter([bulk])))
        self.assertIsNotNone(self.call(self.admin.Flush, self.protos["admin"].FlushRequest()))

    def go_down_bad_paths(self) -> None:
        service, admin = self.protos["service"], self.protos["admin"]
        track = self.data.TrackEvent
        good = service.TrackEventRequest(event=self.event(IDENTITY, plan=VALUE))
        # Values that are not allowed.
        self.refused(track, service.TrackEventRequest(event=self.event(IDENTITY * 20)))
        self.refused(track, service.TrackEventRequest(event=self.event(IDENTITY, plan=VALUE * 100)))
        self.refused(track, service.TrackEventRequest(event=self.event(IDENTITY, plan={"nested": VALUE})))
        self.refused(track, service.TrackEventRequest(event=self.event(""), request_id=EVERYTHING * 10))
        self.refused(track, service.TrackEventRequest(destination=APP_ID, event=self.event(IDENTITY)))
        self.refused(track, service.TrackEventRequest(destination=IDENTITY, event=self.event(IDENTITY)))
        # Messages that are none, or too long.
        raw = self.channel.unary_unary("/heapsync.v1.HeapSyncService/TrackEvent")
        self.refused(raw, good.SerializeToString().replace(VALUE.encode(), VALUE[:-1].encode() + b"\xff"))
        self.refused(raw, EVERYTHING.encode())
        self.refused(track, service.TrackEventRequest(event=self.event(IDENTITY, plan=EVERYTHING * 1_000)))
        bulk = self.channel.stream_stream("/heapsync.v1.HeapSyncService/BulkTrackEvents")
        message = service.BulkTrackEventsRequest(events=[self.event(SECRETS["item of a bad message"]), self.event(IDENTITY, plan=VALUE)])
        self.call(bulk, iter([message.SerializeToString().replace(VALUE.encode(), VALUE[:-1].encode() + b"\xff")]))
        self.refused(bulk, iter([EVERYTHING.encode()]))
        # Credentials that are none.
        for authorization in (TOKEN, f"Basic {TOKEN}", f"Bearer {TOKEN}x"):
            self.refused(track, good, authorization=authorization)
        # Questions that make no sense.
        for text in (IDENTITY, APP_ID, TOKEN):
            self.refused(self.admin.GetDelivery, admin.GetDeliveryRequest(receipt=text))
            self.refused(self.admin.GetDestination, admin.GetDestinationRequest(destination=text))
            self.refused(self.admin.ListDestinations, admin.ListDestinationsRequest(page_token=text))
            self.refused(self.admin.ListDeadLetters, admin.ListDeadLettersRequest(filter={"ids": [text]}))
            self.refused(self.admin.Flush, admin.FlushRequest(destination=text))

    def let_heap_refuse(self) -> None:
        """Heap echoes what it got; the item ends as a dead letter, the neighbours after some halving at Heap."""
        self.heap.set_faults(
            {"match": {"body_contains": "poison"}, "action": {"type": "status", "status": 400, "body": f"{{\"error\": \"bad: {EVERYTHING}\"}}"}},
            {"first": 1, "action": {"type": "status", "status": 500, "body": EVERYTHING, "headers": {"X-Echo": EVERYTHING}}})
        request = self.protos["service"].BulkTrackEventsRequest(
            events=[self.event(IDENTITY, plan=VALUE), self.event(IDENTITY, plan=f"{VALUE} poison")])
        self.assertIsNotNone(self.call(self.data.BulkTrackEvents, iter([request])))
        self.assertIsNotNone(self.call(self.admin.Flush, self.protos["admin"].FlushRequest()))
        admin = self.protos["admin"]
        letters = self.call(self.admin.ListDeadLetters, admin.ListDeadLettersRequest())
        self.assertEqual(len(letters.dead_letters), 1)
        # Here and nowhere else a person who may see it sees it.
        self.assertIn(VALUE, letters.dead_letters[0].item_json)
        self.refused(self.admin.ReplayDeadLetters, admin.ReplayDeadLettersRequest(
            filter={"ids": [letters.dead_letters[0].id]}, edited_item_json=f"{{\"identity\": \"{IDENTITY}\", \"nope\": \"{VALUE}\""))
        self.heap.set_faults({"action": {"type": "status", "status": 401, "body": EVERYTHING}})
        self.assertIsNotNone(self.call(self.data.TrackEvent, self.protos["service"].TrackEventRequest(event=self.event(IDENTITY, plan=VALUE))))
        wait_until(lambda: '"misconfigured"' in self.server.output(), "the refusal by Heap in the log")

    def pages(self) -> dict[str, str]:
        found = {}
        for path in ("/", "/statusz.json", "/metrics", f"/{IDENTITY}", f"/statusz.json?page={VALUE}", f"/statusz.json?search={VALUE}"):
            try:
                with urllib.request.urlopen(self.server.http_url + path, timeout=harness.PATIENCE) as answer:
                    found[path] = answer.read().decode()
            except urllib.error.HTTPError as error:
                found[path] = error.read().decode()
        return found

    def test_no_secret_is_written_anywhere_but_into_the_spool(self) -> None:
        self.go_down_good_paths()
        self.go_down_bad_paths()
        self.let_heap_refuse()
        self.auth.write_text(json.dumps({"callers": [{"name": IDENTITY, "token_sha256": [TOKEN], TOKEN: APP_ID}]}))
        wait_until(lambda: "is refused and the old one stays" in self.server.output(), "the bad file to be refused")
        admin = self.protos["admin"]
        sinks = self.pages()
        sinks["destinations"] = str(self.call(self.admin.ListDestinations, admin.ListDestinationsRequest()))
        self.assertEqual(self.server.stop(), 0)
        sinks["log"] = self.server.output()
        sinks["errors"] = "\n".join(self.errors)
        self.assertEqual(list((self.server.data_dir / "spool").glob("LOG*")), [], "the storage engine keeps no diary of its own")
        bad_start = subprocess.run([str(Binaries.server), f"--app_id={APP_ID}x", f"--region={VALUE}", f"--listen={IDENTITY}", TOKEN],
                                   capture_output=True, text=True, timeout=harness.PATIENCE)
        sinks["faults of a start"] = bad_start.stdout + bad_start.stderr
        # The sinks hold what they should, so that it is them that are searched.
        self.assertIn("attempt ended", sinks["log"])
        self.assertIn("dead", sinks["/metrics"])
        self.assertIn("prod", sinks["/statusz.json"])
        self.assertIn("MALFORMED_MESSAGE", sinks["errors"])
        for sink, text in sinks.items():
            for name, secret in SECRETS.items():
                with self.subTest(sink=sink, secret=name):
                    place = text.find(secret)
                    self.assertEqual(place, -1, text[max(0, place - 300):place + 100])


if __name__ == "__main__":
    harness.run()
