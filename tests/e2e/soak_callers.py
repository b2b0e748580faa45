"""Callers of a soak: each sends a numbered sequence whose every item follows from its number.

So nobody keeps what was sent: how far a caller came says which keys, which dead letters and which last values of properties there
must be. A caller repeats what was not acknowledged, in order, until it is.
"""

import json
import threading
import time
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import grpc

CALL_PATIENCE = 30.0
# One event in this many carries a text that Heap refuses, naming it or not. Finding one that is not named costs twenty requests.
NAMED_POISON_EVERY = 1_999
QUIET_POISON_EVERY = 20_011
FIRST_POISON = 7
FIRST_QUIET_POISON = 11
STREAM_ITEMS = 5_000  # A stream ends by itself after so many, and the next one goes on.


class Gate:
    """Lets callers send, until they are to stop; closed while too much waits for delivery."""

    def __init__(self) -> None:
        self.stopping = threading.Event()
        self._open = threading.Event()
        self._open.set()

    def set_open(self, is_open: bool) -> None:
        if is_open or self.stopping.is_set():
            self._open.set()
        else:
            self._open.clear()

    def stop(self) -> None:
        self.stopping.set()
        self._open.set()

    def wait(self) -> None:
        self._open.wait()

    def pause(self, seconds: float) -> None:
        self.stopping.wait(seconds)


class Pace:
    """`rate` items a second; with `burst` above one they come that many at once, and then none for a while."""

    def __init__(self, rate: float, burst: int = 1) -> None:
        self._rate, self._burst = rate, burst
        self._start = time.monotonic()
        self._sent = 0

    def due_in(self) -> float:
        """Seconds until the next item may go. A caller that was held up does not catch up."""
        now = time.monotonic()
        due = self._start + self._sent // self._burst * self._burst / self._rate
        if now - due > 1.0:
            self._start += now - due
        return max(0.0, due - now)

    def sent(self, count: int) -> None:
        self._sent += count


@dataclass(frozen=True)
class Place:
    """A destination as callers and Heap know it."""

    destination: str
    app_id: str


class Caller(threading.Thread):
    """Sends items 0, 1, 2 … to one place; `acknowledged` of them are durable."""

    def __init__(self, name: str, api: dict[str, Any], channel: grpc.Channel, gate: Gate, place: Place, pace: Pace) -> None:
        super().__init__(name=name, daemon=True)
        self.api, self.gate, self.place, self.pace = api, gate, place, pace
        self.stub = api["stubs"].HeapSyncServiceStub(channel)
        self.acknowledged = 0
        self.refusals = 0  # Calls and streams that ended with an error, and were repeated.
        self.fault: str | None = None

    def run(self) -> None:
        try:
            self.send_all()
        except Exception as error:  # pylint: disable=broad-except
            self.fault = f"{self.name}: {error!r}"

    def send_all(self) -> None:
        raise NotImplementedError

    def check_repeatable(self, error: grpc.RpcError) -> None:
        """Faults of the network and of a server that is away are repeated; any other answer breaks a promise."""
        self.refusals += 1
        if error.code() not in (grpc.StatusCode.UNAVAILABLE, grpc.StatusCode.RESOURCE_EXHAUSTED, grpc.StatusCode.DEADLINE_EXCEEDED,
                                grpc.StatusCode.CANCELLED):
            raise error
        time.sleep(0.05)


class UnaryCaller(Caller):
    """One call at a time."""

    def send_all(self) -> None:
        while not self.gate.stopping.is_set():
            self.gate.pause(self.pace.due_in())
            self.gate.wait()
            self.send_one(self.acknowledged)
            self.acknowledged += 1
            self.pace.sent(1)

    def send_one(self, number: int) -> None:
        while True:
            try:
                self.call(number)
                return
            except grpc.RpcError as error:
                self.check_repeatable(error)

    def call(self, number: int) -> None:
        raise NotImplementedError


