"""Sends events to Heap Sync: client.py track IDENTITY EVENT, or client.py bulk FILE.ndjson REQUEST_ID.

Environment: HEAPSYNC_SERVER (localhost:50051), HEAPSYNC_TLS_CA and HEAPSYNC_TOKEN_FILE for TLS and a bearer token.
"""

import itertools
import os
import random
import sys
import time
import uuid
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import grpc
from google.protobuf import json_format
from google.rpc.error_details_pb2 import BadRequest, ErrorInfo, RetryInfo
from grpc import StatusCode
from grpc_status import rpc_status

from heapsync.v1 import heap_sync_service_pb2 as v1
from heapsync.v1.heap_sync_service_pb2_grpc import HeapSyncServiceStub
from heapsync.v1.items_pb2 import TrackEvent

SERVICE_CONFIG = Path(__file__).with_name("heapsync") / "v1" / "service_config.json"
CHUNK = 500  # events in a message; the server takes 10,000 and 4 MiB at most
MAX_FAILURES = 40  # in a row, without progress between them


def connect() -> grpc.Channel:
    server = os.environ.get("HEAPSYNC_SERVER", "localhost:50051")
    options = [("grpc.service_config", SERVICE_CONFIG.read_text()), ("grpc.keepalive_time_ms", 60_000)]
    if "HEAPSYNC_TLS_CA" not in os.environ:
        return grpc.insecure_channel(server, options)
    credentials = grpc.ssl_channel_credentials(Path(os.environ["HEAPSYNC_TLS_CA"]).read_bytes())
    if "HEAPSYNC_TOKEN_FILE" in os.environ:
        token = Path(os.environ["HEAPSYNC_TOKEN_FILE"]).read_text().strip()
        credentials = grpc.composite_channel_credentials(credentials, grpc.access_token_call_credentials(token))
    return grpc.secure_channel(server, credentials, options)


def detail(error: grpc.RpcError, kind: type) -> Any:
    """The detail of this type that an error of Heap Sync carries, or None."""
    status = rpc_status.from_call(error)
    for packed in status.details if status else ():
        if packed.Is(kind.DESCRIPTOR):
            return kind.FromString(packed.value)
    return None


def report(error: grpc.RpcError) -> None:
    info, bad = detail(error, ErrorInfo), detail(error, BadRequest)
    print(f"{error.code().name} {info.reason if info else '-'}: {error.details()}", file=sys.stderr)
    for violation in bad.field_violations if bad else ():
        print(f"  {violation.field}: {violation.description}", file=sys.stderr)


def retry_delay(error: grpc.RpcError) -> float | None:
    """Seconds that the server asks to wait; None if a repetition is pointless."""
    if retry := detail(error, RetryInfo):
        return retry.retry_delay.ToTimedelta().total_seconds()
    # Every error of Heap Sync has an ErrorInfo; a proxy that resets a stream gives none.
    reset = error.code() in (StatusCode.INTERNAL, StatusCode.UNKNOWN, StatusCode.CANCELLED) and not detail(error, ErrorInfo)
    return 0.0 if error.code() == StatusCode.UNAVAILABLE or reset else None


def track(stub: HeapSyncServiceStub, identity: str, event: str) -> None:
    item = TrackEvent(identity=identity, event=event)
    item.timestamp.GetCurrentTime()
    item.properties["source"] = "python"
    # The request id makes it safe to repeat the call, which gRPC does by the service config.
    response = stub.TrackEvent(v1.TrackEventRequest(request_id=str(uuid.uuid4()), event=item), timeout=10)
    print(f"receipt {response.receipt}")


def requests(path: str, request_id: str, start: int, faults: list[Exception]) -> Iterator[v1.BulkTrackEventsRequest]:
    with open(path, encoding="utf-8") as lines:
        rest = itertools.islice(lines, start, None)
        request = v1.BulkTrackEventsRequest(request_id=request_id, start_index=start)
        while chunk := list(itertools.islice(rest, CHUNK)):
            try:
                request.events.extend(json_format.Parse(line, TrackEvent()) for line in chunk)
            except json_format.ParseError as fault:  # in a thread of gRPC, which would only call it UNKNOWN
                faults.append(fault)
                raise
            yield request
            request = v1.BulkTrackEventsRequest()


def bulk(stub: HeapSyncServiceStub, path: str, request_id: str) -> None:
    position, failures, rejected, faults = 0, 0, set(), []
    while True:
        try:
            # Old versions of gRPC connect slowly while no call waits for it.
            for response in stub.BulkTrackEvents(requests(path, request_id, position, faults), wait_for_ready=failures > 0):
                for item in response.rejected_items:
                    if item.index not in rejected:
                        rejected.add(item.index)
                        for violation in item.violations:
                            print(f"rejected {item.index}: {violation.field} {violation.reason}")
                if response.durable_position > position:
                    position, failures = response.durable_position, 0
                    print(f"durable {position}", flush=True)
            print(f"done: {position - len(rejected)} accepted, {len(rejected)} rejected")
            return
        except grpc.RpcError as error:
            delay, failures = retry_delay(error), failures + 1
            if faults or delay is None or failures == MAX_FAILURES:
                raise faults[0] if faults else error
            report(error)
            time.sleep(delay + random.uniform(0, min(10, 0.1 * 2 ** min(failures, 7))))


if __name__ == "__main__":
    with connect() as channel:
        try:
            {"track": track, "bulk": bulk}[sys.argv[1]](HeapSyncServiceStub(channel), *sys.argv[2:])
        except grpc.RpcError as error:
            report(error)
            sys.exit(1)