class BulkCaller(Caller):
    """A stream after the other, all parts of one job."""

    chunk = 50
    sent = 0  # The furthest item that ever went out.

    def send_all(self) -> None:
        while not self.gate.stopping.is_set():
            begin = self.acknowledged
            try:
                for answer in self.stream(self.messages(begin), timeout=CALL_PATIENCE * 10):
                    if answer.rejected_items:
                        raise AssertionError(f"refused: {answer.rejected_items[0]}")
                    self.acknowledged = max(self.acknowledged, answer.durable_position)
            except grpc.RpcError as error:
                self.check_repeatable(error)
        # Items of a broken stream that still have to be acknowledged.
        while self.acknowledged < self.sent:
            try:
                for answer in self.stream(self.rest(), timeout=CALL_PATIENCE):
                    self.acknowledged = max(self.acknowledged, answer.durable_position)
            except grpc.RpcError as error:
                self.check_repeatable(error)

    def messages(self, begin: int) -> Iterator[Any]:
        at = begin
        while at < begin + STREAM_ITEMS and not self.gate.stopping.is_set():
            self.gate.pause(self.pace.due_in())
            self.gate.wait()
            yield self.next_chunk(at, first=at == begin)
            at += self.chunk
            self.pace.sent(self.chunk)
        if at == begin:  # A stream must not be empty.
            yield self.next_chunk(at, first=True)

    def next_chunk(self, at: int, first: bool) -> Any:
        self.sent = max(self.sent, at + self.chunk)
        return self.message(at, self.chunk, first)

    def rest(self) -> Iterator[Any]:
        begin = self.acknowledged
        for at in range(begin, self.sent, self.chunk):
            yield self.message(at, min(self.chunk, self.sent - at), first=at == begin)

    def message(self, begin: int, count: int, first: bool) -> Any:
        message = self.request_type()()
        if first:
            message.destination = self.place.destination
            message.request_id = self.name
            message.start_index = begin
        field = self.items_of(message)
        for number in range(begin, begin + count):
            field.append(self.item(number))
        return message

    def stream(self, messages: Iterator[Any], timeout: float) -> Any:
        raise NotImplementedError

    def request_type(self) -> Any:
        raise NotImplementedError

    def items_of(self, message: Any) -> Any:
        raise NotImplementedError

    def item(self, number: int) -> Any:
        raise NotImplementedError


class EventCaller(Caller):
    """What both kinds of callers of events have in common."""

    identities = 2_000
    given_keys = True  # Otherwise the server derives them from the request id.

    def identity(self, number: int) -> str:
        return f"{self.name}-{number % self.identities}"

    @staticmethod
    def mark(number: int) -> str | None:
        if number % QUIET_POISON_EVERY == FIRST_QUIET_POISON:
            return "poison-quiet"
        if number % NAMED_POISON_EVERY == FIRST_POISON:
            return "poison-named"
        return None

    def key(self, number: int) -> str:
        return f"{self.name}-{number:010}"

    def item(self, number: int) -> Any:
        event = self.api["items"].TrackEvent(identity=self.identity(number), event="Soaked")
        if self.given_keys:
            event.idempotency_key = self.key(number)
        event.timestamp.seconds = 1_700_000_000 + number
        event.properties["n"] = number
        event.properties["text"] = "Grüße, \"you\" \\ " * (number % 7)
        mark = self.mark(number)
        if mark is not None:
            event.properties["mark"] = mark
        return event

    def arrived_as(self, number: int) -> dict[str, Any]:
        """The event as Heap must have it, but for its timestamp's text."""
        text = "Grüße, \"you\" \\ " * (number % 7)
        return {"identity": self.identity(number), "event": "Soaked", "idempotency_key": self.key(number),
                "properties": {"n": number, "text": text}}

    def poisoned(self) -> int:
        return sum(1 for number in self.poisoned_numbers())

    def poisoned_numbers(self) -> Iterator[int]:
        yield from range(FIRST_POISON, self.acknowledged, NAMED_POISON_EVERY)
        for number in range(FIRST_QUIET_POISON, self.acknowledged, QUIET_POISON_EVERY):
            if number % NAMED_POISON_EVERY != FIRST_POISON:
                yield number


class UnaryEvents(EventCaller, UnaryCaller):
    def call(self, number: int) -> None:
        service = self.api["service"]
        self.stub.TrackEvent(service.TrackEventRequest(destination=self.place.destination, event=self.item(number)), timeout=CALL_PATIENCE)


class BulkEvents(EventCaller, BulkCaller):
    def request_type(self) -> Any:
        return self.api["service"].BulkTrackEventsRequest

    def items_of(self, message: Any) -> Any:
        return message.events

    def stream(self, messages: Iterator[Any], timeout: float) -> Any:
        return self.stub.BulkTrackEvents(messages, timeout=timeout)


class DerivedKeyEvents(BulkEvents):
    given_keys = False

    def __init__(self, *arguments: Any) -> None:
        super().__init__(*arguments)
        self._keys: list[str] = []

    def key(self, number: int) -> str:
        """As the server shows it when the same request is only validated: whatever restarts came in between, it must be the same."""
        if number >= len(self._keys):
            self._keys += self.previewed_keys(len(self._keys), max(self.acknowledged, number + 1))
        return self._keys[number]

    def previewed_keys(self, begin: int, end: int) -> list[str]:
        def messages() -> Iterator[Any]:
            for at in range(begin, end, self.chunk):
                message = self.message(at, min(self.chunk, end - at), first=at == begin)
                message.validate_only = True
                yield message

        return [event["idempotency_key"] for answer in self.stream(messages(), timeout=CALL_PATIENCE * 10)
                for body in answer.preview_json for event in json.loads(body)["events"]]


class HotEvents(BulkEvents):
    """One identity, in bursts that are over its limit."""

    identities = 1


class PropertyCaller(Caller):
    """Item n sets `v` and one of `w0`, `w1`, `w2` of subject n mod `subjects` to n; each seventh item is for the same one."""

    kind = ""
    id_field = ""
    subjects = 97

    def subject(self, number: int) -> str:
        return f"{self.name}-hot" if number % 7 == 0 else f"{self.name}-{number % self.subjects}"

    def fill(self, item: Any, number: int) -> Any:
        setattr(item, self.id_field, self.subject(number))
        item.properties["v"] = number
        item.properties[f"w{number % 3}"] = number
        return item

    def last_values(self) -> dict[str, dict[str, int]]:
        """Of each subject. Looks back only as far as anything can still count."""
        values: dict[str, dict[str, int]] = {}
        for number in range(max(0, self.acknowledged - 21 * self.subjects), self.acknowledged):
            of_subject = values.setdefault(self.subject(number), {})
            of_subject["v"] = number
            of_subject[f"w{number % 3}"] = number
        return values


class UnaryUsers(UnaryCaller, PropertyCaller):
    kind, id_field = "users", "identity"

    def call(self, number: int) -> None:
        user = self.fill(self.api["items"].UserProperties(), number)
        request = self.api["service"].UserPropertiesRequest(destination=self.place.destination, user=user, request_id=f"{self.name}-{number}")
        self.stub.UserProperties(request, timeout=CALL_PATIENCE)


class BulkUsers(BulkCaller, PropertyCaller):
    kind, id_field = "users", "identity"
    chunk = 10

    def request_type(self) -> Any:
        return self.api["service"].BulkUserPropertiesRequest

    def items_of(self, message: Any) -> Any:
        return message.users

    def item(self, number: int) -> Any:
        return self.fill(self.api["items"].UserProperties(), number)

    def stream(self, messages: Iterator[Any], timeout: float) -> Any:
        return self.stub.BulkUserProperties(messages, timeout=timeout)


class BulkAccounts(BulkCaller, PropertyCaller):
    kind, id_field = "accounts", "account_id"
    chunk = 10

    def request_type(self) -> Any:
        return self.api["service"].BulkAccountPropertiesRequest

    def items_of(self, message: Any) -> Any:
        return message.accounts

    def item(self, number: int) -> Any:
        return self.fill(self.api["items"].AccountProperties(), number)

    def stream(self, messages: Iterator[Any], timeout: float) -> Any:
        return self.stub.BulkAccountProperties(messages, timeout=timeout)
